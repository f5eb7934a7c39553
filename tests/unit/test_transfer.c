/* One member gives another a snapshot, over a network that loses, repeats and reorders, with ends that go away and come back. Both ends are state
 * machines: time is a number here. */
#include "tests/unit/test_mvcc.h"

#include "store/folders.h"
#include "store/mvcc/inside.h"
#include "store/sink.h"
#include "store/source.h"

#include <ftw.h>

#define SOURCE 1u
#define SINK 2u
#define MS INT64_C(1000000)
#define FRAMES_MAX 256

struct frame {
	uint64_t from, to;
	int64_t due_ns;
	struct writer bytes;
};

struct world {
	struct fixture a; /* the store that is sent */
	char data[256];   /* of the sink */
	int64_t now_ns;
	uint64_t random;
	int loss_percent;
	int64_t delay_ns; /* at most */
	struct frame frames[FRAMES_MAX];
	int frames_count;
	struct source *source;
	struct sink *sink;
	uint64_t applied; /* at the sink */
	struct mvcc *ready;
	uint64_t ready_index;
	int over;
	int damaged;
	int readies;
	int pulls, chunks;
	uint64_t chunk_bytes;
	int outcome; /* of the last OVER that the sink sent; -1: none */
	uint64_t seed;
	char said[700];
	void (*meddle)(struct world *w, struct transfer_frame *f); /* with what the source sends */
};

static struct world *world_of(void **state)
{
	return *state;
}

static uint64_t draw(struct world *w)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return w->random;
}

static void note_frame(struct world *w, uint64_t from, const struct transfer_frame *f)
{
	w->pulls += f->kind == TRANSFER_PULL;
	if (f->kind == TRANSFER_CHUNK) {
		w->chunks++;
		w->chunk_bytes += f->chunk.size;
	}
	if (from == SINK && f->kind == TRANSFER_OVER)
		w->outcome = f->outcome;
}

static void put_on_wire(struct world *w, uint64_t from, uint64_t to, struct span payload)
{
	struct transfer_frame f;
	assert_int_equal(transfer_decode(payload, &f), 0);
	note_frame(w, from, &f);
	int copies = w->loss_percent > 0 && draw(w) % 10 == 0 ? 2 : 1;
	for (; copies > 0 && (int)(draw(w) % 100) >= w->loss_percent && w->frames_count < FRAMES_MAX; copies--) {
		struct frame *x = &w->frames[w->frames_count++];
		*x = (struct frame){.from = from, .to = to, .due_ns = w->now_ns + (int64_t)(draw(w) % (uint64_t)(w->delay_ns + 1))};
		if (w->meddle && from == SOURCE)
			w->meddle(w, &f);
		transfer_encode(&x->bytes, &f);
	}
}

static void source_sends(void *ctx, uint64_t to, struct span payload)
{
	put_on_wire(ctx, SOURCE, to, payload);
}

static void sink_sends(void *ctx, uint64_t to, struct span payload)
{
	put_on_wire(ctx, SINK, to, payload);
}

static void source_is_over(void *ctx, uint64_t to)
{
	struct world *w = ctx;
	(void)to;
	w->over++;
}

static void source_is_damaged(void *ctx)
{
	((struct world *)ctx)->damaged++;
}

static uint64_t sink_applied(void *ctx)
{
	return ((struct world *)ctx)->applied;
}

static void sink_is_ready(void *ctx, struct mvcc *store, uint64_t index, uint64_t term)
{
	struct world *w = ctx;
	assert_null(w->ready);
	assert_int_equal(term, 1);
	w->ready = store;
	w->ready_index = index;
	w->readies++;
}

static void sink_says(void *ctx, const char *line)
{
	struct world *w = ctx;
	snprintf(w->said, sizeof w->said, "%s", line);
}

static void start_source(struct world *w)
{
	const struct source_ports ports = {w, source_sends, source_is_over, source_is_damaged};
	w->source = source_new(w->a.m, ++w->seed, &ports);
}

static void start_sink(struct world *w)
{
	const struct sink_ports ports = {w, sink_sends, sink_applied, sink_is_ready, sink_says};
	const struct sink_config config = {.data = w->data, .cluster_id = CLUSTER, .map_bytes = 1 << 28, .no_sync = true};
	w->sink = sink_new(&config, &ports);
}

static void stop_sink(struct world *w)
{
	sink_free(w->sink);
	if (w->ready)
		mvcc_close(w->ready);
	w->ready = NULL;
}

/* About 4 MB: some sixteen chunks. */
static int setup(void **state)
{
	static char content_of[MVCC_INLINE_MAX];
	struct world *w = calloc(1, sizeof *w);
	void *a;
	assert_int_equal(fixture_setup(&a), 0);
	w->a = *(struct fixture *)a;
	free(a);
	for (int i = 0; i < 1000; i++) {
		char key[32];
		snprintf(key, sizeof key, "file %d", i % 700);
		memset(content_of, 'a' + i % 26, sizeof content_of);
		begin(&w->a);
		put(&w->a, key, S_IFREG | 0644, content_of, sizeof content_of);
		end(&w->a);
	}
	begin(&w->a);
	mvcc_put_meta(w->a.m, text("other"), text("meta"));
	end(&w->a);
	assert_int_equal(mvcc_flush(w->a.m), 0);
	snprintf(w->data, sizeof w->data, "%.200s.sink", w->a.dir);
	assert_int_equal(mkdir(w->data, 0700), 0);
	w->random = 88172645463325252u;
	w->delay_ns = MS;
	w->outcome = -1;
	w->now_ns = 1000 * MS;
	start_source(w);
	start_sink(w);
	*state = w;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st, (void)type, (void)at;
	return remove(path);
}

static int teardown(void **state)
{
	struct world *w = *state;
	stop_sink(w);
	source_free(w->source);
	for (int i = 0; i < w->frames_count; i++)
		writer_free(&w->frames[i].bytes);
	mvcc_close(w->a.m);
	store_remove(&w->a);
	nftw(w->data, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(w);
	return 0;
}

static void deliver(struct world *w)
{
	for (int i = 0; i < w->frames_count; i++) {
		struct frame x = w->frames[i];
		struct transfer_frame f;
		if (x.due_ns > w->now_ns)
			continue;
		w->frames[i--] = w->frames[--w->frames_count];
		assert_int_equal(transfer_decode((struct span){x.bytes.data, x.bytes.size}, &f), 0);
		if (x.to == SINK)
			sink_frame(w->sink, x.from, &f, w->now_ns);
		else if (x.to == SOURCE)
			source_frame(w->source, x.from, &f, w->now_ns);
		writer_free(&x.bytes);
	}
}

static void step(struct world *w)
{
	w->now_ns += MS;
	deliver(w);
	if (w->now_ns >= source_deadline_ns(w->source))
		source_run(w->source, w->now_ns);
	if (w->now_ns >= sink_deadline_ns(w->sink))
		sink_run(w->sink, w->now_ns);
}

static void run_ms(struct world *w, int64_t ms)
{
	for (; ms > 0 && !w->ready; ms--)
		step(w);
}

static void must_be_ready(struct world *w)
{
	void *meta;
	size_t size;
	uint64_t keys;
	struct record r = {0};
	assert_non_null(w->ready);
	assert_int_equal(w->ready_index, w->a.index);
	assert_int_equal(mvcc_revision(w->ready), mvcc_revision(w->a.m));
	assert_int_equal(mvcc_count(w->ready, (struct span){NULL, 0}, (struct span){NULL, 0}, 0, &keys), 0);
	assert_int_equal(keys, 700);
	assert_int_equal(mvcc_get(w->ready, text("file 299"), 0, &r), 0);
	assert_int_equal(*(const char *)r.data.data, 'a' + 999 % 26);
	record_done(&r);
	assert_int_equal(mvcc_get_meta(w->ready, text("other"), &meta, &size), 0);
	free(meta);
}

static void settle(struct world *w)
{
	mvcc_close(w->ready);
	w->ready = NULL;
	w->applied = w->ready_index;
	assert_int_equal(folders_switch(w->data), -ENOENT); /* there is no store to be replaced here */
	sink_settled(w->sink, true);
}

static void a_snapshot_is_offered_pulled_and_taken(void **state)
{
	struct world *w = world_of(state);
	assert_int_equal(source_floor(w->source), UINT64_MAX);
	source_want(w->source, SINK);
	run_ms(w, 3000);
	must_be_ready(w);
	assert_int_equal(source_floor(w->source), w->a.index);
	assert_int_equal(w->over, 0);
	settle(w);
	for (int i = 0; i < 10; i++)
		step(w);
	assert_int_equal(w->over, 1);
	assert_int_equal(w->outcome, TRANSFER_TAKEN);
	/* Nothing was sent twice, and the log is held back for a while yet. */
	assert_in_range(w->chunks, 12, 20);
	assert_int_equal(source_floor(w->source), w->a.index);
	w->now_ns += SOURCE_IDLE_NS;
	step(w);
	assert_int_equal(source_floor(w->source), UINT64_MAX);
	assert_int_equal(w->over, 1);
}

static void the_log_is_held_back_no_longer_than_the_member_needs_it(void **state)
{
	struct world *w = world_of(state);
	source_want(w->source, SINK);
	while (w->chunks < 3)
		step(w);
	source_caught_up(w->source, SINK); /* with the log that it had: the snapshot goes on */
	run_ms(w, 3000);
	must_be_ready(w);
	settle(w);
	for (int i = 0; i < 10; i++)
		step(w);
	assert_int_equal(source_floor(w->source), w->a.index);
	source_caught_up(w->source, 9);
	assert_int_equal(source_floor(w->source), w->a.index);
	source_caught_up(w->source, SINK);
	assert_int_equal(source_floor(w->source), UINT64_MAX);
}

static void it_keeps_to_its_pace_and_is_never_far_ahead(void **state)
{
	struct world *w = world_of(state);
	w->delay_ns = 0;
	source_want(w->source, SINK);
	int64_t began = w->now_ns;
	while (!w->ready) {
		step(w);
		assert_in_range(w->frames_count, 0, SINK_AHEAD + 2);
		int64_t due = (int64_t)(w->chunk_bytes * 1000000000u / SOURCE_BYTES_PER_S);
		/* The last chunk is just out, and time goes in steps. */
		assert_true(w->now_ns - began + 10 * MS >= due);
		assert_true(w->now_ns - began < 3000 * MS);
	}
	must_be_ready(w);
}

static void it_arrives_over_a_network_that_loses_a_third(void **state)
{
	struct world *w = world_of(state);
	for (uint64_t seed = 1; seed <= 10; seed++) {
		w->random = seed * UINT64_C(0x9e3779b97f4a7c15);
		w->loss_percent = 33;
		w->delay_ns = 30 * MS;
		w->applied = 0;
		source_want(w->source, SINK);
		run_ms(w, 120000);
		must_be_ready(w);
		settle(w);
		mvcc_load_remove(w->data);
		char dir[300];
		snprintf(dir, sizeof dir, "%s/" FOLDER_NEW, w->data);
		assert_int_equal(mvcc_load_remove(dir), 0);
		w->loss_percent = 0;
		for (int i = 0; i < 100; i++)
			step(w);
		w->now_ns += SOURCE_IDLE_NS;
		step(w);
		assert_int_equal(source_floor(w->source), UINT64_MAX);
	}
}

static void a_sink_that_goes_away_goes_on_where_it_was(void **state)
{
	struct world *w = world_of(state);
	struct sink_stats stats = {0};
	uint64_t last = 0;
	source_want(w->source, SINK);
	for (int round = 0; round < 4; round++) {
		w->chunks = 0;
		while (w->chunks < 4)
			step(w);
		assert_null(w->ready);
		stop_sink(w);
		start_sink(w);
		do {
			step(w);
			sink_stats(w->sink, &stats);
		} while (stats.id == 0);
		assert_true(stats.resumed_bytes > last);
		assert_int_equal(stats.bytes, stats.resumed_bytes);
		last = stats.resumed_bytes;
	}
	run_ms(w, 10000);
	must_be_ready(w);
}

static void a_whole_snapshot_that_was_not_handed_over_is_after_a_restart(void **state)
{
	struct world *w = world_of(state);
	source_want(w->source, SINK);
	run_ms(w, 3000);
	must_be_ready(w);
	stop_sink(w);
	start_sink(w);
	w->chunks = 0;
	run_ms(w, 3000);
	must_be_ready(w);
	assert_int_equal(w->chunks, 0);
}

static void a_source_that_came_back_has_another_one_and_it_begins_anew(void **state)
{
	struct world *w = world_of(state);
	source_want(w->source, SINK);
	while (w->chunks < 8)
		step(w);
	source_free(w->source);
	start_source(w);
	source_want(w->source, SINK);
	w->chunks = 0;
	run_ms(w, 10000);
	must_be_ready(w);
	assert_in_range(w->chunks, 12, 24);
}

static void a_source_that_fell_silent_is_given_up_and_what_it_gave_is_kept(void **state)
{
	struct world *w = world_of(state);
	struct sink_stats stats;
	source_want(w->source, SINK);
	while (w->chunks < 8)
		step(w);
	w->loss_percent = 100;
	for (int i = 0; i < 20000; i++)
		step(w);
	sink_stats(w->sink, &stats);
	assert_int_equal(stats.id, 0);
	w->loss_percent = 0;
	w->chunks = 0;
	run_ms(w, 5000);
	must_be_ready(w);
	assert_in_range(w->chunks, 1, 12);
}

static void a_member_that_is_silent_for_a_minute_is_given_up(void **state)
{
	struct world *w = world_of(state);
	w->loss_percent = 100;
	source_want(w->source, SINK);
	for (int i = 0; i < 59000; i++)
		step(w);
	assert_int_equal(w->over, 0);
	assert_int_equal(source_floor(w->source), w->a.index);
	for (int i = 0; i < 2000; i++)
		step(w);
	assert_int_equal(w->over, 1);
	assert_int_equal(source_floor(w->source), UINT64_MAX);
	assert_int_equal(source_deadline_ns(w->source), INT64_MAX);
}

static void what_a_member_has_already_is_not_sent(void **state)
{
	struct world *w = world_of(state);
	w->applied = w->a.index;
	source_want(w->source, SINK);
	run_ms(w, 100);
	assert_int_equal(w->outcome, TRANSFER_NEEDLESS);
	assert_int_equal(w->chunks, 0);
	assert_int_equal(w->over, 1);
}

static void a_second_one_has_to_wait_until_the_first_is_taken(void **state)
{
	struct world *w = world_of(state);
	struct mvcc_dump *d;
	source_want(w->source, SINK);
	while (w->chunks < 4)
		step(w);
	assert_int_equal(mvcc_dump_open(w->a.m, &d), 0);
	struct transfer_frame f = {.kind = TRANSFER_OFFER, .id = 77, .manifest = mvcc_dump_manifest(d)};
	sink_frame(w->sink, 3, &f, w->now_ns);
	assert_int_equal(w->outcome, TRANSFER_BUSY);
	run_ms(w, 3000);
	must_be_ready(w);
	w->outcome = -1;
	sink_frame(w->sink, 3, &f, w->now_ns);
	assert_int_equal(w->outcome, TRANSFER_BUSY);
	settle(w);
	sink_frame(w->sink, 3, &f, w->now_ns);
	assert_int_equal(w->outcome, TRANSFER_NEEDLESS);
	mvcc_dump_close(d);
}

static void a_busy_member_is_offered_a_fresh_one_later(void **state)
{
	struct world *w = world_of(state);
	source_want(w->source, SINK);
	step(w);
	struct transfer_frame busy = {.kind = TRANSFER_OVER, .id = w->seed * (1 << 20) + 1, .outcome = TRANSFER_BUSY};
	source_frame(w->source, SINK, &busy, w->now_ns);
	assert_int_equal(source_floor(w->source), UINT64_MAX);
	assert_int_equal(w->over, 0);
	put_file(&w->a, "one more", "x");
	assert_int_equal(mvcc_flush(w->a.m), 0);
	run_ms(w, 5000);
	assert_non_null(w->ready);
	assert_int_equal(w->ready_index, w->a.index);
}

static void only_so_many_are_sent_at_once(void **state)
{
	struct world *w = world_of(state);
	w->loss_percent = 100;
	for (uint64_t to = 10; to < 14; to++)
		source_want(w->source, to);
	step(w);
	uint64_t first = source_floor(w->source);
	put_file(&w->a, "one more", "x");
	assert_int_equal(mvcc_flush(w->a.m), 0);
	for (int i = 0; i < 1000; i++)
		step(w);
	assert_int_equal(source_floor(w->source), first);
	/* The first two are given up after a minute; then it is the turn of the others, with what there is then. */
	for (int i = 0; i < 61000; i++)
		step(w);
	assert_int_equal(w->over, 2);
	assert_int_equal(source_floor(w->source), first + 1);
}

static void when_leadership_goes_what_nobody_pulls_goes_and_the_rest_goes_on(void **state)
{
	struct world *w = world_of(state);
	source_want(w->source, SINK);
	while (w->chunks < 2)
		step(w);
	source_want(w->source, 9);
	step(w);
	source_lead(w->source, false);
	run_ms(w, 3000);
	must_be_ready(w);
	settle(w);
	for (int i = 0; i < 100; i++)
		step(w);
	assert_int_equal(w->over, 1);
}

/* A later picture holds what others have committed since, in terms that the member may not have heard of; it is for whoever leads to give it. */
static void who_does_not_lead_any_more_takes_no_new_picture(void **state)
{
	struct world *w = world_of(state);
	source_want(w->source, SINK);
	while (w->chunks < 2)
		step(w);
	source_lead(w->source, false);
	struct transfer_frame busy = {.kind = TRANSFER_OVER, .id = w->seed * (1 << 20) + 1, .outcome = TRANSFER_BUSY};
	source_frame(w->source, SINK, &busy, w->now_ns);
	assert_int_equal(w->over, 1);
	run_ms(w, 5000);
	assert_null(w->ready);
	assert_int_equal(source_floor(w->source), UINT64_MAX);
	/* As a leader again it does. */
	source_want(w->source, SINK);
	run_ms(w, 5000);
	must_be_ready(w);
}

/* Members come and go: those whose log is only held back make room, or one more would wait for a snapshot for ever. */
static void members_that_took_one_are_in_nobody_s_way(void **state)
{
	struct world *w = world_of(state);
	for (uint64_t n = 1; n <= 16; n++) {
		struct transfer_frame taken = {.kind = TRANSFER_OVER, .id = w->seed * (1 << 20) + n, .outcome = TRANSFER_TAKEN};
		source_want(w->source, 100 + n);
		step(w);
		source_frame(w->source, 100 + n, &taken, w->now_ns);
		assert_int_equal(w->over, n);
	}
	source_want(w->source, SINK);
	run_ms(w, 5000);
	must_be_ready(w);
}

static void spoil_seventh(struct world *w, struct transfer_frame *f)
{
	static uint8_t spoilt[DUMP_CHUNK_BYTES_MAX];
	(void)w;
	if (f->kind != TRANSFER_CHUNK || f->number != 7)
		return;
	memcpy(spoilt, f->chunk.data, f->chunk.size);
	spoilt[f->chunk.size / 2] ^= 1;
	f->chunk.data = spoilt;
}

static void spoil_sum(struct world *w, struct transfer_frame *f)
{
	(void)w;
	f->sum ^= 1;
}

static void a_damaged_one_is_refused_removed_and_had_anew(void **state)
{
	struct world *w = world_of(state);
	char dir[300];
	snprintf(dir, sizeof dir, "%s/" FOLDER_NEW, w->data);
	void (*const spoils[])(struct world *, struct transfer_frame *) = {spoil_seventh, spoil_sum};
	for (int i = 0; i < 2; i++) {
		w->meddle = spoils[i];
		w->outcome = -1;
		source_want(w->source, SINK);
		while (w->outcome == -1)
			step(w);
		assert_int_equal(w->outcome, TRANSFER_FAILED);
		assert_null(w->ready);
		assert_int_equal(access(dir, F_OK), -1);
		assert_non_null(strstr(w->said, "could not be taken"));
		w->meddle = NULL;
		run_ms(w, 4900);
		assert_null(w->ready);
		run_ms(w, 5000);
		must_be_ready(w);
		settle(w);
		assert_int_equal(mvcc_load_remove(dir), 0);
		w->applied = 0;
		for (int n = 0; n < 100; n++)
			step(w);
	}
}

/* A bit of the last record flips on the source's disk. */
static void flip_a_bit(struct mvcc *m)
{
	MDB_txn *txn;
	MDB_cursor *cursor;
	MDB_val k, v;
	uint8_t record[16384];
	assert_int_equal(mdb_txn_begin(m->backend->env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_cursor_open(txn, m->backend->records, &cursor), 0);
	assert_int_equal(mdb_cursor_get(cursor, &k, &v, MDB_LAST), 0);
	assert_in_range(v.mv_size, 1, sizeof record);
	memcpy(record, v.mv_data, v.mv_size);
	record[v.mv_size / 2] ^= 1;
	MDB_val spoilt = {v.mv_size, record};
	assert_int_equal(mdb_cursor_put(cursor, &k, &spoilt, MDB_CURRENT), 0);
	mdb_cursor_close(cursor);
	assert_int_equal(mdb_txn_commit(txn), 0);
}

static void what_is_damaged_at_its_source_is_not_sent_and_told_each_time(void **state)
{
	struct world *w = world_of(state);
	flip_a_bit(w->a.m);
	source_want(w->source, SINK);
	run_ms(w, 4000);
	assert_int_equal(w->damaged, 1);
	assert_null(w->ready);
	assert_int_equal(w->outcome, -1); /* nothing was refused */
	run_ms(w, 5000);
	assert_int_equal(w->damaged, 2);
	assert_null(w->ready);
}

static void frames_are_read_as_written_and_nothing_else_is(void **state)
{
	(void)state;
	struct transfer_frame f, in[] = {
					 {.kind = TRANSFER_OFFER, .id = 5, .manifest = {"manifest", 8}},
					 {.kind = TRANSFER_PULL, .id = 6, .number = 7, .until = 11, .again = true, .at = {2, 3, "key"}},
					 {.kind = TRANSFER_CHUNK, .id = 7, .number = 8, .last = true, .sum = 9, .chunk = {"chunk", 5}},
					 {.kind = TRANSFER_OVER, .id = 8, .outcome = TRANSFER_GONE},
				 };
	for (size_t i = 0; i < sizeof in / sizeof in[0]; i++) {
		struct writer w = {0};
		transfer_encode(&w, &in[i]);
		assert_int_equal(transfer_decode((struct span){w.data, w.size}, &f), 0);
		assert_int_equal(f.kind, in[i].kind);
		assert_int_equal(f.id, in[i].id);
		assert_int_equal(f.number, in[i].number);
		assert_int_equal(f.until, in[i].until);
		assert_int_equal(f.again, in[i].again);
		assert_int_equal(f.last, in[i].last);
		assert_int_equal(f.sum, in[i].sum);
		assert_int_equal(f.outcome, in[i].outcome);
		assert_memory_equal(&f.at, &in[i].at, sizeof f.at);
		assert_int_equal(f.chunk.size, in[i].chunk.size);
		assert_int_equal(f.manifest.size, in[i].manifest.size);
		for (size_t size = 0; size < w.size; size++)
			assert_int_equal(transfer_decode((struct span){w.data, size}, &f), -EBADMSG);
		writer_u8(&w, 0);
		assert_int_equal(transfer_decode((struct span){w.data, w.size}, &f), -EBADMSG);
		writer_free(&w);
	}
	assert_int_equal(transfer_decode((struct span){"\x05\0\0\0\0\0\0\0\0", 9}, &f), -EBADMSG);
	assert_int_equal(transfer_decode((struct span){"\x04\0\0\0\0\0\0\0\0\x06", 10}, &f), -EBADMSG);
}

#define story(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		story(what_is_damaged_at_its_source_is_not_sent_and_told_each_time),
		cmocka_unit_test(frames_are_read_as_written_and_nothing_else_is),
		story(a_snapshot_is_offered_pulled_and_taken),
		story(the_log_is_held_back_no_longer_than_the_member_needs_it),
		story(it_keeps_to_its_pace_and_is_never_far_ahead),
		story(it_arrives_over_a_network_that_loses_a_third),
		story(a_sink_that_goes_away_goes_on_where_it_was),
		story(a_whole_snapshot_that_was_not_handed_over_is_after_a_restart),
		story(a_source_that_came_back_has_another_one_and_it_begins_anew),
		story(a_source_that_fell_silent_is_given_up_and_what_it_gave_is_kept),
		story(a_member_that_is_silent_for_a_minute_is_given_up),
		story(what_a_member_has_already_is_not_sent),
		story(a_second_one_has_to_wait_until_the_first_is_taken),
		story(a_busy_member_is_offered_a_fresh_one_later),
		story(only_so_many_are_sent_at_once),
		story(when_leadership_goes_what_nobody_pulls_goes_and_the_rest_goes_on),
		story(who_does_not_lead_any_more_takes_no_new_picture),
		story(members_that_took_one_are_in_nobody_s_way),
		story(a_damaged_one_is_refused_removed_and_had_anew),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
