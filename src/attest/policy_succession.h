/* src/attest/policy_succession.h */
#ifndef ATTEST_POLICY_SUCCESSION_H
#define ATTEST_POLICY_SUCCESSION_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "attest/verdict.h"

/*
 * policy_succession: the owner's statements "measurement B succeeds A". Signed with the policy that
 * carries them, and so recorded in the capsule: whoever reads the capsule later sees why a program
 * that was never admitted before is the same service. In a policy they admit nobody: "measurements"
 * does. To whoever has an older policy they say whom it means today.
 */
enum { POLICY_SUCCESSION_COUNT_MAX = 32 };

struct policy;

struct policy_succession {
    struct verdict_value older;
    struct verdict_value newer;
};

struct policy_successions {
    struct policy_succession values[POLICY_SUCCESSION_COUNT_MAX];
    size_t count;
};

/* Read [{"old": …, "new": …}, …]. False: `error` (POLICY_ERROR_BYTES_MAX) says what is wrong. */
bool policy_succession_read(struct policy_successions *successions, const json_t *value,
                            char *error);

/* A new array, or NULL: no memory. */
json_t *policy_succession_encode(const struct policy_successions *successions);

/* The statement about what came after `older`; the last one, if there are several. NULL: none. */
const struct policy_succession *policy_succession_find(const struct policy_successions *successions,
                                                       const struct verdict_value *older);

/*
 * What an older policy means after the owner has said `said`: in each role in which a program is
 * admitted, what succeeds it is admitted too, and so on, as far as the policy has room.
 */
void policy_succession_follow(struct policy *policy, const struct policy_successions *said);

#endif
