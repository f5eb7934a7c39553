#include "store/client/channel.h"

#include "base/clock.h"

#include <errno.h>
#include <nanomsg/nn.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/tcp.h>
#include <stdlib.h>
#include <string.h>

/* A request's header: its number, big-endian, with the top bit set for the end of the stack (nanomsg, RFC sp-request-reply). */
#define HEADER_BYTES 4u
#define HEADER_END 0x80000000u
/* A channel connects once; its owner opens another when it must. */
#define RECONNECT_MS 86400000
#define SEALED_KEPT_BYTES (1u << 20)

union header_control {
	size_t align;
	struct nn_cmsghdr head;
	unsigned char bytes[NN_CMSG_SPACE(sizeof(size_t) + HEADER_BYTES)];
};

static void set_int(int s, int level, int option, int value)
{
	/* An option that a transport does not have costs speed, not correctness. */
	(void)nn_setsockopt(s, level, option, &value, sizeof(value));
}

static int get_fd(int s, int option)
{
	int fd = -1;
	size_t size = sizeof(fd);
	return nn_getsockopt(s, NN_SOL_SOCKET, option, &fd, &size) == 0 ? fd : -1;
}

struct channel *channel_open(const char *url, const struct secret *secret, int *error)
{
	int s = nn_socket(AF_SP_RAW, NN_REQ);

	if (s < 0) {
		*error = -nn_errno();
		return NULL;
	}
	set_int(s, NN_SOL_SOCKET, NN_RCVMAXSIZE, -1);
	set_int(s, NN_SOL_SOCKET, NN_RECONNECT_IVL, RECONNECT_MS);
	set_int(s, NN_TCP, NN_TCP_NODELAY, 1);
	int send_fd = get_fd(s, NN_SNDFD);
	int receive_fd = get_fd(s, NN_RCVFD);
	if (send_fd < 0 || receive_fd < 0 || nn_connect(s, url) < 0) {
		*error = -nn_errno();
		nn_close(s);
		return NULL;
	}
	struct channel *c = malloc(sizeof(*c));
	if (!c)
		abort();
	*c = (struct channel){
		.socket = s, .send_fd = send_fd, .receive_fd = receive_fd, .secret = secret, .seal = secret ? CHANNEL_NEW : CHANNEL_PLAIN};
	return c;
}

void channel_close(struct channel *c)
{
	nn_close(c->socket);
	writer_free(&c->sealed);
	free(c);
}

static int send_bytes(struct channel *c, struct span bytes)
{
	union header_control control = {0};
	size_t header_bytes = HEADER_BYTES;
	uint32_t id = (c->id + 1) & ~HEADER_END;
	uint32_t header = __builtin_bswap32(id | HEADER_END);

	control.head = (struct nn_cmsghdr){.cmsg_len = sizeof(control.bytes), .cmsg_level = PROTO_SP, .cmsg_type = SP_HDR};
	memcpy(control.bytes + sizeof(struct nn_cmsghdr), &header_bytes, sizeof(header_bytes));
	memcpy(control.bytes + sizeof(struct nn_cmsghdr) + sizeof(size_t), &header, sizeof(header));
	struct nn_iovec piece = {.iov_base = (void *)bytes.data, .iov_len = bytes.size};
	struct nn_msghdr message = {
		.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
	if (nn_sendmsg(c->socket, &message, NN_DONTWAIT) < 0)
		return -EAGAIN;
	c->id = id;
	return 0;
}

/* 1: a message that answers the last one sent; 0: none. */
static int receive_bytes(struct channel *c, void **out, size_t *size)
{
	union header_control control = {0};
	void *body = NULL;
	uint32_t header = 0;
	struct nn_iovec piece = {.iov_base = &body, .iov_len = NN_MSG};
	struct nn_msghdr message = {
		.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};

	int received = nn_recvmsg(c->socket, &message, NN_DONTWAIT);
	if (received < 0)
		return 0;
	memcpy(&header, control.bytes + sizeof(struct nn_cmsghdr) + sizeof(size_t), sizeof(header));
	if (__builtin_bswap32(header) != (c->id | HEADER_END)) {
		nn_freemsg(body);
		return 0;
	}
	*out = body;
	*size = (size_t)received;
	return 1;
}

static int send_sealed(struct channel *c, enum sealed_kind kind, uint64_t seq, struct span bytes)
{
	const struct span none = {NULL, 0};

	c->last.kind = (uint8_t)kind;
	c->last.seq = seq;
	sealed_encode(c->secret, &c->last, NULL, bytes, none, &c->sealed);
	int rc = send_bytes(c, (struct span){c->sealed.data, c->sealed.size});
	if (rc == 0)
		c->used_ns = clock_mono_ns();
	/* One large request must not keep its memory for ever. */
	if (c->sealed.capacity > SEALED_KEPT_BYTES)
		writer_free(&c->sealed);
	return rc;
}

static void say_hello(struct channel *c)
{
	memset(c->last.session, 0, sizeof(c->last.session));
	if (send_sealed(c, SEALED_HELLO, 0, (struct span){NULL, 0}) == 0)
		c->seal = CHANNEL_GREETED;
}

/* An answer that does not open is nobody's, or an attacker's; one without a seal is what a node says that cannot open ours. */
static void hear_hello(struct channel *c)
{
	struct sealed_head head;
	struct span body;
	void *message = NULL;
	size_t size = 0;

	if (!receive_bytes(c, &message, &size))
		return;
	if (!sealed_is((struct span){message, size})) {
		c->seal = CHANNEL_DENIED;
	} else if (sealed_decode(c->secret, message, size, c->last.nonce, &head, &body) == 0 && head.kind == SEALED_SESSION) {
		memcpy(c->last.session, head.session, sizeof(head.session));
		c->last.seq = 0;
		c->seal = CHANNEL_OPEN;
	}
	nn_freemsg(message);
}

int channel_send(struct channel *c, struct span bytes)
{
	if (c->seal == CHANNEL_PLAIN)
		return send_bytes(c, bytes);
	if (c->seal == CHANNEL_OPEN && clock_mono_ns() - c->used_ns > CHANNEL_IDLE_NS)
		c->seal = CHANNEL_NEW;
	if (c->seal == CHANNEL_NEW)
		say_hello(c);
	else if (c->seal == CHANNEL_GREETED)
		hear_hello(c);
	return c->seal == CHANNEL_OPEN ? send_sealed(c, SEALED_REQUEST, c->last.seq + 1, bytes) : -EAGAIN;
}

int channel_ready_fd(const struct channel *c)
{
	return c->seal == CHANNEL_GREETED ? c->receive_fd : c->send_fd;
}

int channel_receive(struct channel *c, void **message, struct span *body)
{
	struct sealed_head head;
	void *received = NULL;
	size_t size = 0;

	if (!receive_bytes(c, &received, &size))
		return 0;
	*body = (struct span){received, size};
	if (c->seal == CHANNEL_PLAIN) {
		*message = received;
		return 1;
	}
	int rc = sealed_decode(c->secret, received, size, c->last.nonce, &head, body);
	if (rc == 0 && head.kind == SEALED_ANSWER) {
		*message = received;
		return 1;
	}
	nn_freemsg(received);
	if (rc)
		return 0;
	c->seal = CHANNEL_NEW;
	return -ECONNRESET;
}

void channel_message_free(void *message)
{
	if (message)
		nn_freemsg(message);
}

static bool counted(const struct channel *c, int statistic)
{
	return nn_get_statistic(c->socket, statistic) > 0;
}

bool channel_connected(const struct channel *c)
{
	return counted(c, NN_STAT_CURRENT_CONNECTIONS);
}

bool channel_denied(const struct channel *c)
{
	return c->seal == CHANNEL_DENIED;
}

bool channel_refused(const struct channel *c)
{
	return !counted(c, NN_STAT_ESTABLISHED_CONNECTIONS) && counted(c, NN_STAT_CONNECT_ERRORS);
}

bool channel_broken(const struct channel *c)
{
	return counted(c, NN_STAT_BROKEN_CONNECTIONS) || counted(c, NN_STAT_DROPPED_CONNECTIONS);
}
