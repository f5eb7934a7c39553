#include "tests/power/load.h"
#include "tests/power/record.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/files.h"

#define SMALL_BYTES_MAX 20000u
#define LARGE_BYTES_MIN (500u << 10)
#define LARGE_BYTES_MAX (900u << 10)

static uint32_t next(uint64_t *state, uint32_t n)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33) % n;
}

void load_content(uint32_t seed, uint8_t *out, size_t size)
{
	uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
	for (size_t i = 0; i < size; i += 8) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		for (size_t k = i; k < size && k < i + 8; k++)
			out[k] = (uint8_t)(state >> (8 * (k - i)));
	}
}

void load_line(uint32_t worker, uint32_t op, char out[LOAD_LINE_BYTES + 1])
{
	snprintf(out, LOAD_LINE_BYTES + 1, "w%04u-%08u.\n", worker % 10000, op % 100000000);
}

void load_apply(struct load_state *s, const struct load_op *op)
{
	struct load_file *f = &s->files[op->slot];
	switch (op->kind) {
	case LOAD_MKDIR:
		s->dir = true;
		break;
	case LOAD_WRITE:
	case LOAD_FSYNC:
	case LOAD_CREATE:
		*f = (struct load_file){true, op->seed, op->size};
		break;
	case LOAD_RENAME:
		s->files[op->slot2] = *f;
		f->there = false;
		break;
	case LOAD_UNLINK:
		f->there = false;
		break;
	case LOAD_APPEND:
		break;
	}
}

/* Only what succeeds is planned. */
static void plan(struct load_worker *w, uint32_t ops, uint32_t large_every)
{
	struct load_state s = {.dir = false};
	uint64_t dice = w->number * 977 + 5;
	w->ops[w->ops_count++] = (struct load_op){.kind = LOAD_MKDIR};
	while (w->ops_count < ops && w->ops_count < LOAD_OPS_MAX) {
		static const enum load_kind kinds[] = {LOAD_WRITE,  LOAD_WRITE,  LOAD_FSYNC,  LOAD_CREATE,
						       LOAD_RENAME, LOAD_UNLINK, LOAD_APPEND, LOAD_APPEND};
		struct load_op op = {.kind = kinds[next(&dice, 8)], .slot = (uint8_t)next(&dice, LOAD_SLOTS)};
		bool there = s.files[op.slot].there;
		op.slot2 = (uint8_t)((op.slot + 1 + next(&dice, LOAD_SLOTS - 1)) % LOAD_SLOTS);
		op.seed = w->number * 100000 + w->ops_count;
		op.size = 1 + next(&dice, next(&dice, 4) == 0 ? SMALL_BYTES_MAX : 300);
		if (large_every > 0 && w->ops_count % large_every == large_every - 1) {
			op.kind = LOAD_WRITE;
			op.size = LARGE_BYTES_MIN + next(&dice, LARGE_BYTES_MAX - LARGE_BYTES_MIN);
		}
		if (op.kind == LOAD_CREATE && there)
			op.kind = LOAD_UNLINK;
		else if ((op.kind == LOAD_RENAME || op.kind == LOAD_UNLINK) && !there)
			op.kind = LOAD_CREATE;
		load_apply(&s, &op);
		w->ops[w->ops_count++] = op;
	}
}

static bool put(const char *name, int flags, const void *data, size_t size, bool sync)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
	if (fd < 0)
		return false;
	bool ok = write(fd, data, size) == (ssize_t)size && (!sync || fsync(fd) == 0);
	return close(fd) == 0 && ok;
}

static bool put_content(const char *name, int flags, const struct load_op *op)
{
	uint8_t *data = malloc(op->size);
	if (!data)
		abort();
	load_content(op->seed, data, op->size);
	bool ok = put(name, flags, data, op->size, op->kind == LOAD_FSYNC);
	free(data);
	return ok;
}

static bool do_op(const struct load *l, const struct load_worker *w, uint32_t i)
{
	const struct load_op *op = &w->ops[i];
	const char *name = path("%s/w%u/f%u", l->mount, w->number, op->slot);
	char line[LOAD_LINE_BYTES + 1];
	switch (op->kind) {
	case LOAD_MKDIR:
		return mkdir(path("%s/w%u", l->mount, w->number), 0755) == 0;
	case LOAD_WRITE:
	case LOAD_FSYNC:
		return put_content(name, O_TRUNC, op);
	case LOAD_CREATE:
		return put_content(name, O_EXCL, op);
	case LOAD_RENAME:
		return rename(name, path("%s/w%u/f%u", l->mount, w->number, op->slot2)) == 0;
	case LOAD_UNLINK:
		return unlink(name) == 0;
	case LOAD_APPEND:
		load_line(w->number, i, line);
		return put(path("%s/" LOAD_SHARED, l->mount), O_APPEND, line, LOAD_LINE_BYTES, false);
	}
	return false;
}

static void mark(const struct load *l, enum record_kind kind, uint32_t worker, uint32_t op)
{
	struct record_head h = {.magic = RECORD_MAGIC, .kind = kind, .ino = worker, .offset = op};
	if (write(l->log_fd, &h, sizeof(h)) != sizeof(h))
		abort();
}

struct job {
	pthread_t thread;
	struct load *load;
	struct load_worker *worker;
	atomic_uint *done;
};

static void *work(void *arg)
{
	struct job *j = arg;
	for (uint32_t i = 0; i < j->worker->ops_count; i++) {
		mark(j->load, RECORD_BEGUN, j->worker->number, i);
		if (!do_op(j->load, j->worker, i))
			return NULL;
		mark(j->load, RECORD_DONE, j->worker->number, i);
		if (atomic_fetch_add(j->done, 1) + 1 == j->load->kill_after && j->load->kill_pid > 0)
			gate_kill(j->load->gate, j->load->kill_pid);
	}
	return NULL;
}

uint32_t load_run(struct load *l, uint32_t count, uint32_t ops)
{
	struct job jobs[LOAD_WORKERS_MAX];
	atomic_uint done = 0;
	for (uint32_t i = 0; i < count; i++) {
		struct load_worker *w = calloc(1, sizeof(*w));
		if (!w || l->workers_count == LOAD_WORKERS_MAX)
			abort();
		w->number = l->workers_count;
		l->workers[l->workers_count++] = w;
		plan(w, ops, l->large_every);
		jobs[i] = (struct job){.load = l, .worker = w, .done = &done};
		if (pthread_create(&jobs[i].thread, NULL, work, &jobs[i]) != 0)
			abort();
	}
	for (uint32_t i = 0; i < count; i++)
		pthread_join(jobs[i].thread, NULL);
	return atomic_load(&done);
}

void load_free(struct load *l)
{
	for (uint32_t i = 0; i < l->workers_count; i++)
		free(l->workers[i]);
	*l = (struct load){.log_fd = -1};
}
