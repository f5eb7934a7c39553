/* The names below a machine's DATA (m1 and so on): folders that each hold one store, the log's, and the node file. */
#include "tests/sim/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FD_DATA 19000
#define FD_FOLDER 19001 /* one below it */
#define STORE_FILE "/data.mdb"
#define PATH_BYTES 64

int __wrap_access(const char *path, int mode);
int __wrap_rename(const char *from, const char *to);
int __wrap_open(const char *path, int flags, ...);
int __wrap_fsync(int fd);
int __wrap_unlink(const char *path);
int __wrap_rmdir(const char *path);
int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_fstat(int fd, struct stat *st);

/* What comes after "m1/". */
static bool is_called(const char *path, const char *name)
{
	const char *slash = strchr(path, '/');
	return slash && strcmp(slash + 1, name) == 0;
}

/* The folder that data.mdb would be in; false: the path is that of something else. */
static bool folder_of(const char *path, char folder[PATH_BYTES])
{
	const char *slash = strrchr(path, '/');
	if (!slash || strcmp(slash, STORE_FILE) != 0)
		return false;
	snprintf(folder, PATH_BYTES, "%.*s", (int)(slash - path), path);
	return true;
}

static bool exists(const char *path)
{
	struct machine *m = machine_now();
	char folder[PATH_BYTES];
	if (folder_of(path, folder))
		return store_disk_is_begun(m, folder);
	if (is_called(path, "wal"))
		return log_disk_exists(m);
	return is_called(path, "node") ? node_file_exists(m) : store_disk_has(m, path);
}

static int result(int error)
{
	if (error == 0)
		return 0;
	errno = error;
	return -1;
}

int __wrap_access(const char *path, int mode)
{
	(void)mode;
	return result(exists(path) ? 0 : ENOENT);
}

int __wrap_rename(const char *from, const char *to)
{
	struct machine *m = machine_now();
	machine_effect(m);
	if (is_called(to, "node")) {
		node_file_renamed(m);
		return 0;
	}
	if (!store_disk_has(m, from))
		return result(ENOENT);
	if (store_disk_has(m, to))
		return result(ENOTEMPTY);
	store_disk_rename(m, from, to);
	return 0;
}

/* Folders, to be synced, and the lock. */
int __wrap_open(const char *path, int flags, ...)
{
	if (!(flags & O_DIRECTORY) && !is_called(path, "lock"))
		violated("the daemon opens %s", path);
	return strchr(path, '/') ? FD_FOLDER : FD_DATA;
}

int __wrap_fsync(int fd)
{
	struct machine *m = machine_now();
	if (fd == FD_FOLDER)
		return result(-disk_sync_takes(m));
	if (fd != FD_DATA) /* of node.new, which has none */
		return result(-node_file_sync(m));
	uint32_t changes = store_disk_name_changes(m);
	int error = disk_sync_takes(m);
	if (error == 0) {
		store_disk_names_synced(m, changes);
		node_file_names_synced(m);
	}
	return result(-error);
}

/* A file in a folder: its content goes, the folder stays. */
int __wrap_unlink(const char *path)
{
	char folder[PATH_BYTES];
	machine_effect(machine_now());
	if (is_called(path, "node")) {
		node_file_removed(machine_now());
		return 0;
	}
	if (!folder_of(path, folder) || !store_disk_is_begun(machine_now(), folder))
		return result(ENOENT);
	store_disk_empty(machine_now(), folder);
	return 0;
}

int __wrap_rmdir(const char *path)
{
	machine_effect(machine_now());
	if (is_called(path, "wal"))
		log_disk_clear(machine_now());
	if (!store_disk_has(machine_now(), path))
		return result(ENOENT);
	store_disk_rename(machine_now(), path, "");
	return 0;
}

int __wrap_mkdir(const char *path, mode_t mode)
{
	(void)path, (void)mode;
	return result(EEXIST); /* made when a store is opened in it */
}

/* The only file whose length is asked for is a store's, which is as long as it says. */
int __wrap_fstat(int fd, struct stat *st)
{
	(void)fd;
	*st = (struct stat){.st_size = (off_t)1 << 40};
	return 0;
}
