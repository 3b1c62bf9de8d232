/* tests/attest/fixture.h */
#ifndef TESTS_ATTEST_FIXTURE_H
#define TESTS_ATTEST_FIXTURE_H

#include "attest/evidence.h"
#include "attest/policy.h"
#include "attest/simulated.h"

/* A vendor, a platform of its, the vendor's statement, and a policy that admits one program. */
enum { FIXTURE_TCB_LEVEL = 5 };

static const uint64_t FIXTURE_NOW_S = 1800000000;
static const uint64_t FIXTURE_DAY_S = 24 * 60 * 60;

struct fixture {
    struct random_seeded storage;
    struct random random;
    struct sign_key *vendor;
    struct verify_key root;
    struct simulated_platform *platform;
    struct simulated_tcb tcb;
    struct policy policy;
    struct hash measurement;
    uint8_t report_data[VERDICT_REPORT_DATA_BYTES];
    struct buffer evidence;  // what fixture_evidence() made last
};

/* The same bytes on every run. For cmocka. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* Make evidence from the fixture's platform, measurement, report data and TCB info. */
void fixture_evidence(struct fixture *f, bool is_debug);

/* Put `quote` and the fixture's TCB info into a container. */
void fixture_wrap(struct fixture *f, struct bytes quote);

/* Verify what fixture_evidence() made, under the fixture's root, and let the policy judge it. */
struct verdict fixture_verify(const struct fixture *f);
struct verdict fixture_judge(const struct fixture *f);

#endif
