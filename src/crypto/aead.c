/* src/crypto/aead.c */
#include "crypto/aead.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/encoder.h"
#include "crypto/crypto_internal.h"

enum { NONCE_BYTES = 12 };

// One context per direction: each keeps its key, and a message only sets the nonce.
struct aead_key {
    EVP_CIPHER_CTX *sealing;
    EVP_CIPHER_CTX *unsealing;
};

struct aead_key *aead_key_new(const struct secret *secret)
{
    const EVP_CIPHER *cipher = crypto_algorithms()->chacha20_poly1305;
    struct aead_key *key = malloc(sizeof *key);
    CHECK(key != NULL);
    key->sealing = EVP_CIPHER_CTX_new();
    key->unsealing = EVP_CIPHER_CTX_new();
    CHECK(key->sealing != NULL);
    CHECK(key->unsealing != NULL);
    CHECK(EVP_EncryptInit_ex2(key->sealing, cipher, secret_bytes(secret), NULL, NULL) == 1);
    CHECK(EVP_DecryptInit_ex2(key->unsealing, cipher, secret_bytes(secret), NULL, NULL) == 1);
    return key;
}

void aead_key_free(struct aead_key *key)
{
    if (key == NULL) {
        return;
    }
    EVP_CIPHER_CTX_free(key->sealing);  // OpenSSL wipes the key
    EVP_CIPHER_CTX_free(key->unsealing);
    free(key);
}

static void nonce_encode(uint8_t target[NONCE_BYTES], uint64_t nonce)
{
    struct encoder out = encoder_over(target, NONCE_BYTES);
    encoder_u32(&out, 0);
    encoder_u64(&out, nonce);
    CHECK(out.length == NONCE_BYTES);
}

void aead_seal_nonce(struct aead_key *key, const uint8_t nonce[NONCE_BYTES],
                     struct bytes associated, struct bytes plain, uint8_t *target)
{
    CHECK(plain.length <= AEAD_PLAIN_BYTES_MAX);
    CHECK(associated.length <= AEAD_PLAIN_BYTES_MAX);

    EVP_CIPHER_CTX *context = key->sealing;
    uint8_t *tag = target + plain.length;
    int written = 0;
    CHECK(EVP_EncryptInit_ex2(context, NULL, NULL, nonce, NULL) == 1);
    if (associated.length > 0) {
        CHECK(EVP_EncryptUpdate(context, NULL, &written, associated.at, (int)associated.length) ==
              1);
    }
    if (plain.length > 0) {
        CHECK(EVP_EncryptUpdate(context, target, &written, plain.at, (int)plain.length) == 1);
        CHECK((size_t)written == plain.length);
    }
    CHECK(EVP_EncryptFinal_ex(context, tag, &written) == 1);
    CHECK(written == 0);
    CHECK(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_BYTES, tag) == 1);
}

enum status aead_unseal_nonce(struct aead_key *key, const uint8_t nonce[NONCE_BYTES],
                              struct bytes associated, struct bytes sealed, uint8_t *target)
{
    CHECK(associated.length <= AEAD_PLAIN_BYTES_MAX);
    if (sealed.length < AEAD_TAG_BYTES) {
        return STATUS_FORGED;
    }
    size_t plain_bytes = sealed.length - AEAD_TAG_BYTES;
    if (plain_bytes > AEAD_PLAIN_BYTES_MAX) {
        buffer_wipe(target, plain_bytes);
        return STATUS_FORGED;
    }

    EVP_CIPHER_CTX *context = key->unsealing;
    // A copy: `sealed` is const, and OpenSSL's control call is not.
    uint8_t tag[AEAD_TAG_BYTES];
    memcpy(tag, sealed.at + plain_bytes, sizeof tag);
    int written = 0;
    CHECK(EVP_DecryptInit_ex2(context, NULL, NULL, nonce, NULL) == 1);
    CHECK(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, sizeof tag, tag) == 1);
    if (associated.length > 0) {
        CHECK(EVP_DecryptUpdate(context, NULL, &written, associated.at, (int)associated.length) ==
              1);
    }
    if (plain_bytes > 0) {
        CHECK(EVP_DecryptUpdate(context, target, &written, sealed.at, (int)plain_bytes) == 1);
        CHECK((size_t)written == plain_bytes);
    }
    uint8_t rest[AEAD_TAG_BYTES];
    if (EVP_DecryptFinal_ex(context, rest, &written) != 1) {
        // The plaintext of a forgery is the forger's to choose: nobody gets to see it.
        buffer_wipe(target, plain_bytes);
        return STATUS_FORGED;
    }
    return STATUS_OK;
}

void aead_seal(struct aead_key *key, uint64_t nonce, struct bytes associated, struct bytes plain,
               uint8_t *target)
{
    uint8_t encoded[NONCE_BYTES];
    nonce_encode(encoded, nonce);
    aead_seal_nonce(key, encoded, associated, plain, target);
}

enum status aead_unseal(struct aead_key *key, uint64_t nonce, struct bytes associated,
                        struct bytes sealed, uint8_t *target)
{
    uint8_t encoded[NONCE_BYTES];
    nonce_encode(encoded, nonce);
    return aead_unseal_nonce(key, encoded, associated, sealed, target);
}
