/* sim/federation_store.c */

/* The stores, each with its disk. */
#include "base/check.h"
#include "capsule/receipt.h"
#include "sim/federation_internal.h"

enum { SEGMENT_BYTES = 16 << 10 };  // small, so that a run fills several

static size_t place_of(const struct federation_store *store)
{
    return PLACE_STORE + (size_t)(store - store->federation->stores);
}

static void store_send(void *context, uint64_t client, struct bytes frame)
{
    const struct federation_store *store = context;
    federation_note_sent(store->federation, frame);
    federation_post(store->federation, place_of(store), (size_t)client, frame);
}

/* Whether the frame tells of a fork, and anybody can check it. */
static bool has_proof(const struct federation *f, struct bytes bytes)
{
    struct frame frame;
    struct frame_refused refused;
    if (frame_decode(&frame, bytes) != STATUS_OK || frame.kind != FRAME_REFUSED ||
        frame_refused_decode(&refused, frame.body) != STATUS_OK ||
        refused.status != STATUS_FORKED) {
        return false;
    }
    for (size_t i = 0; i < f->worker_count; i++) {
        if (receipt_fork_verify(refused.text, &f->workers[i]->public_key) == STATUS_OK) {
            return true;
        }
    }
    return false;
}

static void store_broadcast(void *context, struct bytes frame)
{
    struct federation_store *store = context;
    struct federation *f = store->federation;
    store->proof_count += has_proof(f, frame);
    federation_note_sent(f, frame);
    for (size_t i = 0; i < f->store_count; i++) {
        if (&f->stores[i] != store) {
            federation_post(f, place_of(store), PLACE_STORE + i, frame);
        }
    }
    federation_post(f, place_of(store), PLACE_LEADER, frame);
    federation_post_to_workers(f, place_of(store), frame);
}

static void store_ask(void *context, struct bytes bytes)
{
    const struct federation_store *store = context;
    struct frame frame;
    CHECK(frame_decode(&frame, bytes) == STATUS_OK);
    federation_post(store->federation, place_of(store),
                    federation_store_place(store->federation, &frame.peer), bytes);
}

size_t federation_store_place(const struct federation *f, const struct writer_id *id)
{
    for (size_t i = 0; i < f->store_count; i++) {
        const struct verify_key key = sign_key_public(f->stores[i].key);
        struct writer_id own = writer_store_id_of(&key);
        if (writer_id_equal(&own, id)) {
            return PLACE_STORE + i;
        }
    }
    return PLACE_STORE;
}

/* One whose disk fails ends by itself. */
static void ends_with(struct federation *f, size_t index, enum status status)
{
    if (status == STATUS_IO) {
        federation_store_kill(f, index);
        return;
    }
    CHECK(status == STATUS_OK);
}

/* Sign for records that are not kept, as far as they are genuine. */
static void sign_falsely(struct federation_store *store, struct bytes records)
{
    enum { HEADS = 64 };
    const struct capsule *capsule = store_capsule(store->store);
    const struct verify_key key = sign_key_public(store->key);
    struct writer_id id = writer_store_id_of(&key);
    struct branch_head heads[HEADS];
    uint32_t count = 0;
    for (size_t length; records.length > 0 && count < HEADS;
         records = bytes_of(records.at + length, records.length - length)) {
        struct record record;
        length = record_length(records.at, records.length);
        if (length == 0 || length > records.length ||
            record_decode_stored(&record, records.at, length) != STATUS_OK) {
            break;
        }
        const struct capsule_member *member = capsule_member_find(capsule, &record.writer);
        if (member != NULL && record_verify(&record, &member->key) == STATUS_OK) {
            heads[count++] = (struct branch_head){
                .writer = record.writer,
                .head = {.sequence = record.sequence, .hash = record.hash},
            };
        }
    }
    struct buffer body = BUFFER_EMPTY, frame = BUFFER_EMPTY;
    CHECK(receipt_encode(&body, RECEIPT_DURABLE, capsule_name(capsule), capsule_term(capsule),
                         heads, count, store->key) == STATUS_OK);
    CHECK(frame_encode(&frame, FRAME_RECEIPT, 0, &id, buffer_bytes(&body)) == STATUS_OK);
    store_broadcast(store, buffer_bytes(&frame));
    buffer_release(&body);
    buffer_release(&frame);
}

void federation_store_lie(struct federation *f, size_t index, bool is_lying)
{
    f->stores[index].is_lying = is_lying;
}

static void store_receive(struct federation *f, size_t place, const struct network_letter *letter)
{
    struct federation_store *store = &f->stores[place - PLACE_STORE];
    struct frame frame;
    if (store->is_lying && frame_decode(&frame, buffer_bytes(&letter->frame)) == STATUS_OK &&
        frame.kind == FRAME_RECORD && store->lie_count++ % 2 == 0) {
        sign_falsely(store, frame.body);
        return;
    }
    store->must_commit = true;
    ends_with(f, place - PLACE_STORE,
              server_receive(store->server, letter->from, buffer_bytes(&letter->frame)));
}

static uint64_t store_due_us(const struct federation *f, size_t place)
{
    const struct federation_store *store = &f->stores[place - PLACE_STORE];
    return store->must_commit ? f->now_us : store->tick_us;
}

/* All that came at this instant is one group. */
static void store_step(struct federation *f, size_t place)
{
    struct federation_store *store = &f->stores[place - PLACE_STORE];
    store->must_commit = false;
    enum status status = server_commit(store->server);
    if (status == STATUS_OK) {
        status = server_tick(store->server, f->now_us, &store->tick_us);
    }
    ends_with(f, place - PLACE_STORE, status);
}

static const struct federation_kind store_kind = {
    .receive = store_receive, .due_us = store_due_us, .step = store_step};

void federation_store_init(struct federation *f, size_t index, const struct disk *disk)
{
    f->stores[index] =
        (struct federation_store){.federation = f, .disk = disk, .key = sign_key_new(&f->random)};
}

void federation_store_release(struct federation *f, size_t index)
{
    federation_store_kill(f, index);
    sign_key_free(f->stores[index].key);
}

bool federation_store_fork(struct federation *f, size_t index, size_t worker)
{
    struct federation_store *store = &f->stores[index];
    struct federation_worker *writer = f->workers[worker];
    const struct capsule_member *member =
        capsule_member_find(store_capsule(store->store), &writer->id);
    if (member == NULL || member->is_closed || member->head.sequence < 2) {
        return false;
    }
    // The last record that the store holds, once more, with another body.
    const struct frame_fetch fetch = {.writer = writer->id,
                                      .from = member->head.sequence,
                                      .to = member->head.sequence,
                                      .max_bytes = UINT32_MAX};
    struct buffer held = BUFFER_EMPTY, other = BUFFER_EMPTY, body = BUFFER_EMPTY;
    struct frame_fetched fetched;
    struct record record;
    struct hash parents[2], hash;
    CHECK(store_read(store->store, &fetch, &held, &fetched) == STATUS_OK);
    CHECK(record_decode(&record, held.bytes, held.length) == STATUS_OK);
    CHECK(record.parent_count <= sizeof parents / sizeof *parents);
    for (size_t i = 0; i < record.parent_count; i++) {
        parents[i] = record_parent(&record, i);
    }
    const struct record_fields fields = {
        .type = RECORD_EOE,
        .sequence = record.sequence,
        .epoch = record.epoch,
        .writer = record.writer,
        .capsule = record.capsule,
        .parents = parents,
        .parent_count = record.parent_count,
    };
    CHECK(buffer_append(&body, hash_of(held.bytes, held.length).bytes, HASH_BYTES) == STATUS_OK);
    CHECK(record_encode(&other, &hash, &fields, buffer_bytes(&body), writer->key) == STATUS_OK);
    struct buffer frame = BUFFER_EMPTY;
    CHECK(frame_encode(&frame, FRAME_RECORD, 0, &federation_everyone, buffer_bytes(&other)) ==
          STATUS_OK);
    uint64_t before = store->proof_count;
    federation_tell(f, "fork", PLACE_WORKER + worker, PLACE_STORE + index, buffer_bytes(&frame));
    store->must_commit = true;
    enum status status = server_receive(store->server, PLACE_WORKER + worker, buffer_bytes(&frame));
    if (status == STATUS_OK) {
        store->must_commit = false;
        status = server_commit(store->server);
    }
    ends_with(f, index, status);
    buffer_release(&frame);
    buffer_release(&held);
    buffer_release(&other);
    buffer_release(&body);
    return status == STATUS_OK && store->proof_count == before;
}

enum status federation_store_start(struct federation *f, size_t index)
{
    struct federation_store *store = &f->stores[index];
    size_t place = PLACE_STORE + index;
    CHECK(store->server == NULL);
    const struct store_config config = {
        .disk = store->disk,
        .genesis = buffer_bytes(&f->genesis),
        .stores = buffer_bytes(&f->owner.stores_word),
        .key = store->key,
        .log = f->log,
        .random = f->random,
        .segment_bytes = SEGMENT_BYTES,
    };
    const struct server_output output = {
        .send = store_send, .broadcast = store_broadcast, .ask = store_ask, .context = store};
    enum status status = store_open(&store->store, &config);
    if (status == STATUS_OK) {
        status = server_new(&store->server, store->store, &output);
    }
    federation_tell(f, status == STATUS_OK ? "start" : "refuse", place, place, bytes_of(NULL, 0));
    if (status == STATUS_OK) {
        store->must_commit = false;
        store->tick_us = 0;
        federation_occupy(f, place, &store_kind);
    } else {
        store_close(store->store);
        store->store = NULL;
    }
    return status;
}

enum status federation_store_look(struct federation *f, const struct writer_id *writer,
                                  uint64_t sequence, struct buffer *record)
{
    for (size_t i = 0; i < f->store_count; i++) {
        struct frame_fetched fetched;
        const struct frame_fetch fetch = {
            .writer = *writer, .from = sequence, .to = sequence, .max_bytes = UINT32_MAX};
        if (f->stores[i].store != NULL &&
            store_read(f->stores[i].store, &fetch, record, &fetched) == STATUS_OK &&
            record->length > 0) {
            return STATUS_OK;
        }
    }
    return STATUS_NOT_FOUND;
}

enum status federation_store_digest(struct federation *f, size_t index, struct hash *digest)
{
    struct frame_fetched fetched = {.next = 1};
    struct buffer records = BUFFER_EMPTY;
    enum status status = STATUS_OK;
    *digest = (struct hash){{0}};
    while (status == STATUS_OK && fetched.is_end == 0) {
        const struct frame_fetch fetch = {
            .from = fetched.next, .to = UINT64_MAX, .max_bytes = UINT32_MAX};
        buffer_clear(&records);
        status = store_read(f->stores[index].store, &fetch, &records, &fetched);
        const struct bytes parts[] = {bytes_of(digest->bytes, HASH_BYTES), buffer_bytes(&records)};
        *digest = hash_of_parts(parts, sizeof parts / sizeof *parts);
    }
    buffer_release(&records);
    return status;
}

bool federation_store_is_running(const struct federation *f, size_t index)
{
    return f->stores[index].server != NULL;
}

bool federation_store_is_refilling(const struct federation *f, size_t index)
{
    return store_is_refilling(f->stores[index].store);
}

/* Whether it holds of all branches but leaders' as much as the other. */
static bool holds_all_of(const struct capsule *capsule, const struct capsule *other)
{
    for (size_t i = 0; i < capsule_member_count(other); i++) {
        const struct capsule_member *there = capsule_member_at(other, i);
        const struct capsule_member *here = capsule_member_find(capsule, &there->id);
        bool is_same =
            here == NULL ? there->head.sequence == 0 : here->head.sequence == there->head.sequence;
        if (there->role != MEMBER_LEADER && !is_same) {
            return false;
        }
    }
    return true;
}

bool federation_store_agree(const struct federation *f)
{
    for (size_t i = 1; i < f->store_count; i++) {
        const struct capsule *first = store_capsule(f->stores[0].store);
        const struct capsule *other = store_capsule(f->stores[i].store);
        if (!holds_all_of(first, other) || !holds_all_of(other, first)) {
            return false;
        }
    }
    return true;
}

void federation_store_kill(struct federation *f, size_t index)
{
    struct federation_store *store = &f->stores[index];
    size_t place = PLACE_STORE + index;
    if (store->server == NULL) {
        return;
    }
    federation_tell(f, "end", place, place, bytes_of(NULL, 0));
    federation_vacate(f, place);
    server_free(store->server);
    store_close(store->store);
    store->server = NULL;
    store->store = NULL;
}
