/* src/cli/dossier.c */
#include "cli/dossier.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cursor.h"
#include "cli/file.h"
#include "cli/report.h"
#include "tee/certificates.h"
#include "tee/files.h"

enum { QUOTE_BYTES_MAX = 1 << 20 };

bool dossier_is_directory(const char *path)
{
    struct stat state;
    return stat(path, &state) == 0 && S_ISDIR(state.st_mode);
}

/* STATUS_NOT_FOUND is for the caller to judge; whatever else is wrong has been reported. */
static enum status read_file(struct buffer *target, const char *directory, const char *name,
                             size_t bytes_max)
{
    char path[FILE_PATH_BYTES];
    int length = snprintf(path, sizeof path, "%s/%s", directory, name);
    if (length < 0 || (size_t)length >= sizeof path) {
        report_error("cannot read in '%.200s…': the path is too long", directory);
        return STATUS_IO;
    }
    if (files_is_special(path)) {
        report_error("cannot read '%s': it is no file", path);
        return STATUS_IO;
    }
    enum status status = file_read(target, path, bytes_max);
    if (status != STATUS_OK && status != STATUS_NOT_FOUND) {
        report_error("cannot read '%s': %s", path, file_reason(status));
    }
    return status;
}

/* Which decoder is to read it, by the word that tells. What is no quote at all, either refuses. */
static enum tee tee_of_quote(struct bytes quote)
{
    enum { TEE_TYPE_TDX = 0x81 };
    struct cursor in = cursor_over(quote.at, quote.length);
    cursor_take(&in, 4);
    uint32_t type = cursor_u32(&in);
    return !in.failed && type == TEE_TYPE_TDX ? TEE_TDX : TEE_SGX;
}

enum status dossier_read_quote(struct dossier *dossier, const char *directory)
{
    *dossier = (struct dossier){.tee = TEE_UNKNOWN};
    struct buffer report = BUFFER_EMPTY;
    enum status quote_status = read_file(&dossier->quote, directory, "quote.bin", QUOTE_BYTES_MAX);
    enum status report_status = read_file(&report, directory, "report.bin", QUOTE_BYTES_MAX);
    enum status status = quote_status != STATUS_NOT_FOUND ? quote_status : report_status;
    if (status == STATUS_NOT_FOUND) {
        report_error(
            "cannot judge '%s': it holds neither quote.bin nor report.bin; 'paranoid help attest "
            "verify' says what has to be there",
            directory);
    } else if (quote_status != STATUS_NOT_FOUND && report_status != STATUS_NOT_FOUND) {
        report_error("cannot judge '%s': it holds both quote.bin and report.bin", directory);
        status = STATUS_MALFORMED;
    } else if (quote_status == STATUS_NOT_FOUND) {
        dossier->tee = TEE_SEV_SNP;
        dossier->quote = report;
        report = BUFFER_EMPTY;
    } else {
        dossier->tee = tee_of_quote(buffer_bytes(&dossier->quote));
    }
    buffer_release(&report);
    return status;
}

/* Take from the table of certificates what is not there as a file. */
static enum status read_table(struct dossier *dossier, const char *directory)
{
    static const char name[] = "auxblob.bin";
    struct collateral table = {.documents = {{.at = NULL}}};
    enum status status = read_file(&dossier->table, directory, name, EVIDENCE_COLLATERAL_BYTES_MAX);
    if (status != STATUS_OK) {
        return status == STATUS_NOT_FOUND ? STATUS_OK : status;
    }
    status = certificates_decode(&table, buffer_bytes(&dossier->table));
    if (status != STATUS_OK) {
        report_error("cannot read '%s/%s': it is no table of certificates", directory, name);
    }
    for (size_t kind = 0; kind < COLLATERAL_KIND_COUNT; kind++) {
        struct bytes *document = &dossier->documents.collateral.documents[kind];
        *document = document->length > 0 ? *document : table.documents[kind];
    }
    return status;
}

enum status dossier_read_documents(struct dossier *dossier, const char *directory)
{
    char error[DOCUMENTS_ERROR_BYTES_MAX];
    enum status status = documents_read(&dossier->documents, directory, error);
    if (status != STATUS_OK) {
        report_error("%s", error);
        return status;
    }
    status = dossier->tee == TEE_SEV_SNP ? read_table(dossier, directory) : STATUS_OK;
    if (status != STATUS_OK) {
        return status;
    }
    return collateral_encode(&dossier->documents.collateral, &dossier->bundle);
}

void dossier_release(struct dossier *dossier)
{
    buffer_release(&dossier->quote);
    buffer_release(&dossier->bundle);
    documents_release(&dossier->documents);
    buffer_release(&dossier->table);
}

struct evidence dossier_evidence(const struct dossier *dossier)
{
    return (struct evidence){
        .tee = dossier->tee,
        .quote = buffer_bytes(&dossier->quote),
        .collateral = buffer_bytes(&dossier->bundle),
    };
}
