/* src/serve/query.c */
#include "serve/query.h"

#include <string.h>

#include "serve/percent.h"

/* Cut `text` at the first `separator`; what is behind it goes to `*rest`, which is else empty. */
static struct bytes cut(struct bytes text, char separator, struct bytes *rest)
{
    const uint8_t *at = text.length == 0 ? NULL : memchr(text.at, separator, text.length);
    if (at == NULL) {
        *rest = bytes_of(NULL, 0);
        return text;
    }
    size_t length = (size_t)(at - text.at);
    *rest = bytes_of(at + 1, text.length - length - 1);
    return bytes_of(text.at, length);
}

enum status query_next(struct query_field *field, struct bytes *rest)
{
    if (rest->length == 0) {
        return STATUS_EMPTY;
    }
    struct bytes value;
    struct bytes name = cut(cut(*rest, '&', rest), '=', &value);
    if (!percent_decode_query(field->name, sizeof field->name, &field->name_bytes, name) ||
        !percent_decode_query(field->value, sizeof field->value, &field->value_bytes, value) ||
        field->name_bytes == 0) {
        return STATUS_MALFORMED;
    }
    return STATUS_OK;
}
