/* seeds DIR: writes what the fuzz targets begin with: a few good inputs for each, DIR/TARGET/N. */
#include "tests/fuzz/fuzz.h"

#include "base/crc32c.h"
#include "raft/peer.h"
#include "raft/peer_frame.h"
#include "raft/raft.h"
#include "raft/wal_record.h"
#include "store/apply.h"
#include "store/client/protocol.h"
#include "store/join.h"
#include "store/member_request.h"
#include "store/session.h"
#include "store/snapshot_file.h"
#include "store/transfer.h"
#include "store/txn.h"

#include <errno.h>
#include <sys/stat.h>

static const char *top;

/* The mode, then the bytes. */
static void seed(const char *target, uint8_t mode, const void *data, size_t size)
{
	static unsigned number;
	char path[512];
	struct writer w = {0};

	snprintf(path, sizeof(path), "%s/%s", top, target);
	FUZZ_CHECK(mkdir(path, 0755) == 0 || errno == EEXIST);
	snprintf(path, sizeof(path), "%s/%s/seed-%u", top, target, number++);
	writer_u8(&w, mode);
	writer_raw(&w, data, size);
	fuzz_write(path, w.data, w.size);
	writer_free(&w);
}

static void seed_writer(const char *target, uint8_t mode, struct writer *w)
{
	seed(target, mode, w->data, w->size);
	writer_clear(w);
}

static void peer(void)
{
	uint8_t frame[256];
	struct peer_frame_head h = {.kind = PEER_RAFT, .size = 5, .cluster_id = 1, .from = 1, .to = 2, .epoch = 3, .seq = 4};
	for (int weak = 0; weak < 2; weak++) {
		fuzz_weak_crc = weak;
		memcpy(frame + PEER_FRAME_HEAD_BYTES, "hello", 5);
		peer_frame_encode(&h, NULL, frame);
		seed("peer", (uint8_t)weak, frame, peer_frame_bytes(NULL, 5));
	}
	fuzz_weak_crc = false;
	struct secret *s;
	FUZZ_CHECK(secret_new((struct span){"a secret that is another", 24}, &s) == 0);
	memcpy(frame + peer_frame_payload(s), "hello", 5);
	peer_frame_encode(&h, s, frame);
	seed("peer", 2, frame, peer_frame_bytes(s, 5));
	secret_free(s);
	seed("peer", 3, "\1\1\0\1\2\0\1\1\0\2\1\0\1\377\0", 15);
}

static void raft(void)
{
	static const struct raft_entry entries[] = {{.term = 1, .index = 1, .type = RAFT_ENTRY_COMMAND, .size = 3, .data = "one"},
						    {.term = 1, .index = 2, .type = RAFT_ENTRY_COMMAND, .size = 3, .data = "two"}};
	struct writer all = {0}, one = {0};
	for (uint8_t type = RAFT_PREVOTE; type <= RAFT_TIMEOUT_NOW; type++) {
		struct raft_message m = {.type = type, .from = 2, .to = 1, .term = 1, .round = 1};
		if (type == RAFT_APPEND) {
			m.entries = entries;
			m.entries_count = 2;
			m.commit = 1;
		}
		raft_message_encode(&one, &m);
		writer_u8(&all, 0xff);
		writer_bytes(&all, one.data, one.size);
		writer_u8(&all, 0x09);
		seed_writer("raft", 0, &one);
	}
	seed_writer("raft", 1, &all);
	/* A candidate that wins: time passes, then both kinds of votes arrive. */
	writer_raw(&all, "\x0f\x0f\x0f", 3);
	for (uint8_t type = RAFT_PREVOTE_REPLY; type <= RAFT_VOTE_REPLY; type += 2) {
		raft_message_encode(&one, &(struct raft_message){.type = type, .from = 2, .to = 1, .term = 1});
		writer_u8(&all, 0xff);
		writer_bytes(&all, one.data, one.size);
		writer_clear(&one);
	}
	writer_raw(&all, "\x19\x19\x11\x03\x03", 5);
	raft_message_encode(&one, &(struct raft_message){.type = RAFT_APPEND_REPLY, .from = 2, .to = 1, .term = 1, .log_index = 1});
	writer_u8(&all, 0xff);
	writer_bytes(&all, one.data, one.size);
	seed_writer("raft", 1, &all);
	writer_free(&all);
	writer_free(&one);
}

static void wal(void)
{
	static const uint8_t kinds[] = {0x00, 0x80, 0xa0, 0xb0, 0xc0, 0xd0, 0xe0};
	struct writer w = {0};
	for (size_t i = 0; i < sizeof(kinds); i++)
		for (uint8_t mode = 0; mode < 3; mode += 2) {
			const uint8_t change[5] = {(uint8_t)i, 0x40, 0x10, kinds[i], 7};
			seed("wal", mode, change, sizeof(change));
		}
	wal_record_hard(&w, &(struct raft_hard_state){.term = 3, .vote = 1, .commit = 2});
	wal_record_epoch(&w, 4);
	wal_record_entry(&w, &(struct raft_entry){.term = 3, .index = 3, .type = RAFT_ENTRY_COMMAND, .size = 3, .data = "abc"});
	seed_writer("wal", 3, &w);
	writer_free(&w);
}

static void command(void)
{
	static const uint8_t kinds[] = {COMMAND_WRITE,    COMMAND_MKDIR,       COMMAND_RMDIR,   COMMAND_UNLINK,
					COMMAND_RENAME,   COMMAND_SYMLINK,     COMMAND_MKNOD,   COMMAND_SETATTR,
					COMMAND_SETXATTR, COMMAND_REMOVEXATTR, COMMAND_STAGE,   COMMAND_PUT,
					COMMAND_DELETE,   COMMAND_RESERVE,     COMMAND_COMPACT, COMMAND_NUMBERS};
	const struct command_range range = {3, {"content", 7}};
	struct writer w = {0}, all = {0};
	for (size_t i = 0; i < sizeof(kinds); i++) {
		struct command c = {.type = kinds[i],
				    .id = {.origin = 1, .epoch = 1, .sequence = i + 1, .floor = 1},
				    .key = {"a/b", 3},
				    .key2 = {"user.x", 6},
				    .value = {"v", 1},
				    .numbers = COMMAND_NUMBERS_COUNT,
				    .mode = 0100644,
				    .set_mask = SET_MODE | SET_SIZE,
				    .size = 10,
				    .revision = 1,
				    .stage = 1,
				    .truncate_to = COMMAND_NO_TRUNCATE};
		if (kinds[i] == COMMAND_WRITE) {
			c.ranges = &range;
			c.ranges_count = 1;
			c.write_flags = WRITE_CREATE;
		}
		command_encode(&w, &c);
		writer_u8(&all, 1);
		writer_u8(&all, 4);
		writer_bytes(&all, w.data, w.size);
		writer_u8(&all, 1);
		seed_writer("command", 0, &w);
	}
	seed("command", 3, all.data, all.size);
	seed_writer("command", 1, &all);
	/* Drawn ones: the bytes choose. */
	for (uint8_t b = 1; b < 60; b += 2) {
		writer_u8(&all, b);
		for (uint8_t i = 0; i < 28; i++)
			writer_u8(&all, (uint8_t)(b * 7 + i * i * b));
	}
	seed("command", 3, all.data, all.size);
	seed_writer("command", 1, &all);
	writer_free(&w);
	writer_free(&all);
}

static void transaction(struct writer *w)
{
	struct txn_compare compare = {.target = TXN_VERSION, .relation = TXN_EQUAL, .key = {"a", 1}, .number = 1};
	struct txn_op ops[] = {{.type = TXN_PUT, .key = {"a", 1}, .value = {"x", 1}},
			       {.type = TXN_DELETE, .key = {"b", 1}},
			       {.type = TXN_GET, .key = {"c", 1}}};
	txn_encode(w, &(struct txn){.compares = &compare, .compares_count = 1, .ops = {ops, ops}, .ops_count = {1, 3}});
}

static void entry(void)
{
	struct writer w = {0};
	transaction(&w);
	seed_writer("entry", 0, &w);
	raft_members_encode(&w, &(struct raft_members){.voters = {1, 2, 3},
						       .voters_count = 3,
						       .learners = {4},
						       .learners_count = 1,
						       .context = "names",
						       .context_size = 5});
	seed_writer("entry", 1, &w);
	raft_members_encode(&w, &(struct raft_members){.voters = {1, 2}, .voters_count = 2, .outgoing = {2, 3}, .outgoing_count = 2});
	seed_writer("entry", 1, &w);
	memcpy(txn_result_encode(&w, &(struct txn_result){.type = TXN_GET, .found = true, .version = 1}, 1), "v", 1);
	txn_result_encode(&w, &(struct txn_result){.type = TXN_DELETE, .deleted = 2}, 0);
	seed_writer("entry", 2, &w);
	static const char *const typed[] = {"n1=10.0.0.1:7701/n2=10.0.0.2:7701", "n1=[::1]:1", "50ms", "7d", "64M"};
	for (size_t i = 0; i < sizeof(typed) / sizeof(typed[0]); i++)
		seed("entry", 3, typed[i], strlen(typed[i]));
	writer_free(&w);
}

static void client(void)
{
	struct writer w = {0}, t = {0};
	transaction(&t);
	for (uint8_t type = 1; type < REQUEST_TYPES; type++) {
		struct request r = {.type = type, .key = {"d/", 2}, .flags = REQUEST_PREFIX, .value = {"v", 1}};
		if (type == REQUEST_TXN)
			r.value = (struct span){t.data, t.size};
		request_encode(&w, &r);
		seed_writer("client", 0, &w);
	}
	response_encode_head(&w, &(struct response){.type = REQUEST_GET, .revision = 7, .kvs_count = 1, .text = {"ok", 2}});
	memcpy(kv_encode(&w, &(struct kv){.key = {"a", 1}, .version = 1}, 1), "v", 1);
	seed_writer("client", 2, &w);
	for (int i = 0; i < 6; i++) {
		writer_u8(&w, i % 3 ? 1 : 0);
		writer_u8(&w, (uint8_t)i);
		writer_bytes(&w, "body", 4);
		writer_u8(&w, 1);
	}
	seed_writer("client", 3, &w);
	writer_free(&w);
	writer_free(&t);
}

static void payload(void)
{
	struct writer w = {0}, all = {0}, members = {0};
	struct join_ask ask = {.incarnation = 5, .origin = 7, .cluster_id = 7, .wants_place = true, .who = {"n1", "10.0.0.1:7701"}};
	struct members m;

	join_ask_encode(&ask, &w);
	seed_writer("payload", 0, &w);
	members_first(&(struct store_member){"n1", "10.0.0.1:7701"}, 1, &m);
	struct raft_members raft = members_raft(&m, &members);
	raft_members_encode(&w, &raft);
	join_answer_encode(
		&(struct join_answer){.asked = 5, .incarnation = 6, .verdict = JOIN_NOTED, .name = "n2", .members = {w.data, w.size}},
		&all);
	seed_writer("payload", 0, &all);
	seed_writer("payload", 1, &w);
	member_request_encode(&(struct member_request){.type = MEMBER_ADD, .id = 9, .who = {"n4", "10.0.0.4:7701"}}, &w);
	seed_writer("payload", 2, &w);
	member_request_encode(&(struct member_request){.type = MEMBER_REMOVE, .target = "n1"}, &w);
	seed_writer("payload", 2, &w);
	session_encode(&(struct session){.origin = 1, .epoch = 2, .floor = 3, .end = 4}, &w);
	seed_writer("payload", 3, &w);
	/* Proposals: of a command, twice. */
	command_encode(&w, &(struct command){.type = COMMAND_MKDIR,
					     .id = {.origin = 2, .epoch = 1, .sequence = 1, .floor = 1},
					     .key = {"a", 1},
					     .truncate_to = COMMAND_NO_TRUNCATE});
	for (int i = 0; i < 2; i++) {
		writer_u8(&all, 1);
		writer_u8(&all, PEER_PROPOSE);
		writer_bytes(&all, w.data, w.size);
		writer_u8(&all, 200);
	}
	seed_writer("payload", 6, &all);
	static const char *const names[] = {"a@120", "@120", "a@-2", "a@", "a@2026-11-22T10:00:00Z", "@status", "bob@example.com"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		seed("payload", 7, names[i], strlen(names[i]));
	writer_free(&w);
	writer_free(&all);
	writer_free(&members);
}

static void add_frame(struct writer *all, const struct transfer_frame *f)
{
	struct writer w = {0};
	transfer_encode(&w, f);
	writer_u8(all, 0);
	writer_bytes(all, w.data, w.size);
	writer_u8(all, 1);
	writer_free(&w);
}

/* A store with a few files, dumped. */
static void snapshot_of(struct mvcc *m, uint8_t weak)
{
	struct mvcc_dump *d;
	struct snapshot_file *f;
	struct dump_position at = {0};
	struct writer chunk = {0}, stream = {0}, frames = {0};
	char why[256], path[512];
	uint64_t number = 0;
	uint32_t sum = 0;
	int more = 1;

	FUZZ_CHECK(mvcc_flush(m) == 0 && mvcc_dump_open(m, &d) == 0);
	struct span manifest = mvcc_dump_manifest(d);
	seed("snapshot", weak, manifest.data, manifest.size);
	snprintf(path, sizeof(path), "%s/file", top);
	FUZZ_CHECK(snapshot_file_create(path, manifest, &f, why, sizeof(why)) == 0);
	writer_bytes(&stream, manifest.data, manifest.size);
	add_frame(&frames, &(struct transfer_frame){.kind = TRANSFER_OFFER, .id = 3, .manifest = manifest});
	while (more) {
		writer_clear(&chunk);
		more = mvcc_dump_read(d, &at, &chunk);
		FUZZ_CHECK(more >= 0);
		if (chunk.size == 0)
			break;
		writer_bytes(&stream, chunk.data, chunk.size);
		sum = weak ? 0 : crc32c(sum, chunk.data, chunk.size);
		add_frame(&frames, &(struct transfer_frame){.kind = TRANSFER_CHUNK,
							    .id = 3,
							    .number = number++,
							    .last = more == 0,
							    .sum = sum,
							    .chunk = {chunk.data, chunk.size}});
		FUZZ_CHECK(snapshot_file_add(f, (struct span){chunk.data, chunk.size}, why, sizeof(why)) == 0);
	}
	FUZZ_CHECK(snapshot_file_finish(f, why, sizeof(why)) == 0);
	seed("snapshot", (uint8_t)(4 + weak), stream.data, stream.size);
	seed_writer("payload", (uint8_t)(4 + weak), &frames);
	writer_free(&frames);
	FILE *in = fopen(path, "re");
	static uint8_t bytes[1 << 16];
	size_t size = in ? fread(bytes, 1, sizeof(bytes), in) : 0;
	FUZZ_CHECK(size > 0);
	fclose(in);
	remove(path);
	seed("snapshot", (uint8_t)(2 + weak), bytes, size);
	mvcc_dump_close(d);
	writer_free(&chunk);
	writer_free(&stream);
}

static void snapshot(uint8_t weak)
{
	struct mvcc *m;
	struct apply *a;
	struct apply_outcome out;
	struct writer w = {0};
	char why[256], dir[512];
	static const char big[9000] = {'b'};
	static const char *const keys[] = {"a", "d/b", "d/c"};

	fuzz_weak_crc = weak;
	snprintf(dir, sizeof(dir), "%s/store", top);
	struct mvcc_config config = {.dir = dir, .cluster_id = 7, .map_bytes = 64u << 20, .no_sync = true};
	FUZZ_CHECK(mvcc_open(&config, &m, why, sizeof(why)) == 0 && apply_open(m, &a) == 0);
	for (size_t i = 0; i < 6; i++) {
		const char *key = keys[i % 3];
		writer_clear(&w);
		command_encode(&w, &(struct command){.type = COMMAND_PUT,
						     .id = {.origin = 1, .epoch = 1, .sequence = i + 1, .floor = 1},
						     .time_ns = (int64_t)i + 1,
						     .key = {key, strlen(key)},
						     .value = {big, i == 4 ? sizeof(big) : i},
						     .mode = 0644,
						     .truncate_to = COMMAND_NO_TRUNCATE});
		apply_entry(a, i + 1, 1, (struct span){w.data, w.size}, &out);
		FUZZ_CHECK(out.result.error == 0);
	}
	snapshot_of(m, weak);
	apply_close(a);
	mvcc_close(m);
	fuzz_remove(dir);
	writer_free(&w);
	fuzz_weak_crc = false;
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: seeds DIR\n");
		return 2;
	}
	top = argv[1];
	peer();
	raft();
	wal();
	command();
	entry();
	client();
	payload();
	snapshot(0);
	snapshot(1);
	return 0;
}
