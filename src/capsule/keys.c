/* src/capsule/keys.c */
#include "capsule/keys.h"

#include "base/hex.h"
#include "crypto/slip10.h"

enum {
    KEYS_PURPOSE_DATA = 1,
    KEYS_PURPOSE_TLS = 2,
    KEYS_PURPOSE_TOKEN = 3,
    KEYS_PURPOSE_LOCK = 4,
};

static struct secret *secret_at(const struct secret *seed, enum slip10_curve curve,
                                const uint32_t *path, size_t count)
{
    struct slip10_node *node =
        slip10_path(curve, bytes_of(secret_bytes(seed), SECRET_BYTES), path, count);
    struct secret *secret = slip10_secret(node);
    slip10_node_free(node);
    return secret;
}

static struct secret *derive_at(const struct secret *seed, const uint32_t *path, size_t count,
                                const char *purpose, const struct hash *capsule)
{
    struct secret *node = secret_at(seed, SLIP10_ED25519, path, count);
    struct secret *derived =
        secret_derive(node, purpose, bytes_of(capsule->bytes, sizeof capsule->bytes));
    secret_free(node);
    return derived;
}

struct secret *keys_data(const struct secret *seed, const struct hash *capsule, uint32_t key_epoch)
{
    const uint32_t path[] = {KEYS_PURPOSE_DATA, key_epoch};
    return derive_at(seed, path, 2, "paranoid data key v1", capsule);
}

struct p256_key *keys_tls_root(const struct secret *seed)
{
    const uint32_t path[] = {KEYS_PURPOSE_TLS};
    struct secret *scalar = secret_at(seed, SLIP10_NIST256P1, path, 1);
    struct p256_key *key = p256_key_new_from_secret(scalar);
    secret_free(scalar);
    return key;
}

struct secret *keys_lock(const struct secret *seed, const struct hash *capsule)
{
    const uint32_t path[] = {KEYS_PURPOSE_LOCK};
    return derive_at(seed, path, 1, "paranoid lock v1", capsule);
}

void keys_token(const struct secret *seed, const struct hash *capsule,
                char text[KEYS_TOKEN_TEXT_BYTES])
{
    const uint32_t path[] = {KEYS_PURPOSE_TOKEN};
    struct secret *token = derive_at(seed, path, 1, "paranoid token v1", capsule);
    hex_encode(text, secret_bytes(token), SECRET_BYTES);
    secret_free(token);
}

struct hash keys_token_hash(const char text[KEYS_TOKEN_TEXT_BYTES])
{
    return hash_of(text, KEYS_TOKEN_TEXT_BYTES - 1);
}
