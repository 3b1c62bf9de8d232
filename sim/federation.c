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
#include "sim/network.h"
#include "wire/join.h"
#include "wire/message.h"

enum {
    START_S = 1700000000,
    STEP_US = 100,                       // two steps are at least this far apart
    SEGMENT_BYTES = 64 << 10,            // of the store: small, so that a run fills several
    JOIN_TIMEOUT_US = 15 * 1000 * 1000,  // as the enclave's: who was not admitted by then ends
};

/* Where a frame goes: the store, the leader, the owner, or worker (place - PLACE_WORKER). */
enum place { PLACE_STORE, PLACE_LEADER, PLACE_OWNER, PLACE_WORKER };

/* A process's own clock: real time, too fast or too slow, with leaps. */
struct clock {
    uint64_t begun_us;
    uint64_t leapt_us;
    int64_t drift_permille;
};

struct worker {
    bool is_alive;
    bool is_ready;
    uint64_t life;
    struct clock clock;
    uint64_t join_us;
    struct sign_key *key;
    struct verify_key public_key;
    struct writer_id id;
    struct p256_key *tls_key;
    struct scl *scl;
    struct memtable_reader *reader;
    struct join_applicant *applicant;
    struct channel *channel;
    bool has_grant;
    uint64_t tick_us;  // both by its own clock
    uint64_t seal_us;
    struct scl_seal_job seal;
    struct scl_open_job open;
};

struct federation {
    struct random_seeded seeded;
    struct random random;
    const struct log *log;
    struct network *network;
    bool is_bending;  // some frame is, or may have been, corrupted or replayed
    void (*on_event)(void *context, const struct federation_event *event);
    void *context;
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
    uint64_t store_life;

    bool has_leader;
    uint64_t leader_life;
    struct sign_key *leader_key;
    struct verify_key leader_public;
    struct writer_id leader_id;
    struct leader *leader;
    uint64_t leader_tick_us;

    struct worker workers[FEDERATION_WORKERS_MAX];
    size_t worker_count;
    struct clock leader_clock;
    int64_t leader_skew_ms;  // of the time of day, as the leader's host tells it
    bool has_false_alarm;
    uint64_t delivered_count;
    uint64_t lives;
};

static const struct writer_id everyone;
static const struct writer_id owner_peer = {.bytes = {0x0e}};

static uint64_t clock_us(const struct federation *f, const struct clock *clock)
{
    int64_t passed_us = (int64_t)(f->now_us - clock->begun_us);
    return f->now_us + clock->leapt_us + (uint64_t)(passed_us * clock->drift_permille / 1000);
}

/* When that clock will show `us`. */
static uint64_t real_us(const struct federation *f, const struct clock *clock, uint64_t us)
{
    uint64_t shown_us = clock_us(f, clock);
    if (us <= shown_us) {
        return f->now_us;
    }
    uint64_t wait_us = us - shown_us;
    return wait_us > UINT64_MAX / 2000
               ? UINT64_MAX
               : f->now_us + wait_us * 1000 / (uint64_t)(1000 + clock->drift_permille) + 1;
}

static void clock_adjust(const struct federation *f, struct clock *clock, int64_t drift_permille,
                         uint64_t leap_us)
{
    uint64_t shown_us = clock_us(f, clock);
    *clock = (struct clock){.begun_us = f->now_us,
                            .leapt_us = shown_us - f->now_us + leap_us,
                            .drift_permille = drift_permille};
}

static struct leader_time leader_now(const struct federation *f)
{
    uint64_t now_us = clock_us(f, &f->leader_clock);
    return (struct leader_time){
        .now_us = now_us,
        .unix_ms = START_S * 1000ull + now_us / 1000 + (uint64_t)f->leader_skew_ms,
    };
}

/* ---- letters ---- */

static uint64_t life_of(const struct federation *f, size_t place)
{
    if (place == PLACE_LEADER) {
        return f->leader_life;
    }
    if (place == PLACE_STORE) {
        return f->store_life;
    }
    return place >= PLACE_WORKER ? f->workers[place - PLACE_WORKER].life : 0;
}

/* Equal runs have equal digests; nobody attacks it. */
static uint64_t digest_of(struct bytes bytes)
{
    uint64_t digest = bytes.length;
    for (size_t at = 0; at < bytes.length; at += sizeof digest) {
        uint64_t word = 0;
        size_t rest = bytes.length - at;
        memcpy(&word, bytes.at + at, rest < sizeof word ? rest : sizeof word);
        digest = (digest ^ word) * 0x9e3779b97f4a7c15;
        digest ^= digest >> 29;
    }
    return digest;
}

static void tell(struct federation *f, const char *what, size_t from, size_t to, struct bytes frame)
{
    struct federation_event event = {
        .time_us = f->now_us, .what = what, .from = from, .to = to, .bytes = frame.length};
    if (f->on_event == NULL) {
        return;
    }
    if (frame.length > 0) {
        event.kind = frame.at[0];
        event.digest = digest_of(frame);
    }
    f->on_event(f->context, &event);
}

static void post(struct federation *f, size_t from, size_t to, struct bytes frame)
{
    static const char *const fates[] = {
        [NETWORK_SENT] = "send",         [NETWORK_DROPPED] = "drop",
        [NETWORK_DIVIDED] = "divide",    [NETWORK_DUPLICATED] = "duplicate",
        [NETWORK_CORRUPTED] = "corrupt", [NETWORK_REPLAYED] = "replay",
    };
    enum network_link link = NETWORK_LINK_OPEN;
    if (from == PLACE_OWNER || to == PLACE_OWNER) {
        link = NETWORK_LINK_INNER;
    } else if (from == PLACE_STORE) {
        link = NETWORK_LINK_RING;
    }
    const struct network_letter letter = {
        .from = from, .to = to, .from_life = life_of(f, from), .to_life = life_of(f, to)};
    enum network_fate fate = network_send(f->network, link, &letter, frame, f->now_us);
    tell(f, fates[fate], from, to, frame);
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

enum status federation_start_store(struct federation *f)
{
    CHECK(f->store == NULL);
    const struct store_config config = {
        .disk = f->disk,
        .genesis = buffer_bytes(&f->genesis),
        .key = f->store_key,
        .log = f->log,
        .segment_bytes = SEGMENT_BYTES,
    };
    const struct server_output output = {
        .send = store_send, .broadcast = store_broadcast, .context = f};
    enum status status = store_open(&f->store, &config);
    if (status == STATUS_OK) {
        status = server_new(&f->server, f->store, &output);
    }
    f->store_life = ++f->lives;
    f->must_commit = false;
    tell(f, status == STATUS_OK ? "start" : "refuse", PLACE_STORE, PLACE_STORE, bytes_of(NULL, 0));
    return status;
}

bool federation_has_store(const struct federation *f)
{
    return f->server != NULL;
}

void federation_kill_store(struct federation *f)
{
    tell(f, "end", PLACE_STORE, PLACE_STORE, bytes_of(NULL, 0));
    server_free(f->server);
    store_close(f->store);
    f->server = NULL;
    f->store = NULL;
}

enum status federation_restart_store(struct federation *f)
{
    federation_kill_store(f);
    return federation_start_store(f);
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
    f->network = network_new(&f->random);
    f->on_event = config->on_event;
    f->context = config->context;
    f->disk = config->disk;
    federation_disturb(f, &config->faults);
    f->owner = sign_key_new(&f->random);
    f->seed = secret_new_random(&f->random);
    f->vendor = sign_key_new(&f->random);
    f->store_key = sign_key_new(&f->random);
    make_policy(f);
    make_machine(f);
    make_genesis(f);
    CHECK(federation_start_store(f) == STATUS_OK);
    return f;
}

void federation_free(struct federation *f)
{
    for (size_t i = 0; i < f->worker_count; i++) {
        federation_kill_worker(f, i);
    }
    federation_kill_leader(f);
    network_free(f->network);
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
        f->has_false_alarm = f->has_false_alarm || answer.answer.status == STATUS_FORGED;
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
    f->leader_clock = (struct clock){.begun_us = f->now_us};
    f->has_leader = true;
    tell(f, "start", PLACE_LEADER, PLACE_LEADER, bytes_of(NULL, 0));
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
        tell(f, "end", PLACE_LEADER, PLACE_LEADER, bytes_of(NULL, 0));
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
    *worker = (struct worker){
        .is_alive = true,
        .life = ++f->lives,
        .clock = {.begun_us = f->now_us},
        .join_us = f->now_us,
        .seal_us = UINT64_MAX,
    };
    tell(f, "start", PLACE_WORKER + index, PLACE_WORKER + index, bytes_of(NULL, 0));
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
    tell(f, "end", PLACE_WORKER + index, PLACE_WORKER + index, bytes_of(NULL, 0));
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

/* A worker takes what arrives as the enclave does (src/enclave/worker_open.c): what is no good is
 * dropped; STATUS_DENIED, STATUS_FORGED and STATUS_MALFORMED end a join, and the process with it.
 */
static enum status worker_receive_join(struct federation *f, struct worker *worker, size_t place,
                                       struct bytes body)
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
        CHECK(frame_encode(&frame, FRAME_EVIDENCE, 0, &everyone,
                           bytes_of(report_data, sizeof report_data)) == STATUS_OK);
        route(f, place, buffer_bytes(&frame));
        buffer_release(&frame);
    }
    return status;
}

static enum status worker_receive_evidence(struct federation *f, struct worker *worker,
                                           struct bytes evidence)
{
    struct buffer message = BUFFER_EMPTY;
    if (worker->applicant == NULL || worker->channel != NULL) {
        return STATUS_OK;
    }
    enum status status =
        join_applicant_prove(worker->applicant, evidence, &message, &worker->channel);
    if (status == STATUS_OK) {
        post_body(f, PLACE_OWNER, PLACE_LEADER, FRAME_JOIN, 0, &worker->id, buffer_bytes(&message));
    }
    buffer_release(&message);
    return status;
}

static void worker_receive_grant(struct worker *worker, struct bytes body)
{
    struct buffer plain = BUFFER_EMPTY;
    struct message message;
    bool is_genuine = worker->channel != NULL && !worker->has_grant &&
                      channel_open(worker->channel, &plain, body) == STATUS_OK &&
                      message_decode(&message, buffer_bytes(&plain)) == STATUS_OK &&
                      message.kind == MESSAGE_GRANT;
    if (is_genuine) {
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
    }
    buffer_release(&plain);
}

static void worker_receive_records(struct federation *f, struct worker *worker,
                                   struct bytes records)
{
    while (records.length > 0) {
        struct record record;
        size_t length = record_length(records.at, records.length);
        if (length == 0 || length > records.length ||
            record_decode(&record, records.at, length) != STATUS_OK) {
            CHECK(f->is_bending);
            return;
        }
        records = bytes_of(records.at + length, records.length - length);
        enum status status = scl_receive(worker->scl, &record);
        CHECK(f->is_bending || status == STATUS_OK || status == STATUS_STALE);
    }
}

static enum status worker_receive(struct federation *f, struct worker *worker, size_t place,
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
        worker_receive_grant(worker, frame->body);
        break;
    case FRAME_RECORD:
        worker_receive_records(f, worker, frame->body);
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
    CHECK(f->is_bending || (status != STATUS_FORGED && status != STATUS_MALFORMED));
    return STATUS_OK;
}

/* What the actors of a worker do, one after the other. False: it has ended. */
static bool worker_step(struct federation *f, size_t index)
{
    struct worker *worker = &f->workers[index];
    size_t place = PLACE_WORKER + index;
    struct buffer frame = BUFFER_EMPTY;
    struct bytes sealed;
    enum status status = STATUS_OK;
    uint64_t now_us = clock_us(f, &worker->clock);
    while (status == STATUS_OK && scl_open_begin(worker->scl, &worker->open) == STATUS_OK) {
        scl_open_run(&worker->open);
        status = scl_open_finish(worker->scl, &worker->open, now_us);
    }
    worker->seal_us = UINT64_MAX;
    while (status == STATUS_OK && (status = scl_seal_begin(worker->scl, &worker->seal, now_us,
                                                           &worker->seal_us)) == STATUS_OK) {
        scl_seal_run(worker->scl, &worker->seal);
        status = scl_seal_finish(worker->scl, &worker->seal, now_us, &sealed);
        if (status == STATUS_OK) {
            route(f, place, sealed);
        }
    }
    bool is_late = !worker->has_grant && f->now_us > worker->join_us + JOIN_TIMEOUT_US;
    if (status == STATUS_CLOSED || is_late) {
        federation_kill_worker(f, index);
        return false;
    }
    CHECK(status == STATUS_EMPTY || status == STATUS_FULL);
    if (now_us >= worker->tick_us) {
        worker->tick_us = scl_tick(worker->scl, now_us);
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

static void store_ends_with(struct federation *f, enum status status)
{
    if (status == STATUS_IO) {
        federation_kill_store(f);
        return;
    }
    CHECK(status == STATUS_OK);
}

static void deliver(struct federation *f, const struct network_letter *letter)
{
    struct frame frame;
    struct bytes bytes = buffer_bytes(&letter->frame);
    // The owner's connections end with the leader they lead to.
    bool is_cut_off = letter->to == PLACE_OWNER && letter->from_life != life_of(f, letter->from);
    if (letter->to_life != life_of(f, letter->to) || is_cut_off) {
        return;
    }
    f->delivered_count++;
    tell(f, "receive", letter->from, letter->to, bytes);
    if (letter->to == PLACE_STORE) {
        if (f->server != NULL) {
            f->must_commit = true;
            store_ends_with(f, server_receive(f->server, letter->from, bytes));
        }
    } else if (letter->to == PLACE_LEADER) {
        if (f->has_leader) {
            leader_step(f, bytes);
        }
    } else if (frame_decode(&frame, bytes) != STATUS_OK) {
        CHECK(f->is_bending);
    } else if (letter->to == PLACE_OWNER) {
        owner_receive(f, &frame);
    } else if (f->workers[letter->to - PLACE_WORKER].is_alive) {
        size_t index = letter->to - PLACE_WORKER;
        if (worker_receive(f, &f->workers[index], letter->to, &frame) != STATUS_OK) {
            federation_kill_worker(f, index);
        } else {
            (void)worker_step(f, index);
        }
    }
}

/* When something happens next. */
static uint64_t due_us(const struct federation *f)
{
    uint64_t due = network_due_us(f->network);
    if (f->has_leader) {
        uint64_t leader = real_us(f, &f->leader_clock, f->leader_tick_us);
        due = leader < due ? leader : due;
    }
    for (size_t i = 0; i < f->worker_count; i++) {
        const struct worker *worker = &f->workers[i];
        if (worker->is_alive) {
            uint64_t own = worker->tick_us < worker->seal_us ? worker->tick_us : worker->seal_us;
            own = real_us(f, &worker->clock, own);
            uint64_t join = worker->has_grant ? UINT64_MAX : worker->join_us + JOIN_TIMEOUT_US + 1;
            own = join < own ? join : own;
            due = own < due ? own : due;
        }
    }
    return due;
}

static void step(struct federation *f)
{
    struct network_letter letter;
    while (network_receive(f->network, f->now_us, &letter)) {
        deliver(f, &letter);
        buffer_release(&letter.frame);
    }
    if (f->must_commit && f->server != NULL) {
        f->must_commit = false;
        store_ends_with(f, server_commit(f->server));
    }
    if (f->has_leader && clock_us(f, &f->leader_clock) >= f->leader_tick_us) {
        leader_step(f, bytes_of(NULL, 0));
    }
    for (size_t i = 0; i < f->worker_count; i++) {
        struct worker *worker = &f->workers[i];
        if (!worker->is_alive) {
            continue;
        }
        uint64_t now_us = clock_us(f, &worker->clock);
        bool is_late = !worker->has_grant && f->now_us > worker->join_us + JOIN_TIMEOUT_US;
        if (now_us >= worker->tick_us || now_us >= worker->seal_us || is_late) {
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
        uint64_t next_us = due_us(f);
        next_us = next_us < f->now_us + STEP_US ? f->now_us + STEP_US : next_us;
        f->now_us = next_us < end_us ? next_us : end_us;
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
    tell(f, status == STATUS_OK ? "put" : "refuse", PLACE_WORKER + index, PLACE_WORKER + index,
         bytes_of(NULL, 0));
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

void federation_disturb(struct federation *f, const struct network_faults *faults)
{
    network_disturb(f->network, faults);
    f->is_bending = f->is_bending || faults->corrupt_percent > 0 || faults->replay_percent > 0;
}

void federation_divide(struct federation *f, uint64_t sides)
{
    tell(f, sides == 0 ? "heal" : "part", PLACE_OWNER, PLACE_OWNER, bytes_of(NULL, 0));
    network_divide(f->network, sides);
}

void federation_adjust_clock(struct federation *f, size_t worker, int drift_permille,
                             uint64_t leap_us)
{
    if (f->workers[worker].is_alive) {
        clock_adjust(f, &f->workers[worker].clock, drift_permille, leap_us);
    }
}

void federation_adjust_leader_clock(struct federation *f, int drift_permille, uint64_t leap_us,
                                    int64_t skew_ms)
{
    clock_adjust(f, &f->leader_clock, drift_permille, leap_us);
    f->leader_skew_ms = skew_ms;
}

bool federation_has_false_alarm(const struct federation *f)
{
    return f->has_false_alarm;
}

uint64_t federation_now_us(const struct federation *f)
{
    return f->now_us;
}

struct bytes federation_genesis(const struct federation *f)
{
    return buffer_bytes(&f->genesis);
}

struct writer_id federation_worker_id(const struct federation *f, size_t worker)
{
    return f->workers[worker].id;
}

struct scl *federation_scl(struct federation *f, size_t worker)
{
    return f->workers[worker].scl;
}

struct memtable_reader *federation_reader(struct federation *f, size_t worker)
{
    return f->workers[worker].reader;
}

void federation_place_name(size_t place, char name[FEDERATION_PLACE_BYTES])
{
    static const char *const names[] = {
        [PLACE_STORE] = "store", [PLACE_LEADER] = "leader", [PLACE_OWNER] = "owner"};
    if (place < PLACE_WORKER) {
        snprintf(name, FEDERATION_PLACE_BYTES, "%s", names[place]);
    } else {
        snprintf(name, FEDERATION_PLACE_BYTES, "worker-%zu", (place - PLACE_WORKER) % 10000);
    }
}

uint64_t federation_frame_count(const struct federation *f)
{
    return f->delivered_count;
}
