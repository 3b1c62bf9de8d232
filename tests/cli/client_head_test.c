/* tests/cli/client_head_test.c */

/*
 * Goal: the head of a response is read as HTTP/1.1 means it, and what could mean two things is
 * refused.
 * Method: whole and cut heads, each refusal once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/client_head.h"

static void reads_status_length_and_fields(void **state)
{
    (void)state;
    static const char text[] =
        "HTTP/1.1 404 Not Found\r\ncontent-LENGTH:  12 \r\n"
        "X-Paranoid-Version: a.b\r\nConnection: close\r\n\r\nbody";
    struct client_head head;
    struct bytes value;
    assert_int_equal(client_head_parse(&head, bytes_text(text)), STATUS_OK);
    assert_int_equal(head.status, 404);
    assert_true(head.has_length);
    assert_int_equal(head.content_length, 12);
    assert_true(head.closes);
    assert_string_equal(text + head.head_bytes, "body");
    assert_true(client_head_field(&head, "x-paranoid-version", &value));
    assert_true(bytes_equal(value, bytes_text("a.b")));
    assert_false(client_head_field(&head, "etag", &value));
}

static void waits_for_every_byte_of_the_head(void **state)
{
    (void)state;
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    struct client_head head;
    for (size_t length = 0; length < sizeof text - 1; length++) {
        assert_int_equal(client_head_parse(&head, bytes_of(text, length)), STATUS_EMPTY);
    }
    assert_int_equal(client_head_parse(&head, bytes_text(text)), STATUS_OK);
}

static void refuses_what_is_no_response_or_two_in_one(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum status status;
    } cases[] = {
        {"HTTP/1.0 200 OK\r\n\r\n", STATUS_MALFORMED},
        {"HTTP/1.1 20 OK\r\n\r\n", STATUS_MALFORMED},
        {"HTTP/1.1 099 No\r\n\r\n", STATUS_MALFORMED},
        {"HTTP/1.1 600 No\r\n\r\n", STATUS_MALFORMED},
        {"HTTP/1.1 2000 OK\r\n\r\n", STATUS_MALFORMED},
        {"\r\n\r\n", STATUS_MALFORMED},
        {"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", STATUS_MALFORMED},
        {"HTTP/1.1 200 OK\r\n: x\r\n\r\n", STATUS_MALFORMED},
        {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", STATUS_MALFORMED},
        {"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", STATUS_MALFORMED},
        {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", STATUS_MALFORMED},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", STATUS_MALFORMED},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", STATUS_DENIED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct client_head head;
        assert_int_equal(client_head_parse(&head, bytes_text(cases[i].text)), cases[i].status);
    }
}

static void a_head_without_end_is_refused_at_its_bound(void **state)
{
    (void)state;
    static const char start[] = "HTTP/1.1 200 OK\r\n";
    struct client_head head;
    char *text = malloc(CLIENT_HEAD_BYTES_MAX + 1);
    assert_non_null(text);
    memset(text, 'x', CLIENT_HEAD_BYTES_MAX + 1);
    memcpy(text, start, sizeof start - 1);
    assert_int_equal(client_head_parse(&head, bytes_of(text, CLIENT_HEAD_BYTES_MAX)), STATUS_EMPTY);
    assert_int_equal(client_head_parse(&head, bytes_of(text, CLIENT_HEAD_BYTES_MAX + 1)),
                     STATUS_MALFORMED);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_status_length_and_fields),
        cmocka_unit_test(waits_for_every_byte_of_the_head),
        cmocka_unit_test(refuses_what_is_no_response_or_two_in_one),
        cmocka_unit_test(a_head_without_end_is_refused_at_its_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
