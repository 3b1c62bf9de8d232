/* tests/store/post_test.c */

/*
 * Goal: what a host and a store say to each other arrives as it was said, whole or not yet, and
 * nothing that breaks the form is taken.
 * Method: encode, decode byte by byte, bend lengths and kinds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/encoder.h"
#include "store/post.h"

static void a_message_is_decoded_once_it_is_whole(void **state)
{
    (void)state;
    struct buffer said = BUFFER_EMPTY;
    struct post_message message;
    assert_int_equal(post_encode(&said, POST_FRAME, 77, bytes_text("frame")), STATUS_OK);
    assert_int_equal(post_encode(&said, POST_OPENED, 0, bytes_of(NULL, 0)), STATUS_OK);
    for (size_t length = 0; length < POST_HEADER_BYTES + 5; length++) {
        size_t at = 0;
        assert_int_equal(post_decode(&message, bytes_of(said.bytes, length), &at), STATUS_EMPTY);
        assert_int_equal(at, 0);
    }
    size_t at = 0;
    assert_int_equal(post_decode(&message, buffer_bytes(&said), &at), STATUS_OK);
    assert_int_equal(message.kind, POST_FRAME);
    assert_int_equal(message.client, 77);
    assert_true(bytes_equal(message.rest, bytes_text("frame")));
    assert_int_equal(post_decode(&message, buffer_bytes(&said), &at), STATUS_OK);
    assert_int_equal(message.kind, POST_OPENED);
    assert_int_equal(message.rest.length, 0);
    assert_int_equal(post_decode(&message, buffer_bytes(&said), &at), STATUS_EMPTY);
    buffer_release(&said);
}

static void impossible_lengths_and_kinds_are_malformed(void **state)
{
    (void)state;
    const struct {
        uint32_t length;
        uint8_t kind;
    } cases[] = {{8, POST_FRAME}, {POST_BYTES_MAX - 3, POST_FRAME}, {9, 0}, {9, POST_KIND_COUNT}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t bytes[POST_HEADER_BYTES];
        struct post_message message;
        size_t at = 0;
        struct encoder out = encoder_over(bytes, sizeof bytes);
        encoder_u32(&out, cases[i].length);
        encoder_u8(&out, cases[i].kind);
        encoder_u64(&out, 0);
        assert_int_equal(post_decode(&message, bytes_of(bytes, sizeof bytes), &at),
                         STATUS_MALFORMED);
    }
}

static void more_than_a_frame_is_not_encoded(void **state)
{
    (void)state;
    static uint8_t zeroes[FRAME_BYTES_MAX + 1];
    struct buffer said = BUFFER_EMPTY;
    assert_int_equal(post_encode(&said, POST_FRAME, 0, bytes_of(zeroes, sizeof zeroes)),
                     STATUS_MALFORMED);
    assert_int_equal(said.length, 0);
    assert_int_equal(post_encode(&said, POST_FRAME, 0, bytes_of(zeroes, FRAME_BYTES_MAX)),
                     STATUS_OK);
    buffer_release(&said);
}

static void counters_come_back_and_nothing_shorter_or_longer_does(void **state)
{
    (void)state;
    struct post_counters said, heard;
    memset(&said, 0, sizeof said);
    memset(&heard, 0, sizeof heard);
    said.store = (struct store_counters){.record_count = 1,
                                         .record_bytes = 2,
                                         .commit_count = 3,
                                         .commit_us_total = 4,
                                         .refused_count = 5,
                                         .segment_count = 6};
    said.is_refilling = true;
    said.aside_count = 7;
    struct buffer rest = BUFFER_EMPTY;
    assert_int_equal(post_counters_encode(&rest, &said), STATUS_OK);
    assert_int_equal(post_counters_decode(&heard, buffer_bytes(&rest)), STATUS_OK);
    assert_memory_equal(&heard, &said, sizeof said);
    assert_int_equal(post_counters_decode(&heard, bytes_of(rest.bytes, rest.length - 1)),
                     STATUS_MALFORMED);
    assert_int_equal(buffer_append(&rest, "", 1), STATUS_OK);
    assert_int_equal(post_counters_decode(&heard, buffer_bytes(&rest)), STATUS_MALFORMED);
    buffer_release(&rest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_decoded_once_it_is_whole),
        cmocka_unit_test(impossible_lengths_and_kinds_are_malformed),
        cmocka_unit_test(more_than_a_frame_is_not_encoded),
        cmocka_unit_test(counters_come_back_and_nothing_shorter_or_longer_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
