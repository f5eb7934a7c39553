/* Raft messages: decoded and encoded again; and streams of them, with time and saves between, into a member that must keep what always holds: terms, commit and what it
 * has applied never go back, and nothing is committed that is not in the log. */
#include "tests/fuzz/fuzz.h"

#include "raft/raft.h"

static struct raft_entry entries[RAFT_APPEND_ENTRIES_MAX];

static void round_trip(struct span bytes)
{
	struct raft_message m;
	struct writer w = {0};

	if (raft_message_decode(bytes, entries, &m) != 0)
		return;
	raft_message_encode(&w, &m);
	FUZZ_CHECK(w.size == bytes.size && memcmp(w.data, bytes.data, w.size) == 0);
	writer_free(&w);
}

struct member {
	struct raft *raft;
	uint64_t now_ms;
	uint64_t saved;
	uint64_t term;
	uint64_t commit;
	uint64_t listed; /* committed entries given out so far */
};

static void member_new(struct member *m)
{
	static const struct raft_members members = {.voters = {1, 2, 3}, .voters_count = 3};
	struct raft_config config = {
		.id = 1,
		.members = &members,
		.election_ms = 100,
		.heartbeat_ms = 10,
		.seed = 1,
		.now_ms = 1,
		.ticket_base = 1000,
		.log_first = 1,
		.cache_bytes_max = 4096,
		.inflight_max = 4,
		.uncommitted_bytes_max = 1 << 20,
	};
	*m = (struct member){.now_ms = 1};
	FUZZ_CHECK(raft_new(&config, &m->raft) == 0);
}

static void member_ready(struct member *m, bool stores)
{
	const struct raft_ready *ready = raft_ready(m->raft);
	struct raft_status s;

	if (ready->save)
		m->saved = ready->save;
	for (uint32_t i = 0; i < ready->committed_count; i++) {
		FUZZ_CHECK(ready->committed[i].index == m->listed + 1);
		m->listed++;
	}
	for (uint32_t i = 0; i < ready->send_count; i++)
		FUZZ_CHECK(ready->send[i].from == 1 && ready->send[i].to != 1);
	for (uint32_t i = 0; i < ready->fetch_count; i++)
		FUZZ_CHECK(ready->fetch[i].lo < ready->fetch[i].hi);
	if (stores)
		raft_stored(m->raft, m->saved);
	raft_status(m->raft, &s);
	FUZZ_CHECK(s.term >= m->term && s.commit >= m->commit && s.commit <= s.log_last && m->listed <= s.commit);
	m->term = s.term;
	m->commit = s.commit;
}

/* A leader that is not lying never asks a member to drop what is committed, so such appends are left out: they would be a broken cluster, not a broken network. */
static bool is_possible(const struct member *m, const struct raft_message *msg)
{
	if (msg->term > UINT64_MAX / 2 || msg->log_index > UINT64_MAX / 2)
		return false;
	if (msg->type != RAFT_APPEND)
		return true;
	for (uint32_t i = 0; i < msg->entries_count; i++)
		if (msg->entries[i].index <= m->commit && raft_term_at(m->raft, msg->entries[i].index) != msg->entries[i].term)
			return false;
	return msg->log_index > m->commit || raft_term_at(m->raft, msg->log_index) == msg->log_term;
}

static void stream(struct reader in)
{
	struct member m;
	struct raft_message msg;

	member_new(&m);
	while (reader_left(&in) > 0) {
		uint8_t what = reader_u8(&in);
		if (what < 0x10) {
			m.now_ms += what * 16u;
			raft_tick(m.raft, m.now_ms);
		} else if (what < 0x18) {
			raft_read(m.raft);
		} else if (what < 0x20) {
			raft_propose(m.raft, "x", 1);
		} else if (what < 0x28) {
			raft_transfer(m.raft, what & 3u);
		} else {
			struct span bytes = reader_bytes(&in, 1 << 16);
			if (raft_message_decode(bytes, entries, &msg) == 0 && is_possible(&m, &msg))
				raft_step(m.raft, &msg);
		}
		member_ready(&m, what & 1);
	}
	raft_free(m.raft);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > 1 << 16)
		return 0;
	if (data[0] % 2 == 0)
		round_trip((struct span){data + 1, size - 1});
	else
		stream(reader_over(data + 1, size - 1));
	return 0;
}
