/* src/tee/machine.h */
#ifndef TEE_MACHINE_H
#define TEE_MACHINE_H

#include <stdint.h>

#include "attest/collateral.h"
#include "attest/verdict.h"
#include "base/buffer.h"
#include "base/status.h"
#include "tee/files.h"
#include "tee/gramine.h"
#include "tee/tsm.h"

/*
 * machine: the TEE that this process runs in, and evidence from it, in the container that a leader
 * judges (attest/evidence.h). Behind it are the two interfaces that Linux users have: gramine and
 * tsm.
 */
enum machine_interface {
    MACHINE_NONE,  // no TEE, or none that can be asked
    MACHINE_GRAMINE,
    MACHINE_TSM,
};

enum { MACHINE_ERROR_BYTES_MAX = 256 };

/* Where the interfaces are. Borrowed for the machine's life. */
struct machine_roots {
    const char *gramine;
    const char *tsm;
};

#define MACHINE_ROOTS ((struct machine_roots){.gramine = GRAMINE_ROOT, .tsm = TSM_ROOT})

/* Plain. Used by one thread at a time. */
struct machine {
    enum machine_interface interface;
    enum tee tee;  // TEE_UNKNOWN with MACHINE_NONE
    const struct files *files;
    struct machine_roots roots;
    struct tsm tsm;
    char
        error[MACHINE_ERROR_BYTES_MAX];  // of the last call: what failed, why, what to do; or empty
};

/*
 * Look around. With MACHINE_NONE `error` says what is there and cannot be used; it is empty when
 * there is nothing at all.
 */
void machine_look(struct machine *machine, const struct files *files,
                  const struct machine_roots *roots);

/*
 * Append evidence that carries `report_data`, with the vendor's `documents`, to which an SEV-SNP
 * host's own certificates are added where there are none. `documents` may be without any: a leader
 * that has newer ones completes them. STATUS_IO: `error` says why. STATUS_MALFORMED: what the
 * interface gave is too long, or its certificates are no table.
 */
MUST_CHECK enum status machine_evidence(struct machine *machine,
                                        const uint8_t report_data[VERDICT_REPORT_DATA_BYTES],
                                        const struct collateral *documents,
                                        struct buffer *evidence);

/* "none", "gramine", "configfs-tsm"; and where it is. Never NULL. */
const char *machine_interface_text(enum machine_interface interface);

#endif
