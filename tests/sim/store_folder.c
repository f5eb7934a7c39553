/* store/mvcc/backend_folder.c, where there are no folders: a simulated store is whole or not there (lmdb.c). */
#include "store/mvcc/backend_folder.h"

bool backend_folder_is_new(const char *dir)
{
	(void)dir;
	return false;
}

int backend_folder_rename(const char *made, const char *dir, bool durable)
{
	(void)made, (void)dir, (void)durable;
	return 0;
}

void backend_folder_clear(const char *dir)
{
	(void)dir;
}

int backend_folder_sync(const char *dir)
{
	(void)dir;
	return 0;
}
