/* quantity.h: durations, sizes and addresses, as options have them. */
#ifndef TALLY_CMD_QUANTITY_H
#define TALLY_CMD_QUANTITY_H

#include <stdint.h>

/* A duration as 50ms, 5s, 2m, 1h, 7d, or a bare number of seconds; in nanoseconds. -EINVAL; -ERANGE beyond 292 years. */
int quantity_duration(const char *text, int64_t *ns);
/* A size as 64M: K, M, G are powers of 1024. */
int quantity_size(const char *text, uint64_t *bytes);
/* HOST:PORT; an IPv6 host in brackets. */
int quantity_address(const char *text);

#endif
