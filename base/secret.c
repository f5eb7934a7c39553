#include "base/secret.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_BYTES crypto_aead_xchacha20poly1305_ietf_KEYBYTES

_Static_assert(SECRET_NONCE_BYTES == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "the nonce of XChaCha20");
_Static_assert(SECRET_TAG_BYTES == crypto_aead_xchacha20poly1305_ietf_ABYTES, "the tag of Poly1305");

struct secret {
	uint8_t keys[SECRET_USES][KEY_BYTES];
};

/* Part of the protocol: another label is another key. */
static const char *const labels[SECRET_USES] = {
	[SECRET_PEER] = "tallyfs 1 frames between members",
	[SECRET_REQUEST] = "tallyfs 1 requests of clients",
	[SECRET_ANSWER] = "tallyfs 1 answers to clients",
};

int secret_new(struct span content, struct secret **out)
{
	if (content.size < SECRET_BYTES_MIN)
		return -EINVAL;
	if (sodium_init() < 0)
		return -EIO;
	struct secret *s = sodium_malloc(sizeof(*s));
	if (!s)
		abort();
	for (int use = 0; use < SECRET_USES; use++)
		crypto_generichash(s->keys[use], KEY_BYTES, content.data, content.size, (const uint8_t *)labels[use], strlen(labels[use]));
	sodium_mprotect_readonly(s);
	*out = s;
	return 0;
}

void secret_free(struct secret *s)
{
	sodium_free(s);
}

static int refuse(char *why, size_t why_size, int error, const char *file, const char *what)
{
	snprintf(why, why_size, "secret=%s: %s", file, what);
	return error;
}

/* Whoever else may read it, or change it, knows the key. */
static int check_file(int fd, const char *file, char *why, size_t why_size)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return refuse(why, why_size, -errno, file, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return refuse(why, why_size, -EINVAL, file, "not a file");
	if ((st.st_mode & 07177) != 0)
		return refuse(why, why_size, -EACCES, file, "its mode must be 0600: nobody else may read it (chmod 600)");
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return refuse(why, why_size, -EACCES, file, "it belongs to another user");
	return 0;
}

/* The count of bytes, or a negative errno. */
static ssize_t read_all(int fd, uint8_t *buffer, size_t size)
{
	size_t at = 0;

	while (at < size) {
		ssize_t got = read(fd, buffer + at, size - at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		at += (size_t)got;
	}
	return (ssize_t)at;
}

static int load_from(int fd, const char *file, struct secret **out, char *why, size_t why_size)
{
	int error = check_file(fd, file, why, why_size);
	if (error)
		return error;
	uint8_t *content = sodium_malloc(SECRET_FILE_MAX + 1);
	if (!content)
		abort();
	ssize_t size = read_all(fd, content, SECRET_FILE_MAX + 1);
	if (size > 0 && content[size - 1] == '\n')
		size--;
	if (size < 0)
		error = refuse(why, why_size, (int)size, file, strerror((int)-size));
	else if ((size_t)size > SECRET_FILE_MAX)
		error = refuse(why, why_size, -EFBIG, file, "too long for a secret: at most 64 KiB");
	else if (secret_new((struct span){content, (size_t)size}, out) != 0)
		error = refuse(why, why_size, -EINVAL, file, "too short for a secret: at least 16 bytes");
	sodium_free(content);
	return error;
}

int secret_load(const char *file, struct secret **out, char *why, size_t why_size)
{
	/* A fifo must not hold us up. */
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return refuse(why, why_size, -errno, file, strerror(errno));
	if (sodium_init() < 0) {
		close(fd);
		return refuse(why, why_size, -EIO, file, "libsodium finds no randomness");
	}
	int error = load_from(fd, file, out, why, why_size);
	close(fd);
	return error;
}

void secret_seal(const struct secret *s, enum secret_use use, const uint8_t *nonce, struct span ad, uint8_t *text, size_t size)
{
	int rc = crypto_aead_xchacha20poly1305_ietf_encrypt(text, NULL, text, size, ad.data, ad.size, NULL, nonce, s->keys[use]);
	assert(rc == 0);
	(void)rc;
}

bool secret_open(const struct secret *s, enum secret_use use, const uint8_t *nonce, struct span ad, uint8_t *text, size_t size)
{
	return crypto_aead_xchacha20poly1305_ietf_decrypt(text, NULL, NULL, text, size + SECRET_TAG_BYTES, ad.data, ad.size, nonce,
							  s->keys[use]) == 0;
}

void secret_random(void *out, size_t size)
{
	randombytes_buf(out, size);
}

bool secret_equal(const void *a, const void *b, size_t size)
{
	return sodium_memcmp(a, b, size) == 0;
}
