/* codec.h: how every format of the project is written and read: little-endian integers and length-prefixed bytes.
 *
 * A writer grows its own memory. A reader is a cursor over borrowed memory with a sticky error: after the first read
 * past the end (or a call of reader_fail) every read gives 0 or an empty span, and reader_done tells it once, at the end. */
#ifndef TALLY_BASE_CODEC_H
#define TALLY_BASE_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that somebody else owns. */
struct span {
	const void *data;
	size_t size;
};

struct writer {
	uint8_t *data; /* owned; NULL when empty */
	size_t size;
	size_t capacity;
};

/* A zeroed struct writer is empty and ready. Memory that runs out ends the process: a half-written format is never sent. */
void writer_u8(struct writer *w, uint8_t v);
void writer_u16(struct writer *w, uint16_t v);
void writer_u32(struct writer *w, uint32_t v);
void writer_u64(struct writer *w, uint64_t v);
void writer_raw(struct writer *w, const void *data, size_t size);
/* A line of text, cut at 511 bytes, and its end. */
void writer_line(struct writer *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A u32 length, then the bytes. size < 4 GiB. */
void writer_bytes(struct writer *w, const void *data, size_t size);
void writer_string(struct writer *w, const char *s);
/* Room for `size` bytes, to be filled by the caller before the next call on `w`. */
void *writer_reserve(struct writer *w, size_t size);
/* Overwrites four bytes at `offset`, which must have been written already. */
void writer_patch_u32(struct writer *w, size_t offset, uint32_t v);
/* Forgets the content, keeps the memory. */
void writer_clear(struct writer *w);
void writer_free(struct writer *w);

struct reader {
	const uint8_t *data; /* borrowed */
	size_t size;
	size_t offset;
	bool failed;
};

struct reader reader_over(const void *data, size_t size);
uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);
/* The next `size` bytes, borrowed from what the reader was made over. */
struct span reader_raw(struct reader *r, size_t size);
/* A u32 length and that many bytes; a length over `size_max` fails. */
struct span reader_bytes(struct reader *r, size_t size_max);
/* A u32 length and that many bytes, none of them NUL, as a string. What does not fit into `size` bytes with its NUL fails; false then, or if it had failed before. */
bool reader_text(struct reader *r, char *out, size_t size);
size_t reader_left(const struct reader *r);
void reader_fail(struct reader *r);
/* True when nothing failed and every byte was read. */
bool reader_done(const struct reader *r);

#endif
