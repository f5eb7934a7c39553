/* disk.h: the disk under a recorded daemon, as a power cut at any moment may leave it.
 *
 * Events of the journal (record.h) are fed in one after another. What a sync has covered is certain. Of the rest, an image holds none, all, the
 * first so many, or any part: of writes, any sectors of 512 bytes or pages of 4096; of names made, changed and removed in a directory that was
 * not synced since, any that are possible one after another. A file's content and its name are separate things. */
#ifndef TALLY_TESTS_POWER_DISK_H
#define TALLY_TESTS_POWER_DISK_H

#include "tests/power/record.h"

#include <stdbool.h>
#include <stddef.h>

struct event {
	enum record_kind kind;
	uint64_t ino;
	uint64_t offset;
	uint64_t size; /* of data, too */
	char name[128];
	char name2[128];
	const uint8_t *data; /* in the journal's memory */
};

struct journal {
	uint8_t *bytes;
	struct event *events;
	uint32_t count;
};

/* Reads the whole file. Ends the program if it is not a journal. */
void journal_load(struct journal *j, const char *file);
void journal_free(struct journal *j);

struct disk;

/* An empty directory, or a copy of the one at `dir` (inode numbers included), all of it certain. */
struct disk *disk_new(const char *dir);
void disk_free(struct disk *d);
/* `number` is the event's in its journal: they rise. Events of the load are ignored. */
void disk_feed(struct disk *d, const struct event *e, uint32_t number);
/* How many writes and changes of names are uncertain now. */
uint32_t disk_uncertain(const struct disk *d);

enum disk_part { DISK_NONE, DISK_ALL, DISK_FIRST, DISK_SECTORS, DISK_PAGES };

/* One of the possible images. */
struct disk_choice {
	enum disk_part writes;
	enum disk_part names; /* with DISK_SECTORS or DISK_PAGES: any */
	uint32_t percent;     /* how much of what is chosen piece by piece is there */
	uint64_t seed;
};

/* Writes the image into the directory `dir`, which is empty. */
void disk_image(const struct disk *d, const struct disk_choice *choice, const char *dir);

#endif
