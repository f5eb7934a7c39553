/* store/identity.h without files: a machine's number is its node's id, and all machines of the run are members. */
#include "store/identity.h"
#include "tests/sim/machine.h"

#include <stdio.h>

#define CLUSTER_ID 0x7461u

int identity_open(const struct store_config *config, struct identity *out, char *why, size_t why_size)
{
	(void)why, (void)why_size;
	*out = (struct identity){.lock_fd = -1, .cluster_id = CLUSTER_ID, .id = machine_now()->number, .members_count = machines_count};
	snprintf(out->name, sizeof(out->name), "%s", config->name);
	for (uint32_t i = 0; i < machines_count; i++) {
		out->ids[i] = i + 1;
		snprintf(out->members[i].name, sizeof(out->members[i].name), "n%u", i + 1);
		snprintf(out->members[i].address, sizeof(out->members[i].address), "m%u:7701", i + 1);
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

const struct store_member *identity_member(const struct identity *i, uint64_t id)
{
	for (uint32_t m = 0; m < i->members_count; m++)
		if (i->ids[m] == id)
			return &i->members[m];
	return NULL;
}
