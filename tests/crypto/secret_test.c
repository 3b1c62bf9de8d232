/* tests/crypto/secret_test.c */

/*
 * Goal: derivation is RFC 5869's and separates purposes and contexts; a secret
 * lies where neither an overrun nor a core dump reaches it.
 * Method: Wycheproof's hkdf_sha256_test.json; then the kernel is asked what it
 * knows of the pages, and a child process reads beyond them.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/crypto.h"
#include "crypto/secret.h"
#include "tests/crypto/vectors.h"

static const uint8_t root_bytes[SECRET_BYTES] = {42};

static void wycheproof_judge(const json_t *group, const json_t *test)
{
    (void)group;
    struct bytes key = vectors_hex(test, "ikm");
    struct bytes salt = vectors_hex(test, "salt");
    struct bytes info = vectors_hex(test, "info");
    struct bytes expected = vectors_hex(test, "okm");
    size_t size = (size_t)json_integer_value(json_object_get(test, "size"));
    uint8_t *output = malloc(size);
    enum status status = secret_hkdf(output, size, key, salt, info);
    if (strcmp(vectors_text(test, "result"), "valid") == 0) {
        assert_int_equal(status, STATUS_OK);
        assert_int_equal(expected.length, size);
        assert_memory_equal(output, expected.at, size);
    } else {
        assert_int_equal(status, STATUS_DENIED);
    }
    free(output);
    vectors_free(key);
    vectors_free(salt);
    vectors_free(info);
    vectors_free(expected);
}

static void hkdf_agrees_with_wycheproof(void **state)
{
    (void)state;
    vectors_each_wycheproof("crypto/wycheproof/hkdf_sha256_test.json", wycheproof_judge);
}

static void hkdf_keeps_its_bounds(void **state)
{
    (void)state;
    static uint8_t output[255 * 32 + 1];
    static const uint8_t info[1025];
    struct bytes key = bytes_text("key");
    struct bytes none = bytes_of(NULL, 0);
    assert_int_equal(secret_hkdf(output, 0, key, none, none), STATUS_DENIED);
    assert_int_equal(secret_hkdf(output, 1, key, none, none), STATUS_OK);
    assert_int_equal(secret_hkdf(output, sizeof output - 1, key, none, none), STATUS_OK);
    assert_int_equal(secret_hkdf(output, sizeof output, key, none, none), STATUS_DENIED);
    assert_int_equal(secret_hkdf(output, 1, key, none, bytes_of(info, 1024)), STATUS_OK);
    assert_int_equal(secret_hkdf(output, 1, key, none, bytes_of(info, 1025)), STATUS_DENIED);
    assert_int_equal(secret_hkdf(output, 1, none, none, none), STATUS_DENIED);
}

static void derive_is_hkdf_over_purpose_and_context(void **state)
{
    (void)state;
    uint8_t expected[SECRET_BYTES];
    struct secret *root = secret_new_copy(root_bytes);
    struct secret *derived = secret_derive(root, "purpose ", bytes_text("context"));
    assert_int_equal(secret_hkdf(expected, sizeof expected, bytes_of(root_bytes, sizeof root_bytes),
                                 bytes_of(NULL, 0), bytes_text("purpose context")),
                     STATUS_OK);
    assert_memory_equal(secret_bytes(derived), expected, sizeof expected);

    struct secret *other = secret_derive(root, "purposf ", bytes_text("context"));
    assert_memory_not_equal(secret_bytes(derived), secret_bytes(other), SECRET_BYTES);
    secret_free(other);
    other = secret_derive(root, "purpose ", bytes_text("contexu"));
    assert_memory_not_equal(secret_bytes(derived), secret_bytes(other), SECRET_BYTES);
    secret_free(other);
    secret_free(derived);
    secret_free(root);
}

static void random_secrets_differ_and_copies_do_not(void **state)
{
    (void)state;
    struct random random = random_kernel();
    struct secret *first = secret_new_random(&random);
    struct secret *second = secret_new_random(&random);
    struct secret *copy = secret_new_copy(secret_bytes(first));
    assert_false(crypto_equal(secret_bytes(first), secret_bytes(second), SECRET_BYTES));
    assert_true(crypto_equal(secret_bytes(first), secret_bytes(copy), SECRET_BYTES));
    assert_true(crypto_equal(NULL, NULL, 0));
    secret_free(first);
    secret_free(second);
    secret_free(copy);
    secret_free(NULL);
}

/* Whether the kernel keeps the page of `address` out of core dumps ("dd" in smaps). */
static int is_left_out_of_dumps(const void *address)
{
    FILE *maps = fopen("/proc/self/smaps", "r");
    char line[512];
    int is_inside = 0;
    int is_left_out = -1;
    assert_non_null(maps);
    while (is_left_out < 0 && fgets(line, sizeof line, maps) != NULL) {
        uintptr_t start, end;
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2) {
            is_inside = start <= (uintptr_t)address && (uintptr_t)address < end;
        } else if (is_inside && strncmp(line, "VmFlags:", 8) == 0) {
            is_left_out = strstr(line, " dd") != NULL;
        }
    }
    fclose(maps);
    return is_left_out;
}

static void p1_a_secret_is_left_out_of_core_dumps(void **state)
{
    (void)state;
    int on_stack = 0;
    struct secret *secret = secret_new_copy(root_bytes);
    assert_int_equal(is_left_out_of_dumps(secret_bytes(secret)), 1);
    assert_int_equal(is_left_out_of_dumps(&on_stack), 0);
    secret_free(secret);
}

static void p1_a_read_beyond_a_secret_stops_the_program(void **state)
{
    (void)state;
    struct secret *secret = secret_new_copy(root_bytes);
    const volatile uint8_t *bytes = secret_bytes(secret);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);  // not the sanitizer's
        _exit(bytes[SECRET_BYTES] == 0 ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
    secret_free(secret);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hkdf_agrees_with_wycheproof),
        cmocka_unit_test(hkdf_keeps_its_bounds),
        cmocka_unit_test(derive_is_hkdf_over_purpose_and_context),
        cmocka_unit_test(random_secrets_differ_and_copies_do_not),
        cmocka_unit_test(p1_a_secret_is_left_out_of_core_dumps),
        cmocka_unit_test(p1_a_read_beyond_a_secret_stops_the_program),
    };
    crypto_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
