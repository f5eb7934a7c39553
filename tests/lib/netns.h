/* netns.h: hosts on this machine: network namespaces joined by a bridge, each with an address of its own, whose network can be broken as a real one breaks.
 *
 * The bridge stands in a namespace of its own, so nothing of this machine's own network is touched. Names carry this process's id. What netns_up made is
 * removed by netns_down, which cluster_teardown calls, and by a signal that ends the test. Main thread only, but for netns_address and netns_name. */
#ifndef TALLY_TESTS_LIB_NETNS_H
#define TALLY_TESTS_LIB_NETNS_H

#include <stdbool.h>

#define NETNS_HOSTS_MAX 5

/* NULL, or why this machine cannot: what is missing (root, ip, nft, namespaces). */
const char *netns_missing(void);
/* NULL, or why links cannot be made slow, lossy and disorderly by tc netem. Needs netns_up. */
const char *netns_netem_missing(void);

struct cluster;
/* Makes a host for each node of the cluster, and moves the nodes there: call it before they are started. Fails the test if it cannot. */
void netns_up(struct cluster *c);
void netns_down(void);
const char *netns_name(int host);
const char *netns_address(int host);

/* What `from` sends no longer reaches `to`; TCP sees loss. */
void netns_cut(int from, int to);
/* The cable of a host is pulled, or plugged in. */
void netns_link(int host, bool up);
/* A part of what arrives at a host is lost. */
void netns_lose(int host, int percent);
/* What a host sends passes `how`, in the words of tc netem: "delay 50ms 20ms" for example. */
void netns_netem(int host, const char *how);
/* All is well again. */
void netns_heal(void);

#endif
