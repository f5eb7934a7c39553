/* The shared key: its file, the keys derived from it, and what a seal covers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIXTEEN "0123456789abcdef"
#define TEXT "attack at dawn"

static char dir[96];
static char file[128];
static char why[256];

static int setup(void **state)
{
	const char *tmp = getenv("TMPDIR");
	(void)state;
	snprintf(dir, sizeof(dir), "%.60s/secret-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(dir))
		return -1;
	snprintf(file, sizeof(file), "%s/key", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(file);
	return rmdir(dir);
}

static void write_file(const char *content, mode_t mode)
{
	unlink(file);
	int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, strlen(content)), strlen(content));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void expect_refused(int error, const char *says)
{
	struct secret *s = NULL;
	why[0] = '\0';
	assert_int_equal(secret_load(file, &s, why, sizeof(why)), error);
	assert_null(s);
	assert_non_null(strstr(why, file));
	assert_non_null(strstr(why, says));
	assert_null(strchr(why, '\n'));
}

static struct secret *loaded(void)
{
	struct secret *s = NULL;
	int rc = secret_load(file, &s, why, sizeof(why));
	if (rc)
		fail_msg("%s", why);
	return s;
}

static struct secret *made(const char *content)
{
	struct secret *s = NULL;
	assert_int_equal(secret_new((struct span){content, strlen(content)}, &s), 0);
	return s;
}

struct sealed {
	uint8_t nonce[SECRET_NONCE_BYTES];
	uint8_t text[sizeof(TEXT) + SECRET_TAG_BYTES];
};

static const struct span ad = {"header", 6};

static struct sealed seal(const struct secret *s, enum secret_use use)
{
	struct sealed out = {.text = TEXT};
	secret_random(out.nonce, sizeof(out.nonce));
	secret_seal(s, use, out.nonce, ad, out.text, sizeof(TEXT));
	return out;
}

static bool opens(const struct secret *s, enum secret_use use, struct sealed in)
{
	bool ok = secret_open(s, use, in.nonce, ad, in.text, sizeof(TEXT));
	if (ok)
		assert_memory_equal(in.text, TEXT, sizeof(TEXT));
	return ok;
}

static void a_file_that_others_may_read_is_refused_by_name(void **state)
{
	static const mode_t modes[] = {0644, 0640, 0604, 0660, 0666, 0700, 0610, 0601, 04600};
	(void)state;
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		write_file(SIXTEEN, modes[i]);
		expect_refused(-EACCES, "0600");
	}
	write_file(SIXTEEN, 0600);
	secret_free(loaded());
	write_file(SIXTEEN, 0400);
	secret_free(loaded());
}

static void a_file_of_another_user_is_refused(void **state)
{
	(void)state;
	write_file(SIXTEEN, 0600);
	if (geteuid() != 0)
		skip();
	assert_int_equal(chown(file, 12345, 0), 0);
	expect_refused(-EACCES, "another user");
}

static void what_is_no_file_or_too_short_or_too_long_is_refused(void **state)
{
	(void)state;
	unlink(file);
	expect_refused(-ENOENT, "No such file");
	write_file("", 0600);
	expect_refused(-EINVAL, "at least 16 bytes");
	write_file("0123456789abcde\n", 0600);
	expect_refused(-EINVAL, "at least 16 bytes");
	char *huge = malloc(SECRET_FILE_MAX + 2);
	memset(huge, 'x', SECRET_FILE_MAX + 1);
	huge[SECRET_FILE_MAX + 1] = '\0';
	write_file(huge, 0600);
	expect_refused(-EFBIG, "too long");
	huge[SECRET_FILE_MAX] = '\n';
	write_file(huge, 0600);
	secret_free(loaded());
	free(huge);
	unlink(file);
	assert_int_equal(mkfifo(file, 0600), 0);
	expect_refused(-EINVAL, "not a file");
}

static void a_newline_at_the_end_of_the_file_does_not_count(void **state)
{
	(void)state;
	struct secret *plain = made(SIXTEEN);
	write_file(SIXTEEN "\n", 0600);
	struct secret *with_newline = loaded();
	assert_true(opens(with_newline, SECRET_PEER, seal(plain, SECRET_PEER)));
	write_file(SIXTEEN "\n\n", 0600);
	struct secret *with_two = loaded();
	assert_false(opens(with_two, SECRET_PEER, seal(plain, SECRET_PEER)));
	secret_free(plain);
	secret_free(with_newline);
	secret_free(with_two);
}

/* Against the functions of libsodium themselves: another derivation, cipher or order of its arguments would be another protocol. */
static void keys_and_seals_are_those_of_the_table(void **state)
{
	(void)state;
	static const char label[] = "tallyfs 1 frames between members";
	struct secret *s = made(SIXTEEN);
	uint8_t key[32], text[64];
	unsigned long long size = 0;
	struct sealed in = seal(s, SECRET_PEER);
	crypto_generichash(key, sizeof(key), (const uint8_t *)SIXTEEN, 16, (const uint8_t *)label, strlen(label));
	assert_int_equal(
		crypto_aead_xchacha20poly1305_ietf_decrypt(text, &size, NULL, in.text, sizeof(in.text), ad.data, ad.size, in.nonce, key),
		0);
	assert_int_equal(size, sizeof(TEXT));
	assert_memory_equal(text, TEXT, sizeof(TEXT));
	secret_free(s);
}

static void a_seal_opens_for_the_same_secret_and_use_alone(void **state)
{
	(void)state;
	struct secret *ours = made(SIXTEEN), *theirs = made("0123456789abcdeF");
	for (int sealed_for = 0; sealed_for < SECRET_USES; sealed_for++)
		for (int opened_for = 0; opened_for < SECRET_USES; opened_for++) {
			struct sealed in = seal(ours, (enum secret_use)sealed_for);
			assert_int_equal(opens(ours, (enum secret_use)opened_for, in), sealed_for == opened_for);
			assert_false(opens(theirs, (enum secret_use)opened_for, in));
		}
	secret_free(ours);
	secret_free(theirs);
}

static void any_changed_bit_breaks_a_seal(void **state)
{
	(void)state;
	struct secret *s = made(SIXTEEN);
	const struct sealed good = seal(s, SECRET_REQUEST);
	for (size_t bit = 0; bit < sizeof(good) * 8; bit++) {
		struct sealed bad = good;
		((uint8_t *)&bad)[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(opens(s, SECRET_REQUEST, bad));
	}
	struct sealed other = good;
	assert_false(secret_open(s, SECRET_REQUEST, other.nonce, (struct span){"Header", 6}, other.text, sizeof(TEXT)));
	other = good;
	assert_false(secret_open(s, SECRET_REQUEST, other.nonce, (struct span){"header", 5}, other.text, sizeof(TEXT)));
	assert_true(opens(s, SECRET_REQUEST, good));
	secret_free(s);
}

static void sealing_the_same_twice_gives_different_bytes(void **state)
{
	(void)state;
	struct secret *s = made(SIXTEEN);
	struct sealed a = seal(s, SECRET_PEER), b = seal(s, SECRET_PEER);
	assert_memory_not_equal(a.nonce, b.nonce, sizeof(a.nonce));
	assert_memory_not_equal(a.text, b.text, sizeof(a.text));
	secret_free(s);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		STORY(a_file_that_others_may_read_is_refused_by_name),
		STORY(a_file_of_another_user_is_refused),
		STORY(what_is_no_file_or_too_short_or_too_long_is_refused),
		STORY(a_newline_at_the_end_of_the_file_does_not_count),
		STORY(keys_and_seals_are_those_of_the_table),
		STORY(a_seal_opens_for_the_same_secret_and_use_alone),
		STORY(any_changed_bit_breaks_a_seal),
		STORY(sealing_the_same_twice_gives_different_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
