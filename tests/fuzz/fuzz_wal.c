/* The log: a good one is made, then bytes of it are changed, cut or moved as the input says. It may be refused; if it opens, it holds what was saved, and lacks at most
 * what the frame at its very end held. With weak checksums, which forgive any change, it must only not crash; nor may the decoder of records. */
#include "tests/fuzz/fuzz.h"

#include "raft/wal.h"
#include "raft/wal_record.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEGMENT_BYTES 8192u
#define SAVES 12
#define SEGMENTS_MAX 16

struct image {
	char names[SEGMENTS_MAX][64];
	uint8_t bytes[SEGMENTS_MAX][SEGMENT_BYTES * 2];
	size_t sizes[SEGMENTS_MAX];
	uint32_t count;
	uint64_t last;
};

static int open_log(struct wal **out)
{
	char why[512];
	struct wal_config config = {.dir = fuzz_path("wal"), .cluster_id = 1, .node_id = 2, .segment_bytes = SEGMENT_BYTES};
	return wal_open(&config, out, why, sizeof(why));
}

/* Entry i of the log that was saved: what it holds says which it is. */
static uint32_t content(uint64_t index, uint8_t *out)
{
	uint32_t size = (uint32_t)(index * 97 % 700);
	for (uint32_t i = 0; i < size; i++)
		out[i] = (uint8_t)(index * 31 + i);
	return size;
}

static void save_some(struct wal *w, uint64_t from, uint32_t count)
{
	static uint8_t data[4][1024];
	struct raft_entry e[4];
	struct raft_hard_state hard = {.term = 1 + from / 8, .vote = 2, .commit = from - 1};
	for (uint32_t i = 0; i < count; i++)
		e[i] = (struct raft_entry){.term = 1 + from / 8,
					   .index = from + i,
					   .type = RAFT_ENTRY_COMMAND,
					   .size = content(from + i, data[i]),
					   .data = data[i]};
	FUZZ_CHECK(wal_save(w, &hard, e, count) == 0);
}

static void load_image(struct image *m)
{
	DIR *dir = opendir(fuzz_path("wal"));
	struct dirent *e;
	FUZZ_CHECK(dir != NULL);
	while ((e = readdir(dir))) {
		char path[256];
		if (e->d_name[0] == '.')
			continue;
		FUZZ_CHECK(m->count < SEGMENTS_MAX);
		snprintf(path, sizeof(path), "%s/%s", fuzz_path("wal"), e->d_name);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t size = read(fd, m->bytes[m->count], sizeof(m->bytes[0]));
		FUZZ_CHECK(fd >= 0 && size >= 0);
		close(fd);
		snprintf(m->names[m->count], sizeof(m->names[0]), "%.63s", e->d_name);
		m->sizes[m->count++] = (size_t)size;
	}
	closedir(dir);
	/* In order of their names, so that an input means the same on each machine. */
	for (uint32_t i = 0; i < m->count; i++)
		for (uint32_t k = i + 1; k < m->count; k++)
			if (strcmp(m->names[k], m->names[i]) < 0) {
				static uint8_t bytes[sizeof(m->bytes[0])];
				char name[64];
				size_t size = m->sizes[i];
				memcpy(bytes, m->bytes[i], sizeof(bytes));
				memcpy(name, m->names[i], sizeof(name));
				memcpy(m->bytes[i], m->bytes[k], sizeof(bytes));
				memcpy(m->names[i], m->names[k], sizeof(name));
				m->sizes[i] = m->sizes[k];
				memcpy(m->bytes[k], bytes, sizeof(bytes));
				memcpy(m->names[k], name, sizeof(name));
				m->sizes[k] = size;
			}
}

static const struct image *good_image(bool weak)
{
	static struct image images[2];
	static bool made[2];
	struct image *m = &images[weak];
	struct wal *w;

	if (made[weak])
		return m;
	fuzz_remove(fuzz_path("wal"));
	FUZZ_CHECK(open_log(&w) == 0);
	for (uint32_t i = 0; i < SAVES; i++) {
		save_some(w, m->last + 1, 1 + i % 4);
		m->last += 1 + i % 4;
	}
	wal_close(w);
	load_image(m);
	made[weak] = true;
	return m;
}

/* False if it blanks the rest of a segment: that looks like a log which ended there. */
static bool change(struct image *m, struct reader *in)
{
	uint32_t file = reader_u8(in) % m->count;
	uint32_t at = reader_u16(in);
	uint8_t what = reader_u8(in), value = reader_u8(in);
	size_t size = m->sizes[file];

	if (size == 0)
		return true;
	at %= (uint32_t)size;
	uint32_t count = 1u + value % 64u;
	count = at + count > size ? (uint32_t)size - at : count;
	if (what < 0x80)
		m->bytes[file][at] ^= value;
	else if (what < 0xa0)
		memset(m->bytes[file] + at, 0, size - at);
	else if (what < 0xb0)
		m->sizes[file] = at;
	else if (what < 0xc0)
		memmove(m->bytes[file] + at, m->bytes[file] + (at + value * 64u) % (size - count + 1), count);
	else if (what < 0xd0)
		memset(m->bytes[file] + at, value, count);
	else if (what < 0xe0)
		memcpy(m->bytes[file], m->bytes[what % m->count], size < m->sizes[what % m->count] ? size : m->sizes[what % m->count]);
	else
		m->names[file][at % 29] = value % 16 < 10 ? (char)('0' + value % 16) : (char)('a' + value % 16 - 10);
	return what < 0x80 || what >= 0xa0;
}

static void write_image(const struct image *m)
{
	fuzz_remove(fuzz_path("wal"));
	FUZZ_CHECK(mkdir(fuzz_path("wal"), 0700) == 0);
	for (uint32_t i = 0; i < m->count; i++) {
		char path[256];
		snprintf(path, sizeof(path), "%s/%s", fuzz_path("wal"), m->names[i]);
		fuzz_write(path, m->bytes[i], m->sizes[i]);
	}
}

struct seen {
	uint64_t next;
	bool strict;
};

static int see_entry(void *ctx, const struct raft_entry *e)
{
	struct seen *s = ctx;
	static uint8_t expected[1024];
	FUZZ_CHECK(e->index == s->next++);
	if (s->strict) {
		FUZZ_CHECK(e->size == content(e->index, expected));
		FUZZ_CHECK(e->size == 0 || memcmp(e->data, expected, e->size) == 0);
	}
	return 0;
}

static void check_log(const struct image *original, bool strict, bool whole)
{
	struct wal *w;
	struct seen s = {.strict = strict};

	if (open_log(&w) != 0)
		return;
	FUZZ_CHECK(wal_last(w) + 1 >= wal_first(w) && wal_epoch(w) > 0);
	s.next = wal_first(w);
	if (wal_last(w) >= wal_first(w))
		(void)wal_read(w, wal_first(w), wal_last(w) + 1, SIZE_MAX, see_entry, &s);
	if (strict)
		FUZZ_CHECK(s.next == wal_last(w) + 1 && wal_first(w) == 1 && wal_last(w) <= original->last);
	/* Of one change alone: only the last save may be missing, the one whose frame could have been torn. */
	if (strict && whole)
		FUZZ_CHECK(wal_last(w) + 4 >= original->last);
	wal_close(w);
}

static void records(struct span bytes)
{
	struct reader in = reader_over(bytes.data, bytes.size);
	struct wal_record r;
	while (wal_record_next(&in, &r))
		FUZZ_CHECK(r.kind != WAL_RECORD_ENTRY || r.entry.size <= bytes.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct image m;
	if (size < 2 || size > 4096)
		return 0;
	struct reader in = reader_over(data + 1, size - 1);
	if (data[0] % 4 == 3) {
		records((struct span){data + 1, size - 1});
		return 0;
	}
	fuzz_weak_crc = data[0] % 4 == 2;
	const struct image *good = good_image(fuzz_weak_crc);
	bool whole = true;
	int changes = 0;
	m = *good;
	for (; reader_left(&in) >= 5; changes++)
		whole = change(&m, &in) && whole;
	write_image(&m);
	check_log(good, !fuzz_weak_crc && memcmp(m.names, good->names, sizeof(m.names)) == 0, whole && changes < 2);
	fuzz_weak_crc = false;
	return 0;
}
