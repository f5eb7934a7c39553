/* watch_line.c: events as lines of text, and names as ls -b shows them. */
#include "store/watch.h"

#include <stdio.h>
#include <string.h>

/* The length of the printable UTF-8 sequence at p (RFC 3629), or 0. */
static size_t printable(const unsigned char *p, size_t left)
{
	size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] <= 0xdf ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4 : 0;
	if (n == 0 || n > left || p[0] <= ' ' || p[0] == 0x7f || p[0] == '\\')
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	/* Control characters, overlong forms, surrogates, and what is beyond Unicode. */
	if ((p[0] == 0xc2 && p[1] < 0xa0) || (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

static void escape_byte(struct writer *out, unsigned char c)
{
	static const char from[] = "\a\b\f\n\r\t\v\\ ";
	static const char to[] = "abfnrtv\\ ";
	const char *known = c ? strchr(from, c) : NULL;
	char text[8];
	if (known)
		snprintf(text, sizeof(text), "\\%c", to[known - from]);
	else
		snprintf(text, sizeof(text), "\\%03o", c);
	writer_raw(out, text, strlen(text));
}

void watch_escape(struct writer *out, struct span name)
{
	const unsigned char *p = name.data;
	for (size_t at = 0; at < name.size;) {
		size_t n = printable(p + at, name.size - at);
		if (n > 0)
			writer_raw(out, p + at, n);
		else
			escape_byte(out, p[at]);
		at += n > 0 ? n : 1;
	}
}

void watch_format_line(struct writer *out, const struct mvcc_event *e)
{
	static const char *const names[] = {[MVCC_EVENT_PUT] = "put", [MVCC_EVENT_DELETE] = "delete", [MVCC_EVENT_RENAME] = "rename"};
	char head[48];
	snprintf(head, sizeof(head), "%llu\t%s\t", (unsigned long long)e->rev.main, names[e->type]);
	writer_raw(out, head, strlen(head));
	watch_escape(out, e->key);
	if (e->type == MVCC_EVENT_RENAME) {
		writer_u8(out, '\t');
		watch_escape(out, e->to);
	}
	writer_u8(out, '\n');
}
