/* src/lsm/entry.c */
#include "lsm/entry.h"

bool entry_is_sound(const struct entry *entry)
{
    const struct tuple *tuple = &entry->tuple;
    if (tuple->lamport == 0 || tuple->key.length == 0 || tuple->key.length > TUPLE_KEY_BYTES_MAX) {
        return false;
    }
    if (tuple->kind == TUPLE_DELETE) {
        return tuple->value.length == 0 && tuple->expiry_ms == 0;
    }
    return tuple->kind == TUPLE_PUT && tuple->value.length <= TUPLE_VALUE_BYTES_MAX;
}

bool entry_is_newer(const struct entry *entry, const struct entry *than)
{
    if (entry->tuple.lamport != than->tuple.lamport) {
        return entry->tuple.lamport > than->tuple.lamport;
    }
    return writer_id_compare(&entry->writer, &than->writer) > 0;
}
