/* The frame. One nanomsg message is one frame; integers are little-endian.
 *
 *    0 u32 magic "tlyP"      4 u8 format (1)    5 u8 seal      6 u8 kind    7 u8 zero
 *    8 u32 payload bytes    12 u32 zero
 *   16 u64 cluster id       24 u64 sender      32 u64 receiver
 *   40 u64 the sender's boot epoch             48 u64 seq: rises with every frame of this sender in that epoch
 *   56 u32 zero             60 u32 CRC32C of bytes 0..59 and of the payload; 0 with seal 1
 *   64 payload
 *
 * Seal 0 is none. Seal 1 is XChaCha20-Poly1305 (base/secret.h): a random nonce of 24 bytes behind the header, then the payload encrypted, then a tag
 * of 16 bytes that also covers the whole header. A frame with a seal, a kind or a format that this program does not know is malformed to it.
 *
 * A sealed frame is taken once (peer_window.h), but for those that introduce a node that has no link yet (PEER_JOIN, and PEER_MEMBERS of a leader
 * that is not known): these carry what makes a repetition harmless in their payloads (store/join.c, store/membership.c). What a node has seen it forgets
 * when it restarts, so frames of its peers' current boots could then be played to it again: to raft that is a network that is late and repeats
 * itself, which it stands; proposals are applied once whatever comes twice; requests for a change of members carry a challenge.
 *
 * What nanomsg cannot take at once because the connection is busy waits in a short queue for each member, in order, and is sent as soon as the
 * connection takes more; what does not fit there, or has no connection to go to, is dropped. A link that is sent to for 2 s with nothing coming
 * from that member is connected anew. */
#include "raft/peer.h"

#include "base/clock.h"
#include "base/loopback.h"
#include "raft/peer_address.h"
#include "raft/peer_frame.h"
#include "raft/peer_window.h"

#include <assert.h>
#include <errno.h>
#include <nanomsg/nn.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/tcp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define GUESTS_MAX 4
#define LINKS_MAX (PEER_MEMBERS_MAX + GUESTS_MAX)
#define BACKLOG_FRAMES_MAX 64u
#define BACKLOG_BYTES_MAX (4u << 20)
#define BUFFER_BYTES (4 << 20)
#define RECONNECT_MS 20
#define RECONNECT_MAX_MS 250
#define BAD_FRAMES_A_CALL 256
#define SILENCE_NS INT64_C(2000000000)

struct queued {
	void *message;
	size_t size;
};

struct link {
	uint64_t id;   /* 0: a guest, who is no member and is known by its address alone */
	uint64_t used; /* a guest: when it was last sent to, on the clock of guests_clock */
	char address[PEER_ADDRESS_BYTES];
	int socket;                /* PUSH */
	int send_fd;               /* readable when the socket takes a frame */
	struct peer_window window; /* what was taken from this member; without a secret only its epoch is kept */
	int connection;            /* nanomsg's number of it */
	int64_t sent_ns;           /* the last time that something was sent */
	int64_t unanswered_ns;     /* since when things were sent, without a pause, and nothing came from there; 0: something came */
	int64_t connected_ns;      /* when the connection was begun */
	struct queued backlog[BACKLOG_FRAMES_MAX];
	uint32_t backlog_first;
	uint32_t backlog_count;
	size_t backlog_bytes;
};

struct peer_net {
	uint64_t cluster_id;
	uint64_t self;
	uint64_t epoch;
	uint64_t seq; /* of the last frame sent */
	const struct secret *secret;
	int socket;   /* PULL */
	int epoll_fd; /* the PULL's receive fd, and the send fd of each link that has a backlog */
	struct link *links;
	uint32_t links_count;
	uint32_t backlogs; /* links that have one */
	uint64_t guests_clock;
	_Atomic uint64_t sent;
	_Atomic uint64_t received;
	_Atomic uint64_t dropped;
	_Atomic uint64_t foreign;
	_Atomic uint64_t malformed;
	_Atomic uint64_t stale;
	_Atomic uint64_t unsealed;
	_Atomic uint64_t forged;
	_Atomic uint64_t replayed;
};

static void count(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static void set_option(int socket, int level, int option, int value)
{
	int rc = nn_setsockopt(socket, level, option, &value, sizeof(value));
	assert(rc == 0);
	(void)rc;
}

static int get_fd(int socket, int option)
{
	int fd = -1;
	size_t size = sizeof(fd);
	int rc = nn_getsockopt(socket, NN_SOL_SOCKET, option, &fd, &size);
	assert(rc == 0);
	(void)rc;
	return fd;
}

static int refuse(char *why, size_t why_size, int error, const char *option, const char *address, const char *what)
{
	snprintf(why, why_size, "%s%s: %s", option, address, what);
	return error;
}

/* What is not sealed stays on this machine. */
static int check_open(const struct peer_net *n, const char *option, const char *address, char *why, size_t why_size)
{
	if (n->secret || is_loopback(address))
		return 0;
	return refuse(why, why_size, -EACCES, option, address, "not a loopback address, so it needs secret=");
}

static int watch(struct peer_net *n, int operation, int fd)
{
	struct epoll_event event = {.events = EPOLLIN};
	return epoll_ctl(n->epoll_fd, operation, fd, &event) != 0 ? -errno : 0;
}

static int refuse_bind(const char *listen, int error, char *why, size_t why_size)
{
	const char *what = strerror(error);
	if (error == EADDRINUSE)
		what = "the port is in use by another program; stop it or choose another port";
	else if (error == EADDRNOTAVAIL || error == ENODEV)
		what = "this machine does not have that address";
	else if (error == EACCES)
		what = "binding this port is not permitted; choose one above 1023";
	return refuse(why, why_size, -error, "listen=", listen, what);
}

static int open_listener(struct peer_net *n, const char *listen, char *why, size_t why_size)
{
	char url[PEER_URL_BYTES];

	int rc = peer_address_bind_url(listen, url);
	if (rc == -EINVAL)
		return refuse(why, why_size, rc, "listen=", listen, "not an address of the form HOST:PORT (a name or an IPv4 address)");
	if (rc != 0)
		return refuse(why, why_size, rc, "listen=", listen, "the name has no IPv4 address");
	rc = check_open(n, "listen=", listen, why, why_size);
	if (rc != 0)
		return rc;
	n->socket = nn_socket(AF_SP, NN_PULL);
	if (n->socket < 0)
		return refuse(why, why_size, -errno, "listen=", listen, nn_strerror(errno));
	set_option(n->socket, NN_SOL_SOCKET, NN_RCVBUF, BUFFER_BYTES);
	set_option(n->socket, NN_SOL_SOCKET, NN_RCVMAXSIZE, 1 << 20);
	set_option(n->socket, NN_TCP, NN_TCP_NODELAY, 1);
	if (nn_bind(n->socket, url) < 0)
		return refuse_bind(listen, errno, why, why_size);
	rc = watch(n, EPOLL_CTL_ADD, get_fd(n->socket, NN_RCVFD));
	return rc == 0 ? 0 : refuse(why, why_size, rc, "listen=", listen, strerror(-rc));
}

/* Takes the first frame off the queue. */
static struct queued backlog_shift(struct peer_net *n, struct link *l)
{
	struct queued q = l->backlog[l->backlog_first];

	l->backlog_first = (l->backlog_first + 1) % BACKLOG_FRAMES_MAX;
	l->backlog_count--;
	l->backlog_bytes -= q.size;
	if (l->backlog_count == 0) {
		n->backlogs--;
		watch(n, EPOLL_CTL_DEL, l->send_fd);
	}
	return q;
}

static void backlog_drop(struct peer_net *n, struct link *l)
{
	while (l->backlog_count > 0) {
		nn_freemsg(backlog_shift(n, l).message);
		count(&n->dropped);
	}
}

/* TCP doubles its patience each time, so after a long silence of the network it may try again only a minute after all is well: a link that is sent to
 * and brings no answer is connected anew. Members that live answer what they are sent within a heartbeat; to those who do not, it does no harm. */
static void connect_anew(struct peer_net *n, struct link *l, int64_t now)
{
	char url[PEER_URL_BYTES];

	l->connected_ns = now;
	if (!peer_address_connect_url(l->address, url))
		return;
	backlog_drop(n, l);
	nn_shutdown(l->socket, l->connection);
	l->connection = nn_connect(l->socket, url);
}

static void watch_silence(struct peer_net *n, struct link *l)
{
	int64_t now = clock_mono_ns();

	/* What is rarely said need not be answered. */
	if (l->unanswered_ns == 0 || now - l->sent_ns > SILENCE_NS)
		l->unanswered_ns = now;
	l->sent_ns = now;
	if (now - l->unanswered_ns > SILENCE_NS && now - l->connected_ns > SILENCE_NS)
		connect_anew(n, l, now);
}

/* Makes it the last of the links. */
static int open_link(struct peer_net *n, const struct peer_member *m, char *why, size_t why_size)
{
	char url[PEER_URL_BYTES];
	struct link *l = &n->links[n->links_count];

	if (!peer_address_connect_url(m->address, url) || strlen(m->address) >= sizeof(l->address))
		return refuse(why, why_size, -EINVAL, "member address ", m->address,
			      "not of the form HOST:PORT (a name or an IPv4 address)");
	int rc = check_open(n, "member address ", m->address, why, why_size);
	if (rc != 0)
		return rc;
	*l = (struct link){.id = m->id};
	memcpy(l->address, m->address, strlen(m->address) + 1);
	l->socket = nn_socket(AF_SP, NN_PUSH);
	if (l->socket < 0)
		return refuse(why, why_size, -errno, "member address ", m->address, nn_strerror(errno));
	set_option(l->socket, NN_SOL_SOCKET, NN_SNDBUF, BUFFER_BYTES);
	set_option(l->socket, NN_SOL_SOCKET, NN_RECONNECT_IVL, RECONNECT_MS);
	set_option(l->socket, NN_SOL_SOCKET, NN_RECONNECT_IVL_MAX, RECONNECT_MAX_MS);
	set_option(l->socket, NN_TCP, NN_TCP_NODELAY, 1);
	l->connected_ns = clock_mono_ns();
	l->connection = nn_connect(l->socket, url);
	if (l->connection < 0) {
		rc = refuse(why, why_size, -errno, "member address ", m->address, nn_strerror(errno));
		nn_close(l->socket);
		return rc;
	}
	l->send_fd = get_fd(l->socket, NN_SNDFD);
	n->links_count++;
	return 0;
}

static int open_all(struct peer_net *n, const struct peer_config *config, char *why, size_t why_size)
{
	n->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (n->epoll_fd < 0)
		return refuse(why, why_size, -errno, "listen=", config->listen, strerror(errno));
	int rc = open_listener(n, config->listen, why, why_size);
	for (uint32_t i = 0; rc == 0 && i < config->members_count; i++)
		if (config->members[i].id != config->self)
			rc = open_link(n, &config->members[i], why, why_size);
	return rc;
}

int peer_net_open(const struct peer_config *config, struct peer_net **out, char *why, size_t why_size)
{
	assert(config->members_count <= PEER_MEMBERS_MAX);
	struct peer_net *n = calloc(1, sizeof(*n));
	if (!n)
		abort();
	n->links = calloc(LINKS_MAX, sizeof(*n->links));
	if (!n->links)
		abort();
	n->cluster_id = config->cluster_id;
	n->self = config->self;
	n->epoch = config->epoch;
	n->secret = config->secret;
	n->socket = n->epoll_fd = -1;
	int rc = open_all(n, config, why, why_size);
	if (rc != 0) {
		peer_net_close(n);
		return rc;
	}
	*out = n;
	return 0;
}

static bool backlog_push(struct peer_net *n, struct link *l, struct queued q)
{
	if (l->backlog_count == BACKLOG_FRAMES_MAX || l->backlog_bytes + q.size > BACKLOG_BYTES_MAX)
		return false;
	if (l->backlog_count == 0) {
		if (watch(n, EPOLL_CTL_ADD, l->send_fd) != 0)
			return false;
		n->backlogs++;
	}
	l->backlog[(l->backlog_first + l->backlog_count++) % BACKLOG_FRAMES_MAX] = q;
	l->backlog_bytes += q.size;
	return true;
}

/* On failure the message is still ours. */
static bool try_send(struct peer_net *n, struct link *l, void *message)
{
	if (nn_send(l->socket, &message, NN_MSG, NN_DONTWAIT) < 0)
		return false;
	count(&n->sent);
	return true;
}

static bool is_connected(const struct link *l)
{
	return nn_get_statistic(l->socket, NN_STAT_CURRENT_CONNECTIONS) > 0;
}

static void flush_backlog(struct peer_net *n, struct link *l)
{
	while (l->backlog_count > 0 && try_send(n, l, l->backlog[l->backlog_first].message))
		backlog_shift(n, l);
	/* A member that went away gets nothing stale when it comes back. */
	if (l->backlog_count > 0 && !is_connected(l))
		backlog_drop(n, l);
}

static void flush_backlogs(struct peer_net *n)
{
	for (uint32_t i = 0; n->backlogs > 0 && i < n->links_count; i++)
		if (n->links[i].backlog_count > 0)
			flush_backlog(n, &n->links[i]);
}

/* The last one takes its place. */
static void close_link(struct peer_net *n, uint32_t place)
{
	struct link *l = &n->links[place];

	backlog_drop(n, l);
	nn_close(l->socket);
	*l = n->links[--n->links_count];
}

void peer_net_close(struct peer_net *n)
{
	if (!n)
		return;
	while (n->links_count > 0)
		close_link(n, n->links_count - 1);
	if (n->socket >= 0)
		nn_close(n->socket);
	if (n->epoll_fd >= 0)
		close(n->epoll_fd);
	free(n->links);
	free(n);
}

int peer_net_fd(const struct peer_net *n)
{
	return n->epoll_fd;
}

static struct link *find_link(struct peer_net *n, uint64_t id)
{
	for (uint32_t i = 0; id != 0 && i < n->links_count; i++)
		if (n->links[i].id == id)
			return &n->links[i];
	return NULL;
}

static bool is_wanted(const struct link *l, const struct peer_member *members, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (members[i].id == l->id && strcmp(members[i].address, l->address) == 0)
			return true;
	return l->id == 0;
}

int peer_net_set_members(struct peer_net *n, const struct peer_member *members, uint32_t members_count)
{
	char why[PEER_URL_BYTES + 200];
	int rc = 0;

	assert(members_count <= PEER_MEMBERS_MAX);
	for (uint32_t i = n->links_count; i-- > 0;)
		if (n->links[i].id == n->self || !is_wanted(&n->links[i], members, members_count))
			close_link(n, i);
	for (uint32_t i = 0; i < members_count; i++) {
		if (members[i].id == n->self || find_link(n, members[i].id))
			continue;
		int error = open_link(n, &members[i], why, sizeof(why));
		rc = rc ? rc : error;
	}
	return rc;
}

void peer_net_become(struct peer_net *n, uint64_t cluster_id, uint64_t self, uint64_t epoch)
{
	n->cluster_id = cluster_id;
	n->self = self;
	n->epoch = epoch;
	n->seq = 0;
}

/* A link that leads to this address: a member's, or a guest's, made at the cost of the guest who was not talked to for the longest. */
static struct link *link_to(struct peer_net *n, const char *address)
{
	char why[PEER_URL_BYTES + 200];
	uint32_t guests = 0, oldest = 0;

	for (uint32_t i = 0; i < n->links_count; i++) {
		struct link *l = &n->links[i];
		if (strcmp(l->address, address) == 0)
			return l;
		if (l->id != 0)
			continue;
		if (guests++ == 0 || l->used < n->links[oldest].used)
			oldest = i;
	}
	if (guests == GUESTS_MAX)
		close_link(n, oldest);
	struct peer_member guest = {.id = 0, .address = address};
	return open_link(n, &guest, why, sizeof(why)) == 0 ? &n->links[n->links_count - 1] : NULL;
}

static struct queued build_frame(struct peer_net *n, uint64_t to, enum peer_kind kind, struct span payload)
{
	struct peer_frame_head head = {
		.kind = (uint8_t)kind,
		.size = (uint32_t)payload.size,
		.cluster_id = n->cluster_id,
		.from = n->self,
		.to = to,
		.epoch = n->epoch,
		.seq = ++n->seq,
	};
	struct queued q = {.size = peer_frame_bytes(n->secret, payload.size)};
	q.message = nn_allocmsg(q.size, 0);
	if (!q.message)
		abort();
	if (payload.size > 0)
		memcpy((uint8_t *)q.message + peer_frame_payload(n->secret), payload.data, payload.size);
	peer_frame_encode(&head, n->secret, q.message);
	return q;
}

static int send_over(struct peer_net *n, struct link *l, uint64_t to, enum peer_kind kind, struct span payload)
{
	if (payload.size > PEER_PAYLOAD_MAX)
		return -EMSGSIZE;
	watch_silence(n, l);
	struct queued q = build_frame(n, to, kind, payload);
	if (l->backlog_count > 0)
		flush_backlog(n, l);
	if (l->backlog_count == 0 && try_send(n, l, q.message))
		return 0;
	if (is_connected(l) && backlog_push(n, l, q))
		return 0;
	nn_freemsg(q.message);
	count(&n->dropped);
	return -EAGAIN;
}

int peer_net_send(struct peer_net *n, uint64_t to, enum peer_kind kind, struct span payload)
{
	struct link *l = find_link(n, to);
	return l ? send_over(n, l, to, kind, payload) : -ENOENT;
}

int peer_net_send_to(struct peer_net *n, const char *address, uint64_t to, enum peer_kind kind, struct span payload)
{
	struct link *l = link_to(n, address);
	if (!l)
		return -EINVAL;
	l->used = ++n->guests_clock;
	return send_over(n, l, to, kind, payload);
}

void peer_net_count_foreign(struct peer_net *n)
{
	count(&n->foreign);
}

/* True for a frame that was not seen before; otherwise it has been counted. Without a secret repetitions do no harm, and anybody could shift the window. */
static bool is_new(struct peer_net *n, struct link *l, const struct peer_frame_head *head)
{
	enum peer_window_verdict verdict = PEER_WINDOW_NEW;

	if (n->secret)
		verdict = peer_window_take(&l->window, head->epoch, head->seq);
	else if (head->epoch < l->window.epoch)
		verdict = PEER_WINDOW_OLD_EPOCH;
	else
		l->window.epoch = head->epoch;
	if (verdict != PEER_WINDOW_NEW)
		count(verdict == PEER_WINDOW_OLD_EPOCH ? &n->stale : &n->replayed);
	return verdict == PEER_WINDOW_NEW;
}

/* True when the frame is for us; otherwise it has been counted. */
static bool is_for_us(struct peer_net *n, uint8_t *message, size_t size, struct peer_frame_head *head)
{
	_Atomic uint64_t *const counters[] = {
		[PEER_FRAME_MALFORMED] = &n->malformed, [PEER_FRAME_UNSEALED] = &n->unsealed, [PEER_FRAME_FORGED] = &n->forged};
	enum peer_frame_verdict verdict = peer_frame_decode(message, size, n->secret, head);

	if (verdict != PEER_FRAME_GOOD) {
		count(counters[verdict]);
		return false;
	}
	struct link *l = find_link(n, head->from);
	bool ours = head->cluster_id == n->cluster_id && head->to == n->self;
	/* Whoever joins is known to nobody yet; a leader may be new to a member that was away while it was added. */
	bool introduces = head->kind == PEER_JOIN || (head->kind == PEER_MEMBERS && ours && !l);
	if (!introduces && (!ours || !l)) {
		count(&n->foreign);
		return false;
	}
	if (!introduces && !is_new(n, l, head))
		return false;
	if (l)
		l->unanswered_ns = 0;
	count(&n->received);
	return true;
}

int peer_net_receive(struct peer_net *n, struct peer_frame *out)
{
	struct peer_frame_head head;

	flush_backlogs(n);
	/* Whoever floods us with rubbish does not keep the caller: the descriptor stays readable. */
	for (int i = 0; i < BAD_FRAMES_A_CALL; i++) {
		void *message = NULL;
		int size = nn_recv(n->socket, &message, NN_MSG, NN_DONTWAIT);
		if (size < 0)
			return 0;
		if (!is_for_us(n, message, (size_t)size, &head)) {
			nn_freemsg(message);
			continue;
		}
		*out = (struct peer_frame){
			.from = head.from,
			.epoch = head.epoch,
			.kind = head.kind,
			.known = head.kind != PEER_JOIN && find_link(n, head.from) != NULL,
			.payload = {(uint8_t *)message + peer_frame_payload(n->secret), head.size},
			.memory = message,
		};
		return 1;
	}
	return 0;
}

void peer_frame_done(struct peer_frame *f)
{
	nn_freemsg(f->memory);
	f->memory = NULL;
}

void peer_net_stats(const struct peer_net *n, struct peer_stats *out)
{
	out->sent = atomic_load_explicit(&n->sent, memory_order_relaxed);
	out->received = atomic_load_explicit(&n->received, memory_order_relaxed);
	out->dropped = atomic_load_explicit(&n->dropped, memory_order_relaxed);
	out->foreign = atomic_load_explicit(&n->foreign, memory_order_relaxed);
	out->malformed = atomic_load_explicit(&n->malformed, memory_order_relaxed);
	out->stale = atomic_load_explicit(&n->stale, memory_order_relaxed);
	out->unsealed = atomic_load_explicit(&n->unsealed, memory_order_relaxed);
	out->forged = atomic_load_explicit(&n->forged, memory_order_relaxed);
	out->replayed = atomic_load_explicit(&n->replayed, memory_order_relaxed);
}
