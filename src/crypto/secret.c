/* src/crypto/secret.c */
#include "crypto/secret.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <string.h>

#include "base/check.h"
#include "base/encoder.h"
#include "crypto/crypto_internal.h"

enum {
    HKDF_OUTPUT_BYTES_MAX = 255 * 32,  // RFC 5869, section 2.3
    HKDF_INFO_BYTES_MAX = 1024,        // OpenSSL 3.0 takes no more
};

struct secret {
    uint8_t bytes[SECRET_BYTES];
};

struct secret *secret_new_random(const struct random *random)
{
    struct secret *secret = crypto_guarded_new(sizeof *secret);
    random_fill(random, secret->bytes, sizeof secret->bytes);
    return secret;
}

struct secret *secret_new_copy(const uint8_t bytes[SECRET_BYTES])
{
    struct secret *secret = crypto_guarded_new(sizeof *secret);
    memcpy(secret->bytes, bytes, sizeof secret->bytes);
    return secret;
}

void secret_free(struct secret *secret)
{
    crypto_guarded_free(secret);
}

const uint8_t *secret_bytes(const struct secret *secret)
{
    return secret->bytes;
}

/* OpenSSL's parameters are not const, and these it only reads. */
static OSSL_PARAM parameter_octets(const char *name, struct bytes value)
{
    static uint8_t nothing[1];
    void *at = value.length == 0 ? nothing : (void *)(uintptr_t)value.at;
    return OSSL_PARAM_construct_octet_string(name, at, value.length);
}

enum status secret_hkdf(uint8_t *target, size_t target_bytes, struct bytes key, struct bytes salt,
                        struct bytes info)
{
    if (target_bytes == 0 || target_bytes > HKDF_OUTPUT_BYTES_MAX ||
        info.length > HKDF_INFO_BYTES_MAX || key.length == 0) {
        return STATUS_DENIED;
    }
    char digest[] = "SHA256";
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        parameter_octets(OSSL_KDF_PARAM_KEY, key),
        parameter_octets(OSSL_KDF_PARAM_SALT, salt),
        parameter_octets(OSSL_KDF_PARAM_INFO, info),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF_CTX *context = EVP_KDF_CTX_new(crypto_algorithms()->hkdf);
    CHECK(context != NULL);
    CHECK(EVP_KDF_derive(context, target, target_bytes, parameters) == 1);
    EVP_KDF_CTX_free(context);
    return STATUS_OK;
}

struct secret *secret_derive(const struct secret *root, const char *purpose, struct bytes context)
{
    uint8_t info[HKDF_INFO_BYTES_MAX];
    struct encoder out = encoder_over(info, sizeof info);
    encoder_bytes(&out, purpose, strlen(purpose));
    encoder_bytes(&out, context.at, context.length);
    CHECK(!out.failed);

    struct secret *derived = crypto_guarded_new(sizeof *derived);
    enum status status = secret_hkdf(derived->bytes, sizeof derived->bytes,
                                     bytes_of(root->bytes, sizeof root->bytes), bytes_of(NULL, 0),
                                     bytes_of(info, out.length));
    CHECK(status == STATUS_OK);
    return derived;
}
