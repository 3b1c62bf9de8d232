/* src/store/crc32c.h */
#ifndef STORE_CRC32C_H
#define STORE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/*
 * CRC-32C (Castagnoli, reflected polynomial 0x82f63b78): tells accidents of the disk, never an
 * attacker. crc32c_extend(crc32c_extend(0, a), b) is the sum of a ‖ b.
 */
uint32_t crc32c_extend(uint32_t crc, const void *bytes, size_t length);

/* The same by table: what a processor without the instruction runs. Tests compare the two. */
uint32_t crc32c_extend_by_table(uint32_t crc, const void *bytes, size_t length);

#endif
