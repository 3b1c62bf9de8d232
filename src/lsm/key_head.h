/* src/lsm/key_head.h */
#ifndef LSM_KEY_HEAD_H
#define LSM_KEY_HEAD_H

#include <stdint.h>

#include "base/bytes.h"

/*
 * The first bytes of a key as a number: keys in order have heads in order, and most searches are
 * decided by heads that lie side by side, without a look at the keys. Equal heads say nothing.
 */
static inline uint64_t key_head(struct bytes key)
{
    uint64_t head = 0;
    for (size_t i = 0; i < sizeof head; i++) {
        head = head << 8 | (i < key.length ? key.at[i] : 0);
    }
    return head;
}

#endif
