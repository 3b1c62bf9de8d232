/* src/crypto/certificate.h */
#ifndef CRYPTO_CERTIFICATE_H
#define CRYPTO_CERTIFICATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "crypto/hash.h"
#include "crypto/p256.h"

/*
 * The X.509 certificates of an app (RFC 5280): one self-signed root whose
 * P-256 key is derived from the seed, and a leaf for each worker that names
 * its writer id and the hash of its evidence.
 *
 * A call that writes to a buffer replaces what that held; where it fails the
 * buffer is empty or as it was.
 */
enum {
    CERTIFICATE_BYTES_MAX = 4096,
    CERTIFICATE_HOST_COUNT_MAX = 8,
    CERTIFICATE_HOST_BYTES = 128,  // with its NUL
};

/* A DNS name (letters, digits, hyphens and dots) or an IP address, NUL-terminated. */
struct certificate_host {
    char name[CERTIFICATE_HOST_BYTES];
};

/* What a leaf says beside its key. */
struct certificate_claims {
    struct hash capsule;
    uint8_t writer_id[16];
    struct hash evidence_hash;
    uint64_t not_before_s;  // Unix time
    uint64_t not_after_s;
    const char *tee;  // "simulated", "sgx", …: part of the subject, seen by whoever looks
    const struct certificate_host *hosts;  // named beside localhost; borrowed; not read back
    size_t host_count;                     // at most CERTIFICATE_HOST_COUNT_MAX
};

/*
 * Write the self-signed root as DER. Subject "Paranoid app <first 16 digits of
 * the capsule>", CA:TRUE, path length 0, valid 2020-01-01 to 2099-12-31: the same key
 * always gives the same name, so any copy anchors every leaf.
 */
MUST_CHECK enum status certificate_root(struct buffer *der, struct p256_key *root_key,
                                        const struct hash *capsule);

/* Whether a host of that name can be named. Names are never taken apart again: no wildcards. */
bool certificate_host_is_sound(const struct certificate_host *host);

/*
 * Write a leaf as DER: subject CN "paranoid worker <writer id>" with OU
 * "tee=<tee>", subjectAltName DNS:localhost, IP:127.0.0.1, IP:::1, the hosts,
 * URI:paranoid:writer:<hex>, URI:paranoid:evidence:<hex>,
 * URI:paranoid:capsule:<hex>; serverAuth.
 */
MUST_CHECK enum status certificate_leaf(struct buffer *der, struct p256_key *root_key,
                                        const struct p256_public *leaf_key,
                                        const struct certificate_claims *claims);

/*
 * Read a leaf's claims and key and verify that `root` (DER, public key pinned
 * by the caller) signed it and that `now_s` lies in its validity.
 * STATUS_MALFORMED, STATUS_FORGED. `claims->tee` is static storage or NULL.
 */
MUST_CHECK enum status certificate_verify_leaf(struct certificate_claims *claims,
                                               struct p256_public *leaf_key, struct bytes leaf,
                                               struct bytes root, uint64_t now_s);

/* The public key of a certificate. STATUS_MALFORMED: no P-256 certificate. */
MUST_CHECK enum status certificate_public(struct p256_public *key, struct bytes der);

/* DER to PEM text (NUL-terminated, length without it) and back. */
MUST_CHECK enum status certificate_to_pem(struct buffer *pem, struct bytes der);
MUST_CHECK enum status certificate_from_pem(struct buffer *der, struct bytes pem);

#endif
