/* tests/serve/routes_test.c */

/*
 * Goal: each request means one thing, or is refused with the status that says
 * why; what a route carries is what was sent, decoded once.
 * Method: requests as text, through the parser, into tables of routes and of refusals.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "serve/percent.h"
#include "serve/query.h"
#include "serve/routes.h"

struct fixture {
    struct http_parser *parser;
    struct route route;
    struct http_refusal refusal;
};

static int setup(void **state)
{
    static struct fixture f;
    const struct http_limits limits = {16 * 1024, 1024};
    f.parser = http_new(&limits);
    *state = &f;
    return f.parser == NULL;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    http_free(f->parser);
    return 0;
}

/* Resolve "METHOD target" with `headers`, each ended by CR LF. */
static enum status resolve(struct fixture *f, const char *line, const char *headers)
{
    char text[8192];
    int length = snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: h\r\n%s\r\n", line, headers);
    assert_true(length > 0 && (size_t)length < sizeof text);
    http_reset(f->parser);
    size_t used;
    assert_int_equal(http_feed(f->parser, bytes_of(text, (size_t)length), &used), STATUS_OK);
    return routes_resolve(&f->route, http_request(f->parser), &f->refusal);
}

static void assert_text(struct bytes bytes, const char *text)
{
    assert_true(bytes_equal(bytes, bytes_text(text)));
}

static void knows_each_route(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *line;
        enum route_action action;
    } cases[] = {
        {"POST /function/hello", ROUTE_FUNCTION},
        {"POST /function/a?any=%zz", ROUTE_FUNCTION},
        {"GET /function/a", ROUTE_FUNCTION},
        {"HEAD /function/a", ROUTE_FUNCTION},
        {"GET /kv/a", ROUTE_KV_GET},
        {"HEAD /kv/a", ROUTE_KV_GET},
        {"PUT /kv/a", ROUTE_KV_PUT},
        {"DELETE /kv/a", ROUTE_KV_DELETE},
        {"GET /kv", ROUTE_KV_LIST},
        {"GET /kv?", ROUTE_KV_LIST},
        {"GET /evidence?nonce=00", ROUTE_EVIDENCE},
        {"GET /healthz", ROUTE_HEALTHZ},
        {"HEAD /healthz", ROUTE_HEALTHZ},
        {"GET /logs", ROUTE_LOGS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(resolve(f, cases[i].line, ""), STATUS_OK);
        assert_int_equal(f->route.action, cases[i].action);
    }
}

static void refuses_what_it_does_not_know(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *line;
        unsigned status;
        const char *allow;
    } cases[] = {
        {"GET /", 404, NULL},
        {"GET /kvx", 404, NULL},
        {"GET /function", 404, NULL},
        {"GET /healthz/", 404, NULL},
        {"GET //healthz", 404, NULL},
        {"PUT /function/a", 405, "GET, HEAD, POST"},
        {"POST /kv/a", 405, "GET, HEAD, PUT, DELETE"},
        {"OPTIONS /kv/a", 405, "GET, HEAD, PUT, DELETE"},
        {"PUT /kv", 405, "GET, HEAD"},
        {"DELETE /healthz", 405, "GET, HEAD"},
        {"POST /function/", 400, NULL},
        {"POST /function/a/b", 400, NULL},
        {"POST /function/a%20b", 400, NULL},
        {"GET /kv/", 400, NULL},
        {"GET /kv/a?b=c", 400, NULL},
        {"GET /kv?unknown=1", 400, NULL},
        {"GET /kv?nonce=00", 400, NULL},
        {"GET /kv?limit=1&limit=1", 400, NULL},
        {"GET /kv?limit=0", 400, NULL},
        {"GET /kv?limit=1001", 400, NULL},
        {"GET /kv?limit=-1", 400, NULL},
        {"GET /kv?limit=+1", 400, NULL},
        {"GET /kv?limit=", 400, NULL},
        {"GET /kv?limit=18446744073709551617", 400, NULL},
        {"GET /kv?prefix=%f", 400, NULL},
        {"GET /kv?prefix=%00", 400, NULL},
        {"GET /kv?=a", 400, NULL},
        {"GET /kv?prefix=a&&limit=1", 400, NULL},
        {"GET /evidence", 400, NULL},
        {"GET /evidence?nonce=", 400, NULL},
        {"GET /evidence?nonce=0", 400, NULL},
        {"GET /evidence?nonce=0g", 400, NULL},
        {"GET /healthz?a", 400, NULL},
        {"GET /logs?after=18446744073709551616", 400, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum status status = resolve(f, cases[i].line, "");
        if (status != STATUS_MALFORMED || f->refusal.status != cases[i].status) {
            fail_msg("%s: %s, %u", cases[i].line, status_text(status), f->refusal.status);
        }
        if (cases[i].allow == NULL) {
            assert_null(f->refusal.allow);
        } else {
            assert_string_equal(f->refusal.allow, cases[i].allow);
        }
    }
}

static void carries_names_keys_and_fields(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(resolve(f, "POST /function/hello.js", ""), STATUS_MALFORMED);
    assert_int_equal(resolve(f, "POST /function/My-fn_2-x", ""), STATUS_OK);
    assert_text(f->route.name, "My-fn_2-x");

    assert_int_equal(resolve(f, "GET /kv/a%2Fb/c%20d+e/", ""), STATUS_OK);
    assert_text(f->route.key, "a/b/c d+e/");

    assert_int_equal(resolve(f, "GET /kv?cursor=%26%3d&limit=1000&prefix=a+b%2B", ""), STATUS_OK);
    assert_text(bytes_of(f->route.prefix, f->route.prefix_bytes), "a b+");
    assert_text(bytes_of(f->route.cursor, f->route.cursor_bytes), "&=");
    assert_int_equal(f->route.limit, 1000);

    assert_int_equal(resolve(f, "GET /kv", ""), STATUS_OK);
    assert_int_equal(f->route.prefix_bytes, 0);
    assert_int_equal(f->route.cursor_bytes, 0);
    assert_int_equal(f->route.limit, ROUTES_LIMIT_DEFAULT);

    assert_int_equal(resolve(f, "GET /evidence?nonce=00fF", ""), STATUS_OK);
    assert_int_equal(f->route.nonce_bytes, 2);
    assert_memory_equal(f->route.nonce, "\x00\xff", 2);

    assert_int_equal(resolve(f, "GET /logs?after=18446744073709551615", ""), STATUS_OK);
    assert_int_equal(f->route.after, UINT64_MAX);
}

/* "<before>aaa…" with `count` letters. */
static const char *repeat(char text[4096], const char *before, size_t count)
{
    size_t length = strlen(before);
    assert_true(length + count < 4096);
    memcpy(text, before, length);
    memset(text + length, 'a', count);
    text[length + count] = '\0';
    return text;
}

static void bounds_names_keys_and_nonces(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *before;
        size_t max;
        size_t step;
    } cases[] = {
        {"POST /function/", ROUTES_NAME_BYTES_MAX, 1},
        {"GET /kv/", ROUTES_KEY_BYTES_MAX, 1},
        {"GET /kv?prefix=", ROUTES_KEY_BYTES_MAX, 1},
        {"GET /kv?cursor=", ROUTES_KEY_BYTES_MAX, 1},
        {"GET /evidence?nonce=", 2 * ROUTES_NONCE_BYTES_MAX, 2},
    };
    char text[4096];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *before = cases[i].before;
        size_t over = cases[i].max + cases[i].step;
        assert_int_equal(resolve(f, repeat(text, before, cases[i].max), ""), STATUS_OK);
        assert_int_equal(resolve(f, repeat(text, before, over), ""), STATUS_MALFORMED);
        assert_int_equal(f->refusal.status, 400);
    }
}

static void reads_conditions_and_ttl(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(resolve(f, "PUT /kv/a", ""), STATUS_OK);
    assert_int_equal(f->route.if_match.match, ROUTE_MATCH_NONE);
    assert_int_equal(f->route.if_none_match.match, ROUTE_MATCH_NONE);
    assert_int_equal(f->route.ttl_ms, 0);

    assert_int_equal(resolve(f, "PUT /kv/a",
                             "If-Match: \"5-abc\"\r\nIF-NONE-MATCH: *\r\n"
                             "X-Paranoid-Ttl-Ms: 315360000000\r\n"),
                     STATUS_OK);
    assert_int_equal(f->route.if_match.match, ROUTE_MATCH_TAG);
    assert_text(f->route.if_match.tag, "5-abc");
    assert_int_equal(f->route.if_none_match.match, ROUTE_MATCH_ANY);
    assert_int_equal(f->route.ttl_ms, ROUTES_TTL_MS_MAX);

    static const struct {
        const char *line;
        const char *headers;
    } refused[] = {
        {"PUT /kv/a", "If-Match: abc\r\n"},
        {"PUT /kv/a", "If-Match: \"\"\r\n"},
        {"PUT /kv/a", "If-Match: W/\"a\"\r\n"},
        {"PUT /kv/a", "If-Match: \"a\", \"b\"\r\n"},
        {"PUT /kv/a", "If-Match: \"a\"\r\nIf-Match: \"a\"\r\n"},
        {"PUT /kv/a", "If-None-Match: **\r\n"},
        {"PUT /kv/a", "If-None-Match: *\r\nIf-None-Match: *\r\n"},
        {"PUT /kv/a", "X-Paranoid-Ttl-Ms: 0\r\n"},
        {"PUT /kv/a", "X-Paranoid-Ttl-Ms: 1e3\r\n"},
        {"PUT /kv/a", "X-Paranoid-Ttl-Ms: 315360000001\r\n"},
        {"PUT /kv/a", "X-Paranoid-Ttl-Ms: 1\r\nX-Paranoid-Ttl-Ms: 1\r\n"},
        {"GET /kv/a", "X-Paranoid-Ttl-Ms: 1\r\n"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        if (resolve(f, refused[i].line, refused[i].headers) != STATUS_MALFORMED) {
            fail_msg("not refused: %s %s", refused[i].line, refused[i].headers);
        }
        assert_int_equal(f->refusal.status, 400);
    }
}

static void splits_a_query_into_its_fields(void **state)
{
    (void)state;
    struct bytes rest = bytes_text("a=1&b&c==&%41=%42");
    static const char *const expected[][2] = {{"a", "1"}, {"b", ""}, {"c", "="}, {"A", "B"}};
    struct query_field field;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(query_next(&field, &rest), STATUS_OK);
        assert_text(bytes_of(field.name, field.name_bytes), expected[i][0]);
        assert_text(bytes_of(field.value, field.value_bytes), expected[i][1]);
    }
    assert_int_equal(query_next(&field, &rest), STATUS_EMPTY);
}

static void decodes_every_byte_but_nul_within_its_room(void **state)
{
    (void)state;
    uint8_t decoded[2];
    size_t length;
    for (unsigned byte = 1; byte <= 255; byte++) {
        char text[4];
        snprintf(text, sizeof text, "%%%02x", byte);
        assert_true(percent_decode(decoded, sizeof decoded, &length, bytes_text(text)));
        assert_int_equal(length, 1);
        assert_int_equal(decoded[0], byte);
    }
    assert_true(percent_decode(decoded, sizeof decoded, &length, bytes_text("%41B")));
    assert_false(percent_decode(decoded, sizeof decoded, &length, bytes_text("%41BC")));
    static const char *const refused[] = {"%00", "%", "%4", "%4g", "%g4", "%%41", "% 1", "%+1"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        assert_false(percent_decode(decoded, sizeof decoded, &length, bytes_text(refused[i])));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(knows_each_route, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_what_it_does_not_know, setup, teardown),
        cmocka_unit_test_setup_teardown(carries_names_keys_and_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(bounds_names_keys_and_nonces, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_conditions_and_ttl, setup, teardown),
        cmocka_unit_test(splits_a_query_into_its_fields),
        cmocka_unit_test(decodes_every_byte_but_nul_within_its_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
