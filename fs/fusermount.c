#include "fs/fusermount.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PROGRAM "fusermount3: "

static void sort_out(FILE *caught, char *said, size_t said_size)
{
	char line[1024];

	rewind(caught);
	while (fgets(line, sizeof(line), caught)) {
		if (strncmp(line, PROGRAM, strlen(PROGRAM)) != 0) {
			fputs(line, stderr);
			continue;
		}
		line[strcspn(line, "\n")] = '\0';
		snprintf(said, said_size, "%s", line);
	}
}

int fusermount(struct fuse_session *session, const char *mountpoint, char *said, size_t said_size)
{
	int before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	int fd = memfd_create("stderr", MFD_CLOEXEC);
	FILE *caught = fd < 0 ? NULL : fdopen(fd, "r+e");

	if (before < 0 || !caught || dup2(fd, STDERR_FILENO) < 0) {
		if (caught)
			fclose(caught);
		else if (fd >= 0)
			close(fd);
		if (before >= 0)
			close(before);
		return fuse_session_mount(session, mountpoint);
	}
	int result = fuse_session_mount(session, mountpoint);
	dup2(before, STDERR_FILENO);
	close(before);
	sort_out(caught, said, said_size);
	fclose(caught);
	return result;
}
