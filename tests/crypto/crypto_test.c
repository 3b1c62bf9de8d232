/* tests/crypto/crypto_test.c */

/*
 * Goal: after crypto_init() everything here works in a process that can open
 * nothing, on its first use as well.
 * Method: a child process seals itself with a seccomp filter that kills it for
 * any system call but those that crypto.h names, then uses every part once.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/aead.h"
#include "crypto/agree.h"
#include "crypto/certificate.h"
#include "crypto/crypto.h"
#include "crypto/hash.h"
#include "crypto/hash512.h"
#include "crypto/sign.h"
#include "crypto/slip10.h"

enum { THREAD_COUNT = 4, ALLOWED_COUNT = 14, FILTER_COUNT = ALLOWED_COUNT + 3 };

/*
 * What crypto.h says remains; what a process needs to report and to end; and
 * sigaltstack, with which AddressSanitizer looks at the stack before the end.
 */
static const uint32_t allowed[ALLOWED_COUNT] = {
    SYS_getrandom, SYS_getpid,   SYS_clock_gettime, SYS_futex,       SYS_mmap,
    SYS_munmap,    SYS_mprotect, SYS_madvise,       SYS_brk,         SYS_mlock,
    SYS_munlock,   SYS_write,    SYS_exit_group,    SYS_sigaltstack,
};

static int seal_process(void)
{
    struct sock_filter filter[FILTER_COUNT];
    size_t at = 0;
    filter[at++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < ALLOWED_COUNT; i++) {
        // To the last instruction, past those in between.
        filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i],
                                                    (uint8_t)(ALLOWED_COUNT - i), 0);
    }
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {.len = (unsigned short)at, .filter = filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static int seals_and_unseals(struct secret *secret)
{
    uint8_t sealed[4 + AEAD_TAG_BYTES], opened[4];
    struct aead_key *key = aead_key_new(secret);
    aead_seal(key, 1, bytes_of(NULL, 0), bytes_text("text"), sealed);
    enum status status =
        aead_unseal(key, 1, bytes_of(NULL, 0), bytes_of(sealed, sizeof sealed), opened);
    aead_key_free(key);
    return status == STATUS_OK;
}

static int signs_and_verifies(const struct random *random)
{
    struct sign_key *key = sign_key_new(random);
    struct verify_key public_key = sign_key_public(key);
    struct signature signature = sign_make(key, "test", bytes_text("message"));
    enum status status = sign_verify(&public_key, "test", bytes_text("message"), &signature);
    sign_key_free(key);
    return status == STATUS_OK;
}

static int agrees(const struct random *random)
{
    struct agree_key *left = agree_key_new(random);
    struct agree_key *right = agree_key_new(random);
    struct agree_public peer = agree_key_public(right);
    struct secret *shared = NULL;
    enum status status = agree_shared(&shared, left, &peer);
    secret_free(shared);
    agree_key_free(left);
    agree_key_free(right);
    return status == STATUS_OK;
}

static int certifies(const struct secret *secret)
{
    static const uint32_t path[] = {1, 2};
    struct slip10_node *node =
        slip10_path(SLIP10_NIST256P1, bytes_of(secret_bytes(secret), SECRET_BYTES), path, 2);
    struct secret *scalar = slip10_secret(node);
    struct p256_key *root_key = p256_key_new_from_secret(scalar);
    struct p256_key *leaf_key = p256_key_new();
    struct p256_public leaf_public = p256_key_public(leaf_key);
    struct certificate_claims claims = {.not_after_s = 1800000000, .tee = "simulated"};
    struct buffer root = BUFFER_EMPTY, leaf = BUFFER_EMPTY, pem = BUFFER_EMPTY;

    int is_done = certificate_root(&root, root_key, &claims.capsule) == STATUS_OK &&
                  certificate_leaf(&leaf, root_key, &leaf_public, &claims) == STATUS_OK &&
                  certificate_to_pem(&pem, buffer_bytes(&leaf)) == STATUS_OK &&
                  certificate_from_pem(&leaf, buffer_bytes(&pem)) == STATUS_OK &&
                  certificate_verify_leaf(&claims, &leaf_public, buffer_bytes(&leaf),
                                          buffer_bytes(&root), 1000) == STATUS_OK;
    buffer_release(&root);
    buffer_release(&leaf);
    buffer_release(&pem);
    p256_key_free(root_key);
    p256_key_free(leaf_key);
    secret_free(scalar);
    slip10_node_free(node);
    return is_done;
}

static int hashes(void)
{
    uint8_t hash512[HASH512_BYTES];
    struct hash zero = {.bytes = {0}};
    struct hash hash = hash_of("abc", 3);
    struct hash mac = hash_mac(bytes_text("key"), bytes_text("message"));
    hash512_of_parts(hash512, NULL, 0);
    return !hash_equal(&hash, &zero) && !hash_equal(&mac, &zero);
}

static void p10_all_works_in_a_process_that_can_open_nothing(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (!seal_process()) {
            _exit(10);
        }
        struct random random = random_kernel();
        struct secret *root = secret_new_random(&random);
        struct secret *derived = secret_derive(root, "test", bytes_of(NULL, 0));
        crypto_init();
        int exit_code = !hashes()                      ? 1
                        : !seals_and_unseals(derived)  ? 2
                        : !signs_and_verifies(&random) ? 3
                        : !agrees(&random)             ? 4
                        : !certifies(derived)          ? 5
                                                       : 0;
        secret_free(root);
        secret_free(derived);
        _exit(exit_code);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_false(WIFSIGNALED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void *init_in_thread(void *argument)
{
    (void)argument;
    crypto_init();
    struct hash hash = hash_of("abc", 3);
    return hash_is_zero(&hash) ? argument : NULL;
}

static void threads_may_all_initialise(void **state)
{
    (void)state;
    pthread_t threads[THREAD_COUNT];
    for (size_t i = 0; i < THREAD_COUNT; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, init_in_thread, threads), 0);
    }
    for (size_t i = 0; i < THREAD_COUNT; i++) {
        void *failed = threads;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
}

static void equal_compares_every_byte(void **state)
{
    (void)state;
    uint8_t a[33] = {0}, b[33] = {0};
    assert_true(crypto_equal(a, b, sizeof a));
    for (size_t i = 0; i < sizeof a; i++) {
        b[i] = 0x80;
        assert_false(crypto_equal(a, b, sizeof a));
        b[i] = 0;
    }
}

static int init(void **state)
{
    (void)state;
    crypto_init();
    return 0;
}

int main(void)
{
    // The threads come first: in this process nothing was initialised before them.
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_may_all_initialise),
        cmocka_unit_test_setup(p10_all_works_in_a_process_that_can_open_nothing, init),
        cmocka_unit_test(equal_compares_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
