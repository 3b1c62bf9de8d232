/* src/store/aside.c */
#include "store/aside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/disk.h"
#include "store/fence.h"
#include "store/store.h"

enum { NAME_BYTES = 32 };

static enum status status_of_errno(void)
{
    return errno == ENOSPC || errno == EDQUOT ? STATUS_NO_SPACE : STATUS_IO;
}

static bool is_there(int directory, uint32_t number)
{
    char name[NAME_BYTES];
    struct stat found;
    (void)snprintf(name, sizeof name, ASIDE_DIRECTORY, number);
    return fstatat(directory, name, &found, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The mark; and whether the file `fence` holds. */
static enum status begin(const char *directory, const struct hash *capsule, bool *is_fence_whole)
{
    struct fence fence = FENCE_EMPTY;
    struct disk_posix *posix = NULL;
    struct disk disk;
    enum status status = disk_posix_open(&posix, &disk, directory);
    if (status == STATUS_OK) {
        status = store_begin_refill(&disk);
    }
    if (status == STATUS_OK) {
        *is_fence_whole = fence_load(&fence, &disk, capsule) == STATUS_OK;
    }
    fence_release(&fence);
    disk_posix_close(posix);
    return status;
}

static enum status write_why(int aside, const char *why)
{
    int fd = openat(aside, ASIDE_WHY, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return status_of_errno();
    }
    size_t length = strnlen(why, ASIDE_WHY_BYTES_MAX);
    bool is_written = write(fd, why, length) == (ssize_t)length && write(fd, "\n", 1) == 1;
    is_written = is_written && fsync(fd) == 0;
    enum status status = is_written ? STATUS_OK : status_of_errno();
    (void)close(fd);
    return status;
}

/* `directory` is used up. */
static enum status move_files(int directory, int aside, bool is_fence_whole)
{
    DIR *files = fdopendir(directory);
    if (files == NULL) {
        (void)close(directory);
        return STATUS_NO_MEMORY;
    }
    enum status status = STATUS_OK;
    const struct dirent *file;
    while (status == STATUS_OK && (file = readdir(files)) != NULL) {
        struct stat found;
        bool stays = strcmp(file->d_name, STORE_REFILL_FILE) == 0 ||
                     (is_fence_whole && strcmp(file->d_name, FENCE_FILE) == 0) ||
                     fstatat(dirfd(files), file->d_name, &found, AT_SYMLINK_NOFOLLOW) != 0 ||
                     !S_ISREG(found.st_mode);
        if (!stays && renameat(dirfd(files), file->d_name, aside, file->d_name) != 0) {
            status = status_of_errno();
        }
    }
    if (status == STATUS_OK && (fsync(aside) != 0 || fsync(dirfd(files)) != 0)) {
        status = status_of_errno();
    }
    (void)closedir(files);
    return status;
}

enum status aside_move(const char *directory, const struct hash *capsule, const char *why,
                       const struct log *log)
{
    char name[NAME_BYTES] = "";
    bool is_fence_whole = false;
    int aside = -1;
    int parent = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    uint32_t number = 1;
    enum status status = parent < 0 ? STATUS_IO : STATUS_OK;
    while (status == STATUS_OK && is_there(parent, number)) {
        status = number++ == ASIDE_MAX ? STATUS_FULL : STATUS_OK;
    }
    if (status == STATUS_OK) {
        status = begin(directory, capsule, &is_fence_whole);
    }
    if (status == STATUS_OK) {
        (void)snprintf(name, sizeof name, ASIDE_DIRECTORY, number);
        aside = mkdirat(parent, name, 0700) != 0
                    ? -1
                    : openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        status = aside < 0 ? status_of_errno() : write_why(aside, why);
    }
    if (status == STATUS_OK) {
        status = move_files(parent, aside, is_fence_whole);
        parent = -1;
    }
    if (status == STATUS_OK) {
        log_event(log, "store set aside directory=%s/%s fence=%s reason=\"%s\"", directory, name,
                  is_fence_whole ? "kept" : "lost", why);
    } else {
        log_event(log, "store not set aside directory=%s cause=\"%s\"", directory,
                  status == STATUS_FULL ? "it was so often; look at damaged-*, and remove them"
                                        : status_text(status));
    }
    if (aside >= 0) {
        (void)close(aside);
    }
    if (parent >= 0) {
        (void)close(parent);
    }
    return status;
}

uint32_t aside_count(const char *directory)
{
    uint32_t count = 0;
    int parent = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (uint32_t number = 1; parent >= 0 && number <= ASIDE_MAX; number++) {
        count += is_there(parent, number);
    }
    if (parent >= 0) {
        (void)close(parent);
    }
    return count;
}
