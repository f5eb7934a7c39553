/* The payloads of PEER_JOIN; integers are little-endian, bytes: a u32 length, then so many.
 *
 *   question   u8 JOIN_ASK, u64 incarnation, u64 origin, u64 cluster id, u64 id, u64 challenge, u8 wants a place (0 or 1), bytes name, bytes address
 *   answer     u8 JOIN_ANSWER, u64 incarnation that asked, u64 incarnation, u64 cluster id, u64 challenge, u8 verdict, bytes name, bytes members
 *
 * Valid: an incarnation that is not 0, a name of 1 to STORE_NAME_MAX - 1 bytes, a known verdict, no byte left over. */
#include "store/join.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void join_ask_encode(const struct join_ask *a, struct writer *w)
{
	writer_u8(w, JOIN_ASK);
	writer_u64(w, a->incarnation);
	writer_u64(w, a->origin);
	writer_u64(w, a->cluster_id);
	writer_u64(w, a->id);
	writer_u64(w, a->challenge);
	writer_u8(w, a->wants_place);
	writer_string(w, a->who.name);
	writer_string(w, a->who.address);
}

int join_ask_decode(struct span bytes, struct join_ask *out)
{
	struct reader r = reader_over(bytes.data, bytes.size);
	struct join_ask a = {0};
	if (reader_u8(&r) != JOIN_ASK)
		reader_fail(&r);
	a.incarnation = reader_u64(&r);
	a.origin = reader_u64(&r);
	a.cluster_id = reader_u64(&r);
	a.id = reader_u64(&r);
	a.challenge = reader_u64(&r);
	uint8_t wants = reader_u8(&r);
	a.wants_place = wants == 1;
	if (!reader_text(&r, a.who.name, sizeof(a.who.name)) || !reader_text(&r, a.who.address, sizeof(a.who.address)))
		return -EBADMSG;
	if (!reader_done(&r) || wants > 1 || a.incarnation == 0 || a.who.name[0] == '\0')
		return -EBADMSG;
	*out = a;
	return 0;
}

void join_answer_encode(const struct join_answer *a, struct writer *w)
{
	writer_u8(w, JOIN_ANSWER);
	writer_u64(w, a->asked);
	writer_u64(w, a->incarnation);
	writer_u64(w, a->cluster_id);
	writer_u64(w, a->challenge);
	writer_u8(w, a->verdict);
	writer_string(w, a->name);
	writer_bytes(w, a->members.data, a->members.size);
}

int join_answer_decode(struct span bytes, struct join_answer *out)
{
	struct reader r = reader_over(bytes.data, bytes.size);
	struct join_answer a = {0};
	if (reader_u8(&r) != JOIN_ANSWER)
		reader_fail(&r);
	a.asked = reader_u64(&r);
	a.incarnation = reader_u64(&r);
	a.cluster_id = reader_u64(&r);
	a.challenge = reader_u64(&r);
	a.verdict = reader_u8(&r);
	if (!reader_text(&r, a.name, sizeof(a.name)))
		return -EBADMSG;
	a.members = reader_bytes(&r, bytes.size);
	if (!reader_done(&r) || a.asked == 0 || a.name[0] == '\0' || a.verdict == 0 || a.verdict > JOIN_LAST)
		return -EBADMSG;
	*out = a;
	return 0;
}

/* --- notes --- */

static struct join_note *note_of(struct join_notes *n, const char *name)
{
	for (uint32_t i = 0; i < n->count; i++)
		if (strcmp(n->of[i].name, name) == 0)
			return &n->of[i];
	return NULL;
}

static struct join_note *note_add(struct join_notes *n, const char *name, uint64_t incarnation)
{
	struct join_note *made = &n->of[n->count++];
	*made = (struct join_note){.incarnation = incarnation};
	snprintf(made->name, sizeof(made->name), "%s", name);
	return made;
}

enum join_verdict join_notes_take(struct join_notes *n, const char *name, uint64_t incarnation, bool *added)
{
	const struct join_note *known = note_of(n, name);
	*added = false;
	if (n->lost || (known && known->incarnation != incarnation) || (!known && n->count == STORE_MEMBERS_MAX))
		return JOIN_TAKEN;
	if (known)
		return known->founder ? JOIN_FOUNDED : JOIN_NOTED;
	note_add(n, name, incarnation);
	*added = true;
	return JOIN_NOTED;
}

void join_notes_found(struct join_notes *n, const char *name, uint64_t incarnation)
{
	struct join_note *known = note_of(n, name);
	if (!known && n->count < STORE_MEMBERS_MAX)
		known = note_add(n, name, incarnation);
	if (known && known->incarnation == incarnation)
		known->founder = true;
}

/* --- the asker --- */

void join_begin(struct join *j, const struct store_member *list, uint32_t count, const char *name, uint64_t incarnation, uint64_t origin)
{
	*j = (struct join){.incarnation = incarnation, .origin = origin, .majority = count / 2 + 1};
	for (uint32_t i = 0; i < count; i++) {
		if (strcmp(list[i].name, name) == 0)
			j->self = list[i];
		else
			memcpy(j->others[j->others_count++].name, list[i].name, sizeof(list[i].name));
	}
}

void join_question(const struct join *j, struct join_ask *out)
{
	*out = (struct join_ask){.incarnation = j->incarnation,
				 .origin = j->origin,
				 .challenge = j->challenge,
				 .wants_place = j->wants_place,
				 .who = j->self};
}

static bool is_founder(const struct join_heard *o)
{
	return o->answered && o->noted && !o->runs;
}

enum join_outcome join_look(const struct join *j, bool waited)
{
	uint32_t founders = 0, running = 0, noted = 0, noted_running = 0;
	bool founded = false;
	if (j->wants_place)
		return JOIN_GO_ON;
	for (uint32_t i = 0; i < j->others_count; i++) {
		const struct join_heard *o = &j->others[i];
		founders += is_founder(o);
		running += o->answered && o->runs;
		noted += o->answered && o->noted;
		founded |= o->founded;
		noted_running += o->answered && o->runs && o->noted;
	}
	/* Whoever acts under a first id has been noted by a majority, so that a later life of it is found out. */
	if (founded && noted + 1 >= j->majority)
		return JOIN_FIRST;
	if (running > 0)
		return noted_running >= j->majority ? JOIN_FIRST : JOIN_GO_ON;
	bool all = founders == j->others_count;
	return founders + 1 >= j->majority && (all || waited) ? JOIN_FIRST : JOIN_GO_ON;
}

static struct join_heard *heard_of(struct join *j, const char *name)
{
	for (uint32_t i = 0; i < j->others_count; i++)
		if (strcmp(j->others[i].name, name) == 0)
			return &j->others[i];
	return NULL;
}

static void keep_word(struct join *j, const struct join_answer *a)
{
	/* A place is given by the leader alone; what others say meanwhile is not news. */
	bool from_leader = a->challenge != 0 || a->verdict == JOIN_GRANTED;
	bool vague = a->verdict == JOIN_TAKEN || a->verdict == JOIN_RUNS || a->verdict == JOIN_WAIT;
	if (!from_leader && vague && j->last != 0 && j->last != JOIN_STRANGER)
		return;
	j->last = (enum join_verdict)a->verdict;
	memcpy(j->last_name, a->name, sizeof(j->last_name));
}

enum join_outcome join_take(struct join *j, const struct join_answer *a, bool waited)
{
	struct join_heard *o = heard_of(j, a->name);
	if (a->asked != j->incarnation)
		return JOIN_GO_ON;
	if (a->challenge)
		j->challenge = a->challenge;
	if (o) {
		o->answered = true;
		o->incarnation = a->incarnation;
		o->runs = a->cluster_id != 0;
		o->noted = a->verdict == JOIN_NOTED || a->verdict == JOIN_FOUNDED;
		o->founded |= a->verdict == JOIN_FOUNDED && a->cluster_id == j->origin;
	}
	if (a->verdict != JOIN_NOTED)
		keep_word(j, a);
	switch ((enum join_verdict)a->verdict) {
	case JOIN_GRANTED:
		return a->cluster_id != 0 ? JOIN_PLACE : JOIN_GO_ON;
	case JOIN_TAKEN:
	case JOIN_RUNS:
	case JOIN_STRANGER:
	case JOIN_ALIVE:
		j->wants_place |= o != NULL;
		return JOIN_GO_ON;
	case JOIN_NOTED:
	case JOIN_FOUNDED:
	case JOIN_WAIT:
	case JOIN_DIFFERS:
		break;
	}
	return join_look(j, waited);
}

void join_found(const struct join *j, struct join_notes *notes)
{
	for (uint32_t i = 0; i < j->others_count; i++)
		if (is_founder(&j->others[i]))
			join_notes_found(notes, j->others[i].name, j->others[i].incarnation);
}

/* The names of those who have not answered, as far as they fit. */
static void list_silent(const struct join *j, char *out, size_t size)
{
	size_t at = 0;
	out[0] = '\0';
	for (uint32_t i = 0; i < j->others_count && at < size; i++)
		if (!j->others[i].answered)
			at += (size_t)snprintf(out + at, size - at, "%s%s", at > 0 ? ", " : "", j->others[i].name);
}

void join_waits_for(const struct join *j, char *out, size_t size)
{
	char silent[120];
	list_silent(j, silent, sizeof(silent));
	if (j->last == JOIN_ALIVE)
		snprintf(out, size, "refused: a member named %s is alive, says %s; this node takes no part", j->self.name, j->last_name);
	else if (j->last == JOIN_STRANGER)
		snprintf(out, size, "not a member: waits for tallyctl member add %s %s", j->self.name, j->self.address);
	else if (j->last == JOIN_DIFFERS)
		snprintf(out, size, "%s was started with another cluster=; this node takes no part", j->last_name);
	else if (j->wants_place && j->last == JOIN_WAIT)
		snprintf(out, size, "waits to be let in as %s", j->self.name);
	else if (j->wants_place && j->last == JOIN_RUNS)
		snprintf(out, size, "new: waits for the leader of the cluster to let it in, as %s says", j->last_name);
	else if (j->wants_place)
		snprintf(out, size, "its data is new, but %s took part before, says %s: waits for a leader to give it a place%s%s%s",
			 j->self.name, j->last_name, silent[0] ? " (no answer from " : "", silent, silent[0] ? ")" : "");
	else
		snprintf(out, size, "new: waits for the other members to answer%s%s", silent[0] ? ": " : "", silent);
}
