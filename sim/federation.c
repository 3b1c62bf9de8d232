/* sim/federation.c */
#include "sim/federation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attest/evidence.h"
#include "attest/policy.h"
#include "attest/simulated.h"
#include "base/check.h"
#include "capsule/term.h"
#include "crypto/crypto.h"
#include "leader/leader.h"
#include "scl/scl.h"
#include "store/server.h"
#include "wire/join.h"
#include "wire/message.h"

enum { START_S = 1700000000, TICK_US = 1000 };

/* Where a frame goes: the store, the leader, the owner, or worker (place - PLACE_WORKER). */
enum place { PLACE_STORE, PLACE_LEADER, PLACE_OWNER, PLACE_WORKER };

struct letter {
    struct letter *next;
    uint64_t due_us;
    uint64_t number;  // ties go in the order of sending
    size_t from;
    size_t to;
    uint64_t life;  // of the receiver: a letter to the dead is lost
    uint64_t sender_life;
    struct buffer frame;
};

struct worker {
    bool is_alive;
    bool is_ready;
    uint64_t life;
    struct sign_key *key;
    struct verify_key public_key;
    struct writer_id id;
    struct p256_key *tls_key;
    struct scl *scl;
    struct memtable_reader *reader;
    struct join_applicant *applicant;
    struct channel *channel;
    bool has_grant;
    uint64_t tick_us;
    uint64_t seal_us;
    struct scl_seal_job seal;
    struct scl_open_job open;
};

struct federation {
    struct random_seeded seeded;
    struct random random;
    const struct log *log;
    uint64_t delay_us;
    unsigned drop_percent;
    uint64_t now_us;

    // The owner's.
    struct sign_key *owner;
    struct secret *seed;
    struct sign_key *vendor;
    struct policy policy;
    struct buffer genesis;
    struct hash capsule;
    uint64_t term;
    uint64_t sync_epoch;
    struct hash sync;
    struct join_judge *judge;
    struct join_apply apply;
    struct channel *owner_channel;

    // The machine's.
    struct simulated_platform *platform;
    struct buffer tcb;
    struct hash measurement;

    const struct disk *disk;
    struct sign_key *store_key;
    struct store *store;
    struct server *server;
    bool must_commit;

    bool has_leader;
    uint64_t leader_life;
    struct sign_key *leader_key;
    struct verify_key leader_public;
    struct writer_id leader_id;
    struct leader *leader;
    uint64_t leader_tick_us;

    struct worker workers[FEDERATION_WORKERS_MAX];
    size_t worker_count;
    struct letter *letters;  // by due time
    uint64_t ring_us[PLACE_WORKER + FEDERATION_WORKERS_MAX];
    uint64_t letter_count;
    uint64_t delivered_count;
    uint64_t lives;
};

static const struct writer_id everyone;
static const struct writer_id owner_peer = {.bytes = {0x0e}};

static uint64_t pick(struct federation *f, uint64_t below)
{
    uint64_t word;
    random_fill(&f->random, &word, sizeof word);
    return below == 0 ? 0 : word % below;
}

static struct leader_time leader_now(const struct federation *f)
{
    return (struct leader_time){.now_us = f->now_us,
                                .unix_ms = START_S * 1000ull + f->now_us / 1000};
}

/* ---- letters ---- */

static uint64_t life_of(const struct federation *f, size_t place)
{
    if (place == PLACE_LEADER) {
        return f->leader_life;
    }
    return place >= PLACE_WORKER ? f->workers[place - PLACE_WORKER].life : 0;
}

static void post(struct federation *f, size_t from, size_t to, struct bytes frame)
{
    // What a process says to its own host does not get lost.
    bool is_lossy = from != PLACE_OWNER && to != PLACE_OWNER;
    if (is_lossy && pick(f, 100) < f->drop_percent) {
        return;
    }
    struct letter *letter = calloc(1, sizeof *letter);
    CHECK(letter != NULL);
    letter->due_us = f->now_us + 1 + pick(f, f->delay_us + 1);
    if (from == PLACE_STORE || from == PLACE_OWNER) {
        // Through one ring: what a host hands to its enclave stays in order.
        letter->due_us = letter->due_us < f->ring_us[to] ? f->ring_us[to] : letter->due_us;
        f->ring_us[to] = letter->due_us;
    }
    letter->number = f->letter_count++;
    letter->from = from;
    letter->to = to;
    letter->life = life_of(f, to);
    letter->sender_life = life_of(f, from);
    CHECK(buffer_append(&letter->frame, frame.at, frame.length) == STATUS_OK);
    struct letter **link = &f->letters;
    while (*link != NULL &&
           ((*link)->due_us < letter->due_us ||
            ((*link)->due_us == letter->due_us && (*link)->number < letter->number))) {
        link = &(*link)->next;
    }
    letter->next = *link;
    *link = letter;
}

static void post_body(struct federation *f, size_t from, size_t to, enum frame_kind kind,
                      uint32_t request, const struct writer_id *peer, struct bytes body)
{
    struct buffer frame = BUFFER_EMPTY;
    CHECK(frame_encode(&frame, kind, request, peer, body) == STATUS_OK);
    post(f, from, to, buffer_bytes(&frame));
    buffer_release(&frame);
}

static struct writer_id id_of(const struct federation *f, size_t place)
{
    if (place == PLACE_LEADER) {
        return f->leader_id;
    }
    return place == PLACE_OWNER ? owner_peer : f->workers[place - PLACE_WORKER].id;
}

static void answer_evidence(struct federation *f, size_t from, const struct frame *frame)
{
    uint8_t quote[SIMULATED_QUOTE_BYTES];
    struct buffer bytes = BUFFER_EMPTY;
    CHECK(frame->body.length == VERDICT_REPORT_DATA_BYTES);
    simulated_quote(f->platform, &f->measurement, frame->body.at, false, quote);
    const struct evidence evidence = {
        .tee = TEE_SIMULATED,
        .quote = bytes_of(quote, sizeof quote),
        .collateral = buffer_bytes(&f->tcb),
    };
    CHECK(evidence_encode(&evidence, &bytes) == STATUS_OK);
    post_body(f, PLACE_OWNER, from, FRAME_EVIDENCE, frame->request, &everyone,
              buffer_bytes(&bytes));
    buffer_release(&bytes);
}

/* The host's part: by the clear header alone. */
static void route(struct federation *f, size_t from, struct bytes bytes)
{
    struct frame frame;
    CHECK(frame_decode(&frame, bytes) == STATUS_OK);
    struct writer_id source = id_of(f, from);
    switch (frame.kind) {
    case FRAME_EVIDENCE:
        answer_evidence(f, from, &frame);
        return;
    case FRAME_FETCH:
    case FRAME_FENCE:
        post(f, from, PLACE_STORE, bytes);
        return;
    case FRAME_READY:
        return;
    case FRAME_JOIN:
    case FRAME_CHANNEL: {
        size_t to = PLACE_LEADER;
        if (writer_id_equal(&frame.peer, &owner_peer)) {
            to = PLACE_OWNER;
        }
        for (size_t i = 0; i < f->worker_count; i++) {
            if (f->workers[i].is_alive && writer_id_equal(&f->workers[i].id, &frame.peer)) {
                to = PLACE_WORKER + i;
            }
        }
        post_body(f, from, to, frame.kind, 0, &source, frame.body);
        return;
    }
    default:
        break;
    }
    if (frame.kind == FRAME_RECORD && writer_id_equal(&frame.peer, &frame_to_leader)) {
        post(f, from, PLACE_LEADER, bytes);
        return;
    }
    if (frame.kind == FRAME_RECORD) {
        post(f, from, PLACE_STORE, bytes);
    }
    for (size_t i = 0; i < f->worker_count; i++) {
        if (PLACE_WORKER + i != from && f->workers[i].is_alive) {
            post(f, from, PLACE_WORKER + i, bytes);
        }
    }
}

/* ---- the store ---- */

static void store_send(void *context, uint64_t client, struct bytes frame)
{
    struct federation *f = context;
    post(f, PLACE_STORE, (size_t)client, frame);
}

static void store_broadcast(void *context, struct bytes frame)
{
    struct federation *f = context;
    post(f, PLACE_STORE, PLACE_LEADER, frame);
    for (size_t i = 0; i < f->worker_count; i++) {
        if (f->workers[i].is_alive) {
            post(f, PLACE_STORE, PLACE_WORKER + i, frame);
        }
    }
}

static enum status store_begin(struct federation *f)
{
    const struct store_config config = {
        .disk = f->disk,
        .genesis = buffer_bytes(&f->genesis),
        .key = f->store_key,
        .log = f->log,
    };
    const struct server_output output = {
        .send = store_send, .broadcast = store_broadcast, .context = f};
    enum status status = store_open(&f->store, &config);
    return status == STATUS_OK ? server_new(&f->server, f->store, &output) : status;
}

enum status federation_restart_store(struct federation *f)
{
    server_free(f->server);
    store_close(f->store);
    f->server = NULL;
    f->store = NULL;
    return store_begin(f);
}

/* ---- birth ---- */

static void make_policy(struct federation *f)
{
    policy_init(&f->policy);
    f->policy.version = 1;
    f->policy.allow_simulated = true;
    f->policy.has_simulated_root = true;
    f->policy.simulated_root = sign_key_public(f->vendor);
    f->measurement = hash_of("program", 7);
    for (size_t role = 0; role < POLICY_ROLE_COUNT; role++) {
        f->policy.measurements[role].values[0] =
            verdict_value_of(bytes_of(f->measurement.bytes, HASH_BYTES));
        f->policy.measurements[role].count = 1;
    }
}

static void make_machine(struct federation *f)
{
    const struct simulated_terms terms = {
        .tcb_level = 1, .not_before_s = START_S - 86400, .not_after_s = START_S + 31536000};
    const struct simulated_tcb tcb = {
        .issued_s = START_S - 3600,
        .next_update_s = START_S + 31536000,
        .levels = {{.tcb_level = 1, .status = TCB_UP_TO_DATE}},
        .level_count = 1,
    };
    f->platform = simulated_platform_new(&f->random, f->vendor, &terms);
    CHECK(simulated_tcb_encode(&tcb, f->vendor, &f->tcb) == STATUS_OK);
}

static void make_genesis(struct federation *f)
{
    struct genesis genesis = {.store_count = 1, .receipt_count = 1};
    struct buffer policy = BUFFER_EMPTY;
    snprintf(genesis.app, sizeof genesis.app, "simulated");
    snprintf(genesis.stores[0].name, sizeof genesis.stores[0].name, "store-1");
    genesis.owner = sign_key_public(f->owner);
    genesis.stores[0].key = sign_key_public(f->store_key);
    CHECK(policy_encode(&f->policy, &policy) == STATUS_OK);
    CHECK(genesis_encode(&f->genesis, &genesis, buffer_bytes(&policy), f->owner) == STATUS_OK);
    f->capsule = hash_of(f->genesis.bytes, f->genesis.length);
    buffer_release(&policy);
}

struct federation *federation_new(const struct federation_config *config)
{
    crypto_init();
    struct federation *f = calloc(1, sizeof *f);
    CHECK(f != NULL);
    f->random = random_seeded(&f->seeded, config->seed);
    f->log = config->log;
    f->delay_us = config->delay_us;
    f->drop_percent = config->drop_percent;
    f->disk = config->disk;
    f->owner = sign_key_new(&f->random);
    f->seed = secret_new_random(&f->random);
    f->vendor = sign_key_new(&f->random);
    f->store_key = sign_key_new(&f->random);
    make_policy(f);
    make_machine(f);
    make_genesis(f);
    CHECK(store_begin(f) == STATUS_OK);
    return f;
}

static void letter_free(struct letter *letter)
{
    buffer_release(&letter->frame);
    free(letter);
}

void federation_free(struct federation *f)
{
    for (size_t i = 0; i < f->worker_count; i++) {
        federation_kill_worker(f, i);
    }
    federation_kill_leader(f);
    while (f->letters != NULL) {
        struct letter *letter = f->letters;
        f->letters = letter->next;
        letter_free(letter);
    }
    server_free(f->server);
    store_close(f->store);
    join_judge_free(f->judge);
    channel_free(f->owner_channel);
    simulated_platform_free(f->platform);
    buffer_release(&f->tcb);
    buffer_release(&f->genesis);
    sign_key_free(f->owner);
    sign_key_free(f->vendor);
    sign_key_free(f->store_key);
    secret_free(f->seed);
    free(f);
}

/* ---- the owner: what the CLI does ---- */

static void give_term(struct federation *f, struct bytes evidence)
{
    struct buffer body = BUFFER_EMPTY, plain = BUFFER_EMPTY, sealed = BUFFER_EMPTY;
    f->term++;
    const struct term term = {
        .capsule = f->capsule,
        .number = f->term,
        .leader = f->apply.key,
        .sync = f->sync,
        .sync_epoch = f->sync_epoch,
        .evidence = evidence,
    };
    CHECK(term_encode(&body, &term, f->owner) == STATUS_OK);
    const struct message_seed seed = {.seed = secret_bytes(f->seed),
                                      .term_body = buffer_bytes(&body)};
    CHECK(message_seed_encode(&plain, &seed) == STATUS_OK);
    CHECK(channel_seal(f->owner_channel, &sealed, buffer_bytes(&plain)) == STATUS_OK);
    post_body(f, PLACE_OWNER, PLACE_LEADER, FRAME_CHANNEL, 0, &owner_peer, buffer_bytes(&sealed));
    buffer_release(&body);
    buffer_release(&plain);
    buffer_release(&sealed);
}

static void owner_receive_proof(struct federation *f, struct bytes message)
{
    struct buffer evidence = BUFFER_EMPTY;
    uint8_t report_data[JOIN_REPORT_DATA_BYTES];
    const struct evidence_roots roots = policy_roots(&f->policy);
    channel_free(f->owner_channel);
    f->owner_channel = NULL;
    CHECK(join_judge_prove(f->judge, message, &evidence, report_data, &f->owner_channel) ==
          STATUS_OK);
    const struct verdict genuine =
        evidence_verify(buffer_bytes(&evidence), START_S + f->now_us / 1000000, &roots);
    const struct verdict verdict = policy_judge(&f->policy, &genuine, report_data, POLICY_LEADER);
    CHECK(verdict.is_admitted);
    give_term(f, buffer_bytes(&evidence));
    buffer_release(&evidence);
}

static void owner_receive(struct federation *f, const struct frame *frame)
{
    enum join_step step;
    struct bytes message;
    struct buffer plain = BUFFER_EMPTY;
    struct message answer;
    if (frame->kind == FRAME_CHANNEL) {
        CHECK(channel_open(f->owner_channel, &plain, frame->body) == STATUS_OK);
        CHECK(message_decode(&answer, buffer_bytes(&plain)) == STATUS_OK);
        CHECK(answer.kind == MESSAGE_ANSWER);
        // A leader that lost frames while it took over gives up; it is not to find a rollback.
        CHECK(answer.answer.status != STATUS_FORGED);
        if (answer.answer.status == STATUS_OK) {
            f->sync = answer.answer.sync;
            f->sync_epoch = answer.answer.sync_epoch;
        }
        buffer_release(&plain);
        return;
    }
    CHECK(join_decode(&step, &message, frame->body) == STATUS_OK);
    if (step == JOIN_APPLY) {
        struct buffer target = BUFFER_EMPTY;
        join_judge_free(f->judge);
        CHECK(join_judge_new(&f->judge, JOIN_PROVISION, message, bytes_of(NULL, 0), f->owner,
                             &f->random, &f->apply, &target) == STATUS_OK);
        post_body(f, PLACE_OWNER, PLACE_LEADER, FRAME_JOIN, 0, &owner_peer, buffer_bytes(&target));
        buffer_release(&target);
    } else if (step == JOIN_PROVE) {
        owner_receive_proof(f, message);
    }
}

/* ---- the leader ---- */

static void leader_flush(struct federation *f)
{
    struct buffer frame = BUFFER_EMPTY;
    while (f->leader != NULL && leader_output(f->leader, &frame) == STATUS_OK) {
        route(f, PLACE_LEADER, buffer_bytes(&frame));
        buffer_clear(&frame);
    }
    buffer_release(&frame);
}

static void leader_step(struct federation *f, struct bytes frame)
{
    enum status status = STATUS_OK;
    uint64_t wake_us;
    if (frame.length > 0) {
        status = leader_receive(f->leader, frame, leader_now(f));
    }
    if (status == STATUS_OK) {
        status = leader_tick(f->leader, leader_now(f), &wake_us);
        f->leader_tick_us = wake_us;
    }
    leader_flush(f);
    if (status != STATUS_OK) {
        log_event(f->log, "leader ended status=\"%s\"", status_text(status));
        federation_kill_leader(f);
    }
}

void federation_start_leader(struct federation *f)
{
    CHECK(!f->has_leader);
    f->leader_key = sign_key_new(&f->random);
    f->leader_public = sign_key_public(f->leader_key);
    f->leader_id = writer_id_of(&f->leader_public);
    f->leader_life = ++f->lives;
    f->has_leader = true;
    f->leader_tick_us = UINT64_MAX;
    const struct leader_config config = {
        .genesis = buffer_bytes(&f->genesis),
        .key = f->leader_key,
        .random = &f->random,
        .log = f->log,
    };
    CHECK(leader_new(&f->leader, &config) == STATUS_OK);
    struct buffer call = BUFFER_EMPTY;
    CHECK(join_call(&call) == STATUS_OK);
    post_body(f, PLACE_OWNER, PLACE_LEADER, FRAME_JOIN, 0, &owner_peer, buffer_bytes(&call));
    buffer_release(&call);
}

bool federation_has_leader(const struct federation *f)
{
    return f->has_leader;
}

bool federation_is_leading(const struct federation *f)
{
    return f->has_leader && leader_is_leading(f->leader);
}

void federation_kill_leader(struct federation *f)
{
    if (f->has_leader) {
        leader_free(f->leader);
        sign_key_free(f->leader_key);
        f->leader = NULL;
        f->has_leader = false;
        f->leader_life = 0;
    }
}

/* ---- workers ---- */

static void on_function(void *context, struct bytes body)
{
    (void)context;
    (void)body;
}

size_t federation_start_worker(struct federation *f)
{
    CHECK(f->worker_count < FEDERATION_WORKERS_MAX);
    size_t index = f->worker_count++;
    struct worker *worker = &f->workers[index];
    *worker = (struct worker){.is_alive = true, .life = ++f->lives};
    worker->key = sign_key_new(&f->random);
    worker->public_key = sign_key_public(worker->key);
    worker->id = writer_id_of(&worker->public_key);
    worker->tls_key = p256_key_new();
    const struct scl_config config = {
        .genesis = buffer_bytes(&f->genesis),
        .key = worker->key,
        .log = f->log,
        .on_function = on_function,
    };
    CHECK(scl_new(&worker->scl, &config) == STATUS_OK);
    CHECK(memtable_reader_new(&worker->reader, scl_memtable(worker->scl)) == STATUS_OK);
    const struct p256_public tls_key = p256_key_public(worker->tls_key);
    struct buffer message = BUFFER_EMPTY;
    CHECK(join_applicant_new(&worker->applicant, JOIN_MEMBER, MEMBER_WORKER, &f->capsule,
                             &worker->public_key, &tls_key, &f->random, &message) == STATUS_OK);
    post_body(f, PLACE_OWNER, PLACE_LEADER, FRAME_JOIN, 0, &worker->id, buffer_bytes(&message));
    buffer_release(&message);
    return index;
}

bool federation_is_alive(const struct federation *f, size_t worker)
{
    return f->workers[worker].is_alive;
}

bool federation_is_ready(const struct federation *f, size_t worker)
{
    return f->workers[worker].is_ready;
}

void federation_kill_worker(struct federation *f, size_t index)
{
    struct worker *worker = &f->workers[index];
    if (!worker->is_alive) {
        return;
    }
    scl_seal_release(&worker->seal);
    scl_open_release(&worker->open);
    memtable_reader_free(worker->reader);
    scl_free(worker->scl);
    join_applicant_free(worker->applicant);
    channel_free(worker->channel);
    p256_key_free(worker->tls_key);
    sign_key_free(worker->key);
    worker->is_alive = false;
    worker->is_ready = false;
    if (f->has_leader) {
        post_body(f, PLACE_OWNER, PLACE_LEADER, FRAME_GONE, 0, &worker->id, bytes_of(NULL, 0));
    }
}

static void worker_receive_join(struct federation *f, struct worker *worker, size_t place,
                                struct bytes body)
{
    enum join_step step;
    struct bytes message;
    uint64_t term;
    struct verify_key leader;
    uint8_t report_data[JOIN_REPORT_DATA_BYTES];
    const struct genesis *genesis = capsule_genesis(scl_capsule(worker->scl));
    CHECK(join_decode(&step, &message, body) == STATUS_OK);
    if (step != JOIN_ANSWER || worker->applicant == NULL) {
        return;
    }
    CHECK(join_applicant_answer(worker->applicant, message, &genesis->owner, &term, &leader,
                                report_data) == STATUS_OK);
    struct buffer frame = BUFFER_EMPTY;
    CHECK(frame_encode(&frame, FRAME_EVIDENCE, 0, &everyone,
                       bytes_of(report_data, sizeof report_data)) == STATUS_OK);
    route(f, place, buffer_bytes(&frame));
    buffer_release(&frame);
}

static void worker_receive_grant(struct worker *worker, struct bytes body)
{
    struct buffer plain = BUFFER_EMPTY;
    struct message message;
    CHECK(channel_open(worker->channel, &plain, body) == STATUS_OK);
    CHECK(message_decode(&message, buffer_bytes(&plain)) == STATUS_OK);
    CHECK(message.kind == MESSAGE_GRANT);
    const struct message_grant *grant = &message.grant;
    for (uint32_t i = 0; i < grant->key_count; i++) {
        CHECK(scl_add_key(worker->scl, grant->keys[i].key_epoch, grant->keys[i].secret) ==
              STATUS_OK);
    }
    for (uint32_t i = 0; i < grant->head_count; i++) {
        struct branch_head head = message_grant_head(grant, i);
        CHECK(scl_require(worker->scl, &head) == STATUS_OK);
    }
    worker->has_grant = true;
    buffer_release(&plain);
}

static void worker_receive_records(struct worker *worker, struct bytes records)
{
    while (records.length > 0) {
        struct record record;
        size_t length = record_length(records.at, records.length);
        CHECK(length > 0 && record_decode(&record, records.at, length) == STATUS_OK);
        records = bytes_of(records.at + length, records.length - length);
        enum status status = scl_receive(worker->scl, &record);
        CHECK(status == STATUS_OK || status == STATUS_STALE);
    }
}

static void worker_receive(struct federation *f, struct worker *worker, size_t place,
                           const struct frame *frame)
{
    struct buffer message = BUFFER_EMPTY;
    enum status status = STATUS_OK;
    switch (frame->kind) {
    case FRAME_JOIN:
        worker_receive_join(f, worker, place, frame->body);
        break;
    case FRAME_EVIDENCE:
        CHECK(join_applicant_prove(worker->applicant, frame->body, &message, &worker->channel) ==
              STATUS_OK);
        post_body(f, PLACE_OWNER, PLACE_LEADER, FRAME_JOIN, 0, &worker->id, buffer_bytes(&message));
        buffer_release(&message);
        break;
    case FRAME_CHANNEL:
        worker_receive_grant(worker, frame->body);
        break;
    case FRAME_RECORD:
        worker_receive_records(worker, frame->body);
        break;
    case FRAME_RECEIPT:
        status = scl_receive_receipt(worker->scl, frame->body);
        break;
    case FRAME_RTS:
        status = scl_receive_rts(worker->scl, frame->body);
        break;
    case FRAME_FETCHED:
        status = scl_receive_fetched(worker->scl, frame->request, frame->body);
        break;
    case FRAME_REFUSED:
        status = scl_receive_refused(worker->scl, frame->body);
        break;
    default:
        break;
    }
    CHECK(status != STATUS_FORGED && status != STATUS_MALFORMED);
    worker->tick_us = 0;
}

/* What the actors of a worker do, one after the other. False: it has ended. */
static bool worker_step(struct federation *f, size_t index)
{
    struct worker *worker = &f->workers[index];
    size_t place = PLACE_WORKER + index;
    struct buffer frame = BUFFER_EMPTY;
    struct bytes sealed;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && scl_open_begin(worker->scl, &worker->open) == STATUS_OK) {
        scl_open_run(&worker->open);
        status = scl_open_finish(worker->scl, &worker->open, f->now_us);
    }
    worker->seal_us = UINT64_MAX;
    while (status == STATUS_OK && (status = scl_seal_begin(worker->scl, &worker->seal, f->now_us,
                                                           &worker->seal_us)) == STATUS_OK) {
        scl_seal_run(worker->scl, &worker->seal);
        status = scl_seal_finish(worker->scl, &worker->seal, f->now_us, &sealed);
        if (status == STATUS_OK) {
            route(f, place, sealed);
        }
    }
    if (status == STATUS_CLOSED) {
        federation_kill_worker(f, index);
        return false;
    }
    CHECK(status == STATUS_EMPTY || status == STATUS_FULL);
    if (f->now_us >= worker->tick_us) {
        worker->tick_us = scl_tick(worker->scl, f->now_us);
    }
    while (scl_output(worker->scl, &frame) == STATUS_OK) {
        route(f, place, buffer_bytes(&frame));
        buffer_clear(&frame);
    }
    buffer_release(&frame);
    worker->is_ready = worker->has_grant && scl_is_ready(worker->scl);
    return true;
}

/* ---- time ---- */

static void deliver(struct federation *f, struct letter *letter)
{
    struct frame frame;
    struct bytes bytes = buffer_bytes(&letter->frame);
    // The owner's connections end with the leader they lead to.
    bool is_cut_off = letter->to == PLACE_OWNER && letter->sender_life != life_of(f, letter->from);
    if (letter->life != life_of(f, letter->to) || is_cut_off) {
        return;
    }
    f->delivered_count++;
    CHECK(frame_decode(&frame, bytes) == STATUS_OK);
    if (letter->to == PLACE_STORE) {
        CHECK(server_receive(f->server, letter->from, bytes) == STATUS_OK);
        f->must_commit = true;
    } else if (letter->to == PLACE_LEADER) {
        if (f->has_leader) {
            leader_step(f, bytes);
        }
    } else if (letter->to == PLACE_OWNER) {
        owner_receive(f, &frame);
    } else if (f->workers[letter->to - PLACE_WORKER].is_alive) {
        worker_receive(f, &f->workers[letter->to - PLACE_WORKER], letter->to, &frame);
        (void)worker_step(f, letter->to - PLACE_WORKER);
    }
}

static void step(struct federation *f)
{
    while (f->letters != NULL && f->letters->due_us <= f->now_us) {
        struct letter *letter = f->letters;
        f->letters = letter->next;
        deliver(f, letter);
        letter_free(letter);
    }
    if (f->must_commit) {
        f->must_commit = false;
        CHECK(server_commit(f->server) == STATUS_OK);
    }
    if (f->has_leader && f->now_us >= f->leader_tick_us) {
        leader_step(f, bytes_of(NULL, 0));
    }
    for (size_t i = 0; i < f->worker_count; i++) {
        struct worker *worker = &f->workers[i];
        if (worker->is_alive && (f->now_us >= worker->tick_us || f->now_us >= worker->seal_us)) {
            (void)worker_step(f, i);
        }
    }
}

bool federation_run(struct federation *f, uint64_t limit_us, federation_condition *condition,
                    void *context)
{
    uint64_t end_us = f->now_us + limit_us;
    while (f->now_us < end_us) {
        if (condition != NULL && condition(f, context)) {
            return true;
        }
        f->now_us += TICK_US;
        step(f);
    }
    return condition == NULL || condition(f, context);
}

/* ---- what tests ask ---- */

enum status federation_put(struct federation *f, size_t index, const char *key, const char *value,
                           struct dependency *dependency)
{
    const struct tuple tuple = {
        .kind = value == NULL ? TUPLE_DELETE : TUPLE_PUT,
        .key = bytes_text(key),
        .value = value == NULL ? bytes_of(NULL, 0) : bytes_text(value),
    };
    enum status status = scl_put(f->workers[index].scl, &tuple, dependency);
    f->workers[index].seal_us = 0;
    return status;
}

bool federation_is_durable(struct federation *f, size_t index, const struct dependency *dependency)
{
    return f->workers[index].is_alive && scl_is_durable(f->workers[index].scl, dependency);
}

enum status federation_get(struct federation *f, size_t index, const char *key, char *text,
                           size_t text_bytes)
{
    struct memtable_entry entry;
    struct memtable_reader *reader = f->workers[index].reader;
    memtable_reader_begin(reader);
    enum status status = memtable_get(reader, bytes_text(key), &entry);
    if (status == STATUS_OK && entry.is_tombstone) {
        status = STATUS_NOT_FOUND;
    }
    if (status == STATUS_OK) {
        snprintf(text, text_bytes, "%.*s", (int)entry.value.length, (const char *)entry.value.at);
    }
    memtable_reader_end(reader);
    return status;
}

static bool entry_equal(const struct memtable_entry *a, const struct memtable_entry *b)
{
    return bytes_equal(a->key, b->key) && bytes_equal(a->value, b->value) &&
           a->is_tombstone == b->is_tombstone && a->version.lamport == b->version.lamport &&
           writer_id_equal(&a->version.writer, &b->version.writer);
}

bool federation_are_equal(struct federation *f, size_t a, size_t b)
{
    struct memtable_reader *left = f->workers[a].reader, *right = f->workers[b].reader;
    struct bytes from = bytes_of(NULL, 0);
    bool is_after = false, are_equal = true;
    memtable_reader_begin(left);
    memtable_reader_begin(right);
    while (are_equal) {
        struct memtable_entry x, y;
        enum status status = memtable_seek(left, from, is_after, &x);
        are_equal = status == memtable_seek(right, from, is_after, &y);
        if (status != STATUS_OK) {
            break;
        }
        are_equal = are_equal && entry_equal(&x, &y);
        from = x.key;
        is_after = true;
    }
    memtable_reader_end(right);
    memtable_reader_end(left);
    return are_equal;
}

uint64_t federation_joined_epoch(struct federation *f, size_t worker)
{
    struct scl_counters counters;
    scl_count(f->workers[worker].scl, &counters);
    return counters.joined_epoch;
}

void federation_disturb(struct federation *f, uint64_t delay_us, unsigned drop_percent)
{
    f->delay_us = delay_us;
    f->drop_percent = drop_percent;
}

uint64_t federation_frame_count(const struct federation *f)
{
    return f->delivered_count;
}
