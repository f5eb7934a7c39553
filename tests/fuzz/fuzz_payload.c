/* What frames between members carry besides raft messages: proposals into a replica that leads, questions and answers of nodes that join, tables of members, requests about them, what is
 * said about snapshots and a node that takes one; and what the store keeps of sessions, and names with marks. */
#include "tests/fuzz/fuzz.h"

#include "fs/path.h"
#include "store/join.h"
#include "store/member_request.h"
#include "store/replica.h"
#include "store/session.h"
#include "store/sink.h"

static void same(const struct writer *w, struct span bytes)
{
	FUZZ_CHECK(w->size == bytes.size && memcmp(w->data, bytes.data, w->size) == 0);
}

static void join(struct span bytes)
{
	struct join_ask ask;
	struct join_answer answer;
	struct writer w = {0};

	if (join_ask_decode(bytes, &ask) == 0) {
		join_ask_encode(&ask, &w);
		same(&w, bytes);
	}
	writer_clear(&w);
	if (join_answer_decode(bytes, &answer) == 0) {
		join_answer_encode(&answer, &w);
		same(&w, bytes);
	}
	writer_free(&w);
}

static void members(struct span bytes)
{
	struct raft_members raft;
	struct members m, again;
	struct writer w = {0};

	if (raft_members_decode(bytes, &raft) != 0 || members_decode(&raft, &m) != 0)
		return;
	FUZZ_CHECK(m.count <= STORE_MEMBERS_MAX);
	raft = members_raft(&m, &w);
	FUZZ_CHECK(members_decode(&raft, &again) == 0 && again.count == m.count && again.version == m.version);
	writer_free(&w);
}

static void request(struct span bytes)
{
	struct reader in = reader_over(bytes.data, bytes.size);
	struct member_request q;
	struct writer w = {0};

	if (member_request_decode(&in, &q) != 0)
		return;
	FUZZ_CHECK(member_request_valid(&q));
	member_request_encode(&q, &w);
	FUZZ_CHECK(w.size <= bytes.size && memcmp(w.data, bytes.data, w.size) == 0);
	writer_free(&w);
}

static void session(struct span bytes)
{
	struct session s = {0};
	struct writer w = {0}, again = {0};

	if (session_decode(bytes, &s) != 0)
		return;
	session_encode(&s, &w);
	FUZZ_CHECK(session_decode((struct span){w.data, w.size}, &s) == 0);
	session_encode(&s, &again);
	same(&again, (struct span){w.data, w.size});
	writer_free(&w);
	writer_free(&again);
}

/* --- a node that takes a snapshot --- */

static void sink_send(void *ctx, uint64_t to, struct span payload)
{
	struct transfer_frame f;
	(void)ctx, (void)to;
	FUZZ_CHECK(transfer_decode(payload, &f) == 0);
}

static uint64_t sink_applied(void *ctx)
{
	(void)ctx;
	return 0;
}

static void sink_ready(void *ctx, struct mvcc *store, uint64_t index, uint64_t term)
{
	bool *ready = ctx;
	FUZZ_CHECK(!*ready && mvcc_applied(store) == index);
	(void)term;
	*ready = true;
	mvcc_close(store);
}

static void sink_say(void *ctx, const char *line)
{
	(void)ctx;
	FUZZ_CHECK(line[0] && !strchr(line, '\n'));
}

static void transfer(struct reader in)
{
	bool ready = false;
	const char *data = fuzz_path("data");
	struct sink_config config = {.data = data, .cluster_id = 7, .map_bytes = 64u << 20, .no_sync = true};
	struct sink_ports ports = {.ctx = &ready, .send = sink_send, .applied = sink_applied, .ready = sink_ready, .say = sink_say};
	int64_t now = 1;

	fuzz_remove(data);
	fuzz_make(data);
	struct sink *k = sink_new(&config, &ports);
	while (reader_left(&in) > 0) {
		uint64_t from = 1 + reader_u8(&in) % 2;
		struct span bytes = reader_bytes(&in, 1 << 16);
		struct transfer_frame f;
		now += reader_u8(&in) * INT64_C(10000000);
		if (!in.failed && transfer_decode(bytes, &f) == 0) {
			struct writer w = {0};
			transfer_encode(&w, &f);
			same(&w, bytes);
			writer_free(&w);
			sink_frame(k, from, &f, now);
		}
		sink_run(k, now);
		if (ready)
			sink_settled(k, false);
		ready = false;
	}
	sink_free(k);
}

/* --- a replica that leads --- */

struct leading {
	struct raft *raft;
	struct replica *replica;
	uint64_t saved;
};

static void port_send(void *ctx, uint64_t to, enum peer_kind kind, struct span payload)
{
	(void)ctx, (void)kind;
	FUZZ_CHECK(to != 1 && payload.size <= PEER_PAYLOAD_MAX);
}

static void port_save(void *ctx, uint64_t save, const struct raft_hard_state *hard, const struct raft_entry *entries, uint32_t count)
{
	(void)hard, (void)entries, (void)count;
	((struct leading *)ctx)->saved = save;
}

static void port_index(void *ctx, uint64_t index, uint64_t term)
{
	(void)ctx, (void)index, (void)term;
}

static void port_nothing(void *ctx)
{
	(void)ctx;
}

static void port_snapshot(void *ctx, uint64_t to)
{
	(void)ctx, (void)to;
}

static void port_fetch(void *ctx, uint64_t to, uint64_t lo, uint64_t hi)
{
	(void)ctx, (void)to, (void)lo, (void)hi;
}

static void port_apply(void *ctx, const struct raft_entry *entries, uint32_t count)
{
	(void)ctx;
	for (uint32_t i = 1; i < count; i++)
		FUZZ_CHECK(entries[i].index == entries[i - 1].index + 1);
}

static void port_members(void *ctx, const struct raft_members *m)
{
	(void)ctx, (void)m;
}

static bool port_is_full(void *ctx)
{
	(void)ctx;
	return false;
}

/* Of a cluster of one, so that it leads at once and commits what it stores. */
static void proposals(struct reader in)
{
	static const struct raft_members alone = {.voters = {1}, .voters_count = 1};
	struct leading l = {0};
	struct raft_config config = {.id = 1,
				     .members = &alone,
				     .election_ms = 100,
				     .heartbeat_ms = 10,
				     .seed = 1,
				     .now_ms = 1,
				     .ticket_base = 1000,
				     .log_first = 1,
				     .cache_bytes_max = 4096,
				     .inflight_max = 4,
				     .uncommitted_bytes_max = 1 << 20};
	struct replica_ports ports = {.ctx = &l,
				      .send = port_send,
				      .save = port_save,
				      .reset = port_index,
				      .installed = port_nothing,
				      .snapshot = port_snapshot,
				      .fetch = port_fetch,
				      .apply = port_apply,
				      .reads_confirmed = port_nothing,
				      .members = port_members,
				      .members_committed = port_members,
				      .apply_is_full = port_is_full};
	int64_t now = 1000000;

	FUZZ_CHECK(raft_new(&config, &l.raft) == 0);
	struct pending *pending = pending_new(1, 1, INT64_C(1000000000), NULL);
	l.replica = replica_new(l.raft, pending, &ports);
	while (reader_left(&in) > 0) {
		uint64_t from = 1 + reader_u8(&in) % 3;
		uint8_t kind = reader_u8(&in) % 8;
		struct span bytes = reader_bytes(&in, 1 << 16);
		now += INT64_C(1000000) * reader_u8(&in);
		replica_tick(l.replica, now);
		replica_frame(l.replica, from, kind, bytes);
		replica_run(l.replica);
		if (l.saved)
			replica_stored(l.replica, l.saved);
		replica_run(l.replica);
	}
	replica_free(l.replica);
	raft_free(l.raft);
	pending_free(pending);
}

static void name(struct span bytes)
{
	char text[256];
	snprintf(text, sizeof(text), "%.*s", (int)(bytes.size < 255 ? bytes.size : 255), (const char *)bytes.data);
	for (int in_root = 0; in_root < 2; in_root++) {
		struct path_name p = path_parse(text, in_root, PATH_MARK);
		FUZZ_CHECK(p.base_len <= strlen(text) && (p.shape != PATH_PLAIN || p.base_len == strlen(text)));
		FUZZ_CHECK(p.shape == PATH_PLAIN || text[p.base_len] == PATH_MARK);
		FUZZ_CHECK(!p.no_date || (p.shape == PATH_TIME && p.time_ns == 0));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2 || size > 1 << 16)
		return 0;
	struct span rest = {data + 1, size - 1};
	switch (data[0] % 8) {
	case 0:
		join(rest);
		break;
	case 1:
		members(rest);
		break;
	case 2:
		request(rest);
		break;
	case 3:
		session(rest);
		break;
	case 4:
		transfer(reader_over(rest.data, rest.size));
		break;
	case 5:
		fuzz_weak_crc = true;
		transfer(reader_over(rest.data, rest.size));
		fuzz_weak_crc = false;
		break;
	case 6:
		proposals(reader_over(rest.data, rest.size));
		break;
	default:
		name(rest);
	}
	return 0;
}
