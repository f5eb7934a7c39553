/* SNAPSHOT (handler.h): a picture of the store, page by page. */
#include "base/clock.h"
#include "store/client/handler.h"
#include "store/dumps.h"

#include <errno.h>
#include <string.h>

_Static_assert(DUMP_CHUNK_BYTES_MAX <= PROTOCOL_PAGE_BYTES && DUMP_POSITION_BYTES_MAX <= PROTOCOL_KEY_MAX, "a page is a response");

static void begin(struct store *s, struct answer *out)
{
	uint64_t id = 0;
	int rc = dumps_begin(store_dumps(s), clock_mono_ns(), &id, &out->text);
	if (rc == -EBUSY) {
		answer_refuse(out, rc, "snapshot: %u snapshots are being fetched from this node: try again later", DUMPS_MAX);
		return;
	}
	if (rc) {
		answer_refuse(out, rc, "snapshot: %s", strerror(-rc));
		return;
	}
	out->head.count = id;
	out->head.flags = PROTOCOL_MORE;
	out->head.revision = mvcc_revision(store_mvcc(s));
}

static void page(struct store *s, const struct request *r, struct answer *out)
{
	struct dump_position at = {0};
	struct writer next = {0};
	uint32_t sum = 0;
	struct reader in = reader_over(r->from.data, r->from.size);
	dump_position_decode(&in, &at);
	bool valid = r->from.size == 0 || reader_done(&in);
	int rc = valid ? dumps_page(store_dumps(s), clock_mono_ns(), r->rev, r->limit, &at, &out->text, &sum) : -EINVAL;
	if (rc < 0) {
		answer_refuse(out, rc, "snapshot: %s",
			      rc == -ENOENT ? "the node does not have it any more (it waits for a minute, an hour in all)" : strerror(-rc));
		return;
	}
	dump_position_encode(&at, &next);
	memcpy(out->next, next.data, next.size);
	out->head.next = (struct span){out->next, next.size};
	writer_free(&next);
	out->head.count = sum;
	out->head.flags = rc ? PROTOCOL_MORE : 0;
}

void handler_snapshot(struct store *s, const struct request *r, struct answer *out)
{
	if (r->rev == 0)
		begin(s, out);
	else if (r->flags & REQUEST_COUNT_ONLY)
		dumps_end(store_dumps(s), r->rev);
	else
		page(s, r, out);
}
