/* src/cli/export_file.c */
#include "cli/export_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capsule/record.h"

bool export_file_is(const char *path)
{
    struct stat facts;
    return stat(path, &facts) == 0 && S_ISREG(facts.st_mode);
}

static enum status visit_all(struct bytes all,
                             enum status (*visit)(void *context, struct bytes record,
                                                  const struct store_place *place),
                             void *context, struct store_place *place)
{
    enum status status = all.length == 0 ? STATUS_NOT_FOUND : STATUS_OK;
    while (status == STATUS_OK && place->offset < all.length) {
        const uint8_t *at = all.at + place->offset;
        size_t left = all.length - place->offset, length = record_length(at, left);
        if (length == 0 || length > left) {
            return STATUS_DAMAGED;
        }
        status = visit(context, bytes_of(at, length), place);
        place->offset += status == STATUS_OK ? length : 0;
    }
    return status;
}

enum status export_file_walk(const char *path,
                             enum status (*visit)(void *context, struct bytes record,
                                                  const struct store_place *place),
                             void *context, struct store_place *place)
{
    enum status status = STATUS_IO;
    struct stat facts;
    void *bytes = NULL;
    *place = (struct store_place){.segment = EXPORT_FILE_SEGMENT};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &facts) != 0) {
        goto done;
    }
    // An empty file cannot be mapped.
    size_t length = (size_t)facts.st_size;
    bytes = length == 0 ? NULL : mmap(NULL, length, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED) {
        bytes = NULL;
        goto done;
    }
    status = visit_all(bytes_of(bytes, length), visit, context, place);

done:
    if (bytes != NULL) {
        munmap(bytes, (size_t)facts.st_size);
    }
    if (fd >= 0) {
        close(fd);
    }
    return status;
}

enum status export_file_read(const char *path, const struct store_place *place, uint8_t *target,
                             size_t length)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : pread(fd, target, length, (off_t)place->offset);
    if (fd >= 0) {
        close(fd);
    }
    return got >= 0 && (size_t)got == length ? STATUS_OK : STATUS_IO;
}
