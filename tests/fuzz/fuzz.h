/* fuzz.h: what the fuzz targets share. A target is a program of its own (libFuzzer): LLVMFuzzerTestOneInput takes any bytes, and must neither crash nor break what FUZZ_CHECK says. */
#ifndef TALLY_TESTS_FUZZ_FUZZ_H
#define TALLY_TESTS_FUZZ_FUZZ_H

#include "base/codec.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(condition)                                                                                                              \
	do {                                                                                                                               \
		if (!(condition)) {                                                                                                        \
			fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);                                      \
			abort();                                                                                                           \
		}                                                                                                                          \
	} while (0)

/* While it is true every CRC32C is 0, so that what lies behind a checksum is reached, too: a format's zeroed checksums are right then. */
extern bool fuzz_weak_crc;

/* An empty folder of this process, in memory if the machine has such a file system; it is removed when the process ends. */
const char *fuzz_folder(void);
/* A path in it. Lives until 8 calls later. */
const char *fuzz_path(const char *name);
/* Removes what is below a folder, and the folder. */
void fuzz_remove(const char *folder);
/* Makes a folder. */
void fuzz_make(const char *folder);
/* Writes a file anew. */
void fuzz_write(const char *path, const void *data, size_t size);

#endif
