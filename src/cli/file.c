/* src/cli/file.c */
#include "cli/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { FILE_STEP_BYTES = 64 * 1024 };

static enum status read_all(struct buffer *target, int fd, size_t bytes_max)
{
    size_t start = target->length;
    while (true) {
        enum status status = buffer_reserve(target, FILE_STEP_BYTES);
        if (status != STATUS_OK) {
            return status;
        }
        ssize_t got = read(fd, target->bytes + target->length, FILE_STEP_BYTES);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return STATUS_IO;
        }
        if (got == 0) {
            return STATUS_OK;
        }
        target->length += (size_t)got;
        if (target->length - start > bytes_max) {
            return STATUS_FULL;
        }
    }
}

enum status file_read(struct buffer *target, const char *path, size_t bytes_max)
{
    bool is_input = strcmp(path, "-") == 0;
    int fd = is_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO;
    }
    enum status status = read_all(target, fd, bytes_max);
    if (!is_input) {
        int saved = errno;
        close(fd);
        errno = saved;
    }
    return status;
}

static bool write_all(int fd, struct bytes bytes)
{
    while (bytes.length > 0) {
        ssize_t put = write(fd, bytes.at, bytes.length);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return false;
        }
        bytes = bytes_of(bytes.at + put, bytes.length - (size_t)put);
    }
    return true;
}

static void directory_of(const char *path, char directory[FILE_PATH_BYTES])
{
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL ? 1 : slash == path ? 1 : (size_t)(slash - path);
    snprintf(directory, FILE_PATH_BYTES, "%.*s", (int)length, slash == NULL ? "." : path);
}

enum status file_try_replace(const char *path)
{
    char directory[FILE_PATH_BYTES];
    directory_of(path, directory);
    return access(directory, W_OK | X_OK) == 0 ? STATUS_OK : STATUS_IO;
}

static bool sync_directory_of(const char *path)
{
    char directory[FILE_PATH_BYTES];
    directory_of(path, directory);
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    bool is_synced = fsync(fd) == 0;
    close(fd);
    return is_synced;
}

enum status file_replace(const char *path, struct bytes bytes, mode_t mode)
{
    char aside[FILE_PATH_BYTES];
    // Another process may be replacing the same file.
    int length = snprintf(aside, sizeof aside, "%s.%ld.new", path, (long)getpid());
    if (length < 0 || (size_t)length >= sizeof aside) {
        errno = ENAMETOOLONG;
        return STATUS_IO;
    }
    // One that a crash left behind may have another mode.
    if (unlink(aside) != 0 && errno != ENOENT) {
        return STATUS_IO;
    }
    int fd = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0) {
        return STATUS_IO;
    }
    bool is_written = write_all(fd, bytes) && fsync(fd) == 0;
    int saved = errno;
    close(fd);
    errno = saved;
    if (!is_written || rename(aside, path) != 0 || !sync_directory_of(path)) {
        saved = errno;
        unlink(aside);
        errno = saved;
        return STATUS_IO;
    }
    return STATUS_OK;
}

const char *file_reason(enum status status)
{
    if (status == STATUS_IO) {
        return strerror(errno);
    }
    return status == STATUS_NOT_FOUND ? "there is no such file"
           : status == STATUS_FULL    ? "it is too long"
                                      : status_text(status);
}

enum status file_room(const char *path, uint64_t *mib)
{
    struct statvfs disk;
    if (statvfs(path, &disk) != 0) {
        return STATUS_IO;
    }
    *mib = (uint64_t)disk.f_bavail * disk.f_frsize >> 20;
    return STATUS_OK;
}

const char *file_remedy(int cause)
{
    switch (cause) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return "make room there";
    case EACCES:
    case EPERM:
        return "let its owner, or root, do this";
    case EROFS:
        return "that disk can only be read: name another place";
    case ENOENT:
        return "its directory is not there: make it, or put it back";
    case EEXIST:
        return "name another, or remove that one";
    case ENOTDIR:
    case EISDIR:
        return "name another";
    default:
        return "look at that disk ('dmesg' may say more)";
    }
}
