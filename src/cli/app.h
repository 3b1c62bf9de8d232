/* src/cli/app.h */
#ifndef CLI_APP_H
#define CLI_APP_H

#include <stdint.h>

#include "attest/policy.h"
#include "base/buffer.h"
#include "base/status.h"
#include "capsule/genesis.h"
#include "capsule/stores.h"
#include "cli/command.h"
#include "cli/file.h"
#include "crypto/secret.h"
#include "crypto/sign.h"

/*
 * app: the directory of one app, as `paranoid init` makes it:
 *
 *     owner/            0700; nobody but the owner reads it, the host never does
 *       owner.key       32-byte seed of the owner's key, hex, 0600
 *       seed            the master seed, hex, 0600
 *       vendor.key      the simulated TEE vendor's key, hex, 0600
 *       term            the highest term ever signed, decimal
 *       policy.version  the highest policy version ever signed, decimal
 *       policy.recorded the policy that the last leader took
 *       sync            the newest SYNC known: "EPOCH HASH"
 *     policy.json       whom the owner admits
 *     genesis           the owner-signed body
 *     stores            the owner's word on which stores count; none: those of the GENESIS
 *     tls-root.pem      what clients verify the workers by
 *     capsule.name      hex
 *     host/             what the untrusted host sees (host/host.h)
 *
 * Every call says on stderr why it failed.
 */
#define APP_OWNER_KEY "owner/owner.key"
#define APP_SEED "owner/seed"
#define APP_VENDOR_KEY "owner/vendor.key"
#define APP_TERM "owner/term"
#define APP_POLICY_VERSION "owner/policy.version"
#define APP_POLICY_RECORDED "owner/policy.recorded"
#define APP_SYNC "owner/sync"
#define APP_POLICY "policy.json"
#define APP_GENESIS "genesis"
#define APP_STORES "stores"
#define APP_TLS_ROOT "tls-root.pem"
#define APP_CAPSULE_NAME "capsule.name"
#define APP_HOST "host"
#define APP_DIRECTORY_DEFAULT "./paranoid-app"

struct app {
    char directory[FILE_PATH_BYTES / 2];
    struct buffer genesis_body;
    struct genesis genesis;  // borrows from the body
    struct buffer stores_word;
    struct stores stores;  // what that says
};

/* Find the app that the line means. Release it whatever comes back. */
MUST_CHECK enum status app_open(struct app *app, const struct command_line *line);
void app_release(struct app *app);

/* DIRECTORY/NAME */
void app_path(const struct app *app, const char *name, char path[FILE_PATH_BYTES]);

/*
 * Commands, the host's and a keeper's run side by side: who writes what must not go back locks,
 * looks, writes, and closes this descriptor. -1: that it cannot was said.
 */
MUST_CHECK int app_lock(const struct app *app);

/* Read the owner's word on the stores again. */
MUST_CHECK enum status app_read_stores(struct app *app);
/* Have the host's directory say what was read. */
MUST_CHECK enum status app_give_stores(const struct app *app);

/*
 * Give the next word, for this app and its host. STATUS_STALE: another one has been given since
 * `app` read it; now it has read that.
 */
MUST_CHECK enum status app_write_stores(struct app *app, const struct stores *stores,
                                        const struct sign_key *owner);

/* Store number `index` of those that count, then of those that did before; NULL: no more. */
const struct genesis_store *app_store(const struct app *app, uint32_t index);

/* The directories of its stores: how many. */
uint32_t app_stores(const struct app *app, char directories[GENESIS_STORES_MAX][FILE_PATH_BYTES]);

/* Read and replace a file of the app. */
MUST_CHECK enum status app_read(const struct app *app, const char *name, struct buffer *target);
MUST_CHECK enum status app_write(const struct app *app, const char *name, struct bytes bytes,
                                 mode_t mode);

/*
 * Secrets; the caller's. A file that others may read is refused: what it holds may be known.
 */
MUST_CHECK enum status app_key(const struct app *app, const char *name, struct sign_key **key);
MUST_CHECK enum status app_seed(const struct app *app, struct secret **seed);
MUST_CHECK enum status app_write_secret(const struct app *app, const char *name,
                                        const uint8_t secret[SECRET_BYTES]);

/* A number in a file of the owner's; 0 when there is none yet. */
MUST_CHECK enum status app_number(const struct app *app, const char *name, uint64_t *number);

/* Raise that number durably before what it numbers is signed: no number is ever used twice. */
MUST_CHECK enum status app_raise(const struct app *app, const char *name, uint64_t number);

/* The newest SYNC the owner knows; zeroes for none. */
struct app_sync {
    uint64_t epoch;
    struct hash hash;
};
MUST_CHECK enum status app_sync_load(const struct app *app, struct app_sync *sync);

/* STATUS_STALE: the one kept is as new. */
MUST_CHECK enum status app_sync_check(const struct app *app, const struct app_sync *sync);

/* Keep it whatever is kept. */
MUST_CHECK enum status app_sync_replace(const struct app *app, const struct app_sync *sync);

/* policy.json, parsed. */
MUST_CHECK enum status app_policy(const struct app *app, struct policy *policy);

/* The directory of the running program: the enclave programs lie beside it. */
MUST_CHECK enum status app_program_directory(char path[FILE_PATH_BYTES]);

#endif
