/* path.h: the grammar of names (INTERFACE.md, "Revision paths" and "Control files"). Pure. */
#ifndef TALLY_FS_PATH_H
#define TALLY_FS_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PATH_MARK '@' /* unless rev_mark= says otherwise */

enum path_shape {
	PATH_PLAIN,    /* an ordinary name */
	PATH_REVISION, /* NAME@120, @120: number */
	PATH_BACK,     /* NAME@-2: number versions ago */
	PATH_VERSIONS, /* NAME@ */
	PATH_TIME,     /* NAME@2026-11-22T10:00:00Z: time_ns, unless there is no such date */
	PATH_STATUS,   /* @status in the root */
	PATH_MEMBERS,  /* @members in the root */
	PATH_METRICS,  /* @metrics in the root */
	PATH_WATCH     /* @watch, NAME@watch */
};

struct path_name {
	enum path_shape shape;
	size_t base_len; /* bytes before the last mark; all of them if the name is plain */
	uint64_t number; /* UINT64_MAX stands for all that is larger */
	bool no_date;    /* of a PATH_TIME: the 30th of February and the like */
	int64_t time_ns; /* since 1970; INT64_MIN and INT64_MAX stand for all that is beyond */
};

/* What a name in a directory of the live tree means. Only what follows its last `mark` counts. */
struct path_name path_parse(const char *name, bool in_root, char mark);

/* Can it be a mark: a punctuation character of ASCII that neither ends a name nor occurs in what follows a mark? */
bool path_mark_valid(char mark);

#endif
