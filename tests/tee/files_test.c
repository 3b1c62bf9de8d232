/* tests/tee/files_test.c */

/*
 * Goal: the real calls read and write whole files, and say in errno's words why they cannot.
 * Method: files in a temporary directory, and calls that do half of what they are asked.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "tee/files.h"
#include "tests/support/scratch.h"

static char directory[SCRATCH_PATH_BYTES];

static int setup(void **state)
{
    (void)state;
    scratch_make(directory, "files");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scratch_remove(directory);
    return 0;
}

static void whole_files_are_read_and_written(void **state)
{
    (void)state;
    const struct files *files = files_real();
    char path[SCRATCH_PATH_BYTES + 16], inside[SCRATCH_PATH_BYTES + 8];
    static uint8_t content[10000];
    struct buffer bytes = BUFFER_EMPTY;
    snprintf(inside, sizeof inside, "%s/inside", directory);
    snprintf(path, sizeof path, "%s/inside/file", directory);
    for (size_t i = 0; i < sizeof content; i++) {
        content[i] = (uint8_t)(i * 7);
    }
    assert_int_equal(files->mkdir(files->context, inside), 0);
    assert_int_equal(files_read(files, path, 100, &bytes), ENOENT);
    assert_int_equal(files_write(files, path, bytes_of(content, 1)), ENOENT);  // it makes none
    assert_int_equal(close(creat(path, 0600)), 0);
    assert_int_equal(files_write(files, path, bytes_of(content, sizeof content)), 0);
    assert_int_equal(files_read(files, path, sizeof content - 1, &bytes), EFBIG);
    buffer_clear(&bytes);
    assert_int_equal(files_read(files, path, sizeof content, &bytes), 0);
    assert_int_equal(bytes.length, sizeof content);
    assert_memory_equal(bytes.bytes, content, sizeof content);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(files->rmdir(files->context, inside), 0);
    buffer_release(&bytes);
}

// ---- calls that fail ----

struct broken {
    int interruptions;  // reads that a signal ends, before one that works
    int close_errno;
    ssize_t taken;  // of a write
};

static int broken_open(void *context, const char *path, int flags)
{
    (void)context;
    (void)path;
    (void)flags;
    return 3;
}

static ssize_t broken_read(void *context, int fd, void *target, size_t length)
{
    struct broken *broken = context;
    (void)fd;
    (void)length;
    if (broken->interruptions > 0) {
        broken->interruptions--;
        errno = EINTR;
        return -1;
    }
    if (broken->interruptions < 0) {
        return 0;
    }
    broken->interruptions--;
    *(char *)target = 'a';
    return 1;
}

static ssize_t broken_write(void *context, int fd, const void *bytes, size_t length)
{
    const struct broken *broken = context;
    (void)fd;
    (void)bytes;
    (void)length;
    return broken->taken;
}

static int broken_close(void *context, int fd)
{
    const struct broken *broken = context;
    (void)fd;
    errno = broken->close_errno;
    return broken->close_errno == 0 ? 0 : -1;
}

static void a_read_goes_on_after_a_signal_and_a_close_may_refuse_what_was_written(void **state)
{
    (void)state;
    struct broken broken = {.interruptions = 2, .taken = 4};
    const struct files files = {
        .open = broken_open,
        .read = broken_read,
        .write = broken_write,
        .close = broken_close,
        .context = &broken,
    };
    struct buffer bytes = BUFFER_EMPTY;
    assert_int_equal(files_read(&files, "any", 10, &bytes), 0);
    assert_int_equal(bytes.length, 1);
    assert_int_equal(files_write(&files, "any", bytes_text("four")), 0);
    assert_int_equal(files_write(&files, "any", bytes_text("fives")), EIO);  // a part of it
    broken.close_errno = EINVAL;
    assert_int_equal(files_write(&files, "any", bytes_text("four")), EINVAL);
    buffer_release(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_files_are_read_and_written),
        cmocka_unit_test(a_read_goes_on_after_a_signal_and_a_close_may_refuse_what_was_written),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
