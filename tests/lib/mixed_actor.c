#include "tests/lib/mixed_actor.h"

#include "base/clock.h"
#include "tests/lib/files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define FUSE_MAGIC 0x65735546
#define NAP_NS 5000000
#define SERIAL_TIMEOUT_NS INT64_C(1000000000)
#define TEXT_MAX (1u << 20)

static void nap(int64_t ns)
{
	const struct timespec t = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
	nanosleep(&t, NULL);
}

static uint32_t draw(struct actor *a, uint32_t below)
{
	a->random ^= a->random << 13;
	a->random ^= a->random >> 17;
	a->random ^= a->random << 5;
	return a->random % below;
}

void actor_complains(struct actor *a, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	if (!a->first[0])
		vsnprintf(a->first, sizeof(a->first), format, args);
	va_end(args);
}

static void *grown(void *items, uint32_t count, uint32_t *capacity, size_t size)
{
	if (count < *capacity)
		return items;
	*capacity = *capacity ? 2 * *capacity : 1024;
	items = reallocarray(items, *capacity, size);
	if (!items)
		abort();
	return items;
}

static uint64_t new_id(struct actor *a)
{
	return (uint64_t)(a->number + 1) << 32 | ++a->last_id;
}

/* --- what was asked and answered --- */

static void remember(struct actor *a, const struct lin_op *op)
{
	a->ops = grown(a->ops, a->ops_count, &a->ops_capacity, sizeof(*a->ops));
	a->ops[a->ops_count] = *op;
	a->ops[a->ops_count].client = (uint32_t)a->number;
	a->ops[a->ops_count++].returned = op->returned ? op->returned : clock_mono_ns();
}

static void acknowledge(struct actor *a)
{
	struct mixed_load *l = a->load;
	int64_t now = clock_mono_ns();
	int64_t gap = now - atomic_exchange(&l->acknowledged_ns, now);
	int64_t longest = atomic_load(&l->longest_gap_ns);

	atomic_fetch_add(&a->writes, 1);
	/* When it is over, the ones that still wait are no gap. */
	while (gap > longest && !atomic_load(&l->stop) && !atomic_compare_exchange_weak(&l->longest_gap_ns, &longest, gap))
		;
}

static void settle(struct actor *a, enum lin_outcome outcome)
{
	if (outcome == LIN_OK)
		acknowledge(a);
	a->unknown += outcome == LIN_UNKNOWN;
	a->failed += outcome == LIN_FAILED;
}

/* --- operations on files --- */

/* open, write, close. FAILED if it could not even be opened: nothing is published then. */
static enum lin_outcome put(struct actor *a, const char *name, int flags, uint64_t id, int *error)
{
	char text[32];
	int size = snprintf(text, sizeof(text), "%" PRIu64 "\n", id);
	int fd = openat(a->dir_fd, name, O_WRONLY | O_CLOEXEC | flags, 0644);

	*error = fd < 0 ? -errno : 0;
	if (fd < 0)
		return LIN_FAILED;
	if (write(fd, text, (size_t)size) != size)
		*error = -errno;
	if (close(fd) != 0)
		*error = -errno;
	return *error ? LIN_UNKNOWN : LIN_OK;
}

static enum lin_outcome put_and_remember(struct actor *a, enum lin_kind kind, uint64_t key, const char *name, int flags, uint64_t id)
{
	int error;
	struct lin_op op = {.kind = kind, .key = key, .value = id, .called = clock_mono_ns()};

	op.outcome = put(a, name, flags, id, &error);
	remember(a, &op);
	settle(a, op.outcome);
	return op.outcome;
}

static int parse_ids(char *text, ssize_t size, uint64_t *ids)
{
	int count = 0;

	for (char *line = text, *end; line < text + size; line = end + 1) {
		char *stop;
		end = memchr(line, '\n', (size_t)(text + size - line));
		if (!end || end == line || count == MIXED_IDS_MAX)
			return -EBADMSG;
		ids[count++] = strtoull(line, &stop, 10);
		if (stop != end)
			return -EBADMSG;
	}
	return count;
}

int mixed_read(int dir_fd, const char *name, uint64_t *ids)
{
	static _Thread_local char text[TEXT_MAX];
	ssize_t at = 0, got = 1;
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	while (got > 0 && at < (ssize_t)sizeof(text)) {
		got = read(fd, text + at, sizeof(text) - (size_t)at);
		at += got > 0 ? got : 0;
	}
	int error = got < 0 ? -errno : at == (ssize_t)sizeof(text) ? -EFBIG : 0;
	close(fd);
	return error ? error : parse_ids(text, at, ids);
}

/* Reads a file and remembers it; the count of ids, or a negative errno. */
static int read_and_remember(struct actor *a, uint64_t key, const char *name, uint64_t *ids)
{
	struct lin_op op = {.kind = LIN_READ, .outcome = LIN_OK, .key = key, .called = clock_mono_ns()};
	int count = mixed_read(a->dir_fd, name, ids);

	if (count == -EBADMSG || count == -EFBIG)
		actor_complains(a, "%s on n%d is not made of lines with numbers, or has too many", name, a->node + 1);
	if (count == -ENOENT) {
		op.seen_count = LIN_ABSENT;
	} else if (count < 0) {
		a->failed++;
		return count;
	} else if (count > 0) {
		uint64_t *seen = malloc((size_t)count * sizeof(*seen));
		if (!seen)
			abort();
		memcpy(seen, ids, (size_t)count * sizeof(*seen));
		op.seen = seen;
		op.seen_count = (uint32_t)count;
	}
	a->reads++;
	remember(a, &op);
	return count;
}

/* --- the kinds --- */

static void name_of(char name[MIXED_NAME_MAX], char kind, uint32_t number, uint64_t generation)
{
	if (kind == 'c' || kind == 'u')
		snprintf(name, MIXED_NAME_MAX, "%c%u-%" PRIu64, kind, number, generation);
	else
		snprintf(name, MIXED_NAME_MAX, "%c%u", kind, number);
}

/* Its own counter goes up. When an outcome is not known a new file is begun, since the old one may yet change. */
static void count_up(struct actor *a)
{
	char name[MIXED_NAME_MAX];
	uint64_t id = new_id(a);
	_Atomic uint64_t *acked = &a->load->counters[a->number].acked;

	name_of(name, 'c', (uint32_t)a->number, a->generation);
	uint64_t key = MIXED_KEY('c', a->number, a->generation);
	enum lin_outcome outcome = put_and_remember(a, LIN_WRITE, key, name, O_CREAT | O_TRUNC, id);
	if (outcome == LIN_OK) {
		a->counted = id;
		atomic_store(acked, (uint64_t)a->generation << 32 | (uint32_t)id);
	} else if (outcome == LIN_UNKNOWN) {
		atomic_store(acked, 0);
		a->generation++;
		a->counted = 0;
	}
}

static void create_unique(struct actor *a)
{
	char name[MIXED_NAME_MAX];
	uint64_t id = new_id(a);
	int error;

	name_of(name, 'u', (uint32_t)a->number, id);
	enum lin_outcome outcome = put(a, name, O_CREAT | O_EXCL, id, &error);
	settle(a, outcome);
	if (outcome == LIN_FAILED)
		return;
	a->uniques = grown(a->uniques, a->uniques_count, &a->uniques_capacity, sizeof(*a->uniques));
	a->uniques[a->uniques_count++] = (struct mixed_unique){id, outcome == LIN_OK};
}

static void append(struct actor *a)
{
	char name[MIXED_NAME_MAX];
	uint32_t number = draw(a, MIXED_SHARED);

	name_of(name, 'a', number, 0);
	put_and_remember(a, LIN_APPEND, MIXED_KEY('a', number, 0), name, O_APPEND, new_id(a));
}

static void overwrite(struct actor *a)
{
	char name[MIXED_NAME_MAX];
	uint32_t number = draw(a, MIXED_SHARED);

	name_of(name, 'w', number, 0);
	put_and_remember(a, LIN_WRITE, MIXED_KEY('w', number, 0), name, O_TRUNC, new_id(a));
}

static enum lin_outcome outcome_of(int error)
{
	return error == 0 ? LIN_OK : error == -ENOENT ? LIN_REFUSED : LIN_UNKNOWN;
}

static void rename_or_delete(struct actor *a, uint32_t number)
{
	char x[MIXED_NAME_MAX], y[MIXED_NAME_MAX];
	bool renames = draw(a, 2) == 0;
	struct lin_op op = {.kind = renames ? LIN_RENAME : LIN_DELETE,
			    .key = MIXED_KEY(renames ? 'x' : 'y', number, 0),
			    .other = MIXED_KEY('y', number, 0),
			    .called = clock_mono_ns()};

	name_of(x, 'x', number, 0);
	name_of(y, 'y', number, 0);
	int rc = renames ? renameat(a->dir_fd, x, a->dir_fd, y) : unlinkat(a->dir_fd, y, 0);
	op.outcome = outcome_of(rc == 0 ? 0 : -errno);
	remember(a, &op);
	settle(a, op.outcome);
}

/* An exclusive creation that is refused tells the checker nothing: the name may be reserved for a file that is not published yet. */
static void use_exclusive(struct actor *a)
{
	char name[MIXED_NAME_MAX];
	uint32_t number = draw(a, MIXED_SHARED);

	name_of(name, 'x', number, 0);
	if (draw(a, 2) == 0)
		put_and_remember(a, LIN_CREATE, MIXED_KEY('x', number, 0), name, O_CREAT | O_EXCL, new_id(a));
	else
		rename_or_delete(a, number);
}

/* What was acknowledged before a read begins, the read has to show. */
static void read_counter(struct actor *a, uint64_t *ids)
{
	char name[MIXED_NAME_MAX];
	uint32_t whose = draw(a, (uint32_t)a->load->count);
	uint64_t acked = atomic_load(&a->load->counters[whose].acked);
	uint32_t generation = (uint32_t)(acked >> 32);
	uint64_t floor = (uint64_t)(whose + 1) << 32 | (uint32_t)acked;

	if (acked == 0)
		return;
	name_of(name, 'c', whose, generation);
	int count = read_and_remember(a, MIXED_KEY('c', whose, generation), name, ids);
	if (count != 1 && count < 0 && count != -ENOENT)
		return;
	if (count == 1 && ids[0] >= floor)
		return;
	a->stale++;
	actor_complains(a, "stale: %s read on n%d as %" PRIu64 " (%d) after %" PRIu64 " was acknowledged", name, a->node + 1,
			count > 0 ? ids[0] : 0, count, floor);
}

static void read_something(struct actor *a)
{
	static _Thread_local uint64_t ids[MIXED_IDS_MAX];
	static const char kinds[] = {'a', 'w', 'x', 'y'};
	char name[MIXED_NAME_MAX];
	uint32_t number = draw(a, MIXED_SHARED), what = draw(a, 8);
	char kind = a->exclusive ? kinds[what % 4] : kinds[what % 2];

	if (what >= (a->exclusive ? 5u : 3u)) {
		read_counter(a, ids);
		return;
	}
	name_of(name, kind, number, 0);
	read_and_remember(a, MIXED_KEY(kind, number, 0), name, ids);
}

/* --- serial reads, over the local endpoint --- */

static void serial_answered(struct actor *a, const struct client_call *call, uint64_t counted, uint32_t generation)
{
	const struct response *r = &call->response;
	uint64_t id = r->kvs_count == 1 ? strtoull(r->kvs[0].value.data, NULL, 10) : 0;

	a->serial_reads++;
	if (r->revision < a->serial_revision || id < counted) {
		a->serial_broken++;
		actor_complains(a, "serial: c%d-%u on n%d: revision %" PRIu64 " after %" PRIu64 ", value %" PRIu64 " after %" PRIu64,
				a->number, generation, a->node + 1, r->revision, a->serial_revision, id, counted);
	}
	a->serial_revision = r->revision;
}

/* Its own counter, through its own node: never older than what it was told, and the store never goes back. */
static void read_serially(struct actor *a)
{
	char name[MIXED_NAME_MAX], key[64], why[256];
	unsigned boot = atomic_load(&a->load->boots[a->node]);
	const struct client_config config = {.endpoints = a->load->cluster->nodes[a->node].data, .timeout_ns = SERIAL_TIMEOUT_NS};
	struct client_call call = {.endpoint = CLIENT_ANY};

	if (a->counted == 0 || (!a->client && client_open(&config, &a->client, why, sizeof(why)) != 0))
		return;
	name_of(name, 'c', (uint32_t)a->number, a->generation);
	int size = snprintf(key, sizeof(key), "r%d/%s", a->load->round, name);
	const struct request r = {.type = REQUEST_GET, .flags = REQUEST_SERIAL, .key = {key, (size_t)size}};
	int rc = client_call(a->client, &call, &r);
	bool same_boot = boot == a->boot && boot == atomic_load(&a->load->boots[a->node]);
	if (!same_boot) {
		a->boot = atomic_load(&a->load->boots[a->node]);
		a->serial_revision = 0;
	} else if (rc == 0 && (call.response.error == 0 || call.response.error == -ENOENT)) {
		serial_answered(a, &call, a->counted, a->generation);
	}
	client_call_done(&call);
}

/* --- the thread --- */

/* True with dir_fd on the round's folder in a living mount. */
static bool has_folder(struct actor *a)
{
	struct statfs st;
	const struct cluster_node *n = &a->load->cluster->nodes[a->node];

	if (a->dir_fd >= 0 && fstatfs(a->dir_fd, &st) == 0 && st.f_type == FUSE_MAGIC)
		return true;
	if (a->dir_fd >= 0)
		close(a->dir_fd);
	a->dir_fd = open(path("%s/r%d", n->mount, a->load->round), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return a->dir_fd >= 0 && fstatfs(a->dir_fd, &st) == 0 && st.f_type == FUSE_MAGIC;
}

static void act(struct actor *a)
{
	uint32_t dice = draw(a, 100);

	if (dice < 12)
		append(a);
	else if (dice < 20)
		overwrite(a);
	else if (dice < 28 && a->exclusive)
		use_exclusive(a);
	else if (dice < 55)
		count_up(a);
	else
		create_unique(a);
	if (draw(a, 3) == 0)
		read_something(a);
	if (draw(a, 10) == 0)
		read_serially(a);
}

void *actor_run(void *ctx)
{
	struct actor *a = ctx;
	int per_second = a->load->config.writes_per_second;
	int64_t pause_ns = per_second ? INT64_C(1000000000) * a->load->count / per_second : 0;
	int64_t next_ns = clock_mono_ns();

	while (!atomic_load(&a->load->stop)) {
		if (!has_folder(a)) {
			nap(NAP_NS);
			continue;
		}
		act(a);
		next_ns += pause_ns;
		int64_t now = clock_mono_ns();
		if (next_ns > now)
			nap(next_ns - now);
		else if (now - next_ns > 100 * pause_ns)
			next_ns = now;
	}
	if (a->dir_fd >= 0)
		close(a->dir_fd);
	client_close(a->client);
	return NULL;
}
