/* tests/attest/cases.h */
#ifndef TESTS_ATTEST_CASES_H
#define TESTS_ATTEST_CASES_H

#include <jansson.h>
#include <stdint.h>

#include "attest/collateral.h"
#include "attest/evidence.h"
#include "attest/verdict.h"
#include "base/buffer.h"

/*
 * Evidence that others captured from real hardware: $PARANOID_SHARED/vectors/attestation (default
 * ../shared/vectors/attestation), a directory each. Whatever is missing fails the test.
 */
struct cases_one {
    enum tee tee;
    struct buffer quote;
    struct buffer files[COLLATERAL_KIND_COUNT];
    struct collateral collateral;  // of the files; a test may change it
    struct buffer bundle;
    json_t *expected;      // NULL: it was not asked for
    uint64_t verify_at_s;  // 0: the case names no time
};

/* Whole bytes of a file below $PARANOID_SHARED/vectors. NULL-terminated. */
struct buffer cases_file(const char *path);

/* "tdx/azure-v4-2026". With what was expected of it. */
void cases_load(struct cases_one *it, const char *name);
void cases_release(struct cases_one *it);

/* The verdict on `quote` with the case's collateral as it is now. */
struct verdict cases_judge(struct cases_one *it, struct bytes quote, uint64_t now_s);

/* The same for the case's own quote, at its own time. */
struct verdict cases_judge_own(struct cases_one *it);

/* Call `each` with the name of every case there is; at least 20. */
void cases_each(void (*each)(const char *name));

/* Flip every `step`-th bit of `part`, which lies in the quote: each flip is refused. */
void cases_assert_no_bit_can_change(struct cases_one *it, struct bytes part, size_t step);

/* The same for all parts of an SGX or TDX quote that are signed, or are signatures or keys. */
void cases_assert_no_bit_of_a_quote_can_change(const char *name);

/* The quote or report is refused as malformed at every length below `end`. */
void cases_assert_refused_at_every_length(const char *name, size_t end);

#endif
