/* log_files.h: the files of a simulated log, as the daemon sees them and as a power cut would leave them. Private to log_files.c and log_disk.c. */
#ifndef TALLY_SIM_LOG_FILES_H
#define TALLY_SIM_LOG_FILES_H

#include "raft/wal_segment.h"
#include "tests/sim/disk.h"

#define SECTOR 512u
#define NAMES_MAX 256u
#define OPEN_MAX 64u
#define CHANGES_MAX 32u
#define FILES_MAX 512u
#define TEMPORARY "next.tmp"

/* A sector that was written since the last sync, as the disk still has it; NULL: beyond its end, or zeros. */
struct unsynced {
	uint64_t sector;
	uint8_t *before;
};

struct file {
	uint64_t number;
	uint64_t size;
	uint64_t size_synced;
	uint64_t capacity;
	uint8_t *data;
	uint8_t *dirty; /* by sector */
	struct unsynced *unsynced;
	size_t unsynced_count;
	size_t unsynced_capacity;
};

struct name {
	char text[WAL_NAME_BYTES];
	struct file *file;
};

struct directory {
	struct name names[NAMES_MAX];
	uint32_t count;
};

/* `file` gets the name `made`, in place of whatever has it; `gone` is one that goes. */
struct change {
	char made[WAL_NAME_BYTES];
	char gone[WAL_NAME_BYTES];
	struct file *file;
};

struct log_disk {
	struct directory now;
	struct directory synced;
	struct change changes[CHANGES_MAX];
	uint32_t changes_count;
	struct file *files[FILES_MAX];
	uint32_t files_count;
	struct file *open[OPEN_MAX];
	uint64_t made;
	bool made_folder;
	bool locked;
};

struct log_disk *log_disk_of(const struct machine *m);
struct log_disk *log_disk_now(void);
struct file *log_disk_new_file(struct log_disk *d);
void log_disk_grow(struct file *f, uint64_t size);
/* data NULL: zeros. */
void log_disk_write(struct file *f, uint64_t offset, const void *data, size_t size);
/* All that was written is durable. */
void log_disk_settle(struct file *f);
struct name *log_disk_find(struct directory *d, const char *text);
/* `file` gets the name `made`, and `gone` goes; NULL: none. */
void log_disk_rename(struct log_disk *d, const char *made, const char *gone, struct file *file);
int log_disk_sync_names(struct log_disk *d);

#endif
