/* src/host/program.c */
#define _GNU_SOURCE  // struct stat's nanoseconds
#include "host/program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

static bool is_same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           is_same_time(a->st_mtim, b->st_mtim) && is_same_time(a->st_ctim, b->st_ctim);
}

enum status program_measure(struct program *program)
{
    enum status status = STATUS_IO;
    void *bytes = MAP_FAILED;
    struct stat now;
    int fd = open(program->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &now) != 0) {
        goto done;
    }
    if (is_same_file(&now, &program->seen)) {
        status = STATUS_OK;
        goto done;
    }
    if (!S_ISREG(now.st_mode) || now.st_size == 0) {
        errno = ENOEXEC;
        goto done;
    }
    bytes = mmap(NULL, (size_t)now.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED) {
        goto done;
    }
    program->measurement = hash_of(bytes, (size_t)now.st_size);
    program->seen = now;
    status = STATUS_OK;

done:;
    int cause = errno;
    if (bytes != MAP_FAILED) {
        munmap(bytes, (size_t)now.st_size);
    }
    if (fd >= 0) {
        close(fd);
    }
    errno = cause;
    return status;
}
