/* tallyctl check perf: does the cluster bear a small load, of 150 writes a second for five seconds? */
#include "cmd/ctl.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLIENTS 50u
#define RATE 150
#define SECONDS 5
#define WRITES ((unsigned)(RATE * SECONDS))
#define VALUE_BYTES 1024u
#define SECOND_NS INT64_C(1000000000)
/* What is good enough, as etcdctl has it. */
#define SLOWEST_S_MAX 0.5
#define STDDEV_S_MAX 0.1
#define THROUGHPUT_MIN (0.9 * RATE)

struct load;

struct one {
	struct client_call call; /* first: done() gets back to the rest */
	struct load *load;
	int64_t began_ns;
	bool busy;
};

struct load {
	struct ctl *ctl;
	char prefix[64];
	int64_t began_ns;
	int64_t ended_ns;
	unsigned sent;
	unsigned answered;
	unsigned failed;
	double took_s[WRITES];
	struct one clients[CLIENTS];
	char why[CLIENT_WHY_MAX];
};

static void on_done(struct client_call *call)
{
	struct one *o = (struct one *)call;
	struct load *l = o->load;

	l->ended_ns = clock_mono_ns();
	if (call->error == 0 && call->response.error == 0) {
		l->took_s[l->answered++] = (double)(l->ended_ns - o->began_ns) / 1e9;
	} else {
		l->failed++;
		if (call->error)
			snprintf(l->why, sizeof(l->why), "%s", call->why);
		else
			snprintf(l->why, sizeof(l->why), "%.*s", (int)call->response.text.size,
				 call->response.text.data ? (const char *)call->response.text.data : "");
	}
	client_call_done(call);
	o->busy = false;
}

static void send_one(struct load *l, struct one *o)
{
	static const char value[VALUE_BYTES];
	char key[128];

	snprintf(key, sizeof(key), "%s%u", l->prefix, l->sent);
	*o = (struct one){.call = {.done = on_done, .endpoint = CLIENT_ANY}, .load = l, .began_ns = clock_mono_ns(), .busy = true};
	const struct request r = {.type = REQUEST_PUT, .key = {key, strlen(key)}, .value = {value, sizeof(value)}};
	/* Never refused: there are fewer clients than calls may be out. */
	client_submit(l->ctl->client, &o->call, &r);
	l->sent++;
}

static struct one *idle_client(struct load *l)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		if (!l->clients[i].busy)
			return &l->clients[i];
	return NULL;
}

static int64_t due_ns(const struct load *l)
{
	return l->began_ns + (int64_t)l->sent * SECOND_NS / RATE;
}

static void run_load(struct load *l)
{
	l->began_ns = clock_mono_ns();
	while (l->sent < WRITES && !ctl_interrupted()) {
		int64_t now = clock_mono_ns();
		struct one *o = idle_client(l);
		if (o && now >= due_ns(l)) {
			send_one(l, o);
			continue;
		}
		int64_t left = o ? due_ns(l) - now : SECOND_NS;
		if (l->answered + l->failed == l->sent)
			ctl_pause(left / 1000000 + 1);
		else
			client_run(l->ctl->client, left);
	}
	while (l->answered + l->failed < l->sent)
		client_run(l->ctl->client, SECOND_NS);
}

struct figures {
	double throughput;
	double slowest_s;
	double stddev_s;
};

static struct figures figures_of(const struct load *l)
{
	struct figures f = {0};
	double sum = 0;
	double squares = 0;

	for (unsigned i = 0; i < l->answered; i++) {
		sum += l->took_s[i];
		f.slowest_s = l->took_s[i] > f.slowest_s ? l->took_s[i] : f.slowest_s;
	}
	double mean = l->answered ? sum / l->answered : 0;
	for (unsigned i = 0; i < l->answered; i++)
		squares += (l->took_s[i] - mean) * (l->took_s[i] - mean);
	f.stddev_s = l->answered ? sqrt(squares / l->answered) : 0;
	f.throughput = l->ended_ns > l->began_ns ? l->answered / ((double)(l->ended_ns - l->began_ns) / 1e9) : 0;
	return f;
}

static bool judge(const struct ctl *ctl, bool good, const char *format, double figure)
{
	if (!ctl->options->json) {
		printf("%s: ", good ? "PASS" : "FAIL");
		printf(format, figure);
		putchar('\n');
	}
	return good;
}

static int verdict(const struct ctl *ctl, const struct load *l)
{
	const struct figures f = figures_of(l);

	bool pass = judge(ctl, f.throughput >= THROUGHPUT_MIN, "Throughput is %.0f writes/s", f.throughput);
	pass &= judge(ctl, f.slowest_s <= SLOWEST_S_MAX, "Slowest request took %.6fs", f.slowest_s);
	pass &= judge(ctl, f.stddev_s <= STDDEV_S_MAX, "Stddev is %.6fs", f.stddev_s);
	pass &= judge(ctl, l->failed == 0, "%.0f requests failed", l->failed);
	if (ctl->options->json)
		printf("{\"pass\":%s,\"throughput\":%.1f,\"slowest_s\":%.6f,\"stddev_s\":%.6f,\"failed\":%u}\n", pass ? "true" : "false",
		       f.throughput, f.slowest_s, f.stddev_s, l->failed);
	else
		printf("%s\n", pass ? "PASS" : "FAIL");
	if (!pass)
		ctl_say("check perf: the cluster is not fast enough%s%s", l->failed ? ": " : "", l->why);
	return pass ? CTL_DONE : CTL_REFUSED;
}

static int clean_up(struct load *l)
{
	struct client_call call = {.endpoint = CLIENT_ANY};
	const struct request r = {.type = REQUEST_DELETE, .flags = REQUEST_PREFIX, .key = {l->prefix, strlen(l->prefix) - 1}};

	int status = ctl_ask(l->ctl, &call, &r);
	client_call_done(&call);
	return status;
}

int ctl_check(struct ctl *ctl)
{
	if (strcmp(ctl->args[0], "perf") != 0) {
		ctl_say("check %s: expected perf", ctl->args[0]);
		return CTL_USAGE;
	}
	struct load *l = calloc(1, sizeof(*l));
	if (!l)
		abort();
	l->ctl = ctl;
	/* A folder that nobody else has. */
	snprintf(l->prefix, sizeof(l->prefix), "tallyctl-check-perf-%d-%" PRIx64 "/", (int)getpid(), (uint64_t)clock_wall_ns());
	ctl_catch_interrupts();
	run_load(l);
	int status = ctl_interrupted() ? CTL_REFUSED : verdict(ctl, l);
	if (l->answered > 0 && clean_up(l) != CTL_DONE)
		status = CTL_REFUSED;
	free(l);
	return status;
}
