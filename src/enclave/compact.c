/* src/enclave/compact.c */
#include "enclave/compact.h"

#include <inttypes.h>
#include <stdio.h>

#include "crypto/p256.h"
#include "scl/compactor.h"
#include "wire/channel.h"
#include "wire/join.h"
#include "wire/message.h"

enum {
    COMPACT_JOIN_TIMEOUT_US = 15 * 1000 * 1000,
    COMPACT_METRICS_US = 1000 * 1000,
    COMPACT_FRAMES_AT_ONCE = 64,  // received before the work goes on
    COMPACT_MEMTABLE_BYTES = 1,   // it keeps nothing that its tables say
    COMPACT_CACHE_BYTES = 1 << 20,
    COMPACT_FLUSH_BYTES_MIN = 256 << 10,
};

static const struct writer_id everyone;

struct compact {
    struct enclave *enclave;
    struct scl *scl;
    struct compactor *compactor;
    struct p256_key *tls_key;  // every member has one; nobody connects to this one
    struct join_applicant *applicant;
    struct channel *channel;
    bool has_grant;
    bool is_ready;
    bool must_stop;
    uint64_t begun_us;
    uint64_t tick_us;
    uint64_t seal_us;
    uint64_t work_us;
    uint64_t metrics_us;
    struct scl_seal_job seal;
    struct scl_open_job open;
};

// ---- joining (DESIGN 6.3) ----

static enum status send_join(struct compact *compact, const struct buffer *message)
{
    return enclave_send_body(compact->enclave, FRAME_JOIN, 0, &frame_to_leader,
                             buffer_bytes(message));
}

static enum status apply(struct compact *compact)
{
    struct enclave *enclave = compact->enclave;
    struct buffer message = BUFFER_EMPTY;
    const struct p256_public tls_key = p256_key_public(compact->tls_key);
    enum status status =
        join_applicant_new(&compact->applicant, JOIN_MEMBER, MEMBER_COMPACTOR, &enclave->capsule,
                           &enclave->public_key, &tls_key, &enclave->random, &message);
    if (status == STATUS_OK) {
        status = send_join(compact, &message);
    }
    buffer_release(&message);
    return status;
}

static enum status receive_answer(struct compact *compact, struct bytes message)
{
    uint64_t term;
    struct verify_key leader;
    uint8_t report_data[JOIN_REPORT_DATA_BYTES];
    const struct genesis *genesis = capsule_genesis(scl_capsule(compact->scl));
    enum status status = join_applicant_answer(compact->applicant, message, &genesis->owner, &term,
                                               &leader, report_data);
    if (status == STATUS_STALE) {
        return STATUS_OK;  // it came twice
    }
    if (status != STATUS_OK) {
        return status;
    }
    return enclave_ask_evidence(compact->enclave, 0, report_data);
}

static enum status receive_join(struct compact *compact, struct bytes body)
{
    enum join_step step;
    struct bytes message;
    if (compact->applicant == NULL || join_decode(&step, &message, body) != STATUS_OK) {
        return STATUS_OK;
    }
    if (step == JOIN_ANSWER) {
        return receive_answer(compact, message);
    }
    if (step == JOIN_REFUSED) {
        log_event(&compact->enclave->log, "not admitted: %.*s", (int)message.length,
                  (const char *)message.at);
        return STATUS_DENIED;
    }
    return STATUS_OK;
}

static enum status receive_evidence(struct compact *compact, struct bytes evidence)
{
    struct buffer message = BUFFER_EMPTY;
    if (compact->applicant == NULL || compact->channel != NULL) {
        return STATUS_OK;
    }
    enum status status =
        join_applicant_prove(compact->applicant, evidence, &message, &compact->channel);
    if (status == STATUS_OK) {
        status = send_join(compact, &message);
    } else if (status == STATUS_STALE || status == STATUS_MALFORMED) {
        status = STATUS_OK;  // nobody asked, or it cannot be any: the right one may still come
    }
    buffer_release(&message);
    return status;
}

static enum status receive_channel(struct compact *compact, struct bytes body)
{
    struct buffer plain = BUFFER_EMPTY;
    struct message message;
    enum status status = STATUS_OK;
    bool is_genuine = compact->channel != NULL &&
                      channel_open(compact->channel, &plain, body) == STATUS_OK &&
                      message_decode(&message, buffer_bytes(&plain)) == STATUS_OK;
    if (is_genuine && message.kind == MESSAGE_KEY && message.key.secret != NULL) {
        status = scl_add_key(compact->scl, message.key.key_epoch, message.key.secret);
        status = status == STATUS_STALE ? STATUS_OK : status;
    } else if (is_genuine && message.kind == MESSAGE_GRANT && !compact->has_grant) {
        for (uint32_t i = 0; i < message.grant.key_count && status == STATUS_OK; i++) {
            status = scl_add_key(compact->scl, message.grant.keys[i].key_epoch,
                                 message.grant.keys[i].secret);
        }
        if (status == STATUS_OK) {
            status = scl_start(compact->scl, &message.grant.manifest);
        }
        compact->has_grant = true;
        join_applicant_free(compact->applicant);
        compact->applicant = NULL;
    }
    buffer_release(&plain);
    return status;
}

// ---- frames ----

static enum status receive_records(struct compact *compact, struct bytes records)
{
    while (records.length > 0) {
        struct record record;
        size_t length = record_length(records.at, records.length);
        if (length == 0 || length > records.length ||
            record_decode_stored(&record, records.at, length) != STATUS_OK) {
            log_event(&compact->enclave->log, "record dropped: it cannot be parsed");
            return STATUS_OK;
        }
        records = bytes_of(records.at + length, records.length - length);
        if (scl_receive(compact->scl, &record) == STATUS_NO_MEMORY) {
            return STATUS_NO_MEMORY;
        }
    }
    return STATUS_OK;
}

static enum status receive_frame(struct compact *compact, struct bytes bytes)
{
    struct frame frame;
    enum status status;
    if (frame_decode(&frame, bytes) != STATUS_OK) {
        return STATUS_OK;
    }
    compact->tick_us = 0;
    compact->work_us = 0;
    switch (frame.kind) {
    case FRAME_RECORD:
        return receive_records(compact, frame.body);
    case FRAME_JOIN:
        return receive_join(compact, frame.body);
    case FRAME_EVIDENCE:
        return receive_evidence(compact, frame.body);
    case FRAME_CHANNEL:
        return receive_channel(compact, frame.body);
    case FRAME_STOP:
        compact->must_stop = true;
        return STATUS_OK;
    default:
        status = scl_receive_frame(compact->scl, &frame);
        return status == STATUS_NO_MEMORY ? status : STATUS_OK;
    }
}

static enum status receive_some(struct compact *compact)
{
    struct buffer bytes = BUFFER_EMPTY;
    enum status status = STATUS_OK;
    for (int i = 0; i < COMPACT_FRAMES_AT_ONCE && status == STATUS_OK && !compact->must_stop; i++) {
        buffer_clear(&bytes);
        status = port_receive(&compact->enclave->wall.data, &bytes);
        if (status == STATUS_OK) {
            status = receive_frame(compact, buffer_bytes(&bytes));
        }
    }
    buffer_release(&bytes);
    return status == STATUS_EMPTY ? STATUS_OK : status;
}

// ---- what it does ----

static enum status open_all(struct compact *compact)
{
    enum status status = STATUS_OK;
    while (status == STATUS_OK &&
           (status = scl_open_begin(compact->scl, &compact->open)) == STATUS_OK) {
        scl_open_run(&compact->open);
        status = scl_open_finish(compact->scl, &compact->open, enclave_now_us());
    }
    return status == STATUS_EMPTY ? STATUS_OK : status;
}

static enum status seal_all(struct compact *compact)
{
    struct bytes frame;
    enum status status;
    compact->seal_us = UINT64_MAX;
    while ((status = scl_seal_begin(compact->scl, &compact->seal, enclave_now_us(),
                                    &compact->seal_us)) == STATUS_OK) {
        scl_seal_run(compact->scl, &compact->seal);
        status = scl_seal_finish(compact->scl, &compact->seal, enclave_now_us(), &frame);
        if (status == STATUS_OK) {
            status = enclave_send(compact->enclave, frame);
        }
        if (status != STATUS_OK) {
            return status;
        }
    }
    return status == STATUS_EMPTY || status == STATUS_FULL ? STATUS_OK : status;
}

static enum status flush(struct compact *compact)
{
    struct buffer frame = BUFFER_EMPTY;
    enum status status;
    while ((status = scl_output(compact->scl, &frame)) == STATUS_OK) {
        status = enclave_send(compact->enclave, buffer_bytes(&frame));
        if (status != STATUS_OK) {
            break;
        }
        buffer_clear(&frame);
    }
    buffer_release(&frame);
    return status == STATUS_EMPTY ? STATUS_OK : status;
}

static enum status tell_leader(struct compact *compact, struct bytes plain)
{
    struct buffer sealed = BUFFER_EMPTY;
    enum status status = channel_seal(compact->channel, &sealed, plain);
    if (status == STATUS_OK) {
        status = enclave_send_body(compact->enclave, FRAME_CHANNEL, 0, &frame_to_leader,
                                   buffer_bytes(&sealed));
    }
    buffer_release(&sealed);
    return status;
}

/* What the scl has to say. */
static enum status tell_all(struct compact *compact)
{
    struct buffer plain = BUFFER_EMPTY;
    enum status status = STATUS_OK;
    while (compact->channel != NULL && status == STATUS_OK &&
           (status = scl_tell(compact->scl, enclave_now_us(), &plain)) == STATUS_OK) {
        status = tell_leader(compact, buffer_bytes(&plain));
        buffer_clear(&plain);
    }
    buffer_release(&plain);
    return status == STATUS_EMPTY ? STATUS_OK : status;
}

/* What has become dispensable: the leader decides. */
static enum status propose_prune(struct compact *compact)
{
    struct buffer body = BUFFER_EMPTY, plain = BUFFER_EMPTY;
    enum status status = compactor_prune(compact->compactor, &body);
    if (status == STATUS_OK) {
        const struct message_prune prune = {.body = buffer_bytes(&body)};
        status = message_prune_encode(&plain, &prune);
    }
    if (status == STATUS_OK) {
        status = tell_leader(compact, buffer_bytes(&plain));
    }
    buffer_release(&body);
    buffer_release(&plain);
    return status == STATUS_EMPTY ? STATUS_OK : status;
}

/* One step; the next follows at once when there is more to do, after what came in the meantime. */
static enum status work(struct compact *compact)
{
    enum status status = compactor_step(compact->compactor, enclave_now_us(), &compact->work_us);
    if (status == STATUS_OK) {
        compact->work_us = 0;
    }
    return status == STATUS_EMPTY ? STATUS_OK : status;
}

static enum status send_metrics(struct compact *compact)
{
    struct scl_counters scl;
    struct compactor_counters own;
    char text[1024];
    scl_count(compact->scl, &scl);
    compactor_count(compact->compactor, &own);
    int length = snprintf(
        text, sizeof text,
        "joined_epoch %" PRIu64 "\nnewest_epoch %" PRIu64 "\nrecords_sealed %" PRIu64
        "\nrecords_applied %" PRIu64 "\nrecords_refused %" PRIu64 "\nkeys %" PRIu64
        "\nkey_bytes %" PRIu64 "\ntable_floor %" PRIu64 "\ntable_count %" PRIu64
        "\ntable_index_bytes %" PRIu64 "\nblock_fetches %" PRIu64 "\nflushes %" PRIu64
        "\nmerges %" PRIu64 "\ntable_bytes_written %" PRIu64 "\ntable_bytes_read %" PRIu64 "\n",
        scl.joined_epoch, scl.newest_epoch, scl.records_sealed, scl.records_applied,
        scl.records_refused, scl.keys, scl.key_bytes, scl.table_floor, scl.table_count,
        scl.table_index_bytes, scl.block_fetches, own.flushes, own.merges, own.bytes_written,
        own.bytes_read);
    return enclave_send_body(compact->enclave, FRAME_METRICS, 0, &everyone,
                             bytes_of(text, (size_t)length));
}

static enum status tick(struct compact *compact)
{
    uint64_t now_us = enclave_now_us();
    enum status status = STATUS_OK;
    if (now_us >= compact->tick_us) {
        compact->tick_us = scl_tick(compact->scl, now_us);
    }
    if (!compact->has_grant && now_us > compact->begun_us + COMPACT_JOIN_TIMEOUT_US) {
        return STATUS_TIMEOUT;
    }
    if (!compact->is_ready && compact->has_grant && scl_is_ready(compact->scl)) {
        compact->is_ready = true;
        status = enclave_send_body(compact->enclave, FRAME_READY, 0, &everyone, bytes_of(NULL, 0));
    }
    // Only with something that happened: an idle app is silent.
    if (status == STATUS_OK && compact->work_us == 0 &&
        now_us >= compact->metrics_us + COMPACT_METRICS_US) {
        compact->metrics_us = now_us;
        status = send_metrics(compact);
    }
    return status;
}

static uint64_t wake_us(const struct compact *compact)
{
    uint64_t due_us = compact->tick_us < compact->seal_us ? compact->tick_us : compact->seal_us;
    due_us = compact->work_us < due_us ? compact->work_us : due_us;
    uint64_t join_us =
        compact->has_grant ? UINT64_MAX : compact->begun_us + COMPACT_JOIN_TIMEOUT_US;
    return join_us < due_us ? join_us : due_us;
}

static enum status turn(struct compact *compact)
{
    enum status status = receive_some(compact);
    if (status == STATUS_OK) {
        status = open_all(compact);
    }
    if (status == STATUS_OK) {
        status = tick(compact);
    }
    if (status == STATUS_OK) {
        status = tell_all(compact);
    }
    if (status == STATUS_OK) {
        status = work(compact);
    }
    if (status == STATUS_OK) {
        status = propose_prune(compact);
    }
    if (status == STATUS_OK) {
        status = seal_all(compact);
    }
    if (status == STATUS_OK) {
        status = flush(compact);
    }
    if (status == STATUS_OK && !compact->must_stop) {
        status = port_wait(&compact->enclave->wall.data,
                           enclave_timeout_ms(wake_us(compact), enclave_now_us()));
        status = status == STATUS_TIMEOUT ? STATUS_OK : status;
    }
    return status;
}

/* A flush is worth while before workers have to hold back: an eighth of what they may keep. */
static uint64_t flush_bytes(const struct enclave *enclave)
{
    uint64_t bytes = enclave->memtable_bytes / 8;
    if (enclave->memtable_bytes == 0 || bytes > COMPACTOR_FLUSH_BYTES) {
        return COMPACTOR_FLUSH_BYTES;
    }
    return bytes < COMPACT_FLUSH_BYTES_MIN ? COMPACT_FLUSH_BYTES_MIN : bytes;
}

static void on_function(void *context, struct bytes body)
{
    (void)context;
    (void)body;
}

static enum status begin(struct compact *compact, struct enclave *enclave)
{
    *compact =
        (struct compact){.enclave = enclave, .begun_us = enclave_now_us(), .seal_us = UINT64_MAX};
    compact->tls_key = p256_key_new();
    const struct scl_config config = {
        .genesis = buffer_bytes(&enclave->genesis),
        .key = enclave->key,
        .log = &enclave->log,
        .on_function = on_function,
        .memtable_bytes = COMPACT_MEMTABLE_BYTES,
        .cache_bytes = COMPACT_CACHE_BYTES,
        .is_compactor = true,
        .waits_for_start = true,
    };
    enum status status = scl_new(&compact->scl, &config);
    if (status == STATUS_OK) {
        const struct compactor_config compacting = {
            .scl = compact->scl,
            .log = &enclave->log,
            .flush_bytes = flush_bytes(enclave),
        };
        status = compactor_new(&compact->compactor, &compacting);
    }
    return status == STATUS_OK ? apply(compact) : status;
}

enum status compact_run(struct enclave *enclave)
{
    static struct compact compact;
    enum status status = begin(&compact, enclave);
    while (status == STATUS_OK && !compact.must_stop) {
        status = turn(&compact);
    }
    scl_seal_release(&compact.seal);
    scl_open_release(&compact.open);
    compactor_free(compact.compactor);
    scl_free(compact.scl);
    join_applicant_free(compact.applicant);
    channel_free(compact.channel);
    p256_key_free(compact.tls_key);
    return status;
}
