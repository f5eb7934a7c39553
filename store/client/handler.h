/* handler.h: requests into answers, from this node's applied state, and requests into commands. Knows nothing of sockets. */
#ifndef TALLY_STORE_CLIENT_HANDLER_H
#define TALLY_STORE_CLIENT_HANDLER_H

#include "store/client/protocol.h"
#include "store/store.h"

/* An answer in the making. A zeroed one is empty; answer_clear keeps its memory. */
struct answer {
	struct response head; /* its spans lie in text and next below */
	struct writer kvs;
	struct writer text;
	char next[PROTOCOL_KEY_MAX];
};

void answer_clear(struct answer *a);
void answer_free(struct answer *a);
/* Makes it an error with one line of text, and nothing else. */
void answer_refuse(struct answer *a, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Does it have to pass a read barrier before handler_read? */
bool handler_needs_barrier(const struct request *r);
/* True if it asks for what this node must not show, because it has diverged from the others: the answer says so. */
bool handler_hides(struct store *s, const struct request *r, struct answer *out);
/* GET, HISTORY, STATUS, HEALTH, HASH, SNAPSHOT. Bounded work: one page. */
void handler_read(struct store *s, const struct request *r, struct answer *out);
/* A part of handler_read. Its first page waits for a commit to the disk. */
void handler_snapshot(struct store *s, const struct request *r, struct answer *out);
/* PUT, DELETE, LOAD, TXN, COMPACT: the command, its spans borrowed from `r`. Or a negative errno, the answer saying why. */
int handler_command(struct store *s, const struct request *r, struct command *c, struct answer *out);
/* Requests that change members, or who of them leads: what is asked of the store, with `fresh_id` for a new one; or a negative errno, the
 * answer saying why. Then the answer to it. */
struct member_request;
bool handler_changes_members(uint8_t type);
int handler_member_request(const struct request *r, uint64_t fresh_id, struct member_request *q, struct answer *out);
void handler_member_done(const struct request *r, struct command_result *result, struct answer *out);
/* The answer to a write that the store is done with. */
void handler_written(const struct request *r, const struct command_result *result, struct answer *out);
/* Why the store refused a write. */
const char *handler_error_text(int error);
/* The same for leases; parts of the above. */
int handler_lease_command(const struct request *r, struct command *c, struct answer *out);
void handler_lease_written(const struct request *r, int error, const struct command_result *result, struct answer *out);
void handler_lease_read(struct store *s, const struct request *r, struct answer *out);
static inline bool handler_is_lease(uint8_t type)
{
	return type >= REQUEST_LEASE_GRANT && type <= REQUEST_LEASE_LIST;
}
/* The answer to a read whose barrier failed. */
void handler_unreadable(struct store *s, const struct request *r, int error, struct answer *out);

#endif
