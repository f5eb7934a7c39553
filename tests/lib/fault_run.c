#include "tests/lib/fault_run.h"

#include "store/client/client.h"
#include "tests/lib/files.h"
#include "tests/lib/netns.h"
#include "tests/lib/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define DISK_MEGABYTES 3072
#define ASK_TIMEOUT_NS INT64_C(5000000000)

static void pass_time(int ms)
{
	const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
	nanosleep(&t, NULL);
}

void fault_run_up(struct fault_run *r, int nodes)
{
	cluster_require();
	const char *why = netns_missing();
	if (why) {
		printf("# skip: %s\n", why);
		skip();
	}
	struct cluster *c = cluster_new(nodes, NULL);
	r->cluster = c;
	const char *secret = path("%s/secret", c->dir);
	assert_int_equal(file_write(secret, "what all of these hosts know"), 0);
	assert_int_equal(chmod(secret, 0600), 0);
	snprintf(c->options, sizeof(c->options), "secret=%s", secret);
	netns_up(c);
	why = faults_disks(c, DISK_MEGABYTES);
	if (why)
		note("%s", why);
	cluster_start(c);
}

/* --- are they equal? --- */

/* Everything in one round's folder, as one node holds it: a hash over keys, revisions and values. */
static bool hash_folder(const struct cluster *c, int node, int round, uint64_t *hash, uint64_t *keys)
{
	char prefix[32], why[256];
	char from[PROTOCOL_KEY_MAX];
	size_t from_size = 0;
	struct client *client;
	const struct client_config config = {.endpoints = c->nodes[node].data, .timeout_ns = ASK_TIMEOUT_NS};
	bool more = true;

	*hash = UINT64_C(14695981039346656037);
	*keys = 0;
	if (client_open(&config, &client, why, sizeof(why)) != 0)
		return false;
	int prefix_size = snprintf(prefix, sizeof(prefix), "r%d/", round);
	while (more) {
		struct client_call call = {.endpoint = CLIENT_ANY};
		const struct request r = {.type = REQUEST_GET,
					  .flags = REQUEST_SERIAL | REQUEST_PREFIX,
					  .key = {prefix, (size_t)prefix_size},
					  .from = {from, from_size}};
		if (client_call(client, &call, &r) != 0 || call.response.error != 0) {
			client_call_done(&call);
			client_close(client);
			return false;
		}
		for (uint32_t i = 0; i < call.response.kvs_count; i++) {
			const struct kv *kv = &call.response.kvs[i];
			const struct span parts[] = {
				kv->key, {&kv->mod_revision, 8}, {&kv->create_revision, 8}, {&kv->version, 4}, kv->value};
			for (size_t p = 0; p < sizeof(parts) / sizeof(parts[0]); p++)
				for (size_t b = 0; b < parts[p].size; b++)
					*hash = (*hash ^ ((const uint8_t *)parts[p].data)[b]) * UINT64_C(1099511628211);
			++*keys;
		}
		more = call.response.flags & PROTOCOL_MORE;
		from_size = call.response.next.size;
		memcpy(from, call.response.next.data ? call.response.next.data : "", from_size);
		client_call_done(&call);
	}
	client_close(client);
	return true;
}

/* What `tallyctl endpoint hash` tells of a node: a hash over all that was ever put, with the revision and the index that it stands for. */
static bool ask_hash(const struct cluster *c, int node, char out[128])
{
	char why[256];
	struct client *client;
	const struct client_config config = {.endpoints = c->nodes[node].data, .timeout_ns = ASK_TIMEOUT_NS};
	const struct request r = {.type = REQUEST_HASH, .flags = REQUEST_SERIAL};
	struct client_call call = {.endpoint = CLIENT_ANY};

	if (client_open(&config, &client, why, sizeof(why)) != 0)
		return false;
	bool ok = client_call(client, &call, &r) == 0 && call.response.error == 0 && call.response.text.size > 0;
	if (ok)
		snprintf(out, 128, "%.*s", (int)call.response.text.size, (const char *)call.response.text.data);
	client_call_done(&call);
	client_close(client);
	return ok;
}

static bool hashes_agree(const struct cluster *c)
{
	char first[128] = "", now[128], role[32];
	for (int i = 0; i < c->count; i++) {
		/* One that came back with nothing has to be a voter again, too. */
		if (!node_field(c, i, "role", role, sizeof(role)) || strcmp(role, "learner") == 0)
			return false;
		if (!ask_hash(c, i, now) || (i > 0 && strcmp(first, now) != 0))
			return false;
		memcpy(first, now, sizeof(first));
	}
	return true;
}

struct equality {
	const struct fault_run *run;
	int round;
	uint64_t keys;
	bool contents_differ; /* though the hashes agree: that never mends */
};

static bool nodes_equal(void *ctx)
{
	struct equality *e = ctx;
	const struct cluster *c = e->run->cluster;
	uint64_t first = 0, hash = 0, keys;
	if (!hashes_agree(c))
		return false;
	for (int i = 0; i < c->count; i++) {
		if (!hash_folder(c, i, e->round, &hash, &keys))
			return false;
		if (i > 0 && (hash != first || keys != e->keys)) {
			e->contents_differ = hashes_agree(c);
			return false;
		}
		first = hash;
		e->keys = keys;
	}
	return hashes_agree(c);
}

/* --- a round --- */

static void fail_if_broken(const struct fault_run *r, const struct fault *f, const struct mixed_result *m)
{
	if (m->lost + m->stale + m->duplicated + m->serial_broken > 0 || m->first[0])
		cluster_fail("round %d, %s: lost %" PRIu64 ", stale %" PRIu64 ", duplicated %" PRIu64 ", serial %" PRIu64
			     "; the first: %.300s",
			     r->rounds, f->what, m->lost, m->stale, m->duplicated, m->serial_broken, m->first);
	if (!m->linearizable) {
		fprintf(stderr, "%s\n", m->report);
		cluster_fail("round %d, %s: the history is not linearizable", r->rounds, f->what);
	}
	if (m->writes == 0 || m->reads == 0)
		cluster_fail("round %d, %s: nothing was acknowledged", r->rounds, f->what);
}

static void add_up(struct fault_run *r, const struct mixed_result *m, double convergence)
{
	r->writes += m->writes;
	r->reads += m->reads;
	r->serial_reads += m->serial_reads;
	r->unknown += m->unknown;
	r->lost += m->lost;
	r->stale += m->stale;
	r->duplicated += m->duplicated;
	r->longest_convergence = convergence > r->longest_convergence ? convergence : r->longest_convergence;
}

void fault_run_round(struct fault_run *r, enum fault_kind kind, uint32_t random)
{
	static struct mixed_result m;
	struct mixed_load *load = mixed_begin(r->cluster, &r->load, r->rounds);
	struct equality e = {.run = r, .round = r->rounds};

	double loaded = now_seconds();
	pass_time(r->before_ms);
	uint64_t before = mixed_acknowledged(load);
	double begin = now_seconds();
	struct fault f = fault_begin(r->cluster, kind, random);
	pass_time(r->during_ms);
	uint64_t during = mixed_acknowledged(load) - before;
	double lasted = now_seconds() - begin;
	fault_heal(r->cluster, &f, load);
	double healed = now_seconds();
	pass_time(r->after_ms);
	r->load_seconds += now_seconds() - loaded;
	mixed_stop(load);
	double left_ms = CONVERGE_MS - (now_seconds() - healed) * 1e3;
	bool equal = wait_until(nodes_equal, &e, left_ms > 0 ? (int)left_ms : 0);
	double convergence = now_seconds() - healed;
	cluster_leader(r->cluster);
	mixed_check(load, &m);
	note("%2d %-42s %5.1f s: %6" PRIu64 " writes (%" PRIu64 " under it), %5" PRIu64 " reads, %3" PRIu64
	     " unknown; gap %4.1f s; lost %" PRIu64 ", stale %" PRIu64 ", duplicated %" PRIu64 "; equal after %.1f s (%" PRIu64 " keys)",
	     r->rounds, f.what, lasted, m.writes, during, m.reads, m.unknown, (double)m.longest_gap_ms / 1e3, m.lost, m.stale, m.duplicated,
	     convergence, e.keys);
	fail_if_broken(r, &f, &m);
	if (!equal || convergence * 1e3 > CONVERGE_MS)
		cluster_fail("round %d, %s: the nodes are not equal %.1f s after the healing%s", r->rounds, f.what, convergence,
			     e.contents_differ ? ": same hash, another content" : "");
	add_up(r, &m, convergence);
	r->rounds++;
}
