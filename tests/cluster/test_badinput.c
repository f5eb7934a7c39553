/* What is wrong is refused with one clear line and a non-zero exit, and nothing is lost by it. */
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define REFUSAL_MS 15000

/* tallyfs with these arguments must end by itself, not 0, with one line on stderr that names `about` and nothing on stdout. */
static void expect_refusal(const char *data, const char *mount, const char *options, const char *about)
{
	struct run_result r;
	const char *argv[8] = {tallyfs_binary(), data};
	int k = 2;
	if (mount)
		argv[k++] = mount;
	if (options) {
		argv[k++] = "-o";
		argv[k++] = options;
	}
	run_command(&r, argv, NULL, 0, REFUSAL_MS);
	const char *end = strchr(r.err, '\n');
	if (r.status <= 0 || r.status >= 126 || r.out_size != 0 || !end || end[1] != '\0' || end == r.err || !strstr(r.err, about))
		cluster_fail("tallyfs %s %s -o %s: status %d, said: %s%s(expected one line about %s)", data, mount ? mount : "",
			     options ? options : "", r.status, r.out, r.err, about);
	run_done(&r);
	assert_false(mount && mount_answers(mount));
}

static struct cluster *folders(void)
{
	cluster_require();
	return cluster_new(1, NULL);
}

static void data_that_is_a_file_is_refused(void **state)
{
	(void)state;
	struct cluster *c = folders();
	const char *file = path("%s/file", c->dir);
	assert_int_equal(file_write(file, "precious"), 0);
	expect_refusal(file, c->nodes[0].mount, NULL, file);
	assert_true(file_is(file, "precious"));
}

static void data_that_cannot_be_written_is_refused(void **state)
{
	(void)state;
	struct cluster *c = folders();
	const char *ro = path("%s/ro", c->dir);
	assert_int_equal(mkdir(ro, 0755), 0);
	assert_int_equal(mount("none", ro, "tmpfs", 0, NULL), 0);
	assert_int_equal(mkdir(path("%s/data", ro), 0700), 0);
	assert_int_equal(mount("none", ro, "tmpfs", MS_REMOUNT | MS_RDONLY, NULL), 0);
	expect_refusal(path("%s/data", ro), c->nodes[0].mount, NULL, ro);
	expect_refusal(path("%s/new", ro), c->nodes[0].mount, NULL, ro);
}

static void data_in_use_by_another_daemon_is_refused_and_the_first_goes_on(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	const char *other = path("%s/other", c->dir);
	assert_int_equal(mkdir(other, 0755), 0);
	assert_int_equal(file_write(path("%s/f", c->nodes[0].mount), "one"), 0);
	expect_refusal(c->nodes[0].data, other, NULL, c->nodes[0].data);
	assert_true(file_is(path("%s/f", c->nodes[0].mount), "one"));
	assert_int_equal(file_write(path("%s/f", c->nodes[0].mount), "two"), 0);
	node_kill(c, 0);
	node_start(c, 0);
	assert_true(file_is(path("%s/f", c->nodes[0].mount), "two"));
}

static void a_mount_point_that_is_missing_or_no_directory_or_in_use_is_refused(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	const char *data = path("%s/other", c->dir);
	struct run_result r;
	expect_refusal(data, path("%s/missing", c->dir), NULL, path("%s/missing", c->dir));
	assert_int_equal(file_write(path("%s/file", c->dir), ""), 0);
	expect_refusal(data, path("%s/file", c->dir), NULL, path("%s/file", c->dir));
	assert_int_equal(file_write(path("%s/f", c->nodes[0].mount), "one"), 0);
	const char *const argv[] = {tallyfs_binary(), data, c->nodes[0].mount, NULL};
	run_command(&r, argv, NULL, 0, REFUSAL_MS);
	assert_true(r.status > 0 && r.status < 126);
	assert_non_null(strstr(r.err, c->nodes[0].mount));
	assert_ptr_equal(strchr(r.err, '\n'), r.err + r.err_size - 1);
	run_done(&r);
	assert_true(file_is(path("%s/f", c->nodes[0].mount), "one"));
}

static void a_dead_mount_is_cleared(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	struct stat st;
	assert_int_equal(file_write(path("%s/f", c->nodes[0].mount), "one"), 0);
	node_kill(c, 0);
	assert_int_equal(stat(c->nodes[0].mount, &st) < 0 ? errno : 0, ENOTCONN);
	node_start(c, 0);
	assert_true(file_is(path("%s/f", c->nodes[0].mount), "one"));
}

static void a_malformed_cluster_is_refused(void **state)
{
	static const char *const malformed[] = {
		"n1",
		"n1=",
		"n1=127.0.0.1",
		"n1=127.0.0.1:",
		"n1=127.0.0.1:0",
		"n1=127.0.0.1:99999",
		"n1=127.0.0.1:77x",
		"=127.0.0.1:7701",
		"n1=127.0.0.1:7701/",
		"n1=127.0.0.1:7701//n2=127.0.0.1:7702",
		"n1=127.0.0.1:7701/n1=127.0.0.1:7702",
		"n1=127.0.0.1:7701/n2=127.0.0.1:7701",
	};
	(void)state;
	struct cluster *c = folders();
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
		expect_refusal(c->nodes[0].data, c->nodes[0].mount, path("name=n1,cluster=%s", malformed[i]), "cluster=");
	expect_refusal(c->nodes[0].data, c->nodes[0].mount, "name=n3,cluster=n1=127.0.0.1:7701/n2=127.0.0.1:7702", "n3");
	/* The same DATA then starts as if nothing had happened. */
	node_start(c, 0);
	assert_int_equal(file_write(path("%s/f", c->nodes[0].mount), "one"), 0);
}

static void a_port_in_use_is_refused(void **state)
{
	(void)state;
	struct cluster *c = folders();
	int port = free_port();
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 1), 0);
	expect_refusal(c->nodes[0].data, c->nodes[0].mount, path("name=n1,cluster=n1=127.0.0.1:%d/n2=127.0.0.1:%d", port, free_port()),
		       path("%d", port));
	expect_refusal(c->nodes[0].data, c->nodes[0].mount, path("client=127.0.0.1:%d", port), path("%d", port));
	close(fd);
}

static void unknown_and_malformed_options_are_refused_by_name(void **state)
{
	static const char *const options[][2] = {
		{"nonsense=1", "nonsense"},
		{"timeout=soon", "timeout"},
		{"consistency=maybe", "consistency"},
		{"max_file=12Q", "max_file"},
		{"max_file=", "max_file"},
		{"heartbeat=0", "heartbeat"},
		{"election=-1s", "election"},
		{"heartbeat=1s,election=500ms", "election"},
		{"client=nowhere", "client"},
		{"name=", "name"},
		{"retain=0", "retain"},
		{"retain=forever", "retain"},
	};
	static const char *const later[] = {"endpoints=127.0.0.1:7701"};
	(void)state;
	struct cluster *c = folders();
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		expect_refusal(c->nodes[0].data, c->nodes[0].mount, options[i][0], options[i][1]);
	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++)
		expect_refusal(c->nodes[0].data, c->nodes[0].mount, later[i], "not supported yet");
	/* Without secret= nothing is sealed: nothing but loopback. */
	expect_refusal(c->nodes[0].data, c->nodes[0].mount, "client=0.0.0.0:7799", "client");
	expect_refusal(c->nodes[0].data, c->nodes[0].mount, "name=n1,cluster=n1=127.0.0.1:7701/n2=127.0.0.1:7702,listen=0.0.0.0:7701",
		       "listen");
}

/* --- damage on the disk --- */

#define FILES 300

static void fill(struct cluster *c)
{
	for (int i = 0; i < FILES; i++)
		assert_int_equal(file_write(path("%s/f%d", c->nodes[0].mount, i), path("value %d", i)), 0);
}

static void expect_filled(struct cluster *c)
{
	for (int i = 0; i < FILES; i++)
		if (!file_is(path("%s/f%d", c->nodes[0].mount, i), path("value %d", i)))
			cluster_fail("f%d is lost", i);
}

/* The newest log segment, and how many bytes of it are in use. */
static void segment(const struct cluster *c, char *file, size_t file_size, off_t *used)
{
	char names[8192];
	char last[64] = "";
	char *save;
	size_t size;
	dir_names(path("%s/wal", c->nodes[0].data), names, sizeof(names));
	for (char *name = strtok_r(names, " ", &save); name; name = strtok_r(NULL, " ", &save))
		if (strlen(name) > 4 && strcmp(name + strlen(name) - 4, ".wal") == 0)
			snprintf(last, sizeof(last), "%s", name);
	snprintf(file, file_size, "%s/wal/%s", c->nodes[0].data, last);
	char *bytes = file_load(file, &size);
	assert_non_null(bytes);
	while (size > 0 && bytes[size - 1] == '\0')
		size--;
	free(bytes);
	*used = (off_t)size;
}

/* A node with data on it, ended by a kill or cleanly, and a copy of its DATA. */
static struct cluster *filled(bool killed)
{
	struct cluster *c = cluster_up(1, NULL);
	fill(c);
	if (killed)
		node_kill(c, 0);
	else
		assert_int_equal(node_end(c, 0), 0);
	umount2(c->nodes[0].mount, MNT_DETACH);
	dir_copy(c->nodes[0].data, path("%s/copy", c->dir));
	return c;
}

static void restore_and_expect_filled(struct cluster *c)
{
	dir_remove(c->nodes[0].data);
	dir_copy(path("%s/copy", c->dir), c->nodes[0].data);
	node_start(c, 0);
	expect_filled(c);
	assert_int_equal(node_end(c, 0), 0);
}

static void flip(const char *file, off_t at)
{
	unsigned char byte;
	int fd = open(file, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 0x40;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static off_t place_of(const char *file, const char *text)
{
	size_t size;
	char *bytes = file_load(file, &size);
	assert_non_null(bytes);
	char *at = memmem(bytes, size, text, strlen(text));
	assert_non_null(at);
	off_t place = at - bytes;
	free(bytes);
	return place;
}

static void a_changed_byte_inside_the_log_is_refused(void **state)
{
	(void)state;
	for (int killed = 0; killed < 2; killed++) {
		struct cluster *c = filled(killed);
		off_t used;
		char file[256];
		segment(c, file, sizeof(file), &used);
		const off_t places[] = {place_of(file, path("value %d", FILES / 2)), used / 2, used / 3, used / 5};
		for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
			flip(file, places[i]);
			expect_refusal(c->nodes[0].data, c->nodes[0].mount, "name=n1", "wal");
			/* It changed nothing: with the byte put back, all is there. */
			flip(file, places[i]);
		}
		node_start(c, 0);
		expect_filled(c);
		assert_int_equal(node_end(c, 0), 0);
		restore_and_expect_filled(c);
		assert_int_equal(cluster_teardown(NULL), 0);
	}
}

/* The log is shorter than what the store has applied from it, or has lost entries: refused; or nothing was lost: all must be there. */
static void refused_or_complete(struct cluster *c)
{
	const char *argv[16];
	node_argv(c, 0, argv);
	int pid = run_spawn(argv, c->nodes[0].log);
	int status = -1;
	if (run_wait(pid, 2000, &status)) {
		assert_true(status > 0 && status < 126);
		return;
	}
	c->nodes[0].pid = pid;
	node_wait(c, 0);
	expect_filled(c);
	assert_int_equal(node_end(c, 0), 0);
}

static void a_truncated_log_segment_is_refused_or_loses_nothing(void **state)
{
	(void)state;
	struct cluster *c = filled(false);
	off_t used;
	char file[256];
	segment(c, file, sizeof(file), &used);
	const off_t sizes[] = {0, 10, used / 2, used - 3};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_int_equal(truncate(file, sizes[i]), 0);
		refused_or_complete(c);
		restore_and_expect_filled(c);
	}
	assert_int_equal(unlink(file), 0);
	refused_or_complete(c);
	restore_and_expect_filled(c);
}

static void a_torn_tail_of_the_log_is_cut_off(void **state)
{
	(void)state;
	struct cluster *c = filled(true);
	char large[8192];
	char file[256];
	off_t used;
	memset(large, 'x', sizeof(large));
	node_start(c, 0);
	assert_int_equal(file_put(path("%s/large", c->nodes[0].mount), O_TRUNC, large, sizeof(large)), 0);
	node_kill(c, 0);
	/* A power cut before the last write was synced: its last sector did not reach the disk, and the store never heard of it. */
	segment(c, file, sizeof(file), &used);
	static const char zeros[512];
	off_t sector = (used - 1) / 512 * 512;
	int fd = open(file, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, zeros, sizeof(zeros), sector), sizeof(zeros));
	close(fd);
	dir_remove(path("%s/store", c->nodes[0].data));
	dir_copy(path("%s/copy/store", c->dir), path("%s/store", c->nodes[0].data));
	node_start(c, 0);
	expect_filled(c);
	assert_int_equal(try_open(path("%s/large", c->nodes[0].mount), O_RDONLY), -ENOENT);
	assert_int_equal(file_write(path("%s/after", c->nodes[0].mount), "goes on"), 0);
}

static void a_store_of_another_version_is_refused(void **state)
{
	(void)state;
	struct cluster *c = filled(false);
	char file[256];
	snprintf(file, sizeof(file), "%s/store/data.mdb", c->nodes[0].data);
	/* LMDB's two meta pages: a header of 16 bytes, the magic, and the version of the data format. */
	static const uint32_t version = 99;
	int fd = open(file, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	for (off_t page = 0; page < 2; page++)
		assert_int_equal(pwrite(fd, &version, sizeof(version), page * 4096 + 20), sizeof(version));
	close(fd);
	expect_refusal(c->nodes[0].data, c->nodes[0].mount, "name=n1", "store");
	restore_and_expect_filled(c);
	assert_int_equal(file_put(file, O_TRUNC, "this is no store at all", 23), 0);
	expect_refusal(c->nodes[0].data, c->nodes[0].mount, "name=n1", "store");
	restore_and_expect_filled(c);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_teardown(f, cluster_teardown)
	const struct CMUnitTest tests[] = {
		STORY(data_that_is_a_file_is_refused),
		STORY(data_that_cannot_be_written_is_refused),
		STORY(data_in_use_by_another_daemon_is_refused_and_the_first_goes_on),
		STORY(a_mount_point_that_is_missing_or_no_directory_or_in_use_is_refused),
		STORY(a_dead_mount_is_cleared),
		STORY(a_malformed_cluster_is_refused),
		STORY(a_port_in_use_is_refused),
		STORY(unknown_and_malformed_options_are_refused_by_name),
		STORY(a_changed_byte_inside_the_log_is_refused),
		STORY(a_truncated_log_segment_is_refused_or_loses_nothing),
		STORY(a_torn_tail_of_the_log_is_cut_off),
		STORY(a_store_of_another_version_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
