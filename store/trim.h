/* trim.h: how far the log may be trimmed. Private to store/. */
#ifndef TALLY_STORE_TRIM_H
#define TALLY_STORE_TRIM_H

#include <stdint.h>

/* Kept for members that are away: so many entries, if they lie in the newest WAL_KEEP_BYTES. Who lacks more is given a snapshot. */
#define TRIM_KEEP_ENTRIES 10000u
/* A snapshot on its way holds the log back behind it, but no further than this: a member so slow needs another one. */
#define TRIM_HELD_BYTES_MAX (UINT64_C(1) << 30)

struct trim_facts {
	uint64_t last;       /* of the log */
	uint64_t durable;    /* what the store would still have after a power cut */
	uint64_t everywhere; /* what every member has stored */
	uint64_t recent;     /* first entry of the newest WAL_KEEP_BYTES */
	uint64_t held;       /* a snapshot as of this entry is on its way; UINT64_MAX: none */
	uint64_t bytes;      /* of the log */
};

/* Entries below this one may go. */
uint64_t trim_point(const struct trim_facts *f);

#endif
