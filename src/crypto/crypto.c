/* src/crypto/crypto.c */
#include "crypto/crypto.h"

#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <sodium.h>
#include <stdint.h>
#include <time.h>

#include "base/check.h"
#include "crypto/crypto_internal.h"

// Written once, under pthread_once(): a fetch costs more than a hash of 1 KiB,
// and a context passed to every hash_of() would say nothing.
static struct crypto_algorithms fetched;

static void crypto_init_once(void)
{
    CHECK(sodium_init() >= 0);

    // No configuration file: it could name modules to load, and a sealed process has no files.
    CHECK(OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1);
    fetched = (struct crypto_algorithms){
        .sha256 = EVP_MD_fetch(NULL, "SHA256", NULL),
        .sha512 = EVP_MD_fetch(NULL, "SHA512", NULL),
        .hmac = EVP_MAC_fetch(NULL, "HMAC", NULL),
        .hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL),
        .chacha20_poly1305 = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL),
    };
    CHECK(fetched.sha256 != NULL);
    CHECK(fetched.sha512 != NULL);
    CHECK(fetched.hmac != NULL);
    CHECK(fetched.hkdf != NULL);
    CHECK(fetched.chacha20_poly1305 != NULL);

    // Seeds OpenSSL's generators, public and private; each later needs getrandom() alone.
    uint8_t drawn[1];
    CHECK(RAND_bytes(drawn, sizeof drawn) == 1);
    CHECK(RAND_priv_bytes(drawn, sizeof drawn) == 1);

    // The dates of certificates go through gmtime(), which reads the time zone's file once.
    tzset();
}

void crypto_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    CHECK(pthread_once(&once, crypto_init_once) == 0);
}

const struct crypto_algorithms *crypto_algorithms(void)
{
    CHECK(fetched.chacha20_poly1305 != NULL);
    return &fetched;
}

void *crypto_guarded_new(size_t size)
{
    void *memory = sodium_malloc(size);
    CHECK(memory != NULL);
    return memory;
}

void crypto_guarded_free(void *memory)
{
    sodium_free(memory);
}

bool crypto_equal(const void *a, const void *b, size_t length)
{
    return sodium_memcmp(a, b, length) == 0;
}
