#include "base/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int durable_names(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = fd < 0 || fsync(fd) != 0 ? -errno : 0;
	if (fd >= 0)
		close(fd);
	return rc;
}

int durable_name(const char *path)
{
	char *copy = strdup(path); /* dirname writes to it */
	if (!copy)
		abort();
	int rc = durable_names(dirname(copy));
	free(copy);
	return rc;
}
