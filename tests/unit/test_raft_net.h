/* test_raft_net.h: members of a cluster in memory: a network that loses what a test cuts, and disks that forget what was not stored.
 *
 * Messages go through the wire format. Nothing happens by itself: a test ticks, stores and delivers, or settles everything at once. What every
 * run must keep (one leader a term, logs that agree where they are committed, nothing committed lost) is asserted at each step. */
#ifndef TALLY_TESTS_UNIT_TEST_RAFT_NET_H
#define TALLY_TESTS_UNIT_TEST_RAFT_NET_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "raft/raft.h"
#include "tests/unit/test_raft_net_view.h"

#define NET_MEMBERS_MAX 8
#define NET_TERMS_MAX 4096
#define NET_INDEX_MAX 8192
#define NET_FN static __attribute__((unused))

struct net_entry {
	uint64_t term;
	uint8_t type;
	uint32_t size;
	char *data;
};

struct net_save {
	uint64_t number;
	bool install;
	uint64_t install_index, install_term;
	uint64_t applied_before; /* what the node's store has applied if this is lost */
	bool hard_changed;
	struct raft_hard_state hard;
	uint64_t first;
	uint32_t count;
	struct net_entry *entries;
	struct net_save *next;
};

struct net_frame {
	uint64_t from;
	uint64_t to;
	uint64_t save; /* held until this save is stored; 0 once it is on the wire */
	struct writer bytes;
	struct net_frame *next;
};

struct net_queue {
	struct net_frame *head;
	uint32_t count;
};

/* A snapshot on its way: of the state at an index; its content is the commands up to there, which the net knows. */
struct net_snapshot {
	uint64_t from;
	uint64_t to;
	uint64_t index;
	uint64_t term;
	struct net_snapshot *next;
};

struct net_config {
	uint64_t index;
	struct writer bytes;
};

struct net_node {
	uint64_t id;
	bool founder; /* started with the first configuration; else with none */
	uint64_t noted_commit;
	struct view view;
	struct raft *raft; /* NULL while it is down */
	uint64_t boot;
	struct raft_hard_state hard; /* the disk */
	struct net_entry log[NET_INDEX_MAX];
	uint64_t log_first, log_last, base_term;
	uint64_t applied;
	struct net_save *saves;
	uint64_t saved;  /* number of the last save listed */
	uint64_t stored; /* and stored */
	struct net_queue held;
	uint64_t read_ticket, read_index; /* the last that raft_ready released */
};

struct net {
	uint32_t count;
	uint64_t now_ms;
	uint64_t seed;
	struct net_node nodes[NET_MEMBERS_MAX];
	struct net_queue wire;
	struct net_snapshot *snapshots;
	struct raft_members founders;
	struct net_config configs[NET_INDEX_MAX]; /* that are committed, by rising index */
	uint32_t configs_count;
	bool cut[NET_MEMBERS_MAX + 1][NET_MEMBERS_MAX + 1]; /* from, to */
	bool slow_fetch;                                    /* fetches are answered by nothing */
	uint64_t cache_bytes_max;
	uint32_t inflight_max;
	/* History, for the rules that always hold. */
	uint64_t leader_of[NET_TERMS_MAX];
	uint64_t committed_term[NET_INDEX_MAX]; /* term of each committed entry; 0 while it is not */
	uint64_t committed;
	uint64_t appends; /* sent so far, with how many entries */
	uint64_t append_entries;
	FILE *trace;
	void (*on_read)(struct net *n, struct net_node *node, uint64_t ticket, uint64_t index);
};

NET_FN const char *net_type(uint8_t type)
{
	static const char *const names[] = {"?",
					    "prevote",
					    "prevote-reply",
					    "vote",
					    "vote-reply",
					    "append",
					    "append-reply",
					    "heartbeat",
					    "heartbeat-reply",
					    "read-index",
					    "read-index-reply",
					    "timeout-now"};
	return names[type <= RAFT_TIMEOUT_NOW ? type : 0];
}

NET_FN void net_describe(FILE *out, const struct raft_message *m)
{
	fprintf(out, "%llu->%llu %s term=%llu", (unsigned long long)m->from, (unsigned long long)m->to, net_type(m->type),
		(unsigned long long)m->term);
	const struct {
		const char *name;
		uint64_t value;
	} fields[] = {{"index", m->log_index}, {"log_term", m->log_term},   {"commit", m->commit},        {"round", m->round & UINT32_MAX},
		      {"hint", m->hint_index}, {"hint_term", m->hint_term}, {"entries", m->entries_count}};
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (fields[i].value)
			fprintf(out, " %s=%llu", fields[i].name, (unsigned long long)fields[i].value);
	fprintf(out, "%s%s\n", m->reject ? " reject" : "", m->transfer ? " transfer" : "");
}

/* --- frames --- */

NET_FN void net_push(struct net_queue *q, struct net_frame *f)
{
	struct net_frame **end = &q->head;
	while (*end)
		end = &(*end)->next;
	*end = f;
	f->next = NULL;
	q->count++;
}

NET_FN struct net_frame *net_take(struct net_queue *q, uint32_t at)
{
	struct net_frame **f = &q->head;
	while (at-- > 0)
		f = &(*f)->next;
	struct net_frame *taken = *f;
	*f = taken->next;
	q->count--;
	return taken;
}

NET_FN void net_frame_free(struct net_frame *f)
{
	writer_free(&f->bytes);
	free(f);
}

NET_FN void net_queue_free(struct net_queue *q)
{
	while (q->count > 0)
		net_frame_free(net_take(q, 0));
}

NET_FN struct net_frame *net_frame(const struct raft_message *m, uint64_t save)
{
	struct net_frame *f = calloc(1, sizeof(*f));
	f->from = m->from;
	f->to = m->to;
	f->save = save;
	raft_message_encode(&f->bytes, m);
	assert_true(f->bytes.size <= 512u << 10);
	return f;
}

NET_FN void net_transmit(struct net *n, struct net_frame *f)
{
	if (n->cut[f->from][f->to])
		net_frame_free(f);
	else
		net_push(&n->wire, f);
}

/* --- the disk --- */

NET_FN void net_disk_put(struct net_node *node, uint64_t index, const struct net_entry *e)
{
	assert_true(index >= node->log_first && index <= node->log_last + 1 && index < NET_INDEX_MAX);
	for (uint64_t i = index; i <= node->log_last; i++)
		free(node->log[i].data);
	node->log[index] = *e;
	node->log_last = index;
}

NET_FN void net_disk_reset(struct net_node *node, uint64_t index, uint64_t term)
{
	for (uint64_t i = node->log_first; i <= node->log_last; i++)
		free(node->log[i].data);
	node->log_first = index + 1;
	node->log_last = index;
	node->base_term = term;
}

/* The oldest save becomes durable. */
NET_FN void net_store_one(struct net *n, struct net_node *node)
{
	struct net_save *s = node->saves;
	node->saves = s->next;
	if (s->hard_changed)
		node->hard = s->hard;
	if (s->install)
		net_disk_reset(node, s->install_index, s->install_term);
	for (uint32_t i = 0; i < s->count; i++)
		net_disk_put(node, s->first + i, &s->entries[i]);
	node->stored = s->number;
	raft_stored(node->raft, s->number);
	while (node->held.head && node->held.head->save <= node->stored)
		net_transmit(n, net_take(&node->held, 0));
	free(s->entries);
	free(s);
}

NET_FN void net_forget_saves(struct net_node *node)
{
	bool lost_install = false;
	while (node->saves) {
		struct net_save *s = node->saves;
		node->saves = s->next;
		if (s->install && !lost_install) {
			node->applied = s->applied_before;
			lost_install = true;
		}
		for (uint32_t i = 0; i < s->count; i++)
			free(s->entries[i].data);
		free(s->entries);
		free(s);
	}
}

NET_FN void net_answer_fetch(struct net *n, struct net_node *node, const struct raft_fetch *f)
{
	static struct raft_entry entries[RAFT_APPEND_ENTRIES_MAX];
	uint32_t count = 0;
	for (uint64_t i = f->lo; i < f->hi && !n->slow_fetch; i++, count++) {
		if (i < node->log_first)
			break; /* trimmed since it was asked */
		assert_true(i <= node->log_last);
		const struct net_entry *e = &node->log[i];
		entries[count] = (struct raft_entry){.term = e->term, .index = i, .type = e->type, .size = e->size, .data = e->data};
	}
	raft_fetched(node->raft, f->to, entries, count);
}

/* --- effects --- */

NET_FN void net_save(struct net_node *node, const struct raft_ready *ready)
{
	assert_true(ready->save == node->saved + 1);
	assert_true(ready->hard_changed || ready->entries_count > 0 || ready->install);
	struct net_save *s = calloc(1, sizeof(*s));
	*s = (struct net_save){.number = ready->save,
			       .install = ready->install,
			       .install_index = ready->install_index,
			       .install_term = ready->install_term,
			       .applied_before = node->applied,
			       .hard_changed = ready->hard_changed,
			       .hard = ready->hard,
			       .count = ready->entries_count};
	if (s->install) {
		assert_true(s->install_index > node->applied);
		node->applied = s->install_index;
	}
	s->entries = calloc(s->count + 1, sizeof(*s->entries));
	for (uint32_t i = 0; i < s->count; i++) {
		const struct raft_entry *e = &ready->entries[i];
		s->entries[i] = (struct net_entry){.term = e->term, .type = e->type, .size = e->size, .data = malloc(e->size + 1)};
		if (e->size > 0)
			memcpy(s->entries[i].data, e->data, e->size);
		if (i == 0)
			s->first = e->index;
		assert_true(e->index == s->first + i);
	}
	struct net_save **end = &node->saves;
	while (*end)
		end = &(*end)->next;
	*end = s;
	node->saved = ready->save;
}

NET_FN void net_describe_ids(FILE *out, const char *name, const uint64_t *ids, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		fprintf(out, "%s%llu", i ? "," : name, (unsigned long long)ids[i]);
}

NET_FN void net_describe_members(FILE *out, const struct raft_members *m)
{
	fprintf(out, "members");
	net_describe_ids(out, " voters=", m->voters, m->voters_count);
	net_describe_ids(out, " outgoing=", m->outgoing, m->outgoing_count);
	net_describe_ids(out, " learners=", m->learners, m->learners_count);
	fprintf(out, "%.*s\n", (int)m->context_size, m->context_size ? (const char *)m->context : "");
}

NET_FN void net_describe_entry(FILE *out, const struct raft_entry *e)
{
	struct raft_members m;
	if (e->type != RAFT_ENTRY_CONFIG) {
		fprintf(out, "%.*s\n", e->size ? (int)e->size : 4, e->size ? (const char *)e->data : "noop");
		return;
	}
	assert_int_equal(raft_members_decode((struct span){e->data, e->size}, &m), 0);
	net_describe_members(out, &m);
}

/* What every store keeps with its applied index. */
NET_FN void net_keep_config(struct net *n, const struct raft_entry *e)
{
	if (n->configs_count > 0 && n->configs[n->configs_count - 1].index >= e->index)
		return;
	struct net_config *c = &n->configs[n->configs_count++];
	c->index = e->index;
	writer_raw(&c->bytes, e->data, e->size);
}

/* The configuration as of an applied index; empty if that node has none yet. */
NET_FN struct raft_members net_members_at(const struct net *n, bool founder, uint64_t applied)
{
	struct raft_members m = {0};
	for (uint32_t i = n->configs_count; i > 0; i--) {
		const struct net_config *c = &n->configs[i - 1];
		if (c->index > applied)
			continue;
		assert_int_equal(raft_members_decode((struct span){c->bytes.data, c->bytes.size}, &m), 0);
		return m;
	}
	return founder ? n->founders : m;
}

NET_FN void net_apply(struct net *n, struct net_node *node, const struct raft_ready *ready)
{
	for (uint32_t i = 0; i < ready->committed_count; i++) {
		const struct raft_entry *e = &ready->committed[i];
		assert_int_equal(e->index, node->applied + 1);
		assert_true(e->index < NET_INDEX_MAX);
		/* Durable here before it is applied. */
		assert_true(e->index <= node->log_last && node->log[e->index].term == e->term);
		/* The same entry everywhere (state machine safety). */
		if (n->committed_term[e->index])
			assert_int_equal(n->committed_term[e->index], e->term);
		n->committed_term[e->index] = e->term;
		if (e->index > n->committed)
			n->committed = e->index;
		node->applied = e->index;
		if (e->type == RAFT_ENTRY_CONFIG)
			net_keep_config(n, e);
		if (n->trace) {
			fprintf(n->trace, "  %llu applies %llu.%llu ", (unsigned long long)node->id, (unsigned long long)e->term,
				(unsigned long long)e->index);
			net_describe_entry(n->trace, e);
		}
	}
}

NET_FN void net_trace_ready(struct net *n, struct net_node *node, const struct raft_ready *ready)
{
	if (!n->trace)
		return;
	unsigned long long id = node->id;
	if (ready->save && ready->hard_changed)
		fprintf(n->trace, "  %llu saves term=%llu vote=%llu\n", id, (unsigned long long)ready->hard.term,
			(unsigned long long)ready->hard.vote);
	if (ready->install)
		fprintf(n->trace, "  %llu installs %llu.%llu\n", id, (unsigned long long)ready->install_term,
			(unsigned long long)ready->install_index);
	if (ready->members) {
		fprintf(n->trace, "  %llu has ", id);
		net_describe_members(n->trace, ready->members);
	}
	for (uint32_t i = 0; i < ready->snapshot_count; i++)
		fprintf(n->trace, "  %llu wants a snapshot for %llu\n", id, (unsigned long long)ready->snapshot[i]);
	for (uint32_t i = 0; i < ready->entries_count; i++)
		fprintf(n->trace, "  %llu saves entry %llu.%llu\n", id, (unsigned long long)ready->entries[i].term,
			(unsigned long long)ready->entries[i].index);
	for (uint32_t i = 0; i < ready->send_count; i++) {
		fprintf(n->trace, "  sends ");
		net_describe(n->trace, &ready->send[i]);
	}
	for (uint32_t i = 0; i < ready->send_stored_count; i++) {
		fprintf(n->trace, "  once stored ");
		net_describe(n->trace, &ready->send_stored[i]);
	}
	if (ready->read_ready)
		fprintf(n->trace, "  %llu may read up to ticket %llu at %llu\n", id, (unsigned long long)(ready->read_ticket & 0xffff),
			(unsigned long long)ready->read_index);
}

NET_FN void net_take_snapshot(struct net *n, struct net_node *node, uint64_t to)
{
	struct net_snapshot *s = calloc(1, sizeof(*s));
	*s = (struct net_snapshot){
		.from = node->id, .to = to, .index = node->applied, .term = raft_term_at(node->raft, node->applied), .next = n->snapshots};
	assert_true(s->term != 0);
	n->snapshots = s;
}

NET_FN void net_view(struct net *n, struct net_node *node, const struct raft_ready *ready)
{
	struct raft_members members;
	if (ready->install) {
		members = net_members_at(n, true, ready->install_index);
		view_begin(&node->view, ready->install_index, &members);
	}
	for (uint32_t i = 0; i < ready->entries_count; i++)
		view_entry(&node->view, &ready->entries[i]);
	view_check(&node->view, node->raft);
}

NET_FN void net_carry_out(struct net *n, struct net_node *node)
{
	const struct raft_ready *ready = raft_ready(node->raft);
	net_trace_ready(n, node, ready);
	net_view(n, node, ready);
	if (ready->save)
		net_save(node, ready);
	for (uint32_t i = 0; i < ready->send_count; i++) {
		n->appends += ready->send[i].type == RAFT_APPEND;
		n->append_entries += ready->send[i].entries_count;
		net_transmit(n, net_frame(&ready->send[i], 0));
	}
	for (uint32_t i = 0; i < ready->send_stored_count; i++) {
		struct net_frame *f = net_frame(&ready->send_stored[i], node->saved);
		if (node->saved == node->stored)
			net_transmit(n, f);
		else
			net_push(&node->held, f);
	}
	net_apply(n, node, ready);
	for (uint32_t i = 0; i < ready->snapshot_count; i++)
		net_take_snapshot(n, node, ready->snapshot[i]);
	struct raft_fetch fetch[RAFT_MEMBERS_MAX];
	uint32_t fetch_count = ready->fetch_count;
	for (uint32_t i = 0; i < fetch_count; i++)
		fetch[i] = ready->fetch[i];
	if (ready->read_ready) {
		node->read_ticket = ready->read_ticket;
		node->read_index = ready->read_index;
		if (n->on_read)
			n->on_read(n, node, ready->read_ticket, ready->read_index);
	}
	for (uint32_t i = 0; i < fetch_count; i++)
		net_answer_fetch(n, node, &fetch[i]);
}

/* What one member believes to be committed is so for good: no other may ever believe something else (state machine safety, 3.2). */
NET_FN void net_note_commit(struct net *n, struct net_node *node, uint64_t commit)
{
	assert_true(commit < NET_INDEX_MAX);
	for (uint64_t i = node->noted_commit + 1; i <= commit; i++) {
		uint64_t term = raft_term_at(node->raft, i);
		if (term == 0)
			continue; /* it was trimmed, or came with a snapshot */
		if (n->committed_term[i])
			assert_int_equal(n->committed_term[i], term);
		n->committed_term[i] = term;
	}
	if (commit > node->noted_commit)
		node->noted_commit = commit;
	if (commit > n->committed)
		n->committed = commit;
}

/* Election safety (3.2): at most one leader a term. Leader completeness: it has every committed entry. */
NET_FN void net_check(struct net *n, struct net_node *node)
{
	struct raft_status s;
	raft_status(node->raft, &s);
	net_note_commit(n, node, s.commit);
	if (s.role != RAFT_LEADER)
		return;
	assert_true(s.term < NET_TERMS_MAX);
	if (n->leader_of[s.term] == 0) {
		for (uint64_t i = s.log_first; i <= n->committed; i++)
			assert_int_equal(raft_term_at(node->raft, i), n->committed_term[i]);
	} else {
		assert_int_equal(n->leader_of[s.term], node->id);
	}
	n->leader_of[s.term] = node->id;
}

NET_FN void net_pump(struct net *n, struct net_node *node)
{
	int rounds = 0;
	while (raft_has_ready(node->raft)) {
		assert_true(++rounds < 1000);
		net_carry_out(n, node);
	}
	net_check(n, node);
}

/* --- life --- */

NET_FN struct net_node *net_at(struct net *n, uint64_t id)
{
	return &n->nodes[id - 1];
}

NET_FN struct raft *net_raft(struct net *n, uint64_t id)
{
	return net_at(n, id)->raft;
}

NET_FN void net_start(struct net *n, uint64_t id)
{
	struct net_node *node = net_at(n, id);
	struct raft_members members = net_members_at(n, node->founder, node->applied);
	node->boot++;
	struct raft_config config = {
		.id = id,
		.members = &members,
		.election_ms = 500,
		.heartbeat_ms = 50,
		.seed = n->seed * 31 + id * 7 + node->boot,
		.now_ms = n->now_ms,
		.ticket_base = node->boot << 32,
		.hard = node->hard,
		.log_first = node->log_first,
		.log_base_term = node->base_term,
		.applied = node->applied,
		.cache_bytes_max = n->cache_bytes_max,
		.inflight_max = n->inflight_max,
		.uncommitted_bytes_max = 1u << 20,
	};
	assert_int_equal(raft_new(&config, &node->raft), 0);
	view_begin(&node->view, node->applied, &members);
	for (uint64_t i = node->log_first; i <= node->log_last; i++) {
		const struct net_entry *d = &node->log[i];
		struct raft_entry e = {.term = d->term, .index = i, .type = d->type, .size = d->size, .data = d->data};
		assert_int_equal(raft_restore(node->raft, &e), 0);
		if (i > node->applied)
			view_entry(&node->view, &e);
	}
	view_check(&node->view, node->raft);
	node->saved = node->stored = 0;
	node->read_ticket = node->read_index = 0;
}

/* Loses all that was not stored. What it has applied is what its store kept: any prefix will do, so all of it. */
NET_FN void net_crash(struct net *n, uint64_t id)
{
	struct net_node *node = net_at(n, id);
	raft_free(node->raft);
	node->raft = NULL;
	net_forget_saves(node);
	net_queue_free(&node->held);
	(void)n;
}

NET_FN struct net *net_new(uint32_t count, uint64_t seed)
{
	struct net *n = calloc(1, sizeof(*n));
	n->count = count;
	n->seed = seed;
	n->now_ms = 1000;
	n->cache_bytes_max = 1u << 20;
	n->inflight_max = 16;
	for (uint64_t id = 1; id <= count; id++)
		n->founders.voters[n->founders.voters_count++] = id;
	for (uint64_t id = 1; id <= count; id++) {
		*net_at(n, id) = (struct net_node){.id = id, .founder = true, .log_first = 1};
		net_start(n, id);
	}
	return n;
}

/* A member that has no configuration yet; returns its id. */
NET_FN uint64_t net_join(struct net *n)
{
	uint64_t id = ++n->count;
	assert_true(id <= NET_MEMBERS_MAX);
	net_at(n, id)->id = id;
	net_at(n, id)->log_first = 1;
	net_start(n, id);
	return id;
}

NET_FN struct net_snapshot *net_unlink_snapshot(struct net *n, struct net_snapshot *s)
{
	struct net_snapshot **at = &n->snapshots;
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	return s;
}

NET_FN void net_free(struct net *n)
{
	for (uint64_t id = 1; id <= n->count; id++) {
		struct net_node *node = net_at(n, id);
		if (node->raft)
			net_crash(n, id);
		view_free(&node->view);
		for (uint64_t i = node->log_first; i <= node->log_last; i++)
			free(node->log[i].data);
	}
	for (uint32_t i = 0; i < n->configs_count; i++)
		writer_free(&n->configs[i].bytes);
	while (n->snapshots)
		free(net_unlink_snapshot(n, n->snapshots));
	net_queue_free(&n->wire);
	free(n);
}

/* --- events --- */

NET_FN void net_store(struct net *n, uint64_t id)
{
	struct net_node *node = net_at(n, id);
	while (node->saves)
		net_store_one(n, node);
	net_pump(n, node);
}

/* Delivers the frame at this place of the wire; those to a member that is down are lost. */
NET_FN void net_deliver(struct net *n, uint32_t at)
{
	static struct raft_entry entries[RAFT_APPEND_ENTRIES_MAX];
	struct net_frame *f = net_take(&n->wire, at);
	struct net_node *node = net_at(n, f->to);
	struct raft_message m;
	assert_int_equal(raft_message_decode((struct span){f->bytes.data, f->bytes.size}, entries, &m), 0);
	if (node->raft) {
		if (n->trace) {
			fprintf(n->trace, "  arrives ");
			net_describe(n->trace, &m);
		}
		raft_step(node->raft, &m);
		net_pump(n, node);
	}
	net_frame_free(f);
}

/* Its sender, if there is one and it still runs, learns that the attempt is over. */
NET_FN void net_lose_snapshot(struct net *n, struct net_snapshot *s)
{
	net_unlink_snapshot(n, s);
	if (s->from != 0 && net_raft(n, s->from)) {
		raft_snapshot_over(net_raft(n, s->from), s->to);
		net_pump(n, net_at(n, s->from));
	}
	free(s);
}

/* The snapshot arrives, unless the link is cut or its receiver is down; its sender learns that it is over. Returns raft_install's answer,
 * or 1 if it did not arrive. */
NET_FN int net_deliver_snapshot(struct net *n, struct net_snapshot *s)
{
	struct net_node *to = net_at(n, s->to);
	int rc = 1;
	if (to->raft && !n->cut[s->from][s->to]) {
		struct raft_members members = net_members_at(n, true, s->index);
		rc = raft_install(to->raft, s->index, s->term, &members);
		net_pump(n, to);
	}
	net_lose_snapshot(n, s);
	return rc;
}

/* Stores and delivers until nothing moves any more. */
NET_FN void net_settle(struct net *n)
{
	bool moved = true;
	for (uint64_t id = 1; id <= n->count; id++)
		if (net_raft(n, id))
			net_pump(n, net_at(n, id));
	for (int steps = 0; moved; steps++) {
		assert_true(steps < 20000);
		moved = n->wire.count > 0 || n->snapshots;
		if (n->wire.count > 0)
			net_deliver(n, 0);
		else if (n->snapshots)
			net_deliver_snapshot(n, n->snapshots);
		for (uint64_t id = 1; id <= n->count; id++) {
			if (!net_raft(n, id) || !net_at(n, id)->saves)
				continue;
			net_store(n, id);
			moved = true;
		}
	}
}

NET_FN void net_tick_one(struct net *n, uint64_t id)
{
	if (!net_raft(n, id))
		return;
	raft_tick(net_raft(n, id), n->now_ms);
	net_pump(n, net_at(n, id));
}

/* Time passes in steps of 10 ms; all that is sent arrives within each. */
NET_FN void net_run(struct net *n, uint64_t ms)
{
	for (uint64_t end = n->now_ms + ms; n->now_ms < end;) {
		n->now_ms += 10;
		for (uint64_t id = 1; id <= n->count; id++)
			net_tick_one(n, id);
		net_settle(n);
	}
}

/* Entries up to `to` leave the log, as far as they are applied and stored; returns false if there is nothing to trim. */
NET_FN bool net_trim(struct net *n, uint64_t id, uint64_t to)
{
	struct net_node *node = net_at(n, id);
	if (to > node->applied)
		to = node->applied;
	if (to > node->log_last)
		to = node->log_last;
	for (const struct net_save *s = node->saves; s; s = s->next)
		if (s->install)
			return false;
	if (to < node->log_first)
		return false;
	node->base_term = node->log[to].term;
	for (uint64_t i = node->log_first; i <= to; i++)
		free(node->log[i].data);
	node->log_first = to + 1;
	raft_trimmed(node->raft, to + 1);
	assert_int_equal(raft_term_at(node->raft, to), node->base_term);
	return true;
}

/* --- questions --- */

NET_FN struct raft_status net_status(struct net *n, uint64_t id)
{
	struct raft_status s;
	raft_status(net_raft(n, id), &s);
	return s;
}

/* The leader with the highest term; 0: none. */
NET_FN uint64_t net_leader(struct net *n)
{
	uint64_t leader = 0, term = 0;
	for (uint64_t id = 1; id <= n->count; id++) {
		if (!net_raft(n, id) || net_status(n, id).role != RAFT_LEADER || net_status(n, id).term < term)
			continue;
		leader = id;
		term = net_status(n, id).term;
	}
	return leader;
}

/* Runs until `id` leads: whoever is elected hands over to it. */
NET_FN void net_elect(struct net *n, uint64_t id)
{
	for (int tries = 0; tries < 500 && net_leader(n) == 0; tries++)
		net_run(n, 10);
	net_run(n, 60);
	if (net_leader(n) != id) {
		assert_int_equal(raft_transfer(net_raft(n, net_leader(n)), id), 0);
		net_settle(n);
	}
	assert_int_equal(net_leader(n), id);
	net_run(n, 60); /* all have heard of it, and of its commit index */
}

NET_FN int net_propose(struct net *n, uint64_t id, const char *command)
{
	int rc = raft_propose(net_raft(n, id), command, (uint32_t)strlen(command));
	net_pump(n, net_at(n, id));
	return rc;
}

NET_FN uint64_t net_read(struct net *n, uint64_t id)
{
	uint64_t ticket = raft_read(net_raft(n, id));
	net_pump(n, net_at(n, id));
	return ticket;
}

NET_FN void net_isolate(struct net *n, uint64_t id, bool cut)
{
	for (uint64_t other = 1; other <= n->count; other++)
		if (other != id)
			n->cut[id][other] = n->cut[other][id] = cut;
}

/* --- by hand: one member at a time, its peers played by the test --- */

/* The disk of a member that is about to start again: an entry for each digit, of that term. */
NET_FN void net_give_log(struct net *n, uint64_t id, const char *terms, uint64_t term)
{
	struct net_node *node = net_at(n, id);
	net_crash(n, id);
	for (uint64_t i = 1; terms[i - 1]; i++) {
		struct net_entry e = {.term = (uint64_t)(terms[i - 1] - '0'), .type = RAFT_ENTRY_COMMAND, .size = 1, .data = malloc(1)};
		e.data[0] = terms[i - 1];
		net_disk_put(node, i, &e);
	}
	node->hard = (struct raft_hard_state){.term = term};
	net_start(n, id);
}

NET_FN void net_step(struct net *n, struct raft_message m)
{
	raft_step(net_raft(n, m.to), &m);
	net_pump(n, net_at(n, m.to));
}

/* The last message of this type to `to` that is on the wire; its type is 0 if there is none. */
NET_FN struct raft_message net_sent(struct net *n, uint64_t to, uint8_t type)
{
	static struct raft_entry entries[RAFT_APPEND_ENTRIES_MAX];
	struct raft_message found = {0}, m;
	for (struct net_frame *f = n->wire.head; f; f = f->next) {
		struct span bytes = {f->bytes.data, f->bytes.size};
		if (f->to == to && raft_message_decode(bytes, entries, &m) == 0 && m.type == type)
			found = m;
	}
	return found;
}

NET_FN void net_clear(struct net *n)
{
	net_queue_free(&n->wire);
}

/* Makes member 1 the leader of a cluster whose other members are played by the test; returns its term. Its no-op is stored. */
NET_FN uint64_t net_lead_alone(struct net *n)
{
	while (net_status(n, 1).role == RAFT_FOLLOWER) {
		n->now_ms += 10;
		net_tick_one(n, 1);
	}
	uint64_t term = net_status(n, 1).term + 1;
	for (uint64_t id = 2; id <= n->count; id++)
		net_step(n, (struct raft_message){.type = RAFT_PREVOTE_REPLY, .from = id, .to = 1, .term = term});
	net_store(n, 1);
	for (uint64_t id = 2; id <= n->count; id++)
		net_step(n, (struct raft_message){.type = RAFT_VOTE_REPLY, .from = id, .to = 1, .term = term});
	net_store(n, 1);
	assert_int_equal(net_status(n, 1).role, RAFT_LEADER);
	assert_int_equal(net_status(n, 1).term, term);
	return term;
}

NET_FN void net_acknowledge(struct net *n, uint64_t from, uint64_t term, uint64_t index)
{
	net_step(n, (struct raft_message){.type = RAFT_APPEND_REPLY, .from = from, .to = 1, .term = term, .log_index = index});
}

/* Every member of the leader's configuration that is up has the same log, all of it committed and applied. */
NET_FN void net_assert_agreed(struct net *n, uint64_t last)
{
	for (uint64_t id = 1; id <= n->count; id++) {
		if (!net_raft(n, id) || !raft_members_has(raft_members_now(net_raft(n, net_leader(n))), id))
			continue;
		assert_int_equal(net_status(n, id).log_last, last);
		assert_int_equal(net_at(n, id)->applied, last);
		for (uint64_t i = net_at(n, id)->log_first; i <= last; i++)
			assert_int_equal(net_at(n, id)->log[i].term, n->committed_term[i]);
	}
}

#endif
