/* src/attest/signature.h */
#ifndef ATTEST_SIGNATURE_H
#define ATTEST_SIGNATURE_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

/*
 * signature: the signatures that hardware vendors make. Every one that evidence rests on (quotes,
 * reports, certificates, revocation lists, TCB info) is verified here, in three suites.
 */
enum signature_suite {
    SIGNATURE_P256_SHA256,     // Intel
    SIGNATURE_P384_SHA384,     // AMD's reports
    SIGNATURE_RSA_PSS_SHA384,  // AMD's certificates: MGF1 with SHA-384, 48 bytes of salt
};

enum { SIGNATURE_RSA_BITS_MIN = 4096, SIGNATURE_COORDINATE_BYTES_MAX = 48 };

/*
 * Whether `signature` (DER for the curves, the integer's bytes for RSA) over `message` verifies
 * under `key`, and the key is of the suite: no other curve, no shorter modulus.
 */
bool signature_verify(enum signature_suite suite, EVP_PKEY *key, struct bytes message,
                      struct bytes signature);

/* The same for r ‖ s, big endian and of the curve's size each, as quotes carry it. */
bool signature_verify_raw(enum signature_suite suite, EVP_PKEY *key, struct bytes message,
                          struct bytes signature);

/*
 * The key at the point x ‖ y, big endian; the caller's, to be freed with EVP_PKEY_free(). NULL: it
 * is no point of the suite's curve, or there is no memory.
 */
EVP_PKEY *signature_key(enum signature_suite suite, struct bytes point);

#endif
