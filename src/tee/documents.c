/* src/tee/documents.c */
#include "tee/documents.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "attest/evidence.h"
#include "tee/files.h"

enum { PATH_BYTES = 4096 };

static const char *const endings[] = {"json", "pem", "der", "crl", "crt", "cer"};

/* With whichever ending it has. 0 with an empty target: it is not there; else errno. */
static int read_named(struct buffer *target, const char *directory, const char *name,
                      char path[PATH_BYTES])
{
    int cause = ENOENT;
    for (size_t i = 0; i < sizeof endings / sizeof *endings && cause == ENOENT; i++) {
        int length = snprintf(path, PATH_BYTES, "%s/%s.%s", directory, name, endings[i]);
        cause = length < 0 || length >= PATH_BYTES ? ENAMETOOLONG
                : files_is_special(path)
                    ? ENOTSUP
                    : files_read(files_real(), path, EVIDENCE_COLLATERAL_BYTES_MAX, target);
    }
    return cause == ENOENT ? 0 : cause;
}

enum status documents_read(struct documents *documents, const char *directory,
                           char error[DOCUMENTS_ERROR_BYTES_MAX])
{
    char path[PATH_BYTES];
    *documents = (struct documents){.files = {{.bytes = NULL}}};
    for (size_t kind = 0; kind < COLLATERAL_KIND_COUNT; kind++) {
        struct buffer *file = &documents->files[kind];
        int cause = read_named(file, directory, collateral_name((enum collateral_kind)kind), path);
        if (cause == 0 && file->length == 0 && kind == COLLATERAL_ASK) {
            cause = read_named(file, directory, "cert_chain", path);
        }
        if (cause != 0) {
            (void)snprintf(error, DOCUMENTS_ERROR_BYTES_MAX, "cannot read '%.400s': %s", path,
                           cause == ENOTSUP ? "it is no file" : strerror(cause));
            return STATUS_IO;
        }
        documents->collateral.documents[kind] = buffer_bytes(file);
    }
    return STATUS_OK;
}

void documents_release(struct documents *documents)
{
    for (size_t kind = 0; kind < COLLATERAL_KIND_COUNT; kind++) {
        buffer_release(&documents->files[kind]);
    }
}
