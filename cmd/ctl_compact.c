/* tallyctl compact. */
#include "cmd/ctl.h"

#include <inttypes.h>
#include <stdio.h>

int ctl_compact(struct ctl *ctl)
{
	struct client_call call = {.endpoint = CLIENT_ANY};
	struct request r = {.type = REQUEST_COMPACT};

	if (!ctl_number_parse(ctl->args[0], &r.rev)) {
		ctl_say("compact: %s is not a revision", ctl->args[0]);
		return CTL_USAGE;
	}
	int rc = ctl_ask(ctl, &call, &r);
	if (rc == CTL_DONE && ctl->options->json)
		printf("{\"revision\":%" PRIu64 ",\"compact_revision\":%" PRIu64 "}\n", call.response.revision, r.rev);
	else if (rc == CTL_DONE)
		printf("compacted revision %" PRIu64 "\n", r.rev);
	client_call_done(&call);
	return rc;
}
