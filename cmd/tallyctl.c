/* tallyctl: keys and nodes from the command line. */
#include "cmd/ctl.h"
#include "store/store.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct command_entry {
	const char *name;
	const char *arguments;
	int arguments_min;
	int arguments_max;
	unsigned takes; /* enum ctl_given */
	int (*run)(struct ctl *ctl);
};

static const struct command_entry commands[] = {
	{"get", "KEY [--prefix] [--rev N] [--consistency serial|linearizable] [--limit N] [--keys-only] [--count-only]", 1, 1,
	 GIVEN_PREFIX | GIVEN_REV | GIVEN_CONSISTENCY | GIVEN_LIMIT | GIVEN_KEYS_ONLY | GIVEN_COUNT_ONLY, ctl_get},
	{"put", "KEY [VALUE | -] [--lease ID]", 1, 2, GIVEN_LEASE, ctl_put},
	{"del", "KEY [--prefix]", 1, 1, GIVEN_PREFIX, ctl_del},
	{"history", "KEY", 1, 1, 0, ctl_history},
	{"txn", "(on stdin: compare, then, else: one operation a line, a blank line between the three parts)", 0, 0, 0, ctl_txn},
	{"watch", "KEY [--prefix] [--rev N]", 1, 1, GIVEN_PREFIX | GIVEN_REV, ctl_watch},
	{"member", "list | add NAME HOST:PORT [--learner] | promote ID | remove ID", 1, 3, GIVEN_LEARNER, ctl_member},
	{"move-leader", "ID", 1, 1, 0, ctl_move_leader},
	{"lease", "grant TTL | revoke ID | keepalive ID [--once] | timetolive ID [--keys] | list", 1, 2, GIVEN_ONCE | GIVEN_KEYS,
	 ctl_lease},
	{"lock", "NAME [--ttl SECONDS] [COMMAND...]", 1, INT_MAX, GIVEN_TTL, ctl_lock},
	{"elect", "NAME VALUE [--ttl SECONDS]", 2, 2, GIVEN_TTL, ctl_elect},
	{"check", "perf", 1, 1, 0, ctl_check},
	{"compact", "REV", 1, 1, 0, ctl_compact},
	{"endpoint", "status | health | hash", 1, 1, 0, ctl_endpoint},
	{"snapshot", "save FILE [--consistency serial|linearizable] | restore FILE DATA | status FILE", 2, 3, GIVEN_CONSISTENCY,
	 ctl_snapshot},
};

static void usage(FILE *to)
{
	fprintf(to, "usage: tallyctl [--endpoints E[,E...]] [--secret FILE] [--balance POLICY] [--timeout 5s] [--output text|json] COMMAND "
		    "[ARG...]\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(to, "  %s %s\n", commands[i].name, commands[i].arguments);
	fprintf(to, "An endpoint is HOST:PORT, or the DATA directory of a node on this machine; TALLYCTL_ENDPOINTS gives a default.\n"
		    "FILE is the secret= of the cluster, for endpoints HOST:PORT; TALLYCTL_SECRET gives a default.\n"
		    "POLICY is round_robin, random, least_connections or weighted (HOST:PORT*WEIGHT).\n"
		    "Exit status: 0 done; 1 refused or not found; 2 bad usage; 3 no answer in time (of lock, that of its COMMAND).\n");
}

/* NULL, with the reason said, if the command line makes no sense. */
static const struct command_entry *find_command(const struct ctl_options *o)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const struct command_entry *e = &commands[i];
		if (strcmp(o->args[0], e->name) != 0)
			continue;
		if (o->args_count - 1 < e->arguments_min || o->args_count - 1 > e->arguments_max || (o->given & ~e->takes)) {
			ctl_say("usage: tallyctl %s %s", e->name, e->arguments);
			return NULL;
		}
		return e;
	}
	ctl_say("%s: no such command: try tallyctl --help", o->args[0]);
	return NULL;
}

static int run(const struct ctl_options *o, const struct command_entry *e)
{
	char why[CLIENT_WHY_MAX];
	struct ctl ctl = {.options = o, .args = o->args + 1, .args_count = o->args_count - 1};

	if (o->secret && secret_load(o->secret, &ctl.secret, why, sizeof(why))) {
		ctl_say("%s", why);
		return CTL_USAGE;
	}
	if (ctl_connect(&ctl, &ctl.client, why, sizeof(why))) {
		ctl_say("%s", why);
		secret_free(ctl.secret);
		return CTL_USAGE;
	}
	int status = e->run(&ctl);
	client_close(ctl.client);
	secret_free(ctl.secret);
	if (fflush(stdout) == EOF || ferror(stdout)) {
		ctl_say("standard output: %s", strerror(errno));
		return CTL_REFUSED;
	}
	return status;
}

int main(int argc, char **argv)
{
	struct ctl_options o;

	ctl_options_parse(argc, argv, &o);
	if (o.help) {
		usage(stdout);
		return CTL_DONE;
	}
	if (o.version) {
		printf("tallyctl %s\n", TALLYFS_VERSION);
		return CTL_DONE;
	}
	if (o.wrong[0]) {
		ctl_say("%s", o.wrong);
		return CTL_USAGE;
	}
	if (o.args_count == 0) {
		usage(stderr);
		return CTL_USAGE;
	}
	const struct command_entry *e = find_command(&o);
	if (!e)
		return CTL_USAGE;
	if (e->run == ctl_snapshot && !ctl_snapshot_needs_node(&o))
		return ctl_snapshot(&(struct ctl){.options = &o, .args = o.args + 1, .args_count = o.args_count - 1});
	if (!o.endpoints) {
		ctl_say("no endpoint: give --endpoints or set TALLYCTL_ENDPOINTS");
		return CTL_USAGE;
	}
	return run(&o, e);
}
