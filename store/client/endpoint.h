/* endpoint.h: what serves clients of this node: tallyctl, benches, client-only mounts.
 *
 * One thread: it takes requests from the local socket DATA/ctl (mode 0600) and, if asked to, from TCP, runs each through one chain of hooks
 * (limit, trace, count), and answers: serial reads at once, the others when the store is done with their barrier or command. The store's
 * threads only note that it is, so a long listing never holds them up.
 *
 * With a secret (store_settings) requests over TCP are sealed (gate.h), and those that are not are refused; the local socket is guarded by its mode.
 *
 * A request over the limits, or one that comes while the endpoint stops, is answered with -EBUSY: it surely was not applied. */
#ifndef TALLY_STORE_CLIENT_ENDPOINT_H
#define TALLY_STORE_CLIENT_ENDPOINT_H

#include "store/client/hooks.h"
#include "base/histogram.h"
#include "store/store.h"

#define ENDPOINT_IN_FLIGHT_MAX 1024u
#define ENDPOINT_WATCHES_MAX 4096u /* not counted among those above: they only wait */
#define ENDPOINT_IN_FLIGHT_BYTES_MAX (256u << 20)

struct endpoint;

/* Binds DATA/ctl and, unless client_address is NULL, that HOST:PORT, and starts. DATA must be locked by the caller (a socket left over in it is
 * removed). Strings are borrowed for the call. On failure a negative errno (-EADDRINUSE: the port is taken) and one line in `why`. */
int endpoint_start(struct store *s, const char *data_dir, const char *client_address, struct endpoint **out, char *why, size_t why_size);
/* Ends what is under way (the store must still be open), at the latest when the store's timeout has passed; removes the socket. NULL is fine. */
void endpoint_stop(struct endpoint *e);
/* Live while the endpoint is. */
const struct hook_counters *endpoint_counters(const struct endpoint *e);
/* The same as figures: what was asked of it, by type of request. */
struct endpoint_figures {
	const char *type;
	uint64_t requests;
	uint64_t errors;
	uint64_t request_bytes;
	uint64_t response_bytes;
	struct histogram_figures durations;
};
/* False: there is no type of this number (they begin at 0, malformed ones). Any thread, until endpoint_stop. */
bool endpoint_figures(const struct endpoint *e, unsigned type, struct endpoint_figures *out);

#endif
