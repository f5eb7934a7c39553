/* Votes, election safety, leader completeness. */
#include "tests/sim/checks_view.h"

void __real_raft_stored(struct raft *r, uint64_t save);
void __wrap_raft_stored(struct raft *r, uint64_t save);
void __real_raft_status(const struct raft *r, struct raft_status *out);
void __wrap_raft_status(const struct raft *r, struct raft_status *out);

static void promise(const struct machine *m, struct view *v, const struct vote *vote)
{
	if (vote->term == v->promised.term && vote->candidate != v->promised.candidate)
		violated("machine %u votes in term %llu for %016llx and for %016llx", m->number, (unsigned long long)vote->term,
			 (unsigned long long)v->promised.candidate, (unsigned long long)vote->candidate);
	if (vote->term >= v->promised.term)
		v->promised = *vote;
}

static void settle_votes(const struct machine *m, struct view *v)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < v->votes_count; i++) {
		if (v->votes[i].save <= v->stored)
			promise(m, v, &v->votes[i]);
		else
			v->votes[kept++] = v->votes[i];
	}
	v->votes_count = kept;
}

void checks_note_votes(const struct machine *m, const struct raft_ready *ready)
{
	struct view *v = checks_view(m);
	if (ready->save != 0)
		v->saved = ready->save;
	for (uint32_t i = 0; i < ready->send_stored_count && v->votes_count < VOTES_MAX; i++) {
		const struct raft_message *sent = &ready->send_stored[i];
		if (sent->type == RAFT_VOTE)
			v->votes[v->votes_count++] = (struct vote){v->saved, sent->term, sent->from};
		else if (sent->type == RAFT_VOTE_REPLY && !sent->reject)
			v->votes[v->votes_count++] = (struct vote){v->saved, sent->term, sent->to};
	}
	settle_votes(m, v);
}

void __wrap_raft_stored(struct raft *r, uint64_t save)
{
	struct view *v = checks_view_now();
	v->stored = save;
	settle_votes(machine_now(), v);
	__real_raft_stored(r, save);
}

/* --- election safety, leader completeness --- */

static void note_leader(const struct machine *m, const struct raft *r, const struct raft_status *s)
{
	happened(HAPPENED_leader, m->number, s->term, s->log_last);
	checks.leaders = checks_reach(checks.leaders, &checks.leaders_capacity, s->term, sizeof(*checks.leaders));
	uint64_t *leader = &checks.leaders[s->term];
	if (*leader != 0 && *leader != s->id)
		violated("election safety: %016llx and %016llx (machine %u) both lead term %llu", (unsigned long long)*leader,
			 (unsigned long long)s->id, m->number, (unsigned long long)s->term);
	*leader = s->id;
	for (uint32_t i = 0; i < machines_count; i++)
		if (&machines[i] != m && checks_leads(&machines[i]))
			happened(HAPPENED_rival, m->number, i + 1, 0);
	for (uint64_t i = s->log_first; i <= checks.committed_last; i++) {
		const struct committed *c = &checks.committed[i];
		if (c->term != 0 && c->seen_in_term < s->term && raft_term_at(r, i) != c->term)
			violated("leader completeness: machine %u leads term %llu without entry %llu of term %llu, which was committed",
				 m->number, (unsigned long long)s->term, (unsigned long long)i, (unsigned long long)c->term);
	}
}

void __wrap_raft_status(const struct raft *r, struct raft_status *out)
{
	__real_raft_status(r, out);
	struct machine *m = machine_now();
	if (!m)
		return;
	struct view *v = checks_view(m);
	bool leads = out->role == RAFT_LEADER && (v->role != RAFT_LEADER || v->term != out->term);
	if (out->commit < v->commit)
		violated("machine %u's commit went back from %llu to %llu", m->number, (unsigned long long)v->commit,
			 (unsigned long long)out->commit);
	if (out->term < v->term)
		violated("machine %u's term went back from %llu to %llu", m->number, (unsigned long long)v->term,
			 (unsigned long long)out->term);
	if (out->role != v->role || out->term != v->term)
		happened(HAPPENED_role, m->number, out->role, out->term);
	if (out->log_first > v->first)
		happened(HAPPENED_trim, m->number, out->log_first, 0);
	v->first = out->log_first;
	v->commit = out->commit;
	v->role = out->role;
	v->term = out->term;
	if (leads)
		note_leader(m, r, out);
}

bool checks_leads(const struct machine *m)
{
	return m->running && checks_view(m)->role == RAFT_LEADER;
}
