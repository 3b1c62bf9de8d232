/* fuzz/attest/x509_fuzz.c */

/*
 * Hostile certificates and revocation lists, PEM and DER. The root of whatever comes is pinned, so
 * that a path that holds is walked to its end; a list is read for each certificate of it.
 */
#include "attest/x509.h"

#include <openssl/x509.h>

#include "base/check.h"
#include "crypto/crypto.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* The key of number `index`, as a pin. */
static struct x509_pin pin_of(const struct x509_pool *pool, const struct x509_chain *chain,
                              size_t index)
{
    uint8_t *der = NULL;
    EVP_PKEY *key = x509_chain_key(pool, chain, index);
    int length = key == NULL ? 0 : i2d_PUBKEY(key, &der);
    const struct x509_pin pin = {.key = hash_of(der, length > 0 ? (size_t)length : 0)};
    OPENSSL_free(der);
    return pin;
}

/* As a chain of one suite. The rest of the input, if it was cut in two, is a list. */
static void judge(struct bytes certificates, struct bytes list, enum signature_suite suite)
{
    struct verdict verdict = verdict_at(1800000000);
    struct x509_pool *pool = x509_pool_new();
    struct x509_chain chain = {.count = 0};
    struct x509_use use = {
        .what = "chain",
        .suite = suite,
        .broken = REASON_CHAIN,
        .expired = REASON_COLLATERAL_EXPIRED,
        .pin_count = 1,
    };
    if (x509_chain_read(&verdict, pool, &chain, &use, certificates)) {
        for (size_t i = 0; i < chain.count; i++) {
            const struct x509_pin pin = pin_of(pool, &chain, i);
            struct x509_chain whole = chain;
            size_t found;
            struct bytes content;
            use.pins = &pin;
            bool holds = x509_chain_verify(&verdict, pool, &whole, &use, &found);
            CHECK(!holds || found == 0);
            x509_chain_extension(pool, &whole, 0, bytes_text("\x55\x1d\x0f"), &content);
            struct x509_crl *crl = x509_crl_new(&verdict, pool, &whole, i, &use, list);
            if (crl != NULL) {
                CHECK(x509_crl_issued_s(crl) <= 1800000000);
                CHECK(x509_crl_allows(&verdict, crl, pool, &whole, 0) ||
                      verdict.reason == REASON_REVOKED);
            }
            x509_crl_free(crl);
        }
    }
    x509_pool_free(pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    crypto_init();
    size_t cut = length > 2 ? ((size_t)bytes[0] << 8 | bytes[1]) % (length - 1) : 0;
    struct bytes whole = bytes_of(bytes, length);
    judge(whole, whole, SIGNATURE_P256_SHA256);
    if (length > 2) {
        judge(bytes_of(bytes + 2, cut), bytes_of(bytes + 2 + cut, length - 2 - cut),
              SIGNATURE_P256_SHA256);
        judge(bytes_of(bytes + 2, cut), bytes_of(bytes + 2 + cut, length - 2 - cut),
              SIGNATURE_RSA_PSS_SHA384);
    }
    return 0;
}
