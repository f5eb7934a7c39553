/* DATA/node, as store/identity.c reads and writes it through stdio: the file as the daemon sees it, as a power cut would leave it, and the new one that
 * is being written. */
#include "tests/sim/disk.h"
#include "tests/sim/heap.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

FILE *__wrap_fopen(const char *path, const char *mode);
int __wrap_flock(int fd, int operation);
int __wrap_stat(const char *path, struct stat *st);
DIR *__wrap_opendir(const char *path);
struct dirent *__wrap_readdir(DIR *d);
int __wrap_closedir(DIR *d);

struct content {
	char *bytes; /* the world's; NULL: no such file */
	size_t size;
};

static struct node_file {
	struct content now;
	struct content synced;
	struct content fresh; /* node.new, synced */
	char *stream;         /* what is being written to it: libc's memory */
	size_t stream_size;
} files[MACHINES_MAX];

static struct node_file *file_of(const struct machine *m)
{
	return &files[m->number - 1];
}

void node_files_begin(void)
{
	memset(files, 0, sizeof(files));
}

FILE *__wrap_fopen(const char *path, const char *mode)
{
	struct node_file *f = file_of(machine_now());
	if (mode[0] == 'w') {
		machine_effect(machine_now());
		return open_memstream(&f->stream, &f->stream_size);
	}
	if (f->now.bytes && strstr(path, "/node"))
		return fmemopen(f->now.bytes, f->now.size, "r");
	errno = ENOENT;
	return NULL;
}

int node_file_sync(struct machine *m)
{
	struct node_file *f = file_of(m);
	int error = disk_sync_takes(m);
	if (error)
		return error;
	f->fresh = (struct content){world_alloc(f->stream_size + 1), f->stream_size};
	memcpy(f->fresh.bytes, f->stream, f->stream_size);
	return 0;
}

bool node_file_exists(const struct machine *m)
{
	return file_of(m)->now.bytes != NULL;
}

void node_file_renamed(struct machine *m)
{
	file_of(m)->now = file_of(m)->fresh;
}

void node_file_removed(struct machine *m)
{
	file_of(m)->now = file_of(m)->synced = (struct content){NULL, 0};
}

void node_file_names_synced(struct machine *m)
{
	file_of(m)->synced = file_of(m)->now;
}

void node_file_power_cut(struct machine *m)
{
	struct node_file *f = file_of(m);
	if (one_in(2))
		f->now = f->synced;
	f->synced = f->now;
}

int __wrap_flock(int fd, int operation)
{
	(void)fd, (void)operation;
	return 0;
}

int __wrap_stat(const char *path, struct stat *st)
{
	(void)path;
	*st = (struct stat){.st_mode = S_IFDIR | 0700};
	return 0;
}

/* Folders are listed only to be emptied, after a first start that failed; rmdir does that here. */
DIR *__wrap_opendir(const char *path)
{
	return (DIR *)path;
}

struct dirent *__wrap_readdir(DIR *d)
{
	(void)d;
	return NULL;
}

int __wrap_closedir(DIR *d)
{
	(void)d;
	return 0;
}
