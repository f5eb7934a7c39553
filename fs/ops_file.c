#include "fs/ops.h"

#include "base/log.h"
#include "fs/cache.h"
#include "fs/control.h"
#include "fs/extend.h"
#include "fs/holders.h"
#include "fs/locks.h"
#include "fs/publish.h"
#include "fs/stream.h"
#include "fs/view.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

static struct request *file_request(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	struct fs *fs = fs_of(req);
	struct request *rq = request_new(fs, req);

	rq->node = node_of(fs, ino);
	rq->file = *file;
	rq->handle = handle_of(file);
	return rq;
}

/* The file as it is now, wherever it is; -ESTALE: nowhere. */
static int newest(struct request *rq, struct record *r)
{
	int error = cache_record(rq->fs, rq->node, r);

	return error == -ESTALE ? view_record_by_ino(rq->fs, rq->node, r) : error;
}

/* Reading from the start once more: the file as it is now, if it is still there. */
static void read_afresh(struct request *rq, int error)
{
	struct handle *h = rq->handle;
	struct record r = {0};

	if (!error)
		error = newest(rq, &r);
	if (error && error != -ESTALE) {
		request_error(rq, error);
		return;
	}
	pthread_mutex_lock(&h->lock);
	/* Under a publication the file below stays what it was when that began. */
	if (!error && !h->publishing)
		handle_pin(h, &r);
	pthread_mutex_unlock(&h->lock);
	record_done(&r);
	handle_read(h, rq, rq->size, 0);
}

/* Reading on at the end, of which the reader knows: there may be more by now. */
static void read_on(struct request *rq, int error)
{
	struct record r = {0};

	if (!error)
		error = newest(rq, &r);
	if (error && error != -ESTALE) {
		request_error(rq, error);
		return;
	}
	if (!error)
		extend_handle(rq->handle, &r);
	handle_read(rq->handle, rq, rq->size, rq->offset);
}

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *file)
{
	struct request *rq = file_request(req, ino, file);
	struct handle *h = rq->handle;

	if (h->stream) {
		stream_read(h->stream, rq, size, !(file->flags & O_NONBLOCK));
		return;
	}
	if (rq->node->kind == NODE_CONTROL) {
		control_read(rq, h, size, offset);
		return;
	}
	bool afresh = false;
	h->read = true;
	/* Behind the kernel's pages there is one version. */
	if (offset == 0 && handle_asked(rq) && !h->cached && rq->node->kind == NODE_LIVE && rq->node->ino && !rq->node->cancelled) {
		pthread_mutex_lock(&h->lock);
		afresh = h->answered || h->cut;
		pthread_mutex_unlock(&h->lock);
	}
	rq->size = size;
	rq->offset = offset;
	if (afresh)
		request_read(rq, read_afresh);
	else if (extend_wanted(h, offset))
		request_read(rq, read_on);
	else
		handle_read(h, rq, size, offset);
}

void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset, struct fuse_file_info *file)
{
	struct handle *h = handle_of(file);

	(void)ino;
	pthread_mutex_lock(&h->lock);
	int error = locks_lost(h) ? -EIO : handle_write(h, data, size, offset, file->flags & O_APPEND);
	if (!error)
		handle_written_by(h, fuse_req_ctx(req)->uid);
	pthread_mutex_unlock(&h->lock);
	if (error)
		request_refuse(req, error);
	else
		fuse_reply_write(req, size);
}

/* Space is not set aside for a file: what counts is its size. Mode 0 makes it as large as asked for, filled with zeros, and never smaller. */
void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t size, struct fuse_file_info *file)
{
	struct handle *h = handle_of(file);
	int error = mode ? -EOPNOTSUPP : 0;

	(void)ino;
	pthread_mutex_lock(&h->lock);
	if (!error && locks_lost(h))
		error = -EIO;
	if (!error && (uint64_t)offset + (uint64_t)size > handle_size(h))
		error = handle_truncate(h, (uint64_t)offset + (uint64_t)size);
	if (!error)
		handle_written_by(h, fuse_req_ctx(req)->uid);
	pthread_mutex_unlock(&h->lock);
	request_refuse(req, error);
}

/* All files but @watch can be read and written at any time, as on every file system. */
void op_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file, struct fuse_pollhandle *handle)
{
	struct handle *h = handle_of(file);
	unsigned events = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;

	(void)ino;
	if (h->stream)
		events = stream_poll(h->stream, handle);
	else if (handle)
		fuse_pollhandle_destroy(handle);
	fuse_reply_poll(req, events);
}

static bool same_process(pid_t opener, pid_t caller)
{
	if (opener == caller)
		return true;
	pid_t process = holders_process(caller);
	return process > 0 && (process == opener || process == holders_process(opener));
}

/* Is this close the last one, of all duplicates? With data, and from the process that opened the file, that is taken for granted. */
static bool closes_last(struct request *rq, bool has_data)
{
	struct handle *h = rq->handle;

	if (has_data && same_process(h->opener, rq->pid))
		return true;
	struct holders_file file = handle_file(rq->fs, h->node);
	if (holders_has(rq->pid, &file, false))
		return false;
	/* With other writers about, whoever holds the file may hold it through another open. What is pending must not wait for that: only a
	 * close reports what became of it. */
	if (h->node->writers > 1)
		return true;
	return !holders_others(rq->pid, &file);
}

void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	struct handle *h = handle_of(file);

	pthread_mutex_lock(&h->lock);
	bool pending = handle_pending(h) || h->publishing;
	bool has_data = h->dirty.bytes || h->publishing;
	int lost = h->lost;
	pthread_mutex_unlock(&h->lock);
	if (locks_go_with_close(h, file->lock_owner)) {
		struct request *rq = file_request(req, ino, file);
		locks_ask_new(rq, LOCK_KIND_POSIX, file->lock_owner)->closes = true;
		locks_give_back(rq);
		return;
	}
	if (lost || !pending) {
		request_refuse(req, lost);
		return;
	}
	struct request *rq = file_request(req, ino, file);
	if (closes_last(rq, has_data)) {
		publish_start(rq, request_error);
		return;
	}
	pthread_mutex_lock(&h->lock);
	h->put_off = true;
	pthread_mutex_unlock(&h->lock);
	request_error(rq, 0);
}

void op_fsync(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *file)
{
	(void)data_only;
	publish_start(file_request(req, ino, file), request_error);
}

static void released(struct request *rq, int error)
{
	struct handle *h = rq->handle;
	char key[VIEW_KEY_SIZE];

	if (error && view_key(rq->fs, h->node, NULL, key) >= 0)
		log_error("what was written to %s was lost, because its last close could not report it: error %d", key, -error);
	handle_close(h);
	request_end(rq);
}

/* The kernel doesn't wait for this, so it is only the last resort: a close that looked like one of several. */
void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	struct fs *fs = fs_of(req);
	struct handle *h = handle_of(file);

	pthread_mutex_lock(&h->lock);
	bool publish = handle_pending(h) && !h->failed && !h->lost;
	pthread_mutex_unlock(&h->lock);
	if (publish) {
		struct request *rq = request_new(fs, NULL);
		rq->node = node_of(fs, ino);
		rq->handle = h;
		fuse_reply_err(req, 0);
		publish_start(rq, released);
		return;
	}
	handle_close(h);
	fuse_reply_err(req, 0);
}
