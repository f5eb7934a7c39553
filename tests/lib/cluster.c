#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define FUSE_MAGIC 0x65735546
#define ARGV_MAX 16

static struct cluster *live; /* for the signal handler and the teardown */

static void end_now(int sig)
{
	for (int i = 0; live && i < live->count; i++) {
		if (live->nodes[i].pid > 0)
			kill(live->nodes[i].pid, SIGKILL);
		umount2(live->nodes[i].mount, MNT_DETACH);
		umount2(live->nodes[i].data, MNT_DETACH); /* where a test gave it a disk of its own */
	}
	if (live && live->on_end)
		live->on_end();
	/* Only what a signal handler may call: hence no dir_remove. */
	if (live && fork() == 0) {
		execl("/bin/rm", "rm", "-rf", "--one-file-system", live->dir, (char *)NULL);
		_exit(127);
	}
	signal(sig, SIG_DFL);
	raise(sig);
}

void cluster_require(void)
{
	const char *why = NULL;
	if (geteuid() != 0)
		why = "mounting needs root";
	else if (access("/dev/fuse", R_OK | W_OK) < 0)
		why = "there is no /dev/fuse";
	if (!why)
		return;
	printf("# skip: %s\n", why);
	skip();
}

int rounds(int full)
{
	const char *scale = getenv("TEST_SCALE");
	int by = scale ? (int)strtoull(scale, NULL, 10) : 1;
	return by > 1 && full / by > 0 ? full / by : by > 1 ? 1 : full;
}

struct cluster *cluster_new(int count, const char *options)
{
	const char *tmp = getenv("TMPDIR");
	char dir[sizeof(((struct cluster *)0)->dir)];
	struct cluster *c = calloc(1, sizeof(*c));
	assert_non_null(c);
	assert_null(live);
	snprintf(dir, sizeof(dir), "%s/tally-XXXXXX", tmp && strlen(tmp) < 64 ? tmp : "/tmp");
	assert_non_null(mkdtemp(dir));
	memcpy(c->dir, dir, sizeof(dir));
	snprintf(c->options, sizeof(c->options), "%s", options ? options : "");
	c->count = count;
	for (int i = 0; i < count; i++) {
		struct cluster_node *n = &c->nodes[i];
		snprintf(n->name, sizeof(n->name), "n%d", i + 1);
		snprintf(n->data, sizeof(n->data), "%s/data%d", dir, i + 1);
		snprintf(n->mount, sizeof(n->mount), "%s/mnt%d", dir, i + 1);
		snprintf(n->log, sizeof(n->log), "%s/log%d", dir, i + 1);
		snprintf(n->host, sizeof(n->host), "127.0.0.1");
		n->port = count > 1 ? free_port() : 0;
		assert_int_equal(mkdir(n->data, 0700), 0);
		assert_int_equal(mkdir(n->mount, 0755), 0);
	}
	live = c;
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGABRT};
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		signal(ends[i], end_now);
	return c;
}

void cluster_start(struct cluster *c)
{
	for (int i = 0; i < c->count; i++)
		node_spawn(c, i);
	for (int i = 0; i < c->count; i++)
		node_wait(c, i);
	cluster_leader(c);
}

struct cluster *cluster_up(int count, const char *options)
{
	cluster_require();
	struct cluster *c = cluster_new(count, options);
	cluster_start(c);
	return c;
}

void node_argv(const struct cluster *c, int i, const char **argv)
{
	static char options[2048];
	const struct cluster_node *n = &c->nodes[i];
	size_t at = (size_t)snprintf(options, sizeof(options), "name=%s", n->name);
	if (n->cluster[0])
		at += (size_t)snprintf(options + at, sizeof(options) - at, ",cluster=%s", n->cluster);
	for (int m = 0; !n->cluster[0] && c->count > 1 && m < c->count; m++)
		at += (size_t)snprintf(options + at, sizeof(options) - at, "%s%s=%s:%d", m == 0 ? ",cluster=" : "/", c->nodes[m].name,
				       c->nodes[m].host, c->nodes[m].port);
	if (n->client_port)
		at += (size_t)snprintf(options + at, sizeof(options) - at, ",client=%s:%d", n->host, n->client_port);
	if (n->nomount)
		at += (size_t)snprintf(options + at, sizeof(options) - at, ",nomount");
	if (c->options[0])
		at += (size_t)snprintf(options + at, sizeof(options) - at, ",%s", c->options);
	if (n->options[0])
		at += (size_t)snprintf(options + at, sizeof(options) - at, ",%s", n->options);
	static char enter[80];
	int k = 0;
	if (n->netns[0]) {
		/* Not `ip netns exec`: that would hide the mount from us in a mount namespace of its own. */
		snprintf(enter, sizeof(enter), "--net=%s", n->netns);
		argv[k++] = "nsenter";
		argv[k++] = enter;
		argv[k++] = "--";
	}
	argv[k++] = tallyfs_binary();
	argv[k++] = n->data;
	if (!n->nomount)
		argv[k++] = n->mount;
	argv[k++] = "-f";
	argv[k++] = "-o";
	argv[k++] = options;
	argv[k] = NULL;
}

void node_spawn(struct cluster *c, int i)
{
	const char *argv[ARGV_MAX];
	node_argv(c, i, argv);
	c->nodes[i].pid = run_spawn(argv, c->nodes[i].log);
	c->nodes[i].stopped = false;
	if (c->nodes[i].pid < 0) {
		c->nodes[i].pid = 0;
		cluster_fail("cannot start %s", c->nodes[i].name);
	}
}

bool mount_answers(const char *mount)
{
	struct statfs st;
	return statfs(mount, &st) == 0 && st.f_type == FUSE_MAGIC;
}

struct starting {
	struct cluster *c;
	int i;
	bool ended;
};

static bool node_ready(void *ctx)
{
	struct starting *s = ctx;
	const struct cluster_node *n = &s->c->nodes[s->i];
	int status;
	s->ended = waitpid(n->pid, &status, WNOHANG) != 0;
	return s->ended || (n->nomount ? access(path("%s/ctl", n->data), F_OK) == 0 : mount_answers(n->mount));
}

void node_wait(struct cluster *c, int i)
{
	struct starting s = {.c = c, .i = i};
	bool ready = wait_until(node_ready, &s, CLUSTER_WAIT_MS);
	if (s.ended)
		c->nodes[i].pid = 0;
	if (!ready || s.ended)
		cluster_fail("%s %s", c->nodes[i].name, s.ended ? "ended at its start" : "did not mount in time");
}

void node_start(struct cluster *c, int i)
{
	node_spawn(c, i);
	node_wait(c, i);
}

void node_kill(struct cluster *c, int i)
{
	struct cluster_node *n = &c->nodes[i];
	int status;
	if (n->pid <= 0)
		return;
	kill(n->pid, SIGKILL);
	run_wait(n->pid, CLUSTER_END_MS, &status);
	n->pid = 0;
	n->stopped = false;
	if (n->nomount)
		unlink(path("%s/ctl", n->data)); /* so that node_wait cannot take the dead one's for the next one's */
}

/* True once it has ended by itself; else it is killed. */
static bool node_reap(struct cluster_node *n, int *status)
{
	bool ended = run_wait(n->pid, CLUSTER_END_MS, status);
	if (!ended) {
		kill(n->pid, SIGKILL);
		run_wait(n->pid, CLUSTER_END_MS, status);
	}
	n->pid = 0;
	return ended;
}

int node_end(struct cluster *c, int i)
{
	int status = -1;
	kill(c->nodes[i].pid, SIGTERM);
	if (!node_reap(&c->nodes[i], &status))
		cluster_fail("%s did not end after SIGTERM", c->nodes[i].name);
	return status;
}

static bool has_stopped(void *ctx)
{
	const struct cluster_node *n = ctx;
	siginfo_t info = {0};
	return waitid(P_PID, (id_t)n->pid, &info, WSTOPPED | WNOHANG) == 0 && info.si_pid == n->pid;
}

void node_stop(struct cluster *c, int i)
{
	struct cluster_node *n = &c->nodes[i];
	kill(n->pid, SIGSTOP);
	/* Its threads stop one after another: until the last one has, it may still answer the others. */
	bool stopped = wait_until(has_stopped, n, CLUSTER_WAIT_MS);
	n->stopped = true;
	if (!stopped)
		cluster_fail("%s did not stop", n->name);
}

void node_continue(struct cluster *c, int i)
{
	kill(c->nodes[i].pid, SIGCONT);
	c->nodes[i].stopped = false;
}

bool node_field(const struct cluster *c, int i, const char *field, char *out, size_t size)
{
	char text[8192], name[PATH_MAX];
	const struct cluster_node *n = &c->nodes[i];
	size_t length = strlen(field);
	if (n->pid <= 0 || n->stopped || !mount_answers(n->mount))
		return false;
	/* Asked over and over by those who wait: path() would hand out again what the test still holds. */
	snprintf(name, sizeof(name), "%s/@status", n->mount);
	if (file_read(name, text, sizeof(text)) < 0)
		return false;
	for (char *line = text, *end; line && *line; line = end ? end + 1 : NULL) {
		end = strchr(line, '\n');
		if (end)
			*end = '\0';
		if (strncmp(line, field, length) == 0 && strncmp(line + length, ": ", 2) == 0) {
			snprintf(out, size, "%s", line + length + 2);
			return true;
		}
	}
	return false;
}

uint64_t node_number(const struct cluster *c, int i, const char *field)
{
	char text[64];
	char *end;
	if (!node_field(c, i, field, text, sizeof(text)))
		cluster_fail("@status of %s has no %s", c->nodes[i].name, field);
	uint64_t value = strtoull(text, &end, 10);
	if (end == text || *end)
		cluster_fail("@status of %s: %s is not a number: %s", c->nodes[i].name, field, text);
	return value;
}

struct leading {
	const struct cluster *c;
	int leader;
};

static bool runs(const struct cluster_node *n)
{
	return n->pid > 0 && !n->stopped;
}

/* A node that runs, whom every node that runs and is mounted calls its leader; if it is mounted, it says so itself. */
static bool leader_known(void *ctx)
{
	struct leading *l = ctx;
	char text[64];
	int votes[CLUSTER_NODES_MAX] = {0};
	int voters = 0;
	l->leader = -1;
	for (int i = 0; i < l->c->count; i++) {
		if (!runs(&l->c->nodes[i]) || l->c->nodes[i].nomount)
			continue;
		voters++;
		if (!node_field(l->c, i, "leader", text, sizeof(text)))
			return false;
		for (int k = 0; k < l->c->count; k++)
			votes[k] += strcmp(text, l->c->nodes[k].name) == 0;
	}
	for (int k = 0; k < l->c->count; k++) {
		const struct cluster_node *n = &l->c->nodes[k];
		if (votes[k] != voters || !runs(n))
			continue;
		if (n->nomount || (node_field(l->c, k, "role", text, sizeof(text)) && strcmp(text, "leader") == 0))
			l->leader = k;
	}
	return l->leader >= 0;
}

int cluster_leader(struct cluster *c)
{
	struct leading l = {.c = c};
	bool mounted = false;
	for (int i = 0; i < c->count; i++)
		mounted = mounted || (c->nodes[i].pid > 0 && !c->nodes[i].nomount);
	if (!mounted)
		return -1;
	if (!wait_until(leader_known, &l, CLUSTER_WAIT_MS))
		cluster_fail("no leader in time");
	return l.leader;
}

static bool all_agree(void *ctx)
{
	const struct cluster *c = ctx;
	char first[2][64] = {"", ""};
	for (int i = 0; i < c->count; i++) {
		char applied[64];
		char revision[64];
		if (c->nodes[i].pid <= 0 || c->nodes[i].stopped || c->nodes[i].nomount)
			continue;
		if (!node_field(c, i, "applied_index", applied, sizeof(applied)) ||
		    !node_field(c, i, "revision", revision, sizeof(revision)))
			return false;
		if (first[0][0] && (strcmp(first[0], applied) != 0 || strcmp(first[1], revision) != 0))
			return false;
		snprintf(first[0], sizeof(first[0]), "%s", applied);
		snprintf(first[1], sizeof(first[1]), "%s", revision);
	}
	return true;
}

void cluster_agree(struct cluster *c)
{
	if (!wait_until(all_agree, c, CLUSTER_WAIT_MS))
		cluster_fail("the nodes do not agree in time");
}

/* Detaches everything mounted below the cluster's folder, the deepest first. */
static void unmount_below(const char *dir)
{
	char line[1024];
	char where[16][512];
	int count = 0;
	FILE *f = fopen("/proc/self/mounts", "re");
	while (f && count < 16 && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %511s", where[count]) == 1 && strncmp(where[count], dir, strlen(dir)) == 0)
			count++;
	if (f)
		fclose(f);
	while (count > 0)
		umount2(where[--count], MNT_DETACH);
}

static bool log_complains(const struct cluster_node *n)
{
	static const char *const signs[] = {"ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "WARNING: ThreadSanitizer",
					    "runtime error:", "Assertion"};
	size_t size;
	bool bad = false;
	char *text = file_load(n->log, &size);
	for (size_t i = 0; text && i < sizeof(signs) / sizeof(signs[0]); i++)
		bad = bad || strstr(text, signs[i]) != NULL;
	if (bad)
		fprintf(stderr, "--- log of %s:\n%s\n", n->name, text);
	free(text);
	return bad;
}

static bool nothing_left(void *ctx)
{
	return process_with(ctx) == 0;
}

int cluster_teardown(void **state)
{
	struct cluster *c = live;
	int bad = 0;
	int status;
	(void)state;
	if (!c)
		return 0;
	for (int i = 0; i < c->count; i++) {
		if (c->nodes[i].pid <= 0)
			continue;
		kill(c->nodes[i].pid, SIGTERM);
		kill(c->nodes[i].pid, SIGCONT);
	}
	for (int i = 0; i < c->count; i++) {
		if (c->nodes[i].pid <= 0)
			continue;
		if (!node_reap(&c->nodes[i], &status) || status != 0) {
			fprintf(stderr, "%s did not end well after SIGTERM: status %d\n", c->nodes[i].name, status);
			bad = -1;
		}
	}
	/* One that was refused may still be on its way out after it has said so. */
	if (!wait_until(nothing_left, c->dir, 2000)) {
		int stray = process_with(c->dir);
		fprintf(stderr, "a daemon was left running: %d\n", stray);
		bad = -1;
		kill(stray, SIGKILL);
		umount2(c->nodes[0].mount, MNT_DETACH);
		wait_until(nothing_left, c->dir, CLUSTER_END_MS);
	}
	for (int i = 0; i < c->count; i++)
		if (log_complains(&c->nodes[i]))
			bad = -1;
	unmount_below(c->dir);
	if (c->on_end)
		c->on_end();
	dir_remove(c->dir);
	live = NULL;
	free(c);
	return bad;
}

void cluster_fail(const char *format, ...)
{
	char what[512];
	va_list args;
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	for (int i = 0; live && i < live->count; i++) {
		struct run_result r;
		const char *const argv[] = {"tail", "-n", "15", live->nodes[i].log, NULL};
		run_command(&r, argv, NULL, 0, 5000);
		fprintf(stderr, "--- end of the log of %s:\n%s", live->nodes[i].name, r.out);
		run_done(&r);
	}
	fail_msg("%s", what);
}
