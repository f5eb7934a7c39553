/* cluster_option.h: the value of cluster=: NAME=HOST:PORT/NAME=HOST:PORT... */
#ifndef TALLY_CMD_CLUSTER_OPTION_H
#define TALLY_CMD_CLUSTER_OPTION_H

#include "store/store.h"

/* Fills members. -EINVAL and one line in `why`: malformed, a name or an address twice, too many. */
int cluster_option_parse(const char *text, struct store_config *c, char *why, size_t why_size);
/* A member's name: 1 to STORE_NAME_MAX - 1 printable characters without blanks and any of = / , : @ */
bool cluster_option_name(const char *name);
/* The member of this name, or NULL. */
const struct store_member *cluster_option_find(const struct store_config *c, const char *name);

#endif
