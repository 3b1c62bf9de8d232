/* src/tee/tsm.h */
#ifndef TEE_TSM_H
#define TEE_TSM_H

#include <stdbool.h>
#include <stdint.h>

#include "attest/verdict.h"
#include "base/buffer.h"
#include "base/status.h"
#include "tee/files.h"

/*
 * tsm: evidence of a confidential virtual machine, from Linux (6.7 on; configfs-tsm). A directory
 * made below /sys/kernel/config/tsm/report is one request:
 *
 *     provider     "tdx_guest" or "sev_guest"
 *     inblob       the report data: 64 bytes, taken when the file is closed
 *     outblob      the TDX quote or the SEV-SNP report, made at the first read
 *     auxblob      SEV-SNP: the certificates that the host put beside it; may be empty or absent
 *     generation   how often anything was written here: who finds more than his own writes
 *                  does not know whose report data his quote carries, and asks again
 *
 * The evidence speaks of the whole machine: its measurement is that of the image it was started
 * from, and every process in it can ask. docs/design/0042-who-asks-the-tee.md.
 */
#define TSM_ROOT "/sys/kernel/config/tsm/report"

enum { TSM_ERROR_BYTES_MAX = 256 };

/* Where it is, and the number of the next request: names are never used twice by one process. */
struct tsm {
    const struct files *files;  // borrowed
    const char *root;           // borrowed
    uint32_t next;
};

/*
 * Which TEE this machine is: TEE_TDX or TEE_SEV_SNP. STATUS_NOT_FOUND: there is no configfs-tsm;
 * STATUS_DENIED: there is, and it makes nothing that we know, or not for this user: `error` says
 * what to do.
 */
MUST_CHECK enum status tsm_look(struct tsm *tsm, enum tee *tee, char error[TSM_ERROR_BYTES_MAX]);

/*
 * Append evidence that carries `report_data`, and the host's certificates, if it gives any. The
 * request's directory is gone afterwards, whatever happened. STATUS_IO: `error` names the file,
 * the cause and the remedy; nothing was appended.
 */
MUST_CHECK enum status tsm_report(struct tsm *tsm,
                                  const uint8_t report_data[VERDICT_REPORT_DATA_BYTES],
                                  struct buffer *report, struct buffer *certificates,
                                  char error[TSM_ERROR_BYTES_MAX]);

#endif
