/* backend_folder.h: the folder that LMDB's files lie in: what of it is durable, and under which name. */
#ifndef TALLY_STORE_MVCC_BACKEND_FOLDER_H
#define TALLY_STORE_MVCC_BACKEND_FOLDER_H

#include <stdbool.h>

/* No data file is in it. */
bool backend_folder_is_new(const char *dir);
/* Gives the folder `made` the name `dir`, in place of one in which nothing was begun. With `durable`, all names in it and its own survive a
 * power cut after this. Returns 0 or a negative errno. */
int backend_folder_rename(const char *made, const char *dir, bool durable);
/* Removes what may be there of a folder and the files of LMDB. */
void backend_folder_clear(const char *dir);

#endif
