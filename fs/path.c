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

/* RFC 3339 in UTC, in whole seconds or with up to nine digits of a fraction; only the shape. */
static bool is_time(const char *s)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:dd";

	for (size_t i = 0; i < sizeof(shape) - 1; i++) {
		bool digit = s[i] >= '0' && s[i] <= '9';
		if (shape[i] == 'd' ? !digit : s[i] != shape[i])
			return false;
	}
	s += sizeof(shape) - 1;
	if (*s == '.') {
		size_t fraction = strspn(s + 1, "0123456789");
		if (fraction < 1 || fraction > 9)
			return false;
		s += 1 + fraction;
	}
	return strcmp(s, "Z") == 0;
}

static int64_t number_at(const char *s, size_t digits_count)
{
	int64_t n = 0;

	for (size_t i = 0; i < digits_count; i++)
		n = n * 10 + (s[i] - '0');
	return n;
}

/* Days from 1970-01-01 to a date of the Gregorian calendar: years begin in March, so that the leap day is the last. */
static int64_t days_until(int64_t year, int64_t month, int64_t day)
{
	int64_t y = month > 2 ? year : year - 1;
	int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	/* There is a year 0, and it is the first of a cycle of 400; counted from one cycle before, nothing is negative. */
	int64_t from = y + 400;

	return from * 365 + from / 4 - from / 100 + from / 400 + of_year - 719468 - 146097;
}

static bool is_date(int64_t year, int64_t month, int64_t day)
{
	bool december = month == 12;

	if (month < 1 || month > 12 || day < 1)
		return false;
	return day <= days_until(december ? year + 1 : year, december ? 1 : month + 1, 1) - days_until(year, month, 1);
}

static int64_t fraction_ns(const char *s)
{
	int64_t ns = 0;

	if (*s != '.')
		return 0;
	for (int64_t unit = 100000000; *++s != 'Z'; unit /= 10)
		ns += (*s - '0') * unit;
	return ns;
}

/* Of what is_time said yes to. A leap second is the first second after it, as in POSIX. */
static void read_time(const char *s, struct path_name *p)
{
	int64_t year = number_at(s, 4), month = number_at(s + 5, 2), day = number_at(s + 8, 2);
	int64_t hour = number_at(s + 11, 2), minute = number_at(s + 14, 2), second = number_at(s + 17, 2);

	p->no_date = !is_date(year, month, day) || hour > 23 || minute > 59 || second > 60;
	if (p->no_date)
		return;
	int64_t seconds = ((days_until(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
	if (__builtin_mul_overflow(seconds, INT64_C(1000000000), &p->time_ns) ||
	    __builtin_add_overflow(p->time_ns, fraction_ns(s + 19), &p->time_ns))
		p->time_ns = seconds < 0 ? INT64_MIN : INT64_MAX;
}

static enum path_shape control_shape(const char *after, size_t base_len, bool in_root)
{
	if (strcmp(after, "watch") == 0)
		return PATH_WATCH;
	if (!in_root || base_len != 0)
		return PATH_PLAIN;
	if (strcmp(after, "status") == 0)
		return PATH_STATUS;
	if (strcmp(after, "members") == 0)
		return PATH_MEMBERS;
	return strcmp(after, "metrics") == 0 ? PATH_METRICS : PATH_PLAIN;
}

struct path_name path_parse(const char *name, bool in_root, char mark)
{
	struct path_name p = {.shape = PATH_PLAIN, .base_len = strlen(name)};
	const char *last = strrchr(name, mark);

	if (!last)
		return p;
	const char *after = last + 1;
	size_t base_len = (size_t)(last - name);
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
	if (p.shape == PATH_TIME)
		read_time(after, &p);
	if (p.shape != PATH_PLAIN)
		p.base_len = base_len;
	return p;
}

bool path_mark_valid(char mark)
{
	return mark > ' ' && mark <= '~' && strchr("!\"#$%&'()*+;<=>?@[\\]^_`{|}~", mark) != NULL;
}
