/* What clients and endpoints say: requests decoded, handled by a node of one, and answered, the answer decoded again; responses; sealed messages, at the gate and at the client. */
#include "tests/fuzz/fuzz.h"

#include "store/client/gate.h"
#include "store/client/handler.h"

#include <errno.h>
#include <poll.h>

static struct secret *secret(void)
{
	static struct secret *s;
	if (!s)
		FUZZ_CHECK(secret_new((struct span){"a secret to be fuzzed", 21}, &s) == 0);
	return s;
}

static void on_done(struct store_op *op)
{
	op->done = NULL;
}

static void put(struct store *s, const char *key, const char *value)
{
	static struct store_op op;
	struct command c = {.type = COMMAND_PUT,
			    .key = {key, strlen(key)},
			    .value = {value, strlen(value)},
			    .mode = 0644,
			    .truncate_to = COMMAND_NO_TRUNCATE};
	op = (struct store_op){.done = on_done};
	store_submit(s, &c, &op);
	for (int i = 0; i < 10000 && *(void *volatile *)&op.done; i++)
		poll(NULL, 0, 1);
	FUZZ_CHECK(!op.done && op.result.error == 0);
}

static struct store *node;

static void close_node(void)
{
	store_close(node);
}

/* It has a few files, with a history. */
static struct store *the_node(void)
{
	char why[256];
	const struct store_config config = {.data = fuzz_path("node"),
					    .name = "n1",
					    .timeout_ns = INT64_C(5000000000),
					    .heartbeat_ms = 50,
					    .election_ms = 500,
					    .max_file = 1u << 20,
					    .quota = 1u << 30};
	if (node)
		return node;
	if (store_open(&config, &node, why, sizeof(why)) != 0) {
		fprintf(stderr, "%s\n", why);
		abort();
	}
	atexit(close_node);
	put(node, "a", "one");
	put(node, "a", "two");
	put(node, "d/b", "three");
	put(node, "d/c", "four");
	return node;
}

static void check_answer(const struct request *r, const struct answer *a)
{
	struct writer w = {0};
	struct response out;

	struct response head = a->head;
	head.type = r->type;
	response_encode_head(&w, &head);
	writer_raw(&w, a->kvs.data, a->kvs.size);
	FUZZ_CHECK(response_decode((struct span){w.data, w.size}, &out) == 0);
	FUZZ_CHECK(out.error == a->head.error && out.kvs_count == a->head.kvs_count);
	response_done(&out);
	writer_free(&w);
}

/* What a request is for, the endpoint decides; snapshots and watches keep something there, and are left to it. */
static bool reads_at_once(const struct request *r)
{
	return r->type == REQUEST_GET || r->type == REQUEST_HISTORY || r->type == REQUEST_STATUS || r->type == REQUEST_HEALTH;
}

static void handle(struct span bytes)
{
	static struct answer a;
	struct request r;
	struct command c;
	struct writer w = {0};

	if (request_decode(bytes, &r) != 0)
		return;
	request_encode(&w, &r);
	FUZZ_CHECK(w.size == bytes.size && memcmp(w.data, bytes.data, w.size) == 0);
	writer_clear(&w);
	answer_clear(&a);
	if (request_writes(r.type)) {
		if (handler_command(the_node(), &r, &c, &a) == 0) {
			command_encode(&w, &c);
			FUZZ_CHECK(command_decode((struct span){w.data, w.size}, &c) == 0);
			command_done(&c);
		} else {
			FUZZ_CHECK(a.head.error < 0);
			check_answer(&r, &a);
		}
	} else if (reads_at_once(&r)) {
		handler_read(the_node(), &r, &a);
		check_answer(&r, &a);
	}
	writer_free(&w);
}

static void gate(struct reader in)
{
	struct gate *g = gate_new(secret());
	struct writer reply = {0}, made = {0};
	uint8_t session[SEALED_SESSION_BYTES] = {0};
	uint64_t last = 0;
	bool known = false;

	while (reader_left(&in) > 0) {
		struct sealed_head asked, got, h = {.kind = (uint8_t)(1 + reader_u8(&in) % 4), .seq = reader_u8(&in)};
		struct span body, text = reader_bytes(&in, 1 << 12);
		static uint8_t copy[1 << 14];
		memcpy(h.session, session, sizeof(session));
		if (reader_u8(&in) % 4 == 0) {
			/* As it comes: nobody passes a gate by chance. */
			memcpy(copy, text.data ? text.data : "", text.size);
			FUZZ_CHECK(gate_pass(g, copy, text.size, &asked, &body, &reply) == GATE_REFUSED);
			continue;
		}
		sealed_encode(secret(), &h, NULL, text, (struct span){NULL, 0}, &made);
		memcpy(copy, made.data, made.size);
		enum gate_verdict verdict = gate_pass(g, copy, made.size, &asked, &body, &reply);
		FUZZ_CHECK((verdict == GATE_PASS) == (h.kind == SEALED_REQUEST && known && h.seq > last));
		if (verdict == GATE_PASS) {
			FUZZ_CHECK(body.size == text.size && (text.size == 0 || memcmp(body.data, text.data, text.size) == 0));
			last = h.seq;
		}
		if (verdict == GATE_REPLY) {
			FUZZ_CHECK(sealed_decode(secret(), reply.data, reply.size, h.nonce, &got, &body) == 0 &&
				   got.kind == SEALED_SESSION);
			memcpy(session, got.session, sizeof(session));
			known = true;
			last = 0;
		}
	}
	gate_free(g);
	writer_free(&reply);
	writer_free(&made);
}

static void answer(struct span bytes)
{
	struct response r;
	if (response_decode(bytes, &r) != 0)
		return;
	FUZZ_CHECK(r.error <= 0);
	response_done(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > 1 << 16)
		return 0;
	struct span rest = {data + 1, size - 1};
	if (data[0] % 4 < 2)
		handle(rest);
	else if (data[0] % 4 == 2)
		answer(rest);
	else
		gate(reader_over(rest.data, rest.size));
	return 0;
}
