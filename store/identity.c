#include "store/identity.h"

#include "base/durable.h"

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

#define NODE_FILE_HEAD "tallyfs-node "
#define NODE_FILE_FORMAT 2

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

uint64_t members_first_id(const char *name)
{
	return hash_text(0xcbf29ce484222325u, name);
}

uint64_t identity_draw(void)
{
	uint64_t drawn = 0;
	while (drawn == 0)
		if (getrandom(&drawn, sizeof(drawn), 0) != sizeof(drawn))
			abort();
	return drawn;
}

static int by_name(const void *a, const void *b)
{
	const struct store_member *x = a, *y = b;
	return strcmp(x->name, y->name);
}

static uint64_t origin_of(const struct identity *i)
{
	uint64_t id = 0x6c62272e07bb0142u;
	for (uint32_t m = 0; m < i->first_count; m++)
		id = hash_text(hash_text(hash_text(hash_text(id, i->first[m].name), "="), i->first[m].address), "/");
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

static int parse_note(struct identity *i, const char *line)
{
	struct join_note *n = &i->notes.of[i->notes.count];
	char mark[16] = "";
	if (i->notes.count == STORE_MEMBERS_MAX || sscanf(line, "noted %63s %" SCNx64 " %15s", n->name, &n->incarnation, mark) < 2)
		return -EBADMSG;
	n->founder = strcmp(mark, "founder") == 0;
	i->notes.count++;
	return 0;
}

static int parse_line(struct identity *i, const char *line)
{
	struct store_member *m = &i->first[i->first_count];
	struct identity_peer *p = &i->peers[i->peers_count];
	if (sscanf(line, "cluster %" SCNx64, &i->cluster_id) == 1 || sscanf(line, "id %" SCNx64, &i->id) == 1 ||
	    sscanf(line, "name %63s", i->name) == 1 || sscanf(line, "incarnation %" SCNx64, &i->incarnation) == 1)
		return 0;
	if (i->first_count < STORE_MEMBERS_MAX && sscanf(line, "member %63s %127s", m->name, m->address) >= 1) {
		i->first_count++;
		return 0;
	}
	if (i->peers_count < STORE_MEMBERS_MAX && sscanf(line, "peer %" SCNx64 " %63s %127s", &p->id, p->who.name, p->who.address) == 3) {
		i->peers_count++;
		return 0;
	}
	return parse_note(i, line);
}

static bool is_unnamed(const struct identity *i)
{
	return i->name[0] == '\0' && i->first_count == 0 && i->cluster_id != 0;
}

static bool file_is_whole(const struct identity *i)
{
	return is_unnamed(i) ||
	       (i->name[0] != '\0' && i->first_count > 0 && (i->id == 0) == (i->cluster_id == 0) && (i->id != 0 || i->incarnation != 0));
}

/* Format 1: a first member, from before there were incarnations. */
static void read_as_first(struct identity *i)
{
	i->id = members_first_id(i->name);
	i->incarnation = i->id;
	i->notes.lost = true;
}

static int read_node_file(const char *path, struct identity *i, char *why, size_t why_size)
{
	char line[512];
	int rc = 0, format = 0;
	FILE *f = fopen(path, "re");
	if (!f)
		return -errno;
	if (!fgets(line, sizeof(line), f) || sscanf(line, NODE_FILE_HEAD "%d", &format) != 1 || format < 1 || format > NODE_FILE_FORMAT)
		rc = -EBADMSG;
	while (rc == 0 && fgets(line, sizeof(line), f))
		rc = parse_line(i, line);
	fclose(f);
	if (rc == 0 && format == 1 && !is_unnamed(i))
		read_as_first(i);
	if (rc == 0 && !file_is_whole(i))
		rc = -EBADMSG;
	if (rc < 0)
		refuse(why, why_size, rc, path, "is damaged or of another version; put it back as it was");
	return rc;
}

static void print_node_file(FILE *f, const struct identity *i)
{
	fprintf(f, NODE_FILE_HEAD "%d\n", NODE_FILE_FORMAT);
	if (i->cluster_id != 0)
		fprintf(f, "cluster %016" PRIx64 "\n", i->cluster_id);
	if (i->id != 0)
		fprintf(f, "id %016" PRIx64 "\n", i->id);
	if (i->name[0])
		fprintf(f, "name %s\nincarnation %016" PRIx64 "\n", i->name, i->incarnation);
	for (uint32_t m = 0; m < i->first_count; m++)
		fprintf(f, "member %s %s\n", i->first[m].name, i->first[m].address);
	for (uint32_t p = 0; p < i->peers_count; p++)
		fprintf(f, "peer %016" PRIx64 " %s %s\n", i->peers[p].id, i->peers[p].who.name, i->peers[p].who.address);
	for (uint32_t n = 0; n < i->notes.count; n++)
		fprintf(f, "noted %s %016" PRIx64 "%s\n", i->notes.of[n].name, i->notes.of[n].incarnation,
			i->notes.of[n].founder ? " founder" : "");
}

int identity_keep(const struct identity *i, const char *data)
{
	char path[4200], temporary[4300];
	if (i->notes.lost)
		return 0; /* it never changes */
	snprintf(path, sizeof(path), "%s/node", data);
	snprintf(temporary, sizeof(temporary), "%s.new", path);
	FILE *f = fopen(temporary, "we");
	if (!f)
		return -errno;
	print_node_file(f, i);
	int rc = fflush(f) != 0 || fsync(fileno(f)) < 0 ? -errno : 0;
	if (fclose(f) != 0 && rc == 0)
		rc = -errno;
	if (rc == 0 && rename(temporary, path) < 0)
		rc = -errno;
	if (rc == 0)
		rc = durable_names(data);
	return rc < 0 ? rc : durable_name(data); /* it may be new itself */
}

/* From cluster=, or of its own: a node alone. */
static void set_first(struct identity *i, const struct store_config *config)
{
	i->first_count = config->members_count;
	memcpy(i->first, config->members, sizeof(i->first));
	if (i->first_count == 0) {
		i->first_count = 1;
		i->first[0] = (struct store_member){0};
		memcpy(i->first[0].name, i->name, sizeof(i->name));
	}
	qsort(i->first, i->first_count, sizeof(i->first[0]), by_name);
}

/* A cluster of one is there at once; one of more begins when its first members have met (join.h). */
static void describe_new(const struct store_config *config, struct identity *i)
{
	if (config->name)
		snprintf(i->name, sizeof(i->name), "%s", config->name);
	else if (gethostname(i->name, sizeof(i->name) - 1) < 0 || i->name[0] == '\0')
		snprintf(i->name, sizeof(i->name), "localhost");
	i->incarnation = identity_draw();
	set_first(i, config);
	if (i->first_count > 1)
		return;
	i->cluster_id = identity_draw();
	i->id = members_first_id(i->name);
}

int identity_write_unnamed(const char *data, uint64_t cluster_id)
{
	const struct identity i = {.cluster_id = cluster_id};
	return identity_keep(&i, data);
}

/* A restored DATA starts for the first time. */
static int describe_restored(const struct store_config *config, struct identity *i, char *why, size_t why_size)
{
	uint64_t cluster_id = i->cluster_id;
	describe_new(config, i);
	i->cluster_id = cluster_id;
	if (i->first_count == 1)
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

static bool find_self(struct identity *i, const char *listen)
{
	for (uint32_t m = 0; m < i->first_count; m++) {
		if (strcmp(i->first[m].name, i->name) != 0)
			continue;
		bool tells = listen && strncmp(listen, "0.0.0.0:", 8) != 0 && listen[0] != '*'; /* one that others can connect to */
		snprintf(i->address, sizeof(i->address), "%s", i->first[m].address[0] || !tells ? i->first[m].address : listen);
		return true;
	}
	return false;
}

/* What the file said, or what is to be said in it; `changed`: it is to be written. */
static int describe(const struct store_config *config, struct identity *i, int rc, bool *changed, char *why, size_t why_size)
{
	*changed = true;
	if (i->fresh) {
		describe_new(config, i);
		return 0;
	}
	if (rc == 0 && is_unnamed(i))
		return describe_restored(config, i, why, why_size);
	*changed = rc == 0 && i->id == 0 && config->members_count > 1;
	if (*changed)
		set_first(i, config);
	if (rc == 0 && config->name && strcmp(config->name, i->name) != 0) {
		snprintf(why, why_size, "%s: belongs to node '%s', but name=%s was given", config->data, i->name, config->name);
		return -EINVAL;
	}
	return rc;
}

static int settle(const struct store_config *config, struct identity *i, char *why, size_t why_size)
{
	char path[4200];
	bool changed;
	snprintf(path, sizeof(path), "%s/node", config->data);
	int rc = read_node_file(path, i, why, why_size);
	i->fresh = rc == -ENOENT;
	if (i->fresh && holds_data(config->data))
		return refuse(why, why_size, -EBADMSG, path, "is missing although DATA holds a log or a store; put it back");
	rc = describe(config, i, rc, &changed, why, why_size);
	if (rc < 0)
		return rc;
	i->origin = origin_of(i);
	if (!find_self(i, config->listen)) {
		snprintf(why, why_size, "name=%s is not among the members in cluster=", i->name);
		return -EINVAL;
	}
	rc = changed ? identity_keep(i, config->data) : 0;
	return rc < 0 ? refuse(why, why_size, rc, path, strerror(-rc)) : 0;
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

bool identity_is_first(const struct identity *i)
{
	return i->id == members_first_id(i->name) && i->cluster_id == i->origin;
}
