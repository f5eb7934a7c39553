#include "tests/power/verify.h"
#include "store/store.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BARRIER_SECONDS 20

void progress_feed(struct progress *p, const struct event *e)
{
	uint32_t w = (uint32_t)e->ino, op = (uint32_t)e->offset;
	if (e->kind == RECORD_BEGUN) {
		p->begun[w] = op + 1;
	} else if (e->kind == RECORD_DONE) {
		load_apply(&p->states[w], &p->load->workers[w]->ops[op]);
		p->done[w] = op + 1;
	}
}

struct waiting {
	struct store_op op;
	pthread_mutex_t mutex;
	pthread_cond_t done;
	bool over;
};

static void wake(struct store_op *op)
{
	struct waiting *w = (struct waiting *)op;
	pthread_mutex_lock(&w->mutex);
	w->over = true;
	pthread_cond_signal(&w->done);
	pthread_mutex_unlock(&w->mutex);
}

static int barrier(struct store *s)
{
	struct waiting w = {.op = {.done = wake}, .mutex = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};
	store_barrier(s, &w.op);
	pthread_mutex_lock(&w.mutex);
	while (!w.over)
		pthread_cond_wait(&w.done, &w.mutex);
	pthread_mutex_unlock(&w.mutex);
	return w.op.result.error;
}

/* The whole file, malloc'ed; NULL with *size -ENOENT if there is none, or another error. */
static uint8_t *load_key(struct store *s, const char *key, ssize_t *size)
{
	struct record r = {0};
	int rc = mvcc_get(store_mvcc(s), (struct span){key, strlen(key)}, 0, &r);
	if (rc < 0) {
		*size = rc;
		return NULL;
	}
	uint8_t *data = malloc(r.size + 1);
	if (!data)
		abort();
	uint64_t at = 0;
	ssize_t n = 1;
	while (at < r.size && n > 0) {
		n = mvcc_read(store_mvcc(s), &r, at, data + at, r.size - at);
		at += n > 0 ? (uint64_t)n : 0;
	}
	*size = n < 0 ? n : (ssize_t)at;
	record_done(&r);
	if (n >= 0)
		return data;
	free(data);
	return NULL;
}

static bool holds(struct store *s, uint32_t worker, uint32_t slot, const struct load_file *f)
{
	char key[64];
	ssize_t size;
	snprintf(key, sizeof(key), "w%u/f%u", worker, slot);
	uint8_t *data = load_key(s, key, &size);
	bool ok = f->there ? size == (ssize_t)f->size : size == -ENOENT;
	if (ok && f->there) {
		uint8_t *expected = malloc(f->size);
		if (!expected)
			abort();
		load_content(f->seed, expected, f->size);
		ok = memcmp(expected, data, f->size) == 0;
		free(expected);
	}
	free(data);
	return ok;
}

/* The first slot that is not as it should be; LOAD_SLOTS: the directory; -1: all is well. */
static int differs(struct store *s, uint32_t worker, const struct load_state *state)
{
	char key[32];
	struct record r = {0};
	snprintf(key, sizeof(key), "w%u", worker);
	bool dir = mvcc_get(store_mvcc(s), (struct span){key, strlen(key)}, 0, &r) == 0;
	record_done(&r);
	if (dir != state->dir)
		return LOAD_SLOTS;
	for (uint32_t i = 0; i < LOAD_SLOTS; i++)
		if (!holds(s, worker, i, &state->files[i]))
			return (int)i;
	return -1;
}

static bool check_worker(const struct progress *p, struct store *s, uint32_t worker, char *why, size_t why_size)
{
	int slot = differs(s, worker, &p->states[worker]);
	if (slot >= 0 && p->begun[worker] > p->done[worker]) {
		struct load_state after = p->states[worker];
		load_apply(&after, &p->load->workers[worker]->ops[p->done[worker]]);
		if (differs(s, worker, &after) < 0)
			return true;
	}
	if (slot >= 0)
		snprintf(why, why_size, "w%u/f%d is not as operation %u of worker %u left it%s", worker, slot, p->done[worker], worker,
			 p->begun[worker] > p->done[worker] ? ", nor as the next one does" : "");
	return slot < 0;
}

/* What a line of the shared file means; false if no worker could have written it. */
static bool parse_line(const struct progress *p, const uint8_t *line, uint32_t *worker, uint32_t *op)
{
	char text[LOAD_LINE_BYTES + 1], expected[LOAD_LINE_BYTES + 1];
	memcpy(text, line, LOAD_LINE_BYTES);
	text[LOAD_LINE_BYTES] = '\0';
	if (sscanf(text, "w%4u-%8u.", worker, op) != 2 || *worker >= p->load->workers_count || *op >= p->begun[*worker])
		return false;
	load_line(*worker, *op, expected);
	return memcmp(text, expected, LOAD_LINE_BYTES) == 0 && p->load->workers[*worker]->ops[*op].kind == LOAD_APPEND;
}

static bool check_lines(const struct progress *p, const uint8_t *data, size_t size, uint8_t *seen, char *why, size_t why_size)
{
	if (size % LOAD_LINE_BYTES != 0) {
		snprintf(why, why_size, "the shared file ends within a line");
		return false;
	}
	for (size_t at = 0; at < size; at += LOAD_LINE_BYTES) {
		uint32_t worker, op;
		if (!parse_line(p, data + at, &worker, &op) || seen[worker * LOAD_OPS_MAX + op]++) {
			snprintf(why, why_size, "a line of the shared file is torn, doubled or from nowhere: %.16s",
				 (const char *)data + at);
			return false;
		}
	}
	for (uint32_t w = 0; w < p->load->workers_count; w++)
		for (uint32_t op = 0; op < p->done[w]; op++)
			if (p->load->workers[w]->ops[op].kind == LOAD_APPEND && !seen[w * LOAD_OPS_MAX + op]) {
				snprintf(why, why_size, "the line of operation %u of worker %u is lost", op, w);
				return false;
			}
	return true;
}

static bool check_shared(const struct progress *p, struct store *s, char *why, size_t why_size)
{
	ssize_t size;
	uint8_t *data = load_key(s, LOAD_SHARED, &size);
	uint8_t *seen = calloc(LOAD_WORKERS_MAX, LOAD_OPS_MAX);
	bool ok = size >= 0 || size == -ENOENT;
	if (!seen)
		abort();
	if (ok)
		ok = check_lines(p, data, size < 0 ? 0 : (size_t)size, seen, why, why_size);
	else
		snprintf(why, why_size, "the shared file cannot be read: %s", strerror((int)-size));
	free(seen);
	free(data);
	return ok;
}

static bool check_all(const struct progress *p, struct store *s, char *why, size_t why_size)
{
	int rc = barrier(s);
	if (rc < 0) {
		snprintf(why, why_size, "no barrier passes: %s", strerror(-rc));
		return false;
	}
	for (uint32_t w = 0; w < p->load->workers_count; w++)
		if (!check_worker(p, s, w, why, why_size))
			return false;
	return check_shared(p, s, why, why_size);
}

bool verify_image(const struct progress *p, const char *data, char *why, size_t why_size)
{
	struct store *s = NULL;
	struct store_config config = {.data = data,
				      .name = "n1",
				      .timeout_ns = BARRIER_SECONDS * INT64_C(1000000000),
				      .heartbeat_ms = 50,
				      .election_ms = 500,
				      .max_file = 64u << 20,
				      .quota = UINT64_C(8) << 30};
	if (store_open(&config, &s, why, why_size) < 0)
		return false;
	bool ok = check_all(p, s, why, why_size);
	store_close(s);
	return ok;
}
