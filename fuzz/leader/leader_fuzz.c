/* fuzz/leader/leader_fuzz.c */

/*
 * Feeds a leader, that waits for its term or leads, the frames of a true life, some of them
 * altered: it stands, or ends with a word; it admits nobody, for nobody proves itself here.
 * The input is the stage (one byte), then a row of steps of five bytes: which frame, how (as it
 * is, with one byte changed, or cut short), where (two bytes), and what.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "tests/support/leader_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

enum { STEP_BYTES = 5, STEPS_MAX = 32, FRAMES_MAX = 256, STAGE_COUNT = 2 };
enum { HOW_TRUE, HOW_ALTERED, HOW_CUT, HOW_COUNT };

/* Every frame that a leader received in one whole life. */
struct life {
    struct leader_world world;
    struct buffer tape;
    struct bytes frames[FRAMES_MAX];
    size_t frame_count;
};

static struct life *life(void)
{
    static struct life life;
    if (life.frame_count > 0) {
        return &life;
    }
    struct leader_world_joiner joiner;
    leader_world_init(&life.world, 7);
    leader_world_begin(&life.world);
    life.world.tape = &life.tape;
    leader_world_lead(&life.world, 1);
    leader_world_joiner_init(&life.world, &joiner);
    leader_world_join(&life.world, &joiner, MEMBER_WORKER, &life.world.capsule);
    leader_world_deploy(&life.world, "hello", 1, life.world.owner);
    leader_world_send(&life.world, FRAME_GONE, 0, &joiner.id, bytes_of(NULL, 0));
    leader_world_run(&life.world, 2000000);
    leader_world_joiner_release(&joiner);

    struct cursor in = cursor_over(life.tape.bytes, life.tape.length);
    while (in.left > 0 && life.frame_count < FRAMES_MAX) {
        uint32_t length = cursor_u32(&in);
        life.frames[life.frame_count++] = cursor_bytes(&in, length);
    }
    return &life;
}

/* A leader of the same app in this stage; made anew when the last one has ended. */
static struct leader_world *leader_in(size_t stage)
{
    static struct leader_world worlds[STAGE_COUNT];
    struct leader_world *world = &worlds[stage];
    bool has_wandered = world->leader != NULL && leader_is_leading(world->leader) != (stage == 1);
    if (world->leader != NULL && world->status == STATUS_OK && !has_wandered) {
        return world;
    }
    if (world->leader != NULL) {
        leader_world_release(world);
    }
    leader_world_init(world, 7);
    leader_world_begin(world);
    if (stage == 1) {
        leader_world_lead(world, 1);
        CHECK(leader_is_leading(world->leader));
    }
    return world;
}

static void step(const struct life *life, struct leader_world *world, struct cursor *in)
{
    struct bytes original = life->frames[cursor_u8(in) % life->frame_count];
    unsigned how = cursor_u8(in) % HOW_COUNT;
    uint16_t where = cursor_u16(in);
    uint8_t what = cursor_u8(in);
    struct buffer bytes = BUFFER_EMPTY;
    size_t kept = how == HOW_CUT ? where % original.length : original.length;
    CHECK(buffer_append(&bytes, original.at, kept) == STATUS_OK);
    if (how == HOW_ALTERED) {
        bytes.bytes[where % bytes.length] ^= what;
    }
    leader_world_give(world, buffer_bytes(&bytes));
    leader_world_run(world, 10000);
    buffer_release(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    const struct life *known = life();
    struct cursor in = cursor_over(bytes, length);
    if (in.left == 0) {
        return 0;
    }
    struct leader_world *world = leader_in(cursor_u8(&in) % STAGE_COUNT);
    for (int i = 0; i < STEPS_MAX && in.left >= STEP_BYTES; i++) {
        step(known, world, &in);
    }
    CHECK(world->status == STATUS_OK || world->status == STATUS_CLOSED);
    CHECK(world->record_counts[RECORD_MEMBER] == 0);
    return 0;
}
