/* watchers.h: WATCH requests that wait for something to happen. One thread, that of the endpoint, owns them. */
#ifndef TALLY_STORE_CLIENT_WATCHERS_H
#define TALLY_STORE_CLIENT_WATCHERS_H

#include "store/client/handler.h"
#include "store/watch.h"

#include <stdatomic.h>

/* However long a client says that it would wait. */
#define WATCHER_WAIT_MS_MAX 60000u

struct watcher {
	struct watch watch;
	int64_t deadline_ns;
	struct watcher *prev;
	struct watcher *next;
};

struct watchers {
	struct watch_listener listener; /* first: wake gets back to the rest */
	struct watch_hub *hub;
	int wake_fd; /* an eventfd of the owner's, written to when some may be ready */
	struct watcher *all;
	int64_t deadline_ns; /* none is due before */
	atomic_uint count;   /* begun and not ended */
	atomic_bool news;
};

void watchers_open(struct watchers *ws, struct watch_hub *hub, int wake_fd);
/* None may be left. */
void watchers_close(struct watchers *ws);

/* Takes up a request; copies what it needs of it. False: refused, with the answer made. */
bool watcher_begin(struct watchers *ws, struct watcher *w, const struct request *r, int64_t now_ns, struct answer *out);
void watcher_end(struct watchers *ws, struct watcher *w);
/* True: there is something to tell, and the answer is made. */
bool watcher_answer(struct watchers *ws, struct watcher *w, int64_t now_ns, struct answer *out);
/* It waits from now on, until watchers_serve hands it out. */
void watcher_wait(struct watchers *ws, struct watcher *w);
/* Makes the answers of those that have one, in `out`, and hands each to `answered`, which ends it. */
void watchers_serve(struct watchers *ws, int64_t now_ns, struct answer *out, void (*answered)(void *ctx, struct watcher *w), void *ctx);
/* Hands out all of them, refused with this. */
void watchers_stop(struct watchers *ws, int error, const char *why, struct answer *out, void (*answered)(void *ctx, struct watcher *w),
		   void *ctx);
/* When watchers_serve should be called, if nothing else happens. */
int64_t watchers_deadline_ns(const struct watchers *ws);

#endif
