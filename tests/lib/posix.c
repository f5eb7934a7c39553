#include "tests/lib/posix.h"

#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define RULES_MAX 64
#define TOLD_MAX 40

static struct cluster *cluster;
static bool serial;
static int home = -1;     /* where the test program started */
static unsigned checks;   /* of all rules */
static unsigned failures; /* of this rule */
static char about[200];

struct cluster *posix_cluster(void)
{
	return cluster;
}

bool posix_is_serial(void)
{
	return serial;
}

void posix_about(const char *format, ...)
{
	va_list arguments;

	about[0] = '\0';
	if (!format)
		return;
	va_start(arguments, format);
	vsnprintf(about, sizeof(about), format, arguments);
	va_end(arguments);
}

static void failed(const char *file, int line, const char *what, const char *how)
{
	if (failures++ < TOLD_MAX)
		printf("# %s:%d: %s%s%s %s\n", file, line, what, about[0] ? ", about " : ":", about, how);
	fflush(stdout);
}

long posix_works(long result, const char *what, const char *file, int line)
{
	char how[100];

	checks++;
	if (result < 0) {
		snprintf(how, sizeof(how), "failed with %s", strerrorname_np(errno));
		failed(file, line, what, how);
	}
	return result;
}

void posix_refused(long result, int error, const char *error_name, const char *what, const char *file, int line)
{
	char how[100];

	checks++;
	if (result < 0 && errno == error)
		return;
	snprintf(how, sizeof(how), "%s%s, not %s", result < 0 ? "failed with " : "succeeded", result < 0 ? strerrorname_np(errno) : "",
		 error_name);
	failed(file, line, what, how);
}

void posix_equal(long long a, long long b, const char *what, const char *file, int line)
{
	char how[100];

	checks++;
	if (a == b)
		return;
	snprintf(how, sizeof(how), "but it is %lld (0%llo), not %lld (0%llo)", a, (unsigned long long)a, b, (unsigned long long)b);
	failed(file, line, what, how);
}

void posix_true(bool so, const char *what, const char *file, int line)
{
	checks++;
	if (!so)
		failed(file, line, what, "is not so");
}

void posix_as_root(void)
{
	const gid_t none[1] = {0};

	if (seteuid(0) != 0 || setegid(0) != 0 || setgroups(1, none) != 0)
		abort();
}

void posix_as(uid_t uid, gid_t gid, gid_t also)
{
	const gid_t groups[] = {gid, also};

	posix_as_root();
	if (setgroups(2, groups) != 0 || setegid(gid) != 0 || seteuid(uid) != 0)
		abort();
}

void posix_in_child(void (*check)(void))
{
	int status;

	fflush(stdout);
	pid_t child = fork();
	if (child < 0)
		abort();
	if (child == 0) {
		failures = 0;
		check();
		_exit(failures != 0);
	}
	checks++;
	if (waitpid(child, &status, 0) != child || status != 0)
		failures++;
}

static const struct {
	const char *name;
	mode_t mode;
} types[POSIX_TYPES] = {
	[REGULAR] = {"a regular file", S_IFREG},      [DIRECTORY] = {"a directory", S_IFDIR},     [FIFO] = {"a fifo", S_IFIFO},
	[BLOCK_DEVICE] = {"a block device", S_IFBLK}, [CHAR_DEVICE] = {"a char device", S_IFCHR}, [SOCKET] = {"a socket", S_IFSOCK},
	[SYMLINK] = {"a symbolic link", S_IFLNK},
};

const char *posix_type_name(enum posix_type type)
{
	return types[type].name;
}

mode_t posix_type_mode(enum posix_type type)
{
	return types[type].mode;
}

/* sun_path holds 108 bytes: names here are short and relative. */
static int bind_at(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", name);
	int result = bind(fd, (struct sockaddr *)&address, sizeof(address));
	int error = errno;
	close(fd);
	errno = error;
	return result == 0 ? chmod(name, 0644) : result;
}

void posix_make(enum posix_type type, const char *name)
{
	switch (type) {
	case REGULAR:
		works(close((int)works(open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644))));
		break;
	case DIRECTORY:
		works(mkdir(name, 0755));
		break;
	case FIFO:
		works(mkfifo(name, 0644));
		break;
	case BLOCK_DEVICE:
	case CHAR_DEVICE:
		works(mknod(name, types[type].mode | 0644, makedev(1, 2)));
		break;
	case SOCKET:
		works(bind_at(name));
		break;
	case SYMLINK:
		works(symlink("nowhere", name));
		break;
	case POSIX_TYPES:
		abort();
	}
}

void posix_remove(enum posix_type type, const char *name)
{
	works(type == DIRECTORY ? rmdir(name) : unlink(name));
}

void posix_fill(const char *name, const void *data, size_t size)
{
	int fd = (int)works(open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));

	equal(write(fd, data, size), size);
	works(close(fd));
}

bool posix_holds(const char *name, const void *data, size_t size)
{
	size_t got;
	char *content = file_load(name, &got);
	bool same = content && got == size && memcmp(content, data, size) == 0;

	free(content);
	return same;
}

struct stat posix_stat(const char *name)
{
	struct stat st = {0};

	works(lstat(name, &st));
	return st;
}

mode_t posix_mode(const char *name)
{
	return posix_stat(name).st_mode & 07777;
}

static int64_t ns(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t posix_atime(const char *name)
{
	return ns(posix_stat(name).st_atim);
}

int64_t posix_mtime(const char *name)
{
	return ns(posix_stat(name).st_mtim);
}

int64_t posix_ctime(const char *name)
{
	return ns(posix_stat(name).st_ctim);
}

void posix_start(void)
{
	home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	umask(0);
	failures = 0;
	posix_about(NULL);
}

void posix_finish(void)
{
	posix_as_root();
	posix_about(NULL);
	if (failures)
		cluster_fail("%u checks failed", failures);
}

static int leave(void **state)
{
	(void)state;
	posix_as_root();
	return fchdir(home) + close(home);
}

int posix_teardown(void **state)
{
	return leave(state) + cluster_teardown(state);
}

static void run_rule(void **state)
{
	const struct posix_rule *rule = *state;

	if (!cluster)
		cluster = cluster_up(1, serial ? "consistency=serial,allow_other,default_permissions" : "allow_other,default_permissions");
	posix_start();
	assert_int_equal(chdir(cluster->nodes[0].mount), 0);
	assert_int_equal(mkdir(rule->name, 0755), 0);
	assert_int_equal(chdir(rule->name), 0);
	rule->check();
	posix_finish();
}

static int run_on(const struct posix_rule *rules, size_t count, const char *kind)
{
	static struct CMUnitTest tests[RULES_MAX];
	static char names[RULES_MAX][128];

	if (count > RULES_MAX)
		abort();
	for (size_t i = 0; i < count; i++) {
		snprintf(names[i], sizeof(names[i]), "%s: %s", kind, rules[i].name);
		tests[i] = (struct CMUnitTest){
			.name = names[i], .test_func = run_rule, .teardown_func = leave, .initial_state = (void *)(uintptr_t)&rules[i]};
	}
	serial = strcmp(kind, "serial") == 0;
	cluster = NULL;
	return _cmocka_run_group_tests(kind, tests, count, NULL, cluster_teardown);
}

int posix_run(const struct posix_rule *rules, size_t count)
{
	int failed_tests = run_on(rules, count, "linearizable") + run_on(rules, count, "serial");
	note("%u checks", checks);
	return failed_tests;
}
