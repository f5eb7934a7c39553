/* folders.h: the store's folders under DATA. Private to store/.
 *
 *	store      the store
 *	store.new  a snapshot that is being received, or is whole and waits for its turn
 *	store.old  what a snapshot has replaced, until it is removed
 *
 * The switch is two renames. A crash between them leaves no `store`: the next start makes the second one. */
#ifndef TALLY_STORE_FOLDERS_H
#define TALLY_STORE_FOLDERS_H

#include <stddef.h>

/* The name of a store's folder: FOLDER_STORE and so on below DATA. */
#define FOLDER_STORE "store"
#define FOLDER_NEW "store.new"
#define FOLDER_OLD "store.old"
#define FOLDER_PATH_BYTES 4200
void folder_path(const char *data, const char *folder, char path[FOLDER_PATH_BYTES]);

/* Makes store.new the store, durably. Both may be open. */
int folders_switch(const char *data);
/* Removes store.old. */
int folders_drop_old(const char *data);
/* At the start: ends a switch that was interrupted, removes what it replaced. */
int folders_settle(const char *data);

#endif
