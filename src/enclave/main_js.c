/* src/enclave/main_js.c */

/*
 * paranoid-enclave-js: a worker that runs JavaScript functions. With --jit=off they are
 * interpreted, and no page of the process ever turns executable.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "enclave/enclave.h"
#include "enclave/worker.h"
#include "lambda/lambda.h"

int main(int count, char **words)
{
    static struct enclave enclave;
    bool has_jit = count < 2 || strcmp(words[1], "--jit=off") != 0;
    enum status status = enclave_begin(&enclave, 1u << MEMBER_WORKER);
    if (status == STATUS_OK) {
        status = lambda_engine_begin(has_jit);
    }
    if (status == STATUS_OK) {
        status = worker_run(&enclave);
    }
    return status == STATUS_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
