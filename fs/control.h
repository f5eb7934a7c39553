/* control.h: the control files: hidden in the root, answered locally, never waiting for the cluster. */
#ifndef TALLY_FS_CONTROL_H
#define TALLY_FS_CONTROL_H

#include "fs/handle.h"

void control_lookup(struct request *rq);
void control_stat(const struct node *n, struct stat *st);
/* Takes the text as it is now; a reader sees one picture. */
void control_open(struct request *rq);
void control_read(struct request *rq, struct handle *h, size_t size, off_t offset);

#endif
