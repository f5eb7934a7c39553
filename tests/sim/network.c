#include "raft/peer.h"
#include "tests/sim/heap.h"
#include "tests/sim/network.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DELAY_NS_MIN (MS / 20)
#define INBOX_MAX 4096u
#define KEPT 32u /* old frames of each link, for replays */
#define KEEP_BYTES_MAX 4096u

struct packet {
	struct packet *next;
	uint32_t from, to; /* machines */
	uint32_t references;
	uint64_t cluster_id;
	uint64_t from_id, to_id;
	uint64_t epoch;
	uint8_t kind;
	size_t size;
	uint8_t data[];
};

struct peer_net {
	struct machine *machine;
	uint64_t cluster_id;
	uint64_t self;
	uint64_t epoch;
	uint64_t links[PEER_MEMBERS_MAX]; /* ids, and where they are */
	uint32_t places[PEER_MEMBERS_MAX];
	uint32_t links_count;
	struct peer_stats stats;
	int fd;
};

struct link {
	bool cut;
	struct packet *kept[KEPT];
	uint64_t kept_count;
};

struct inbox {
	struct packet *first, *last;
	uint32_t count;
};

static struct network_weather weather;
static struct link links[MACHINES_MAX][MACHINES_MAX];
static struct inbox inboxes[MACHINES_MAX];

void network_begin(void)
{
	memset(links, 0, sizeof(links));
	memset(inboxes, 0, sizeof(inboxes));
	weather = (struct network_weather){.delay_ns_max = MS};
}

void network_set_weather(const struct network_weather *w)
{
	weather = *w;
}

void network_cut(uint32_t from, uint32_t to, bool cut)
{
	links[from - 1][to - 1].cut = cut;
}

bool network_is_cut(uint32_t from, uint32_t to)
{
	return links[from - 1][to - 1].cut;
}

void network_mend(void)
{
	for (uint32_t a = 0; a < MACHINES_MAX; a++)
		for (uint32_t b = 0; b < MACHINES_MAX; b++)
			links[a][b].cut = false;
}

bool network_has_frames(const struct machine *m)
{
	return inboxes[m->number - 1].first;
}

static void release(struct packet *p)
{
	if (--p->references == 0)
		heap_free(p);
}

void network_machine_died(struct machine *m)
{
	struct inbox *in = &inboxes[m->number - 1];
	while (in->first) {
		struct packet *p = in->first;
		in->first = p->next;
		release(p);
	}
	*in = (struct inbox){NULL, NULL, 0};
}

/* --- between the machines --- */

static void deliver(void *arg, uint64_t tag)
{
	struct packet *p = arg;
	struct machine *m = &machines[p->to - 1];
	struct inbox *in = &inboxes[p->to - 1];
	(void)tag;
	bool cut = links[p->from - 1][p->to - 1].cut && one_in(2); /* what was under way may still arrive */
	if (!m->running || in->count >= INBOX_MAX || cut) {
		release(p);
		return;
	}
	/* One packet may arrive twice, and lie in the inbox only once. */
	struct packet *copy = world_alloc(sizeof(*copy) + p->size);
	memcpy(copy, p, sizeof(*p) + p->size);
	copy->references = 1;
	copy->next = NULL;
	release(p);
	if (in->last)
		in->last->next = copy;
	else
		in->first = copy;
	in->last = copy;
	in->count++;
	wake_all(&m->polls);
}

static int64_t delay(void)
{
	int64_t ns = DELAY_NS_MIN + (int64_t)draw_below((uint64_t)weather.delay_ns_max);
	return one_in(200) ? ns * 8 : ns;
}

static void dispatch(struct packet *p)
{
	p->references++;
	at(world_now() + delay(), deliver, p, 0);
}

static void keep(struct link *l, struct packet *p)
{
	struct packet **place = &l->kept[l->kept_count % KEPT];
	if (p->size > KEEP_BYTES_MAX || !one_in(16))
		return;
	if (*place)
		release(*place);
	*place = p;
	p->references++;
	l->kept_count++;
}

static void replay(struct link *l, const struct packet *now)
{
	uint64_t kept = l->kept_count < KEPT ? l->kept_count : KEPT;
	if (kept == 0)
		return;
	struct packet *old = l->kept[draw_below(kept)];
	happened(HAPPENED_replayed, now->from, now->to, old->epoch);
	dispatch(old);
}

static void transmit(struct packet *p)
{
	struct link *l = &links[p->from - 1][p->to - 1];
	keep(l, p);
	if (draw_below(100) < weather.loss_percent) {
		happened(HAPPENED_lost, p->from, p->to, 0);
		return;
	}
	dispatch(p);
	if (draw_below(100) < weather.repeat_percent) {
		happened(HAPPENED_repeated, p->from, p->to, 0);
		dispatch(p);
	}
	if (draw_below(1000) < weather.replay_permille)
		replay(l, p);
}

/* --- peer.h --- */

/* The machine that an address names: m3:7701. */
static uint32_t machine_at(const char *address)
{
	uint32_t number = (uint32_t)strtoul(address + 1, NULL, 10);
	return number >= 1 && number <= MACHINES_MAX ? number : 0;
}

int peer_net_set_members(struct peer_net *n, const struct peer_member *members, uint32_t members_count)
{
	n->links_count = 0;
	for (uint32_t i = 0; i < members_count; i++) {
		if (members[i].id == n->self || machine_at(members[i].address) == 0)
			continue;
		n->links[n->links_count] = members[i].id;
		n->places[n->links_count++] = machine_at(members[i].address);
	}
	return 0;
}

int peer_net_open(const struct peer_config *config, struct peer_net **out, char *why, size_t why_size)
{
	(void)why, (void)why_size;
	struct peer_net *n = calloc(1, sizeof(*n));
	n->machine = machine_now();
	n->cluster_id = config->cluster_id;
	n->self = config->self;
	n->epoch = config->epoch;
	n->fd = system_network_fd(n->machine);
	peer_net_set_members(n, config->members, config->members_count);
	*out = n;
	return 0;
}

void peer_net_close(struct peer_net *n)
{
	network_machine_died(n->machine);
	free(n);
}

int peer_net_fd(const struct peer_net *n)
{
	return n->fd;
}

void peer_net_become(struct peer_net *n, uint64_t cluster_id, uint64_t self, uint64_t epoch)
{
	n->cluster_id = cluster_id;
	n->self = self;
	n->epoch = epoch;
}

void peer_net_count_foreign(struct peer_net *n)
{
	n->stats.foreign++;
}

static uint32_t place_of(const struct peer_net *n, uint64_t id)
{
	for (uint32_t i = 0; i < n->links_count; i++)
		if (n->links[i] == id)
			return n->places[i];
	return 0;
}

static int send_to(struct peer_net *n, uint32_t place, uint64_t to, enum peer_kind kind, struct span payload)
{
	machine_effect(n->machine);
	if (payload.size > PEER_PAYLOAD_MAX)
		violated("machine %u sends a frame of %zu bytes", n->machine->number, payload.size);
	n->stats.sent++;
	happened(HAPPENED_send, n->machine->number, (uint64_t)kind << 32 | payload.size, place);
	if (links[n->machine->number - 1][place - 1].cut) {
		happened(HAPPENED_cut_off, n->machine->number, place, 0);
		return -EAGAIN;
	}
	struct packet *p = world_alloc(sizeof(*p) + payload.size);
	*p = (struct packet){.from = n->machine->number,
			     .to = place,
			     .references = 1,
			     .cluster_id = n->cluster_id,
			     .from_id = n->self,
			     .to_id = to,
			     .epoch = n->epoch,
			     .kind = (uint8_t)kind,
			     .size = payload.size};
	memcpy(p->data, payload.data, payload.size);
	transmit(p);
	release(p);
	return 0;
}

int peer_net_send(struct peer_net *n, uint64_t to, enum peer_kind kind, struct span payload)
{
	uint32_t place = place_of(n, to);
	return place == 0 ? -ENOENT : send_to(n, place, to, kind, payload);
}

int peer_net_send_to(struct peer_net *n, const char *address, uint64_t to, enum peer_kind kind, struct span payload)
{
	uint32_t place = machine_at(address);
	return place == 0 ? -EINVAL : send_to(n, place, to, kind, payload);
}

/* As in peer.c, but for the boots of senders: frames of older ones are taken, too. */
static bool is_for_us(const struct peer_net *n, const struct packet *p)
{
	bool ours = p->cluster_id == n->cluster_id && p->to_id == n->self;
	bool known = place_of(n, p->from_id) != 0;
	return p->kind == PEER_JOIN || (ours && (known || p->kind == PEER_MEMBERS));
}

int peer_net_receive(struct peer_net *n, struct peer_frame *out)
{
	struct inbox *in = &inboxes[n->machine->number - 1];
	struct packet *p;
	while ((p = in->first)) {
		in->first = p->next;
		if (!in->first)
			in->last = NULL;
		in->count--;
		if (is_for_us(n, p))
			break;
		happened(HAPPENED_foreign, n->machine->number, p->from, p->kind);
		n->stats.foreign++;
		release(p);
	}
	if (!p)
		return 0;
	n->stats.received++;
	happened(HAPPENED_deliver, n->machine->number, (uint64_t)p->kind << 32 | p->size, p->from);
	*out = (struct peer_frame){.from = p->from_id,
				   .epoch = p->epoch,
				   .kind = p->kind,
				   .known = p->kind != PEER_JOIN && place_of(n, p->from_id) != 0,
				   .payload = {p->data, p->size},
				   .memory = p};
	return 1;
}

void peer_frame_done(struct peer_frame *f)
{
	release(f->memory);
}

void peer_net_stats(const struct peer_net *n, struct peer_stats *out)
{
	*out = n->stats;
}
