/* directory.h: open directories: a picture of the names, taken when reading begins. */
#ifndef TALLY_FS_DIRECTORY_H
#define TALLY_FS_DIRECTORY_H

#include "fs/request.h"

struct directory {
	struct node *node;      /* held */
	struct directory *next; /* of all that are open, under fs->handles_lock */
	struct directory **at;
	pthread_mutex_t lock; /* over what follows */
	bool filled;
	struct mvcc_list list;         /* of a live or past directory */
	struct mvcc_version *versions; /* of NAME@ */
	size_t versions_count;
};

struct directory *directory_open(struct fs *fs, struct node *n);
void directory_close(struct fs *fs, struct directory *d);
/* The end of the file system: those whose RELEASEDIR the kernel did not send any more. No other thread is left. */
void directories_drop(struct fs *fs);
/* Takes the picture (anew). d->lock is held. */
int directory_fill(struct fs *fs, struct directory *d);
/* Names and numbers at position `index`: "." and ".." first. false past the end. `name` lives as long as the picture, or in `text`. */
bool directory_entry(struct fs *fs, const struct directory *d, size_t index, char text[32], const char **name, struct stat *st);

static inline struct directory *directory_of(const struct fuse_file_info *file)
{
	return (struct directory *)(uintptr_t)file->fh;
}

#endif
