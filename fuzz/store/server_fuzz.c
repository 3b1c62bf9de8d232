/* fuzz/store/server_fuzz.c */

/*
 * Frames from clients: runs of (u8 what, u16 length, bytes). `what` below 32: a frame of that kind
 * with these bytes as its body; 32 and more: one of the world's records (`what` − 32) with one byte
 * changed, or none; 255: a commit. The server answers, stays within its bounds, and keeps only what
 * was written.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "base/cursor.h"
#include "store/server.h"
#include "tests/support/store_fixture.h"

enum { COMMIT = 255, FIRST_RECORD = 32 };

static void on_send(void *context, uint64_t client, struct bytes frame)
{
    (void)context;
    struct frame decoded;
    CHECK(client == 1 && frame_decode(&decoded, frame) == STATUS_OK);
}

static void on_broadcast(void *context, struct bytes frame)
{
    (void)context;
    struct frame decoded;
    CHECK(frame_decode(&decoded, frame) == STATUS_OK);
}

static void receive(struct server *server, enum frame_kind kind, struct bytes body)
{
    static const struct writer_id nobody;
    struct buffer frame = BUFFER_EMPTY;
    CHECK(frame_encode(&frame, kind, 1, &nobody, body) == STATUS_OK);
    CHECK(server_receive(server, 1, buffer_bytes(&frame)) == STATUS_OK);
    buffer_release(&frame);
}

static void receive_bent(struct server *server, const struct capsule_world *world, size_t index,
                         struct bytes bend)
{
    struct bytes record = capsule_world_record(world, index % world->record_count);
    struct buffer bent = BUFFER_EMPTY;
    CHECK(buffer_append(&bent, record.at, record.length) == STATUS_OK);
    if (bend.length >= 3) {
        size_t at = (bend.at[0] | (size_t)bend.at[1] << 8) % bent.length;
        bent.bytes[at] ^= bend.at[2];
    }
    receive(server, FRAME_RECORD, buffer_bytes(&bent));
    buffer_release(&bent);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static struct store_fixture f;
    if (f.fake == NULL) {
        store_fixture_init(&f);
        for (int i = 0; i < 4; i++) {
            store_fixture_put(&f);
        }
        capsule_world_sync(&f.world);
        store_fixture_put(&f);
    }
    CHECK(store_fixture_reopen_fresh(&f) == STATUS_OK);
    struct server *server;
    struct server_output output = {.send = on_send, .broadcast = on_broadcast};
    CHECK(server_new(&server, f.store, &output) == STATUS_OK);

    struct cursor in = cursor_over(bytes, length);
    while (in.left > 0 && !in.failed) {
        uint8_t what = cursor_u8(&in);
        uint16_t body_bytes = cursor_u16(&in);
        struct bytes body = cursor_bytes(&in, body_bytes);
        if (in.failed) {
            break;
        }
        if (what == COMMIT) {
            CHECK(server_commit(server) == STATUS_OK);
        } else if (what >= FIRST_RECORD) {
            receive_bent(server, &f.world, what - FIRST_RECORD, body);
        } else if (what == FRAME_RECORD || what == FRAME_FETCH || what == FRAME_FENCE) {
            receive(server, (enum frame_kind)what, body);
        }
    }
    CHECK(server_commit(server) == STATUS_OK);
    server_free(server);

    struct store_counters before;
    struct store_counters after;
    store_count(f.store, &before);
    CHECK(before.record_count <= f.world.record_count);
    CHECK(store_fixture_reopen(&f) == STATUS_OK);
    store_count(f.store, &after);
    CHECK(after.record_count == before.record_count);
    return 0;
}
