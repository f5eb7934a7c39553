/* A snapshot in a file: it appears whole or not at all, and no byte of it changes unseen. */
#include "tests/unit/test_mvcc.h"

#include "store/snapshot_file.h"

#include <fcntl.h>

static char why[512];

static const char *file_path(const struct fixture *f)
{
	static char path[300];
	snprintf(path, sizeof path, "%s.snap", f->dir);
	return path;
}

static const char *temporary_path(const struct fixture *f)
{
	static char path[310];
	snprintf(path, sizeof path, "%s.tmp", file_path(f));
	return path;
}

static struct snapshot_file *create(struct fixture *f, struct span manifest)
{
	struct snapshot_file *file = NULL;
	if (snapshot_file_create(file_path(f), manifest, &file, why, sizeof why))
		fail_msg("%s", why);
	return file;
}

/* Writes the store as it is to the file; `chunks` at most. Returns what finishing gives. */
static int save(struct fixture *f, int chunks)
{
	struct mvcc_dump *d;
	struct dump_position at = {0};
	struct writer w = {0};
	assert_int_equal(mvcc_flush(f->m), 0);
	assert_int_equal(mvcc_dump_open(f->m, &d), 0);
	struct snapshot_file *file = create(f, mvcc_dump_manifest(d));
	for (int more = 1; more && chunks > 0; chunks--) {
		writer_clear(&w);
		more = mvcc_dump_read(d, &at, &w);
		assert_int_equal(snapshot_file_add(file, (struct span){w.data, w.size}, why, sizeof why), 0);
		assert_int_equal(access(file_path(f), F_OK), -1);
	}
	writer_free(&w);
	mvcc_dump_close(d);
	return snapshot_file_finish(file, why, sizeof why);
}

/* Reads all of it: 0, or the error at which it stopped, which comes with a line. */
static int read_all(struct fixture *f, struct load_progress *out)
{
	struct snapshot_file *file;
	struct span chunk;
	why[0] = 0;
	int rc = snapshot_file_open(file_path(f), &file, why, sizeof why);
	if (rc == 0) {
		do
			rc = snapshot_file_next(file, &chunk, why, sizeof why);
		while (rc == 1);
		if (out)
			*out = *snapshot_file_progress(file);
		snapshot_file_close(file);
	}
	assert_true(rc == 0 || (why[0] && !strchr(why, '\n')));
	return rc;
}

static void write_some(struct fixture *f)
{
	static char large[3001];
	memset(large, 'x', sizeof large - 1);
	for (int i = 0; i < 200; i++) {
		char key[20];
		snprintf(key, sizeof key, "file %d", i);
		put_file(f, key, large);
	}
}

static void a_saved_store_is_read_back_whole(void **state)
{
	struct fixture *f = *state;
	struct load_progress p;
	write_some(f);
	assert_int_equal(save(f, 100), 0);
	assert_int_equal(access(temporary_path(f), F_OK), -1);
	assert_int_equal(read_all(f, &p), 0);
	assert_int_equal(p.entries[0], 201);
	assert_int_equal(p.chunks, 3);
}

static void a_part_of_a_snapshot_gets_no_name_and_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	write_some(f);
	assert_int_equal(save(f, 2), -EBADMSG);
	assert_non_null(strstr(why, "not the whole"));
	assert_int_equal(access(file_path(f), F_OK), -1);
	assert_int_equal(access(temporary_path(f), F_OK), -1);
}

static void an_attempt_that_broke_off_leaves_the_last_file_as_it_was(void **state)
{
	struct fixture *f = *state;
	struct mvcc_dump *d;
	put_file(f, "a", "1");
	assert_int_equal(save(f, 100), 0);
	put_file(f, "a", "2");
	assert_int_equal(mvcc_dump_open(f->m, &d), 0);
	struct snapshot_file *file = create(f, mvcc_dump_manifest(d));
	assert_int_equal(snapshot_file_add(file, (struct span){"rubbish", 7}, why, sizeof why), -EBADMSG);
	snapshot_file_abandon(file);
	mvcc_dump_close(d);
	assert_int_equal(access(temporary_path(f), F_OK), -1);
	assert_int_equal(read_all(f, NULL), 0);
	/* What a process that died left is overwritten. */
	int fd = open(temporary_path(f), O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, "rubbish", 7), 7);
	close(fd);
	unlink(file_path(f));
	assert_int_equal(save(f, 100), 0);
	assert_int_equal(read_all(f, NULL), 0);
}

static void put_bytes(struct fixture *f, const uint8_t *bytes, size_t size)
{
	int fd = open(file_path(f), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	close(fd);
}

static void no_byte_of_it_changes_unseen_and_none_may_be_missing(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	put_file(f, "a", "1");
	put_file(f, "a", "2");
	assert_int_equal(save(f, 100), 0);
	int fd = open(file_path(f), O_RDONLY);
	assert_int_equal(fstat(fd, &st), 0);
	size_t size = (size_t)st.st_size;
	uint8_t *bytes = malloc(size + 1);
	assert_int_equal(read(fd, bytes, size), size);
	close(fd);
	for (size_t i = 0; i < size; i++) {
		bytes[i] ^= 0x04;
		put_bytes(f, bytes, size);
		assert_int_equal(read_all(f, NULL), -EBADMSG);
		bytes[i] ^= 0x04;
	}
	for (size_t i = 0; i < size; i++) {
		put_bytes(f, bytes, i);
		assert_int_equal(read_all(f, NULL), -EBADMSG);
	}
	bytes[size] = 0;
	put_bytes(f, bytes, size + 1);
	assert_int_equal(read_all(f, NULL), -EBADMSG);
	assert_non_null(strstr(why, "follows"));
	put_bytes(f, bytes, size);
	assert_int_equal(read_all(f, NULL), 0);
	unlink(file_path(f));
	assert_int_equal(read_all(f, NULL), -ENOENT);
	free(bytes);
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	unlink(file_path(f));
	unlink(temporary_path(f));
	return fixture_teardown(state);
}

#define story(name) cmocka_unit_test_setup_teardown(name, fixture_setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		story(a_saved_store_is_read_back_whole),
		story(a_part_of_a_snapshot_gets_no_name_and_leaves_nothing),
		story(an_attempt_that_broke_off_leaves_the_last_file_as_it_was),
		story(no_byte_of_it_changes_unseen_and_none_may_be_missing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
