/* src/attest/policy_floor.h */
#ifndef ATTEST_POLICY_FLOOR_H
#define ATTEST_POLICY_FLOOR_H

#include <jansson.h>
#include <stdbool.h>

#include "attest/vendor.h"
#include "attest/verdict.h"

/*
 * policy_floor: the least TCB of SEV-SNP. AMD states no status of a TCB, only the version of each
 * of its parts, which count anew on each line of processors: so the owner says which are enough.
 */
struct policy_floor {
    bool is_said;  // else whatever AMD certified is accepted
    bool has_product[VENDOR_PRODUCT_COUNT];
    uint8_t least[VENDOR_PRODUCT_COUNT][VERDICT_PART_COUNT];
};

/*
 * Read {"Milan": {"snp": 24, "microcode": 219}, …}: a product that is left out is refused, a part
 * that is left out may have any version. False: `error` (POLICY_ERROR_BYTES_MAX) says what is
 * wrong.
 */
bool policy_floor_read(struct policy_floor *floor, const char *name, const json_t *value,
                       char *error);

/* A new object, or NULL: no memory. */
json_t *policy_floor_encode(const struct policy_floor *floor);

/* Whether a report's TCB reaches it. False: the verdict is refused, with both versions. */
bool policy_floor_accepts(const struct policy_floor *floor, struct verdict *verdict);

#endif
