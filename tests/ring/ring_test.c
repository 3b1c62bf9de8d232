/* tests/ring/ring_test.c */

/*
 * Goal: frames come out whole and in order, and no position or length that a
 * hostile peer can publish is acted upon.
 * Method: drive both sides by hand in memory of exactly the right length, so
 * that AddressSanitizer sees a byte too far; then play the peer and write to
 * the shared memory directly; at last two real threads.
 */
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "ring/ring.h"

enum { CAPACITY_BYTES = 256, LARGE_CAPACITY_BYTES = 16 << 20 };

struct fixture {
    size_t capacity_bytes;
    struct ring_shared *shared;
    struct ring_producer producer;
    struct ring_consumer consumer;
    struct buffer frame;
};

static void fixture_make(struct fixture *f, size_t capacity_bytes)
{
    *f = (struct fixture){.capacity_bytes = capacity_bytes, .frame = BUFFER_EMPTY};
    f->shared = aligned_alloc(RING_LINE_BYTES, ring_footprint(capacity_bytes));
    assert_non_null(f->shared);
    ring_format(f->shared, capacity_bytes);
    ring_producer_init(&f->producer, f->shared, capacity_bytes);
    ring_consumer_init(&f->consumer, f->shared, capacity_bytes);
}

static void fixture_release(struct fixture *f)
{
    buffer_release(&f->frame);
    free(f->shared);
}

static int setup(void **state)
{
    static struct fixture f;
    fixture_make(&f, CAPACITY_BYTES);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture_release(*state);
    return 0;
}

static uint64_t seed_of_run(void)
{
    const char *text = getenv("SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : 8121;
    printf("SEED=%" PRIu64 "\n", seed);
    return seed;
}

/* A frame whose bytes follow from its number: what every test sends. */
static void fill(uint8_t *bytes, size_t length, uint64_t number)
{
    for (size_t i = 0; i < length; i++) {
        bytes[i] = (uint8_t)(number * 31 + i);
    }
}

static enum status push(struct fixture *f, const void *bytes, size_t length)
{
    struct bytes part = bytes_of(bytes, length);
    return ring_push(&f->producer, &part, 1);
}

static void assert_pops(struct fixture *f, const void *bytes, size_t length)
{
    assert_int_equal(ring_pop(&f->consumer, &f->frame), STATUS_OK);
    assert_int_equal(f->frame.length, length);
    if (length > 0) {
        assert_memory_equal(f->frame.bytes, bytes, length);
    }
}

static void the_example_in_the_header_is_what_lies_in_memory(void **state)
{
    struct fixture *f = *state;
    const uint8_t expected[] = {4, 0, 0, 0, 'a', 'b', 'c'};
    assert_int_equal(push(f, "abc", 3), STATUS_OK);
    assert_int_equal(push(f, "", 0), STATUS_OK);
    assert_memory_equal(f->shared->words, expected, sizeof expected);
    assert_int_equal(f->shared->words[2], 1);
    assert_int_equal(f->shared->words[4], 0);
    assert_pops(f, "abc", 3);
    assert_int_equal(f->shared->popped, 8);
}

static void pops_in_push_order_across_the_wrap_at_every_size(void **state)
{
    struct fixture *f = *state;
    const size_t longest = ring_frame_bytes_max(CAPACITY_BYTES);
    uint8_t sent[CAPACITY_BYTES];
    for (uint64_t round = 0; round < 20; round++) {
        for (size_t length = 0; length <= longest; length++) {
            fill(sent, length, round + length);
            assert_int_equal(push(f, sent, length), STATUS_OK);
            assert_pops(f, sent, length);
        }
    }
    assert_int_equal(ring_pop(&f->consumer, &f->frame), STATUS_EMPTY);
}

static void random_sizes_keep_their_order(void **state)
{
    struct fixture *f = *state;
    struct random_seeded storage;
    struct random random = random_seeded(&storage, seed_of_run());
    uint64_t pushed = 0, popped = 0;
    size_t lengths[CAPACITY_BYTES];
    uint8_t bytes[CAPACITY_BYTES];
    while (popped < 20000) {
        uint8_t choice[2];
        random_fill(&random, choice, sizeof choice);
        size_t length = choice[1] % 100;
        fill(bytes, length, pushed);
        if (choice[0] % 2 == 0 && push(f, bytes, length) == STATUS_OK) {
            lengths[pushed % CAPACITY_BYTES] = length;
            pushed++;
        } else if (popped < pushed) {
            size_t expected = lengths[popped % CAPACITY_BYTES];
            fill(bytes, expected, popped);
            assert_pops(f, bytes, expected);
            popped++;
        }
    }
}

static void parts_become_one_frame(void **state)
{
    struct fixture *f = *state;
    const struct bytes parts[] = {bytes_text("one "), bytes_of(NULL, 0), bytes_text("frame "),
                                  bytes_text("of four parts")};
    for (int round = 0; round < 40; round++) {
        assert_int_equal(ring_push(&f->producer, parts, 4), STATUS_OK);
        assert_pops(f, "one frame of four parts", 23);
    }
    assert_int_equal(ring_push(&f->producer, NULL, 0), STATUS_OK);
    assert_pops(f, "", 0);
}

static void a_push_to_a_full_ring_writes_nothing(void **state)
{
    struct fixture *f = *state;
    const uint8_t filler[20] = {7};  // 24 bytes in the ring
    size_t count = 0;
    while (push(f, filler, sizeof filler) == STATUS_OK) {
        count++;
    }
    assert_int_equal(count, CAPACITY_BYTES / 24);

    uint8_t before[sizeof(struct ring_shared) + CAPACITY_BYTES];
    memcpy(before, f->shared, sizeof before);
    assert_int_equal(push(f, filler, sizeof filler), STATUS_FULL);
    assert_memory_equal(f->shared, before, sizeof before);

    // 16 bytes are left: room for an empty frame and the word behind it, and then for none.
    assert_int_equal(push(f, filler, 5), STATUS_FULL);
    assert_int_equal(push(f, filler, 4), STATUS_OK);
    assert_int_equal(push(f, filler, 0), STATUS_FULL);
    assert_pops(f, filler, sizeof filler);
    assert_int_equal(push(f, filler, sizeof filler), STATUS_OK);
}

static void an_empty_ring_leaves_the_buffer_alone(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(buffer_append(&f->frame, "kept", 4), STATUS_OK);
    assert_int_equal(ring_pop(&f->consumer, &f->frame), STATUS_EMPTY);
    assert_int_equal(f->frame.length, 4);
    assert_false(ring_is_ready(&f->consumer));
    assert_int_equal(push(f, "x", 1), STATUS_OK);
    assert_true(ring_is_ready(&f->consumer));
}

static void a_frame_longer_than_a_small_ring_is_refused(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[CAPACITY_BYTES] = {0};
    size_t longest = ring_frame_bytes_max(CAPACITY_BYTES);
    assert_int_equal(longest, CAPACITY_BYTES - 12);
    assert_int_equal(push(f, bytes, longest), STATUS_OK);
    assert_pops(f, bytes, longest);
    assert_int_equal(push(f, bytes, longest + 1), STATUS_MALFORMED);
    assert_int_equal(ring_pop(&f->consumer, &f->frame), STATUS_EMPTY);
}

static void a_frame_longer_than_the_bound_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    fixture_make(&f, LARGE_CAPACITY_BYTES);
    assert_int_equal(ring_frame_bytes_max(LARGE_CAPACITY_BYTES), RING_FRAME_BYTES_MAX);
    uint8_t *bytes = malloc(RING_FRAME_BYTES_MAX);
    assert_non_null(bytes);
    fill(bytes, RING_FRAME_BYTES_MAX, 1);
    const struct bytes too_long[] = {bytes_of(bytes, RING_FRAME_BYTES_MAX), bytes_of(bytes, 1)};
    for (int round = 0; round < 3; round++) {  // the third lies across the wrap
        assert_int_equal(push(&f, bytes, RING_FRAME_BYTES_MAX), STATUS_OK);
        assert_pops(&f, bytes, RING_FRAME_BYTES_MAX);
    }
    assert_int_equal(ring_push(&f.producer, too_long, 2), STATUS_MALFORMED);

    // Lengths whose sum overflows do not pass for a short one.
    const struct bytes overflow[] = {bytes_of(bytes, SIZE_MAX), bytes_of(bytes, 2)};
    assert_int_equal(ring_push(&f.producer, overflow, 2), STATUS_MALFORMED);

    // The same bound for a producer that does not keep it.
    f.shared->words[3 * (RING_FRAME_BYTES_MAX + 8) % LARGE_CAPACITY_BYTES / 4] =
        RING_FRAME_BYTES_MAX + 2;
    assert_int_equal(ring_pop(&f.consumer, &f.frame), STATUS_FORGED);
    free(bytes);
    fixture_release(&f);
}

/* The producer is at 280 of 256 bytes, and knows that 40 were popped. */
static void p10_no_impossible_position_of_the_consumer_is_believed(void **state)
{
    struct fixture *f = *state;
    const uint64_t claims[] = {
        0,          8,
        32,         39,
        41,         100,
        288,        280 + CAPACITY_BYTES,
        UINT64_MAX, UINT64_MAX - 7,
        1ull << 63, (1ull << 32) + 40,
    };
    const uint8_t bytes[36] = {9};
    for (int i = 0; i < 7; i++) {
        if (i == 6) {
            assert_int_equal(push(f, bytes, sizeof bytes), STATUS_FULL);
            assert_pops(f, bytes, sizeof bytes);
        }
        assert_int_equal(push(f, bytes, sizeof bytes), STATUS_OK);
    }
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        struct ring_producer producer = f->producer;
        struct bytes part = bytes_of(bytes, sizeof bytes);
        f->shared->popped = claims[i];
        assert_int_equal(ring_push(&producer, &part, 1), STATUS_FORGED);
        f->shared->popped = 280;
        assert_int_equal(ring_push(&producer, &part, 1), STATUS_FORGED);
    }
}

static void p10_no_impossible_length_is_believed(void **state)
{
    struct fixture *f = *state;
    const uint8_t bytes[12] = {9};
    const uint32_t word = sizeof bytes + 1;
    const uint32_t claims[] = {
        CAPACITY_BYTES - 10, CAPACITY_BYTES - 4, CAPACITY_BYTES,  1u << 23,
        (1u << 23) + 1,      1u << 31,           UINT32_MAX - 12, UINT32_MAX};
    assert_int_equal(push(f, bytes, sizeof bytes), STATUS_OK);
    assert_int_equal(buffer_append(&f->frame, "kept", 4), STATUS_OK);
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        struct ring_consumer consumer = f->consumer;
        f->shared->words[0] = claims[i];
        assert_int_equal(ring_pop(&consumer, &f->frame), STATUS_FORGED);
        assert_int_equal(f->frame.length, 4);

        // For ever: a peer that comes to its senses is not believed either.
        f->shared->words[0] = word;
        assert_int_equal(ring_pop(&consumer, &f->frame), STATUS_FORGED);
        assert_true(ring_is_ready(&consumer));
    }
    assert_pops(f, bytes, sizeof bytes);
}

/* The longest frame that a liar can claim is copied from within the ring. */
static void p10_a_frame_that_was_never_pushed_is_only_rubbish(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < 1000; i++) {
        for (size_t at = 0; at < CAPACITY_BYTES / 4; at++) {
            f->shared->words[at] = CAPACITY_BYTES - 11 - (uint32_t)(i % 40);
        }
        assert_int_equal(ring_pop(&f->consumer, &f->frame), STATUS_OK);
        assert_int_equal(f->frame.length, CAPACITY_BYTES - 12 - i % 40);
    }
}

static void p10_noise_over_all_shared_memory_is_survived(void **state)
{
    (void)state;
    struct random_seeded storage;
    struct random random = random_seeded(&storage, seed_of_run());
    const uint8_t bytes[32] = {1};
    size_t popped_count = 0, forged_count = 0;
    for (int round = 0; round < 20000; round++) {
        struct fixture f;
        fixture_make(&f, CAPACITY_BYTES);
        random_fill(&random, f.shared->words, CAPACITY_BYTES);
        for (int step = 0; step < 12; step++) {
            uint32_t noise[3];
            random_fill(&random, noise, sizeof noise);
            switch (noise[0] % 6) {  // small and aligned, or it would always be refused at once
            case 0:
                f.shared->words[noise[1] % (CAPACITY_BYTES / 4)] = noise[2] % 64;
                break;
            case 1:
                f.shared->words[noise[1] % (CAPACITY_BYTES / 4)] = noise[2];
                break;
            case 2:
                f.shared->popped -= noise[1] % 8 * 8;
                break;
            case 3:
                f.shared->popped += noise[1] % 8 * 8;
                break;
            case 4: {
                enum status status = push(&f, bytes, noise[1] % sizeof bytes);
                forged_count += status == STATUS_FORGED;
                break;
            }
            default: {
                enum status status = ring_pop(&f.consumer, &f.frame);
                popped_count += status == STATUS_OK;
                forged_count += status == STATUS_FORGED;
                assert_true(f.frame.length <= CAPACITY_BYTES);
            }
            }
        }
        fixture_release(&f);
    }
    // The noise was neither too wild nor too tame to reach both ends.
    assert_true(popped_count > 1000);
    assert_true(forged_count > 1000);
}

/* ---- two threads ---- */

enum { STREAM_FRAME_COUNT = 200000 };

static size_t stream_length(uint64_t number)
{
    return (size_t)(number * 2654435761u % 97);
}

static void *stream_producer(void *context)
{
    struct fixture *f = context;
    uint8_t bytes[128];
    for (uint64_t number = 0; number < STREAM_FRAME_COUNT;) {
        size_t length = stream_length(number);
        fill(bytes, length, number);
        enum status status = push(f, bytes, length);
        if (status == STATUS_FULL) {
            sched_yield();
        } else if (status == STATUS_OK) {
            number++;
        } else {
            return "a push failed";
        }
    }
    return NULL;
}

static void two_threads_stream_whole_frames(void **state)
{
    struct fixture *f = *state;
    pthread_t producer;
    assert_int_equal(pthread_create(&producer, NULL, stream_producer, f), 0);
    uint8_t expected[128];
    for (uint64_t number = 0; number < STREAM_FRAME_COUNT;) {
        enum status status = ring_pop(&f->consumer, &f->frame);
        if (status == STATUS_EMPTY) {
            sched_yield();
            continue;
        }
        assert_int_equal(status, STATUS_OK);
        size_t length = stream_length(number);
        fill(expected, length, number);
        assert_int_equal(f->frame.length, length);
        assert_true(length == 0 || memcmp(f->frame.bytes, expected, length) == 0);
        number++;
    }
    void *complaint = NULL;
    pthread_join(producer, &complaint);
    assert_null(complaint);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_example_in_the_header_is_what_lies_in_memory, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(pops_in_push_order_across_the_wrap_at_every_size, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(random_sizes_keep_their_order, setup, teardown),
        cmocka_unit_test_setup_teardown(parts_become_one_frame, setup, teardown),
        cmocka_unit_test_setup_teardown(a_push_to_a_full_ring_writes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(an_empty_ring_leaves_the_buffer_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_frame_longer_than_a_small_ring_is_refused, setup,
                                        teardown),
        cmocka_unit_test(a_frame_longer_than_the_bound_is_refused),
        cmocka_unit_test_setup_teardown(p10_a_frame_that_was_never_pushed_is_only_rubbish, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(p10_no_impossible_position_of_the_consumer_is_believed,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(p10_no_impossible_length_is_believed, setup, teardown),
        cmocka_unit_test(p10_noise_over_all_shared_memory_is_survived),
        cmocka_unit_test_setup_teardown(two_threads_stream_whole_frames, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
