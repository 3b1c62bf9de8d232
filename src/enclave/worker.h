/* src/enclave/worker.h */
#ifndef ENCLAVE_WORKER_H
#define ENCLAVE_WORKER_H

#include "enclave/enclave.h"

/*
 * Be a worker: warm up JavaScript, seal the process, join, serve.
 * Returns only when it could not begin; a worker that has begun ends with its process.
 */
MUST_CHECK enum status worker_run(struct enclave *enclave);

#endif
