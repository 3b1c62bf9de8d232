/* bench/e2e/restart_bench.c */

/*
 * What a restart costs with a history behind it (P9). For each number of records, 10 thousand and
 * 1 million unless given as arguments: a fresh app gets such a past (bench/e2e/history.h), and then
 *
 *     the store       opened by itself, with its files in the page cache
 *     everything      from the start of 'paranoid up' to the first answer of a worker
 *     a leader        from its end to an answer of the worker that the new one has admitted
 *     a worker        from its end to the first answer of the next one
 *
 * with the real programs (PARANOID_BIN, default: build/bin) on this machine.
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

enum { RUNS = 3 };

static double store_ms(const struct running *app)
{
    char state[RUNNING_PATH_BYTES], path[HOME_PATH_BYTES_MAX], error[HOST_ERROR_BYTES_MAX];
    struct home home = HOME_NONE;
    struct disk_posix *posix;
    struct disk disk;
    struct store *store;
    snprintf(state, sizeof state, "%s/host", app->app);
    CHECK(home_open(&home, state, error) == STATUS_OK);
    CHECK(home_path(path, state, HOST_FILE_CAPSULE) == STATUS_OK);
    CHECK(disk_posix_open(&posix, &disk, path) == STATUS_OK);
    const struct store_config config = {
        .disk = &disk, .genesis = buffer_bytes(&home.genesis), .key = home.store_keys[0]};
    double begun_us = running_now_us();
    CHECK(store_open(&store, &config) == STATUS_OK);
    double ms = (running_now_us() - begun_us) / 1e3;
    store_close(store);
    disk_posix_close(posix);
    home_close(&home);
    return ms;
}

static double everything_ms(struct running *app, const char *path)
{
    double begun_us = running_now_us();
    running_up(app);
    running_await(app, "GET", path);
    return (running_now_us() - begun_us) / 1e3;
}

/* From kill -9 of the one that has `role` to an answer of a worker that is not the old one. */
static double after_death_ms(const struct running *app, const char *role, const char *path)
{
    pid_t victim = running_pid(app, role);
    pid_t worker = running_pid(app, "worker");
    CHECK(victim > 0 && worker > 0);
    double begun_us = running_now_us();
    kill(victim, SIGKILL);
    for (pid_t next = worker; next == 0 || next == worker; next = running_pid(app, "worker")) {
        running_pause_us(2000);
    }
    running_await(app, "GET", path);
    return (running_now_us() - begun_us) / 1e3;
}

static void measure(uint64_t record_count)
{
    struct running app;
    double store[RUNS], everything[RUNS], leader[RUNS], worker[RUNS];
    char path[64];
    running_init(&app);
    double begun_us = running_now_us();
    history_write(app.app, record_count);
    printf("%" PRIu64 " records, written in %.1f s\n", record_count,
           (running_now_us() - begun_us) / 1e6);
    snprintf(path, sizeof path, "/kv/k%" PRIu64, record_count / 2);
    for (size_t i = 0; i < RUNS; i++) {
        store[i] = store_ms(&app);
        everything[i] = everything_ms(&app, path);
        worker[i] = after_death_ms(&app, "worker", path);
        leader[i] = after_death_ms(&app, "leader", path);
        running_down(&app);
    }
    running_print("  store: open", store, RUNS, "ms");
    running_print("  everything: to the first answer", everything, RUNS, "ms");
    running_print("  leader: to the next answer", leader, RUNS, "ms");
    running_print("  worker: to the next's answer", worker, RUNS, "ms");
    fflush(stdout);
    running_release(&app);
}

int main(int count, char **arguments)
{
    signal(SIGPIPE, SIG_IGN);
    crypto_init();
    if (count == 1) {
        measure(10 * 1000);
        measure(1000 * 1000);
    }
    for (int i = 1; i < count; i++) {
        measure(strtoull(arguments[i], NULL, 10));
    }
    return 0;
}
