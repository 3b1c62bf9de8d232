/* tests/serve/response_test.c */

/*
 * Goal: whatever a function answers, what leaves is one well-formed response,
 * and an error's body is one JSON object.
 * Method: exact bytes; headers that would split a response; messages of hostile
 * bytes, read back by a JSON parser that is not ours.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "serve/response.h"

static void assert_encoded(const struct response *response, struct response_frame frame,
                           const char *text)
{
    struct buffer encoded = BUFFER_EMPTY;
    assert_int_equal(response_encode(&encoded, response, &frame), STATUS_OK);
    assert_int_equal(encoded.length, strlen(text));
    assert_memory_equal(encoded.bytes, text, encoded.length);
    buffer_release(&encoded);
}

static void encodes_what_the_request_allows(void **state)
{
    (void)state;
    const struct response_header etag = {bytes_text("ETag"), bytes_text("\"1\"")};
    struct response response = {
        .status = 200,
        .content_type = bytes_text("text/plain"),
        .headers = &etag,
        .header_count = 1,
        .body = bytes_text("hi"),
    };
    assert_encoded(&response, (struct response_frame){.closes = false},
                   "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n"
                   "ETag: \"1\"\r\n\r\nhi");
    assert_encoded(&response, (struct response_frame){.is_head = true, .closes = true},
                   "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n"
                   "Connection: close\r\nETag: \"1\"\r\n\r\n");
    assert_encoded(&response, (struct response_frame){.is_http_1_0 = true},
                   "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n"
                   "Connection: keep-alive\r\nETag: \"1\"\r\n\r\nhi");
    response = (struct response){.status = 304, .body = bytes_text("ignored")};
    assert_encoded(&response, (struct response_frame){.closes = false},
                   "HTTP/1.1 304 Not Modified\r\n\r\n");
    response.status = 299;
    assert_encoded(&response, (struct response_frame){.closes = false},
                   "HTTP/1.1 299 \r\nContent-Length: 7\r\n\r\nignored");
}

static void refuses_what_would_split_a_response(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        const char *name;
        const char *value;
    } cases[] = {
        {199, "A", "b"},
        {600, "A", "b"},
        {200, "", "b"},
        {200, "A b", "c"},
        {200, "A:", "c"},
        {200, "A\r\nB", "c"},
        {200, "\xc3\xa4", "c"},
        {200, "A", "b\r\nC: d"},
        {200, "A", "b\nC: d"},
        {200, "A", "b\rC: d"},
        {200, "A", "\x01"},
        {200, "Content-Length", "5"},
        {200, "content-type", "text/html"},
        {200, "CONNECTION", "close"},
        {200, "Transfer-Encoding", "chunked"},
        {200, "Upgrade", "h2c"},
    };
    struct buffer encoded = BUFFER_EMPTY;
    const struct response_frame frame = {.closes = false};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct response_header header = {bytes_text(cases[i].name),
                                               bytes_text(cases[i].value)};
        const struct response response = {
            .status = cases[i].status, .headers = &header, .header_count = 1};
        assert_int_equal(response_encode(&encoded, &response, &frame), STATUS_MALFORMED);
        assert_int_equal(encoded.length, 0);
    }
    const struct response typed = {.status = 200, .content_type = bytes_text("a\r\nb: c")};
    assert_int_equal(response_encode(&encoded, &typed, &frame), STATUS_MALFORMED);

    static struct response_header many[RESPONSE_HEADER_COUNT_MAX + 1];
    for (size_t i = 0; i <= RESPONSE_HEADER_COUNT_MAX; i++) {
        many[i] = (struct response_header){bytes_text("A"), bytes_text("b")};
    }
    struct response response = {
        .status = 200, .headers = many, .header_count = RESPONSE_HEADER_COUNT_MAX};
    assert_int_equal(response_encode(&encoded, &response, &frame), STATUS_OK);
    response.header_count++;
    assert_int_equal(response_encode(&encoded, &response, &frame), STATUS_MALFORMED);

    static char wide[RESPONSE_HEADER_BYTES_MAX];
    memset(wide, 'v', sizeof wide);
    many[0].value = bytes_of(wide, sizeof wide - 1);
    response.header_count = 1;
    assert_int_equal(response_encode(&encoded, &response, &frame), STATUS_OK);
    many[0].value.length++;
    assert_int_equal(response_encode(&encoded, &response, &frame), STATUS_MALFORMED);
    buffer_release(&encoded);
}

/* The message that comes back for `message`. */
static void assert_message(struct bytes message, const char *expected)
{
    struct buffer body = BUFFER_EMPTY;
    struct response response;
    assert_int_equal(response_error(&response, &body, 503, "behind", message), STATUS_OK);
    assert_int_equal(response.status, 503);
    json_t *root = json_loadb((const char *)response.body.at, response.body.length,
                              JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    assert_non_null(root);
    json_t *error = json_object_get(root, "error");
    assert_string_equal(json_string_value(json_object_get(error, "code")), "behind");
    json_t *got = json_object_get(error, "message");
    assert_int_equal(json_string_length(got), strlen(expected));
    assert_string_equal(json_string_value(got), expected);
    json_decref(root);
    buffer_release(&body);
}

static void an_error_is_json_whatever_its_message(void **state)
{
    (void)state;
    static const struct {
        const char *message;
        const char *expected;
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"\"quoted\" \\ \n\t\x01\x1f", "\"quoted\" \\ \n\t\x01\x1f"},
        {"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf",
         "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf"},
        {"a\x80z", "a\xef\xbf\xbdz"},
        {"\xc3", "\xef\xbf\xbd"},
        {"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xe0\x9f\xbf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xf0\x8f\xbf\xbf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xff", "\xef\xbf\xbd"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_message(bytes_text(cases[i].message), cases[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodes_what_the_request_allows),
        cmocka_unit_test(refuses_what_would_split_a_response),
        cmocka_unit_test(an_error_is_json_whatever_its_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
