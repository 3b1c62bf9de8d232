/* src/capsule/branch.c */
#include "capsule/branch_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { CAPACITY_MIN = 16 };

void branch_release(struct branch *branch)
{
    free(branch->recent);
    free(branch->expected);
    free(branch->pruned);
    *branch = (struct branch){.recent = NULL};
}

/* Room for one more element in an array that holds `count`; at most `count_max` of them. */
static enum status reserve_one(void **array, size_t *capacity, size_t count, size_t count_max,
                               size_t element_bytes)
{
    if (count < *capacity) {
        return STATUS_OK;
    }
    if (count >= count_max) {
        return STATUS_FULL;
    }
    size_t grown = *capacity == 0 ? CAPACITY_MIN : 2 * *capacity;
    void *moved = realloc(*array, grown * element_bytes);
    if (moved == NULL) {
        return STATUS_NO_MEMORY;
    }
    *array = moved;
    *capacity = grown;
    return STATUS_OK;
}

enum status branch_reserve(struct branch *branch)
{
    void *array = branch->recent;
    enum status status = reserve_one(&array, &branch->recent_capacity, branch->recent_count,
                                     BRANCH_RECENT_MAX, sizeof *branch->recent);
    branch->recent = array;
    return status;
}

enum status branch_reserve_expectation(struct branch *branch)
{
    size_t end = branch->expected_start + branch->expected_count;
    if (end < branch->expected_capacity) {
        return STATUS_OK;
    }
    if (branch->expected_start > 0) {
        memmove(branch->expected, branch->expected + branch->expected_start,
                branch->expected_count * sizeof *branch->expected);
        branch->expected_start = 0;
    }
    void *array = branch->expected;
    enum status status = reserve_one(&array, &branch->expected_capacity, branch->expected_count,
                                     BRANCH_EXPECTED_MAX, sizeof *branch->expected);
    branch->expected = array;
    return status;
}

bool branch_hash_at(const struct branch *branch, uint64_t sequence, struct hash *hash)
{
    if (sequence == branch->member.head.sequence) {
        *hash = branch->member.head.hash;
        return true;
    }
    if (sequence == branch->covered.sequence) {
        *hash = branch->covered.hash;
        return true;
    }
    if (sequence >= branch->recent_first &&
        sequence - branch->recent_first < branch->recent_count) {
        *hash = branch->recent[sequence - branch->recent_first].hash;
        return true;
    }
    return false;
}

const struct branch_expectation *branch_expectation(const struct branch *branch)
{
    return branch->expected_count == 0 ? NULL : branch->expected + branch->expected_start;
}

/* What lies at or below `sequence` is what was named: it needs no comparing any more. */
static void drop_recent(struct branch *branch, uint64_t sequence)
{
    if (branch->recent_count == 0 || sequence < branch->recent_first) {
        return;
    }
    size_t dropped = branch->recent_count;
    if (sequence - branch->recent_first < branch->recent_count) {
        dropped = (size_t)(sequence - branch->recent_first) + 1;
    }
    branch->recent_count -= dropped;
    branch->recent_first += dropped;
    memmove(branch->recent, branch->recent + dropped,
            branch->recent_count * sizeof *branch->recent);
}

void branch_meet(struct branch *branch)
{
    CHECK(branch->expected_count > 0);
    drop_recent(branch, branch_expectation(branch)->head.sequence);
    branch->expected_start++;
    branch->expected_count--;
}

void branch_grow(struct branch *branch, const struct head *head)
{
    CHECK(head->sequence > branch->member.head.sequence);
    bool is_next = head->sequence == branch->member.head.sequence + 1;
    branch->has_leapt = branch->has_leapt || !is_next;
    branch->member.head = *head;
    if (head->sequence == branch->covered.sequence) {
        branch->covered_joined_epoch = branch->member.joined_epoch;
        branch->recent_count = 0;
        return;
    }
    // After a leap, what lies between is not known.
    if (!is_next || branch->recent_count == 0) {
        branch->recent_count = 0;
        branch->recent_first = head->sequence;
    }
    CHECK(branch->recent_count < branch->recent_capacity);
    branch->recent[branch->recent_count] =
        (struct branch_recent){.hash = head->hash, .joined_epoch = branch->member.joined_epoch};
    branch->recent_count++;
}

/* What the branch had joined at a sequence above `covered`, as far as it is known here. */
static uint64_t joined_epoch_at(const struct branch *branch, uint64_t sequence)
{
    if (sequence == branch->member.head.sequence) {
        return branch->member.joined_epoch;
    }
    if (sequence >= branch->recent_first &&
        sequence - branch->recent_first < branch->recent_count) {
        return branch->recent[sequence - branch->recent_first].joined_epoch;
    }
    return BRANCH_JOINED_UNKNOWN;
}

void branch_cover(struct branch *branch, const struct head *head)
{
    CHECK(head->sequence >= branch->covered.sequence);
    if (head->sequence > branch->covered.sequence) {
        branch->covered_joined_epoch = joined_epoch_at(branch, head->sequence);
    }
    branch->covered = *head;
    if (head->sequence <= branch->member.head.sequence) {
        drop_recent(branch, head->sequence);
    }
}

void branch_expect(struct branch *branch, const struct head *head, uint32_t sync)
{
    CHECK(branch->expected_start + branch->expected_count < branch->expected_capacity);
    branch->expected[branch->expected_start + branch->expected_count] =
        (struct branch_expectation){.head = *head, .sync = sync};
    branch->expected_count++;
}

enum status branch_reserve_pruned(struct branch *branch, size_t count)
{
    if (count > BRANCH_PRUNED_MAX - branch->pruned_count) {
        return STATUS_FULL;
    }
    size_t needed = branch->pruned_count + count;
    if (needed <= branch->pruned_capacity) {
        return STATUS_OK;
    }
    size_t capacity = needed < CAPACITY_MIN ? CAPACITY_MIN : 2 * needed;
    struct branch_range *grown = realloc(branch->pruned, capacity * sizeof *grown);
    if (grown == NULL) {
        return STATUS_NO_MEMORY;
    }
    branch->pruned = grown;
    branch->pruned_capacity = capacity;
    return STATUS_OK;
}

/* The first range that ends at or above `sequence`. */
static size_t pruned_find(const struct branch *branch, uint64_t sequence)
{
    size_t low = 0, high = branch->pruned_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (branch->pruned[middle].to < sequence) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void branch_prune(struct branch *branch, struct branch_range range)
{
    CHECK(0 < range.from && range.from <= range.to);
    // Those that it touches become one with it.
    size_t first = pruned_find(branch, range.from - 1), last = first;
    while (last < branch->pruned_count && branch->pruned[last].from - 1 <= range.to) {
        range.from =
            range.from < branch->pruned[last].from ? range.from : branch->pruned[last].from;
        range.to = range.to > branch->pruned[last].to ? range.to : branch->pruned[last].to;
        last++;
    }
    CHECK(last > first || branch->pruned_count < branch->pruned_capacity);
    memmove(branch->pruned + first + 1, branch->pruned + last,
            (branch->pruned_count - last) * sizeof *branch->pruned);
    branch->pruned[first] = range;
    branch->pruned_count = branch->pruned_count - (last - first) + 1;
}

bool branch_is_pruned(const struct branch *branch, uint64_t sequence)
{
    size_t place = pruned_find(branch, sequence);
    return place < branch->pruned_count && branch->pruned[place].from <= sequence;
}

uint64_t branch_pruned_end(const struct branch *branch, uint64_t sequence)
{
    CHECK(sequence > 0);
    size_t place = pruned_find(branch, sequence);
    bool is_pruned = place < branch->pruned_count && branch->pruned[place].from <= sequence;
    return is_pruned ? branch->pruned[place].to : sequence - 1;
}
