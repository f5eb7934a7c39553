#include "store/identity.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define NODE_FILE_HEAD "tallyfs-node 1\n"

static int refuse(char *why, size_t why_size, int error, const char *path, const char *what)
{
	snprintf(why, why_size, "%s: %s", path, what);
	return error;
}

/* FNV-1a, with a final mix: ids need only be the same everywhere and differ for different names. */
static uint64_t hash_text(uint64_t hash, const char *text)
{
	for (; *text; text++)
		hash = (hash ^ (uint8_t)*text) * 0x100000001b3u;
	hash ^= hash >> 32;
	return hash ? hash : 1;
}

static uint64_t hash_name(const char *name)
{
	return hash_text(0xcbf29ce484222325u, name);
}

static int by_name(const void *a, const void *b)
{
	const struct store_member *x = a, *y = b;
	return strcmp(x->name, y->name);
}

uint64_t identity_draw(void)
{
	uint64_t id = 0;
	while (id == 0)
		if (getrandom(&id, sizeof(id), 0) != sizeof(id))
			abort();
	return id;
}

static uint64_t cluster_id_of(const struct identity *i)
{
	if (i->members_count == 1 && i->members[0].address[0] == '\0')
		return identity_draw();
	uint64_t id = 0x6c62272e07bb0142u;
	for (uint32_t m = 0; m < i->members_count; m++)
		id = hash_text(hash_text(hash_text(hash_text(id, i->members[m].name), "="), i->members[m].address), "/");
	return id;
}

static int lock_data(const char *data, int *fd, char *why, size_t why_size)
{
	char path[4096];
	struct stat st;

	if (mkdir(data, 0700) < 0 && errno != EEXIST) {
		int error = -errno;
		snprintf(why, why_size, "%s: cannot make the data directory: %s", data, strerror(-error));
		return error;
	}
	if (stat(data, &st) < 0)
		return refuse(why, why_size, -errno, data, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return refuse(why, why_size, -ENOTDIR, data, "is not a directory; DATA is the directory where this node keeps its store");
	if ((size_t)snprintf(path, sizeof(path), "%s/lock", data) >= sizeof(path))
		return refuse(why, why_size, -ENAMETOOLONG, data, "the path is too long");
	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (*fd < 0) {
		int error = -errno;
		snprintf(why, why_size, "%s: cannot write to the data directory: %s", data, strerror(-error));
		return error;
	}
	if (flock(*fd, LOCK_EX | LOCK_NB) < 0) {
		int error = -errno;
		close(*fd);
		*fd = -1;
		if (error == -EWOULDBLOCK)
			return refuse(why, why_size, -EBUSY, data,
				      "is in use by another tallyfs daemon; stop that one, or give another DATA");
		return refuse(why, why_size, error, path, strerror(-error));
	}
	return 0;
}

static int parse_line(struct identity *i, const char *line)
{
	struct store_member *m = &i->members[i->members_count];
	if (sscanf(line, "cluster %" SCNx64, &i->cluster_id) == 1 || sscanf(line, "name %63s", i->name) == 1)
		return 0;
	if (i->members_count < STORE_MEMBERS_MAX && sscanf(line, "member %63s %127s", m->name, m->address) >= 1) {
		i->members_count++;
		return 0;
	}
	return -EBADMSG;
}

static int read_node_file(const char *path, struct identity *i, char *why, size_t why_size)
{
	char line[512];
	int rc = 0;
	FILE *f = fopen(path, "re");
	if (!f)
		return -errno;
	if (!fgets(line, sizeof(line), f) || strcmp(line, NODE_FILE_HEAD) != 0)
		rc = -EBADMSG;
	while (rc == 0 && fgets(line, sizeof(line), f))
		rc = parse_line(i, line);
	fclose(f);
	bool unnamed = i->members_count == 0 && i->name[0] == '\0';
	if (rc == 0 && (i->cluster_id == 0 || (!unnamed && (i->members_count == 0 || i->name[0] == '\0'))))
		rc = -EBADMSG;
	if (rc < 0)
		refuse(why, why_size, rc, path, "is damaged or of another version; put it back as it was, it never changes");
	return rc;
}

static int sync_directory(const char *data)
{
	int fd = open(data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int rc = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

static int write_node_file(const char *data, const char *path, const struct identity *i)
{
	char temporary[4300];
	snprintf(temporary, sizeof(temporary), "%s.new", path);
	FILE *f = fopen(temporary, "we");
	if (!f)
		return -errno;
	fprintf(f, "%scluster %016" PRIx64 "\n", NODE_FILE_HEAD, i->cluster_id);
	if (i->name[0])
		fprintf(f, "name %s\n", i->name);
	for (uint32_t m = 0; m < i->members_count; m++)
		fprintf(f, "member %s %s\n", i->members[m].name, i->members[m].address);
	int rc = fflush(f) != 0 || fsync(fileno(f)) < 0 ? -errno : 0;
	if (fclose(f) != 0 && rc == 0)
		rc = -errno;
	if (rc == 0 && rename(temporary, path) < 0)
		rc = -errno;
	return rc < 0 ? rc : sync_directory(data);
}

static void describe_new(const struct store_config *config, struct identity *i)
{
	if (config->name)
		snprintf(i->name, sizeof(i->name), "%s", config->name);
	else if (gethostname(i->name, sizeof(i->name) - 1) < 0 || i->name[0] == '\0')
		snprintf(i->name, sizeof(i->name), "localhost");
	i->members_count = config->members_count;
	memcpy(i->members, config->members, sizeof(i->members));
	if (i->members_count == 0) {
		i->members_count = 1;
		i->members[0] = (struct store_member){0};
		memcpy(i->members[0].name, i->name, sizeof(i->name));
	}
	qsort(i->members, i->members_count, sizeof(i->members[0]), by_name);
	i->cluster_id = cluster_id_of(i);
}

int identity_write_unnamed(const char *data, uint64_t cluster_id)
{
	char path[4200];
	struct identity i = {.cluster_id = cluster_id};
	snprintf(path, sizeof(path), "%s/node", data);
	return write_node_file(data, path, &i);
}

/* A restored DATA starts for the first time. */
static int describe_restored(const struct store_config *config, struct identity *i, char *why, size_t why_size)
{
	uint64_t cluster_id = i->cluster_id;
	describe_new(config, i);
	i->cluster_id = cluster_id;
	if (i->members_count == 1)
		return 0;
	snprintf(why, why_size,
		 "%s: was restored from a snapshot and begins as a cluster of one: name only this node in cluster=; the others join later",
		 config->data);
	return -EINVAL;
}

static bool holds_data(const char *data)
{
	static const char *const parts[] = {"wal", "store"};
	char path[4200];
	for (size_t p = 0; p < 2; p++) {
		snprintf(path, sizeof(path), "%s/%s", data, parts[p]);
		if (access(path, F_OK) == 0)
			return true;
	}
	return false;
}

static void empty_directory(const char *path)
{
	char file[4600];
	DIR *d = opendir(path);
	if (!d)
		return;
	for (struct dirent *e; (e = readdir(d));) {
		snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
		if (e->d_name[0] != '.')
			unlink(file);
	}
	closedir(d);
	rmdir(path);
}

void identity_withdraw(const struct identity *i, const char *data)
{
	char path[4200];
	if (!i->fresh)
		return;
	snprintf(path, sizeof(path), "%s/wal", data);
	empty_directory(path);
	snprintf(path, sizeof(path), "%s/store", data);
	empty_directory(path);
	snprintf(path, sizeof(path), "%s/node", data);
	unlink(path);
}

static int settle(const struct store_config *config, struct identity *i, char *why, size_t why_size)
{
	char path[4200];
	snprintf(path, sizeof(path), "%s/node", config->data);
	int rc = read_node_file(path, i, why, why_size);
	i->fresh = rc == -ENOENT;
	if (i->fresh && holds_data(config->data))
		return refuse(why, why_size, -EBADMSG, path,
			      "is missing although DATA holds a log or a store; put it back, it never changes");
	bool unnamed = rc == 0 && i->name[0] == '\0';
	if (i->fresh)
		describe_new(config, i);
	else if (unnamed)
		rc = describe_restored(config, i, why, why_size);
	if (!i->fresh && rc < 0)
		return rc;
	if (!i->fresh && config->name && strcmp(config->name, i->name) != 0) {
		snprintf(why, why_size, "%s: belongs to node '%s', but name=%s was given", config->data, i->name, config->name);
		return -EINVAL;
	}
	i->id = hash_name(i->name);
	for (uint32_t m = 0; m < i->members_count; m++)
		i->ids[m] = hash_name(i->members[m].name);
	if (!identity_member(i, i->id)) {
		snprintf(why, why_size, "name=%s is not among the members in cluster=", i->name);
		return -EINVAL;
	}
	if ((i->fresh || unnamed) && (rc = write_node_file(config->data, path, i)) < 0)
		return refuse(why, why_size, rc, path, strerror(-rc));
	return 0;
}

int identity_open(const struct store_config *config, struct identity *out, char *why, size_t why_size)
{
	*out = (struct identity){.lock_fd = -1};
	int rc = lock_data(config->data, &out->lock_fd, why, why_size);
	if (rc == 0)
		rc = settle(config, out, why, why_size);
	if (rc < 0)
		identity_close(out);
	return rc;
}

void identity_close(struct identity *i)
{
	if (i->lock_fd >= 0)
		close(i->lock_fd);
	i->lock_fd = -1;
}

const struct store_member *identity_member(const struct identity *i, uint64_t id)
{
	for (uint32_t m = 0; m < i->members_count; m++)
		if (i->ids[m] == id)
			return &i->members[m];
	return NULL;
}
