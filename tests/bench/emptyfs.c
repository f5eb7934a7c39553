/* emptyfs: a FUSE file system that does nothing, as the limit that tallyfs is measured against.
 *
 * usage: emptyfs MOUNTPOINT. Stays in front, prints "ready" once the kernel has connected, ends on SIGTERM, SIGINT or an unmount.
 *
 * It answers the requests that a file of 256 bytes makes, with constants: no table, no lock, no allocation of its own. A name that begins
 * with 'd' is a directory of 1,000 entries, one that begins with "new-" does not exist yet, any other is a file. An inode number is a
 * hash of the parent's number and the name, odd for directories (the root is 1). Nothing is cached: timeouts are 0 and files are
 * direct_io, so every operation reaches this process. */
#include <errno.h>
#include <fuse3/fuse_lowlevel.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_BYTES 256
#define DIR_ENTRIES 1000
#define WORKERS 4

static char content[FILE_BYTES];
/* All entries of any directory, encoded; they have one size, so that a slice of it answers a readdir. */
static char listing[DIR_ENTRIES * 64];
static size_t listing_bytes;
static size_t entry_bytes;

static fuse_ino_t number_of(fuse_ino_t parent, const char *name)
{
	uint64_t h = 0xcbf29ce484222325u ^ parent;
	for (const char *p = name; *p; p++)
		h = (h ^ (uint8_t)*p) * 0x100000001b3u;
	h &= UINT64_C(0x7ffffffffffffffe);
	return (fuse_ino_t)(h | (name[0] == 'd') | (h == 0 ? 2 : 0));
}

static void fill_attr(fuse_ino_t ino, struct stat *st)
{
	bool dir = ino & 1;
	*st = (struct stat){.st_ino = ino, .st_mode = dir ? S_IFDIR | 0755 : S_IFREG | 0644, .st_nlink = dir ? 2 : 1};
	st->st_size = dir ? 0 : FILE_BYTES;
}

static void fill_entry(fuse_ino_t ino, struct fuse_entry_param *e)
{
	*e = (struct fuse_entry_param){.ino = ino};
	fill_attr(ino, &e->attr);
}

static void on_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	(void)conn;
	puts("ready");
	fflush(stdout);
}

static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	if (strncmp(name, "new-", 4) == 0) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	struct fuse_entry_param e;
	fill_entry(number_of(parent, name), &e);
	fuse_reply_entry(req, &e);
}

static void on_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	(void)ino;
	(void)nlookup;
	fuse_reply_none(req);
}

static void on_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	(void)count;
	(void)forgets;
	fuse_reply_none(req);
}

static void on_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)fi;
	struct stat st;
	fill_attr(ino, &st);
	fuse_reply_attr(req, &st, 0);
}

static void on_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	(void)attr;
	(void)to_set;
	on_getattr(req, ino, fi);
}

static void on_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	(void)mode;
	(void)rdev;
	struct fuse_entry_param e;
	fill_entry(number_of(parent, name), &e);
	fuse_reply_entry(req, &e);
}

static void on_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	on_mknod(req, parent, name, mode, 0);
}

static void on_remove(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(void)parent;
	(void)name;
	fuse_reply_err(req, 0);
}

static void on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fi->direct_io = 1;
	fuse_reply_open(req, fi);
}

static void on_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	(void)mode;
	struct fuse_entry_param e;
	fill_entry(number_of(parent, name), &e);
	fi->direct_io = 1;
	fuse_reply_create(req, &e, fi);
}

static void on_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	size_t start = (size_t)offset < FILE_BYTES ? (size_t)offset : FILE_BYTES;
	size_t left = FILE_BYTES - start;
	fuse_reply_buf(req, content + start, size < left ? size : left);
}

static void on_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size, off_t offset, struct fuse_file_info *fi)
{
	(void)ino;
	(void)bytes;
	(void)offset;
	(void)fi;
	fuse_reply_write(req, size);
}

/* flush, release, releasedir */
static void on_close(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, 0);
}

static void on_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)datasync;
	on_close(req, ino, fi);
}

static void on_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fuse_reply_open(req, fi);
}

/* An entry's offset is the number of entries up to and with it. */
static void on_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	size_t start = (size_t)offset * entry_bytes;
	if (start > listing_bytes)
		start = listing_bytes;
	size_t whole = size - size % entry_bytes;
	size_t left = listing_bytes - start;
	fuse_reply_buf(req, listing + start, whole < left ? whole : left);
}

static void on_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	(void)ino;
	(void)name;
	(void)size;
	fuse_reply_err(req, ENODATA);
}

static const struct fuse_lowlevel_ops operations = {
	.init = on_init,
	.lookup = on_lookup,
	.forget = on_forget,
	.forget_multi = on_forget_multi,
	.getattr = on_getattr,
	.setattr = on_setattr,
	.mknod = on_mknod,
	.mkdir = on_mkdir,
	.unlink = on_remove,
	.rmdir = on_remove,
	.open = on_open,
	.create = on_create,
	.read = on_read,
	.write = on_write,
	.flush = on_close,
	.release = on_close,
	.fsync = on_fsync,
	.opendir = on_opendir,
	.readdir = on_readdir,
	.releasedir = on_close,
	.getxattr = on_getxattr,
};

static void build_listing(void)
{
	for (unsigned i = 0; i < DIR_ENTRIES; i++) {
		char name[16];
		snprintf(name, sizeof(name), "e%04u", i);
		struct stat st;
		fill_attr(number_of(FUSE_ROOT_ID, name), &st);
		entry_bytes = fuse_add_direntry(NULL, listing + listing_bytes, sizeof(listing) - listing_bytes, name, &st, (off_t)i + 1);
		listing_bytes += entry_bytes;
	}
}

static int serve(struct fuse_session *session)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	if (!config)
		return 1;
	fuse_loop_cfg_set_clone_fd(config, 1);
	fuse_loop_cfg_set_max_threads(config, WORKERS);
	int rc = fuse_session_loop_mt(session, config);
	fuse_loop_cfg_destroy(config);
	return rc < 0; /* a signal that ended it is positive */
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: %s MOUNTPOINT\n", argv[0]);
		return 2;
	}
	memset(content, 'x', sizeof(content));
	build_listing();
	char option_flag[] = "-o", options[] = "fsname=emptyfs";
	char *fuse_argv[] = {argv[0], option_flag, options, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(3, fuse_argv);
	int rc = 1;
	struct fuse_session *session = fuse_session_new(&args, &operations, sizeof(operations), NULL);
	if (!session)
		goto out;
	if (fuse_set_signal_handlers(session) != 0)
		goto out;
	if (fuse_session_mount(session, argv[1]) != 0)
		goto out;
	rc = serve(session);
	fuse_session_unmount(session);
out:
	if (session) {
		fuse_remove_signal_handlers(session);
		fuse_session_destroy(session);
	}
	fuse_opt_free_args(&args);
	return rc;
}
