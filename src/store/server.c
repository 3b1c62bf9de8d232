/* src/store/server.c */
#include "store/server.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "store/refill.h"
#include "store/store_internal.h"
#include "wire/frame.h"

/* A record that came and is not in the store yet. */
struct arrival {
    uint64_t client;
    uint64_t number;  // counts arrivals: the oldest gives way
    bool is_held;     // waited through an earlier round: its sender knows
    struct record record;
    uint8_t bytes[];
};

/* What a client has fetched since the last commit. */
struct budget {
    uint64_t client;
    uint64_t bytes;
};

struct server {
    struct store *store;
    struct server_output output;
    struct arrival **arrivals;
    size_t arrival_count;
    size_t arrival_capacity;
    size_t arrival_bytes;
    uint64_t arrivals_ever;
    bool has_new;
    struct refill *refill;
    uint64_t now_us;  // of the last server_tick()
    struct budget budgets[SERVER_CLIENTS_MAX];
    size_t budget_count;
    struct buffer body;  // of the answer being made
    struct buffer frame;
};

enum status server_new(struct server **made, struct store *store,
                       const struct server_output *output)
{
    struct server *server = calloc(1, sizeof *server);
    *made = server;
    if (server == NULL) {
        return STATUS_NO_MEMORY;
    }
    server->store = store;
    server->output = *output;
    const struct refill_output questions = {
        .ask = output->ask, .tell = output->broadcast, .context = output->context};
    enum status status = refill_new(&server->refill, store, &questions);
    if (status != STATUS_OK) {
        server_free(server);
        *made = NULL;
    }
    return status;
}

static void arrival_drop(struct server *server, size_t index)
{
    struct arrival *arrival = server->arrivals[index];
    server->arrival_bytes -= arrival->record.whole.length;
    free(arrival);
    server->arrivals[index] = NULL;
}

void server_free(struct server *server)
{
    if (server == NULL) {
        return;
    }
    for (size_t i = 0; i < server->arrival_count; i++) {
        free(server->arrivals[i]);
    }
    free(server->arrivals);
    refill_free(server->refill);
    buffer_release(&server->body);
    buffer_release(&server->frame);
    free(server);
}

// ---- answers ----

/* server->body as a frame. Too large or no memory: it is lost, as any frame may be. */
static bool encode_answer(struct server *server, enum frame_kind kind, uint32_t request)
{
    buffer_clear(&server->frame);
    return server->body.length <= FRAME_BYTES_MAX - FRAME_HEADER_BYTES &&
           frame_encode(&server->frame, kind, request, store_id(server->store),
                        buffer_bytes(&server->body)) == STATUS_OK;
}

static void answer(struct server *server, uint64_t client, enum frame_kind kind, uint32_t request)
{
    if (encode_answer(server, kind, request)) {
        server->output.send(server->output.context, client, buffer_bytes(&server->frame));
    }
}

/* About a record of this writer; NULL: about none. */
static void refuse(struct server *server, uint64_t client, uint32_t request, enum status status,
                   const struct writer_id *writer, uint64_t sequence, const char *text)
{
    struct frame_refused refused = {
        .status = (uint32_t)status,
        .sequence = sequence,
        .text = bytes_text(text),
    };
    if (writer != NULL) {
        refused.writer = *writer;
    }
    buffer_clear(&server->body);
    if (frame_refused_encode(&server->body, &refused) == STATUS_OK) {
        answer(server, client, FRAME_REFUSED, request);
    }
}

static void report_fork(struct server *server, uint64_t sequence, const struct buffer *proof)
{
    struct frame_refused refused = {
        .status = STATUS_FORKED,
        .sequence = sequence,
        .text = buffer_bytes(proof),
    };
    // Two records of the greatest size do not fit into a frame: then the fact alone is told.
    if (proof->length > FRAME_BYTES_MAX / 2) {
        refused.text = bytes_of(NULL, 0);
    }
    buffer_clear(&server->body);
    if (frame_refused_encode(&server->body, &refused) == STATUS_OK &&
        encode_answer(server, FRAME_REFUSED, 0)) {
        server->output.broadcast(server->output.context, buffer_bytes(&server->frame));
    }
}

// ---- records ----

/* Of two copies the one with its body comes first: the other may have to wait for a PRUNE. */
static int compare_arrivals(const void *left, const void *right)
{
    const struct arrival *a = *(struct arrival *const *)left;
    const struct arrival *b = *(struct arrival *const *)right;
    int order = writer_id_compare(&a->record.writer, &b->record.writer);
    if (order == 0) {
        order =
            (a->record.sequence > b->record.sequence) - (a->record.sequence < b->record.sequence);
    }
    if (order == 0) {
        order = a->record.is_pruned - b->record.is_pruned;
    }
    return order != 0 ? order : (a->number > b->number) - (a->number < b->number);
}

static uint64_t head_sequence(const struct server *server, const struct writer_id *writer)
{
    const struct capsule_member *member = capsule_member_find(store_capsule(server->store), writer);
    return member == NULL ? 0 : member->head.sequence;
}

/* Tell the sender, or everyone, why a record was not taken. */
static void refuse_arrival(struct server *server, const struct arrival *arrival, enum status status,
                           const struct buffer *proof)
{
    uint64_t sequence = arrival->record.sequence;
    // A record above the head was judged by the capsule, which knows why.
    bool has_reason = sequence > head_sequence(server, &arrival->record.writer) &&
                      status != STATUS_NO_SPACE && status != STATUS_NO_MEMORY;
    if (status == STATUS_FORKED) {
        report_fork(server, sequence, proof);
    } else if (status != STATUS_STALE) {
        refuse(server, arrival->client, 0, status, &arrival->record.writer, sequence,
               has_reason ? capsule_reason(store_capsule(server->store)) : status_text(status));
    }
}

/*
 * Give the store what it can take of one writer's arrivals, which lie in order. What waits for an
 * ancestor stays; all else is dropped. STATUS_IO: the store is dead.
 */
static enum status append_branch(struct server *server, size_t start, size_t end, bool *has_grown)
{
    struct buffer proof = BUFFER_EMPTY;
    enum status status = STATUS_OK;
    for (size_t i = start; i < end; i++) {
        const struct arrival *arrival = server->arrivals[i];
        if (arrival->record.sequence > head_sequence(server, &arrival->record.writer) + 1 &&
            arrival->record.type != RECORD_TERM) {
            break;
        }
        buffer_clear(&proof);
        status = store_append(server->store, &arrival->record, &proof);
        if (status == STATUS_IO) {
            break;
        }
        if (status == STATUS_GAP) {
            continue;  // another one in its place may be the one that counts
        }
        if (status == STATUS_OK) {
            *has_grown = true;
        } else {
            refuse_arrival(server, arrival, status, &proof);
        }
        arrival_drop(server, i);
    }
    buffer_release(&proof);
    return status == STATUS_IO ? STATUS_IO : STATUS_OK;
}

/* Close the holes that dropping left. */
static void compact(struct server *server)
{
    size_t kept = 0;
    for (size_t i = 0; i < server->arrival_count; i++) {
        if (server->arrivals[i] != NULL) {
            server->arrivals[kept++] = server->arrivals[i];
        }
    }
    server->arrival_count = kept;
}

static size_t branch_end(const struct server *server, size_t start)
{
    size_t end = start + 1;
    while (end < server->arrival_count &&
           writer_id_equal(&server->arrivals[end]->record.writer,
                           &server->arrivals[start]->record.writer)) {
        end++;
    }
    return end;
}

/* Those that stay: copies of what is held already go, and each sender hears once of a gap. */
static void hold_back(struct server *server)
{
    for (size_t start = 0; start < server->arrival_count;) {
        size_t end = branch_end(server, start);
        const struct writer_id writer = server->arrivals[start]->record.writer;
        uint64_t missing = head_sequence(server, &writer) + 1;
        bool was_told = server->arrivals[start]->record.sequence == missing;
        const struct arrival *before = NULL;
        for (size_t i = start; i < end; i++) {
            struct arrival *arrival = server->arrivals[i];
            if (before != NULL && before->record.sequence == arrival->record.sequence &&
                hash_equal(&before->record.hash, &arrival->record.hash)) {
                arrival_drop(server, i);
                continue;
            }
            if (!arrival->is_held && !was_told) {
                refuse(server, arrival->client, 0, STATUS_GAP, &arrival->record.writer, missing,
                       status_text(STATUS_GAP));
                was_told = true;
            }
            arrival->is_held = true;
            before = arrival;
        }
        start = end;
    }
    compact(server);
}

static int compare_age(const void *left, const void *right)
{
    const struct arrival *a = *(struct arrival *const *)left;
    const struct arrival *b = *(struct arrival *const *)right;
    return (a->number > b->number) - (a->number < b->number);
}

static bool is_too_much(const struct server *server, size_t held_count)
{
    return held_count > SERVER_HELD_RECORDS_MAX || server->arrival_bytes > SERVER_HELD_BYTES_MAX;
}

/* The oldest give way. Those that stay have lost their order; the next round sorts anyway. */
static void drop_oldest(struct server *server)
{
    if (!is_too_much(server, server->arrival_count)) {
        return;
    }
    qsort(server->arrivals, server->arrival_count, sizeof(struct arrival *), compare_age);
    for (size_t i = 0; is_too_much(server, server->arrival_count - i); i++) {
        arrival_drop(server, i);
    }
    compact(server);
}

/* Append all that can be, in whatever order its ancestry asks for; hold the rest. */
static enum status append_arrivals(struct server *server)
{
    if (!server->has_new || server->arrival_count == 0) {
        return STATUS_OK;
    }
    server->has_new = false;
    qsort(server->arrivals, server->arrival_count, sizeof(struct arrival *), compare_arrivals);
    bool has_grown = true;
    while (has_grown) {
        has_grown = false;
        for (size_t start = 0; start < server->arrival_count;) {
            size_t end = branch_end(server, start);
            enum status status = append_branch(server, start, end, &has_grown);
            if (status != STATUS_OK) {
                compact(server);
                return status;
            }
            start = end;
        }
        compact(server);
    }
    hold_back(server);
    drop_oldest(server);
    return STATUS_OK;
}

static enum status arrival_add(struct server *server, uint64_t client, uint32_t request,
                               struct bytes bytes)
{
    if (server->arrival_count == server->arrival_capacity) {
        size_t capacity = server->arrival_capacity == 0 ? 64 : 2 * server->arrival_capacity;
        struct arrival **arrivals =
            reallocarray(server->arrivals, capacity, sizeof(struct arrival *));
        if (arrivals == NULL) {
            return STATUS_NO_MEMORY;
        }
        server->arrivals = arrivals;
        server->arrival_capacity = capacity;
    }
    struct arrival *arrival = malloc(sizeof *arrival + bytes.length);
    if (arrival == NULL) {
        return STATUS_NO_MEMORY;
    }
    // One copy: the caller's frame may be gone before the commit.
    memcpy(arrival->bytes, bytes.at, bytes.length);
    enum status status = record_decode_stored(&arrival->record, arrival->bytes, bytes.length);
    if (status != STATUS_OK) {
        free(arrival);
        refuse(server, client, 0, status, NULL, 0, "not a record");
        return STATUS_OK;
    }
    refill_receive_record(server->refill, &arrival->record, request);
    arrival->client = client;
    arrival->number = server->arrivals_ever++;
    arrival->is_held = false;
    server->arrivals[server->arrival_count++] = arrival;
    server->arrival_bytes += bytes.length;
    server->has_new = true;
    return STATUS_OK;
}

static bool is_group_full(const struct server *server)
{
    return server->arrival_count >= SERVER_GROUP_RECORDS_MAX + SERVER_HELD_RECORDS_MAX ||
           server->arrival_bytes >= SERVER_GROUP_BYTES_MAX + SERVER_HELD_BYTES_MAX;
}

static enum status receive_records(struct server *server, uint64_t client, uint32_t request,
                                   struct bytes body)
{
    while (body.length > 0) {
        size_t length = record_length(body.at, body.length);
        if (length == 0 || length > body.length) {
            refuse(server, client, 0, STATUS_MALFORMED, NULL, 0, "not a record");
            return STATUS_OK;
        }
        enum status status = arrival_add(server, client, request, bytes_of(body.at, length));
        if (status == STATUS_OK && is_group_full(server)) {
            status = append_arrivals(server);
        }
        if (status != STATUS_OK) {
            return status;
        }
        body = bytes_of(body.at + length, body.length - length);
    }
    return STATUS_OK;
}

// ---- FETCH ----

/* NULL: too many clients fetch at once. */
static struct budget *budget_of(struct server *server, uint64_t client)
{
    for (size_t i = 0; i < server->budget_count; i++) {
        if (server->budgets[i].client == client) {
            return &server->budgets[i];
        }
    }
    if (server->budget_count == SERVER_CLIENTS_MAX) {
        return NULL;
    }
    struct budget *budget = &server->budgets[server->budget_count++];
    *budget = (struct budget){.client = client};
    return budget;
}

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void receive_fetch(struct server *server, uint64_t client, const struct frame *frame)
{
    struct frame_fetch fetch;
    if (frame_fetch_decode(&fetch, frame->body) != STATUS_OK) {
        return;
    }
    struct budget *budget = budget_of(server, client);
    if (budget == NULL || budget->bytes >= SERVER_CLIENT_BYTES_MAX) {
        refuse(server, client, frame->request, STATUS_FULL, NULL, fetch.from,
               "too much was fetched");
        return;
    }
    uint64_t left = lesser(lesser(fetch.max_bytes, SERVER_FETCH_BYTES_MAX),
                           SERVER_CLIENT_BYTES_MAX - budget->bytes);
    struct frame_fetched fetched = {.writer = fetch.writer, .next = fetch.from};
    bool is_done = false;
    for (bool is_first = true; !is_done; is_first = false) {
        fetch.from = fetched.next;
        fetch.max_bytes = (uint32_t)lesser(left, SERVER_ANSWER_BYTES);
        buffer_clear(&server->body);
        enum status status = store_read(server->store, &fetch, &server->body, &fetched);
        if (status != STATUS_OK) {
            refuse(server, client, frame->request, status, NULL, fetch.from, status_text(status));
            return;
        }
        if (server->body.length == 0 || (!is_first && server->body.length > left)) {
            // Nothing asked for is here, or the next record is more than may be sent.
            fetched.is_end = fetched.is_end && server->body.length == 0;
            fetched.next = fetch.from;
            break;
        }
        budget->bytes += server->body.length;
        left -= lesser(left, server->body.length);
        answer(server, client, FRAME_RECORD, frame->request);
        is_done = fetched.is_end || fetched.next > fetch.to || left == 0;
    }
    buffer_clear(&server->body);
    if (frame_fetched_encode(&server->body, &fetched) == STATUS_OK) {
        answer(server, client, FRAME_FETCHED, frame->request);
    }
}

// ---- RECALL ----

static enum status recall_fences(struct server *server, uint64_t client, uint32_t request,
                                 struct budget *budget, struct hash *digest)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; status == STATUS_OK; i++) {
        struct bytes fence = store_fence_at(server->store, i);
        if (fence.length == 0) {
            break;
        }
        buffer_clear(&server->body);
        status = buffer_append(&server->body, fence.at, fence.length);
        if (status == STATUS_OK) {
            budget->bytes += fence.length;
            frame_recalled_digest(digest, fence);
            answer(server, client, FRAME_FENCE, request);
        }
    }
    return status;
}

/* The budget of a FETCH holds here, too: what is held may be much to say. */
static enum status receive_recall(struct server *server, uint64_t client, const struct frame *frame)
{
    struct budget *budget = budget_of(server, client);
    if (budget == NULL || budget->bytes >= SERVER_CLIENT_BYTES_MAX) {
        refuse(server, client, frame->request, STATUS_FULL, NULL, 0, "too much was fetched");
        return STATUS_OK;
    }
    struct frame_recalled recalled = {.is_refilling = store_is_refilling(server->store)};
    if (frame->body.length != sizeof recalled.nonce) {
        return STATUS_OK;
    }
    memcpy(recalled.nonce, frame->body.at, sizeof recalled.nonce);
    enum status status = append_arrivals(server);
    size_t index = 0;
    while (status == STATUS_OK) {
        buffer_clear(&server->body);
        status = store_recall(server->store, &index, &server->body);
        if (status == STATUS_OK) {
            budget->bytes += server->body.length;
            frame_recalled_digest(&recalled.digest, buffer_bytes(&server->body));
            answer(server, client, FRAME_RECEIPT, frame->request);
        }
    }
    if (status == STATUS_EMPTY) {
        status = recall_fences(server, client, frame->request, budget, &recalled.digest);
    }
    buffer_clear(&server->body);
    if (status == STATUS_OK) {
        status = frame_recalled_encode(&server->body, capsule_name(store_capsule(server->store)),
                                       &recalled, store_key(server->store));
    }
    if (status == STATUS_OK) {
        answer(server, client, FRAME_RECALLED, frame->request);
    }
    return status;
}

// ---- FENCE ----

static enum status receive_fence(struct server *server, uint64_t client, const struct frame *frame)
{
    struct frame_fence ask;
    enum status status = refill_receive_fence(server->refill, frame->body, frame->request);
    if (status != STATUS_NOT_FOUND) {
        return status;
    }
    if (frame_fence_decode(&ask, frame->body) != STATUS_OK) {
        return STATUS_OK;
    }
    // Up to a cut that is proposed, what waits here can be taken now.
    if (ask.cut.sequence > 0) {
        status = store_adopt_fence(server->store, &ask);
        server->has_new = true;
    }
    // What came before the FENCE belongs to what it speaks of.
    if (status != STATUS_IO) {
        status = append_arrivals(server);
    }
    if (status != STATUS_OK) {
        return status;
    }
    buffer_clear(&server->body);
    status = store_fence(server->store, &ask, &server->body);
    if (status == STATUS_OK) {
        answer(server, client, FRAME_FENCED, frame->request);
        return STATUS_OK;
    }
    refuse(server, client, frame->request, status, NULL, store_term(server->store),
           status_text(status));
    return status == STATUS_IO ? STATUS_IO : STATUS_OK;
}

enum status server_receive(struct server *server, uint64_t client, struct bytes bytes)
{
    struct frame frame;
    if (frame_decode(&frame, bytes) != STATUS_OK) {
        return STATUS_OK;
    }
    switch (frame.kind) {
    case FRAME_RECORD:
        return receive_records(server, client, frame.request, frame.body);
    case FRAME_FETCH:
        receive_fetch(server, client, &frame);
        return STATUS_OK;
    case FRAME_FENCE:
        return receive_fence(server, client, &frame);
    case FRAME_RECALL:
        return receive_recall(server, client, &frame);
    case FRAME_RECEIPT: {
        enum status status =
            refill_receive_receipt(server->refill, frame.body, frame.request, server->now_us);
        return status == STATUS_NO_MEMORY ? status : STATUS_OK;
    }
    case FRAME_FETCHED:
    case FRAME_REFUSED:
        refill_end_fetch(server->refill, frame.request);
        return STATUS_OK;
    case FRAME_RECALLED:
        refill_end_recall(server->refill, frame.body, frame.request);
        return STATUS_OK;
    default:
        return STATUS_OK;
    }
}

enum status server_commit(struct server *server)
{
    server->budget_count = 0;
    // Who reads need not wait for the disk of those who write.
    if (server->output.flush != NULL) {
        server->output.flush(server->output.context);
    }
    enum status status = append_arrivals(server);
    while (status == STATUS_OK) {
        buffer_clear(&server->body);
        status = store_commit(server->store, &server->body);
        if (status == STATUS_OK && encode_answer(server, FRAME_RECEIPT, 0)) {
            server->output.broadcast(server->output.context, buffer_bytes(&server->frame));
        }
    }
    return status == STATUS_EMPTY ? store_prepare(server->store) : status;
}

enum status server_tick(struct server *server, uint64_t now_us, uint64_t *wake_us)
{
    server->now_us = now_us;
    bool was_waiting = store_is_waiting(server->store);
    enum status status = refill_tick(server->refill, server->arrival_count > 0, now_us, wake_us);
    if (was_waiting && !store_is_waiting(server->store) && server->arrival_count > 0) {
        server->has_new = true;  // what came meanwhile can be taken now
        *wake_us = now_us;
    }
    return status;
}
