/* src/scl/reclaim_tsan.c */
#include "scl/reclaim.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"

struct reclaim {
    _Atomic uint32_t section_count;
    ck_stack_t retired;  // the writer's alone
};

struct reclaim_reader {
    struct reclaim *reclaim;
    bool is_inside;
};

enum status reclaim_new(struct reclaim **reclaim)
{
    *reclaim = calloc(1, sizeof **reclaim);
    return *reclaim == NULL ? STATUS_NO_MEMORY : STATUS_OK;
}

static void destroy_retired(struct reclaim *reclaim)
{
    ck_stack_entry_t *link = reclaim->retired.head;
    reclaim->retired.head = NULL;
    while (link != NULL) {
        ck_stack_entry_t *next = link->next;
        ck_epoch_entry_t *entry =
            (void *)((uint8_t *)link - offsetof(ck_epoch_entry_t, stack_entry));
        entry->function(entry);
        link = next;
    }
}

void reclaim_free(struct reclaim *reclaim)
{
    if (reclaim != NULL) {
        destroy_retired(reclaim);
        free(reclaim);
    }
}

enum status reclaim_reader_new(struct reclaim_reader **reader, struct reclaim *reclaim)
{
    *reader = calloc(1, sizeof **reader);
    if (*reader == NULL) {
        return STATUS_NO_MEMORY;
    }
    (*reader)->reclaim = reclaim;
    return STATUS_OK;
}

void reclaim_reader_free(struct reclaim_reader *reader)
{
    free(reader);
}

void reclaim_reader_begin(struct reclaim_reader *reader)
{
    CHECK(!reader->is_inside);
    reader->is_inside = true;
    // Acquire: after the exchange in reclaim_retire() this section sees what was unlinked before.
    atomic_fetch_add_explicit(&reader->reclaim->section_count, 1, memory_order_acquire);
}

void reclaim_reader_end(struct reclaim_reader *reader)
{
    CHECK(reader->is_inside);
    reader->is_inside = false;
    // Release: this section has looked for the last time before it is not counted any more.
    atomic_fetch_sub_explicit(&reader->reclaim->section_count, 1, memory_order_release);
}

void reclaim_retire(struct reclaim *reclaim, ck_epoch_entry_t *entry, ck_epoch_cb_t *destroy)
{
    entry->function = destroy;
    entry->stack_entry.next = reclaim->retired.head;
    reclaim->retired.head = &entry->stack_entry;

    // An exchange of nothing for nothing, so that sections before and after it stand in one order
    // with it. Acquire: those before have looked. Release: those after see what was unlinked.
    uint32_t none = 0;
    if (atomic_compare_exchange_strong_explicit(&reclaim->section_count, &none, 0,
                                                memory_order_acq_rel, memory_order_relaxed)) {
        destroy_retired(reclaim);
    }
}
