/* Prefixes of keys (protocol.h). */
#include "store/client/protocol.h"

#include <string.h>

#define SEGMENT_MAX 255u
#define KEY_MAX 4095u

static bool segment_valid(const char *s, size_t size)
{
	return size > 0 && size <= SEGMENT_MAX && !(size == 1 && s[0] == '.') && !(size == 2 && s[0] == '.' && s[1] == '.');
}

bool prefix_valid(struct span prefix)
{
	const char *s = prefix.data;
	size_t left = prefix.size;

	if (left == 0)
		return true;
	if (left > KEY_MAX || memchr(s, '\0', left))
		return false;
	for (;;) {
		const char *slash = memchr(s, '/', left);
		size_t size = slash ? (size_t)(slash - s) : left;
		if (!slash)
			return size <= SEGMENT_MAX;
		if (!segment_valid(s, size))
			return false;
		s += size + 1;
		left -= size + 1;
	}
}

size_t prefix_end(struct span prefix, char *end)
{
	size_t size = prefix.size;
	const unsigned char *p = prefix.data;

	while (size > 0 && p[size - 1] == 0xff)
		size--;
	if (size == 0)
		return 0;
	memcpy(end, p, size);
	end[size - 1] = (char)(p[size - 1] + 1);
	return size;
}
