#include "base/codec.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the formats are little-endian and written by memcpy");

void *writer_reserve(struct writer *w, size_t size)
{
	if (w->capacity - w->size < size) {
		size_t capacity = w->capacity * 2;
		if (capacity < w->size + size)
			capacity = w->size + size;
		if (capacity < 128)
			capacity = 128;
		w->data = realloc(w->data, capacity);
		if (!w->data)
			abort();
		w->capacity = capacity;
	}
	void *room = w->data + w->size;
	w->size += size;
	return room;
}

void writer_u8(struct writer *w, uint8_t v)
{
	memcpy(writer_reserve(w, sizeof(v)), &v, sizeof(v));
}

void writer_u16(struct writer *w, uint16_t v)
{
	memcpy(writer_reserve(w, sizeof(v)), &v, sizeof(v));
}

void writer_u32(struct writer *w, uint32_t v)
{
	memcpy(writer_reserve(w, sizeof(v)), &v, sizeof(v));
}

void writer_u64(struct writer *w, uint64_t v)
{
	memcpy(writer_reserve(w, sizeof(v)), &v, sizeof(v));
}

void writer_raw(struct writer *w, const void *data, size_t size)
{
	if (size > 0)
		memcpy(writer_reserve(w, size), data, size);
}

void writer_line(struct writer *w, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	int size = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	writer_raw(w, text, (size_t)size < sizeof(text) ? (size_t)size : sizeof(text) - 1);
	writer_u8(w, '\n');
}

void writer_bytes(struct writer *w, const void *data, size_t size)
{
	assert(size <= UINT32_MAX);
	writer_u32(w, (uint32_t)size);
	writer_raw(w, data, size);
}

void writer_string(struct writer *w, const char *s)
{
	writer_bytes(w, s, strlen(s));
}

void writer_patch_u32(struct writer *w, size_t offset, uint32_t v)
{
	assert(offset + sizeof(v) <= w->size);
	memcpy(w->data + offset, &v, sizeof(v));
}

void writer_clear(struct writer *w)
{
	w->size = 0;
}

void writer_free(struct writer *w)
{
	free(w->data);
	*w = (struct writer){0};
}

struct reader reader_over(const void *data, size_t size)
{
	return (struct reader){.data = data, .size = size};
}

struct span reader_raw(struct reader *r, size_t size)
{
	if (r->failed || r->size - r->offset < size) {
		r->failed = true;
		return (struct span){NULL, 0};
	}
	struct span s = {r->data + r->offset, size};
	r->offset += size;
	return s;
}

static uint64_t read_integer(struct reader *r, size_t size)
{
	uint64_t v = 0;
	struct span s = reader_raw(r, size);
	if (s.size == size)
		memcpy(&v, s.data, size);
	return v;
}

uint8_t reader_u8(struct reader *r)
{
	return (uint8_t)read_integer(r, 1);
}

uint16_t reader_u16(struct reader *r)
{
	return (uint16_t)read_integer(r, 2);
}

uint32_t reader_u32(struct reader *r)
{
	return (uint32_t)read_integer(r, 4);
}

uint64_t reader_u64(struct reader *r)
{
	return read_integer(r, 8);
}

struct span reader_bytes(struct reader *r, size_t size_max)
{
	uint32_t size = reader_u32(r);
	if (size > size_max)
		r->failed = true;
	return reader_raw(r, size);
}

bool reader_text(struct reader *r, char *out, size_t size)
{
	struct span s = reader_bytes(r, size - 1);
	if (s.size > 0 && memchr(s.data, 0, s.size))
		reader_fail(r);
	if (r->failed)
		return false;
	if (s.size > 0)
		memcpy(out, s.data, s.size);
	out[s.size] = '\0';
	return true;
}

size_t reader_left(const struct reader *r)
{
	return r->failed ? 0 : r->size - r->offset;
}

void reader_fail(struct reader *r)
{
	r->failed = true;
}

bool reader_done(const struct reader *r)
{
	return !r->failed && r->offset == r->size;
}
