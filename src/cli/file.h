/* src/cli/file.h */
#ifndef CLI_FILE_H
#define CLI_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"

/* file: whole files, read at once and replaced at once. */
enum { FILE_PATH_BYTES = 4096 };

/*
 * Append the file's bytes to `target`; "-" is standard input. STATUS_NOT_FOUND; STATUS_IO: errno
 * says why; STATUS_FULL: it is longer than `bytes_max`; STATUS_NO_MEMORY.
 */
MUST_CHECK enum status file_read(struct buffer *target, const char *path, size_t bytes_max);

/*
 * Replace the file, or make it, with `mode`: written aside, synced, renamed, the directory synced.
 * A crash leaves the old one or the new one. STATUS_IO: errno says why.
 */
MUST_CHECK enum status file_replace(const char *path, struct bytes bytes, mode_t mode);

/*
 * Whether a file could be put there, as far as its directory says, and without making one.
 * STATUS_IO: errno says why not.
 */
MUST_CHECK enum status file_try_replace(const char *path);

/* Why the last call gave this status: the words of errno for STATUS_IO. */
const char *file_reason(enum status status);

/* How much room there is where that file or directory lies. STATUS_IO: errno says why. */
MUST_CHECK enum status file_room(const char *path, uint64_t *mib);

/* What to do about what errno said of a write: the end of a message. */
const char *file_remedy(int cause);

#endif
