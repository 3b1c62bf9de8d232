/* src/store/disk.h */
#ifndef STORE_DISK_H
#define STORE_DISK_H

#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/status.h"

/*
 * disk: the seam between a store and its files: one flat directory of numbered or
 * named files. The program passes the real one (disk_posix), tests and the simulator one
 * that tears, loses un-synced writes, flips bits and runs full.
 *
 * Each function returns STATUS_OK, STATUS_NOT_FOUND, STATUS_NO_SPACE or STATUS_IO.
 */
struct disk {
    /*
     * Create a file of `bytes` zeroes, written out and synced, and its directory entry too. One
     * that exists is made so too. When it fails there may be a shorter file of zeroes.
     */
    enum status (*create)(void *context, const char *name, uint64_t bytes);
    /* Size in bytes. */
    enum status (*size)(void *context, const char *name, uint64_t *bytes);
    enum status (*read)(void *context, const char *name, uint64_t offset, void *target,
                        size_t length);
    /* What goes beyond the end lets the file grow. On failure any part may have been written. */
    enum status (*write)(void *context, const char *name, uint64_t offset, const void *source,
                         size_t length);
    /* fdatasync. */
    enum status (*sync)(void *context, const char *name);
    /* Replace a small file atomically: write aside, sync, rename, sync the directory. */
    enum status (*replace)(void *context, const char *name, const void *source, size_t length);
    uint64_t (*now_us)(void *context);
    void *context;
};

struct disk_posix;

/*
 * The directory must exist. STATUS_NOT_FOUND: it does not. STATUS_IO: it cannot be opened, or
 * another process holds its lock; errno says which.
 */
MUST_CHECK enum status disk_posix_open(struct disk_posix **posix, struct disk *disk,
                                       const char *directory);
/* For the offline tools: no lock is taken, and nothing can be written. */
MUST_CHECK enum status disk_posix_open_readonly(struct disk_posix **posix, struct disk *disk,
                                                const char *directory);
/* Say from now on which file failed, and why. Borrowed; NULL, as at first: to nobody. */
void disk_posix_log(struct disk_posix *posix, const struct log *log);
void disk_posix_close(struct disk_posix *posix);

#endif
