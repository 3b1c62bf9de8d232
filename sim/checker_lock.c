/* sim/checker_lock.c */
#include "sim/checker_lock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

static int compare(const void *a, const void *b)
{
    const struct checker_lock_hold *const *left = a, *const *right = b;
    return ((*left)->fence > (*right)->fence) - ((*left)->fence < (*right)->fence);
}

/* The holders of one counter in the order of their fences. The caller frees the array. */
static size_t sort(const struct checker_lock_hold *holds, size_t count, size_t counter,
                   const struct checker_lock_hold ***sorted)
{
    size_t kept = 0;
    *sorted = calloc(count + 1, sizeof **sorted);
    CHECK(*sorted != NULL);
    for (size_t i = 0; i < count; i++) {
        if (holds[i].counter == counter) {
            (*sorted)[kept++] = &holds[i];
        }
    }
    qsort(*sorted, kept, sizeof **sorted, compare);
    return kept;
}

static bool judge_hold(const struct checker_lock_hold *hold, bool is_named,
                       char reason[CHECKER_REASON_BYTES])
{
    if (hold->fate == CHECKER_LOCK_COUNTED && !is_named) {
        snprintf(reason, CHECKER_REASON_BYTES,
                 "P7: counter %zu was told that its increment to %" PRIu64 " under fence %" PRIx64
                 " counts, and no LOCK names it",
                 hold->counter, hold->wrote, hold->fence);
        return false;
    }
    if (hold->fate == CHECKER_LOCK_NOTHING && is_named) {
        snprintf(reason, CHECKER_REASON_BYTES,
                 "P7: counter %zu lost its increment under fence %" PRIx64
                 ", and a LOCK names it all the same",
                 hold->counter, hold->fence);
        return false;
    }
    return true;
}

static bool judge_counter(const struct checker_lock_hold *const *sorted, size_t count,
                          const struct checker_store *store, char reason[CHECKER_REASON_BYTES])
{
    uint64_t value = 0;
    for (size_t i = 0; i < count; i++) {
        const struct checker_lock_hold *hold = sorted[i];
        bool is_named = checker_store_names(store, hold->fence);
        if (i > 0 && hold->fence == sorted[i - 1]->fence) {
            snprintf(reason, CHECKER_REASON_BYTES,
                     "P7: two holders of counter %zu had the fence %" PRIx64, hold->counter,
                     hold->fence);
            return false;
        }
        if (!judge_hold(hold, is_named, reason)) {
            return false;
        }
        if (is_named && hold->seen != value) {
            snprintf(reason, CHECKER_REASON_BYTES,
                     "P7: the holder of counter %zu with fence %" PRIx64 " saw %" PRIu64
                     ", the one before had written %" PRIu64,
                     hold->counter, hold->fence, hold->seen, value);
            return false;
        }
        value = is_named ? hold->wrote : value;
    }
    return true;
}

bool checker_lock_judge(const struct checker_lock_hold *holds, size_t count, size_t counter_count,
                        const struct checker_store *store, char reason[CHECKER_REASON_BYTES])
{
    bool is_right = true;
    for (size_t counter = 0; counter < counter_count && is_right; counter++) {
        const struct checker_lock_hold **sorted;
        size_t kept = sort(holds, count, counter, &sorted);
        is_right = judge_counter(sorted, kept, store, reason);
        free(sorted);
    }
    return is_right;
}

uint64_t checker_lock_total(const struct checker_lock_hold *holds, size_t count, size_t counter,
                            const struct checker_store *store)
{
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++) {
        total += holds[i].counter == counter && checker_store_names(store, holds[i].fence);
    }
    return total;
}
