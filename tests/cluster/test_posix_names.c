/* Names: what makes, moves and removes them, and what each call refuses. */
#include "tests/lib/posix.h"
#include "tests/lib/files.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

/* A call on one path, with whatever else it needs. */
static int call_open(const char *name)
{
	return try_open(name, O_RDONLY) == 0 ? 0 : -1;
}

static int call_create(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	return fd < 0 ? -1 : close(fd);
}

static int call_create_new(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	return fd < 0 ? -1 : close(fd);
}

static int call_mkdir(const char *name)
{
	return mkdir(name, 0755);
}

static int call_mkfifo(const char *name)
{
	return mkfifo(name, 0644);
}

static int call_mknod(const char *name)
{
	return mknod(name, S_IFCHR | 0644, makedev(1, 2));
}

static int call_symlink(const char *name)
{
	return symlink("target", name);
}

static int call_rename_from(const char *name)
{
	return rename(name, "renamed");
}

static int call_rename_to(const char *name)
{
	return rename("source", name);
}

static int call_chmod(const char *name)
{
	return chmod(name, 0640);
}

static int call_chown(const char *name)
{
	return chown(name, 1, 2);
}

static int call_lchown(const char *name)
{
	return lchown(name, 1, 2);
}

static int call_truncate(const char *name)
{
	return truncate(name, 10);
}

static int call_utimens(const char *name)
{
	return utimensat(AT_FDCWD, name, NULL, 0);
}

static int call_stat(const char *name)
{
	struct stat st;
	return stat(name, &st);
}

static int call_lstat(const char *name)
{
	struct stat st;
	return lstat(name, &st);
}

static int call_access(const char *name)
{
	return access(name, F_OK);
}

static int call_readlink(const char *name)
{
	char target[16];
	return (int)readlink(name, target, sizeof(target));
}

static int call_setxattr(const char *name)
{
	return setxattr(name, "user.a", "b", 1, 0);
}

static int call_chdir(const char *name)
{
	return chdir(name);
}

enum { MAKES = 1, FOLLOWS = 2 };

/* `flags`: it makes the name; it follows a link that the name is. */
static const struct path_call {
	const char *name;
	int (*call)(const char *name);
	int flags;
} calls[] = {
	{"open", call_open, FOLLOWS},
	{"open with O_CREAT", call_create, MAKES | FOLLOWS},
	{"open with O_CREAT and O_EXCL", call_create_new, MAKES},
	{"mkdir", call_mkdir, MAKES},
	{"mkfifo", call_mkfifo, MAKES},
	{"mknod", call_mknod, MAKES},
	{"symlink", call_symlink, MAKES},
	{"rename to", call_rename_to, MAKES},
	{"rename from", call_rename_from, 0},
	{"chmod", call_chmod, FOLLOWS},
	{"chown", call_chown, FOLLOWS},
	{"lchown", call_lchown, 0},
	{"truncate", call_truncate, FOLLOWS},
	{"utimensat", call_utimens, FOLLOWS},
	{"stat", call_stat, FOLLOWS},
	{"lstat", call_lstat, 0},
	{"access", call_access, FOLLOWS},
	{"readlink", call_readlink, 0},
	{"setxattr", call_setxattr, FOLLOWS},
	{"chdir", call_chdir, FOLLOWS},
	{"unlink", unlink, 0},
	{"rmdir", rmdir, 0},
};

#define CALLS (sizeof(calls) / sizeof(*calls))

static void what_lies_below_something_else_than_a_directory_is_enotdir(void)
{
	posix_make(REGULAR, "source");
	for (enum posix_type type = 0; type < SYMLINK; type++) {
		if (type == DIRECTORY)
			continue;
		posix_make(type, "f");
		for (size_t i = 0; i < CALLS; i++) {
			posix_about("%s below %s", calls[i].name, posix_type_name(type));
			refused(ENOTDIR, calls[i].call("f/name"));
			refused(ENOTDIR, calls[i].call("f/name/more"));
		}
		posix_remove(type, "f");
	}
}

static void what_is_not_there_is_enoent(void)
{
	posix_make(REGULAR, "source");
	works(symlink("none", "dangling"));
	for (size_t i = 0; i < CALLS; i++) {
		posix_about("%s", calls[i].name);
		refused(ENOENT, calls[i].call("none/name"));
		refused(ENOENT, calls[i].call(""));
		if (!(calls[i].flags & MAKES))
			refused(ENOENT, calls[i].call("none"));
		if (calls[i].flags & FOLLOWS && !(calls[i].flags & MAKES))
			refused(ENOENT, calls[i].call("dangling"));
	}
}

static void a_name_has_255_bytes_at_most(void)
{
	char longest[NAME_MAX + 1], more[NAME_MAX + 2], much[2000];

	memset(longest, 'n', sizeof(longest));
	memset(more, 'n', sizeof(more));
	memset(much, 'n', sizeof(much));
	longest[NAME_MAX] = more[NAME_MAX + 1] = much[sizeof(much) - 1] = '\0';
	posix_make(REGULAR, "source");
	works(mkdir("dir", 0755));
	for (enum posix_type type = 0; type < POSIX_TYPES; type++) {
		if (type == SOCKET)
			continue;
		posix_about("%s", posix_type_name(type));
		posix_make(type, longest);
		equal(posix_stat(longest).st_mode & S_IFMT, posix_type_mode(type));
		works(rename(longest, "short"));
		works(rename("short", path("dir/%s", longest)));
		posix_remove(type, path("dir/%s", longest));
	}
	for (size_t i = 0; i < CALLS; i++) {
		posix_about("%s", calls[i].name);
		refused(ENAMETOOLONG, calls[i].call(more));
		refused(ENAMETOOLONG, calls[i].call(much));
		refused(ENAMETOOLONG, calls[i].call(path("dir/%s", more)));
		refused(ENAMETOOLONG, calls[i].call(path("%s/x", more)));
	}
	equal(pathconf(".", _PC_NAME_MAX), 255);
}

/* The longest key there may be, as a path below the mount's root: its directories are made on the way. */
static char *longest_path(void)
{
	char *name = malloc(PATH_MAX + 1);

	if (!name)
		abort();
	for (size_t i = 0; i < PATH_MAX; i++)
		name[i] = i % 128 == 127 ? '/' : 'p';
	name[PATH_MAX - 1] = '\0';
	name[PATH_MAX - 2] = 'e';
	for (char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		works(mkdir(name, 0755));
		*slash = '/';
	}
	return name;
}

static void remove_path(char *name)
{
	for (char *slash = strrchr(name, '/'); slash; slash = strrchr(name, '/')) {
		*slash = '\0';
		works(rmdir(name));
	}
}

static void a_path_has_4095_bytes_at_most(void)
{
	works(chdir(".."));
	char *name = longest_path(), more[PATH_MAX + 1];
	equal(strlen(name), 4095);
	memcpy(more, name, PATH_MAX - 1);
	memcpy(more + PATH_MAX - 1, "x", 2);
	posix_make(REGULAR, "source");
	for (enum posix_type type = 0; type < POSIX_TYPES; type++) {
		if (type == SOCKET)
			continue;
		posix_about("%s", posix_type_name(type));
		posix_make(type, name);
		works(lchown(name, 5, 6));
		equal(posix_stat(name).st_uid, 5);
		works(rename(name, "short"));
		works(rename("short", name));
		posix_remove(type, name);
	}
	for (size_t i = 0; i < CALLS; i++) {
		posix_about("%s", calls[i].name);
		refused(ENAMETOOLONG, calls[i].call(more));
	}
	works(unlink("source"));
	remove_path(name);
	free(name);
}

/* A key cannot be longer than a path either, however one gets there. */
static void a_key_has_4095_bytes_at_most(void)
{
	int depth = 0;

	works(mkdir("top", 0755));
	works(mkdir("deep", 0755));
	works(chdir("deep"));
	/* Above are the mount's root, this rule's directory and "deep". */
	size_t used = strlen(__func__) + strlen("/deep");
	while (used + 101 <= 4095) {
		const char *name = path("%0100d", ++depth);
		works(mkdir(name, 0755));
		works(chdir(name));
		used += 101;
	}
	refused(ENAMETOOLONG, mkdir(path("%0100d", 1), 0755));
	refused(ENAMETOOLONG, call_create(path("%0100d", 1)));
	refused(ENAMETOOLONG, symlink("x", path("%0100d", 1)));
	size_t left = 4095 - used - 1;
	if (left > 0 && left < 255) {
		works(mkdir(path("%0*d", (int)left, 2), 0755));
		refused(ENAMETOOLONG, mkdir(path("%0*d", (int)left + 1, 2), 0755));
		works(rmdir(path("%0*d", (int)left, 2)));
	}
	for (; depth > 0; depth--) {
		works(chdir(".."));
		if (depth > 1)
			continue;
		/* All of it at once to where it would be too long, and not. */
		refused(ENAMETOOLONG, rename(path("%0100d", 1), path("%0200d", 1)));
		works(rename(path("%0100d", 1), "1"));
		works(rename("1", path("%0100d", 1)));
	}
}

static void links_in_a_circle_are_eloop(void)
{
	works(symlink("b", "a"));
	works(symlink("a", "b"));
	works(symlink("self", "self"));
	posix_make(REGULAR, "source");
	for (size_t i = 0; i < CALLS; i++) {
		posix_about("%s", calls[i].name);
		refused(ELOOP, calls[i].call("a/name"));
		refused(ELOOP, calls[i].call("self/name"));
		if (calls[i].flags & FOLLOWS)
			refused(ELOOP, calls[i].call("a"));
	}
	refused(ELOOP, open("a", O_RDONLY | O_NOFOLLOW));
}

static void what_is_there_cannot_be_made(void)
{
	int (*makes[])(const char *) = {call_create_new, call_mkdir, call_mkfifo, call_mknod, call_symlink};

	for (enum posix_type type = 0; type < POSIX_TYPES; type++) {
		posix_make(type, "f");
		int64_t changed = posix_ctime("f");
		for (size_t i = 0; i < sizeof(makes) / sizeof(*makes); i++) {
			posix_about("%zu for %s", i, posix_type_name(type));
			refused(EEXIST, makes[i]("f"));
			refused(EEXIST, makes[i]("../what_is_there_cannot_be_made"));
		}
		refused(EEXIST, mkdir(".", 0755));
		refused(EEXIST, mkdir("..", 0755));
		equal(posix_ctime("f"), changed);
		posix_remove(type, "f");
	}
}

static void unlink_removes_all_but_directories(void)
{
	struct stat st;

	for (enum posix_type type = 0; type < POSIX_TYPES; type++) {
		posix_about("%s", posix_type_name(type));
		posix_make(type, "f");
		if (type == DIRECTORY) {
			refused(EISDIR, unlink("f"));
			refused(EISDIR, unlink("f/"));
			works(rmdir("f"));
		} else {
			refused(ENOTDIR, rmdir("f"));
			refused(ENOTDIR, unlink("f/"));
			works(unlink("f"));
		}
		refused(ENOENT, lstat("f", &st));
	}
}

static void rmdir_removes_only_what_is_empty(void)
{
	for (enum posix_type type = 0; type < POSIX_TYPES; type++) {
		posix_about("with %s in it", posix_type_name(type));
		works(mkdir("d", 0755));
		posix_make(type, "d/f");
		refused(ENOTEMPTY, rmdir("d"));
		posix_remove(type, "d/f");
		works(rmdir("d"));
	}
	works(mkdir("d", 0755));
	works(mkdir("d/e", 0755));
	refused(EINVAL, rmdir("d/e/."));
	refused(ENOTEMPTY, rmdir("d/e/.."));
	works(symlink("d/e", "link"));
	refused(ENOTDIR, rmdir("link"));
	refused(EBUSY, rmdir(posix_cluster()->nodes[0].mount));
}

static void a_directory_has_two_links_and_one_for_each_directory_in_it(void)
{
	struct stat st;

	works(mkdir("d", 0755));
	equal(posix_stat("d").st_nlink, 2);
	for (int i = 0; i < 5; i++) {
		works(mkdir(path("d/%d", i), 0755));
		equal(posix_stat("d").st_nlink, 3 + i);
	}
	posix_make(REGULAR, "d/file");
	posix_make(SYMLINK, "d/link");
	equal(posix_stat("d").st_nlink, 7);
	works(mkdir("e", 0755));
	works(rename("d/0", "e/0"));
	equal(posix_stat("d").st_nlink, 6);
	equal(posix_stat("e").st_nlink, 3);
	works(lstat("e/0/..", &st));
	equal(st.st_ino, posix_stat("e").st_ino);
	works(rename("d/1", "e/0"));
	equal(posix_stat("d").st_nlink, 5);
	equal(posix_stat("e").st_nlink, 3);
	works(rename("d/2", "d/3"));
	equal(posix_stat("d").st_nlink, 4);
	works(renameat2(AT_FDCWD, "d/3", AT_FDCWD, "d/file", RENAME_EXCHANGE));
	equal(posix_stat("d").st_nlink, 4);
	works(renameat2(AT_FDCWD, "d/file", AT_FDCWD, "e/0", RENAME_EXCHANGE));
	equal(posix_stat("d").st_nlink, 4);
	works(renameat2(AT_FDCWD, "d/link", AT_FDCWD, "e/0", RENAME_EXCHANGE));
	equal(posix_stat("d").st_nlink, 5);
	equal(posix_stat("e").st_nlink, 2);
	works(rmdir("d/link"));
	works(rmdir("d/file"));
	works(rmdir("d/4"));
	equal(posix_stat("d").st_nlink, 2);
}

static void rename_keeps_the_file(void)
{
	struct stat st;

	for (enum posix_type type = 0; type < POSIX_TYPES; type++) {
		posix_about("%s", posix_type_name(type));
		posix_make(type, "f");
		works(lchown("f", 5, 6));
		struct stat before = posix_stat("f");
		works(rename("f", "g"));
		refused(ENOENT, lstat("f", &st));
		st = posix_stat("g");
		equal(st.st_ino, before.st_ino);
		equal(st.st_mode, before.st_mode);
		equal(st.st_uid, 5);
		equal(st.st_rdev, before.st_rdev);
		equal(st.st_nlink, before.st_nlink);
		equal(st.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
		holds(posix_ctime("g") > before.st_ctim.tv_sec * INT64_C(1000000000) + before.st_ctim.tv_nsec);
		works(rename("g", "g"));
		posix_remove(type, "g");
	}
}

static int rename_error(enum posix_type from, enum posix_type to)
{
	return from == DIRECTORY && to != DIRECTORY ? ENOTDIR : from != DIRECTORY && to == DIRECTORY ? EISDIR : 0;
}

static void rename_replaces_what_is_of_its_kind(void)
{
	struct stat st;

	for (enum posix_type from = 0; from < POSIX_TYPES; from++) {
		for (enum posix_type to = 0; to < POSIX_TYPES; to++) {
			posix_about("%s over %s", posix_type_name(from), posix_type_name(to));
			posix_make(from, "from");
			posix_make(to, "to");
			ino_t number = posix_stat("from").st_ino, old = posix_stat("to").st_ino;
			int error = rename_error(from, to);
			refused(EEXIST, renameat2(AT_FDCWD, "from", AT_FDCWD, "to", RENAME_NOREPLACE));
			if (error) {
				refused(error, rename("from", "to"));
				equal(posix_stat("from").st_ino, number);
				equal(posix_stat("to").st_ino, old);
				posix_remove(to, "to");
				works(renameat2(AT_FDCWD, "from", AT_FDCWD, "to", RENAME_NOREPLACE));
			} else {
				works(rename("from", "to"));
			}
			refused(ENOENT, lstat("from", &st));
			equal(posix_stat("to").st_ino, number);
			posix_remove(from, "to");
		}
	}
}

static void rename_exchange_swaps_any_two(void)
{
	for (enum posix_type from = 0; from < POSIX_TYPES; from++) {
		for (enum posix_type to = 0; to < POSIX_TYPES; to++) {
			posix_about("%s and %s", posix_type_name(from), posix_type_name(to));
			posix_make(from, "from");
			posix_make(to, "to");
			struct stat one = posix_stat("from"), two = posix_stat("to");
			works(renameat2(AT_FDCWD, "from", AT_FDCWD, "to", RENAME_EXCHANGE));
			equal(posix_stat("from").st_ino, two.st_ino);
			equal(posix_stat("to").st_ino, one.st_ino);
			equal(posix_stat("from").st_mode, two.st_mode);
			equal(posix_stat("to").st_mode, one.st_mode);
			posix_remove(to, "from");
			posix_remove(from, "to");
		}
	}
	posix_make(REGULAR, "from");
	refused(ENOENT, renameat2(AT_FDCWD, "from", AT_FDCWD, "none", RENAME_EXCHANGE));
	refused(ENOENT, renameat2(AT_FDCWD, "none", AT_FDCWD, "from", RENAME_EXCHANGE));
	refused(EINVAL, renameat2(AT_FDCWD, "from", AT_FDCWD, "to", RENAME_EXCHANGE | RENAME_NOREPLACE));
	refused(EINVAL, renameat2(AT_FDCWD, "from", AT_FDCWD, "to", RENAME_WHITEOUT));
	works(mkdir("d", 0755));
	works(mkdir("d/e", 0755));
	refused(EINVAL, renameat2(AT_FDCWD, "d", AT_FDCWD, "d/e", RENAME_EXCHANGE));
	refused(EINVAL, renameat2(AT_FDCWD, "d/e", AT_FDCWD, "d", RENAME_EXCHANGE));
}

static void rename_into_itself_is_einval_and_onto_what_is_not_empty_enotempty(void)
{
	works(mkdir("d", 0755));
	works(mkdir("d/e", 0755));
	works(mkdir("other", 0755));
	refused(EINVAL, rename("d", "d/e"));
	refused(EINVAL, rename("d", "d/new"));
	refused(EINVAL, rename("d", "d/e/new"));
	refused(ENOTEMPTY, rename("d/e", "d"));
	for (enum posix_type type = 0; type < POSIX_TYPES; type++) {
		posix_make(type, "other/f");
		refused(ENOTEMPTY, rename("d", "other"));
		posix_remove(type, "other/f");
	}
	refused(EBUSY, rename("d/e/.", "x"));
	refused(EBUSY, rename("d/e/..", "x"));
	refused(EBUSY, rename("other", "d/."));
	refused(EBUSY, rename("other", "d/.."));
	works(rename("d", "other"));
	works(lstat("other/e", &(struct stat){0}));
	refused(EXDEV, rename("other", "/tmp/tally-posix-nowhere"));
}

static void rename_of_a_directory_takes_along_what_is_in_it(void)
{
	works(mkdir("d", 0755));
	works(mkdir("d/sub", 0755));
	posix_fill("d/sub/f", "text", 4);
	int fd = (int)works(open("d/sub/f", O_RDWR | O_CLOEXEC));
	int dir = (int)works(open("d/sub", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	ino_t number = posix_stat("d/sub/f").st_ino;
	works(rename("d", "e"));
	holds(posix_holds("e/sub/f", "text", 4));
	equal(posix_stat("e/sub/f").st_ino, number);
	refused(ENOENT, open("d/sub/f", O_RDONLY));
	equal(pwrite(fd, "T", 1, 0), 1);
	works(close(fd));
	holds(posix_holds("e/sub/f", "Text", 4));
	works(mkdirat(dir, "new", 0755));
	works(lstat("e/sub/new", &(struct stat){0}));
	works(fchdir(dir));
	works(mkdir("newer", 0755));
	works(chdir("../.."));
	works(lstat("e/sub/newer", &(struct stat){0}));
	works(close(dir));
}

static void links_hold_any_target_up_to_4095_bytes(void)
{
	char target[PATH_MAX + 1], back[PATH_MAX + 1];
	const size_t sizes[] = {1, 59, 60, 255, 1000, 4094, 4095};

	memset(target, 't', sizeof(target));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		target[sizes[i]] = '\0';
		works(symlink(target, "link"));
		equal(posix_stat("link").st_size, sizes[i]);
		equal(posix_mode("link"), 0777);
		equal(readlink("link", back, sizeof(back)), sizes[i]);
		holds(memcmp(back, target, sizes[i]) == 0);
		equal(readlink("link", back, 1), 1);
		works(unlink("link"));
		target[sizes[i]] = 't';
	}
	target[PATH_MAX] = '\0';
	refused(ENAMETOOLONG, symlink(target, "link"));
	refused(ENOENT, symlink("", "link"));
	posix_make(REGULAR, "f");
	refused(EINVAL, readlink("f", back, sizeof(back)));
	refused(EINVAL, readlink(".", back, sizeof(back)));
}

static void links_are_followed_where_they_should_be(void)
{
	works(mkdir("d", 0755));
	posix_fill("d/f", "text", 4);
	works(symlink("d", "dir"));
	works(symlink("dir/f", "file"));
	works(symlink("made", "new"));
	holds(posix_holds("file", "text", 4));
	holds(posix_holds("dir/f", "text", 4));
	equal(posix_stat("file").st_mode & S_IFMT, S_IFLNK);
	/* Creating through a dangling one makes its target; with O_EXCL it does not. */
	refused(EEXIST, open("new", O_WRONLY | O_CREAT | O_EXCL, 0644));
	works(call_create("new"));
	works(lstat("made", &(struct stat){0}));
	refused(EEXIST, mkdir("new", 0755));
	refused(ELOOP, open("file", O_RDONLY | O_NOFOLLOW));
	refused(ENOTDIR, open("file", O_RDONLY | O_DIRECTORY));
	refused(ENOTDIR, open("dir", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
	works(close(open("dir", O_RDONLY | O_DIRECTORY)));
	works(close(open("file", O_PATH | O_NOFOLLOW)));
	works(unlink("file"));
	holds(posix_holds("d/f", "text", 4));
}

static void device_nodes_keep_their_numbers(void)
{
	const dev_t numbers[] = {makedev(1, 2), makedev(0, 1), makedev(255, 255), makedev(4095, 1048575), makedev(1, 3)};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		works(mknod("c", S_IFCHR | 0644, numbers[i]));
		works(mknod("b", S_IFBLK | 0600, numbers[i]));
		equal(posix_stat("c").st_rdev, numbers[i]);
		equal(posix_stat("b").st_rdev, numbers[i]);
		equal(posix_stat("c").st_mode, S_IFCHR | 0644);
		equal(posix_stat("b").st_mode, S_IFBLK | 0600);
		works(unlink("c"));
		works(unlink("b"));
	}
	works(mknod("f", S_IFREG | 0640, 0));
	equal(posix_stat("f").st_mode, S_IFREG | 0640);
	works(mknod("g", 0600, 0));
	equal(posix_stat("g").st_mode, S_IFREG | 0600);
	refused(EPERM, mknod("d", S_IFDIR | 0755, 0));
	refused(EINVAL, mknod("d", S_IFLNK | 0755, 0));
	equal(posix_stat("f").st_rdev, 0);
	works(mkfifo("p", 0600));
	equal(posix_stat("p").st_rdev, 0);
}

static void hard_links_are_refused(void)
{
	for (enum posix_type type = 0; type < POSIX_TYPES; type++) {
		posix_about("%s", posix_type_name(type));
		posix_make(type, "f");
		refused(EPERM, link("f", "g"));
		equal(posix_stat("f").st_nlink, type == DIRECTORY ? 2 : 1);
		refused(ENOENT, lstat("g", &(struct stat){0}));
		posix_remove(type, "f");
	}
}

static void a_trailing_slash_wants_a_directory(void)
{
	posix_make(REGULAR, "f");
	works(mkdir("d/", 0755));
	refused(ENOTDIR, lstat("f/", &(struct stat){0}));
	works(lstat("d/", &(struct stat){0}));
	refused(EISDIR, open("new/", O_WRONLY | O_CREAT, 0644));
	refused(ENOENT, mkfifo("new/", 0644));
	refused(ENOTDIR, rename("f", "new/"));
	works(rename("d/", "e/"));
	works(rmdir("e/"));
}

static const struct posix_rule rules[] = {
	POSIX_RULE(what_lies_below_something_else_than_a_directory_is_enotdir),
	POSIX_RULE(what_is_not_there_is_enoent),
	POSIX_RULE(a_name_has_255_bytes_at_most),
	POSIX_RULE(a_path_has_4095_bytes_at_most),
	POSIX_RULE(a_key_has_4095_bytes_at_most),
	POSIX_RULE(links_in_a_circle_are_eloop),
	POSIX_RULE(what_is_there_cannot_be_made),
	POSIX_RULE(unlink_removes_all_but_directories),
	POSIX_RULE(rmdir_removes_only_what_is_empty),
	POSIX_RULE(a_directory_has_two_links_and_one_for_each_directory_in_it),
	POSIX_RULE(rename_keeps_the_file),
	POSIX_RULE(rename_replaces_what_is_of_its_kind),
	POSIX_RULE(rename_exchange_swaps_any_two),
	POSIX_RULE(rename_into_itself_is_einval_and_onto_what_is_not_empty_enotempty),
	POSIX_RULE(rename_of_a_directory_takes_along_what_is_in_it),
	POSIX_RULE(links_hold_any_target_up_to_4095_bytes),
	POSIX_RULE(links_are_followed_where_they_should_be),
	POSIX_RULE(device_nodes_keep_their_numbers),
	POSIX_RULE(hard_links_are_refused),
	POSIX_RULE(a_trailing_slash_wants_a_directory),
};

int main(void)
{
	return posix_run(rules, sizeof(rules) / sizeof(*rules));
}
