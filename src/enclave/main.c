/* src/enclave/main.c */

/* paranoid-enclave: the leader or the compactor. No JavaScript engine is in it. */
#include <stdlib.h>

#include "enclave/compact.h"
#include "enclave/enclave.h"
#include "enclave/lead.h"

int main(void)
{
    static struct enclave enclave;
    enum status status = enclave_begin(&enclave, 1u << MEMBER_LEADER | 1u << MEMBER_COMPACTOR);
    if (status == STATUS_OK) {
        status = enclave_seal(&enclave, SANDBOX_LEADER);
    }
    if (status != STATUS_OK) {
        return EXIT_FAILURE;
    }
    status = enclave.role == MEMBER_LEADER ? lead_run(&enclave) : compact_run(&enclave);
    log_event(&enclave.log, "%s ends status=\"%s\"", member_role_text(enclave.role),
              status_text(status));
    sign_key_free(enclave.key);
    sandbox_exit(status == STATUS_OK ? EXIT_SUCCESS : EXIT_FAILURE);
}
