/* loopback.h: which addresses never leave this machine. */
#ifndef TALLY_BASE_LOOPBACK_H
#define TALLY_BASE_LOOPBACK_H

#include <stdbool.h>

/* Is the host of this HOST:PORT this machine's loopback: 127.x.y.z, [::1] or localhost? Other names are not, whatever they resolve to. */
bool is_loopback(const char *address);

#endif
