/* src/host/home.h */
#ifndef HOST_HOME_H
#define HOST_HOME_H

#include "attest/simulated.h"
#include "base/buffer.h"
#include "base/status.h"
#include "capsule/genesis.h"
#include "capsule/stores.h"
#include "crypto/hash.h"
#include "crypto/sign.h"
#include "host/host.h"

/* home: the state directory, locked, and what `paranoid init` put there (host/host.h). */
struct home {
    int lock_fd;
    struct buffer genesis;
    struct hash capsule;        // its name
    struct genesis content;     // of it
    struct buffer stores_word;  // the owner's on the stores; empty: none, the GENESIS's count
    struct stores stores;       // that count, and did before
    struct home_store *places;  // a key and a place for each; the next one in `next`
    struct simulated_platform *platform;
    struct buffer tcb;
};

/* A store of this machine's; there until home_close(). */
struct home_store {
    struct home_store *next;
    struct genesis_store store;
    struct sign_key *key;
    bool is_wanted;    // it counts, or did before
    char directory[];  // its path
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

/*
 * What follows "capsule" and "store" in the names of a store's directory and key: nothing for the
 * first one of the GENESIS, "-2" for the second; for one that came later what follows "store" in
 * its own name.
 */
void home_store_suffix(char suffix[GENESIS_NAME_BYTES_MAX + 1], const struct genesis *genesis,
                       const struct genesis_store *store);

/* The directory of a store. STATUS_MALFORMED: too long. */
MUST_CHECK enum status home_store_path(char path[HOME_PATH_BYTES_MAX], const char *directory,
                                       const struct genesis *genesis,
                                       const struct genesis_store *store);

/* Read again which stores there are. On failure nothing changed; `error` says what to do. */
MUST_CHECK enum status home_read_stores(struct home *home, const char *directory,
                                        char error[HOST_ERROR_BYTES_MAX]);

/* Put a file there, whole or not at all, readable by this user only. STATUS_IO: errno says why. */
MUST_CHECK enum status home_write(const char *directory, const char *name, struct bytes content);

#endif
