#include "fs/descriptor.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LOOKS_MAX 40
#define LOOK_NS 50000
#define ARGUMENTS 6

/* "NUMBER 0xARG 0xARG ...", or "running". False if it is not such a line. */
static bool parse(const char *text, long *number, unsigned long long arguments[ARGUMENTS])
{
	char *end;

	*number = (long)strtoull(text, &end, 10);
	if (end == text)
		return false;
	for (int i = 0; i < ARGUMENTS; i++) {
		const char *at = end;
		arguments[i] = strtoull(at, &end, 16);
		if (end == at)
			return false;
	}
	return true;
}

int descriptor_of_call(const char *text)
{
	unsigned long long a[ARGUMENTS];
	long number;

	if (!parse(text, &number, a))
		return -1;
	switch (number) {
	case SYS_fstat:
	case SYS_fchmod:
	case SYS_fchown:
		return (int)a[0];
	case SYS_newfstatat:
		return a[3] & AT_EMPTY_PATH ? (int)a[0] : -1;
	case SYS_statx:
		return a[2] & AT_EMPTY_PATH ? (int)a[0] : -1;
	case SYS_utimensat:
		return a[1] == 0 ? (int)a[0] : -1;
	default:
		return -1;
	}
}

/* Right after its request the thread may not be asleep yet, and is not looked into then. */
static void read_call(pid_t thread, char *text, size_t size)
{
	const struct timespec pause = {.tv_nsec = LOOK_NS};
	char name[64];

	snprintf(name, sizeof(name), "/proc/%d/syscall", (int)thread);
	for (int looks = 0; looks < LOOKS_MAX; looks++) {
		int fd = open(name, O_RDONLY | O_CLOEXEC);
		ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);
		text[got > 0 ? got : 0] = '\0';
		if (fd >= 0)
			close(fd);
		if (strncmp(text, "running", 7) != 0)
			return;
		nanosleep(&pause, NULL);
	}
}

bool descriptor_names(pid_t thread, const struct holders_file *file)
{
	char text[256];

	if (thread <= 0)
		return false;
	read_call(thread, text, sizeof(text));
	int descriptor = descriptor_of_call(text);
	return descriptor >= 0 && holders_descriptor(thread, descriptor, file);
}
