/* checks_view.h: what the checks know, and what they share. Private to tests/sim/checks*.c. */
#ifndef TALLY_SIM_CHECKS_VIEW_H
#define TALLY_SIM_CHECKS_VIEW_H

#include "tests/sim/checks.h"

#define VIEWS_MAX 256u
#define VOTES_MAX 64u

/* An entry of any log, known by index and term. */
struct known {
	uint64_t index;
	uint64_t term;
	uint64_t hash;
	uint64_t term_before; /* of the entry before it; UINT64_MAX: not known */
};

struct committed {
	uint64_t term;
	uint64_t hash;
	uint64_t seen_in_term; /* at least the term in which it was committed */
	uint64_t applied_hash; /* of what it put; 0: nobody has applied it yet */
};

/* A vote that was granted, or asked for on one's own behalf; a promise once the save before it is durable. */
struct vote {
	uint64_t save;
	uint64_t term;
	uint64_t candidate;
};

/* What the log of a member was told to be durable, and what its raft said last. A machine that lost its data is another member afterwards. */
struct view {
	uint64_t id;
	uint64_t *terms; /* of durable entries, by index */
	size_t terms_capacity;
	uint64_t base;
	uint64_t last;
	struct raft_hard_state hard;
	struct vote promised;
	struct vote votes[VOTES_MAX]; /* not promised yet */
	uint32_t votes_count;
	uint64_t saved; /* the last save that raft asked for, and the last that is durable */
	uint64_t stored;
	uint64_t listed; /* the last entry that was listed as committed */
	uint64_t commit;
	uint64_t first;
	uint64_t term;
	enum raft_role role;
	uint64_t put_hash;          /* of the command that is being applied */
	struct raft_members before; /* in force when raft was last asked what there is to do */
	struct raft_members led;    /* in force when it was last asked as the leader, of term led_term; it may have died since */
	uint64_t led_term;
	uint64_t audited;     /* the hash of all that its store holds; 0: not looked at */
	uint64_t ticket_base; /* of the last boot */
};

struct checks {
	struct known *known;
	size_t known_count;
	size_t known_slots;
	struct committed *committed; /* by index */
	size_t committed_capacity;
	uint64_t committed_last;
	uint64_t *leaders; /* by term */
	size_t leaders_capacity;
	struct view *views[VIEWS_MAX];
	uint32_t views_count;
	struct view *of_machine[MACHINES_MAX];
	struct view nobody; /* of a machine that is no member yet */
};
extern struct checks checks;

/* The member that a machine is now; one that stands for nobody before it has an identity. */
struct view *checks_view(const struct machine *m);
struct view *checks_view_now(void);
/* NULL: nobody. */
struct view *checks_view_of_id(uint64_t id);
void checks_become(const struct machine *m, uint64_t id);

uint64_t checks_hash(uint64_t h, const void *data, size_t size);
uint64_t checks_hash_number(uint64_t h, uint64_t number);
/* Memory for places 0 to `place` of an array, zeroed. */
void *checks_reach(void *array, size_t *capacity, size_t place, size_t size);

/* An entry that is in a log. term_before: of the entry before it; UINT64_MAX: not known. */
void checks_note_entry(const struct machine *m, const struct raft_entry *e, uint64_t term_before);
/* Votes that are about to be told. */
void checks_note_votes(const struct machine *m, const struct raft_ready *ready);

#endif
