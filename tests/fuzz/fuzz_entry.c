/* What log entries hold besides commands: transactions and configurations; and what users type: cluster=, transactions as text. */
#include "tests/fuzz/fuzz.h"

#include "cmd/cluster_option.h"
#include "cmd/quantity.h"
#include "raft/raft.h"
#include "store/txn.h"

static void transaction(struct span bytes)
{
	struct txn t = {0};
	struct writer w = {0};

	if (txn_decode(bytes, &t) != 0)
		return;
	FUZZ_CHECK(t.compares_count <= TXN_OPS_MAX && t.ops_count[0] <= TXN_OPS_MAX && t.ops_count[1] <= TXN_OPS_MAX);
	txn_encode(&w, &t);
	FUZZ_CHECK(w.size == bytes.size && memcmp(w.data, bytes.data, w.size) == 0);
	txn_done(&t);
	writer_free(&w);
}

static void results(struct reader in)
{
	struct txn_result r;
	while (reader_left(&in) > 0 && !in.failed)
		txn_result_decode(&in, &r);
}

static void configuration(struct span bytes)
{
	struct raft_members m;
	struct writer w = {0};

	if (raft_members_decode(bytes, &m) != 0)
		return;
	FUZZ_CHECK(m.voters_count + m.learners_count <= RAFT_MEMBERS_MAX && m.context_size <= RAFT_CONTEXT_BYTES_MAX);
	raft_members_encode(&w, &m);
	FUZZ_CHECK(w.size == bytes.size && memcmp(w.data, bytes.data, w.size) == 0);
	writer_free(&w);
}

static void typed(struct span bytes)
{
	static struct store_config c;
	char text[1024], why[256] = "";
	int64_t ns;
	uint64_t size;

	snprintf(text, sizeof(text), "%.*s", (int)(bytes.size < 1000 ? bytes.size : 1000), (const char *)bytes.data);
	FUZZ_CHECK(cluster_option_parse(text, &c, why, sizeof(why)) == 0 || why[0]);
	FUZZ_CHECK(c.members_count <= STORE_MEMBERS_MAX);
	if (quantity_duration(text, &ns) == 0)
		FUZZ_CHECK(ns >= 0);
	if (quantity_size(text, &size) == 0)
		FUZZ_CHECK(size <= INT64_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2 || size > 1 << 16)
		return 0;
	struct span rest = {data + 1, size - 1};
	if (data[0] % 4 == 0)
		transaction(rest);
	else if (data[0] % 4 == 1)
		configuration(rest);
	else if (data[0] % 4 == 2)
		results(reader_over(rest.data, rest.size));
	else
		typed(rest);
	return 0;
}
