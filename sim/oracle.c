/* sim/oracle.c */
#include "sim/oracle.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct oracle_put *oracle_add(struct oracle *oracle, const struct oracle_put *put)
{
    if (oracle->count == oracle->room) {
        oracle->room = oracle->room == 0 ? 64 : 2 * oracle->room;
        oracle->puts = reallocarray(oracle->puts, oracle->room, sizeof *oracle->puts);
        CHECK(oracle->puts != NULL);
    }
    oracle->puts[oracle->count] = *put;
    return &oracle->puts[oracle->count++];
}

void oracle_release(struct oracle *oracle)
{
    free(oracle->puts);
    *oracle = (struct oracle){.puts = NULL};
}

bool oracle_is_later(const struct oracle_put *a, const struct oracle_put *b)
{
    if (a->lamport != b->lamport) {
        return a->lamport > b->lamport;
    }
    return memcmp(a->writer.bytes, b->writer.bytes, sizeof a->writer.bytes) > 0;
}
