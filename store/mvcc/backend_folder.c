#include "store/mvcc/backend_folder.h"

#include "base/durable.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

bool backend_folder_is_new(const char *dir)
{
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%s/data.mdb", dir);
	return access(path, F_OK) && errno == ENOENT;
}

void backend_folder_clear(const char *dir)
{
	static const char *const files[] = {"data.mdb", "lock.mdb"};
	char path[PATH_MAX];
	for (unsigned i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, files[i]);
		unlink(path);
	}
	rmdir(dir);
}

int backend_folder_rename(const char *made, const char *dir, bool durable)
{
	int rc = durable ? durable_names(made) : 0;
	if (rc)
		return rc;
	backend_folder_clear(dir);
	if (rename(made, dir))
		return -errno;
	return durable ? durable_name(dir) : 0;
}
