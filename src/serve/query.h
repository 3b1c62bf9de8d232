/* src/serve/query.h */
#ifndef SERVE_QUERY_H
#define SERVE_QUERY_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"

/*
 * query: the fields "name=value" of a URL's query, split at '&' and decoded.
 * A field without '=' has an empty value; a name is never empty. Escapes are
 * strict, see percent.h.
 */
enum { QUERY_NAME_BYTES_MAX = 256, QUERY_VALUE_BYTES_MAX = 4096 };

struct query_field {
    uint8_t name[QUERY_NAME_BYTES_MAX];
    size_t name_bytes;
    uint8_t value[QUERY_VALUE_BYTES_MAX];
    size_t value_bytes;
};

/*
 * Decode the first field of `*rest` and move `*rest` behind it. STATUS_EMPTY:
 * there is none left. STATUS_MALFORMED.
 */
MUST_CHECK enum status query_next(struct query_field *field, struct bytes *rest);

#endif
