/* mountpoint.h: what is mounted where. Private to fs/; the check before a mount is in fs.h. */
#ifndef TALLY_FS_MOUNTPOINT_H
#define TALLY_FS_MOUNTPOINT_H

#include <stdbool.h>
#include <sys/types.h>

/* The device of what is mounted on the absolute path `real`, as seen there; false: nothing is mounted. It asks the kernel's table of mounts alone,
 * so nobody has to answer behind the mount. */
bool mountpoint_device(const char *real, dev_t *device);
/* Detaches what is mounted there, even if it is in use. */
void mountpoint_clear(const char *real);

#endif
