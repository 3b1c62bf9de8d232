/* src/enclave/main.c */

/* paranoid-enclave: the leader (and later the compactor). No JavaScript engine is in it. */
#include <stdlib.h>

#include "enclave/enclave.h"
#include "enclave/lead.h"

int main(void)
{
    static struct enclave enclave;
    enum status status = enclave_begin(&enclave, MEMBER_LEADER);
    if (status == STATUS_OK) {
        status = enclave_seal(&enclave, SANDBOX_LEADER);
    }
    if (status != STATUS_OK) {
        return EXIT_FAILURE;
    }
    status = lead_run(&enclave);
    log_event(&enclave.log, "leader ends status=\"%s\"", status_text(status));
    sign_key_free(enclave.key);
    sandbox_exit(status == STATUS_OK ? EXIT_SUCCESS : EXIT_FAILURE);
}
