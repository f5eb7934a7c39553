/* POSIX's rules among three nodes: what one changes holds for users of the others. */
#include "tests/lib/posix.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ALICE 65534
#define BOB 65533
#define STAFF 65530
#define SOON_MS 2000

static void go(const struct cluster *c, int node)
{
	posix_as_root();
	works(chdir(c->nodes[node].mount));
}

static void same_times(struct timespec a, struct timespec b)
{
	equal(a.tv_sec, b.tv_sec);
	equal(a.tv_nsec, b.tv_nsec);
}

static void same_on_all(struct cluster *c, int node, const char *name)
{
	go(c, node);
	struct stat one = posix_stat(name);
	for (int i = 0; i < c->count; i++) {
		go(c, i);
		struct stat st = posix_stat(name);
		equal(st.st_ino, one.st_ino);
		equal(st.st_mode, one.st_mode);
		equal(st.st_nlink, one.st_nlink);
		equal(st.st_uid, one.st_uid);
		equal(st.st_gid, one.st_gid);
		equal(st.st_rdev, one.st_rdev);
		equal(st.st_size, one.st_size);
		equal(st.st_blocks, one.st_blocks);
		same_times(st.st_atim, one.st_atim);
		same_times(st.st_mtim, one.st_mtim);
		same_times(st.st_ctim, one.st_ctim);
	}
	go(c, node);
}

/* On serial mounts, once the others have it. */
static void settle(struct cluster *c, bool serial)
{
	posix_as_root();
	if (serial)
		cluster_agree(c);
}

static void every_type_is_the_same_on_all_nodes(struct cluster *c, bool serial)
{
	for (enum posix_type type = 0; type < POSIX_TYPES; type++) {
		int node = (int)type % c->count;
		posix_about("%s made on node %d", posix_type_name(type), node);
		go(c, node);
		posix_make(type, "f");
		settle(c, serial);
		same_on_all(c, node, "f");
		same_on_all(c, node, ".");
		works(lchown("f", ALICE, STAFF));
		works(utimensat(AT_FDCWD, "f", (struct timespec[]){{1, 2}, {3, 4}}, AT_SYMLINK_NOFOLLOW));
		settle(c, serial);
		same_on_all(c, node, "f");
		works(rename("f", "g"));
		settle(c, serial);
		same_on_all(c, node, "g");
		go(c, (node + 1) % c->count);
		posix_remove(type, "g");
		settle(c, serial);
		for (int i = 0; i < c->count; i++) {
			go(c, i);
			refused(ENOENT, lstat("g", &(struct stat){0}));
			refused(ENOENT, lstat("f", &(struct stat){0}));
		}
	}
}

struct attempt {
	int flags;
	int result;
};

static bool opens_so(void *ctx)
{
	const struct attempt *a = ctx;
	return try_open("dir/f", a->flags) == a->result;
}

/* A serial mount's kernel is told soon; on a linearizable one it asks. */
static void opens(bool serial, int flags, int result)
{
	struct attempt a = {flags, result};

	if (serial)
		holds(wait_until(opens_so, &a, SOON_MS));
	else
		equal(try_open("dir/f", flags), result);
}

/* A file and a directory that all nodes know well, before another changes who may do what. */
static void permissions_changed_elsewhere_hold(struct cluster *c, bool serial)
{
	go(c, 0);
	works(mkdir("dir", 0755));
	posix_fill("dir/f", "text", 4);
	settle(c, serial);
	for (int round = 0; round < 6; round++) {
		int writer = round % c->count, user = (round + 1) % c->count;
		posix_about("round %d", round);
		go(c, user);
		posix_as(BOB, STAFF, STAFF);
		opens(serial, O_RDONLY, 0);
		go(c, writer);
		works(chmod("dir/f", 0600));
		settle(c, serial);
		go(c, user);
		posix_as(BOB, STAFF, STAFF);
		opens(serial, O_RDONLY, -EACCES);
		go(c, writer);
		works(chown("dir/f", BOB, STAFF));
		settle(c, serial);
		go(c, user);
		posix_as(BOB, STAFF, STAFF);
		opens(serial, O_RDWR, 0);
		go(c, writer);
		works(chmod("dir", 0700));
		settle(c, serial);
		go(c, user);
		posix_as(BOB, STAFF, STAFF);
		opens(serial, O_RDONLY, -EACCES);
		refused(EACCES, mkdir("dir/new", 0755));
		go(c, writer);
		works(chmod("dir", 0755));
		works(chown("dir/f", 0, 0));
		works(chmod("dir/f", 0644));
		settle(c, serial);
	}
}

static bool may_chmod(void *name)
{
	return chmod(name, 0600) == 0 || errno != EPERM;
}

static bool may_unlink(void *name)
{
	return unlink(name) == 0 || errno != EPERM;
}

/* What one who owned a file on a node that knows him as its owner can do with it after another node has given it away: nothing. */
static void an_owner_unmade_elsewhere_may_not_act_any_more(struct cluster *c, bool serial)
{
	go(c, 0);
	works(mkdir("sticky", 0777));
	works(chmod("sticky", 01777));
	posix_as(BOB, STAFF, STAFF);
	posix_fill("sticky/f", "text", 4);
	posix_fill("sticky/g", "text", 4);
	settle(c, serial);
	go(c, 1);
	posix_as(BOB, STAFF, STAFF);
	works(chmod("sticky/f", 0666));
	works(rename("sticky/g", "sticky/h"));
	settle(c, serial);
	go(c, 1);
	posix_as(BOB, STAFF, STAFF);
	int fd = (int)works(open("sticky/f", O_RDWR | O_CLOEXEC)), known = (int)works(open("sticky/f", O_RDONLY | O_CLOEXEC));
	go(c, 0);
	works(chown("sticky/f", ALICE, STAFF));
	works(chown("sticky/h", ALICE, STAFF));
	settle(c, serial);
	go(c, 1);
	posix_as(BOB, STAFF, STAFF);
	/* Without a look at the name, which would tell the kernel. */
	refused(EPERM, fchmod(known, 0600));
	refused(EPERM, fchown(known, (uid_t)-1, STAFF));
	refused(EPERM, futimens(known, (struct timespec[]){{1, 2}, {3, 4}}));
	works(close(known));
	refused(EPERM, chmod("sticky/f", 0600));
	equal(write(fd, "T", 1), 1);
	refused(EPERM, fchmod(fd, 0600));
	works(close(fd));
	refused(EPERM, utimensat(AT_FDCWD, "sticky/f", (struct timespec[]){{1, 2}, {3, 4}}, 0));
	refused(EPERM, chown("sticky/f", (uid_t)-1, STAFF));
	refused(EPERM, unlink("sticky/h"));
	refused(EPERM, rename("sticky/h", "sticky/g"));
	refused(EPERM, rename("sticky/f", "sticky/h"));
	works(truncate("sticky/f", 2));
	works(utimensat(AT_FDCWD, "sticky/f", NULL, 0));
	posix_as(ALICE, STAFF, STAFF);
	char hers[] = "sticky/f", other[] = "sticky/h";
	holds(wait_until(may_chmod, hers, SOON_MS));
	holds(wait_until(may_unlink, other, SOON_MS));
	equal(posix_mode(hers), 0600);
	refused(ENOENT, lstat(other, &(struct stat){0}));
}

/* At once: the kernel of the other node does not know of it yet, and allows what is then refused all the same. */
static void an_owner_is_none_from_the_very_moment_on(struct cluster *c)
{
	posix_as_root();
	const int one = (int)works(open(c->nodes[0].mount, O_PATH | O_CLOEXEC)),
		  other = (int)works(open(c->nodes[1].mount, O_PATH | O_CLOEXEC));

	for (int i = 0; i < 20; i++) {
		const char *name = path("given%d", i), *in_sticky = path("sticky/given%d", i);
		posix_about("%s", name);
		posix_as_root();
		works(mknodat(one, name, S_IFREG | 0644, 0));
		works(mknodat(one, in_sticky, S_IFREG | 0644, 0));
		works(fchownat(one, name, BOB, STAFF, 0));
		works(fchownat(one, in_sticky, BOB, STAFF, 0));
		posix_as(BOB, STAFF, STAFF);
		works(fchmodat(other, name, 0600, 0));
		works(fchmodat(other, in_sticky, 0600, 0));
		posix_as_root();
		works(fchownat(one, in_sticky, ALICE, STAFF, 0));
		works(fchownat(one, name, ALICE, STAFF, 0));
		posix_as(BOB, STAFF, STAFF);
		refused(EPERM, fchmodat(other, name, 0777, 0));
		refused(EPERM, unlinkat(other, in_sticky, 0));
	}
	posix_as_root();
	works(close(one));
	works(close(other));
}

/* The kernel refuses by what it was told last, without a request: it is told soon. */
static void an_owner_made_elsewhere_may_act_soon(struct cluster *c, bool serial)
{
	char mine[] = "mine", sticky[] = "sticky/new";

	go(c, 0);
	posix_fill(mine, "text", 4);
	posix_fill(sticky, "text", 4);
	settle(c, serial);
	go(c, 1);
	posix_as(BOB, STAFF, STAFF);
	refused(EPERM, chmod(mine, 0600));
	refused(EPERM, unlink(sticky));
	go(c, 0);
	works(chown(mine, BOB, STAFF));
	works(chown(sticky, BOB, STAFF));
	settle(c, serial);
	go(c, 1);
	posix_as(BOB, STAFF, STAFF);
	holds(wait_until(may_chmod, mine, SOON_MS));
	holds(wait_until(may_unlink, sticky, SOON_MS));
	refused(ENOENT, lstat(sticky, &(struct stat){0}));
	equal(posix_mode(mine), 0600);
}

static bool has_type(const char *name, mode_t type)
{
	struct stat st;
	return lstat(name, &st) == 0 && (st.st_mode & S_IFMT) == type;
}

static bool holds_entries(void *name)
{
	int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 && close(fd) == 0;
}

static bool may_be_unlinked(void *name)
{
	return unlink(name) == 0;
}

static bool may_be_removed(void *name)
{
	return rmdir(name) == 0;
}

/* The kernel refuses by the type that it knows, without a request: it is told soon. */
static void what_took_a_name_elsewhere_is_that_soon(struct cluster *c, bool serial)
{
	char name[] = "turns";

	for (enum posix_type from = 0; from < POSIX_TYPES; from++) {
		for (enum posix_type to = 0; to < POSIX_TYPES; to++) {
			if (from != DIRECTORY && to != DIRECTORY)
				continue;
			posix_about("%s that turns into %s", posix_type_name(from), posix_type_name(to));
			go(c, 0);
			posix_make(from, name);
			settle(c, serial);
			go(c, 1);
			holds(has_type(name, posix_type_mode(from)));
			go(c, 0);
			posix_remove(from, name);
			posix_make(to, name);
			settle(c, serial);
			go(c, 1);
			if (to == DIRECTORY)
				holds(wait_until(holds_entries, name, SOON_MS));
			holds(wait_until(to == DIRECTORY ? may_be_removed : may_be_unlinked, name, SOON_MS));
			refused(ENOENT, lstat(name, &(struct stat){0}));
			settle(c, serial);
		}
	}
}

static void attributes_set_elsewhere_are_there(struct cluster *c, bool serial)
{
	char value[16];

	go(c, 0);
	posix_fill("x", "text", 4);
	for (int i = 0; i < 6; i++) {
		go(c, i % c->count);
		works(setxattr("x", "user.a", path("%d", i), 1, 0));
		settle(c, serial);
		go(c, (i + 1) % c->count);
		equal(getxattr("x", "user.a", value, sizeof(value)), 1);
		equal(value[0], '0' + i);
	}
}

static void a_file_lives_on_where_it_is_open(struct cluster *c, bool serial)
{
	char text[16] = "";
	struct stat st;

	go(c, 0);
	posix_fill("open", "Hello", 5);
	settle(c, serial);
	go(c, 1);
	int fd = (int)works(open("open", O_RDWR | O_CLOEXEC));
	equal(pread(fd, text, sizeof(text), 0), 5);
	go(c, 0);
	works(unlink("open"));
	settle(c, serial);
	go(c, 1);
	refused(ENOENT, open("open", O_RDONLY));
	equal(pread(fd, text, sizeof(text), 0), 5);
	holds(memcmp(text, "Hello", 5) == 0);
	works(fstat(fd, &st));
	equal(st.st_nlink, 0);
	equal(pwrite(fd, "J", 1, 0), 1);
	equal(pread(fd, text, sizeof(text), 0), 5);
	holds(memcmp(text, "Jello", 5) == 0);
	works(close(fd));
	refused(ENOENT, open("open", O_RDONLY));
}

static void on_three(bool serial)
{
	struct cluster *c =
		cluster_up(3, serial ? "consistency=serial,allow_other,default_permissions" : "allow_other,default_permissions");

	posix_start();
	every_type_is_the_same_on_all_nodes(c, serial);
	permissions_changed_elsewhere_hold(c, serial);
	an_owner_unmade_elsewhere_may_not_act_any_more(c, serial);
	if (!serial)
		an_owner_is_none_from_the_very_moment_on(c);
	an_owner_made_elsewhere_may_act_soon(c, serial);
	what_took_a_name_elsewhere_is_that_soon(c, serial);
	attributes_set_elsewhere_are_there(c, serial);
	a_file_lives_on_where_it_is_open(c, serial);
	posix_finish();
}

static void on_three_linearizable_nodes(void **state)
{
	(void)state;
	on_three(false);
}

static void on_three_serial_nodes(void **state)
{
	(void)state;
	on_three(true);
}

/* A directory d with a file in it, on a mount that is read-only now. */
static void nothing_changes_on_a_read_only_mount(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, "allow_other,default_permissions");

	posix_start();
	go(c, 0);
	works(mkdir("d", 0777));
	posix_fill("d/f", "text", 4);
	works(chmod("d/f", 0666));
	works(chdir("/"));
	assert_int_equal(node_end(c, 0), 0);
	snprintf(c->nodes[0].options, sizeof(c->nodes[0].options), "ro");
	node_start(c, 0);
	go(c, 0);
	refused(EROFS, chmod("d/f", 0600));
	refused(EROFS, chown("d/f", 1, 2));
	refused(EROFS, truncate("d/f", 0));
	refused(EROFS, open("d/f", O_WRONLY));
	refused(EROFS, open("d/f", O_RDWR));
	refused(EROFS, open("d/f", O_RDONLY | O_TRUNC));
	refused(EROFS, open("d/g", O_WRONLY | O_CREAT, 0644));
	refused(EROFS, mkdir("d/g", 0755));
	refused(EROFS, mkfifo("d/g", 0644));
	refused(EROFS, mknod("d/g", S_IFCHR | 0644, 1));
	refused(EROFS, symlink("x", "d/g"));
	refused(EROFS, link("d/f", "d/g"));
	refused(EROFS, unlink("d/f"));
	refused(EROFS, rmdir("d"));
	refused(EROFS, rename("d/f", "d/g"));
	refused(EROFS, utimensat(AT_FDCWD, "d/f", NULL, 0));
	refused(EROFS, setxattr("d/f", "user.a", "b", 1, 0));
	refused(EROFS, removexattr("d/f", "user.a"));
	refused(EEXIST, mkdir("d", 0755));
	equal(access("d/f", W_OK), -1);
	equal(errno, EROFS);
	holds(posix_holds("d/f", "text", 4));
	works(close((int)works(open("d/f", O_RDONLY | O_CREAT, 0644))));
	posix_finish();
}

/* With max_file= to allow it, a hole costs nothing. */
static void a_file_may_be_larger_than_2_gib(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, "allow_other,default_permissions,max_file=4G");
	const off_t far = (INT64_C(2) << 30) + 1;
	char byte = 0;

	posix_start();
	go(c, 0);
	int fd = (int)works(open("f", O_CREAT | O_WRONLY | O_CLOEXEC, 0755));
	equal(pwrite(fd, "a", 1, far), 1);
	works(close(fd));
	equal(posix_stat("f").st_size, far + 1);
	fd = (int)works(open("f", O_RDONLY | O_CLOEXEC));
	equal(pread(fd, &byte, 1, far), 1);
	equal(byte, 'a');
	equal(pread(fd, &byte, 1, far - 1), 1);
	equal(byte, 0);
	works(close(fd));
	works(unlink("f"));
	posix_finish();
}

#define TEST(body) cmocka_unit_test_teardown(body, posix_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(on_three_linearizable_nodes),
		TEST(on_three_serial_nodes),
		TEST(nothing_changes_on_a_read_only_mount),
		TEST(a_file_may_be_larger_than_2_gib),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
