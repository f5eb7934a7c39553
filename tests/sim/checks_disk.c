/* What was made durable stays so; and the limits within which raft and its log are run here. */
#include "raft/wal_log.h"
#include "store/trim.h"
#include "tests/sim/checks_view.h"

int __real_wal_open(const struct wal_config *config, struct wal **out, char *why, size_t why_size);
int __real_wal_append(struct wal *w, uint8_t *records, size_t size);
int __real_wal_reset(struct wal *w, uint64_t index, uint64_t term);
int __real_raft_new(const struct raft_config *config, struct raft **out);
int __real_raft_restore(struct raft *r, const struct raft_entry *entry);
uint64_t __real_trim_point(const struct trim_facts *facts);
uint64_t __wrap_trim_point(const struct trim_facts *facts);
int __wrap_wal_open(const struct wal_config *config, struct wal **out, char *why, size_t why_size);
int __wrap_wal_append(struct wal *w, uint8_t *records, size_t size);
int __wrap_wal_reset(struct wal *w, uint64_t index, uint64_t term);
int __wrap_raft_new(const struct raft_config *config, struct raft **out);
int __wrap_raft_restore(struct raft *r, const struct raft_entry *entry);

int __wrap_wal_append(struct wal *w, uint8_t *records, size_t size)
{
	int error = __real_wal_append(w, records, size);
	struct view *v = checks_view_now();
	struct reader r = reader_over(records, size);
	struct wal_record record;
	if (error)
		return error;
	while (wal_record_next(&r, &record)) {
		if (record.kind == WAL_RECORD_HARD)
			v->hard = record.hard;
		if (record.kind != WAL_RECORD_ENTRY)
			continue;
		v->terms = checks_reach(v->terms, &v->terms_capacity, record.entry.index, sizeof(*v->terms));
		v->terms[record.entry.index] = record.entry.term;
		v->last = record.entry.index;
	}
	happened(HAPPENED_wal_sync, machine_now()->number, v->last, v->hard.term);
	return 0;
}

int __wrap_wal_reset(struct wal *w, uint64_t index, uint64_t term)
{
	int error = __real_wal_reset(w, index, term);
	struct view *v = checks_view_now();
	if (error == 0)
		v->base = v->last = index;
	return error;
}

int __wrap_wal_open(const struct wal_config *config, struct wal **out, char *why, size_t why_size)
{
	struct machine *m = machine_now();
	checks_become(m, config->node_id);
	struct view *v = checks_view(m);
	struct wal_config small = *config;
	small.segment_bytes = machine_settings.segment_bytes;
	int error = __real_wal_open(&small, out, why, why_size);
	if (error || m->damaged)
		return error;
	struct raft_hard_state hard = wal_hard_state(*out);
	/* A save that was under way may have replaced the tail by a shorter one. */
	uint64_t last = wal_last(*out);
	bool replaced = last > v->base && last < v->last && wal_last_term(*out) > v->terms[last];
	if (last < v->last && !replaced)
		violated("machine %u had entries up to %llu durable, and has them up to %llu now", m->number, (unsigned long long)v->last,
			 (unsigned long long)last);
	if (replaced)
		v->last = last;
	if (hard.term < v->hard.term)
		violated("machine %u was in term %llu, and has forgotten it", m->number, (unsigned long long)v->hard.term);
	if (hard.term < v->promised.term || (hard.term == v->promised.term && hard.vote != v->promised.candidate))
		violated("machine %u voted for %016llx in term %llu, and has forgotten it", m->number,
			 (unsigned long long)v->promised.candidate, (unsigned long long)v->promised.term);
	return 0;
}

/* What was being written when the machine died may be there, or not. */
int __wrap_raft_restore(struct raft *r, const struct raft_entry *e)
{
	struct machine *m = machine_now();
	struct view *v = checks_view(m);
	if (!m->damaged && e->index > v->base && e->index <= v->last && v->terms[e->index] != e->term) {
		if (e->term < v->terms[e->index])
			violated("machine %u had entry %llu of term %llu durable, and has it of term %llu now", m->number,
				 (unsigned long long)e->index, (unsigned long long)v->terms[e->index], (unsigned long long)e->term);
		v->last = e->index - 1;
	}
	if (e->index > v->last) {
		v->terms = checks_reach(v->terms, &v->terms_capacity, e->index, sizeof(*v->terms));
		v->terms[e->index] = e->term;
		v->last = e->index;
	}
	checks_note_entry(m, e, UINT64_MAX);
	return __real_raft_restore(r, e);
}

/* Little of the log is kept, so that members that were away have to be given snapshots. */
uint64_t __wrap_trim_point(const struct trim_facts *facts)
{
	struct trim_facts f = *facts;
	uint64_t keep = machine_settings.keep_entries;
	if (f.last > keep && f.recent < f.last - keep)
		f.recent = f.last - keep;
	return __real_trim_point(&f);
}

/* Little memory for entries, so that followers that lag have to be served from the log on disk. */
int __wrap_raft_new(const struct raft_config *config, struct raft **out)
{
	struct raft_config c = *config;
	struct view *v = checks_view_now();
	c.cache_bytes_max = machine_settings.cache_bytes;
	/* A late answer to a read of an earlier boot must not fit one of this boot. */
	if (c.ticket_base <= v->ticket_base)
		violated("read tickets from %llu on, which an earlier boot has given out", (unsigned long long)c.ticket_base);
	v->ticket_base = c.ticket_base;
	v->listed = c.applied;
	v->votes_count = 0;
	v->saved = v->stored = 0;
	v->commit = 0;
	v->term = 0;
	v->role = RAFT_FOLLOWER;
	return __real_raft_new(&c, out);
}
