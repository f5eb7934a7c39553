/* apply_commands.h: the commands, each checked and planned. Private to store/apply*.c.
 *
 * Each returns 0 or a negative errno, and has changed nothing but the plan, which is to be dropped on failure. */
#ifndef TALLY_STORE_APPLY_COMMANDS_H
#define TALLY_STORE_APPLY_COMMANDS_H

#include "store/apply_plan.h"

int apply_write(struct plan *p, const struct command *c);
int apply_mkdir(struct plan *p, const struct command *c);
int apply_rmdir(struct plan *p, const struct command *c);
int apply_unlink(struct plan *p, const struct command *c);
int apply_rename(struct plan *p, const struct command *c);
int apply_symlink(struct plan *p, const struct command *c);
int apply_mknod(struct plan *p, const struct command *c);
int apply_setattr(struct plan *p, const struct command *c);
int apply_setxattr(struct plan *p, const struct command *c);
int apply_removexattr(struct plan *p, const struct command *c);
int apply_put(struct plan *p, const struct command *c);
int apply_delete(struct plan *p, const struct command *c);
int apply_load(struct plan *p, const struct command *c);
int apply_reserve(struct plan *p, const struct command *c);
int apply_txn(struct plan *p, const struct command *c);
int apply_lease_grant(struct plan *p, const struct command *c);
int apply_lease_revoke(struct plan *p, const struct command *c);
int apply_lease_keepalive(struct plan *p, const struct command *c);
int apply_compact(struct plan *p, const struct command *c);
int apply_numbers(struct plan *p, const struct command *c);
int apply_lock(struct plan *p, const struct command *c);
int apply_unlock(struct plan *p, const struct command *c);
int apply_lock_cancel(struct plan *p, const struct command *c);

/* Is c->key free for a new thing: nothing there (-EEXIST), in a directory (-ENOENT, -ENOTDIR), and not reserved by another (-EEXIST)? Gives its
 * place and that of its directory. */
int name_free(struct plan *p, const struct command *c, struct change **parent, struct change **at);
/* May who asks take this name out of its directory? With the sticky bit on that one, names are for their files' owners, the directory's and root: -EPERM. */
int name_removable(const struct command *c, const struct change *parent, const struct change *at);
/* The key gets this content, borrowed until plan_commit; a key that was not there is made, with the directories above it. It is attached to the
 * lease (-ENOENT if there is none), or with 0 to none. */
int put_whole(struct plan *p, const struct command *c, struct span key, struct span value, uint64_t lease);
/* Sets what c->set_mask says, SET_SIZE aside. */
void attr_set(struct plan *p, const struct command *c, struct record *r);
/* -EISDIR for a directory, -EINVAL for what else has no content. */
int regular_only(const struct record *r);
/* After its content changed: times, and the set-id bits, which do not survive a write by anybody but root. */
void content_changed(struct plan *p, const struct command *c, struct record *r);
/* The chunks of the command's stage, joined in p->staged; -EIO if they are not all there. */
int staged_join(struct plan *p, const struct command *c);

#endif
