/* src/tee/tsm.c */
#include "tee/tsm.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attest/evidence.h"
#include "base/check.h"

enum {
    PATH_BYTES = 512,
    NUMBER_BYTES_MAX = 24,
    PROVIDER_BYTES_MAX = 64,
    ATTEMPT_COUNT = 5,
    STALE_NAME_COUNT = 64,  // directories of a process of the same number that died
};

/* One directory below the root. */
struct request {
    const struct files *files;
    char path[PATH_BYTES / 2];
    char file[PATH_BYTES];  // the one used last, for messages
};

static const char *file_of(struct request *request, const char *name)
{
    (void)snprintf(request->file, sizeof request->file, "%s/%s", request->path, name);
    return request->file;
}

/* 0, or errno. */
static int request_open(struct request *request, struct tsm *tsm)
{
    *request = (struct request){.files = tsm->files};
    int cause = EEXIST;
    for (int i = 0; i < STALE_NAME_COUNT && cause == EEXIST; i++) {
        int length = snprintf(request->path, sizeof request->path, "%s/paranoid-%d-%" PRIu32,
                              tsm->root, (int)getpid(), tsm->next++);
        if (length < 0 || (size_t)length >= sizeof request->path) {
            return ENAMETOOLONG;
        }
        (void)snprintf(request->file, sizeof request->file, "%s", request->path);
        cause = tsm->files->mkdir(tsm->files->context, request->path) == 0 ? 0 : errno;
    }
    return cause;
}

static void request_close(struct request *request)
{
    // A directory that stays is a few hundred bytes of kernel memory, and no other's evidence.
    (void)request->files->rmdir(request->files->context, request->path);
}

static int read_generation(struct request *request, uint64_t *generation)
{
    char text[NUMBER_BYTES_MAX + 1] = "";
    struct buffer bytes = BUFFER_EMPTY;
    int cause =
        files_read(request->files, file_of(request, "generation"), NUMBER_BYTES_MAX, &bytes);
    if (cause == 0 && bytes.length > 0) {
        memcpy(text, bytes.bytes, bytes.length);
    }
    buffer_release(&bytes);
    if (cause == 0 && sscanf(text, "%" SCNu64, generation) != 1) {
        cause = EPROTO;
    }
    return cause;
}

/* EAGAIN: somebody else wrote to this request meanwhile. */
static int request_ask(struct request *request, struct bytes report_data, struct buffer *report,
                       struct buffer *certificates)
{
    uint64_t before = 0, after = 0;
    int cause = read_generation(request, &before);
    if (cause == 0) {
        cause = files_write(request->files, file_of(request, "inblob"), report_data);
    }
    if (cause == 0) {
        cause = files_read(request->files, file_of(request, "outblob"), EVIDENCE_QUOTE_BYTES_MAX,
                           report);
    }
    if (cause == 0) {
        cause = files_read(request->files, file_of(request, "auxblob"),
                           EVIDENCE_COLLATERAL_BYTES_MAX, certificates);
        cause = cause == ENOENT ? 0 : cause;  // a provider without certificates may not show it
    }
    if (cause == 0) {
        cause = read_generation(request, &after);
    }
    if (cause == 0 && after != before + 1) {
        cause = EAGAIN;
    }
    return cause == 0 && report->length == 0 ? ENODATA : cause;
}

static const char *cure_of(int cause)
{
    switch (cause) {
    case ENXIO:
        return "no driver of a TEE is loaded; load tdx_guest or sev-guest, or start the machine as "
               "a confidential one";
    case EACCES:
    case EPERM:
        return "run as a user who may create directories there";
    case EAGAIN:
    case EBUSY:
    case EINTR:
        return "others write to the same request; see who has rights there";
    case ENODATA:
    case EIO:
    case ETIMEDOUT:
        return "the hardware gave nothing; for TDX see that the host runs its quote generation "
               "service";
    default:
        return "see the kernel's log";
    }
}

static void say(char error[TSM_ERROR_BYTES_MAX], const char *path, int cause)
{
    (void)snprintf(error, TSM_ERROR_BYTES_MAX, "cannot use '%.80s': %s; %s", path, strerror(cause),
                   cure_of(cause));
}

static int read_provider(struct request *request, enum tee *tee)
{
    struct buffer provider = BUFFER_EMPTY;
    int cause =
        files_read(request->files, file_of(request, "provider"), PROVIDER_BYTES_MAX, &provider);
    *tee = bytes_equal(buffer_bytes(&provider), bytes_text("tdx_guest\n"))   ? TEE_TDX
           : bytes_equal(buffer_bytes(&provider), bytes_text("sev_guest\n")) ? TEE_SEV_SNP
                                                                             : TEE_UNKNOWN;
    buffer_release(&provider);
    return cause;
}

enum status tsm_look(struct tsm *tsm, enum tee *tee, char error[TSM_ERROR_BYTES_MAX])
{
    struct request request;
    int cause = request_open(&request, tsm);
    if (cause == ENOENT || cause == ENOTDIR) {
        return STATUS_NOT_FOUND;
    }
    if (cause == 0) {
        cause = read_provider(&request, tee);
        request_close(&request);
    }
    if (cause != 0) {
        say(error, request.file, cause);
        return STATUS_DENIED;
    }
    if (*tee == TEE_UNKNOWN) {
        (void)snprintf(error, TSM_ERROR_BYTES_MAX,
                       "'%.80s' names a provider that this version does not know; run the member "
                       "in a TDX or SEV-SNP guest",
                       request.file);
        return STATUS_DENIED;
    }
    return STATUS_OK;
}

static bool is_passing(int cause)
{
    return cause == EAGAIN || cause == EBUSY || cause == EINTR;
}

enum status tsm_report(struct tsm *tsm, const uint8_t report_data[VERDICT_REPORT_DATA_BYTES],
                       struct buffer *report, struct buffer *certificates,
                       char error[TSM_ERROR_BYTES_MAX])
{
    struct request request;
    struct buffer out = BUFFER_EMPTY, aux = BUFFER_EMPTY;
    int cause = EAGAIN;
    for (int i = 0; i < ATTEMPT_COUNT && is_passing(cause); i++) {
        buffer_clear(&out);
        buffer_clear(&aux);
        cause = request_open(&request, tsm);
        if (cause == 0) {
            cause =
                request_ask(&request, bytes_of(report_data, VERDICT_REPORT_DATA_BYTES), &out, &aux);
            request_close(&request);
        }
    }
    if (cause == 0 && (buffer_reserve(report, out.length) != STATUS_OK ||
                       buffer_reserve(certificates, aux.length) != STATUS_OK)) {
        cause = ENOMEM;
    }
    if (cause == 0) {
        CHECK(buffer_append(report, out.bytes, out.length) == STATUS_OK);
        CHECK(buffer_append(certificates, aux.bytes, aux.length) == STATUS_OK);
    } else {
        say(error, request.file, cause);
    }
    buffer_release(&out);
    buffer_release(&aux);
    return cause == 0 ? STATUS_OK : STATUS_IO;
}
