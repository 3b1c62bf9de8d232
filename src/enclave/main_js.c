/* src/enclave/main_js.c */

/* paranoid-enclave-js: a worker that runs JavaScript functions. */
#include <stdlib.h>

#include "enclave/enclave.h"
#include "enclave/worker.h"

int main(void)
{
    static struct enclave enclave;
    enum status status = enclave_begin(&enclave, 1u << MEMBER_WORKER);
    if (status == STATUS_OK) {
        status = worker_run(&enclave);
    }
    return status == STATUS_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
