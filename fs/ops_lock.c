/* ops_lock.c: flock(2), and fcntl(2) with F_SETLK, F_SETLKW and F_GETLK. */
#include "fs/ops.h"

#include "fs/lock_session.h"
#include "fs/locks.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

static struct request *lock_request(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file, enum lock_kind kind)
{
	struct fs *fs = fs_of(req);
	struct request *rq = request_new(fs, req);

	rq->node = node_of(fs, ino);
	rq->handle = handle_of(file);
	locks_ask_new(rq, kind, file->lock_owner);
	return rq;
}

/* A past revision never changes, and control files are nobody's. */
static bool can_lock(struct request *rq)
{
	if (rq->node->kind == NODE_LIVE)
		return true;
	request_error(rq, -ENOLCK);
	return false;
}

static void lock_or_unlock(struct request *rq, bool unlock)
{
	if (!can_lock(rq))
		return;
	if (unlock)
		locks_give_back(rq);
	else
		locks_get(rq);
}

/* The range as libfuse has it: from the start of the file, length 0 to the end of all files. */
static void set_range(struct lock *to, const struct flock *from)
{
	to->start = (uint64_t)from->l_start;
	to->end = from->l_len ? (uint64_t)from->l_start + (uint64_t)from->l_len - 1 : UINT64_MAX;
	to->exclusive = from->l_type == F_WRLCK;
	to->pid = (uint32_t)from->l_pid;
}

void op_setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file, struct flock *lock, int waits)
{
	struct request *rq = lock_request(req, ino, file, LOCK_KIND_POSIX);

	set_range(&rq->ask->lock, lock);
	rq->ask->waits = waits;
	lock_or_unlock(rq, lock->l_type == F_UNLCK);
}

void op_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file, int operation)
{
	struct request *rq = lock_request(req, ino, file, LOCK_KIND_FLOCK);

	rq->ask->lock.exclusive = operation & LOCK_EX;
	rq->ask->waits = !(operation & LOCK_NB);
	lock_or_unlock(rq, operation & LOCK_UN);
}

static void getlk_now(struct request *rq, int error)
{
	struct lock *want = &rq->ask->lock, found;
	struct flock out = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

	if (error) {
		request_error(rq, error);
		return;
	}
	want->session = lock_session_now(rq->fs->lock_session);
	want->ino = rq->node->ino;
	if (want->ino && locks_conflict(store_locks(rq->fs->store), want, &found)) {
		out.l_type = found.exclusive ? F_WRLCK : F_RDLCK;
		out.l_start = (off_t)found.start;
		out.l_len = found.end == UINT64_MAX ? 0 : (off_t)(found.end - found.start + 1);
		out.l_pid = (pid_t)found.pid;
	}
	request_answers(rq, 0);
	fuse_reply_lock(rq->req, &out);
	request_end(rq);
}

/* On any mount: what is decided by the cluster is asked of the cluster. */
void op_getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file, struct flock *lock)
{
	struct request *rq = lock_request(req, ino, file, LOCK_KIND_POSIX);

	set_range(&rq->ask->lock, lock);
	if (!can_lock(rq))
		return;
	pthread_mutex_lock(&rq->handle->lock);
	bool lost = locks_lost(rq->handle);
	pthread_mutex_unlock(&rq->handle->lock);
	if (lost)
		request_error(rq, -EIO);
	else
		request_barrier(rq, getlk_now);
}
