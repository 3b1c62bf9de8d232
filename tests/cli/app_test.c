/* tests/cli/app_test.c */

/*
 * Goal: what the owner keeps only rises, survives as a whole or not at all, and is read back as it
 * was; a secret that others may read, and a file that holds something else, are refused.
 * Method: an app directory of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/app.h"
#include "crypto/crypto.h"
#include "tests/support/scratch.h"

static int setup(void **state)
{
    static struct app app;
    char path[FILE_PATH_BYTES];
    crypto_init();
    scratch_make(app.directory, "app");
    app_path(&app, "owner", path);
    assert_int_equal(mkdir(path, 0700), 0);
    *state = &app;
    return 0;
}

static int teardown(void **state)
{
    const struct app *app = *state;
    scratch_remove(app->directory);
    return 0;
}

static void put(const struct app *app, const char *name, const char *text)
{
    assert_int_equal(app_write(app, name, bytes_text(text), 0600), STATUS_OK);
}

static void a_number_is_0_at_first_and_then_what_it_was_raised_to(void **state)
{
    uint64_t number = 7;
    assert_int_equal(app_number(*state, APP_TERM, &number), STATUS_OK);
    assert_int_equal(number, 0);
    assert_int_equal(app_raise(*state, APP_TERM, 41), STATUS_OK);
    assert_int_equal(app_number(*state, APP_TERM, &number), STATUS_OK);
    assert_int_equal(number, 41);
    // A damaged one is not taken for "none yet": a term would be signed twice.
    put(*state, APP_TERM, "4x\n");
    assert_int_equal(app_number(*state, APP_TERM, &number), STATUS_MALFORMED);
}

static void p8_a_sync_older_than_the_one_kept_is_known_as_such(void **state)
{
    const struct app_sync newer = {.epoch = 9, .hash = hash_of("9", 1)};
    const struct app_sync older = {.epoch = 8, .hash = hash_of("8", 1)};
    const struct app_sync none = {.epoch = 0};
    struct app_sync known;
    assert_int_equal(app_sync_load(*state, &known), STATUS_OK);
    assert_true(hash_is_zero(&known.hash));
    assert_int_equal(app_sync_check(*state, &newer), STATUS_OK);
    assert_int_equal(app_sync_replace(*state, &newer), STATUS_OK);
    assert_int_equal(app_sync_check(*state, &newer), STATUS_STALE);
    assert_int_equal(app_sync_check(*state, &older), STATUS_STALE);
    assert_int_equal(app_sync_check(*state, &none), STATUS_STALE);
    assert_int_equal(app_sync_load(*state, &known), STATUS_OK);
    assert_int_equal(known.epoch, 9);
    assert_true(hash_equal(&known.hash, &newer.hash));
    put(*state, APP_SYNC, "9 abc\n");
    assert_int_equal(app_sync_load(*state, &known), STATUS_MALFORMED);
}

static void a_secret_comes_back_unless_others_may_read_it(void **state)
{
    const uint8_t bytes[SECRET_BYTES] = {1, 2, 3};
    struct secret *seed;
    char path[FILE_PATH_BYTES];
    app_path(*state, APP_SEED, path);
    assert_int_equal(app_seed(*state, &seed), STATUS_NOT_FOUND);
    assert_int_equal(app_write_secret(*state, APP_SEED, bytes), STATUS_OK);
    assert_int_equal(app_seed(*state, &seed), STATUS_OK);
    assert_memory_equal(secret_bytes(seed), bytes, sizeof bytes);
    secret_free(seed);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(app_seed(*state, &seed), STATUS_DENIED);
    assert_null(seed);
    assert_int_equal(chmod(path, 0600), 0);
    put(*state, APP_SEED, "abcd\n");
    assert_int_equal(app_seed(*state, &seed), STATUS_MALFORMED);
}

static void processes_that_write_one_file_are_not_in_each_others_way(void **state)
{
    enum { PROCESS_COUNT = 4, WRITE_COUNT = 50 };
    pid_t pids[PROCESS_COUNT];
    uint64_t number;
    for (int i = 0; i < PROCESS_COUNT; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        for (int k = 0; pids[i] == 0 && k < WRITE_COUNT; k++) {
            if (app_raise(*state, APP_TERM, 7) != STATUS_OK) {
                _exit(1);
            }
        }
        if (pids[i] == 0) {
            _exit(0);
        }
    }
    for (int i = 0; i < PROCESS_COUNT; i++) {
        int ended;
        assert_int_equal(waitpid(pids[i], &ended, 0), pids[i]);
        assert_true(WIFEXITED(ended) && WEXITSTATUS(ended) == 0);
    }
    assert_int_equal(app_number(*state, APP_TERM, &number), STATUS_OK);
    assert_int_equal(number, 7);
}

int main(void)
{
#define WITH_APP(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_APP(a_number_is_0_at_first_and_then_what_it_was_raised_to),
        WITH_APP(p8_a_sync_older_than_the_one_kept_is_known_as_such),
        WITH_APP(processes_that_write_one_file_are_not_in_each_others_way),
        WITH_APP(a_secret_comes_back_unless_others_may_read_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
