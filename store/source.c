#include "store/source.h"

#include "base/crc32c.h"

#include <errno.h>
#include <stdlib.h>

#define SESSIONS_MAX 16

enum session_state {
	FREE,
	WAITING, /* for its turn, until due_ns at least */
	OFFERED, /* nothing was pulled yet */
	SENDING,
	LINGERING /* taken: the log behind it is kept for a while */
};

struct session {
	enum session_state state;
	uint64_t to;
	uint64_t id;
	struct mvcc_dump *dump; /* while OFFERED or SENDING */
	uint64_t index;         /* of the snapshot */
	int64_t due_ns;         /* WAITING: not before; OFFERED, SENDING: the next offer; LINGERING: the end */
	int64_t heard_ns;
	uint64_t next; /* the chunk to be sent next, and where it begins */
	struct dump_position at;
	uint64_t until;
	uint64_t summed; /* chunks that `sum` covers: all that were ever sent */
	uint32_t sum;
	uint64_t chunks; /* how many there are; UINT64_MAX while that is not known */
};

struct source {
	struct mvcc *mvcc;
	struct source_ports ports;
	uint64_t last_id;
	bool leads;
	int64_t pace_ns; /* no chunk before */
	size_t turn;     /* whose session is looked at first */
	struct session sessions[SESSIONS_MAX];
	struct writer payload; /* scratch */
	struct writer chunk;
};

struct source *source_new(struct mvcc *m, uint64_t seed, const struct source_ports *ports)
{
	struct source *s = calloc(1, sizeof(*s));
	if (!s)
		abort();
	s->mvcc = m;
	s->ports = *ports;
	s->last_id = seed << 20;
	return s;
}

static void close_dump(struct session *x)
{
	mvcc_dump_close(x->dump);
	x->dump = NULL;
}

void source_free(struct source *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < SESSIONS_MAX; i++)
		close_dump(&s->sessions[i]);
	writer_free(&s->payload);
	writer_free(&s->chunk);
	free(s);
}

static bool is_open(const struct session *x)
{
	return x->state == OFFERED || x->state == SENDING;
}

static void end_session(struct session *x)
{
	close_dump(x);
	*x = (struct session){.state = FREE};
}

static void send(struct source *s, uint64_t to, const struct transfer_frame *f)
{
	writer_clear(&s->payload);
	transfer_encode(&s->payload, f);
	s->ports.send(s->ports.ctx, to, (struct span){s->payload.data, s->payload.size});
}

static struct session *session_of(struct source *s, uint64_t to)
{
	struct session *unused = NULL;
	for (size_t i = 0; i < SESSIONS_MAX; i++) {
		if (s->sessions[i].state != FREE && s->sessions[i].to == to)
			return &s->sessions[i];
		if (s->sessions[i].state == FREE && !unused)
			unused = &s->sessions[i];
	}
	return unused;
}

/* The one that has lingered for the longest makes room. */
static struct session *make_room(struct source *s)
{
	struct session *oldest = NULL;
	for (size_t i = 0; i < SESSIONS_MAX; i++)
		if (s->sessions[i].state == LINGERING && (!oldest || s->sessions[i].due_ns < oldest->due_ns))
			oldest = &s->sessions[i];
	return oldest;
}

void source_want(struct source *s, uint64_t to)
{
	s->leads = true;
	struct session *x = session_of(s, to);
	if (!x)
		x = make_room(s);
	if (!x || x->state == WAITING || is_open(x))
		return;
	*x = (struct session){.state = WAITING, .to = to};
}

void source_lead(struct source *s, bool leads)
{
	s->leads = leads;
	for (size_t i = 0; !leads && i < SESSIONS_MAX; i++)
		if (s->sessions[i].state == WAITING || s->sessions[i].state == OFFERED)
			end_session(&s->sessions[i]);
}

static void offer(struct source *s, struct session *x, int64_t now_ns)
{
	x->due_ns = now_ns + SOURCE_OFFER_NS;
	send(s, x->to, &(struct transfer_frame){.kind = TRANSFER_OFFER, .id = x->id, .manifest = mvcc_dump_manifest(x->dump)});
}

/* Back to the end of the line, without a picture of a state that grows old. A new one is for the leader to take: in one that another member takes
 * may be what was committed in terms that `to` has not heard of, and it would vouch for that to the leader whom it still follows. */
static void put_off(struct source *s, struct session *x, int64_t until_ns)
{
	uint64_t to = x->to;
	end_session(x);
	if (s->leads)
		*x = (struct session){.state = WAITING, .to = to, .due_ns = until_ns};
	else
		s->ports.over(s->ports.ctx, to);
}

static void open_session(struct source *s, struct session *x, int64_t now_ns)
{
	struct dump_manifest m;
	int rc = mvcc_dump_open(s->mvcc, &x->dump);
	if (rc == 0)
		rc = dump_manifest_decode(mvcc_dump_manifest(x->dump), &m);
	if (rc < 0) {
		put_off(s, x, now_ns + SOURCE_FAILED_NS);
		if (rc == -EIO)
			s->ports.damaged(s->ports.ctx);
		return;
	}
	x->state = OFFERED;
	x->id = ++s->last_id;
	x->index = m.index;
	x->heard_ns = now_ns;
	x->chunks = UINT64_MAX;
	offer(s, x, now_ns);
}

static void finish(struct source *s, struct session *x, int64_t now_ns, uint8_t outcome)
{
	uint64_t to = x->to;
	if (outcome == TRANSFER_BUSY || outcome == TRANSFER_FAILED) {
		put_off(s, x, now_ns + (outcome == TRANSFER_BUSY ? SOURCE_RETRY_NS : SOURCE_FAILED_NS));
		return;
	}
	close_dump(x);
	if (outcome == TRANSFER_TAKEN)
		*x = (struct session){.state = LINGERING, .to = to, .index = x->index, .due_ns = now_ns + SOURCE_IDLE_NS};
	else
		end_session(x);
	s->ports.over(s->ports.ctx, to);
}

/* False if it asks for what it cannot have had. */
static bool pull(struct session *x, const struct transfer_frame *f)
{
	if (f->again) {
		if (f->number > x->summed)
			return false;
		/* Nothing but the sum is missing: an empty chunk brings it again. */
		if (f->number == x->chunks)
			x->chunks = UINT64_MAX;
		x->next = f->number;
		x->at = f->at;
		x->until = f->until;
	} else if (f->until > x->until) {
		x->until = f->until;
	}
	return true;
}

void source_caught_up(struct source *s, uint64_t to)
{
	struct session *x = session_of(s, to);
	if (x && x->state == LINGERING)
		end_session(x);
}

void source_frame(struct source *s, uint64_t from, const struct transfer_frame *f, int64_t now_ns)
{
	struct session *x = session_of(s, from);
	bool known = x && is_open(x) && x->to == from && x->id == f->id;
	if (f->kind == TRANSFER_OVER) {
		if (known)
			finish(s, x, now_ns, f->outcome);
		return;
	}
	if (f->kind != TRANSFER_PULL)
		return;
	if (!known || !pull(x, f)) {
		send(s, from, &(struct transfer_frame){.kind = TRANSFER_OVER, .id = f->id, .outcome = TRANSFER_GONE});
		return;
	}
	x->state = SENDING;
	x->heard_ns = now_ns;
	x->due_ns = now_ns + SOURCE_OFFER_NS;
}

static bool has_chunk(const struct session *x)
{
	return x->state == SENDING && x->next < x->until && x->next < x->chunks;
}

static void send_chunk(struct source *s, struct session *x, int64_t now_ns)
{
	writer_clear(&s->chunk);
	int rc = mvcc_dump_read(x->dump, &x->at, &s->chunk);
	if (rc < 0) {
		send(s, x->to, &(struct transfer_frame){.kind = TRANSFER_OVER, .id = x->id, .outcome = TRANSFER_GONE});
		put_off(s, x, now_ns + SOURCE_FAILED_NS);
		if (rc == -EIO)
			s->ports.damaged(s->ports.ctx);
		return;
	}
	if (x->next == x->summed) {
		x->sum = crc32c(x->sum, s->chunk.data, s->chunk.size);
		x->summed++;
	}
	if (rc == 0)
		x->chunks = x->next + 1;
	send(s, x->to,
	     &(struct transfer_frame){.kind = TRANSFER_CHUNK,
				      .id = x->id,
				      .number = x->next,
				      .last = rc == 0,
				      .sum = x->sum,
				      .chunk = {s->chunk.data, s->chunk.size}});
	x->next++;
	s->pace_ns = now_ns + (int64_t)(s->chunk.size * UINT64_C(1000000000) / SOURCE_BYTES_PER_S);
}

static void send_one(struct source *s, int64_t now_ns)
{
	for (size_t i = 0; i < SESSIONS_MAX; i++) {
		struct session *x = &s->sessions[(s->turn + i) % SESSIONS_MAX];
		if (!has_chunk(x))
			continue;
		s->turn = (s->turn + i + 1) % SESSIONS_MAX;
		send_chunk(s, x, now_ns);
		return;
	}
}

static size_t open_count(const struct source *s)
{
	size_t count = 0;
	for (size_t i = 0; i < SESSIONS_MAX; i++)
		count += is_open(&s->sessions[i]);
	return count;
}

static void run_session(struct source *s, struct session *x, int64_t now_ns)
{
	uint64_t to = x->to;
	if (x->state == FREE || now_ns < x->due_ns)
		return;
	if (x->state == LINGERING) {
		end_session(x);
	} else if (x->state == WAITING) {
		if (open_count(s) < SOURCE_AT_ONCE)
			open_session(s, x, now_ns);
	} else if (now_ns - x->heard_ns >= SOURCE_IDLE_NS) {
		end_session(x);
		s->ports.over(s->ports.ctx, to);
	} else {
		offer(s, x, now_ns);
	}
}

void source_run(struct source *s, int64_t now_ns)
{
	for (size_t i = 0; i < SESSIONS_MAX; i++)
		run_session(s, &s->sessions[i], now_ns);
	if (now_ns >= s->pace_ns)
		send_one(s, now_ns);
}

int64_t source_deadline_ns(const struct source *s)
{
	int64_t deadline = INT64_MAX;
	bool full = open_count(s) >= SOURCE_AT_ONCE;
	for (size_t i = 0; i < SESSIONS_MAX; i++) {
		const struct session *x = &s->sessions[i];
		if (x->state != FREE && !(x->state == WAITING && full) && x->due_ns < deadline)
			deadline = x->due_ns;
		if (has_chunk(x) && s->pace_ns < deadline)
			deadline = s->pace_ns;
	}
	return deadline;
}

uint64_t source_floor(const struct source *s)
{
	uint64_t floor = UINT64_MAX;
	for (size_t i = 0; i < SESSIONS_MAX; i++) {
		const struct session *x = &s->sessions[i];
		if ((is_open(x) || x->state == LINGERING) && x->index < floor)
			floor = x->index;
	}
	return floor;
}
