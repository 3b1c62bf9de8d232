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
