/* src/attest/signature.c */
#include "attest/signature.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <string.h>

#include "base/check.h"

enum { PSS_SALT_BYTES = 48, GROUP_NAME_BYTES_MAX = 32 };

static bool is_rsa(enum signature_suite suite)
{
    return suite == SIGNATURE_RSA_PSS_SHA384;
}

static size_t coordinate_bytes(enum signature_suite suite)
{
    CHECK(!is_rsa(suite));
    return suite == SIGNATURE_P256_SHA256 ? 32 : 48;
}

static const char *group_name(enum signature_suite suite)
{
    return suite == SIGNATURE_P256_SHA256 ? "prime256v1" : "secp384r1";
}

static const EVP_MD *digest(enum signature_suite suite)
{
    return suite == SIGNATURE_P256_SHA256 ? EVP_sha256() : EVP_sha384();
}

static bool is_of_suite(enum signature_suite suite, const EVP_PKEY *key)
{
    if (is_rsa(suite)) {
        return EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) >= SIGNATURE_RSA_BITS_MIN;
    }
    char name[GROUP_NAME_BYTES_MAX];
    size_t length = 0;
    return EVP_PKEY_is_a(key, "EC") &&
           EVP_PKEY_get_group_name(key, name, sizeof name, &length) == 1 &&
           strcmp(name, group_name(suite)) == 0;
}

static bool set_padding(EVP_PKEY_CTX *context)
{
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(context, EVP_sha384()) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(context, PSS_SALT_BYTES) == 1;
}

bool signature_verify(enum signature_suite suite, EVP_PKEY *key, struct bytes message,
                      struct bytes signature)
{
    EVP_PKEY_CTX *context = NULL;  // the digest context's own
    EVP_MD_CTX *digests = EVP_MD_CTX_new();
    bool is_valid =
        key != NULL && digests != NULL && is_of_suite(suite, key) &&
        EVP_DigestVerifyInit(digests, &context, digest(suite), NULL, key) == 1 &&
        (!is_rsa(suite) || set_padding(context)) &&
        EVP_DigestVerify(digests, signature.at, signature.length, message.at, message.length) == 1;
    EVP_MD_CTX_free(digests);
    ERR_clear_error();  // what was refused is no error of whoever uses OpenSSL next
    return is_valid;
}

bool signature_verify_raw(enum signature_suite suite, EVP_PKEY *key, struct bytes message,
                          struct bytes signature)
{
    size_t size = coordinate_bytes(suite);
    if (signature.length != 2 * size) {
        return false;
    }
    ECDSA_SIG *numbers = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature.at, (int)size, NULL);
    BIGNUM *s = BN_bin2bn(signature.at + size, (int)size, NULL);
    uint8_t *der = NULL;
    bool is_valid = false;
    if (numbers == NULL || r == NULL || s == NULL || ECDSA_SIG_set0(numbers, r, s) != 1) {
        BN_free(r);
        BN_free(s);
        goto done;
    }
    int length = i2d_ECDSA_SIG(numbers, &der);
    is_valid = length > 0 && signature_verify(suite, key, message, bytes_of(der, (size_t)length));

done:
    OPENSSL_free(der);
    ECDSA_SIG_free(numbers);
    return is_valid;
}

EVP_PKEY *signature_key(enum signature_suite suite, struct bytes point)
{
    uint8_t encoded[1 + 2 * SIGNATURE_COORDINATE_BYTES_MAX] = {POINT_CONVERSION_UNCOMPRESSED};
    char group[GROUP_NAME_BYTES_MAX];
    if (point.length != 2 * coordinate_bytes(suite)) {
        return NULL;
    }
    memcpy(encoded + 1, point.at, point.length);
    strncpy(group, group_name(suite), sizeof group - 1);
    group[sizeof group - 1] = '\0';
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, encoded, 1 + point.length),
        OSSL_PARAM_construct_end(),
    };
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    if (context == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1) {
        key = NULL;
    }
    EVP_PKEY_CTX_free(context);
    ERR_clear_error();
    return key;
}
