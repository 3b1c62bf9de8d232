/* src/crypto/sign.c */
#include "crypto/sign.h"

#include <sodium.h>
#include <string.h>

#include "base/buffer.h"
#include "base/check.h"
#include "crypto/crypto_internal.h"

_Static_assert(SIGN_SEED_BYTES == crypto_sign_ed25519_SEEDBYTES, "libsodium's seed");
_Static_assert(SIGN_PUBLIC_BYTES == crypto_sign_ed25519_PUBLICKEYBYTES, "libsodium's public key");
_Static_assert(SIGN_SIGNATURE_BYTES == crypto_sign_ed25519_BYTES, "libsodium's signature");

// Almost every message is a hash with its purpose before it.
enum { SIGN_INPUT_BYTES_SMALL = 256 };

// libsodium's form of the secret key begins with the seed and ends with the public key.
struct sign_key {
    uint8_t bytes[crypto_sign_ed25519_SECRETKEYBYTES];
};

/* `purpose` ‖ message in one run, in `small` when it fits and in `large` else. */
struct sign_input {
    uint8_t small[SIGN_INPUT_BYTES_SMALL];
    struct buffer large;
    struct bytes whole;  // borrows from one of them
};

static enum status sign_input_init(struct sign_input *input, const char *purpose,
                                   struct bytes message)
{
    struct bytes prefix = bytes_text(purpose);
    input->large = BUFFER_EMPTY;

    size_t length = prefix.length + message.length;
    uint8_t *target = input->small;
    if (length > sizeof input->small) {
        enum status status = buffer_reserve(&input->large, length);
        if (status != STATUS_OK) {
            return status;
        }
        target = input->large.bytes;
    }
    memcpy(target, prefix.at, prefix.length);
    if (message.length > 0) {
        memcpy(target + prefix.length, message.at, message.length);
    }
    input->whole = bytes_of(target, length);
    return STATUS_OK;
}

struct sign_key *sign_key_new_from_seed(const uint8_t seed[SIGN_SEED_BYTES])
{
    struct sign_key *key = crypto_guarded_new(sizeof *key);
    uint8_t public_bytes[SIGN_PUBLIC_BYTES];
    CHECK(crypto_sign_ed25519_seed_keypair(public_bytes, key->bytes, seed) == 0);
    return key;
}

struct sign_key *sign_key_new(const struct random *random)
{
    // Not drawn into the key itself: libsodium overwrites a seed that lies there before it reads
    // it.
    uint8_t seed[SIGN_SEED_BYTES];
    random_fill(random, seed, sizeof seed);
    struct sign_key *key = sign_key_new_from_seed(seed);
    buffer_wipe(seed, sizeof seed);
    return key;
}

void sign_key_free(struct sign_key *key)
{
    crypto_guarded_free(key);
}

struct verify_key sign_key_public(const struct sign_key *key)
{
    struct verify_key public_key;
    memcpy(public_key.bytes, key->bytes + SIGN_SEED_BYTES, sizeof public_key.bytes);
    return public_key;
}

const uint8_t *sign_key_seed(const struct sign_key *key)
{
    return key->bytes;
}

struct signature sign_make(const struct sign_key *key, const char *purpose, struct bytes message)
{
    struct sign_input input;
    struct signature signature;
    CHECK(sign_input_init(&input, purpose, message) == STATUS_OK);
    CHECK(crypto_sign_ed25519_detached(signature.bytes, NULL, input.whole.at, input.whole.length,
                                       key->bytes) == 0);
    buffer_release(&input.large);
    return signature;
}

enum status sign_verify(const struct verify_key *key, const char *purpose, struct bytes message,
                        const struct signature *signature)
{
    struct sign_input input;
    enum status status = sign_input_init(&input, purpose, message);
    if (status != STATUS_OK) {
        return status;
    }
    if (crypto_sign_ed25519_verify_detached(signature->bytes, input.whole.at, input.whole.length,
                                            key->bytes) != 0) {
        status = STATUS_FORGED;
    }
    buffer_release(&input.large);
    return status;
}
