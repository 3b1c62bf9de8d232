/* src/crypto/slip10.c */
#include "crypto/slip10.h"

#include <sodium.h>
#include <string.h>

#include "base/buffer.h"
#include "base/check.h"
#include "crypto/crypto_internal.h"
#include "crypto/hash512.h"

enum {
    KEY_BYTES = 32,
    SEED_BYTES_MIN = 16,
    SEED_BYTES_MAX = 64,
    NUMBER_BYTES = KEY_BYTES + 1,  // the sum of two keys needs one bit more
    STEP_BYTES = 1 + KEY_BYTES + 4,
};

static const uint32_t HARDENED = 0x80000000u;

// The order of P-256 (SEC 2, section 2.4.2), big endian as SLIP-0010's keys are.
static const uint8_t p256_order[KEY_BYTES] = {
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
};

struct slip10_node {
    enum slip10_curve curve;
    uint8_t key[KEY_BYTES];
    uint8_t chain_code[KEY_BYTES];
};

/* A key as libsodium's arithmetic wants it: little endian, with room for a carry. */
static void number_from_key(uint8_t number[NUMBER_BYTES], const uint8_t key[KEY_BYTES])
{
    for (size_t i = 0; i < KEY_BYTES; i++) {
        number[i] = key[KEY_BYTES - 1 - i];
    }
    number[KEY_BYTES] = 0;
}

static void number_to_key(uint8_t key[KEY_BYTES], const uint8_t number[NUMBER_BYTES])
{
    CHECK(number[KEY_BYTES] == 0);
    for (size_t i = 0; i < KEY_BYTES; i++) {
        key[i] = number[KEY_BYTES - 1 - i];
    }
}

/*
 * key = (left + parent) mod the order of P-256. False when `left` is no number
 * below the order or the sum is zero: SLIP-0010 then asks for another `left`.
 */
static bool p256_add(uint8_t key[KEY_BYTES], const uint8_t left[KEY_BYTES],
                     const uint8_t parent[KEY_BYTES])
{
    uint8_t order[NUMBER_BYTES], sum[NUMBER_BYTES], added[NUMBER_BYTES];
    number_from_key(order, p256_order);
    number_from_key(sum, left);
    number_from_key(added, parent);

    bool is_below_order = sodium_compare(sum, order, NUMBER_BYTES) < 0;
    sodium_add(sum, added, NUMBER_BYTES);
    if (sodium_compare(sum, order, NUMBER_BYTES) >= 0) {
        sodium_sub(sum, order, NUMBER_BYTES);
    }
    bool is_usable = is_below_order && !sodium_is_zero(sum, NUMBER_BYTES);
    if (is_usable) {
        number_to_key(key, sum);
    }
    buffer_wipe(sum, sizeof sum);
    buffer_wipe(added, sizeof added);
    return is_usable;
}

/* Take the two halves of `digest` if they make a key below `parent` (NULL for a root). */
static bool node_take(struct slip10_node *node, const uint8_t digest[HASH512_BYTES],
                      const uint8_t *parent)
{
    static const uint8_t zero[KEY_BYTES];
    if (node->curve == SLIP10_NIST256P1) {
        if (!p256_add(node->key, digest, parent == NULL ? zero : parent)) {
            return false;
        }
    } else {
        memcpy(node->key, digest, KEY_BYTES);
    }
    memcpy(node->chain_code, digest + KEY_BYTES, KEY_BYTES);
    return true;
}

struct slip10_node *slip10_root(enum slip10_curve curve, struct bytes seed)
{
    CHECK(SEED_BYTES_MIN <= seed.length && seed.length <= SEED_BYTES_MAX);
    struct bytes name = bytes_text(curve == SLIP10_ED25519 ? "ed25519 seed" : "Nist256p1 seed");
    struct slip10_node *node = crypto_guarded_new(sizeof *node);
    node->curve = curve;

    // A second round has a chance of 2^-32: SLIP-0010's vectors hold one.
    uint8_t digest[HASH512_BYTES];
    hash512_mac(digest, name, seed);
    while (!node_take(node, digest, NULL)) {
        uint8_t again[HASH512_BYTES];
        memcpy(again, digest, sizeof again);
        hash512_mac(digest, name, bytes_of(again, sizeof again));
        buffer_wipe(again, sizeof again);
    }
    buffer_wipe(digest, sizeof digest);
    return node;
}

/* prefix ‖ 32 bytes ‖ hardened index, big endian: what a step's HMAC covers. */
static void step_encode(uint8_t step[STEP_BYTES], uint8_t prefix, const uint8_t bytes[KEY_BYTES],
                        uint32_t index)
{
    step[0] = prefix;
    memcpy(step + 1, bytes, KEY_BYTES);
    for (size_t i = 0; i < 4; i++) {
        step[1 + KEY_BYTES + i] = (uint8_t)(index >> (24 - 8 * i));
    }
}

struct slip10_node *slip10_child(const struct slip10_node *parent, uint32_t index)
{
    CHECK(index < HARDENED);
    struct slip10_node *node = crypto_guarded_new(sizeof *node);
    node->curve = parent->curve;

    struct bytes chain_code = bytes_of(parent->chain_code, KEY_BYTES);
    uint8_t step[STEP_BYTES];
    uint8_t digest[HASH512_BYTES];
    step_encode(step, 0, parent->key, index | HARDENED);
    hash512_mac(digest, chain_code, bytes_of(step, sizeof step));
    while (!node_take(node, digest, parent->key)) {
        step_encode(step, 1, digest + KEY_BYTES, index | HARDENED);
        hash512_mac(digest, chain_code, bytes_of(step, sizeof step));
    }
    buffer_wipe(step, sizeof step);
    buffer_wipe(digest, sizeof digest);
    return node;
}

struct slip10_node *slip10_path(enum slip10_curve curve, struct bytes seed, const uint32_t *indexes,
                                size_t count)
{
    struct slip10_node *node = slip10_root(curve, seed);
    for (size_t i = 0; i < count; i++) {
        struct slip10_node *child = slip10_child(node, indexes[i]);
        slip10_node_free(node);
        node = child;
    }
    return node;
}

void slip10_node_free(struct slip10_node *node)
{
    crypto_guarded_free(node);
}

struct secret *slip10_secret(const struct slip10_node *node)
{
    return secret_new_copy(node->key);
}

const uint8_t *slip10_chain_code(const struct slip10_node *node)
{
    return node->chain_code;
}
