/* What a crash may leave behind is cut off; what no crash can have done is damage, and refused. */
#include "tests/unit/wal_fixture.h"

/* The last segment of a closed log in memory, and where its last frame lies. */
struct tail {
	char path[400];
	uint8_t *data;
	size_t size;
	size_t offset; /* of the last frame */
	size_t end;    /* behind its end mark */
};

static uint8_t *load(const char *path, size_t *size)
{
	struct stat st;
	int fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	uint8_t *data = malloc((size_t)st.st_size);
	assert_int_equal(read(fd, data, (size_t)st.st_size), st.st_size);
	close(fd);
	*size = (size_t)st.st_size;
	return data;
}

static void store(const char *path, const uint8_t *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), size);
	close(fd);
}

static void segment_path(const struct fixture *f, int number, char *path, size_t path_size)
{
	char names[64][64];
	int n = fixture_segments(f, names, 64);
	assert_true(n > 0 && number < n);
	snprintf(path, path_size, "%s/%s", f->dir, names[number < 0 ? n + number : number]);
}

/* Saves entries 1, 2, ... of the given sizes, one frame each, and closes. */
static struct tail write_log(struct fixture *f, const uint32_t *sizes, int count)
{
	struct tail t = {.offset = 0};
	fixture_must_open(f);
	for (int i = 0; i < count; i++)
		fixture_save(f, (uint64_t)i + 1, 1, sizes[i]);
	fixture_close(f);
	segment_path(f, -1, t.path, sizeof(t.path));
	t.data = load(t.path, &t.size);
	for (t.end = t.size; t.data[t.end - 1] == 0; t.end--)
		;
	for (size_t at = 4096; at < t.end; at += 64)
		if (memcmp(t.data + at, "wFRM", 4) == 0)
			t.offset = at;
	return t;
}

static void must_hold(struct fixture *f, uint64_t last)
{
	fixture_must_open(f);
	assert_int_equal(wal_last(f->wal), last);
	if (last > 0)
		fixture_must_read(f, 1, last + 1, 1);
}

static void must_refuse(struct fixture *f, const char *said)
{
	int rc = fixture_open(f, CLUSTER, NODE);
	if (rc == 0)
		fail_msg("opened with entries up to %" PRIu64, wal_last(f->wal));
	assert_int_equal(rc, -EBADMSG);
	if (!strstr(f->why, said))
		fail_msg("'%s' does not say '%s'", f->why, said);
	assert_non_null(strstr(f->why, f->dir));
	assert_null(strchr(f->why, '\n'));
}

static void a_frame_torn_at_any_byte_is_cut_and_what_was_before_survives(void **state)
{
	struct fixture *f = *state;
	struct tail t = write_log(f, (const uint32_t[]){100, 700, 900}, 3);
	uint8_t *torn = malloc(t.size);
	size_t payload_end = t.offset + 40 + 24 + 900;
	for (size_t cut = t.offset; cut < t.end; cut++) {
		memcpy(torn, t.data, cut);
		memset(torn + cut, 0, t.size - cut);
		store(t.path, torn, t.size);
		/* Only padding and the end mark are missing: then the entry is there, and may stay. */
		fixture_must_open(f);
		assert_in_range(wal_last(f->wal), 2, cut < payload_end ? 2 : 3);
		fixture_must_read(f, 1, 3, 1);
		if (cut % 64 == 0) {
			fixture_save(f, 3, 2, 5);
			fixture_reopen(f);
			fixture_must_read(f, 3, 4, 2);
		}
		fixture_close(f);
	}
	free(torn);
	free(t.data);
}

static void a_frame_with_any_set_of_sectors_missing_is_cut(void **state)
{
	struct fixture *f = *state;
	struct tail t = write_log(f, (const uint32_t[]){100, 2500}, 2);
	uint8_t *torn = malloc(t.size);
	size_t first = t.offset / 512, sectors = (t.end - 1) / 512 - first + 1;
	assert_in_range(sectors, 5, 7);
	for (unsigned written = 0; written + 1 < 1u << sectors; written++) {
		memcpy(torn, t.data, t.size);
		for (size_t s = 0; s < sectors; s++) {
			size_t from = (first + s) * 512 < t.offset ? t.offset : (first + s) * 512;
			if (!(written >> s & 1))
				memset(torn + from, 0, (first + s + 1) * 512 - from);
		}
		store(t.path, torn, t.size);
		must_hold(f, 1);
		fixture_close(f);
		must_hold(f, 1);
		fixture_close(f);
	}
	free(torn);
	free(t.data);
}

static void a_torn_frame_full_of_zeros_is_told_from_a_damaged_one(void **state)
{
	struct fixture *f = *state;
	void *zeros = calloc(1, 3000);
	struct raft_entry e = {.term = 1, .index = 2, .type = RAFT_ENTRY_COMMAND, .size = 3000, .data = zeros};
	fixture_must_open(f);
	fixture_save(f, 1, 1, 100);
	assert_int_equal(wal_save(f->wal, NULL, &e, 1), 0);
	fixture_close(f);
	struct tail t = {.size = 0};
	segment_path(f, -1, t.path, sizeof(t.path));
	t.data = load(t.path, &t.size);
	for (t.end = t.size; t.data[t.end - 1] == 0; t.end--)
		;
	t.data[t.end - 1000] ^= 1;
	store(t.path, t.data, t.size);
	must_refuse(f, "damaged at offset");
	memset(t.data + (t.end - 1000) / 512 * 512, 0, 512);
	store(t.path, t.data, t.size);
	must_hold(f, 1);
	free(t.data);
	free(zeros);
}

/* Flips one bit every `step` bytes of [from, to), each time in a fresh copy; `survives` tells what may be held if it opens. */
static void flip_bits(struct fixture *f, struct tail *t, size_t from, size_t to, size_t step)
{
	for (size_t at = from; at < to; at += step) {
		t->data[at] ^= (uint8_t)(1u << at % 8);
		store(t->path, t->data, t->size);
		must_refuse(f, "damaged at offset");
		t->data[at] ^= (uint8_t)(1u << at % 8);
	}
	store(t->path, t->data, t->size);
}

static void a_flipped_bit_in_an_earlier_frame_is_refused(void **state)
{
	struct fixture *f = *state;
	struct tail t = write_log(f, (const uint32_t[]){104, 700, 900}, 3);
	/* Entry 1: a head of 40 bytes, a record head of 24, 104 bytes; the frame before it is the segment's state. */
	flip_bits(f, &t, 4096, 4096 + 40 + 48, 3);
	size_t entry1 = 4096 + 128;
	assert_memory_equal(t.data + entry1, "wFRM", 4);
	flip_bits(f, &t, entry1, entry1 + 40 + 24 + 104, 5);
	must_hold(f, 3);
	free(t.data);
}

static void a_flipped_bit_in_the_last_frame_is_refused_when_it_was_written_to_its_end(void **state)
{
	struct fixture *f = *state;
	struct tail t = write_log(f, (const uint32_t[]){100, 1000}, 2);
	flip_bits(f, &t, t.offset, t.offset + 40 + 24 + 1000, 7);
	must_hold(f, 2);
	free(t.data);
}

static void a_flipped_bit_in_a_segments_head_is_refused(void **state)
{
	struct fixture *f = *state;
	struct tail t = write_log(f, (const uint32_t[]){100}, 1);
	flip_bits(f, &t, 12, 72, 4);
	flip_bits(f, &t, 0, 8, 1);
	free(t.data);
}

static void a_flipped_bit_in_what_fills_a_frame_or_a_head_up_is_refused(void **state)
{
	struct fixture *f = *state;
	struct tail t = write_log(f, (const uint32_t[]){104, 130, 900}, 3);
	size_t entry1 = 4096 + 128, entry2 = entry1 + 192;
	assert_memory_equal(t.data + entry2, "wFRM", 4);
	flip_bits(f, &t, entry1 + 40 + 24 + 104, entry2, 1);
	flip_bits(f, &t, 72, 4096, 101);
	must_hold(f, 3);
	free(t.data);
}

static void a_truncated_segment_is_refused(void **state)
{
	struct fixture *f = *state;
	struct tail t = write_log(f, (const uint32_t[]){100, 1000}, 2);
	const size_t sizes[] = {0, 1, 1000, 4095, 4096, 5000, t.size - 1};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		store(t.path, t.data, sizes[i]);
		must_refuse(f, "bytes long");
	}
	store(t.path, t.data, t.size);
	int fd = open(t.path, O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
	must_refuse(f, "16385 bytes long where 16384 were written");
	free(t.data);
}

static void fill_segments(struct fixture *f)
{
	fixture_must_open(f);
	for (uint64_t i = 1; i <= 60; i++)
		fixture_save(f, i, 1, 1000);
	fixture_close(f);
}

static void a_missing_middle_segment_is_refused(void **state)
{
	struct fixture *f = *state;
	char path[400];
	fill_segments(f);
	segment_path(f, 2, path, sizeof(path));
	assert_int_equal(unlink(path), 0);
	must_refuse(f, "segment 00000003 is missing");
}

static void a_renamed_segment_is_refused(void **state)
{
	struct fixture *f = *state;
	char from[400], to[400];
	fill_segments(f);
	segment_path(f, -1, from, sizeof(from));
	snprintf(to, sizeof(to), "%s", from);
	to[strlen(to) - 5] ^= 1;
	assert_int_equal(rename(from, to), 0);
	must_refuse(f, "was renamed");
}

static void the_lost_end_of_an_earlier_segment_is_refused(void **state)
{
	struct fixture *f = *state;
	char path[400];
	size_t size;
	fill_segments(f);
	segment_path(f, 1, path, sizeof(path));
	uint8_t *data = load(path, &size);
	size_t last = 0;
	for (size_t at = 4096; at < size; at += 64)
		if (memcmp(data + at, "wFRM", 4) == 0)
			last = at;
	memset(data + last, 0, size - last);
	store(path, data, size);
	must_refuse(f, "does not follow the segment before it");
	free(data);
}

static void damage_in_the_middle_of_an_earlier_segment_is_refused(void **state)
{
	struct fixture *f = *state;
	char path[400];
	size_t size;
	fill_segments(f);
	segment_path(f, 1, path, sizeof(path));
	uint8_t *data = load(path, &size);
	memset(data + 8192, 0, 512);
	store(path, data, size);
	must_refuse(f, "segments follow");
	free(data);
}

static void rubbish_behind_the_last_frame_is_refused(void **state)
{
	struct fixture *f = *state;
	struct tail t = write_log(f, (const uint32_t[]){100, 1000}, 2);
	size_t next = (t.end + 63) / 64 * 64;
	for (size_t i = 0; i < 300; i++)
		t.data[next + i] = (uint8_t)(i * 13 + 1);
	store(t.path, t.data, t.size);
	must_refuse(f, "damaged at offset");
	free(t.data);
}

static void a_missing_frame_before_a_whole_one_is_refused(void **state)
{
	struct fixture *f = *state;
	struct tail t = write_log(f, (const uint32_t[]){100, 1000, 1000}, 3);
	size_t second = 4096 + 128 + 192;
	assert_memory_equal(t.data + second, "wFRM", 4);
	memset(t.data + second, 0, t.offset - second);
	store(t.path, t.data, t.size);
	must_refuse(f, "damaged at offset 4416");
	free(t.data);
}

/* Two logs that went apart after the first entry: the second frame of one lies in the other, where everything but the chain fits. */
static void a_frame_of_another_history_in_the_middle_is_refused(void **state)
{
	struct fixture *f = *state;
	struct tail other = write_log(f, (const uint32_t[]){100, 1000, 900}, 3);
	size_t second = 4096 + 128 + 192;
	fixture_teardown(state);
	assert_int_equal(fixture_setup(state), 0);
	f = *state;
	fixture_must_open(f);
	fixture_save(f, 1, 1, 100);
	fixture_save(f, 2, 2, 1000);
	fixture_save(f, 3, 2, 900);
	fixture_close(f);
	struct tail t = {.size = 0};
	segment_path(f, -1, t.path, sizeof(t.path));
	t.data = load(t.path, &t.size);
	assert_memory_equal(t.data + other.offset, "wFRM", 4);
	memcpy(t.data + second, other.data + second, other.offset - second);
	store(t.path, t.data, t.size);
	must_refuse(f, "does not follow the one before it");
	free(other.data);
	free(t.data);
}

static void a_frame_of_an_earlier_life_does_not_count_as_later(void **state)
{
	struct fixture *f = *state;
	/* The data of the torn entry holds a copy of a whole frame of another segment, as a copied log would. */
	struct tail other = write_log(f, (const uint32_t[]){10, 10, 10, 10, 10, 10}, 6);
	size_t payload_at = 40 + 24;
	uint8_t *data = calloc(1, 2048);
	memcpy(data + (64 - payload_at % 64) % 64, other.data + other.offset, other.end - other.offset);
	for (size_t i = 1024; i < 2048; i++)
		data[i] = 1;
	fixture_teardown(state);
	assert_int_equal(fixture_setup(state), 0);
	f = *state;
	struct raft_entry e = {.term = 1, .index = 1, .type = RAFT_ENTRY_COMMAND, .size = 2048, .data = data};
	fixture_must_open(f);
	for (uint64_t term = 1; term < 4; term++)
		assert_int_equal(wal_save(f->wal, &(struct raft_hard_state){.term = term}, NULL, 0), 0);
	uint64_t last = wal_last(f->wal);
	assert_int_equal(wal_save(f->wal, NULL, &e, 1), 0);
	fixture_close(f);
	struct tail t = {.size = 0};
	segment_path(f, -1, t.path, sizeof(t.path));
	t.data = load(t.path, &t.size);
	for (t.end = t.size; t.data[t.end - 1] == 0; t.end--)
		;
	memset(t.data + t.end - 600, 0, 600);
	store(t.path, t.data, t.size);
	fixture_must_open(f);
	assert_int_equal(wal_last(f->wal), last);
	assert_int_equal(wal_hard_state(f->wal).term, 3);
	free(other.data);
	free(t.data);
	free(data);
}

static void an_unfinished_segment_is_removed(void **state)
{
	struct fixture *f = *state;
	char path[400];
	fill_segments(f);
	snprintf(path, sizeof(path), "%s/next.tmp", f->dir);
	store(path, (const uint8_t *)"half", 4);
	must_hold(f, 60);
	assert_int_equal(access(path, F_OK), -1);
}

static void another_format_is_refused_by_its_number(void **state)
{
	struct fixture *f = *state;
	struct tail t = write_log(f, (const uint32_t[]){100}, 1);
	t.data[8] = 9;
	store(t.path, t.data, t.size);
	assert_int_equal(fixture_open(f, CLUSTER, NODE), -EPROTONOSUPPORT);
	assert_non_null(strstr(f->why, "log format 9"));
	free(t.data);
}

static void a_refused_log_is_left_as_it_was(void **state)
{
	struct fixture *f = *state;
	size_t size;
	struct tail t = write_log(f, (const uint32_t[]){100, 1000, 1000}, 3);
	t.data[t.offset - 500] ^= 4;
	store(t.path, t.data, t.size);
	must_refuse(f, "damaged at offset");
	uint8_t *after = load(t.path, &size);
	assert_int_equal(size, t.size);
	assert_memory_equal(after, t.data, size);
	free(after);
	free(t.data);
}

static void damage_that_comes_later_is_noticed_when_it_is_read(void **state)
{
	struct fixture *f = *state;
	char path[400];
	struct expected x = {.next = 1};
	fill_segments(f);
	fixture_must_open(f);
	segment_path(f, 0, path, sizeof(path));
	int fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, "!", 1, 9000), 1);
	close(fd);
	assert_int_equal(wal_read(f->wal, 1, 61, SIZE_MAX, fixture_check_entry, &x), -EBADMSG);
	assert_in_range(x.count, 1, 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_frame_torn_at_any_byte_is_cut_and_what_was_before_survives),
		TEST(a_frame_with_any_set_of_sectors_missing_is_cut),
		TEST(a_torn_frame_full_of_zeros_is_told_from_a_damaged_one),
		TEST(a_flipped_bit_in_an_earlier_frame_is_refused),
		TEST(a_flipped_bit_in_what_fills_a_frame_or_a_head_up_is_refused),
		TEST(a_flipped_bit_in_the_last_frame_is_refused_when_it_was_written_to_its_end),
		TEST(a_flipped_bit_in_a_segments_head_is_refused),
		TEST(a_truncated_segment_is_refused),
		TEST(a_missing_middle_segment_is_refused),
		TEST(a_renamed_segment_is_refused),
		TEST(the_lost_end_of_an_earlier_segment_is_refused),
		TEST(damage_in_the_middle_of_an_earlier_segment_is_refused),
		TEST(rubbish_behind_the_last_frame_is_refused),
		TEST(a_missing_frame_before_a_whole_one_is_refused),
		TEST(a_frame_of_another_history_in_the_middle_is_refused),
		TEST(a_frame_of_an_earlier_life_does_not_count_as_later),
		TEST(an_unfinished_segment_is_removed),
		TEST(another_format_is_refused_by_its_number),
		TEST(a_refused_log_is_left_as_it_was),
		TEST(damage_that_comes_later_is_noticed_when_it_is_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
