/* src/lsm/plan.c */
#include "lsm/plan.h"

#include <stdlib.h>

#include "base/check.h"

enum {
    RUN_COUNT_MAX = 4,
    LEVEL_GROWTH = 10,
};
static const uint64_t LEVEL1_BYTES = 64ull << 20;

/* The tables [first, first + count) of one level. */
struct span {
    uint32_t first;
    uint32_t count;
};

static struct span level_span(const struct manifest *manifest, uint8_t level)
{
    struct span span = {.first = 0};
    if (level < MANIFEST_LEVELS_MAX) {
        span.count = manifest_level(manifest, level, &span.first);
    }
    return span;
}

/* The first table of `span` whose last key is not below `key`: its place, or the span's end. */
static uint32_t seek_in(const struct manifest *manifest, struct span span, struct bytes key)
{
    uint32_t low = span.first, high = span.first + span.count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (bytes_compare(manifest->tables[middle].last_key, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Those of a level above 0 whose keys meet [low, high]. */
static struct span overlap(const struct manifest *manifest, uint8_t level, struct bytes low,
                           struct bytes high)
{
    struct span span = level_span(manifest, level);
    uint32_t begin = seek_in(manifest, span, low);
    uint32_t end = seek_in(manifest, span, high);
    if (end < span.first + span.count &&
        bytes_compare(manifest->tables[end].first_key, high) <= 0) {
        end++;
    }
    return (struct span){.first = begin, .count = end - begin};
}

static uint64_t span_bytes(const struct manifest *manifest, struct span span)
{
    uint64_t bytes = 0;
    for (uint32_t i = span.first; i < span.first + span.count; i++) {
        bytes += manifest->tables[i].record_bytes;
    }
    return bytes;
}

static uint32_t run_count(const struct manifest *manifest)
{
    struct span span = level_span(manifest, 0);
    uint32_t count = 0;
    for (uint32_t i = span.first; i < span.first + span.count; i++) {
        count += i == span.first || manifest->tables[i].run != manifest->tables[i - 1].run;
    }
    return count;
}

/* Whether a table that meets [low, high] lies below `level`. */
static bool has_below(const struct manifest *manifest, uint8_t level, struct bytes low,
                      struct bytes high)
{
    for (uint8_t below = (uint8_t)(level + 1); below < MANIFEST_LEVELS_MAX; below++) {
        if (overlap(manifest, below, low, high).count > 0) {
            return true;
        }
    }
    return false;
}

/* Merge the tables of `span`, which are of one level, into `target_level`. */
static enum status plan_span(struct plan *plan, const struct manifest *manifest, struct span span,
                             uint8_t target_level)
{
    const struct table *first = &manifest->tables[span.first];
    struct bytes low = first->first_key, high = first->last_key;
    for (uint32_t i = span.first; i < span.first + span.count; i++) {
        const struct table *table = &manifest->tables[i];
        low = bytes_compare(table->first_key, low) < 0 ? table->first_key : low;
        high = bytes_compare(table->last_key, high) > 0 ? table->last_key : high;
    }
    struct span under = {.count = 0};
    if (target_level != first->level) {
        under = overlap(manifest, target_level, low, high);
    }
    plan->inputs = calloc((size_t)span.count + under.count, sizeof *plan->inputs);
    if (plan->inputs == NULL) {
        return STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < span.count; i++) {
        plan->inputs[plan->input_count++] = span.first + i;
    }
    for (uint32_t i = 0; i < under.count; i++) {
        plan->inputs[plan->input_count++] = under.first + i;
    }
    plan->target_level = target_level;
    plan->drops_deletes = !has_below(manifest, target_level, low, high);
    return STATUS_OK;
}

static enum status plan_table(struct plan *plan, const struct manifest *manifest, uint32_t place,
                              uint64_t now_ms)
{
    const struct table *table = &manifest->tables[place];
    struct span span = {.first = place, .count = 1};
    enum status status = plan_span(plan, manifest, span, (uint8_t)(table->level + 1));
    if (status == STATUS_OK) {
        bool is_stale = table->stale_ms != 0 && table->stale_ms <= now_ms;
        bool has_garbage = plan->drops_deletes && (table->delete_count > 0 || is_stale);
        plan->is_move = plan->input_count == 1 && !has_garbage;
    }
    return status;
}

/* The table of the level under which, for its size, the least would be rewritten. */
static uint32_t cheapest(const struct manifest *manifest, struct span span)
{
    uint32_t best = span.first;
    double best_cost = 0;
    for (uint32_t i = span.first; i < span.first + span.count; i++) {
        const struct table *table = &manifest->tables[i];
        struct span under =
            overlap(manifest, (uint8_t)(table->level + 1), table->first_key, table->last_key);
        double cost = (double)span_bytes(manifest, under) / (double)table->record_bytes;
        if (i == span.first || cost < best_cost) {
            best = i;
            best_cost = cost;
        }
    }
    return best;
}

/* Half of a table's entries are expired: rewrite it, one level down or, at the bottom, in place. */
static enum status plan_stale(struct plan *plan, const struct manifest *manifest, uint64_t now_ms)
{
    for (uint32_t i = 0; i < manifest->table_count; i++) {
        const struct table *table = &manifest->tables[i];
        if (table->level == 0 || table->stale_ms == 0 || table->stale_ms > now_ms) {
            continue;
        }
        if (has_below(manifest, table->level, table->first_key, table->last_key)) {
            return plan_table(plan, manifest, i, now_ms);
        }
        return plan_span(plan, manifest, (struct span){.first = i, .count = 1}, table->level);
    }
    return STATUS_EMPTY;
}

/* The deepest level above 0 that holds a table; 0: none does. */
static uint8_t last_level(const struct manifest *manifest)
{
    return manifest->table_count == 0 ? 0 : manifest->tables[manifest->table_count - 1].level;
}

/*
 * How much each level may hold: ten times what the one above may; but above the last level no more
 * than a tenth, a hundredth… of what the last one does hold, so that what is superseded takes
 * little. Level 1 may hold level1_bytes in any case.
 */
static void level_bounds(const struct manifest *manifest, uint64_t level1_bytes,
                         uint64_t bounds[MANIFEST_LEVELS_MAX])
{
    bounds[0] = UINT64_MAX;
    bounds[1] = level1_bytes;
    for (uint8_t level = 2; level < MANIFEST_LEVELS_MAX; level++) {
        bounds[level] = bounds[level - 1] * LEVEL_GROWTH;
    }
    uint8_t last = last_level(manifest);
    uint64_t share = span_bytes(manifest, level_span(manifest, last));
    for (uint8_t level = last; level > 1; level--) {
        share /= LEVEL_GROWTH;
        uint64_t bound = share > level1_bytes ? share : level1_bytes;
        bounds[level - 1] = bound < bounds[level - 1] ? bound : bounds[level - 1];
    }
    // It takes all that comes.
    bounds[MANIFEST_LEVELS_MAX - 1] = UINT64_MAX;
}

enum status plan_make(struct plan *plan, const struct manifest *manifest,
                      const struct plan_config *config, uint64_t now_ms)
{
    *plan = (struct plan){.inputs = NULL};
    uint32_t run_count_max = config->run_count_max != 0 ? config->run_count_max : RUN_COUNT_MAX;
    if (run_count(manifest) > run_count_max) {
        return plan_span(plan, manifest, level_span(manifest, 0), 1);
    }
    uint64_t bounds[MANIFEST_LEVELS_MAX];
    level_bounds(manifest, config->level1_bytes != 0 ? config->level1_bytes : LEVEL1_BYTES, bounds);
    for (uint8_t level = 1; level < MANIFEST_LEVELS_MAX; level++) {
        struct span span = level_span(manifest, level);
        if (span_bytes(manifest, span) > bounds[level]) {
            return plan_table(plan, manifest, cheapest(manifest, span), now_ms);
        }
    }
    return plan_stale(plan, manifest, now_ms);
}

void plan_release(struct plan *plan)
{
    free(plan->inputs);
    *plan = (struct plan){.inputs = NULL};
}
