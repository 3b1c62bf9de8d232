/* tests/attest/fixture.c */
#include "tests/attest/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/crypto.h"

int fixture_setup(void **state)
{
    crypto_init();
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->random = random_seeded(&f->storage, 7);
    f->vendor = sign_key_new(&f->random);
    f->root = sign_key_public(f->vendor);
    const struct simulated_terms terms = {
        .tcb_level = FIXTURE_TCB_LEVEL,
        .not_before_s = FIXTURE_NOW_S - FIXTURE_DAY_S,
        .not_after_s = FIXTURE_NOW_S + FIXTURE_DAY_S,
    };
    f->platform = simulated_platform_new(&f->random, f->vendor, &terms);
    f->tcb = (struct simulated_tcb){
        .issued_s = FIXTURE_NOW_S - FIXTURE_DAY_S,
        .next_update_s = FIXTURE_NOW_S + 30 * FIXTURE_DAY_S,
        .levels = {{FIXTURE_TCB_LEVEL, TCB_UP_TO_DATE}, {3, TCB_OUT_OF_DATE}, {1, TCB_REVOKED}},
        .level_count = 3,
        .revoked_count = 1,  // an id of zeroes
    };
    f->measurement = hash_of("program", 7);
    memset(f->report_data, 0xd7, sizeof f->report_data);

    policy_init(&f->policy);
    f->policy.allow_simulated = true;
    f->policy.has_simulated_root = true;
    f->policy.simulated_root = f->root;
    f->policy.measurements[POLICY_WORKER].values[0] =
        verdict_value_of(bytes_of(f->measurement.bytes, HASH_BYTES));
    f->policy.measurements[POLICY_WORKER].count = 1;
    *state = f;
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    buffer_release(&f->evidence);
    simulated_platform_free(f->platform);
    sign_key_free(f->vendor);
    free(f);
    return 0;
}

void fixture_wrap(struct fixture *f, struct bytes quote)
{
    struct buffer tcb = BUFFER_EMPTY;
    assert_int_equal(simulated_tcb_encode(&f->tcb, f->vendor, &tcb), STATUS_OK);
    const struct evidence evidence = {
        .tee = TEE_SIMULATED,
        .quote = quote,
        .collateral = buffer_bytes(&tcb),
    };
    buffer_clear(&f->evidence);
    assert_int_equal(evidence_encode(&evidence, &f->evidence), STATUS_OK);
    buffer_release(&tcb);
}

void fixture_evidence(struct fixture *f, bool is_debug)
{
    uint8_t quote[SIMULATED_QUOTE_BYTES];
    simulated_quote(f->platform, &f->measurement, f->report_data, is_debug, quote);
    fixture_wrap(f, bytes_of(quote, sizeof quote));
}

struct verdict fixture_verify(const struct fixture *f)
{
    struct evidence_roots roots = policy_roots(&f->policy, vendor_pinned());
    return evidence_verify(buffer_bytes(&f->evidence), FIXTURE_NOW_S, &roots);
}

struct verdict fixture_judge(const struct fixture *f)
{
    struct verdict verdict = fixture_verify(f);
    return policy_judge(&f->policy, &verdict, f->report_data, POLICY_WORKER);
}
