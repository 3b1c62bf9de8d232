/* src/lsm/table_internal.h */
#ifndef LSM_TABLE_INTERNAL_H
#define LSM_TABLE_INTERNAL_H

#include <stdint.h>

/* The layout of an index, for those who write and read it (lsm/table.h). */
static const uint32_t TABLE_INDEX_MAGIC = 0x31495450;  // "PTI1"

enum {
    TABLE_INDEX_HEADER_BYTES = 32,
    TABLE_INDEX_BLOCK_BYTES = 46,  // and the separator
};

#endif
