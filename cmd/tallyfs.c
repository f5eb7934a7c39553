/* tallyfs: one process: a node of the store, and the file system that shows it. */
#include "base/log.h"
#include "cmd/daemonize.h"
#include "cmd/options.h"
#include "fs/fs.h"
#include "store/client/endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WHY_SIZE (3 * PATH_MAX)
/* An unmount returns before the daemon behind it has ended: the next one gives it so long. */
#define PREDECESSOR_TRIES 150
#define PREDECESSOR_PAUSE_NS 20000000

static const char usage[] = "usage: tallyfs DATA MOUNTPOINT [-o OPTION[,OPTION...]] [-f] [-d] [-V] [-h]\n"
			    "       tallyfs DATA -o nomount[,OPTION...]\n"
			    "\n"
			    "DATA is a directory for this node's durable state; it is made if it is missing.\n"
			    "With no options it is a cluster of one, listening on no network.\n"
			    "\n"
			    "  -f  stay in front          -d  stay in front and print each request\n"
			    "  -V  print the version      -h  print this\n"
			    "\n"
			    "options (times take ms, s, m, h, d; sizes take K, M, G):\n"
			    "  consistency=linearizable|serial   how this mount reads (linearizable)\n"
			    "  name=NAME                         this node's name in the cluster (the host name)\n"
			    "  cluster=NAME=HOST:PORT/...        the first members, alike on each of them; read when DATA is new\n"
			    "  listen=HOST:PORT                  what to bind for peers (this node's address in cluster=)\n"
			    "  client=HOST:PORT                  also serve clients over TCP\n"
			    "  secret=FILE                       the cluster's shared key (mode 0600); what is not loopback needs it\n"
			    "  timeout=T                         the longest wait for the cluster (5s)\n"
			    "  heartbeat=T, election=T           timers of Raft (50ms, 500ms)\n"
			    "  lock_ttl=T                        how long the locks of a node that died are kept (10s)\n"
			    "  max_file=SIZE, quota=SIZE         the largest file, the largest store (64M, 8G)\n"
			    "  retain=T or N                     how long history is kept, or how many revisions of it (7d)\n"
			    "  rev_mark=C                        the character that marks revision and control paths (@)\n"
			    "  inotify                           changes made on other nodes raise inotify events here\n"
			    "  nomount                           only the node, no file system\n"
			    "  ro, allow_other, default_permissions, fsname=NAME, max_threads=N, and the words of mount(8)\n";

struct daemon {
	struct options options;
	char mountpoint[PATH_MAX];  /* absolute */
	char data[PATH_MAX];        /* absolute */
	char secret_file[PATH_MAX]; /* absolute; empty: none */
	struct secret *secret;
	struct daemonize background;
	struct store *store;
	struct endpoint *endpoint;
	struct fs *fs;
	char why[WHY_SIZE];
};

/* DATA exists, is a directory, can be written to. */
static int prepare_data(struct daemon *d)
{
	const char *path = d->options.data;
	struct stat st;

	if (mkdir(path, 0700) != 0 && errno != EEXIST) {
		snprintf(d->why, WHY_SIZE, "cannot make DATA %s: %s", path, strerror(errno));
		return -errno;
	}
	if (stat(path, &st) != 0 || !realpath(path, d->data)) {
		snprintf(d->why, WHY_SIZE, "DATA %s: %s", path, strerror(errno));
		return -errno;
	}
	if (!S_ISDIR(st.st_mode)) {
		snprintf(d->why, WHY_SIZE, "DATA %s is not a directory", path);
		return -ENOTDIR;
	}
	if (access(path, R_OK | W_OK | X_OK) != 0) {
		snprintf(d->why, WHY_SIZE, "DATA %s is not writable: %s", path, strerror(errno));
		return -errno;
	}
	return 0;
}

/* Read after the fork, as locked memory is not inherited; but here the working directory is still the user's. */
static int prepare_secret(struct daemon *d)
{
	const char *file = d->options.secret;

	if (!file[0] || realpath(file, d->secret_file))
		return 0;
	int error = -errno;
	snprintf(d->why, WHY_SIZE, "secret=%s: %s", file, strerror(-error));
	return error;
}

static bool below(const char *path, const char *top)
{
	size_t size = strlen(top);

	return strncmp(path, top, size) == 0 && (path[size] == '\0' || path[size] == '/');
}

/* The daemon finds its own files by their names. */
static bool covers_files(const struct daemon *d)
{
	size_t size = strlen(d->data);
	const char *inside = d->mountpoint + size + 1;

	return below(d->mountpoint, d->data) && d->mountpoint[size] && (strncmp(inside, "wal", 3) == 0 || strncmp(inside, "store", 5) == 0);
}

static int prepare_mountpoint(struct daemon *d)
{
	int error = mountpoint_check(d->options.mountpoint, d->mountpoint, d->why, WHY_SIZE);

	if (!error && covers_files(d)) {
		snprintf(d->why, WHY_SIZE, "the mount point %s would hide what is in DATA", d->mountpoint);
		error = -EINVAL;
	}
	if (!error && below(d->data, d->mountpoint)) {
		snprintf(d->why, WHY_SIZE, "DATA %s is below the mount point %s, which would hide it", d->data, d->mountpoint);
		error = -EINVAL;
	}
	return error;
}

/* For sigwait: the threads made later inherit it. nohup(1) is heeded: what is ignored never comes, unless it is blocked. */
static void block_signals(sigset_t *set)
{
	struct sigaction hangup;

	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	if (sigaction(SIGHUP, NULL, &hangup) != 0 || hangup.sa_handler != SIG_IGN)
		sigaddset(set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void ready(void *ctx)
{
	struct daemon *d = ctx;

	daemonize_ready(&d->background);
}

static int mount_it(struct daemon *d)
{
	const struct options *o = &d->options;
	struct fs_config config = {
		.mountpoint = d->mountpoint,
		.fsname = o->fsname[0] ? o->fsname : d->data,
		.mount_options = o->mount_words,
		.linearizable = o->linearizable,
		.read_only = o->read_only,
		.allow_other = o->allow_other,
		.default_permissions = o->default_permissions,
		.inotify = o->inotify,
		.debug = o->debug,
		.max_threads = o->max_threads,
		.lock_ttl_s = o->lock_ttl_s,
		.max_read = o->max_read,
		.rev_mark = o->rev_mark,
		.ready = ready,
		.ready_ctx = d,
	};

	return fs_mount(d->store, &config, &d->fs, d->why, WHY_SIZE);
}

/* -EBUSY: another daemon has DATA, and keeps it. */
static int open_store(struct daemon *d, const struct store_config *config)
{
	const struct timespec pause = {.tv_nsec = PREDECESSOR_PAUSE_NS};
	int error = store_open(config, &d->store, d->why, WHY_SIZE);

	for (int i = 0; error == -EBUSY && i < PREDECESSOR_TRIES; i++) {
		nanosleep(&pause, NULL);
		error = store_open(config, &d->store, d->why, WHY_SIZE);
	}
	return error;
}

static int start(struct daemon *d)
{
	struct store_config config = d->options.store;
	const char *client = d->options.client[0] ? d->options.client : NULL;

	config.data = d->data;
	int error = d->secret_file[0] ? secret_load(d->secret_file, &d->secret, d->why, WHY_SIZE) : 0;
	config.secret = d->secret;
	if (!error)
		error = open_store(d, &config);
	if (!error)
		store_settle(d->store);
	if (!error && !d->options.nomount)
		error = mount_it(d);
	if (!error)
		error = endpoint_start(d->store, d->data, client, &d->endpoint, d->why, WHY_SIZE);
	if (!error && d->fs)
		fs_show_clients(d->fs, d->endpoint);
	return error;
}

static int serve(struct daemon *d, const sigset_t *signals)
{
	int number;

	if (d->fs) {
		int error = fs_serve(d->fs);
		if (error)
			snprintf(d->why, WHY_SIZE, "the file system stopped: %s", strerror(-error));
		return error;
	}
	daemonize_ready(&d->background);
	while (sigwait(signals, &number) != 0)
		;
	log_info("signal %d: ending", number);
	return 0;
}

static void stop(struct daemon *d)
{
	if (d->fs)
		fs_unmount(d->fs);
	endpoint_stop(d->endpoint);
	if (d->store)
		store_stop(d->store);
	fs_free(d->fs);
	store_close(d->store);
	secret_free(d->secret);
}

/* A descriptor of the store's must never be taken for a standard stream that the caller had closed. */
static void hold_standard_streams(void)
{
	int fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO)
		fd = open("/dev/null", O_RDWR);
	if (fd >= 0)
		close(fd);
}

static int remount(struct daemon *d)
{
	const struct options *o = &d->options;
	int error = mountpoint_remount(o->mountpoint, o->read_only, o->mount_words, d->why, WHY_SIZE);

	if (error)
		fprintf(stderr, "tallyfs: %s\n", d->why);
	return error ? 1 : 0;
}

int main(int argc, char **argv)
{
	static struct daemon d;
	sigset_t signals;
	hold_standard_streams();
	int error = options_parse(argc, argv, &d.options, d.why, WHY_SIZE);

	if (!error && d.options.help) {
		fputs(usage, stdout);
		return 0;
	}
	if (!error && d.options.version) {
		puts("tallyfs " TALLYFS_VERSION);
		return 0;
	}
	if (!error && d.options.remount)
		return remount(&d);
	if (!error)
		error = prepare_secret(&d);
	if (!error)
		error = prepare_data(&d);
	if (!error && !d.options.nomount)
		error = prepare_mountpoint(&d);
	if (error) {
		fprintf(stderr, "tallyfs: %s\n", d.why);
		return 1;
	}
	daemonize_start(&d.background, d.options.foreground);
	log_setup(d.options.name, d.options.debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, !d.options.foreground);
	block_signals(&signals);
	error = start(&d);
	if (!error)
		error = serve(&d, &signals);
	stop(&d);
	if (error)
		daemonize_failed(&d.background, d.why);
	return error ? 1 : 0;
}
