/* src/serve/routes.c */
#include "serve/routes.h"

#include <string.h>

#include "base/hex.h"

static const struct http_refusal refused_path = {404, "not_found", "nothing is served at this path",
                                                 NULL};
static const struct http_refusal refused_name = {
    400, "malformed_name", "a function's name has 1 to 64 letters, digits, '_' and '-'", NULL};
static const struct http_refusal refused_key = {400, "malformed_key", "a key has 1 to 1024 bytes",
                                                NULL};
static const struct http_refusal refused_query = {
    400, "malformed_query", "a field of the query is unknown, repeated or malformed", NULL};
static const struct http_refusal refused_ttl = {
    400, "malformed_ttl", "X-Paranoid-Ttl-Ms is a number of milliseconds, 1 to ten years", NULL};
static const struct http_refusal refused_condition = {
    400, "malformed_condition", "If-Match and If-None-Match take '*' or one strong tag", NULL};

static enum status refuse(struct http_refusal *refusal, const struct http_refusal *reason)
{
    *refusal = *reason;
    return STATUS_MALFORMED;
}

static enum status refuse_method(struct http_refusal *refusal, const char *allow)
{
    *refusal = (struct http_refusal){
        .status = 405,
        .code = "method_not_allowed",
        .message = "this resource does not have this method",
        .allow = allow,
    };
    return STATUS_MALFORMED;
}

static bool is_reading(enum http_method method)
{
    return method == HTTP_METHOD_GET || method == HTTP_METHOD_HEAD;
}

/* Plain decimal digits. False: empty, another character, or above `max`. */
static bool number_decode(uint64_t *number, struct bytes text, uint64_t max)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (text.at[i] < '0' || text.at[i] > '9') {
            return false;
        }
        uint64_t digit = (uint64_t)(text.at[i] - '0');
        if (digit > max || value > (max - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *number = value;
    return text.length > 0;
}

static bool key_store(uint8_t key[ROUTES_KEY_BYTES_MAX], size_t *key_bytes, struct bytes value)
{
    if (value.length > ROUTES_KEY_BYTES_MAX) {
        return false;
    }
    if (value.length > 0) {
        memcpy(key, value.at, value.length);
    }
    *key_bytes = value.length;
    return true;
}

static bool nonce_decode(struct route *route, struct bytes value)
{
    route->nonce_bytes = value.length / 2;
    return value.length > 0 && value.length <= 2 * ROUTES_NONCE_BYTES_MAX &&
           hex_decode(route->nonce, route->nonce_bytes, (const char *)value.at, value.length);
}

static bool limit_decode(struct route *route, struct bytes value)
{
    uint64_t limit = 0;
    bool is_good = number_decode(&limit, value, ROUTES_LIMIT_MAX) && limit > 0;
    route->limit = (uint32_t)limit;
    return is_good;
}

/* The fields a query may have. One bit each, so that a set of them says what was seen. */
enum field {
    FIELD_PREFIX = 1 << 0,
    FIELD_LIMIT = 1 << 1,
    FIELD_CURSOR = 1 << 2,
    FIELD_NONCE = 1 << 3,
    FIELD_AFTER = 1 << 4,
};

static const struct {
    const char *name;
    enum field field;
} fields[] = {
    {"prefix", FIELD_PREFIX}, {"limit", FIELD_LIMIT}, {"cursor", FIELD_CURSOR},
    {"nonce", FIELD_NONCE},   {"after", FIELD_AFTER},
};

static unsigned field_of(struct bytes name)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (bytes_equal(name, bytes_text(fields[i].name))) {
            return fields[i].field;
        }
    }
    return 0;
}

static bool field_decode(struct route *route, unsigned field, struct bytes value)
{
    switch (field) {
    case FIELD_PREFIX:
        return key_store(route->prefix, &route->prefix_bytes, value);
    case FIELD_CURSOR:
        return key_store(route->cursor, &route->cursor_bytes, value);
    case FIELD_LIMIT:
        return limit_decode(route, value);
    case FIELD_NONCE:
        return nonce_decode(route, value);
    case FIELD_AFTER:
        return number_decode(&route->after, value, UINT64_MAX);
    default:
        return false;
    }
}

/* `allowed` and `needed` are sets of enum field. */
static enum status query_resolve(struct route *route, struct bytes query, unsigned allowed,
                                 unsigned needed, struct http_refusal *refusal)
{
    unsigned seen = 0;
    struct query_field field;
    enum status status;
    while ((status = query_next(&field, &query)) == STATUS_OK) {
        unsigned bit = field_of(bytes_of(field.name, field.name_bytes));
        if ((bit & allowed) == 0 || (bit & seen) != 0 ||
            !field_decode(route, bit, bytes_of(field.value, field.value_bytes))) {
            return refuse(refusal, &refused_query);
        }
        seen |= bit;
    }
    if (status == STATUS_MALFORMED || (needed & ~seen) != 0) {
        return refuse(refusal, &refused_query);
    }
    return STATUS_OK;
}

static bool condition_decode(struct route_condition *condition, struct bytes value)
{
    if (bytes_equal(value, bytes_text("*"))) {
        condition->match = ROUTE_MATCH_ANY;
        return true;
    }
    if (value.length < 3 || value.length > ROUTES_TAG_BYTES_MAX + 2 || value.at[0] != '"' ||
        value.at[value.length - 1] != '"') {
        return false;
    }
    condition->match = ROUTE_MATCH_TAG;
    condition->tag = bytes_of(value.at + 1, value.length - 2);
    return memchr(condition->tag.at, '"', condition->tag.length) == NULL;
}

/* Each of these headers at most once: two would have to be joined into a list. */
static enum status headers_resolve(struct route *route, const struct http_request *request,
                                   struct http_refusal *refusal)
{
    for (size_t i = 0; i < request->header_count; i++) {
        struct bytes name = request->headers[i].name;
        struct bytes value = request->headers[i].value;
        if (bytes_equal(name, bytes_text("if-match"))) {
            if (route->if_match.match != ROUTE_MATCH_NONE ||
                !condition_decode(&route->if_match, value)) {
                return refuse(refusal, &refused_condition);
            }
        } else if (bytes_equal(name, bytes_text("if-none-match"))) {
            if (route->if_none_match.match != ROUTE_MATCH_NONE ||
                !condition_decode(&route->if_none_match, value)) {
                return refuse(refusal, &refused_condition);
            }
        } else if (bytes_equal(name, bytes_text("x-paranoid-ttl-ms"))) {
            if (route->action != ROUTE_KV_PUT || route->ttl_ms != 0 ||
                !number_decode(&route->ttl_ms, value, ROUTES_TTL_MS_MAX) || route->ttl_ms == 0) {
                return refuse(refusal, &refused_ttl);
            }
        }
    }
    return STATUS_OK;
}

static enum status function_resolve(struct route *route, const struct http_request *request,
                                    struct bytes name, struct http_refusal *refusal)
{
    if (request->method != HTTP_METHOD_POST && !is_reading(request->method)) {
        return refuse_method(refusal, "GET, HEAD, POST");
    }
    for (size_t i = 0; i < name.length; i++) {
        uint8_t byte = name.at[i];
        bool is_good = ('a' <= byte && byte <= 'z') || ('A' <= byte && byte <= 'Z') ||
                       ('0' <= byte && byte <= '9') || byte == '_' || byte == '-';
        if (!is_good) {
            return refuse(refusal, &refused_name);
        }
    }
    if (name.length == 0 || name.length > ROUTES_NAME_BYTES_MAX) {
        return refuse(refusal, &refused_name);
    }
    // The query is the function's own.
    route->action = ROUTE_FUNCTION;
    route->name = name;
    return STATUS_OK;
}

static enum status key_resolve(struct route *route, const struct http_request *request,
                               struct bytes key, struct http_refusal *refusal)
{
    if (is_reading(request->method)) {
        route->action = ROUTE_KV_GET;
    } else if (request->method == HTTP_METHOD_PUT) {
        route->action = ROUTE_KV_PUT;
    } else if (request->method == HTTP_METHOD_DELETE) {
        route->action = ROUTE_KV_DELETE;
    } else {
        return refuse_method(refusal, "GET, HEAD, PUT, DELETE");
    }
    if (key.length == 0 || key.length > ROUTES_KEY_BYTES_MAX) {
        return refuse(refusal, &refused_key);
    }
    route->key = key;
    enum status status = query_resolve(route, request->query, 0, 0, refusal);
    if (status != STATUS_OK) {
        return status;
    }
    return headers_resolve(route, request, refusal);
}

/* The resources that are read, and have one path each. */
static const struct {
    const char *path;
    enum route_action action;
    unsigned allowed;
    unsigned needed;
} resources[] = {
    {"/kv", ROUTE_KV_LIST, FIELD_PREFIX | FIELD_LIMIT | FIELD_CURSOR, 0},
    {"/evidence", ROUTE_EVIDENCE, FIELD_NONCE, FIELD_NONCE},
    {"/healthz", ROUTE_HEALTHZ, 0, 0},
    {"/logs", ROUTE_LOGS, FIELD_AFTER, 0},
};

/* Whether `path` begins with `folder`; `*rest` is what follows. */
static bool is_below(struct bytes path, const char *folder, struct bytes *rest)
{
    struct bytes prefix = bytes_text(folder);
    if (!bytes_start_with(path, prefix)) {
        return false;
    }
    *rest = bytes_of(path.at + prefix.length, path.length - prefix.length);
    return true;
}

static void clear(struct route *route)
{
    route->name = route->key = bytes_of(NULL, 0);
    route->ttl_ms = route->after = 0;
    route->if_match = route->if_none_match = (struct route_condition){.match = ROUTE_MATCH_NONE};
    route->prefix_bytes = route->cursor_bytes = route->nonce_bytes = 0;
    route->limit = ROUTES_LIMIT_DEFAULT;
}

enum status routes_resolve(struct route *route, const struct http_request *request,
                           struct http_refusal *refusal)
{
    clear(route);
    struct bytes rest;
    if (is_below(request->path, "/function/", &rest)) {
        return function_resolve(route, request, rest, refusal);
    }
    if (is_below(request->path, "/kv/", &rest)) {
        return key_resolve(route, request, rest, refusal);
    }
    for (size_t i = 0; i < sizeof resources / sizeof *resources; i++) {
        if (!bytes_equal(request->path, bytes_text(resources[i].path))) {
            continue;
        }
        if (!is_reading(request->method)) {
            return refuse_method(refusal, "GET, HEAD");
        }
        route->action = resources[i].action;
        return query_resolve(route, request->query, resources[i].allowed, resources[i].needed,
                             refusal);
    }
    return refuse(refusal, &refused_path);
}
