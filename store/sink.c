#include "store/sink.h"

#include "store/apply.h"
#include "store/folders.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum sink_state { IDLE, PULLING, HANDED_OVER };

struct sink {
	struct sink_config config;
	struct sink_ports ports;
	char dir[FOLDER_PATH_BYTES];
	enum sink_state state;
	uint64_t from;
	uint64_t id;
	struct dump_manifest manifest; /* its numbers; `state` is not kept */
	struct mvcc_load *load;        /* while PULLING */
	uint64_t until;                /* asked for below this */
	uint64_t resumed_bytes;
	int64_t again_ns; /* when to ask again */
	uint32_t attempts;
	bool gap; /* asked again for what was lost, and not had it yet */
	char why[512];
	struct writer payload; /* scratch */
};

struct sink *sink_new(const struct sink_config *config, const struct sink_ports *ports)
{
	struct sink *k = calloc(1, sizeof(*k));
	if (!k)
		abort();
	k->config = *config;
	k->ports = *ports;
	folder_path(config->data, FOLDER_NEW, k->dir);
	return k;
}

void sink_free(struct sink *k)
{
	if (!k)
		return;
	mvcc_load_close(k->load);
	writer_free(&k->payload);
	free(k);
}

static void send(struct sink *k, uint64_t to, const struct transfer_frame *f)
{
	writer_clear(&k->payload);
	transfer_encode(&k->payload, f);
	k->ports.send(k->ports.ctx, to, (struct span){k->payload.data, k->payload.size});
}

static void send_over(struct sink *k, uint64_t to, uint64_t id, uint8_t outcome)
{
	send(k, to, &(struct transfer_frame){.kind = TRANSFER_OVER, .id = id, .outcome = outcome});
}

static void say(struct sink *k, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct sink *k, const char *format, ...)
{
	char line[700];
	va_list args;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	k->ports.say(k->ports.ctx, line);
}

static void pull(struct sink *k, bool again, int64_t now_ns)
{
	const struct load_progress *p = mvcc_load_progress(k->load);
	k->until = p->chunks + SINK_AHEAD;
	k->again_ns = now_ns + SINK_AGAIN_NS;
	send(k, k->from,
	     &(struct transfer_frame){
		     .kind = TRANSFER_PULL, .id = k->id, .number = p->chunks, .until = k->until, .again = again, .at = p->at});
}

static void become_idle(struct sink *k)
{
	mvcc_load_close(k->load);
	k->load = NULL;
	k->state = IDLE;
	k->id = 0;
}

/* What was taken is of no use. */
static void discard(struct sink *k, uint8_t outcome)
{
	send_over(k, k->from, k->id, outcome);
	become_idle(k);
	mvcc_load_remove(k->dir);
}

static void fail(struct sink *k, int error)
{
	const char *what = error == -EBADMSG ? "what was sent fails its checks" : strerror(-error);
	say(k, "a snapshot could not be taken: %s", k->why[0] ? k->why : what);
	discard(k, TRANSFER_FAILED);
}

/* Sessions and the like are read when the store is put in place; what cannot be read then must be known before. */
static int try_apply(struct mvcc *m)
{
	struct apply *a;
	int rc = apply_open(m, &a);
	if (rc == 0)
		apply_close(a);
	return rc;
}

static void hand_over(struct sink *k)
{
	struct mvcc_config config = {
		.dir = k->dir, .cluster_id = k->config.cluster_id, .map_bytes = k->config.map_bytes, .no_sync = k->config.no_sync};
	struct mvcc *store = NULL;
	mvcc_load_close(k->load);
	k->load = NULL;
	int rc = mvcc_open(&config, &store, k->why, sizeof(k->why));
	if (rc == 0) {
		rc = try_apply(store);
		if (rc < 0)
			mvcc_close(store);
	}
	if (rc < 0) {
		fail(k, rc);
		return;
	}
	k->state = HANDED_OVER;
	k->ports.ready(k->ports.ctx, store, k->manifest.index, k->manifest.term);
}

static void complete(struct sink *k, uint32_t sum)
{
	int rc = mvcc_load_finish(k->load, sum);
	if (rc < 0)
		fail(k, rc);
	else
		hand_over(k);
}

/* What is left of it from before is gone on with. */
static void begin(struct sink *k, uint64_t from, const struct transfer_frame *f, int64_t now_ns)
{
	struct writer name = {0};
	struct mvcc_load_config config = {
		.dir = k->dir, .cluster_id = k->config.cluster_id, .map_bytes = k->config.map_bytes, .no_sync = k->config.no_sync};
	k->from = from;
	k->id = f->id;
	k->attempts = 0;
	k->gap = false;
	k->why[0] = '\0';
	writer_u64(&name, from);
	writer_u64(&name, f->id);
	int rc = mvcc_load_open(&config, (struct span){name.data, name.size}, f->manifest, &k->load, k->why, sizeof(k->why));
	writer_free(&name);
	if (rc < 0) {
		fail(k, rc);
		return;
	}
	k->state = PULLING;
	k->resumed_bytes = mvcc_load_progress(k->load)->bytes;
	say(k, "taking a snapshot as of entry %llu, about %llu bytes, from %llu on", (unsigned long long)k->manifest.index,
	    (unsigned long long)k->manifest.bytes, (unsigned long long)k->resumed_bytes);
	if (mvcc_load_is_complete(k->load))
		complete(k, mvcc_load_progress(k->load)->sum);
	else
		pull(k, true, now_ns);
}

static void take_offer(struct sink *k, uint64_t from, const struct transfer_frame *f, int64_t now_ns)
{
	struct dump_manifest m;
	if (k->state != IDLE && from == k->from && f->id == k->id)
		return;
	/* A source has one for each member: an older one of the same is gone. */
	bool gone = k->state == PULLING && (from == k->from || k->attempts >= SINK_DOUBT);
	if (gone)
		become_idle(k);
	if (k->state != IDLE) {
		send_over(k, from, f->id, TRANSFER_BUSY);
		return;
	}
	if (dump_manifest_decode(f->manifest, &m)) {
		send_over(k, from, f->id, TRANSFER_FAILED);
		return;
	}
	if (m.index <= k->ports.applied(k->ports.ctx)) {
		send_over(k, from, f->id, TRANSFER_NEEDLESS);
		return;
	}
	k->manifest = m;
	k->manifest.state = (struct span){NULL, 0};
	begin(k, from, f, now_ns);
}

static void take_chunk(struct sink *k, const struct transfer_frame *f, int64_t now_ns)
{
	const struct load_progress *p = mvcc_load_progress(k->load);
	if (f->number != p->chunks) {
		/* One in between was lost. What follows it is not kept; one question is enough. */
		if (f->number > p->chunks && !k->gap) {
			k->gap = true;
			pull(k, true, now_ns);
		}
		return;
	}
	k->gap = false;
	k->attempts = 0;
	k->again_ns = now_ns + SINK_AGAIN_NS;
	int rc = f->chunk.size > 0 ? mvcc_load_chunk(k->load, f->chunk) : f->last ? 0 : -EBADMSG;
	if (rc < 0)
		fail(k, rc);
	else if (f->last)
		complete(k, f->sum);
	else if (k->until - p->chunks <= SINK_AHEAD / 2)
		pull(k, false, now_ns);
}

void sink_frame(struct sink *k, uint64_t from, const struct transfer_frame *f, int64_t now_ns)
{
	bool mine = k->state == PULLING && from == k->from && f->id == k->id;
	if (f->kind == TRANSFER_OFFER)
		take_offer(k, from, f, now_ns);
	else if (f->kind == TRANSFER_CHUNK && mine)
		take_chunk(k, f, now_ns);
	else if (f->kind == TRANSFER_OVER && mine)
		become_idle(k);
}

void sink_settled(struct sink *k, bool taken)
{
	if (k->state != HANDED_OVER)
		return;
	send_over(k, k->from, k->id, taken ? TRANSFER_TAKEN : TRANSFER_NEEDLESS);
	become_idle(k);
	if (taken)
		folders_drop_old(k->config.data);
	else
		mvcc_load_remove(k->dir);
}

void sink_run(struct sink *k, int64_t now_ns)
{
	if (k->state != PULLING || now_ns < k->again_ns)
		return;
	if (++k->attempts < SINK_ATTEMPTS) {
		pull(k, true, now_ns);
		return;
	}
	say(k, "the member that sends a snapshot does not answer any more: what was taken is kept");
	become_idle(k);
}

int64_t sink_deadline_ns(const struct sink *k)
{
	return k->state == PULLING ? k->again_ns : INT64_MAX;
}

void sink_stats(const struct sink *k, struct sink_stats *out)
{
	*out = (struct sink_stats){.id = k->id};
	if (k->state != PULLING)
		return;
	out->bytes = mvcc_load_progress(k->load)->bytes;
	out->resumed_bytes = k->resumed_bytes;
	out->total_bytes = k->manifest.bytes;
}
