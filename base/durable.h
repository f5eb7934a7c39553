/* durable.h: names that outlive a power cut. What is written into a file is made durable by a sync of the file, its name only by one of the
 * folder that it is in: after each file made, renamed or removed (fsync(2)). Any thread; waits for the disk. */
#ifndef TALLY_BASE_DURABLE_H
#define TALLY_BASE_DURABLE_H

/* The names in this folder are durable when it returns 0; else a negative errno. */
int durable_names(const char *folder);
/* The same for the name that `path` itself has in the folder around it. */
int durable_name(const char *path);

#endif
