/* Snapshots: files of them, and streams of chunks into a new store. What is taken to the end opens as a store; what is refused leaves nothing behind but what was taken before. Checksums are weak
 * in half of the inputs, so that what lies behind them is reached. */
#include "tests/fuzz/fuzz.h"

#include "store/snapshot_file.h"
#include "store/transfer.h"

#include <errno.h>

static void manifest(struct span bytes)
{
	struct dump_manifest m;
	if (bytes.size <= DUMP_MANIFEST_BYTES_MAX && dump_manifest_decode(bytes, &m) == 0)
		FUZZ_CHECK(m.state.size <= bytes.size);
}

/* A frame that is taken is written again byte for byte. */
static void frame(struct span bytes)
{
	struct transfer_frame f;
	struct writer again = {0};
	if (transfer_decode(bytes, &f))
		return;
	transfer_encode(&again, &f);
	FUZZ_CHECK(again.size == bytes.size && memcmp(again.data, bytes.data, bytes.size) == 0);
	writer_free(&again);
}

static void file(struct span bytes)
{
	struct snapshot_file *f;
	char why[512] = "";
	struct span chunk;
	int rc;

	fuzz_write(fuzz_path("snapshot"), bytes.data, bytes.size);
	if (snapshot_file_open(fuzz_path("snapshot"), &f, why, sizeof(why)) != 0) {
		FUZZ_CHECK(why[0]);
		return;
	}
	while ((rc = snapshot_file_next(f, &chunk, why, sizeof(why))) == 1)
		FUZZ_CHECK(chunk.size > 0 && chunk.size <= DUMP_CHUNK_BYTES_MAX);
	FUZZ_CHECK(rc == 0 || why[0]);
	snapshot_file_close(f);
}

static void open_store(const char *dir, uint64_t cluster_id)
{
	struct mvcc *m;
	char why[512] = "";
	struct mvcc_config config = {.dir = dir, .cluster_id = cluster_id, .map_bytes = 64u << 20, .no_sync = true};
	if (mvcc_open(&config, &m, why, sizeof(why)) == 0)
		mvcc_close(m);
	else
		FUZZ_CHECK(why[0]);
}

/* A manifest and chunks, each with its length before it; the sum is theirs, so that it is never the reason. */
static void stream(struct reader in)
{
	struct mvcc_load *l;
	struct dump_manifest m;
	char why[512] = "";
	struct span head = reader_bytes(&in, DUMP_MANIFEST_BYTES_MAX);
	const char *dir = fuzz_path("load");
	int rc = 0;

	if (in.failed || dump_manifest_decode(head, &m) != 0)
		return;
	struct mvcc_load_config config = {.dir = dir, .cluster_id = m.cluster_id, .map_bytes = 64u << 20, .no_sync = true};
	fuzz_remove(dir);
	if (mvcc_load_open(&config, (struct span){"name", 4}, head, &l, why, sizeof(why)) != 0)
		return;
	while (rc == 0 && reader_left(&in) > 0) {
		struct load_progress before = *mvcc_load_progress(l);
		struct span chunk = reader_bytes(&in, DUMP_CHUNK_BYTES_MAX);
		if (in.failed)
			break;
		rc = mvcc_load_chunk(l, chunk);
		FUZZ_CHECK(rc == 0 || mvcc_load_progress(l)->chunks == before.chunks);
	}
	bool whole = mvcc_load_finish(l, mvcc_load_progress(l)->sum) == 0;
	mvcc_load_close(l);
	if (whole)
		open_store(dir, m.cluster_id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > 1 << 16)
		return 0;
	struct span rest = {data + 1, size - 1};
	fuzz_weak_crc = data[0] & 1;
	if (data[0] % 8 < 2) {
		manifest(rest);
		frame(rest);
	} else if (data[0] % 8 < 4)
		file(rest);
	else
		stream(reader_over(rest.data, rest.size));
	fuzz_weak_crc = false;
	return 0;
}
