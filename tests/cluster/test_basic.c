/* One node, used as any file system is used: what each call does, and how many revisions it makes. */
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char *mnt(const struct cluster *c)
{
	return c->nodes[0].mount;
}

static uint64_t revision(const struct cluster *c)
{
	return node_number(c, 0, "revision");
}

static void the_usual_commands_do_the_usual_things(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	struct run_result r;
	run_shell(&r,
		  "cd %s && mkdir config && echo hello > config/app && cat config/app && ls && ls config && mv config/app config/app2 && "
		  "ls config && echo more >> config/app2 && cat config/app2 && rm config/app2 && rmdir config && ls -A && cat nosuch",
		  mnt(c));
	assert_string_equal(r.out, "hello\nconfig\napp\napp2\nhello\nmore\n");
	assert_non_null(strstr(r.err, "No such file or directory"));
	run_done(&r);
}

static void each_command_that_writes_makes_exactly_one_revision(void **state)
{
	static const char *const scripts[] = {
		"echo x > new",
		"echo y > new",
		"echo z >> new",
		": > empty",
		"true > emptied",
		": > new",
		"touch touched",
		"cp /etc/passwd new",
		"cp /etc/passwd copied",
		"set -C; echo x > noclobber",
		"(echo a; echo b) > subshell",
		"{ echo a; echo b; } > group",
		"bash -c 'echo x > from-bash'",
		"bash -c 'for i in 1 2 3; do echo $i; done > loop'",
		"printf abc | tee piped > /dev/null",
		"dd if=/dev/zero of=blocks bs=4k count=64 status=none",
		"mkdir dir",
		"ln -s new link",
		"chmod 600 new",
		"mv new dir/new",
		"mkfifo fifo",
		"rm fifo",
		"rm dir/new",
		"rmdir dir",
	};
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		struct run_result r;
		uint64_t before = revision(c);
		run_shell(&r, "cd %s && %s", mnt(c), scripts[i]);
		uint64_t made = revision(c) - before;
		if (r.status != 0 || made != 1)
			cluster_fail("%s: status %d, %d revisions; %s", scripts[i], r.status, (int)made, r.err);
		run_done(&r);
	}
	assert_true(file_is(path("%s/subshell", mnt(c)), "a\nb\n"));
	assert_true(file_is(path("%s/loop", mnt(c)), "1\n2\n3\n"));
	assert_true(file_is(path("%s/empty", mnt(c)), ""));
}

static int open_exclusively(const char *name)
{
	int fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : fd;
}

/* What another process on this mount sees. */
static int shell_status(const char *script, const char *name)
{
	struct run_result r;
	run_shell(&r, script, name);
	int status = r.status;
	run_done(&r);
	return status;
}

static void an_exclusive_creation_is_decided_at_open_and_what_is_written_at_close(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	char names[64];
	const char *f = path("%s/f", mnt(c));
	uint64_t before = revision(c);
	int fd = open_exclusively(f);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "one", 3), 3);
	assert_int_equal(open_exclusively(f), -EEXIST);
	assert_int_equal(shell_status("test -e %s", f), 1);
	assert_int_not_equal(shell_status("set -C; : > %s", f), 0);
	assert_int_not_equal(shell_status("mkdir %s", f), 0);
	dir_names(mnt(c), names, sizeof(names));
	assert_string_equal(names, "");
	assert_int_equal(revision(c), before);
	assert_int_equal(close(fd), 0);
	assert_int_equal(revision(c), before + 1);
	assert_true(file_is(f, "one"));
	assert_int_equal(xattr_number(f, "user.tallyfs.version"), 1);
	assert_int_equal(open_exclusively(f), -EEXIST);
}

static void an_exclusive_creation_without_a_write_makes_one_empty_file(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	const char *f = path("%s/lock", mnt(c));
	uint64_t before = revision(c);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(try_open(f, O_WRONLY | O_CREAT | O_EXCL), 0);
		assert_int_equal(revision(c), before + 1);
		assert_true(file_is(f, ""));
		assert_int_equal(try_open(f, O_WRONLY | O_CREAT | O_EXCL), -EEXIST);
		assert_int_equal(unlink(f), 0);
		before += 2;
	}
}

static void an_exclusive_creation_unlinked_before_its_close_leaves_nothing_and_frees_the_name(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	char names[64];
	char buffer[8];
	const char *f = path("%s/tmp", mnt(c));
	uint64_t before = revision(c);
	for (int round = 0; round < 3; round++) {
		int fd = open_exclusively(f);
		assert_true(fd >= 0);
		assert_int_equal(write(fd, "one", 3), 3);
		assert_int_equal(unlink(f), 0);
		int second = open_exclusively(f);
		assert_true(second >= 0);
		assert_int_equal(unlink(f), 0);
		assert_int_equal(pread(fd, buffer, sizeof(buffer), 0), 3);
		assert_int_equal(close(fd), 0);
		assert_int_equal(close(second), 0);
	}
	dir_names(mnt(c), names, sizeof(names));
	assert_string_equal(names, "");
	assert_int_equal(revision(c), before);
	/* Published by fsync, it is a file that unlink removes. */
	int fd = open_exclusively(f);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "one", 3), 3);
	assert_int_equal(fsync(fd), 0);
	assert_true(file_is(f, "one"));
	assert_int_equal(unlink(f), 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(try_open(f, O_RDONLY), -ENOENT);
	assert_int_equal(revision(c), before + 2);
}

/* execve(2) closes descriptors with its /proc locked, and waits for what FLUSH says. */
static void a_process_with_an_unpublished_file_can_start_another(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	uint64_t before = revision(c);
	int deferred = open(path("%s/deferred", mnt(c)), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	int exclusive = open_exclusively(path("%s/exclusive", mnt(c)));
	assert_true(deferred >= 0 && exclusive >= 0);
	assert_int_equal(shell_status("test -d %s", mnt(c)), 0);
	assert_int_equal(write(deferred, "one", 3), 3);
	assert_int_equal(write(exclusive, "two", 3), 3);
	assert_int_equal(shell_status("test -d %s", mnt(c)), 0);
	assert_int_equal(revision(c), before);
	assert_int_equal(close(deferred), 0);
	assert_int_equal(close(exclusive), 0);
	assert_int_equal(revision(c), before + 2);
}

static void a_temporary_file_can_be_renamed_before_its_close(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	char names[64];
	const char *target = path("%s/target", mnt(c));
	char temporary[256];
	assert_int_equal(file_write(target, "old"), 0);
	snprintf(temporary, sizeof(temporary), "%s/target.XXXXXX", mnt(c));
	int fd = mkstemp(temporary);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "new", 3), 3);
	assert_int_equal(rename(temporary, target), 0);
	assert_true(file_is(target, "new"));
	assert_int_equal(write(fd, "er", 2), 2);
	assert_int_equal(close(fd), 0);
	assert_true(file_is(target, "newer"));
	dir_names(mnt(c), names, sizeof(names));
	assert_string_equal(names, "target ");
}

static void a_handle_with_nothing_to_publish_publishes_nothing(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	const char *f = path("%s/f", mnt(c));
	assert_int_equal(file_write(f, "one"), 0);
	uint64_t before = revision(c);
	assert_int_equal(try_open(f, O_RDWR), 0);
	assert_int_equal(try_open(f, O_WRONLY | O_APPEND), 0);
	assert_true(file_is(f, "one"));
	assert_int_equal(revision(c), before);
}

static void fsync_publishes_and_close_adds_nothing(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	const char *f = path("%s/f", mnt(c));
	uint64_t before = revision(c);
	int fd = open(f, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "one", 3), 3);
	assert_int_equal(fsync(fd), 0);
	assert_true(file_is(f, "one"));
	assert_int_equal(revision(c), before + 1);
	assert_int_equal(close(fd), 0);
	assert_int_equal(revision(c), before + 1);
}

static void every_revision_of_a_key_can_be_read_by_path(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	char names[512];
	assert_int_equal(mkdir(path("%s/dir", mnt(c)), 0755), 0);
	int begin = (int)revision(c);
	const char *f = path("%s/dir/key", mnt(c));
	assert_int_equal(file_write(f, "v1"), 0);
	assert_int_equal(file_write(path("%s/dir/other", mnt(c)), "o"), 0);
	assert_int_equal(file_write(f, "v2"), 0);
	assert_int_equal(file_write(f, "v3"), 0);
	assert_int_equal((int)revision(c), begin + 4);

	assert_true(file_is(path("%s/dir/key@%d", mnt(c), begin + 1), "v1"));
	assert_true(file_is(path("%s/dir/key@%d", mnt(c), begin + 2), "v1"));
	assert_true(file_is(path("%s/dir/key@%d", mnt(c), begin + 3), "v2"));
	assert_true(file_is(path("%s/dir/key@-1", mnt(c)), "v2"));
	assert_true(file_is(path("%s/dir/key@-2", mnt(c)), "v1"));
	assert_int_equal(try_open(path("%s/dir/key@-3", mnt(c)), O_RDONLY), -ENOENT);
	assert_int_equal(try_open(path("%s/dir/key@%d", mnt(c), begin), O_RDONLY), -ENOENT);
	assert_int_equal(try_open(path("%s/dir/key@%d", mnt(c), begin + 1000), O_RDONLY), -ENOENT);

	dir_names(path("%s/dir/key@", mnt(c)), names, sizeof(names));
	assert_string_equal(names, path("%d %d %d ", begin + 1, begin + 3, begin + 4));
	assert_true(file_is(path("%s/dir/key@/%d", mnt(c), begin + 3), "v2"));
	assert_int_equal(try_open(path("%s/dir/key@/%d", mnt(c), begin + 2), O_RDONLY), -ENOENT);
}

static void a_whole_tree_can_be_read_as_it_was(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	char names[512];
	assert_int_equal(mkdir(path("%s/dir", mnt(c)), 0755), 0);
	assert_int_equal(file_write(path("%s/dir/a", mnt(c)), "1"), 0);
	assert_int_equal(file_write(path("%s/dir/b", mnt(c)), "1"), 0);
	int then = (int)revision(c);
	assert_int_equal(file_write(path("%s/dir/b", mnt(c)), "2"), 0);
	assert_int_equal(unlink(path("%s/dir/a", mnt(c))), 0);
	assert_int_equal(rename(path("%s/dir", mnt(c)), path("%s/moved", mnt(c))), 0);

	assert_true(file_is(path("%s/@%d/dir/a", mnt(c), then), "1"));
	assert_true(file_is(path("%s/@%d/dir/b", mnt(c), then), "1"));
	dir_names(path("%s/@%d/dir", mnt(c), then), names, sizeof(names));
	assert_string_equal(names, "a b ");
	dir_names(path("%s/@%d", mnt(c), then), names, sizeof(names));
	assert_string_equal(names, "dir ");
	assert_int_equal(try_open(path("%s/@%d/moved", mnt(c), then), O_RDONLY), -ENOENT);
	assert_true(file_is(path("%s/moved/@%d/b", mnt(c), then + 3), "2"));
	dir_names(mnt(c), names, sizeof(names));
	assert_string_equal(names, "moved ");
}

static void revision_paths_are_read_only(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	assert_int_equal(mkdir(path("%s/d", mnt(c)), 0755), 0);
	assert_int_equal(file_write(path("%s/d/k", mnt(c)), "v"), 0);
	int now = (int)revision(c);
	assert_int_equal(try_open(path("%s/d/k@%d", mnt(c), now), O_WRONLY), -EROFS);
	assert_int_equal(try_open(path("%s/d/k@%d", mnt(c), now), O_RDWR | O_TRUNC), -EROFS);
	assert_int_equal(try_open(path("%s/@%d/d/new", mnt(c), now), O_WRONLY | O_CREAT), -EROFS);
	assert_int_equal(mkdir(path("%s/@%d/d/new", mnt(c), now), 0755) < 0 ? errno : 0, EROFS);
	assert_int_equal(unlink(path("%s/@%d/d/k", mnt(c), now)) < 0 ? errno : 0, EROFS);
	assert_int_equal(rename(path("%s/@%d/d/k", mnt(c), now), path("%s/k2", mnt(c))) < 0 ? errno : 0, EROFS);
	assert_int_equal(truncate(path("%s/d/k@%d", mnt(c), now), 0) < 0 ? errno : 0, EROFS);
	assert_int_equal(chmod(path("%s/d/k@%d", mnt(c), now), 0600) < 0 ? errno : 0, EROFS);
	assert_int_equal((int)revision(c), now);
}

static void names_shaped_like_revision_paths_cannot_be_made(void **state)
{
	static const char *const reserved[] = {"x@12", "x@", "x@-1", "@77", "x@watch", "x@2026-11-22T10:00:00Z"};
	static const char *const ordinary[] = {"bob@example.com", "getty@tty1.service", "a@b@c", "@x", "x@12a", "x@-", "12@x"};
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	assert_int_equal(file_write(path("%s/plain", mnt(c)), "p"), 0);
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
		const char *name = path("%s/%s", mnt(c), reserved[i]);
		if (strcmp(reserved[i], "@77") != 0)
			assert_int_equal(file_write(name, "x"), -EINVAL);
		assert_int_equal(mkdir(name, 0755) < 0 ? errno : 0, EINVAL);
		assert_int_equal(symlink("t", name) < 0 ? errno : 0, EINVAL);
		assert_int_equal(rename(path("%s/plain", mnt(c)), name) < 0 ? errno : 0, EINVAL);
	}
	for (size_t i = 0; i < sizeof(ordinary) / sizeof(ordinary[0]); i++) {
		const char *name = path("%s/%s", mnt(c), ordinary[i]);
		assert_int_equal(file_write(name, ordinary[i]), 0);
		assert_true(file_is(name, ordinary[i]));
	}
}

static void hidden_names_are_never_listed(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	char names[512];
	char role[32];
	assert_int_equal(file_write(path("%s/k", mnt(c)), "v"), 0);
	dir_names(mnt(c), names, sizeof(names));
	assert_string_equal(names, "k ");
	assert_true(node_field(c, 0, "role", role, sizeof(role)));
	assert_string_equal(role, "leader");
	assert_true(node_field(c, 0, "consistency", role, sizeof(role)));
	assert_string_equal(role, "linearizable");
	assert_true(node_field(c, 0, "health", role, sizeof(role)));
	assert_string_equal(role, "ok");
	assert_int_equal(node_number(c, 0, "keys"), 1);
}

static void hard_links_are_refused(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	assert_int_equal(file_write(path("%s/k", mnt(c)), "v"), 0);
	assert_int_equal(link(path("%s/k", mnt(c)), path("%s/k2", mnt(c))) < 0 ? errno : 0, EPERM);
}

static void a_file_over_max_file_is_refused_and_nothing_changes(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, "max_file=64K");
	static char big[(64 << 10) + 1];
	const char *f = path("%s/f", mnt(c));
	memset(big, 'x', sizeof(big));
	assert_int_equal(file_put(f, O_TRUNC, big, 64 << 10), 0);
	uint64_t before = revision(c);
	assert_int_equal(file_put(f, O_APPEND, "x", 1), -EFBIG);
	assert_int_equal(file_put(path("%s/g", mnt(c)), O_TRUNC, big, sizeof(big)), -EFBIG);
	assert_int_equal(truncate(f, sizeof(big)) < 0 ? errno : 0, EFBIG);
	struct stat st;
	assert_int_equal(stat(f, &st), 0);
	assert_int_equal(st.st_size, 64 << 10);
	assert_true(revision(c) <= before + 1); /* g may be there with what fitted; f is as it was */
}

static void xattrs_tell_revisions_and_keep_what_users_set(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	char value[64] = "";
	char list[256];
	const char *f = path("%s/f", mnt(c));
	assert_int_equal(file_write(f, "v1"), 0);
	int64_t created = (int64_t)revision(c);
	assert_int_equal(file_write(f, "v2"), 0);
	assert_int_equal(xattr_number(f, "user.tallyfs.create_revision"), created);
	assert_int_equal(xattr_number(f, "user.tallyfs.mod_revision"), created + 1);
	assert_int_equal(xattr_number(f, "user.tallyfs.version"), 2);
	assert_int_equal(xattr_number(path("%s/f@-1", mnt(c)), "user.tallyfs.version"), 1);

	assert_int_equal(setxattr(f, "user.colour", "green", 5, XATTR_CREATE), 0);
	assert_int_equal(setxattr(f, "user.colour", "red", 3, XATTR_CREATE) < 0 ? errno : 0, EEXIST);
	assert_int_equal(getxattr(f, "user.colour", value, sizeof(value)), 5);
	assert_memory_equal(value, "green", 5);
	ssize_t size = listxattr(f, list, sizeof(list));
	assert_true(size > 0 && memmem(list, (size_t)size, "user.colour", 12) != NULL);
	assert_int_equal(file_write(f, "v3"), 0);
	assert_int_equal(getxattr(f, "user.colour", value, sizeof(value)), 5);
	assert_int_equal(removexattr(f, "user.colour"), 0);
	assert_int_equal(getxattr(f, "user.colour", value, sizeof(value)) < 0 ? errno : 0, ENODATA);
}

static void renaming_a_directory_is_one_revision(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	char names[2048];
	assert_int_equal(mkdir(path("%s/d", mnt(c)), 0755), 0);
	assert_int_equal(mkdir(path("%s/d/sub", mnt(c)), 0755), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(file_write(path("%s/d/sub/f%d", mnt(c), i), path("%d", i)), 0);
	int before = (int)revision(c);
	assert_int_equal(rename(path("%s/d", mnt(c)), path("%s/e", mnt(c))), 0);
	assert_int_equal((int)revision(c), before + 1);
	for (int i = 0; i < 100; i++) {
		assert_true(file_is(path("%s/e/sub/f%d", mnt(c), i), path("%d", i)));
		assert_true(file_is(path("%s/@%d/d/sub/f%d", mnt(c), before, i), path("%d", i)));
	}
	dir_names(mnt(c), names, sizeof(names));
	assert_string_equal(names, "e ");
	assert_int_equal(rename(path("%s/e", mnt(c)), path("%s/e/sub/e", mnt(c))) < 0 ? errno : 0, EINVAL);
	assert_int_equal(rmdir(path("%s/e", mnt(c))) < 0 ? errno : 0, ENOTEMPTY);
}

static void an_open_handle_reads_one_revision_and_from_the_start_afresh(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	char buffer[64];
	const char *f = path("%s/f", mnt(c));
	assert_int_equal(file_write(f, "aaaaaaaa"), 0);
	int fd = open(f, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, buffer, 4, 0), 4);
	assert_memory_equal(buffer, "aaaa", 4);
	assert_int_equal(file_write(f, "bb"), 0);
	assert_int_equal(pread(fd, buffer, 4, 4), 4);
	assert_memory_equal(buffer, "aaaa", 4);
	assert_int_equal(pread(fd, buffer, sizeof(buffer), 0), 2);
	assert_memory_equal(buffer, "bb", 2);
	close(fd);
}

static void a_handle_read_from_its_end_to_its_start_is_of_one_revision(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	const char *f = path("%s/f", mnt(c));
	char end[4], start[4];
	assert_int_equal(file_write(f, "onetwo"), 0);
	int fd = open(f, O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, end, 3, 3), 3);
	assert_int_equal(file_write(f, "ONETWO"), 0);
	assert_int_equal(pread(fd, start, 3, 0), 3);
	assert_memory_equal(end, "two", 3);
	assert_memory_equal(start, "one", 3);
	assert_int_equal(pread(fd, start, 3, 0), 3); /* again: afresh */
	assert_memory_equal(start, "ONE", 3);
	close(fd);
}

static void of_two_that_create_and_truncate_the_last_to_close_stands_whole(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	const char *f = path("%s/f", mnt(c));
	int a = open(f, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_int_equal(write(a, "short\n", 6), 6);
	assert_int_equal(shell_status("echo a longer text than that > %s", f), 0);
	assert_int_equal(close(a), 0);
	assert_true(file_is(f, "short\n"));
}

static void an_unlinked_file_shows_what_was_written_to_it_since(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	struct stat st;
	const char *f = path("%s/f", mnt(c));
	assert_int_equal(file_write(f, ""), 0);
	int writer = open(f, O_RDWR | O_CLOEXEC);
	int other = open(f, O_WRONLY | O_CLOEXEC);
	assert_int_equal(unlink(f), 0);
	assert_int_equal(write(writer, "12345", 5), 5);
	assert_int_equal(fstat(writer, &st), 0);
	assert_int_equal(st.st_size, 5);
	assert_int_equal(st.st_nlink, 0);
	close(other);
	close(writer);
}

static void fallocate_makes_a_file_as_large_as_asked_for_and_never_smaller(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	struct stat st;
	const char *f = path("%s/f", mnt(c));
	int fd = open(f, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(write(fd, "abc", 3), 3);
	assert_int_equal(fallocate(fd, 0, 2, 4), 0);
	assert_int_equal(fallocate(fd, 0, 0, 2), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 6);
	assert_int_equal(fallocate(fd, 0, 0, 65 << 20) < 0 ? errno : 0, EFBIG);
	assert_int_equal(fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, 1) < 0 ? errno : 0, EOPNOTSUPP);
	assert_int_equal(close(fd), 0);
	char text[16];
	assert_int_equal(file_read(f, text, sizeof(text)), 6);
	assert_memory_equal(text, "abc\0\0\0", 6);
}

static void access_tells_what_is_there_and_what_can_be_executed(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	const char *f = path("%s/f", mnt(c));
	assert_int_equal(file_write(f, "x"), 0);
	assert_int_equal(access(f, R_OK | W_OK), 0);
	assert_int_equal(access(f, X_OK), -1);
	assert_int_equal(errno, EACCES);
	assert_int_equal(chmod(f, 0755), 0);
	assert_int_equal(access(f, X_OK), 0);
	assert_int_equal(access(path("%s@2", f), W_OK), -1);
	assert_int_equal(errno, EROFS);
	/* Its own writer is told what it made of it, published or not. */
	const char *g = path("%s/g", c->nodes[0].mount);
	int fd = open(g, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(access(g, X_OK) < 0 ? errno : 0, EACCES);
	assert_int_equal(fchmod(fd, 0100), 0);
	assert_int_equal(access(g, X_OK), 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(access(g, X_OK), 0);
	fd = open(g, O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(fchmod(fd, 0600), 0);
	assert_int_equal(access(g, X_OK) < 0 ? errno : 0, EACCES);
	close(fd);
}

static void a_file_whose_directory_went_before_its_close_is_reported_lost(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	assert_int_equal(mkdir(path("%s/d", mnt(c)), 0755), 0);
	int fd = open(path("%s/d/f", mnt(c)), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(rmdir(path("%s/d", mnt(c))), 0);
	assert_int_equal(close(fd), -1);
	assert_int_equal(errno, ENOENT);
}

static void writers_of_different_ranges_and_appenders_merge(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	const char *f = path("%s/f", mnt(c));
	assert_int_equal(file_write(f, "0123456789"), 0);
	int a = open(f, O_WRONLY | O_CLOEXEC);
	int b = open(f, O_WRONLY | O_CLOEXEC);
	int d = open(f, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_true(a >= 0 && b >= 0 && d >= 0);
	assert_int_equal(pwrite(a, "AA", 2, 0), 2);
	assert_int_equal(pwrite(b, "BB", 2, 5), 2);
	assert_int_equal(write(d, "DD", 2), 2);
	assert_true(file_is(f, "0123456789"));
	assert_int_equal(close(d), 0);
	assert_int_equal(close(b), 0);
	assert_int_equal(close(a), 0);
	assert_true(file_is(f, "AA234BB789DD"));
}

static void truncation_extension_and_holes_read_as_they_should(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	char buffer[64];
	struct stat st;
	const char *f = path("%s/f", mnt(c));
	assert_int_equal(file_write(f, "0123456789"), 0);
	assert_int_equal(truncate(f, 4), 0);
	assert_true(file_is(f, "0123"));
	int fd = open(f, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 8), 0);
	assert_int_equal(pwrite(fd, "Z", 1, 9), 1);
	assert_int_equal(close(fd), 0);
	assert_int_equal(file_read(f, buffer, sizeof(buffer)), 10);
	assert_memory_equal(buffer, "0123\0\0\0\0\0Z", 10);
	assert_int_equal(truncate(f, 1 << 20), 0);
	assert_int_equal(stat(f, &st), 0);
	assert_int_equal(st.st_size, 1 << 20);
}

static void o_excl_finds_the_file_and_o_trunc_empties_it(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	const char *f = path("%s/f", mnt(c));
	assert_int_equal(try_open(f, O_WRONLY | O_CREAT | O_EXCL), 0);
	assert_int_equal(try_open(f, O_WRONLY | O_CREAT | O_EXCL), -EEXIST);
	assert_int_equal(file_write(f, "x"), 0);
	assert_int_equal(try_open(f, O_WRONLY | O_TRUNC), 0);
	assert_true(file_is(f, ""));
	assert_int_equal(mkdir(f, 0755) < 0 ? errno : 0, EEXIST);
	assert_int_equal(file_write(path("%s/f/below", mnt(c)), "x"), -ENOTDIR);
	assert_int_equal(unlink(f), 0);
	assert_int_equal(try_open(f, O_RDONLY), -ENOENT);
}

static void modes_times_links_and_fifos_are_kept(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	char target[64] = "";
	struct stat st;
	const char *f = path("%s/f", mnt(c));
	const struct timespec times[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1234567890, .tv_nsec = 5000}};
	assert_int_equal(file_write(f, "x"), 0);
	assert_int_equal(chmod(f, 0640), 0);
	assert_int_equal(chown(f, 1234, 4321), 0);
	assert_int_equal(utimensat(AT_FDCWD, f, times, 0), 0);
	assert_int_equal(symlink("f", path("%s/l", mnt(c))), 0);
	assert_int_equal(mkfifo(path("%s/p", mnt(c)), 0600), 0);
	node_kill(c, 0);
	node_start(c, 0);
	assert_int_equal(stat(path("%s/l", mnt(c)), &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	assert_int_equal(st.st_uid, 1234);
	assert_int_equal(st.st_gid, 4321);
	assert_int_equal(st.st_mtim.tv_sec, 1234567890);
	assert_int_equal(st.st_mtim.tv_nsec, 5000);
	assert_int_equal(readlink(path("%s/l", mnt(c)), target, sizeof(target)), 1);
	assert_int_equal(target[0], 'f');
	assert_int_equal(stat(path("%s/p", mnt(c)), &st), 0);
	assert_true(S_ISFIFO(st.st_mode));
}

static void editors_leave_a_sane_history(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	struct run_result r;
	const char *f = path("%s/f", mnt(c));
	assert_int_equal(file_write(f, "old"), 0);
	run_shell(&r, "cd %s && echo renamed > f.tmp && mv f.tmp f && cat f && cp -p f f~ && echo again > f && cat f f~", mnt(c));
	assert_string_equal(r.out, "renamed\nagain\nrenamed\n");
	assert_int_equal(r.status, 0);
	run_done(&r);
	assert_true(file_is(path("%s/f@-1", mnt(c)), "renamed\n"));
	assert_true(file_is(path("%s/f@-2", mnt(c)), "old"));
}

static void a_deleted_file_stays_readable_through_its_handle_and_its_history(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	char buffer[16];
	const char *f = path("%s/f", mnt(c));
	assert_int_equal(file_write(f, "kept"), 0);
	int then = (int)revision(c);
	int fd = open(f, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(unlink(f), 0);
	assert_int_equal(pread(fd, buffer, sizeof(buffer), 0), 4);
	close(fd);
	assert_int_equal(try_open(f, O_RDONLY), -ENOENT);
	assert_true(file_is(path("%s/f@%d", mnt(c), then), "kept"));
}

int main(void)
{
#define STORY(f) cmocka_unit_test_teardown(f, cluster_teardown)
	const struct CMUnitTest tests[] = {
		STORY(the_usual_commands_do_the_usual_things),
		STORY(each_command_that_writes_makes_exactly_one_revision),
		STORY(an_exclusive_creation_is_decided_at_open_and_what_is_written_at_close),
		STORY(an_exclusive_creation_without_a_write_makes_one_empty_file),
		STORY(an_exclusive_creation_unlinked_before_its_close_leaves_nothing_and_frees_the_name),
		STORY(a_process_with_an_unpublished_file_can_start_another),
		STORY(a_temporary_file_can_be_renamed_before_its_close),
		STORY(a_handle_with_nothing_to_publish_publishes_nothing),
		STORY(fsync_publishes_and_close_adds_nothing),
		STORY(every_revision_of_a_key_can_be_read_by_path),
		STORY(a_whole_tree_can_be_read_as_it_was),
		STORY(revision_paths_are_read_only),
		STORY(names_shaped_like_revision_paths_cannot_be_made),
		STORY(hidden_names_are_never_listed),
		STORY(hard_links_are_refused),
		STORY(a_file_over_max_file_is_refused_and_nothing_changes),
		STORY(xattrs_tell_revisions_and_keep_what_users_set),
		STORY(renaming_a_directory_is_one_revision),
		STORY(an_open_handle_reads_one_revision_and_from_the_start_afresh),
		STORY(a_handle_read_from_its_end_to_its_start_is_of_one_revision),
		STORY(of_two_that_create_and_truncate_the_last_to_close_stands_whole),
		STORY(an_unlinked_file_shows_what_was_written_to_it_since),
		STORY(fallocate_makes_a_file_as_large_as_asked_for_and_never_smaller),
		STORY(access_tells_what_is_there_and_what_can_be_executed),
		STORY(a_file_whose_directory_went_before_its_close_is_reported_lost),
		STORY(writers_of_different_ranges_and_appenders_merge),
		STORY(truncation_extension_and_holes_read_as_they_should),
		STORY(o_excl_finds_the_file_and_o_trunc_empties_it),
		STORY(modes_times_links_and_fifos_are_kept),
		STORY(editors_leave_a_sane_history),
		STORY(a_deleted_file_stays_readable_through_its_handle_and_its_history),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
