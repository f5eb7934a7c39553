/* record.h: the journal of what one daemon did to the files under DATA, in order, with the marks of a load in between.
 *
 * Written by record.c, which is loaded into the daemon (LD_PRELOAD), and by the load; both append whole records, so their order is the order
 * of events. A write is recorded when the call has returned, a sync when it begins and when it has returned; who kills the daemon does so between
 * calls (gate.h). Read on the machine that wrote it:
 *
 *	head (struct record_head) | name | name2 | data
 *
 * Names are relative to DATA. */
#ifndef TALLY_TESTS_POWER_RECORD_H
#define TALLY_TESTS_POWER_RECORD_H

#include <stdint.h>

#define RECORD_MAGIC 0x72777074u
#define RECORD_ENV_ROOT "TALLY_POWER_ROOT" /* DATA, absolute */
#define RECORD_ENV_LOG "TALLY_POWER_LOG"
#define RECORD_ENV_GATE "TALLY_POWER_GATE" /* see gate.h */

enum record_kind {
	RECORD_CREATE = 1, /* file `ino` under `name` */
	RECORD_MKDIR,      /* likewise */
	RECORD_WRITE,      /* ino, offset, data */
	RECORD_ZEROS,      /* ino, offset, size */
	RECORD_TRUNCATE,   /* ino, size */
	RECORD_SYNC_BEGIN, /* ino (a file or a directory), offset: a number shared with the end */
	RECORD_SYNC_END,
	RECORD_RENAME, /* name to name2; offset: the flags of renameat2 */
	RECORD_UNLINK, /* name; of an empty directory, too */
	RECORD_LINK,   /* name also gets name2 */
	RECORD_BEGUN,  /* by the load: ino: the worker, offset: which of its operations it calls now */
	RECORD_DONE    /* ... and which has returned with success: from here on it must survive */
};

struct record_head {
	uint32_t magic;
	uint32_t kind;
	uint64_t ino;
	uint64_t offset;
	uint64_t size;
	uint32_t name_size;
	uint32_t name2_size;
	uint64_t data_size;
};

#endif
