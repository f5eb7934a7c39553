/* store/identity.h without files: a machine's number is its node's id, and all machines of the run are first members. */
#include "store/identity.h"
#include "tests/sim/machine.h"

#include <stdio.h>
#include <stdlib.h>

#define CLUSTER_ID 0x7461u

uint64_t members_first_id(const char *name)
{
	return strtoull(name + 1, NULL, 10);
}

int identity_open(const struct store_config *config, struct identity *out, char *why, size_t why_size)
{
	(void)why, (void)why_size;
	*out = (struct identity){.lock_fd = -1, .cluster_id = CLUSTER_ID, .origin = CLUSTER_ID, .first_count = machines_count};
	out->id = out->incarnation = machine_now()->number;
	snprintf(out->name, sizeof(out->name), "%s", config->name);
	snprintf(out->address, sizeof(out->address), "m%u:7701", machine_now()->number);
	for (uint32_t i = 0; i < machines_count; i++) {
		snprintf(out->first[i].name, sizeof(out->first[i].name), "n%u", i + 1);
		snprintf(out->first[i].address, sizeof(out->first[i].address), "m%u:7701", i + 1);
	}
	return 0;
}

void identity_withdraw(const struct identity *i, const char *data)
{
	(void)i, (void)data;
}

void identity_close(struct identity *i)
{
	(void)i;
}

int identity_keep(const struct identity *i, const char *data)
{
	(void)i, (void)data;
	return 0;
}

bool identity_is_first(const struct identity *i)
{
	return i->id == i->incarnation;
}
