/* test_raft_net_members.h: configurations in the words of a story. "123/34+5" has voters 1, 2 and 3, outgoing 3 and 4, and a learner 5. */
#ifndef TALLY_TESTS_UNIT_TEST_RAFT_NET_MEMBERS_H
#define TALLY_TESTS_UNIT_TEST_RAFT_NET_MEMBERS_H

#include "tests/unit/test_raft_net.h"

#include <errno.h>

NET_FN struct raft_members net_members(const char *text)
{
	struct raft_members m = {0};
	char part = ' ';
	for (; *text; text++) {
		uint64_t id = (uint64_t)(*text - '0');
		if (*text == '/' || *text == '+')
			part = *text;
		else if (part == '/')
			m.outgoing[m.outgoing_count++] = id;
		else if (part == '+')
			m.learners[m.learners_count++] = id;
		else
			m.voters[m.voters_count++] = id;
	}
	return m;
}

NET_FN char *net_put_ids(char *at, char mark, const uint64_t *ids, uint32_t count)
{
	if (mark && count > 0)
		*at++ = mark;
	for (uint64_t id = 1; id <= 9; id++)
		for (uint32_t i = 0; i < count; i++)
			if (ids[i] == id)
				*at++ = (char)('0' + id);
	*at = 0;
	return at;
}

NET_FN const char *net_members_text(const struct raft_members *m)
{
	static char text[64];
	char *at = net_put_ids(text, 0, m->voters, m->voters_count);
	at = net_put_ids(at, '/', m->outgoing, m->outgoing_count);
	net_put_ids(at, '+', m->learners, m->learners_count);
	return text;
}

/* What is in force on a member. */
NET_FN const char *net_config(struct net *n, uint64_t id)
{
	return net_members_text(raft_members_now(net_raft(n, id)));
}

NET_FN int net_change(struct net *n, uint64_t id, const char *text)
{
	struct raft_members next = net_members(text);
	int rc = raft_change(net_raft(n, id), &next);
	net_pump(n, net_at(n, id));
	return rc;
}

/* Changed by whoever leads, and done. */
NET_FN void net_changed(struct net *n, const char *text)
{
	assert_int_equal(net_change(n, net_leader(n), text), 0);
	net_settle(n);
	if (net_leader(n) == 0)
		net_run(n, 1500);
	net_run(n, 60);
	assert_string_equal(net_config(n, net_leader(n)), text);
	assert_int_equal(net_status(n, net_leader(n)).commit, net_status(n, net_leader(n)).log_last);
}

/* The links between these members and all others are cut, in both directions; those among them are as they were. */
NET_FN void net_split(struct net *n, const char *side)
{
	for (uint64_t a = 1; a <= n->count; a++)
		for (uint64_t b = 1; b <= n->count; b++)
			if (!strchr(side, (int)('0' + a)) != !strchr(side, (int)('0' + b)))
				n->cut[a][b] = true;
}

NET_FN void net_heal(struct net *n)
{
	memset(n->cut, 0, sizeof(n->cut));
}

#endif
