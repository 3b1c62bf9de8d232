/* src/capsule/capsule_stores.c */
#include "capsule/capsule_internal.h"

#include <stdlib.h>

#include "capsule/stores.h"

/*
 * Which stores count at a place of a leader's branch: those that its TERM names. So every replica
 * judges SYNC and CLOSE alike, whatever else it has heard of.
 */

const struct stores *capsule_stores_of(const struct capsule *capsule, const struct branch *leader)
{
    return leader->statement == 0 ? &capsule->first_stores
                                  : &capsule->statements[leader->statement - 1]->stores;
}

const struct stores *capsule_stores(const struct capsule *capsule)
{
    return capsule->term == 0 ? &capsule->first_stores
                              : capsule_stores_of(capsule, &capsule->branches[capsule->leader]);
}

enum status capsule_stores_add(struct capsule *capsule, struct bytes bytes, uint16_t *statement)
{
    *statement = 0;
    if (bytes.length == 0) {
        return STATUS_OK;
    }
    for (size_t i = 0; i < capsule->statement_count; i++) {
        if (bytes_equal(buffer_bytes(&capsule->statements[i]->bytes), bytes)) {
            *statement = (uint16_t)(i + 1);
            return STATUS_OK;
        }
    }
    if (capsule->statement_count == CAPSULE_STATEMENTS_MAX) {
        return STATUS_FULL;
    }
    struct capsule_statement **grown =
        realloc(capsule->statements, (capsule->statement_count + 1) * sizeof(*grown));
    if (grown == NULL) {
        return STATUS_NO_MEMORY;
    }
    capsule->statements = grown;
    struct capsule_statement *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return STATUS_NO_MEMORY;
    }
    enum status status = stores_decode(&made->stores, bytes, &capsule->genesis);
    if (status == STATUS_OK) {
        status = buffer_append(&made->bytes, bytes.at, bytes.length);
    }
    if (status != STATUS_OK) {
        free(made);
        return status;
    }
    grown[capsule->statement_count++] = made;
    *statement = (uint16_t)capsule->statement_count;
    return STATUS_OK;
}

void capsule_stores_release(struct capsule *capsule)
{
    for (size_t i = 0; i < capsule->statement_count; i++) {
        buffer_release(&capsule->statements[i]->bytes);
        free(capsule->statements[i]);
    }
    free(capsule->statements);
    capsule->statements = NULL;
    capsule->statement_count = 0;
}
