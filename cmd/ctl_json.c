#include "cmd/ctl_json.h"

#include <stdio.h>

/* The length of the UTF-8 sequence at p (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF), or 0. */
static size_t sequence_length(const unsigned char *p, size_t left)
{
	size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] <= 0xdf ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4 : 0;

	if (n == 0 || n > left)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
	    (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

bool json_is_utf8(struct span s)
{
	const unsigned char *p = s.data;

	for (size_t at = 0; at < s.size;) {
		size_t n = sequence_length(p + at, s.size - at);
		if (n == 0)
			return false;
		at += n;
	}
	return true;
}

static void put_ascii(unsigned char c)
{
	if (c == '"' || c == '\\')
		printf("\\%c", c);
	else if (c == '\n')
		fputs("\\n", stdout);
	else if (c == '\t')
		fputs("\\t", stdout);
	else if (c < 0x20 || c == 0x7f)
		printf("\\u%04x", c);
	else
		putchar(c);
}

void json_string(struct span s)
{
	const unsigned char *p = s.data;

	putchar('"');
	for (size_t at = 0; at < s.size;) {
		size_t n = sequence_length(p + at, s.size - at);
		if (n == 1)
			put_ascii(p[at]);
		else if (n > 1)
			fwrite(p + at, 1, n, stdout);
		else
			fputs("\\ufffd", stdout);
		at += n ? n : 1;
	}
	putchar('"');
}

static void base64(struct span s)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = s.data;

	for (size_t at = 0; at < s.size; at += 3) {
		size_t left = s.size - at;
		unsigned bits = (unsigned)p[at] << 16 | (left > 1 ? (unsigned)p[at + 1] << 8 : 0) | (left > 2 ? p[at + 2] : 0);
		putchar(digits[bits >> 18]);
		putchar(digits[bits >> 12 & 63]);
		putchar(left > 1 ? digits[bits >> 6 & 63] : '=');
		putchar(left > 2 ? digits[bits & 63] : '=');
	}
}

void json_bytes(const char *name, struct span s)
{
	if (json_is_utf8(s)) {
		printf("\"%s\":", name);
		json_string(s);
		return;
	}
	printf("\"%s_base64\":\"", name);
	base64(s);
	putchar('"');
}
