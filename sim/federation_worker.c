/* sim/federation_worker.c */

/* The workers: what paranoid-enclave-js runs, without functions and TLS. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "scl/scl_lock.h"
#include "sim/federation_internal.h"
#include "wire/message.h"

enum {
    JOIN_TIMEOUT_US = 15 * 1000 * 1000,  // as the enclave's: who was not admitted by then ends
    CACHE_BYTES = 16 << 10,              // small, so that blocks come and go
    FLUSH_BYTES = 1 << 10,               // so are the tables
    TABLE_BYTES = 4 << 10,
    BLOCK_BYTES = 512,
    LEVEL1_BYTES = 8 << 10,
    STEPS_AT_ONCE = 8,
};

void federation_worker_kill(struct federation *f, size_t index)
{
    struct federation_worker *worker = f->workers[index];
    if (!worker->is_alive) {
        return;
    }
    federation_tell(f, "end", PLACE_WORKER + index, PLACE_WORKER + index, bytes_of(NULL, 0));
    federation_vacate(f, PLACE_WORKER + index);
    scl_seal_release(&worker->seal);
    scl_open_release(&worker->open);
    compactor_free(worker->compactor);
    scl_reader_free(worker->reader);
    scl_free(worker->scl);
    join_applicant_free(worker->applicant);
    channel_free(worker->channel);
    p256_key_free(worker->tls_key);
    worker->is_alive = false;
    worker->is_ready = false;
    if (f->leader.leader != NULL) {
        federation_post_body(f, PLACE_OWNER, PLACE_LEADER, FRAME_GONE, 0, &worker->id,
                             bytes_of(NULL, 0));
    }
}

/*
 * A worker takes what arrives as the enclave does (src/enclave/worker_open.c): what is no good is
 * dropped; STATUS_DENIED, STATUS_FORGED and STATUS_MALFORMED end a join, and the process with it.
 */
static enum status worker_receive_join(struct federation *f, struct federation_worker *worker,
                                       size_t place, struct bytes body)
{
    enum join_step step;
    struct bytes message;
    uint64_t term;
    struct verify_key leader;
    uint8_t report_data[JOIN_REPORT_DATA_BYTES];
    const struct genesis *genesis = capsule_genesis(scl_capsule(worker->scl));
    if (worker->applicant == NULL || join_decode(&step, &message, body) != STATUS_OK) {
        return STATUS_OK;
    }
    if (step == JOIN_REFUSED) {
        return STATUS_DENIED;
    }
    if (step != JOIN_ANSWER) {
        return STATUS_OK;
    }
    enum status status = join_applicant_answer(worker->applicant, message, &genesis->owner, &term,
                                               &leader, report_data);
    if (status == STATUS_OK) {
        struct buffer frame = BUFFER_EMPTY;
        CHECK(frame_encode(&frame, FRAME_EVIDENCE, 0, &federation_everyone,
                           bytes_of(report_data, sizeof report_data)) == STATUS_OK);
        federation_route(f, place, buffer_bytes(&frame));
        buffer_release(&frame);
    }
    return status;
}

static enum status worker_receive_evidence(struct federation *f, struct federation_worker *worker,
                                           struct bytes evidence)
{
    struct buffer message = BUFFER_EMPTY;
    if (worker->applicant == NULL || worker->channel != NULL) {
        return STATUS_OK;
    }
    enum status status =
        join_applicant_prove(worker->applicant, evidence, &message, &worker->channel);
    if (status == STATUS_OK) {
        federation_post_body(f, PLACE_OWNER, PLACE_LEADER, FRAME_JOIN, 0, &worker->id,
                             buffer_bytes(&message));
    }
    buffer_release(&message);
    return status;
}

static void worker_receive_grant(struct federation_worker *worker,
                                 const struct message_grant *grant)
{
    if (worker->has_grant) {
        return;
    }
    for (uint32_t i = 0; i < grant->key_count; i++) {
        CHECK(scl_add_key(worker->scl, grant->keys[i].key_epoch, grant->keys[i].secret) ==
              STATUS_OK);
    }
    for (uint32_t i = 0; i < grant->head_count; i++) {
        struct branch_head head = message_grant_head(grant, i);
        CHECK(scl_require(worker->scl, &head) == STATUS_OK);
    }
    CHECK(scl_start(worker->scl, &grant->manifest) == STATUS_OK);
    worker->key_epoch = grant->keys[grant->key_count - 1].key_epoch;
    worker->has_grant = true;
}

static void worker_receive_channel(struct federation_worker *worker, struct bytes body)
{
    struct buffer plain = BUFFER_EMPTY;
    struct message message;
    bool is_genuine = worker->channel != NULL &&
                      channel_open(worker->channel, &plain, body) == STATUS_OK &&
                      message_decode(&message, buffer_bytes(&plain)) == STATUS_OK;
    if (is_genuine && message.kind == MESSAGE_GRANT) {
        worker_receive_grant(worker, &message.grant);
    } else if (is_genuine &&
               (message.kind == MESSAGE_LOCK_GRANT || message.kind == MESSAGE_LOCK_ANSWER)) {
        enum status status = scl_lock_receive(worker->scl, &message);
        CHECK(status == STATUS_OK || status == STATUS_STALE);
    } else if (is_genuine && message.kind == MESSAGE_KEY && message.key.secret != NULL) {
        enum status status = scl_add_key(worker->scl, message.key.key_epoch, message.key.secret);
        CHECK(status == STATUS_OK || status == STATUS_STALE);
        worker->key_epoch = status == STATUS_OK ? message.key.key_epoch : worker->key_epoch;
    }
    buffer_release(&plain);
}

/* What the scl has to say to the leader. */
static void worker_tell_leader(struct federation *f, struct federation_worker *worker, size_t place,
                               uint64_t now_us)
{
    struct buffer plain = BUFFER_EMPTY;
    while (worker->channel != NULL && scl_tell(worker->scl, now_us, &plain) == STATUS_OK) {
        struct buffer sealed = BUFFER_EMPTY, frame = BUFFER_EMPTY;
        CHECK(channel_seal(worker->channel, &sealed, buffer_bytes(&plain)) == STATUS_OK);
        CHECK(frame_encode(&frame, FRAME_CHANNEL, 0, &frame_to_leader, buffer_bytes(&sealed)) ==
              STATUS_OK);
        federation_route(f, place, buffer_bytes(&frame));
        buffer_release(&sealed);
        buffer_release(&frame);
        buffer_clear(&plain);
    }
    buffer_release(&plain);
}

static void worker_receive_records(struct federation *f, struct federation_worker *worker,
                                   struct bytes records)
{
    while (records.length > 0) {
        struct record record;
        size_t length = record_length(records.at, records.length);
        if (length == 0 || length > records.length ||
            record_decode_stored(&record, records.at, length) != STATUS_OK) {
            CHECK(f->is_bending);
            return;
        }
        records = bytes_of(records.at + length, records.length - length);
        enum status status = scl_receive(worker->scl, &record);
        CHECK(f->is_bending || status == STATUS_OK || status == STATUS_STALE);
    }
}

static enum status take(struct federation *f, struct federation_worker *worker, size_t place,
                        const struct frame *frame)
{
    enum status status = STATUS_OK;
    worker->tick_us = 0;
    switch (frame->kind) {
    case FRAME_JOIN:
        return worker_receive_join(f, worker, place, frame->body);
    case FRAME_EVIDENCE:
        return worker_receive_evidence(f, worker, frame->body);
    case FRAME_CHANNEL:
        worker_receive_channel(worker, frame->body);
        break;
    case FRAME_RECORD:
        worker_receive_records(f, worker, frame->body);
        break;
    default:
        status = scl_receive_frame(worker->scl, frame);
        break;
    }
    CHECK(f->is_bending || (status != STATUS_FORGED && status != STATUS_MALFORMED));
    return STATUS_OK;
}

/* Seal whatever there is to seal. */
static enum status seal_all(struct federation *f, struct federation_worker *worker, size_t place,
                            uint64_t now_us)
{
    struct bytes sealed;
    enum status status;
    worker->seal_us = UINT64_MAX;
    while ((status = scl_seal_begin(worker->scl, &worker->seal, now_us, &worker->seal_us)) ==
           STATUS_OK) {
        scl_seal_run(worker->scl, &worker->seal);
        status = scl_seal_finish(worker->scl, &worker->seal, now_us, &sealed);
        if (status != STATUS_OK) {
            return status;
        }
        federation_route(f, place, sealed);
    }
    return status;
}

/* What has become dispensable: the leader decides. */
static void propose_prune(struct federation *f, struct federation_worker *worker)
{
    struct buffer body = BUFFER_EMPTY, plain = BUFFER_EMPTY, sealed = BUFFER_EMPTY;
    if (compactor_prune(worker->compactor, &body) == STATUS_OK) {
        const struct message_prune prune = {.body = buffer_bytes(&body)};
        CHECK(message_prune_encode(&plain, &prune) == STATUS_OK);
        CHECK(channel_seal(worker->channel, &sealed, buffer_bytes(&plain)) == STATUS_OK);
        federation_post_body(f, PLACE_OWNER, PLACE_LEADER, FRAME_CHANNEL, 0, &worker->id,
                             buffer_bytes(&sealed));
    }
    buffer_release(&body);
    buffer_release(&plain);
    buffer_release(&sealed);
}

/* A compactor's own work, beside what a worker does. */
static enum status compact(struct federation *f, struct federation_worker *worker, size_t place,
                           uint64_t now_us)
{
    enum status status = STATUS_EMPTY;
    for (int i = 0; i < STEPS_AT_ONCE; i++) {
        status = compactor_step(worker->compactor, now_us, &worker->work_us);
        CHECK(status == STATUS_OK || status == STATUS_EMPTY);
        propose_prune(f, worker);
        enum status sealed = seal_all(f, worker, place, now_us);
        if (sealed != STATUS_EMPTY && sealed != STATUS_FULL) {
            return sealed;
        }
        if (status == STATUS_EMPTY) {
            return sealed;
        }
    }
    worker->work_us = now_us;
    return STATUS_EMPTY;
}

/* What the actors of a worker do, one after the other. */
static void worker_step(struct federation *f, size_t place)
{
    struct federation_worker *worker = f->workers[place - PLACE_WORKER];
    struct buffer frame = BUFFER_EMPTY;
    enum status status = STATUS_OK;
    uint64_t now_us = federation_clock_us(f, &worker->clock);
    while (status == STATUS_OK && scl_open_begin(worker->scl, &worker->open) == STATUS_OK) {
        scl_open_run(&worker->open);
        status = scl_open_finish(worker->scl, &worker->open, now_us);
    }
    if (status == STATUS_OK || status == STATUS_EMPTY) {
        status = seal_all(f, worker, place, now_us);
    }
    bool may_work = status == STATUS_EMPTY || status == STATUS_FULL;
    if (may_work && worker->compactor != NULL) {
        status = compact(f, worker, place, now_us);
    }
    bool is_late = !worker->has_grant && f->now_us > worker->join_us + JOIN_TIMEOUT_US;
    if (status == STATUS_CLOSED || is_late || federation_is_dying(f, place)) {
        federation_worker_kill(f, place - PLACE_WORKER);
        return;
    }
    CHECK(status == STATUS_EMPTY || status == STATUS_FULL);
    if (now_us >= worker->tick_us) {
        worker->tick_us = scl_tick(worker->scl, now_us);
    }
    while (scl_output(worker->scl, &frame) == STATUS_OK) {
        federation_route(f, place, buffer_bytes(&frame));
        buffer_clear(&frame);
    }
    buffer_release(&frame);
    worker_tell_leader(f, worker, place, now_us);
    worker->is_ready = worker->has_grant && scl_is_ready(worker->scl);
    if (federation_is_dying(f, place)) {
        federation_worker_kill(f, place - PLACE_WORKER);
    }
}

static void worker_receive(struct federation *f, size_t place, const struct network_letter *letter)
{
    size_t index = place - PLACE_WORKER;
    struct frame frame;
    if (frame_decode(&frame, buffer_bytes(&letter->frame)) != STATUS_OK) {
        CHECK(f->is_bending);
    } else if (take(f, f->workers[index], place, &frame) != STATUS_OK) {
        federation_worker_kill(f, index);
    } else {
        worker_step(f, place);
    }
}

static uint64_t worker_due_us(const struct federation *f, size_t place)
{
    const struct federation_worker *worker = f->workers[place - PLACE_WORKER];
    uint64_t own = worker->tick_us < worker->seal_us ? worker->tick_us : worker->seal_us;
    own = worker->compactor != NULL && worker->work_us < own ? worker->work_us : own;
    uint64_t join_us = worker->has_grant ? UINT64_MAX : worker->join_us + JOIN_TIMEOUT_US + 1;
    own = federation_clock_real_us(f, &worker->clock, own);
    return join_us < own ? join_us : own;
}

static const struct federation_kind worker_kind = {
    .receive = worker_receive, .due_us = worker_due_us, .step = worker_step};

static void on_function(void *context, struct bytes body)
{
    (void)context;
    (void)body;
}

static size_t start(struct federation *f, enum member_role role)
{
    CHECK(f->worker_count < FEDERATION_WORKERS_MAX);
    size_t index = f->worker_count++;
    struct federation_worker *worker = calloc(1, sizeof *worker);
    CHECK(worker != NULL);
    f->workers[index] = worker;
    *worker = (struct federation_worker){
        .is_alive = true,
        .clock = {.begun_us = f->now_us},
        .join_us = f->now_us,
        .seal_us = UINT64_MAX,
    };
    federation_occupy(f, PLACE_WORKER + index, &worker_kind);
    federation_tell(f, "start", PLACE_WORKER + index, PLACE_WORKER + index, bytes_of(NULL, 0));
    worker->key = sign_key_new(&f->random);
    worker->public_key = sign_key_public(worker->key);
    worker->id = writer_id_of(&worker->public_key);
    // From the seed: its public half lies in the MEMBER record.
    struct secret *tls_secret = secret_new_random(&f->random);
    worker->tls_key = p256_key_new_from_secret(tls_secret);
    secret_free(tls_secret);
    const struct scl_config config = {
        .genesis = buffer_bytes(&f->genesis),
        .key = worker->key,
        .log = f->log,
        .on_function = on_function,
        // A compactor keeps nothing that its tables say.
        .memtable_bytes = role == MEMBER_COMPACTOR ? 1 : f->memtable_bytes,
        .cache_bytes = CACHE_BYTES,
        .is_compactor = role == MEMBER_COMPACTOR,
        .waits_for_start = true,
    };
    CHECK(scl_new(&worker->scl, &config) == STATUS_OK);
    CHECK(scl_reader_new(&worker->reader, worker->scl) == STATUS_OK);
    worker->work_us = UINT64_MAX;
    const struct compactor_config compacting = {
        .scl = worker->scl,
        .log = f->log,
        .flush_bytes = FLUSH_BYTES,
        .plan = {.run_count_max = 2, .level1_bytes = LEVEL1_BYTES},
        .block_bytes = BLOCK_BYTES,
        .table_bytes = TABLE_BYTES,
    };
    if (role == MEMBER_COMPACTOR) {
        CHECK(compactor_new(&worker->compactor, &compacting) == STATUS_OK);
    }
    const struct p256_public tls_key = p256_key_public(worker->tls_key);
    struct buffer message = BUFFER_EMPTY;
    CHECK(join_applicant_new(&worker->applicant, JOIN_MEMBER, role, &f->capsule,
                             &worker->public_key, &tls_key, &f->random, &message) == STATUS_OK);
    federation_post_body(f, PLACE_OWNER, PLACE_LEADER, FRAME_JOIN, 0, &worker->id,
                         buffer_bytes(&message));
    buffer_release(&message);
    return index;
}

size_t federation_worker_start(struct federation *f)
{
    return start(f, MEMBER_WORKER);
}

size_t federation_worker_start_compactor(struct federation *f)
{
    return start(f, MEMBER_COMPACTOR);
}

bool federation_worker_is_alive(const struct federation *f, size_t worker)
{
    return f->workers[worker]->is_alive;
}

bool federation_worker_is_ready(const struct federation *f, size_t worker)
{
    return f->workers[worker]->is_ready;
}

/* ---- what clients and judges ask ---- */

enum status federation_worker_put(struct federation *f, size_t index, const char *key,
                                  const char *value, struct dependency *dependency)
{
    const struct tuple tuple = {
        .kind = value == NULL ? TUPLE_DELETE : TUPLE_PUT,
        .key = bytes_text(key),
        .value = value == NULL ? bytes_of(NULL, 0) : bytes_text(value),
    };
    enum status status = scl_put(f->workers[index]->scl, &tuple, dependency);
    f->workers[index]->seal_us = 0;
    federation_tell(f, status == STATUS_OK ? "put" : "refuse", PLACE_WORKER + index,
                    PLACE_WORKER + index, bytes_of(NULL, 0));
    return status;
}

void federation_worker_wake(struct federation *f, size_t index)
{
    f->workers[index]->seal_us = 0;
    f->workers[index]->tick_us = 0;
}

bool federation_worker_is_durable(struct federation *f, size_t index,
                                  const struct dependency *dependency)
{
    return f->workers[index]->is_alive && scl_is_durable(f->workers[index]->scl, dependency);
}

/* A block that a reader lacks, straight from a store's hand. */
static enum status supply(struct federation *f, struct federation_worker *worker,
                          const struct block_ref *need)
{
    struct buffer bytes = BUFFER_EMPTY;
    struct record record;
    enum status status = federation_store_look(f, &need->writer, need->sequence, &bytes);
    if (status == STATUS_OK &&
        record_decode_stored(&record, bytes.bytes, bytes.length) == STATUS_OK &&
        scl_cold_fetch(worker->scl, need, federation_clock_us(f, &worker->clock)) == STATUS_OK &&
        scl_receive(worker->scl, &record) == STATUS_OK) {
        buffer_release(&bytes);
        return STATUS_OK;
    }
    buffer_release(&bytes);
    return STATUS_GAP;
}

enum status federation_worker_find(struct federation *f, size_t index, struct bytes key,
                                   struct memtable_entry *entry)
{
    struct federation_worker *worker = f->workers[index];
    struct block_ref need;
    enum status status;
    while ((status = scl_reader_get(worker->reader, key, entry, &need)) == STATUS_GAP) {
        scl_reader_end(worker->reader);
        if (supply(f, worker, &need) != STATUS_OK) {
            return STATUS_GAP;
        }
    }
    return status;
}

enum status federation_worker_ask(struct federation *f, size_t index, struct bytes key)
{
    struct federation_worker *worker = f->workers[index];
    struct memtable_entry entry;
    struct block_ref need;
    enum status status = scl_reader_get(worker->reader, key, &entry, &need);
    scl_reader_end(worker->reader);
    if (status == STATUS_GAP) {
        // Too many under way: it is asked for with the next call.
        (void)!scl_cold_fetch(worker->scl, &need, federation_clock_us(f, &worker->clock));
    }
    if (scl_has_output(worker->scl)) {
        federation_worker_wake(f, index);
    }
    return status;
}

enum status federation_worker_seek(struct federation *f, size_t index, struct bytes from,
                                   bool is_after, struct memtable_entry *entry)
{
    struct federation_worker *worker = f->workers[index];
    struct block_ref need;
    enum status status;
    while ((status = scl_reader_seek(worker->reader, from, is_after, entry, &need)) == STATUS_GAP) {
        scl_reader_end(worker->reader);
        if (supply(f, worker, &need) != STATUS_OK) {
            return STATUS_GAP;
        }
    }
    return status;
}

enum status federation_worker_get(struct federation *f, size_t index, const char *key, char *text,
                                  size_t text_bytes)
{
    struct memtable_entry entry;
    enum status status = federation_worker_find(f, index, bytes_text(key), &entry);
    if (status == STATUS_OK && entry.is_tombstone) {
        status = STATUS_NOT_FOUND;
    }
    if (status == STATUS_OK) {
        snprintf(text, text_bytes, "%.*s", (int)entry.value.length, (const char *)entry.value.at);
    }
    scl_reader_end(f->workers[index]->reader);
    return status;
}

enum status federation_worker_read(struct federation *f, size_t index, const char *key,
                                   struct memtable_version *version, struct dependency *dependency)
{
    struct memtable_entry entry;
    enum status status = federation_worker_find(f, index, bytes_text(key), &entry);
    if (status == STATUS_OK) {
        *version = entry.version;
        scl_depend(f->workers[index]->scl, dependency, version);
    }
    scl_reader_end(f->workers[index]->reader);
    return status;
}

static bool entry_equal(const struct memtable_entry *a, const struct memtable_entry *b)
{
    return bytes_equal(a->key, b->key) && bytes_equal(a->value, b->value) &&
           a->version.lamport == b->version.lamport &&
           writer_id_equal(&a->version.writer, &b->version.writer);
}

/* The next key that is there; tables have dropped some tombstones, one worker's sooner. */
static enum status next_live(struct federation *f, size_t index, struct buffer *from,
                             struct memtable_entry *entry)
{
    enum status status;
    do {
        status = federation_worker_seek(f, index, buffer_bytes(from), from->length > 0, entry);
        if (status == STATUS_OK) {
            buffer_clear(from);
            CHECK(buffer_append(from, entry->key.at, entry->key.length) == STATUS_OK);
        }
    } while (status == STATUS_OK && entry->is_tombstone);
    return status;
}

bool federation_worker_equals(struct federation *f, size_t a, size_t b)
{
    struct buffer left = BUFFER_EMPTY, right = BUFFER_EMPTY;
    struct memtable_entry x, y;
    enum status status;
    bool are_equal;
    do {
        status = next_live(f, a, &left, &x);
        are_equal = status == next_live(f, b, &right, &y) && status != STATUS_GAP &&
                    (status != STATUS_OK || entry_equal(&x, &y));
    } while (are_equal && status == STATUS_OK);
    scl_reader_end(f->workers[a]->reader);
    scl_reader_end(f->workers[b]->reader);
    buffer_release(&left);
    buffer_release(&right);
    return are_equal;
}

uint64_t federation_worker_joined_epoch(struct federation *f, size_t worker)
{
    struct scl_counters counters;
    scl_count(f->workers[worker]->scl, &counters);
    return counters.joined_epoch;
}

void federation_worker_trip(struct federation *f, size_t index, uint64_t frames)
{
    federation_trip(f, PLACE_WORKER + index, frames);
}

void federation_worker_adjust_clock(struct federation *f, size_t index, int drift_permille,
                                    uint64_t leap_us)
{
    struct federation_worker *worker = f->workers[index];
    if (worker->is_alive) {
        federation_clock_adjust(f, &worker->clock, drift_permille, leap_us);
    }
}

uint32_t federation_worker_key_epoch(const struct federation *f, size_t index)
{
    return f->workers[index]->key_epoch;
}

bool federation_worker_is_revoked(const struct federation *f, size_t index)
{
    bool is_revoked = false;
    for (size_t i = 0; i < f->store_count; i++) {
        const struct capsule_member *member =
            f->stores[i].store == NULL
                ? NULL
                : capsule_member_find(store_capsule(f->stores[i].store), &f->workers[index]->id);
        if (member == NULL || !member->is_closed || member->revoked_epoch == 0) {
            return false;
        }
        is_revoked = true;
    }
    return is_revoked;
}

struct writer_id federation_worker_id(const struct federation *f, size_t index)
{
    return f->workers[index]->id;
}

struct scl *federation_worker_scl(struct federation *f, size_t index)
{
    return f->workers[index]->scl;
}
