/* src/capsule/function.h */
#ifndef CAPSULE_FUNCTION_H
#define CAPSULE_FUNCTION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "capsule/owner.h"

/*
 * FUNCTION: code and how it may run (DESIGN 6.9). Owner-signed, then sealed as
 * the body of a record of the leader's. JSON
 *   {"access":"public|token","capsule":"<hex>","code":"<hex SHA-256 of the payload>",
 *    "durability":"receipt|async","limits":{"memory_bytes":M,"response_bytes":B,"time_ms":T},
 *    "name":"…","prefixes":["…"],"removed":false,"runtime":"js|wasm|secret","version":V}
 * Limits of 0 stand for the defaults; time is at most 15 minutes, memory 16 GiB, a response 64 MiB.
 * Payload: the code (empty when removed). No prefixes: every key is allowed.
 * Names: 1 to 64 of a-z, A-Z, 0-9, '-', '_'. A higher version replaces a lower one.
 *
 * A secret for functions travels the same way, with its text for code: runtime "secret", and a name
 * of 1 to 57 of the same characters behind "secret:", which no function has.
 */
enum {
    FUNCTION_NAME_BYTES_MAX = 64,
    FUNCTION_PREFIXES_MAX = 16,
    FUNCTION_CODE_BYTES_MAX = 2 << 20,
    FUNCTION_SECRET_NAME_BYTES_MAX = 57,
    FUNCTION_SECRET_BYTES_MAX = 64 << 10,
    FUNCTION_TIME_MS_MAX = 15 * 60 * 1000,
    FUNCTION_RESPONSE_BYTES_MAX = 64 << 20,
};
#define FUNCTION_SECRET_PREFIX "secret:"
enum function_runtime { FUNCTION_JS, FUNCTION_WASM, FUNCTION_SECRET };
enum function_access { FUNCTION_TOKEN, FUNCTION_PUBLIC };
enum function_durability { FUNCTION_RECEIPT, FUNCTION_ASYNC };

struct function_manifest {
    char name[FUNCTION_NAME_BYTES_MAX + 1];
    uint64_t version;
    enum function_runtime runtime;
    enum function_access access;
    enum function_durability durability;
    bool is_removed;
    uint64_t time_ms;
    uint64_t memory_bytes;
    uint64_t response_bytes;
    char *prefixes[FUNCTION_PREFIXES_MAX];  // owned, NUL-terminated
    uint32_t prefix_count;
    struct hash code_hash;
};

void function_manifest_release(struct function_manifest *manifest);
bool function_name_is_valid(struct bytes name);
bool function_secret_name_is_valid(struct bytes name);  // without its prefix

/*
 * Encode and sign manifest and code. `code_hash` is computed here. Name, version,
 * number of prefixes and size of the code are right (CHECK).
 * STATUS_MALFORMED: a prefix is longer than a key may be, or no UTF-8. STATUS_NO_MEMORY.
 */
MUST_CHECK enum status function_encode(struct buffer *body, struct function_manifest *manifest,
                                       struct bytes code, const struct hash *capsule,
                                       const struct sign_key *owner);

/*
 * Decode and verify. On STATUS_OK release the manifest; `code` borrows from `body`.
 * STATUS_MALFORMED; STATUS_FORGED: not the owner's, another capsule's, or other code.
 */
MUST_CHECK enum status function_decode(struct function_manifest *manifest, struct bytes *code,
                                       struct bytes body, const struct verify_key *owner,
                                       const struct hash *capsule);

#endif
