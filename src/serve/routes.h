/* src/serve/routes.h */
#ifndef SERVE_ROUTES_H
#define SERVE_ROUTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "serve/http.h"
#include "serve/query.h"

/*
 * routes: what a request asks for.
 *
 *     GET, POST           /function/NAME                      ROUTE_FUNCTION
 *     GET, PUT, DELETE    /kv/KEY                             ROUTE_KV_GET, _PUT, _DELETE
 *     GET                 /kv?prefix=&limit=&cursor=          ROUTE_KV_LIST
 *     GET                 /evidence?nonce=HEX                 ROUTE_EVIDENCE
 *     GET                 /healthz                            ROUTE_HEALTHZ
 *     GET                 /logs?after=N                       ROUTE_LOGS
 *
 * HEAD goes where GET goes. Fields of a query that are unknown, or there twice, are refused.
 */
enum {
    ROUTES_NAME_BYTES_MAX = 64,
    ROUTES_KEY_BYTES_MAX = 1024,
    ROUTES_NONCE_BYTES_MAX = 64,
    ROUTES_TAG_BYTES_MAX = 128,
    ROUTES_LIMIT_MAX = 1000,
    ROUTES_LIMIT_DEFAULT = 100,
};

/* Ten years of 365 days. */
#define ROUTES_TTL_MS_MAX (UINT64_C(3650) * 24 * 60 * 60 * 1000)

enum route_action {
    ROUTE_FUNCTION,
    ROUTE_KV_GET,
    ROUTE_KV_PUT,
    ROUTE_KV_DELETE,
    ROUTE_KV_LIST,
    ROUTE_EVIDENCE,
    ROUTE_HEALTHZ,
    ROUTE_LOGS,
};

/* If-Match or If-None-Match, which say one thing here: never a list, never a weak tag. */
enum route_match {
    ROUTE_MATCH_NONE,  // not there
    ROUTE_MATCH_ANY,   // *
    ROUTE_MATCH_TAG,   // "tag"
};

struct route_condition {
    enum route_match match;
    struct bytes tag;  // without its quotes
};

struct route {
    enum route_action action;
    struct bytes name;  // of a function: letters, digits, '_', '-', '.'; borrows from the request
    struct bytes key;   // 1 to ROUTES_KEY_BYTES_MAX bytes; borrows from the request
    uint64_t ttl_ms;    // of a PUT, by X-Paranoid-Ttl-Ms; 0: none
    struct route_condition if_match;
    struct route_condition if_none_match;

    uint8_t prefix[ROUTES_KEY_BYTES_MAX];  // of KV_LIST; may be empty
    size_t prefix_bytes;
    uint8_t cursor[ROUTES_KEY_BYTES_MAX];  // likewise; empty: from the start
    size_t cursor_bytes;
    uint32_t limit;

    uint8_t nonce[ROUTES_NONCE_BYTES_MAX];  // of EVIDENCE; 1 byte or more
    size_t nonce_bytes;
    uint64_t after;  // of LOGS: the last line already known; 0: all
};

/*
 * STATUS_OK, or STATUS_MALFORMED: answer with `refusal` (400, 404 or 405), and
 * `route` is undefined.
 */
MUST_CHECK enum status routes_resolve(struct route *route, const struct http_request *request,
                                      struct http_refusal *refusal);

#endif
