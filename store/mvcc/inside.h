/* inside.h: struct mvcc, for the files of this folder.
 *
 * The rwlock guards the index, both generations of the buffer and the state. The writer holds it from mvcc_begin to mvcc_end, the backend
 * thread for a moment when it takes a generation and when it drops one. A reader looks things up under it, and takes its LMDB snapshot under
 * it too when the buffer has not what it needs: a generation is dropped only once it is in LMDB, so what is in neither is nowhere. The
 * snapshot is then read without the lock. */
#ifndef TALLY_STORE_MVCC_INSIDE_H
#define TALLY_STORE_MVCC_INSIDE_H

#include "store/mvcc/backend.h"
#include "store/mvcc/compact.h"
#include "store/mvcc/hash.h"
#include "store/mvcc/holds.h"
#include "store/mvcc/index.h"
#include "store/mvcc/times.h"

#include <stdatomic.h>

enum commit_urgency {
	COMMIT_IDLE,
	COMMIT_LAZY, /* only the applied index moved */
	COMMIT_SOON,
	COMMIT_NOW
};

/* The backend thread and what it is told. The mutex is taken last, and guards all but the atomics. */
struct committer {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_cond_t done;
	atomic_int urgency; /* changed under the mutex only */
	int64_t deadline_ns;
	uint64_t flush_wanted;
	uint64_t flush_done;
	uint64_t cycles;
	bool stop;
	bool paused;
	bool busy;
	uint64_t committed; /* applied index in the last commit; the thread's own, like what follows */
	struct compaction compaction;
	int64_t compact_ns;   /* when the next step of compaction is due */
	int64_t compacted_ns; /* spent on steps of this pass */
	int64_t used_ns;      /* when the pages in use are to be counted again */
};

/* A stage that is there. */
struct stage {
	struct stage_id id;
	uint32_t chunks;
};

/* The command between mvcc_begin and mvcc_end. */
struct writing {
	uint64_t index;
	uint64_t term;
	uint32_t sub;         /* the next */
	size_t records_first; /* its records in the buffer begin here */
	bool urgent;          /* worth a commit, though nothing is in the buffer */
};

struct mvcc {
	struct backend
		*backend; /* another one once a snapshot has replaced the store: taken under the lock, then kept by its transactions */
	pthread_rwlock_t lock;
	struct index index;
	struct buffer generations[2];
	struct buffer *active;
	struct buffer *committing; /* NULL: none */
	struct state state;
	uint64_t origin_index; /* mvcc_origin; 0: none */
	uint64_t origin_term;
	struct times times;
	struct hash_points hashes;
	struct holds holds;
	struct writing writing;
	struct stage *stages; /* the writer's own */
	size_t stages_count;
	size_t stages_capacity;
	struct committer committer;
	/* Copies of the state for those without the lock. */
	_Atomic uint64_t revision;
	_Atomic uint64_t compact_revision;
	_Atomic uint64_t applied;
	_Atomic uint64_t durable;
	_Atomic int64_t last_time_ns;
	_Atomic uint64_t commits;
	struct histogram commit_durations;
	_Atomic uint64_t used_bytes;
	_Atomic uint64_t compacted;
	atomic_int error;
};

/* Is this the writer's thread, within a command? It holds the lock already. */
bool mvcc_is_writer(const struct mvcc *m);
void mvcc_lock_shared(struct mvcc *m);
void mvcc_unlock_shared(struct mvcc *m);
/* Sets the copies of the state. */
void mvcc_publish(struct mvcc *m);

/* With the lock: the last main revision that a read at `rev_main` sees. -ENOENT, -ENODATA as in mvcc.h. */
int mvcc_bound(const struct mvcc *m, uint64_t rev_main, uint64_t *out);
/* Reads the record at a revision that the index has shown for `bound`. -ENODATA if the floor has risen above that since. */
int mvcc_load(struct mvcc *m, struct rev rev, uint64_t bound, struct record *out);
static inline struct rev mark_rev(struct mark mark)
{
	return (struct rev){mark.main, mark.sub & MARK_SUB};
}

int committer_start(struct mvcc *m);
/* Nothing may be buffered that matters. */
void committer_stop(struct mvcc *m);
/* Lets it end what it does, and do nothing more until it is resumed. */
void committer_pause(struct mvcc *m);
/* With what is in LMDB now as its last commit. */
void committer_resume(struct mvcc *m);
/* The writer has ended a command; without the lock. */
void committer_notice(struct mvcc *m, enum commit_urgency urgency);
/* A version whose blocks compaction spared is no longer held. Any thread. */
void committer_released(void *ctx);
/* With the lock held exclusively: gives it up and takes it back once the commit that runs has ended. */
void committer_wait_locked(struct mvcc *m);

/* For opening: what a load has left in the store. */
int load_find_origin(struct mvcc *m);
/* For opening: a chunk that is there. */
void stage_note(struct mvcc *m, const struct stage_id *id, uint32_t chunk);

#endif
