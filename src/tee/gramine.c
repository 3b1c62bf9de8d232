/* src/tee/gramine.c */
#include "tee/gramine.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "attest/evidence.h"

enum { PATH_BYTES = 512, TYPE_BYTES_MAX = 32, QUOTE_BYTES_MIN = 432 };

static const char CURE[] =
    "set sgx.remote_attestation = \"dcap\" in the manifest, and see that aesmd runs on the host";

static bool path_of(char path[PATH_BYTES], const char *root, const char *name)
{
    int length = snprintf(path, PATH_BYTES, "%s/%s", root, name);
    return length > 0 && length < PATH_BYTES;
}

enum status gramine_look(const struct files *files, const char *root,
                         char error[GRAMINE_ERROR_BYTES_MAX])
{
    char path[PATH_BYTES];
    struct buffer type = BUFFER_EMPTY;
    enum status status = STATUS_OK;
    if (!path_of(path, root, "attestation_type")) {
        return STATUS_NOT_FOUND;
    }
    int cause = files_read(files, path, TYPE_BYTES_MAX, &type);
    if (cause == ENOENT || cause == ENOTDIR) {
        status = STATUS_NOT_FOUND;
    } else if (cause != 0) {
        status = STATUS_DENIED;
        (void)snprintf(error, GRAMINE_ERROR_BYTES_MAX, "cannot read '%.80s': %s; %s", path,
                       strerror(cause), CURE);
    } else if (!bytes_equal(buffer_bytes(&type), bytes_text("dcap"))) {
        status = STATUS_DENIED;
        (void)snprintf(error, GRAMINE_ERROR_BYTES_MAX,
                       "Gramine was started without DCAP attestation ('%.*s'); %s",
                       (int)type.length, (const char *)type.bytes, CURE);
    }
    buffer_release(&type);
    return status;
}

enum status gramine_quote(const struct files *files, const char *root,
                          const uint8_t report_data[VERDICT_REPORT_DATA_BYTES],
                          struct buffer *quote, char error[GRAMINE_ERROR_BYTES_MAX])
{
    static const char *const names[] = {"user_report_data", "quote"};
    char path[PATH_BYTES] = "";
    struct buffer bytes = BUFFER_EMPTY;
    int cause = ENAMETOOLONG;
    for (size_t i = 0; i < 2 && path_of(path, root, names[i]); i++) {
        cause = i == 0 ? files_write(files, path, bytes_of(report_data, VERDICT_REPORT_DATA_BYTES))
                       : files_read(files, path, EVIDENCE_QUOTE_BYTES_MAX, &bytes);
        if (cause != 0) {
            break;
        }
    }
    if (cause == 0 && bytes.length < QUOTE_BYTES_MIN) {
        cause = ENODATA;
    }
    if (cause == 0 && buffer_append(quote, bytes.bytes, bytes.length) != STATUS_OK) {
        cause = ENOMEM;
    }
    buffer_release(&bytes);
    if (cause != 0) {
        // Gramine says EACCES whatever failed: mostly it could not reach the quoting enclave.
        (void)snprintf(error, GRAMINE_ERROR_BYTES_MAX, "cannot use '%.80s': %s; %s", path,
                       strerror(cause), CURE);
    }
    return cause == 0 ? STATUS_OK : STATUS_IO;
}
