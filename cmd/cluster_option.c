#include "cmd/cluster_option.h"

#include "cmd/quantity.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

bool cluster_option_name(const char *name)
{
	size_t size = strlen(name);

	if (size == 0 || size >= STORE_NAME_MAX)
		return false;
	for (; *name; name++) {
		if (*name <= ' ' || *name > '~' || strchr("=/,:@", *name))
			return false;
	}
	return true;
}

const struct store_member *cluster_option_find(const struct store_config *c, const char *name)
{
	for (uint32_t i = 0; i < c->members_count; i++) {
		if (strcmp(c->members[i].name, name) == 0)
			return &c->members[i];
	}
	return NULL;
}

static bool address_used(const struct store_config *c, const char *address)
{
	for (uint32_t i = 0; i < c->members_count; i++) {
		if (strcmp(c->members[i].address, address) == 0)
			return true;
	}
	return false;
}

/* "NAME=HOST:PORT" of `size` bytes. */
static int parse_member(const char *text, size_t size, struct store_member *m, char *why, size_t why_size)
{
	const char *equals = memchr(text, '=', size);
	size_t name_size = equals ? (size_t)(equals - text) : 0;
	size_t address_size = equals ? size - name_size - 1 : 0;

	if (!equals || name_size >= sizeof(m->name) || address_size >= sizeof(m->address)) {
		snprintf(why, why_size, "cluster=: '%.*s' is not NAME=HOST:PORT", (int)size, text);
		return -EINVAL;
	}
	memcpy(m->name, text, name_size);
	m->name[name_size] = '\0';
	memcpy(m->address, equals + 1, address_size);
	m->address[address_size] = '\0';
	if (!cluster_option_name(m->name)) {
		snprintf(why, why_size, "cluster=: '%s' is not a name for a node", m->name);
		return -EINVAL;
	}
	if (quantity_address(m->address)) {
		snprintf(why, why_size, "cluster=: '%s' of %s is not HOST:PORT", m->address, m->name);
		return -EINVAL;
	}
	return 0;
}

int cluster_option_parse(const char *text, struct store_config *c, char *why, size_t why_size)
{
	c->members_count = 0;
	for (;;) {
		struct store_member m = {0};
		size_t size = strcspn(text, "/");
		int error = parse_member(text, size, &m, why, why_size);
		if (error)
			return error;
		if (cluster_option_find(c, m.name) || address_used(c, m.address)) {
			bool same_name = cluster_option_find(c, m.name);
			snprintf(why, why_size, "cluster=: %s is there twice", same_name ? m.name : m.address);
			return -EINVAL;
		}
		if (c->members_count == STORE_MEMBERS_MAX) {
			snprintf(why, why_size, "cluster=: more than %d members", STORE_MEMBERS_MAX);
			return -EINVAL;
		}
		c->members[c->members_count++] = m;
		if (!text[size])
			return 0;
		text += size + 1;
	}
}
