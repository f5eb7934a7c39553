#include "tests/lib/faults.h"

#include "tests/lib/files.h"
#include "tests/lib/mixed_load.h"
#include "tests/lib/netns.h"
#include "tests/lib/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define LOSS_PERCENT 20
#define DISORDER "delay 20ms 15ms loss 2% duplicate 5% reorder 20% 50%"
#define FILL_BYTES 65536

static bool disks;

const char *fault_name(enum fault_kind kind)
{
	static const char *const names[FAULT_KINDS] = {
		[FAULT_CUT_FOLLOWER] = "a follower is cut off",
		[FAULT_CUT_LEADER] = "the leader is cut off",
		[FAULT_LEADER_DEAF] = "nothing reaches the leader",
		[FAULT_LEADER_MUTE] = "nothing comes from the leader",
		[FAULT_LINK_DOWN] = "a cable is pulled",
		[FAULT_LOSS] = "every fifth packet is lost",
		[FAULT_DISORDER] = "packets are late, doubled and out of order",
		[FAULT_STOP_FOLLOWER] = "a follower is stopped",
		[FAULT_STOP_LEADER] = "the leader is stopped",
		[FAULT_KILL_FOLLOWER] = "a follower is killed",
		[FAULT_KILL_LEADER] = "the leader is killed",
		[FAULT_KILL_ALL] = "all nodes are killed",
		[FAULT_TWO_LOST] = "a follower is cut off, the leader is killed",
		[FAULT_DISK_LOST] = "a follower loses its disk",
		[FAULT_DISK_FULL] = "a disk is full",
	};
	return names[kind];
}

const char *faults_disks(struct cluster *c, int megabytes)
{
	static char why[256];
	struct run_result r;
	disks = false;
	for (int i = 0; i < c->count; i++) {
		const char *data = c->nodes[i].data;
		run_shell(&r,
			  "truncate -s %dM %s.img && mkfs.ext4 -q -F -m 0 -E nodiscard %s.img && mount -o loop %s.img %s && rmdir "
			  "%s/lost+found",
			  megabytes, data, data, data, data, data);
		if (r.status != 0)
			snprintf(why, sizeof(why), "no ext4 on a loop device here: %.200s", r.err);
		int status = r.status;
		run_done(&r);
		if (status != 0)
			return why;
	}
	disks = true;
	return NULL;
}

const char *fault_missing(const struct cluster *c, enum fault_kind kind)
{
	if (kind == FAULT_TWO_LOST && c->count < 5)
		return "the rest would be no majority";
	if (kind == FAULT_DISORDER)
		return netns_netem_missing();
	if (kind == FAULT_DISK_FULL && !disks)
		return "the nodes have no disks of their own";
	return NULL;
}

/* --- networks --- */

static void cut(struct cluster *c, int node, bool to, bool from)
{
	for (int i = 0; i < c->count; i++) {
		if (i != node && to)
			netns_cut(i, node);
		if (i != node && from)
			netns_cut(node, i);
	}
}

static void lose_everywhere(struct cluster *c)
{
	for (int i = 0; i < c->count; i++)
		netns_lose(i, LOSS_PERCENT);
}

static void disorder_everywhere(struct cluster *c)
{
	for (int i = 0; i < c->count; i++)
		netns_netem(i, DISORDER);
}

/* --- disks --- */

static const char *ballast(const struct cluster *c, int node)
{
	return path("%s/ballast", c->nodes[node].data);
}

static void fill_disk(struct cluster *c, int node)
{
	static const char zeros[FILL_BYTES];
	struct statvfs st;
	int fd = open(ballast(c, node), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(statvfs(c->nodes[node].data, &st), 0);
	/* Nearly all of it at once, and the rest byte by byte: what is written beside us takes its part too. */
	off_t size = (off_t)(st.f_bavail * st.f_frsize) - FILL_BYTES;
	if (size > 0 && posix_fallocate(fd, 0, size) != 0)
		size = 0;
	lseek(fd, 0, SEEK_END);
	for (size_t piece = FILL_BYTES; piece > 0;)
		if (write(fd, zeros, piece) < 0)
			piece /= 2;
	fsync(fd);
	close(fd);
}

static void empty_disk(struct cluster *c, int node)
{
	struct run_result r;
	run_shell(&r, "rm -rf %s/*", c->nodes[node].data);
	assert_int_equal(r.status, 0);
	run_done(&r);
}

struct watched {
	struct cluster *c;
	int node;
};

/* The ballast grows with what is freed meanwhile. */
static bool says_disk_full(void *ctx)
{
	const struct watched *w = ctx;
	char health[256];
	if (node_field(w->c, w->node, "health", health, sizeof(health)) && strstr(health, "disk is full"))
		return true;
	fill_disk(w->c, w->node);
	return false;
}

static void fill_until_it_says_so(struct cluster *c, int node)
{
	struct watched w = {c, node};
	if (!wait_until(says_disk_full, &w, CLUSTER_WAIT_MS))
		cluster_fail("the disk of n%d is full, and it does not say so", node + 1);
}

/* --- what happens --- */

static int choose(struct cluster *c, enum fault_kind kind, uint32_t random)
{
	int leader = cluster_leader(c);
	switch (kind) {
	case FAULT_CUT_LEADER:
	case FAULT_LEADER_DEAF:
	case FAULT_LEADER_MUTE:
	case FAULT_STOP_LEADER:
	case FAULT_KILL_LEADER:
	case FAULT_TWO_LOST:
		return leader;
	case FAULT_CUT_FOLLOWER:
	case FAULT_STOP_FOLLOWER:
	case FAULT_KILL_FOLLOWER:
	case FAULT_DISK_LOST:
		return (leader + 1 + (int)(random % (uint32_t)(c->count - 1))) % c->count;
	case FAULT_LINK_DOWN:
	case FAULT_DISK_FULL:
		return (int)(random % (uint32_t)c->count);
	default:
		return -1;
	}
}

static void happen(struct cluster *c, const struct fault *f)
{
	switch (f->kind) {
	case FAULT_CUT_FOLLOWER:
	case FAULT_CUT_LEADER:
		cut(c, f->victim, true, true);
		break;
	case FAULT_LEADER_DEAF:
		cut(c, f->victim, true, false);
		break;
	case FAULT_LEADER_MUTE:
		cut(c, f->victim, false, true);
		break;
	case FAULT_LINK_DOWN:
		netns_link(f->victim, false);
		break;
	case FAULT_LOSS:
		lose_everywhere(c);
		break;
	case FAULT_DISORDER:
		disorder_everywhere(c);
		break;
	case FAULT_STOP_FOLLOWER:
	case FAULT_STOP_LEADER:
		node_stop(c, f->victim);
		break;
	case FAULT_KILL_FOLLOWER:
	case FAULT_KILL_LEADER:
		node_kill(c, f->victim);
		break;
	case FAULT_KILL_ALL:
		for (int i = 0; i < c->count; i++)
			node_kill(c, i);
		break;
	case FAULT_TWO_LOST:
		cut(c, (f->victim + 1) % c->count, true, true);
		node_kill(c, f->victim);
		break;
	case FAULT_DISK_LOST:
		node_kill(c, f->victim);
		empty_disk(c, f->victim);
		break;
	case FAULT_DISK_FULL:
		fill_until_it_says_so(c, f->victim);
		break;
	case FAULT_KINDS:
		break;
	}
}

struct fault fault_begin(struct cluster *c, enum fault_kind kind, uint32_t random)
{
	struct fault f = {.kind = kind, .victim = choose(c, kind, random)};
	if (f.victim >= 0)
		snprintf(f.what, sizeof(f.what), "%s (n%d)", fault_name(kind), f.victim + 1);
	else
		snprintf(f.what, sizeof(f.what), "%s", fault_name(kind));
	happen(c, &f);
	return f;
}

static void restart(struct cluster *c, int node, struct mixed_load *load)
{
	if (load)
		mixed_node_restarted(load, node);
	node_spawn(c, node);
}

static void free_disk_and_restart(struct cluster *c, int node, struct mixed_load *load)
{
	unlink(ballast(c, node));
	node_kill(c, node);
	restart(c, node, load);
	node_wait(c, node);
}

void fault_heal(struct cluster *c, const struct fault *f, struct mixed_load *load)
{
	/* First of all: a program that is started from here closes what our threads have open on the mounts, and would wait for a node that is stopped. */
	for (int i = 0; i < c->count; i++)
		if (c->nodes[i].stopped)
			node_continue(c, i);
	netns_heal();
	for (int i = 0; i < c->count; i++)
		if (c->nodes[i].pid == 0)
			restart(c, i, load);
	for (int i = 0; i < c->count; i++)
		node_wait(c, i);
	if (f->kind == FAULT_DISK_FULL)
		free_disk_and_restart(c, f->victim, load);
}
