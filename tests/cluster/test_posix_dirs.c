/* Directories as they are read while entries come and go. */
#include "tests/lib/posix.h"
#include "tests/lib/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MANY 500

static void make_many(int count)
{
	for (int i = 0; i < count; i++)
		works(mknod(path("n%04d", i), S_IFREG | 0644, 0));
}

/* Counts how often each of the names n0000 to n0999 comes, from where `d` stands; returns how many other names came. */
static int count_names(DIR *d, int seen[1000])
{
	int others = 0;

	for (struct dirent *e = readdir(d); e; e = readdir(d)) {
		if (e->d_name[0] == 'n')
			seen[strtol(e->d_name + 1, NULL, 10) % 1000]++;
		else if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			others++;
	}
	return others;
}

static void entries_have_their_types_and_numbers(void)
{
	static const unsigned char types[POSIX_TYPES] = {
		[REGULAR] = DT_REG,     [DIRECTORY] = DT_DIR, [FIFO] = DT_FIFO,   [BLOCK_DEVICE] = DT_BLK,
		[CHAR_DEVICE] = DT_CHR, [SOCKET] = DT_SOCK,   [SYMLINK] = DT_LNK,
	};
	int found = 0;

	works(mkdir("d", 0755));
	for (enum posix_type type = 0; type < POSIX_TYPES; type++)
		posix_make(type, path("d/%d", (int)type));
	DIR *d = opendir("d");
	for (struct dirent *e = readdir(d); e; e = readdir(d)) {
		posix_about("%s", e->d_name);
		equal(e->d_ino, posix_stat(path("d/%s", e->d_name)).st_ino);
		if (e->d_name[0] == '.') {
			equal(e->d_type, DT_DIR);
			continue;
		}
		equal(e->d_type, types[e->d_name[0] - '0']);
		found++;
	}
	equal(found, POSIX_TYPES);
	works(closedir(d));
}

static void dot_and_dotdot_are_where_they_should_be(void)
{
	static const char *const places[] = {".", "a", "a/b", "a/b/c"};

	works(mkdir("a", 0755));
	works(mkdir("a/b", 0755));
	works(mkdir("a/b/c", 0755));
	for (int moved = 0; moved < 2; moved++) {
		for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
			const char *place = moved && i > 1 ? path("moved%s", places[i] + 3) : places[i];
			posix_about("%s", place);
			DIR *d = opendir(place);
			struct dirent *e = readdir(d);
			holds(e && strcmp(e->d_name, ".") == 0);
			equal(e ? e->d_ino : 0, posix_stat(place).st_ino);
			e = readdir(d);
			holds(e && strcmp(e->d_name, "..") == 0);
			equal(e ? e->d_ino : 0, posix_stat(path("%s/..", place)).st_ino);
			works(closedir(d));
		}
		if (!moved)
			works(rename("a/b", "moved"));
	}
	struct stat root, above;
	works(stat(posix_cluster()->nodes[0].mount, &root));
	works(stat("..", &above));
	equal(root.st_ino, above.st_ino);
}

static void every_name_comes_once(void)
{
	int seen[1000] = {0};

	make_many(MANY);
	DIR *d = opendir(".");
	equal(count_names(d, seen), 0);
	for (int i = 0; i < 1000; i++)
		equal(seen[i], i < MANY);
	works(closedir(d));
}

static void what_stays_comes_once_whatever_comes_and_goes(void)
{
	int seen[1000] = {0}, reads = 0;

	make_many(MANY);
	DIR *d = opendir(".");
	/* While it is read, every third name goes, others come, some change places. */
	for (struct dirent *e = readdir(d); e; e = readdir(d)) {
		int i = reads++;
		if (e->d_name[0] == 'n')
			seen[strtol(e->d_name + 1, NULL, 10) % 1000]++;
		if (i < MANY && i % 3 == 0)
			works(unlink(path("n%04d", i)));
		if (i < 100)
			works(mknod(path("later%d", i), S_IFREG | 0644, 0));
		if (i >= MANY / 2 && i < MANY / 2 + 20 && i % 3 == 1)
			works(rename(path("n%04d", i), path("other%d", i)));
	}
	for (int i = 0; i < MANY; i++) {
		posix_about("n%04d", i);
		bool stayed = i % 3 == 2 || (i % 3 == 1 && (i < MANY / 2 || i >= MANY / 2 + 20));
		holds(stayed ? seen[i] == 1 : seen[i] <= 1);
	}
	/* And from the start it is as it is now. */
	rewinddir(d);
	int again[1000] = {0};
	count_names(d, again);
	for (int i = 0; i < MANY; i++)
		equal(again[i], access(path("n%04d", i), F_OK) == 0);
	works(closedir(d));
}

static void places_told_by_telldir_stay_while_entries_go(void)
{
	long places[MANY + 2];
	char names[MANY + 2][16];
	int count = 0;

	make_many(MANY);
	DIR *d = opendir(".");
	for (;;) {
		long place = telldir(d);
		struct dirent *e = readdir(d);
		if (!e)
			break;
		places[count] = place;
		snprintf(names[count++], sizeof(names[0]), "%.15s", e->d_name);
	}
	equal(count, MANY + 2);
	for (int i = 0; i < MANY; i += 2)
		works(unlink(path("n%04d", i)));
	/* What was removed may come or not; what stayed comes from its place on. */
	for (int i = count - 1; i >= 0; i -= 7) {
		posix_about("%s", names[i]);
		seekdir(d, places[i]);
		struct dirent *e = readdir(d);
		holds(e != NULL);
		if (e && access(names[i], F_OK) == 0)
			holds(strcmp(e->d_name, names[i]) == 0);
		equal(telldir(d), i + 1 < count ? places[i + 1] : telldir(d));
	}
	works(closedir(d));
}

static void all_can_be_removed_while_they_are_listed(void)
{
	int removed = 0;

	works(mkdir("d", 0755));
	works(chdir("d"));
	make_many(MANY);
	DIR *d = opendir(".");
	for (struct dirent *e = readdir(d); e; e = readdir(d)) {
		if (e->d_name[0] == '.')
			continue;
		works(unlink(e->d_name));
		removed++;
	}
	equal(removed, MANY);
	rewinddir(d);
	int seen[1000] = {0};
	equal(count_names(d, seen), 0);
	works(closedir(d));
	works(chdir(".."));
	works(rmdir("d"));
}

struct linux_dirent64 {
	uint64_t ino;
	int64_t offset;
	unsigned short size;
	unsigned char type;
	char name[];
};

/* As small a buffer as there may be: one entry a call, and each goes on where the one before said. */
static void any_buffer_will_do(void)
{
	_Alignas(8) char buffer[64];
	int seen[1000] = {0};
	off_t next = 0;

	make_many(100);
	int fd = (int)works(open(".", O_RDONLY | O_DIRECTORY));
	for (;;) {
		equal(lseek(fd, next, SEEK_SET), next);
		long got = syscall(SYS_getdents64, fd, buffer, sizeof(buffer));
		holds(got >= 0);
		if (got <= 0)
			break;
		const struct linux_dirent64 *e = (void *)buffer;
		if (e->name[0] == 'n')
			seen[strtol(e->name + 1, NULL, 10) % 1000]++;
		next = e->offset;
	}
	for (int i = 0; i < 100; i++)
		equal(seen[i], 1);
	refused(EINVAL, syscall(SYS_getdents64, (lseek(fd, 0, SEEK_SET), fd), buffer, 8));
	works(close(fd));
}

static void two_readers_do_not_disturb_each_other(void)
{
	int one[1000] = {0}, two[1000] = {0};

	make_many(MANY);
	DIR *a = opendir("."), *b = opendir(".");
	for (int i = 0; i < 10; i++)
		readdir(a);
	count_names(b, two);
	rewinddir(a);
	count_names(a, one);
	for (int i = 0; i < MANY; i++) {
		equal(one[i], 1);
		equal(two[i], 1);
	}
	works(closedir(a));
	works(closedir(b));
}

static void a_file_that_was_just_written_is_listed_and_one_that_was_removed_is_not(void)
{
	char names[256];

	works(mkdir("d", 0755));
	for (int i = 0; i < 20; i++) {
		works(file_write(path("d/f%d", i), "x"));
		dir_names("d", names, sizeof(names));
		assert_string_equal(names, path("f%d ", i));
		works(unlink(path("d/f%d", i)));
		dir_names("d", names, sizeof(names));
		assert_string_equal(names, "");
	}
}

static void listing_needs_a_directory_that_may_be_read(void)
{
	posix_make(REGULAR, "f");
	works(mkdir("d", 0711));
	errno = 0;
	holds(opendir("f") == NULL && errno == ENOTDIR);
	holds(opendir("none") == NULL && errno == ENOENT);
	posix_as(65534, 65534, 65534);
	holds(opendir("d") == NULL && errno == EACCES);
}

static const struct posix_rule rules[] = {
	POSIX_RULE(entries_have_their_types_and_numbers),
	POSIX_RULE(dot_and_dotdot_are_where_they_should_be),
	POSIX_RULE(every_name_comes_once),
	POSIX_RULE(what_stays_comes_once_whatever_comes_and_goes),
	POSIX_RULE(places_told_by_telldir_stay_while_entries_go),
	POSIX_RULE(all_can_be_removed_while_they_are_listed),
	POSIX_RULE(any_buffer_will_do),
	POSIX_RULE(two_readers_do_not_disturb_each_other),
	POSIX_RULE(a_file_that_was_just_written_is_listed_and_one_that_was_removed_is_not),
	POSIX_RULE(listing_needs_a_directory_that_may_be_read),
};

int main(void)
{
	return posix_run(rules, sizeof(rules) / sizeof(*rules));
}
