/* sim/act_lock.c */

/*
 * Clients increment counters under locks, at any worker that is ready. Some wait in vain, some
 * throw, some go away before they are told. Before it asks, each leaves a note; who holds a lock
 * must find the note of the holder before, and the note that one had found. P7, and P9 for locks.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "scl/scl_lock.h"
#include "sim/checker_lock.h"
#include "sim/scenario_internal.h"

enum { COUNTERS = 2, CLIENTS = 5, WAIT_STEPS_MAX = 60, HOLD_STEPS_MAX = 4, NONE = 0 };

struct client {
    bool is_busy;
    size_t worker;
    size_t counter;
    struct scl_lock *lock;
    bool is_held;
    bool is_sealed;
    uint64_t steps_left;  // to wait, or to hold
    struct dependency dependency;
    uint64_t number;  // of what it does: its note
    uint64_t found;   // a note that it has found; NONE: none
    struct checker_lock_hold hold;
    bool lacks_block;  // what it would read lies in a store that is down
};

struct locks {
    struct client clients[CLIENTS];
    struct checker_lock_hold *holds;  // that are over
    size_t count;
    size_t room;
    uint64_t numbers;
};

/* Keys of ORACLE_FOREIGN: not in the oracle of puts. */
static void counter_key(size_t counter, char key[ORACLE_TEXT_BYTES])
{
    snprintf(key, ORACLE_TEXT_BYTES, "/counter-%zu", counter);
}

static void note_key(uint64_t number, char key[ORACLE_TEXT_BYTES])
{
    snprintf(key, ORACLE_TEXT_BYTES, "/note-%" PRIu64, number);
}

/* What is there, and whose record it rests on. */
static bool read_key(struct scenario *s, struct client *client, const char *key, char *text,
                     size_t text_bytes)
{
    struct memtable_entry entry;
    enum status status =
        federation_worker_find(s->federation, client->worker, bytes_text(key), &entry);
    client->lacks_block = client->lacks_block || status == STATUS_GAP;
    if (status == STATUS_OK) {
        scl_depend(federation_worker_scl(s->federation, client->worker), &client->dependency,
                   &entry.version);
        snprintf(text, text_bytes, "%.*s", (int)entry.value.length, (const char *)entry.value.at);
    }
    return status == STATUS_OK;
}

static bool has_note(struct scenario *s, struct client *client, uint64_t number)
{
    char key[ORACLE_TEXT_BYTES], text[ORACLE_TEXT_BYTES];
    note_key(number, key);
    return read_key(s, client, key, text, sizeof text);
}

static void finish(struct locks *locks, struct client *client, enum checker_lock_fate fate)
{
    if (client->is_held) {
        client->hold.fate = fate;
        if (locks->count == locks->room) {
            locks->room = locks->room == 0 ? 64 : 2 * locks->room;
            locks->holds = reallocarray(locks->holds, locks->room, sizeof *locks->holds);
            CHECK(locks->holds != NULL);
        }
        locks->holds[locks->count++] = client->hold;
    }
    *client = (struct client){.is_busy = false};
}

static void give_up(struct scenario *s, struct locks *locks, struct client *client)
{
    scl_lock_drop(federation_worker_scl(s->federation, client->worker), &client->lock);
    federation_worker_wake(s->federation, client->worker);
    finish(locks, client, client->is_sealed ? CHECKER_LOCK_UNKNOWN : CHECKER_LOCK_NOTHING);
}

static void begin_one(struct scenario *s, struct locks *locks, struct client *client, size_t place)
{
    char name[ORACLE_TEXT_BYTES], key[ORACLE_TEXT_BYTES];
    *client = (struct client){
        .is_busy = true,
        .worker = s->workers[place],
        .counter = (size_t)scenario_pick(s, COUNTERS),
        .steps_left = 1 + scenario_pick(s, WAIT_STEPS_MAX),
        .number = ++locks->numbers,
    };
    note_key(client->number, key);
    counter_key(client->counter, name);
    if (federation_worker_put(s->federation, client->worker, key, "note", &client->dependency) !=
            STATUS_OK ||
        scl_lock_new(federation_worker_scl(s->federation, client->worker), bytes_text(name),
                     &client->lock) != STATUS_OK) {
        *client = (struct client){.is_busy = false};
        return;
    }
    federation_worker_wake(s->federation, client->worker);
}

/* It holds the lock: read the counter, and what whoever held it before has left. */
static void take(struct scenario *s, struct client *client)
{
    char key[ORACLE_TEXT_BYTES], text[64];
    uint64_t last = NONE, found = NONE;
    counter_key(client->counter, key);
    client->is_held = true;
    client->steps_left = scenario_pick(s, HOLD_STEPS_MAX);
    client->hold = (struct checker_lock_hold){.counter = client->counter,
                                              .fence = scl_lock_fence(client->lock)};
    if (read_key(s, client, key, text, sizeof text) &&
        sscanf(text, "%" SCNu64 ":%" SCNu64 ":%" SCNu64, &client->hold.seen, &last, &found) != 3) {
        scenario_fail(s, "P2: counter %zu is '%s'", client->counter, text);
    }
    bool has_notes = (last == NONE || has_note(s, client, last)) &&
                     (found == NONE || has_note(s, client, found));
    if (!has_notes && !client->lacks_block) {
        scenario_fail(s,
                      "P7: the holder of counter %zu with fence %" PRIx64
                      " lacks what the one before had written or read",
                      client->counter, client->hold.fence);
    }
    client->hold.wrote = client->hold.seen + 1;
}

static void write_one(struct scenario *s, struct client *client)
{
    char key[ORACLE_TEXT_BYTES], text[64];
    struct overlay written = {.count = 0};
    uint64_t noted = 1 + scenario_pick(s, client->number);
    client->found = has_note(s, client, noted) ? noted : NONE;
    counter_key(client->counter, key);
    snprintf(text, sizeof text, "%" PRIu64 ":%" PRIu64 ":%" PRIu64, client->hold.wrote,
             client->number, client->found);
    const struct tuple tuple = {
        .kind = TUPLE_PUT, .key = bytes_text(key), .value = bytes_text(text)};
    CHECK(overlay_put(&written, &tuple) == STATUS_OK);
    scl_lock_seal(client->lock, &written, &client->dependency);
    client->is_sealed = true;
    federation_worker_wake(s->federation, client->worker);
}

static void hear(struct scenario *s, struct locks *locks, struct client *client)
{
    struct scl *scl = federation_worker_scl(s->federation, client->worker);
    enum status fate = scl_lock_fate(client->lock);
    if (fate != STATUS_GAP) {
        scl_lock_drop(scl, &client->lock);
        finish(locks, client, fate == STATUS_OK ? CHECKER_LOCK_COUNTED : CHECKER_LOCK_NOTHING);
    }
}

/* `will_go_on`: until it is told; else it may give up on the way. */
static void advance(struct scenario *s, struct locks *locks, struct client *client, bool will_go_on)
{
    if (!federation_worker_is_alive(s->federation, client->worker)) {
        client->lock = NULL;
        finish(locks, client, client->is_sealed ? CHECKER_LOCK_UNKNOWN : CHECKER_LOCK_NOTHING);
        return;
    }
    bool has_steps = will_go_on || client->steps_left > 0;
    client->steps_left -= client->steps_left > 0;
    if (client->is_sealed) {
        hear(s, locks, client);
        return;
    }
    if (!client->is_held) {
        enum status status =
            scl_lock_poll(federation_worker_scl(s->federation, client->worker), client->lock);
        if (status == STATUS_OK) {
            take(s, client);
            if (client->lacks_block) {
                client->is_held = false;  // it cannot read now, and has done nothing
                give_up(s, locks, client);
            }
        } else if (status != STATUS_GAP || !has_steps) {
            give_up(s, locks, client);
        }
        return;
    }
    if (client->steps_left == 0 || will_go_on) {
        write_one(s, client);
    }
}

static void *begin(struct scenario *s)
{
    (void)s;
    struct locks *locks = calloc(1, sizeof *locks);
    CHECK(locks != NULL);
    return locks;
}

static void step(struct scenario *s, void *state)
{
    struct locks *locks = state;
    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *client = &locks->clients[i];
        size_t place = (size_t)scenario_pick(s, s->config->worker_count);
        bool begins = scenario_has_chance(s, 40), throws = scenario_has_chance(s, 2);
        if (client->is_busy && throws &&
            federation_worker_is_alive(s->federation, client->worker)) {
            give_up(s, locks, client);
        } else if (client->is_busy) {
            advance(s, locks, client, false);
        } else if (begins && scenario_is_ready(s, place)) {
            begin_one(s, locks, client, place);
        }
    }
}

/* Fates are heard as soon as they are told. */
static void watch(struct scenario *s, void *state)
{
    struct locks *locks = state;
    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *client = &locks->clients[i];
        if (client->is_busy && client->is_sealed &&
            federation_worker_is_alive(s->federation, client->worker)) {
            hear(s, locks, client);
        }
    }
}

/* Everybody is told. */
static bool settle(struct scenario *s, void *state)
{
    struct locks *locks = state;
    bool is_settled = true;
    for (size_t i = 0; i < CLIENTS; i++) {
        if (locks->clients[i].is_busy) {
            advance(s, locks, &locks->clients[i], true);
            is_settled = false;
        }
    }
    // Nor is anything on its way that a client did not wait for.
    for (size_t i = 0; i < s->config->worker_count && is_settled; i++) {
        struct scl_counters counters;
        scl_count(federation_worker_scl(s->federation, s->workers[i]), &counters);
        is_settled = counters.locks == 0 && counters.undecided == 0;
    }
    return is_settled;
}

static void judge_map(struct scenario *s, const struct locks *locks,
                      const struct checker_store *store, size_t worker)
{
    for (size_t counter = 0; counter < COUNTERS; counter++) {
        char key[ORACLE_TEXT_BYTES], text[64] = "0";
        uint64_t total = checker_lock_total(locks->holds, locks->count, counter, store);
        counter_key(counter, key);
        enum status status = federation_worker_get(s->federation, worker, key, text, sizeof text);
        if ((status != STATUS_OK && total != 0) || strtoull(text, NULL, 10) != total) {
            scenario_fail(s, "P7: at worker %zu counter %zu is %s; %" PRIu64 " increments count",
                          worker, counter, text, total);
        }
    }
}

static void judge(struct scenario *s, void *state, size_t later)
{
    struct locks *locks = state;
    const struct checker_store *held = scenario_held(s);
    char reason[CHECKER_REASON_BYTES];
    bool is_right = checker_lock_judge(locks->holds, locks->count, COUNTERS, held, reason);
    if (!is_right) {
        scenario_fail(s, "%s", reason);
    }
    judge_map(s, locks, held, later);
    for (size_t i = 0; i < s->config->worker_count; i++) {
        if (federation_worker_is_alive(s->federation, s->workers[i])) {
            judge_map(s, locks, held, s->workers[i]);
        }
    }
}

static void end(struct scenario *s, void *state)
{
    struct locks *locks = state;
    for (size_t i = 0; i < locks->count; i++) {
        s->result->increment_count += locks->holds[i].fate == CHECKER_LOCK_COUNTED;
    }
    free(locks->holds);
    free(locks);
}

const struct scenario_act act_lock = {
    .begin = begin, .step = step, .watch = watch, .settle = settle, .judge = judge, .end = end};
