/* What is in files: open flags, sizes, holes, files without a name, mappings. */
#include "tests/lib/posix.h"
#include "tests/lib/files.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define ALICE 65534
#define STAFF 65530
#define MIB (1024 * 1024)

static void open_creates_only_what_it_is_asked_to(void)
{
	refused(ENOENT, open("f", O_WRONLY));
	refused(ENOENT, open("f", O_RDONLY | O_TRUNC));
	works(close((int)works(open("f", O_RDONLY | O_CREAT | O_EXCL, 0600))));
	refused(EEXIST, open("f", O_RDWR | O_CREAT | O_EXCL, 0600));
	works(close((int)works(open("f", O_RDWR | O_CREAT, 0644))));
	equal(posix_mode("f"), 0600);
	refused(EINVAL, open("f", O_CREAT | O_DIRECTORY | O_RDWR, 0644));
	works(symlink("target", "link"));
	refused(EEXIST, open("link", O_WRONLY | O_CREAT | O_EXCL, 0644));
	refused(ELOOP, open("link", O_WRONLY | O_CREAT | O_NOFOLLOW, 0644));
	refused(ENOENT, open("target", O_RDONLY));
	/* With no permission at all, its maker writes it all the same. */
	int fd = (int)works(open("none", O_WRONLY | O_CREAT, 0));
	equal(write(fd, "x", 1), 1);
	works(close(fd));
	equal(posix_mode("none"), 0);
	works(chmod(".", 0777));
	posix_as(ALICE, STAFF, STAFF);
	fd = (int)works(open("hers", O_RDWR | O_CREAT, 0));
	equal(write(fd, "x", 1), 1);
	works(ftruncate(fd, 5));
	works(close(fd));
	refused(EACCES, open("hers", O_RDONLY));
	equal(posix_stat("hers").st_size, 5);
}

static void directories_open_for_reading_only(void)
{
	works(mkdir("d", 0755));
	refused(EISDIR, open("d", O_WRONLY));
	refused(EISDIR, open("d", O_RDWR));
	refused(EISDIR, open("d", O_RDONLY | O_TRUNC));
	refused(EISDIR, open("d", O_WRONLY | O_CREAT, 0644));
	refused(EISDIR, open("d", O_RDONLY | O_CREAT, 0644));
	int fd = (int)works(open("d", O_RDONLY | O_DIRECTORY));
	char byte;
	refused(EISDIR, read(fd, &byte, 1));
	refused(EBADF, write(fd, "x", 1));
	refused(EINVAL, ftruncate(fd, 0));
	works(fsync(fd));
	works(close(fd));
	refused(EISDIR, truncate("d", 0));
	posix_make(REGULAR, "f");
	refused(ENOTDIR, open("f", O_RDONLY | O_DIRECTORY));
	fd = (int)works(open("f", O_PATH));
	refused(EBADF, read(fd, &byte, 1));
	works(fstat(fd, &(struct stat){0}));
	works(close(fd));
}

static void a_descriptor_does_what_it_was_opened_for(void)
{
	char byte;

	posix_fill("f", "text", 4);
	int fd = (int)works(open("f", O_RDONLY));
	refused(EBADF, write(fd, "x", 1));
	refused(EINVAL, ftruncate(fd, 0));
	refused(EBADF, fallocate(fd, 0, 0, 10));
	works(fsync(fd));
	works(fchmod(fd, 0600));
	works(close(fd));
	fd = (int)works(open("f", O_WRONLY));
	refused(EBADF, read(fd, &byte, 1));
	equal(write(fd, "T", 1), 1);
	works(close(fd));
	holds(posix_holds("f", "Text", 4));
	refused(EBADF, close(fd));
}

static void fifos_and_sockets_are_the_kernels(void)
{
	char byte = 0;
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};

	works(mkfifo("p", 0600));
	refused(ENXIO, open("p", O_WRONLY | O_NONBLOCK));
	int reader = (int)works(open("p", O_RDONLY | O_NONBLOCK));
	int writer = (int)works(open("p", O_WRONLY | O_NONBLOCK | O_TRUNC));
	equal(write(writer, "x", 1), 1);
	equal(read(reader, &byte, 1), 1);
	equal(byte, 'x');
	refused(ESPIPE, lseek(reader, 0, SEEK_SET));
	works(close(writer));
	works(close(reader));
	equal(posix_stat("p").st_size, 0);
	refused(EINVAL, truncate("p", 0));
	int listener = (int)works(socket(AF_UNIX, SOCK_STREAM, 0));
	int caller = (int)works(socket(AF_UNIX, SOCK_STREAM, 0));
	works(bind(listener, (struct sockaddr *)&address, sizeof(address)));
	refused(EADDRINUSE, bind(caller, (struct sockaddr *)&address, sizeof(address)));
	works(listen(listener, 1));
	works(connect(caller, (struct sockaddr *)&address, sizeof(address)));
	int served = (int)works(accept(listener, NULL, NULL));
	equal(write(caller, "y", 1), 1);
	equal(read(served, &byte, 1), 1);
	equal(byte, 'y');
	refused(ENXIO, open("socket", O_RDONLY));
	works(close(served));
	works(close(caller));
	works(close(listener));
	caller = (int)works(socket(AF_UNIX, SOCK_STREAM, 0));
	refused(ECONNREFUSED, connect(caller, (struct sockaddr *)&address, sizeof(address)));
	works(close(caller));
	equal(posix_stat("socket").st_mode & S_IFMT, S_IFSOCK);
}

/* `size` bytes, from `data` on, then zeros. */
static bool is_padded(const char *name, const char *data, size_t count, size_t size)
{
	size_t got;
	char *content = file_load(name, &got);
	bool so = content && got == size && memcmp(content, data, count < size ? count : size) == 0;

	for (size_t i = count; so && i < size; i++)
		so = content[i] == 0;
	free(content);
	return so;
}

static void sizes_go_up_with_zeros_and_down(void)
{
	static const size_t sizes[] = {1, 10, 0, 4095, 4096, 4097, 100, 40000, 32752, 32753, 5, 1234567, 567, 567, 70000, 0, 3};
	static char data[100];

	memset(data, 'd', sizeof(data));
	for (int way = 0; way < 4; way++) {
		posix_fill("f", data, sizeof(data));
		size_t kept = sizeof(data);
		for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
			posix_about("way %d, size %zu", way, sizes[i]);
			int fd = (int)works(open("f", O_RDWR));
			if (way == 0)
				works(truncate("f", (off_t)sizes[i]));
			else
				works(ftruncate(fd, (off_t)sizes[i]));
			if (way == 2)
				works(fsync(fd));
			works(close(fd));
			kept = sizes[i] < kept ? sizes[i] : kept;
			equal(posix_stat("f").st_size, sizes[i]);
			holds(is_padded("f", data, kept, sizes[i]));
		}
		works(unlink("f"));
	}
}

static void sizes_have_limits(void)
{
	posix_fill("f", "text", 4);
	int fd = (int)works(open("f", O_RDWR));
	refused(EINVAL, truncate("f", -1));
	refused(EINVAL, truncate("f", LONG_MIN));
	refused(EINVAL, ftruncate(fd, -1));
	refused(EFBIG, truncate("f", 999999999999999));
	refused(EFBIG, ftruncate(fd, 999999999999999));
	refused(EFBIG, truncate("f", 64 * MIB + 1));
	refused(EFBIG, ftruncate(fd, 64 * MIB + 1));
	refused(EFBIG, pwrite(fd, "x", 1, 64 * MIB));
	refused(EFBIG, fallocate(fd, 0, 0, 64 * MIB + 1));
	refused(EINVAL, pwrite(fd, "x", 1, -1));
	equal(posix_stat("f").st_size, 4);
	works(ftruncate(fd, 64 * MIB));
	works(close(fd));
	equal(posix_stat("f").st_size, 64 * MIB);
	works(truncate("f", 4));
	holds(posix_holds("f", "text", 4));
}

static void a_write_beyond_the_end_leaves_zeros(void)
{
	char buffer[8] = "";

	int fd = (int)works(open("f", O_RDWR | O_CREAT, 0644));
	equal(write(fd, "start", 5), 5);
	equal(pwrite(fd, "end", 3, 100000), 3);
	equal(pread(fd, buffer, 4, 50000), 4);
	equal(buffer[0] | buffer[1] | buffer[2] | buffer[3], 0);
	works(close(fd));
	equal(posix_stat("f").st_size, 100003);
	fd = (int)works(open("f", O_RDONLY));
	equal(pread(fd, buffer, 5, 3), 5);
	holds(memcmp(buffer, "rt\0\0\0", 5) == 0);
	equal(pread(fd, buffer, 5, 99999), 4);
	holds(memcmp(buffer, "\0end", 4) == 0);
	equal(pread(fd, buffer, 5, 100003), 0);
	equal(pread(fd, buffer, 5, 1000000), 0);
	works(close(fd));
}

static void fallocate_makes_room_and_nothing_else(void)
{
	posix_fill("f", "text", 4);
	int fd = (int)works(open("f", O_RDWR));
	works(fallocate(fd, 0, 0, 2));
	works(fallocate(fd, 0, 10, 20));
	equal(lseek(fd, 0, SEEK_END), 30);
	works(fallocate(fd, 0, 5, 5));
	refused(EINVAL, fallocate(fd, 0, -1, 10));
	refused(EINVAL, fallocate(fd, 0, 0, 0));
	refused(EOPNOTSUPP, fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 100));
	refused(EOPNOTSUPP, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 10));
	refused(EOPNOTSUPP, fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 10));
	refused(EOPNOTSUPP, fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096));
	equal(posix_fallocate(fd, 20, 30), 0);
	works(close(fd));
	holds(is_padded("f", "text", 4, 50));
}

static void data_is_found_and_the_hole_behind_it(void)
{
	posix_fill("f", "some text", 9);
	int fd = (int)works(open("f", O_RDWR));
	equal(lseek(fd, 0, SEEK_DATA), 0);
	equal(lseek(fd, 4, SEEK_DATA), 4);
	equal(lseek(fd, 0, SEEK_HOLE), 9);
	equal(lseek(fd, 8, SEEK_HOLE), 9);
	refused(ENXIO, lseek(fd, 9, SEEK_DATA));
	refused(ENXIO, lseek(fd, 9, SEEK_HOLE));
	refused(ENXIO, lseek(fd, 100, SEEK_HOLE));
	refused(EINVAL, lseek(fd, -1, SEEK_SET));
	equal(lseek(fd, 2, SEEK_SET), 2);
	equal(lseek(fd, 3, SEEK_CUR), 5);
	equal(lseek(fd, 1000, SEEK_END), 1009);
	/* What this descriptor wrote counts before it is published. */
	equal(pwrite(fd, "x", 1, 20), 1);
	equal(lseek(fd, 10, SEEK_DATA), 10);
	equal(lseek(fd, 0, SEEK_HOLE), 21);
	works(close(fd));
}

static void copy_file_range_copies(void)
{
	char *data = malloc(100000), *back = malloc(100000);

	for (size_t i = 0; i < 100000; i++)
		data[i] = (char)(i * 7 + i / 256);
	posix_fill("from", data, 100000);
	int from = (int)works(open("from", O_RDONLY)), to = (int)works(open("to", O_RDWR | O_CREAT, 0644));
	off_t in = 1000, out = 500;
	size_t left = 90000;
	while (left > 0) {
		ssize_t done = works(copy_file_range(from, &in, to, &out, left, 0));
		if (done <= 0)
			break;
		left -= (size_t)done;
	}
	equal(left, 0);
	equal(copy_file_range(from, NULL, to, NULL, 100, 0), 100);
	works(close(to));
	works(close(from));
	equal(posix_stat("to").st_size, 90500);
	to = (int)works(open("to", O_RDONLY));
	equal(pread(to, back, 90000, 500), 90000);
	holds(memcmp(back, data + 1000, 90000) == 0);
	equal(pread(to, back, 100, 0), 100);
	holds(memcmp(back, data, 100) == 0);
	works(close(to));
	free(data);
	free(back);
}

static void o_append_writes_at_the_end_and_o_trunc_empties(void)
{
	char buffer[16] = "";

	posix_fill("f", "one", 3);
	int fd = (int)works(open("f", O_WRONLY | O_APPEND));
	equal(pwrite(fd, "two", 3, 0), 3);
	equal(write(fd, "three", 5), 5);
	works(close(fd));
	holds(posix_holds("f", "onetwothree", 11));
	fd = (int)works(open("f", O_RDWR | O_APPEND));
	equal(read(fd, buffer, 3), 3);
	equal(write(fd, "!", 1), 1);
	equal(lseek(fd, 0, SEEK_CUR), 12);
	works(close(fd));
	holds(posix_holds("f", "onetwothree!", 12));
	/* Appending may begin and end later. */
	fd = (int)works(open("f", O_RDWR));
	works(fcntl(fd, F_SETFL, O_APPEND));
	equal(write(fd, "A", 1), 1);
	works(close(fd));
	holds(posix_holds("f", "onetwothree!A", 13));
	fd = (int)works(open("f", O_WRONLY | O_TRUNC | O_APPEND));
	equal(write(fd, "new", 3), 3);
	works(close(fd));
	holds(posix_holds("f", "new", 3));
	fd = (int)works(open("f", O_RDONLY | O_TRUNC));
	works(close(fd));
	equal(posix_stat("f").st_size, 0);
}

static void o_direct_and_the_sync_flags_are_accepted(void)
{
	const int flags[] = {O_DIRECT, O_SYNC, O_DSYNC, O_NOATIME, O_NONBLOCK, O_DIRECT | O_SYNC, O_LARGEFILE, O_CLOEXEC};
	void *block;

	assert_int_equal(posix_memalign(&block, 4096, 8192), 0);
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		posix_about("flags 0%o", flags[i]);
		memset(block, 'a' + (int)i, 8192);
		int fd = (int)works(open("f", O_RDWR | O_CREAT | flags[i], 0644));
		equal(pwrite(fd, block, 8192, 0), 8192);
		works(fdatasync(fd));
		memset(block, 0, 8192);
		equal(pread(fd, block, 4096, 4096), 4096);
		equal(((char *)block)[4095], 'a' + (int)i);
		works(close(fd));
	}
	free(block);
}

static void a_file_lives_on_without_its_name(void)
{
	struct stat st;
	char buffer[16] = "";

	posix_fill("f", "Hello", 5);
	int fd = (int)works(open("f", O_RDWR)), reader = (int)works(open("f", O_RDONLY));
	works(unlink("f"));
	refused(ENOENT, open("f", O_RDONLY));
	works(fstat(fd, &st));
	equal(st.st_nlink, 0);
	equal(st.st_size, 5);
	equal(pread(fd, buffer, sizeof(buffer), 0), 5);
	holds(memcmp(buffer, "Hello", 5) == 0);
	equal(pwrite(fd, " World", 6, 5), 6);
	equal(pread(fd, buffer, sizeof(buffer), 0), 11);
	works(fstat(fd, &st));
	equal(st.st_size, 11);
	works(ftruncate(fd, 3));
	equal(pread(fd, buffer, sizeof(buffer), 0), 3);
	works(fchmod(fd, 0600));
	works(fchown(fd, 5, 6));
	works(futimens(fd, (struct timespec[]){{5, 6}, {7, 8}}));
	works(fstat(fd, &st));
	equal(st.st_mode, S_IFREG | 0600);
	equal(st.st_uid, 5);
	equal(st.st_mtim.tv_sec, 7);
	equal(st.st_nlink, 0);
	works(fsync(fd));
	equal(pread(reader, buffer, sizeof(buffer), 0), 5);
	works(fstat(reader, &st));
	equal(st.st_nlink, 0);
	/* Another one of that name is another file. */
	posix_fill("f", "new", 3);
	equal(pread(fd, buffer, sizeof(buffer), 0), 3);
	holds(memcmp(buffer, "Hel", 3) == 0);
	works(close(fd));
	works(close(reader));
	holds(posix_holds("f", "new", 3));
}

static void a_file_lives_on_when_another_takes_its_name(void)
{
	struct stat st;
	char buffer[16] = "";

	posix_fill("f", "old", 3);
	posix_fill("g", "new!", 4);
	int fd = (int)works(open("f", O_RDONLY));
	ino_t number = posix_stat("f").st_ino;
	works(rename("g", "f"));
	equal(pread(fd, buffer, sizeof(buffer), 0), 3);
	works(fstat(fd, &st));
	equal(st.st_nlink, 0);
	equal(st.st_ino, number);
	works(close(fd));
	holds(posix_holds("f", "new!", 4));
}

static void a_file_without_a_name_from_its_making_on(void)
{
	struct stat st;
	char buffer[16] = "";

	int fd = (int)works(open("f", O_RDWR | O_CREAT | O_EXCL, 0600));
	equal(write(fd, "secret", 6), 6);
	works(unlink("f"));
	works(fstat(fd, &st));
	equal(st.st_nlink, 0);
	equal(st.st_size, 6);
	equal(pread(fd, buffer, sizeof(buffer), 0), 6);
	works(ftruncate(fd, 2));
	works(fchmod(fd, 0640));
	works(fstat(fd, &st));
	equal(st.st_mode & 07777, 0640);
	equal(st.st_size, 2);
	works(close(fd));
	refused(ENOENT, lstat("f", &st));
	refused(EOPNOTSUPP, open(".", O_TMPFILE | O_RDWR, 0600));
}

static void a_removed_directory_that_one_sits_in_is_empty(void)
{
	works(mkdir("d", 0755));
	int fd = (int)works(open("d", O_RDONLY | O_DIRECTORY));
	works(chdir("d"));
	works(rmdir("../d"));
	refused(ENOENT, open("f", O_WRONLY | O_CREAT, 0644));
	refused(ENOENT, mkdir("e", 0755));
	refused(ENOENT, lstat("f", &(struct stat){0}));
	struct stat st;
	works(fstat(fd, &st));
	equal(st.st_nlink, 0);
	works(close(fd));
	works(chdir(posix_cluster()->nodes[0].mount));
}

static void private_mappings_see_the_file_and_keep_their_changes(void)
{
	posix_fill("f", "mapped text", 11);
	int fd = (int)works(open("f", O_RDWR));
	char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	holds(map != MAP_FAILED);
	if (map == MAP_FAILED)
		return;
	holds(memcmp(map, "mapped text", 12) == 0);
	memcpy(map, "MAPPED", 6);
	holds(posix_holds("f", "mapped text", 11));
	works(munmap(map, 4096));
	works(close(fd));
	holds(posix_holds("f", "mapped text", 11));
}

static void copy_program(const char *from, const char *to)
{
	size_t size;
	char *program = file_load(from, &size);

	holds(program != NULL);
	posix_fill(to, program, program ? size : 0);
	works(chmod(to, 0755));
	free(program);
}

static void a_program_that_runs_is_etxtbsy(void)
{
	int status, ready[2];
	char byte;

	copy_program("/bin/cat", "cat");
	works(pipe(ready));
	int hold[2];
	works(pipe(hold));
	pid_t child = fork();
	if (child == 0) {
		dup2(hold[0], 0);
		dup2(ready[1], 1);
		close(hold[1]);
		close(ready[0]);
		execl("./cat", "cat", (char *)NULL);
		_exit(127);
	}
	/* It answers, so it runs. */
	equal(write(hold[1], "x", 1), 1);
	equal(read(ready[0], &byte, 1), 1);
	refused(ETXTBSY, open("cat", O_WRONLY));
	refused(ETXTBSY, open("cat", O_RDWR));
	refused(ETXTBSY, truncate("cat", 0));
	works(close((int)works(open("cat", O_RDONLY))));
	works(chmod("cat", 0700));
	refused(ETXTBSY, open("cat", O_RDONLY | O_TRUNC));
	equal(write(hold[1], "y", 1), 1);
	equal(read(ready[0], &byte, 1), 1);
	kill(child, SIGKILL);
	works(waitpid(child, &status, 0));
	for (int i = 0; i < 2; i++) {
		close(hold[i]);
		close(ready[i]);
	}
	size_t size;
	char *program = file_load("/bin/cat", &size);
	works(close((int)works(open("cat", O_WRONLY))));
	holds(posix_holds("cat", program, size));
	free(program);
}

static void whoever_may_not_execute_cannot(void)
{
	copy_program("/bin/true", "true");
	works(chmod("true", 0644));
	refused(EACCES, execl("./true", "true", (char *)NULL));
	works(chmod("true", 0744));
	works(mkdir("d", 0755));
	refused(EACCES, execl("./d", "d", (char *)NULL));
	posix_as(ALICE, STAFF, STAFF);
	refused(EACCES, execl("./true", "true", (char *)NULL));
}

static void statfs_says_what_df_needs(void)
{
	struct statvfs st, then;

	works(statvfs(".", &st));
	holds(st.f_blocks > 0 && st.f_bfree <= st.f_blocks && st.f_bavail <= st.f_bfree);
	holds(st.f_files > 0 && st.f_ffree < st.f_files && st.f_favail <= st.f_ffree);
	equal(st.f_namemax, 255);
	equal(st.f_bsize, 4096);
	equal(st.f_frsize * st.f_blocks, INT64_C(8) << 30);
	int fd = (int)works(open("f", O_WRONLY | O_CREAT, 0644));
	works(ftruncate(fd, 32 * MIB));
	works(close(fd));
	works(statvfs(".", &then));
	equal((st.f_bfree - then.f_bfree) * st.f_frsize / MIB, 32);
	equal(then.f_files - then.f_ffree, st.f_files - st.f_ffree + 1);
	works(unlink("f"));
	works(statvfs(".", &then));
	equal(then.f_files - then.f_ffree, st.f_files - st.f_ffree);
	equal(then.f_bfree, st.f_bfree);
	struct stat f;
	posix_fill("g", "0123456789", 10);
	f = posix_stat("g");
	equal(f.st_blksize, 4096);
	equal(f.st_blocks, 1);
}

static const struct posix_rule rules[] = {
	POSIX_RULE(open_creates_only_what_it_is_asked_to),
	POSIX_RULE(directories_open_for_reading_only),
	POSIX_RULE(a_descriptor_does_what_it_was_opened_for),
	POSIX_RULE(fifos_and_sockets_are_the_kernels),
	POSIX_RULE(sizes_go_up_with_zeros_and_down),
	POSIX_RULE(sizes_have_limits),
	POSIX_RULE(a_write_beyond_the_end_leaves_zeros),
	POSIX_RULE(fallocate_makes_room_and_nothing_else),
	POSIX_RULE(data_is_found_and_the_hole_behind_it),
	POSIX_RULE(copy_file_range_copies),
	POSIX_RULE(o_append_writes_at_the_end_and_o_trunc_empties),
	POSIX_RULE(o_direct_and_the_sync_flags_are_accepted),
	POSIX_RULE(a_file_lives_on_without_its_name),
	POSIX_RULE(a_file_lives_on_when_another_takes_its_name),
	POSIX_RULE(a_file_without_a_name_from_its_making_on),
	POSIX_RULE(a_removed_directory_that_one_sits_in_is_empty),
	POSIX_RULE(private_mappings_see_the_file_and_keep_their_changes),
	POSIX_RULE(a_program_that_runs_is_etxtbsy),
	POSIX_RULE(whoever_may_not_execute_cannot),
	POSIX_RULE(statfs_says_what_df_needs),
};

int main(void)
{
	return posix_run(rules, sizeof(rules) / sizeof(*rules));
}
