/* Frames between members: bytes as they come, bytes whose CRC is right, bytes that were sealed; and the window against repetitions. */
#include "tests/fuzz/fuzz.h"

#include "base/crc32c.h"
#include "raft/peer.h"
#include "raft/peer_frame.h"
#include "raft/peer_window.h"

static struct secret *secret(void)
{
	static struct secret *s;
	if (!s)
		FUZZ_CHECK(secret_new((struct span){"a secret to be fuzzed", 21}, &s) == 0);
	return s;
}

/* A frame that is good says what it was made of: made again, it is the same. */
static void decode(const uint8_t *data, size_t size, const struct secret *key, bool may_be_good)
{
	struct peer_frame_head h;
	uint8_t *frame = malloc(size + 1), *again = malloc(size + 1);

	memcpy(frame, data, size);
	enum peer_frame_verdict verdict = peer_frame_decode(frame, size, key, &h);
	FUZZ_CHECK(may_be_good || verdict != PEER_FRAME_GOOD);
	if (verdict == PEER_FRAME_GOOD) {
		FUZZ_CHECK(size == peer_frame_bytes(key, h.size) && h.size <= PEER_PAYLOAD_MAX);
		if (!key) {
			memcpy(again, data, size);
			peer_frame_encode(&h, NULL, again);
			FUZZ_CHECK(memcmp(again, data, size) == 0);
		}
	}
	free(frame);
	free(again);
}

static void window(struct reader in)
{
	struct peer_window w = {0};
	while (reader_left(&in) > 0) {
		uint64_t epoch = reader_u8(&in) % 4, seq = reader_u16(&in), top = w.epoch == epoch ? w.top : 0, before = w.epoch;
		enum peer_window_verdict verdict = peer_window_take(&w, epoch, seq);
		FUZZ_CHECK((verdict == PEER_WINDOW_OLD_EPOCH) == (epoch < before));
		FUZZ_CHECK(verdict == PEER_WINDOW_OLD_EPOCH || peer_window_take(&w, epoch, seq) == PEER_WINDOW_SEEN);
		FUZZ_CHECK(verdict != PEER_WINDOW_SEEN || seq <= top);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > PEER_PAYLOAD_MAX)
		return 0;
	uint8_t mode = data[0] % 4;
	data++, size--;
	if (mode == 0) {
		decode(data, size, NULL, true);
	} else if (mode == 1) {
		fuzz_weak_crc = true;
		decode(data, size, NULL, true);
		fuzz_weak_crc = false;
	} else if (mode == 2) {
		/* Nobody makes a tag by chance. */
		decode(data, size, secret(), false);
	} else {
		window(reader_over(data, size));
	}
	return 0;
}
