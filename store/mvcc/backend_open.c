#include "store/mvcc/backend.h"
#include "store/mvcc/backend_folder.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MAP_BYTES_DEFAULT ((uint64_t)1 << 40)
#define MAP_BYTES_MIN ((uint64_t)1 << 28)
/* LMDB may leave the last few pages unwritten when nothing is in them; a file shorter than that was cut off. */
#define PAGES_UNWRITTEN_MAX 256u

struct opening {
	const struct backend_config *config;
	char file[PATH_MAX];
	char *why;
	size_t why_size;
};

static int refuse(const struct opening *o, int error, const char *what)
{
	snprintf(o->why, o->why_size, "%s: %s", o->file, what);
	return error;
}

static int env_try(struct backend *b, const struct opening *o, uint64_t map_bytes)
{
	unsigned flags = MDB_NOTLS | (o->config->no_sync ? MDB_NOSYNC : MDB_NOMETASYNC);
	int rc = mdb_env_create(&b->env);
	if (rc)
		return rc;
	mdb_env_set_maxdbs(b->env, 8);
	mdb_env_set_maxreaders(b->env, BACKEND_READERS_MAX + 8);
	mdb_env_set_mapsize(b->env, map_bytes);
	rc = mdb_env_open(b->env, o->config->dir, flags, 0600);
	if (rc) {
		mdb_env_close(b->env);
		b->env = NULL;
	}
	return rc;
}

/* Address space may be scarce (ulimit -v, sanitizers): then a smaller map has to do. */
static int env_open(struct backend *b, const struct opening *o)
{
	uint64_t map_bytes = o->config->map_bytes ? o->config->map_bytes : MAP_BYTES_DEFAULT;
	int rc = env_try(b, o, map_bytes);
	while (rc == ENOMEM && map_bytes > MAP_BYTES_MIN) {
		map_bytes /= 2;
		rc = env_try(b, o, map_bytes);
	}
	if (rc == MDB_VERSION_MISMATCH)
		return refuse(o, -EBADMSG,
			      "made by another version of LMDB; start the tallyfs that wrote it, or move it away to begin anew");
	if (rc == MDB_INVALID)
		return refuse(o, -EBADMSG,
			      "not an LMDB file, or its header is damaged; restore this disk's content; while a majority of the other "
			      "members runs, nothing is lost");
	if (rc) {
		snprintf(o->why, o->why_size, "%s: cannot open: %s", o->file, mdb_strerror(rc));
		return backend_errno(rc);
	}
	return 0;
}

/* Touching the map beyond the end of the file would kill the process. */
static int check_length(struct backend *b, const struct opening *o)
{
	struct stat st;
	mdb_filehandle_t fd;
	if (mdb_env_get_fd(b->env, &fd) || fstat(fd, &st))
		return refuse(o, -EIO, "cannot tell its length");
	MDB_stat stat;
	mdb_env_stat(b->env, &stat);
	uint64_t pages = backend_file_bytes(b) / stat.ms_psize;
	if ((uint64_t)st.st_size + (uint64_t)PAGES_UNWRITTEN_MAX * stat.ms_psize >= pages * stat.ms_psize)
		return 0;
	snprintf(o->why, o->why_size,
		 "%s: cut off: %" PRIu64 " bytes long, but %" PRIu64
		 " are in use; restore this disk's content; while a majority of the other members runs, nothing is lost",
		 o->file, (uint64_t)st.st_size, pages * stat.ms_psize);
	return -EBADMSG;
}

static int check_state(const struct opening *o, MDB_val stored, struct state *out)
{
	if (state_decode((struct span){stored.mv_data, stored.mv_size}, out))
		return refuse(
			o, -EBADMSG,
			"its state is damaged; restore this disk's content; while a majority of the other members runs, nothing is lost");
	if (out->format != MVCC_FORMAT) {
		snprintf(o->why, o->why_size, "%s: in format %" PRIu32 ", this tallyfs reads format %u; start the tallyfs that wrote it",
			 o->file, out->format, MVCC_FORMAT);
		return -EBADMSG;
	}
	/* Made while its node waited to be told its cluster, and used by none so far. */
	if (out->cluster_id == 0 && out->applied == 0)
		out->cluster_id = o->config->cluster_id;
	if (out->cluster_id != o->config->cluster_id) {
		snprintf(o->why, o->why_size, "%s: of cluster %016" PRIx64 ", not %016" PRIx64 "; use the data directory of this cluster",
			 o->file, out->cluster_id, o->config->cluster_id);
		return -EBADMSG;
	}
	return 0;
}

/* Opens the databases. With `create` they are made. */
static int open_databases(struct backend *b, MDB_txn *txn, unsigned create)
{
	int rc = mdb_dbi_open(txn, "metas", create, &b->metas);
	if (rc == 0)
		rc = mdb_dbi_open(txn, "records", create, &b->records);
	if (rc == 0)
		rc = mdb_dbi_open(txn, "blocks", create, &b->blocks);
	if (rc == 0)
		rc = mdb_dbi_open(txn, "stages", create, &b->stages);
	return rc;
}

/* Looks at what is there in a read transaction, so that a refused file stays as it is. -ENOENT: nothing is there. */
static int open_existing(struct backend *b, const struct opening *o, struct state *out)
{
	MDB_txn *txn;
	MDB_stat stat;
	MDB_val key = {strlen(META_STATE), META_STATE};
	MDB_val value;
	int rc = mdb_env_stat(b->env, &stat);
	if (rc == 0 && stat.ms_entries == 0)
		return -ENOENT;
	if (rc == 0)
		rc = mdb_txn_begin(b->env, NULL, MDB_RDONLY, &txn);
	if (rc)
		return refuse(o, backend_errno(rc), mdb_strerror(rc));
	int error;
	rc = mdb_dbi_open(txn, "metas", 0, &b->metas);
	if (rc == 0)
		rc = mdb_get(txn, b->metas, &key, &value);
	if (rc)
		error = refuse(o, -EBADMSG, "not a store of tallyfs; move it away to begin anew");
	else
		error = check_state(o, value, out);
	if (!error && open_databases(b, txn, 0))
		error = refuse(o, -EBADMSG,
			       "parts of it are missing; restore this disk's content; while a majority of the other members runs, nothing "
			       "is lost");
	/* Committing, not aborting, keeps the handles of the databases. */
	if (error)
		mdb_txn_abort(txn);
	else
		mdb_txn_commit(txn);
	return error;
}

static int make_new(struct backend *b, const struct opening *o, const struct state *fresh, const struct buffer *first)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(b->env, NULL, 0, &txn);
	if (rc == 0) {
		rc = open_databases(b, txn, MDB_CREATE);
		if (rc == 0)
			rc = backend_write(b, txn, first, fresh);
		if (rc)
			mdb_txn_abort(txn);
		else
			rc = mdb_txn_commit(txn);
	}
	return rc ? refuse(o, backend_errno(rc), mdb_strerror(rc)) : 0;
}

static void pool_init(struct backend *b)
{
	pthread_mutex_init(&b->pool_lock, NULL);
	pthread_cond_init(&b->pool_returned, NULL);
}

static int make_folder(const struct opening *o)
{
	if (mkdir(o->config->dir, 0700) == 0 || errno == EEXIST)
		return 0;
	int error = -errno;
	snprintf(o->why, o->why_size, "%s: cannot be made: %s", o->config->dir, strerror(-error));
	return error;
}

/* The folder and the environment in it, whatever that holds. */
static int begin_opening(struct backend *b, struct opening *o)
{
	snprintf(o->file, sizeof o->file, "%s/data.mdb", o->config->dir);
	*b = (struct backend){.no_sync = o->config->no_sync};
	int error = make_folder(o);
	if (!error)
		error = env_open(b, o);
	if (error)
		return error;
	pool_init(b);
	return check_length(b, o);
}

int backend_open_filling(struct backend *b, const struct backend_config *config, char *why, size_t why_size)
{
	struct opening o = {.config = config, .why = why, .why_size = why_size};
	MDB_txn *txn;
	int error = begin_opening(b, &o);
	if (error)
		return error;
	int rc = mdb_txn_begin(b->env, NULL, 0, &txn);
	if (rc == 0) {
		rc = open_databases(b, txn, MDB_CREATE);
		if (rc)
			mdb_txn_abort(txn);
		else
			rc = mdb_txn_commit(txn);
	}
	return rc ? refuse(&o, backend_errno(rc), mdb_strerror(rc)) : 0;
}

/* A store that is not whole could not be told from a damaged one, so it is made aside, and gets its name when it is on the disk. */
static int make_aside(const struct backend_config *config, const struct state *fresh, const struct buffer *first, char *why,
		      size_t why_size)
{
	char dir[PATH_MAX];
	struct backend b;
	struct backend_config aside = *config;
	struct opening o = {.config = &aside, .why = why, .why_size = why_size};
	snprintf(dir, sizeof dir, "%s.making", config->dir);
	backend_folder_clear(dir);
	aside.dir = dir;
	int error = begin_opening(&b, &o);
	if (!error)
		error = make_new(&b, &o, fresh, first);
	if (!error && (error = backend_sync(&b)))
		refuse(&o, error, strerror(-error));
	backend_close(&b);
	if (!error && (error = backend_folder_rename(dir, config->dir, !config->no_sync)))
		refuse(&o, error, strerror(-error));
	if (error)
		backend_folder_clear(dir);
	return error;
}

int backend_open(struct backend *b, const struct backend_config *config, const struct state *fresh, const struct buffer *first,
		 struct state *out, char *why, size_t why_size)
{
	struct opening o = {.config = config, .why = why, .why_size = why_size};
	*b = (struct backend){.env = NULL};
	int error = make_folder(&o);
	if (!error && backend_folder_is_new(config->dir))
		error = make_aside(config, fresh, first, why, why_size);
	if (!error)
		error = begin_opening(b, &o);
	if (error)
		return error;
	error = open_existing(b, &o, out);
	if (error == -ENOENT) {
		error = make_new(b, &o, fresh, first);
		*out = *fresh;
	}
	if (!error) {
		error = backend_sync(b);
		if (error)
			refuse(&o, error, strerror(-error));
	}
	return error;
}
