/* Commands: decoded and encoded again; and lists of them, as bytes or as the input draws them, applied to two stores, of which one is closed and opened again in between. Apply
 * never fails but by the command's own error, and both stores end with the same hash. */
#include "tests/fuzz/fuzz.h"

#include "store/apply.h"
#include "store/txn.h"

#include <errno.h>
#include <sys/stat.h>

static void round_trip(struct span bytes)
{
	struct command c, again;
	struct command_id id;
	struct writer w = {0}, w2 = {0};

	if (command_decode(bytes, &c) != 0)
		return;
	FUZZ_CHECK(command_peek_id(bytes, &id) == 0 && id.sequence == c.id.sequence && id.origin == c.id.origin);
	command_encode(&w, &c);
	FUZZ_CHECK(command_decode((struct span){w.data, w.size}, &again) == 0);
	command_encode(&w2, &again);
	FUZZ_CHECK(w.size == w2.size && memcmp(w.data, w2.data, w.size) == 0);
	command_done(&c);
	command_done(&again);
	writer_free(&w);
	writer_free(&w2);
}

struct world {
	const char *dir;
	struct mvcc *m;
	struct apply *a;
};

static void world_open(struct world *w)
{
	char why[256];
	struct mvcc_config config = {.dir = w->dir, .cluster_id = 7, .map_bytes = 64u << 20, .no_sync = true};
	FUZZ_CHECK(mvcc_open(&config, &w->m, why, sizeof(why)) == 0);
	FUZZ_CHECK(apply_open(w->m, &w->a) == 0);
}

static void world_close(struct world *w)
{
	apply_close(w->a);
	mvcc_close(w->m);
}

/* --- drawing a command --- */

static struct span draw_key(struct reader *in)
{
	static const char *const keys[] = {"a", "b",    "a/b", "a/c", "d",       "d/e", "d/e/f", "g",
					   "",  "a//b", "..",  "a/",  "d/e/f/g", "h@1", "x",     "y"};
	const char *key = keys[reader_u8(in) % 16];
	return (struct span){key, strlen(key)};
}

static struct span draw_bytes(struct reader *in)
{
	static const char filler[40000] = {'f'};
	uint8_t size = reader_u8(in);
	if (size >= 0xf0)
		return (struct span){filler, (size_t)(size - 0xef) * 2500};
	return reader_raw(in, size % 32u);
}

static void draw_content(struct reader *in, struct command *c)
{
	static struct command_range ranges[4];
	c->ranges_count = reader_u8(in) % 4u;
	for (uint32_t i = 0; i < c->ranges_count; i++)
		ranges[i] = (struct command_range){reader_u16(in), draw_bytes(in)};
	c->ranges = ranges;
	c->write_flags = reader_u8(in) % 16u;
	c->truncate_to = reader_u8(in) % 2 ? COMMAND_NO_TRUNCATE : reader_u16(in);
	c->extend_to = reader_u16(in) % 4 ? 0 : reader_u16(in);
}

/* A transaction of a few comparisons and operations: what is drawn twice is refused as a whole. */
static struct span draw_txn(struct reader *in)
{
	static struct writer bytes;
	struct txn_compare compares[2];
	struct txn_op ops[2][8];
	struct txn t = {.compares = compares, .ops = {ops[0], ops[1]}};
	t.compares_count = reader_u8(in) % 3u;
	for (uint32_t i = 0; i < t.compares_count; i++) {
		uint8_t kind = reader_u8(in);
		compares[i] = (struct txn_compare){.target = 1 + kind % 4u, .relation = 1 + kind / 4u % 4u, .number = reader_u8(in) % 4u};
		compares[i].key = draw_key(in);
		compares[i].value = draw_bytes(in);
	}
	for (int branch = 0; branch < 2; branch++) {
		t.ops_count[branch] = reader_u8(in) % 8u;
		for (uint32_t i = 0; i < t.ops_count[branch]; i++) {
			uint8_t kind = reader_u8(in);
			ops[branch][i] = (struct txn_op){.type = 1 + kind % 3u, .key = draw_key(in)};
			ops[branch][i].prefix = ops[branch][i].type == TXN_DELETE && kind >= 128;
			ops[branch][i].lease = kind / 4u % 4u;
			ops[branch][i].value = draw_bytes(in);
		}
	}
	writer_clear(&bytes);
	txn_encode(&bytes, &t);
	return (struct span){bytes.data, bytes.size};
}

/* Few enough leases that they meet. */
static void draw_lease(struct reader *in, struct command *c)
{
	c->lease = 1 + reader_u8(in) % 3u;
	c->ttl_s = reader_u8(in) % 8u;
	c->renewals = reader_u8(in) % 3u;
	if (c->type == COMMAND_PUT && reader_u8(in) % 2)
		c->write_flags |= WRITE_LEASED;
}

/* Of few owners on two files, so that they stand in each other's way; their sessions are the leases of draw_lease. */
static void draw_lock(struct reader *in, struct command *c)
{
	uint8_t who = reader_u8(in), how = reader_u8(in);
	c->lock = (struct lock){.session = 1 + who % 3u, .ino = 1 + who / 4u % 2u, .owner = who / 8u % 4u, .handle = who / 32u % 4u};
	c->lock.start = reader_u8(in) % 8u;
	c->lock.end = how % 8u == 7 ? UINT64_MAX : c->lock.start + how % 8u;
	c->lock.kind = how & 8 ? LOCK_KIND_POSIX : LOCK_KIND_FLOCK;
	c->lock.exclusive = how & 16;
	c->lock_request = 1 + reader_u8(in) % 16u;
	c->lock_flags = how / 32u % 4u;
}

static struct command draw_command(struct reader *in, uint64_t revision)
{
	struct command c = {.type = (uint8_t)(1 + reader_u8(in) % 24), .truncate_to = COMMAND_NO_TRUNCATE};
	c.key = draw_key(in);
	c.key2 = draw_key(in);
	c.mode = reader_u16(in);
	c.ino = reader_u8(in) % 16 == 0 ? reader_u8(in) % 16u : 0;
	c.prefix = reader_u8(in) % 4 == 0;
	c.rename_flags = reader_u8(in) % 4u;
	c.xattr_flags = reader_u8(in) % 4u;
	c.revision = reader_u8(in) % 2 ? revision : reader_u8(in);
	c.reservation = reader_u8(in) % 8u;
	c.stage = reader_u8(in) % 8u;
	c.stage_chunk = reader_u8(in) % 4u;
	c.set_mask = reader_u8(in);
	c.size = reader_u16(in);
	if (c.type == COMMAND_WRITE)
		draw_content(in, &c);
	if (c.type == COMMAND_PUT || (c.type >= COMMAND_LEASE_GRANT && c.type <= COMMAND_LEASE_KEEPALIVE))
		draw_lease(in, &c);
	if (c.type >= COMMAND_LOCK && c.type <= COMMAND_LOCK_CANCEL)
		draw_lock(in, &c);
	if (c.type == COMMAND_WRITE && reader_u8(in) % 4 == 0) {
		c.write_flags |= WRITE_FENCED;
		c.lease = 1 + reader_u8(in) % 3u;
	}
	c.value = c.type == COMMAND_TXN ? draw_txn(in) : draw_bytes(in);
	return c;
}

/* --- applying --- */

static struct span next_command(struct reader *in, const struct world *w, struct writer *out)
{
	writer_clear(out);
	if (reader_u8(in) % 4 == 0) {
		struct span raw = reader_bytes(in, 1 << 16);
		writer_raw(out, raw.data, raw.size);
	} else {
		struct command c = draw_command(in, mvcc_revision(w->m));
		/* A kind without a meaning of its own cannot be encoded: those come as bytes. */
		if (c.type > COMMAND_LOCK_CANCEL)
			c.type = COMMAND_PUT;
		command_encode(out, &c);
	}
	return (struct span){out->data, out->size};
}

static void apply_one(struct world *w, uint64_t index, struct span bytes)
{
	struct apply_outcome out;
	apply_entry(w->a, index, 1, bytes, &out);
	FUZZ_CHECK(!out.stopped && mvcc_applied(w->m) == index);
	FUZZ_CHECK(out.result.error <= 0);
	writer_free(&out.result.reply);
}

static void check_equal(const struct world *a, const struct world *b)
{
	struct mvcc_hash ha, hb;
	mvcc_hash_now(a->m, &ha);
	mvcc_hash_now(b->m, &hb);
	FUZZ_CHECK(ha.hash == hb.hash && ha.revision == hb.revision && mvcc_revision(a->m) == mvcc_revision(b->m));
}

/* Two stores cost twice the time, so most inputs go to one. */
static void apply_all(struct reader in, bool twice)
{
	struct world a = {.dir = fuzz_path("one")}, b = {.dir = fuzz_path("two")};
	struct writer bytes = {0};
	uint64_t index = 0;

	fuzz_remove(a.dir);
	fuzz_remove(b.dir);
	world_open(&a);
	if (twice)
		world_open(&b);
	while (reader_left(&in) > 0 && index < 64) {
		bool reopens = reader_u8(&in) % 32 == 0;
		struct span command = next_command(&in, &a, &bytes);
		struct command_id id;
		index++;
		if (command_peek_id(command, &id) == 0) {
			/* Nearly each one is fresh. */
			id = (struct command_id){.origin = 1, .epoch = 1, .sequence = index - (reader_u8(&in) % 16 == 0), .floor = 1};
			command_stamp_id(bytes.data, &id);
			command_stamp_time(bytes.data, (int64_t)index * 1000);
		}
		apply_one(&a, index, command);
		if (!twice)
			continue;
		apply_one(&b, index, command);
		if (reopens) {
			world_close(&b);
			world_open(&b);
		}
	}
	if (twice) {
		check_equal(&a, &b);
		world_close(&b);
	}
	world_close(&a);
	writer_free(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > 1 << 16)
		return 0;
	if (data[0] % 2 == 0)
		round_trip((struct span){data + 1, size - 1});
	else
		apply_all(reader_over(data + 1, size - 1), data[0] % 8 == 1);
	return 0;
}
