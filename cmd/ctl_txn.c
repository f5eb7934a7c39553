/* tallyctl txn: a transaction from stdin. */
#include "cmd/ctl.h"
#include "cmd/ctl_json.h"
#include "cmd/txn_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Quotes and escapes take more room than what they stand for. */
#define TEXT_BYTES_MAX (8u << 20)

static void result_text(const struct txn_op *op, const struct kv *kv)
{
	putchar('\n');
	if (op->type == TXN_PUT) {
		printf("OK\n");
	} else if (op->type == TXN_DELETE) {
		printf("%" PRIu64 "\n", kv->size);
	} else if (!(kv->flags & KV_DELETED)) {
		fwrite(op->key.data, 1, op->key.size, stdout);
		putchar('\n');
		fwrite(kv->value.data ? kv->value.data : "", 1, kv->value.size, stdout);
		putchar('\n');
	}
}

static void result_json(const struct txn_op *op, const struct kv *kv)
{
	if (op->type == TXN_PUT) {
		printf("{\"put\":{}}");
	} else if (op->type == TXN_DELETE) {
		printf("{\"delete\":{\"deleted\":%" PRIu64 "}}", kv->size);
	} else if (kv->flags & KV_DELETED) {
		printf("{\"get\":{\"kvs\":[],\"count\":0}}");
	} else {
		struct kv named = *kv;
		named.key = op->key;
		printf("{\"get\":{\"kvs\":[");
		ctl_kv_json(&named, true);
		printf("],\"count\":1}}");
	}
}

static int results_print(const struct ctl *ctl, const struct txn *t, const struct response *r)
{
	int branch = r->count ? TXN_THEN : TXN_ELSE;

	if (r->kvs_count != t->ops_count[branch]) {
		ctl_say("malformed answer: %" PRIu32 " results of %" PRIu32 " operations", r->kvs_count, t->ops_count[branch]);
		return CTL_REFUSED;
	}
	if (ctl->options->json)
		printf("{\"revision\":%" PRIu64 ",\"succeeded\":%s,\"responses\":[", r->revision, r->count ? "true" : "false");
	else
		printf("%s\n", r->count ? "SUCCESS" : "FAILURE");
	for (uint32_t i = 0; i < r->kvs_count; i++) {
		if (ctl->options->json) {
			printf("%s\n", i ? "," : "");
			result_json(&t->ops[branch][i], &r->kvs[i]);
		} else {
			result_text(&t->ops[branch][i], &r->kvs[i]);
		}
	}
	if (ctl->options->json)
		printf("]}\n");
	return CTL_DONE;
}

static bool puts_reserved(const struct txn *t)
{
	for (int branch = TXN_ELSE; branch <= TXN_THEN; branch++) {
		for (uint32_t i = 0; i < t->ops_count[branch]; i++) {
			const struct txn_op *op = &t->ops[branch][i];
			if (op->type != TXN_PUT || !ctl_key_reserved(op->key))
				continue;
			ctl_say("%.*s: a name reserved for revision and control paths", (int)op->key.size, (const char *)op->key.data);
			return true;
		}
	}
	return false;
}

static int txn_ask(struct ctl *ctl, const struct txn *t)
{
	struct writer bytes = {0};
	struct client_call call = {.endpoint = CLIENT_ANY};

	if (puts_reserved(t))
		return CTL_REFUSED;
	txn_encode(&bytes, t);
	struct request r = {.type = REQUEST_TXN, .value = {bytes.data, bytes.size}};
	int status = ctl_ask(ctl, &call, &r);
	if (status == CTL_DONE)
		status = results_print(ctl, t, &call.response);
	client_call_done(&call);
	writer_free(&bytes);
	return status;
}

int ctl_txn(struct ctl *ctl)
{
	struct writer text = {0};
	struct txn_text parsed;
	char why[128];

	int rc = ctl_read_stdin(&text, TEXT_BYTES_MAX);
	if (rc) {
		ctl_say("standard input: %s", strerror(-rc));
		writer_free(&text);
		return CTL_REFUSED;
	}
	uint32_t line = txn_text_parse((struct span){text.data, text.size}, &parsed, why, sizeof(why));
	int status = CTL_USAGE;
	if (line)
		ctl_say("line %" PRIu32 ": %s", line, why);
	else
		status = txn_ask(ctl, &parsed.txn);
	txn_text_done(&parsed);
	writer_free(&text);
	return status;
}
