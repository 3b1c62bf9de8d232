/* src/lsm/guard.h */
#ifndef LSM_GUARD_H
#define LSM_GUARD_H

#include <stdatomic.h>
#include <stdint.h>

/*
 * guard: frees what was unlinked, once no reader can still look at it.
 *
 * Readers look between begin and end of their sections; they take no lock and write to no memory
 * that another reader touches. Everything else is called by one thread at a time (the caller holds
 * a lock): it first unlinks an item, by a sequentially consistent store, and then retires
 * it. A section that began before holds it; one that begins later cannot find it.
 *
 * Why that is so: an item retired in era e was unlinked before the era became e + 1. A section
 * that entered with an era above e loads the links after that. A section whose era was not yet to
 * be seen when guard_collect() looked entered after the look, and so after the unlinking, in the
 * one order of all sequentially consistent operations: the links must be loaded so, too.
 */
struct guard_item {
    struct guard_item *next;
    uint64_t era;
    void (*destroy)(struct guard_item *item, void *context);
    void *context;
};

enum { GUARD_CACHE_LINE_BYTES = 64 };

struct guard_reader {
    // The era in which its section began; 0: it is in none.
    _Alignas(GUARD_CACHE_LINE_BYTES) _Atomic uint64_t era;
    struct guard_reader *next;
};

/* Plain; starts with guard_init(). */
struct guard {
    _Alignas(GUARD_CACHE_LINE_BYTES) _Atomic uint64_t era;
    struct guard_reader *readers;  // borrowed
    struct guard_item *oldest;     // retired
    struct guard_item *newest;
};

void guard_init(struct guard *guard);

/* The reader is borrowed until guard_remove(), which is called outside its sections. */
void guard_add(struct guard *guard, struct guard_reader *reader);
void guard_remove(struct guard *guard, struct guard_reader *reader);

/* By the reader's own thread; sections do not nest. */
void guard_begin(struct guard *guard, struct guard_reader *reader);
void guard_end(struct guard_reader *reader);

/* `destroy` gets the item in this or a later guard_collect(). */
void guard_retire(struct guard *guard, struct guard_item *item,
                  void (*destroy)(struct guard_item *item, void *context), void *context);

/* Destroy what no section holds. What is retired meanwhile waits for the next call. */
void guard_collect(struct guard *guard);

#endif
