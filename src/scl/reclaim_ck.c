/* src/scl/reclaim_ck.c */
#include "scl/reclaim.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/check.h"

// Asking whether an epoch has passed looks at every reader: done this seldom it costs nothing
// that can be measured, and this many blocks wait for their end.
enum { RETIRED_PER_POLL = 64 };

struct reclaim_reader {
    ck_epoch_record_t record;
    struct reclaim_reader *next;
};

_Static_assert(offsetof(struct reclaim_reader, record) == 0, "a record recycled is its reader");

struct reclaim {
    ck_epoch_t epoch;
    ck_epoch_record_t writer;
    unsigned retired_since_poll;
    // libck keeps a pointer to every record ever registered, so readers are freed only here.
    _Atomic(struct reclaim_reader *) readers;
};

/* libck asks for whole cache lines. */
static void *allocate_lines(size_t bytes)
{
    return aligned_alloc(CK_MD_CACHELINE, bytes);
}

_Static_assert(sizeof(struct reclaim) % CK_MD_CACHELINE == 0, "aligned_alloc() wants a multiple");
_Static_assert(sizeof(struct reclaim_reader) % CK_MD_CACHELINE == 0, "the same");

enum status reclaim_new(struct reclaim **reclaim)
{
    struct reclaim *made = allocate_lines(sizeof *made);
    *reclaim = made;
    if (made == NULL) {
        return STATUS_NO_MEMORY;
    }
    made->retired_since_poll = 0;
    atomic_init(&made->readers, NULL);
    ck_epoch_init(&made->epoch);
    ck_epoch_register(&made->epoch, &made->writer, NULL);
    return STATUS_OK;
}

void reclaim_free(struct reclaim *reclaim)
{
    if (reclaim == NULL) {
        return;
    }
    ck_epoch_barrier(&reclaim->writer);
    // Relaxed: whoever frees has made sure that no other thread is left.
    struct reclaim_reader *reader = atomic_load_explicit(&reclaim->readers, memory_order_relaxed);
    while (reader != NULL) {
        struct reclaim_reader *next = reader->next;
        free(reader);
        reader = next;
    }
    free(reclaim);
}

enum status reclaim_reader_new(struct reclaim_reader **reader, struct reclaim *reclaim)
{
    *reader = (struct reclaim_reader *)ck_epoch_recycle(&reclaim->epoch, NULL);
    if (*reader != NULL) {
        return STATUS_OK;
    }
    struct reclaim_reader *made = allocate_lines(sizeof *made);
    if (made == NULL) {
        return STATUS_NO_MEMORY;
    }
    ck_epoch_register(&reclaim->epoch, &made->record, NULL);

    // Release: reclaim_free() finds `next` written. A failed exchange has reloaded it.
    made->next = atomic_load_explicit(&reclaim->readers, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&reclaim->readers, &made->next, made,
                                                  memory_order_release, memory_order_relaxed)) {}
    *reader = made;
    return STATUS_OK;
}

void reclaim_reader_free(struct reclaim_reader *reader)
{
    if (reader != NULL) {
        ck_epoch_unregister(&reader->record);
    }
}

void reclaim_reader_begin(struct reclaim_reader *reader)
{
    CHECK(reader->record.active == 0);
    ck_epoch_begin(&reader->record, NULL);
}

void reclaim_reader_end(struct reclaim_reader *reader)
{
    CHECK(reader->record.active == 1);
    ck_epoch_end(&reader->record, NULL);
}

void reclaim_retire(struct reclaim *reclaim, ck_epoch_entry_t *entry, ck_epoch_cb_t *destroy)
{
    ck_epoch_call(&reclaim->writer, entry, destroy);
    if (++reclaim->retired_since_poll == RETIRED_PER_POLL) {
        reclaim->retired_since_poll = 0;
        ck_epoch_poll(&reclaim->writer);
    }
}
