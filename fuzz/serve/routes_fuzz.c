/* fuzz/serve/routes_fuzz.c */

/*
 * Any request resolves to a route within its bounds, or to a refusal. The input is a
 * request without its Host header, which is put in behind the first line.
 */
#define _GNU_SOURCE  // memmem()
#include <stdint.h>
#include <string.h>

#include "base/buffer.h"
#include "base/check.h"
#include "serve/routes.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void check_route(const struct route *route)
{
    CHECK(route->name.length <= ROUTES_NAME_BYTES_MAX);
    CHECK(route->key.length <= ROUTES_KEY_BYTES_MAX);
    CHECK(route->prefix_bytes <= ROUTES_KEY_BYTES_MAX);
    CHECK(route->cursor_bytes <= ROUTES_KEY_BYTES_MAX);
    CHECK(route->nonce_bytes <= ROUTES_NONCE_BYTES_MAX);
    CHECK(0 < route->limit && route->limit <= ROUTES_LIMIT_MAX);
    CHECK(route->ttl_ms <= ROUTES_TTL_MS_MAX);
    CHECK((route->action == ROUTE_FUNCTION) == (route->name.length > 0));
    bool has_key = route->action == ROUTE_KV_GET || route->action == ROUTE_KV_PUT ||
                   route->action == ROUTE_KV_DELETE;
    CHECK(has_key == (route->key.length > 0));
    CHECK((route->action == ROUTE_EVIDENCE) == (route->nonce_bytes > 0));
    CHECK(route->ttl_ms == 0 || route->action == ROUTE_KV_PUT);
}

static void resolve(const struct http_request *request)
{
    struct route route;
    struct http_refusal refusal = {.status = 0};
    if (routes_resolve(&route, request, &refusal) == STATUS_OK) {
        CHECK(refusal.status == 0);
        check_route(&route);
        return;
    }
    CHECK(refusal.status == 400 || refusal.status == 404 || refusal.status == 405);
    CHECK((refusal.status == 405) == (refusal.allow != NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static const char host[] = "Host: h\r\n";
    const uint8_t *end = length == 0 ? NULL : memmem(bytes, length, "\r\n", 2);
    if (end == NULL) {
        return 0;
    }
    size_t line_bytes = (size_t)(end + 2 - bytes);
    struct buffer text = BUFFER_EMPTY;
    CHECK(buffer_append(&text, bytes, line_bytes) == STATUS_OK);
    CHECK(buffer_append(&text, host, sizeof host - 1) == STATUS_OK);
    CHECK(buffer_append(&text, bytes + line_bytes, length - line_bytes) == STATUS_OK);

    const struct http_limits limits = {.head_bytes_max = 16 * 1024, .body_bytes_max = 1024};
    struct http_parser *parser = http_new(&limits);
    CHECK(parser != NULL);
    size_t used;
    if (http_feed(parser, buffer_bytes(&text), &used) == STATUS_OK) {
        resolve(http_request(parser));
    }
    http_free(parser);
    buffer_release(&text);
    return 0;
}
