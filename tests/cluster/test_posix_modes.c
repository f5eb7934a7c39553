/* Modes, owners and groups, and who may do what. */
#include "tests/lib/posix.h"
#include "tests/lib/files.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ALICE 65534
#define BOB 65533
#define CAROL 65532
#define STAFF 65530
#define GUESTS 65529

/* Makes `name` as root and gives it away. */
static void give(enum posix_type type, const char *name, uid_t uid, gid_t gid, mode_t mode)
{
	posix_make(type, name);
	works(lchown(name, uid, gid));
	if (type != SYMLINK)
		works(chmod(name, mode));
}

static void owned_by(const char *name, uid_t uid, gid_t gid)
{
	struct stat st = posix_stat(name);

	equal(st.st_uid, uid);
	equal(st.st_gid, gid);
}

static void chmod_sets_all_twelve_bits_of_every_type(void)
{
	const mode_t modes[] = {0, 0111, 0222, 0444, 0700, 0070, 0007, 01777, 02755, 04755, 06555, 07777, 0644};

	for (enum posix_type type = 0; type < SYMLINK; type++) {
		posix_about("%s", posix_type_name(type));
		posix_make(type, "f");
		works(symlink("f", "link"));
		mode_t of_link = posix_mode("link");
		for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
			int64_t changed = posix_ctime("f"), modified = posix_mtime("f");
			works(chmod(i % 2 ? "f" : "link", modes[i]));
			equal(posix_mode("f"), modes[i]);
			equal(posix_stat("f").st_mode & S_IFMT, posix_type_mode(type));
			holds(posix_ctime("f") > changed);
			equal(posix_mtime("f"), modified);
		}
		equal(posix_mode("link"), of_link);
		works(unlink("link"));
		posix_remove(type, "f");
	}
}

static void chmod_is_for_the_owner_and_root_alone(void)
{
	for (enum posix_type type = 0; type < SYMLINK; type++) {
		posix_about("%s", posix_type_name(type));
		give(type, "f", ALICE, STAFF, 0644);
		int64_t changed = posix_ctime("f");
		posix_as(BOB, STAFF, STAFF);
		refused(EPERM, chmod("f", 0777));
		posix_as(ALICE, GUESTS, GUESTS);
		equal(posix_ctime("f"), changed);
		works(chmod("f", 0111));
		equal(posix_mode("f"), 0111);
		holds(posix_ctime("f") > changed);
		posix_as_root();
		posix_remove(type, "f");
	}
}

static void chmod_by_one_outside_of_the_group_loses_setgid(void)
{
	give(REGULAR, "f", ALICE, STAFF, 0755);
	posix_as(ALICE, STAFF, STAFF);
	works(chmod("f", 02755));
	equal(posix_mode("f"), 02755);
	works(chmod("f", 0755));
	posix_as(ALICE, GUESTS, GUESTS);
	works(chmod("f", 02755));
	equal(posix_mode("f"), 0755);
	posix_as(ALICE, GUESTS, STAFF);
	works(chmod("f", 02755));
	equal(posix_mode("f"), 02755);
}

static void chown_by_root_changes_what_it_is_told(void)
{
	for (enum posix_type type = 0; type < POSIX_TYPES; type++) {
		posix_about("%s", posix_type_name(type));
		posix_make(type, "f");
		int64_t changed = posix_ctime("f"), modified = posix_mtime("f");
		works(lchown("f", 123, 456));
		owned_by("f", 123, 456);
		holds(posix_ctime("f") > changed);
		equal(posix_mtime("f"), modified);
		works(lchown("f", (uid_t)-1, 789));
		owned_by("f", 123, 789);
		works(lchown("f", 321, (gid_t)-1));
		owned_by("f", 321, 789);
		works(lchown("f", 4294967294u, 4294967294u));
		owned_by("f", 4294967294u, 4294967294u);
		posix_remove(type, "f");
	}
}

static void chown_follows_links_and_lchown_does_not(void)
{
	posix_make(REGULAR, "f");
	works(symlink("f", "link"));
	works(chown("link", 123, 456));
	owned_by("f", 123, 456);
	owned_by("link", 0, 0);
	works(lchown("link", 1, 2));
	owned_by("f", 123, 456);
	owned_by("link", 1, 2);
}

static void an_owner_may_give_a_file_to_his_groups_only(void)
{
	for (enum posix_type type = 0; type < POSIX_TYPES; type++) {
		posix_about("%s", posix_type_name(type));
		give(type, "f", ALICE, STAFF, 0644);
		int64_t changed = posix_ctime("f");
		posix_as(ALICE, CAROL, GUESTS);
		refused(EPERM, lchown("f", BOB, (gid_t)-1));
		refused(EPERM, lchown("f", ALICE, 1));
		refused(EPERM, lchown("f", (uid_t)-1, 1));
		refused(EPERM, lchown("f", BOB, GUESTS));
		owned_by("f", ALICE, STAFF);
		equal(posix_ctime("f"), changed);
		works(lchown("f", (uid_t)-1, GUESTS));
		owned_by("f", ALICE, GUESTS);
		works(lchown("f", ALICE, CAROL));
		owned_by("f", ALICE, CAROL);
		holds(posix_ctime("f") > changed);
		posix_as(BOB, CAROL, GUESTS);
		refused(EPERM, lchown("f", BOB, (gid_t)-1));
		refused(EPERM, lchown("f", (uid_t)-1, GUESTS));
		works(lchown("f", (uid_t)-1, (gid_t)-1));
		posix_as_root();
		owned_by("f", ALICE, CAROL);
		posix_remove(type, "f");
	}
}

static void chown_takes_suid_and_sgid_from_all_but_directories(void)
{
	for (enum posix_type type = 0; type < SYMLINK; type++) {
		posix_about("%s", posix_type_name(type));
		mode_t then = type == DIRECTORY ? 06555 : 0555;
		give(type, "f", ALICE, STAFF, 06555);
		equal(posix_mode("f"), 06555);
		posix_as(ALICE, STAFF, GUESTS);
		works(chown("f", ALICE, GUESTS));
		equal(posix_mode("f"), then);
		posix_as_root();
		works(chmod("f", 06555));
		posix_as(ALICE, STAFF, GUESTS);
		works(chown("f", (uid_t)-1, STAFF));
		equal(posix_mode("f"), then);
		/* Root is treated like others, as on Linux's own file systems. */
		posix_as_root();
		works(chmod("f", 06555));
		works(chown("f", BOB, GUESTS));
		equal(posix_mode("f"), then);
		/* Without an x for the group the bit means something else. */
		works(chmod("f", 02644));
		works(chown("f", ALICE, GUESTS));
		equal(posix_mode("f"), 02644);
		posix_remove(type, "f");
	}
}

static void write_as(uid_t uid, gid_t gid, const char *name, mode_t before, mode_t after)
{
	struct stat st;

	posix_as_root();
	works(chmod(name, before));
	posix_as(uid, gid, gid);
	int fd = (int)works(open(name, O_RDWR | O_CLOEXEC));
	equal(pwrite(fd, "x", 1, 0), 1);
	works(fstat(fd, &st));
	equal(st.st_mode & 07777, after);
	works(close(fd));
	equal(posix_mode(name), after);
	posix_as_root();
}

static void writing_by_others_than_root_takes_suid_and_sgid(void)
{
	posix_fill("f", "old", 3);
	works(chmod("f", 0666));
	write_as(ALICE, STAFF, "f", 04777, 0777);
	write_as(ALICE, STAFF, "f", 02777, 0777);
	write_as(ALICE, STAFF, "f", 06777, 0777);
	write_as(ALICE, STAFF, "f", 06676, 0676);
	write_as(ALICE, STAFF, "f", 01777, 01777);
	write_as(0, 0, "f", 06777, 06777);
	works(chown("f", ALICE, STAFF));
	write_as(ALICE, STAFF, "f", 06777, 0777);
}

static void truncating_by_others_than_root_takes_suid_and_sgid(void)
{
	posix_fill("f", "old", 3);
	works(chmod("f", 06777));
	posix_as(ALICE, STAFF, STAFF);
	works(truncate("f", 1));
	equal(posix_mode("f"), 0777);
	posix_as_root();
	works(chmod("f", 06777));
	posix_as(ALICE, STAFF, STAFF);
	int fd = (int)works(open("f", O_WRONLY | O_TRUNC | O_CLOEXEC));
	works(close(fd));
	equal(posix_mode("f"), 0777);
	posix_as_root();
	posix_fill("f", "new", 3);
	works(chmod("f", 06777));
	posix_as(ALICE, STAFF, STAFF);
	fd = (int)works(open("f", O_WRONLY | O_CLOEXEC));
	works(ftruncate(fd, 1));
	works(close(fd));
	equal(posix_mode("f"), 0777);
	posix_as_root();
	works(chmod("f", 06777));
	works(truncate("f", 0));
	equal(posix_mode("f"), 06777);
}

static void changes_of_an_open_file_come_in_their_order(void)
{
	struct stat st;

	int fd = (int)works(open("f", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	equal(write(fd, "x", 1), 1);
	works(fchmod(fd, 06755));
	works(fstat(fd, &st));
	equal(st.st_mode & 07777, 06755);
	works(fchown(fd, ALICE, STAFF));
	works(fstat(fd, &st));
	equal(st.st_mode & 07777, 0755);
	equal(st.st_uid, ALICE);
	works(close(fd));
	equal(posix_mode("f"), 0755);
	owned_by("f", ALICE, STAFF);
	fd = (int)works(open("f", O_RDWR | O_CLOEXEC));
	equal(write(fd, "y", 1), 1);
	works(fchown(fd, BOB, GUESTS));
	works(fchmod(fd, 06711));
	works(close(fd));
	equal(posix_mode("f"), 06711);
	owned_by("f", BOB, GUESTS);
}

static int make_with_mode(enum posix_type type, const char *name, mode_t mode)
{
	if (type == REGULAR) {
		int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, mode);
		return fd < 0 ? fd : close(fd);
	}
	return type == DIRECTORY ? mkdir(name, mode) : type == FIFO ? mkfifo(name, mode) : mknod(name, posix_type_mode(type) | mode, 0);
}

static void umask_takes_bits_of_what_is_made(void)
{
	static const struct {
		mode_t mask, mode, made;
	} cases[] = {
		{0, 0755, 0755},    {0, 0151, 0151},   {077, 0151, 0100}, {070, 0345, 0305},
		{0501, 0345, 0244}, {022, 0777, 0755}, {0777, 0777, 0},   {0, 0, 0},
	};
	const enum posix_type made[] = {REGULAR, DIRECTORY, FIFO, CHAR_DEVICE, SOCKET};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		for (size_t t = 0; t < sizeof(made) / sizeof(*made); t++) {
			posix_about("%s, case %zu", posix_type_name(made[t]), i);
			umask(cases[i].mask);
			works(make_with_mode(made[t], "f", cases[i].mode));
			umask(0);
			equal(posix_mode("f"), cases[i].made);
			posix_remove(made[t], "f");
		}
	}
}

static void what_is_made_belongs_to_its_maker(void)
{
	works(chmod(".", 0777));
	for (enum posix_type type = 0; type < POSIX_TYPES; type++) {
		if (type == BLOCK_DEVICE || type == CHAR_DEVICE)
			continue;
		posix_about("%s", posix_type_name(type));
		posix_as(ALICE, STAFF, GUESTS);
		posix_make(type, "f");
		owned_by("f", ALICE, STAFF);
		posix_remove(type, "f");
		posix_as_root();
	}
	posix_as(ALICE, STAFF, STAFF);
	refused(EPERM, mknod("f", S_IFCHR | 0644, makedev(1, 2)));
	refused(EPERM, mknod("f", S_IFBLK | 0644, makedev(1, 2)));
}

static void what_is_made_in_a_setgid_directory_is_its_groups(void)
{
	works(mkdir("d", 0755));
	works(chown("d", 0, GUESTS));
	works(chmod("d", 02777));
	posix_as(ALICE, STAFF, STAFF);
	for (enum posix_type type = 0; type < POSIX_TYPES; type++) {
		if (type == BLOCK_DEVICE || type == CHAR_DEVICE)
			continue;
		posix_about("%s", posix_type_name(type));
		posix_make(type, "d/f");
		owned_by("d/f", ALICE, GUESTS);
		holds(!(posix_mode("d/f") & S_ISGID) == (type != DIRECTORY));
		posix_remove(type, "d/f");
	}
	/* A program that would run with a group which its maker is not in. */
	int fd = (int)works(open("d/f", O_WRONLY | O_CREAT | O_CLOEXEC, 02755));
	works(close(fd));
	equal(posix_mode("d/f"), 0755);
	works(mkdir("d/a", 0755));
	works(mkdir("d/a/b", 0700));
	owned_by("d/a/b", ALICE, GUESTS);
	equal(posix_mode("d/a/b"), 02700);
}

/* For each class of users and each permission that is missing. */
static void the_owner_the_group_and_others_have_their_own_bits(void)
{
	const struct {
		uid_t uid;
		gid_t gid;
		int shift;
	} who[] = {{ALICE, STAFF, 6}, {BOB, STAFF, 3}, {BOB, GUESTS, 0}};

	give(REGULAR, "f", ALICE, STAFF, 0);
	for (size_t w = 0; w < sizeof(who) / sizeof(*who); w++) {
		for (mode_t bits = 0; bits < 8; bits++) {
			posix_about("user %u with %o", who[w].uid, bits);
			posix_as_root();
			/* All others may do what he may not. */
			works(chmod("f", (0777 & ~(7u << who[w].shift)) | bits << who[w].shift));
			posix_as(who[w].uid, who[w].gid, who[w].gid);
			equal(try_open("f", O_RDONLY), bits & 4 ? 0 : -EACCES);
			equal(try_open("f", O_WRONLY), bits & 2 ? 0 : -EACCES);
			equal(try_open("f", O_RDWR), (bits & 6) == 6 ? 0 : -EACCES);
			equal(try_open("f", O_RDONLY | O_TRUNC), (bits & 6) == 6 ? 0 : -EACCES);
			equal(faccessat(AT_FDCWD, "f", R_OK, AT_EACCESS), bits & 4 ? 0 : -1);
			equal(faccessat(AT_FDCWD, "f", W_OK, AT_EACCESS), bits & 2 ? 0 : -1);
			equal(faccessat(AT_FDCWD, "f", X_OK, AT_EACCESS), bits & 1 ? 0 : -1);
			if (bits & 2)
				works(truncate("f", 3));
			else
				refused(EACCES, truncate("f", 3));
		}
	}
}

static void a_directory_is_passed_read_and_changed_by_its_bits(void)
{
	give(DIRECTORY, "d", ALICE, STAFF, 0777);
	works(mkdir("d/sub", 0755));
	posix_fill("d/f", "x", 1);
	works(chmod("d/f", 0666));
	for (mode_t bits = 0; bits < 8; bits++) {
		posix_about("bits %o", bits);
		posix_as_root();
		works(chmod("d", 0700 | bits));
		posix_as(BOB, GUESTS, GUESTS);
		struct stat st;
		equal(try_open("d", O_RDONLY | O_DIRECTORY), bits & 4 ? 0 : -EACCES);
		equal(try_open("d/f", O_RDWR), bits & 1 ? 0 : -EACCES);
		equal(lstat("d/f", &st), bits & 1 ? 0 : -1);
		equal(chdir("d/sub"), bits & 1 ? 0 : -1);
		if (bits & 1)
			works(chdir("../.."));
		if ((bits & 3) == 3) {
			works(mkdir("d/new", 0755));
			works(rename("d/new", "d/newer"));
			works(rmdir("d/newer"));
		} else {
			refused(EACCES, mkdir("d/new", 0755));
			refused(EACCES, mkfifo("d/new", 0644));
			refused(EACCES, symlink("x", "d/new"));
			refused(EACCES, open("d/new", O_CREAT | O_WRONLY, 0644));
			refused(EACCES, unlink("d/f"));
			refused(EACCES, rmdir("d/sub"));
			refused(EACCES, rename("d/f", "d/g"));
		}
	}
}

static void a_path_is_refused_where_a_directory_of_it_may_not_be_passed(void)
{
	struct stat st;
	char target[8];

	give(DIRECTORY, "d", ALICE, STAFF, 0755);
	posix_fill("d/f", "x", 1);
	works(symlink("f", "d/l"));
	works(chown("d/f", BOB, STAFF));
	works(chmod("d", 0644));
	posix_as(BOB, GUESTS, GUESTS);
	refused(EACCES, chmod("d/f", 0600));
	refused(EACCES, chown("d/f", BOB, GUESTS));
	refused(EACCES, truncate("d/f", 0));
	refused(EACCES, utimensat(AT_FDCWD, "d/f", NULL, 0));
	refused(EACCES, stat("d/f", &st));
	refused(EACCES, readlink("d/l", target, sizeof(target)));
	refused(EACCES, unlink("d/f"));
	refused(EACCES, rename("d/f", "d/g"));
	refused(EACCES, mknod("d/n", S_IFIFO | 0644, 0));
	refused(EACCES, mkdir("d/n", 0755));
	refused(EACCES, symlink("x", "d/n"));
	refused(EACCES, link("d/f", "d/n"));
	refused(EACCES, getxattr("d/f", "user.a", target, sizeof(target)));
}

/* In a directory with the sticky bit, which names may be removed by whom. */
static void a_sticky_directory_protects_the_names_of_others(void)
{
	static const struct {
		uid_t of_directory, of_file, caller;
		bool may;
	} cases[] = {
		{0, 0, 0, true},           {ALICE, BOB, 0, true},      {ALICE, ALICE, ALICE, true}, {ALICE, BOB, ALICE, true},
		{BOB, ALICE, ALICE, true}, {BOB, CAROL, ALICE, false}, {BOB, BOB, ALICE, false},    {0, 0, ALICE, false},
	};

	works(mkdir("other", 0777));
	works(chmod("other", 0777));
	for (enum posix_type type = 0; type < POSIX_TYPES; type++) {
		for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
			posix_about("%s, case %zu", posix_type_name(type), i);
			give(DIRECTORY, "d", cases[i].of_directory, STAFF, 01777);
			give(type, "d/f", cases[i].of_file, STAFF, 0777);
			give(type == DIRECTORY ? DIRECTORY : REGULAR, "other/new", cases[i].caller, STAFF, 0777);
			posix_as(cases[i].caller, GUESTS, GUESTS);
			if (cases[i].may) {
				works(rename("d/f", "other/f"));
				works(rename("other/f", "d/f"));
				works(rename("d/f", "d/g"));
				works(rename("d/g", "d/f"));
				works(rename("other/new", "d/f"));
				works(remove("d/f"));
				posix_as_root();
			} else {
				int64_t changed = posix_ctime("d/f"), parent = posix_ctime("d");
				refused(EPERM, rename("d/f", "other/f"));
				refused(EPERM, rename("d/f", "d/g"));
				refused(EPERM, rename("other/new", "d/f"));
				refused(EPERM, type == DIRECTORY ? rmdir("d/f") : unlink("d/f"));
				equal(posix_ctime("d/f"), changed);
				equal(posix_ctime("d"), parent);
				posix_as_root();
				posix_remove(type, "d/f");
				works(remove("other/new"));
			}
			works(rmdir("d"));
		}
	}
}

static void moving_a_directory_of_others_needs_write_permission_in_it(void)
{
	/* Its ".." changes. */
	works(mkdir("a", 0777));
	works(mkdir("b", 0777));
	give(DIRECTORY, "a/d", BOB, STAFF, 0755);
	posix_as(ALICE, STAFF, STAFF);
	refused(EACCES, rename("a/d", "b/d"));
	works(rename("a/d", "a/e"));
	posix_as_root();
	works(chmod("a/e", 0777));
	posix_as(ALICE, STAFF, STAFF);
	works(rename("a/e", "b/e"));
}

static const struct posix_rule rules[] = {
	POSIX_RULE(chmod_sets_all_twelve_bits_of_every_type),
	POSIX_RULE(chmod_is_for_the_owner_and_root_alone),
	POSIX_RULE(chmod_by_one_outside_of_the_group_loses_setgid),
	POSIX_RULE(chown_by_root_changes_what_it_is_told),
	POSIX_RULE(chown_follows_links_and_lchown_does_not),
	POSIX_RULE(an_owner_may_give_a_file_to_his_groups_only),
	POSIX_RULE(chown_takes_suid_and_sgid_from_all_but_directories),
	POSIX_RULE(writing_by_others_than_root_takes_suid_and_sgid),
	POSIX_RULE(truncating_by_others_than_root_takes_suid_and_sgid),
	POSIX_RULE(changes_of_an_open_file_come_in_their_order),
	POSIX_RULE(umask_takes_bits_of_what_is_made),
	POSIX_RULE(what_is_made_belongs_to_its_maker),
	POSIX_RULE(what_is_made_in_a_setgid_directory_is_its_groups),
	POSIX_RULE(the_owner_the_group_and_others_have_their_own_bits),
	POSIX_RULE(a_directory_is_passed_read_and_changed_by_its_bits),
	POSIX_RULE(a_path_is_refused_where_a_directory_of_it_may_not_be_passed),
	POSIX_RULE(a_sticky_directory_protects_the_names_of_others),
	POSIX_RULE(moving_a_directory_of_others_needs_write_permission_in_it),
};

int main(void)
{
	return posix_run(rules, sizeof(rules) / sizeof(*rules));
}
