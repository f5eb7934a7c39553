/* What people run all day: git, make, rsync, tar, cp, find, grep, sed, sqlite3, flock, each as Debian has it. It works on one node, and what it did is
 * looked at on another. */
#include "tests/lib/files.h"
#include "tests/lib/run.h"
#include "tests/lib/shape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Names, types, modes, owners, sizes, times and targets of all below a directory, for comparison. */
#define LIST "find . -mindepth 1 \\( -type d -printf '%P %y %m %U:%G %T@\\n' -o -printf '%P %y %m %U:%G %s %T@ %l\\n' \\) | sort"
/* A tree with all that a copy has to keep: in $1. */
#define TREE                                                                                                                               \
	"mkdir -p tree/dir/empty && cd tree && printf 'text\\n' > file && head -c 200000 /dev/urandom > dir/large && : > dir/none && "     \
	"ln -s dir/large link && ln -s nowhere/at/all dangling && mkfifo -m 0620 fifo && "                                                 \
	"mkdir -m 2770 dir/setgid && printf '#!/bin/sh\\necho ran\\n' > 'a name with blanks' && chmod 4751 'a name with blanks' && "       \
	"chmod 0400 file && chown 12:34 file dir && chown -h 56:78 link && chmod 1777 dir/empty && "                                       \
	"touch -d '2001-02-03 04:05:06.123456789' file dir/none && touch -h -d '2002-02-03 04:05:06.987654321' link dangling fifo && "     \
	"touch -d '1999-12-31 23:59:59.5' dir/empty dir/setgid dir && cd .. && "

/* --- sed -i --- */

static void sed_edits_in_place(void **state)
{
	(void)state;
	shape_enter("sed");
	shell(0, "",
	      "printf 'one\\ntwo\\n' > f && chmod 0640 f && chown 12:34 f && sed -i s/two/2/ f && sed -i s/one/1/ f && sed -i.old s/2/II/ "
	      "f");
	expect_file("f", "1\nII\n");
	expect_file("f.old", "1\n2\n");
	expect_stat("f", "%A %u %g", "-rw-r----- 12 34");
	/* sed sets owner and mode while its new file has no name yet: a save is one revision. */
	expect_versions("f", 3 + 3, "one\ntwo\n", "one\n2\n", "1\n2\n", "1\nII\n", NULL);
	shell(0, "f\nf.old\nhome\n", "ls");
}

/* --- git --- */

static void git_keeps_a_repository(void **state)
{
	(void)state;
	shape_enter("git");
	shell(0, "",
	      "git config --global user.name me && git config --global user.email me@here && git config --global safe.directory '*' && "
	      "git config --global init.defaultBranch main");
	shell(0, "?? a\n?? sub/\n",
	      "git init -q repo && cd repo && echo one > a && mkdir sub && echo two > sub/b && chmod 755 sub/b && git status --short");
	shell(0, "", "cd repo && git add . && git commit -qm first && git status --short");
	shape_settle();
	/* On the other node the index is right as it is: same inode numbers, times and modes. */
	shell(0, "first\n",
	      "cd $THERE/repo && git diff-files --quiet && git status --short && git fsck --no-progress && git log --format=%s");
	shell(0, " M a\n", "cd $THERE/repo && echo three >> a && git status --short");
	shell(0, "", "cd $THERE/repo && git commit -qam second && git branch side HEAD~1");
	shape_settle();
	shell(0, "second\nfirst\n", "cd repo && git diff-files --quiet && git log --format=%s");
	shell(0, "",
	      "cd repo && git tag v1 && git checkout -q side && echo four > sub/c && git add . && git commit -qm third && git checkout -q "
	      "main && "
	      "git merge -q -m merged side && git gc -q && git fsck --no-progress && test -z \"$(find .git/objects -type f ! -path "
	      "'*/pack/*' ! -path '*/info/*')\"");
	shape_settle();
	shell(0, "merged\n", "cd $THERE/repo && git fsck --no-progress && git log -1 --format=%s && git cat-file -p HEAD:sub/c >/dev/null");
	/* A clone by path would link; it copies. */
	shell(0, "one\nthree\n", "git clone -q repo clone && cd clone && git fsck --no-progress && git status --short && cat a");
	shape_settle();
	shell(0, "",
	      "cd $THERE && git clone -q --no-local clone clone2 && diff -r --exclude=.git clone clone2 && git -C clone2 fsck "
	      "--no-progress");
	shape_settle();
	shell(0, "", "diff -r --exclude=.git repo clone2 && find . -name '*.lock' -o -name 'tmp_*'");
	shell(1, "", "cd repo && : > .git/index.lock && git add a 2> said; grep -q 'index.lock.: File exists' said && exit 1");
}

/* --- make and gcc --- */

static void make_builds_what_has_changed(void **state)
{
	(void)state;
	/* Itself run by make, it would say where it goes, and share its jobs. */
	assert_int_equal(unsetenv("MAKELEVEL") | unsetenv("MAKEFLAGS") | unsetenv("MFLAGS"), 0);
	shape_enter("make");
	shell(0, "",
	      "printf '#include \"b.h\"\\nint main(void)\\n{\\n\\treturn puts(word()) < 0;\\n}\\n' > a.c && "
	      "printf '#include \"b.h\"\\nconst char *word(void)\\n{\\n\\treturn \"old\";\\n}\\n' > b.c && "
	      "printf '#include <stdio.h>\\nconst char *word(void);\\n' > b.h && "
	      "printf 'a: a.o b.o\\n\\tgcc -o $@ $^\\n%%.o: %%.c b.h\\n\\tgcc -c -o $@ $<\\n' > Makefile");
	shell(0, NULL, "make -s && make -q && ./a > $BESIDE/out");
	assert_true(file_is(path("%s/make/out", shape_cluster()->dir), "old\n"));
	shape_settle();
	/* Nothing to do on the other node either, where the program runs from its mount. */
	shell(0, "old\n", "cd $THERE && make -q && ./a");
	shell(1, NULL, "cd $THERE && sed -i s/old/new/ b.c && make -q");
	shell(0, "gcc -c -o b.o b.c\ngcc -o a a.o b.o\nnew\n", "cd $THERE && make && ./a");
	shape_settle();
	shell(0, "new\n", "make -q && ./a");
	/* Times of what is written one after the other are in order. */
	shell(0, "", "for i in 1 2 3 4 5 6 7 8 9; do echo $i > older && echo $i > newer && test newer -nt older || echo not newer; done");
	shell(0, NULL, "make -s -j2 -B && ./a && strip a && ./a");
	shell(2, NULL, "echo '#error no' >> b.c && make");
}

/* --- copies --- */

static void cp_a_keeps_everything(void **state)
{
	(void)state;
	shape_enter("cp");
	shell(0, "",
	      "cd $BESIDE && " TREE "cd $HERE && cp -a $BESIDE/tree . && "
	      "python3 -c \"import os; os.setxattr('tree/dir/large', 'user.note', b'kept')\" && cp -a tree again");
	shape_settle();
	shell(0, "",
	      "cd $BESIDE/tree && " LIST " > ../list && cd $THERE/tree && " LIST " | diff $BESIDE/list - && cd $THERE/again && " LIST
	      " | diff $BESIDE/list -");
	shell(0, "", "cd $THERE && for f in file dir/large dir/none; do cmp $BESIDE/tree/$f again/$f; done");
	shell(0, "b'kept' ran\n",
	      "cd $THERE/again && echo $(python3 -c \"import os; print(os.getxattr('dir/large', 'user.note'))\") "
	      "$(./'a name with blanks')");
	shell(0, "",
	      "cp -a again $BESIDE/back && cd $BESIDE/back && " LIST " | diff $BESIDE/list - && cd .. && "
	      "for f in file dir/large dir/none; do cmp tree/$f back/$f; done");
	expect_versions("again/file", 4, "text\n", NULL);
	shell(0, "", "rm -r tree again");
	shape_settle();
	shell(0, "home\n", "ls -A $THERE");
}

static void tar_packs_and_unpacks_everything(void **state)
{
	(void)state;
	shape_enter("tar");
	shell(0, "", TREE "cd tree && " LIST " > $BESIDE/list");
	/* Read while it does not change: tar says so otherwise. */
	shell(0, "", "tar --format=posix -cf all.tar tree && tar -df all.tar");
	shape_settle();
	shell(0, "",
	      "cd $THERE && mkdir out && tar -xpf all.tar -C out && tar -df all.tar && cd out/tree && " LIST " | diff $BESIDE/list -");
	shape_settle();
	shell(0, "", "cd out/tree && " LIST " | diff $BESIDE/list - && cmp dir/large ../../tree/dir/large && cmp file ../../tree/file");
	shell(0, "",
	      "tar --format=posix -C tree -czf - . | (mkdir piped && cd piped && tar -xpzf -) && cd piped && " LIST
	      " | diff $BESIDE/list -");
	/* Over what is there: each file anew. */
	shell(0, "", "echo changed > out/tree/dir/none && tar -xpf all.tar -C out && cd out/tree && " LIST " | diff $BESIDE/list -");
	expect_versions("out/tree/file", 8, "text\n", NULL);
}

static void rsync_copies_what_differs(void **state)
{
	(void)state;
	shape_enter("rsync");
	shell(0, "",
	      "cd $BESIDE && " TREE "cd tree && " LIST " > ../list && cd $HERE && rsync -a $BESIDE/tree/ copy/ && cd copy && " LIST
	      " | diff $BESIDE/list - && cmp dir/large $BESIDE/tree/dir/large");
	shape_settle();
	shell(0, "", "cd $THERE && rsync -ai copy/ $BESIDE/tree/ && rsync -aic $BESIDE/tree/ copy/");
	shell(0, ">f.st...... dir/none\n",
	      "cd $THERE && echo more > $BESIDE/tree/dir/none && rsync -ai --omit-dir-times $BESIDE/tree/ copy/");
	expect_file("copy/dir/none", "more\n");
	/* It writes beside and renames: nobody ever saw it half, and what it sets besides is there with the name. */
	expect_versions("copy/dir/none", 2, "", "more\n", NULL);
	shell(0, "", "rm $BESIDE/tree/file && rsync -a --delete $BESIDE/tree/ copy/ && rsync -a copy/ $THERE/copy2/");
	expect_gone("copy/file");
	expect_gone("copy2/file");
	shape_settle();
	shell(0, "", "cd $BESIDE/tree && " LIST " > ../list && cd $THERE/copy2 && " LIST " | diff $BESIDE/list -");
	/* Only what differs is written into the file itself. (Times are compared by the second.) */
	shell(0, "",
	      "printf changed | dd status=none of=$BESIDE/tree/dir/large bs=1 seek=1000 conv=notrunc && touch -d 2003-01-01 "
	      "$BESIDE/tree/dir/large && "
	      "ino=$(stat -c %i copy/dir/large) && rsync -a --inplace --no-whole-file $BESIDE/tree/ copy/ && test $(stat -c %i "
	      "copy/dir/large) = $ino");
	shape_settle();
	shell(0, "empty\nlarge\nnone\nsetgid\n", "cmp $BESIDE/tree/dir/large $THERE/copy/dir/large && ls -A $THERE/copy/dir");
}

/* --- looking for things --- */

static void find_and_grep_see_what_there_is_and_nothing_hidden(void **state)
{
	(void)state;
	shape_enter("find");
	shell(0, "",
	      "mkdir -p a/b/c && for d in a a/b a/b/c; do printf 'needle\\n' > $d/f && printf 'needle\\n' > $d/f && echo hay > $d/g; done "
	      "&& "
	      "ln -s f a/link && chmod 600 a/b/g && touch -d '2001-01-01' a/f && touch -d '2002-01-01' a/b/f && : > a/none");
	shape_settle();
	shell(0, "a/b/c/f:1\na/b/f:1\na/f:1\n", "cd $THERE && grep -rc needle a | grep -v ':0' | sort");
	shell(0, "a/b/c/f\na/b/f\n", "cd $THERE && find a -name f -newer a/f | sort");
	shell(0, "a/b/g\n", "cd $THERE && find a -type f -perm 600");
	shell(0, "a\na/b\na/b/c\n", "cd $THERE && find a -type d | sort");
	shell(0, "11\n", "cd $THERE && find a | wc -l");
	shell(0, "a/b/f\na/f\n", "cd $THERE && find a -name f -mtime +1000 | sort");
	shell(0, "a/none\na/link\n", "cd $THERE && find a -empty -type f && find a -type l");
	shell(1, "", "cd $THERE && grep -r straw a");
	shell(0, "a/b/c/f: needle\n", "cd $THERE && find a/b/c -name f -exec sh -c 'echo $1: $(cat $1)' sh {} \\;");
	shell(0, "", "cd $THERE && find a -depth -name b -prune -o -name f -delete && find a/b -delete && test -e a/none");
	shape_settle();
	shell(0, "a\na/g\na/link\na/none\n", "find a | sort");
}

/* --- sqlite3 --- */

static void sqlite_keeps_a_database_that_several_processes_write(void **state)
{
	(void)state;
	shape_enter("sqlite");
	shell(0, "delete\n", "sqlite3 db 'pragma journal_mode; create table t(who, n)'");
	/* One connection stays open while others write: it sees what they wrote, and they see its. */
	shell(0, "1\n2\n4\nok\n",
	      "sqlite3 db \"insert into t values ('a', 1); select count(*) from t;\" '.system sqlite3 db \"insert into t values (2, 2)\"' "
	      "'select count(*) from t;' \"insert into t values ('a', 3);\" '.system sqlite3 db \"insert into t values (2, 4)\"' 'select "
	      "count(*) from t;' 'pragma "
	      "integrity_check'");
	shell(0, "",
	      "for who in b c d; do (for n in 1 2 3 4 5 6; do sqlite3 -cmd '.timeout 20000' db \"insert into t values ('$who', $n)\" || "
	      "echo failed; "
	      "done) & done; wait");
	shell(0, "ok\n22\nb|6|21\nc|6|21\nd|6|21\n",
	      "sqlite3 db 'pragma integrity_check; select count(*) from t; select who, count(*), sum(n) from t where n and who in (\"b\", "
	      "\"c\", \"d\") group by who'");
	shape_settle();
	shell(0, "ok\n22\n", "cd $THERE && sqlite3 db 'pragma integrity_check; select count(*) from t'");
	/* A transaction that is taken back, and one whose process dies in the middle of it: the journal is played back. */
	shell(0, "22\n", "sqlite3 db 'begin; delete from t; rollback; select count(*) from t'");
	shell(137, NULL,
	      "sqlite3 db 'pragma cache_size = 1; begin immediate' 'create table big as with recursive c(x) as (select 1 union all select "
	      "x + 1 from c where "
	      "x < 3000) select x, hex(randomblob(100)) from c' '.system kill -9 $PPID'");
	shell(0, "ok\n22\nt\n", "sqlite3 db 'pragma integrity_check; select count(*) from t; select name from sqlite_master'");
	shell(5, NULL,
	      "sqlite3 db 'begin immediate; insert into t values (9, 9)' \".system sqlite3 db 'insert into t values (8, 8)' || echo "
	      "refused > refused\" "
	      "'.exit 5'");
	expect_file("refused", "refused\n");
	/* It left without a word, and a journal that is not valid yet. */
	shell(0, "22\n23\n",
	      "test -e db-journal && sqlite3 db 'select count(*) from t; insert into t values (10, 10); select count(*) from t'");
	expect_gone("db-journal");
	shell(0, "ok\n23\n", "cd $THERE && sqlite3 db 'pragma integrity_check; select count(*) from t'");
}

/* --- what is refused --- */

static void programs_say_why_something_is_refused(void **state)
{
	(void)state;
	shape_enter("refused");
	shell(0, "", "mkdir d && : > d/f && echo text > f && ln -s loop loop");
	shape_settle();
	shell(1, "ln: failed to create hard link 'g' => 'f': Operation not permitted\n", "cd $THERE && ln f g 2>&1");
	shell(1, "rmdir: failed to remove 'd': Directory not empty\n", "cd $THERE && rmdir d 2>&1");
	shell(1, "mkdir: cannot create directory 'f': File exists\n", "cd $THERE && mkdir f 2>&1");
	shell(1, "cat: d: Is a directory\n", "cd $THERE && cat d 2>&1");
	shell(1, "cat: f/g: Not a directory\n", "cd $THERE && cat f/g 2>&1");
	shell(1, "cat: loop: Too many levels of symbolic links\n", "cd $THERE && cat loop 2>&1");
	shell(1, "File name too long\n",
	      "cd $THERE && name=$(printf %256s | tr ' ' x) && touch $name 2>&1 | sed 's/.*: //' && test -e $name");
	expect_file("f", "text\n");
}

/* --- cron-like jobs --- */

static void flock_n_lets_one_job_run(void **state)
{
	struct cluster *c = shape_cluster();
	char script[1200] = "mkfifo $BESIDE/over && ";
	(void)state;
	shape_enter("cron");
	/* The first one runs until all others have been turned away. */
	shell(0, "",
	      "mkfifo $BESIDE/over $BESIDE/holds && (flock -n $HERE/lock sh -c 'echo ran >> $HERE/log; echo > $BESIDE/holds; cat "
	      "$BESIDE/over' >/dev/null & ) && "
	      "cat $BESIDE/holds >/dev/null");
	for (int i = 0; i < c->count * 2; i++) {
		snprintf(script, sizeof(script), "cd %s/cron && flock -n lock sh -c 'echo ran too >> log'", c->nodes[i % c->count].mount);
		shell(1, "", script);
		snprintf(script, sizeof(script), "cd %s/cron && flock -n -E 75 lock true", c->nodes[i % c->count].mount);
		shell(75, "", script);
	}
	shell(0, "", "echo > $BESIDE/over && flock -w 10 $THERE/lock true");
	expect_file("log", "ran\n");
	shell(7, "", "cd $THERE && flock -n lock sh -c 'echo ran again >> log; exit 7'");
	expect_file("log", "ran\nran again\n");
}

#define TEST(f) cmocka_unit_test(f)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sed_edits_in_place),
		TEST(git_keeps_a_repository),
		TEST(make_builds_what_has_changed),
		TEST(cp_a_keeps_everything),
		TEST(tar_packs_and_unpacks_everything),
		TEST(rsync_copies_what_differs),
		TEST(find_and_grep_see_what_there_is_and_nothing_hidden),
		TEST(sqlite_keeps_a_database_that_several_processes_write),
		TEST(programs_say_why_something_is_refused),
		TEST(flock_n_lets_one_job_run),
	};
	return shape_run(tests, sizeof(tests) / sizeof(*tests));
}
