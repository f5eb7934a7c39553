/* rewalk.h: names that are replaced again while the kernel walks to them for the second time.
 *
 * ESTALE makes Linux walk a path again, with fresh lookups, but once only: if the name is replaced once more between the LOOKUP of that walk and what the
 * walk was for, ESTALE would reach the program. Yet the file that the LOOKUP found was there during the call, so it is a right answer. Only nothing in a
 * request says whether the LOOKUP before it belonged to the same call; with a name that the kernel keeps, it may not have.
 *
 * So a LOOKUP by a thread that was just answered ESTALE gets a *fleeting* node: one of its own, whose name the kernel may never keep. Whoever
 * comes to such a node by a path has looked it up in the same call, be it this thread or another, and may have what was found then. Which LOOKUPs come after
 * ESTALE is only guessed, from the calling thread: a wrong guess costs a lookup, or leaves ESTALE to a program, but shows nothing old. A name that was
 * not looked up so for a second is given to a node that stays, and that one promises nothing.
 *
 * Not for directories: who sits in one would lose its name. Linearizable mounts only: on a serial one a name must not lead to two nodes, of which one may show
 * an older image. Any thread. */
#ifndef TALLY_FS_REWALK_H
#define TALLY_FS_REWALK_H

#include "fs/request.h"

/* Is this LOOKUP made because ESTALE was answered? */
bool rewalk_is(const struct request *rq);
/* Was this thread answered ESTALE, and nothing about a file since? On any mount. */
bool rewalk_again(const struct request *rq);
/* The request is answered like this. */
void rewalk_answered(struct request *rq, int error);
/* Notes what was found of the request's node when it was looked up last; as soon as the request came, for it may be waiting when the node's name is next
 * looked up. */
void rewalk_found(struct request *rq);
/* As view_record, but what was found if the name leads elsewhere by now. */
int rewalk_record(struct request *rq, struct record *out);
/* What was found, alone; -ESTALE: nothing. */
int rewalk_found_record(struct request *rq, struct record *out);

#endif
