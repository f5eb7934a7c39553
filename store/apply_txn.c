/* apply_txn.c: a transaction, decided and planned as one command. What its operations see is the store with the plan so far over it. */
#include "store/apply_commands.h"
#include "store/txn.h"

#include <errno.h>
#include <string.h>

#define COMPARE_CHUNK 4096u

static bool holds(uint8_t relation, int order)
{
	switch (relation) {
	case TXN_EQUAL:
		return order == 0;
	case TXN_NOT_EQUAL:
		return order != 0;
	case TXN_LESS:
		return order < 0;
	default:
		return order > 0;
	}
}

static uint64_t number_of(const struct change *at, uint8_t target)
{
	if (!at->live)
		return 0;
	if (target == TXN_VERSION)
		return at->record.version;
	return target == TXN_CREATE ? at->record.created.main : at->record.modified.main;
}

static bool has_value(const struct change *at)
{
	return at->live && (S_ISREG(at->record.mode) || S_ISLNK(at->record.mode));
}

static uint64_t value_size(const struct change *at)
{
	return S_ISLNK(at->record.mode) ? at->record.data.size : at->record.size;
}

/* Bytes [offset, offset + size) of what the store has, all of which must be there. */
static int read_value(struct plan *p, const struct change *at, uint64_t offset, char *to, size_t size)
{
	if (S_ISLNK(at->record.mode)) {
		memcpy(to, (const char *)at->record.data.data + offset, size);
		return 0;
	}
	while (size > 0) {
		ssize_t got = mvcc_read(p->m, &at->record, offset, to, size);
		if (got <= 0) {
			p->broken = true;
			return -EIO;
		}
		offset += (uint64_t)got;
		to += got;
		size -= (size_t)got;
	}
	return 0;
}

/* Reads no more of a file than there is to compare with. */
static int order_values(struct plan *p, const struct change *at, struct span with, int *order)
{
	char chunk[COMPARE_CHUNK];
	uint64_t size = value_size(at);
	uint64_t common = size < with.size ? size : with.size;
	*order = 0;
	for (uint64_t done = 0; done < common && *order == 0;) {
		size_t n = common - done < sizeof(chunk) ? (size_t)(common - done) : sizeof(chunk);
		int err = read_value(p, at, done, chunk, n);
		if (err < 0)
			return err;
		*order = memcmp(chunk, (const char *)with.data + done, n);
		done += n;
	}
	if (*order == 0)
		*order = (size > with.size) - (size < with.size);
	return 0;
}

static int compare(struct plan *p, const struct txn_compare *c, bool *out)
{
	struct change *at;
	int order = 0;
	int err = plan_at(p, c->key, &at);
	if (err < 0)
		return err;
	if (c->target == TXN_VALUE) {
		*out = false;
		if (!has_value(at))
			return 0;
		if ((err = order_values(p, at, c->value, &order)) < 0)
			return err;
	} else {
		uint64_t number = number_of(at, c->target);
		order = (number > c->number) - (number < c->number);
	}
	*out = holds(c->relation, order);
	return 0;
}

static int op_put(struct plan *p, const struct command *c, const struct txn_op *op)
{
	int err = put_whole(p, c, op->key, op->value, op->lease);
	if (err == 0)
		txn_result_encode(&p->reply, &(struct txn_result){.type = TXN_PUT}, 0);
	return err;
}

/* A key that is not there is deleted already. A directory must have been empty, and stay so. */
static int delete_one(struct plan *p, struct span key, uint64_t *deleted)
{
	struct change *at;
	struct change *parent;
	int err = plan_at(p, key, &at);
	if (err < 0)
		return err;
	if (!at->live)
		return at->action == CHANGE_NONE ? 0 : -EINVAL;
	if (change_is_dir(at) && (at->action != CHANGE_NONE || mvcc_has_children(p->m, key)))
		return -ENOTEMPTY;
	if (at->action != CHANGE_NONE)
		return -EINVAL;
	if ((err = plan_parent(p, key, &parent)) < 0)
		return err;
	plan_delete(parent, at);
	*deleted = 1;
	return 0;
}

static int op_delete(struct plan *p, const struct txn_op *op)
{
	struct txn_result r = {.type = TXN_DELETE};
	int err = op->prefix ? plan_delete_prefix(p, op->key, &r.deleted) : delete_one(p, op->key, &r.deleted);
	if (err == 0)
		txn_result_encode(&p->reply, &r, 0);
	return err;
}

/* A key that this transaction has put has the revision to come. */
static void describe(struct plan *p, const struct change *at, struct txn_result *r)
{
	uint64_t next = mvcc_revision(p->m) + 1;
	bool put = at->action == CHANGE_PUT;
	r->found = true;
	r->create_revision = at->created ? next : at->record.created.main;
	r->mod_revision = put ? next : at->record.modified.main;
	r->version = at->created ? 1 : at->record.version + put;
	r->mode = at->record.mode;
	r->mtime_ns = at->record.mtime_ns;
}

static int op_get(struct plan *p, const struct txn_op *op)
{
	struct txn_result r = {.type = TXN_GET};
	struct change *at;
	int err = plan_at(p, op->key, &at);
	if (err < 0)
		return err;
	if (!has_value(at) || plan_is_doomed(p, op->key)) {
		txn_result_encode(&p->reply, &r, 0);
		return 0;
	}
	uint64_t size = value_size(at);
	if (size > TXN_RESULTS_MAX || p->reply.size + size > TXN_RESULTS_MAX)
		return -EMSGSIZE;
	describe(p, at, &r);
	char *room = txn_result_encode(&p->reply, &r, (uint32_t)size);
	if (at->action != CHANGE_PUT)
		return read_value(p, at, 0, room, size);
	if (size > 0)
		memcpy(room, at->whole.data, size);
	return 0;
}

static int run_branch(struct plan *p, const struct command *c, const struct txn_op *ops, uint32_t count)
{
	int err = 0;
	for (uint32_t i = 0; i < count && err == 0; i++) {
		if (ops[i].type == TXN_PUT)
			err = op_put(p, c, &ops[i]);
		else if (ops[i].type == TXN_DELETE)
			err = op_delete(p, &ops[i]);
		else
			err = op_get(p, &ops[i]);
	}
	return err;
}

int apply_txn(struct plan *p, const struct command *c)
{
	struct txn t = {0};
	bool all = true;
	int err = txn_decode(c->value, &t);
	for (uint32_t i = 0; i < t.compares_count && all && err == 0; i++)
		err = compare(p, &t.compares[i], &all);
	if (err == 0)
		err = run_branch(p, c, t.ops[all], t.ops_count[all]);
	txn_done(&t);
	p->target = NULL;
	p->done = all;
	return err;
}
