/* src/attest/x509.h */
#ifndef ATTEST_X509_H
#define ATTEST_X509_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attest/signature.h"
#include "attest/verdict.h"
#include "base/bytes.h"
#include "crypto/hash.h"

/*
 * x509: the vendors' certificate chains and revocation lists (RFC 5280), judged at a time that the
 * caller names, up to a root that the caller pins by its public key.
 *
 * OpenSSL reads the certificates; the path is built here, because it has one shape: leaf,
 * intermediates, pinned root, each used, in whatever order they came. A call that says no has
 * written the reason to the verdict.
 */
enum { X509_POOL_COUNT_MAX = 12, X509_CHAIN_COUNT_MAX = 4 };

/*
 * Certificates of one judgement. The same one comes in several chains, and is read and verified
 * once. Freeing NULL does nothing.
 */
struct x509_pool;

struct x509_pool *x509_pool_new(void);  // never NULL
void x509_pool_free(struct x509_pool *pool);

/* Some of a pool's. After x509_chain_verify(): the leaf first, the root last. */
struct x509_chain {
    size_t items[X509_CHAIN_COUNT_MAX];
    size_t count;
};

/* SHA-256 of a SubjectPublicKeyInfo. */
struct x509_pin {
    struct hash key;
};

/* What a chain is for: how its signatures are made, and which words a refusal has. */
struct x509_use {
    const char *what;            // "PCK chain"
    enum signature_suite suite;  // of every signature in it
    enum reason broken;          // it does not hold
    enum reason expired;         // it does not hold at this time
    const struct x509_pin *pins;
    size_t pin_count;
};

/*
 * Add the certificates in `bytes` to the chain: PEM or DER, one or several, in any order; one that
 * is there already counts once. A refusal is use->broken.
 */
bool x509_chain_read(struct verdict *verdict, struct x509_pool *pool, struct x509_chain *chain,
                     const struct x509_use *use, struct bytes bytes);

/*
 * Move the one certificate that is no authority to the front, so that number 0 is the leaf. Its key
 * may be used to throw out early what it did not sign; what it did sign counts when the chain
 * holds.
 */
bool x509_chain_find_leaf(struct verdict *verdict, const struct x509_pool *pool,
                          struct x509_chain *chain, const struct x509_use *use);

/*
 * Whether the chain leads from its one certificate that is no authority to a root with a pinned
 * key (number *pin), every signature and date along it holds at verdict->judged_at_s, each issuer
 * may issue, nothing is critical and unknown, and no certificate is left over. Narrows
 * verdict->valid_from_s and valid_until_s.
 */
bool x509_chain_verify(struct verdict *verdict, struct x509_pool *pool, struct x509_chain *chain,
                       const struct x509_use *use, size_t *pin);

/* Of number `index` of a chain. The key lives as long as the pool. */
EVP_PKEY *x509_chain_key(const struct x509_pool *pool, const struct x509_chain *chain,
                         size_t index);
bool x509_chain_has_name(const struct x509_pool *pool, const struct x509_chain *chain, size_t index,
                         const char *common_name);

/* The content of the extension with this OID (its DER without tag and length). False: not one. */
bool x509_chain_extension(const struct x509_pool *pool, const struct x509_chain *chain,
                          size_t index, struct bytes oid, struct bytes *content);

/*
 * A revocation list (PEM, DER, or that in hexadecimal), signed by number `issuer` of a verified
 * chain, and in force. Freeing NULL does nothing. NULL: the reason is in the verdict, use->broken,
 * or use->expired for its dates.
 */
struct x509_crl;

struct x509_crl *x509_crl_new(struct verdict *verdict, const struct x509_pool *pool,
                              const struct x509_chain *chain, size_t issuer,
                              const struct x509_use *use, struct bytes bytes);
void x509_crl_free(struct x509_crl *crl);

/* When it was issued, as Unix time. */
uint64_t x509_crl_issued_s(const struct x509_crl *crl);

/* Whether it leaves number `index` in force. False: REASON_REVOKED, with the serial number. */
bool x509_crl_allows(struct verdict *verdict, const struct x509_crl *crl,
                     const struct x509_pool *pool, const struct x509_chain *chain, size_t index);

#endif
