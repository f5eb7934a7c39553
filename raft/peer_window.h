/* peer_window.h: which frames of one sender were taken already: a boot epoch, and a window of sequence numbers that slides (RFC 6479). Private to raft/peer*.c.
 *
 * Sequence numbers rise, with gaps where a sender speaks to several; connections that end and begin again may change their order a little, so what is new and at most PEER_WINDOW_FRAMES behind
 * the highest is taken. */
#ifndef TALLY_RAFT_PEER_WINDOW_H
#define TALLY_RAFT_PEER_WINDOW_H

#include <stdint.h>

#define PEER_WINDOW_FRAMES 4096u
#define PEER_WINDOW_WORDS (PEER_WINDOW_FRAMES / 64u + 1u)

struct peer_window {
	uint64_t epoch;
	uint64_t top; /* highest seq taken in this epoch */
	uint64_t seen[PEER_WINDOW_WORDS];
};

enum peer_window_verdict {
	PEER_WINDOW_NEW,       /* take it; it counts as seen from now on */
	PEER_WINDOW_OLD_EPOCH, /* of an older boot */
	PEER_WINDOW_SEEN       /* taken before, or too old to tell */
};

/* Only for frames whose seal was opened: others would move the window. A zeroed window has seen nothing. */
enum peer_window_verdict peer_window_take(struct peer_window *w, uint64_t epoch, uint64_t seq);

#endif
