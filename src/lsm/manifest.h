/* src/lsm/manifest.h */
#ifndef LSM_MANIFEST_H
#define LSM_MANIFEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "capsule/writer.h"
#include "crypto/hash.h"
#include "lsm/table.h"

/*
 * manifest: which tables make up CapsuleDB, and what of the log they cover: the plaintext of a
 * MANIFEST record (docs/format/manifest.md). It takes effect when a SYNC names it.
 *
 *     offset  bytes  field
 *          0      4  magic "PMF1"
 *          4      8  floor F: the tables hold exactly the winners with lamport ≤ F
 *         12      8  time, ms: that of the SYNC with this floor
 *         20     32  hash of the MANIFEST before; zero for the first
 *         52      4  cover count, then so many × 24: writer 16, sequence 8, ascending by writer:
 *                    no record of it up to there says what the tables do not say
 *         ..      4  table count, then the tables:
 *                 1  level
 *                 8  run
 *                16  writer
 *                 8  first sequence
 *                 8  index sequence
 *                32  index record hash
 *                 4  index record_bytes
 *                 4  block count
 *                 4  entry count
 *                 4  delete count
 *                 8  record_bytes of all its records
 *                 8  stale, ms
 *                 2  first_len, 2  last_len, first key, last key
 *         ..      4  snapshot_bytes, then the snapshot
 *
 * Tables are in the order in which a reader asks them: levels rise; on level 0 newer runs come
 * first; keys rise within a run, and within a level above 0, and ranges are disjoint there.
 */
enum {
    MANIFEST_LEVELS_MAX = 8,
    MANIFEST_TABLES_MAX = 1 << 14,
    MANIFEST_COVERS_MAX = 1 << 16,
    MANIFEST_BYTES_MAX = 4 << 20,
};

struct manifest_cover {
    struct writer_id writer;
    uint64_t sequence;
};

/* Starts as all zeroes: that is the manifest of an app that has none yet. */
struct manifest {
    uint64_t floor;
    uint64_t time_ms;
    struct hash predecessor;
    uint32_t cover_count;
    const uint8_t *covers;  // borrowed from the plaintext: manifest_cover_at()
    uint32_t table_count;
    struct table *tables;   // the manifest's own; keys are borrowed from the plaintext
    struct bytes snapshot;  // borrowed; opaque here: the capsule's state at this floor
};

/* Borrows from `plain`. STATUS_MALFORMED, STATUS_NO_MEMORY: `manifest` is as it was. */
MUST_CHECK enum status manifest_decode(struct manifest *manifest, struct bytes plain);
void manifest_release(struct manifest *manifest);

struct manifest_cover manifest_cover_at(const struct manifest *manifest, uint32_t index);

/* The sequence up to which the tables cover `writer`; 0 for one that is not listed. */
uint64_t manifest_covered(const struct manifest *manifest, const struct writer_id *writer);

/* The tables of `level` are [*first, *first + count). */
uint32_t manifest_level(const struct manifest *manifest, uint8_t level, uint32_t *first);

/* What a successor says otherwise. */
struct manifest_change {
    uint64_t floor;                       // not below the floor before
    uint64_t time_ms;                     // not below the time before
    struct hash predecessor;              // of the MANIFEST record that is changed
    const struct manifest_cover *covers;  // replace the old ones; ascending by writer
    uint32_t cover_count;
    const uint32_t *removed;  // places of tables; ascending
    uint32_t removed_count;
    const struct table *added;  // in key order, disjoint; their level and run say where they go
    uint32_t added_count;
    struct bytes snapshot;
};

/*
 * Append the plaintext of the successor of `manifest`. STATUS_FULL: it would have more than
 * MANIFEST_BYTES_MAX or too many tables. STATUS_NO_MEMORY. In both cases `plain` is as it was.
 */
MUST_CHECK enum status manifest_succeed(struct buffer *plain, const struct manifest *manifest,
                                        const struct manifest_change *change);

#endif
