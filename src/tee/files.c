/* src/tee/files.c */
#include "tee/files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 4096 };

static int real_open(void *context, const char *path, int flags)
{
    (void)context;
    return open(path, flags);
}

static ssize_t real_read(void *context, int fd, void *target, size_t length)
{
    (void)context;
    return read(fd, target, length);
}

static ssize_t real_write(void *context, int fd, const void *bytes, size_t length)
{
    (void)context;
    return write(fd, bytes, length);
}

static int real_close(void *context, int fd)
{
    (void)context;
    return close(fd);
}

static int real_mkdir(void *context, const char *path)
{
    (void)context;
    return mkdir(path, 0700);
}

static int real_rmdir(void *context, const char *path)
{
    (void)context;
    return rmdir(path);
}

const struct files *files_real(void)
{
    static const struct files real = {
        .open = real_open,
        .read = real_read,
        .write = real_write,
        .close = real_close,
        .mkdir = real_mkdir,
        .rmdir = real_rmdir,
    };
    return &real;
}

/* Up to the end. 0, or errno. */
static int read_all(const struct files *files, int fd, size_t bytes_max, struct buffer *target)
{
    uint8_t bytes[READ_BYTES];
    size_t before = target->length;
    for (;;) {
        ssize_t got = files->read(files->context, fd, bytes, sizeof bytes);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return got == 0 ? 0 : errno;
        }
        if (target->length - before + (size_t)got > bytes_max) {
            return EFBIG;
        }
        if (buffer_append(target, bytes, (size_t)got) != STATUS_OK) {
            return ENOMEM;
        }
    }
}

int files_read(const struct files *files, const char *path, size_t bytes_max, struct buffer *target)
{
    int fd = files->open(files->context, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno;
    }
    int cause = read_all(files, fd, bytes_max, target);
    // What a close of a file that was only read says changes nothing.
    (void)files->close(files->context, fd);
    return cause;
}

bool files_is_special(const char *path)
{
    struct stat state;
    return stat(path, &state) == 0 && !S_ISREG(state.st_mode);
}

int files_write(const struct files *files, const char *path, struct bytes content)
{
    int fd = files->open(files->context, path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno;
    }
    ssize_t sent = files->write(files->context, fd, content.at, content.length);
    int cause = sent < 0 ? errno : (size_t)sent == content.length ? 0 : EIO;
    // Only now does the kernel take it, and say what it thinks of it.
    if (files->close(files->context, fd) != 0 && cause == 0) {
        cause = errno;
    }
    return cause;
}
