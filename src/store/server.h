/* src/store/server.h */
#ifndef STORE_SERVER_H
#define STORE_SERVER_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "store/store.h"

/*
 * server: a store that speaks frames. Sans-IO: frames in, frames out. Nothing that a client sends
 * is believed; what one client can make it hold, read or answer is bounded.
 *
 *   RECORD   gathered until server_commit(). What has a gap is held back (SERVER_HELD_…; the oldest
 *            gives way) until its ancestors come. A gap in its own branch is answered with
 *            REFUSED, STATUS_GAP and the first sequence that is missing.
 *   FETCH    answered at once, before the group is made durable, with RECORD frames of at most
 *            SERVER_ANSWER_BYTES (or one record) and a FETCHED, all with the request's number: they
 *            say what the store has, and only receipts say what is durable. Beyond
 *            SERVER_CLIENT_BYTES_MAX per client between two server_commit(): REFUSED, STATUS_FULL.
 *   FENCE    answered with a FENCED, or REFUSED, unless it is part of a sibling's answer
 *   RECALL   answered with RECEIPT frames for all that is held, the FENCEs that are obeyed, and a
 *            RECALLED
 *   RECEIPT  of a sibling store: what this one lacks of it, it asks for (store/refill.h)
 *   FETCHED, RECALLED  end a sibling's answer
 *   others   ignored
 *
 * What is refused otherwise is answered with REFUSED: status, sequence, and why. A fork is
 * broadcast, with its proof, so that the leader learns of it whoever brought it.
 * In all these frames `peer` is the store's id.
 *
 * The caller gives it all frames that wait, then calls server_commit() once: that is the group.
 */
enum {
    SERVER_GROUP_RECORDS_MAX = 8192,     // gathered beyond this is appended before the commit
    SERVER_GROUP_BYTES_MAX = 16 << 20,   // likewise
    SERVER_HELD_RECORDS_MAX = 4096,      // kept over a commit because of a gap
    SERVER_HELD_BYTES_MAX = 16 << 20,    // likewise
    SERVER_ANSWER_BYTES = 1 << 20,       // of records in one frame
    SERVER_FETCH_BYTES_MAX = 8 << 20,    // for one FETCH, whatever it asks for
    SERVER_CLIENT_BYTES_MAX = 32 << 20,  // for one client between two commits
    SERVER_CLIENTS_MAX = 64,             // that fetch between two commits
};

struct server;

/* Who sent the frame and gets the answers: chosen by the caller. */
struct server_output {
    void (*send)(void *context, uint64_t client, struct bytes frame);  // to one
    void (*broadcast)(void *context, struct bytes frame);              // receipts: to all
    void (*ask)(void *context, struct bytes frame);  // to the sibling store that its peer names
    void (*flush)(void *context);  // let go of what was sent so far; NULL: nothing waits
    void *context;
};

MUST_CHECK enum status server_new(struct server **server, struct store *store,
                                  const struct server_output *output);
void server_free(struct server *server);  // the store stays the caller's

/*
 * STATUS_OK also for frames that were refused (the sender gets REFUSED). STATUS_IO: the store is
 * dead. STATUS_NO_MEMORY: part of the frame may have been dropped.
 */
MUST_CHECK enum status server_receive(struct server *server, uint64_t client, struct bytes frame);
/*
 * Let the answers so far go; append what was gathered, make it durable, broadcast the receipts,
 * ready the disk. Same statuses.
 */
MUST_CHECK enum status server_commit(struct server *server);

/*
 * Time passes: ask siblings for what is lacking. After each server_commit(); both again at
 * `*wake_us` at the latest. STATUS_OK, STATUS_IO.
 */
MUST_CHECK enum status server_tick(struct server *server, uint64_t now_us, uint64_t *wake_us);

#endif
