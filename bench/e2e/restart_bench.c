/* bench/e2e/restart_bench.c */

/*
 * What a restart costs with a history behind it (P9). For each number of records, 10 thousand and
 * 1 million unless given as arguments: a fresh app gets such a past (bench/e2e/history.h) and runs
 * until its compactor has written all of it into tables, as it would have done on the way. Then, in
 * turns with the others, and each time behind TAIL_PUTS new records:
 *
 *     the store       opened by itself, with its files in the page cache
 *     everything      from kill -9 of every process, over 'paranoid up', to the first answer
 *     a worker        from kill -9 to the first answer of the next one
 *     a leader        from kill -9 to an answer of the worker that the new one has admitted
 *
 * with the real programs (PARANOID_BIN, default: build/bin) on this machine. At the end, the
 * figures that issue and README promise: the longest history's worker against the shortest one's,
 * and the longest history's restart of everything.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "bench/e2e/history.h"
#include "bench/e2e/running.h"
#include "crypto/crypto.h"
#include "host/home.h"
#include "store/store.h"

enum { RUNS = 7, APPS_MAX = 8, TAIL_PUTS = 100, TABLES_MS_MAX = 240 * 1000 };

struct measured {
    struct running app;
    uint64_t record_count;
    char path[64];
    double store[RUNS];
    double everything[RUNS];
    double worker[RUNS];
    double leader[RUNS];
};

static double ms_since(double begun_us)
{
    return (running_now_us() - begun_us) / 1e3;
}

/* ---- the past ---- */

static void await_tables(const struct measured *measured)
{
    double begun_us = running_now_us();
    while (running_worker_metric(&measured->app, "table_floor") < measured->record_count) {
        if (ms_since(begun_us) > TABLES_MS_MAX) {
            fprintf(stderr, "bench: the compactor has not written the history into tables\n");
            running_kill((struct running *)&measured->app);
            exit(3);
        }
        running_pause_us(50 * 1000);
    }
}

static void prepare(struct measured *measured, uint64_t record_count)
{
    *measured = (struct measured){.record_count = record_count};
    running_init(&measured->app);
    double begun_us = running_now_us();
    history_write(measured->app.app, record_count);
    printf("%" PRIu64 " records, written in %.1f s", record_count, ms_since(begun_us) / 1e3);
    fflush(stdout);
    snprintf(measured->path, sizeof measured->path, "/kv/k%" PRIu64, record_count / 2);
    begun_us = running_now_us();
    running_up(&measured->app);
    running_await(&measured->app, "GET", measured->path);
    await_tables(measured);
    printf(", read and compacted in %.1f s\n", ms_since(begun_us) / 1e3);
    fflush(stdout);
    running_kill(&measured->app);
}

/* ---- one turn ---- */

static double store_ms(const struct running *app)
{
    char state[RUNNING_PATH_BYTES], path[HOME_PATH_BYTES_MAX], error[HOST_ERROR_BYTES_MAX];
    struct home home = HOME_NONE;
    struct disk_posix *posix;
    struct disk disk;
    struct store *store;
    snprintf(state, sizeof state, "%s/host", app->app);
    CHECK(home_open(&home, state, error) == STATUS_OK);
    CHECK(home_path(path, state, "capsule") == STATUS_OK);
    CHECK(disk_posix_open(&posix, &disk, path) == STATUS_OK);
    const struct store_config config = {
        .disk = &disk, .genesis = buffer_bytes(&home.genesis), .key = home.places->key};
    double begun_us = running_now_us();
    CHECK(store_open(&store, &config) == STATUS_OK);
    double ms = ms_since(begun_us);
    store_close(store);
    disk_posix_close(posix);
    home_close(&home);
    return ms;
}

static void put_tail(const struct measured *measured)
{
    struct client *client = running_connect(&measured->app);
    CHECK(client != NULL);
    for (int i = 0; i < TAIL_PUTS; i++) {
        CHECK(running_ask(&measured->app, client, "PUT", "/kv/tail", "a value") / 100 == 2);
    }
    client_close(client);
}

static double everything_ms(struct measured *measured)
{
    double begun_us = running_now_us();
    running_kill(&measured->app);
    running_up(&measured->app);
    running_await(&measured->app, "GET", measured->path);
    return ms_since(begun_us);
}

/* From kill -9 of the one that has `role` to an answer of a worker that is not the old one. */
static double after_death_ms(const struct measured *measured, const char *role)
{
    pid_t victim = running_pid(&measured->app, role);
    pid_t worker = running_pid(&measured->app, "worker");
    CHECK(victim > 0 && worker > 0);
    double begun_us = running_now_us();
    kill(victim, SIGKILL);
    for (pid_t next = worker; next == 0 || next == worker;
         next = running_pid(&measured->app, "worker")) {
        running_pause_us(2000);
    }
    running_await(&measured->app, "GET", measured->path);
    return ms_since(begun_us);
}

static void take_turn(struct measured *measured, size_t run)
{
    measured->store[run] = store_ms(&measured->app);
    running_up(&measured->app);
    running_await(&measured->app, "GET", measured->path);
    put_tail(measured);
    measured->everything[run] = everything_ms(measured);
    put_tail(measured);
    measured->worker[run] = after_death_ms(measured, "worker");
    measured->leader[run] = after_death_ms(measured, "leader");
    running_kill(&measured->app);
}

/* ---- what comes of it ---- */

static void report(struct measured *measured)
{
    printf("%" PRIu64 " records\n", measured->record_count);
    running_print("  store: open", measured->store, RUNS, "ms");
    running_print("  everything: to the first answer", measured->everything, RUNS, "ms");
    running_print("  worker: to the next's answer", measured->worker, RUNS, "ms");
    running_print("  leader: to the next answer", measured->leader, RUNS, "ms");
}

static void conclude(const struct measured *least, const struct measured *most)
{
    printf(
        "a worker's restart, %" PRIu64 " records against %" PRIu64 ": %.2f times (at most 1.5)\n",
        most->record_count, least->record_count, most->worker[RUNS / 2] / least->worker[RUNS / 2]);
    printf("everything, %" PRIu64 " records: %.2f s to the first answer (at most 2)\n",
           most->record_count, most->everything[RUNS / 2] / 1e3);
}

int main(int count, char **arguments)
{
    static struct measured measured[APPS_MAX];
    size_t app_count = 2;
    signal(SIGPIPE, SIG_IGN);
    crypto_init();
    if (count == 1) {
        prepare(&measured[0], 10 * 1000);
        prepare(&measured[1], 1000 * 1000);
    } else {
        for (app_count = 0; app_count + 1 < (size_t)count && app_count < APPS_MAX; app_count++) {
            prepare(&measured[app_count], strtoull(arguments[app_count + 1], NULL, 10));
        }
    }
    for (size_t run = 0; run < RUNS; run++) {
        for (size_t i = 0; i < app_count; i++) {
            take_turn(&measured[i], run);
        }
    }
    for (size_t i = 0; i < app_count; i++) {
        report(&measured[i]);
        running_release(&measured[i].app);
    }
    conclude(&measured[0], &measured[app_count - 1]);
    return 0;
}
