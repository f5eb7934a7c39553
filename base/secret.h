/* secret.h: the cluster's shared key, and sealing with it: XChaCha20-Poly1305 of libsodium.
 *
 * From the content of the secret's file one key is derived for each use (BLAKE2b, keyed with the use's label), so that what was sealed for one use never
 * opens in another. Nonces are 24 random bytes: even 2^80 of them are not expected to meet. Keys lie in memory that is locked, guarded and wiped.
 * Nothing here compares secret bytes in a time that depends on them. A struct secret may be used by any number of threads. */
#ifndef TALLY_BASE_SECRET_H
#define TALLY_BASE_SECRET_H

#include "base/codec.h"

#define SECRET_BYTES_MIN 16u
#define SECRET_FILE_MAX 65536u
#define SECRET_NONCE_BYTES 24u
#define SECRET_TAG_BYTES 16u

enum secret_use {
	SECRET_PEER,    /* frames between members */
	SECRET_REQUEST, /* from clients to an endpoint */
	SECRET_ANSWER,  /* and back */
	SECRET_USES
};

struct secret;

/* Reads the file: a regular one, of ours or root's, with no access for group and others (mode 0600), and at least SECRET_BYTES_MIN bytes of content; one
 * newline at its end does not count. On failure a negative errno and one line in `why`, which names the file. */
int secret_load(const char *file, struct secret **out, char *why, size_t why_size);
/* The same from bytes. -EINVAL: too few. */
int secret_new(struct span content, struct secret **out);
/* Wipes the keys. NULL is fine. */
void secret_free(struct secret *s);

/* Encrypts `size` bytes at `text` where they lie, and writes the tag of SECRET_TAG_BYTES behind them; it covers `ad` too. */
void secret_seal(const struct secret *s, enum secret_use use, const uint8_t *nonce, struct span ad, uint8_t *text, size_t size);
/* The reverse. False, with what lies there of no meaning: anything was altered, or another secret or use. */
bool secret_open(const struct secret *s, enum secret_use use, const uint8_t *nonce, struct span ad, uint8_t *text, size_t size);

/* Bytes that nobody can foretell. */
void secret_random(void *out, size_t size);
/* In a time that does not depend on the bytes. */
bool secret_equal(const void *a, const void *b, size_t size);

#endif
