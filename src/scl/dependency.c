/* src/scl/dependency.c */
#include "scl/dependency.h"

void dependency_add(struct dependency *dependency, uint32_t member, uint64_t sequence)
{
    if (sequence == 0) {
        return;
    }
    for (uint32_t i = 0; i < dependency->count; i++) {
        if (dependency->items[i].member == member) {
            if (dependency->items[i].sequence < sequence) {
                dependency->items[i].sequence = sequence;
            }
            return;
        }
    }
    if (dependency->count == DEPENDENCY_WRITERS_MAX) {
        dependency->has_overflowed = true;
        return;
    }
    dependency->items[dependency->count].member = member;
    dependency->items[dependency->count].sequence = sequence;
    dependency->count++;
}

void dependency_add_own(struct dependency *dependency, uint64_t sequence)
{
    if (dependency->own_sequence < sequence) {
        dependency->own_sequence = sequence;
    }
}

uint64_t dependency_on(const struct dependency *dependency, uint32_t member)
{
    for (uint32_t i = 0; i < dependency->count; i++) {
        if (dependency->items[i].member == member) {
            return dependency->items[i].sequence;
        }
    }
    return 0;
}

bool dependency_is_empty(const struct dependency *dependency)
{
    return dependency->count == 0 && dependency->own_sequence == 0 && !dependency->has_overflowed;
}
