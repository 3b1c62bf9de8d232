/* fuzz/crypto/certificate_fuzz.c */

/*
 * The root's key is the scalar 1, and in the corpus lies one leaf that it
 * signed. Whatever the input, nothing but what that leaf says is accepted; and
 * what PEM gives comes back the same through PEM.
 */
#include <string.h>

#include "base/check.h"
#include "crypto/certificate.h"
#include "crypto/crypto.h"

enum { NOW_S = 1800000000 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static const uint8_t writer_id[16] = "sixteen letters.";

/* The root of the leaf in the corpus. */
static struct buffer root_make(void)
{
    static const uint8_t one[SECRET_BYTES] = {[SECRET_BYTES - 1] = 1};
    static const struct hash capsule;
    struct buffer root = BUFFER_EMPTY;
    struct secret *secret = secret_new_copy(one);
    struct p256_key *key = p256_key_new_from_secret(secret);
    enum status status = certificate_root(&root, key, &capsule);
    CHECK(status == STATUS_OK);
    p256_key_free(key);
    secret_free(secret);
    return root;
}

static void judge_leaf(struct bytes leaf, struct bytes root)
{
    struct certificate_claims claims;
    struct p256_public key;
    if (certificate_verify_leaf(&claims, &key, leaf, root, NOW_S) == STATUS_OK) {
        CHECK(memcmp(claims.writer_id, writer_id, sizeof writer_id) == 0);
        CHECK(hash_is_zero(&claims.capsule));
        CHECK(hash_is_zero(&claims.evidence_hash));
        CHECK(claims.not_before_s == NOW_S - 1);
        CHECK(claims.not_after_s == NOW_S + 1);
        CHECK(strcmp(claims.tee, "simulated") == 0);
    }
    // As the root, too: a caller may be given a false one before it compares the key.
    enum status status = certificate_verify_leaf(&claims, &key, root, leaf, NOW_S);
    CHECK(status != STATUS_OK);
    status = certificate_public(&key, leaf);
    CHECK(status == STATUS_OK || status == STATUS_MALFORMED);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static struct buffer root;
    if (root.length == 0) {
        crypto_init();
        root = root_make();
    }
    judge_leaf(bytes_of(bytes, length), buffer_bytes(&root));

    struct buffer der = BUFFER_EMPTY, pem = BUFFER_EMPTY, again = BUFFER_EMPTY;
    if (certificate_from_pem(&der, bytes_of(bytes, length)) == STATUS_OK) {
        judge_leaf(buffer_bytes(&der), buffer_bytes(&root));
        CHECK(certificate_to_pem(&pem, buffer_bytes(&der)) == STATUS_OK);
        CHECK(certificate_from_pem(&again, buffer_bytes(&pem)) == STATUS_OK);
        CHECK(bytes_equal(buffer_bytes(&der), buffer_bytes(&again)));
    }
    buffer_release(&der);
    buffer_release(&pem);
    buffer_release(&again);
    return 0;
}
