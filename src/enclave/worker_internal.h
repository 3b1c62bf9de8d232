/* src/enclave/worker_internal.h */
#ifndef ENCLAVE_WORKER_INTERNAL_H
#define ENCLAVE_WORKER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "capsule/deed.h"
#include "capsule/function.h"
#include "crypto/hash512.h"
#include "crypto/p256.h"
#include "enclave/enclave.h"
#include "lambda/lambda.h"
#include "lambda/watchdog.h"
#include "scl/overlay.h"
#include "scl/scl.h"
#include "scl/scl_lock.h"
#include "scl/scl_reader.h"
#include "serve/response.h"
#include "serve/routes.h"
#include "serve/serve.h"
#include "serve/token.h"
#include "wire/channel.h"
#include "wire/join.h"
#include "wire/message.h"
#include "wire/vouch.h"

/*
 * A worker's actors, one thread each (DESIGN 3):
 *
 *     opener   the main thread: what comes by the data port (worker_open.c)
 *     sealer   turns the open batch into records (worker_seal.c)
 *     serve    TLS and HTTP on the stream port (worker_serve.c, worker_kv.c)
 *     lambda   ×T, runs functions (worker_lambda.c)
 *
 * `lock` is around the scl; the memtable is read without it. Whoever changes
 * what others wait for calls worker_changed().
 */
enum {
    WORKER_THREADS_MAX = 16,
    WORKER_QUEUE_MAX = 1024,               // invocations that wait for a lambda thread
    WORKER_LOG_LINES = 1024,               // of functions, kept for GET /logs
    WORKER_DURABLE_US = 10 * 1000 * 1000,  // how long an answer waits for receipts
    WORKER_CACHE_BYTES_MIN = 4 << 20,
    WORKER_COLD_US = 5 * 1000 * 1000,           // how long a read waits for a block
    WORKER_BEHIND_US = 5 * 1000 * 1000,         // DESIGN 8.2: X-Paranoid-After
    WORKER_LOCK_US = 3 * 1000 * 1000,           // how long a lock is waited for
    WORKER_LOCKS_MAX = 8,                       // held at once by one thread
    WORKER_SEALED_MAX = 4096,                   // own records whose hashes are at hand for receipts
    WORKER_ATTEST_US = 5 * 1000 * 1000,         // how long evidence is waited for
    WORKER_ATTEST_LEADER_US = 3 * 1000 * 1000,  // and the leader's in that time
};

/* Evidence that somebody waits for (worker_attest.c). Its asker keeps it until it is released. */
enum worker_attest_state { ATTEST_WAITS, ATTEST_HOST, ATTEST_LEADER, ATTEST_DONE };

struct worker_attest {
    // Filled in by the asker: what the enclave's own evidence carries, and the leader's is over.
    uint8_t report_data[HASH512_BYTES];
    uint8_t nonce[VOUCH_NONCE_BYTES_MAX];
    size_t nonce_bytes;

    // Under `lock` from there on.
    struct worker_attest *next;
    enum worker_attest_state state;
    uint32_t request;
    uint64_t leader_us;   // until when the leader is waited for
    uint64_t due_us;      // and all of it
    struct buffer vouch;  // once DONE; before that the evidence alone
};

/* Which function answered, and the own records that its writes are in: for a receipt. */
struct worker_ran {
    uint64_t version;
    struct hash code;
    uint64_t written[DEED_WRITTEN_MAX];  // rising
    uint32_t written_count;
    bool has_more;
};

/*
 * One request on its way: serve → lambda → serve, or straight back to where it waits for receipts.
 */
struct worker_task {
    struct worker_task *next;
    uint64_t request;                 // serve's number
    const struct http_request *http;  // borrowed until the answer
    struct route route;
    uint64_t deadline_us;  // of what it waits for at present
    struct dependency dependency;
    bool needs_receipts;
    struct worker_attest *attest;  // of GET /evidence
    struct worker_ran ran;         // of a function

    // The answer.
    unsigned status;
    struct buffer body;
    const char *content_type;     // static; NULL: none
    const char *allow;            // static; of a 405
    char etag[64];                // WORKER_ETAG_BYTES; empty: none
    struct lambda_result result;  // of a function: its own headers and body
    bool has_result;
};

/* A queue of tasks; its user holds a lock. */
struct worker_list {
    struct worker_task *first;
    struct worker_task **end;
    size_t count;
};

void worker_list_init(struct worker_list *list);
void worker_list_add(struct worker_list *list, struct worker_task *task);
struct worker_task *worker_list_take(struct worker_list *list);  // NULL when empty

/* A published function. Counted: lambda threads hold the versions they have compiled. */
struct worker_function {
    struct function_manifest manifest;
    struct buffer code;
    _Atomic uint32_t reference_count;
};

struct worker_functions;

struct worker_log;

struct worker {
    struct enclave *enclave;
    struct scl *scl;
    pthread_mutex_t lock;
    pthread_cond_t work;           // the sealer waits
    pthread_cond_t changed;        // receipts, applied records, room in the batch
    _Atomic uint64_t changes;      // by worker_changed(); written under `lock`
    _Atomic uint32_t serve_waits;  // tasks of the serve thread that wait for receipts or records
    _Atomic bool is_ready;

    struct p256_key *tls_key;
    struct token_set tokens;
    struct buffer certificate;  // DER; the newest, under `lock` once serving
    struct buffer renewed;      // under `lock`: the next one, for the serve thread
    uint64_t renew_us;
    struct channel *channel;  // to the leader
    struct join_applicant *applicant;

    struct head sealed[WORKER_SEALED_MAX];  // under `lock`: by sequence

    struct worker_functions *functions;
    struct worker_log *log;
    struct watchdog *watchdog;
    struct lambda_engine *engines[WORKER_THREADS_MAX];
    uint32_t engine_count;

    pthread_mutex_t queue_lock;
    pthread_cond_t queued;
    struct worker_list queue;     // for the lambda threads
    struct worker_list finished;  // back to the serve thread

    struct worker_attest *attests;  // under `lock`: asked for, oldest first
    uint32_t attest_request;        // the last number

    _Atomic uint64_t invocations;
    _Atomic uint64_t invocation_errors;
};

/* Something others wait for has changed: receipts came, records were applied, a batch has room. */
void worker_changed(struct worker *worker);

/* Send what the scl has to say. */
MUST_CHECK enum status worker_flush(struct worker *worker);

/* End the process: everything that counts is in the capsule. */
_Noreturn void worker_end(struct worker *worker, const char *why, enum status status);

/*
 * Wait on one of the conditions, with `lock` held; false when `due_us` has passed
 * (UINT64_MAX: never).
 */
bool worker_wait(pthread_cond_t *condition, pthread_mutex_t *lock, uint64_t due_us);

/* ---- worker_open.c ---- */
void worker_open_run(struct worker *worker);

/* ---- worker_seal.c ---- */
void *worker_seal_run(void *worker);

/* ---- worker_serve.c ---- */
void *worker_serve_run(void *worker);
/* Fill in an error as the answer. */
void worker_serve_refuse(struct worker_task *task, unsigned status, const char *code,
                         const char *message);

/* ---- worker_kv.c: the state over HTTP and for functions ---- */

/* A lock that a thread holds. */
struct worker_lock {
    uint32_t hold;  // its number
    struct buffer name;
    struct scl_lock *lock;
    struct overlay written;  // under it
};

/* What one thread reads and writes by. */
struct worker_kv {
    struct worker *worker;
    struct scl_reader *reader;
    uint64_t due_us;  // when nothing is waited for any more: an invocation's end; 0: no invocation
    struct worker_lock locks[WORKER_LOCKS_MAX];  // the one taken last comes last
    size_t lock_count;
    uint32_t hold;           // the last number
    uint64_t lock_sequence;  // of the own record that was written under the lock released last
};

/* What a version is called where people see it: "<lamport>-<writer>". */
enum { WORKER_ETAG_BYTES = 64 };

/*
 * Both wait for blocks of tables, and no lock is held meanwhile. STATUS_TIMEOUT: one did not come.
 */
MUST_CHECK enum status worker_kv_get(struct worker_kv *kv, struct bytes key,
                                     struct dependency *dependency, struct buffer *value);
/* PUT or DELETE. Waits for room. STATUS_FULL: too much waits for receipts already. */
MUST_CHECK enum status worker_kv_put(struct worker_kv *kv, enum tuple_kind kind, struct bytes key,
                                     struct bytes value, uint64_t ttl_ms,
                                     struct dependency *dependency);
MUST_CHECK enum status worker_kv_list(struct worker_kv *kv, struct bytes prefix, size_t limit,
                                      struct bytes cursor, struct dependency *dependency,
                                      lambda_visit *visit, void *visitor, struct buffer *next);
/* Wait until W stores hold all of it. STATUS_TIMEOUT, STATUS_NO_SPACE. */
MUST_CHECK enum status worker_kv_sync(struct worker_kv *kv, const struct dependency *dependency);
/*
 * Answer a /kv request at once; it still waits for receipts. STATUS_FULL: too much waits for them
 * already: nothing was done, ask again. STATUS_GAP: a block of a table is on its way, ask again. It
 * does not wait itself, for one thread serves everybody.
 */
MUST_CHECK enum status worker_kv_serve(struct worker_kv *kv, struct worker_task *task);
/* A PUT or DELETE with conditions is decided by a lock, and waits: a lambda thread answers it. */
bool worker_kv_is_swap(const struct worker_task *task);
void worker_kv_serve_swap(struct worker_kv *kv, struct worker_task *task);
/* Put, if the key has this version (empty: is absent). Statuses as of lambda_calls.swap. */
MUST_CHECK enum status worker_kv_swap(struct worker_kv *kv, const struct tuple *tuple,
                                      struct bytes expected, struct dependency *dependency,
                                      bool *is_done);
struct tuple worker_kv_tuple(const struct worker_kv *kv, enum tuple_kind kind, struct bytes key,
                             struct bytes value, uint64_t ttl_ms);
/* The version of what is in the map. STATUS_NOT_FOUND. */
MUST_CHECK enum status worker_kv_version(struct worker_kv *kv, struct bytes key,
                                         struct dependency *dependency,
                                         char etag[WORKER_ETAG_BYTES]);

/* ---- worker_lock.c: the locks that a thread holds ---- */

/* Statuses as of lambda_calls. `prefix` tells kinds of names apart. */
MUST_CHECK enum status worker_lock_take(struct worker_kv *kv, const char *prefix, struct bytes name,
                                        uint32_t *hold);
/* `dependency`: what was read on the way. */
MUST_CHECK enum status worker_lock_release(struct worker_kv *kv, uint32_t hold,
                                           const struct dependency *dependency);
void worker_lock_abandon(struct worker_kv *kv, uint32_t hold);
void worker_lock_abandon_all(struct worker_kv *kv);
/* What the newest lock that has written this key has made of it, or NULL. */
const struct overlay_entry *worker_lock_find(const struct worker_kv *kv, struct bytes key);
/* The first key at or after `from` that any has written: its newest entry. */
const struct overlay_entry *worker_lock_seek(const struct worker_kv *kv, struct bytes from,
                                             bool is_after);

/* ---- worker_attest.c: fresh evidence, for clients and for functions ---- */
void worker_attest_ask(struct worker *worker, struct worker_attest *attest);
bool worker_attest_is_done(struct worker *worker, const struct worker_attest *attest);
/* Ask and wait. STATUS_TIMEOUT: the platform gives none. Release it whatever comes back. */
MUST_CHECK enum status worker_attest_wait(struct worker *worker, struct worker_attest *attest);
void worker_attest_release(struct worker *worker, struct worker_attest *attest);
/* Of the opener. STATUS_OK: `plain` is for the leader. STATUS_EMPTY: nobody waits for this. */
MUST_CHECK enum status worker_attest_receive_evidence(struct worker *worker,
                                                      const struct frame *frame,
                                                      struct buffer *plain);
MUST_CHECK enum status worker_attest_receive_vouch(struct worker *worker,
                                                   const struct message_vouch *message);
/* Begin the next one; give up on a leader that does not answer. */
MUST_CHECK enum status worker_attest_tick(struct worker *worker, uint64_t now_us, uint64_t *wake_us,
                                          bool *has_news);

/* ---- worker_deed.c: receipts for people ---- */
/* A record of this worker's was sealed. With the lock. */
void worker_deed_note_sealed(struct worker *worker, const struct record *record);
/* A write of this invocation is in that own record; 0: in none. */
void worker_deed_note_written(struct worker_task *task, uint64_t sequence);
/* Whether the request asks for one. */
bool worker_deed_is_wanted(const struct worker_task *task);
/* Append the receipt as text, once what it names is durable. */
MUST_CHECK enum status worker_deed_make(struct worker *worker, const struct worker_task *task,
                                        struct bytes output, struct buffer *text);

/* ---- worker_functions.c ---- */
MUST_CHECK enum status worker_functions_new(struct worker_functions **functions);
/* A FUNCTION record was applied: keep it when the owner signed it and its version is higher. */
void worker_functions_add(struct worker_functions *functions, struct bytes body,
                          const struct genesis *genesis, const struct log *log);
/* The newest version of a name, to be dropped by the caller; NULL: none, or removed. */
struct worker_function *worker_functions_find(struct worker_functions *functions,
                                              struct bytes name);
/* Append the secret of that name. STATUS_NOT_FOUND: there is none. */
MUST_CHECK enum status worker_functions_secret(struct worker_functions *functions,
                                               struct bytes name, struct buffer *secret);
void worker_functions_drop(struct worker_function *function);

/* ---- worker_log.c: what functions log, for the owner alone ---- */
MUST_CHECK enum status worker_log_new(struct worker_log **log);
void worker_log_add(struct worker_log *log, const char *function, enum lambda_level level,
                    struct bytes text);
/* Append the lines above `after` as one JSON object. */
MUST_CHECK enum status worker_log_json(struct worker_log *log, uint64_t after, struct buffer *body);

/* ---- worker_lambda.c ---- */
struct worker_lambda {
    struct worker *worker;
    struct lambda_engine *engine;
};
void *worker_lambda_run(void *lambda);

#endif
