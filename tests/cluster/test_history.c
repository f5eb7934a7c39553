/* The past as files: every shape of a revision path, and programs that know nothing of it. On mounts of both kinds, on one node and on three. */
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static const char *at(const struct cluster *c, int node, const char *name)
{
	return path("%s/%s", c->nodes[node].mount, name);
}

/* The present moment as a path has it. Each call is later than the last. */
static const char *moment(int64_t ahead_seconds)
{
	struct timespec ts;
	struct tm tm;
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += ahead_seconds;
	assert_non_null(gmtime_r(&ts.tv_sec, &tm));
	return path("%04d-%02d-%02dT%02d:%02d:%02d.%09ldZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		    ts.tv_nsec);
}

static void shell(int status, const char *expected, const char *script)
{
	struct run_result r;
	run_shell(&r, "%s", script);
	if (r.status != status || (expected && strcmp(r.out, expected) != 0))
		cluster_fail("%s\nstatus %d, not %d: %s%s", script, r.status, status, r.out, r.err);
	run_done(&r);
}

static int says(int rc)
{
	return rc < 0 ? -errno : 0;
}

static uint64_t write_and_tell(struct cluster *c, int node, const char *name, const char *text)
{
	assert_int_equal(file_write(at(c, node, name), text), 0);
	return (uint64_t)xattr_number(at(c, node, name), "user.tallyfs.mod_revision");
}

/* --- times --- */

static void times_lead(struct cluster *c)
{
	char before[40], times[3][40];
	uint64_t revs[3];
	char words[3][8];

	/* Copies: paths are kept for as long as 32 others, and many are made here. */
	snprintf(before, sizeof(before), "%s", moment(0));
	assert_int_equal(mkdir(at(c, 0, "d"), 0755), 0);
	for (int i = 0; i < 3; i++) {
		snprintf(words[i], sizeof(words[i]), "v%d", i);
		revs[i] = write_and_tell(c, i % c->count, "d/key", words[i]);
		cluster_agree(c);
		snprintf(times[i], sizeof(times[i]), "%s", moment(0));
	}
	assert_int_equal(unlink(at(c, 0, "d/key")), 0);
	cluster_agree(c);
	for (int node = 0; node < c->count; node++) {
		const char *m = c->nodes[node].mount;
		for (int i = 0; i < 3; i++) {
			assert_true(file_is(path("%s/d/key@%s", m, times[i]), words[i]));
			assert_true(file_is(path("%s/d/@%s/key", m, times[i]), words[i]));
			assert_true(file_is(path("%s/@%s/d/key", m, times[i]), words[i]));
			assert_int_equal(xattr_number(path("%s/d/key@%s", m, times[i]), "user.tallyfs.mod_revision"), revs[i]);
		}
		/* Nothing was there yet; nothing is there any more; nobody can know. */
		assert_int_equal(try_open(path("%s/d/key@%s", m, before), O_RDONLY), -ENOENT);
		assert_int_equal(try_open(path("%s/d/key@2001-02-03T04:05:06Z", m), O_RDONLY), -ENOENT);
		assert_int_equal(try_open(path("%s/@2001-02-03T04:05:06Z", m), O_RDONLY), -ENOENT);
		assert_int_equal(try_open(path("%s/d/key@%s", m, moment(0)), O_RDONLY), -ENOENT);
		assert_int_equal(try_open(path("%s/@%s", m, moment(0)), O_RDONLY), 0);
		assert_int_equal(try_open(path("%s/@%s", m, moment(3600)), O_RDONLY), -ENOENT);
		assert_int_equal(try_open(path("%s/@2026-02-30T00:00:00Z", m), O_RDONLY), -ENOENT);
	}
	/* What was the newest for a while is not kept for a time that more could happen at. */
	uint64_t now = node_number(c, 0, "revision");
	assert_int_equal(try_open(at(c, 0, path("@%s", moment(2))), O_RDONLY), -ENOENT);
	write_and_tell(c, 0, "d/key", "later");
	assert_true(node_number(c, 0, "revision") > now);
	assert_true(file_is(at(c, 0, path("d/key@%s", moment(0))), "later"));
}

/* A serial mount that is a moment behind: what it says of a time that is not settled for it yet is not to stay. */
static void a_time_is_settled_once_something_later_is_known(struct cluster *c)
{
	char text[16], now[16], when[40];
	int first = cluster_leader(c), last = (first + 1) % c->count, behind = 0;

	for (int i = 0; i < 50; i++) {
		snprintf(text, sizeof(text), "%d", i);
		assert_int_equal(file_write(at(c, first, "moving"), text), 0);
		snprintf(when, sizeof(when), "%s", moment(0));
		ssize_t size = file_read(at(c, last, path("moving@%s", when)), now, sizeof(now));
		behind += size < 0 || strcmp(now, text) != 0;
		cluster_agree(c);
		assert_true(file_is(at(c, last, path("moving@%s", when)), text));
	}
	note("of 50 times, the other node was behind at %d", behind);
}

static void a_compacted_time_is_no_data(struct cluster *c)
{
	struct run_result r;
	char early[40], late[40];

	write_and_tell(c, 0, "gone", "1");
	snprintf(early, sizeof(early), "%s", moment(0));
	uint64_t floor = write_and_tell(c, 0, "gone", "2");
	snprintf(late, sizeof(late), "%s", moment(0));
	write_and_tell(c, 0, "gone", "3");
	tallyctl(c, 0, &r, "compact", path("%llu", (unsigned long long)floor), NULL);
	assert_int_equal(r.status, 0);
	run_done(&r);
	cluster_agree(c);
	for (int node = 0; node < c->count; node++) {
		assert_int_equal(try_open(at(c, node, path("gone@%s", early)), O_RDONLY), -ENODATA);
		assert_int_equal(try_open(at(c, node, path("@%s", early)), O_RDONLY), -ENODATA);
		assert_int_equal(try_open(at(c, node, "@2001-02-03T04:05:06Z"), O_RDONLY), -ENODATA);
		assert_int_equal(try_open(at(c, node, path("gone@%llu", (unsigned long long)floor - 1)), O_RDONLY), -ENODATA);
		assert_true(file_is(at(c, node, path("gone@%s", late)), "2"));
		assert_true(file_is(at(c, node, path("gone@%llu", (unsigned long long)floor)), "2"));
	}
}

/* What the kernel knows of a tree that is compacted does not open it. */
static void a_compacted_tree_cannot_be_opened(struct cluster *c)
{
	struct run_result r;

	assert_int_equal(mkdir(at(c, 0, "old"), 0755), 0);
	int then = (int)write_and_tell(c, 0, "old/f", "1");
	int now = (int)write_and_tell(c, 0, "old/f", "2");
	assert_true(file_is(at(c, 0, path("@%d/old/f", then)), "1"));
	assert_int_equal(try_open(at(c, 0, path("@%d/old", then)), O_RDONLY | O_DIRECTORY), 0);
	int fd = open(at(c, 0, path("@%d/old/f", then)), O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	tallyctl(c, 0, &r, "compact", path("%d", now), NULL);
	assert_int_equal(r.status, 0);
	run_done(&r);
	cluster_agree(c);
	assert_int_equal(try_open(at(c, 0, path("@%d/old/f", then)), O_RDONLY), -ENODATA);
	assert_int_equal(try_open(at(c, 0, path("@%d/old", then)), O_RDONLY | O_DIRECTORY), -ENODATA);
	assert_int_equal(try_open(at(c, 0, path("old/f@%d", then)), O_RDONLY), -ENODATA);
	assert_int_equal(try_open(at(c, 0, "old/f@-1"), O_RDONLY), -ENODATA);
	char text[4];
	assert_int_equal(read(fd, text, sizeof(text)), 1);
	assert_int_equal(text[0], '1');
	close(fd);
	assert_true(file_is(at(c, 0, path("@%d/old/f", now)), "2"));
}

/* --- errors --- */

static void names_of_the_shapes_cannot_be_made(struct cluster *c)
{
	static const char *const shapes[] = {"x@12345678",   "x@",     "x@-9", "x@2001-11-22T10:00:00Z", "x@2001-11-22T10:00:00.25Z",
					     "a@b@12345678", "x@watch"};

	write_and_tell(c, 0, "plain", "p");
	for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
		const char *name = at(c, 0, shapes[i]);
		assert_int_equal(try_open(name, O_WRONLY | O_CREAT | O_EXCL), -EINVAL);
		assert_int_equal(try_open(name, O_WRONLY | O_CREAT), -EINVAL);
		assert_int_equal(says(mkdir(name, 0755)), -EINVAL);
		assert_int_equal(says(mknod(name, S_IFIFO | 0644, 0)), -EINVAL);
		assert_int_equal(says(symlink("to", name)), -EINVAL);
		assert_int_equal(says(rename(at(c, 0, "plain"), name)), -EINVAL);
	}
	assert_int_equal(says(link(at(c, 0, "plain"), at(c, 0, "x@12345678"))), -EPERM);
	/* Ordinary names, by their last mark. */
	static const char *const ordinary[] = {"bob@example.com", "getty@tty1.service", "x@2001-11-22T10:00:00", "x@12@y", "x@+1"};
	for (size_t i = 0; i < sizeof(ordinary) / sizeof(*ordinary); i++) {
		write_and_tell(c, 0, ordinary[i], ordinary[i]);
		assert_true(
			file_is(at(c, 0, path("%s@%llu", ordinary[i], (unsigned long long)node_number(c, 0, "revision"))), ordinary[i]));
	}
}

static void the_past_cannot_be_written(struct cluster *c)
{
	assert_int_equal(mkdir(at(c, 0, "w"), 0755), 0);
	uint64_t rev = write_and_tell(c, 0, "w/f", "text");
	assert_int_equal(setxattr(at(c, 0, "w/f"), "user.note", "n", 1, 0), 0);
	rev++;
	const char *files[] = {path("w/f@%d", (int)rev), path("w/@%d/f", (int)rev), path("@%d/w/f", (int)rev),
			       path("w/f@/%d", (int)rev - 1), "w/f@-1"};
	const char *dirs[] = {path("w/@%d", (int)rev), path("@%d/w", (int)rev), path("w@%d", (int)rev), "w/f@"};

	/* The newest is not the present: so that NAME@-1 is there. */
	assert_int_equal(file_write(at(c, 0, "w/f"), "newer"), 0);
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		const char *f = at(c, 0, files[i]);
		assert_true(file_is(f, "text"));
		assert_int_equal(try_open(f, O_WRONLY), -EROFS);
		assert_int_equal(try_open(f, O_RDWR), -EROFS);
		assert_int_equal(try_open(f, O_RDONLY | O_TRUNC), -EROFS);
		assert_int_equal(try_open(f, O_WRONLY | O_APPEND), -EROFS);
		assert_int_equal(says(truncate(f, 0)), -EROFS);
		assert_int_equal(says(chmod(f, 0600)), -EROFS);
		assert_int_equal(says(chown(f, 1, 1)), -EROFS);
		assert_int_equal(says(utimensat(AT_FDCWD, f, NULL, 0)), -EROFS);
		assert_int_equal(says(setxattr(f, "user.a", "b", 1, 0)), -EROFS);
		assert_int_equal(says(removexattr(f, "user.note")), -EROFS);
		assert_int_equal(says(unlink(f)), -EROFS);
		assert_int_equal(says(rename(f, at(c, 0, "w/g"))), -EROFS);
		assert_int_equal(says(access(f, W_OK)), -EROFS);
		assert_int_equal(says(access(f, R_OK)), 0);
	}
	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++) {
		const char *d = at(c, 0, dirs[i]);
		assert_int_equal(try_open(path("%s/new", d), O_WRONLY | O_CREAT), -EROFS);
		assert_int_equal(says(mkdir(path("%s/new", d), 0755)), -EROFS);
		assert_int_equal(says(mknod(path("%s/new", d), S_IFREG | 0644, 0)), -EROFS);
		assert_int_equal(says(symlink("to", path("%s/new", d))), -EROFS);
		assert_int_equal(says(rename(at(c, 0, "w/f"), path("%s/new", d))), -EROFS);
		assert_int_equal(says(rmdir(d)), -EROFS);
		assert_int_equal(says(chmod(d, 0700)), -EROFS);
	}
	assert_true(file_is(at(c, 0, "w/f"), "newer"));
}

static void what_is_to_come_and_what_makes_no_sense_is_not_there(struct cluster *c)
{
	int rev = (int)write_and_tell(c, 0, "n", "1");

	assert_int_equal(try_open(at(c, 0, path("n@%d", rev + 1)), O_RDONLY), -ENOENT);
	assert_int_equal(try_open(at(c, 0, path("@%d/n", rev + 1)), O_RDONLY), -ENOENT);
	assert_int_equal(try_open(at(c, 0, "n@0"), O_RDONLY), -ENOENT);
	assert_true(file_is(at(c, 0, "n@-0"), "1"));
	assert_int_equal(try_open(at(c, 0, "n@99999999999999999999999"), O_RDONLY), -ENOENT);
	/* A revision path leads out of the present, once: below it names are what they were. */
	assert_int_equal(try_open(at(c, 0, path("@%d/n@%d", rev, rev)), O_RDONLY), -ENOENT);
	assert_int_equal(try_open(at(c, 0, path("@%d/@%d/n", rev, rev)), O_RDONLY), -ENOENT);
	assert_int_equal(try_open(at(c, 0, path("n@%d@", rev)), O_RDONLY), -ENOENT);
	assert_int_equal(try_open(at(c, 0, path("@%d/@status", rev)), O_RDONLY), -ENOENT);
	assert_int_equal(try_open(at(c, 0, "@"), O_RDONLY), -ENOENT);
	assert_true(file_is(at(c, 0, path("n@%d", rev)), "1"));
	assert_true(file_is(at(c, 0, path("n@00%d", rev)), "1"));
}

/* --- programs --- */

/* A tree of two generations: `then` is the revision of the first. */
static uint64_t make_tree(struct cluster *c)
{
	shell(0, "",
	      path("cd %s && mkdir -p conf/sub && printf 'one\ntwo\n' >conf/app && printf old >conf/sub/old && ln -s ../app conf/sub/link "
		   "&& "
		   "ln -s /nowhere/at/all conf/absolute && mkfifo conf/fifo && chmod 600 conf/app && touch -d 2020-02-02T02:02:02Z "
		   "conf/app && "
		   "head -c 100000 /dev/zero | tr '\\0' x >conf/large",
		   c->nodes[0].mount));
	uint64_t then = node_number(c, 0, "revision");
	shell(0, "",
	      path("cd %s && printf 'one\nTWO\n' >conf/app && rm conf/sub/old && mkdir conf/sub/more && echo new >conf/sub/more/new && "
		   "printf y | dd of=conf/large bs=1 seek=50000 conv=notrunc status=none",
		   c->nodes[0].mount));
	return then;
}

static void programs_read_the_past(struct cluster *c)
{
	unsigned long long then = make_tree(c);
	int last = c->count - 1;
	cluster_agree(c);
	const char *m = c->nodes[last].mount;

	shell(1,
	      path("Files @%llu/conf/app and conf/app differ\nFiles @%llu/conf/large and conf/large differ\n"
		   "Only in conf/sub: more\nOnly in @%llu/conf/sub: old\n",
		   then, then, then),
	      path("cd %s && diff -rq --no-dereference -x fifo @%llu/conf conf", m, then));
	shell(0, "", path("cd %s && diff -r --no-dereference -x fifo @%llu/conf conf@%llu", m, then, then));
	/* Brought back, it is what it was, to the times and modes. */
	shell(0, "",
	      path("cd %s && cp -a @%llu/conf back && diff -r --no-dereference -x fifo @%llu/conf back && "
		   "(cd @%llu/conf && find . -printf '%%P %%M %%U %%G %%n %%T@ %%l\n' | sort) >/tmp/history.then.$$ && "
		   "(cd back && find . -printf '%%P %%M %%U %%G %%n %%T@ %%l\n' | sort) | diff /tmp/history.then.$$ - && rm "
		   "/tmp/history.then.$$",
		   m, then, then, then));
	shell(0, "600 1580608922\n", path("cd %s && stat -c '%%a %%Y' back/app", m));
	shell(0, "",
	      path("cd %s && tar cf - -C @%llu conf | (mkdir out && tar xPf - -C out) && diff -r --no-dereference -x fifo @%llu/conf "
		   "out/conf",
		   m, then, then));
	shell(0, "-two\n+TWO\n", path("cd %s && git diff --no-index conf/app@-1 conf/app | grep '^[-+][a-zA-Z]'", m));
	shell(0, "", path("cd %s && git diff --no-index --exit-code conf/app@%llu @%llu/conf/app", m, then, then));
	shell(0, "conf/sub/link\n", path("cd %s/@%llu && find conf -lname '../app'", m, then));
	/* The versions of a directory are directories. */
	shell(0, "0\n", path("cd %s && test -n \"$(ls conf@)\" && find conf@ -mindepth 1 -maxdepth 1 ! -type d | wc -l", m));
	shell(0, "0\n", path("cd %s && test -n \"$(ls conf/app@)\" && find conf/app@ -mindepth 1 ! -type f | wc -l", m));
	shell(0, "conf/app:2:two\n", path("cd %s/@%llu && grep -rn two conf --exclude=large --devices=skip", m, then));
}

static void links_stay_in_the_past(struct cluster *c)
{
	unsigned long long then = make_tree(c);
	char target[64];

	cluster_agree(c);
	for (int node = 0; node < c->count; node++) {
		const char *m = c->nodes[node].mount;
		assert_true(file_is(path("%s/@%llu/conf/sub/link", m, then), "one\ntwo\n"));
		assert_true(file_is(path("%s/conf/@%llu/sub/link", m, then), "one\ntwo\n"));
		assert_true(file_is(path("%s/conf/sub/link", m), "one\nTWO\n"));
		/* A link by itself lies in its live directory. */
		assert_true(file_is(path("%s/conf/sub/link@%llu", m, then), "one\nTWO\n"));
		ssize_t size = readlink(path("%s/@%llu/conf/absolute", m, then), target, sizeof(target) - 1);
		assert_int_equal(size, strlen("/nowhere/at/all"));
		assert_memory_equal(target, "/nowhere/at/all", (size_t)size);
	}
}

static void attributes_are_those_of_then(struct cluster *c)
{
	unsigned long long then = make_tree(c);
	struct stat st, sub;
	const char *m = c->nodes[c->count - 1].mount;

	assert_int_equal(setxattr(at(c, 0, "conf/app"), "user.note", "later", 5, 0), 0);
	assert_int_equal(chmod(at(c, 0, "conf/app"), 0644), 0);
	cluster_agree(c);
	assert_int_equal(stat(path("%s/@%llu/conf/app", m, then), &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(st.st_mtim.tv_sec, 1580608922);
	assert_int_equal(st.st_size, 8);
	assert_int_equal(getxattr(path("%s/@%llu/conf/app", m, then), "user.note", NULL, 0) < 0 ? -errno : 0, -ENODATA);
	assert_int_equal(getxattr(path("%s/conf/app@-1", m), "user.note", NULL, 0), 5);
	assert_int_equal(xattr_number(path("%s/@%llu/conf/app", m, then), "user.tallyfs.create_revision"),
			 xattr_number(path("%s/conf/app", m), "user.tallyfs.create_revision"));
	assert_true(xattr_number(path("%s/@%llu/conf/app", m, then), "user.tallyfs.mod_revision") <= (int64_t)then);
	assert_int_equal(stat(path("%s/@%llu/conf/sub", m, then), &sub), 0);
	assert_int_equal(sub.st_nlink, 2);
	assert_int_equal(stat(path("%s/conf/sub", m), &sub), 0);
	assert_int_equal(sub.st_nlink, 3);
	assert_int_equal(lstat(path("%s/@%llu/conf/fifo", m, then), &st), 0);
	assert_int_equal(st.st_mode, S_IFIFO | 0644);
}

static void the_revisions_of_a_key_are_listed(struct cluster *c)
{
	char names[256];
	unsigned long long one = write_and_tell(c, 0, "listed", "1");
	write_and_tell(c, 0, "another", "x");
	unsigned long long two = write_and_tell(c, 0, "listed", "22");
	assert_int_equal(unlink(at(c, 0, "listed")), 0);
	unsigned long long three = write_and_tell(c, 0, "listed", "333");
	int last = c->count - 1;

	cluster_agree(c);
	/* Oldest first. */
	shell(0, path("%llu\n%llu\n%llu\n", one, two, three), path("ls -U %s/listed@", c->nodes[last].mount));
	shell(0, path("%llu 1\n%llu 2\n%llu 3\n", one, two, three),
	      path("cd %s/listed@ && ls -lv | awk 'NR > 1 {print $9, $5}'", c->nodes[last].mount));
	shell(0, "122333", path("cd %s/listed@ && cat $(ls -U)", c->nodes[last].mount));
	assert_true(file_is(at(c, last, "listed@-1"), "22"));
	assert_true(file_is(at(c, last, "listed@-2"), "1"));
	assert_int_equal(try_open(at(c, last, path("listed@/%llu", one + 1)), O_RDONLY), -ENOENT);
	assert_int_equal(try_open(at(c, last, "listed@/x"), O_RDONLY), -ENOENT);
	/* Never found by listing. */
	dir_names(c->nodes[last].mount, names, sizeof(names));
	assert_null(strchr(names, '@'));
}

/* --- the four clusters --- */

static void all_of_it(struct cluster *c)
{
	times_lead(c);
	the_revisions_of_a_key_are_listed(c);
	names_of_the_shapes_cannot_be_made(c);
	what_is_to_come_and_what_makes_no_sense_is_not_there(c);
	a_time_is_settled_once_something_later_is_known(c);
	a_compacted_time_is_no_data(c);
	a_compacted_tree_cannot_be_opened(c);
}

static void linearizable_one_node(void **state)
{
	(void)state;
	all_of_it(cluster_up(1, NULL));
}

static void serial_one_node(void **state)
{
	(void)state;
	all_of_it(cluster_up(1, "consistency=serial"));
}

static void linearizable_three_nodes(void **state)
{
	(void)state;
	all_of_it(cluster_up(3, NULL));
}

static void serial_three_nodes(void **state)
{
	(void)state;
	all_of_it(cluster_up(3, "consistency=serial"));
}

static void writes_to_the_past_are_refused_on_a_linearizable_mount(void **state)
{
	(void)state;
	the_past_cannot_be_written(cluster_up(1, NULL));
}

static void writes_to_the_past_are_refused_on_a_serial_mount(void **state)
{
	(void)state;
	the_past_cannot_be_written(cluster_up(1, "consistency=serial"));
}

static void programs_on_a_linearizable_mount(void **state)
{
	(void)state;
	programs_read_the_past(cluster_up(1, NULL));
}

static void programs_on_serial_mounts_of_three(void **state)
{
	(void)state;
	programs_read_the_past(cluster_up(3, "consistency=serial"));
}

static void links_in_the_past(void **state)
{
	(void)state;
	links_stay_in_the_past(cluster_up(3, NULL));
}

static void attributes_in_the_past(void **state)
{
	(void)state;
	attributes_are_those_of_then(cluster_up(3, "consistency=serial"));
}

static void the_settled_past_needs_no_quorum(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, "timeout=1s");
	int leader = cluster_leader(c), left = (leader + 1) % 3;
	char when[40];
	unsigned long long rev = write_and_tell(c, leader, "f", "one");
	snprintf(when, sizeof(when), "%s", moment(0));
	write_and_tell(c, leader, "f", "two");
	cluster_agree(c);
	node_kill(c, leader);
	node_kill(c, (leader + 2) % 3);
	double began = now_seconds();
	assert_true(file_is(at(c, left, path("f@%llu", rev)), "one"));
	assert_true(file_is(at(c, left, path("@%llu/f", rev)), "one"));
	assert_true(file_is(at(c, left, path("f@%s", when)), "one"));
	assert_true(file_is(at(c, left, path("@%s/f", when)), "one"));
	assert_int_equal(try_open(at(c, left, "@2001-01-01T00:00:00Z"), O_RDONLY), -ENOENT);
	assert_true(now_seconds() - began < 0.9);
	/* What the newest is, one cannot know alone. */
	assert_int_equal(try_open(at(c, left, "f@-1"), O_RDONLY), -ETIMEDOUT);
	assert_int_equal(try_open(at(c, left, path("f@%s", moment(0))), O_RDONLY), -ETIMEDOUT);
	assert_int_equal(try_open(at(c, left, path("f@%llu", rev + 100)), O_RDONLY), -ETIMEDOUT);
}

static void another_mark(void **state)
{
	(void)state;
	struct cluster *c = cluster_new(1, "rev_mark=%");
	node_spawn(c, 0);
	const char *m = c->nodes[0].mount;
	struct run_result r;
	run_shell(&r, "for i in $(seq 200); do grep -qs '^role: leader' %s/%%status && exit; sleep 0.05; done; exit 1", m);
	assert_int_equal(r.status, 0);
	run_done(&r);
	assert_int_equal(file_write(path("%s/f", m), "1"), 0);
	assert_int_equal(file_write(path("%s/f", m), "2"), 0);
	assert_int_equal(file_write(path("%s/f@120", m), "ordinary"), 0);
	assert_true(file_is(path("%s/f@120", m), "ordinary"));
	assert_true(file_is(path("%s/f%%-1", m), "1"));
	assert_true(file_is(path("%s/%%%s/f", m, moment(0)), "2"));
	assert_int_equal(file_write(path("%s/f%%120", m), "x"), -EINVAL);
	assert_int_equal(try_open(path("%s/@status", m), O_RDONLY), -ENOENT);
	assert_int_equal(try_open(path("%s/%%members", m), O_RDONLY), 0);
}

#define TEST(body) cmocka_unit_test_teardown(body, cluster_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(linearizable_one_node),
		TEST(serial_one_node),
		TEST(linearizable_three_nodes),
		TEST(serial_three_nodes),
		TEST(writes_to_the_past_are_refused_on_a_linearizable_mount),
		TEST(writes_to_the_past_are_refused_on_a_serial_mount),
		TEST(programs_on_a_linearizable_mount),
		TEST(programs_on_serial_mounts_of_three),
		TEST(links_in_the_past),
		TEST(attributes_in_the_past),
		TEST(the_settled_past_needs_no_quorum),
		TEST(another_mark),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
