#include "fs/control.h"

#include "fs/entry.h"
#include "fs/view.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define CONTROL_MODE (S_IFREG | 0444)

void control_stat(const struct node *n, struct stat *st)
{
	view_stat_bare(n, CONTROL_MODE, st);
}

void control_lookup(struct request *rq)
{
	struct node_target target = {.kind = NODE_CONTROL, .mode = CONTROL_MODE, .segment_len = strlen(rq->name)};
	struct node *n = nodes_enter(&rq->fs->nodes, rq->node, rq->name, &target);
	struct stat st;

	control_stat(n, &st);
	entry_reply(rq, n, &st, VIEW_FOREVER_SECONDS, VIEW_FOREVER_SECONDS);
}

static void write_text(struct fs *fs, const struct node *n, struct writer *out)
{
	switch (entry_parse(fs, &fs->nodes.root, n->name).shape) {
	case PATH_MEMBERS:
		store_members_text(fs->store, out);
		break;
	case PATH_METRICS:
		metrics_text(fs, out);
		break;
	default:
		store_status_text(fs->store, fs->config.linearizable ? "linearizable" : "serial", out);
	}
}

void control_open(struct request *rq)
{
	if ((rq->file.flags & O_ACCMODE) != O_RDONLY || (rq->file.flags & O_TRUNC)) {
		request_error(rq, -EROFS);
		return;
	}
	struct handle *h = handle_new(rq, rq->node, NULL, O_RDONLY);
	write_text(rq->fs, rq->node, &h->text);
	handle_list(h);
	rq->file.fh = (uint64_t)(uintptr_t)h;
	rq->file.direct_io = 1;
	rq->file.noflush = 1;
	request_answers(rq, 0);
	if (fuse_reply_open(rq->req, &rq->file) == -ENOENT)
		handle_close(h);
	request_end(rq);
}

void control_read(struct request *rq, struct handle *h, size_t size, off_t offset)
{
	uint64_t at = (uint64_t)offset;

	/* Whoever has the answer may close the file before the call that sent it returns. */
	rq->held_handle = h;
	handle_hold(h);
	if (at >= h->text.size)
		size = 0;
	else if (size > h->text.size - at)
		size = (size_t)(h->text.size - at);
	request_data(rq, size ? (const char *)h->text.data + at : NULL, size);
}
