/* src/scl/holdback.h */
#ifndef SCL_HOLDBACK_H
#define SCL_HOLDBACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"
#include "capsule/record.h"

/*
 * holdback: records that wait for an ancestor, by (writer, sequence), as they
 * came. Bounded: what does not fit is dropped, and fetched again when its turn comes.
 */
enum { HOLDBACK_BYTES_MAX = 64 << 20, HOLDBACK_COUNT_MAX = 1 << 16 };

struct holdback;

MUST_CHECK enum status holdback_new(struct holdback **holdback);
void holdback_free(struct holdback *holdback);

/* Keep a copy. STATUS_STALE: one is held already. STATUS_FULL, STATUS_NO_MEMORY: dropped. */
MUST_CHECK enum status holdback_put(struct holdback *holdback, const struct record *record);

bool holdback_has(const struct holdback *holdback, const struct writer_id *writer,
                  uint64_t sequence);

/* Move a record's bytes to `bytes` (empty before). STATUS_NOT_FOUND. */
MUST_CHECK enum status holdback_take(struct holdback *holdback, const struct writer_id *writer,
                                     uint64_t sequence, struct buffer *bytes);

/*
 * Walk what is held: begin with *place = 0, until STATUS_EMPTY. Putting and
 * taking in between may skip or repeat some.
 */
MUST_CHECK enum status holdback_next(const struct holdback *holdback, size_t *place,
                                     struct writer_id *writer, uint64_t *sequence);

/*
 * Three quarters of the bounds are taken: the rest is for those whose turn it is. Otherwise what
 * waits would leave no room for what it waits for.
 */
bool holdback_is_tight(const struct holdback *holdback);

/* Drop everything of this writer at or below `sequence`: overtaken. */
void holdback_drop(struct holdback *holdback, const struct writer_id *writer, uint64_t sequence);

size_t holdback_count(const struct holdback *holdback);

#endif
