/* src/cli/dossier.h */
#ifndef CLI_DOSSIER_H
#define CLI_DOSSIER_H

#include <stdbool.h>

#include "attest/evidence.h"
#include "base/buffer.h"
#include "base/status.h"
#include "tee/documents.h"

/*
 * dossier: one piece of a vendor's evidence as a directory of files: quote.bin (SGX, TDX) or
 * report.bin (SEV-SNP), and the documents that it is judged by (tee/documents.h). For SEV-SNP what
 * is not there as a file is taken from auxblob.bin, the table that Linux gives beside a report.
 */
struct dossier {
    enum tee tee;  // as the quote says; TEE_UNKNOWN: it says nothing that we know
    struct buffer quote;
    struct documents documents;
    struct buffer table;   // auxblob.bin; the documents borrow from it too
    struct buffer bundle;  // of the documents
};

bool dossier_is_directory(const char *path);

/*
 * Read the quote or report alone. Any status but STATUS_OK has been reported, and the dossier holds
 * what was read; it is released either way.
 */
MUST_CHECK enum status dossier_read_quote(struct dossier *dossier, const char *directory);

/* Add the documents to it. Likewise. */
MUST_CHECK enum status dossier_read_documents(struct dossier *dossier, const char *directory);
void dossier_release(struct dossier *dossier);

/* The evidence in it; without documents, when they were not read. Borrows. */
struct evidence dossier_evidence(const struct dossier *dossier);

#endif
