/* fuzz/lsm/manifest_fuzz.c */

/* A MANIFEST that decodes, and whose successor says nothing else, encodes to the same bytes. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"
#include "lsm/manifest.h"
#include "lsm/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void check_again(const struct manifest *manifest, struct bytes plain)
{
    struct manifest_cover *covers = calloc(manifest->cover_count + 1u, sizeof *covers);
    CHECK(covers != NULL);
    for (uint32_t i = 0; i < manifest->cover_count; i++) {
        covers[i] = manifest_cover_at(manifest, i);
        CHECK(manifest_covered(manifest, &covers[i].writer) == covers[i].sequence);
    }
    const struct manifest_change change = {
        .floor = manifest->floor,
        .time_ms = manifest->time_ms,
        .predecessor = manifest->predecessor,
        .covers = covers,
        .cover_count = manifest->cover_count,
        .snapshot = manifest->snapshot,
    };
    struct buffer again = BUFFER_EMPTY;
    CHECK(manifest_succeed(&again, manifest, &change) == STATUS_OK);
    CHECK(bytes_equal(buffer_bytes(&again), plain));
    buffer_release(&again);
    free(covers);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct manifest manifest = {.floor = 0};
    if (manifest_decode(&manifest, bytes_of(bytes, length)) != STATUS_OK) {
        return 0;
    }
    check_again(&manifest, bytes_of(bytes, length));
    struct plan plan = {.inputs = NULL};
    const struct plan_config config = {.run_count_max = 1, .level1_bytes = 1000};
    if (plan_make(&plan, &manifest, &config, manifest.time_ms) == STATUS_OK) {
        for (uint32_t i = 0; i < plan.input_count; i++) {
            CHECK(plan.inputs[i] < manifest.table_count);
            CHECK(i == 0 || plan.inputs[i - 1] < plan.inputs[i]);
        }
    }
    plan_release(&plan);
    manifest_release(&manifest);
    return 0;
}
