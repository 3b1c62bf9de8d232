/* fuzz/capsule/capsule_snapshot_fuzz.c */

/*
 * Whatever the bytes of a snapshot say, a capsule restored from them does not contradict itself:
 * it can be written down and restored again, and a history goes through it.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "capsule/capsule_snapshot.h"
#include "tests/support/capsule_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* The capsule that the corpus is of. */
static struct capsule_world *history(void)
{
    static struct capsule_world world;
    if (world.capsule == NULL) {
        capsule_world_init(&world, 5, 1, 1, 0);
        capsule_world_start(&world);
        struct capsule_world_writer *a = capsule_world_admit(&world, MEMBER_WORKER);
        struct capsule_world_writer *b = capsule_world_admit(&world, MEMBER_WORKER);
        capsule_world_put(&world, a, "x", "1");
        capsule_world_put(&world, b, "x", "2");
        capsule_world_sync(&world);
        capsule_world_put(&world, a, "x", "3");
        capsule_world_eoe(&world, a);
        capsule_world_revoke(&world, b);
        capsule_world_close(&world, b);
        capsule_world_rotate(&world, secret_new_random(&world.random));
        capsule_world_put(&world, a, "x", "4");
        capsule_world_sync(&world);
    }
    return &world;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct capsule_world *world = history();
    struct bytes genesis = buffer_bytes(&world->genesis_body);
    struct capsule *capsule, *again;
    struct capsule_snapshot snapshot;
    struct buffer encoded = BUFFER_EMPTY;
    if (capsule_snapshot_restore(&capsule, &snapshot, genesis, bytes_of(bytes, length)) !=
        STATUS_OK) {
        return 0;
    }
    CHECK(capsule_snapshot_encode_whole(&encoded, capsule) == STATUS_OK);
    CHECK(capsule_snapshot_restore(&again, &snapshot, genesis, buffer_bytes(&encoded)) ==
          STATUS_OK);
    capsule_free(again);
    for (size_t i = 0; i < world->record_count; i++) {
        (void)capsule_world_feed(capsule, capsule_world_record(world, i));
    }
    const struct capsule_snapshot_more more = {.functions = NULL};
    enum status status = capsule_snapshot_encode_joined(&encoded, capsule, &more);
    CHECK(status == STATUS_OK || status == STATUS_GAP || status == STATUS_CLOSED);
    capsule_free(capsule);
    buffer_release(&encoded);
    return 0;
}
