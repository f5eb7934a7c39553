/* options.h: the command line of tallyfs: what INTERFACE.md allows, checked; anything else is refused by name. */
#ifndef TALLY_CMD_OPTIONS_H
#define TALLY_CMD_OPTIONS_H

#include "store/store.h"

#include <limits.h>

#define OPTIONS_TEXT_MAX 1024

struct options {
	bool foreground;
	bool debug;
	bool help;
	bool version;
	bool nomount;
	bool remount; /* what is mounted is to be changed: ro and the words of mount(8) are all that counts */
	bool linearizable;
	bool read_only;
	bool allow_other;
	bool default_permissions;
	uint32_t max_threads;
	uint32_t lock_ttl_s;
	uint32_t max_read; /* 0: not limited */
	char rev_mark;
	bool inotify;
	char data[PATH_MAX];
	char mountpoint[PATH_MAX];          /* empty with nomount */
	char fsname[PATH_MAX];              /* empty: that of DATA */
	char mount_words[OPTIONS_TEXT_MAX]; /* for mount(8), separated by commas */
	char name[STORE_NAME_MAX];
	char listen[128];          /* empty: from cluster= */
	char client[128];          /* empty: none */
	char secret[PATH_MAX];     /* the file; empty: none */
	struct store_config store; /* complete but for `data`; its strings are those above, so a copy of the whole does not keep them */
};

/* 0, or -EINVAL and one line in `why`, which names what is wrong. With help or version nothing else is checked. May change the order
 * of argv. Not thread-safe (getopt). */
int options_parse(int argc, char **argv, struct options *out, char *why, size_t why_size);

#endif
