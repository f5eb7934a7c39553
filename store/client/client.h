/* client.h: requests to a cluster over several endpoints: picks one for each, fails over, retries what may be retried.
 *
 * A read is retried on another endpoint when one does not answer, until its time is up. A write is sent again only if it surely was not
 * applied: it never left (no connection), or was answered with -EBUSY. A write that was sent and not answered ends with -ETIMEDOUT and
 * may_have_applied.
 *
 * Asynchronous: many calls may be out at once (CLIENT_CALLS_MAX). One thread owns a struct client, and runs it. */
#ifndef TALLY_STORE_CLIENT_CLIENT_H
#define TALLY_STORE_CLIENT_CLIENT_H

#include "base/secret.h"
#include "store/client/balance.h"
#include "store/client/protocol.h"

#define CLIENT_CALLS_MAX 128u
#define CLIENT_ANY (-1)
#define CLIENT_WHY_MAX 512

struct client_config {
	const char *endpoints; /* address.h, separated by commas; borrowed for the call */
	enum balance_policy policy;
	int64_t timeout_ns;          /* of a call, retries included */
	const struct secret *secret; /* seals what goes to HOST:PORT endpoints; NULL: nothing is sealed. Borrowed until client_close */
	uint64_t seed;               /* balance_init: clients that live for one call should differ in it */
};

struct client;
struct channel;

/* Connects nothing yet. -EINVAL and one line in `why` for a malformed endpoint, none, or too many. */
int client_open(const struct client_config *config, struct client **out, char *why, size_t why_size);
/* No call may be out. NULL is fine. */
void client_close(struct client *c);

/* A call: memory of the caller's, zeroed but for the first part, kept until it is done. */
struct client_call {
	void (*done)(struct client_call *call); /* called from client_run; may submit, this very call too; or NULL */
	int endpoint;                           /* CLIENT_ANY; or which to ask, and after the call: which answered */
	bool only;                              /* ask no other than `endpoint`; else it is a preference */
	/* the result */
	bool finished;
	int error; /* 0: there is a response, which may be an error of its own; -ETIMEDOUT: none in time; -EACCES: no endpoint takes our secret */
	bool may_have_applied; /* a write, with -ETIMEDOUT */
	struct response response;
	char why[CLIENT_WHY_MAX]; /* with an error: the last thing that went wrong, and where */
	/* private to client.c */
	struct client_call *prev;
	struct client_call *next;
	struct writer bytes;
	struct channel *channel;
	void *message;
	unsigned on;
	uint64_t avoid;
	uint64_t denied; /* by endpoints that do not take our secret */
	int64_t deadline_ns;
	int64_t try_deadline_ns;
	int64_t look_ns;
	uint8_t type;
	uint8_t state;
	bool ready;
};

/* Sends the request, which is copied. -EBUSY: CLIENT_CALLS_MAX are out. */
int client_submit(struct client *c, struct client_call *call, const struct request *r);
/* Works until a call is done, `timeout_ns` has passed or none is out. Returns how many were done. */
unsigned client_run(struct client *c, int64_t timeout_ns);
/* Both, for one call; returns call->error. */
int client_call(struct client *c, struct client_call *call, const struct request *r);
/* Gives a call up that is out: it is not done, `done` is not called; a write may have been applied, or still be. */
void client_cancel(struct client *c, struct client_call *call);
/* Ends the result of a finished call. The call may then be submitted again. */
void client_call_done(struct client_call *call);

unsigned client_endpoints(const struct client *c);
struct client_stats {
	const char *name;  /* as given; the client's */
	uint64_t answered; /* requests that it answered */
	uint64_t failed;   /* that it did not, or could not be sent to it */
	uint32_t outstanding;
};
void client_stats(const struct client *c, unsigned endpoint, struct client_stats *out);

#endif
