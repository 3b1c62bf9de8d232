/* src/host/control.h */
#ifndef HOST_CONTROL_H
#define HOST_CONTROL_H

#include <stdint.h>

#include <uv.h>

#include "base/bytes.h"
#include "base/random.h"
#include "base/status.h"
#include "capsule/writer.h"
#include "wire/frame.h"

/*
 * control: the UNIX socket for the owner's command line. Each way it carries frames, each behind
 * its length as a u32 (little endian, FRAME_BYTES_MAX at most). Each client has a random id of its
 * own while it is connected, by which enclaves answer it.
 *
 *     client to host   JOIN, CHANNEL with peer frame_to_leader
 *                      STOP      end the host
 *                      STORES    read the owner's word on the stores again, and start and end
 *                                stores by it; request 1: end the leader, too
 *     host to client   HELLO     a leader enclave has started: provision it. Peer: its id
 *                      READY     `peer`, the leader or a worker, has taken up its role
 *                      JOIN, CHANNEL   from `peer`
 *                      REFUSED   STATUS_NOT_FOUND: no leader is up to take that
 *
 * A new client first hears the HELLO and the READY of those that are there already.
 * One that does not take what it is sent, or breaks these rules, is disconnected.
 */
enum {
    CONTROL_CLIENT_COUNT_MAX = 32,
    CONTROL_QUEUE_BYTES_MAX = 64 << 20,  // that a client may leave unread
};

struct control;

struct control_events {
    void (*joined)(void *context, uint32_t client, const struct writer_id *id);
    void (*frame)(void *context, uint32_t client, struct bytes frame);
    void (*left)(void *context, uint32_t client);
    void *context;
};

/*
 * Listen on `path`, which others than this user cannot open. A socket file that is there is
 * replaced: the caller holds the directory's lock. STATUS_IO: uv_strerror(*cause) says why.
 */
MUST_CHECK enum status control_open(struct control **control, uv_loop_t *loop, const char *path,
                                    const struct random *random,
                                    const struct control_events *events, int *cause);

/* Disconnect all, and remove the socket. The loop has to run on until its handles have closed. */
void control_close(struct control *control);

/* To one that may have left, or to all. */
void control_send(struct control *control, uint32_t client, enum frame_kind kind, uint32_t request,
                  const struct writer_id *peer, struct bytes body);
void control_broadcast(struct control *control, enum frame_kind kind, const struct writer_id *peer,
                       struct bytes body);

uint64_t control_malformed_count(const struct control *control);

#endif
