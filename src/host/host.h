/* src/host/host.h */
#ifndef HOST_HOST_H
#define HOST_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "base/status.h"

/*
 * host: the untrusted process beside the enclaves. It starts one leader and
 * the workers and the compactor, carries their frames to each other, to the store and to the
 * owner's command line, and the bytes of TCP connections to the workers. It
 * reads a frame's clear header and nothing else. It also plays the hardware of
 * the simulated TEE (it hashes the program it starts, and signs quotes), or asks the TEE of this
 * machine for evidence.
 *
 * The state directory, as `paranoid init` makes it:
 *
 *     genesis     the GENESIS body
 *     stores      the owner's word on which stores count (capsule/stores.h); none: the GENESIS's
 *     store.key   32-byte seed of the first store's key, 0600; store-2.key … of the others
 *     platform    simulated_platform_encode(), 0600
 *     tcb         the simulated TEE's collateral
 *     capsule/    the first store's segments; capsule-2/ … of the others
 *     collateral/ documents of the hardware's vendor (tee/documents.h), if the user put some there
 *
 * What the host adds, while it runs:
 *
 *     host.sock   for the owner's command line (host/control.h), 0600
 *     host.json   written at once when all ports are bound, removed at the end:
 *                 {"pid":…,"base_port":…,"worker_ports":[…],"metrics_port":…,
 *                  "tee":"simulated"|"tdx"|"sev-snp",
 *                  "sandbox":{"namespaces":true|false,"reason":null|"…"}}
 *
 * Ports, all on 127.0.0.1: P balances new connections over the workers that are
 * ready, P+1+i goes to worker i, P+1+N answers /metrics, /status and /healthz.
 */
#define HOST_FILE_GENESIS "genesis"
#define HOST_FILE_STORES "stores"
#define HOST_FILE_PLATFORM "platform"
#define HOST_FILE_TCB "tcb"
#define HOST_FILE_COLLATERAL "collateral"
#define HOST_FILE_STORE_KEY "store%s.key"  // home_store_suffix()
#define HOST_FILE_CAPSULE "capsule%s"
#define HOST_FILE_SOCKET "host.sock"
#define HOST_FILE_STATUS "host.json"

/* The programs, in the program directory. */
#define HOST_PROGRAM_LEADER "paranoid-enclave"
#define HOST_PROGRAM_WORKER "paranoid-enclave-js"
#define HOST_PROGRAM_STORE "paranoid-store"

enum {
    HOST_WORKER_COUNT_MAX = 64,
    HOST_LAMBDA_THREADS_MAX = 64,
    HOST_ERROR_BYTES_MAX = 1024,
};

struct host_config {
    const char *state_directory;
    const char *program_directory;
    const char *worker_program;  // a path in place of HOST_PROGRAM_WORKER; NULL: none
    uint32_t worker_count;       // 1 to HOST_WORKER_COUNT_MAX
    uint32_t lambda_threads;     // of each worker; 1 to HOST_LAMBDA_THREADS_MAX
    uint64_t memtable_bytes;     // of each worker; 0: all of the state
    bool is_jit_off;             // workers interpret JavaScript, and make no code
    uint16_t base_port;          // 0: choose free ones, not necessarily in a row
    bool is_hardware;            // the TEE of this machine gives the evidence; else a simulated one
    bool is_debug_enclave;       // the simulated TEE says that it lets a debugger in
    const struct log *log;       // called in the thread that calls host_run(); NULL: none
};

/*
 * Run until SIGINT, SIGTERM or a STOP frame from a control client; then the
 * enclaves have finished (those that took more than 2 s were killed) and the
 * stores have committed. SIGPIPE is ignored meanwhile. One at a time in a process.
 *
 * On any other status than STATUS_OK `error` says what could not be done, to
 * what, why and what to do. STATUS_DENIED: another host runs on this directory;
 * STATUS_MALFORMED: a file in it is not what it should be; STATUS_IO: a port,
 * a file, a program or the stores' disks failed. A status that store_open() gave is passed on.
 */
MUST_CHECK enum status host_run(const struct host_config *config, char error[HOST_ERROR_BYTES_MAX]);

#endif
