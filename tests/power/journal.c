#include "tests/power/disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/files.h"

static void take_name(char *out, size_t size, const uint8_t *from, uint32_t length)
{
	if (length >= size)
		abort();
	memcpy(out, from, length);
	out[length] = '\0';
}

void journal_load(struct journal *j, const char *file)
{
	size_t size, at = 0;
	uint32_t capacity = 0;

	*j = (struct journal){.bytes = (uint8_t *)file_load(file, &size)};
	if (!j->bytes)
		abort();
	while (at < size) {
		struct record_head h;
		if (size - at < sizeof(h))
			abort();
		memcpy(&h, j->bytes + at, sizeof(h));
		at += sizeof(h);
		if (h.magic != RECORD_MAGIC || h.data_size > size - at)
			abort();
		if (j->count == capacity) {
			capacity = capacity ? 2 * capacity : 1024;
			j->events = reallocarray(j->events, capacity, sizeof(*j->events));
			if (!j->events)
				abort();
		}
		struct event *e = &j->events[j->count++];
		*e = (struct event){.kind = h.kind, .ino = h.ino, .offset = h.offset, .size = h.data_size ? h.data_size : h.size};
		take_name(e->name, sizeof(e->name), j->bytes + at, h.name_size);
		take_name(e->name2, sizeof(e->name2), j->bytes + at + h.name_size, h.name2_size);
		e->data = j->bytes + at + h.name_size + h.name2_size;
		at += h.name_size + h.name2_size + h.data_size;
	}
}

void journal_free(struct journal *j)
{
	free(j->bytes);
	free(j->events);
	*j = (struct journal){0};
}
