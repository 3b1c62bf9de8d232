/* src/enclave/worker_open.c */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "enclave/worker_internal.h"

enum {
    OPEN_JOIN_TIMEOUT_US = 15 * 1000 * 1000,
    OPEN_METRICS_US = 1000 * 1000,
};
static const uint64_t OPEN_RENEW_US = 12ull * 3600 * 1000 * 1000;  // half a certificate's life

static const struct writer_id everyone;

/* What the opener alone keeps. */
struct opener {
    struct worker *worker;
    struct scl_open_job job;
    uint64_t tick_us;      // when the scl wants to be ticked
    uint64_t metrics_us;   // when they were sent last
    bool has_old_metrics;  // something has happened since
    uint64_t begun_us;
    uint64_t locks_us;   // when there may be something to say about locks
    uint64_t attest_us;  // when a leader that was to vouch is given up
    bool has_news;       // something was received that others may wait for
};

/* ---- joining (DESIGN 6.3) ---- */

static enum status send_join(struct worker *worker, const struct buffer *message)
{
    return enclave_send_body(worker->enclave, FRAME_JOIN, 0, &frame_to_leader,
                             buffer_bytes(message));
}

static enum status apply(struct worker *worker)
{
    struct enclave *enclave = worker->enclave;
    struct buffer message = BUFFER_EMPTY;
    const struct p256_public tls_key = p256_key_public(worker->tls_key);
    enum status status =
        join_applicant_new(&worker->applicant, JOIN_MEMBER, MEMBER_WORKER, &enclave->capsule,
                           &enclave->public_key, &tls_key, &enclave->random, &message);
    if (status == STATUS_OK) {
        status = send_join(worker, &message);
    }
    buffer_release(&message);
    return status;
}

static enum status receive_answer(struct worker *worker, struct bytes message)
{
    uint64_t term;
    struct verify_key leader;
    uint8_t report_data[JOIN_REPORT_DATA_BYTES];
    const struct genesis *genesis = capsule_genesis(scl_capsule(worker->scl));
    enum status status = join_applicant_answer(worker->applicant, message, &genesis->owner, &term,
                                               &leader, report_data);
    if (status == STATUS_STALE) {
        return STATUS_OK;  // it came twice
    }
    if (status != STATUS_OK) {
        return status;
    }
    return enclave_ask_evidence(worker->enclave, 0, report_data);
}

static enum status receive_join(struct worker *worker, struct bytes body)
{
    enum join_step step;
    struct bytes message;
    if (worker->applicant == NULL || join_decode(&step, &message, body) != STATUS_OK) {
        return STATUS_OK;
    }
    if (step == JOIN_ANSWER) {
        return receive_answer(worker, message);
    }
    if (step == JOIN_REFUSED) {
        log_event(&worker->enclave->log, "not admitted: %.*s", (int)message.length,
                  (const char *)message.at);
        return STATUS_DENIED;
    }
    return STATUS_OK;
}

static enum status tell_leader(struct worker *worker, struct bytes plain)
{
    struct buffer sealed = BUFFER_EMPTY;
    enum status status = channel_seal(worker->channel, &sealed, plain);
    if (status == STATUS_OK) {
        status = enclave_send_body(worker->enclave, FRAME_CHANNEL, 0, &frame_to_leader,
                                   buffer_bytes(&sealed));
    }
    buffer_release(&sealed);
    return status;
}

/* Numbered evidence is for somebody who asked for it; the leader adds its own. */
static enum status receive_fresh_evidence(struct worker *worker, const struct frame *frame)
{
    struct buffer plain = BUFFER_EMPTY;
    enum status status = worker_attest_receive_evidence(worker, frame, &plain);
    if (status == STATUS_OK) {
        status = tell_leader(worker, buffer_bytes(&plain));
    }
    buffer_release(&plain);
    return status == STATUS_EMPTY ? STATUS_OK : status;
}

/* Evidence from the host: for the join, or (numbered) for somebody who asked. */
static enum status receive_evidence(struct worker *worker, const struct frame *frame)
{
    enclave_take_evidence(worker->enclave, frame->body);
    if (frame->request != 0) {
        return receive_fresh_evidence(worker, frame);
    }
    if (worker->applicant == NULL || worker->channel != NULL) {
        return STATUS_OK;
    }
    struct buffer message = BUFFER_EMPTY;
    enum status status =
        join_applicant_prove(worker->applicant, frame->body, &message, &worker->channel);
    if (status == STATUS_OK) {
        status = send_join(worker, &message);
    } else if (status == STATUS_STALE || status == STATUS_MALFORMED) {
        status = STATUS_OK;  // nobody asked, or it cannot be any: the right one may still come
    }
    buffer_release(&message);
    return status;
}

static enum status receive_grant(struct worker *worker, const struct message_grant *grant)
{
    enum status status = STATUS_OK;
    if (worker->certificate.length > 0) {
        return STATUS_OK;  // one is enough
    }
    pthread_mutex_lock(&worker->lock);
    for (uint32_t i = 0; i < grant->key_count && status == STATUS_OK; i++) {
        status = scl_add_key(worker->scl, grant->keys[i].key_epoch, grant->keys[i].secret);
    }
    for (uint32_t i = 0; i < grant->head_count && status == STATUS_OK; i++) {
        struct branch_head head = message_grant_head(grant, i);
        status = scl_require(worker->scl, &head);
    }
    if (status == STATUS_OK) {
        status = scl_start(worker->scl, &grant->manifest);
    }
    pthread_mutex_unlock(&worker->lock);
    for (uint32_t i = 0; i < grant->token_count && status == STATUS_OK; i++) {
        status = token_add(&worker->tokens, &grant->tokens[i]) ? STATUS_OK : STATUS_FULL;
    }
    if (status == STATUS_OK) {
        status =
            buffer_append(&worker->certificate, grant->certificate.at, grant->certificate.length);
    }
    worker->renew_us = enclave_now_us() + OPEN_RENEW_US;
    join_applicant_free(worker->applicant);
    worker->applicant = NULL;
    return status;
}

static enum status receive_renewed(struct worker *worker, struct bytes certificate)
{
    pthread_mutex_lock(&worker->lock);
    buffer_clear(&worker->renewed);
    buffer_clear(&worker->certificate);
    enum status status = buffer_append(&worker->renewed, certificate.at, certificate.length);
    if (status == STATUS_OK) {
        status = buffer_append(&worker->certificate, certificate.at, certificate.length);
    }
    pthread_mutex_unlock(&worker->lock);
    worker->renew_us = enclave_now_us() + OPEN_RENEW_US;
    port_wake(&worker->enclave->wall.stream);
    return status;
}

/* A key epoch has begun since this worker was admitted. */
static enum status receive_key(struct worker *worker, const struct message_key *key)
{
    pthread_mutex_lock(&worker->lock);
    enum status status = scl_add_key(worker->scl, key->key_epoch, key->secret);
    pthread_mutex_unlock(&worker->lock);
    return status == STATUS_STALE ? STATUS_OK : status;
}

static enum status receive_lock(struct worker *worker, const struct message *message)
{
    pthread_mutex_lock(&worker->lock);
    enum status status = scl_lock_receive(worker->scl, message);
    pthread_mutex_unlock(&worker->lock);
    return status == STATUS_NO_MEMORY ? status : STATUS_OK;
}

static enum status receive_channel(struct worker *worker, struct bytes body)
{
    struct buffer plain = BUFFER_EMPTY;
    struct message message;
    enum status status = STATUS_OK;
    bool is_genuine = worker->channel != NULL &&
                      channel_open(worker->channel, &plain, body) == STATUS_OK &&
                      message_decode(&message, buffer_bytes(&plain)) == STATUS_OK;
    if (is_genuine && message.kind == MESSAGE_GRANT) {
        status = receive_grant(worker, &message.grant);
    } else if (is_genuine && message.kind == MESSAGE_RENEW &&
               message.renew.certificate.length > 0) {
        status = receive_renewed(worker, message.renew.certificate);
    } else if (is_genuine &&
               (message.kind == MESSAGE_LOCK_GRANT || message.kind == MESSAGE_LOCK_ANSWER)) {
        status = receive_lock(worker, &message);
    } else if (is_genuine && message.kind == MESSAGE_VOUCH) {
        status = worker_attest_receive_vouch(worker, &message.vouch);
    } else if (is_genuine && message.kind == MESSAGE_KEY && message.key.secret != NULL) {
        status = receive_key(worker, &message.key);
    }
    buffer_release(&plain);
    return status;
}

static enum status ask_renewal(struct worker *worker)
{
    struct buffer plain = BUFFER_EMPTY;
    const struct message_renew renew = {.certificate = {.at = NULL}};
    worker->renew_us = enclave_now_us() + OPEN_RENEW_US / 12;  // asked again after an hour
    enum status status = message_renew_encode(&plain, &renew);
    if (status == STATUS_OK) {
        status = tell_leader(worker, buffer_bytes(&plain));
    }
    buffer_release(&plain);
    return status;
}

/* What the scl has to say; `*wake_us` receives when there may be more. */
static enum status tell_all(struct worker *worker, uint64_t *wake_us)
{
    struct buffer plain = BUFFER_EMPTY;
    uint64_t now_us = enclave_now_us();
    enum status status = STATUS_OK;
    while (status == STATUS_OK) {
        pthread_mutex_lock(&worker->lock);
        status = scl_tell(worker->scl, now_us, &plain);
        *wake_us = scl_tell_wake_us(worker->scl, now_us);
        pthread_mutex_unlock(&worker->lock);
        if (status == STATUS_OK) {
            status = tell_leader(worker, buffer_bytes(&plain));
        }
        buffer_clear(&plain);
    }
    buffer_release(&plain);
    return status == STATUS_EMPTY ? STATUS_OK : status;
}

/* ---- records ---- */

/*
 * Only an answer to a FETCH may hold records without their bodies; and those of tables, of which
 * nobody is sent more.
 */
static enum status receive_records(struct opener *opener, struct bytes records, bool is_answer)
{
    struct worker *worker = opener->worker;
    while (records.length > 0) {
        struct record record;
        size_t length = record_length(records.at, records.length);
        // Hashing happens here, without the lock.
        enum status status = STATUS_MALFORMED;
        if (length > 0 && length <= records.length) {
            status = record_decode_stored(&record, records.at, length);
        }
        if (status == STATUS_OK && record.is_pruned && !is_answer && record.type != RECORD_TABLE) {
            status = STATUS_MALFORMED;
        }
        if (status != STATUS_OK) {
            log_event(&worker->enclave->log, "record dropped: it cannot be parsed");
            return STATUS_OK;
        }
        records = bytes_of(records.at + length, records.length - length);
        pthread_mutex_lock(&worker->lock);
        status = scl_receive(worker->scl, &record);
        pthread_mutex_unlock(&worker->lock);
        if (status == STATUS_NO_MEMORY) {
            return status;
        }
        // Somebody may wait for that very block.
        opener->has_news = opener->has_news || (record.type == RECORD_TABLE && !record.is_pruned);
    }
    return STATUS_OK;
}

/* Apply whatever can be applied. */
static enum status open_all(struct opener *opener)
{
    struct worker *worker = opener->worker;
    enum status status = STATUS_OK;
    pthread_mutex_lock(&worker->lock);
    while (status == STATUS_OK &&
           (status = scl_open_begin(worker->scl, &opener->job)) == STATUS_OK) {
        pthread_mutex_unlock(&worker->lock);
        scl_open_run(&opener->job);
        pthread_mutex_lock(&worker->lock);
        status = scl_open_finish(worker->scl, &opener->job, enclave_now_us());
        opener->has_news = true;
    }
    pthread_mutex_unlock(&worker->lock);
    return status == STATUS_EMPTY ? STATUS_OK : status;
}

/* What the scl refuses it has logged or it is harmless; only our own trouble is passed up. */
static enum status receive_scl(struct worker *worker, const struct frame *frame)
{
    pthread_mutex_lock(&worker->lock);
    enum status status = scl_receive_frame(worker->scl, frame);
    pthread_mutex_unlock(&worker->lock);
    return status == STATUS_NO_MEMORY ? status : STATUS_OK;
}

static enum status receive_frame(struct opener *opener, struct bytes bytes)
{
    struct worker *worker = opener->worker;
    struct frame frame;
    if (frame_decode(&frame, bytes) != STATUS_OK) {
        return STATUS_OK;
    }
    switch (frame.kind) {
    case FRAME_RECORD:
        return receive_records(opener, frame.body, frame.request != 0);
    case FRAME_RECEIPT:
    case FRAME_RTS:
    case FRAME_FETCHED:
    case FRAME_REFUSED:
        opener->has_news = true;
        opener->tick_us = 0;
        return receive_scl(worker, &frame);
    case FRAME_JOIN:
        return receive_join(worker, frame.body);
    case FRAME_EVIDENCE:
        return receive_evidence(worker, &frame);
    case FRAME_CHANNEL:
        opener->has_news = true;
        opener->tick_us = 0;
        return receive_channel(worker, frame.body);
    case FRAME_STOP:
        worker_end(worker, "the host says stop", STATUS_OK);
    default:
        return STATUS_OK;
    }
}

static enum status receive_all(struct opener *opener)
{
    struct buffer bytes = BUFFER_EMPTY;
    enum status status;
    while ((status = port_receive(&opener->worker->enclave->wall.data, &bytes)) == STATUS_OK) {
        status = receive_frame(opener, buffer_bytes(&bytes));
        if (status != STATUS_OK) {
            break;
        }
        buffer_clear(&bytes);
    }
    buffer_release(&bytes);
    return status == STATUS_EMPTY ? STATUS_OK : status;
}

/* ---- becoming ready ---- */

static enum status start_thread(void *(*run)(void *), void *context)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, context) != 0) {
        return STATUS_NO_MEMORY;
    }
    pthread_detach(thread);
    return STATUS_OK;
}

static enum status start_threads(struct worker *worker)
{
    static struct worker_lambda lambdas[WORKER_THREADS_MAX];
    enum status status = start_thread(worker_seal_run, worker);
    for (uint32_t i = 0; i < worker->engine_count && status == STATUS_OK; i++) {
        lambdas[i] = (struct worker_lambda){.worker = worker, .engine = worker->engines[i]};
        status = start_thread(worker_lambda_run, &lambdas[i]);
    }
    return status == STATUS_OK ? start_thread(worker_serve_run, worker) : status;
}

static enum status become_ready(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    bool is_ready = worker->certificate.length > 0 && scl_is_ready(worker->scl);
    pthread_mutex_unlock(&worker->lock);
    if (!is_ready || atomic_load(&worker->is_ready)) {
        return STATUS_OK;
    }
    atomic_store(&worker->is_ready, true);
    enum status status = start_threads(worker);
    if (status == STATUS_OK) {
        status = enclave_send_body(worker->enclave, FRAME_READY, 0, &everyone, bytes_of(NULL, 0));
    }
    return status;
}

static enum status send_metrics(struct worker *worker)
{
    struct scl_counters scl;
    char text[2048];
    pthread_mutex_lock(&worker->lock);
    scl_count(worker->scl, &scl);
    pthread_mutex_unlock(&worker->lock);
    int length = snprintf(
        text, sizeof text,
        "joined_epoch %" PRIu64 "\nnewest_epoch %" PRIu64 "\nlamport %" PRIu64
        "\ntuples_put %" PRIu64 "\ntuples_applied %" PRIu64 "\nrecords_sealed %" PRIu64
        "\nrecords_applied %" PRIu64 "\nrecords_refused %" PRIu64 "\nreceipts_verified %" PRIu64
        "\nfetches %" PRIu64 "\nunreceipted_bytes %" PRIu64 "\nkeys %" PRIu64 "\nkey_bytes %" PRIu64
        "\nkeys_evicted %" PRIu64 "\nkeys_kept %" PRIu64 "\nblock_fetches %" PRIu64
        "\nmanifests_adopted %" PRIu64 "\ntable_floor %" PRIu64 "\ntable_count %" PRIu64
        "\ntable_index_bytes %" PRIu64 "\ntable_cache_bytes %" PRIu64 "\nfaas_invocations %" PRIu64
        "\nfaas_errors %" PRIu64 "\n",
        scl.joined_epoch, scl.newest_epoch, scl.lamport, scl.tuples_put, scl.tuples_applied,
        scl.records_sealed, scl.records_applied, scl.records_refused, scl.receipts_verified,
        scl.fetches, scl.unreceipted_bytes, scl.keys, scl.key_bytes, scl.keys_evicted,
        scl.keys_kept, scl.block_fetches, scl.manifests_adopted, scl.table_floor, scl.table_count,
        scl.table_index_bytes, scl.table_cache_bytes, atomic_load(&worker->invocations),
        atomic_load(&worker->invocation_errors));
    return enclave_send_body(worker->enclave, FRAME_METRICS, 0, &everyone,
                             bytes_of(text, (size_t)length));
}

/* What is due by time. */
static enum status tick(struct opener *opener)
{
    struct worker *worker = opener->worker;
    uint64_t now_us = enclave_now_us();
    enum status status = STATUS_OK;
    if (now_us >= opener->tick_us) {
        pthread_mutex_lock(&worker->lock);
        opener->tick_us = scl_tick(worker->scl, now_us);
        pthread_mutex_unlock(&worker->lock);
        opener->has_news = true;  // it may have found something to seal
    }
    if (worker->certificate.length == 0 && now_us > opener->begun_us + OPEN_JOIN_TIMEOUT_US) {
        return STATUS_TIMEOUT;
    }
    if (worker->renew_us != 0 && now_us >= worker->renew_us) {
        status = ask_renewal(worker);
    }
    if (status == STATUS_OK && opener->has_old_metrics &&
        now_us >= opener->metrics_us + OPEN_METRICS_US) {
        opener->has_old_metrics = false;
        opener->metrics_us = now_us;
        status = send_metrics(worker);
    }
    return status;
}

static uint64_t wake_us(const struct opener *opener)
{
    const struct worker *worker = opener->worker;
    if (worker->certificate.length == 0) {
        return opener->begun_us + OPEN_JOIN_TIMEOUT_US;
    }
    uint64_t due_us = opener->tick_us < worker->renew_us ? opener->tick_us : worker->renew_us;
    due_us = opener->locks_us < due_us ? opener->locks_us : due_us;
    due_us = opener->attest_us < due_us ? opener->attest_us : due_us;
    uint64_t metrics_us = opener->metrics_us + OPEN_METRICS_US;
    return opener->has_old_metrics && metrics_us < due_us ? metrics_us : due_us;
}

void worker_open_run(struct worker *worker)
{
    static struct opener opener;
    opener = (struct opener){
        .worker = worker,
        .begun_us = enclave_now_us(),
        .locks_us = UINT64_MAX,
        .attest_us = UINT64_MAX,
    };
    enum status status = apply(worker);
    while (status == STATUS_OK) {
        status = receive_all(&opener);
        if (status == STATUS_OK) {
            status = open_all(&opener);
        }
        if (status == STATUS_OK) {
            status = tick(&opener);
        }
        if (status == STATUS_OK) {
            status = worker_flush(worker);
        }
        if (status == STATUS_OK && worker->certificate.length > 0) {
            status = tell_all(worker, &opener.locks_us);
        }
        if (status == STATUS_OK && atomic_load(&worker->is_ready)) {
            status =
                worker_attest_tick(worker, enclave_now_us(), &opener.attest_us, &opener.has_news);
        }
        if (status == STATUS_OK) {
            status = become_ready(worker);
        }
        if (opener.has_news) {
            opener.has_news = false;
            opener.has_old_metrics = true;
            worker_changed(worker);
        }
        if (status == STATUS_OK) {
            status = port_wait(&worker->enclave->wall.data,
                               enclave_timeout_ms(wake_us(&opener), enclave_now_us()));
            status = status == STATUS_TIMEOUT ? STATUS_OK : status;
        }
    }
    worker_end(worker, "it cannot go on", status);
}
