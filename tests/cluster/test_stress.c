/* A few seconds of what `make stress` does for minutes: programs that were written to find what is wrong with a file system. */
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *const modes[] = {"consistency=linearizable", "consistency=serial"};
#define MODES (sizeof(modes) / sizeof(modes[0]))

static void expect_clean(const struct run_result *r)
{
	if (r->status != 0 || strstr(r->out, "fail") || strstr(r->out, "rror") || r->err_size > 0)
		cluster_fail("status %d, said: %s%s", r->status, r->out, r->err);
}

/* Nothing of it is left, and all nodes hold the same. */
static void expect_well(struct cluster *c)
{
	char names[256], health[64];
	cluster_agree(c);
	for (int i = 0; i < c->count; i++) {
		dir_names(path("%s/work", c->nodes[i].mount), names, sizeof(names));
		assert_string_equal(names, "");
		assert_true(node_field(c, i, "health", health, sizeof(health)));
		assert_string_equal(health, "ok");
	}
}

static void run_stress_ng(const char *work)
{
	static const char *const stressors = "--access 1 --chmod 1 --dentry 1 --dentries 64 --dir 1 --dir-dirs 64 --dirdeep 1 "
					     "--dirdeep-dirs 2 --dirdeep-inodes 32 --fcntl 1 --flock 1 "
					     "--fstat 1 --getdent 1 --hdd 1 --hdd-bytes 4M --lockf 1 --mknod 1 --open 1 --rename 1 --seek "
					     "1 --seek-size 4M --touch 1 --utime 1";
	struct run_result r;
	run_shell(&r, "stress-ng --temp-path %s --verify -t 2 %s 2>&1", work, stressors);
	expect_clean(&r);
	run_done(&r);
}

static void run_dbench(const char *work)
{
	struct run_result r;
	run_shell(&r, "dbench -D %s -t 1 2 && rm -r %s/*", work, work);
	assert_non_null(strstr(r.out, "Throughput"));
	expect_clean(&r);
	run_done(&r);
}

static void programs_that_look_for_trouble_find_none(void **state)
{
	(void)state;
	for (size_t mode = 0; mode < MODES; mode++) {
		struct cluster *c = cluster_up(3, modes[mode]);
		const char *work = path("%s/work", c->nodes[1].mount);
		assert_int_equal(mkdir(work, 0777), 0);
		run_stress_ng(work);
		run_dbench(work);
		expect_well(c);
		assert_int_equal(cluster_teardown(NULL), 0);
	}
}

int main(void)
{
#define STORY(f) cmocka_unit_test_teardown(f, cluster_teardown)
	const struct CMUnitTest tests[] = {
		STORY(programs_that_look_for_trouble_find_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
