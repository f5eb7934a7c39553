#include "fs/path.h"

#include <string.h>

static bool digits(const char *s, uint64_t *number)
{
	if (!*s)
		return false;
	uint64_t n = 0;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return false;
		uint64_t d = (uint64_t)(*s - '0');
		n = n > (UINT64_MAX - d) / 10 ? UINT64_MAX : n * 10 + d;
	}
	*number = n;
	return true;
}

/* RFC 3339 in UTC and whole seconds; only the shape. */
static bool is_time(const char *s)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:ddZ";

	if (strlen(s) != sizeof(shape) - 1)
		return false;
	for (size_t i = 0; i < sizeof(shape) - 1; i++) {
		bool digit = s[i] >= '0' && s[i] <= '9';
		if (shape[i] == 'd' ? !digit : s[i] != shape[i])
			return false;
	}
	return true;
}

static enum path_shape control_shape(const char *after, size_t base_len, bool in_root)
{
	if (strcmp(after, "watch") == 0)
		return PATH_RESERVED;
	if (!in_root || base_len != 0)
		return PATH_PLAIN;
	if (strcmp(after, "status") == 0)
		return PATH_STATUS;
	if (strcmp(after, "members") == 0)
		return PATH_MEMBERS;
	return strcmp(after, "metrics") == 0 ? PATH_RESERVED : PATH_PLAIN;
}

struct path_name path_parse(const char *name, bool in_root)
{
	struct path_name p = {.shape = PATH_PLAIN, .base_len = strlen(name)};
	const char *mark = strrchr(name, '@');

	if (!mark)
		return p;
	const char *after = mark + 1;
	size_t base_len = (size_t)(mark - name);
	if (!*after)
		p.shape = PATH_VERSIONS;
	else if (digits(after, &p.number))
		p.shape = PATH_REVISION;
	else if (*after == '-' && digits(after + 1, &p.number))
		p.shape = PATH_BACK;
	else if (is_time(after))
		p.shape = PATH_TIME;
	else
		p.shape = control_shape(after, base_len, in_root);
	if (p.shape != PATH_PLAIN)
		p.base_len = base_len;
	return p;
}
