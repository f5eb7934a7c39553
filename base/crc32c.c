#include "base/crc32c.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define POLYNOMIAL 0x82f63b78u /* reflected */

static uint32_t crc_of_byte(uint8_t byte)
{
	uint32_t crc = byte;
	for (int bit = 0; bit < 8; bit++)
		crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
	return crc;
}

static uint32_t table[256];

static void fill_table(void)
{
	for (int byte = 0; byte < 256; byte++)
		table[byte] = crc_of_byte((uint8_t)byte);
}

/* For processors without the instruction. */
static uint32_t by_table(uint32_t crc, const uint8_t *p, size_t size)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, fill_table);
	for (size_t i = 0; i < size; i++)
		crc = crc >> 8 ^ table[(uint8_t)(crc ^ p[i])];
	return crc;
}

#if defined(__x86_64__)
#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const uint8_t *p, size_t size)
{
	uint64_t wide = crc;
	for (; size >= 8; p += 8, size -= 8) {
		uint64_t v;
		memcpy(&v, p, 8);
		wide = _mm_crc32_u64(wide, v);
	}
	crc = (uint32_t)wide;
	for (; size > 0; p++, size--)
		crc = _mm_crc32_u8(crc, *p);
	return crc;
}

static bool has_instruction(void)
{
	return __builtin_cpu_supports("sse4.2");
}
#else
static uint32_t by_instruction(uint32_t crc, const uint8_t *p, size_t size)
{
	return by_table(crc, p, size);
}

static bool has_instruction(void)
{
	return false;
}
#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
	crc = ~crc;
	return ~(has_instruction() ? by_instruction(crc, data, size) : by_table(crc, data, size));
}
