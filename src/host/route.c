/* src/host/route.c */
#include "host/route.h"

#include "base/check.h"

/* The end with this id; ROUTE_END_COUNT when there is none. */
static uint32_t find(const struct route *route, const struct writer_id *id)
{
    if (writer_id_equal(id, &frame_to_leader)) {
        return route_is_there(route, ROUTE_LEADER) ? ROUTE_LEADER : ROUTE_END_COUNT;
    }
    if (writer_id_is_zero(id)) {
        return ROUTE_END_COUNT;
    }
    for (uint32_t end = 0; end < ROUTE_END_COUNT; end++) {
        if (writer_id_equal(&route->ids[end], id)) {
            return end;
        }
    }
    return ROUTE_END_COUNT;
}

enum status route_add(struct route *route, uint32_t end, const struct writer_id *id)
{
    CHECK(end < ROUTE_END_COUNT);
    if (route_is_there(route, end) || writer_id_is_zero(id) ||
        writer_id_equal(id, &frame_to_leader) || find(route, id) != ROUTE_END_COUNT) {
        return STATUS_DENIED;
    }
    route->ids[end] = *id;
    return STATUS_OK;
}

void route_remove(struct route *route, uint32_t end)
{
    CHECK(end < ROUTE_END_COUNT);
    route->ids[end] = (struct writer_id){.bytes = {0}};
}

bool route_is_there(const struct route *route, uint32_t end)
{
    return !writer_id_is_zero(&route->ids[end]);
}

/* To whom the header says; nobody sends to itself. */
static enum route_action to_peer(const struct route *route, uint32_t source,
                                 const struct frame *frame, uint32_t *end)
{
    *end = find(route, &frame->peer);
    return *end == ROUTE_END_COUNT || *end == source ? ROUTE_DROP : ROUTE_TO_END;
}

static enum route_action from_client(const struct route *route, uint32_t source,
                                     const struct frame *frame, uint32_t *end)
{
    switch (frame->kind) {
    case FRAME_JOIN:
    case FRAME_CHANNEL:
        if (!writer_id_equal(&frame->peer, &frame_to_leader)) {
            return ROUTE_DROP;
        }
        return route_is_there(route, ROUTE_LEADER) ? to_peer(route, source, frame, end)
                                                   : ROUTE_TO_NO_LEADER;
    case FRAME_STOP:
    case FRAME_STORES:
        return ROUTE_TO_HOST;
    default:
        return ROUTE_DROP;
    }
}

static enum route_action from_known_enclave(const struct route *route, uint32_t source,
                                            const struct frame *frame, uint32_t *end)
{
    switch (frame->kind) {
    case FRAME_RECORD:
        if (writer_id_is_zero(&frame->peer)) {
            return ROUTE_TO_STORE_AND_WORKERS;
        }
        if (writer_id_equal(&frame->peer, &frame_to_stores)) {
            return ROUTE_TO_STORE;
        }
        if (writer_id_equal(&frame->peer, &frame_to_replicas)) {
            return ROUTE_TO_WORKERS;
        }
        return writer_id_equal(&frame->peer, &frame_to_leader) ? to_peer(route, source, frame, end)
                                                               : ROUTE_DROP;
    case FRAME_JOIN:
    case FRAME_CHANNEL:
        return to_peer(route, source, frame, end);
    case FRAME_RTS:
        return source == ROUTE_LEADER ? ROUTE_TO_WORKERS : ROUTE_DROP;
    case FRAME_FENCE:
    case FRAME_RECALL:
        return source == ROUTE_LEADER ? ROUTE_TO_STORE : ROUTE_DROP;
    case FRAME_FETCH:
        return ROUTE_TO_STORE;
    case FRAME_READY:
    case FRAME_METRICS:
        return ROUTE_TO_HOST;
    default:
        return ROUTE_DROP;
    }
}

enum route_action route_frame(const struct route *route, uint32_t source, const struct frame *frame,
                              uint32_t *end)
{
    CHECK(source < ROUTE_END_COUNT);
    if (source >= ROUTE_CLIENT_FIRST) {
        return from_client(route, source, frame, end);
    }
    if (frame->kind == FRAME_HELLO || frame->kind == FRAME_EVIDENCE || frame->kind == FRAME_LOG) {
        return ROUTE_TO_HOST;
    }
    return route_is_there(route, source) ? from_known_enclave(route, source, frame, end)
                                         : ROUTE_DROP;
}
