/* sim/scenario.c */
#include "sim/scenario.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/random.h"
#include "sim/checker_map.h"
#include "sim/checker_session.h"
#include "sim/disk_fake.h"
#include "sim/oracle.h"

enum {
    STEP_MS_MAX = 40,
    PUTS_PER_STEP_MAX = 4,
    HOT_KEYS = 4,
    POWER_OFF_OPERATIONS = 20,       // the power goes off in one of the next so many
    SPARE_DISK_BYTES = 2 << 10,      // what a full disk still has
    LEAP_US_MAX = 20 * 1000 * 1000,  // of a clock
    SKEW_MS_MAX = 3600 * 1000,
    DRIFT_PERMILLE_MAX = 100,
    // P9. A join that was lost is given up after 15 s, a takeover after 10 s; each may happen
    // twice: once begun under the faults, once because another ended meanwhile.
    BOUND_US = 60 * 1000 * 1000,
    POLL_US = 20 * 1000,
};

/* Which troubles this seed has. */
struct troubles {
    struct network_faults faults;  // when they are on
    bool has_partitions;
    bool has_worker_kills;
    bool has_leader_kills;
    bool has_store_kills;
    bool has_power_cuts;
    bool has_full_disk;
    bool has_bad_clocks;
};

struct scenario {
    const struct scenario_config *config;
    struct scenario_result *result;
    struct random_seeded seeded;
    struct random random;  // apart from the federation's own
    struct troubles troubles;
    struct disk_fake *fake;
    struct disk disk;
    bool is_disk_full;
    struct federation *federation;
    struct oracle oracle;
    size_t first_pending;              // no put before it is still to be asked for
    struct checker_session *sessions;  // by worker
    size_t workers[SCENARIO_WORKERS_MAX];
    size_t started_count;  // of those places
    size_t life_count;     // of all workers ever
};

static uint64_t pick(struct scenario *s, uint64_t below)
{
    uint64_t word;
    random_fill(&s->random, &word, sizeof word);
    return word % below;
}

static bool has_chance(struct scenario *s, uint64_t percent)
{
    return pick(s, 100) < percent;
}

/* The first failure stands. */
static void fail(struct scenario *s, const char *reason)
{
    if (!s->result->has_failed) {
        s->result->has_failed = true;
        snprintf(s->result->reason, sizeof s->result->reason, "%s", reason);
    }
}

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

/* ---- the seed's choice ---- */

static void draw_troubles(struct scenario *s)
{
    static const uint64_t delays_us[] = {500, 5000, 20000, 100000};
    struct troubles *troubles = &s->troubles;
    struct network_faults *faults = &troubles->faults;
    faults->delay_us = delays_us[pick(s, sizeof delays_us / sizeof *delays_us)];
    faults->drop_percent = has_chance(s, 50) ? (unsigned)pick(s, 31) : 0;
    faults->duplicate_percent = has_chance(s, 50) ? (unsigned)pick(s, 16) : 0;
    faults->corrupt_percent = has_chance(s, 50) ? (unsigned)pick(s, 8) : 0;
    faults->replay_percent = has_chance(s, 50) ? (unsigned)pick(s, 11) : 0;
    troubles->has_partitions = has_chance(s, 50);
    troubles->has_worker_kills = has_chance(s, 50);
    troubles->has_leader_kills = has_chance(s, 50);
    troubles->has_store_kills = has_chance(s, 50);
    troubles->has_power_cuts = has_chance(s, 50);
    troubles->has_full_disk = has_chance(s, 30);
    troubles->has_bad_clocks = has_chance(s, 50);
}

/* ---- what a host does: start again whatever ended ---- */

static void start_store(struct scenario *s)
{
    char reason[CHECKER_REASON_BYTES];
    disk_fake_crash(s->fake, &s->random);
    enum status status = federation_start_store(s->federation);
    bool is_excused = status == STATUS_NO_SPACE && s->is_disk_full;
    if (status != STATUS_OK && status != STATUS_IO && !is_excused) {
        snprintf(reason, sizeof reason, "P9: after a crash the store is %s", status_text(status));
        fail(s, reason);
    }
    if (status != STATUS_OK) {
        federation_kill_store(s->federation);
    }
}

static void tend(struct scenario *s)
{
    struct federation *federation = s->federation;
    if (!federation_has_store(federation)) {
        start_store(s);
    }
    if (!federation_has_leader(federation)) {
        federation_start_leader(federation);
    }
    for (size_t i = 0; i < s->config->worker_count && federation_is_leading(federation); i++) {
        bool is_missing = i >= s->started_count || !federation_is_alive(federation, s->workers[i]);
        if (is_missing && s->life_count < FEDERATION_WORKERS_MAX) {
            s->workers[i] = federation_start_worker(federation);
            s->started_count = s->started_count > i ? s->started_count : i + 1;
            s->life_count++;
        }
    }
}

static bool is_ready(const struct scenario *s, size_t i)
{
    return i < s->started_count && federation_is_alive(s->federation, s->workers[i]) &&
           federation_is_ready(s->federation, s->workers[i]);
}

static bool is_whole(const struct scenario *s)
{
    bool is_whole = federation_is_leading(s->federation) && federation_has_store(s->federation);
    for (size_t i = 0; i < s->config->worker_count; i++) {
        is_whole = is_whole && is_ready(s, i);
    }
    return is_whole;
}

/* ---- the workload, as the oracle sees it ---- */

static void put(struct scenario *s, size_t worker, const char *key, bool is_delete)
{
    char reason[CHECKER_REASON_BYTES];
    struct memtable_entry entry;
    struct oracle_put made = {.is_delete = is_delete, .worker = worker};
    snprintf(made.key, sizeof made.key, "%s", key);
    snprintf(made.value, sizeof made.value, "%zu", s->oracle.count);
    enum status status =
        federation_put(s->federation, worker, key, is_delete ? NULL : made.value, &made.dependency);
    if (status != STATUS_OK) {
        // Full for now, or closed and about to end.
        return;
    }
    made.writer = federation_worker_id(s->federation, worker);
    made.sequence = made.dependency.own_sequence;
    struct memtable_reader *reader = federation_reader(s->federation, worker);
    memtable_reader_begin(reader);
    bool is_own = memtable_get(reader, bytes_text(key), &entry) == STATUS_OK &&
                  entry.is_tombstone == is_delete &&
                  (is_delete || bytes_equal(entry.value, bytes_text(made.value)));
    made.lamport = is_own ? entry.version.lamport : 0;
    memtable_reader_end(reader);
    if (!is_own) {
        snprintf(reason, sizeof reason, "P6: worker %zu does not read what it has just written",
                 worker);
        fail(s, reason);
    }
    oracle_add(&s->oracle, &made);
}

static void put_some(struct scenario *s)
{
    char key[ORACLE_TEXT_BYTES];
    for (uint64_t i = pick(s, PUTS_PER_STEP_MAX); i > 0; i--) {
        size_t place = (size_t)pick(s, s->config->worker_count);
        if (!is_ready(s, place)) {
            continue;
        }
        snprintf(key, sizeof key, "key-%zu", s->oracle.count);
        put(s, s->workers[place], key, false);
        snprintf(key, sizeof key, "hot-%d", (int)pick(s, HOT_KEYS));
        put(s, s->workers[place], key, has_chance(s, 25));
    }
}

/* ---- checks on the way ---- */

static void watch_puts(struct scenario *s)
{
    char reason[CHECKER_REASON_BYTES];
    bool is_pending = false;
    for (size_t i = s->first_pending; i < s->oracle.count; i++) {
        struct oracle_put *made = &s->oracle.puts[i];
        if (made->is_durable || !federation_is_alive(s->federation, made->worker)) {
            s->first_pending = is_pending ? s->first_pending : i + 1;
            continue;
        }
        is_pending = true;
        if (!checker_session_judge_put(made, federation_reader(s->federation, made->worker),
                                       reason)) {
            fail(s, reason);
        }
        made->is_durable = federation_is_durable(s->federation, made->worker, &made->dependency);
    }
}

static void watch_sessions(struct scenario *s)
{
    char reason[CHECKER_REASON_BYTES];
    for (size_t i = 0; i < s->config->worker_count; i++) {
        size_t worker = s->workers[i];
        if (is_ready(s, i) &&
            !checker_session_judge(&s->sessions[worker], federation_scl(s->federation, worker),
                                   worker, reason)) {
            fail(s, reason);
        }
    }
    if (federation_has_false_alarm(s->federation)) {
        fail(s, "P8: a leader told the owner of a rollback, and there was none");
    }
}

static void run(struct scenario *s, uint64_t us)
{
    federation_run(s->federation, us, NULL, NULL);
    watch_puts(s);
    watch_sessions(s);
}

/* ---- troubles ---- */

static void kill_some(struct scenario *s)
{
    const struct troubles *troubles = &s->troubles;
    size_t victim = (size_t)pick(s, s->config->worker_count);
    if (troubles->has_worker_kills && has_chance(s, 5) && victim < s->started_count) {
        federation_kill_worker(s->federation, s->workers[victim]);
    }
    if (troubles->has_leader_kills && has_chance(s, 3)) {
        federation_kill_leader(s->federation);
    }
    if (troubles->has_store_kills && has_chance(s, 4) && federation_has_store(s->federation)) {
        federation_kill_store(s->federation);
    }
    if (troubles->has_power_cuts && has_chance(s, 4)) {
        disk_fake_power_off(s->fake, 1 + pick(s, POWER_OFF_OPERATIONS));
    }
}

static int draw_drift(struct scenario *s)
{
    return (int)pick(s, 2 * DRIFT_PERMILLE_MAX + 1) - DRIFT_PERMILLE_MAX;
}

static void bend_clocks(struct scenario *s)
{
    if (!s->troubles.has_bad_clocks || !has_chance(s, 10)) {
        return;
    }
    size_t victim = (size_t)pick(s, s->config->worker_count + 1);
    int drift_permille = draw_drift(s);
    uint64_t leap_us = has_chance(s, 20) ? pick(s, LEAP_US_MAX) : 0;
    if (victim == s->config->worker_count) {
        federation_adjust_leader_clock(s->federation, drift_permille, leap_us,
                                       (int64_t)pick(s, 2 * SKEW_MS_MAX) - SKEW_MS_MAX);
    } else if (victim < s->started_count) {
        federation_adjust_clock(s->federation, s->workers[victim], drift_permille, leap_us);
    }
}

static void change_disk_and_network(struct scenario *s)
{
    const struct troubles *troubles = &s->troubles;
    static const struct network_faults none = {.delay_us = 500};
    if (has_chance(s, 15)) {
        federation_disturb(s->federation, has_chance(s, 70) ? &troubles->faults : &none);
    }
    if (troubles->has_partitions && has_chance(s, 10)) {
        federation_divide(s->federation, has_chance(s, 50) ? pick(s, UINT64_MAX) : 0);
    }
    if (troubles->has_full_disk && has_chance(s, 8)) {
        s->is_disk_full = has_chance(s, 50);
        disk_fake_limit(s->fake, s->is_disk_full
                                     ? disk_fake_used(s->fake) + pick(s, SPARE_DISK_BYTES)
                                     : UINT64_MAX);
    }
}

static void stop_troubles(struct scenario *s)
{
    federation_disturb(s->federation, &(struct network_faults){.delay_us = 500});
    federation_divide(s->federation, 0);
    disk_fake_power_off(s->fake, 0);
    disk_fake_limit(s->fake, UINT64_MAX);
    s->is_disk_full = false;
    federation_adjust_leader_clock(s->federation, 0, 0, 0);
    for (size_t i = 0; i < s->started_count; i++) {
        federation_adjust_clock(s->federation, s->workers[i], 0, 0);
    }
}

/* ---- the end ---- */

/* All ready, the last put at each durable there, and all equal. `lasts`: those puts' workers. */
static bool is_settled(struct scenario *s, const size_t *lasts)
{
    for (size_t i = 0; i < s->config->worker_count; i++) {
        if (lasts[i] != s->workers[i]) {
            return false;
        }
    }
    for (size_t i = s->first_pending; i < s->oracle.count; i++) {
        const struct oracle_put *made = &s->oracle.puts[i];
        if (!made->is_durable && federation_is_alive(s->federation, made->worker)) {
            return false;
        }
    }
    for (size_t i = 1; i < s->config->worker_count; i++) {
        if (!federation_are_equal(s->federation, s->workers[0], s->workers[i])) {
            return false;
        }
    }
    return true;
}

static void settle(struct scenario *s)
{
    size_t lasts[SCENARIO_WORKERS_MAX];
    char reason[CHECKER_REASON_BYTES];
    memset(lasts, 0xff, sizeof lasts);
    uint64_t begun_us = federation_now_us(s->federation);
    do {
        if (federation_now_us(s->federation) > begun_us + BOUND_US) {
            snprintf(reason, sizeof reason, "P9: %d s after the last fault %s", BOUND_US / 1000000,
                     is_whole(s) ? "the workers still differ, or their puts are not durable"
                                 : "not all are ready");
            fail(s, reason);
            return;
        }
        tend(s);
        run(s, POLL_US);
        for (size_t i = 0; i < s->config->worker_count && is_whole(s); i++) {
            if (lasts[i] != s->workers[i]) {
                lasts[i] = s->workers[i];
                put(s, s->workers[i], "last", false);
            }
        }
    } while (!is_whole(s) || !is_settled(s, lasts));
}

/* A worker that comes later finds everything. Returns its index. */
static size_t start_later(struct scenario *s)
{
    size_t later = federation_start_worker(s->federation);
    for (uint64_t us = 0; us < BOUND_US && federation_is_alive(s->federation, later) &&
                          !federation_is_ready(s->federation, later);
         us += POLL_US) {
        federation_run(s->federation, POLL_US, NULL, NULL);
    }
    if (!federation_is_alive(s->federation, later) || !federation_is_ready(s->federation, later)) {
        fail(s, "P9: a later worker does not become ready");
    }
    return later;
}

/* Who has ended may take a while to be closed; until then a token that names it is not reached. */
struct tokens {
    const struct scenario *scenario;
    size_t worker;
    char *reason;
};

static bool are_reached(struct federation *federation, void *context)
{
    const struct tokens *tokens = context;
    const struct scenario *s = tokens->scenario;
    if (!federation_is_alive(federation, tokens->worker)) {
        return true;
    }
    for (size_t i = 0; i < s->life_count; i++) {
        if (!checker_session_judge_end(&s->sessions[i], federation_scl(federation, tokens->worker),
                                       tokens->worker, tokens->reason)) {
            return false;
        }
    }
    return true;
}

static void judge(struct scenario *s)
{
    struct checker_store store = {.heads = NULL};
    char reason[CHECKER_REASON_BYTES];
    struct federation *federation = s->federation;
    size_t later = start_later(s);
    struct tokens tokens = {.scenario = s, .worker = later, .reason = reason};
    if (s->result->has_failed) {
        return;
    }
    bool is_right = federation_run(federation, BOUND_US, are_reached, &tokens);
    if (!federation_is_alive(federation, later)) {
        fail(s, "P9: a later worker ends by itself");
        return;
    }
    is_right =
        is_right && checker_store_walk(&store, &s->disk, federation_genesis(federation), reason) &&
        checker_map_judge_durable(&s->oracle, &store, reason) &&
        checker_map_judge(&s->oracle, &store, federation_reader(federation, later), later, reason);
    for (size_t i = 0; i < s->config->worker_count && is_right; i++) {
        size_t worker = s->workers[i];
        // One that was absent too long under the faults may have been closed only now.
        is_right = !federation_is_alive(federation, worker) ||
                   checker_map_judge(&s->oracle, &store, federation_reader(federation, worker),
                                     worker, reason);
    }
    if (!is_right) {
        fail(s, reason);
    }
    checker_store_release(&store);
}

static void begin(struct scenario *s)
{
    s->random = random_seeded(&s->seeded, s->config->seed ^ 0x5ce4a210);
    draw_troubles(s);
    s->fake = disk_fake_new();
    s->disk = disk_fake_disk(s->fake);
    s->sessions = calloc(FEDERATION_WORKERS_MAX, sizeof *s->sessions);
    CHECK(s->sessions != NULL);
    const struct federation_config config = {
        .seed = s->config->seed,
        .disk = &s->disk,
        .log = s->config->log,
        .faults = {.delay_us = 500},
        .on_event = on_event,
        .context = s,
    };
    s->federation = federation_new(&config);
}

void scenario_run(const struct scenario_config *config, struct scenario_result *result)
{
    CHECK(config->worker_count > 0 && config->worker_count <= SCENARIO_WORKERS_MAX);
    struct scenario s = {.config = config, .result = result};
    *result = (struct scenario_result){.trace_digest = config->seed};
    begin(&s);
    for (uint64_t i = 0; i < config->step_count && !result->has_failed; i++) {
        kill_some(&s);
        change_disk_and_network(&s);
        bend_clocks(&s);
        if (has_chance(&s, 70)) {
            tend(&s);
        }
        put_some(&s);
        run(&s, 1000 * (1 + pick(&s, STEP_MS_MAX)));
    }
    stop_troubles(&s);
    if (!result->has_failed) {
        settle(&s);
    }
    if (!result->has_failed) {
        judge(&s);
    }
    result->put_count = s.oracle.count;
    for (size_t i = 0; i < s.oracle.count; i++) {
        result->durable_count += s.oracle.puts[i].is_durable;
    }
    result->time_us = federation_now_us(s.federation);
    federation_free(s.federation);
    disk_fake_free(s.fake);
    oracle_release(&s.oracle);
    free(s.sessions);
}
