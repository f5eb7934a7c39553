/* @metrics: a text that Prometheus takes, and figures that move by what was done. */
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_MAX (256 << 10)

static char *load(const struct cluster *c, int node)
{
	char *text = malloc(TEXT_MAX);
	assert_non_null(text);
	ssize_t size = file_read(path("%s/@metrics", c->nodes[node].mount), text, TEXT_MAX);
	if (size < 0 || size == TEXT_MAX - 1)
		cluster_fail("@metrics cannot be read: %zd", size);
	return text;
}

/* A sample by its whole name, labels included; -1: it is not there. */
static double sample(const char *text, const char *name)
{
	size_t size = strlen(name);
	for (const char *at = text; at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (strncmp(at, name, size) == 0 && at[size] == ' ')
			return strtod(at + size + 1, NULL);
	}
	return -1;
}

static double figure(const struct cluster *c, int node, const char *name)
{
	char *text = load(c, node);
	double value = sample(text, name);
	free(text);
	if (value < 0)
		cluster_fail("@metrics has no %s", name);
	return value;
}

/* --- the text --- */

static bool is_metric_name(const char *s, size_t size)
{
	if (size == 0 || isdigit((unsigned char)*s))
		return false;
	for (size_t i = 0; i < size; i++) {
		if (!isalnum((unsigned char)s[i]) && s[i] != '_' && s[i] != ':')
			return false;
	}
	return true;
}

struct reading {
	char family[128];
	char type[16];
	char families[4096]; /* those that were, each between blanks */
	char series[128];    /* of a histogram: its labels without le */
	double last;         /* of its buckets */
	bool ended;          /* its +Inf was there */
	int samples;
};

static void take_type(struct reading *r, const char *line)
{
	char family[128], type[16], name[160];
	if (sscanf(line, "# TYPE %127s %15s", family, type) != 2)
		cluster_fail("no type: %s", line);
	if (strcmp(family, r->family) != 0)
		cluster_fail("help and type are of two families: %s", line);
	snprintf(name, sizeof(name), " %s ", family);
	if (strstr(r->families, name))
		cluster_fail("a second time: %s", line);
	snprintf(r->families + strlen(r->families), sizeof(r->families) - strlen(r->families), " %s ", family);
	snprintf(r->type, sizeof(r->type), "%s", type);
	bool counter = strcmp(type, "counter") == 0, total = strlen(family) > 6 && strcmp(family + strlen(family) - 6, "_total") == 0;
	if (counter != total)
		cluster_fail("counters end in _total, and nothing else does: %s", line);
	assert_true(counter || strcmp(type, "gauge") == 0 || strcmp(type, "histogram") == 0);
	assert_true(strcmp(type, "histogram") != 0 || strstr(family, "_seconds"));
}

/* Buckets of a histogram rise, and the last is its count. */
static void take_bucket(struct reading *r, const char *suffix, const char *labels, double value)
{
	if (strcmp(suffix, "_bucket") == 0) {
		const char *le = strstr(labels, "le=\"");
		assert_non_null(le);
		if (r->ended || strncmp(r->series, labels, (size_t)(le - labels)) != 0)
			r->last = 0;
		snprintf(r->series, sizeof(r->series), "%.*s", (int)(le - labels), labels);
		assert_true(value >= r->last);
		r->last = value;
		r->ended = strncmp(le, "le=\"+Inf\"", 9) == 0;
	} else if (strcmp(suffix, "_count") == 0) {
		assert_true(r->ended);
		assert_true(value == r->last);
	} else {
		assert_string_equal(suffix, "_sum");
	}
}

static void take_sample(struct reading *r, const char *line)
{
	size_t name = strcspn(line, "{ ");
	char labels[256] = "", *end;
	const char *value = line + name;
	if (!is_metric_name(line, name) || strncmp(line, r->family, strlen(r->family)) != 0)
		cluster_fail("not of %s: %s", r->family, line);
	if (*value == '{') {
		const char *close = strchr(value, '}');
		assert_non_null(close);
		snprintf(labels, sizeof(labels), "%.*s", (int)(close - value - 1), value + 1);
		value = close + 1;
	}
	double number = strtod(value, &end);
	if (*value != ' ' || *end || end == value || number < 0)
		cluster_fail("no value: %s", line);
	char suffix[32];
	snprintf(suffix, sizeof(suffix), "%.*s", (int)(name - strlen(r->family)), line + strlen(r->family));
	if (strcmp(r->type, "histogram") == 0)
		take_bucket(r, suffix, labels, number);
	else
		assert_string_equal(suffix, "");
	r->samples++;
}

static int check_text(char *text)
{
	static struct reading r;
	r = (struct reading){0};
	assert_true(strlen(text) > 0 && text[strlen(text) - 1] == '\n');
	for (char *rest = text, *line; (line = strsep(&rest, "\n")) && rest;) {
		if (strncmp(line, "# HELP ", 7) == 0) {
			assert_int_equal(sscanf(line, "# HELP %127s", r.family), 1);
			assert_int_equal(strncmp(r.family, "tallyfs_", 8), 0);
			assert_true(strlen(line) > strlen(r.family) + 12);
		} else if (strncmp(line, "# TYPE ", 7) == 0) {
			take_type(&r, line);
		} else {
			take_sample(&r, line);
		}
	}
	return r.samples;
}

static void the_text_is_as_prometheus_has_it(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, NULL);
	struct run_result r;

	assert_int_equal(file_write(path("%s/f", c->nodes[0].mount), "x"), 0);
	tallyctl(c, 0, &r, "get", "f", NULL);
	run_done(&r);
	for (int node = 0; node < 3; node++) {
		char *text = load(c, node);
		assert_true(check_text(text) > 100);
		free(text);
	}
	/* One of them leads, and knows the others. */
	int leader = cluster_leader(c);
	assert_true(figure(c, leader, "tallyfs_raft_role{role=\"leader\"}") == 1);
	assert_true(figure(c, leader, "tallyfs_raft_peer_heard{peer=\"n1\"}") == 1);
	assert_true(figure(c, leader, "tallyfs_raft_members") == 3);
	assert_true(figure(c, leader, "tallyfs_healthy") == 1);
	assert_true(figure(c, (leader + 1) % 3, "tallyfs_raft_role{role=\"follower\"}") == 1);
	assert_true(figure(c, (leader + 1) % 3, "tallyfs_peer_frames_sent_total") > 0);
	/* Hidden, and read-only. */
	char names[256];
	dir_names(c->nodes[0].mount, names, sizeof(names));
	assert_string_equal(names, "f ");
	assert_int_equal(try_open(path("%s/@metrics", c->nodes[0].mount), O_WRONLY), -EROFS);
}

/* --- the figures --- */

/* What a script or a function does to some figures of one node. */
struct account {
	const struct cluster *c;
	int node;
	char *first; /* from here to `before` nothing was done: what reading @metrics costs by itself */
	char *before;
	char *after;
};

static void open_account(struct account *a, const struct cluster *c, int node)
{
	free(load(c, node));
	*a = (struct account){.c = c, .node = node, .first = load(c, node)};
	a->before = load(c, node);
}

static void close_account(struct account *a)
{
	free(a->after);
	a->after = load(a->c, a->node);
}

static void end_account(struct account *a)
{
	free(a->first);
	free(a->before);
	free(a->after);
}

static double value_of(const char *text, const char *name)
{
	double value = sample(text, name);
	return value < 0 ? 0 : value;
}

static void moved(const struct account *a, const char *name, double by)
{
	double own = value_of(a->before, name) - value_of(a->first, name);
	double did = value_of(a->after, name) - value_of(a->before, name) - own;
	if (sample(a->after, name) < 0 || did != by)
		cluster_fail("%s moved by %.0f, not %.0f", name, did, by);
}

/* On the leader's mount. */
static void the_cost_of_a_read_is_one_round(struct cluster *c)
{
	struct account a;
	int leader = cluster_leader(c);
	const char *name = path("%s/known", c->nodes[leader].mount);
	char text[16];

	assert_int_equal(file_write(name, "text"), 0);
	assert_int_equal(file_read(name, text, sizeof(text)), 4);
	open_account(&a, c, leader);
	for (int i = 0; i < 10; i++) {
		int fd = open(name, O_RDONLY | O_CLOEXEC);
		assert_true(fd >= 0);
		assert_int_equal(read(fd, text, sizeof(text)), 4);
		close(fd);
	}
	close_account(&a);
	moved(&a, "tallyfs_fuse_requests_total{op=\"open\"}", 10);
	moved(&a, "tallyfs_fuse_requests_total{op=\"lookup\"}", 0);
	moved(&a, "tallyfs_fuse_requests_total{op=\"getattr\"}", 0);
	moved(&a, "tallyfs_fuse_requests_total{op=\"flush\"}", 0);
	moved(&a, "tallyfs_read_barriers_total", 10);
	moved(&a, "tallyfs_raft_read_rounds_total", 10);
	moved(&a, "tallyfs_commands_total", 0);
	moved(&a, "tallyfs_fuse_request_duration_seconds_count{op=\"open\"}", 10);
	moved(&a, "tallyfs_fuse_errors_total{op=\"open\"}", 0);
	end_account(&a);
}

static void a_read_costs_one_round_among_three(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, NULL);
	the_cost_of_a_read_is_one_round(c);
	/* On another's: as many barriers, each of which has asked the leader. */
	struct account a;
	int other = (cluster_leader(c) + 1) % 3;
	const char *name = path("%s/known", c->nodes[other].mount);
	assert_true(file_is(name, "text"));
	open_account(&a, c, other);
	for (int i = 0; i < 10; i++)
		assert_int_equal(try_open(name, O_RDONLY), 0);
	close_account(&a);
	moved(&a, "tallyfs_fuse_requests_total{op=\"open\"}", 10);
	moved(&a, "tallyfs_fuse_requests_total{op=\"lookup\"}", 0);
	moved(&a, "tallyfs_read_barriers_total", 10);
	moved(&a, "tallyfs_raft_read_rounds_total", 0);
	assert_true(value_of(a.after, "tallyfs_raft_read_questions_total") >= value_of(a.before, "tallyfs_raft_read_questions_total") + 10);
	end_account(&a);
}

static void writes_are_counted_once(struct cluster *c)
{
	struct account a;
	const char *m = c->nodes[0].mount;

	open_account(&a, c, 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(file_write(path("%s/w%d", m, i), "text"), 0);
	assert_int_equal(mkdir(path("%s/d", m), 0755), 0);
	assert_int_equal(unlink(path("%s/w0", m)), 0);
	assert_int_equal(rename(path("%s/w1", m), path("%s/d/w1", m)), 0);
	close_account(&a);
	moved(&a, "tallyfs_fuse_requests_total{op=\"create\"}", 5);
	moved(&a, "tallyfs_fuse_requests_total{op=\"write\"}", 5);
	moved(&a, "tallyfs_fuse_requests_total{op=\"flush\"}", 5);
	moved(&a, "tallyfs_fuse_requests_total{op=\"mkdir\"}", 1);
	moved(&a, "tallyfs_fuse_requests_total{op=\"unlink\"}", 1);
	moved(&a, "tallyfs_fuse_requests_total{op=\"rename\"}", 1);
	moved(&a, "tallyfs_commands_total", 8);
	moved(&a, "tallyfs_store_revision", 8);
	moved(&a, "tallyfs_store_keys", 5);
	moved(&a, "tallyfs_store_apply_duration_seconds_count", 8);
	end_account(&a);
}

static void errors_are_counted(struct cluster *c)
{
	struct account a;
	const char *m = c->nodes[0].mount;

	assert_int_equal(file_write(path("%s/file", m), "text"), 0);
	open_account(&a, c, 0);
	assert_int_equal(try_open(path("%s/missing", m), O_RDONLY), -ENOENT);
	assert_int_equal(mkdir(path("%s/x@12345678", m), 0755), -1);
	assert_int_equal(link(path("%s/file", m), path("%s/link", m)), -1);
	assert_int_equal(try_open(path("%s/file@-0", m), O_WRONLY), -EROFS);
	close_account(&a);
	/* missing, x@12345678 and link are looked up in vain. */
	moved(&a, "tallyfs_fuse_errors_total{op=\"lookup\"}", 3);
	moved(&a, "tallyfs_fuse_errors_total{op=\"mkdir\"}", 1);
	moved(&a, "tallyfs_fuse_errors_total{op=\"link\"}", 1);
	moved(&a, "tallyfs_fuse_errors_total{op=\"open\"}", 1);
	end_account(&a);
}

static void clients_are_counted(struct cluster *c)
{
	struct account a;
	struct run_result r;

	open_account(&a, c, 0);
	for (int i = 0; i < 3; i++) {
		tallyctl(c, 0, &r, "put", "by/client", "x", NULL);
		assert_int_equal(r.status, 0);
		run_done(&r);
	}
	tallyctl(c, 0, &r, "get", "not/there", NULL);
	assert_int_equal(r.status, 1);
	run_done(&r);
	close_account(&a);
	moved(&a, "tallyfs_client_requests_total{type=\"put\"}", 3);
	moved(&a, "tallyfs_client_errors_total{type=\"put\"}", 0);
	moved(&a, "tallyfs_client_request_duration_seconds_count{type=\"put\"}", 3);
	moved(&a, "tallyfs_client_requests_total{type=\"get\"}", 1);
	end_account(&a);
}

static void figures_move_by_what_is_done(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	the_cost_of_a_read_is_one_round(c);
	writes_are_counted_once(c);
	errors_are_counted(c);
	clients_are_counted(c);
}

static void a_serial_read_asks_nobody(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, "consistency=serial");
	struct account a;
	assert_int_equal(file_write(path("%s/f", c->nodes[0].mount), "text"), 0);
	open_account(&a, c, 0);
	for (int i = 0; i < 10; i++)
		assert_true(file_is(path("%s/f", c->nodes[0].mount), "text"));
	close_account(&a);
	moved(&a, "tallyfs_read_barriers_total", 0);
	moved(&a, "tallyfs_raft_read_rounds_total", 0);
	moved(&a, "tallyfs_fuse_requests_total{op=\"open\"}", 10);
	end_account(&a);
}

static void they_are_read_without_a_quorum(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, "timeout=30s");
	int leader = cluster_leader(c), other = (leader + 1) % 3;
	node_kill(c, leader);
	node_kill(c, (leader + 2) % 3);
	double began = now_seconds();
	for (int i = 0; i < 20; i++) {
		char *text = load(c, other);
		check_text(text);
		free(text);
	}
	assert_true(now_seconds() - began < 5);
}

/* --- what the kernel keeps of the past --- */

static int list(const char *name)
{
	int count = 0;
	DIR *d = opendir(name);
	assert_non_null(d);
	while (readdir(d))
		count++;
	closedir(d);
	return count;
}

static void read_the_past(const char *m, unsigned long long then)
{
	struct stat st;
	char text[16];

	for (int i = 0; i < 5; i++) {
		assert_int_equal(stat(path("%s/@%llu/d/f%d", m, then, i), &st), 0);
		assert_int_equal(file_read(path("%s/@%llu/d/f%d", m, then, i), text, sizeof(text)), 4);
	}
	assert_int_equal(list(path("%s/@%llu/d", m, then)), 7);
	assert_int_equal(stat(path("%s/d/@%llu", m, then), &st), 0);
	assert_int_equal(stat(path("%s/d/f1@%llu", m, then), &st), 0);
	assert_int_equal(lstat(path("%s/@%llu/link", m, then), &st), 0);
}

static void the_kernel_keeps_the_past(void **state)
{
	(void)state;
	static const char *const kinds[] = {NULL, "consistency=serial"};
	for (size_t kind = 0; kind < 2; kind++) {
		struct cluster *c = cluster_up(1, kinds[kind]);
		const char *m = c->nodes[0].mount;
		struct account a;
		assert_int_equal(mkdir(path("%s/d", m), 0755), 0);
		for (int i = 0; i < 5; i++)
			assert_int_equal(file_write(path("%s/d/f%d", m, i), "then"), 0);
		assert_int_equal(symlink("d", path("%s/link", m)), 0);
		unsigned long long then = node_number(c, 0, "revision");
		assert_int_equal(file_write(path("%s/d/f0", m), "now"), 0);
		read_the_past(m, then);
		read_the_past(m, then);
		open_account(&a, c, 0);
		read_the_past(m, then);
		close_account(&a);
		/* The directory d of the present is on the way of two paths: on a linearizable mount names are kept, so it is not looked up either. */
		moved(&a, "tallyfs_fuse_requests_total{op=\"lookup\"}", 0);
		moved(&a, "tallyfs_fuse_requests_total{op=\"getattr\"}", 0);
		moved(&a, "tallyfs_fuse_requests_total{op=\"readdir\"}", 0);
		moved(&a, "tallyfs_fuse_requests_total{op=\"readdirplus\"}", 0);
		moved(&a, "tallyfs_fuse_requests_total{op=\"open\"}", 5);
		moved(&a, "tallyfs_fuse_requests_total{op=\"opendir\"}", 1);
		moved(&a, "tallyfs_read_barriers_total", 0);
		moved(&a, "tallyfs_fuse_requests_total{op=\"read\"}", 0);
		end_account(&a);
		assert_int_equal(cluster_teardown(NULL), 0);
	}
}

#define TEST(body) cmocka_unit_test_teardown(body, cluster_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_text_is_as_prometheus_has_it), TEST(figures_move_by_what_is_done),   TEST(a_read_costs_one_round_among_three),
		TEST(a_serial_read_asks_nobody),        TEST(they_are_read_without_a_quorum), TEST(the_kernel_keeps_the_past),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
