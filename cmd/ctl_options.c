#include "cmd/ctl.h"
#include "cmd/quantity.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_DEFAULT_NS INT64_C(5000000000)
#define TIMEOUT_MAX_NS (INT64_C(86400) * 1000000000)

enum option_code {
	OPTION_ENDPOINTS = 256,
	OPTION_SECRET,
	OPTION_BALANCE,
	OPTION_TIMEOUT,
	OPTION_OUTPUT,
	OPTION_PREFIX,
	OPTION_REV,
	OPTION_CONSISTENCY,
	OPTION_LIMIT,
	OPTION_KEYS_ONLY,
	OPTION_COUNT_ONLY,
	OPTION_LEARNER,
	OPTION_LEASE,
	OPTION_ONCE,
	OPTION_KEYS,
	OPTION_TTL
};

static const struct option long_options[] = {{"endpoints", required_argument, NULL, OPTION_ENDPOINTS},
					     {"secret", required_argument, NULL, OPTION_SECRET},
					     {"balance", required_argument, NULL, OPTION_BALANCE},
					     {"timeout", required_argument, NULL, OPTION_TIMEOUT},
					     {"output", required_argument, NULL, OPTION_OUTPUT},
					     {"prefix", no_argument, NULL, OPTION_PREFIX},
					     {"rev", required_argument, NULL, OPTION_REV},
					     {"consistency", required_argument, NULL, OPTION_CONSISTENCY},
					     {"limit", required_argument, NULL, OPTION_LIMIT},
					     {"keys-only", no_argument, NULL, OPTION_KEYS_ONLY},
					     {"count-only", no_argument, NULL, OPTION_COUNT_ONLY},
					     {"learner", no_argument, NULL, OPTION_LEARNER},
					     {"lease", required_argument, NULL, OPTION_LEASE},
					     {"once", no_argument, NULL, OPTION_ONCE},
					     {"keys", no_argument, NULL, OPTION_KEYS},
					     {"ttl", required_argument, NULL, OPTION_TTL},
					     {"help", no_argument, NULL, 'h'},
					     {"version", no_argument, NULL, 'V'},
					     {NULL, 0, NULL, 0}};

bool ctl_number_parse(const char *text, uint64_t *out)
{
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	unsigned long long n = strtoull(text, &end, 10);
	if (errno || *end)
		return false;
	*out = n;
	return true;
}

static bool timeout_parse(const char *text, int64_t *out)
{
	return quantity_duration(text, out) == 0 && *out > 0 && *out <= TIMEOUT_MAX_NS;
}

/* One of two words. */
static bool choice_parse(const char *text, const char *no, const char *yes, bool *out)
{
	*out = strcmp(text, yes) == 0;
	return *out || strcmp(text, no) == 0;
}

/* False: the argument is malformed. */
static bool option_set(struct ctl_options *o, int code, const char *text)
{
	switch (code) {
	case OPTION_ENDPOINTS:
		o->endpoints = text;
		return true;
	case OPTION_SECRET:
		o->secret = text;
		return *text != '\0';
	case OPTION_BALANCE:
		return balance_policy_parse(text, &o->policy) == 0;
	case OPTION_TIMEOUT:
		return timeout_parse(text, &o->timeout_ns);
	case OPTION_OUTPUT:
		return choice_parse(text, "text", "json", &o->json);
	case OPTION_PREFIX:
		o->given |= GIVEN_PREFIX;
		return true;
	case OPTION_REV:
		o->given |= GIVEN_REV;
		return ctl_number_parse(text, &o->rev);
	case OPTION_CONSISTENCY:
		o->given |= GIVEN_CONSISTENCY;
		return choice_parse(text, "linearizable", "serial", &o->serial);
	case OPTION_LIMIT:
		o->given |= GIVEN_LIMIT;
		return ctl_number_parse(text, &o->limit);
	case OPTION_KEYS_ONLY:
		o->given |= GIVEN_KEYS_ONLY;
		return true;
	case OPTION_COUNT_ONLY:
		o->given |= GIVEN_COUNT_ONLY;
		return true;
	case OPTION_LEARNER:
		o->given |= GIVEN_LEARNER;
		return true;
	case OPTION_LEASE:
		o->given |= GIVEN_LEASE;
		return ctl_lease_parse(text, &o->lease);
	case OPTION_ONCE:
		o->given |= GIVEN_ONCE;
		return true;
	case OPTION_KEYS:
		o->given |= GIVEN_KEYS;
		return true;
	case OPTION_TTL:
		o->given |= GIVEN_TTL;
		return ctl_number_parse(text, &o->ttl_s) && o->ttl_s > 0;
	case 'h':
		o->help = true;
		return true;
	default:
		o->version = true;
		return true;
	}
}

static void wrong(struct ctl_options *o, const char *what, const char *text)
{
	if (!o->wrong[0])
		snprintf(o->wrong, sizeof(o->wrong), "%s: %s", text, what);
}

static void malformed(struct ctl_options *o, const char *name, const char *text)
{
	if (!o->wrong[0])
		snprintf(o->wrong, sizeof(o->wrong), "--%s: malformed value \"%s\"", name, text);
}

/* Is the next argument the command of a lock, with all that follows it? */
static bool command_begins(char **args, int count)
{
	return count >= 2 && strcmp(args[0], "lock") == 0;
}

/* Moves the arguments that are no options to the front. getopt_long would do so by itself, but for the end of it. */
static void parse(int argc, char **argv, struct ctl_options *o)
{
	int index = 0;

	opterr = 0;
	o->args = argv + 1;
	while (optind < argc) {
		int before = optind;
		int code = getopt_long(argc, argv, "+:hV", long_options, &index);
		bool ended = code == -1 && optind > before && strcmp(argv[optind - 1], "--") == 0;
		if (code == ':')
			wrong(o, "needs a value", argv[optind - 1]);
		else if (code == '?')
			wrong(o, "unknown option", argv[optind - 1]);
		else if (code != -1 && !option_set(o, code, optarg))
			malformed(o, long_options[index].name, optarg);
		if (code != -1)
			continue;
		bool rest = ended || command_begins(o->args, o->args_count);
		int take = rest ? argc - optind : optind < argc;
		while (take-- > 0)
			o->args[o->args_count++] = argv[optind++];
	}
	o->args[o->args_count] = NULL;
}

void ctl_options_parse(int argc, char **argv, struct ctl_options *out)
{
	const char *endpoints = getenv("TALLYCTL_ENDPOINTS"), *secret = getenv("TALLYCTL_SECRET");
	struct ctl_options o = {.endpoints = endpoints && *endpoints ? endpoints : NULL,
				.secret = secret && *secret ? secret : NULL,
				.timeout_ns = TIMEOUT_DEFAULT_NS};

	parse(argc, argv, &o);
	if (o.wrong[0] == '\0' && o.endpoints && !*o.endpoints)
		wrong(&o, "is empty", "--endpoints");
	*out = o;
}
