/* src/tee/files.h */
#ifndef TEE_FILES_H
#define TEE_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/bytes.h"

/*
 * files: the system calls by which a kernel, or Gramine, is asked for evidence. Both answer in
 * files that are none: written data counts when the file is closed, and what is read is made at the
 * first read. So the seam lies at the calls, and a fake stands in for kernel or Gramine.
 *
 * As in POSIX: -1 is a failure, and errno says which.
 */
struct files {
    int (*open)(void *context, const char *path, int flags);
    ssize_t (*read)(void *context, int fd, void *target, size_t length);
    ssize_t (*write)(void *context, int fd, const void *bytes, size_t length);
    int (*close)(void *context, int fd);
    int (*mkdir)(void *context, const char *path);
    int (*rmdir)(void *context, const char *path);
    void *context;  // of each
};

/* The calls of this system. Static storage. */
const struct files *files_real(void);

/*
 * Append a whole file of at most `bytes_max`. 0, or what errno was; EFBIG: it is longer. Reads that
 * a signal interrupts go on.
 */
int files_read(const struct files *files, const char *path, size_t bytes_max,
               struct buffer *target);

/*
 * Whether something lies there that is no file: a reader would wait for a pipe, and hostile hands
 * may have filled the directory.
 */
bool files_is_special(const char *path);

/* Write a whole file in one call, as both interfaces want it, and close it. 0, or errno. */
int files_write(const struct files *files, const char *path, struct bytes content);

#endif
