/* src/store/refill.h */
#ifndef STORE_REFILL_H
#define STORE_REFILL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "capsule/receipt.h"
#include "store/store.h"

/*
 * refill: how a store gets from its siblings what it lacks: because it was down, stopped or slow
 * when it was written, or has lost its disk. It hears what they hold (their receipts, and what they
 * say when asked again), and what SYNC and CLOSE records name, and fetches it, one FETCH after the
 * other. Nothing it is told is believed: what comes is verified as any record is. What leads to a
 * named head and does not follow what is here makes the store leave its own out. An answer to a
 * RECALL counts when the sibling has signed for all of it, and for the nonce of the question.
 *
 * A store that has lost its disk is whole again when all that its siblings named is here, and each
 * branch has gone beyond all that the lost one can have signed for (docs/design/0038).
 *
 * Sans-IO: what it hears and the time go in, frames for one sibling come out.
 */
struct refill;

enum {
    REFILL_WISHES_MAX = 65536,                // branches; more are noted when they are said again
    REFILL_FETCH_BYTES = 4 << 20,             // of one answer
    REFILL_PROBE_BYTES = 64 << 10,            // where the last answer led to nothing
    REFILL_TRAIL_RECORDS = 64,                // of its own that a store compares with what came
    REFILL_SHOWN_BYTES = 2 << 20,             // of hashes of what follows that
    REFILL_PATIENCE_US = 100 * 1000,          // what a sibling has may be under way to us
    REFILL_ANSWER_US = 2000 * 1000,           // until an unanswered question is asked again
    REFILL_DELAY_US_MAX = 4 * 1000 * 1000,    // between two questions that lead to nothing
    REFILL_RECALL_US_MAX = 64 * 1000 * 1000,  // between two RECALLs while records wait
    REFILL_EPOCH_US = 500 * 1000,             // between two words that epochs are awaited
};

/* `frame` goes to the sibling that its peer names, or to everyone; borrowed for the call. */
struct refill_output {
    void (*ask)(void *context, struct bytes frame);
    void (*tell)(void *context, struct bytes frame);
    void *context;
};

/* `store` is borrowed until refill_free(). */
MUST_CHECK enum status refill_new(struct refill **refill, struct store *store,
                                  const struct refill_output *output);
void refill_free(struct refill *refill);

/* A receipt of a sibling: live, or (`request`) an answer. STATUS_MALFORMED, STATUS_NO_MEMORY. */
MUST_CHECK enum status refill_receive_receipt(struct refill *refill, struct bytes receipt,
                                              uint32_t request, uint64_t now_us);

/* A FENCE in an answer. STATUS_NOT_FOUND: none is awaited; STATUS_IO: the store is dead. */
MUST_CHECK enum status refill_receive_fence(struct refill *refill, struct bytes fence,
                                            uint32_t request);

/* A record in an answer to a FETCH; the store is given it as any other. */
void refill_receive_record(struct refill *refill, const struct record *record, uint32_t request);

/* The end of an answer: the body of a RECALLED; or, after a FETCH, a FETCHED or REFUSED. */
void refill_end_recall(struct refill *refill, struct bytes recalled, uint32_t request);
void refill_end_fetch(struct refill *refill, uint32_t request);

/*
 * Time passes, or records came: ask for the next. `do_records_wait`: some came whose ancestors are
 * missing. `*wake_us` receives when to call again at the latest. STATUS_IO: the store is dead.
 */
MUST_CHECK enum status refill_tick(struct refill *refill, bool do_records_wait, uint64_t now_us,
                                   uint64_t *wake_us);

#endif
