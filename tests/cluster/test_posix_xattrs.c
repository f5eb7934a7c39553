/* User attributes (xattr(7)): values, lists, limits, and the names that are not for users. */
#include "tests/lib/posix.h"
#include "tests/lib/files.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ALICE 65534
#define BOB 65533

static bool value_is(const char *name, const char *attribute, const char *value)
{
	char buffer[64];
	ssize_t size = lgetxattr(name, attribute, buffer, sizeof(buffer));

	return size == (ssize_t)strlen(value) && memcmp(buffer, value, (size_t)size) == 0;
}

static void attributes_are_set_read_listed_and_removed(void)
{
	char list[256];

	for (enum posix_type type = 0; type <= DIRECTORY; type++) {
		posix_about("%s", posix_type_name(type));
		posix_make(type, "f");
		equal(listxattr("f", list, sizeof(list)), 0);
		refused(ENODATA, getxattr("f", "user.a", list, sizeof(list)));
		refused(ENODATA, removexattr("f", "user.a"));
		works(setxattr("f", "user.a", "one", 3, 0));
		works(setxattr("f", "user.b", "", 0, 0));
		works(setxattr("f", "user.with some.dots and \xc3\xa4", "three", 5, XATTR_CREATE));
		holds(value_is("f", "user.a", "one"));
		holds(value_is("f", "user.b", ""));
		holds(value_is("f", "user.with some.dots and \xc3\xa4", "three"));
		works(setxattr("f", "user.a", "changed", 7, XATTR_REPLACE));
		holds(value_is("f", "user.a", "changed"));
		refused(EEXIST, setxattr("f", "user.a", "x", 1, XATTR_CREATE));
		refused(ENODATA, setxattr("f", "user.c", "x", 1, XATTR_REPLACE));
		refused(EINVAL, setxattr("f", "user.a", "x", 1, 77));
		ssize_t size = works(listxattr("f", list, sizeof(list)));
		const char all[] = "user.a\0user.b\0user.with some.dots and \xc3\xa4";
		equal(size, sizeof(all));
		holds(size == sizeof(all) && memcmp(list, all, sizeof(all)) == 0);
		works(removexattr("f", "user.a"));
		works(removexattr("f", "user.with some.dots and \xc3\xa4"));
		refused(ENODATA, removexattr("f", "user.a"));
		equal(listxattr("f", list, sizeof(list)), sizeof("user.b"));
		/* They go with the file, through a rename and another close. */
		works(rename("f", "g"));
		if (type == REGULAR)
			works(file_write("g", "content"));
		holds(value_is("g", "user.b", ""));
		posix_remove(type, "g");
		posix_make(type, "g");
		refused(ENODATA, getxattr("g", "user.b", NULL, 0));
		posix_remove(type, "g");
	}
}

static void sizes_are_told_before_values(void)
{
	char small[2];

	posix_make(REGULAR, "f");
	works(setxattr("f", "user.a", "value", 5, 0));
	equal(getxattr("f", "user.a", NULL, 0), 5);
	equal(listxattr("f", NULL, 0), sizeof("user.a"));
	refused(ERANGE, getxattr("f", "user.a", small, sizeof(small)));
	refused(ERANGE, listxattr("f", small, sizeof(small)));
}

static void values_may_be_large_but_not_without_limit(void)
{
	static const size_t sizes[] = {100, 4000, 4096, 10000, 65000};
	char *value = malloc(70000), *back = malloc(70000), name[300];

	posix_make(REGULAR, "f");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		memset(value, 'a' + (int)i, sizes[i]);
		works(setxattr("f", "user.large", value, sizes[i], 0));
		equal(getxattr("f", "user.large", back, 70000), sizes[i]);
		holds(memcmp(value, back, sizes[i]) == 0);
	}
	refused(ENOSPC, setxattr("f", "user.more", value, 65000, 0));
	refused(ENOSPC, setxattr("f", "user.large", value, 65536, 0));
	refused(E2BIG, setxattr("f", "user.large", value, 65537, 0));
	equal(getxattr("f", "user.large", NULL, 0), 65000);
	refused(ENODATA, getxattr("f", "user.more", NULL, 0));
	memset(name, 'n', sizeof(name));
	memcpy(name, "user.", 5);
	name[255] = '\0';
	works(removexattr("f", "user.large"));
	works(setxattr("f", name, "x", 1, 0));
	holds(value_is("f", name, "x"));
	name[255] = 'n';
	name[256] = '\0';
	refused(ERANGE, setxattr("f", name, "x", 1, 0));
	refused(ERANGE, setxattr("f", "", "x", 1, 0));
	for (int i = 0; i < 200; i++)
		works(setxattr("f", path("user.%d", i), "value", 5, 0));
	for (int i = 0; i < 200; i++)
		holds(value_is("f", path("user.%d", i), "value"));
	free(value);
	free(back);
}

static void only_files_and_directories_have_user_attributes(void)
{
	for (enum posix_type type = FIFO; type < POSIX_TYPES; type++) {
		posix_about("%s", posix_type_name(type));
		posix_make(type, "f");
		refused(EPERM, lsetxattr("f", "user.a", "x", 1, 0));
		refused(ENODATA, lgetxattr("f", "user.a", NULL, 0));
		refused(EPERM, lremovexattr("f", "user.a"));
		equal(llistxattr("f", NULL, 0), 0);
		posix_remove(type, "f");
	}
	posix_make(REGULAR, "f");
	works(symlink("f", "link"));
	works(setxattr("link", "user.a", "x", 1, 0));
	holds(value_is("f", "user.a", "x"));
}

static void other_namespaces_are_not_supported(void)
{
	static const char *const names[] = {"security.selinux", "security.other", "trusted.a", "system.other", "other.a", "user"};
	/* Version 2; rwx for the owner, for user 1, the group, the mask, others. */
	static const unsigned char acl[] = {2, 0, 0,   0,   1,   0,   7,  0, 255, 255, 255, 255, 2,   0,   7,  0, 1, 0, 0,   0,   4,   0,
					    7, 0, 255, 255, 255, 255, 16, 0, 7,   0,   255, 255, 255, 255, 32, 0, 7, 0, 255, 255, 255, 255};

	posix_make(REGULAR, "f");
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		posix_about("%s", names[i]);
		refused(EOPNOTSUPP, setxattr("f", names[i], "x", 1, 0));
		refused(EOPNOTSUPP, getxattr("f", names[i], NULL, 0));
		refused(EOPNOTSUPP, removexattr("f", names[i]));
	}
	posix_about(NULL);
	refused(EOPNOTSUPP, setxattr("f", "system.posix_acl_access", acl, sizeof(acl), 0));
	refused(EOPNOTSUPP, getxattr("f", "system.posix_acl_access", NULL, 0));
	refused(EOPNOTSUPP, getxattr(".", "system.posix_acl_default", NULL, 0));
	refused(EOPNOTSUPP, getxattr("f", "security.capability", NULL, 0));
	equal(listxattr("f", NULL, 0), 0);
}

static void attributes_follow_the_permissions_of_the_file(void)
{
	posix_make(REGULAR, "f");
	works(chown("f", ALICE, ALICE));
	works(chmod("f", 0644));
	works(setxattr("f", "user.a", "x", 1, 0));
	posix_as(BOB, BOB, BOB);
	holds(value_is("f", "user.a", "x"));
	refused(EACCES, setxattr("f", "user.a", "y", 1, 0));
	refused(EACCES, removexattr("f", "user.a"));
	posix_as(ALICE, ALICE, ALICE);
	works(setxattr("f", "user.a", "y", 1, 0));
	works(chmod("f", 0222));
	refused(EACCES, getxattr("f", "user.a", NULL, 0));
	posix_as(BOB, BOB, BOB);
	works(setxattr("f", "user.a", "z", 1, 0));
	equal(listxattr("f", NULL, 0), sizeof("user.a"));
	posix_as_root();
	/* In a sticky directory its owner alone sets them on it. */
	works(mkdir("d", 0777));
	works(chown("d", ALICE, ALICE));
	works(chmod("d", 01777));
	posix_as(BOB, BOB, BOB);
	refused(EPERM, setxattr("d", "user.a", "x", 1, 0));
	posix_as(ALICE, ALICE, ALICE);
	works(setxattr("d", "user.a", "x", 1, 0));
}

static void a_file_being_made_has_attributes_too(void)
{
	char buffer[16];

	int fd = (int)works(open("f", O_RDWR | O_CREAT | O_EXCL, 0644));
	equal(write(fd, "text", 4), 4);
	works(fsetxattr(fd, "user.a", "value", 5, 0));
	equal(fgetxattr(fd, "user.a", buffer, sizeof(buffer)), 5);
	equal(flistxattr(fd, NULL, 0), sizeof("user.a"));
	equal(write(fd, "more", 4), 4);
	works(close(fd));
	holds(value_is("f", "user.a", "value"));
	holds(posix_holds("f", "textmore", 8));
}

static void a_file_without_a_name_has_attributes_too(void)
{
	char buffer[16];

	posix_make(REGULAR, "f");
	works(setxattr("f", "user.a", "value", 5, 0));
	int fd = (int)works(open("f", O_RDWR));
	works(unlink("f"));
	equal(fgetxattr(fd, "user.a", buffer, sizeof(buffer)), 5);
	refused(ENODATA, fgetxattr(fd, "user.b", buffer, sizeof(buffer)));
	equal(flistxattr(fd, NULL, 0), sizeof("user.a"));
	works(close(fd));
}

static void what_the_store_knows_of_a_file_is_read_only(void)
{
	posix_make(REGULAR, "f");
	holds(xattr_number("f", "user.tallyfs.mod_revision") > 0);
	refused(EPERM, setxattr("f", "user.tallyfs.mod_revision", "1", 1, 0));
	refused(EPERM, removexattr("f", "user.tallyfs.version"));
	refused(ENODATA, getxattr("f", "user.tallyfs.other", NULL, 0));
	equal(listxattr("f", NULL, 0), 0);
}

static const struct posix_rule rules[] = {
	POSIX_RULE(attributes_are_set_read_listed_and_removed),  POSIX_RULE(sizes_are_told_before_values),
	POSIX_RULE(values_may_be_large_but_not_without_limit),   POSIX_RULE(only_files_and_directories_have_user_attributes),
	POSIX_RULE(other_namespaces_are_not_supported),          POSIX_RULE(attributes_follow_the_permissions_of_the_file),
	POSIX_RULE(a_file_being_made_has_attributes_too),        POSIX_RULE(a_file_without_a_name_has_attributes_too),
	POSIX_RULE(what_the_store_knows_of_a_file_is_read_only),
};

int main(void)
{
	return posix_run(rules, sizeof(rules) / sizeof(*rules));
}
