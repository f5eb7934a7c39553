/* clients.h: callers of the store on every machine: what they do, what they were told, and whether that can be explained. */
#ifndef TALLY_SIM_CLIENTS_H
#define TALLY_SIM_CLIENTS_H

#include "tests/sim/machine.h"

struct client_habits {
	uint32_t per_machine;
	uint32_t keys;
	int64_t pause_ns_max; /* between operations */
	uint32_t read_percent;
	uint32_t large_permille; /* writes that need staging */
	bool uses_more;          /* transactions, leases, compaction, watching: uses.h */
};

void clients_begin(const struct client_habits *habits);
/* The machine's daemon is up: its clients begin. */
void clients_start(struct machine *m);
/* Within the machine: waits until none is at work. */
void clients_await_end(struct machine *m);
void clients_machine_died(struct machine *m);
/* Within the machine: submits a command and waits for its end. result->reply is the caller's to free. *sequence (or NULL): the command's. */
int clients_submit(struct machine *m, const struct command *command, struct command_result *result, uint64_t *sequence);
/* They do no more, except that one on each machine writes once, and again until it succeeds. */
void clients_finish(void);
/* Did the last write on each running machine succeed? */
void clients_check_finished(void);
/* Is the history linearizable? */
void clients_check_history(void);

#endif
