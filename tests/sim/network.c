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
	uint32_t from, to;
	uint32_t references;
	uint64_t epoch;
	uint8_t kind;
	size_t size;
	uint8_t data[];
};

struct peer_net {
	struct machine *machine;
	uint64_t epoch;
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

int peer_net_open(const struct peer_config *config, struct peer_net **out, char *why, size_t why_size)
{
	(void)why, (void)why_size;
	struct peer_net *n = calloc(1, sizeof(*n));
	n->machine = machine_now();
	n->epoch = config->epoch;
	n->fd = system_network_fd(n->machine);
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

int peer_net_send(struct peer_net *n, uint64_t to, enum peer_kind kind, struct span payload)
{
	machine_effect(n->machine);
	if (to == 0 || to > machines_count)
		return -ENOENT;
	if (payload.size > PEER_PAYLOAD_MAX)
		violated("machine %u sends a frame of %zu bytes", n->machine->number, payload.size);
	n->stats.sent++;
	happened(HAPPENED_send, n->machine->number, (uint64_t)kind << 32 | payload.size, to);
	if (links[n->machine->number - 1][to - 1].cut) {
		happened(HAPPENED_cut_off, n->machine->number, to, 0);
		return -EAGAIN;
	}
	struct packet *p = world_alloc(sizeof(*p) + payload.size);
	*p = (struct packet){.from = n->machine->number,
			     .to = (uint32_t)to,
			     .references = 1,
			     .epoch = n->epoch,
			     .kind = (uint8_t)kind,
			     .size = payload.size};
	memcpy(p->data, payload.data, payload.size);
	transmit(p);
	release(p);
	return 0;
}

int peer_net_send_to(struct peer_net *n, const char *address, uint64_t to, enum peer_kind kind, struct span payload)
{
	(void)address;
	return peer_net_send(n, to, kind, payload);
}

int peer_net_set_members(struct peer_net *n, const struct peer_member *members, uint32_t members_count)
{
	(void)n, (void)members, (void)members_count;
	return 0;
}

void peer_net_become(struct peer_net *n, uint64_t cluster_id, uint64_t self, uint64_t epoch)
{
	(void)cluster_id, (void)self;
	n->epoch = epoch;
}

void peer_net_count_foreign(struct peer_net *n)
{
	n->stats.foreign++;
}

int peer_net_receive(struct peer_net *n, struct peer_frame *out)
{
	struct inbox *in = &inboxes[n->machine->number - 1];
	struct packet *p = in->first;
	if (!p)
		return 0;
	in->first = p->next;
	if (!in->first)
		in->last = NULL;
	in->count--;
	n->stats.received++;
	happened(HAPPENED_deliver, n->machine->number, (uint64_t)p->kind << 32 | p->size, p->from);
	*out = (struct peer_frame){
		.from = p->from, .epoch = p->epoch, .kind = p->kind, .known = true, .payload = {p->data, p->size}, .memory = p};
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
