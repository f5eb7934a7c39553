/* crc32c.h: the Castagnoli CRC that guards every frame, log record and stored block (RFC 3720, appendix B.4). */
#ifndef TALLY_BASE_CRC32C_H
#define TALLY_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The CRC of `size` bytes, continuing from `crc` (0 to begin). Any thread. crc32c(0, "123456789", 9) is 0xe3069283. */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);

#endif
