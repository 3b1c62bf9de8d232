/* src/store/disk_posix.c */
#include "store/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"

enum {
    NAME_BYTES_MAX = 64,
    OPEN_FILES_MAX = 4,  // the segment being written, the next, and what is being read
    ZERO_BYTES = 64 << 10,
};

/* Files stay open between calls, the least recently opened one gives way. */
struct open_file {
    char name[NAME_BYTES_MAX];
    int fd;  // -1: none
};

struct disk_posix {
    int directory;
    bool is_readonly;
    const struct log *log;
    struct open_file files[OPEN_FILES_MAX];
    size_t next_file;
};

static enum status status_of_errno(void)
{
    switch (errno) {
    case ENOENT:
        return STATUS_NOT_FOUND;
    case ENOSPC:
    case EDQUOT:
        return STATUS_NO_SPACE;
    default:
        return STATUS_IO;
    }
}

/* What errno says of a failure is known here alone. */
static enum status said(const struct disk_posix *posix, const char *operation, const char *name,
                        enum status status)
{
    if (status == STATUS_IO) {
        log_event(posix->log, "disk failed operation=%s file=%s cause=\"%s\"", operation, name,
                  strerror(errno));
    }
    return status;
}

static enum status file_open(struct disk_posix *posix, const char *name, int extra_flags, int *fd)
{
    CHECK(strlen(name) < NAME_BYTES_MAX);
    for (size_t i = 0; i < OPEN_FILES_MAX; i++) {
        if (posix->files[i].fd >= 0 && strcmp(posix->files[i].name, name) == 0) {
            *fd = posix->files[i].fd;
            return STATUS_OK;
        }
    }
    int flags = (posix->is_readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW | extra_flags;
    *fd = openat(posix->directory, name, flags, 0600);
    if (*fd < 0) {
        return status_of_errno();
    }
    struct open_file *file = &posix->files[posix->next_file];
    posix->next_file = (posix->next_file + 1) % OPEN_FILES_MAX;
    if (file->fd >= 0) {
        (void)close(file->fd);  // what had to be durable was synced
    }
    file->fd = *fd;
    (void)snprintf(file->name, sizeof file->name, "%s", name);
    return STATUS_OK;
}

static enum status write_all(int fd, const uint8_t *bytes, size_t length, uint64_t offset)
{
    while (length > 0) {
        ssize_t written = pwrite(fd, bytes, length, (off_t)offset);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            errno = written < 0 ? errno : EIO;
            return status_of_errno();
        }
        bytes += written;
        length -= (size_t)written;
        offset += (uint64_t)written;
    }
    return STATUS_OK;
}

static enum status posix_create(void *context, const char *name, uint64_t bytes)
{
    struct disk_posix *posix = context;
    static const uint8_t zeroes[ZERO_BYTES];
    int fd;
    enum status status = file_open(posix, name, O_CREAT, &fd);
    if (status == STATUS_OK && ftruncate(fd, 0) != 0) {
        status = status_of_errno();
    }
    for (uint64_t offset = 0; status == STATUS_OK && offset < bytes; offset += ZERO_BYTES) {
        uint64_t left = bytes - offset;
        status = write_all(fd, zeroes, left < ZERO_BYTES ? (size_t)left : ZERO_BYTES, offset);
    }
    if (status == STATUS_OK && (fsync(fd) != 0 || fsync(posix->directory) != 0)) {
        status = status_of_errno();
    }
    return said(posix, "create", name, status);
}

static enum status posix_size(void *context, const char *name, uint64_t *bytes)
{
    struct disk_posix *posix = context;
    struct stat file;
    if (fstatat(posix->directory, name, &file, AT_SYMLINK_NOFOLLOW) != 0) {
        return said(posix, "size", name, status_of_errno());
    }
    if (!S_ISREG(file.st_mode)) {
        errno = EINVAL;  // no file of ours
        return said(posix, "size", name, STATUS_IO);
    }
    *bytes = (uint64_t)file.st_size;
    return STATUS_OK;
}

static enum status posix_read(void *context, const char *name, uint64_t offset, void *target,
                              size_t length)
{
    int fd;
    enum status status = file_open(context, name, 0, &fd);
    uint8_t *at = target;
    while (status == STATUS_OK && length > 0) {
        ssize_t got = pread(fd, at, length, (off_t)offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            errno = got < 0 ? errno : ENODATA;  // beyond the end: callers know the size
            status = STATUS_IO;
            break;
        }
        at += got;
        length -= (size_t)got;
        offset += (uint64_t)got;
    }
    return said(context, "read", name, status);
}

static enum status posix_write(void *context, const char *name, uint64_t offset, const void *source,
                               size_t length)
{
    int fd;
    enum status status = file_open(context, name, 0, &fd);
    status = status == STATUS_OK ? write_all(fd, source, length, offset) : status;
    return said(context, "write", name, status);
}

static enum status posix_sync(void *context, const char *name)
{
    int fd;
    enum status status = file_open(context, name, 0, &fd);
    if (status == STATUS_OK && fdatasync(fd) != 0) {
        status = status_of_errno();
    }
    return said(context, "sync", name, status);
}

static enum status posix_replace(void *context, const char *name, const void *source, size_t length)
{
    struct disk_posix *posix = context;
    char aside[NAME_BYTES_MAX + 4];
    (void)snprintf(aside, sizeof aside, "%s.new", name);
    int fd = openat(posix->directory, aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
                    0600);
    if (fd < 0) {
        return said(posix, "replace", name, status_of_errno());
    }
    enum status status = write_all(fd, source, length, 0);
    if (status == STATUS_OK && fsync(fd) != 0) {
        status = status_of_errno();
    }
    if (close(fd) != 0 && status == STATUS_OK) {
        status = status_of_errno();
    }
    if (status == STATUS_OK && (renameat(posix->directory, aside, posix->directory, name) != 0 ||
                                fsync(posix->directory) != 0)) {
        status = STATUS_IO;  // which of the two is there is not known
    }
    status = said(posix, "replace", name, status);
    // One that is open is the one that was replaced.
    for (size_t i = 0; i < OPEN_FILES_MAX; i++) {
        if (posix->files[i].fd >= 0 && strcmp(posix->files[i].name, name) == 0) {
            (void)close(posix->files[i].fd);
            posix->files[i].fd = -1;
        }
    }
    return status;
}

static uint64_t posix_now_us(void *context)
{
    (void)context;
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static enum status refuse_create(void *context, const char *name, uint64_t bytes)
{
    (void)context;
    (void)name;
    (void)bytes;
    return STATUS_IO;
}

static enum status refuse_write(void *context, const char *name, uint64_t offset,
                                const void *source, size_t length)
{
    (void)context;
    (void)name;
    (void)offset;
    (void)source;
    (void)length;
    return STATUS_IO;
}

static enum status refuse_sync(void *context, const char *name)
{
    (void)context;
    (void)name;
    return STATUS_IO;
}

static enum status refuse_replace(void *context, const char *name, const void *source,
                                  size_t length)
{
    (void)context;
    (void)name;
    (void)source;
    (void)length;
    return STATUS_IO;
}

static enum status posix_new(struct disk_posix **opened, const char *directory, bool is_readonly)
{
    *opened = NULL;
    struct disk_posix *posix = calloc(1, sizeof *posix);
    if (posix == NULL) {
        return STATUS_NO_MEMORY;
    }
    posix->is_readonly = is_readonly;
    for (size_t i = 0; i < OPEN_FILES_MAX; i++) {
        posix->files[i].fd = -1;
    }
    posix->directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (posix->directory < 0) {
        int cause = errno;
        enum status status = status_of_errno();
        free(posix);
        errno = cause;
        return status;
    }
    *opened = posix;
    return STATUS_OK;
}

enum status disk_posix_open(struct disk_posix **posix, struct disk *disk, const char *directory)
{
    enum status status = posix_new(posix, directory, false);
    if (status != STATUS_OK) {
        return status;
    }
    // On the directory itself, so that nothing has to be created, and gone with the process.
    if (flock((*posix)->directory, LOCK_EX | LOCK_NB) != 0) {
        int cause = errno;
        disk_posix_close(*posix);
        *posix = NULL;
        errno = cause;
        return STATUS_IO;
    }
    *disk = (struct disk){
        .create = posix_create,
        .size = posix_size,
        .read = posix_read,
        .write = posix_write,
        .sync = posix_sync,
        .replace = posix_replace,
        .now_us = posix_now_us,
        .context = *posix,
    };
    return STATUS_OK;
}

enum status disk_posix_open_readonly(struct disk_posix **posix, struct disk *disk,
                                     const char *directory)
{
    enum status status = posix_new(posix, directory, true);
    if (status != STATUS_OK) {
        return status;
    }
    *disk = (struct disk){
        .create = refuse_create,
        .size = posix_size,
        .read = posix_read,
        .write = refuse_write,
        .sync = refuse_sync,
        .replace = refuse_replace,
        .now_us = posix_now_us,
        .context = *posix,
    };
    return STATUS_OK;
}

void disk_posix_log(struct disk_posix *posix, const struct log *log)
{
    posix->log = log;
}

void disk_posix_close(struct disk_posix *posix)
{
    if (posix == NULL) {
        return;
    }
    for (size_t i = 0; i < OPEN_FILES_MAX; i++) {
        if (posix->files[i].fd >= 0) {
            (void)close(posix->files[i].fd);
        }
    }
    (void)close(posix->directory);
    free(posix);
}
