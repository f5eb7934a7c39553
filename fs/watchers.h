/* watchers.h: who watches which keys, found by what changes. Pure; the caller locks.
 *
 * Finding those to whom a change matters costs the depth of its key and their number, however many others there are. */
#ifndef TALLY_FS_WATCHERS_H
#define TALLY_FS_WATCHERS_H

#include "base/codec.h"

#include <stdbool.h>
#include <stddef.h>

#define WATCHERS_BUCKETS 4096u

struct watcher {
	struct span key; /* of the caller's, as long as it is listed */
	bool below;      /* all keys below that directory ("": all there are), not the key itself; else that key alone */
	struct watcher *next;
	struct watcher **at;
};

struct watchers {
	struct watcher *buckets[WATCHERS_BUCKETS];
};

void watchers_add(struct watchers *t, struct watcher *w);
void watchers_remove(struct watcher *w);
/* Calls fn for each watcher of a key that changed. */
void watchers_match(struct watchers *t, struct span key, void (*fn)(void *ctx, struct watcher *w), void *ctx);
void watchers_each(struct watchers *t, void (*fn)(void *ctx, struct watcher *w), void *ctx);

#endif
