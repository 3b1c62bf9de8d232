/* sim/scenario.c */
#include "sim/scenario.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/scenario_internal.h"

enum {
    STEP_MS_MAX = 40,
    // P9. A join that was lost is given up after 15 s, a takeover after 10 s; each may happen
    // twice: once begun under the faults, once because another ended meanwhile.
    BOUND_US = 60 * 1000 * 1000,
    POLL_US = 20 * 1000,
    MEMTABLE_BYTES = 1 << 10,  // so small that whatever may be evicted is
    FAULT_STREAM = 1000,       // the random streams after those of the acts
    CRASH_STREAM,
    TIME_STREAM,
};

/*
 * Faults before the work: what they break is mended first (tend()). act_hostile judges last: it
 * leaves nothing to judge.
 */
static const struct scenario_act *const acts[] = {
    &act_kill, &act_network, &act_disk, &act_clock, &act_lose,    &act_session,
    &act_put,  &act_read,    &act_lock, &act_keys,  &act_hostile, &act_stores,
};
enum { ACTS = sizeof acts / sizeof *acts, ACTS_OF_FAULTS = 5 };
_Static_assert((size_t)ACTS <= (size_t)SCENARIO_ACTS_MAX, "a state for each act");

static const struct {
    const char *name;
    uint64_t percent;  // of all seeds have it
} faults[SCENARIO_FAULTS] = {
    [SCENARIO_LATE] = {"late", 75},
    [SCENARIO_DROP] = {"drop", 50},
    [SCENARIO_DUPLICATE] = {"duplicate", 50},
    [SCENARIO_CORRUPT] = {"corrupt", 50},
    [SCENARIO_REPLAY] = {"replay", 50},
    [SCENARIO_PART] = {"part", 50},
    [SCENARIO_KILL_WORKER] = {"kill-worker", 50},
    [SCENARIO_KILL_LEADER] = {"kill-leader", 50},
    [SCENARIO_KILL_STORE] = {"kill-store", 50},
    [SCENARIO_TRIP_WORKER] = {"trip-worker", 50},
    [SCENARIO_TRIP_LEADER] = {"trip-leader", 50},
    [SCENARIO_POWER] = {"power", 50},
    [SCENARIO_FULL] = {"full", 30},
    [SCENARIO_CLOCK] = {"clock", 50},
    [SCENARIO_FORK] = {"fork", 25},
    [SCENARIO_ROT] = {"rot", 40},
    [SCENARIO_LOSE_DISK] = {"lose-disk", 30},
    [SCENARIO_LIE] = {"lie", 50},
    [SCENARIO_ROLL_BACK] = {"roll-back", 50},
    [SCENARIO_KEYS] = {"keys", 50},
    [SCENARIO_THIEF] = {"thief", 100},
    [SCENARIO_STORE_SET] = {"store-set", 30},
};

const char *scenario_fault_name(enum scenario_fault fault)
{
    return faults[fault].name;
}

/* ---- what acts ask ---- */

uint64_t scenario_pick(struct scenario *s, uint64_t below)
{
    uint64_t word;
    random_fill(s->random, &word, sizeof word);
    return word % below;
}

bool scenario_has_chance(struct scenario *s, uint64_t percent)
{
    return scenario_pick(s, 100) < percent;
}

bool scenario_has(const struct scenario *s, enum scenario_fault fault)
{
    return (s->result->faults >> fault) % 2 != 0;
}

/* The compactor among the workers: whatever ended is started again. */
static bool compactor_is_alive(const struct scenario *s)
{
    return s->has_compactor && federation_worker_is_alive(s->federation, s->compactor);
}

bool scenario_is_ready(const struct scenario *s, size_t place)
{
    return place < s->started_count &&
           federation_worker_is_alive(s->federation, s->workers[place]) &&
           federation_worker_is_ready(s->federation, s->workers[place]);
}

void scenario_fail(struct scenario *s, const char *format, ...)
{
    va_list arguments;
    if (s->result->has_failed) {
        return;
    }
    s->result->has_failed = true;
    va_start(arguments, format);
    vsnprintf(s->result->reason, sizeof s->result->reason, format, arguments);
    va_end(arguments);
}

void scenario_wait(struct scenario *s, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(s->waiting, sizeof s->waiting, format, arguments);
    va_end(arguments);
}

const struct checker_store *scenario_held(const struct scenario *s)
{
    return &s->held;
}

/* ---- the trace ---- */

static uint64_t mix(uint64_t digest, uint64_t word)
{
    digest = (digest ^ word) * 0x9e3779b97f4a7c15;
    return digest ^ (digest >> 29);
}

static void on_event(void *context, const struct federation_event *event)
{
    struct scenario *s = context;
    uint64_t digest = s->result->trace_digest;
    digest = mix(digest, event->time_us);
    digest = mix(digest, (uint64_t)event->what[0]);
    digest = mix(digest, event->from * NETWORK_PLACES_MAX + event->to);
    digest = mix(digest, event->kind);
    digest = mix(digest, event->bytes);
    s->result->trace_digest = mix(digest, event->digest);
    s->result->event_count++;
    if (s->config->on_event != NULL) {
        s->config->on_event(s->config->context, event);
    }
}

/* ---- random streams ---- */

static struct random stream(struct random_seeded *storage, uint64_t seed, uint64_t number)
{
    return random_seeded(storage, mix(mix(0, seed), number));
}

static void draw_faults(struct scenario *s)
{
    for (unsigned fault = 0; fault < SCENARIO_FAULTS; fault++) {
        struct random_seeded storage;
        struct random random = stream(&storage, s->config->seed, FAULT_STREAM + fault);
        s->random = &random;
        bool is_left_out = (s->config->without >> fault) % 2 != 0;
        if (scenario_has_chance(s, faults[fault].percent) && !is_left_out) {
            s->result->faults |= 1ull << fault;
        }
    }
}

/* ---- what a host does: start again whatever ended ---- */

static void start_store(struct scenario *s, size_t index, const struct random *crashes)
{
    struct scenario_disk *disk = &s->stores[index];
    disk_fake_crash(disk->fake, crashes);
    enum status status = federation_store_start(s->federation, index);
    bool is_excused = status == STATUS_NO_SPACE && disk->is_full;
    if (status != STATUS_OK && status != STATUS_IO && !is_excused) {
        scenario_fail(s, "P9: after a crash store %zu is %s", index, status_text(status));
    }
}

static void tend(struct scenario *s, const struct random *crashes)
{
    struct federation *federation = s->federation;
    for (size_t i = 0; i < s->config->store_count; i++) {
        if (!federation_store_is_running(federation, i) && !s->stores[i].is_out) {
            start_store(s, i, crashes);
        }
    }
    if (!federation_leader_is_running(federation)) {
        federation_leader_start(federation);
    }
    for (size_t i = 0; i < s->config->worker_count && federation_leader_is_leading(federation);
         i++) {
        bool is_missing =
            i >= s->started_count || !federation_worker_is_alive(federation, s->workers[i]);
        if (is_missing && s->life_count < FEDERATION_WORKERS_MAX) {
            s->workers[i] = federation_worker_start(federation);
            s->started_count = s->started_count > i ? s->started_count : i + 1;
            s->life_count++;
        }
    }
    if (federation_leader_is_leading(federation) && !compactor_is_alive(s) &&
        s->life_count < FEDERATION_WORKERS_MAX) {
        s->compactor = federation_worker_start_compactor(federation);
        s->has_compactor = true;
        s->life_count++;
    }
}

static bool is_whole(const struct scenario *s)
{
    bool is_whole = federation_leader_is_leading(s->federation);
    for (size_t i = 0; i < s->config->store_count; i++) {
        is_whole = is_whole && federation_store_is_running(s->federation, i);
    }
    for (size_t i = 0; i < s->config->worker_count; i++) {
        is_whole = is_whole && scenario_is_ready(s, i);
    }
    return is_whole;
}

/* ---- the life ---- */

static void *state_of(struct scenario *s, size_t act)
{
    s->random = &s->randoms[act];
    return s->states[act];
}

static void run(struct scenario *s, uint64_t us)
{
    federation_run(s->federation, us, NULL, NULL);
    for (size_t i = 0; i < ACTS; i++) {
        if (acts[i]->watch != NULL) {
            acts[i]->watch(s, state_of(s, i));
        }
    }
}

static void step_acts(struct scenario *s, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        if (acts[i]->step != NULL) {
            acts[i]->step(s, state_of(s, i));
        }
    }
}

static void live(struct scenario *s, const struct random *crashes, const struct random *times)
{
    for (uint64_t i = 0; i < s->config->step_count && !s->result->has_failed; i++) {
        step_acts(s, 0, ACTS_OF_FAULTS);
        s->random = times;
        if (scenario_has_chance(s, 70)) {
            tend(s, crashes);
        }
        uint64_t us = 1000 * (1 + scenario_pick(s, STEP_MS_MAX));
        step_acts(s, ACTS_OF_FAULTS, ACTS);
        run(s, us);
    }
}

/* ---- the end ---- */

static bool is_settled(struct scenario *s)
{
    bool is_settled = is_whole(s);
    for (size_t i = 0; i < ACTS && is_whole(s); i++) {
        is_settled = (acts[i]->settle == NULL || acts[i]->settle(s, state_of(s, i))) && is_settled;
    }
    return is_settled;
}

static void settle(struct scenario *s, const struct random *crashes)
{
    uint64_t begun_us = federation_now_us(s->federation);
    do {
        if (federation_now_us(s->federation) > begun_us + BOUND_US) {
            scenario_fail(s, "P9: %d s after the last fault %s", BOUND_US / 1000000,
                          is_whole(s) ? s->waiting : "not all are ready");
            return;
        }
        tend(s, crashes);
        run(s, POLL_US);
    } while (!is_settled(s) && !s->result->has_failed);
}

/* A worker that comes later finds everything. Returns its index. */
static size_t start_later(struct scenario *s)
{
    size_t later = federation_worker_start(s->federation);
    for (uint64_t us = 0; us < BOUND_US && federation_worker_is_alive(s->federation, later) &&
                          !federation_worker_is_ready(s->federation, later);
         us += POLL_US) {
        federation_run(s->federation, POLL_US, NULL, NULL);
    }
    if (!federation_worker_is_alive(s->federation, later) ||
        !federation_worker_is_ready(s->federation, later)) {
        scenario_fail(s, "P9: a later worker does not become ready");
    }
    return later;
}

static void begin(struct scenario *s)
{
    draw_faults(s);
    for (size_t i = 0; i < s->config->store_count; i++) {
        s->stores[i].fake = disk_fake_new();
        s->disks[i] = disk_fake_disk(s->stores[i].fake);
    }
    const struct federation_config config = {
        .seed = s->config->seed,
        .memtable_bytes = MEMTABLE_BYTES,
        .disks = s->disks,
        .store_count = s->config->store_count,
        .receipt_count = s->config->receipt_count,
        .tolerated_count = s->config->tolerated_count,
        .log = s->config->log,
        .faults = {.delay_us = SCENARIO_CALM_DELAY_US},
        .on_event = on_event,
        .context = s,
    };
    s->federation = federation_new(&config);
    for (size_t i = 0; i < ACTS; i++) {
        s->randoms[i] = stream(&s->seeds[i], s->config->seed, i);
        s->random = &s->randoms[i];
        s->states[i] = acts[i]->begin == NULL ? NULL : acts[i]->begin(s);
    }
}

static void stop(struct scenario *s)
{
    for (size_t i = 0; i < ACTS; i++) {
        if (acts[i]->stop != NULL) {
            acts[i]->stop(s, state_of(s, i));
        }
    }
}

/* P3. */
static void audit(struct scenario *s)
{
    char reason[CHECKER_REASON_BYTES];
    struct checker_store stores[FEDERATION_STORES_MAX] = {{.heads = NULL}};
    for (size_t i = 0; i < s->config->store_count; i++) {
        if (!checker_store_walk(&stores[i], &s->disks[i], federation_genesis(s->federation),
                                reason)) {
            scenario_fail(s, "%s", reason);
        }
    }
    checker_store_agree(&s->held, stores, s->config->store_count, s->config->receipt_count);
    for (size_t i = 0; i < s->config->store_count; i++) {
        checker_store_release(&stores[i]);
    }
}

static void judge(struct scenario *s)
{
    size_t later = start_later(s);
    audit(s);
    for (size_t i = 0; i < ACTS && !s->result->has_failed; i++) {
        if (acts[i]->judge != NULL) {
            acts[i]->judge(s, state_of(s, i), later);
        }
    }
}

static void end(struct scenario *s)
{
    s->result->time_us = federation_now_us(s->federation);
    for (size_t i = 0; i < ACTS; i++) {
        if (acts[i]->end != NULL) {
            acts[i]->end(s, state_of(s, i));
        }
    }
    checker_store_release(&s->held);
    federation_free(s->federation);
    for (size_t i = 0; i < s->config->store_count; i++) {
        disk_fake_free(s->stores[i].fake);
    }
}

void scenario_run(const struct scenario_config *config, struct scenario_result *result)
{
    CHECK(config->worker_count > 0 && config->worker_count <= SCENARIO_WORKERS_MAX);
    CHECK(config->store_count > 0 && config->store_count <= FEDERATION_STORES_MAX);
    CHECK(config->receipt_count > 0 && config->receipt_count <= config->store_count);
    CHECK(config->tolerated_count < config->receipt_count);
    struct scenario *s = calloc(1, sizeof *s);
    CHECK(s != NULL);
    struct random_seeded crash_seed, time_seed;
    struct random crashes = stream(&crash_seed, config->seed, CRASH_STREAM);
    struct random times = stream(&time_seed, config->seed, TIME_STREAM);
    s->config = config;
    s->result = result;
    *result = (struct scenario_result){.trace_digest = config->seed};
    begin(s);
    live(s, &crashes, &times);
    stop(s);
    if (!result->has_failed) {
        settle(s, &crashes);
    }
    if (!result->has_failed) {
        judge(s);
    }
    end(s);
    free(s);
}
