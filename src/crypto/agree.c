/* src/crypto/agree.c */
#include "crypto/agree.h"

#include <sodium.h>
#include <string.h>

#include "base/buffer.h"
#include "base/check.h"
#include "crypto/crypto_internal.h"

_Static_assert(AGREE_PUBLIC_BYTES == crypto_scalarmult_curve25519_BYTES, "libsodium's point");
_Static_assert(SECRET_BYTES == crypto_scalarmult_curve25519_BYTES, "a point makes a secret");

enum { SCALAR_BYTES = crypto_scalarmult_curve25519_SCALARBYTES };

struct agree_key {
    uint8_t scalar[SCALAR_BYTES];
    struct agree_public public_key;
};

static void agree_key_finish(struct agree_key *key)
{
    CHECK(crypto_scalarmult_curve25519_base(key->public_key.bytes, key->scalar) == 0);
}

struct agree_key *agree_key_new(const struct random *random)
{
    struct agree_key *key = crypto_guarded_new(sizeof *key);
    random_fill(random, key->scalar, sizeof key->scalar);
    agree_key_finish(key);
    return key;
}

struct agree_key *agree_key_new_from_bytes(const uint8_t scalar[SCALAR_BYTES])
{
    struct agree_key *key = crypto_guarded_new(sizeof *key);
    memcpy(key->scalar, scalar, sizeof key->scalar);
    agree_key_finish(key);
    return key;
}

void agree_key_free(struct agree_key *key)
{
    crypto_guarded_free(key);
}

struct agree_public agree_key_public(const struct agree_key *key)
{
    return key->public_key;
}

enum status agree_shared(struct secret **shared, const struct agree_key *own,
                         const struct agree_public *peer)
{
    *shared = NULL;
    uint8_t point[SECRET_BYTES];
    enum status status = STATUS_FORGED;
    // libsodium refuses points of small order and an all-zero result.
    if (crypto_scalarmult_curve25519(point, own->scalar, peer->bytes) == 0) {
        *shared = secret_new_copy(point);
        status = STATUS_OK;
    }
    buffer_wipe(point, sizeof point);
    return status;
}
