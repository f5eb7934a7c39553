#include "tests/lib/bench_load.h"
#include "base/clock.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREPARE_THREADS 8u
#define WARMUP_SECONDS_MAX 0.2

struct load {
	const char *mount;
	enum bench_op op;
	int64_t warm_ns;
	int64_t run_ns;
	pthread_barrier_t barrier;
	atomic_bool stop;
};

struct client {
	struct load *load;
	unsigned number;
	unsigned serial; /* of the run, so that fresh names stay fresh */
	uint64_t count;
	int root; /* dbench */
	int dir;  /* dbench/dNN */
	int error;
	int64_t start_ns;
	int64_t end_ns;
	struct bench_result result;
};

/* Values below 64 have a class each; above, each power of two has 64. */
static unsigned class_of(uint64_t v)
{
	if (v < 64)
		return (unsigned)v;
	unsigned shift = 63u - (unsigned)__builtin_clzll(v) - 6u;
	unsigned i = (shift + 1) * 64u + (unsigned)((v >> shift) - 64);
	return i < BENCH_CLASSES ? i : BENCH_CLASSES - 1;
}

static double class_middle(unsigned i)
{
	if (i < 64)
		return i;
	unsigned shift = i / 64 - 1;
	return (double)((uint64_t)(64 + i % 64) << shift) + (double)(UINT64_C(1) << shift) / 2;
}

void bench_result_record(struct bench_result *r, int64_t ns)
{
	r->ops++;
	r->classes[class_of(ns > 0 ? (uint64_t)ns : 0)]++;
}

double bench_result_rate(const struct bench_result *r)
{
	return r->seconds > 0 ? (double)r->ops / r->seconds : 0;
}

double bench_result_us(const struct bench_result *r, double part)
{
	double wanted = (double)r->ops * part;
	uint64_t seen = 0;
	for (unsigned i = 0; i < BENCH_CLASSES; i++) {
		seen += r->classes[i];
		if (seen > 0 && (double)seen >= wanted)
			return class_middle(i) / 1000;
	}
	return 0;
}

static void result_add(struct bench_result *to, const struct bench_result *from)
{
	to->ops += from->ops;
	for (unsigned i = 0; i < BENCH_CLASSES; i++)
		to->classes[i] += from->classes[i];
}

static int write_and_close(int fd, int count)
{
	if (fd < 0)
		return -errno;
	static const char bytes[BENCH_FILE_BYTES] = {'b'};
	ssize_t n = write(fd, bytes, (size_t)count);
	int error = n < 0 ? -errno : n != count ? -EIO : 0;
	if (close(fd) != 0 && error == 0)
		error = -errno;
	return error;
}

static int read_file(struct client *c, const char *name)
{
	int fd = openat(c->dir, name, O_RDONLY);
	if (fd < 0)
		return -errno;
	char buffer[4096];
	ssize_t n = read(fd, buffer, sizeof(buffer));
	int error = n < 0 ? -errno : n != BENCH_FILE_BYTES ? -EBADMSG : 0;
	close(fd);
	return error;
}

static int list_dir(struct client *c)
{
	int fd = openat(c->root, "dlist", O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return -errno;
	DIR *dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	unsigned entries = 0;
	errno = 0;
	for (struct dirent *e; (e = readdir(dir)) != NULL;)
		entries += e->d_name[0] != '.';
	int error = errno ? -errno : entries != BENCH_LIST_ENTRIES ? -EBADMSG : 0;
	closedir(dir);
	return error;
}

static int operate(struct client *c)
{
	char name[64];
	snprintf(name, sizeof(name), "f%03u", (unsigned)(c->count % BENCH_FILES));
	struct stat st;
	switch (c->load->op) {
	case BENCH_READ:
		return read_file(c, name);
	case BENCH_CREATE:
		snprintf(name, sizeof(name), "new-%d-%u-%llu", (int)getpid(), c->serial, (unsigned long long)c->count);
		return write_and_close(openat(c->dir, name, O_WRONLY | O_CREAT, 0644), BENCH_FILE_BYTES);
	case BENCH_OVERWRITE:
		return write_and_close(openat(c->dir, name, O_WRONLY | O_TRUNC), BENCH_FILE_BYTES);
	case BENCH_STAT:
		return fstatat(c->dir, name, &st, 0) != 0 ? -errno : 0;
	case BENCH_READDIR:
		return list_dir(c);
	}
	return -EINVAL;
}

static int client_open(struct client *c)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/dbench", c->load->mount);
	c->root = open(path, O_RDONLY | O_DIRECTORY);
	if (c->root < 0)
		return -errno;
	snprintf(path, sizeof(path), "d%02u", c->number);
	c->dir = openat(c->root, path, O_RDONLY | O_DIRECTORY);
	return c->dir < 0 ? -errno : 0;
}

static void client_close(struct client *c)
{
	if (c->dir >= 0)
		close(c->dir);
	if (c->root >= 0)
		close(c->root);
}

/* The end of one operation is the start of the next, so that the clock is read once for each. */
static void client_loop(struct client *c)
{
	struct load *l = c->load;
	int64_t last = clock_mono_ns();
	int64_t warm_until = last + l->warm_ns;
	c->start_ns = 0;
	while (!atomic_load_explicit(&l->stop, memory_order_relaxed)) {
		c->error = operate(c);
		c->count++;
		if (c->error) {
			atomic_store(&l->stop, true);
			return;
		}
		int64_t now = clock_mono_ns();
		if (c->start_ns)
			bench_result_record(&c->result, now - last);
		else if (now >= warm_until)
			c->start_ns = now;
		last = c->end_ns = now;
		if (c->start_ns && now - c->start_ns >= l->run_ns)
			return;
	}
}

static void *client_main(void *arg)
{
	struct client *c = arg;
	c->error = client_open(c);
	pthread_barrier_wait(&c->load->barrier);
	if (c->error)
		atomic_store(&c->load->stop, true);
	else
		client_loop(c);
	client_close(c);
	return NULL;
}

static int gather(const struct client *clients, unsigned count, struct bench_result *r)
{
	int error = 0;
	int64_t start = INT64_MAX, end = 0;
	for (unsigned i = 0; i < count; i++) {
		const struct client *c = &clients[i];
		if (c->error && !error)
			error = c->error;
		if (c->start_ns && c->start_ns < start)
			start = c->start_ns;
		if (c->end_ns > end)
			end = c->end_ns;
	}
	if (error)
		return error;
	for (unsigned i = 0; i < count; i++)
		result_add(r, &clients[i].result);
	r->seconds += (double)(end - start) / 1e9;
	return 0;
}

int bench_load_run(const char *mount, enum bench_op op, unsigned clients, double seconds, struct bench_result *r)
{
	static unsigned serial;
	assert(clients > 0 && clients <= BENCH_CLIENTS_MAX && seconds > 0);
	double warm = seconds / 10 < WARMUP_SECONDS_MAX ? seconds / 10 : WARMUP_SECONDS_MAX;
	struct load l = {.mount = mount, .op = op, .warm_ns = (int64_t)(warm * 1e9), .run_ns = (int64_t)(seconds * 1e9)};
	struct client *all = calloc(clients, sizeof(*all));
	pthread_t threads[BENCH_CLIENTS_MAX];
	if (!all || pthread_barrier_init(&l.barrier, NULL, clients) != 0)
		abort();
	serial++;
	for (unsigned i = 0; i < clients; i++) {
		all[i] = (struct client){.load = &l, .number = i, .serial = serial, .root = -1, .dir = -1};
		if (pthread_create(&threads[i], NULL, client_main, &all[i]) != 0)
			abort();
	}
	for (unsigned i = 0; i < clients; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&l.barrier);
	int error = gather(all, clients, r);
	free(all);
	return error;
}

struct preparer {
	const char *mount;
	unsigned number;
	int error;
};

static int prepare_file(const char *mount, const char *dir, const char *name, int bytes)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/dbench/%s/%s", mount, dir, name);
	return write_and_close(open(path, O_WRONLY | O_CREAT, 0644), bytes);
}

static int prepare_dir(const char *mount, const char *name)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/dbench%s%s", mount, *name ? "/" : "", name);
	return mkdir(path, 0755) != 0 && errno != EEXIST ? -errno : 0;
}

static int prepare_client(const char *mount, unsigned number)
{
	char dir[16], name[16];
	snprintf(dir, sizeof(dir), "d%02u", number);
	int error = prepare_dir(mount, dir);
	for (unsigned i = 0; i < BENCH_FILES && !error; i++) {
		snprintf(name, sizeof(name), "f%03u", i);
		error = prepare_file(mount, dir, name, BENCH_FILE_BYTES);
	}
	return error;
}

static void *prepare_main(void *arg)
{
	struct preparer *p = arg;
	char name[16];
	for (unsigned i = p->number; i < BENCH_CLIENTS_MAX && !p->error; i += PREPARE_THREADS)
		p->error = prepare_client(p->mount, i);
	for (unsigned i = p->number; i < BENCH_LIST_ENTRIES && !p->error; i += PREPARE_THREADS) {
		snprintf(name, sizeof(name), "e%04u", i);
		p->error = prepare_file(p->mount, "dlist", name, 0);
	}
	return NULL;
}

int bench_load_prepare(const char *mount)
{
	struct preparer all[PREPARE_THREADS];
	pthread_t threads[PREPARE_THREADS];
	int error = prepare_dir(mount, "");
	if (!error)
		error = prepare_dir(mount, "dlist");
	if (error)
		return error;
	for (unsigned i = 0; i < PREPARE_THREADS; i++) {
		all[i] = (struct preparer){.mount = mount, .number = i};
		if (pthread_create(&threads[i], NULL, prepare_main, &all[i]) != 0)
			abort();
	}
	for (unsigned i = 0; i < PREPARE_THREADS; i++) {
		pthread_join(threads[i], NULL);
		if (all[i].error && !error)
			error = all[i].error;
	}
	return error;
}
