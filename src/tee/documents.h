/* src/tee/documents.h */
#ifndef TEE_DOCUMENTS_H
#define TEE_DOCUMENTS_H

#include "attest/collateral.h"
#include "base/buffer.h"
#include "base/status.h"

/*
 * documents: a vendor's collateral as files of a directory, each with the name of its kind
 * (attest/collateral.h) and one of the endings .json, .pem, .der, .crl, .crt, .cer. What AMD serves
 * as cert_chain stands in for ask and ark.
 */
enum { DOCUMENTS_ERROR_BYTES_MAX = 512 };

struct documents {
    struct buffer files[COLLATERAL_KIND_COUNT];  // empty: there is none
    struct collateral collateral;                // of the files; borrows them
};

/*
 * Read those that there are; a directory that does not exist has none. STATUS_IO: `error` names
 * the file that could not be read, and why. To be released in any case.
 */
MUST_CHECK enum status documents_read(struct documents *documents, const char *directory,
                                      char error[DOCUMENTS_ERROR_BYTES_MAX]);
void documents_release(struct documents *documents);

#endif
