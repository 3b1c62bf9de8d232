#ifndef STORE_STORE_INTERNAL_H
#define STORE_STORE_INTERNAL_H

#include <stddef.h>

#include "store/store.h"

/*
 * As store_append(), for `count` ≥ 1 records of one writer with sequences one after the other.
 * Where their form allows it the signature of the last one vouches for those before it, and a whole
 * run costs one verification. On STATUS_OK `*taken_count` is at least 1, maybe less than `count`:
 * go on with the next. Any other status speaks of the first record alone, and nothing was taken.
 */
MUST_CHECK enum status store_append_run(struct store *store, const struct record *records,
                                        size_t count, size_t *taken_count, struct buffer *proof);

/* Whose receipts these are. */
const struct writer_id *store_id(const struct store *store);

#endif
