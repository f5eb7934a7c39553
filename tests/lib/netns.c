#include "tests/lib/netns.h"

#include "tests/lib/cluster.h"
#include "tests/lib/run.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
	int hosts;
	char remove[512]; /* a script, made beforehand, since a signal handler may have to run it */
	bool down[NETNS_HOSTS_MAX];
	bool netem[NETNS_HOSTS_MAX];
} net;

/* The host's namespace; that of the bridge is the one after the last. */
const char *netns_name(int host)
{
	static char names[NETNS_HOSTS_MAX + 1][32];
	snprintf(names[host], sizeof(names[host]), "tally%d-%d", (int)getpid(), host);
	return names[host];
}

const char *netns_address(int host)
{
	static char addresses[NETNS_HOSTS_MAX][48];
	snprintf(addresses[host], sizeof(addresses[host]), "10.%d.%d.%d", 100 + (int)getpid() / 256 % 100, (int)getpid() % 256, host + 1);
	return addresses[host];
}

static bool runs(const char *script)
{
	struct run_result r;
	run_shell(&r, "%s", script);
	bool ok = r.status == 0;
	run_done(&r);
	return ok;
}

const char *netns_missing(void)
{
	if (geteuid() != 0)
		return "network namespaces need root";
	if (!runs("command -v ip"))
		return "there is no ip (iproute2)";
	if (!runs("command -v nft"))
		return "there is no nft (nftables)";
	if (!runs("command -v nsenter"))
		return "there is no nsenter (util-linux)";
	if (!runs("unshare -n ip link add name br0 type bridge"))
		return "the kernel makes no network namespace with a bridge";
	if (!runs("unshare -n ip link add name va type veth peer name vb"))
		return "the kernel makes no veth pairs";
	if (!runs("unshare -n nft add table ip t"))
		return "the kernel has no nftables";
	return NULL;
}

static void must(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void must(const char *format, ...)
{
	char script[2048];
	struct run_result r;
	va_list args;
	va_start(args, format);
	vsnprintf(script, sizeof(script), format, args);
	va_end(args);
	run_shell(&r, "set -e; %s", script);
	if (r.status != 0)
		cluster_fail("%s: status %d, %s", script, r.status, r.err);
	run_done(&r);
}

const char *netns_netem_missing(void)
{
	char script[256];
	snprintf(script, sizeof(script),
		 "ip netns exec %s tc qdisc add dev eth0 root netem delay 1ms && ip netns exec %s tc qdisc del dev eth0 root",
		 netns_name(0), netns_name(0));
	return runs(script) ? NULL : "the kernel has no netem (CONFIG_NET_SCH_NETEM) or there is no tc";
}

/* Of a signal handler too: it only starts a program and waits for it. */
static void remove_all(void)
{
	int pid = net.hosts > 0 ? fork() : -1;
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", net.remove, (char *)NULL);
		_exit(127);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
	net.hosts = 0;
}

void netns_down(void)
{
	remove_all();
}

static void prepare_removal(int hosts)
{
	size_t at = 0;
	for (int i = 0; i <= hosts; i++)
		at += (size_t)snprintf(net.remove + at, sizeof(net.remove) - at, "ip netns del %s; ", netns_name(i));
	snprintf(net.remove + at, sizeof(net.remove) - at, "true");
}

static void add_host(int host, const char *bridge)
{
	const char *name = netns_name(host);
	must("ip netns add %s; ip -n %s link set lo up", name, name);
	must("ip -n %s link add name port%d type veth peer name eth0 netns %s", bridge, host, name);
	must("ip -n %s link set port%d master br0 up", bridge, host);
	must("ip -n %s addr add %s/24 dev eth0; ip -n %s link set eth0 up", name, netns_address(host), name);
	must("ip netns exec %s nft 'add table ip tally; add chain ip tally in { type filter hook input priority 0; }'", name);
}

void netns_up(struct cluster *c)
{
	const char *bridge = netns_name(c->count);
	prepare_removal(c->count);
	memset(net.down, 0, sizeof(net.down));
	memset(net.netem, 0, sizeof(net.netem));
	net.hosts = c->count;
	c->on_end = netns_down;
	must("ip netns add %s; ip -n %s link add name br0 type bridge; ip -n %s link set br0 up", bridge, bridge, bridge);
	for (int i = 0; i < c->count; i++) {
		struct cluster_node *n = &c->nodes[i];
		add_host(i, bridge);
		snprintf(n->host, sizeof(n->host), "%.39s", netns_address(i));
		snprintf(n->netns, sizeof(n->netns), "/run/netns/%.50s", netns_name(i));
	}
}

void netns_cut(int from, int to)
{
	must("ip netns exec %s nft add rule ip tally in ip saddr %s drop", netns_name(to), netns_address(from));
}

void netns_lose(int host, int percent)
{
	must("ip netns exec %s nft add rule ip tally in iifname eth0 numgen random mod 100 '<' %d drop", netns_name(host), percent);
}

void netns_link(int host, bool up)
{
	must("ip -n %s link set eth0 %s", netns_name(host), up ? "up" : "down");
	net.down[host] = !up;
}

void netns_netem(int host, const char *how)
{
	must("ip netns exec %s tc qdisc add dev eth0 root netem %s", netns_name(host), how);
	net.netem[host] = true;
}

void netns_heal(void)
{
	for (int i = 0; i < net.hosts; i++) {
		must("ip netns exec %s nft flush chain ip tally in", netns_name(i));
		if (net.down[i])
			netns_link(i, true);
		if (net.netem[i])
			must("ip netns exec %s tc qdisc del dev eth0 root", netns_name(i));
		net.netem[i] = false;
	}
}
