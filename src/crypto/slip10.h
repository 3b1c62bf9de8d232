/* src/crypto/slip10.h */
#ifndef CRYPTO_SLIP10_H
#define CRYPTO_SLIP10_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "crypto/secret.h"

/*
 * SLIP-0010 with hardened steps only. The paper's HD wallet hands a worker an
 * extended public key and a child key, which together give away the parent:
 * nothing here can be derived from a public key.
 */
enum slip10_curve { SLIP10_ED25519, SLIP10_NIST256P1 };

struct slip10_node;  // private key and chain code, in guarded memory

/* The root of the tree: HMAC-SHA-512 keyed with the curve's name over the seed (16 to 64 bytes). */
struct slip10_node *slip10_root(enum slip10_curve curve, struct bytes seed);

/* Step down to hardened child `index` (0 to 2^31 - 1; the hardening bit is added here). */
struct slip10_node *slip10_child(const struct slip10_node *parent, uint32_t index);

/* The node at the end of a path of `count` hardened indexes. */
struct slip10_node *slip10_path(enum slip10_curve curve, struct bytes seed, const uint32_t *indexes,
                                size_t count);
void slip10_node_free(struct slip10_node *node);

/* The private key as a secret of the caller's. */
struct secret *slip10_secret(const struct slip10_node *node);

/* Borrowed until slip10_node_free(): for the test vectors. */
const uint8_t *slip10_chain_code(const struct slip10_node *node);

#endif
