/* standing.c: the loop's hands for membership.c, and how a node comes to take part. */
#include "base/clock.h"
#include "base/log.h"
#include "store/node.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the membership's ports --- */

static void port_send(void *ctx, uint64_t to, enum peer_kind kind, struct span payload)
{
	struct store *s = ctx;
	if (s->net)
		peer_net_send(s->net, to, kind, payload);
}

static void port_send_to(void *ctx, const char *address, uint64_t to, struct span payload)
{
	struct store *s = ctx;
	if (s->net)
		peer_net_send_to(s->net, address, to, PEER_JOIN, payload);
}

static void port_links(void *ctx, const struct peer_member *members, uint32_t count)
{
	struct store *s = ctx;
	if (s->net && peer_net_set_members(s->net, members, count) < 0)
		log_warn("an address of a member cannot be used");
}

/* The one thing that the loop writes: when an identity is found, and once for each other first member. */
static int port_keep(void *ctx, const struct identity *identity)
{
	struct store *s = ctx;
	int rc = identity_keep(identity, s->config.data);
	if (rc < 0)
		log_error("%s/node cannot be written: %s", s->config.data, strerror(-rc));
	return rc;
}

static void port_foreign(void *ctx)
{
	struct store *s = ctx;
	if (s->net)
		peer_net_count_foreign(s->net);
}

void standing_open(struct store *s)
{
	const struct membership_ports ports = {s, port_send, port_send_to, port_links, port_keep, port_foreign};
	uint64_t salt = s->identity.incarnation ^ (uint64_t)clock_wall_ns() ^ (uint64_t)(uintptr_t)s << 20;
	s->membership = membership_new(&s->identity, s->config.election_ms, salt, &ports);
	s->shown = (struct standing){.id = s->identity.id ? s->identity.id : s->identity.incarnation, .cluster_id = s->identity.cluster_id};
	memcpy(s->shown.name, s->identity.name, sizeof(s->shown.name));
}

/* --- taking part --- */

int standing_members(struct store *s, struct writer *bytes, struct raft_members *out)
{
	void *value = NULL;
	size_t size = 0;
	int rc = mvcc_get_meta(s->mvcc, (struct span){APPLY_MEMBERS, strlen(APPLY_MEMBERS)}, &value, &size);
	writer_clear(bytes);
	if (rc == -ENOENT) {
		struct members first;
		membership_first(&s->identity, &first);
		*out = first.count > 0 ? members_raft(&first, bytes) : (struct raft_members){0};
		return 0;
	}
	if (rc < 0)
		return rc;
	writer_raw(bytes, value, size);
	free(value);
	return raft_members_decode((struct span){bytes->data, bytes->size}, out);
}

/* Its identity has been found while it ran. */
static void begin(struct store *s)
{
	char why[1024] = "";
	mvcc_adopt(s->mvcc, s->identity.cluster_id);
	int rc = store_take_part(s, why, sizeof(why));
	if (rc == 0) {
		log_info("takes part as %016llx in cluster %016llx", (unsigned long long)s->identity.id,
			 (unsigned long long)s->identity.cluster_id);
		return;
	}
	log_error("%s; this node takes no part", why);
	atomic_store(&s->disk_error, rc);
}

static void publish(struct store *s)
{
	struct standing now = {.id = s->identity.id ? s->identity.id : s->identity.incarnation, .cluster_id = s->identity.cluster_id};
	memcpy(now.name, s->identity.name, sizeof(now.name));
	membership_health(s->membership, now.health, sizeof(now.health));
	now.members = *membership_now(s->membership);
	bool news = strcmp(now.health, s->shown.health) != 0 && now.health[0];
	pthread_mutex_lock(&s->status_mutex);
	s->shown = now;
	pthread_mutex_unlock(&s->status_mutex);
	if (news)
		log_info("%s", now.health);
}

static void take_requests(struct store *s)
{
	pthread_mutex_lock(&s->requests_mutex);
	struct store_op *list = s->requests;
	s->requests = NULL;
	pthread_mutex_unlock(&s->requests_mutex);
	while (list) {
		struct store_op *op = list;
		list = op->next;
		membership_submit(s->membership, op);
	}
	if (atomic_exchange(&s->requests_dropped, false))
		membership_drop(s->membership);
}

void standing_tick(struct store *s, int64_t now_ns)
{
	take_requests(s);
	membership_tick(s->membership, now_ns);
	if (s->identity.id != 0 && !s->replica && atomic_load(&s->disk_error) == 0)
		begin(s);
	if (s->replica)
		replica_keep_quiet(s->replica, membership_is_removed(s->membership));
	bool quiet = s->status.leader != 0 && !membership_is_removed(s->membership) && !s->shown.health[0];
	if (!quiet || membership_now(s->membership)->version != s->shown.members.version ||
	    membership_now(s->membership)->count != s->shown.members.count)
		publish(s);
}

void standing_close(struct store *s)
{
	take_requests(s);
	membership_free(s->membership);
	s->membership = NULL;
}

/* --- for other threads --- */

void store_member_request(struct store *s, const struct member_request *q, struct store_op *op)
{
	op->bytes = (struct writer){0};
	member_request_encode(q, &op->bytes);
	op->kind = OP_MEMBERS;
	op->sequence = 0;
	op->deadline_ns = clock_mono_ns() + s->config.timeout_ns;
	pthread_mutex_lock(&s->requests_mutex);
	op->next = s->requests;
	s->requests = op;
	pthread_mutex_unlock(&s->requests_mutex);
	loop_wake(s);
}

void store_members_text(struct store *s, struct writer *out)
{
	struct raft_status status;
	struct members members;
	pthread_mutex_lock(&s->status_mutex);
	status = s->status;
	members = s->shown.members;
	pthread_mutex_unlock(&s->status_mutex);
	members_text(&members, &status, out);
}
