/* src/attest/simulated.h */
#ifndef ATTEST_SIMULATED_H
#define ATTEST_SIMULATED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attest/evidence.h"
#include "attest/verdict.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "base/random.h"
#include "base/status.h"
#include "crypto/hash.h"
#include "crypto/sign.h"

/*
 * simulated: a TEE without a TEE. It has everything that a real one has (a
 * vendor root, a platform with a certified key, reports signed by that key,
 * TCB levels and the vendor's statement about them), so that admission and its
 * refusals run everywhere. It protects nothing: whoever holds a platform's key,
 * and the host does, can say whatever it likes. That is why everything it
 * produces says tee=simulated and a policy has to ask for it.
 *
 * The vendor is an ordinary sign_key of the caller's. Layouts:
 * docs/format/evidence.md.
 */
enum {
    SIMULATED_PLATFORM_ID_BYTES = 16,
    SIMULATED_PLATFORM_BYTES = 172,  // as stored
    SIMULATED_CERTIFICATE_BYTES = 136,
    SIMULATED_QUOTE_BYTES = 324,
    SIMULATED_LEVEL_COUNT_MAX = 16,
    SIMULATED_REVOKED_COUNT_MAX = 64,
};

/* What the vendor certifies of a platform. Times are Unix times, both inclusive. */
struct simulated_terms {
    uint32_t tcb_level;
    uint64_t not_before_s;
    uint64_t not_after_s;
};

/* One machine that can make quotes: its key and its certificate. */
struct simulated_platform;

/* Make a platform, with a random id and key, and let the vendor certify it. Never NULL. */
struct simulated_platform *simulated_platform_new(const struct random *random,
                                                  const struct sign_key *vendor,
                                                  const struct simulated_terms *terms);
void simulated_platform_free(struct simulated_platform *platform);

/* What a host keeps in a file of its own: the key and the certificate. To be wiped after use. */
void simulated_platform_encode(const struct simulated_platform *platform,
                               uint8_t target[SIMULATED_PLATFORM_BYTES]);

/*
 * The platform that was stored as `bytes`. On STATUS_OK it is the caller's.
 * STATUS_MALFORMED: nothing of the kind, or the key is not the certificate's;
 * `*platform` is NULL. Whether a vendor signed it, the verifier of a quote says.
 */
MUST_CHECK enum status simulated_platform_decode(struct simulated_platform **platform,
                                                 struct bytes bytes);

/* Borrowed until simulated_platform_free(); SIMULATED_PLATFORM_ID_BYTES long. */
const uint8_t *simulated_platform_id(const struct simulated_platform *platform);

/* Write what the platform says about a program: its measurement and 64 bytes of its choice. */
void simulated_quote(const struct simulated_platform *platform, const struct hash *measurement,
                     const uint8_t report_data[VERDICT_REPORT_DATA_BYTES], bool is_debug,
                     uint8_t target[SIMULATED_QUOTE_BYTES]);

/*
 * TCB info, the vendor's statement about all its platforms. A platform has the
 * status of the first level that is not above its own: levels descend strictly.
 */
struct simulated_level {
    uint32_t tcb_level;
    enum tcb_status status;
};

struct simulated_tcb {
    uint64_t issued_s;
    uint64_t next_update_s;  // from then on it is too old
    struct simulated_level levels[SIMULATED_LEVEL_COUNT_MAX];
    uint8_t level_count;
    uint8_t revoked[SIMULATED_REVOKED_COUNT_MAX][SIMULATED_PLATFORM_ID_BYTES];
    uint8_t revoked_count;
};

/* Append the signed statement: the collateral of evidence. STATUS_NO_MEMORY. */
MUST_CHECK enum status simulated_tcb_encode(const struct simulated_tcb *tcb,
                                            const struct sign_key *vendor, struct buffer *target);

/*
 * The statement in `bytes`, when `root` signed it. Its dates are for the
 * caller to judge. STATUS_MALFORMED, STATUS_FORGED: `*tcb` is undefined.
 */
MUST_CHECK enum status simulated_tcb_decode(struct simulated_tcb *tcb, struct bytes bytes,
                                            const struct verify_key *root);

/* Fill in the verdict for evidence_verify(), at verdict->judged_at_s. `root` may be NULL. */
void simulated_verify(struct verdict *verdict, const struct evidence *evidence,
                      const struct verify_key *root);

#endif
