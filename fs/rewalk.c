#include "fs/rewalk.h"

#include "base/clock.h"
#include "fs/view.h"

#include <errno.h>

/* A slot is the thread's id and, in its lower half, when it was answered ESTALE, in milliseconds. */
#define EXPECTED_MS 5000u

static _Atomic uint64_t *slot_of(const struct request *rq)
{
	return &rq->fs->rewalks[(uint32_t)rq->pid % REWALKS];
}

static uint32_t now_ms(void)
{
	return (uint32_t)(clock_mono_ns() / 1000000);
}

static bool is_of(uint64_t slot, const struct request *rq)
{
	return slot && slot >> 32 == (uint32_t)rq->pid;
}

bool rewalk_again(const struct request *rq)
{
	uint64_t slot = atomic_load(slot_of(rq));

	return is_of(slot, rq) && now_ms() - (uint32_t)slot < EXPECTED_MS;
}

bool rewalk_is(const struct request *rq)
{
	return rq->fs->config.linearizable && rewalk_again(rq);
}

/* What a walk was for is asked of its end; lookups, and permissions of directories on the way, do not end it, nor does what the kernel reads ahead. */
void rewalk_answered(struct request *rq, int error)
{
	const struct node *n = rq->node;

	if (error == -ESTALE) {
		atomic_store(slot_of(rq), (uint64_t)(uint32_t)rq->pid << 32 | now_ms());
		return;
	}
	uint64_t slot = atomic_load_explicit(slot_of(rq), memory_order_relaxed);
	if (n && n->kind == NODE_LIVE && n->type != S_IFDIR && !rq->handle && is_of(slot, rq))
		atomic_compare_exchange_strong(slot_of(rq), &slot, 0);
}

void rewalk_found(struct request *rq)
{
	if (rq->node && rq->node->fleeting && !rq->found_key)
		rq->found_key = nodes_found(&rq->fs->nodes, rq->node, &rq->found_key_size, &rq->found_rev);
}

int rewalk_found_record(struct request *rq, struct record *out)
{
	struct record r = {0};

	if (!rq->found_key || mvcc_get(rq->fs->mvcc, (struct span){rq->found_key, rq->found_key_size}, rq->found_rev, &r) != 0)
		return -ESTALE;
	if (r.ino != rq->node->ino) {
		record_done(&r);
		return -ESTALE;
	}
	*out = r;
	return 0;
}

int rewalk_record(struct request *rq, struct record *out)
{
	int error = view_record(rq->fs, rq->node, out);

	return error == -ESTALE ? rewalk_found_record(rq, out) : error;
}
