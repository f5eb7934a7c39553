#include "tests/lib/bench_keys.h"
#include "base/codec.h"
#include "store/client/protocol.h"
#include "tests/lib/bench_report.h"
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <errno.h>
#include <math.h>
#include <nanomsg/nn.h>
#include <nanomsg/reqrep.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCH 1000u
#define KEYS_IN_DIR 1000u
#define KEY_BYTES 32u
#define VALUE_BYTES 256u
#define START_SECONDS_MAX 60.0
#define REPLY_MS_MAX 10000

static void key_of(unsigned i, char key[KEY_BYTES + 1])
{
	int n = snprintf(key, KEY_BYTES + 1, "load/%04u/key-%018u", i / KEYS_IN_DIR, i);
	if (n != (int)KEY_BYTES)
		abort();
}

/* Values differ from each other and in all their bytes. */
static void value_of(unsigned i, char value[VALUE_BYTES])
{
	uint64_t x = UINT64_C(0x9e3779b97f4a7c15) * (i + 1);
	for (unsigned at = 0; at < VALUE_BYTES; at += 8) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(value + at, &x, 8);
	}
}

static void encode_batch(struct writer *w, unsigned first, unsigned count)
{
	char key[KEY_BYTES + 1], value[VALUE_BYTES];
	writer_clear(w);
	for (unsigned i = first; i < first + count; i++) {
		key_of(i, key);
		value_of(i, value);
		writer_bytes(w, key, KEY_BYTES);
		writer_bytes(w, value, VALUE_BYTES);
	}
}

/* Waits for the reply to one LOAD. 0 or a negative errno. */
static int take_reply(int socket, unsigned count)
{
	void *message = NULL;
	struct response r = {0};
	int n = nn_recv(socket, &message, NN_MSG, 0);
	if (n < 0)
		return -nn_errno();
	int error = response_decode((struct span){message, (size_t)n}, &r);
	if (!error)
		error = r.error ? r.error : r.count != count ? -EBADMSG : 0;
	response_done(&r);
	nn_freemsg(message);
	return error;
}

static int load_batch(int socket, struct writer *pairs, struct writer *message, unsigned first, unsigned count)
{
	encode_batch(pairs, first, count);
	writer_clear(message);
	request_encode(message, &(struct request){.type = REQUEST_LOAD, .value = {pairs->data, pairs->size}});
	if (nn_send(socket, message->data, message->size, 0) < 0)
		return -nn_errno();
	return take_reply(socket, count);
}

void bench_keys_load(struct cluster *c, unsigned count)
{
	struct writer pairs = {0}, message = {0};
	int timeout = REPLY_MS_MAX, unlimited = -1, never = 86400000, error = 0;
	int socket = nn_socket(AF_SP, NN_REQ);
	nn_setsockopt(socket, NN_SOL_SOCKET, NN_SNDTIMEO, &timeout, sizeof(timeout));
	nn_setsockopt(socket, NN_SOL_SOCKET, NN_RCVTIMEO, &timeout, sizeof(timeout));
	nn_setsockopt(socket, NN_SOL_SOCKET, NN_RCVMAXSIZE, &unlimited, sizeof(unlimited));
	nn_setsockopt(socket, NN_REQ, NN_REQ_RESEND_IVL, &never, sizeof(never));
	if (socket < 0 || nn_connect(socket, path("ipc://%s/ctl", c->nodes[0].data)) < 0)
		error = -nn_errno();
	for (unsigned first = 0; first < count && !error; first += BATCH)
		error = load_batch(socket, &pairs, &message, first, count - first < BATCH ? count - first : BATCH);
	nn_close(socket);
	writer_free(&pairs);
	writer_free(&message);
	if (error)
		cluster_fail("the keys could not be loaded: %s", strerror(-error));
}

static bool key_is_right(const struct cluster *c, unsigned i)
{
	char key[KEY_BYTES + 1], wanted[VALUE_BYTES], got[VALUE_BYTES + 2];
	key_of(i, key);
	value_of(i, wanted);
	ssize_t n = file_read(path("%s/%s", c->nodes[0].mount, key), got, sizeof(got));
	return n == VALUE_BYTES && memcmp(wanted, got, VALUE_BYTES) == 0;
}

double bench_keys_anonymous_mb(const struct cluster *c)
{
	char line[256];
	unsigned long long kib;
	double mb = NAN;
	FILE *f = fopen(path("/proc/%d/status", c->nodes[0].pid), "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "RssAnon: %llu kB", &kib) == 1)
			mb = (double)kib * 1024 / 1e6;
	if (f)
		fclose(f);
	return mb;
}

/* Seconds from exec to the first read of a key through the mount. */
static double start_and_read(struct cluster *c, unsigned key)
{
	const struct timespec nap = {.tv_nsec = 1000000};
	double begin = now_seconds();
	node_spawn(c, 0);
	while (!key_is_right(c, key)) {
		if (now_seconds() - begin > START_SECONDS_MAX)
			return NAN;
		nanosleep(&nap, NULL);
	}
	double took = now_seconds() - begin;
	node_wait(c, 0);
	return took;
}

static unsigned measure(struct cluster *c, unsigned count, double before_mb)
{
	node_end(c, 0);
	double seconds = start_and_read(c, count / 2);
	double mb = bench_keys_anonymous_mb(c);
	node_kill(c, 0);
	double seconds_killed = start_and_read(c, count - 1);
	double mb_killed = bench_keys_anonymous_mb(c);
	bench_report_line("bench keys_%u anonymous_mb=%.1f bound=200 before_restart_mb=%.1f after_kill_mb=%.1f", count, mb, before_mb,
			  mb_killed);
	bench_report_line("bench start_%u seconds=%.3f bound=3 after_kill_seconds=%.3f", count, seconds, seconds_killed);
	bench_floor_most(path("keys_%u_anonymous_mb", count), mb, 200);
	bench_floor_most(path("start_%u_seconds", count), seconds, 3);
	return isnan(seconds) + isnan(seconds_killed);
}

unsigned bench_keys_run(unsigned count)
{
	struct cluster *c = cluster_up(1, NULL);
	double begin = now_seconds();
	bench_keys_load(c, count);
	double took = now_seconds() - begin;
	bench_report_line("bench load_%u seconds=%.1f keys_per_s=%.0f", count, took, count / took);
	for (unsigned i = 0; i < count; i += count / 10 + 1)
		if (!key_is_right(c, i))
			cluster_fail("key %u was loaded and is not there", i);
	unsigned failed = measure(c, count, bench_keys_anonymous_mb(c));
	return failed + (cluster_teardown(NULL) != 0);
}
