/* src/attest/policy_rtmr.h */
#ifndef ATTEST_POLICY_RTMR_H
#define ATTEST_POLICY_RTMR_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attest/verdict.h"

/*
 * policy_rtmr: what a trust domain may have loaded after its firmware. MRTD measures the firmware
 * alone; configuration, kernel, command line and what they start are extended into the RTMRs.
 */
enum { POLICY_RTMR_SET_COUNT_MAX = 16 };

/* One image: its MRTD, and those of its RTMRs that have to have a value. */
struct policy_rtmr_set {
    struct verdict_value measurement;
    bool is_said[VERDICT_RTMR_COUNT];
    uint8_t values[VERDICT_RTMR_COUNT][VERDICT_RTMR_BYTES];
};

struct policy_rtmrs {
    bool is_said;  // else a TD is judged by its MRTD alone
    struct policy_rtmr_set sets[POLICY_RTMR_SET_COUNT_MAX];
    size_t count;
};

/*
 * Read [{"measurement": "…", "rtmr1": "…", "rtmr2": "…"}, …]. False: `error`
 * (POLICY_ERROR_BYTES_MAX) says what is wrong.
 */
bool policy_rtmr_read(struct policy_rtmrs *rtmrs, const char *name, const json_t *value,
                      char *error);

/* A new list, or NULL: no memory. */
json_t *policy_rtmr_encode(const struct policy_rtmrs *rtmrs);

/*
 * Whether MRTD and RTMRs of a TD are those of one of the sets. False: the verdict is refused, with
 * what disagrees.
 */
bool policy_rtmr_accepts(const struct policy_rtmrs *rtmrs, struct verdict *verdict);

#endif
