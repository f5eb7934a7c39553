/* request.h: a request of the kernel on its way through the cluster: what it asked, and what is to be done next.
 *
 * It is made on a FUSE worker, may pass barriers and commands, each ending on a thread of the store, and ends with one reply, sent from
 * whichever thread has it then. So no worker waits. An interrupt of the caller ends the step under way, and those after it, in time (interrupt.h). */
#ifndef TALLY_FS_REQUEST_H
#define TALLY_FS_REQUEST_H

#include "fs/metrics.h"
#include "fs/mount.h"

#include <sys/stat.h>

struct request;
/* The next step, with the outcome of the one before (0 or a negative errno). It owns the request now. */
typedef void request_step(struct request *rq, int error);

struct request {
	struct store_op op;
	struct fs *fs;
	fuse_req_t req; /* NULL: nobody waits for a reply */
	/* what the operation keeps across its steps */
	struct node *node;
	struct node *node2;
	struct node *held;          /* put at the end */
	struct node *held2;         /* put at the end */
	struct handle *held_handle; /* put at the end */
	struct handle *handle;
	struct directory *directory;
	char *name;  /* freed at the end */
	char *name2; /* freed at the end */
	struct writer value;
	struct stat attr;
	struct fuse_file_info file;
	int to_set;
	mode_t mode;
	uint64_t rdev;
	unsigned flags;
	size_t size;
	off_t offset;
	bool impatient; /* waits for other callers: a signal that is caught interrupts it at once */
	pid_t pid;      /* of the calling thread */
	uint32_t uid;
	uint32_t gid;
	uint64_t number; /* of numbers_take */
	request_step *number_taken;
	char *found_key; /* of rewalk.h; freed at the end */
	size_t found_key_size;
	uint64_t found_rev;
	struct lock_ask *ask;   /* freed at the end */
	request_step *after;    /* where to go on after publish_start */
	struct request *queued; /* behind a publication */
	struct metrics_call call;
	/* private to request.c */
	request_step *next;
	pthread_mutex_t lock;
	atomic_uint refs;
	uint32_t stage;
	bool in_store;
	int64_t let_go_ns; /* its caller was interrupted: to be let go at this time; 0: it was not */
};

/* `req` may be NULL; the caller's identity is then zero. */
struct request *request_new(struct fs *fs, fuse_req_t req);
void request_name(struct request *rq, struct node *parent, const char *name);
/* Passes a barrier, then `next`. */
void request_barrier(struct request *rq, request_step *next);
/* A barrier if the mount is linearizable, else `next` at once. */
void request_read(struct request *rq, request_step *next);
/* Proposes a command; its result is in rq->op.result when `next` is called. */
void request_submit(struct request *rq, const struct command *c, request_step *next);
/* A command of this type from this caller, all else at rest. */
struct command request_command(const struct request *rq, enum command_type type);

/* Each of these replies (if anybody waits) and ends the request. `error` is a negative errno or 0. */
void request_error(struct request *rq, int error);
void request_attr(struct request *rq, const struct stat *attr, double timeout);
void request_data(struct request *rq, const void *data, size_t size);
/* Before a reply that none of these gives: counts it. */
void request_answers(struct request *rq, int error);
/* For an operation that is refused before it has become a request. */
void request_refuse(fuse_req_t req, int error);
/* Ends a request that was replied to, or needs no reply. */
void request_end(struct request *rq);

#endif
