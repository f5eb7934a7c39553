#include "cmd/quantity.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Digits, then a unit out of `units` (name and factor), of which "" may be one. */
struct unit {
	const char *name;
	uint64_t factor;
};

static int number_with_unit(const char *text, const struct unit *units, uint64_t max, uint64_t *out)
{
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	unsigned long long n = strtoull(text, &end, 10);
	if (errno)
		return -ERANGE;
	for (; units->name; units++) {
		if (strcmp(end, units->name) != 0)
			continue;
		if (n > max / units->factor)
			return -ERANGE;
		*out = n * units->factor;
		return 0;
	}
	return -EINVAL;
}

int quantity_duration(const char *text, int64_t *ns)
{
	static const struct unit units[] = {{"ms", 1000000},      {"s", 1000000000},     {"", 1000000000}, {"m", 60000000000},
					    {"h", 3600000000000}, {"d", 86400000000000}, {NULL, 0}};
	uint64_t value;
	int error = number_with_unit(text, units, INT64_MAX, &value);

	if (!error)
		*ns = (int64_t)value;
	return error;
}

int quantity_size(const char *text, uint64_t *bytes)
{
	static const struct unit units[] = {{"", 1}, {"K", 1u << 10}, {"M", 1u << 20}, {"G", 1u << 30}, {NULL, 0}};

	return number_with_unit(text, units, INT64_MAX, bytes);
}

int quantity_address(const char *text)
{
	const char *colon = strrchr(text, ':');
	uint64_t port;
	static const struct unit none[] = {{"", 1}, {NULL, 0}};

	if (!colon || colon == text || number_with_unit(colon + 1, none, 65535, &port) || port == 0)
		return -EINVAL;
	size_t host_size = (size_t)(colon - text);
	bool brackets = text[0] == '[' && text[host_size - 1] == ']' && host_size > 2;
	for (size_t i = 0; i < host_size; i++) {
		if (text[i] <= ' ' || text[i] > '~' || strchr("/,=;@", text[i]))
			return -EINVAL;
		if (strchr(":[]", text[i]) && !brackets)
			return -EINVAL;
	}
	return 0;
}
