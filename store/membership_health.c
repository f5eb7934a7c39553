/* What keeps this node from taking part, or its cluster from going on, in one line. */
#include "store/membership_inside.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void membership_note_wiped(struct membership *m, const char *name)
{
	struct wiped *w = &m->wiped[0];
	for (uint32_t i = 0; i < STORE_MEMBERS_MAX; i++) {
		if (strcmp(m->wiped[i].name, name) == 0) {
			w = &m->wiped[i];
			break;
		}
		if (m->wiped[i].at_ns < w->at_ns)
			w = &m->wiped[i];
	}
	snprintf(w->name, sizeof(w->name), "%s", name);
	w->at_ns = m->now_ns;
}

/* How many voters came back without their data and wait for a place. */
static uint32_t count_wiped(const struct membership *m, char *names, size_t size)
{
	uint32_t count = 0;
	size_t at = 0;
	names[0] = '\0';
	for (uint32_t i = 0; i < STORE_MEMBERS_MAX; i++) {
		const struct wiped *w = &m->wiped[i];
		const struct member *one = w->name[0] ? members_named(&m->now, w->name) : NULL;
		if (!one || !members_is_voter(&m->now, one->id) || m->now_ns - w->at_ns > WIPED_NS)
			continue;
		count++;
		if (at < size)
			at += (size_t)snprintf(names + at, size - at, "%s%s", at > 0 ? ", " : "", w->name);
	}
	return count;
}

static void member_health(const struct membership *m, char *out, size_t size)
{
	struct raft_status status;
	char names[100];
	raft_status(m->raft, &status);
	uint32_t voters = m->now.raft.voters_count;
	uint32_t wiped = count_wiped(m, names, sizeof(names));
	if (m->removed)
		snprintf(out, size,
			 "removed from the cluster (as of its configuration %" PRIu64
			 "); serial reads are answered, nothing else; to join anew it needs new DATA",
			 m->book.version > m->now.version ? m->book.version : m->now.version);
	else if (m->now.count == 0 && status.leader == 0)
		snprintf(out, size, "let in, and waits for the leader to send what it lacks");
	else if (status.leader == 0 && wiped > 0 && voters - wiped < voters / 2 + 1)
		snprintf(out, size,
			 "no leader: a majority of the %u voters is needed, but %s lost %s data: bring such data back, or restore a "
			 "snapshot",
			 voters, names, wiped > 1 ? "their" : "its");
	else if (status.leader == 0 && wiped > 0)
		snprintf(out, size, "no leader: a majority of the %u voters does not answer; %s lost %s data and cannot count", voters,
			 names, wiped > 1 ? "their" : "its");
	else if (status.leader == 0)
		snprintf(out, size, "no leader: a majority of the %u members does not answer", voters);
}

void membership_health(const struct membership *m, char *out, size_t size)
{
	out[0] = '\0';
	if (m->keep_error < 0)
		snprintf(out, size, "DATA/node cannot be written: %s", strerror(-m->keep_error));
	else if (m->identity->id == 0)
		join_waits_for(&m->join, out, size);
	else if (m->raft)
		member_health(m, out, size);
}
