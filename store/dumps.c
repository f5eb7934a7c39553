#include "store/dumps.h"

#include "base/crc32c.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct slot {
	uint64_t id; /* 0: free */
	struct mvcc_dump *dump;
	int64_t begun_ns;
	int64_t used_ns;
	uint64_t pages;  /* given so far */
	uint32_t sum;    /* of them */
	uint32_t before; /* of those before the last */
};

struct dumps {
	struct mvcc *mvcc;
	pthread_mutex_t mutex;
	uint64_t last_id;
	struct slot slots[DUMPS_MAX];
};

struct dumps *dumps_new(struct mvcc *m, uint64_t seed)
{
	struct dumps *d = calloc(1, sizeof(*d));
	if (!d)
		abort();
	d->mvcc = m;
	d->last_id = seed << 20;
	pthread_mutex_init(&d->mutex, NULL);
	return d;
}

static void end_slot(struct slot *s)
{
	mvcc_dump_close(s->dump);
	*s = (struct slot){0};
}

void dumps_free(struct dumps *d)
{
	if (!d)
		return;
	for (unsigned i = 0; i < DUMPS_MAX; i++)
		end_slot(&d->slots[i]);
	pthread_mutex_destroy(&d->mutex);
	free(d);
}

static struct slot *find(struct dumps *d, uint64_t id)
{
	for (unsigned i = 0; i < DUMPS_MAX; i++)
		if (d->slots[i].id == id)
			return &d->slots[i];
	return NULL;
}

int dumps_begin(struct dumps *d, int64_t now_ns, uint64_t *id, struct writer *manifest)
{
	struct mvcc_dump *dump;
	int rc = mvcc_flush(d->mvcc);
	if (rc < 0)
		return rc;
	dumps_expire(d, now_ns);
	pthread_mutex_lock(&d->mutex);
	struct slot *s = find(d, 0);
	rc = s ? mvcc_dump_open(d->mvcc, &dump) : -EBUSY;
	if (rc == 0) {
		*s = (struct slot){.id = ++d->last_id, .dump = dump, .begun_ns = now_ns, .used_ns = now_ns};
		*id = s->id;
		writer_raw(manifest, mvcc_dump_manifest(dump).data, mvcc_dump_manifest(dump).size);
	}
	pthread_mutex_unlock(&d->mutex);
	return rc;
}

static int read_page(struct slot *s, uint64_t number, struct dump_position *at, struct writer *chunk)
{
	size_t from = chunk->size;
	if (number != s->pages && number + 1 != s->pages)
		return -EINVAL;
	int rc = mvcc_dump_read(s->dump, at, chunk);
	if (rc < 0)
		return rc;
	if (number == s->pages) {
		s->before = s->sum;
		s->pages++;
	}
	s->sum = crc32c(s->before, chunk->data + from, chunk->size - from);
	return rc;
}

int dumps_page(struct dumps *d, int64_t now_ns, uint64_t id, uint64_t number, struct dump_position *at, struct writer *chunk, uint32_t *sum)
{
	int rc = -ENOENT;
	pthread_mutex_lock(&d->mutex);
	struct slot *s = id ? find(d, id) : NULL;
	if (s) {
		s->used_ns = now_ns;
		rc = read_page(s, number, at, chunk);
		*sum = s->sum;
	}
	pthread_mutex_unlock(&d->mutex);
	return rc;
}

void dumps_end(struct dumps *d, uint64_t id)
{
	pthread_mutex_lock(&d->mutex);
	struct slot *s = id ? find(d, id) : NULL;
	if (s)
		end_slot(s);
	pthread_mutex_unlock(&d->mutex);
}

void dumps_expire(struct dumps *d, int64_t now_ns)
{
	if (pthread_mutex_trylock(&d->mutex) != 0)
		return;
	for (unsigned i = 0; i < DUMPS_MAX; i++) {
		struct slot *s = &d->slots[i];
		if (s->id && (now_ns - s->used_ns >= DUMPS_IDLE_NS || now_ns - s->begun_ns >= DUMPS_LIFE_NS))
			end_slot(s);
	}
	pthread_mutex_unlock(&d->mutex);
}
