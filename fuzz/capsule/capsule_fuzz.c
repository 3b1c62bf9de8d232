/* fuzz/capsule/capsule_fuzz.c */

/*
 * Feeds a capsule the records of a true history, some of them altered: what it
 * accepts is true to the byte, whatever came before. The input is a row of
 * steps of five bytes: which record, how (as it is, with one byte changed, or
 * vouched for by a run), where (two bytes), and what.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "tests/support/capsule_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

enum { STEP_BYTES = 5, STEPS_MAX = 64, BODY_HASH_OFFSET = 80 };
enum { HOW_TRUE = 0, HOW_ALTERED = 1, HOW_ALTERED_WITH_HASH = 2, HOW_RUN = 3, HOW_COUNT = 4 };

static struct capsule_world *history(void)
{
    static struct capsule_world world;
    if (world.capsule != NULL) {
        return &world;
    }
    capsule_world_init(&world, 5, 1, 1, 0);
    capsule_world_start(&world);
    struct capsule_world_writer *a = capsule_world_admit(&world, MEMBER_WORKER);
    struct capsule_world_writer *b = capsule_world_admit(&world, MEMBER_WORKER);
    capsule_world_put(&world, a, "x", "1");
    capsule_world_put(&world, b, "x", "2");
    capsule_world_sync(&world);
    capsule_world_put(&world, a, "x", "3");
    capsule_world_eoe(&world, a);
    capsule_world_close(&world, b);
    capsule_world_sync(&world);
    struct capsule_world_writer *old = world.leader;
    capsule_world_restart(&world);
    capsule_world_close(&world, old);
    capsule_world_sync(&world);
    capsule_world_put(&world, a, "x", "4");
    return &world;
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

/* Whether these are the bytes of a record of the history. */
static bool is_true(const struct capsule_world *world, struct bytes bytes)
{
    for (size_t i = 0; i < world->record_count; i++) {
        if (bytes_equal(bytes, capsule_world_record(world, i))) {
            return true;
        }
    }
    return false;
}

static void step(const struct capsule_world *world, struct capsule *capsule, struct cursor *in)
{
    size_t which = cursor_u8(in) % world->record_count;
    unsigned how = cursor_u8(in) % HOW_COUNT;
    uint16_t where = cursor_u16(in);
    uint8_t what = cursor_u8(in);
    struct bytes original = capsule_world_record(world, which);
    struct buffer bytes = BUFFER_EMPTY;
    CHECK(buffer_append(&bytes, original.at, original.length) == STATUS_OK);
    if (how != HOW_TRUE) {
        bytes.bytes[where % bytes.length] ^= what;
    }
    if (how == HOW_ALTERED_WITH_HASH) {
        let_body_hash_agree(&bytes);
    }
    struct record record;
    if (record_decode(&record, bytes.bytes, bytes.length) == STATUS_OK) {
        enum status status = STATUS_OK;
        if (how == HOW_RUN) {
            status = capsule_verify_run(capsule, &record, 1);
            status = status == STATUS_OK ? capsule_accept_vouched(capsule, &record) : status;
        } else {
            status = capsule_accept(capsule, &record);
        }
        // A GENESIS record is nobody's until a TERM follows it.
        CHECK(status != STATUS_OK || record.type == RECORD_GENESIS ||
              is_true(world, buffer_bytes(&bytes)));
    }
    buffer_release(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    const struct capsule_world *world = history();
    struct capsule *capsule;
    CHECK(capsule_new(&capsule, buffer_bytes(&world->genesis_body)) == STATUS_OK);
    struct cursor in = cursor_over(bytes, length);
    for (int i = 0; i < STEPS_MAX && in.left >= STEP_BYTES; i++) {
        step(world, capsule, &in);
    }
    // No signature was forged, and no writer forked.
    for (size_t i = 0; i < capsule_member_count(capsule); i++) {
        const struct capsule_member *member = capsule_member_at(capsule, i);
        const struct capsule_member *original = capsule_member_find(world->capsule, &member->id);
        CHECK(original != NULL && member->head.sequence <= original->head.sequence);
    }
    capsule_free(capsule);
    return 0;
}
