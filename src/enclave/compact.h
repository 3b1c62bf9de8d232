/* src/enclave/compact.h */
#ifndef ENCLAVE_COMPACT_H
#define ENCLAVE_COMPACT_H

#include "enclave/enclave.h"

/*
 * The compactor's program: joins as a member of that role, follows the capsule, and turns what is
 * decided into tables (scl/compactor.h). One thread. Returns when the host says stop (STATUS_OK),
 * or when it cannot go on.
 */
MUST_CHECK enum status compact_run(struct enclave *enclave);

#endif
