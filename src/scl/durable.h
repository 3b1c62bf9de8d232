/* src/scl/durable.h */
#ifndef SCL_DURABLE_H
#define SCL_DURABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "capsule/capsule.h"

/*
 * durable: how far each branch is held by W stores, by their receipts. A
 * receipt costs 50 us to verify, and most are overtaken before anybody asks: so a claim is
 * kept as it came, and verified when an answer waits for it.
 *
 * Whoever has a stolen key may have given stores other records with the numbers of those that are
 * here. So a claim counts when the record that it names stands here, and from then on for all
 * below it; one that names what is not here yet waits until the branch has come to it.
 */
struct durable;

/*
 * Of this GENESIS's stores and W; copied. `capsule` is what claims are compared with, borrowed
 * until durable_free(); NULL: their numbers count alone (a leader knows the ends of branches only).
 */
MUST_CHECK enum status durable_new(struct durable **durable, const struct genesis *genesis,
                                   const struct capsule *capsule);

/*
 * From now on these stores and this W count; copied. What other stores have claimed is forgotten.
 * STATUS_NO_MEMORY: nothing changed.
 */
MUST_CHECK enum status durable_use(struct durable *durable, const struct genesis *stores);
void durable_free(struct durable *durable);

/*
 * Keep what a receipt claims; copied. STATUS_MALFORMED; STATUS_DENIED: no store of this
 * capsule; STATUS_FORGED: it speaks of an unknown writer (which is verified at once) and does not
 * verify; STATUS_FULL: no room for one more branch. What precedes the branch that failed is kept.
 */
MUST_CHECK enum status durable_receive(struct durable *durable, struct bytes receipt);

/*
 * Whether W stores hold this branch up to `sequence`. Verifies what it needs. Sequence 0 is held.
 */
bool durable_covers(struct durable *durable, const struct writer_id *writer, uint64_t sequence);

/*
 * How far receipts of W stores say that they hold this branch, looked at or not: for what a lie
 * makes only useless.
 */
uint64_t durable_claimed(struct durable *durable, const struct writer_id *writer);

/*
 * Append, each behind its u32 length, receipts of W distinct stores that cover `head`, leaving out
 * those already appended to `target` since durable_collect_begin(). One that names another record
 * at its place does not cover it: a store that lies must not spoil what the others prove.
 * STATUS_GAP: there are not enough.
 */
void durable_collect_begin(struct durable *durable);
MUST_CHECK enum status durable_collect(struct durable *durable, const struct writer_id *writer,
                                       const struct head *head, struct buffer *target);

/* Receipts verified so far. */
uint64_t durable_verified_count(const struct durable *durable);

#endif
