/* Programs that save by mkstemp(3) and rename(2), again and again, and programs that read meanwhile on another node: what they find is whole, in order, and never missing. */
#include "tests/lib/files.h"
#include "tests/lib/run.h"
#include "tests/lib/shape.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SAVES 100
#define SIZE 12 /* of "version 001\n" */

/* --- who reads there all the time --- */

struct watcher {
	pthread_t thread;
	char name[256];
	char link[256];
	atomic_bool stop;
	int last;
	unsigned looks;
	char odd[120]; /* what it should not have met */
};

/* The first thing that is wrong. On a serial mount a name that is replaced twice within a call may still be ESTALE. */
static void complain(struct watcher *w, const char *what, long result, const char *text)
{
	if (!w->odd[0] && !(result == ESTALE && shape_serial()))
		snprintf(w->odd, sizeof(w->odd), "after version %d: %s: %ld %.40s", w->last, what, result, text);
}

/* A number, or -1. */
static int number_in(const char *text)
{
	int number = -1;

	return strlen(text) == SIZE && sscanf(text, "version %d", &number) == 1 ? number : -1;
}

static void look_at_content(struct watcher *w)
{
	char text[64] = "";
	struct stat st;
	int fd = open(w->name, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		complain(w, "open", errno, "");
		return;
	}
	if (fstat(fd, &st) != 0)
		complain(w, "fstat", errno, "");
	else if (st.st_size != SIZE || (st.st_mode & 07777) != 0644)
		complain(w, "size and mode", st.st_size, "");
	ssize_t got = read(fd, text, sizeof(text) - 1);
	int number = number_in(text);
	if (number < w->last)
		complain(w, "read", got < 0 ? errno : got, text);
	else
		w->last = number;
	close(fd);
}

static void look_at_names(struct watcher *w)
{
	char text[64] = "";
	struct stat st;

	if (stat(w->name, &st) != 0)
		complain(w, "stat", errno, "");
	/* (It may be a file that was replaced since the walk, of no name.) */
	else if (st.st_size != SIZE || (st.st_mode & 07777) != 0644)
		complain(w, "what stat shows", st.st_size, "");
	if (readlink(w->link, text, sizeof(text) - 1) < 0)
		complain(w, "readlink", errno, "");
	else if (number_in(text) < 0)
		complain(w, "link", 0, text);
}

static void *watcher_run(void *ctx)
{
	struct watcher *w = ctx;
	while (!w->stop) {
		look_at_content(w);
		look_at_names(w);
		w->looks++;
	}
	return NULL;
}

static void watcher_begin(struct watcher *w)
{
	snprintf(w->name, sizeof(w->name), "%s", there("config"));
	snprintf(w->link, sizeof(w->link), "%s", there("link"));
	assert_int_equal(pthread_create(&w->thread, NULL, watcher_run, w), 0);
}

static void watcher_end(struct watcher *w)
{
	w->stop = true;
	pthread_join(w->thread, NULL);
	if (w->odd[0])
		cluster_fail("%s", w->odd);
	assert_true(w->looks > 0);
}

/* --- who saves --- */

#define PROGRAM                                                                                                                            \
	"import os, sys, tempfile\n"                                                                                                       \
	"for i in range(1, int(sys.argv[1]) + 1):\n"                                                                                       \
	"    fd, name = tempfile.mkstemp(prefix='.config.', dir='.')\n"                                                                    \
	"    with os.fdopen(fd, 'w') as f:\n"                                                                                              \
	"        f.write('version ')\n"                                                                                                    \
	"        f.flush()\n"                                                                                                              \
	"        f.write('%03d\\n' % i)\n"                                                                                                 \
	"        os.fchmod(f.fileno(), 0o644)\n"                                                                                           \
	"        f.flush()\n"                                                                                                              \
	"        os.fsync(f.fileno())\n"                                                                                                   \
	"    os.replace(name, 'config')\n"                                                                                                 \
	"    os.symlink('version %03d\\n' % i, 'link.new')\n"                                                                              \
	"    os.replace('link.new', 'link')\n"

static void savers_that_rename_show_only_whole_versions(void **state)
{
	struct watcher w = {0};
	char last[32];
	int saves = rounds(SAVES);
	(void)state;
	shape_enter("saver");
	assert_int_equal(file_write(here("config"), "version 000\n"), 0);
	assert_int_equal(symlink("version 000\n", here("link")), 0);
	shape_settle();
	assert_int_equal(file_write(path("%s/saver/save.py", shape_cluster()->dir), PROGRAM), 0);
	watcher_begin(&w);
	shell(0, "", path("python3 $BESIDE/save.py %d", saves));
	watcher_end(&w);
	snprintf(last, sizeof(last), "version %03d\n", saves);
	expect_file("config", last);
	expect_stat("config", "%A", "-rw-r--r--");
	shell(0, path("%d\n", saves + 1), "ls $THERE/config@ | wc -l");
	shell(0, "config\nhome\nlink\n", "ls -A $THERE");
}

#define TEST(f) cmocka_unit_test(f)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(savers_that_rename_show_only_whole_versions),
	};
	return shape_run(tests, sizeof(tests) / sizeof(*tests));
}
