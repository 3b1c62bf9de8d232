/* src/lsm/guard.c */
#include "lsm/guard.h"

#include <stdbool.h>
#include <stddef.h>

#include "base/check.h"

void guard_init(struct guard *guard)
{
    *guard = (struct guard){.readers = NULL};
    atomic_init(&guard->era, 1);
}

void guard_add(struct guard *guard, struct guard_reader *reader)
{
    atomic_init(&reader->era, 0);
    reader->next = guard->readers;
    guard->readers = reader;
}

void guard_remove(struct guard *guard, struct guard_reader *reader)
{
    struct guard_reader **link = &guard->readers;
    while (*link != reader) {
        CHECK(*link != NULL);
        link = &(*link)->next;
    }
    *link = reader->next;
}

void guard_begin(struct guard *guard, struct guard_reader *reader)
{
    // Sequentially consistent: the era is to be seen before any link is loaded (guard.h).
    atomic_store(&reader->era, atomic_load(&guard->era));
}

void guard_end(struct guard_reader *reader)
{
    // Release: every look at what was borrowed comes before.
    atomic_store_explicit(&reader->era, 0, memory_order_release);
}

void guard_retire(struct guard *guard, struct guard_item *item,
                  void (*destroy)(struct guard_item *item, void *context), void *context)
{
    item->next = NULL;
    item->destroy = destroy;
    item->context = context;
    // Sequentially consistent: after the unlinking, before any section of a later era.
    item->era = atomic_fetch_add(&guard->era, 1);
    if (guard->oldest == NULL) {
        guard->oldest = item;
    } else {
        guard->newest->next = item;
    }
    guard->newest = item;
}

/* The era of the oldest section; UINT64_MAX: there is none. */
static uint64_t oldest_section(struct guard *guard)
{
    uint64_t oldest = UINT64_MAX;
    for (struct guard_reader *reader = guard->readers; reader != NULL; reader = reader->next) {
        uint64_t era = atomic_load(&reader->era);
        if (era != 0 && era < oldest) {
            oldest = era;
        }
    }
    return oldest;
}

void guard_collect(struct guard *guard)
{
    if (guard->oldest == NULL) {
        return;
    }
    uint64_t oldest = oldest_section(guard);
    // No further: a section that began after that look may hold what is retired from now on.
    const struct guard_item *last = guard->newest;
    bool has_passed_last = false;
    while (!has_passed_last && guard->oldest->era < oldest) {
        struct guard_item *item = guard->oldest;
        has_passed_last = item == last;
        guard->oldest = item->next;
        item->destroy(item, item->context);
    }
}
