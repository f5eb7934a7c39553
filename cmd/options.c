#include "cmd/options.h"

#include "base/loopback.h"
#include "cmd/cluster_option.h"
#include "cmd/quantity.h"
#include "fs/path.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NS_PER_MS INT64_C(1000000)

static int fail(char *why, size_t why_size, const char *name, const char *what)
{
	snprintf(why, why_size, "option %s: %s", name, what);
	return -EINVAL;
}

/* --- one option: its value into `o` --- */

struct option_rule {
	const char *name;
	/* `value` is NULL if there is no '='. Says in `why` what is wrong with it. */
	int (*set)(struct options *o, const char *value, char *why, size_t why_size);
};

static int needs(const char *value, const char *name, char *why, size_t why_size)
{
	return value && *value ? 0 : fail(why, why_size, name, "needs a value");
}

static int set_text(char *to, size_t to_size, const char *name, const char *value, char *why, size_t why_size)
{
	if (needs(value, name, why, why_size))
		return -EINVAL;
	if ((size_t)snprintf(to, to_size, "%s", value) >= to_size)
		return fail(why, why_size, name, "too long");
	return 0;
}

static int set_address(char *to, size_t to_size, const char *name, const char *value, char *why, size_t why_size)
{
	int error = set_text(to, to_size, name, value, why, why_size);

	if (!error && quantity_address(value)) {
		snprintf(why, why_size, "option %s: '%s' is not HOST:PORT", name, value);
		error = -EINVAL;
	}
	return error;
}

static int set_duration(int64_t *to, const char *name, const char *value, char *why, size_t why_size)
{
	if (needs(value, name, why, why_size))
		return -EINVAL;
	if (quantity_duration(value, to) || *to <= 0) {
		snprintf(why, why_size, "option %s: '%s' is not a time (as 50ms, 5s, 2m)", name, value);
		return -EINVAL;
	}
	return 0;
}

/* A timer of raft: whole milliseconds, at most an hour. */
static int set_timer(uint32_t *to, const char *name, const char *value, char *why, size_t why_size)
{
	int64_t ns;

	if (set_duration(&ns, name, value, why, why_size))
		return -EINVAL;
	if (ns < NS_PER_MS || ns > 3600000 * NS_PER_MS) {
		snprintf(why, why_size, "option %s: '%s' is not between 1ms and 1h", name, value);
		return -EINVAL;
	}
	*to = (uint32_t)(ns / NS_PER_MS);
	return 0;
}

static int set_size(uint64_t *to, const char *name, const char *value, char *why, size_t why_size)
{
	if (needs(value, name, why, why_size))
		return -EINVAL;
	if (quantity_size(value, to) || *to == 0) {
		snprintf(why, why_size, "option %s: '%s' is not a size (as 64M)", name, value);
		return -EINVAL;
	}
	return 0;
}

static int set_flag(bool *to, bool on, const char *name, const char *value, char *why, size_t why_size)
{
	if (value)
		return fail(why, why_size, name, "takes no value");
	*to = on;
	return 0;
}

static int on_consistency(struct options *o, const char *value, char *why, size_t why_size)
{
	if (!value || (strcmp(value, "linearizable") != 0 && strcmp(value, "serial") != 0))
		return fail(why, why_size, "consistency", "must be linearizable or serial");
	o->linearizable = strcmp(value, "linearizable") == 0;
	return 0;
}

static int on_name(struct options *o, const char *value, char *why, size_t why_size)
{
	int error = set_text(o->name, sizeof(o->name), "name", value, why, why_size);

	if (!error && !cluster_option_name(o->name)) {
		snprintf(why, why_size, "option name: '%s' is not a name for a node", o->name);
		error = -EINVAL;
	}
	return error;
}

static int on_cluster(struct options *o, const char *value, char *why, size_t why_size)
{
	return needs(value, "cluster", why, why_size) ? -EINVAL : cluster_option_parse(value, &o->store, why, why_size);
}

static int on_listen(struct options *o, const char *value, char *why, size_t why_size)
{
	return set_address(o->listen, sizeof(o->listen), "listen", value, why, why_size);
}

static int on_client(struct options *o, const char *value, char *why, size_t why_size)
{
	return set_address(o->client, sizeof(o->client), "client", value, why, why_size);
}

static int on_secret(struct options *o, const char *value, char *why, size_t why_size)
{
	return set_text(o->secret, sizeof(o->secret), "secret", value, why, why_size);
}

static int on_timeout(struct options *o, const char *value, char *why, size_t why_size)
{
	return set_duration(&o->store.timeout_ns, "timeout", value, why, why_size);
}

static int on_heartbeat(struct options *o, const char *value, char *why, size_t why_size)
{
	return set_timer(&o->store.heartbeat_ms, "heartbeat", value, why, why_size);
}

static int on_election(struct options *o, const char *value, char *why, size_t why_size)
{
	return set_timer(&o->store.election_ms, "election", value, why, why_size);
}

/* Leases count in seconds. */
static int on_lock_ttl(struct options *o, const char *value, char *why, size_t why_size)
{
	int64_t ns;

	if (set_duration(&ns, "lock_ttl", value, why, why_size))
		return -EINVAL;
	if (ns % (1000 * NS_PER_MS) || ns > 3600 * 1000 * NS_PER_MS) {
		snprintf(why, why_size, "option lock_ttl: '%s' is not a number of whole seconds, from 1s to 1h", value);
		return -EINVAL;
	}
	o->lock_ttl_s = (uint32_t)(ns / (1000 * NS_PER_MS));
	return 0;
}

static int on_max_file(struct options *o, const char *value, char *why, size_t why_size)
{
	return set_size(&o->store.max_file, "max_file", value, why, why_size);
}

static int on_quota(struct options *o, const char *value, char *why, size_t why_size)
{
	return set_size(&o->store.quota, "quota", value, why, why_size);
}

/* A time, or, as a bare number, so many revisions. */
static int on_retain(struct options *o, const char *value, char *why, size_t why_size)
{
	uint64_t revisions = 0;
	int64_t ns = 0;

	if (needs(value, "retain", why, why_size))
		return -EINVAL;
	int error = value[strspn(value, "0123456789")] ? quantity_duration(value, &ns) : quantity_size(value, &revisions);
	if (error || (ns <= 0 && revisions == 0)) {
		snprintf(why, why_size, "option retain: '%s' is neither a time (as 7d, 12h) nor a number of revisions, above 0", value);
		return -EINVAL;
	}
	o->store.retain_ns = ns;
	o->store.retain_revisions = revisions;
	return 0;
}

static int on_nomount(struct options *o, const char *value, char *why, size_t why_size)
{
	return set_flag(&o->nomount, true, "nomount", value, why, why_size);
}

static int on_inotify(struct options *o, const char *value, char *why, size_t why_size)
{
	return set_flag(&o->inotify, true, "inotify", value, why, why_size);
}

static int on_ro(struct options *o, const char *value, char *why, size_t why_size)
{
	return set_flag(&o->read_only, true, "ro", value, why, why_size);
}

static int on_rw(struct options *o, const char *value, char *why, size_t why_size)
{
	return set_flag(&o->read_only, false, "rw", value, why, why_size);
}

static int on_remount(struct options *o, const char *value, char *why, size_t why_size)
{
	return set_flag(&o->remount, true, "remount", value, why, why_size);
}

static int on_allow_other(struct options *o, const char *value, char *why, size_t why_size)
{
	return set_flag(&o->allow_other, true, "allow_other", value, why, why_size);
}

/* It is on by default wherever it has an effect on anybody but a root without his capabilities. */
static int on_default_permissions(struct options *o, const char *value, char *why, size_t why_size)
{
	return set_flag(&o->default_permissions, true, "default_permissions", value, why, why_size);
}

static int on_fsname(struct options *o, const char *value, char *why, size_t why_size)
{
	return set_text(o->fsname, sizeof(o->fsname), "fsname", value, why, why_size);
}

static int on_max_threads(struct options *o, const char *value, char *why, size_t why_size)
{
	uint64_t n;

	if (!value || quantity_size(value, &n) || n < 1 || n > 1000)
		return fail(why, why_size, "max_threads", "must be a number from 1 to 1000");
	o->max_threads = (uint32_t)n;
	return 0;
}

static int on_rev_mark(struct options *o, const char *value, char *why, size_t why_size)
{
	if (!value || !value[0] || value[1] || !path_mark_valid(value[0]))
		return fail(why, why_size, "rev_mark", "must be one punctuation character other than / - . :");
	o->rev_mark = value[0];
	return 0;
}

static int pass_word(struct options *o, const char *name, char *why, size_t why_size)
{
	size_t used = strlen(o->mount_words), left = sizeof(o->mount_words) - used;

	if ((size_t)snprintf(o->mount_words + used, left, "%s%s", used ? "," : "", name) >= left)
		return fail(why, why_size, name, "too many options");
	return 0;
}

static int on_max_read(struct options *o, const char *value, char *why, size_t why_size)
{
	uint64_t n;

	if (!value || value[strspn(value, "0123456789")] || quantity_size(value, &n) || n < 4096 || n > UINT32_MAX)
		return fail(why, why_size, "max_read", "must be a number of bytes, from 4096");
	o->max_read = (uint32_t)n;
	return 0;
}

static const struct option_rule rules[] = {
	{"consistency", on_consistency},
	{"name", on_name},
	{"cluster", on_cluster},
	{"listen", on_listen},
	{"client", on_client},
	{"secret", on_secret},
	{"timeout", on_timeout},
	{"heartbeat", on_heartbeat},
	{"election", on_election},
	{"lock_ttl", on_lock_ttl},
	{"max_file", on_max_file},
	{"quota", on_quota},
	{"retain", on_retain},
	{"nomount", on_nomount},
	{"inotify", on_inotify},
	{"ro", on_ro},
	{"rw", on_rw},
	{"remount", on_remount},
	{"allow_other", on_allow_other},
	{"default_permissions", on_default_permissions},
	{"fsname", on_fsname},
	{"max_threads", on_max_threads},
	{"max_read", on_max_read},
	{"rev_mark", on_rev_mark},
	{NULL, NULL},
};

static bool listed(const char *const *list, const char *name)
{
	for (; *list; list++) {
		if (strcmp(*list, name) == 0)
			return true;
	}
	return false;
}

/* Words that mount(8) and fstab add: for libfuse, or of no meaning to a file system. */
static int set_mount_word(struct options *o, const char *name, bool has_value, char *why, size_t why_size)
{
	static const char *const passed[] = {"nodev",   "nosuid", "noexec", "dev",     "suid",         "exec",       "atime",
					     "noatime", "sync",   "async",  "dirsync", "auto_unmount", "allow_root", NULL};
	static const char *const ignored[] = {"_netdev",  "auto",       "noauto",      "user",          "users",    "nouser",
					      "owner",    "noowner",    "group",       "nogroup",       "nofail",   "defaults",
					      "relatime", "norelatime", "strictatime", "nostrictatime", "lazytime", "nolazytime",
					      "diratime", "nodiratime", "silent",      "loud",          "mand",     "nomand",
					      "iversion", "noiversion", "nonempty",    "clone_fd",      NULL};

	/* Those that the kernel shows of a mount, and mount(8) hands back to change it. */
	if (o->remount && (strcmp(name, "user_id") == 0 || strcmp(name, "group_id") == 0))
		return 0;
	if (strncmp(name, "x-", 2) == 0 || strncmp(name, "X-", 2) == 0 || strcmp(name, "subtype") == 0 || strcmp(name, "comment") == 0 ||
	    (!has_value && listed(ignored, name)))
		return 0;
	if (has_value || !listed(passed, name)) {
		snprintf(why, why_size, "unknown option '%s'", name);
		return -EINVAL;
	}
	return pass_word(o, name, why, why_size);
}

static int set_option(struct options *o, char *text, char *why, size_t why_size)
{
	static const char *const later[] = {"endpoints", "balance", NULL};
	char *value = strchr(text, '=');

	if (value)
		*value++ = '\0';
	for (const struct option_rule *r = rules; r->name; r++) {
		if (strcmp(r->name, text) == 0)
			return r->set(o, value, why, why_size);
	}
	if (listed(later, text)) {
		snprintf(why, why_size, "option '%s' is not supported yet", text);
		return -EINVAL;
	}
	return set_mount_word(o, text, value != NULL, why, why_size);
}

static int set_list(struct options *o, const char *list, char *why, size_t why_size)
{
	char *copy = strdup(list), *rest = copy;
	int error = 0;

	if (!copy)
		abort();
	for (char *one = strsep(&rest, ","); one && !error; one = strsep(&rest, ",")) {
		if (*one)
			error = set_option(o, one, why, why_size);
	}
	free(copy);
	return error;
}

static void set_defaults(struct options *o)
{
	*o = (struct options){.linearizable = true, .max_threads = 4, .lock_ttl_s = 10, .rev_mark = PATH_MARK};
	o->store.timeout_ns = INT64_C(5000) * NS_PER_MS;
	o->store.heartbeat_ms = 50;
	o->store.election_ms = 500;
	o->store.max_file = UINT64_C(64) << 20;
	o->store.quota = UINT64_C(8) << 30;
	o->store.retain_ns = INT64_C(7 * 86400) * 1000 * NS_PER_MS;
	if (gethostname(o->name, sizeof(o->name) - 1) != 0 || !cluster_option_name(o->name))
		snprintf(o->name, sizeof(o->name), "localhost");
}

/* Without a secret nothing is sealed: then nothing goes beyond this machine. */
static int check_sealed(const struct options *o, const char *option, const char *address, char *why, size_t why_size)
{
	if (o->secret[0] || !address[0] || is_loopback(address))
		return 0;
	snprintf(why, why_size, "%s: %s is not a loopback address, so it needs secret=", option, address);
	return -EINVAL;
}

static int check_network(const struct options *o, char *why, size_t why_size)
{
	int error = check_sealed(o, "listen=", o->listen, why, why_size);

	if (!error)
		error = check_sealed(o, "client=", o->client, why, why_size);
	for (uint32_t i = 0; !error && i < o->store.members_count; i++)
		error = check_sealed(o, "cluster=", o->store.members[i].address, why, why_size);
	return error;
}

static int check_whole(struct options *o, char *why, size_t why_size)
{
	const struct store_member *self = cluster_option_find(&o->store, o->name);

	if (o->store.members_count && !self) {
		snprintf(why, why_size, "cluster= has no member '%s' (name= says who this node is)", o->name);
		return -EINVAL;
	}
	if (o->store.heartbeat_ms >= o->store.election_ms) {
		snprintf(why, why_size, "heartbeat= (%ums) must be shorter than election= (%ums)", o->store.heartbeat_ms,
			 o->store.election_ms);
		return -EINVAL;
	}
	if (check_network(o, why, why_size))
		return -EINVAL;
	o->store.name = o->name;
	o->store.listen = o->listen[0] ? o->listen : NULL;
	return 0;
}

static int set_paths(struct options *o, int count, char **paths, char *why, size_t why_size)
{
	int wanted = o->nomount ? 1 : 2;

	if (count != wanted) {
		const char *what = count == 0       ? "DATA is missing (see tallyfs -h)"
				   : count < wanted ? "MOUNTPOINT is missing (see tallyfs -h)"
				   : o->nomount     ? "with nomount there is no MOUNTPOINT (see tallyfs -h)"
						    : "too many arguments (see tallyfs -h)";
		snprintf(why, why_size, "%s", what);
		return -EINVAL;
	}
	if (set_text(o->data, sizeof(o->data), "DATA", paths[0], why, why_size))
		return -EINVAL;
	return o->nomount ? 0 : set_text(o->mountpoint, sizeof(o->mountpoint), "MOUNTPOINT", paths[1], why, why_size);
}

static int unknown_letter(int argc, char **argv, char *why, size_t why_size)
{
	if (optopt == 'o')
		snprintf(why, why_size, "-o needs options");
	else if (optopt)
		snprintf(why, why_size, "unknown option '-%c'", optopt);
	else
		snprintf(why, why_size, "unknown option '%s'", optind > 0 && optind <= argc ? argv[optind - 1] : "");
	return -EINVAL;
}

int options_parse(int argc, char **argv, struct options *out, char *why, size_t why_size)
{
	static const struct option words[] = {{"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'}, {NULL, 0, NULL, 0}};
	int error = 0, letter;

	set_defaults(out);
	opterr = 0;
	optind = 0;
	while (!error && (letter = getopt_long(argc, argv, "o:fdVh", words, NULL)) != -1) {
		if (letter == 'o')
			error = set_list(out, optarg, why, why_size);
		else if (letter == '?')
			error = unknown_letter(argc, argv, why, why_size);
		out->foreground |= letter == 'f' || letter == 'd';
		out->debug |= letter == 'd';
		out->version |= letter == 'V';
		out->help |= letter == 'h';
	}
	if (error || out->help || out->version)
		return error;
	error = set_paths(out, argc - optind, argv + optind, why, why_size);
	return error ? error : check_whole(out, why, why_size);
}
