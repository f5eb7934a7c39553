/* How it is mounted: by mount(8) and fstab, on places with odd names, by users; and which places are refused. */
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROMPT_MS 3000

static struct cluster *folders(void)
{
	cluster_require();
	return cluster_new(1, NULL);
}

/* A shell command that must end with 0 and say nothing on stderr; what it printed, until 8 calls later. */
static const char *expect_shell(const char *script)
{
	static char said[8][4096];
	static int next;
	struct run_result r;
	char *out = said[next++ % 8];
	run_shell(&r, "%s", script);
	if (r.status != 0 || r.err_size > 0)
		cluster_fail("%s: status %d, said: %s%s", script, r.status, r.out, r.err);
	snprintf(out, sizeof(said[0]), "%s", r.out);
	run_done(&r);
	return out;
}

/* A daemon in the background becomes this process's child when the one that started it ends: so its end can be seen. */
static void adopt(bool on)
{
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, on ? 1 : 0), 0);
}

static bool no_child_is_left(void *ctx)
{
	int *bad = ctx, status = 0;
	int pid = waitpid(-1, &status, WNOHANG);
	for (; pid > 0; pid = waitpid(-1, &status, WNOHANG))
		*bad += status != 0;
	return pid < 0 && errno == ECHILD;
}

/* Every daemon that was adopted ended by itself, with 0, and nobody else was left behind. */
static void expect_ended(void)
{
	int bad = 0;
	assert_true(wait_until(no_child_is_left, &bad, PROMPT_MS));
	assert_int_equal(bad, 0);
}

/* mount(8) forgets PATH, so the program is found where `make install` puts it. All of this happens in a mount namespace of this process's own: there
 * the program under test is installed, there is an fstab of ours, and everybody may open /dev/fuse, as a Debian with udev has it. */
static int enter_own_namespace(void **state)
{
	struct stat st;
	(void)state;
	if (geteuid() != 0 || access("/dev/fuse", R_OK | W_OK) != 0)
		return 0;
	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return -1;
	if (mount("none", "/usr/local/bin", "tmpfs", 0, "mode=755") != 0 || symlink(tallyfs_binary(), "/usr/local/bin/tallyfs") != 0)
		return -1;
	if (stat("/dev/fuse", &st) != 0 || mknod("/usr/local/bin/fuse", S_IFCHR | 0666, st.st_rdev) != 0 ||
	    chmod("/usr/local/bin/fuse", 0666) != 0)
		return -1;
	if (mount("/usr/local/bin/fuse", "/dev/fuse", NULL, MS_BIND, NULL) != 0)
		return -1;
	return file_write("/usr/local/bin/fstab", "") != 0 || mount("/usr/local/bin/fstab", "/etc/fstab", NULL, MS_BIND, NULL) != 0;
}

static bool nothing_is_mounted(void *ctx)
{
	struct stat st, parent;
	char above[PATH_MAX];
	snprintf(above, sizeof(above), "%s/..", (const char *)ctx);
	return stat(ctx, &st) == 0 && stat(above, &parent) == 0 && st.st_dev == parent.st_dev;
}

static void mount_8_mounts_it_by_its_type(void **state)
{
	(void)state;
	struct cluster *c = folders();
	const char *data = c->nodes[0].data, *m = c->nodes[0].mount;
	adopt(true);
	expect_shell(path("mount -t fuse.tallyfs %s %s -o name=n1", data, m));
	assert_true(mount_answers(m));
	assert_int_equal(file_write(path("%s/f", m), "one"), 0);
	assert_string_equal(expect_shell(path("findmnt -n -o SOURCE,FSTYPE -r %s", m)), path("%s fuse.tallyfs\n", data));
	assert_non_null(strstr(expect_shell("cat /proc/mounts"), path("%s %s fuse.tallyfs rw,", data, m)));
	expect_shell(path("umount %s", m));
	expect_ended();
	/* Every word that mount(8) knows for all file systems. */
	expect_shell(
		path("mount -t fuse.tallyfs %s %s -o "
		     "defaults,rw,nosuid,nodev,noexec,noatime,_netdev,noauto,nofail,nouser,x-systemd.automount,"
		     "x-systemd.mount-timeout=30,x-gvfs-show,comment=ours,relatime,nodiratime,lazytime,async,name=n1,consistency=serial",
		     data, m));
	assert_true(file_is(path("%s/f", m), "one"));
	const char *options = expect_shell(path("findmnt -n -o OPTIONS %s", m));
	assert_true(strstr(options, "nosuid") && strstr(options, "nodev") && strstr(options, "noexec"));
	expect_shell(path("umount %s", m));
	expect_ended();
	expect_shell(path("mount -t fuse.tallyfs -r %s %s -o name=n1", data, m));
	assert_int_equal(file_write(path("%s/f", m), "two"), -EROFS);
	expect_shell(path("umount %s", m));
	expect_ended();
	adopt(false);
}

static void what_mount_8_is_told_wrong_is_said_in_a_line(void **state)
{
	(void)state;
	struct cluster *c = folders();
	struct run_result r;
	run_shell(&r, "mount -t fuse.tallyfs %s %s -o name=n1,nonsense=1", c->nodes[0].data, c->nodes[0].mount);
	assert_int_not_equal(r.status, 0);
	assert_string_equal(r.err, "tallyfs: unknown option 'nonsense'\n");
	run_done(&r);
	assert_false(mount_answers(c->nodes[0].mount));
}

static void write_fstab(const struct cluster *c, const char *options)
{
	const char *line = path("# a comment\n%s  %s  fuse.tallyfs  %s  0 0\n", c->nodes[0].data, c->nodes[0].mount, options);
	assert_int_equal(file_write("/etc/fstab", line), 0);
}

static void a_line_of_fstab_mounts_it(void **state)
{
	static const char *const modes[] = {"linearizable", "serial"};
	(void)state;
	struct cluster *c = folders();
	const char *data = c->nodes[0].data, *m = c->nodes[0].mount;
	adopt(true);
	for (size_t mode = 0; mode < sizeof(modes) / sizeof(modes[0]); mode++) {
		write_fstab(c, path("name=n1,consistency=%s,_netdev,nofail", modes[mode]));
		expect_shell(path("mount %s", m));
		assert_int_equal(file_write(path("%s/f", m), modes[mode]), 0);
		/* Once more with all that is there already: nothing happens. */
		expect_shell("mount -a");
		assert_true(file_is(path("%s/f", m), modes[mode]));
		expect_shell(path("umount %s", m));
		expect_ended();
		expect_shell("mount -a");
		assert_true(file_is(path("%s/f", m), modes[mode]));
		/* After a crash, by the same line. */
		int status, pid = process_with(data);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_true(run_wait(pid, PROMPT_MS, &status));
		expect_shell(path("mount %s", m));
		assert_true(file_is(path("%s/f", m), modes[mode]));
		expect_shell(path("umount %s", m));
		expect_ended();
	}
	adopt(false);
}

static void what_is_mounted_can_be_made_read_only_and_writable_again(void **state)
{
	(void)state;
	struct cluster *c = folders();
	const char *m = c->nodes[0].mount;
	adopt(true);
	write_fstab(c, "name=n1,nodev");
	expect_shell(path("mount %s", m));
	assert_int_equal(file_write(path("%s/f", m), "one"), 0);
	for (int round = 0; round < 2; round++) {
		/* By its line in fstab, and by what is mounted there. */
		if (round == 1)
			assert_int_equal(file_write("/etc/fstab", ""), 0);
		expect_shell(path("mount -o remount,ro %s", m));
		assert_int_equal(file_write(path("%s/f", m), "two"), -EROFS);
		assert_true(file_is(path("%s/f", m), "one"));
		expect_shell(path("mount -o remount,rw %s", m));
		assert_int_equal(file_write(path("%s/f", m), "one"), 0);
		assert_non_null(strstr(expect_shell(path("findmnt -n -o OPTIONS %s", m)), "nodev"));
	}
	expect_shell(path("umount %s", m));
	expect_ended();
	adopt(false);
}

static void it_starts_from_anywhere_and_outlives_where_it_started(void **state)
{
	(void)state;
	struct cluster *c = folders();
	adopt(true);
	/* Relative paths, from a folder that is gone afterwards; the shell that started it is gone, too. */
	assert_int_equal(mkdir(path("%s/cwd", c->dir), 0755), 0);
	expect_shell(path("cd %s/cwd && %s ../data1 ../mnt1 -o name=n1 && cd .. && rmdir cwd", c->dir, tallyfs_binary()));
	assert_int_equal(file_write(path("%s/f", c->nodes[0].mount), "x"), 0);
	assert_true(file_is(path("%s/f", c->nodes[0].mount), "x"));
	expect_shell(path("fusermount3 -u %s", c->nodes[0].mount));
	expect_ended();
	adopt(false);
}

/* Up, written, killed, up again over the dead mount, read, unmounted. */
static void expect_usable(struct cluster *c, const char *name, const char *shown)
{
	char as[PATH_MAX], real[PATH_MAX]; /* looking for a process uses up what path() returned */
	snprintf(as, sizeof(as), "%s", name);
	snprintf(real, sizeof(real), "%s", shown);
	const char *const argv[] = {tallyfs_binary(), c->nodes[0].data, as, "-o", "name=n1", NULL};
	for (int round = 0; round < 2; round++) {
		struct run_result r;
		int status, pid;
		run_command(&r, argv, NULL, 0, CLUSTER_WAIT_MS);
		if (r.status != 0 || r.err_size > 0)
			cluster_fail("on %s: status %d, said: %s", as, r.status, r.err);
		run_done(&r);
		assert_true(mount_answers(real));
		if (round == 0)
			assert_int_equal(file_write(path("%s/f", real), real), 0);
		assert_true(file_is(path("%s/f", real), real));
		pid = process_with(c->nodes[0].data);
		assert_int_equal(kill(pid, round == 0 ? SIGKILL : SIGTERM), 0);
		assert_true(run_wait(pid, PROMPT_MS, &status));
		assert_int_equal(status, round == 0 ? 128 + SIGKILL : 0);
	}
	assert_false(mount_answers(real));
	assert_int_equal(umount2(real, 0) < 0 ? errno : 0, EINVAL); /* no dead mount is left below */
}

static void any_name_will_do_for_a_mount_point(void **state)
{
	static const char *const names[] = {"with space", "a,comma,rw", "back\\slash\\040", "new\nline",      "tab\there", "not\xff\xfeutf",
					    "-o",         "#hash",      "quote\"'s",        "umlaut-\xc3\xa4"};
	(void)state;
	struct cluster *c = folders();
	adopt(true);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char m[PATH_MAX];
		snprintf(m, sizeof(m), "%s/%s", c->dir, names[i]);
		assert_int_equal(mkdir(m, 0755), 0);
		expect_usable(c, m, m);
	}
	assert_int_equal(symlink(c->nodes[0].mount, path("%s/link", c->dir)), 0);
	expect_usable(c, path("%s/link", c->dir), c->nodes[0].mount);
	/* Not empty, as fuse(8) allows: what is below shows again afterwards. */
	assert_int_equal(file_write(path("%s/below", c->nodes[0].mount), "x"), 0);
	expect_usable(c, path("%s/", c->nodes[0].mount), c->nodes[0].mount);
	assert_true(file_is(path("%s/below", c->nodes[0].mount), "x"));
	adopt(false);
}

static void what_fuse_8_offers_besides_works(void **state)
{
	(void)state;
	struct cluster *c = folders();
	const char *m = c->nodes[0].mount;
	int status;
	adopt(true);
	expect_shell(path("tallyfs %s %s -o auto_unmount,nonempty,clone_fd,max_read=65536,fsname=ours", c->nodes[0].data, m));
	assert_int_equal(file_write(path("%s/f", m), "one"), 0);
	assert_true(file_is(path("%s/f", m), "one"));
	assert_string_equal(expect_shell(path("findmnt -n -o SOURCE,FSTYPE -r %s", m)), "ours fuse.tallyfs\n");
	/* Killed, it leaves no dead mount. */
	int pid = process_with(c->nodes[0].data);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_true(run_wait(pid, PROMPT_MS, &status));
	assert_true(wait_until(nothing_is_mounted, c->nodes[0].mount, PROMPT_MS));
	expect_ended();
	expect_shell(path("tallyfs %s %s -o allow_root,default_permissions", c->nodes[0].data, c->nodes[0].mount));
	assert_non_null(strstr(expect_shell(path("grep ' %s ' /proc/mounts", c->nodes[0].mount)), "default_permissions"));
	assert_true(file_is(path("%s/f", c->nodes[0].mount), "one"));
	expect_shell(path("umount %s", c->nodes[0].mount));
	expect_ended();
	adopt(false);
}

static void odd_names_of_data_are_shown_as_they_are(void **state)
{
	(void)state;
	struct cluster *c = folders();
	adopt(true);
	snprintf(c->nodes[0].data, sizeof(c->nodes[0].data), "%s/da ta,ro,x", c->dir);
	const char *const argv[] = {tallyfs_binary(), c->nodes[0].data, c->nodes[0].mount, NULL};
	struct run_result r;
	run_command(&r, argv, NULL, 0, CLUSTER_WAIT_MS);
	assert_string_equal(r.err, "");
	assert_int_equal(r.status, 0);
	run_done(&r);
	assert_int_equal(file_write(path("%s/f", c->nodes[0].mount), "x"), 0);
	assert_string_equal(expect_shell(path("findmnt -n -o SOURCE %s", c->nodes[0].mount)), path("%s\n", c->nodes[0].data));
	expect_shell(path("umount %s", c->nodes[0].mount));
	expect_ended();
	adopt(false);
}

static void expect_refused(const char *data, const char *mount, const char *about)
{
	struct run_result r;
	const char *const argv[] = {tallyfs_binary(), data, mount, NULL};
	run_command(&r, argv, NULL, 0, CLUSTER_WAIT_MS);
	const char *end = strchr(r.err, '\n');
	if (r.status != 1 || !end || end[1] || !strstr(r.err, about))
		cluster_fail("tallyfs %s %s: status %d, said: %s", data, mount, r.status, r.err);
	run_done(&r);
	assert_false(mount_answers(mount));
}

static void places_where_it_would_stand_in_its_own_way_are_refused(void **state)
{
	(void)state;
	struct cluster *c = folders();
	const char *data = c->nodes[0].data;
	expect_refused(data, data, "DATA");
	assert_int_equal(mkdir(path("%s/deep", c->nodes[0].mount), 0755), 0);
	expect_refused(path("%s/deep/data", c->nodes[0].mount), c->nodes[0].mount, "DATA");
	assert_int_equal(symlink(path("%s/deep", c->nodes[0].mount), path("%s/link", c->dir)), 0);
	expect_refused(path("%s/link/data", c->dir), c->nodes[0].mount, "DATA");
	/* The daemon's own folders are not to be covered, whether they are there yet or not. */
	assert_int_equal(mkdir(path("%s/wal", data), 0700), 0);
	expect_refused(data, path("%s/wal", data), "DATA");
	assert_int_equal(rmdir(path("%s/wal", data)), 0);
	/* Elsewhere in DATA it is in nobody's way. */
	assert_int_equal(mkdir(path("%s/mnt", data), 0700), 0);
	adopt(true);
	expect_usable(c, path("%s/mnt", data), path("%s/mnt", data));
	adopt(false);
}

static const char *as_nobody(const struct cluster *c, const char *script)
{
	const char *file = path("%s/script", c->dir);
	assert_int_equal(file_write(file, script), 0);
	return path("setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=/ PATH=%s/bin:$PATH DATA=%s/user/data MNT=%s/user/mnt sh "
		    "-eu %s",
		    c->dir, c->dir, c->dir, file);
}

/* With a copy of the program: where it was built may be closed to others. */
static struct cluster *folders_of_nobody(void)
{
	struct cluster *c = folders();
	assert_int_equal(chmod(c->dir, 0755), 0);
	assert_int_equal(mkdir(path("%s/user", c->dir), 0755), 0);
	assert_int_equal(chown(path("%s/user", c->dir), 65534, 65534), 0);
	expect_shell(path("install -D -m 755 %s %s/bin/tallyfs", tallyfs_binary(), c->dir));
	return c;
}

static void a_user_mounts_and_unmounts_it(void **state)
{
	(void)state;
	struct cluster *c = folders_of_nobody();
	char data[PATH_MAX];
	int status = -1;
	snprintf(data, sizeof(data), "%s/user/data", c->dir);
	adopt(true);
	const char *out = expect_shell(as_nobody(c, "mkdir $DATA $MNT; tallyfs $DATA $MNT; echo one > $MNT/f; cat $MNT/f\n"
						    "stat -c %u $MNT/f $MNT; fusermount3 -u $MNT; test ! -e $MNT/f\n"
						    "tallyfs $DATA $MNT; cat $MNT/f\n"));
	assert_string_equal(out, "one\n65534\n65534\none\n");
	/* After a crash the same user mounts it again. */
	int pid = process_with(data);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_true(run_wait(pid, PROMPT_MS, &status));
	out = expect_shell(as_nobody(c, "test ! -e $MNT/f; tallyfs $DATA $MNT; cat $MNT/f; fusermount3 -u $MNT; test ! -e $MNT/f\n"));
	assert_string_equal(out, "one\n");
	expect_ended();
	adopt(false);
}

static void a_user_who_may_not_is_told_so_in_a_line(void **state)
{
	(void)state;
	struct cluster *c = folders_of_nobody();
	struct run_result r;
	run_shell(&r, "%s", as_nobody(c, "mkdir $DATA $MNT\n! tallyfs $DATA $MNT -o allow_other\n"));
	assert_int_equal(r.status, 0);
	assert_non_null(strstr(r.err, "allow_other"));
	assert_non_null(strstr(r.err, "user_allow_other"));
	assert_ptr_equal(strchr(r.err, '\n'), r.err + r.err_size - 1);
	assert_true(strncmp(r.err, "tallyfs: ", 9) == 0);
	run_done(&r);
}

static int go_home(void **state)
{
	(void)state;
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	return cluster_teardown(state);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_teardown(f, go_home)
	const struct CMUnitTest tests[] = {
		STORY(mount_8_mounts_it_by_its_type),
		STORY(what_mount_8_is_told_wrong_is_said_in_a_line),
		STORY(a_line_of_fstab_mounts_it),
		STORY(what_is_mounted_can_be_made_read_only_and_writable_again),
		STORY(it_starts_from_anywhere_and_outlives_where_it_started),
		STORY(any_name_will_do_for_a_mount_point),
		STORY(what_fuse_8_offers_besides_works),
		STORY(odd_names_of_data_are_shown_as_they_are),
		STORY(places_where_it_would_stand_in_its_own_way_are_refused),
		STORY(a_user_mounts_and_unmounts_it),
		STORY(a_user_who_may_not_is_told_so_in_a_line),
	};
	return cmocka_run_group_tests(tests, enter_own_namespace, NULL);
}
