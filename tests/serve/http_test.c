/* tests/serve/http_test.c */

/*
 * Goal: a request is read the same however it is cut, and nothing that two
 * readers could read in two ways is read at all.
 * Method: each request whole, then byte by byte; one table of what is refused,
 * with the status it is refused with.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "serve/http.h"

enum { HEAD_BYTES_MAX = 1024, BODY_BYTES_MAX = 64 };

static int setup(void **state)
{
    const struct http_limits limits = {HEAD_BYTES_MAX, BODY_BYTES_MAX};
    *state = http_new(&limits);
    return *state == NULL;
}

static int teardown(void **state)
{
    http_free(*state);
    return 0;
}

/* Feed `text` in pieces of `step` bytes, each in an allocation of its own. `*used` counts all. */
static enum status feed(struct http_parser *parser, struct bytes text, size_t step, size_t *used)
{
    *used = 0;
    enum status status = STATUS_EMPTY;
    while (*used < text.length && status == STATUS_EMPTY) {
        size_t length = text.length - *used < step ? text.length - *used : step;
        uint8_t *piece = malloc(length);
        assert_non_null(piece);
        memcpy(piece, text.at + *used, length);
        size_t piece_used = 0;
        status = http_feed(parser, bytes_of(piece, length), &piece_used);
        free(piece);
        assert_true(piece_used <= length);
        if (status == STATUS_EMPTY) {
            assert_int_equal(piece_used, length);
        }
        *used += piece_used;
    }
    return status;
}

/* Add to a text of `capacity` bytes. */
static void add(char *text, size_t capacity, const char *more)
{
    size_t length = strlen(text);
    assert_true(length + strlen(more) < capacity);
    memcpy(text + length, more, strlen(more) + 1);
}

static void assert_text(struct bytes bytes, const char *text)
{
    assert_int_equal(bytes.length, strlen(text));
    assert_memory_equal(bytes.length == 0 ? (const void *)"" : bytes.at, text, strlen(text));
}

static void reads_a_request_however_it_is_cut(void **state)
{
    struct http_parser *parser = *state;
    static const char text[] =
        "POST /kv/a%20b/c?x=%41&y HTTP/1.1\r\nHost: h\r\nAUTHORIZATION: bearer  t0ken \r\n"
        "Empty:\r\nContent-Length: 5\r\nX-Two:  a, b \t\r\n\r\nhello";
    for (size_t step = 1; step <= sizeof text; step++) {
        size_t used;
        http_reset(parser);
        assert_int_equal(feed(parser, bytes_text(text), step, &used), STATUS_OK);
        assert_int_equal(used, sizeof text - 1);
        const struct http_request *request = http_request(parser);
        assert_int_equal(request->method, HTTP_METHOD_POST);
        assert_text(request->path, "/kv/a b/c");
        assert_text(request->query, "x=%41&y");
        assert_text(request->token, "t0ken");
        assert_text(request->body, "hello");
        assert_true(request->keeps_alive);
        assert_int_equal(request->header_count, 5);
        struct bytes value;
        assert_true(http_find(request, "x-two", &value));
        assert_text(value, "a, b");
        assert_true(http_find(request, "empty", &value));
        assert_text(value, "");
        assert_false(http_find(request, "x-three", &value));
    }
}

static void reads_chunks_however_they_are_cut(void **state)
{
    struct http_parser *parser = *state;
    static const char text[] =
        "PUT /kv/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n"
        "3\r\nabc\r\nA;name=value\r\n0123456789\r\n0\r\n\r\n";
    for (size_t step = 1; step <= sizeof text; step++) {
        size_t used;
        http_reset(parser);
        assert_int_equal(feed(parser, bytes_text(text), step, &used), STATUS_OK);
        assert_int_equal(used, sizeof text - 1);
        assert_text(http_request(parser)->body, "abc0123456789");
    }
}

static void leaves_the_next_request_alone(void **state)
{
    struct http_parser *parser = *state;
    static const char first[] = "PUT /kv/a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi";
    static const char second[] = "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";
    char both[sizeof first + sizeof second] = "";
    add(both, sizeof both, first);
    add(both, sizeof both, second);

    size_t used;
    assert_int_equal(feed(parser, bytes_text(both), sizeof both, &used), STATUS_OK);
    assert_int_equal(used, sizeof first - 1);
    http_reset(parser);
    assert_int_equal(feed(parser, bytes_text(both + used), sizeof both, &used), STATUS_OK);
    assert_int_equal(used, sizeof second - 1);
    assert_text(http_request(parser)->path, "/healthz");
    assert_text(http_request(parser)->body, "");
}

#define HOST "Host: h\r\n"
#define GET "GET / HTTP/1.1\r\n"
#define POST "POST / HTTP/1.1\r\n" HOST

static const struct {
    const char *text;
    unsigned status;
} refused[] = {
    // What makes two readers disagree about where a request ends.
    {POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    {POST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 400},
    {POST "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400},
    {POST "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400},
    {POST "Content-Length: +1\r\n\r\na", 400},
    {POST "Content-Length: -1\r\n\r\na", 400},
    {POST "Content-Length: 1, 1\r\n\r\na", 400},
    {POST "Content-Length: 0x1\r\n\r\na", 400},
    {POST "Content-Length: 1 1\r\n\r\na", 400},
    {POST "Content-Length:\r\n\r\n", 400},
    {POST "Content-Length: 18446744073709551617\r\n\r\na", 400},
    {POST "Content-Length : 1\r\n\r\na", 400},
    {POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
    {POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400},
    {POST "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400},
    {POST "Transfer-Encoding: identity\r\n\r\n", 400},
    {POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400},
    {POST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 400},
    {POST "Transfer-Encoding:\r\n\r\n", 400},
    {POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400},
    {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
    {POST "Transfer-Encoding: chunked\r\n\r\n1;a\nb\r\nx\r\n0\r\n\r\n", 400},
    {POST "Transfer-Encoding: chunked\r\n\r\n1\nx\n0\n\n", 400},
    {POST "Transfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n", 400},
    {POST "Transfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n", 400},
    {POST "Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n", 400},
    {POST "Transfer-Encoding: chunked\r\n\r\n\r\n", 400},
    {POST "Transfer-Encoding: chunked\r\n\r\n0\r\nTrailer: x\r\n\r\n", 400},
    {POST "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 400},

    // Lines.
    {"GET / HTTP/1.1\n" HOST "\r\n", 400},
    {GET "Host: h\n\r\n", 400},
    {GET HOST "A: b\rC: d\r\n\r\n", 400},
    {GET HOST "A: \r\r\n\r\n", 400},
    {GET HOST "\rA: b\r\n\r\n", 400},
    {GET HOST "A\r: b\r\n\r\n", 400},
    {GET HOST "A: b\r\n c\r\n\r\n", 400},
    {GET HOST "A: b\r\n\tc\r\n\r\n", 400},
    {GET " " HOST "\r\n", 400},
    {GET HOST "A: b\x01\r\n\r\n", 400},
    {GET HOST "A: b\x7f\r\n\r\n", 400},
    {GET HOST "A b: c\r\n\r\n", 400},
    {GET HOST ": c\r\n\r\n", 400},
    {GET HOST "no colon\r\n\r\n", 400},
    {"\r\n" GET HOST "\r\n", 400},
    {" " GET HOST "\r\n", 400},
    {"GET  / HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET /  HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET / HTTP/1.1 \r\n" HOST "\r\n", 505},
    {"GET\t/\tHTTP/1.1\r\n" HOST "\r\n", 501},

    // Host.
    {GET "\r\n", 400},
    {GET HOST "Host: i\r\n\r\n", 400},
    {"GET / HTTP/1.0\r\n" HOST HOST "\r\n", 400},

    // Targets.
    {"GET a HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET * HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET http://h/ HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET /#a HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET /%0 HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET /% HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET /%g0 HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET /%00 HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET /.. HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET /a/../b HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET /a/%2e%2E HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET /a%2f..%2fb HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET /./a HTTP/1.1\r\n" HOST "\r\n", 400},

    // Methods and versions.
    {"BREW / HTTP/1.1\r\n" HOST "\r\n", 501},
    {"get / HTTP/1.1\r\n" HOST "\r\n", 501},
    {"TRACE / HTTP/1.1\r\n" HOST "\r\n", 501},
    {"CONNECT h:443 HTTP/1.1\r\n" HOST "\r\n", 501},
    {"GET / HTTP/2.0\r\n" HOST "\r\n", 505},
    {"GET / HTTP/0.9\r\n" HOST "\r\n", 505},
    {"GET / HTTP/1.2\r\n" HOST "\r\n", 505},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
    {"GET /\r\n\r\n", 505},

    // The rest.
    {POST "Expect: a miracle\r\nContent-Length: 1\r\n\r\n", 417},
    {GET HOST "Authorization: Basic YTpi\r\n\r\n", 400},
    {GET HOST "Authorization: Bearer\r\n\r\n", 400},
    {GET HOST "Authorization: Bearer a b\r\n\r\n", 400},
    {GET HOST "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n", 400},
    {POST "Content-Length: 65\r\n\r\n", 413},
    {POST "Transfer-Encoding: chunked\r\n\r\n41\r\n", 413},
};

static void refuses_what_can_be_read_in_two_ways(void **state)
{
    struct http_parser *parser = *state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        for (size_t step = 1; step <= 4096; step += 4095) {
            size_t used;
            http_reset(parser);
            enum status status = feed(parser, bytes_text(refused[i].text), step, &used);
            if (status != STATUS_MALFORMED || http_refusal(parser)->status != refused[i].status) {
                fail_msg("step %zu: %s, %u for:\n%s", step, status_text(status),
                         http_refusal(parser)->status, refused[i].text);
            }
        }
    }
}

static void refuses_nul_bytes(void **state)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: h\r\nA: b\0c\r\n\r\n";
    size_t used;
    assert_int_equal(feed(*state, bytes_of(text, sizeof text - 1), 4096, &used), STATUS_MALFORMED);
    assert_int_equal(http_refusal(*state)->status, 400);
}

/* A request whose head is `head_bytes` long, by a header or by its path. */
static char *request_of(size_t head_bytes, const char *before, const char *after)
{
    size_t filler = head_bytes - strlen(before) - strlen(after);
    char *text = malloc(head_bytes + 1);
    assert_non_null(text);
    memcpy(text, before, strlen(before));
    memset(text + strlen(before), 'a', filler);
    memcpy(text + strlen(before) + filler, after, strlen(after) + 1);
    return text;
}

static void bounds_the_head(void **state)
{
    struct http_parser *parser = *state;
    size_t used;
    for (size_t step = 1; step <= 4096; step += 4095) {
        char *fits = request_of(HEAD_BYTES_MAX, GET HOST "A: ", "\r\n\r\n");
        char *over = request_of(HEAD_BYTES_MAX + 1, GET HOST "A: ", "\r\n\r\n");
        char *endless = request_of(4 * HEAD_BYTES_MAX, GET HOST "A: ", "");
        http_reset(parser);
        assert_int_equal(feed(parser, bytes_text(fits), step, &used), STATUS_OK);
        http_reset(parser);
        assert_int_equal(feed(parser, bytes_text(over), step, &used), STATUS_MALFORMED);
        assert_int_equal(http_refusal(parser)->status, 431);
        http_reset(parser);
        assert_int_equal(feed(parser, bytes_text(endless), step, &used), STATUS_MALFORMED);
        assert_int_equal(http_refusal(parser)->status, 431);
        free(fits);
        free(over);
        free(endless);
    }
}

static void bounds_the_target(void **state)
{
    size_t used;
    char *endless = request_of(4 * HEAD_BYTES_MAX, "GET /", "");
    assert_int_equal(feed(*state, bytes_text(endless), 4096, &used), STATUS_MALFORMED);
    assert_int_equal(http_refusal(*state)->status, 414);
    free(endless);

    // Where the head may be larger than a target may.
    const struct http_limits wide = {2 * HTTP_TARGET_BYTES_MAX, BODY_BYTES_MAX};
    static const char after[] = " HTTP/1.1\r\nHost: h\r\n\r\n";
    for (size_t extra = 0; extra < 2; extra++) {
        struct http_parser *parser = http_new(&wide);
        assert_non_null(parser);
        size_t head_bytes = 4 + HTTP_TARGET_BYTES_MAX + extra + strlen(after);
        char *text = request_of(head_bytes, "GET /", after);
        assert_int_equal(feed(parser, bytes_text(text), 4096, &used),
                         extra == 0 ? STATUS_OK : STATUS_MALFORMED);
        assert_int_equal(http_refusal(parser)->status, extra == 0 ? 0 : 414);
        free(text);
        http_free(parser);
    }
}

static void bounds_the_headers(void **state)
{
    struct http_parser *parser = *state;
    for (size_t count = HTTP_HEADER_COUNT_MAX; count <= HTTP_HEADER_COUNT_MAX + 1; count++) {
        char text[HEAD_BYTES_MAX] = GET HOST;
        for (size_t i = 1; i < count; i++) {
            add(text, sizeof text, "A: b\r\n");
        }
        add(text, sizeof text, "\r\n");
        size_t used;
        http_reset(parser);
        enum status expected = count <= HTTP_HEADER_COUNT_MAX ? STATUS_OK : STATUS_MALFORMED;
        assert_int_equal(feed(parser, bytes_text(text), sizeof text, &used), expected);
    }
    assert_int_equal(http_refusal(parser)->status, 431);
}

static void bounds_the_body(void **state)
{
    struct http_parser *parser = *state;
    size_t used;
    char text[1024] = POST "Content-Length: 64\r\n\r\n";
    for (size_t i = 0; i < BODY_BYTES_MAX; i++) {
        add(text, sizeof text, "x");
    }
    assert_int_equal(feed(parser, bytes_text(text), 7, &used), STATUS_OK);
    assert_int_equal(http_request(parser)->body.length, BODY_BYTES_MAX);

    // 65 bytes in chunks of one.
    text[0] = '\0';
    add(text, sizeof text, POST "Transfer-Encoding: chunked\r\n\r\n");
    for (size_t i = 0; i < BODY_BYTES_MAX + 1; i++) {
        add(text, sizeof text, "1\r\nx\r\n");
    }
    http_reset(parser);
    assert_int_equal(feed(parser, bytes_text(text), 7, &used), STATUS_MALFORMED);
    assert_int_equal(http_refusal(parser)->status, 413);
}

static void knows_who_keeps_the_connection(void **state)
{
    struct http_parser *parser = *state;
    static const struct {
        const char *text;
        bool keeps_alive;
        bool is_http_1_0;
    } cases[] = {
        {GET HOST "\r\n", true, false},
        {GET HOST "Connection: close\r\n\r\n", false, false},
        {GET HOST "Connection: keep-alive\r\n\r\n", true, false},
        {"GET / HTTP/1.0\r\n\r\n", false, true},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true, true},
        {GET HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", true, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t used;
        http_reset(parser);
        assert_int_equal(feed(parser, bytes_text(cases[i].text), 4096, &used), STATUS_OK);
        assert_int_equal(http_request(parser)->keeps_alive, cases[i].keeps_alive);
        assert_int_equal(http_request(parser)->is_http_1_0, cases[i].is_http_1_0);
    }
}

static void waits_for_continue_between_head_and_body(void **state)
{
    struct http_parser *parser = *state;
    size_t used;
    static const char head[] = POST "Expect: 100-Continue\r\nContent-Length: 2\r\n\r\n";
    assert_false(http_has_begun(parser));
    assert_int_equal(feed(parser, bytes_text(head), 1, &used), STATUS_EMPTY);
    assert_true(http_has_head(parser));
    assert_true(http_awaits_continue(parser));
    assert_int_equal(feed(parser, bytes_text("h"), 1, &used), STATUS_EMPTY);
    assert_false(http_awaits_continue(parser));
    assert_int_equal(feed(parser, bytes_text("i"), 1, &used), STATUS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_a_request_however_it_is_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_chunks_however_they_are_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(leaves_the_next_request_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_what_can_be_read_in_two_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_nul_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(bounds_the_head, setup, teardown),
        cmocka_unit_test_setup_teardown(bounds_the_target, setup, teardown),
        cmocka_unit_test_setup_teardown(bounds_the_headers, setup, teardown),
        cmocka_unit_test_setup_teardown(bounds_the_body, setup, teardown),
        cmocka_unit_test_setup_teardown(knows_who_keeps_the_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(waits_for_continue_between_head_and_body, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
