#include "cmd/txn_text.h"

#include "store/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 8

/* One line, cut into words, which lie in one piece of memory. */
struct line {
	struct span words[WORDS_MAX];
	int count;
};

enum part { PART_COMPARE, PART_THEN, PART_ELSE, PART_END };

/* NULL: the line is fine; or what is wrong with it. */
typedef const char *verdict;

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* After a backslash; NULL if it is no escape. */
static const char *unescape(const char *at, const char *end, struct writer *out)
{
	static const char from[] = "\"\\ntr'";
	static const char to[] = "\"\\\n\t\r'";
	if (at == end)
		return NULL;
	if (*at == 'x' && end - at >= 3 && hex_digit(at[1]) >= 0 && hex_digit(at[2]) >= 0) {
		writer_u8(out, (uint8_t)(hex_digit(at[1]) * 16 + hex_digit(at[2])));
		return at + 3;
	}
	const char *known = strchr(from, *at);
	if (!known || !*known)
		return NULL;
	writer_u8(out, (uint8_t)to[known - from]);
	return at + 1;
}

/* From a quote on, to behind its end; NULL if there is none. */
static const char *quoted(const char *at, const char *end, struct writer *out)
{
	char quote = *at++;
	while (at < end && *at != quote) {
		if (*at == '\\' && quote == '"') {
			at = unescape(at + 1, end, out);
			if (!at)
				return NULL;
		} else {
			writer_u8(out, (uint8_t)*at++);
		}
	}
	return at < end ? at + 1 : NULL;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* A word up to a blank, or to one of `stops` outside quotes. */
static const char *word(const char *at, const char *end, const char *stops, struct writer *out)
{
	while (at && at < end && !is_blank(*at) && !strchr(stops, *at)) {
		if (*at == '"' || *at == '\'')
			at = quoted(at, end, out);
		else
			writer_u8(out, (uint8_t)*at++);
	}
	return at;
}

static const char *blanks(const char *at, const char *end)
{
	while (at < end && is_blank(*at))
		at++;
	return at;
}

/* The words are spans of offsets at first: the memory may move while it grows. */
static verdict split(const char *at, const char *end, struct line *l, struct writer *memory)
{
	size_t offsets[WORDS_MAX + 1] = {0};
	for (at = blanks(at, end); at < end; at = blanks(at, end)) {
		if (l->count == WORDS_MAX)
			return "too many words";
		at = word(at, end, "", memory);
		if (!at)
			return "a quote that does not end, or an unknown escape";
		offsets[++l->count] = memory->size;
	}
	for (int i = 0; i < l->count; i++)
		l->words[i] = (struct span){memory->data + offsets[i], offsets[i + 1] - offsets[i]};
	return NULL;
}

static bool is(struct span word, const char *text)
{
	return word.size == strlen(text) && (word.size == 0 || memcmp(word.data, text, word.size) == 0);
}

static bool number(struct span word, int base, uint64_t *out)
{
	char text[24];
	char *end;
	if (word.size == 0 || word.size >= sizeof(text))
		return false;
	memcpy(text, word.data, word.size);
	text[word.size] = '\0';
	errno = 0;
	*out = strtoull(text, &end, base);
	return errno == 0 && *end == '\0' && hex_digit(text[0]) >= 0;
}

static uint8_t target_of(struct span word)
{
	static const struct {
		const char *name;
		uint8_t target;
	} names[] = {{"version", TXN_VERSION}, {"ver", TXN_VERSION}, {"create", TXN_CREATE}, {"c", TXN_CREATE},
		     {"mod", TXN_MOD},         {"m", TXN_MOD},       {"value", TXN_VALUE},   {"val", TXN_VALUE}};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (is(word, names[i].name))
			return names[i].target;
	return 0;
}

static uint8_t relation_of(struct span word)
{
	return is(word, "=") || is(word, "==") ? TXN_EQUAL
	       : is(word, "!=")                ? TXN_NOT_EQUAL
	       : is(word, "<")                 ? TXN_LESS
	       : is(word, ">")                 ? TXN_GREATER
					       : 0;
}

static const char *relation(const char *at, const char *end, struct writer *out)
{
	while (at < end && *at && strchr("=!<>", *at))
		writer_u8(out, (uint8_t)*at++);
	return at;
}

/* TARGET(KEY) RELATION VALUE: blanks may stand between them all. */
static verdict split_compare(const char *at, const char *end, struct span words[4], struct writer *memory)
{
	static const char *const stops[4] = {"(", ")", "", ""};
	size_t offsets[5] = {0};
	for (int i = 0; i < 4; i++) {
		at = blanks(at, end);
		at = i == 2 ? relation(at, end, memory) : word(at, end, stops[i], memory);
		if (!at)
			return "a quote that does not end, or an unknown escape";
		offsets[i + 1] = memory->size;
		at = blanks(at, end);
		if (i < 2 && (at == end || *at++ != stops[i][0]))
			return "expected TARGET(\"KEY\") RELATION \"VALUE\"";
	}
	if (at != end || offsets[3] == offsets[2])
		return "expected TARGET(\"KEY\") RELATION \"VALUE\"";
	for (int i = 0; i < 4; i++)
		words[i] = (struct span){memory->data + offsets[i], offsets[i + 1] - offsets[i]};
	return NULL;
}

static verdict compare_parse(const char *at, const char *end, struct txn_compare *c, struct writer *memory)
{
	struct span words[4];
	verdict wrong = split_compare(at, end, words, memory);
	if (wrong)
		return wrong;
	c->target = target_of(words[0]);
	c->relation = relation_of(words[2]);
	c->key = words[1];
	if (c->target == 0)
		return "compares neither version, create, mod nor value";
	if (c->relation == 0)
		return "the relation is not one of = != < >";
	if (!command_key_valid(c->key))
		return "not a valid key";
	c->value = words[3];
	if (c->target != TXN_VALUE && !number(words[3], 10, &c->number))
		return "not a number";
	return NULL;
}

/* --prefix of a del, --lease ID or --lease=ID of a put, wherever it stands; the other words stay. */
static verdict take_options(struct line *l, struct txn_op *op)
{
	static const char lease[] = "--lease";
	int kept = 1;
	for (int i = 1; i < l->count; i++) {
		struct span w = l->words[i];
		bool begins = w.size >= strlen(lease) && memcmp(w.data, lease, strlen(lease)) == 0;
		if (op->type == TXN_DELETE && is(w, "--prefix")) {
			op->prefix = true;
		} else if (op->type == TXN_PUT && begins && (w.size == strlen(lease) || ((const char *)w.data)[strlen(lease)] == '=')) {
			if (w.size > strlen(lease))
				w = (struct span){(const char *)w.data + strlen(lease) + 1, w.size - strlen(lease) - 1};
			else if (++i < l->count)
				w = l->words[i];
			if (!number(w, 16, &op->lease) || op->lease == 0)
				return "--lease needs the id of a lease";
		} else {
			l->words[kept++] = w;
		}
	}
	l->count = kept;
	return NULL;
}

static verdict op_parse(const char *at, const char *end, struct txn_op *op, struct writer *memory)
{
	struct line l = {.count = 0};
	verdict wrong = split(at, end, &l, memory);
	if (wrong)
		return wrong;
	op->type = is(l.words[0], "put") ? TXN_PUT : is(l.words[0], "del") ? TXN_DELETE : is(l.words[0], "get") ? TXN_GET : 0;
	if (op->type == 0)
		return "expected put KEY VALUE, del KEY or get KEY";
	if ((wrong = take_options(&l, op)))
		return wrong;
	if (l.count != (op->type == TXN_PUT ? 3 : 2))
		return op->type == TXN_PUT   ? "expected put KEY VALUE [--lease=ID]"
		       : op->type == TXN_GET ? "expected get KEY"
					     : "expected del KEY [--prefix]";
	op->key = l.words[1];
	op->value = op->type == TXN_PUT ? l.words[2] : (struct span){NULL, 0};
	if (op->prefix ? op->key.size == 0 || memchr(op->key.data, 0, op->key.size) != NULL : !command_key_valid(op->key))
		return "not a valid key";
	return NULL;
}

static void *grown(void *items, uint32_t count, size_t item_bytes)
{
	/* Powers of two: grown when the count reaches one. */
	if (count & (count - 1))
		return items;
	items = realloc(items, (count ? 2 * (size_t)count : 1) * item_bytes);
	if (!items)
		abort();
	return items;
}

static struct writer *memory_add(struct txn_text *t)
{
	t->memory = grown(t->memory, t->memory_count, sizeof(*t->memory));
	t->memory[t->memory_count] = (struct writer){0};
	return &t->memory[t->memory_count++];
}

static verdict line_parse(struct txn_text *t, enum part part, const char *at, const char *end)
{
	struct txn *x = &t->txn;
	struct writer *memory = memory_add(t);
	if (part == PART_COMPARE) {
		if (x->compares_count == TXN_OPS_MAX)
			return "too many comparisons";
		x->compares = grown(x->compares, x->compares_count, sizeof(*x->compares));
		x->compares[x->compares_count] = (struct txn_compare){0};
		return compare_parse(at, end, &x->compares[x->compares_count++], memory);
	}
	int branch = part == PART_THEN ? TXN_THEN : TXN_ELSE;
	uint32_t *count = &x->ops_count[branch];
	if (part == PART_END)
		return "expected nothing after the third part";
	if (*count == TXN_OPS_MAX)
		return "too many operations";
	x->ops[branch] = grown(x->ops[branch], *count, sizeof(struct txn_op));
	x->ops[branch][*count] = (struct txn_op){0};
	return op_parse(at, end, &x->ops[branch][(*count)++], memory);
}

uint32_t txn_text_parse(struct span text, struct txn_text *out, char *why, size_t why_size)
{
	const char *at = text.data;
	const char *end = at + text.size;
	enum part part = PART_COMPARE;
	*out = (struct txn_text){0};
	for (uint32_t line = 1; at < end; line++) {
		const char *line_end = memchr(at, '\n', (size_t)(end - at));
		line_end = line_end ? line_end : end;
		if (blanks(at, line_end) == line_end) {
			part = part == PART_END ? PART_END : part + 1;
		} else {
			verdict wrong = line_parse(out, part, at, line_end);
			if (wrong) {
				snprintf(why, why_size, "%s", wrong);
				return line;
			}
		}
		at = line_end < end ? line_end + 1 : end;
	}
	return 0;
}

void txn_text_done(struct txn_text *t)
{
	for (uint32_t i = 0; i < t->memory_count; i++)
		writer_free(&t->memory[i]);
	free(t->memory);
	txn_done(&t->txn);
	*t = (struct txn_text){0};
}
