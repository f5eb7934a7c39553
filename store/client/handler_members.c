/* MEMBER_ADD, MEMBER_PROMOTE, MEMBER_REMOVE and MOVE_LEADER (handler.h). */
#include "store/client/handler.h"
#include "store/member_request.h"

#include <errno.h>
#include <string.h>

bool handler_changes_members(uint8_t type)
{
	return type >= REQUEST_MEMBER_ADD && type <= REQUEST_MOVE_LEADER;
}

static bool copy_text(struct span from, char *to, size_t to_size)
{
	if (from.size >= to_size || (from.size > 0 && memchr(from.data, 0, from.size)))
		return false;
	if (from.size > 0)
		memcpy(to, from.data, from.size);
	to[from.size] = '\0';
	return true;
}

int handler_member_request(const struct request *r, uint64_t fresh_id, struct member_request *q, struct answer *out)
{
	static const uint8_t types[] = {MEMBER_ADD, MEMBER_PROMOTE, MEMBER_REMOVE, MEMBER_MOVE_LEADER};
	*q = (struct member_request){.type = types[r->type - REQUEST_MEMBER_ADD]};
	bool fits;
	if (q->type == MEMBER_ADD) {
		q->id = fresh_id;
		q->votes = r->limit == 0;
		fits = copy_text(r->key, q->who.name, sizeof(q->who.name)) && copy_text(r->value, q->who.address, sizeof(q->who.address));
	} else {
		fits = copy_text(r->key, q->target, sizeof(q->target));
	}
	if (fits && member_request_valid(q))
		return 0;
	answer_refuse(out, -EINVAL, q->type == MEMBER_ADD ? "not a name for a node and its HOST:PORT" : "not a name or an id of a member");
	return -EINVAL;
}

void handler_member_done(const struct request *r, struct command_result *result, struct answer *out)
{
	answer_clear(out);
	if (result->error) {
		int error = result->error == -EINTR ? -ESHUTDOWN : result->error;
		answer_refuse(out, error, "%s: %.*s", request_type_name(r->type), (int)result->reply.size,
			      result->reply.size > 0 ? (const char *)result->reply.data : "");
	}
	writer_free(&result->reply);
}
