/* src/store/server.h */
#ifndef STORE_SERVER_H
#define STORE_SERVER_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "store/store.h"

/*
 * server: a store that speaks frames. Sans-IO: frames in, frames out.
 *
 *   RECORD   append; what has a gap is held back (bounded) until its ancestors come
 *   FETCH    answered with RECORD frames and a FETCHED
 *   FENCE    answered with a FENCED
 *   others   ignored
 *
 * The caller gives it all frames that wait, then calls server_commit() once: that is the group.
 */
struct server;

/* Who sent the frame and gets the answers: chosen by the caller. */
struct server_output {
    void (*send)(void *context, uint64_t client, struct bytes frame);  // to one
    void (*broadcast)(void *context, struct bytes frame);              // receipts: to all
    void *context;
};

MUST_CHECK enum status server_new(struct server **server, struct store *store,
                                  const struct server_output *output);
void server_free(struct server *server);  // the store stays the caller's

/* STATUS_OK also for frames that were refused (the sender gets REFUSED). STATUS_IO: the store is
 * dead. */
MUST_CHECK enum status server_receive(struct server *server, uint64_t client, struct bytes frame);
MUST_CHECK enum status server_commit(struct server *server);

#endif
