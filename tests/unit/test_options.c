#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/loopback.h"
#include "cmd/options.h"
#include "cmd/quantity.h"

#include <errno.h>
#include <string.h>

static char why[256];

/* tallyfs /data /mnt -o LIST */
static int parse_list(const char *list, struct options *o)
{
	char text[1024];
	char program[] = "tallyfs", data[] = "/data", mnt[] = "/mnt", flag[] = "-o";
	char *argv[] = {program, data, mnt, flag, text, NULL};

	strncpy(text, list, sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	why[0] = '\0';
	return options_parse(5, argv, o, why, sizeof(why));
}

static void assert_refused(const char *list, const char *word)
{
	static struct options o;

	assert_int_equal(parse_list(list, &o), -EINVAL);
	if (!strstr(why, word))
		fail_msg("'%s' is refused with '%s', which does not name '%s'", list, why, word);
	assert_null(strchr(why, '\n'));
}

static void durations_have_units_and_are_seconds_without(void **state)
{
	int64_t ns;

	(void)state;
	assert_int_equal(quantity_duration("50ms", &ns), 0);
	assert_true(ns == 50000000);
	assert_int_equal(quantity_duration("5", &ns), 0);
	assert_true(ns == INT64_C(5000000000));
	assert_int_equal(quantity_duration("7d", &ns), 0);
	assert_true(ns == INT64_C(604800000000000));
	assert_int_equal(quantity_duration("", &ns), -EINVAL);
	assert_int_equal(quantity_duration("-1s", &ns), -EINVAL);
	assert_int_equal(quantity_duration("5 s", &ns), -EINVAL);
	assert_int_equal(quantity_duration("5w", &ns), -EINVAL);
	assert_int_equal(quantity_duration("999999999d", &ns), -ERANGE);
	assert_int_equal(quantity_duration("99999999999999999999", &ns), -ERANGE);
}

static void sizes_count_in_powers_of_1024(void **state)
{
	uint64_t bytes;

	(void)state;
	assert_int_equal(quantity_size("64M", &bytes), 0);
	assert_true(bytes == 64u << 20);
	assert_int_equal(quantity_size("8G", &bytes), 0);
	assert_true(bytes == UINT64_C(8) << 30);
	assert_int_equal(quantity_size("10", &bytes), 0);
	assert_true(bytes == 10);
	assert_int_equal(quantity_size("10k", &bytes), -EINVAL);
	assert_int_equal(quantity_size("99999999999G", &bytes), -ERANGE);
}

static void addresses_are_host_and_port(void **state)
{
	(void)state;
	assert_int_equal(quantity_address("10.0.0.1:7701"), 0);
	assert_int_equal(quantity_address("[::1]:7701"), 0);
	assert_int_equal(quantity_address("node-1.example:1"), 0);
	assert_int_equal(quantity_address("10.0.0.1"), -EINVAL);
	assert_int_equal(quantity_address(":7701"), -EINVAL);
	assert_int_equal(quantity_address("h:0"), -EINVAL);
	assert_int_equal(quantity_address("h:65536"), -EINVAL);
	assert_int_equal(quantity_address("h:77x"), -EINVAL);
	assert_int_equal(quantity_address("::1:7701"), -EINVAL);
}

static void loopback_is_what_never_leaves_this_machine(void **state)
{
	(void)state;
	assert_true(is_loopback("127.0.0.1:1"));
	assert_true(is_loopback("127.8.9.10:1"));
	assert_true(is_loopback("[::1]:1"));
	assert_true(is_loopback("localhost:1"));
	assert_false(is_loopback("10.0.0.1:1"));
	assert_false(is_loopback("0.0.0.0:1"));
	assert_false(is_loopback("*:1"));
	assert_false(is_loopback("127.0.0.1.example:1"));
	assert_false(is_loopback("localhost.example:1"));
	assert_false(is_loopback("127.0.0.1"));
	assert_false(is_loopback(""));
}

static void without_options_the_defaults_hold(void **state)
{
	static struct options o;
	char program[] = "tallyfs", data[] = "/data", mnt[] = "/mnt";
	char *argv[] = {program, data, mnt, NULL};

	(void)state;
	assert_int_equal(options_parse(3, argv, &o, why, sizeof(why)), 0);
	assert_string_equal(o.data, "/data");
	assert_string_equal(o.mountpoint, "/mnt");
	assert_true(o.linearizable);
	assert_false(o.foreground || o.nomount || o.read_only || o.allow_other || o.default_permissions);
	assert_int_equal(o.store.members_count, 0);
	assert_null(o.store.listen);
	assert_true(o.store.timeout_ns == INT64_C(5000000000));
	assert_int_equal(o.store.heartbeat_ms, 50);
	assert_int_equal(o.store.election_ms, 500);
	assert_true(o.store.max_file == 64u << 20);
	assert_true(o.store.quota == UINT64_C(8) << 30);
	assert_true(o.store.retain_ns == INT64_C(604800) * 1000000000);
	assert_true(o.store.retain_revisions == 0);
	assert_string_equal(o.store.name, o.name);
}

static void a_cluster_is_read_with_its_members(void **state)
{
	static struct options o;

	(void)state;
	assert_int_equal(parse_list("name=b,cluster=a=127.0.0.1:1/b=127.0.0.1:2/c=10.0.0.3:3,secret=k,timeout=2s,consistency=serial", &o),
			 0);
	assert_int_equal(o.store.members_count, 3);
	assert_string_equal(o.store.members[2].name, "c");
	assert_string_equal(o.store.members[2].address, "10.0.0.3:3");
	assert_false(o.linearizable);
	assert_true(o.store.timeout_ns == INT64_C(2000000000));
	assert_null(o.store.listen);
}

static void a_wrong_cluster_is_refused_by_its_fault(void **state)
{
	(void)state;
	assert_refused("cluster=", "cluster");
	assert_refused("cluster", "cluster");
	assert_refused("name=a,cluster=a", "'a'");
	assert_refused("name=a,cluster=a=host", "'host'");
	assert_refused("name=a,cluster=a=127.0.0.1:1/", "''");
	assert_refused("name=a,cluster=a=127.0.0.1:1/a=127.0.0.1:2", "a is there twice");
	assert_refused("name=a,cluster=a=127.0.0.1:1/b=127.0.0.1:1", "127.0.0.1:1 is there twice");
	assert_refused("name=z,cluster=a=127.0.0.1:1", "'z'");
	assert_refused("name=a,cluster=a=127.0.0.1:99999", "127.0.0.1:99999");
}

static void more_than_sixteen_members_are_refused(void **state)
{
	(void)state;
	assert_refused("name=a,cluster=a=h:1/b=h:2/c=h:3/d=h:4/e=h:5/f=h:6/g=h:7/h=h:8/i=h:9/j=h:10/k=h:11/l=h:12/m=h:13/n=h:14/o=h:15/"
		       "p=h:16/q=h:17",
		       "16");
}

static void unknown_and_malformed_options_are_refused_by_name(void **state)
{
	(void)state;
	assert_refused("foo", "'foo'");
	assert_refused("foo=1", "'foo'");
	assert_refused("noatime=3", "'noatime'");
	assert_refused("consistency=strong", "consistency");
	assert_refused("timeout=soon", "timeout");
	assert_refused("timeout=0", "timeout");
	assert_refused("heartbeat=500us", "heartbeat");
	assert_refused("max_file=big", "max_file");
	assert_refused("quota=0", "quota");
	assert_refused("retain=0", "option retain: '0' is neither a time (as 7d, 12h) nor a number of revisions, above 0");
	assert_refused("retain=0s", "retain");
	assert_refused("retain=-5", "retain");
	assert_refused("retain=soon", "retain");
	assert_refused("retain=7w", "retain");
	assert_refused("retain=", "retain");
	assert_refused("retain", "retain");
	assert_refused("retain=99999999999999999999", "retain");
	assert_refused("ro=1", "ro");
	assert_refused("max_threads=0", "max_threads");
	assert_refused("name=a/b", "name");
	assert_refused("name=", "name");
	assert_refused("listen=here", "listen");
	assert_refused("heartbeat=1s", "heartbeat");
}

static void the_mark_of_revisions_is_one_punctuation_character(void **state)
{
	static const char *const wrong[] = {"rev_mark",   "rev_mark=",  "rev_mark=/",  "rev_mark=-", "rev_mark=.",    "rev_mark=:",
					    "rev_mark=1", "rev_mark=x", "rev_mark=@@", "rev_mark= ", "rev_mark=\x7f", "rev_mark=\xc3\xa4"};
	static struct options o;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_refused(wrong[i], "option rev_mark: must be one punctuation character");
	assert_int_equal(parse_list("name=a", &o), 0);
	assert_int_equal(o.rev_mark, '@');
	assert_int_equal(parse_list("rev_mark=%", &o), 0);
	assert_int_equal(o.rev_mark, '%');
	assert_int_equal(parse_list("rev_mark==", &o), 0);
	assert_int_equal(o.rev_mark, '=');
}

static void inotify_is_off_unless_asked_for(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse_list("rw", &o), 0);
	assert_false(o.inotify);
	assert_int_equal(parse_list("inotify", &o), 0);
	assert_true(o.inotify);
	assert_refused("inotify=1", "takes no value");
}

static void options_of_later_are_not_supported_yet(void **state)
{
	(void)state;
	assert_refused("endpoints=h:1", "'endpoints' is not supported yet");
	assert_refused("balance=random", "'balance' is not supported yet");
}

static void an_open_network_needs_a_secret(void **state)
{
	static struct options o;

	(void)state;
	assert_refused("listen=0.0.0.0:7701", "secret");
	assert_refused("client=10.0.0.1:7701", "secret");
	assert_refused("name=a,cluster=a=10.0.0.1:7701/b=10.0.0.2:7701", "secret");
	/* The others' addresses count as well: frames go there. */
	assert_refused("name=a,cluster=a=127.0.0.1:7701/b=10.0.0.2:7701", "secret");
	assert_refused("name=a,cluster=a=10.0.0.1:7701/b=10.0.0.2:7701,listen=127.0.0.1:7701", "secret");
	assert_refused("secret=", "secret");
	assert_refused("secret", "secret");
	assert_int_equal(parse_list("name=a,cluster=a=10.0.0.1:7701/b=10.0.0.2:7701,listen=127.0.0.1:7701,secret=/x", &o), 0);
	assert_string_equal(o.store.listen, "127.0.0.1:7701");
	assert_string_equal(o.secret, "/x");
	assert_int_equal(parse_list("client=0.0.0.0:7701,secret=x", &o), 0);
}

static void words_of_mount_are_taken(void **state)
{
	static struct options o;

	(void)state;
	assert_int_equal(parse_list("rw,nodev,nosuid,_netdev,noauto,x-systemd.automount,user,nofail,noatime,sync,dirsync,relatime,comment="
				    "shared,subtype=tallyfs",
				    &o),
			 0);
	assert_string_equal(o.mount_words, "nodev,nosuid,noatime,sync,dirsync");
	assert_false(o.read_only);
	assert_int_equal(parse_list("ro,allow_other,default_permissions,fsname=shared", &o), 0);
	assert_true(o.read_only && o.allow_other && o.default_permissions);
	assert_string_equal(o.fsname, "shared");
	assert_int_equal(parse_list("defaults,noowner,nogroup,norelatime,strictatime,nolazytime,silent,iversion,X-mount.mkdir=0755", &o),
			 0);
	assert_string_equal(o.mount_words, "");
	assert_false(o.remount);
	assert_int_equal(parse_list("auto_unmount,allow_root,nonempty,clone_fd,max_read=131072", &o), 0);
	assert_string_equal(o.mount_words, "auto_unmount,allow_root");
	assert_int_equal(o.max_read, 131072);
	assert_refused("max_read=1M", "max_read");
}

static void what_the_kernel_shows_of_a_mount_is_taken_back_to_change_it(void **state)
{
	static struct options o;

	(void)state;
	assert_int_equal(parse_list("ro,nosuid,nodev,relatime,remount,user_id=0,group_id=0", &o), 0);
	assert_true(o.remount && o.read_only);
	assert_string_equal(o.mount_words, "nosuid,nodev");
	assert_refused("user_id=0", "user_id");
	assert_refused("remount=yes", "remount");
}

static void flags_and_paths_may_come_in_any_order(void **state)
{
	static struct options o;
	char program[] = "tallyfs", f[] = "-f", data[] = "/data", list[] = "-oro", mnt[] = "/mnt", none[] = "-onomount", bad[] = "-x";
	char *argv[] = {program, f, data, list, mnt, NULL};
	char *witness[] = {program, data, none, NULL};
	char *both[] = {program, data, mnt, none, NULL};
	char *one[] = {program, data, NULL};
	char *unknown[] = {program, data, mnt, bad, NULL};

	(void)state;
	assert_int_equal(options_parse(5, argv, &o, why, sizeof(why)), 0);
	assert_true(o.foreground && o.read_only);
	assert_string_equal(o.mountpoint, "/mnt");
	assert_int_equal(options_parse(3, witness, &o, why, sizeof(why)), 0);
	assert_true(o.nomount);
	assert_int_equal(options_parse(4, both, &o, why, sizeof(why)), -EINVAL);
	assert_int_equal(options_parse(2, one, &o, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "MOUNTPOINT"));
	assert_int_equal(options_parse(4, unknown, &o, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "'-x'"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations_have_units_and_are_seconds_without),
		cmocka_unit_test(sizes_count_in_powers_of_1024),
		cmocka_unit_test(addresses_are_host_and_port),
		cmocka_unit_test(loopback_is_what_never_leaves_this_machine),
		cmocka_unit_test(without_options_the_defaults_hold),
		cmocka_unit_test(a_cluster_is_read_with_its_members),
		cmocka_unit_test(a_wrong_cluster_is_refused_by_its_fault),
		cmocka_unit_test(more_than_sixteen_members_are_refused),
		cmocka_unit_test(unknown_and_malformed_options_are_refused_by_name),
		cmocka_unit_test(the_mark_of_revisions_is_one_punctuation_character),
		cmocka_unit_test(inotify_is_off_unless_asked_for),
		cmocka_unit_test(options_of_later_are_not_supported_yet),
		cmocka_unit_test(an_open_network_needs_a_secret),
		cmocka_unit_test(words_of_mount_are_taken),
		cmocka_unit_test(what_the_kernel_shows_of_a_mount_is_taken_back_to_change_it),
		cmocka_unit_test(flags_and_paths_may_come_in_any_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
