/* src/crypto/hash.c */
#include "crypto/hash.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <pthread.h>

#include "base/check.h"
#include "base/hex.h"
#include "crypto/crypto.h"
#include "crypto/crypto_internal.h"
#include "crypto/hash_internal.h"

// One context per thread: hash_of() is on the data path, and allocating one
// costs as much as hashing a small record.
static _Thread_local EVP_MD_CTX *thread_context;
static pthread_key_t thread_context_key;

EVP_MD_CTX *hash_context_new(void)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    CHECK(context != NULL);
    return context;
}

static void thread_context_free(void *context)
{
    EVP_MD_CTX_free(context);
    // A later destructor of this thread may hash again: it gets a new one.
    thread_context = NULL;
}

static void thread_context_key_make(void)
{
    CHECK(pthread_key_create(&thread_context_key, thread_context_free) == 0);
}

static EVP_MD_CTX *thread_context_get(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (thread_context == NULL) {
        CHECK(pthread_once(&once, thread_context_key_make) == 0);
        thread_context = hash_context_new();
        CHECK(pthread_setspecific(thread_context_key, thread_context) == 0);
    }
    return thread_context;
}

void hash_context_begin(EVP_MD_CTX *context, const EVP_MD *algorithm)
{
    CHECK(EVP_DigestInit_ex2(context, algorithm, NULL) == 1);
}

void hash_context_add(EVP_MD_CTX *context, const void *bytes, size_t length)
{
    CHECK(EVP_DigestUpdate(context, bytes, length) == 1);
}

void hash_context_end(EVP_MD_CTX *context, uint8_t *target, size_t length)
{
    unsigned written = 0;
    CHECK(EVP_DigestFinal_ex(context, target, &written) == 1);
    CHECK(written == length);
}

struct hash hash_of(const void *bytes, size_t length)
{
    struct bytes whole = bytes_of(bytes, length);
    return hash_of_parts(&whole, 1);
}

struct hash hash_of_parts(const struct bytes *parts, size_t count)
{
    EVP_MD_CTX *context = thread_context_get();
    struct hash hash;
    hash_context_begin(context, crypto_algorithms()->sha256);
    for (size_t i = 0; i < count; i++) {
        hash_context_add(context, parts[i].at, parts[i].length);
    }
    hash_context_end(context, hash.bytes, sizeof hash.bytes);
    return hash;
}

void hash_mac_with(uint8_t *target, size_t target_bytes, char *digest, struct bytes key,
                   struct bytes message)
{
    // OpenSSL takes a NULL key for "the key of before", which there is not.
    static const uint8_t nothing[1];
    const uint8_t *key_bytes = key.length == 0 ? nothing : key.at;
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    size_t written = 0;

    EVP_MAC_CTX *context = EVP_MAC_CTX_new(crypto_algorithms()->hmac);
    CHECK(context != NULL);
    CHECK(EVP_MAC_init(context, key_bytes, key.length, parameters) == 1);
    CHECK(EVP_MAC_update(context, message.at, message.length) == 1);
    CHECK(EVP_MAC_final(context, target, &written, target_bytes) == 1);
    CHECK(written == target_bytes);
    EVP_MAC_CTX_free(context);
}

struct hash hash_mac(struct bytes key, struct bytes message)
{
    char digest[] = "SHA256";
    struct hash hash;
    hash_mac_with(hash.bytes, sizeof hash.bytes, digest, key, message);
    return hash;
}

bool hash_equal(const struct hash *a, const struct hash *b)
{
    // Some hashes are MACs, and nobody should have to remember which.
    return crypto_equal(a->bytes, b->bytes, sizeof a->bytes);
}

bool hash_is_zero(const struct hash *hash)
{
    static const struct hash zero;
    return hash_equal(hash, &zero);
}

void hash_text(const struct hash *hash, char text[HASH_TEXT_BYTES])
{
    hex_encode(text, hash->bytes, sizeof hash->bytes);
}
