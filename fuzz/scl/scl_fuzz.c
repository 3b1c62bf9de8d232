/* fuzz/scl/scl_fuzz.c */

/*
 * Feeds a replica the frames of a true history, some of them altered: whatever
 * comes, its map holds only what members wrote, and its own write is not durable, for no
 * store has signed for it. The input is a row of steps of six bytes: what kind, which one, how (as
 * it is, with one byte changed, or with a body hash that agrees), where (two bytes), and what.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "scl/scl.h"
#include "tests/support/capsule_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

enum { STEP_BYTES = 6, STEPS_MAX = 64, BODY_HASH_OFFSET = 80 };
enum { GIVE_RECORD, GIVE_RECEIPT, GIVE_RTS, GIVE_FETCHED, GIVE_REFUSED, GIVE_TIME, GIVE_COUNT };
enum { HOW_TRUE, HOW_ALTERED, HOW_ALTERED_WITH_HASH, HOW_COUNT };

struct history {
    struct capsule_world world;
    struct capsule_world_writer *own;
    struct buffer receipts[3];
    struct buffer rts;
    struct buffer fetched;
    struct buffer refused;
};

static void make_receipt(struct history *h, struct buffer *target,
                         const struct capsule_world_writer *writer)
{
    const struct branch_head head = {.writer = writer->id, .head = writer->head};
    CHECK(receipt_encode(target, RECEIPT_DURABLE, &h->world.name, 1, &head, 1,
                         h->world.store_keys[0]) == STATUS_OK);
}

static struct history *history(void)
{
    static struct history h;
    if (h.own != NULL) {
        return &h;
    }
    struct capsule_world *world = &h.world;
    capsule_world_init(world, 5, 1, 1, 0);
    capsule_world_start(world);
    h.own = capsule_world_admit(world, MEMBER_WORKER);
    struct capsule_world_writer *a = capsule_world_admit(world, MEMBER_WORKER);
    struct capsule_world_writer *b = capsule_world_admit(world, MEMBER_WORKER);
    capsule_world_put(world, a, "x", "1");
    capsule_world_put(world, b, "x", "2");
    capsule_world_sync(world);
    capsule_world_put(world, a, "x", "3");
    capsule_world_eoe(world, a);
    capsule_world_close(world, b);
    capsule_world_sync(world);
    struct capsule_world_writer *old = world->leader;
    make_receipt(&h, &h.receipts[0], old);
    make_receipt(&h, &h.receipts[1], a);
    capsule_world_restart(world);
    capsule_world_close(world, old);
    capsule_world_sync(world);
    capsule_world_put(world, a, "x", "4");
    make_receipt(&h, &h.receipts[2], world->leader);

    const struct frame_fetched fetched = {.next = world->record_count + 1, .is_end = 1};
    const struct frame_refused refused = {
        .status = STATUS_NO_SPACE, .sequence = 1, .text = bytes_text("full")};
    CHECK(frame_rts_encode(&h.rts, &world->name, 2, world->sync_epoch + 1, world->leader->key) ==
          STATUS_OK);
    CHECK(frame_fetched_encode(&h.fetched, &fetched) == STATUS_OK);
    CHECK(frame_refused_encode(&h.refused, &refused) == STATUS_OK);
    return &h;
}

static void let_body_hash_agree(struct buffer *bytes)
{
    size_t parents = (size_t)(bytes->bytes[6] | bytes->bytes[7] << 8);
    size_t header = RECORD_HEADER_BYTES + parents * HASH_BYTES;
    if (bytes->length >= header + SIGN_SIGNATURE_BYTES) {
        struct hash hash =
            hash_of(bytes->bytes + header, bytes->length - header - SIGN_SIGNATURE_BYTES);
        memcpy(bytes->bytes + BODY_HASH_OFFSET, hash.bytes, HASH_BYTES);
    }
}

struct run {
    struct scl *scl;
    struct memtable_reader *reader;
    struct scl_seal_job seal;
    struct scl_open_job open;
    struct dependency own;  // what the own write rests on
    uint64_t now_us;
    bool has_ended;
};

static struct bytes original_of(const struct history *h, unsigned kind, size_t which)
{
    switch (kind) {
    case GIVE_RECORD:
        return capsule_world_record(&h->world, which % h->world.record_count);
    case GIVE_RECEIPT:
        return buffer_bytes(&h->receipts[which % 3]);
    case GIVE_RTS:
        return buffer_bytes(&h->rts);
    case GIVE_FETCHED:
        return buffer_bytes(&h->fetched);
    default:
        return buffer_bytes(&h->refused);
    }
}

static const enum frame_kind given_kinds[] = {
    [GIVE_RECEIPT] = FRAME_RECEIPT,
    [GIVE_RTS] = FRAME_RTS,
    [GIVE_FETCHED] = FRAME_FETCHED,
    [GIVE_REFUSED] = FRAME_REFUSED,
};

static void give(struct run *run, unsigned kind, size_t which, struct bytes body)
{
    struct record record;
    enum status status = STATUS_OK;
    if (kind == GIVE_RECORD) {
        status = record_decode(&record, body.at, body.length);
        status = status == STATUS_OK ? scl_receive(run->scl, &record) : status;
    } else {
        const struct frame frame = {
            .kind = given_kinds[kind], .request = (uint32_t)which, .body = body};
        status = scl_receive_frame(run->scl, &frame);
    }
    CHECK(status != STATUS_NO_MEMORY);
}

/* What the actors of a worker do. */
static void act(struct run *run)
{
    struct buffer frame = BUFFER_EMPTY;
    struct bytes sealed;
    uint64_t until_us;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && scl_open_begin(run->scl, &run->open) == STATUS_OK) {
        scl_open_run(&run->open);
        status = scl_open_finish(run->scl, &run->open, run->now_us);
    }
    if (status == STATUS_OK && scl_is_ready(run->scl) && run->own.own_sequence == 0) {
        const struct tuple tuple = {
            .kind = TUPLE_PUT, .key = bytes_text("own"), .value = bytes_text("own")};
        CHECK(scl_put(run->scl, &tuple, &run->own) == STATUS_OK);
    }
    while (status == STATUS_OK &&
           (status = scl_seal_begin(run->scl, &run->seal, run->now_us, &until_us)) == STATUS_OK) {
        scl_seal_run(run->scl, &run->seal);
        status = scl_seal_finish(run->scl, &run->seal, run->now_us, &sealed);
        CHECK(status == STATUS_OK);
    }
    CHECK(status == STATUS_EMPTY || status == STATUS_FULL || status == STATUS_CLOSED);
    run->has_ended = status == STATUS_CLOSED;
    (void)scl_tick(run->scl, run->now_us);
    while (scl_output(run->scl, &frame) == STATUS_OK) {
        struct frame decoded;
        CHECK(frame_decode(&decoded, buffer_bytes(&frame)) == STATUS_OK);
        buffer_clear(&frame);
    }
    buffer_release(&frame);
}

static void step(const struct history *h, struct run *run, struct cursor *in)
{
    unsigned kind = cursor_u8(in) % GIVE_COUNT;
    size_t which = cursor_u8(in);
    unsigned how = cursor_u8(in) % HOW_COUNT;
    uint16_t where = cursor_u16(in);
    uint8_t what = cursor_u8(in);
    run->now_us += 1000;
    if (kind == GIVE_TIME) {
        run->now_us += (uint64_t)where * 100;
    } else {
        struct buffer bytes = BUFFER_EMPTY;
        struct bytes original = original_of(h, kind, which);
        CHECK(buffer_append(&bytes, original.at, original.length) == STATUS_OK);
        if (how != HOW_TRUE) {
            bytes.bytes[where % bytes.length] ^= what;
        }
        if (how == HOW_ALTERED_WITH_HASH && kind == GIVE_RECORD) {
            let_body_hash_agree(&bytes);
        }
        give(run, kind, which, buffer_bytes(&bytes));
        buffer_release(&bytes);
    }
    act(run);
}

/* What members wrote, and nothing else. */
static void check_map(struct run *run)
{
    struct memtable_entry entry;
    memtable_reader_begin(run->reader);
    if (memtable_get(run->reader, bytes_text("x"), &entry) == STATUS_OK) {
        CHECK(entry.value.length == 1 && entry.value.at[0] >= '1' && entry.value.at[0] <= '4');
    }
    memtable_reader_end(run->reader);
    struct scl_counters counters;
    scl_count(run->scl, &counters);
    CHECK(counters.keys <= 2);
    CHECK(run->own.own_sequence == 0 || !scl_is_durable(run->scl, &run->own));
}

static void ignore_function(void *context, struct bytes body)
{
    (void)context;
    (void)body;
}

static void drop_line(void *context, const char *text)
{
    (void)context;
    (void)text;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static const struct log log = {.line = drop_line};
    static struct run run;
    struct history *h = history();
    const struct scl_config config = {
        .genesis = buffer_bytes(&h->world.genesis_body),
        .key = h->own->key,
        .log = &log,
        .on_function = ignore_function,
    };
    run = (struct run){.now_us = 1000000};
    CHECK(scl_new(&run.scl, &config) == STATUS_OK);
    CHECK(memtable_reader_new(&run.reader, scl_memtable(run.scl)) == STATUS_OK);
    CHECK(scl_add_key(run.scl, 0, secret_bytes(h->world.data_key)) == STATUS_OK);
    struct cursor in = cursor_over(bytes, length);
    for (int i = 0; i < STEPS_MAX && in.left >= STEP_BYTES && !run.has_ended; i++) {
        step(h, &run, &in);
    }
    check_map(&run);
    scl_seal_release(&run.seal);
    scl_open_release(&run.open);
    memtable_reader_free(run.reader);
    scl_free(run.scl);
    return 0;
}
