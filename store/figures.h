/* figures.h: what a node counts, for @metrics. Read at any time, without waiting for the cluster or the disk. */
#ifndef TALLY_STORE_FIGURES_H
#define TALLY_STORE_FIGURES_H

#include "base/histogram.h"
#include "store/store.h"

/* What is known of another member. */
struct store_peer {
	char name[STORE_NAME_MAX];
	bool voter;
	bool recent;    /* heard from within the election timeout; the leader alone knows */
	uint64_t match; /* the last entry that it is known to have stored; likewise */
};

/* Names that end in a verb are counted since the start of the daemon. */
struct store_figures {
	struct store_status status;
	bool leads;
	bool has_leader;
	bool voter;
	uint32_t peers_count; /* this member too, if it is one */
	struct store_peer peers[STORE_MEMBERS_MAX];
	uint64_t elections_begun;
	uint64_t leaders_seen;
	uint64_t read_rounds_begun;
	uint64_t read_questions_asked;
	uint64_t barriers_asked; /* reads that asked the cluster */
	uint64_t commands_submitted;
	size_t reads_pending;
	size_t writes_pending;
	uint64_t frames_sent;
	uint64_t frames_received;
	uint64_t frames_dropped;
	uint64_t frames_stale;
	uint64_t saves_made;
	uint64_t syncs_made;
	uint64_t live_bytes;
	uint64_t quota_bytes;
	uint64_t watchers;
	struct histogram_figures log_writes; /* a batch of saves, written and synced */
	struct histogram_figures applies;    /* an entry */
	struct histogram_figures commits;    /* to LMDB */
};

/* Any thread. */
void store_figures(struct store *s, struct store_figures *out);

#endif
