/* tests/store/disk_posix_test.c */

/*
 * Goal: the real disk does what disk.h says, one process at a time.
 * Method: a temporary folder; the same calls as the journal's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/disk.h"
#include "tests/support/scratch.h"

enum { LINE_BYTES = 256 };

struct fixture {
    char directory[SCRATCH_PATH_BYTES];
    struct disk_posix *posix;
    struct disk disk;
};

static int setup(void **state)
{
    static struct fixture f;
    scratch_make(f.directory, "disk");
    assert_int_equal(disk_posix_open(&f.posix, &f.disk, f.directory), STATUS_OK);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    disk_posix_close(f->posix);
    scratch_remove(f->directory);
    return 0;
}

static void creates_zeroes_and_keeps_what_is_written(void **state)
{
    struct fixture *f = *state;
    const struct disk *disk = &f->disk;
    uint64_t bytes = 7;
    assert_int_equal(disk->size(disk->context, "a", &bytes), STATUS_NOT_FOUND);
    assert_int_equal(disk->create(disk->context, "a", 100000), STATUS_OK);
    assert_int_equal(disk->size(disk->context, "a", &bytes), STATUS_OK);
    assert_int_equal(bytes, 100000);
    uint8_t read[4] = {1, 1, 1, 1};
    assert_int_equal(disk->read(disk->context, "a", 99996, read, 4), STATUS_OK);
    assert_memory_equal(read, "\0\0\0\0", 4);
    assert_int_equal(disk->read(disk->context, "a", 99997, read, 4), STATUS_IO);
    assert_int_equal(disk->write(disk->context, "a", 99998, "word", 4), STATUS_OK);
    assert_int_equal(disk->sync(disk->context, "a"), STATUS_OK);
    assert_int_equal(disk->read(disk->context, "a", 99998, read, 4), STATUS_OK);
    assert_memory_equal(read, "word", 4);
    assert_int_equal(disk->write(disk->context, "none", 0, "word", 4), STATUS_NOT_FOUND);
}

static void uses_more_files_than_it_keeps_open(void **state)
{
    struct fixture *f = *state;
    const struct disk *disk = &f->disk;
    const char *names[] = {"a", "b", "c", "d", "e", "f"};
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(disk->create(disk->context, names[i], 10), STATUS_OK);
        assert_int_equal(disk->write(disk->context, names[i], 0, names[i], 1), STATUS_OK);
    }
    for (size_t i = 0; i < 6; i++) {
        char read;
        assert_int_equal(disk->read(disk->context, names[i], 0, &read, 1), STATUS_OK);
        assert_int_equal(read, names[i][0]);
    }
}

static void replaces_a_file_that_is_open(void **state)
{
    struct fixture *f = *state;
    const struct disk *disk = &f->disk;
    char read[6];
    assert_int_equal(disk->replace(disk->context, "a", "first", 5), STATUS_OK);
    assert_int_equal(disk->read(disk->context, "a", 0, read, 5), STATUS_OK);
    assert_int_equal(disk->replace(disk->context, "a", "second", 6), STATUS_OK);
    assert_int_equal(disk->read(disk->context, "a", 0, read, 6), STATUS_OK);
    assert_memory_equal(read, "second", 6);
}

static void one_process_at_a_time_may_write(void **state)
{
    struct fixture *f = *state;
    struct disk_posix *second;
    struct disk disk;
    assert_int_equal(disk_posix_open(&second, &disk, f->directory), STATUS_IO);
    assert_null(second);
    assert_int_equal(disk_posix_open(&second, &disk, "/nonexistent/folder"), STATUS_NOT_FOUND);

    assert_int_equal(f->disk.create(f->disk.context, "a", 10), STATUS_OK);
    assert_int_equal(disk_posix_open_readonly(&second, &disk, f->directory), STATUS_OK);
    uint8_t byte = 1;
    assert_int_equal(disk.read(disk.context, "a", 0, &byte, 1), STATUS_OK);
    assert_int_equal(byte, 0);
    assert_int_equal(disk.write(disk.context, "a", 0, "x", 1), STATUS_IO);
    assert_int_equal(disk.create(disk.context, "b", 1), STATUS_IO);
    assert_int_equal(disk.replace(disk.context, "a", "x", 1), STATUS_IO);
    assert_int_equal(disk.sync(disk.context, "a"), STATUS_IO);
    assert_true(disk.now_us(disk.context) > 0);
    disk_posix_close(second);
}

static void keep_line(void *context, const char *text)
{
    (void)snprintf(context, LINE_BYTES, "%s", text);
}

static void says_which_file_failed_and_why(void **state)
{
    struct fixture *f = *state;
    char path[SCRATCH_PATH_BYTES + 8], line[LINE_BYTES] = "";
    const struct log log = {.line = keep_line, .context = line};
    uint8_t byte;
    disk_posix_log(f->posix, &log);
    // What is not there yet, and what has no room, is no failure of the disk's.
    assert_int_equal(f->disk.read(f->disk.context, "none", 0, &byte, 1), STATUS_NOT_FOUND);
    assert_string_equal(line, "");
    (void)snprintf(path, sizeof path, "%s/link", f->directory);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(f->disk.read(f->disk.context, "link", 0, &byte, 1), STATUS_IO);
    assert_string_equal(line,
                        "disk failed operation=read file=link cause=\"Too many levels of "
                        "symbolic links\"");
    (void)snprintf(path, sizeof path, "%s/a", f->directory);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(f->disk.replace(f->disk.context, "a", "x", 1), STATUS_IO);
    assert_non_null(strstr(line, "disk failed operation=replace file=a cause=\"Is a directory"));
    assert_int_equal(rmdir(path), 0);
}

static void follows_no_link(void **state)
{
    struct fixture *f = *state;
    char path[SCRATCH_PATH_BYTES + 8];
    (void)snprintf(path, sizeof path, "%s/link", f->directory);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    uint64_t bytes;
    uint8_t byte;
    assert_int_equal(f->disk.size(f->disk.context, "link", &bytes), STATUS_IO);
    assert_int_equal(f->disk.read(f->disk.context, "link", 0, &byte, 1), STATUS_IO);
}

static void a_full_device_is_no_space(void **state)
{
    (void)state;
    struct disk_posix *full = NULL;
    struct disk disk;
    // A device that is always full, where there is one.
    if (access("/dev/full", W_OK) != 0 || disk_posix_open(&full, &disk, "/dev") != STATUS_OK) {
        skip();
    }
    assert_int_equal(disk.write(disk.context, "full", 0, "x", 1), STATUS_NO_SPACE);
    disk_posix_close(full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(creates_zeroes_and_keeps_what_is_written, setup, teardown),
        cmocka_unit_test_setup_teardown(uses_more_files_than_it_keeps_open, setup, teardown),
        cmocka_unit_test_setup_teardown(replaces_a_file_that_is_open, setup, teardown),
        cmocka_unit_test_setup_teardown(one_process_at_a_time_may_write, setup, teardown),
        cmocka_unit_test_setup_teardown(says_which_file_failed_and_why, setup, teardown),
        cmocka_unit_test_setup_teardown(follows_no_link, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_device_is_no_space, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
