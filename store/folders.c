#include "store/folders.h"

#include "base/durable.h"
#include "store/mvcc/dump.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

void folder_path(const char *data, const char *folder, char path[FOLDER_PATH_BYTES])
{
	snprintf(path, FOLDER_PATH_BYTES, "%s/%s", data, folder);
}

static bool exists(const char *data, const char *folder)
{
	char path[FOLDER_PATH_BYTES];
	folder_path(data, folder, path);
	return access(path, F_OK) == 0;
}

static int move(const char *data, const char *from, const char *to)
{
	char a[FOLDER_PATH_BYTES], b[FOLDER_PATH_BYTES];
	folder_path(data, from, a);
	folder_path(data, to, b);
	return rename(a, b) < 0 ? -errno : 0;
}

int folders_switch(const char *data)
{
	int rc = folders_drop_old(data);
	if (rc == 0)
		rc = move(data, FOLDER_STORE, FOLDER_OLD);
	if (rc == 0)
		rc = move(data, FOLDER_NEW, FOLDER_STORE);
	return rc < 0 ? rc : durable_names(data);
}

int folders_drop_old(const char *data)
{
	char path[FOLDER_PATH_BYTES];
	folder_path(data, FOLDER_OLD, path);
	return mvcc_load_remove(path);
}

int folders_settle(const char *data)
{
	int rc = 0;
	if (!exists(data, FOLDER_OLD))
		return 0;
	if (!exists(data, FOLDER_STORE))
		rc = move(data, exists(data, FOLDER_NEW) ? FOLDER_NEW : FOLDER_OLD, FOLDER_STORE);
	if (rc == 0)
		rc = durable_names(data);
	return rc < 0 ? rc : folders_drop_old(data);
}
