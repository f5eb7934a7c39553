#include "store/client/listener.h"

#include "store/client/protocol.h"

#include <errno.h>
#include <nanomsg/nn.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/tcp.h>
#include <string.h>

#define SEND_BUFFER_BYTES (1 << 20)

union route_control {
	size_t align;
	struct nn_cmsghdr head;
	unsigned char bytes[NN_CMSG_SPACE(sizeof(size_t) + LISTENER_ROUTE_MAX)];
};

static void set_int(int s, int level, int option, int value)
{
	/* An option that a transport does not have costs speed, not correctness. */
	(void)nn_setsockopt(s, level, option, &value, sizeof(value));
}

int listener_open(const char *url, struct listener *out)
{
	int fd = -1;
	size_t size = sizeof(fd);
	int s = nn_socket(AF_SP_RAW, NN_REP);

	if (s < 0)
		return -nn_errno();
	set_int(s, NN_SOL_SOCKET, NN_RCVMAXSIZE, (int)PROTOCOL_MESSAGE_MAX);
	set_int(s, NN_SOL_SOCKET, NN_SNDBUF, SEND_BUFFER_BYTES);
	set_int(s, NN_TCP, NN_TCP_NODELAY, 1);
	if (nn_getsockopt(s, NN_SOL_SOCKET, NN_RCVFD, &fd, &size) < 0 || nn_bind(s, url) < 0) {
		int error = nn_errno();
		nn_close(s);
		return -error;
	}
	*out = (struct listener){.socket = s, .receive_fd = fd};
	return 0;
}

void listener_close(struct listener *l)
{
	if (l->socket >= 0)
		nn_close(l->socket);
	*l = (struct listener){.socket = -1, .receive_fd = -1};
}

int listener_receive(struct listener *l, struct listener_route *route, void **body, size_t *size)
{
	union route_control control = {0};
	void *received = NULL;
	struct nn_iovec piece = {.iov_base = &received, .iov_len = NN_MSG};
	struct nn_msghdr message = {
		.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};

	int rc = nn_recvmsg(l->socket, &message, NN_DONTWAIT);
	if (rc < 0)
		return 0;
	memcpy(&route->size, control.bytes + sizeof(struct nn_cmsghdr), sizeof(route->size));
	/* nanomsg leaves the control data empty when the header does not fit: then nobody can be answered, and a route of size 0 is dropped. */
	if (route->size > LISTENER_ROUTE_MAX)
		route->size = 0;
	memcpy(route->bytes, control.bytes + sizeof(struct nn_cmsghdr) + sizeof(size_t), route->size);
	*body = received;
	*size = (size_t)rc;
	return 1;
}

void listener_message_free(void *body)
{
	if (body)
		nn_freemsg(body);
}

void listener_reply(struct listener *l, const struct listener_route *route, struct span head, struct span rest)
{
	union route_control control = {0};
	struct nn_iovec pieces[2] = {{.iov_base = (void *)head.data, .iov_len = head.size},
				     {.iov_base = (void *)rest.data, .iov_len = rest.size}};
	struct nn_msghdr message = {.msg_iov = pieces,
				    .msg_iovlen = rest.size > 0 ? 2 : 1,
				    .msg_control = control.bytes,
				    .msg_controllen = sizeof(control.bytes)};

	control.head =
		(struct nn_cmsghdr){.cmsg_len = NN_CMSG_SPACE(sizeof(size_t) + route->size), .cmsg_level = PROTO_SP, .cmsg_type = SP_HDR};
	memcpy(control.bytes + sizeof(struct nn_cmsghdr), &route->size, sizeof(route->size));
	memcpy(control.bytes + sizeof(struct nn_cmsghdr) + sizeof(size_t), route->bytes, route->size);
	(void)nn_sendmsg(l->socket, &message, NN_DONTWAIT);
}
