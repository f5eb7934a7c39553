/* Where members are to be found: the links, and the gossip that tells others. */
#include "store/membership_inside.h"

#include <stdlib.h>

struct links {
	struct peer_member of[PEER_MEMBERS_MAX];
	uint32_t count;
};

static void link_add(struct links *l, uint64_t id, const char *address)
{
	for (uint32_t i = 0; i < l->count; i++)
		if (l->of[i].id == id)
			return;
	if (l->count < PEER_MEMBERS_MAX && address[0])
		l->of[l->count++] = (struct peer_member){id, address};
}

static void links_of(const struct members *t, struct links *l)
{
	for (uint32_t i = 0; i < t->count; i++)
		if (members_find(t, t->table[i].id))
			link_add(l, t->table[i].id, t->table[i].who.address);
}

void membership_set_links(struct membership *m)
{
	struct links l = {.count = 0};
	const struct identity *me = m->identity;
	links_of(&m->now, &l);
	/* Until the configuration in force is committed, one that it leaves out may lead, and only its entries can take it back. */
	links_of(&m->committed, &l);
	if (m->book.version >= m->now.version)
		links_of(&m->book, &l);
	for (uint32_t i = 0; i < DEPARTED_MAX; i++)
		if (m->departed[i].until_ns > m->now_ns)
			link_add(&l, m->departed[i].who.id, m->departed[i].who.who.address);
	for (uint32_t i = 0; m->now.count == 0 && i < me->peers_count; i++)
		link_add(&l, me->peers[i].id, me->peers[i].who.address);
	for (uint32_t i = 0; me->id == 0 && i < me->first_count; i++)
		link_add(&l, members_first_id(me->first[i].name), me->first[i].address);
	m->ports.links(m->ports.ctx, l.of, l.count);
}

void membership_note_departed(struct membership *m, const struct member *who)
{
	struct departed *oldest = &m->departed[0];
	for (uint32_t i = 1; i < DEPARTED_MAX; i++)
		if (m->departed[i].until_ns < oldest->until_ns)
			oldest = &m->departed[i];
	*oldest = (struct departed){*who, m->now_ns + DEPARTED_NS};
}

bool membership_read(struct span bytes, struct members *out)
{
	struct raft_members raft;
	return raft_members_decode(bytes, &raft) == 0 && members_decode(&raft, out) == 0;
}

/* Where to find members, from those who know more. */
void membership_learn(struct membership *m, const struct members *t)
{
	if (t->count == 0 || (m->book.count > 0 && t->version < m->book.version))
		return;
	m->book = *t;
	membership_set_links(m);
}

/* --- telling --- */

static void tell(struct membership *m, uint64_t to)
{
	if (to != m->identity->id)
		m->ports.send(m->ports.ctx, to, PEER_MEMBERS, (struct span){m->payload.data, m->payload.size});
}

void membership_gossip(struct membership *m)
{
	struct writer bytes = {0};
	struct raft_members raft = members_raft(&m->now, &m->context);
	raft_members_encode(&bytes, &raft);
	writer_clear(&m->payload);
	writer_u8(&m->payload, GOSSIP);
	writer_u8(&m->payload, membership_is_committed(m));
	writer_bytes(&m->payload, bytes.data, bytes.size);
	writer_free(&bytes);
	for (uint32_t i = 0; i < m->now.count; i++)
		if (members_find(&m->now, m->now.table[i].id))
			tell(m, m->now.table[i].id);
	for (uint32_t i = 0; i < DEPARTED_MAX; i++)
		if (m->departed[i].until_ns > m->now_ns)
			tell(m, m->departed[i].who.id);
	m->gossip_ns = m->now_ns + GOSSIP_NS;
}

void membership_take_gossip(struct membership *m, bool committed, struct span bytes)
{
	struct members t;
	if (!membership_read(bytes, &t))
		return;
	membership_learn(m, &t);
	if (committed && m->raft && t.version > m->now.version && m->now.count > 0 && !members_find(&t, m->identity->id))
		m->removed = true;
}
