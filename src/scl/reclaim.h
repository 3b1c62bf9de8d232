/* src/scl/reclaim.h */
#ifndef SCL_RECLAIM_H
#define SCL_RECLAIM_H

#include <ck_epoch.h>

#include "base/status.h"

/*
 * reclaim: frees what one writer has unlinked, once no reader can still look at it.
 *
 * Readers look only between begin and end, and take no lock there. The writer
 * (one thread at a time) first unlinks a block, then retires it: a section
 * that began before holds it, one that begins later cannot find it. A section
 * that never ends holds everything retired since.
 *
 * Two variants: reclaim_ck.c, and reclaim_tsan.c for ThreadSanitizer, which
 * does not see the atomics that libck writes in assembly.
 */
struct reclaim;

MUST_CHECK enum status reclaim_new(struct reclaim **reclaim);
/* No reader is inside a section. Destroys what is retired; its readers die with it. */
void reclaim_free(struct reclaim *reclaim);

/* One per reading thread; made and freed by any thread, outside a section. */
struct reclaim_reader;
MUST_CHECK enum status reclaim_reader_new(struct reclaim_reader **reader, struct reclaim *reclaim);
void reclaim_reader_free(struct reclaim_reader *reader);

/* Sections do not nest. */
void reclaim_reader_begin(struct reclaim_reader *reader);
void reclaim_reader_end(struct reclaim_reader *reader);

/*
 * Give the block that `entry` is part of to `destroy`, in the writer's thread,
 * in this call or a later one. Cannot fail: every block brings its own entry.
 */
void reclaim_retire(struct reclaim *reclaim, ck_epoch_entry_t *entry, ck_epoch_cb_t *destroy);

#endif
