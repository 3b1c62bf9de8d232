/* tests/store/aside_test.c */

/*
 * Goal: what a damaged store held is kept, whole and with the reason, and what is left is a store
 * that knows that it has to be refilled, whenever the power fails.
 * Method: a directory with files such as a store's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "crypto/crypto.h"
#include "store/aside.h"
#include "store/disk.h"
#include "store/fence.h"
#include "store/store.h"
#include "tests/support/scratch.h"

enum { PATH_BYTES = 512 };

static const char WHY[] = "segment damaged file=segment-00000001 offset=600 cause=\"differs\"";
static const char REFILLING[] = "refilling";

struct fixture {
    char directory[SCRATCH_PATH_BYTES];
    struct hash capsule;
};

static void path_of(const struct fixture *f, const char *name, char path[2 * PATH_BYTES])
{
    (void)snprintf(path, 2 * PATH_BYTES, "%s/%s", f->directory, name);
}

static void write_file(const struct fixture *f, const char *name, const char *text)
{
    char path[2 * PATH_BYTES];
    path_of(f, name, path);
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

/* Whether it is there and begins so. */
static bool says(const struct fixture *f, const char *name, const char *text)
{
    char path[2 * PATH_BYTES], found[PATH_BYTES] = "";
    path_of(f, name, path);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return false;
    }
    (void)!fread(found, 1, sizeof found - 1, file);
    (void)fclose(file);
    return strncmp(found, text, strlen(text)) == 0;
}

static bool is_there(const struct fixture *f, const char *name)
{
    char path[2 * PATH_BYTES];
    path_of(f, name, path);
    return access(path, F_OK) == 0;
}

static void save_fence(const struct fixture *f)
{
    struct disk_posix *posix;
    struct disk disk;
    struct fence fence = FENCE_EMPTY;
    fence.term = 3;
    CHECK(disk_posix_open(&posix, &disk, f->directory) == STATUS_OK);
    CHECK(fence_save(&fence, &disk, &f->capsule) == STATUS_OK);
    disk_posix_close(posix);
}

static int setup(void **state)
{
    static struct fixture f;
    scratch_make(f.directory, "aside");
    f.capsule = hash_of("app", 3);
    write_file(&f, "segment-00000001", "one");
    write_file(&f, "segment-00000002", "two");
    write_file(&f, "index-00000001", "index");
    write_file(&f, "checkpoint", "checkpoint");
    write_file(&f, "cuts", "cuts");
    write_file(&f, "refill", "whole    ");
    save_fence(&f);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    scratch_remove(f->directory);
    return 0;
}

static void all_that_was_held_is_kept_with_the_reason(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(aside_count(f->directory), 0);
    assert_int_equal(aside_move(f->directory, &f->capsule, WHY, NULL), STATUS_OK);
    assert_true(says(f, "damaged-1/segment-00000001", "one"));
    assert_true(says(f, "damaged-1/segment-00000002", "two"));
    assert_true(says(f, "damaged-1/index-00000001", "index"));
    assert_true(says(f, "damaged-1/checkpoint", "checkpoint"));
    assert_true(says(f, "damaged-1/cuts", "cuts"));
    assert_true(says(f, "damaged-1/why", WHY));
    assert_false(is_there(f, "segment-00000001"));
    assert_false(is_there(f, "cuts"));
    assert_true(says(f, "refill", REFILLING));
    assert_int_equal(aside_count(f->directory), 1);
}

static void p4_what_was_promised_to_a_leader_stays_promised(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(aside_move(f->directory, &f->capsule, WHY, NULL), STATUS_OK);
    assert_true(is_there(f, "fence"));
    assert_false(is_there(f, "damaged-1/fence"));
    // One that is damaged itself is in the way, and goes too.
    write_file(f, "fence", "no fence");
    assert_int_equal(aside_move(f->directory, &f->capsule, WHY, NULL), STATUS_OK);
    assert_false(is_there(f, "fence"));
    assert_true(is_there(f, "damaged-2/fence"));
}

static void p9_what_is_left_after_a_crash_is_marked_and_can_be_moved_again(void **state)
{
    struct fixture *f = *state;
    char path[2 * PATH_BYTES], moved[2 * PATH_BYTES];
    // As far as it came: nothing but the mark, or the mark and a part of the files.
    write_file(f, "refill", REFILLING);
    path_of(f, "damaged-1", path);
    assert_int_equal(mkdir(path, 0700), 0);
    path_of(f, "segment-00000002", path);
    path_of(f, "damaged-1/segment-00000002", moved);
    assert_int_equal(rename(path, moved), 0);
    assert_int_equal(aside_move(f->directory, &f->capsule, WHY, NULL), STATUS_OK);
    assert_true(is_there(f, "damaged-1/segment-00000002"));
    assert_true(is_there(f, "damaged-2/segment-00000001"));
    assert_true(says(f, "refill", REFILLING));
    assert_int_equal(aside_count(f->directory), 2);
}

static void the_mark_comes_before_anything_is_moved(void **state)
{
    struct fixture *f = *state;
    char path[2 * PATH_BYTES];
    // The mark cannot be written: a directory lies where it is written aside.
    path_of(f, "refill.new", path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(aside_move(f->directory, &f->capsule, WHY, NULL), STATUS_IO);
    assert_true(is_there(f, "segment-00000001"));
    assert_int_equal(aside_count(f->directory), 0);
}

static void beyond_the_bound_nothing_is_moved(void **state)
{
    struct fixture *f = *state;
    for (uint32_t i = 1; i <= ASIDE_MAX; i++) {
        write_file(f, "segment-00000001", "again");
        assert_int_equal(aside_move(f->directory, &f->capsule, WHY, NULL), STATUS_OK);
        assert_int_equal(aside_count(f->directory), i);
    }
    write_file(f, "segment-00000001", "last");
    assert_int_equal(aside_move(f->directory, &f->capsule, WHY, NULL), STATUS_FULL);
    assert_true(says(f, "segment-00000001", "last"));
}

static void a_directory_that_is_not_there_is_reported(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(aside_move("/nowhere/at/all", &f->capsule, WHY, NULL), STATUS_IO);
    assert_int_equal(aside_count("/nowhere/at/all"), 0);
}

int main(void)
{
    crypto_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_that_was_held_is_kept_with_the_reason, setup, teardown),
        cmocka_unit_test_setup_teardown(p4_what_was_promised_to_a_leader_stays_promised, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            p9_what_is_left_after_a_crash_is_marked_and_can_be_moved_again, setup, teardown),
        cmocka_unit_test_setup_teardown(the_mark_comes_before_anything_is_moved, setup, teardown),
        cmocka_unit_test_setup_teardown(beyond_the_bound_nothing_is_moved, setup, teardown),
        cmocka_unit_test_setup_teardown(a_directory_that_is_not_there_is_reported, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
