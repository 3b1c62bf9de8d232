/* src/host/witness.h */
#ifndef HOST_WITNESS_H
#define HOST_WITNESS_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/status.h"
#include "crypto/hash.h"
#include "host/home.h"
#include "host/host.h"

/*
 * witness: says of enclaves what they are. It plays the hardware of the simulated TEE, or asks the
 * TEE of this machine (tee/machine.h), which takes a while: in a thread of libuv's, one question
 * at a time. An enclave that asked its own TEE (in Gramine) gets its evidence back with the
 * vendor's documents.
 *
 * The documents lie in HOST_FILE_COLLATERAL of the state directory, and are read anew for each
 * question.
 */
struct witness;

/* Who asks: an end of the route, the life of the guest there, and its number of the question. */
struct witness_question {
    uint32_t end;
    uint32_t request;
    uint64_t life;
};

struct witness_config {
    uv_loop_t *loop;
    const struct home *home;      // borrowed
    const char *state_directory;  // borrowed
    bool is_hardware;             // else simulated
    bool is_debug;                // the simulated TEE says that it lets a debugger in
    const struct log *log;
    /* Called in the loop, or by witness_ask() itself. */
    void (*done)(void *context, const struct witness_question *question, struct bytes evidence);
    void *context;
};

/*
 * STATUS_NOT_FOUND: this machine has no TEE that can be asked; `error` says what to do, and
 * `*witness` is NULL.
 */
MUST_CHECK enum status witness_open(struct witness **witness, const struct witness_config *config,
                                    char error[HOST_ERROR_BYTES_MAX]);

/* Answers nothing any more. What is under way keeps the loop until it ends. NULL does nothing. */
void witness_close(struct witness *witness);

/* "simulated", "tdx", "sev-snp": what its evidence will say. Static storage. */
const char *witness_tee(const struct witness *witness);

/*
 * Make evidence of a program with this measurement (a simulated TEE's; hardware measures itself).
 * `body` is 64 bytes of report data, or evidence that wants documents: then `*tee` becomes what it
 * says it is of. STATUS_MALFORMED: neither. STATUS_FULL: too many wait. Failures later are logged.
 */
MUST_CHECK enum status witness_ask(struct witness *witness, const struct witness_question *question,
                                   const struct hash *measurement, struct bytes body,
                                   const char **tee);

#endif
