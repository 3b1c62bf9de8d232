/* tests/host/depot_test.c */

/*
 * Goal: stores, each a process, take what they are given, answer who asked, and have everything on
 * disk when they are closed; one that is killed, stopped, damaged or has lost its disk
 * holds up neither the others nor the loop, and is started again.
 * Method: a depot over three real stores, in a loop that the test turns until the answers are
 * there; signals, and hands on the stores' files.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "host/depot.h"
#include "store/disk.h"
#include "store/store.h"
#include "tests/support/capsule_world.h"
#include "tests/support/scratch.h"
#include "wire/frame.h"

enum { CLIENT = 42, STORES = 3, NEWCOMERS = 40, PATH_BYTES = 512 };

struct fixture {
    const char *directory;
    char places[STORES][PATH_BYTES];
    char program[PATH_BYTES];
    struct capsule_world world;
    struct capsule_world_writer *worker;
    uv_loop_t loop;
    struct depot *depot;
    pthread_t thread;  // of the loop
    uint64_t receipt_counts[STORES];
    uint64_t record_frame_count;
    uint64_t fetched_count;
    uint64_t refused_count;
    bool is_epoch_awaited;  // a store that is being refilled has said so
    uint32_t failed_count;
    uint32_t failed_index;
    enum status failed_status;
    struct stores sets;
    struct buffer word;                     // the owner's on them; empty: the GENESIS's count
    struct sign_key *newcomers[NEWCOMERS];  // keys
};

static void on_answer(void *context, uint64_t client, struct bytes bytes)
{
    struct fixture *f = context;
    struct frame frame;
    CHECK(pthread_equal(pthread_self(), f->thread));
    CHECK(client == CLIENT);
    CHECK(frame_decode(&frame, bytes) == STATUS_OK);
    f->record_frame_count += frame.kind == FRAME_RECORD;
    f->fetched_count += frame.kind == FRAME_FETCHED;
    f->refused_count += frame.kind == FRAME_REFUSED;
}

static void on_broadcast(void *context, struct bytes bytes)
{
    struct fixture *f = context;
    struct frame frame;
    CHECK(pthread_equal(pthread_self(), f->thread));
    CHECK(frame_decode(&frame, bytes) == STATUS_OK);
    f->is_epoch_awaited = f->is_epoch_awaited || frame.kind == FRAME_RECALLED;
    for (uint32_t i = 0; i < STORES; i++) {
        const struct verify_key key = sign_key_public(f->world.store_keys[i]);
        struct writer_id id = writer_store_id_of(&key);
        f->receipt_counts[i] += frame.kind == FRAME_RECEIPT && writer_id_equal(&id, &frame.peer);
    }
}

static void on_failed(void *context, uint32_t index, enum status status, const char *why)
{
    struct fixture *f = context;
    CHECK(status != STATUS_DAMAGED || strstr(why, "file=segment-00000001") != NULL);
    f->failed_count++;
    f->failed_index = index;
    f->failed_status = status;
}

static struct depot_config config_of(struct fixture *f, uint32_t first, uint32_t count)
{
    struct depot_config config = {
        .loop = &f->loop,
        .program = f->program,
        .count = count,
        .genesis = buffer_bytes(&f->world.genesis_body),
        .stores = buffer_bytes(&f->word),
        .sets = &f->sets,
        .events = {.answer = on_answer,
                   .broadcast = on_broadcast,
                   .failed = on_failed,
                   .context = f},
    };
    for (uint32_t i = first; i < first + count; i++) {
        config.places[i - first] = (struct depot_place){.name = f->world.genesis.stores[i].name,
                                                        .directory = f->places[i],
                                                        .key = f->world.store_keys[i]};
    }
    return config;
}

static void open_depot(struct fixture *f)
{
    const struct depot_config config = config_of(f, 0, STORES);
    CHECK(depot_open(&f->depot, &config) == STATUS_OK);
}

static int setup(void **state)
{
    static struct fixture f;
    static char directory[SCRATCH_PATH_BYTES];
    f = (struct fixture){.directory = directory, .thread = pthread_self()};
    scratch_make(directory, "depot");
    CHECK(getenv("PARANOID_BIN") != NULL);
    (void)snprintf(f.program, sizeof f.program, "%s/paranoid-store", getenv("PARANOID_BIN"));
    for (int i = 0; i < STORES; i++) {
        (void)snprintf(f.places[i], sizeof f.places[i], "%s/%d", directory, i);
    }
    capsule_world_init(&f.world, 7, STORES, 2, 0);
    stores_of_genesis(&f.sets, &f.world.genesis);
    capsule_world_start(&f.world);
    f.worker = capsule_world_admit(&f.world, MEMBER_WORKER);
    for (int i = 0; i < 50; i++) {
        capsule_world_put(&f.world, f.worker, "key", "value");
    }
    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    CHECK(uv_loop_init(&f.loop) == 0);
    open_depot(&f);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    depot_close(f->depot);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&f->loop) == 0);
    for (int i = 0; i < NEWCOMERS; i++) {
        sign_key_free(f->newcomers[i]);
    }
    buffer_release(&f->word);
    capsule_world_release(&f->world);
    scratch_remove(f->directory);
    return 0;
}

static void put(struct fixture *f, enum frame_kind kind, struct bytes body)
{
    const struct writer_id nobody = {.bytes = {0}};
    struct buffer frame = BUFFER_EMPTY;
    CHECK(frame_encode(&frame, kind, 3, &nobody, body) == STATUS_OK);
    assert_int_equal(depot_put(f->depot, CLIENT, buffer_bytes(&frame)), STATUS_OK);
    buffer_release(&frame);
}

static void put_records(struct fixture *f, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        put(f, FRAME_RECORD, capsule_world_record(&f->world, i));
    }
}

static void put_all_records(struct fixture *f)
{
    put_records(f, 0, f->world.record_count);
}

static bool has(struct fixture *f, uint32_t index, size_t count)
{
    struct depot_view view = depot_view(f->depot, index);
    return view.is_open && view.counters.store.record_count == count;
}

static bool has_all(struct fixture *f, uint32_t index)
{
    return has(f, index, f->world.record_count);
}

/* At the birth of an app all stores have to be there: afterwards each holds this much. */
static size_t begin(struct fixture *f)
{
    size_t count = f->world.record_count / 2;
    put_records(f, 0, count);
    for (uint32_t i = 0; i < STORES; i++) {
        while (!has(f, i, count)) {
            uv_run(&f->loop, UV_RUN_ONCE);
        }
    }
    return count;
}

static void wait_for_all(struct fixture *f, uint32_t index)
{
    while (!has_all(f, index)) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
}

/* What a leader would see to: epochs, and a writer that joins them. */
static void pass_epochs(struct fixture *f)
{
    size_t before = f->world.record_count;
    capsule_world_sync(&f->world);
    capsule_world_sync(&f->world);
    capsule_world_eoe(&f->world, f->worker);
    put_records(f, before, f->world.record_count);
    f->is_epoch_awaited = false;
}

static void wait_until_whole(struct fixture *f, uint32_t index)
{
    while (!has_all(f, index) || depot_view(f->depot, index).counters.is_refilling) {
        if (f->is_epoch_awaited) {
            pass_epochs(f);
        }
        uv_run(&f->loop, UV_RUN_ONCE);
    }
}

/* One that started late may have been refilled: whole is also who would refill another. */
static void take_all(struct fixture *f)
{
    put_all_records(f);
    for (uint32_t i = 0; i < STORES; i++) {
        wait_until_whole(f, i);
    }
}

/* All has been taken and is on the disks; the stores have ended. */
static void take_all_and_close(struct fixture *f)
{
    take_all(f);
    depot_close(f->depot);
    uv_run(&f->loop, UV_RUN_DEFAULT);
}

static void records_are_receipted_by_each_and_can_be_fetched(void **state)
{
    struct fixture *f = *state;
    take_all(f);
    for (uint32_t i = 0; i < STORES; i++) {
        while (f->receipt_counts[i] == 0) {
            uv_run(&f->loop, UV_RUN_ONCE);
        }
    }
    assert_int_equal(f->refused_count, 0);

    struct buffer body = BUFFER_EMPTY;
    const struct frame_fetch fetch = {.from = 1, .to = UINT64_MAX, .max_bytes = 1 << 20};
    assert_int_equal(frame_fetch_encode(&body, &fetch), STATUS_OK);
    put(f, FRAME_FETCH, buffer_bytes(&body));
    buffer_release(&body);
    while (f->fetched_count == 0) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_int_equal(f->record_frame_count, 1);  // one store answers
    assert_int_equal(f->fetched_count, 1);
}

/* Close, and open again. False: it took so long that a store may have been ended before. */
static bool is_closed_in_time(struct fixture *f)
{
    uint64_t begun_ns = uv_hrtime();
    depot_close(f->depot);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    uint64_t took_ms = (uv_hrtime() - begun_ns) / 1000000;
    open_depot(f);
    return took_ms < DEPOT_STOP_MS;
}

static void p4_what_is_in_the_queue_is_on_disk_after_a_close(void **state)
{
    struct fixture *f = *state;
    put_records(f, begin(f), f->world.record_count);
    while (!is_closed_in_time(f)) {
        take_all(f);
        size_t from = f->world.record_count;
        for (int i = 0; i < 25; i++) {
            capsule_world_put(&f->world, f->worker, "key", "value");
        }
        put_records(f, from, f->world.record_count);
    }
    for (uint32_t i = 0; i < STORES; i++) {
        wait_for_all(f, i);
    }
}

static void p4_one_that_is_stopped_holds_up_nobody_and_catches_up(void **state)
{
    struct fixture *f = *state;
    size_t begun = begin(f);
    pid_t stopped = depot_view(f->depot, 0).pid;
    CHECK(kill(stopped, SIGSTOP) == 0);
    uint64_t receipt_count = f->receipt_counts[0];
    put_records(f, begun, f->world.record_count);
    wait_for_all(f, 1);
    wait_for_all(f, 2);
    assert_int_equal(f->receipt_counts[0], receipt_count);
    CHECK(kill(stopped, SIGCONT) == 0);
    wait_for_all(f, 0);
}

static void p9_one_that_is_killed_is_started_again(void **state)
{
    struct fixture *f = *state;
    put_all_records(f);
    wait_for_all(f, 2);
    pid_t first = depot_view(f->depot, 2).pid;
    CHECK(kill(first, SIGKILL) == 0);
    while (depot_view(f->depot, 2).pid == first) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    wait_for_all(f, 2);
    assert_int_equal(f->failed_count, 0);
}

static void damage(const struct fixture *f, uint32_t index)
{
    char path[PATH_BYTES + 32];
    (void)snprintf(path, sizeof path, "%s/segment-00000001", f->places[index]);
    int fd = open(path, O_RDWR);
    CHECK(fd >= 0);
    CHECK(pwrite(fd, "damage", 6, 600) == 6);
    close(fd);
}

static bool has_aside(const struct fixture *f, uint32_t index, const char *file)
{
    char path[PATH_BYTES + 64];
    (void)snprintf(path, sizeof path, "%s/damaged-1/%s", f->places[index], file);
    return access(path, F_OK) == 0;
}

static void wait_until_refilled(struct fixture *f, uint32_t index)
{
    while (depot_view(f->depot, index).counters.aside_count == 0) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    wait_until_whole(f, index);
    assert_false(depot_view(f->depot, index).is_damaged);
    assert_true(has_aside(f, index, "segment-00000001"));
    assert_true(has_aside(f, index, "why"));
}

static void p9_one_that_is_damaged_is_set_aside_and_refilled(void **state)
{
    struct fixture *f = *state;
    take_all_and_close(f);
    damage(f, 1);
    open_depot(f);
    while (f->failed_count == 0) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_int_equal(f->failed_index, 1);
    assert_int_equal(f->failed_status, STATUS_DAMAGED);
    assert_true(depot_is_enough(f->depot));
    assert_true(depot_view(f->depot, 1).is_damaged);
    wait_for_all(f, 0);
    wait_for_all(f, 2);
    wait_until_refilled(f, 1);
}

static void p9_damage_found_while_it_serves_is_set_aside_and_refilled(void **state)
{
    struct fixture *f = *state;
    take_all(f);
    damage(f, 2);
    struct buffer body = BUFFER_EMPTY, frame = BUFFER_EMPTY;
    const struct frame_fetch fetch = {.from = 1, .to = UINT64_MAX, .max_bytes = 1 << 20};
    const struct verify_key key = sign_key_public(f->world.store_keys[2]);
    const struct writer_id id = writer_store_id_of(&key);
    CHECK(frame_fetch_encode(&body, &fetch) == STATUS_OK);
    CHECK(frame_encode(&frame, FRAME_FETCH, 3, &id, buffer_bytes(&body)) == STATUS_OK);
    assert_int_equal(depot_put(f->depot, CLIENT, buffer_bytes(&frame)), STATUS_OK);
    buffer_release(&body);
    buffer_release(&frame);
    wait_until_refilled(f, 2);
    assert_int_equal(f->failed_status, STATUS_DAMAGED);
}

static void two_that_are_damaged_are_left_as_they_are(void **state)
{
    struct fixture *f = *state;
    take_all_and_close(f);
    damage(f, 0);
    damage(f, 1);
    open_depot(f);
    while (f->failed_count < 6) {  // both were started again
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    wait_for_all(f, 2);
    assert_false(depot_is_enough(f->depot));
    assert_false(has_aside(f, 0, "why"));
    assert_false(has_aside(f, 1, "why"));
}

static void frames_beyond_the_bound_of_a_queue_are_dropped(void **state)
{
    struct fixture *f = *state;
    const struct writer_id nobody = {.bytes = {0}};
    struct buffer frame = BUFFER_EMPTY;
    enum { BODY_BYTES = 4 << 20 };
    uint8_t *zeroes = calloc(1, BODY_BYTES);
    CHECK(zeroes != NULL);
    CHECK(frame_encode(&frame, FRAME_RECORD, 0, &nobody, bytes_of(zeroes, BODY_BYTES)) ==
          STATUS_OK);
    enum status status = STATUS_OK;
    for (int i = 0; i <= DEPOT_QUEUE_BYTES_MAX / BODY_BYTES && status == STATUS_OK; i++) {
        status = depot_put(f->depot, CLIENT, buffer_bytes(&frame));
    }
    assert_int_equal(status, STATUS_FULL);
    assert_int_equal(depot_view(f->depot, 0).dropped_count, 1);
    buffer_release(&frame);
    free(zeroes);
}

static void other_stores_are_started_and_ended_while_the_rest_go_on(void **state)
{
    struct fixture *f = *state;
    take_all(f);
    const pid_t second = depot_view(f->depot, 1).pid;
    struct depot_config config = config_of(f, 1, STORES - 1);
    assert_int_equal(depot_change(f->depot, &config), STATUS_OK);
    assert_true(depot_view(f->depot, 0).is_removed);
    while (depot_view(f->depot, 0).pid != 0) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_true(depot_is_enough(f->depot));
    assert_int_equal(depot_view(f->depot, 1).pid, second);

    // One with a key of its own, to which nobody's word testifies: it does not open.
    config.places[config.count++] =
        (struct depot_place){.name = "store-x", .directory = f->places[0], .key = f->world.owner};
    assert_int_equal(depot_change(f->depot, &config), STATUS_OK);
    assert_int_equal(depot_count(f->depot), STORES);  // where the first one was
    assert_string_equal(depot_view(f->depot, 0).name, "store-x");
    while (f->failed_count == 0) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_int_equal(f->failed_index, 0);
    assert_int_equal(f->failed_status, STATUS_FORGED);
    assert_int_equal(depot_view(f->depot, 1).pid, second);
}

/* What the owner says: these of the GENESIS count, W = `receipts`, and one with this key. */
static void say(struct fixture *f, uint32_t count, uint32_t receipts, const struct sign_key *key)
{
    f->sets.version++;
    f->sets.former = f->sets.now;
    f->sets.now = f->world.genesis;
    f->sets.now.policy = bytes_of(NULL, 0);
    f->sets.now.store_count = count;
    f->sets.now.receipt_count = receipts;
    if (key != NULL) {
        struct genesis_store *store = &f->sets.now.stores[f->sets.now.store_count++];
        *store = (struct genesis_store){.name = "store-x", .key = sign_key_public(key)};
        store->id = writer_store_id_of(&store->key);
    }
    buffer_clear(&f->word);
    CHECK(stores_encode(&f->word, &f->sets, f->world.owner) == STATUS_OK);
}

/* Of the GENESIS the first ones, and one with this key. */
static void change(struct fixture *f, uint32_t count, const struct sign_key *key,
                   const char *directory)
{
    struct depot_config config = config_of(f, 0, count);
    if (key != NULL) {
        config.places[config.count++] =
            (struct depot_place){.name = "store-x", .directory = directory, .key = key};
    }
    assert_int_equal(depot_change(f->depot, &config), STATUS_OK);
}

static void p9_stores_come_and_go_as_often_as_the_owner_likes(void **state)
{
    struct fixture *f = *state;
    take_all(f);
    const pid_t second = depot_view(f->depot, 1).pid;
    f->sets.has_former = true;
    for (int i = 0; i < NEWCOMERS; i++) {
        char directory[PATH_BYTES];
        (void)snprintf(directory, sizeof directory, "%s/new-%d", f->directory, i);
        f->newcomers[i] = sign_key_new(&f->world.random);
        say(f, STORES, 3, f->newcomers[i]);
        change(f, STORES, f->newcomers[i], directory);
        assert_int_equal(depot_count(f->depot), STORES + 1);
        while (!depot_view(f->depot, STORES).is_open) {
            uv_run(&f->loop, UV_RUN_ONCE);
        }
        say(f, STORES, 2, NULL);
        change(f, STORES, NULL, NULL);
        while (depot_view(f->depot, STORES).pid != 0) {
            uv_run(&f->loop, UV_RUN_ONCE);
        }
    }
    assert_int_equal(f->failed_count, 0);
    assert_int_equal(depot_view(f->depot, 1).pid, second);
}

/* A new store's directory, as the command line makes it. */
static void make_newcomer(const char *directory)
{
    struct disk_posix *posix;
    struct disk disk;
    CHECK(mkdir(directory, 0700) == 0);
    CHECK(disk_posix_open(&posix, &disk, directory) == STATUS_OK);
    CHECK(store_begin_whole(&disk) == STATUS_OK);
    disk_posix_close(posix);
}

static void p4_one_that_is_being_added_gives_nobody_its_records_again(void **state)
{
    struct fixture *f = *state;
    char directory[PATH_BYTES];
    (void)snprintf(directory, sizeof directory, "%s/new", f->directory);
    f->newcomers[0] = sign_key_new(&f->world.random);
    take_all_and_close(f);

    // One alone holds everything; the other one begins, and is whole without having anything.
    say(f, 1, 1, NULL);
    f->sets.has_former = true;
    say(f, 1, 2, f->newcomers[0]);
    make_newcomer(directory);
    damage(f, 0);
    struct depot_config config = config_of(f, 0, 1);
    config.places[config.count++] =
        (struct depot_place){.name = "store-x", .directory = directory, .key = f->newcomers[0]};
    CHECK(depot_open(&f->depot, &config) == STATUS_OK);
    while (!depot_view(f->depot, 1).is_open) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    const uint32_t failed_before = f->failed_count;
    while (f->failed_count < failed_before + 3 && !has_aside(f, 0, "why")) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_false(depot_view(f->depot, 1).counters.is_refilling);
    assert_true(depot_view(f->depot, 0).is_damaged);
    assert_false(has_aside(f, 0, "why"));
    assert_false(depot_was_enough(f->depot));
}

static void p9_one_that_is_being_added_and_fails_is_not_needed_yet(void **state)
{
    struct fixture *f = *state;
    take_all(f);
    f->newcomers[0] = sign_key_new(&f->world.random);
    f->sets.has_former = true;
    say(f, STORES, STORES + 1, f->newcomers[0]);
    change(f, STORES, f->newcomers[0], f->program);  // which is no directory
    while (f->failed_count == 0) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_int_equal(f->failed_index, STORES);
    assert_false(depot_is_enough(f->depot));
    assert_true(depot_was_enough(f->depot));

    // Once it counts, it is.
    f->sets.has_former = false;
    say(f, STORES, STORES + 1, f->newcomers[0]);
    change(f, STORES, f->newcomers[0], f->program);
    assert_false(depot_was_enough(f->depot));
}

static void a_program_that_is_not_there_is_reported(void **state)
{
    struct fixture *f = *state;
    struct depot *none;
    const struct depot_config config = {
        .loop = &f->loop,
        .program = "/nowhere/paranoid-store",
        .places = {{.name = "store-1", .directory = f->places[0], .key = f->world.store_keys[0]}},
        .count = 1,
        .genesis = buffer_bytes(&f->world.genesis_body),
        .sets = &f->sets,
    };
    assert_int_equal(depot_open(&none, &config), STATUS_IO);
    assert_null(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(records_are_receipted_by_each_and_can_be_fetched, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(p4_what_is_in_the_queue_is_on_disk_after_a_close, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(p4_one_that_is_stopped_holds_up_nobody_and_catches_up,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(p9_one_that_is_killed_is_started_again, setup, teardown),
        cmocka_unit_test_setup_teardown(p9_one_that_is_damaged_is_set_aside_and_refilled, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(p9_damage_found_while_it_serves_is_set_aside_and_refilled,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(two_that_are_damaged_are_left_as_they_are, setup, teardown),
        cmocka_unit_test_setup_teardown(frames_beyond_the_bound_of_a_queue_are_dropped, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(other_stores_are_started_and_ended_while_the_rest_go_on,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(p9_stores_come_and_go_as_often_as_the_owner_likes, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(p4_one_that_is_being_added_gives_nobody_its_records_again,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(p9_one_that_is_being_added_and_fails_is_not_needed_yet,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_program_that_is_not_there_is_reported, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
