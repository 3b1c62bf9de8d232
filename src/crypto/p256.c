/* src/crypto/p256.c */
#include "crypto/p256.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "crypto/p256_internal.h"

struct p256_key {
    EVP_PKEY *openssl;
};

struct p256_key *p256_key_new(void)
{
    struct p256_key *key = malloc(sizeof *key);
    CHECK(key != NULL);
    key->openssl = EVP_EC_gen("P-256");
    CHECK(key->openssl != NULL);
    return key;
}

/* A key of P-256 from its octets; `scalar` is NULL for a public key. NULL when it is none. */
static EVP_PKEY *openssl_make(const uint8_t point[P256_PUBLIC_BYTES], const BIGNUM *scalar)
{
    EVP_PKEY *made = NULL;
    OSSL_PARAM *parameters = NULL;
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    CHECK(builder != NULL);
    CHECK(context != NULL);

    CHECK(OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, SN_X9_62_prime256v1,
                                          0) == 1);
    CHECK(OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point,
                                           P256_PUBLIC_BYTES) == 1);
    if (scalar != NULL) {
        CHECK(OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_PRIV_KEY, scalar) == 1);
    }
    parameters = OSSL_PARAM_BLD_to_param(builder);
    CHECK(parameters != NULL);
    CHECK(EVP_PKEY_fromdata_init(context) == 1);
    int selection = scalar == NULL ? EVP_PKEY_PUBLIC_KEY : EVP_PKEY_KEYPAIR;
    // Refuses a point that is not on the curve.
    if (EVP_PKEY_fromdata(context, &made, selection, parameters) != 1) {
        made = NULL;
        ERR_clear_error();
    }
    OSSL_PARAM_free(parameters);  // wipes the scalar, since it came from BN_secure_new()
    OSSL_PARAM_BLD_free(builder);
    EVP_PKEY_CTX_free(context);
    return made;
}

struct p256_key *p256_key_new_from_secret(const struct secret *secret)
{
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    CHECK(group != NULL);
    EC_POINT *point = EC_POINT_new(group);
    BIGNUM *scalar = BN_secure_new();
    CHECK(point != NULL);
    CHECK(scalar != NULL);

    BN_set_flags(scalar, BN_FLG_CONSTTIME);
    CHECK(BN_bin2bn(secret_bytes(secret), SECRET_BYTES, scalar) != NULL);
    CHECK(!BN_is_zero(scalar));
    CHECK(BN_cmp(scalar, EC_GROUP_get0_order(group)) < 0);

    uint8_t octets[P256_PUBLIC_BYTES];
    CHECK(EC_POINT_mul(group, point, scalar, NULL, NULL, NULL) == 1);
    CHECK(EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, octets, sizeof octets,
                             NULL) == sizeof octets);

    struct p256_key *key = malloc(sizeof *key);
    CHECK(key != NULL);
    key->openssl = openssl_make(octets, scalar);
    CHECK(key->openssl != NULL);

    BN_clear_free(scalar);
    EC_POINT_free(point);
    EC_GROUP_free(group);
    return key;
}

void p256_key_free(struct p256_key *key)
{
    if (key == NULL) {
        return;
    }
    EVP_PKEY_free(key->openssl);
    free(key);
}

EVP_PKEY *p256_public_to_openssl(const struct p256_public *key)
{
    return openssl_make(key->bytes, NULL);
}

bool p256_public_from_openssl(struct p256_public *target, const EVP_PKEY *key)
{
    char group[32] = "";
    size_t written = 0;
    bool is_read =
        EVP_PKEY_is_a(key, "EC") == 1 &&
        EVP_PKEY_get_group_name(key, group, sizeof group, &written) == 1 &&
        strcmp(group, SN_X9_62_prime256v1) == 0 &&
        EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, target->bytes,
                                        sizeof target->bytes, &written) == 1 &&
        written == sizeof target->bytes;
    ERR_clear_error();
    return is_read;
}

struct p256_public p256_key_public(const struct p256_key *key)
{
    struct p256_public public_key;
    CHECK(p256_public_from_openssl(&public_key, key->openssl));
    return public_key;
}

void *p256_key_openssl(struct p256_key *key)
{
    return key->openssl;
}
