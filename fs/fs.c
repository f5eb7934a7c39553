#include "fs/fs.h"

#include "base/log.h"
#include "fs/directory.h"
#include "fs/fusermount.h"
#include "fs/counted.h"
#include "fs/handle.h"
#include "fs/inotify.h"
#include "fs/lock_session.h"
#include "fs/locks.h"
#include "fs/metrics.h"
#include "fs/mountpoint.h"
#include "fs/notifier.h"
#include "fs/ops.h"
#include "fs/publish.h"
#include "fs/request.h"
#include "fs/stale.h"
#include "fs/stream.h"
#include "fs/view.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_WRITE (1u << 20)
#define RETRY_NS 20000000

/* What libfuse complained about last: its only way to say why it cannot mount. */
static char libfuse_said[256];

static void keep_libfuse_words(enum fuse_log_level level, const char *format, va_list arguments)
{
	if (level >= FUSE_LOG_DEBUG) {
		vfprintf(stderr, format, arguments);
		return;
	}
	vsnprintf(libfuse_said, sizeof(libfuse_said), format, arguments);
	libfuse_said[strcspn(libfuse_said, "\n")] = '\0';
	log_warn("%s", libfuse_said);
}

static void tell_ready(struct fs *fs)
{
	if (fs->config.ready && !fs->ready_told)
		fs->config.ready(fs->config.ready_ctx);
	fs->ready_told = true;
}

static void owner_set(struct request *rq, int error)
{
	if (error)
		log_warn("the root directory could not be given to the mounting user: error %d", -error);
	tell_ready(rq->fs);
	request_end(rq);
}

static bool to_be_claimed(struct fs *fs)
{
	struct record r = {0};

	if (geteuid() == 0 || fs->config.read_only || mvcc_get(fs->mvcc, (struct span){"", 0}, 0, &r) != 0)
		return false;
	bool pristine = r.uid == 0 && r.version <= 1 && r.modified.main <= 1;
	record_done(&r);
	return pristine;
}

/* The root directory of a new store is root's. A user who mounts one is to be able to write to it, as soon as it is ready. */
static void claim_root(struct fs *fs)
{
	struct request *rq = request_new(fs, NULL);
	struct command c = request_command(rq, COMMAND_SETATTR);
	c.ino = MVCC_ROOT_INO;
	c.set_mask = SET_UID | SET_GID;
	c.set_uid = geteuid();
	c.set_gid = getegid();
	request_submit(rq, &c, owner_set);
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct fs *fs = userdata;

	conn->max_write = MAX_WRITE;
	conn->max_read = fs->config.max_read;
	conn->want |= conn->capable & (FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS);
	/* One read or write at a time, in order; and never the kernel's own idea of what is in a file. */
	conn->want &= ~(unsigned)(FUSE_CAP_ASYNC_DIO | FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
				  FUSE_CAP_SPLICE_MOVE);
	/* Reading a directory with attributes saves lookups only where those wait for nobody. */
	if (fs->config.linearizable)
		conn->want &= ~(unsigned)(FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO);
	if (to_be_claimed(fs))
		claim_root(fs);
	else
		tell_ready(fs);
}

static const struct fuse_lowlevel_ops operations = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.access = op_access,
	.setattr = op_setattr,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.open = op_open,
	.create = op_create,
	.read = op_read,
	.write = op_write,
	.poll = op_poll,
	.fallocate = op_fallocate,
	.flush = op_flush,
	.fsync = op_fsync,
	.release = op_release,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.releasedir = op_releasedir,
	.statfs = op_statfs,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.setxattr = op_setxattr,
	.removexattr = op_removexattr,
	.getlk = op_getlk,
	.setlk = op_setlk,
	.flock = op_flock,
};

static void add_option(struct fuse_args *args, const char *option)
{
	if (fuse_opt_add_arg(args, "-o") != 0 || fuse_opt_add_arg(args, option) != 0)
		abort();
}

static void build_options(const struct fs_config *c, bool checks, struct fuse_args *args)
{
	char *list = NULL;

	if (fuse_opt_add_arg(args, "tallyfs") != 0 || fuse_opt_add_opt(&list, "subtype=tallyfs") != 0)
		abort();
	char *fsname = NULL;
	if (asprintf(&fsname, "fsname=%s", c->fsname) < 0 || fuse_opt_add_opt_escaped(&list, fsname) != 0)
		abort();
	free(fsname);
	add_option(args, list);
	free(list);
	if (c->mount_options && c->mount_options[0])
		add_option(args, c->mount_options);
	if (c->read_only)
		add_option(args, "ro");
	if (c->max_read) {
		char text[32];
		snprintf(text, sizeof(text), "max_read=%u", c->max_read);
		add_option(args, text);
	}
	if (c->allow_other)
		add_option(args, "allow_other");
	if (checks)
		add_option(args, "default_permissions");
	if (c->debug && fuse_opt_add_arg(args, "-d") != 0)
		abort();
}

static int mount_session(struct fs *fs, char *why, size_t why_size)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	int error = 0;

	build_options(&fs->config, fs->kernel_checks, &args);
	fuse_set_log_func(keep_libfuse_words);
	const struct fuse_lowlevel_ops counted = counted_operations(&operations);
	fs->session = fuse_session_new(&args, &counted, sizeof(counted), fs);
	fuse_opt_free_args(&args);
	if (!fs->session)
		error = -EINVAL;
	else if (fusermount(fs->session, fs->config.mountpoint, libfuse_said, sizeof(libfuse_said)) != 0)
		error = -ENODEV;
	if (error)
		snprintf(why, why_size, "cannot mount on %s: %s", fs->config.mountpoint,
			 libfuse_said[0] ? libfuse_said : "is /dev/fuse there, and may this user mount?");
	else
		fs->mounted = true;
	if (fs->mounted && !mountpoint_device(fs->config.mountpoint, &fs->device))
		log_warn("/proc/self/mountinfo does not show %s", fs->config.mountpoint);
	return error;
}

static void begin_inotify(struct fs *fs)
{
	if (!fs->config.inotify)
		return;
	if (fs->config.read_only || !fs->device) {
		log_warn("remote changes raise no inotify events on a mount that is read-only or cannot be found");
		return;
	}
	fs->inotify = inotify_start(fs);
	if (fs->inotify)
		fs->operations = inotify_operations(fs->inotify);
}

int fs_mount(struct store *s, const struct fs_config *config, struct fs **out, char *why, size_t why_size)
{
	struct fs *fs = calloc(1, sizeof(*fs));
	pthread_condattr_t monotonic;

	if (!fs)
		abort();
	fs->store = s;
	fs->mvcc = store_mvcc(s);
	fs->settings = store_settings(s);
	fs->config = *config;
	/* The kernel checks permissions where that can refuse anybody (root alone may do all), or where it is told to: it costs a GETATTR, and so a barrier,
	 * for each directory on the way of each open, because attributes are never cached. */
	fs->kernel_checks = config->default_permissions || config->allow_other || geteuid() != 0;
	fs->operations = &operations;
	fs->metrics = metrics_new();
	fs->streams = streams_new(s);
	fs->lock_session = lock_session_new(fs);
	nodes_init(&fs->nodes, MVCC_ROOT_INO);
	pthread_mutex_init(&fs->numbers_lock, NULL);
	pthread_mutex_init(&fs->handles_lock, NULL);
	pthread_mutex_init(&fs->idle_lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&fs->idle, &monotonic);
	pthread_condattr_destroy(&monotonic);
	lock_waits_begin(fs);
	int error = mount_session(fs, why, why_size);
	if (error) {
		fs_free(fs);
		return error;
	}
	begin_inotify(fs);
	if (!config->linearizable)
		notifier_start(fs);
	stale_start(fs, &fs->stale);
	*out = fs;
	return 0;
}

/* Ends the loop on a signal. libfuse's loop looks at its flag and then sleeps, so one wake-up may come too early: it is repeated. */
struct stopper {
	struct fuse_session *session;
	pthread_t loop;
	atomic_bool told;
	atomic_bool over;
};

static void wake(int number)
{
	(void)number;
}

static void stop_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
}

static void *stopper_run(void *ctx)
{
	struct stopper *s = ctx;
	sigset_t set;
	int number;

	stop_signals(&set);
	while (sigwait(&set, &number) != 0)
		;
	if (!s->over) {
		s->told = true;
		log_info("signal %d: ending", number);
	}
	while (!s->over) {
		struct timespec pause = {.tv_nsec = RETRY_NS};
		fuse_session_exit(s->session);
		pthread_kill(s->loop, SIGUSR1);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

void fs_show_clients(struct fs *fs, const struct endpoint *clients)
{
	fs->clients = clients;
}

int fs_serve(struct fs *fs)
{
	struct stopper stopper = {.session = fs->session, .loop = pthread_self()};
	struct sigaction action = {.sa_handler = wake};
	pthread_t thread;

	sigaction(SIGUSR1, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	int error = pthread_create(&thread, NULL, stopper_run, &stopper);
	if (error)
		return -error;
	struct fuse_loop_config *loop = fuse_loop_cfg_create();
	fuse_loop_cfg_set_clone_fd(loop, 1);
	fuse_loop_cfg_set_max_threads(loop, fs->config.max_threads);
	/* None is ended for being idle, so none is made anew under load. */
	fuse_loop_cfg_set_idle_threads(loop, fs->config.max_threads);
	error = fuse_session_loop_mt(fs->session, loop);
	fuse_loop_cfg_destroy(loop);
	if (!stopper.told)
		log_info("unmounted, or cut off from the kernel: ending");
	stopper.over = true;
	pthread_kill(thread, SIGTERM);
	pthread_join(thread, NULL);
	return error < 0 ? error : 0;
}

/* Until all requests that were taken are answered; false if that takes too long. */
static bool wait_idle(struct fs *fs, const struct timespec *until)
{
	pthread_mutex_lock(&fs->idle_lock);
	while (fs->under_way && pthread_cond_timedwait(&fs->idle, &fs->idle_lock, until) == 0)
		;
	bool idle = fs->under_way == 0;
	pthread_mutex_unlock(&fs->idle_lock);
	return idle;
}

/* The kernel is done with it: unmounted, or aborted. */
static bool is_severed(struct fs *fs)
{
	struct pollfd connection = {.fd = fuse_session_fd(fs->session)};

	return poll(&connection, 1, 0) == 1 && (connection.revents & POLLERR);
}

static bool is_seen(const struct fs *fs)
{
	dev_t seen;

	return mountpoint_device(fs->config.mountpoint, &seen) && seen == fs->device;
}

/* Ends the connection, and all calls that wait in it, without an unmount. */
static void cut(struct fs *fs)
{
	int nobody = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (nobody < 0)
		return;
	dup3(nobody, fuse_session_fd(fs->session), O_CLOEXEC);
	close(nobody);
}

/* libfuse detaches whatever is seen at the mount point: after a lazy unmount that is another's. And it detaches nothing if the connection was severed,
 * by an unmount or by an abort, which leaves the mount there, dead. */
static void detach(struct fs *fs)
{
	if (fs->mounted && (!fs->device || is_severed(fs) || is_seen(fs)))
		fuse_session_unmount(fs->session);
	else
		cut(fs);
	if (fs->mounted && is_seen(fs))
		mountpoint_clear(fs->config.mountpoint);
}

void fs_unmount(struct fs *fs)
{
	struct timespec until;

	inotify_stop(fs->inotify);
	notifier_stop(fs->notifier);
	stale_stop(fs->stale);
	streams_end(fs->streams);
	lock_waits_end(fs);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += fs->settings->timeout_ns / 1000000000 + 1;
	/* While the connection is there, whoever waits still gets the answer. */
	if (wait_idle(fs, &until)) {
		publish_closed(fs);
		wait_idle(fs, &until);
	}
	lock_session_end(fs->lock_session, &until);
	detach(fs);
	fs->mounted = false;
}

void fs_free(struct fs *fs)
{
	if (!fs)
		return;
	assert(fs->under_way == 0);
	stale_end(fs->stale);
	if (fs->session)
		fuse_session_destroy(fs->session);
	inotify_end(fs->inotify);
	notifier_end(fs->notifier);
	fs->notifier = NULL;
	fuse_set_log_func(NULL);
	handles_drop(fs);
	directories_drop(fs);
	streams_free(fs->streams);
	nodes_done(&fs->nodes);
	lock_waits_free(fs);
	lock_session_free(fs->lock_session);
	metrics_free(fs->metrics);
	pthread_cond_destroy(&fs->idle);
	pthread_mutex_destroy(&fs->idle_lock);
	pthread_mutex_destroy(&fs->handles_lock);
	pthread_mutex_destroy(&fs->numbers_lock);
	free(fs);
}
