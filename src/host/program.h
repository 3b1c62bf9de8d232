/* src/host/program.h */
#ifndef HOST_PROGRAM_H
#define HOST_PROGRAM_H

#include <sys/stat.h>

#include "base/status.h"
#include "crypto/hash.h"

/* program: an enclave program's file, and its measurement: the SHA-256 of that file. */
enum { PROGRAM_PATH_BYTES_MAX = 4096 };

struct program {
    char path[PROGRAM_PATH_BYTES_MAX];
    const char *option;  // the only word of its command line; NULL: none
    struct hash measurement;
    struct stat seen;  // the file that was measured; all zeroes: none yet
};

/*
 * Measure the file as it is now; when its dates and place are those of the last time, so is the
 * measurement. STATUS_IO: it cannot be read, errno says why.
 */
MUST_CHECK enum status program_measure(struct program *program);

#endif
