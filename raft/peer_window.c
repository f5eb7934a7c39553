#include "raft/peer_window.h"

#include <string.h>

static uint64_t *word_of(struct peer_window *w, uint64_t seq)
{
	return &w->seen[seq / 64 % PEER_WINDOW_WORDS];
}

/* Forgets what leaves the window: the words between the old top's and the new one's. */
static void slide(struct peer_window *w, uint64_t top)
{
	uint64_t words = top / 64 - w->top / 64;

	if (words >= PEER_WINDOW_WORDS)
		memset(w->seen, 0, sizeof(w->seen));
	for (uint64_t i = 1; words < PEER_WINDOW_WORDS && i <= words; i++)
		*word_of(w, w->top + i * 64) = 0;
	w->top = top;
}

enum peer_window_verdict peer_window_take(struct peer_window *w, uint64_t epoch, uint64_t seq)
{
	if (epoch < w->epoch)
		return PEER_WINDOW_OLD_EPOCH;
	if (epoch > w->epoch)
		*w = (struct peer_window){.epoch = epoch};
	if (seq > w->top)
		slide(w, seq);
	else if (w->top - seq >= PEER_WINDOW_FRAMES)
		return PEER_WINDOW_SEEN;
	uint64_t bit = UINT64_C(1) << seq % 64;
	if (*word_of(w, seq) & bit)
		return PEER_WINDOW_SEEN;
	*word_of(w, seq) |= bit;
	return PEER_WINDOW_NEW;
}
