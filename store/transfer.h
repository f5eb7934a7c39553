/* transfer.h: what two members say to each other while one gives the other a snapshot: the payload of a PEER_SNAPSHOT frame. Private to store/.
 *
 *	source -> sink  OFFER   I have one for you                sink -> source  PULL  send chunks, from here to there
 *	source -> sink  CHUNK   one of them                       either way      OVER  that is the end of it
 *
 * The sink asks, a few chunks ahead, so it sets the pace, and asks again for what got lost. The source keeps a read transaction, and where it stands.
 * The table stands in transfer.c. */
#ifndef TALLY_STORE_TRANSFER_H
#define TALLY_STORE_TRANSFER_H

#include "store/mvcc/dump.h"

enum transfer_kind { TRANSFER_OFFER = 1, TRANSFER_PULL = 2, TRANSFER_CHUNK = 3, TRANSFER_OVER = 4 };

enum transfer_outcome {
	TRANSFER_TAKEN = 1,    /* sink: it is in place */
	TRANSFER_NEEDLESS = 2, /* sink: it has as much already */
	TRANSFER_BUSY = 3,     /* sink: it is taking another one */
	TRANSFER_FAILED = 4,   /* sink: it was damaged, or the disk did not take it */
	TRANSFER_GONE = 5      /* source: it has no such snapshot, or not for this member */
};

struct transfer_frame {
	uint8_t kind;
	uint64_t id;          /* of the snapshot, given by its source */
	struct span manifest; /* OFFER */
	uint64_t number;      /* PULL: the first chunk wanted; CHUNK: which it is, from 0 */
	uint64_t until;       /* PULL: chunks below this one may be sent */
	bool again;           /* PULL: something was lost: begin at `number`, which lies behind `at`, even if it was sent before */
	struct dump_position at;
	bool last;    /* CHUNK */
	uint32_t sum; /* CHUNK: of all chunks up to this one */
	struct span chunk;
	uint8_t outcome; /* OVER */
};

void transfer_encode(struct writer *w, const struct transfer_frame *f);
/* Spans are borrowed from `bytes`. -EBADMSG if malformed. */
int transfer_decode(struct span bytes, struct transfer_frame *out);

#endif
