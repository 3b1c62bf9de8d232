/* tests/wire/channel_test.c */

/*
 * Goal: a message that was sealed opens once, at the other end, in whatever
 * order it arrives within the window; nothing else opens, and what was refused
 * changes nothing.
 * Method: two ends with swapped keys; repeat, reorder, delay, reflect and
 * flip what travels between them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/crypto.h"
#include "tests/wire/bodies.h"
#include "wire/channel.h"

enum { MESSAGE_COUNT = 2 * CHANNEL_WINDOW_COUNT + 100 };

struct fixture {
    struct channel *alice;
    struct channel *bob;
    struct buffer sealed;  // messages of SEALED_BYTES, one after the other
    struct buffer plain;
};

// Every message of seal_many() is its own number.
enum { SEALED_BYTES = CHANNEL_OVERHEAD_BYTES + sizeof(uint32_t) };

static struct channel *end_new(uint8_t send_first, uint8_t receive_first)
{
    struct secret *send = bodies_secret(send_first);
    struct secret *receive = bodies_secret(receive_first);
    struct channel *channel = channel_new(&send, &receive);
    assert_null(send);
    assert_null(receive);
    return channel;
}

static int setup(void **state)
{
    static struct fixture f;
    f.alice = end_new(0x10, 0x50);
    f.bob = end_new(0x50, 0x10);
    f.sealed = BUFFER_EMPTY;
    f.plain = BUFFER_EMPTY;
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    channel_free(f->alice);
    channel_free(f->bob);
    buffer_release(&f->sealed);
    buffer_release(&f->plain);
    return 0;
}

/* Messages 0 to count - 1, from alice. */
static void seal_many(struct fixture *f, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(channel_seal(f->alice, &f->sealed, bytes_of(&i, sizeof i)), STATUS_OK);
    }
    assert_int_equal(f->sealed.length, (size_t)count * SEALED_BYTES);
}

static enum status open_one(struct fixture *f, uint32_t index)
{
    buffer_clear(&f->plain);
    enum status status = channel_open(
        f->bob, &f->plain, bytes_of(f->sealed.bytes + (size_t)index * SEALED_BYTES, SEALED_BYTES));
    if (status == STATUS_OK) {
        bodies_assert_equal(buffer_bytes(&f->plain), bytes_of(&index, sizeof index));
    } else {
        assert_int_equal(f->plain.length, 0);
    }
    return status;
}

static void messages_open_at_the_other_end_in_both_directions(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 3; i++) {
        buffer_clear(&f->sealed);
        buffer_clear(&f->plain);
        assert_int_equal(channel_seal(f->alice, &f->sealed, bytes_text("question")), STATUS_OK);
        assert_int_equal(f->sealed.length, strlen("question") + CHANNEL_OVERHEAD_BYTES);
        assert_int_equal(channel_open(f->bob, &f->plain, buffer_bytes(&f->sealed)), STATUS_OK);
        bodies_assert_equal(buffer_bytes(&f->plain), bytes_text("question"));

        buffer_clear(&f->sealed);
        assert_int_equal(channel_seal(f->bob, &f->sealed, bytes_text("answer")), STATUS_OK);
        assert_int_equal(channel_open(f->alice, &f->plain, buffer_bytes(&f->sealed)), STATUS_OK);
        bodies_assert_equal(buffer_bytes(&f->plain), bytes_text("questionanswer"));
    }
}

static void an_empty_message_is_a_message(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(channel_seal(f->alice, &f->sealed, bytes_of(NULL, 0)), STATUS_OK);
    assert_int_equal(channel_open(f->bob, &f->plain, buffer_bytes(&f->sealed)), STATUS_OK);
    assert_int_equal(f->plain.length, 0);
    assert_int_equal(channel_open(f->bob, &f->plain, buffer_bytes(&f->sealed)), STATUS_STALE);
}

static void p1_equal_messages_never_look_alike(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(channel_seal(f->alice, &f->sealed, bytes_text("same")), STATUS_OK);
    assert_int_equal(channel_seal(f->alice, &f->sealed, bytes_text("same")), STATUS_OK);
    size_t half = f->sealed.length / 2;
    assert_memory_not_equal(f->sealed.bytes + 8, f->sealed.bytes + half + 8, half - 8);
}

static void p2_a_message_opens_only_once(void **state)
{
    struct fixture *f = *state;
    seal_many(f, MESSAGE_COUNT);
    for (uint32_t i = 0; i < MESSAGE_COUNT; i++) {
        assert_int_equal(open_one(f, i), STATUS_OK);
        assert_int_equal(open_one(f, i), STATUS_STALE);
        assert_int_equal(open_one(f, i / 2), STATUS_STALE);
    }
}

static void messages_open_in_any_order_within_the_window(void **state)
{
    struct fixture *f = *state;
    seal_many(f, CHANNEL_WINDOW_COUNT);
    for (uint32_t i = CHANNEL_WINDOW_COUNT; i > 0; i--) {
        assert_int_equal(open_one(f, i - 1), STATUS_OK);
    }
    for (uint32_t i = 0; i < CHANNEL_WINDOW_COUNT; i++) {
        assert_int_equal(open_one(f, i), STATUS_STALE);
    }
}

static void the_window_ends_exactly_where_it_says(void **state)
{
    struct fixture *f = *state;
    seal_many(f, MESSAGE_COUNT);
    uint32_t highest = MESSAGE_COUNT - 1;
    assert_int_equal(open_one(f, highest), STATUS_OK);
    assert_int_equal(open_one(f, highest - CHANNEL_WINDOW_COUNT), STATUS_STALE);
    assert_int_equal(open_one(f, highest - CHANNEL_WINDOW_COUNT + 1), STATUS_OK);
    assert_int_equal(open_one(f, highest - CHANNEL_WINDOW_COUNT + 1), STATUS_STALE);
}

/* Against a list of all that was accepted: orders with gaps, jumps and repetitions. */
static void p2_any_order_agrees_with_a_list_of_what_was_seen(void **state)
{
    struct fixture *f = *state;
    const char *seed_text = getenv("SEED");
    unsigned long long seed = seed_text != NULL ? strtoull(seed_text, NULL, 0) : 8121;
    print_message("SEED=%llu\n", seed);
    struct random_seeded storage;
    struct random random = random_seeded(&storage, seed);

    seal_many(f, MESSAGE_COUNT);
    static bool is_seen[MESSAGE_COUNT];
    memset(is_seen, 0, sizeof is_seen);
    uint32_t highest = 0;
    uint32_t middle = 0;
    for (int i = 0; i < 20000; i++) {
        uint32_t drawn;
        random_fill(&random, &drawn, sizeof drawn);
        middle = drawn % 512 == 0 ? middle + CHANNEL_WINDOW_COUNT / 2 : middle + drawn % 2;
        uint32_t index = (middle + (drawn >> 16) % (CHANNEL_WINDOW_COUNT + 200)) % MESSAGE_COUNT;
        bool is_below = index + CHANNEL_WINDOW_COUNT <= highest;
        enum status expected = is_seen[index] || is_below ? STATUS_STALE : STATUS_OK;
        assert_int_equal(open_one(f, index), expected);
        is_seen[index] = true;
        highest = index > highest ? index : highest;
    }
}

static void p2_a_message_does_not_open_at_the_end_that_sealed_it(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(channel_seal(f->alice, &f->sealed, bytes_text("mirror")), STATUS_OK);
    assert_int_equal(channel_open(f->alice, &f->plain, buffer_bytes(&f->sealed)), STATUS_FORGED);
    assert_int_equal(f->plain.length, 0);
}

static void p2_a_message_of_another_channel_does_not_open(void **state)
{
    struct fixture *f = *state;
    struct channel *stranger = end_new(0x11, 0x51);
    assert_int_equal(channel_seal(stranger, &f->sealed, bytes_text("hello")), STATUS_OK);
    assert_int_equal(channel_open(f->bob, &f->plain, buffer_bytes(&f->sealed)), STATUS_FORGED);
    channel_free(stranger);
}

static void p2_a_message_with_any_bit_flipped_does_not_open(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(channel_seal(f->alice, &f->sealed, bytes_text("sealed")), STATUS_OK);
    for (size_t bit = 0; bit < 8 * f->sealed.length; bit++) {
        uint8_t mask = (uint8_t)(1u << bit % 8);
        f->sealed.bytes[bit / 8] ^= mask;
        // The lowest bit turns the counter into 0, which no message has.
        assert_int_equal(channel_open(f->bob, &f->plain, buffer_bytes(&f->sealed)),
                         bit == 0 ? STATUS_MALFORMED : STATUS_FORGED);
        f->sealed.bytes[bit / 8] ^= mask;
    }
    assert_int_equal(f->plain.length, 0);
    // None of the counters that were tried is burnt.
    assert_int_equal(channel_open(f->bob, &f->plain, buffer_bytes(&f->sealed)), STATUS_OK);
}

static void every_truncation_and_every_extension_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(channel_seal(f->alice, &f->sealed, bytes_text("sealed")), STATUS_OK);
    for (size_t length = 0; length < f->sealed.length; length++) {
        uint8_t *exact = malloc(length);
        assert_true(exact != NULL || length == 0);
        memcpy(exact, f->sealed.bytes, length);
        assert_int_equal(channel_open(f->bob, &f->plain, bytes_of(exact, length)),
                         length < CHANNEL_OVERHEAD_BYTES ? STATUS_MALFORMED : STATUS_FORGED);
        free(exact);
    }
    assert_int_equal(buffer_append(&f->sealed, "", 1), STATUS_OK);
    assert_int_equal(channel_open(f->bob, &f->plain, buffer_bytes(&f->sealed)), STATUS_FORGED);
    assert_int_equal(f->plain.length, 0);
}

static void freeing_no_channel_does_nothing(void **state)
{
    (void)state;
    channel_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    crypto_init();
    const struct CMUnitTest tests[] = {
        TEST(messages_open_at_the_other_end_in_both_directions),
        TEST(an_empty_message_is_a_message),
        TEST(p1_equal_messages_never_look_alike),
        TEST(p2_a_message_opens_only_once),
        TEST(messages_open_in_any_order_within_the_window),
        TEST(the_window_ends_exactly_where_it_says),
        TEST(p2_any_order_agrees_with_a_list_of_what_was_seen),
        TEST(p2_a_message_does_not_open_at_the_end_that_sealed_it),
        TEST(p2_a_message_of_another_channel_does_not_open),
        TEST(p2_a_message_with_any_bit_flipped_does_not_open),
        TEST(every_truncation_and_every_extension_is_refused),
        TEST(freeing_no_channel_does_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
