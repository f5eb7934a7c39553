/* Golden traces: tests/golden/NAME.txt is a scenario, a command a line, each followed by what it made happen (the lines that begin with two
 * blanks). The test runs the commands and compares the whole. RAFT_GOLDEN=write rewrites the files instead: read the diff before
 * it is kept. Run from the root of the repository.
 *
 *   members N [SEED]     begin with N members
 *   log ID TERMS TERM    (before anything else) give a member a log, an entry a digit, and a current term
 *   tick MS [ID]         time passes in steps of 10 ms, for all or one; what is sent waits
 *   wake ID              time passes for one member, until it has something to do, and it does it
 *   deliver [COUNT]      deliver the oldest messages, or all that are on the wire now
 *   store ID             its saves become durable
 *   settle               deliver and store until nothing moves
 *   drop FROM TO         the link is cut from now on        heal    all links work again
 *   propose ID WORD      read ID      transfer ID TO      crash ID      restart ID
 *   join ID              a member that has no configuration starts; the next number
 *   change ID CONFIG     change the configuration to this one (test_raft_net_members.h says how it is written)
 *   trim ID INDEX        entries up to there leave the log
 *   install              the oldest snapshot arrives        lose    it does not, and its sender knows
 *   state                a line a member
 *   # comment */
#include "tests/unit/test_raft_net_members.h"

#include <ctype.h>

static void show_state(struct net *n)
{
	for (uint64_t id = 1; id <= n->count; id++) {
		if (!net_raft(n, id)) {
			fprintf(n->trace, "  %llu down\n", (unsigned long long)id);
			continue;
		}
		struct raft_status s = net_status(n, id);
		fprintf(n->trace, "  %llu %s term=%llu leader=%llu last=%llu stored=%llu commit=%llu log=", (unsigned long long)id,
			raft_role_name(s.role), (unsigned long long)s.term, (unsigned long long)s.leader, (unsigned long long)s.log_last,
			(unsigned long long)s.stored, (unsigned long long)s.commit);
		for (uint64_t i = 1; i <= s.log_last; i++)
			fprintf(n->trace, "%llu", (unsigned long long)raft_term_at(net_raft(n, id), i));
		fprintf(n->trace, "\n");
	}
}

static void tick(struct net *n, uint64_t ms, uint64_t only)
{
	for (uint64_t end = n->now_ms + ms; n->now_ms < end;) {
		n->now_ms += 10;
		for (uint64_t id = 1; id <= n->count; id++)
			if (!only || only == id)
				net_tick_one(n, id);
	}
}

static void wake(struct net *n, uint64_t id)
{
	uint64_t due = raft_deadline_ms(net_raft(n, id));
	if (due > n->now_ms)
		n->now_ms = due;
	net_tick_one(n, id);
}

static void command_on(struct net *n, const char *verb, uint64_t a, const char *word)
{
	uint64_t b = strtoull(word, NULL, 10);
	if (!strcmp(verb, "tick"))
		tick(n, a, b);
	else if (!strcmp(verb, "wake"))
		wake(n, a);
	else if (!strcmp(verb, "store"))
		net_store(n, a);
	else if (!strcmp(verb, "drop"))
		n->cut[a][b] = true;
	else if (!strcmp(verb, "propose"))
		fprintf(n->trace, "%s", net_propose(n, a, word) ? "  refused\n" : "");
	else if (!strcmp(verb, "read"))
		fprintf(n->trace, "  ticket %llu\n", (unsigned long long)(net_read(n, a) & 0xffff));
	else if (!strcmp(verb, "crash"))
		net_crash(n, a);
	else if (!strcmp(verb, "restart"))
		net_start(n, a);
	else if (!strcmp(verb, "change"))
		fprintf(n->trace, "%s", net_change(n, a, word) ? "  refused\n" : "");
	else if (!strcmp(verb, "trim"))
		fprintf(n->trace, "%s", net_trim(n, a, b) ? "" : "  nothing to trim\n");
	else if (!strcmp(verb, "join"))
		assert_int_equal(net_join(n), a);
	else if (!strcmp(verb, "transfer"))
		fprintf(n->trace, "%s", raft_transfer(net_raft(n, a), b) ? "  refused\n" : "");
	else
		fail_msg("unknown command %s", verb);
	if (!strcmp(verb, "transfer"))
		net_pump(n, net_at(n, a));
}

static void end_snapshot(struct net *n, bool arrives)
{
	struct net_snapshot *s = n->snapshots;
	if (!s)
		fail_msg("there is no snapshot");
	while (s->next)
		s = s->next;
	fprintf(n->trace, "  a snapshot at %llu.%llu from %llu to %llu\n", (unsigned long long)s->term, (unsigned long long)s->index,
		(unsigned long long)s->from, (unsigned long long)s->to);
	if (!arrives)
		net_lose_snapshot(n, s);
	else if (net_deliver_snapshot(n, s) < 0)
		fprintf(n->trace, "  not needed\n");
}

static void deliver(struct net *n, uint64_t count)
{
	for (uint64_t i = count ? count : n->wire.count; i > 0 && n->wire.count > 0; i--)
		net_deliver(n, 0);
}

static void run_line(struct net **n, const char *line, FILE *out)
{
	char verb[32] = "", word[64] = "", more[64] = "";
	unsigned long long a = 0;
	int fields = sscanf(line, "%31s %llu %63s %63s", verb, &a, word, more);
	if (fields < 1 || verb[0] == '#')
		return;
	if (!strcmp(verb, "members")) {
		*n = net_new((uint32_t)a, word[0] ? strtoull(word, NULL, 10) : 1);
		(*n)->trace = out;
	} else if (!strcmp(verb, "log")) {
		net_give_log(*n, a, word, strtoull(more, NULL, 10));
	} else if (!strcmp(verb, "state")) {
		show_state(*n);
	} else if (!strcmp(verb, "settle")) {
		net_settle(*n);
	} else if (!strcmp(verb, "heal")) {
		memset((*n)->cut, 0, sizeof((*n)->cut));
	} else if (!strcmp(verb, "install") || !strcmp(verb, "lose")) {
		end_snapshot(*n, verb[0] == 'i');
	} else if (!strcmp(verb, "deliver")) {
		deliver(*n, a);
	} else {
		command_on(*n, verb, a, word);
	}
}

static char *read_file(const char *path)
{
	static char text[1 << 18];
	FILE *f = fopen(path, "r");
	if (!f)
		fail_msg("cannot open %s (run from the root of the repository)", path);
	size_t size = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[size] = 0;
	return text;
}

/* The scenario with what happens now below each command. */
static char *run_scenario(const char *text)
{
	char *result = NULL, line[256];
	size_t size = 0;
	FILE *out = open_memstream(&result, &size);
	struct net *n = NULL;
	while (*text) {
		size_t length = strcspn(text, "\n");
		snprintf(line, sizeof(line), "%.*s", (int)length, text);
		text += length + (text[length] == '\n');
		if (isspace((unsigned char)line[0]))
			continue;
		fprintf(out, "%s\n", line);
		run_line(&n, line, out);
	}
	if (n)
		net_free(n);
	fclose(out);
	return result;
}

static void first_difference(const char *expected, const char *found)
{
	int line = 1;
	while (*expected && *expected == *found) {
		line += *expected == '\n';
		expected++;
		found++;
	}
	while (line > 1 && expected[-1] != '\n')
		expected--, found--;
	fail_msg("line %d: expected '%.*s', found '%.*s'", line, (int)strcspn(expected, "\n"), expected, (int)strcspn(found, "\n"), found);
}

static void check(const char *path)
{
	char *expected = read_file(path), *found = run_scenario(expected);
	const char *mode = getenv("RAFT_GOLDEN");
	if (mode && !strcmp(mode, "write")) {
		FILE *f = fopen(path, "w");
		assert_non_null(f);
		fputs(found, f);
		fclose(f);
	} else if (strcmp(expected, found) != 0) {
		first_difference(expected, found);
	}
	free(found);
}

#define GOLDEN(name)                                                                                                                       \
	static void name(void **unused)                                                                                                    \
	{                                                                                                                                  \
		(void)unused;                                                                                                              \
		check("tests/golden/" #name ".txt");                                                                                       \
	}

GOLDEN(election)
GOLDEN(election_contested)
GOLDEN(prevote)
GOLDEN(failover)
GOLDEN(log_conflict)
GOLDEN(losses)
GOLDEN(read_index)
GOLDEN(transfer)
GOLDEN(single)
GOLDEN(membership)
GOLDEN(joint)
GOLDEN(snapshot)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(election),     cmocka_unit_test(election_contested),
		cmocka_unit_test(prevote),      cmocka_unit_test(failover),
		cmocka_unit_test(log_conflict), cmocka_unit_test(losses),
		cmocka_unit_test(read_index),   cmocka_unit_test(transfer),
		cmocka_unit_test(single),       cmocka_unit_test(membership),
		cmocka_unit_test(joint),        cmocka_unit_test(snapshot),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
