/* A client, an endpoint and a store of one node: the whole path of a request. */
#include "store/client/endpoint.h"
#include "store/node.h"

#include "store/client/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)
#define LONG_NAME "a-directory-whose-path-is-longer-than-the-107-bytes-that-the-address-of-a-unix-socket-may-have-on-linux-or-elsewhere"

static char base_dir[64];
static char data[256];
static struct store *store;
static struct endpoint *endpoint;
static struct client *client;
static char why[256];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static void start_store(void)
{
	const struct store_config config = {.data = data,
					    .name = "n1",
					    .timeout_ns = 5 * SECOND,
					    .heartbeat_ms = 20,
					    .election_ms = 100,
					    .max_file = 64u << 20,
					    .quota = 1u << 30};
	int rc = store_open(&config, &store, why, sizeof(why));
	if (rc)
		fprintf(stderr, "store: %s\n", why);
	assert_int_equal(rc, 0);
}

static void start_endpoint(const char *tcp)
{
	int rc = endpoint_start(store, data, tcp, &endpoint, why, sizeof(why));
	if (rc)
		fprintf(stderr, "endpoint: %s\n", why);
	assert_int_equal(rc, 0);
}

static void open_client(const char *endpoints)
{
	const struct client_config config = {.endpoints = endpoints, .timeout_ns = 10 * SECOND};
	assert_int_equal(client_open(&config, &client, why, sizeof(why)), 0);
}

static int make_data(const char *name)
{
	const char *tmp = getenv("TMPDIR");

	store = NULL;
	endpoint = NULL;
	client = NULL;
	snprintf(base_dir, sizeof(base_dir), "%.40s/endpoint-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(base_dir))
		return -1;
	snprintf(data, sizeof(data), "%s/%s", base_dir, name);
	return mkdir(data, 0700);
}

static int setup_bare(void **state)
{
	(void)state;
	return make_data("n1");
}

static int setup(void **state)
{
	if (setup_bare(state))
		return -1;
	start_store();
	start_endpoint(NULL);
	open_client(data);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	client_close(client);
	endpoint_stop(endpoint);
	if (store)
		store_close(store);
	return nftw(base_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct span span_of(const char *text)
{
	return (struct span){text, strlen(text)};
}

/* The answer is in *call. */
static int ask(struct client_call *call, const struct request *r)
{
	*call = (struct client_call){.endpoint = CLIENT_ANY};
	int rc = client_call(client, call, r);
	if (rc)
		fprintf(stderr, "%s: %s\n", request_type_name(r->type), call->why);
	assert_int_equal(rc, 0);
	return call->response.error;
}

static uint64_t put(const char *key, const char *value)
{
	struct client_call call;

	assert_int_equal(ask(&call, &(struct request){.type = REQUEST_PUT, .key = span_of(key), .value = span_of(value)}), 0);
	uint64_t revision = call.response.revision;
	client_call_done(&call);
	return revision;
}

static void assert_value(const char *key, uint64_t rev, uint8_t flags, const char *value)
{
	struct client_call call;

	assert_int_equal(ask(&call, &(struct request){.type = REQUEST_GET, .flags = flags, .rev = rev, .key = span_of(key)}), 0);
	assert_int_equal(call.response.kvs_count, 1);
	assert_int_equal(call.response.kvs[0].value.size, strlen(value));
	assert_memory_equal(call.response.kvs[0].value.data, value, strlen(value));
	client_call_done(&call);
}

static int error_of(const struct request *r, const char *says)
{
	struct client_call call;
	int error = ask(&call, r);
	char text[512];

	snprintf(text, sizeof(text), "%.*s", (int)call.response.text.size,
		 call.response.text.data ? (const char *)call.response.text.data : "");
	if (!strstr(text, says))
		fail_msg("\"%s\" does not say \"%s\"", text, says);
	client_call_done(&call);
	return error;
}

static void what_was_put_can_be_got_at_each_revision(void **state)
{
	(void)state;
	uint64_t first = put("config/app", "one");
	uint64_t second = put("config/app", "two");

	assert_true(second == first + 1);
	assert_value("config/app", 0, 0, "two");
	assert_value("config/app", 0, REQUEST_SERIAL, "two");
	assert_value("config/app", first, 0, "one");
	assert_int_equal(endpoint_counters(endpoint)->types[REQUEST_PUT].requests, 2);
	assert_int_equal(endpoint_counters(endpoint)->types[REQUEST_GET].errors, 0);
}

static void each_refusal_says_what_is_wrong(void **state)
{
	(void)state;
	uint64_t revision = put("dir/file", "x");

	assert_int_equal(error_of(&(struct request){.type = REQUEST_GET, .key = span_of("nothing")}, "nothing: no such key"), -ENOENT);
	assert_int_equal(error_of(&(struct request){.type = REQUEST_GET, .key = span_of("dir")}, "--prefix dir/"), -EISDIR);
	assert_int_equal(error_of(&(struct request){.type = REQUEST_GET, .key = span_of("dir/file"), .rev = revision + 9}, "still to come"),
			 -ENOENT);
	assert_int_equal(error_of(&(struct request){.type = REQUEST_GET, .key = span_of("/etc")}, "not a valid key"), -EINVAL);
	assert_int_equal(error_of(&(struct request){.type = REQUEST_PUT, .key = span_of("a/../b")}, "not a valid key"), -EINVAL);
	assert_int_equal(error_of(&(struct request){.type = REQUEST_PUT, .key = span_of("dir")}, "directory"), -EISDIR);
	assert_int_equal(error_of(&(struct request){.type = REQUEST_PUT, .key = span_of("dir/file/x")}, "file"), -ENOTDIR);
	assert_int_equal(error_of(&(struct request){.type = REQUEST_DELETE, .key = span_of("gone")}, "no such key"), -ENOENT);
	assert_int_equal(error_of(&(struct request){.type = REQUEST_DELETE, .flags = REQUEST_PREFIX}, "not a valid prefix"), -EINVAL);
	assert_int_equal(error_of(&(struct request){.type = REQUEST_HISTORY, .key = span_of("never")}, "no such key"), -ENOENT);
	assert_int_equal(error_of(&(struct request){.type = REQUEST_LOAD, .value = span_of("junk")}, "malformed"), -EBADMSG);
}

static void a_prefix_lists_files_and_no_directories(void **state)
{
	(void)state;
	struct client_call call;

	put("a/b/c", "1");
	put("a/d", "22");
	put("ab", "3");
	assert_int_equal(ask(&call, &(struct request){.type = REQUEST_GET, .flags = REQUEST_PREFIX, .key = span_of("a/")}), 0);
	assert_int_equal(call.response.kvs_count, 2);
	assert_int_equal(call.response.count, 2);
	assert_memory_equal(call.response.kvs[0].key.data, "a/b/c", 5);
	assert_memory_equal(call.response.kvs[1].key.data, "a/d", 3);
	assert_memory_equal(call.response.kvs[1].value.data, "22", 2);
	assert_int_equal(call.response.flags, 0);
	client_call_done(&call);
	assert_int_equal(
		ask(&call, &(struct request){.type = REQUEST_GET, .flags = REQUEST_PREFIX | REQUEST_COUNT_ONLY, .key = span_of("a")}), 0);
	assert_int_equal(call.response.kvs_count, 0);
	assert_int_equal(call.response.count, 3);
	client_call_done(&call);
	assert_int_equal(
		ask(&call,
		    &(struct request){.type = REQUEST_GET, .flags = REQUEST_PREFIX | REQUEST_KEYS_ONLY, .limit = 2, .key = span_of("")}),
		0);
	assert_int_equal(call.response.kvs_count, 2);
	assert_int_equal(call.response.flags, PROTOCOL_MORE);
	assert_int_equal(call.response.kvs[1].value.size, 0);
	client_call_done(&call);
}

/* 300 keys of 8 KiB: several pages. */
static void load_pages(void)
{
	static char value[8192];
	struct writer pairs = {0};
	struct client_call call;
	char key[16];

	for (int i = 0; i < 300; i++) {
		snprintf(key, sizeof(key), "page/%03d", i);
		memset(value, 'a' + i % 26, sizeof(value));
		writer_string(&pairs, key);
		writer_bytes(&pairs, value, sizeof(value));
		if (i % 30 < 29)
			continue;
		assert_int_equal(ask(&call, &(struct request){.type = REQUEST_LOAD, .value = {pairs.data, pairs.size}}), 0);
		assert_int_equal(call.response.count, 30);
		client_call_done(&call);
		writer_clear(&pairs);
	}
	writer_free(&pairs);
}

static void a_long_listing_comes_in_pages_of_one_revision(void **state)
{
	(void)state;
	struct request r = {.type = REQUEST_GET, .flags = REQUEST_PREFIX, .key = span_of("page/")};
	char from[PROTOCOL_KEY_MAX];
	unsigned pages = 0, keys = 0;
	bool more = true;

	load_pages();
	while (more) {
		struct client_call call;
		char key[16];
		assert_int_equal(ask(&call, &r), 0);
		for (uint32_t i = 0; i < call.response.kvs_count; i++, keys++) {
			snprintf(key, sizeof(key), "page/%03u", keys);
			assert_memory_equal(call.response.kvs[i].key.data, key, 8);
			assert_int_equal(call.response.kvs[i].value.size, 8192);
			assert_int_equal(*(const char *)call.response.kvs[i].value.data, 'a' + keys % 26);
		}
		more = call.response.flags & PROTOCOL_MORE;
		r.rev = call.response.revision;
		memcpy(from, call.response.next.data ? call.response.next.data : "", call.response.next.size);
		r.from = (struct span){from, call.response.next.size};
		client_call_done(&call);
		/* What comes in between is not seen. */
		if (pages++ == 0) {
			put("page/zzz", "new");
			put("page/299", "changed");
		}
	}
	assert_int_equal(keys, 300);
	assert_true(pages >= 4);
}

static void a_value_over_the_default_message_size_passes_both_ways(void **state)
{
	(void)state;
	size_t size = 3u << 20;
	char *value = malloc(size);
	struct client_call call;

	assert_non_null(value);
	for (size_t i = 0; i < size; i++)
		value[i] = (char)(i * 31 + (i >> 12));
	assert_int_equal(ask(&call, &(struct request){.type = REQUEST_PUT, .key = span_of("large"), .value = {value, size}}), 0);
	client_call_done(&call);
	assert_int_equal(ask(&call, &(struct request){.type = REQUEST_GET, .key = span_of("large")}), 0);
	assert_int_equal(call.response.kvs[0].value.size, size);
	assert_memory_equal(call.response.kvs[0].value.data, value, size);
	client_call_done(&call);
	free(value);
}

static void a_value_over_max_file_is_refused(void **state)
{
	(void)state;
	size_t size = (64u << 20) + 1;
	char *value = calloc(1, size);

	assert_non_null(value);
	assert_int_equal(error_of(&(struct request){.type = REQUEST_PUT, .key = span_of("huge"), .value = {value, size}}, "max_file"),
			 -EFBIG);
	free(value);
}

static void history_and_delete_tell_what_happened(void **state)
{
	(void)state;
	struct client_call call;
	uint64_t first = put("k", "one");

	put("k", "three");
	put("l", "x");
	assert_int_equal(ask(&call, &(struct request){.type = REQUEST_DELETE, .key = span_of("k")}), 0);
	assert_int_equal(call.response.count, 1);
	uint64_t deleted = call.response.revision;
	client_call_done(&call);
	assert_int_equal(ask(&call, &(struct request){.type = REQUEST_HISTORY, .key = span_of("k")}), 0);
	assert_int_equal(call.response.kvs_count, 3);
	assert_true(call.response.kvs[0].mod_revision == first);
	assert_int_equal(call.response.kvs[0].size, 3);
	assert_int_equal(call.response.kvs[1].size, 5);
	assert_int_equal(call.response.kvs[1].version, 2);
	assert_int_equal(call.response.kvs[2].flags, KV_DELETED);
	assert_true(call.response.kvs[2].mod_revision == deleted);
	client_call_done(&call);
	assert_int_equal(ask(&call, &(struct request){.type = REQUEST_HISTORY, .limit = 1, .rev = first, .key = span_of("k")}), 0);
	assert_int_equal(call.response.kvs_count, 1);
	assert_int_equal(call.response.kvs[0].size, 5);
	assert_int_equal(call.response.flags, PROTOCOL_MORE);
	client_call_done(&call);
}

static void status_and_health_answer(void **state)
{
	(void)state;
	struct client_call call;

	assert_int_equal(ask(&call, &(struct request){.type = REQUEST_HEALTH}), 0);
	assert_memory_equal(call.response.text.data, "ok", 2);
	client_call_done(&call);
	assert_int_equal(error_of(&(struct request){.type = REQUEST_STATUS}, "name: n1"), 0);
}

static void many_requests_at_once_are_all_answered(void **state)
{
	(void)state;
	static struct client_call calls[64];
	unsigned done = 0;
	char key[16];

	for (unsigned i = 0; i < 64; i++) {
		snprintf(key, sizeof(key), "many/%u", i);
		calls[i] = (struct client_call){.endpoint = CLIENT_ANY};
		assert_int_equal(client_submit(client, &calls[i],
					       &(struct request){.type = REQUEST_PUT, .key = span_of(key), .value = span_of("v")}),
				 0);
	}
	while (done < 64)
		done += client_run(client, 5 * SECOND);
	for (unsigned i = 0; i < 64; i++) {
		assert_int_equal(calls[i].error, 0);
		assert_int_equal(calls[i].response.error, 0);
		client_call_done(&calls[i]);
	}
}

static void the_socket_is_private_and_gone_after_the_end(void **state)
{
	(void)state;
	char path[300];
	struct stat st;

	snprintf(path, sizeof(path), "%s/ctl", data);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	endpoint_stop(endpoint);
	endpoint = NULL;
	assert_int_equal(stat(path, &st), -1);
}

static void a_socket_left_over_is_replaced(void **state)
{
	(void)state;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%.90s/ctl", data);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	start_store();
	start_endpoint(NULL);
	open_client(data);
	put("k", "v");
}

static void a_data_path_too_long_for_a_socket_works(void **state)
{
	(void)state;
	assert_int_equal(rmdir(data), 0);
	snprintf(data, sizeof(data), "%s/%s", base_dir, LONG_NAME);
	assert_int_equal(mkdir(data, 0700), 0);
	start_store();
	start_endpoint(NULL);
	open_client(data);
	put("k", "v");
	assert_value("k", 0, 0, "v");
}

/* A port that is taken, by *fd. */
static int take_port(int *fd)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t size = sizeof(in);

	*fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(*fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(*fd, 1), 0);
	assert_int_equal(getsockname(*fd, (struct sockaddr *)&in, &size), 0);
	return ntohs(in.sin_port);
}

static void a_port_in_use_is_said_and_a_free_one_serves(void **state)
{
	(void)state;
	char address[64], path[300];
	struct stat st;
	int fd;

	start_store();
	snprintf(address, sizeof(address), "127.0.0.1:%d", take_port(&fd));
	assert_int_equal(endpoint_start(store, data, address, &endpoint, why, sizeof(why)), -EADDRINUSE);
	assert_non_null(strstr(why, "in use"));
	assert_non_null(strstr(why, address));
	snprintf(path, sizeof(path), "%s/ctl", data);
	assert_int_equal(stat(path, &st), -1);
	assert_int_equal(endpoint_start(store, data, "nonsense", &endpoint, why, sizeof(why)), -EINVAL);
	close(fd);
	start_endpoint(address);
	open_client(address);
	put("k", "v");
	assert_value("k", 0, 0, "v");
}

static void an_endpoint_ends_with_requests_in_hand(void **state)
{
	(void)state;
	static struct client_call calls[32];
	unsigned done = 0;

	for (unsigned i = 0; i < 32; i++) {
		calls[i] = (struct client_call){.endpoint = CLIENT_ANY};
		assert_int_equal(client_submit(client, &calls[i],
					       &(struct request){.type = REQUEST_PUT, .key = span_of("k"), .value = span_of("v")}),
				 0);
	}
	done += client_run(client, SECOND);
	endpoint_stop(endpoint);
	endpoint = NULL;
	store_close(store);
	store = NULL;
	start_store();
	start_endpoint(NULL);
	/* Those that never left are applied now, the others are answered or in doubt; none hangs. */
	while (done < 32)
		done += client_run(client, 5 * SECOND);
	for (unsigned i = 0; i < 32; i++) {
		assert_true(calls[i].error == 0 || calls[i].may_have_applied);
		client_call_done(&calls[i]);
	}
}

static void a_node_that_diverged_shows_nothing_of_its_store(void **state)
{
	(void)state;
	static const uint8_t shows[] = {REQUEST_GET,      REQUEST_HISTORY,   REQUEST_WATCH,
					REQUEST_SNAPSHOT, REQUEST_LEASE_TTL, REQUEST_LEASE_LIST};
	struct client_call call;

	put("k", "v");
	atomic_store(&store->diverged, 7);
	for (unsigned i = 0; i < sizeof(shows); i++)
		assert_int_equal(
			error_of(&(struct request){.type = shows[i], .flags = REQUEST_SERIAL, .key = span_of("k")}, "diverged at index 7"),
			-EIO);
	assert_int_equal(ask(&call, &(struct request){.type = REQUEST_STATUS}), 0);
	client_call_done(&call);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_BARE(name) cmocka_unit_test_setup_teardown(name, setup_bare, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_put_can_be_got_at_each_revision),
		TEST(each_refusal_says_what_is_wrong),
		TEST(a_prefix_lists_files_and_no_directories),
		TEST(a_long_listing_comes_in_pages_of_one_revision),
		TEST(a_value_over_the_default_message_size_passes_both_ways),
		TEST(a_value_over_max_file_is_refused),
		TEST(history_and_delete_tell_what_happened),
		TEST(status_and_health_answer),
		TEST(many_requests_at_once_are_all_answered),
		TEST(the_socket_is_private_and_gone_after_the_end),
		TEST_BARE(a_socket_left_over_is_replaced),
		TEST_BARE(a_data_path_too_long_for_a_socket_works),
		TEST_BARE(a_port_in_use_is_said_and_a_free_one_serves),
		TEST(an_endpoint_ends_with_requests_in_hand),
		TEST(a_node_that_diverged_shows_nothing_of_its_store),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
