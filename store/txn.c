/* Transaction (little-endian; bytes: a u32 length, then so many bytes)
 *
 *   u32  comparisons, each:
 *     u8     target    enum txn_target
 *     u8     relation  enum txn_relation
 *     bytes  key
 *     u64    number, or of TXN_VALUE: bytes value
 *   twice, what is done if all hold, and else:
 *   u32  operations, each:
 *     u8     type      enum txn_op_type
 *     u8     prefix    0 or 1; 1 with DELETE only
 *     bytes  key
 *     PUT: u64 lease, bytes value
 *
 * Valid: known numbers, at most TXN_OPS_MAX of each, keys as command_key_valid has them (a prefix: not empty, no NUL), no key written twice in one
 * branch, and no byte left over.
 *
 * Results, one for each operation of the branch that was taken:
 *
 *   u8  type
 *   DELETE: u64 deleted
 *   GET:    u8 found; if it is 1: u64 create_revision, u64 mod_revision, u32 version, u32 mode, u64 mtime_ns, bytes value */
#include "store/txn.h"

#include "store/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COMPARE_BYTES_MIN 10u
#define OP_BYTES_MIN 6u

static void compare_encode(struct writer *w, const struct txn_compare *c)
{
	writer_u8(w, c->target);
	writer_u8(w, c->relation);
	writer_bytes(w, c->key.data, c->key.size);
	if (c->target == TXN_VALUE)
		writer_bytes(w, c->value.data, c->value.size);
	else
		writer_u64(w, c->number);
}

static void op_encode(struct writer *w, const struct txn_op *op)
{
	writer_u8(w, op->type);
	writer_u8(w, op->prefix);
	writer_bytes(w, op->key.data, op->key.size);
	if (op->type != TXN_PUT)
		return;
	writer_u64(w, op->lease);
	writer_bytes(w, op->value.data, op->value.size);
}

void txn_encode(struct writer *w, const struct txn *t)
{
	writer_u32(w, t->compares_count);
	for (uint32_t i = 0; i < t->compares_count; i++)
		compare_encode(w, &t->compares[i]);
	for (int branch = TXN_THEN; branch >= TXN_ELSE; branch--) {
		writer_u32(w, t->ops_count[branch]);
		for (uint32_t i = 0; i < t->ops_count[branch]; i++)
			op_encode(w, &t->ops[branch][i]);
	}
}

/* How many follow, each of at least `bytes_min`; their array, zeroed, NULL if there is none. */
static int count_decode(struct reader *in, size_t bytes_min, size_t item_bytes, void **items, uint32_t *count)
{
	uint32_t n = reader_u32(in);
	if (n > TXN_OPS_MAX)
		return -E2BIG;
	if (in->failed || n > reader_left(in) / bytes_min)
		return -EBADMSG;
	*items = n > 0 ? calloc(n, item_bytes) : NULL;
	if (n > 0 && !*items)
		abort();
	*count = n;
	return 0;
}

static int compare_decode(struct reader *in, struct txn_compare *c)
{
	c->target = reader_u8(in);
	c->relation = reader_u8(in);
	c->key = reader_bytes(in, MVCC_KEY_MAX);
	if (c->target == TXN_VALUE)
		c->value = reader_bytes(in, UINT32_MAX);
	else
		c->number = reader_u64(in);
	if (in->failed || c->target < TXN_VERSION || c->target > TXN_VALUE || c->relation < TXN_EQUAL || c->relation > TXN_GREATER)
		return -EBADMSG;
	return command_key_valid(c->key) ? 0 : -EINVAL;
}

static int op_decode(struct reader *in, struct txn_op *op)
{
	op->type = reader_u8(in);
	uint8_t prefix = reader_u8(in);
	op->prefix = prefix == 1;
	op->key = reader_bytes(in, MVCC_KEY_MAX);
	if (op->type == TXN_PUT) {
		op->lease = reader_u64(in);
		op->value = reader_bytes(in, UINT32_MAX);
	}
	if (in->failed || op->type < TXN_PUT || op->type > TXN_GET || prefix > (op->type == TXN_DELETE))
		return -EBADMSG;
	if (op->prefix)
		return op->key.size > 0 && !memchr(op->key.data, 0, op->key.size) ? 0 : -EINVAL;
	return command_key_valid(op->key) ? 0 : -EINVAL;
}

static int by_key(const void *a, const void *b)
{
	const struct txn_op *x = *(const struct txn_op *const *)a;
	const struct txn_op *y = *(const struct txn_op *const *)b;
	size_t least = x->key.size < y->key.size ? x->key.size : y->key.size;
	int order = memcmp(x->key.data, y->key.data, least);
	return order ? order : (x->key.size > y->key.size) - (x->key.size < y->key.size);
}

/* Sorted, a prefix comes right before what begins with it. */
static bool overlap(const struct txn_op *a, const struct txn_op *b)
{
	bool begins = b->key.size >= a->key.size && memcmp(a->key.data, b->key.data, a->key.size) == 0;
	return begins && (a->prefix || a->key.size == b->key.size);
}

static int check_written_once(const struct txn_op *ops, uint32_t count)
{
	const struct txn_op **writes = malloc((count + 1) * sizeof(struct txn_op *));
	uint32_t n = 0;
	bool twice = false;
	if (!writes)
		abort();
	for (uint32_t i = 0; i < count; i++)
		if (ops[i].type != TXN_GET)
			writes[n++] = &ops[i];
	qsort(writes, n, sizeof(struct txn_op *), by_key);
	for (uint32_t i = 1; i < n; i++)
		twice |= overlap(writes[i - 1], writes[i]);
	free(writes);
	return twice ? -EINVAL : 0;
}

static int branch_decode(struct reader *in, struct txn *t, int branch)
{
	void *ops = NULL;
	int err = count_decode(in, OP_BYTES_MIN, sizeof(struct txn_op), &ops, &t->ops_count[branch]);
	t->ops[branch] = ops;
	for (uint32_t i = 0; i < t->ops_count[branch] && err == 0; i++)
		err = op_decode(in, &t->ops[branch][i]);
	return err ? err : check_written_once(t->ops[branch], t->ops_count[branch]);
}

int txn_decode(struct span bytes, struct txn *out)
{
	struct reader in = reader_over(bytes.data, bytes.size);
	struct txn t = {0};
	void *compares = NULL;
	int err = count_decode(&in, COMPARE_BYTES_MIN, sizeof(struct txn_compare), &compares, &t.compares_count);
	t.compares = compares;
	for (uint32_t i = 0; i < t.compares_count && err == 0; i++)
		err = compare_decode(&in, &t.compares[i]);
	if (err == 0)
		err = branch_decode(&in, &t, TXN_THEN);
	if (err == 0)
		err = branch_decode(&in, &t, TXN_ELSE);
	if (err == 0 && !reader_done(&in))
		err = -EBADMSG;
	if (err < 0)
		txn_done(&t);
	else
		*out = t;
	return err;
}

void txn_done(struct txn *t)
{
	free(t->compares);
	free(t->ops[TXN_ELSE]);
	free(t->ops[TXN_THEN]);
	*t = (struct txn){0};
}

void *txn_result_encode(struct writer *w, const struct txn_result *r, uint32_t value_size)
{
	writer_u8(w, r->type);
	if (r->type == TXN_DELETE)
		writer_u64(w, r->deleted);
	if (r->type != TXN_GET)
		return NULL;
	writer_u8(w, r->found);
	if (!r->found)
		return NULL;
	writer_u64(w, r->create_revision);
	writer_u64(w, r->mod_revision);
	writer_u32(w, r->version);
	writer_u32(w, r->mode);
	writer_u64(w, (uint64_t)r->mtime_ns);
	writer_u32(w, value_size);
	return writer_reserve(w, value_size);
}

void txn_result_decode(struct reader *in, struct txn_result *out)
{
	*out = (struct txn_result){.type = reader_u8(in)};
	if (out->type == TXN_DELETE)
		out->deleted = reader_u64(in);
	else if (out->type == TXN_GET)
		out->found = reader_u8(in) == 1;
	else if (out->type != TXN_PUT)
		reader_fail(in);
	if (!out->found)
		return;
	out->create_revision = reader_u64(in);
	out->mod_revision = reader_u64(in);
	out->version = reader_u32(in);
	out->mode = reader_u32(in);
	out->mtime_ns = (int64_t)reader_u64(in);
	out->value = reader_bytes(in, UINT32_MAX);
}
