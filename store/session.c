/* session.c: exactly-once bookkeeping.
 *
 *   name   session/ORIGIN in decimal
 *   value  u64 epoch, u64 floor, then a u64 for each 64 sequences from floor / 64 on, up to the last one applied: bit s % 64 is set
 *          if sequence s was applied; then, if it was given inode numbers, for each of SESSION_RANGES: u64 first, a bit for each that is used; and
 *          a byte 1, by which the length tells. Valid: at most SESSION_WORDS words, the last not 0, no bit below the floor. */
#include "store/session.h"

#include "raft/raft.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "session/"
#define RANGES_BYTES (SESSION_RANGES * sizeof(struct session_numbers))

_Static_assert(sizeof(struct session_numbers) == 8 + SESSION_NUMBERS / 8, "as it is written");

static uint64_t *word_of(struct session *s, uint64_t sequence)
{
	return &s->seen[sequence / 64 % SESSION_WORDS];
}

static void raise_floor(struct session *s, uint64_t floor)
{
	uint64_t last = floor / 64;
	if (last - s->floor / 64 >= SESSION_WORDS)
		memset(s->seen, 0, sizeof(s->seen));
	else
		for (uint64_t word = s->floor / 64; word < last; word++)
			s->seen[word % SESSION_WORDS] = 0;
	*word_of(s, floor) &= UINT64_MAX << (floor % 64);
	s->floor = floor;
	if (s->end < floor)
		s->end = floor;
}

bool session_admit(struct session *s, const struct command_id *id, bool *moved)
{
	*moved = false;
	if (id->epoch < s->epoch)
		return false;
	if (id->epoch > s->epoch) {
		memset(s->seen, 0, sizeof(s->seen));
		memset(s->numbers, 0, sizeof(s->numbers));
		s->epoch = id->epoch;
		s->floor = s->end = s->stages_end = 0;
		*moved = true;
	}
	if (id->floor > s->floor) {
		raise_floor(s, id->floor);
		*moved = true;
	}
	if (id->sequence < s->floor || id->sequence - s->floor >= COMMAND_WINDOW)
		return false;
	uint64_t *word = word_of(s, id->sequence);
	uint64_t bit = (uint64_t)1 << (id->sequence % 64);
	if (*word & bit)
		return false;
	*word |= bit;
	if (s->end <= id->sequence)
		s->end = id->sequence + 1;
	return true;
}

bool session_has_seen(const struct session *s, uint64_t epoch, uint64_t sequence)
{
	if (epoch != s->epoch || sequence < s->floor)
		return epoch <= s->epoch;
	return sequence < s->end && (s->seen[sequence / 64 % SESSION_WORDS] & (uint64_t)1 << (sequence % 64));
}

void session_give(struct session *s, uint64_t first)
{
	memmove(s->numbers + 1, s->numbers, sizeof(s->numbers) - sizeof(s->numbers[0]));
	s->numbers[0] = (struct session_numbers){.first = first};
}

/* The range that has it; NULL: none. */
static const struct session_numbers *range_of(const struct session *s, uint64_t ino)
{
	for (size_t i = 0; i < SESSION_RANGES; i++) {
		const struct session_numbers *r = &s->numbers[i];
		if (r->first > 0 && ino >= r->first && ino - r->first < SESSION_NUMBERS)
			return r;
	}
	return NULL;
}

bool session_may_use(const struct session *s, uint64_t ino)
{
	const struct session_numbers *r = range_of(s, ino);
	return r && !(r->used[(ino - r->first) / 64] & (uint64_t)1 << ((ino - r->first) % 64));
}

void session_use(struct session *s, uint64_t ino)
{
	assert(session_may_use(s, ino));
	struct session_numbers *r = (struct session_numbers *)range_of(s, ino);
	r->used[(ino - r->first) / 64] |= (uint64_t)1 << ((ino - r->first) % 64);
}

static void encode_numbers(const struct session *s, struct writer *w)
{
	if (s->numbers[0].first == 0)
		return;
	for (size_t i = 0; i < SESSION_RANGES; i++) {
		writer_u64(w, s->numbers[i].first);
		for (size_t word = 0; word < SESSION_NUMBERS / 64; word++)
			writer_u64(w, s->numbers[i].used[word]);
	}
	writer_u8(w, 1);
}

static void decode_numbers(struct reader *r, struct session *s)
{
	for (size_t i = 0; i < SESSION_RANGES; i++) {
		s->numbers[i].first = reader_u64(r);
		for (size_t word = 0; word < SESSION_NUMBERS / 64; word++)
			s->numbers[i].used[word] = reader_u64(r);
	}
	if (reader_u8(r) != 1 || s->numbers[0].first == 0)
		reader_fail(r);
}

void session_encode(const struct session *s, struct writer *w)
{
	writer_u64(w, s->epoch);
	writer_u64(w, s->floor);
	if (s->end > s->floor)
		for (uint64_t word = s->floor / 64; word <= (s->end - 1) / 64; word++)
			writer_u64(w, s->seen[word % SESSION_WORDS]);
	encode_numbers(s, w);
}

static uint64_t top_bit(uint64_t word)
{
	return 63u - (uint64_t)__builtin_clzll(word);
}

int session_decode(struct span bytes, struct session *s)
{
	struct reader r = reader_over(bytes.data, bytes.size);
	struct session got = {.origin = s->origin};
	got.epoch = reader_u64(&r);
	got.floor = got.end = reader_u64(&r);
	bool given = reader_left(&r) % 8 == 1 && reader_left(&r) > RANGES_BYTES;
	size_t words = (reader_left(&r) - (given ? RANGES_BYTES : 0)) / 8;
	if (words > SESSION_WORDS)
		return -EBADMSG;
	uint64_t word = 0;
	for (size_t i = 0; i < words; i++) {
		word = reader_u64(&r);
		got.seen[(got.floor / 64 + i) % SESSION_WORDS] = word;
		if (i == 0 && (word & ~(UINT64_MAX << (got.floor % 64))))
			return -EBADMSG;
	}
	if (given)
		decode_numbers(&r, &got);
	if (!reader_done(&r) || (words > 0 && word == 0))
		return -EBADMSG;
	if (words > 0)
		got.end = (got.floor / 64 + words - 1) * 64 + top_bit(word) + 1;
	memcpy(got.name, s->name, sizeof(got.name));
	*s = got;
	return 0;
}

struct session *sessions_find(const struct sessions *s, uint64_t origin)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->items[i]->origin == origin)
			return s->items[i];
	return NULL;
}

struct session *sessions_of(struct sessions *s, uint64_t origin)
{
	struct session *known = sessions_find(s, origin);
	if (known)
		return known;
	struct session **items = realloc(s->items, (s->count + 1) * sizeof(struct session *));
	struct session *made = calloc(1, sizeof(*made));
	if (!items || !made)
		abort();
	made->origin = origin;
	snprintf(made->name, sizeof(made->name), PREFIX "%llu", (unsigned long long)origin);
	s->items = items;
	/* By rising origin: what is done for each of them is done in the same order on all nodes. */
	size_t at = s->count++;
	for (; at > 0 && s->items[at - 1]->origin > origin; at--)
		s->items[at] = s->items[at - 1];
	return s->items[at] = made;
}

static int load_one(void *ctx, struct span name, struct span value)
{
	struct sessions *s = ctx;
	size_t prefix = strlen(PREFIX);
	if (name.size < prefix || memcmp(name.data, PREFIX, prefix) != 0)
		return 0;
	char text[SESSION_NAME_BYTES];
	size_t digits = name.size - prefix;
	if (digits == 0 || digits >= sizeof(text))
		return -EBADMSG;
	memcpy(text, (const char *)name.data + prefix, digits);
	text[digits] = 0;
	char *end;
	errno = 0;
	uint64_t origin = strtoull(text, &end, 10);
	if (errno || *end)
		return -EBADMSG;
	struct session *one = sessions_of(s, origin);
	int err = session_decode(value, one);
	one->stages = true; /* nothing says that there is none */
	one->stages_end = one->floor + COMMAND_WINDOW;
	return err;
}

int sessions_load(struct sessions *s, struct mvcc *m)
{
	struct sessions got = {0};
	int err = mvcc_each_meta(m, load_one, &got);
	if (err < 0) {
		sessions_done(&got);
		return err;
	}
	*s = got;
	return 0;
}

void sessions_keep(struct sessions *s, struct mvcc *m, const struct raft_members *members)
{
	size_t kept = 0;
	for (size_t i = 0; i < s->count; i++) {
		struct session *one = s->items[i];
		if (raft_members_has(members, one->origin)) {
			s->items[kept++] = one;
			continue;
		}
		const struct stage_id all = {one->origin, UINT64_MAX, 0};
		mvcc_stage_drop(m, &all);
		mvcc_put_meta(m, (struct span){one->name, strlen(one->name)}, (struct span){NULL, 0});
		free(one);
	}
	s->count = kept;
}

void sessions_done(struct sessions *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->items[i]);
	free(s->items);
	*s = (struct sessions){0};
}
