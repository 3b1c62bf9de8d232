/* sim/oracle.h */
#ifndef SIM_ORACLE_H
#define SIM_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capsule/writer.h"
#include "scl/dependency.h"

/*
 * oracle: every put and delete that some client made, as that client saw it. It knows nothing of
 * records, epochs or receipts; the checkers hold the federation against it.
 */
enum {
    ORACLE_TEXT_BYTES = 32,
    ORACLE_HOT_KEYS = 4,   // hot-0 and on: everybody writes them
    ORACLE_FOREIGN = '/',  // keys that begin so are another's: the checkers leave them out
};

struct oracle_put {
    char key[ORACLE_TEXT_BYTES];
    char value[ORACLE_TEXT_BYTES];
    bool is_delete;
    size_t worker;            // where it was made
    struct writer_id writer;  // that worker's id
    uint64_t sequence;        // of the record it was to be in
    uint64_t lamport;         // as read there at once
    struct dependency dependency;
    bool is_durable;  // the worker has said so
};

struct oracle {
    struct oracle_put *puts;  // in the order they were made
    size_t count;
    size_t room;
};

/* Starts as all zeroes. The returned put is valid until the next one. */
struct oracle_put *oracle_add(struct oracle *oracle, const struct oracle_put *put);
void oracle_release(struct oracle *oracle);

/* Last writer wins: whether `a` comes after `b`. */
bool oracle_is_later(const struct oracle_put *a, const struct oracle_put *b);

#endif
