/* src/capsule/prune.h */
#ifndef CAPSULE_PRUNE_H
#define CAPSULE_PRUNE_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "capsule/writer.h"

/*
 * PRUNE: the leader says which bodies need not be kept any more (DESIGN 6.7,
 * docs/format/prune.md). A clear body:
 *
 *     offset  bytes  field
 *          0      8  term
 *          8     56  the MANIFEST it rests on: (writer, sequence, hash)
 *         64      4  range_count, then range_count × 32: writer 16, from 8, to 8 (inclusive),
 *                    in order of writers and sequences, none touching the next
 *
 * Of a range the bodies of DATA, TABLE and MANIFEST records go; its other records stay whole.
 *
 * Who checks what: any capsule, without keys, that the MANIFEST is the one in effect, that a SYNC
 * or a CLOSE has named every record up to `to`, and that neither that MANIFEST nor the one in
 * effect before it is among them. That the DATA lies in its tables, and that no table of the two is
 * among the TABLE records, takes keys: the compactor works it out from its own MANIFEST, and
 * the leader signs for no one else.
 */
enum { PRUNE_RANGES_MAX = 1 << 16 };

struct prune_range {
    struct writer_id writer;
    uint64_t from;
    uint64_t to;
};

struct prune_body {
    uint64_t term;
    struct branch_head manifest;
    uint32_t range_count;
    const uint8_t *ranges;  // borrowed: encoded
};

/* `ranges` in order (CHECK); prune->ranges is ignored. STATUS_NO_MEMORY. */
MUST_CHECK enum status prune_encode(struct buffer *body, const struct prune_body *prune,
                                    const struct prune_range *ranges);
MUST_CHECK enum status prune_decode(struct prune_body *prune, struct bytes body);
struct prune_range prune_range_at(const struct prune_body *prune, uint32_t index);

#endif
