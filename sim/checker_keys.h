/* sim/checker_keys.h */
#ifndef SIM_CHECKER_KEYS_H
#define SIM_CHECKER_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "capsule/writer.h"
#include "sim/checker_store.h"
#include "store/disk.h"

/*
 * checker_keys: P11, read from a store's disk without the capsule core: who was revoked, from which
 * key epoch on it may have no key, and that nothing lies beyond the cut of its CLOSE.
 */
struct checker_revoked {
    struct writer_id writer;
    uint64_t epoch;      // of the REVOKE
    uint32_t key_epoch;  // that began next; 0: none yet
};

struct checker_keys {
    struct checker_revoked *revoked;
    size_t count;
};

/* False: `reason` says why. Release it either way. */
bool checker_keys_walk(struct checker_keys *checker, const struct disk *disk, struct bytes genesis,
                       char reason[CHECKER_REASON_BYTES]);
void checker_keys_release(struct checker_keys *checker);

/* NULL: nobody has revoked it. */
const struct checker_revoked *checker_keys_find(const struct checker_keys *checker,
                                                const struct writer_id *writer);

#endif
