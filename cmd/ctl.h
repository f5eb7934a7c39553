/* ctl.h: the parts of tallyctl. */
#ifndef TALLY_CMD_CTL_H
#define TALLY_CMD_CTL_H

#include "store/client/client.h"

#include <stdbool.h>
#include <stdint.h>

/* Exit status of tallyctl. */
enum ctl_exit { CTL_DONE = 0, CTL_REFUSED = 1, CTL_USAGE = 2, CTL_NO_ANSWER = 3 };

/* Options that only some commands take. */
enum ctl_given {
	GIVEN_PREFIX = 1,
	GIVEN_REV = 2,
	GIVEN_CONSISTENCY = 4,
	GIVEN_LIMIT = 8,
	GIVEN_KEYS_ONLY = 16,
	GIVEN_COUNT_ONLY = 32,
	GIVEN_LEARNER = 64,
	GIVEN_LEASE = 1024,
	GIVEN_ONCE = 128,
	GIVEN_KEYS = 256,
	GIVEN_TTL = 512
};

struct ctl_options {
	const char *endpoints;
	const char *secret; /* the file; NULL: none */
	enum balance_policy policy;
	int64_t timeout_ns;
	bool json;
	bool help;
	bool version;
	unsigned given; /* enum ctl_given */
	uint64_t rev;
	uint64_t limit;
	bool serial;
	uint64_t lease;
	uint64_t ttl_s;
	char **args; /* the command and its arguments, NULL-terminated */
	int args_count;
	char wrong[160]; /* one line, if something could not be understood */
};

/* Options may stand before and after the command, but of `lock NAME COMMAND...` all that follows COMMAND is its own. Always fills *out; what is wrong is said in out->wrong. Reorders argv. */
void ctl_options_parse(int argc, char **argv, struct ctl_options *out);

struct ctl {
	const struct ctl_options *options;
	struct client *client;
	struct secret *secret; /* NULL: none */
	char **args;           /* of the command, its name left out */
	int args_count;
};

/* Another client of the same endpoints. Errors of client_open. */
int ctl_connect(const struct ctl *ctl, struct client **out, char *why, size_t why_size);

/* Commands; each returns an enum ctl_exit. */
int ctl_get(struct ctl *ctl);
int ctl_put(struct ctl *ctl);
int ctl_del(struct ctl *ctl);
int ctl_history(struct ctl *ctl);
int ctl_endpoint(struct ctl *ctl);
int ctl_compact(struct ctl *ctl);
int ctl_snapshot(struct ctl *ctl);
/* Working on a file needs no node. */
bool ctl_snapshot_needs_node(const struct ctl_options *o);
int ctl_txn(struct ctl *ctl);
int ctl_member(struct ctl *ctl);
int ctl_move_leader(struct ctl *ctl);
int ctl_watch(struct ctl *ctl);
int ctl_lease(struct ctl *ctl);
int ctl_lock(struct ctl *ctl);
int ctl_elect(struct ctl *ctl);
int ctl_check(struct ctl *ctl);

/* Asks; the answer is in *call, for client_call_done in any case. CTL_DONE, or the reason is said on stderr. */
int ctl_ask(struct ctl *ctl, struct client_call *call, const struct request *r);
/* Says on stderr why a call was not answered, or was refused, and what exit status that is. */
int ctl_say_refused(struct ctl *ctl, const struct client_call *call);

/* The id of a lease: up to 16 hex digits. */
bool ctl_lease_parse(const char *text, uint64_t *id);
/* CTL_DONE, or the reason is said. */
int ctl_lease_grant(struct ctl *ctl, uint64_t ttl_s, uint64_t *id);

/* From now on SIGINT, SIGTERM and SIGHUP only make ctl_interrupted true: the signal's number. */
void ctl_catch_interrupts(void);
int ctl_interrupted(void);
/* client_call; or -EINTR once interrupted, and the call may or may not have been carried out. */
int ctl_ask_interruptible(struct ctl *ctl, struct client_call *call, const struct request *r);
/* At most so long, not at all once interrupted. */
void ctl_pause(int64_t ms);

/* Would a mount take a part of the key for a revision or control path? The file could then not be reached there. */
bool ctl_key_reserved(struct span key);
/* All of stdin; -EFBIG if it is more than `bytes_max`. */
int ctl_read_stdin(struct writer *w, size_t bytes_max);
/* {"key":..., ...}: a kv of a GET, with its value or without. */
void ctl_kv_json(const struct kv *kv, bool value);
/* Digits and nothing else. */
bool ctl_number_parse(const char *text, uint64_t *out);
/* A line on stderr, after the program's name. */
void ctl_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
