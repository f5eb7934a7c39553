/* cluster.h: real daemons with real mounts on loopback, for tests.
 *
 * Each test makes its cluster with cluster_new, and is registered with cluster_teardown, which ends every daemon that still runs (SIGTERM, and
 * within CLUSTER_END_MS, or the test fails), unmounts and removes everything, and fails the test if a sanitizer complained in a daemon's log.
 * It happens after failures too; a signal that ends the test program cleans up likewise.
 *
 * Functions here fail the running test when a wait passes its limit, so only the main thread may call them, unless it says otherwise. */
#ifndef TALLY_TESTS_LIB_CLUSTER_H
#define TALLY_TESTS_LIB_CLUSTER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define CLUSTER_NODES_MAX 5
#define CLUSTER_WAIT_MS 30000
#define CLUSTER_END_MS 15000

struct cluster_node {
	char name[16]; /* n1, n2, ... */
	char data[128];
	char mount[128];
	char log[128];
	char options[256]; /* of this node, besides the cluster's */
	char cluster[256]; /* its cluster=; empty: all nodes */
	bool nomount;
	char host[40];   /* its address; 127.0.0.1 unless it lives elsewhere (netns.h) */
	char netns[64];  /* the file of its network namespace; empty: this one */
	int port;        /* for peers */
	int client_port; /* for clients; 0: none */
	int pid;         /* 0 when it does not run */
	bool stopped;    /* by node_stop */
};

struct cluster {
	char dir[96];
	char options[256];    /* of every node */
	void (*on_end)(void); /* NULL; or called once all daemons have ended, also from a signal handler */
	int count;
	struct cluster_node nodes[CLUSTER_NODES_MAX];
};

/* Skips the running test, saying why, unless this machine can mount (root and /dev/fuse). */
void cluster_require(void);
/* Folders and free ports for `count` nodes; starts nothing. One cluster lives at a time. A cluster of one listens on no network. */
struct cluster *cluster_new(int count, const char *options);
/* Starts every node and waits until all are mounted and one leads. */
void cluster_start(struct cluster *c);
/* cluster_require, cluster_new and cluster_start. */
struct cluster *cluster_up(int count, const char *options);
int cluster_teardown(void **state);

/* The command line of a node, for tests that start one in their own way: argv has room for 16 pointers; strings live until the next call. */
void node_argv(const struct cluster *c, int i, const char **argv);
/* Starts it and does not wait. */
void node_spawn(struct cluster *c, int i);
/* Waits until its mount answers (or, with nomount, its endpoint is there). */
void node_wait(struct cluster *c, int i);
void node_start(struct cluster *c, int i);
/* SIGKILL. Any thread. */
void node_kill(struct cluster *c, int i);
/* SIGTERM; returns its exit status. */
int node_end(struct cluster *c, int i);
void node_stop(struct cluster *c, int i);     /* SIGSTOP; returns once it has stopped */
void node_continue(struct cluster *c, int i); /* SIGCONT */

/* A field of @status. False if it cannot be read now. Any thread. */
bool node_field(const struct cluster *c, int i, const char *field, char *out, size_t size);
/* A number from @status. */
uint64_t node_number(const struct cluster *c, int i, const char *field);
/* Is a tallyfs mounted and answering there? Any thread. */
bool mount_answers(const char *mount);
/* The node that leads among those that run (and are not stopped); waits for one. */
int cluster_leader(struct cluster *c);
/* Waits until all running nodes have applied the same index and tell the same revision. */
void cluster_agree(struct cluster *c);

/* Runs tallyctl against node i (its DATA folder), with the arguments after it, NULL-terminated. */
struct run_result;
void tallyctl(const struct cluster *c, int i, struct run_result *r, ...) __attribute__((sentinel));
const char *tallyfs_binary(void);
const char *tallyctl_binary(void);

/* `full` rounds, fewer when TEST_SCALE divides them (sanitizers). At least 1. */
int rounds(int full);
/* A free TCP port on loopback, outside the range that outgoing connections take. */
int free_port(void);
/* The daemon one of whose arguments begins with `word`; 0: none. */
int process_with(const char *word);
/* Fails the test, with the ends of all daemon logs. */
void cluster_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
