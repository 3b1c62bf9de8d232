/* tests/crypto/slip10_test.c */

/*
 * Goal: our tree is SLIP-0010's, a root's rare second round included.
 * Method: the vectors of SLIP-0010 for Ed25519 and nist256p1; of each chain
 * the leading part whose steps are all hardened, since there are no others here.
 * Not held: the second round of a step. Its one published case is not hardened,
 * and to find another takes some 2^32 HMACs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hex.h"
#include "crypto/crypto.h"
#include "crypto/hash.h"
#include "crypto/slip10.h"
#include "tests/crypto/vectors.h"

enum { DEPTH_MAX = 8 };

/* Read "m/0'/2147483647'" to indexes. -1 when a step is not hardened. */
static int path_read(uint32_t indexes[DEPTH_MAX], const char *path)
{
    int count = 0;
    assert_int_equal(path[0], 'm');
    path++;
    while (*path == '/') {
        char *end;
        unsigned long index = strtoul(path + 1, &end, 10);
        if (strncmp(end, "H", 1) != 0 && strncmp(end, "'", 1) != 0) {
            return -1;
        }
        assert_true(count < DEPTH_MAX);
        indexes[count] = (uint32_t)index;
        count++;
        path = end + 1;
    }
    assert_int_equal(*path, '\0');
    return count;
}

/* 1 when the path could be walked, 0 when it has a step that is not hardened. */
static size_t link_judge(enum slip10_curve curve, struct bytes seed, const json_t *link)
{
    uint32_t indexes[DEPTH_MAX];
    int count = path_read(indexes, vectors_text(link, "path"));
    if (count < 0) {
        return 0;
    }
    struct bytes chain_code = vectors_hex(link, "chain_code");
    struct bytes private_key = vectors_hex(link, "private");
    struct slip10_node *node = slip10_path(curve, seed, indexes, (size_t)count);
    struct secret *secret = slip10_secret(node);
    assert_int_equal(private_key.length, SECRET_BYTES);
    assert_memory_equal(secret_bytes(secret), private_key.at, SECRET_BYTES);
    assert_int_equal(chain_code.length, HASH_BYTES);
    assert_memory_equal(slip10_chain_code(node), chain_code.at, HASH_BYTES);
    secret_free(secret);
    slip10_node_free(node);
    vectors_free(chain_code);
    vectors_free(private_key);
    return 1;
}

/* Links walked in the vectors whose title ends with `curve_name`. */
static size_t vectors_walk(enum slip10_curve curve, const char *curve_name)
{
    size_t walked = 0;
    json_t *vectors = vectors_load("keys/slip-0010-vectors.json");
    for (size_t i = 0; i < json_array_size(vectors); i++) {
        const json_t *vector = json_array_get(vectors, i);
        if (strstr(vectors_text(vector, "title"), curve_name) == NULL) {
            continue;
        }
        struct bytes seed = vectors_hex(vector, "seed");
        const json_t *chain = json_object_get(vector, "chain");
        for (size_t j = 0; j < json_array_size(chain); j++) {
            walked += link_judge(curve, seed, json_array_get(chain, j));
        }
        vectors_free(seed);
    }
    json_decref(vectors);
    return walked;
}

static void walks_the_published_chains_of_ed25519(void **state)
{
    (void)state;
    assert_int_equal(vectors_walk(SLIP10_ED25519, "ed25519"), 12);
}

static void walks_the_hardened_beginnings_of_nist256p1(void **state)
{
    (void)state;
    assert_int_equal(vectors_walk(SLIP10_NIST256P1, "nist256p1"), 5);
}

/* The one vector of slip-0010.md ("seed retry") that its JSON does not carry. */
static void a_root_that_is_no_scalar_is_drawn_again(void **state)
{
    (void)state;
    uint8_t seed[32], expected_key[SECRET_BYTES], expected_chain_code[HASH_BYTES];
    static const char seed_text[] =
        "a7305bc8df8d0951f0cb224c0e95d7707cbdf2c6ce7e8d481fec69c7ff5e9446";
    static const char key_text[] =
        "3b8c18469a4634517d6d0b65448f8e6c62091b45540a1743c5846be55d47d88f";
    static const char chain_code_text[] =
        "7762f9729fed06121fd13f326884c82f59aa95c57ac492ce8c9654e60efd130c";
    assert_true(hex_decode(seed, sizeof seed, seed_text, strlen(seed_text)));
    assert_true(hex_decode(expected_key, SECRET_BYTES, key_text, strlen(key_text)));
    assert_true(
        hex_decode(expected_chain_code, HASH_BYTES, chain_code_text, strlen(chain_code_text)));

    struct slip10_node *root = slip10_root(SLIP10_NIST256P1, bytes_of(seed, sizeof seed));
    struct secret *secret = slip10_secret(root);
    assert_memory_equal(secret_bytes(secret), expected_key, SECRET_BYTES);
    assert_memory_equal(slip10_chain_code(root), expected_chain_code, HASH_BYTES);
    secret_free(secret);
    slip10_node_free(root);
}

static void a_path_is_its_steps(void **state)
{
    (void)state;
    static const uint8_t seed[16] = {9};
    static const uint32_t indexes[] = {1, 2147483647};
    struct slip10_node *root = slip10_root(SLIP10_ED25519, bytes_of(seed, sizeof seed));
    struct slip10_node *child = slip10_child(root, indexes[0]);
    struct slip10_node *grandchild = slip10_child(child, indexes[1]);
    struct slip10_node *walked =
        slip10_path(SLIP10_ED25519, bytes_of(seed, sizeof seed), indexes, 2);
    struct secret *by_steps = slip10_secret(grandchild);
    struct secret *by_path = slip10_secret(walked);
    assert_memory_equal(secret_bytes(by_steps), secret_bytes(by_path), SECRET_BYTES);
    secret_free(by_steps);
    secret_free(by_path);
    slip10_node_free(root);
    slip10_node_free(child);
    slip10_node_free(grandchild);
    slip10_node_free(walked);
    slip10_node_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walks_the_published_chains_of_ed25519),
        cmocka_unit_test(walks_the_hardened_beginnings_of_nist256p1),
        cmocka_unit_test(a_root_that_is_no_scalar_is_drawn_again),
        cmocka_unit_test(a_path_is_its_steps),
    };
    crypto_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
