/* src/crypto/secret.h */
#ifndef CRYPTO_SECRET_H
#define CRYPTO_SECRET_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/random.h"
#include "base/status.h"

/*
 * secret: 32 bytes that nobody may see, between guard pages, left out of core
 * dumps, wiped when freed, and locked in memory as far as RLIMIT_MEMLOCK allows.
 */
enum { SECRET_BYTES = 32 };

struct secret;

/* Never NULL: without memory the program stops. */
struct secret *secret_new_random(const struct random *random);
struct secret *secret_new_copy(const uint8_t bytes[SECRET_BYTES]);  // the caller wipes its copy
void secret_free(struct secret *secret);

/*
 * Borrow the bytes, until secret_free(). For handing them to a cipher or into
 * a sealed message; never to be kept.
 */
const uint8_t *secret_bytes(const struct secret *secret);

/*
 * HKDF-SHA-256: a new secret from `root` for one purpose. `purpose` is a
 * string such as "paranoid body v1", and never the beginning of another;
 * `context` are the values it is bound to. Together at most 1,024 bytes.
 */
struct secret *secret_derive(const struct secret *root, const char *purpose, struct bytes context);

/*
 * HKDF-SHA-256 with every input in the open: RFC 5869's test cases and Wycheproof's.
 * STATUS_DENIED: no output or more than 255 hashes of it, no key, or more than
 * 1,024 bytes of info; `target` is untouched.
 */
MUST_CHECK enum status secret_hkdf(uint8_t *target, size_t target_bytes, struct bytes key,
                                   struct bytes salt, struct bytes info);

#endif
