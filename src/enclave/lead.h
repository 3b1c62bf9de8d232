/* src/enclave/lead.h */
#ifndef ENCLAVE_LEAD_H
#define ENCLAVE_LEAD_H

#include "enclave/enclave.h"

/*
 * Lead until the host says stop (STATUS_OK) or the term is over (STATUS_CLOSED, or what went
 * wrong).
 */
MUST_CHECK enum status lead_run(struct enclave *enclave);

#endif
