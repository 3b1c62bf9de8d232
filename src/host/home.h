/* src/host/home.h */
#ifndef HOST_HOME_H
#define HOST_HOME_H

#include "attest/simulated.h"
#include "base/buffer.h"
#include "base/status.h"
#include "capsule/genesis.h"
#include "crypto/hash.h"
#include "crypto/sign.h"
#include "host/host.h"

/* home: the state directory, locked, and what `paranoid init` put there (host/host.h). */
struct home {
    int lock_fd;
    struct buffer genesis;
    struct hash capsule;                              // its name
    struct genesis content;                           // of it
    struct sign_key *store_keys[GENESIS_STORES_MAX];  // as many as it names
    struct simulated_platform *platform;
    struct buffer tcb;
};

#define HOME_NONE ((struct home){.lock_fd = -1})

enum { HOME_PATH_BYTES_MAX = 4096 };

/*
 * Lock and read. The lock ends with the process. STATUS_DENIED: another process has it;
 * STATUS_MALFORMED, STATUS_NOT_FOUND, STATUS_IO. On failure `error` says what to do, and `*home`
 * is HOME_NONE.
 */
MUST_CHECK enum status home_open(struct home *home, const char *directory,
                                 char error[HOST_ERROR_BYTES_MAX]);
void home_close(struct home *home);

/* "directory/name". STATUS_MALFORMED: too long. */
MUST_CHECK enum status home_path(char path[HOME_PATH_BYTES_MAX], const char *directory,
                                 const char *name);

/* The directory of store number `index`. STATUS_MALFORMED: too long. */
MUST_CHECK enum status home_store_path(char path[HOME_PATH_BYTES_MAX], const char *directory,
                                       uint32_t index);

/* Put a file there, whole or not at all, readable by this user only. STATUS_IO: errno says why. */
MUST_CHECK enum status home_write(const char *directory, const char *name, struct bytes content);

#endif
