/* bench/crypto/crypto_bench.c */

/*
 * What one operation costs on one core: the median of RUN_COUNT runs of at
 * least RUN_NS each, and between which figures the runs lay.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "crypto/aead.h"
#include "crypto/agree.h"
#include "crypto/crypto.h"
#include "crypto/hash.h"
#include "crypto/sign.h"

enum { RUN_COUNT = 9, INPUT_BYTES_MAX = 64 << 10 };
static const double RUN_NS = 20e6;

struct subject {
    struct sign_key *sign_key;
    struct verify_key verify_key;
    struct signature signature;
    struct agree_key *agree_key;
    struct agree_public peer;
    struct secret *secret;
    struct aead_key *aead_key;
    uint64_t nonce;
    uint8_t *plain;
    uint8_t *sealed;
    uint8_t *opened;
};

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double run_ns(void (*operation)(struct subject *, size_t), struct subject *subject,
                     size_t length)
{
    size_t count = 0;
    double start = now_ns(), passed = 0;
    while (passed < RUN_NS) {
        for (int i = 0; i < 16; i++) {
            operation(subject, length);
        }
        count += 16;
        passed = now_ns() - start;
    }
    return passed / (double)count;
}

static void measure(const char *name, void (*operation)(struct subject *, size_t),
                    struct subject *subject, size_t length)
{
    double runs[RUN_COUNT];
    (void)run_ns(operation, subject, length);  // warm caches and lazy tables
    for (size_t i = 0; i < RUN_COUNT; i++) {
        runs[i] = run_ns(operation, subject, length);
    }
    qsort(runs, RUN_COUNT, sizeof *runs, compare);
    printf("%-20s %6zu  %9.0f  %9.0f  %9.0f\n", name, length, runs[RUN_COUNT / 2], runs[0],
           runs[RUN_COUNT - 1]);
}

static void sign(struct subject *s, size_t length)
{
    s->signature = sign_make(s->sign_key, "paranoid bench v1", bytes_of(s->plain, length));
}

static void verify(struct subject *s, size_t length)
{
    CHECK(sign_verify(&s->verify_key, "paranoid bench v1", bytes_of(s->plain, length),
                      &s->signature) == STATUS_OK);
}

static void agree(struct subject *s, size_t length)
{
    (void)length;
    struct secret *shared = NULL;
    enum status status = agree_shared(&shared, s->agree_key, &s->peer);
    CHECK(status == STATUS_OK);
    secret_free(shared);
}

static void derive(struct subject *s, size_t length)
{
    secret_free(secret_derive(s->secret, "paranoid bench v1", bytes_of(s->plain, length)));
}

static void seal(struct subject *s, size_t length)
{
    aead_seal(s->aead_key, s->nonce++, bytes_of(NULL, 0), bytes_of(s->plain, length), s->sealed);
}

static void unseal(struct subject *s, size_t length)
{
    CHECK(aead_unseal(s->aead_key, 0, bytes_of(NULL, 0),
                      bytes_of(s->sealed, length + AEAD_TAG_BYTES), s->opened) == STATUS_OK);
}

static void hash(struct subject *s, size_t length)
{
    // What comes out goes in again: no compiler can skip a round.
    struct hash hash = hash_of(s->plain, length);
    s->plain[0] = hash.bytes[0];
}

static void mac(struct subject *s, size_t length)
{
    struct hash hash = hash_mac(bytes_of(s->plain, 32), bytes_of(s->plain, length));
    s->plain[0] = hash.bytes[0];
}

int main(void)
{
    static const size_t lengths[] = {64, 1 << 10, INPUT_BYTES_MAX};
    struct random random = random_kernel();
    crypto_init();
    struct subject s = {
        .sign_key = sign_key_new(&random),
        .agree_key = agree_key_new(&random),
        .secret = secret_new_random(&random),
        .plain = calloc(1, INPUT_BYTES_MAX),
        .sealed = calloc(1, INPUT_BYTES_MAX + AEAD_TAG_BYTES),
        .opened = calloc(1, INPUT_BYTES_MAX),
    };
    CHECK(s.plain != NULL && s.sealed != NULL && s.opened != NULL);
    s.verify_key = sign_key_public(s.sign_key);
    s.peer = agree_key_public(s.agree_key);
    s.aead_key = aead_key_new(s.secret);

    printf("%-20s %6s  %9s  %9s  %9s\n", "operation", "bytes", "median ns", "fastest", "slowest");
    measure("sign", sign, &s, HASH_BYTES);
    measure("verify", verify, &s, HASH_BYTES);
    measure("agree", agree, &s, 32);
    measure("derive", derive, &s, 64);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        s.nonce = 1;
        measure("seal", seal, &s, lengths[i]);
        aead_seal(s.aead_key, 0, bytes_of(NULL, 0), bytes_of(s.plain, lengths[i]), s.sealed);
        measure("unseal", unseal, &s, lengths[i]);
        measure("hash", hash, &s, lengths[i]);
        measure("mac", mac, &s, lengths[i]);
        // Each length has its own key: numbers begin again at 1.
        aead_key_free(s.aead_key);
        secret_free(s.secret);
        s.secret = secret_new_random(&random);
        s.aead_key = aead_key_new(s.secret);
    }

    aead_key_free(s.aead_key);
    secret_free(s.secret);
    agree_key_free(s.agree_key);
    sign_key_free(s.sign_key);
    free(s.plain);
    free(s.sealed);
    free(s.opened);
    return 0;
}
