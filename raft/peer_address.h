/* peer_address.h: HOST:PORT, as members are addressed. Private to raft/peer*.c. */
#ifndef TALLY_RAFT_PEER_ADDRESS_H
#define TALLY_RAFT_PEER_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#define PEER_URL_BYTES 300

/* tcp://HOST:PORT to connect to; nanomsg looks the name up, again at each attempt. False when it is not HOST:PORT. */
bool peer_address_connect_url(const char *address, char url[PEER_URL_BYTES]);
/* tcp://A.B.C.D:PORT to bind, as nanomsg binds no names. 0, -EINVAL for what is not HOST:PORT, -ENOENT for a name without an IPv4 address. */
int peer_address_bind_url(const char *address, char url[PEER_URL_BYTES]);

#endif
