/* src/host/route.h */
#ifndef HOST_ROUTE_H
#define HOST_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "capsule/writer.h"
#include "wire/frame.h"

/*
 * route: where a frame goes. It knows who is there (the leader, the workers, the owner's command
 * lines) by their ids, and looks at a frame's header alone. Sans-IO. Who it is that sends, the
 * host knows from the ring or the socket that the frame came by; nobody can say it is another.
 *
 *     from an enclave                    goes to
 *     RECORD, peer zero                  the store and all other workers, not the leader
 *     RECORD, peer leader                the leader
 *     RECORD, peer stores                the store
 *     RECORD, peer replicas              all other workers
 *     JOIN, CHANNEL, peer leader         the leader
 *     JOIN, CHANNEL, peer an id          that enclave or command line
 *     RTS                                all workers; from the leader only
 *     FETCH                              the store
 *     FENCE                              the store; from the leader only
 *     HELLO READY EVIDENCE LOG METRICS   the host
 *
 *     from a command line
 *     JOIN, CHANNEL, peer leader         the leader; with none: the sender hears it
 *     STOP                               the host
 *
 * Anything else is dropped. An enclave that has not said HELLO speaks to the host only.
 */
enum {
    ROUTE_LEADER = 0,
    ROUTE_WORKER_FIRST = 1,
    ROUTE_WORKER_COUNT_MAX = 65,  // and the compactor
    ROUTE_CLIENT_FIRST = ROUTE_WORKER_FIRST + ROUTE_WORKER_COUNT_MAX,
    ROUTE_CLIENT_COUNT_MAX = 32,
    ROUTE_END_COUNT = ROUTE_CLIENT_FIRST + ROUTE_CLIENT_COUNT_MAX,
};

/* Plain. All zeroes: nobody is there. Ends are numbered as above. */
struct route {
    struct writer_id ids[ROUTE_END_COUNT];  // zero: not there
};

/*
 * From now on `end` is found under `id`. STATUS_DENIED: it has an id already, or the id is
 * another's, zero or all ones.
 */
MUST_CHECK enum status route_add(struct route *route, uint32_t end, const struct writer_id *id);

/* It is gone. Harmless when it was not there. */
void route_remove(struct route *route, uint32_t end);

bool route_is_there(const struct route *route, uint32_t end);

enum route_action {
    ROUTE_DROP,
    ROUTE_TO_HOST,
    ROUTE_TO_END,      // `end`
    ROUTE_TO_WORKERS,  // all but the sender
    ROUTE_TO_STORE,
    ROUTE_TO_STORE_AND_WORKERS,
    ROUTE_TO_NO_LEADER,  // tell the sender that none is there
};

/* Where `frame`, which came from `source`, goes; `*end` is set for ROUTE_TO_END. */
enum route_action route_frame(const struct route *route, uint32_t source, const struct frame *frame,
                              uint32_t *end);

#endif
