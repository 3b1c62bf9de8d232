/* src/store/cuts.h */
#ifndef STORE_CUTS_H
#define STORE_CUTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "capsule/record.h"
#include "store/disk.h"

/*
 * cuts: records in this store's log that do not count: they lie beyond a cut that was signed when
 * this store did not answer, and it had taken them before it heard; or their writer forked, and
 * they do not lead to what a SYNC or CLOSE names. The log keeps them; whoever reads it passes over
 * them. The file "cuts", replaced atomically:
 *
 *     offset  bytes  field
 *          0      4  magic "PCC2"
 *          4      4  count, at most 8,192
 *          8     32  capsule name
 *         40    32n  writer 16, sequence 8, segment 4, number 4: of this writer nothing counts
 *                    beyond this sequence that lies in the log at or before this place
 *         ..      4  CRC32C over everything before
 *
 * A place is a number and no offset: pruning moves the records of a segment, and keeps their order.
 */
enum { CUTS_MAX = 8192 };

/* Where a record lies in the log. */
struct cuts_place {
    uint32_t segment;
    uint32_t number;  // in it: 1, 2, 3…
};

struct cut {
    struct writer_id writer;
    uint64_t sequence;
    struct cuts_place last;
};

struct cuts {
    struct cut *items;  // owned
    uint32_t count;
};

#define CUTS_EMPTY ((struct cuts){.items = NULL})

void cuts_release(struct cuts *cuts);

/* STATUS_OK also when there are none. STATUS_DAMAGED, STATUS_IO, STATUS_NO_MEMORY. */
MUST_CHECK enum status cuts_load(struct cuts *cuts, const struct disk *disk,
                                 const struct hash *capsule);

/* Durable when it returns STATUS_OK. */
MUST_CHECK enum status cuts_save(const struct cuts *cuts, const struct disk *disk,
                                 const struct hash *capsule);

/* In place of one that says less of this writer, if there is one. STATUS_FULL, STATUS_NO_MEMORY. */
MUST_CHECK enum status cuts_add(struct cuts *cuts, const struct cut *cut);

/* Where the next record lies: in `segment`, behind the one at `place`, or the first. */
struct cuts_place cuts_next(const struct cuts_place *place, uint32_t segment);

/* Whether the record that lies there does not count. */
bool cuts_cover(const struct cuts *cuts, const struct record *record,
                const struct cuts_place *place);

/* Whether that place lies where something was cut: a record there may rest on what was cut. */
bool cuts_reach(const struct cuts *cuts, const struct cuts_place *place);

#endif
