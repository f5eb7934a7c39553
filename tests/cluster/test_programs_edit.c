/* Editors save: vim, emacs and nano on a terminal, with keys that are pressed. Each save is there whole on the other node, with the file's mode and owner, and
 * is one version of it. */
#include "tests/lib/files.h"
#include "tests/lib/run.h"
#include "tests/lib/shape.h"
#include "tests/lib/terminal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BEFORE "first line\nsecond line\n"
#define LIMIT_MS 20000
/* Below /tmp they would save without backups, as they do nowhere else. (And emacs compiles nothing on the side.) */
#define VIM_KEEPS "--cmd", "set backupskip="
#define EMACS_KEEPS "--eval", "(setq backup-enable-predicate (lambda (name) t) native-comp-deferred-compilation nil)"

static struct terminal terminal;

static int teardown(void **state)
{
	(void)state;
	terminal_drop(&terminal);
	return 0;
}

/* --- an editor at work --- */

struct content {
	const char *name;
	const char *text;
};

static bool is_content(void *ctx)
{
	const struct content *c = ctx;
	return file_is(c->name, c->text);
}

static void begin_edit(const char *shows, const char *const argv[])
{
	assert_int_equal(terminal_start(&terminal, here("%s", ""), here("home"), argv), 0);
	if (!terminal_shows(&terminal, shows, LIMIT_MS))
		cluster_fail("%s does not show %s: %s", argv[0], shows, terminal.text ? terminal.text : "nothing at all");
}

static void press(const char *keys)
{
	assert_true(terminal_type(&terminal, keys));
}

/* Until the editor has saved this. On its own node a save shows at once. */
static void press_until(const char *keys, const char *name, const char *text)
{
	struct content c = {here("%s", name), text};
	press(keys);
	if (!terminal_until(&terminal, is_content, &c, LIMIT_MS))
		cluster_fail("%s was not saved: %s", name, terminal.text);
}

static void press_until_shown(const char *keys, const char *shows)
{
	press(keys);
	if (!terminal_shows(&terminal, shows, LIMIT_MS))
		cluster_fail("%s was not shown: %s", shows, terminal.text);
}

static void end_edit(const char *keys)
{
	press(keys);
	int status = terminal_end(&terminal, LIMIT_MS);
	if (status != 0)
		cluster_fail("the editor ended with %d", status);
}

/* --- somebody who reads there all the time --- */

struct reader {
	pthread_t thread;
	char name[512];
	const char *allowed[4];
	atomic_bool stop;
	unsigned reads;
	char odd[64]; /* a content that was never saved */
};

static void look(struct reader *r)
{
	char text[64];
	ssize_t got = file_read(r->name, text, sizeof(text));
	bool known = got < 0; /* the moment between two renames */

	for (size_t i = 0; !known && i < sizeof(r->allowed) / sizeof(r->allowed[0]) && r->allowed[i]; i++)
		known = strcmp(text, r->allowed[i]) == 0;
	if (!known && !r->odd[0])
		snprintf(r->odd, sizeof(r->odd), "(%zd) %.40s", got, text);
	r->reads++;
}

static void *reader_run(void *ctx)
{
	struct reader *r = ctx;
	const struct timespec nap = {.tv_nsec = 500000};
	while (!r->stop) {
		look(r);
		nanosleep(&nap, NULL);
	}
	return NULL;
}

static void reader_begin(struct reader *r, const char *name)
{
	snprintf(r->name, sizeof(r->name), "%s", there("%s", name));
	assert_int_equal(pthread_create(&r->thread, NULL, reader_run, r), 0);
}

static void reader_end(struct reader *r)
{
	r->stop = true;
	pthread_join(r->thread, NULL);
	if (r->odd[0])
		cluster_fail("%s was read as %s", r->name, r->odd);
	assert_true(r->reads > 0);
}

static void give_file(const char *name)
{
	assert_int_equal(file_write(here("%s", name), BEFORE), 0);
	assert_int_equal(chmod(here("%s", name), 0640), 0);
	assert_int_equal(chown(here("%s", name), 12, 34), 0);
	shape_settle();
}

static void expect_kept(const char *name)
{
	expect_stat(name, "%A %u %g %F", "-rw-r----- 12 34 regular file");
}

/* --- vim --- */

/* As it comes: the old file is renamed, a new one written in its place, the old one deleted. */
static void vim_saves_twice_and_each_save_is_a_version(void **state)
{
	const char *const argv[] = {"vim", VIM_KEEPS, "f", NULL};
	struct reader reader = {.allowed = {BEFORE, "one\nsecond line\n", "two\nsecond line\n"}};
	(void)state;
	shape_enter("vim");
	give_file("f");
	reader_begin(&reader, "f");
	begin_edit("second line", argv);
	assert_int_equal(access(here(".f.swp"), F_OK), 0);
	press_until("ccone\033:w\r", "f", "one\nsecond line\n");
	press_until("cctwo\033:w\r", "f", "two\nsecond line\n");
	end_edit(":q\r");
	reader_end(&reader);
	expect_file("f", "two\nsecond line\n");
	expect_kept("f");
	/* A save is its content, and then owner, group and mode, one after another. */
	expect_versions("f", 3 + 2 * 4, BEFORE, "one\nsecond line\n", "two\nsecond line\n", NULL);
	expect_gone(".f.swp");
	expect_gone("f~");
	expect_gone("4913");
}

/* With backupcopy the old content goes into the backup, and the file itself is truncated and written. */
static void vim_saves_in_place_with_a_backup(void **state)
{
	const char *const argv[] = {"vim", VIM_KEEPS, "-c", "set backup backupcopy=yes", "f", NULL};
	struct reader reader = {.allowed = {BEFORE, "one\nsecond line\n"}};
	(void)state;
	shape_enter("vim-in-place");
	give_file("f");
	long before = (long)xattr_number(here("f"), "user.tallyfs.create_revision");
	reader_begin(&reader, "f");
	begin_edit("second line", argv);
	press("ccone\033");
	end_edit(":wq\r");
	reader_end(&reader);
	expect_file("f", "one\nsecond line\n");
	expect_file("f~", BEFORE);
	expect_kept("f");
	expect_versions("f", 5, BEFORE, "one\nsecond line\n", NULL);
	assert_int_equal(xattr_number(here("f"), "user.tallyfs.create_revision"), before);
}

static void vim_makes_a_file_and_a_second_vim_is_warned(void **state)
{
	const char *const argv[] = {"vim", "new", NULL};
	struct terminal second;
	(void)state;
	shape_enter("vim-new");
	begin_edit("new", argv);
	press_until("ihello\033:w\r", "new", "hello\n");
	press_until_shown("othere\033:preserve\r", "File preserved");
	expect_versions("new", 1, "hello\n", NULL);
	assert_int_equal(terminal_start(&second, there("%s", ""), here("home"), argv), 0);
	bool warned = terminal_shows(&second, "ATTENTION", LIMIT_MS);
	terminal_drop(&second);
	assert_true(warned);
	end_edit(":q!\r");
	expect_file("new", "hello\n");
	expect_gone(".new.swp");
}

/* --- emacs --- */

static bool is_locked(void *ctx)
{
	char link[256];
	(void)ctx;
	return readlink(there(".#f"), link, sizeof(link)) > 0;
}

/* The first save of a session renames the old file to be the backup, the second one truncates and writes. Meanwhile a symlink says who edits. */
static void emacs_saves_twice_with_a_backup_and_a_lock(void **state)
{
	const char *const argv[] = {"emacs", "-nw", "-Q", EMACS_KEEPS, "f", NULL};
	struct reader reader = {.allowed = {BEFORE, "Afirst line\nsecond line\n", "ABfirst line\nsecond line\n"}};
	(void)state;
	shape_enter("emacs");
	give_file("f");
	reader_begin(&reader, "f");
	begin_edit("second line", argv);
	press_until_shown("A", "A");
	press_until("\030\023", "f", "Afirst line\nsecond line\n");
	press_until("B\030\023", "f", "ABfirst line\nsecond line\n");
	press_until_shown("C", "C");
	assert_true(terminal_until(&terminal, is_locked, NULL, LIMIT_MS));
	press("\177\030\023");
	end_edit("\030\003");
	reader_end(&reader);
	expect_file("f", "ABfirst line\nsecond line\n");
	expect_file("f~", BEFORE);
	expect_kept("f");
	expect_versions("f", 8, BEFORE, "Afirst line\nsecond line\n", "ABfirst line\nsecond line\n", NULL);
	expect_gone(".#f");
	expect_gone("#f#");
}

/* --- nano --- */

static void nano_saves_twice(void **state)
{
	const char *const argv[] = {"nano", "f", NULL};
	struct reader reader = {.allowed = {BEFORE, "Afirst line\nsecond line\n", "ABfirst line\nsecond line\n"}};
	(void)state;
	shape_enter("nano");
	give_file("f");
	reader_begin(&reader, "f");
	begin_edit("second line", argv);
	press_until("A\023", "f", "Afirst line\nsecond line\n");
	press_until("B\023", "f", "ABfirst line\nsecond line\n");
	end_edit("\030");
	reader_end(&reader);
	expect_file("f", "ABfirst line\nsecond line\n");
	expect_kept("f");
	expect_versions("f", 5, BEFORE, "Afirst line\nsecond line\n", "ABfirst line\nsecond line\n", NULL);
}

static void nano_makes_a_file_and_keeps_a_backup(void **state)
{
	const char *const argv[] = {"nano", "-B", "new", NULL};
	(void)state;
	shape_enter("nano-new");
	begin_edit("new", argv);
	press_until_shown("hello", "hello");
	press_until_shown("\017", "File Name");
	press_until("\r", "new", "hello\n");
	press_until("A\023", "new", "helloA\n");
	end_edit("\030");
	expect_file("new", "helloA\n");
	expect_versions("new", 4, "hello\n", "helloA\n", NULL);
}

#define TEST(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(vim_saves_twice_and_each_save_is_a_version),
		TEST(vim_saves_in_place_with_a_backup),
		TEST(vim_makes_a_file_and_a_second_vim_is_warned),
		TEST(emacs_saves_twice_with_a_backup_and_a_lock),
		TEST(nano_saves_twice),
		TEST(nano_makes_a_file_and_keeps_a_backup),
	};
	return shape_run(tests, sizeof(tests) / sizeof(*tests));
}
