/* bench/attest/attest_bench.c */

/*
 * What one judgement costs in time of one core (not of the clock: others may use it too), from the
 * container of evidence to the verdict, with all its certificates, lists and statements: the median
 * of RUN_COUNT runs, and between which figures they lay. The limit is 3 ms for each.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "attest/evidence.h"
#include "base/check.h"
#include "tests/support/forge.h"

enum { RUN_COUNT = 51 };

static const uint64_t NOW_S = 1800000000;

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static void measure(struct forge *forge, enum tee tee, uint16_t version, const char *name)
{
    struct forge_order order = forge_order_of(tee, NOW_S);
    struct buffer evidence = BUFFER_EMPTY;
    double runs[RUN_COUNT];
    order.version = version;
    order.has_crl = true;
    forge_evidence(forge, &order, &evidence);
    const struct evidence_roots roots = {.vendors = forge_roots(forge)};
    for (size_t i = 0; i < RUN_COUNT; i++) {
        double start = now_ms();
        const struct verdict verdict = evidence_verify(buffer_bytes(&evidence), NOW_S, &roots);
        runs[i] = now_ms() - start;
        CHECK(verdict.reason == REASON_NONE);
    }
    qsort(runs, RUN_COUNT, sizeof *runs, compare);
    printf("%-28s %6.2f ms  (%.2f to %.2f), %zu bytes\n", name, runs[RUN_COUNT / 2], runs[0],
           runs[RUN_COUNT - 1], evidence.length);
    buffer_release(&evidence);
}

int main(void)
{
    struct forge *forge = forge_new();
    measure(forge, TEE_SGX, 3, "verify SGX quote v3");
    measure(forge, TEE_TDX, 4, "verify TDX quote v4");
    measure(forge, TEE_TDX, 5, "verify TDX quote v5");
    measure(forge, TEE_SEV_SNP, 5, "verify SEV-SNP report v5");
    forge_free(forge);
    return 0;
}
