/* Access, modification and change times: what sets them, who may, and what leaves them alone. */
#include "tests/lib/posix.h"
#include "tests/lib/files.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define ALICE 65534
#define BOB 65533
#define STAFF 65530
#define GUESTS 65529
#define SECOND INT64_C(1000000000)

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * SECOND + t.tv_nsec;
}

static int set_times(const char *name, struct timespec atime, struct timespec mtime)
{
	return utimensat(AT_FDCWD, name, (struct timespec[]){atime, mtime}, AT_SYMLINK_NOFOLLOW);
}

static void utimensat_sets_both_times_to_the_nanosecond(void)
{
	static const struct timespec cases[][2] = {
		{{1900000000, 123456789}, {1950000000, 987654321}},
		{{0, 0}, {0, 1}},
		{{1, 999999999}, {2147483647, 999999999}},
		{{2147483648, 0}, {4294967296, 0}}, /* 32 bits are not enough */
		{{-1, 0}, {-2, 999999999}},         /* before 1970 */
		{{-2147483648, 5}, {9000000000, 7}},
	};

	for (enum posix_type type = 0; type < POSIX_TYPES; type++) {
		posix_make(type, "f");
		for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
			posix_about("%s, case %zu", posix_type_name(type), i);
			int64_t changed = posix_ctime("f");
			works(set_times("f", cases[i][0], cases[i][1]));
			struct stat st = posix_stat("f");
			equal(st.st_atim.tv_sec, cases[i][0].tv_sec);
			equal(st.st_atim.tv_nsec, cases[i][0].tv_nsec);
			equal(st.st_mtim.tv_sec, cases[i][1].tv_sec);
			equal(st.st_mtim.tv_nsec, cases[i][1].tv_nsec);
			holds(posix_ctime("f") > changed);
		}
		posix_remove(type, "f");
	}
}

static void times_too_far_away_become_the_last_or_first_possible(void)
{
	posix_make(REGULAR, "f");
	works(set_times("f", (struct timespec){INT64_C(1) << 40, 5}, (struct timespec){-(INT64_C(1) << 40), 5}));
	struct stat st = posix_stat("f");
	holds(st.st_atim.tv_sec > 9000000000);
	holds(st.st_mtim.tv_sec < -9000000000);
	int fd = (int)works(open("f", O_RDWR | O_CLOEXEC));
	equal(write(fd, "x", 1), 1);
	works(futimens(fd, (struct timespec[]){{-5, 6}, {INT64_C(1) << 40, 5}}));
	works(fstat(fd, &st));
	equal(st.st_atim.tv_sec, -5);
	equal(st.st_atim.tv_nsec, 6);
	holds(st.st_mtim.tv_sec > 9000000000);
	works(close(fd));
	equal(posix_stat("f").st_atim.tv_sec, -5);
	equal(posix_stat("f").st_mtim.tv_sec, st.st_mtim.tv_sec);
}

static void utime_now_and_utime_omit(void)
{
	const struct timespec now = {0, UTIME_NOW}, omit = {0, UTIME_OMIT}, fixed = {1234567890, 42};

	for (enum posix_type type = 0; type < POSIX_TYPES; type++) {
		posix_about("%s", posix_type_name(type));
		posix_make(type, "f");
		works(set_times("f", fixed, fixed));
		works(set_times("f", omit, (struct timespec){5, 6}));
		equal(posix_atime("f"), fixed.tv_sec * SECOND + 42);
		equal(posix_mtime("f"), 5 * SECOND + 6);
		works(set_times("f", (struct timespec){7, 8}, omit));
		equal(posix_atime("f"), 7 * SECOND + 8);
		equal(posix_mtime("f"), 5 * SECOND + 6);
		int64_t before = now_ns();
		works(set_times("f", now, omit));
		holds(posix_atime("f") >= before - SECOND && posix_atime("f") <= now_ns() + SECOND);
		equal(posix_mtime("f"), 5 * SECOND + 6);
		works(set_times("f", omit, now));
		holds(posix_mtime("f") >= before - SECOND && posix_mtime("f") <= now_ns() + SECOND);
		int64_t atime = posix_atime("f"), mtime = posix_mtime("f"), changed = posix_ctime("f");
		works(set_times("f", omit, omit));
		equal(posix_atime("f"), atime);
		equal(posix_mtime("f"), mtime);
		equal(posix_ctime("f"), changed);
		works(utimensat(AT_FDCWD, "f", NULL, AT_SYMLINK_NOFOLLOW));
		holds(posix_mtime("f") > mtime);
		equal(posix_mtime("f"), posix_atime("f"));
		refused(EINVAL, set_times("f", (struct timespec){0, SECOND}, omit));
		posix_remove(type, "f");
	}
}

/* Given times are for the owner; now is for whoever may write as well. */
static void who_may_set_times(void)
{
	static const struct {
		uid_t uid;
		gid_t gid;
		mode_t mode;
		int given, now;
	} cases[] = {
		{ALICE, STAFF, 0644, 0, 0},        {ALICE, STAFF, 0444, 0, 0},    {BOB, STAFF, 0664, EPERM, 0},
		{BOB, STAFF, 0644, EPERM, EACCES}, {BOB, GUESTS, 0666, EPERM, 0}, {BOB, GUESTS, 0664, EPERM, EACCES},
	};
	const struct timespec given = {1, 2}, now = {0, UTIME_NOW}, omit = {0, UTIME_OMIT};

	for (enum posix_type type = 0; type < SYMLINK; type++) {
		posix_make(type, "f");
		works(chown("f", ALICE, STAFF));
		for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
			posix_about("%s, case %zu", posix_type_name(type), i);
			works(chmod("f", cases[i].mode));
			int64_t changed = posix_ctime("f");
			posix_as(cases[i].uid, cases[i].gid, cases[i].gid);
			if (cases[i].given) {
				refused(EPERM, set_times("f", given, given));
				refused(EPERM, set_times("f", now, omit));
				refused(EPERM, set_times("f", omit, given));
			} else {
				works(set_times("f", given, given));
				works(set_times("f", now, omit));
				works(set_times("f", omit, given));
			}
			if (cases[i].now) {
				refused(EACCES, set_times("f", now, now));
				refused(EACCES, utimensat(AT_FDCWD, "f", NULL, 0));
				equal(posix_ctime("f"), changed);
			} else {
				works(set_times("f", now, now));
				works(utimensat(AT_FDCWD, "f", NULL, 0));
			}
			works(set_times("f", omit, omit));
			posix_as_root();
		}
		posix_remove(type, "f");
	}
}

/* What a call changes of the directory "d" and of "d/f": 'm' its mtime and ctime, 'c' its ctime alone, '-' nothing. */
struct effect {
	const char *what;
	int (*act)(void);
	char of_directory, of_file;
};

static int act_write(void)
{
	return file_append("d/f", "more");
}

static int act_truncate(void)
{
	return truncate("d/f", 1);
}

static int act_open_truncating(void)
{
	int fd = open("d/f", O_WRONLY | O_TRUNC | O_CLOEXEC);
	return close(fd);
}

static int act_ftruncate(void)
{
	int fd = open("d/f", O_WRONLY | O_CLOEXEC);
	return ftruncate(fd, 100) + close(fd);
}

static int act_truncate_again(void)
{
	return truncate("d/f", 0);
}

static int act_ftruncate_again(void)
{
	int fd = open("d/f", O_WRONLY | O_CLOEXEC);
	return ftruncate(fd, 0) + close(fd);
}

static int act_fallocate(void)
{
	int fd = open("d/f", O_WRONLY | O_CLOEXEC);
	return fallocate(fd, 0, 0, 5000) + close(fd);
}

static int act_chmod(void)
{
	return chmod("d/f", 0600);
}

static int act_chown(void)
{
	return chown("d/f", 1, 2);
}

static int act_setxattr(void)
{
	return setxattr("d/f", "user.a", "b", 1, 0);
}

static int act_removexattr(void)
{
	return removexattr("d/f", "user.there");
}

static int act_open_existing(void)
{
	return close(open("d/f", O_RDWR | O_CREAT | O_CLOEXEC, 0644));
}

static int act_read(void)
{
	char buffer[16];
	return file_read("d/f", buffer, sizeof(buffer)) < 0 ? -1 : 0;
}

static int act_stat(void)
{
	struct stat st;
	return lstat("d/f", &st);
}

static int act_create(void)
{
	return file_write("d/new", "x");
}

static int act_create_empty(void)
{
	return close(open("d/new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
}

static int act_mkdir(void)
{
	return mkdir("d/new", 0755);
}

static int act_rmdir(void)
{
	return rmdir("d/sub");
}

static int act_mkfifo(void)
{
	return mkfifo("d/new", 0644);
}

static int act_symlink(void)
{
	return symlink("x", "d/new");
}

static int act_unlink(void)
{
	return unlink("d/other");
}

static int act_rename(void)
{
	return rename("d/f", "d/g") + rename("d/g", "d/f");
}

static int act_rename_over(void)
{
	return rename("d/f", "d/other") + rename("d/other", "d/f");
}

static int act_rename_away(void)
{
	return rename("d/other", "elsewhere");
}

static int act_rename_in(void)
{
	return rename("outside", "d/inside");
}

static int act_exchange(void)
{
	return renameat2(AT_FDCWD, "d/f", AT_FDCWD, "d/other", RENAME_EXCHANGE) +
	       renameat2(AT_FDCWD, "d/f", AT_FDCWD, "d/other", RENAME_EXCHANGE);
}

static int act_rename_to_itself(void)
{
	return rename("d/f", "d/f");
}

static int act_chmod_directory(void)
{
	return chmod("d", 0700);
}

static int act_utime_now(void)
{
	return utimensat(AT_FDCWD, "d/f", NULL, 0);
}

static const struct effect effects[] = {
	{"write", act_write, '-', 'm'},
	{"truncate", act_truncate, '-', 'm'},
	{"open with O_TRUNC", act_open_truncating, '-', 'm'},
	{"ftruncate", act_ftruncate, '-', 'm'},
	{"fallocate", act_fallocate, '-', 'm'},
	{"chmod", act_chmod, '-', 'c'},
	{"chown", act_chown, '-', 'c'},
	{"setxattr", act_setxattr, '-', 'c'},
	{"removexattr", act_removexattr, '-', 'c'},
	{"open with O_CREAT of what is there", act_open_existing, '-', '-'},
	{"read", act_read, '-', '-'},
	{"stat", act_stat, '-', '-'},
	{"creation with content", act_create, 'm', '-'},
	{"creation", act_create_empty, 'm', '-'},
	{"mkdir", act_mkdir, 'm', '-'},
	{"rmdir", act_rmdir, 'm', '-'},
	{"mkfifo", act_mkfifo, 'm', '-'},
	{"symlink", act_symlink, 'm', '-'},
	{"unlink", act_unlink, 'm', '-'},
	{"rename", act_rename, 'm', 'c'},
	{"rename over a file", act_rename_over, 'm', 'c'},
	{"rename out of it", act_rename_away, 'm', '-'},
	{"rename into it", act_rename_in, 'm', '-'},
	{"RENAME_EXCHANGE", act_exchange, 'm', 'c'},
	{"rename to itself", act_rename_to_itself, '-', '-'},
	{"chmod of the directory", act_chmod_directory, 'c', '-'},
	{"utimensat to now", act_utime_now, '-', 'm'},
};

static void check_effect(char effect, const struct stat *before, const struct stat *after)
{
	const struct timespec *m = &before->st_mtim, *M = &after->st_mtim, *c = &before->st_ctim, *C = &after->st_ctim;
	bool modified = M->tv_sec > m->tv_sec || (M->tv_sec == m->tv_sec && M->tv_nsec > m->tv_nsec);
	bool changed = C->tv_sec > c->tv_sec || (C->tv_sec == c->tv_sec && C->tv_nsec > c->tv_nsec);

	equal(modified, effect == 'm');
	equal(changed, effect != '-');
	if (effect != 'm')
		holds(m->tv_sec == M->tv_sec && m->tv_nsec == M->tv_nsec);
}

static void every_call_sets_the_times_that_it_should(void)
{
	for (size_t i = 0; i < sizeof(effects) / sizeof(*effects); i++) {
		posix_about("%s", effects[i].what);
		works(mkdir("d", 0755));
		works(mkdir("d/sub", 0755));
		posix_fill("d/f", "some text", 9);
		posix_fill("d/other", "x", 1);
		posix_fill("outside", "x", 1);
		works(setxattr("d/f", "user.there", "x", 1, 0));
		struct stat d = posix_stat("d"), f = posix_stat("d/f");
		equal(effects[i].act(), 0);
		struct stat d2 = posix_stat("d"), f2 = posix_stat("d/f");
		check_effect(effects[i].of_directory, &d, &d2);
		check_effect(effects[i].of_file, &f, &f2);
		works(f.st_ino == f2.st_ino ? 0 : -1);
		works(rename("d", path("done%zu", i)));
	}
}

/* What `> stamp` is used for. */
static void a_truncation_that_leaves_the_size_sets_the_times(void)
{
	int (*const acts[])(void) = {act_open_truncating, act_truncate_again, act_ftruncate_again};

	works(mkdir("d", 0755));
	posix_make(REGULAR, "d/f");
	for (size_t i = 0; i < sizeof(acts) / sizeof(*acts); i++) {
		posix_about("%zu", i);
		struct stat d = posix_stat("d"), f = posix_stat("d/f");
		equal(acts[i](), 0);
		struct stat d2 = posix_stat("d"), f2 = posix_stat("d/f");
		check_effect('-', &d, &d2);
		check_effect('m', &f, &f2);
	}
	/* What is written after it has the later time. */
	int fd = (int)works(open("d/f", O_WRONLY | O_TRUNC | O_CLOEXEC));
	int64_t before = posix_mtime("d/f");
	works(futimens(fd, (struct timespec[]){{1, 2}, {3, 4}}));
	works(ftruncate(fd, 0));
	works(close(fd));
	holds(posix_mtime("d/f") > before);
}

/* Each is refused to Bob, for one reason or another. */
static void a_call_that_fails_changes_no_time(void)
{
	const struct timespec given = {1, 2};

	works(mkdir("d", 0755));
	works(mkdir("d/sub", 0755));
	posix_make(REGULAR, "d/sub/x");
	posix_fill("d/f", "some text", 9);
	posix_fill("d/other", "x", 1);
	struct stat d = posix_stat("d"), f = posix_stat("d/f"), sub = posix_stat("d/sub");
	posix_as(BOB, STAFF, STAFF);
	refused(EACCES, truncate("d/f", 1));
	refused(EPERM, chmod("d/f", 0600));
	refused(EPERM, chown("d/f", BOB, STAFF));
	refused(EPERM, set_times("d/f", given, given));
	refused(EACCES, setxattr("d/f", "user.a", "b", 1, 0));
	refused(EACCES, mkdir("d/new", 0755));
	refused(EACCES, unlink("d/f"));
	refused(EACCES, rename("d/f", "d/g"));
	posix_as_root();
	refused(EEXIST, mkdir("d/f", 0755));
	refused(EEXIST, mkfifo("d/f", 0644));
	refused(EEXIST, symlink("x", "d/f"));
	refused(EEXIST, open("d/f", O_CREAT | O_EXCL | O_WRONLY, 0644));
	refused(ENOTEMPTY, rmdir("d/sub"));
	refused(EISDIR, unlink("d/sub"));
	refused(ENOTDIR, rmdir("d/f"));
	refused(ENOENT, unlink("d/none"));
	refused(EISDIR, rename("d/f", "d/sub"));
	refused(ENOTDIR, rename("d/sub", "d/f"));
	refused(EEXIST, renameat2(AT_FDCWD, "d/f", AT_FDCWD, "d/other", RENAME_NOREPLACE));
	refused(ENOENT, renameat2(AT_FDCWD, "d/f", AT_FDCWD, "d/none", RENAME_EXCHANGE));
	refused(EINVAL, truncate("d/f", -1));
	refused(EPERM, link("d/f", "d/link"));
	refused(ENODATA, removexattr("d/f", "user.a"));
	refused(ENODATA, setxattr("d/f", "user.a", "b", 1, XATTR_REPLACE));
	struct stat d2 = posix_stat("d"), f2 = posix_stat("d/f"), sub2 = posix_stat("d/sub");
	check_effect('-', &d, &d2);
	check_effect('-', &f, &f2);
	check_effect('-', &sub, &sub2);
	equal(d.st_nlink, d2.st_nlink);
}

static void a_new_file_has_the_time_of_its_making(void)
{
	for (enum posix_type type = 0; type < POSIX_TYPES; type++) {
		posix_about("%s", posix_type_name(type));
		int64_t before = posix_ctime(".");
		posix_make(type, "f");
		struct stat st = posix_stat("f");
		holds(posix_atime("f") > before);
		holds(posix_mtime("f") > before);
		holds(posix_ctime("f") > before);
		holds(posix_mtime(".") > before);
		holds(posix_ctime(".") > before);
		equal(st.st_nlink, type == DIRECTORY ? 2 : 1);
		posix_remove(type, "f");
	}
}

/* Of a file being written, fstat tells the times of now. Times that were set are kept by what comes later only if it changes no content. */
static void an_open_file_shows_its_times_before_and_after_its_close(void)
{
	struct stat st;
	int64_t before = now_ns();

	int fd = (int)works(open("f", O_RDWR | O_CREAT | O_CLOEXEC, 0644));
	equal(write(fd, "x", 1), 1);
	works(fstat(fd, &st));
	holds((int64_t)st.st_mtim.tv_sec * SECOND + st.st_mtim.tv_nsec >= before);
	works(futimens(fd, (struct timespec[]){{5, 6}, {7, 8}}));
	works(fstat(fd, &st));
	equal(st.st_atim.tv_sec, 5);
	equal(st.st_mtim.tv_sec, 7);
	equal(st.st_mtim.tv_nsec, 8);
	works(close(fd));
	equal(posix_atime("f"), 5 * SECOND + 6);
	equal(posix_mtime("f"), 7 * SECOND + 8);
	holds(posix_ctime("f") >= before);
	fd = (int)works(open("f", O_RDWR | O_CLOEXEC));
	works(futimens(fd, (struct timespec[]){{9, 0}, {10, 0}}));
	equal(posix_mtime("f"), 10 * SECOND);
	equal(write(fd, "y", 1), 1);
	works(close(fd));
	equal(posix_atime("f"), 9 * SECOND);
	holds(posix_mtime("f") >= before);
}

static const struct posix_rule rules[] = {
	POSIX_RULE(utimensat_sets_both_times_to_the_nanosecond),
	POSIX_RULE(times_too_far_away_become_the_last_or_first_possible),
	POSIX_RULE(utime_now_and_utime_omit),
	POSIX_RULE(who_may_set_times),
	POSIX_RULE(every_call_sets_the_times_that_it_should),
	POSIX_RULE(a_truncation_that_leaves_the_size_sets_the_times),
	POSIX_RULE(a_call_that_fails_changes_no_time),
	POSIX_RULE(a_new_file_has_the_time_of_its_making),
	POSIX_RULE(an_open_file_shows_its_times_before_and_after_its_close),
};

int main(void)
{
	return posix_run(rules, sizeof(rules) / sizeof(*rules));
}
