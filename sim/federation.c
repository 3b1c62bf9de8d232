/* sim/federation.c */
#include "sim/federation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attest/evidence.h"
#include "base/check.h"
#include "sim/federation_internal.h"

enum { STEP_US = 100 };  // two steps are at least this far apart

const struct writer_id federation_everyone;
const struct writer_id federation_owner_peer = {.bytes = {0x0e}};

/* ---- clocks ---- */

uint64_t federation_clock_us(const struct federation *f, const struct federation_clock *clock)
{
    int64_t passed_us = (int64_t)(f->now_us - clock->begun_us);
    return f->now_us + clock->leapt_us + (uint64_t)(passed_us * clock->drift_permille / 1000);
}

uint64_t federation_clock_real_us(const struct federation *f, const struct federation_clock *clock,
                                  uint64_t us)
{
    uint64_t shown_us = federation_clock_us(f, clock);
    if (us <= shown_us) {
        return f->now_us;
    }
    uint64_t wait_us = us - shown_us;
    return wait_us > UINT64_MAX / 2000
               ? UINT64_MAX
               : f->now_us + wait_us * 1000 / (uint64_t)(1000 + clock->drift_permille) + 1;
}

void federation_clock_adjust(const struct federation *f, struct federation_clock *clock,
                             int64_t drift_permille, uint64_t leap_us)
{
    uint64_t shown_us = federation_clock_us(f, clock);
    *clock = (struct federation_clock){.begun_us = f->now_us,
                                       .leapt_us = shown_us - f->now_us + leap_us,
                                       .drift_permille = drift_permille};
}

/* ---- places ---- */

void federation_occupy(struct federation *f, size_t place, const struct federation_kind *kind)
{
    CHECK(place < PLACE_COUNT && f->processes[place].kind == NULL);
    f->processes[place] = (struct federation_process){.kind = kind, .life = ++f->lives};
    f->place_count = place < f->place_count ? f->place_count : place + 1;
}

void federation_vacate(struct federation *f, size_t place)
{
    f->processes[place] = (struct federation_process){.kind = NULL};
}

void federation_place_name(size_t place, char name[FEDERATION_PLACE_BYTES])
{
    if (place < PLACE_STORE + FEDERATION_STORES_MAX) {
        snprintf(name, FEDERATION_PLACE_BYTES, "store-%zu", (place - PLACE_STORE) % 100);
    } else if (place >= PLACE_WORKER) {
        snprintf(name, FEDERATION_PLACE_BYTES, "worker-%zu", (place - PLACE_WORKER) % 10000);
    } else {
        snprintf(name, FEDERATION_PLACE_BYTES, "%s", place == PLACE_LEADER ? "leader" : "owner");
    }
}

/* ---- letters ---- */

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

void federation_tell(struct federation *f, const char *what, size_t from, size_t to,
                     struct bytes frame)
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

void federation_post(struct federation *f, size_t from, size_t to, struct bytes frame)
{
    static const char *const fates[] = {
        [NETWORK_SENT] = "send",         [NETWORK_DROPPED] = "drop",
        [NETWORK_DIVIDED] = "divide",    [NETWORK_DUPLICATED] = "duplicate",
        [NETWORK_CORRUPTED] = "corrupt", [NETWORK_REPLAYED] = "replay",
    };
    enum network_link link = NETWORK_LINK_OPEN;
    if (from == PLACE_OWNER || to == PLACE_OWNER) {
        link = NETWORK_LINK_INNER;
    } else if (from < PLACE_STORE + FEDERATION_STORES_MAX) {
        link = NETWORK_LINK_RING;
    }
    const struct network_letter letter = {
        .from = from,
        .to = to,
        .from_life = f->processes[from].life,
        .to_life = f->processes[to].life,
    };
    enum network_fate fate = network_send(f->network, link, &letter, frame, f->now_us);
    federation_tell(f, fates[fate], from, to, frame);
}

void federation_post_body(struct federation *f, size_t from, size_t to, enum frame_kind kind,
                          uint32_t request, const struct writer_id *peer, struct bytes body)
{
    struct buffer frame = BUFFER_EMPTY;
    CHECK(frame_encode(&frame, kind, request, peer, body) == STATUS_OK);
    federation_post(f, from, to, buffer_bytes(&frame));
    buffer_release(&frame);
}

static struct writer_id id_of(const struct federation *f, size_t place)
{
    if (place == PLACE_LEADER) {
        return f->leader.id;
    }
    return place == PLACE_OWNER ? federation_owner_peer : f->workers[place - PLACE_WORKER]->id;
}

static size_t place_of(const struct federation *f, const struct writer_id *id)
{
    if (writer_id_equal(id, &federation_owner_peer)) {
        return PLACE_OWNER;
    }
    for (size_t i = 0; i < f->worker_count; i++) {
        if (f->workers[i]->is_alive && writer_id_equal(&f->workers[i]->id, id)) {
            return PLACE_WORKER + i;
        }
    }
    return PLACE_LEADER;
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
    federation_post_body(f, PLACE_OWNER, from, FRAME_EVIDENCE, frame->request, &federation_everyone,
                         buffer_bytes(&bytes));
    buffer_release(&bytes);
}

void federation_note_sent(struct federation *f, struct bytes frame)
{
    f->sent_count++;
    f->sent_bytes += frame.length;
}

void federation_trip(struct federation *f, size_t place, uint64_t frames)
{
    f->processes[place].frames_left = frames;
}

bool federation_is_dying(const struct federation *f, size_t place)
{
    return f->processes[place].is_dying;
}

/* To whom a frame goes; a process that dies while it sends reaches some of them. */
struct recipients {
    size_t places[PLACE_COUNT];
    size_t count;
};

static void add_stores(const struct federation *f, struct recipients *to)
{
    for (size_t i = 0; i < f->store_count; i++) {
        to->places[to->count++] = PLACE_STORE + i;
    }
}

static void add_workers(const struct federation *f, struct recipients *to, size_t but)
{
    for (size_t i = 0; i < f->worker_count; i++) {
        if (PLACE_WORKER + i != but && f->workers[i]->is_alive) {
            to->places[to->count++] = PLACE_WORKER + i;
        }
    }
}

void federation_post_to_workers(struct federation *f, size_t from, struct bytes frame)
{
    struct recipients to = {.count = 0};
    add_workers(f, &to, from);
    for (size_t i = 0; i < to.count; i++) {
        federation_post(f, from, to.places[i], frame);
    }
}

static void find_recipients(const struct federation *f, size_t from, const struct frame *frame,
                            struct recipients *to)
{
    to->count = 0;
    switch (frame->kind) {
    case FRAME_EVIDENCE:
    case FRAME_READY:
        return;
    case FRAME_FETCH:
        to->places[to->count++] = federation_store_place(f, &frame->peer);
        return;
    case FRAME_FENCE:
    case FRAME_RECALL:
        add_stores(f, to);
        return;
    case FRAME_JOIN:
    case FRAME_CHANNEL:
        to->places[to->count++] = place_of(f, &frame->peer);
        return;
    case FRAME_RECORD:
        if (writer_id_equal(&frame->peer, &frame_to_leader)) {
            to->places[to->count++] = PLACE_LEADER;
            return;
        }
        if (!writer_id_equal(&frame->peer, &frame_to_replicas)) {
            add_stores(f, to);
        }
        if (writer_id_equal(&frame->peer, &frame_to_stores)) {
            return;
        }
        break;
    default:
        break;
    }
    add_workers(f, to, from);
}

/* Some of them, in any order. */
static void lose_some(struct federation *f, struct recipients *to)
{
    uint64_t words[2];
    for (size_t i = to->count; i > 1; i--) {
        random_fill(&f->random, words, sizeof words);
        size_t other = words[0] % i, kept = to->places[i - 1];
        to->places[i - 1] = to->places[other];
        to->places[other] = kept;
    }
    random_fill(&f->random, words, sizeof words);
    to->count = words[1] % (to->count + 1);
}

void federation_route(struct federation *f, size_t from, struct bytes bytes)
{
    struct frame frame;
    struct recipients to;
    struct federation_process *process = &f->processes[from];
    if (process->is_dying) {
        return;
    }
    CHECK(frame_decode(&frame, bytes) == STATUS_OK);
    federation_note_sent(f, bytes);
    find_recipients(f, from, &frame, &to);
    if (process->frames_left > 0 && --process->frames_left == 0) {
        process->is_dying = true;
        lose_some(f, &to);
    }
    if (frame.kind == FRAME_EVIDENCE) {
        answer_evidence(f, from, &frame);
    }
    struct writer_id source = id_of(f, from);
    for (size_t i = 0; i < to.count; i++) {
        if (frame.kind == FRAME_JOIN || frame.kind == FRAME_CHANNEL) {
            federation_post_body(f, from, to.places[i], frame.kind, 0, &source, frame.body);
        } else {
            federation_post(f, from, to.places[i], bytes);
        }
    }
}

/* ---- birth ---- */

static void make_policy(struct federation *f)
{
    policy_init(&f->policy);
    f->policy.version = 1;
    f->policy.has_retention = true;  // of no time: whatever may go goes
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
    const struct simulated_terms terms = {.tcb_level = 1,
                                          .not_before_s = FEDERATION_START_S - 86400,
                                          .not_after_s = FEDERATION_START_S + 31536000};
    const struct simulated_tcb tcb = {
        .issued_s = FEDERATION_START_S - 3600,
        .next_update_s = FEDERATION_START_S + 31536000,
        .levels = {{.tcb_level = 1, .status = TCB_UP_TO_DATE}},
        .level_count = 1,
    };
    f->vendor = sign_key_new(&f->random);
    f->platform = simulated_platform_new(&f->random, f->vendor, &terms);
    CHECK(simulated_tcb_encode(&tcb, f->vendor, &f->tcb) == STATUS_OK);
}

static void make_genesis(struct federation *f, const struct federation_config *config)
{
    struct genesis genesis = {.store_count = (uint32_t)f->store_count,
                              .receipt_count = (uint32_t)config->receipt_count,
                              .tolerated_count = (uint32_t)config->tolerated_count};
    struct buffer policy = BUFFER_EMPTY;
    snprintf(genesis.app, sizeof genesis.app, "simulated");
    genesis.owner = sign_key_public(f->owner.key);
    for (size_t i = 0; i < f->store_count; i++) {
        snprintf(genesis.stores[i].name, sizeof genesis.stores[i].name, "store-%zu", i + 1);
        genesis.stores[i].key = sign_key_public(f->stores[i].key);
    }
    CHECK(policy_encode(&f->policy, &policy) == STATUS_OK);
    CHECK(genesis_encode(&f->genesis, &genesis, buffer_bytes(&policy), f->owner.key) == STATUS_OK);
    f->capsule = hash_of(f->genesis.bytes, f->genesis.length);
    buffer_release(&policy);
}

struct federation *federation_new(const struct federation_config *config)
{
    crypto_init();
    struct federation *f = calloc(1, sizeof *f);
    CHECK(f != NULL);
    CHECK(0 < config->store_count && config->store_count <= FEDERATION_STORES_MAX);
    f->random = random_seeded(&f->seeded, config->seed);
    f->log = config->log;
    f->memtable_bytes = config->memtable_bytes;
    f->network = network_new(&f->random);
    f->on_event = config->on_event;
    f->context = config->context;
    federation_disturb(f, &config->faults);
    federation_owner_init(f);
    make_machine(f);
    make_policy(f);
    f->store_count = config->store_count;
    for (size_t i = 0; i < f->store_count; i++) {
        federation_store_init(f, i, &config->disks[i]);
    }
    make_genesis(f, config);
    for (size_t i = 0; i < f->store_count; i++) {
        CHECK(federation_store_start(f, i) == STATUS_OK);
    }
    return f;
}

void federation_free(struct federation *f)
{
    for (size_t i = 0; i < f->worker_count; i++) {
        federation_worker_kill(f, i);
        sign_key_free(f->workers[i]->key);
        free(f->workers[i]);
    }
    federation_leader_kill(f);
    for (size_t i = 0; i < f->store_count; i++) {
        federation_store_release(f, i);
    }
    federation_owner_release(f);
    network_free(f->network);
    simulated_platform_free(f->platform);
    sign_key_free(f->vendor);
    buffer_release(&f->tcb);
    buffer_release(&f->genesis);
    free(f);
}

/* ---- time ---- */

static void deliver(struct federation *f, const struct network_letter *letter)
{
    const struct federation_process *process = &f->processes[letter->to];
    // Once a new leader is there the owner listens to that one. The last words of one that has
    // ended arrive.
    uint64_t from_life = f->processes[letter->from].life;
    bool is_cut_off = letter->to == PLACE_OWNER && from_life != 0 && letter->from_life != from_life;
    if (letter->to_life != process->life || is_cut_off || process->kind == NULL) {
        return;
    }
    f->delivered_count++;
    federation_tell(f, "receive", letter->from, letter->to, buffer_bytes(&letter->frame));
    process->kind->receive(f, letter->to, letter);
}

/* When something happens next. */
static uint64_t due_us(const struct federation *f)
{
    uint64_t due = network_due_us(f->network);
    for (size_t place = 0; place < f->place_count; place++) {
        const struct federation_kind *kind = f->processes[place].kind;
        uint64_t own = kind == NULL ? UINT64_MAX : kind->due_us(f, place);
        due = own < due ? own : due;
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
    for (size_t place = 0; place < f->place_count; place++) {
        const struct federation_kind *kind = f->processes[place].kind;
        if (kind != NULL && kind->due_us(f, place) <= f->now_us) {
            kind->step(f, place);
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

/* ---- the rest ---- */

void federation_disturb(struct federation *f, const struct network_faults *faults)
{
    network_disturb(f->network, faults);
    f->is_bending = f->is_bending || faults->corrupt_percent > 0 || faults->replay_percent > 0;
}

void federation_divide(struct federation *f, uint64_t sides)
{
    federation_tell(f, sides == 0 ? "heal" : "part", PLACE_OWNER, PLACE_OWNER, bytes_of(NULL, 0));
    network_divide(f->network, sides);
}

uint64_t federation_now_us(const struct federation *f)
{
    return f->now_us;
}

struct bytes federation_genesis(const struct federation *f)
{
    return buffer_bytes(&f->genesis);
}

void federation_count(const struct federation *f, struct federation_counters *counters)
{
    *counters = (struct federation_counters){
        .delivered_frames = f->delivered_count,
        .sent_frames = f->sent_count,
        .sent_bytes = f->sent_bytes,
    };
}
