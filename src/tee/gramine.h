/* src/tee/gramine.h */
#ifndef TEE_GRAMINE_H
#define TEE_GRAMINE_H

#include <stdint.h>

#include "attest/verdict.h"
#include "base/buffer.h"
#include "base/status.h"
#include "tee/files.h"

/*
 * gramine: SGX quotes from Gramine, the library OS that runs a program in an SGX enclave. Inside it
 * there is a directory, /dev/attestation:
 *
 *     attestation_type   "dcap", "epid" or "none", without a newline
 *     user_report_data   64 bytes; what is longer is cut without a word, so never write more
 *     quote              made of the above when it is opened; absent for "none"
 *
 * Nobody outside the enclave sees these files, and nobody inside has another copy of them: two
 * threads that ask at once get each other's report data. The caller asks from one thread at a time.
 */
#define GRAMINE_ROOT "/dev/attestation"

enum { GRAMINE_ERROR_BYTES_MAX = 256 };

/*
 * Whether this process runs in an SGX enclave that can make DCAP quotes. STATUS_NOT_FOUND: there is
 * no Gramine below `root`; STATUS_DENIED: there is, and it makes none, as `error` says.
 */
MUST_CHECK enum status gramine_look(const struct files *files, const char *root,
                                    char error[GRAMINE_ERROR_BYTES_MAX]);

/*
 * Append a quote that carries `report_data`. STATUS_IO: `error` names the file, the cause and the
 * remedy; nothing was appended.
 */
MUST_CHECK enum status gramine_quote(const struct files *files, const char *root,
                                     const uint8_t report_data[VERDICT_REPORT_DATA_BYTES],
                                     struct buffer *quote, char error[GRAMINE_ERROR_BYTES_MAX]);

#endif
