/* dumps.h: pictures of the store that clients fetch page by page (tallyctl snapshot save). Private to store/.
 *
 * Each holds a read transaction of LMDB, so there are few, and one that nobody asks for any more is ended. A page may be asked for again, as
 * its answer may be lost. Any thread; a page is read under a lock of its own dump's. */
#ifndef TALLY_STORE_DUMPS_H
#define TALLY_STORE_DUMPS_H

#include "store/mvcc/dump.h"

#define DUMPS_MAX 4
#define DUMPS_IDLE_NS INT64_C(60000000000)
#define DUMPS_LIFE_NS INT64_C(3600000000000)

struct dumps;

/* `seed` differs from boot to boot, so that no number means a dump of an earlier one. */
struct dumps *dumps_new(struct mvcc *m, uint64_t seed);
/* NULL is fine. */
void dumps_free(struct dumps *d);

/* Takes a picture, which includes all that is applied now: waits for the disk. Appends its manifest. -EBUSY: DUMPS_MAX are being fetched. */
int dumps_begin(struct dumps *d, int64_t now_ns, uint64_t *id, struct writer *manifest);
/* Page `number`, from 0, that begins at *at, which moves to its end; *sum: of all pages so far. 1: there is more, 0: that was the last.
 * -ENOENT: no such dump any more; -EINVAL: neither the next page nor the last one again. */
int dumps_page(struct dumps *d, int64_t now_ns, uint64_t id, uint64_t number, struct dump_position *at, struct writer *chunk,
	       uint32_t *sum);
void dumps_end(struct dumps *d, uint64_t id);
/* Ends those that are idle or old; never waits. */
void dumps_expire(struct dumps *d, int64_t now_ns);

#endif
