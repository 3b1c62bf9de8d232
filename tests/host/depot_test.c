/* tests/host/depot_test.c */

/*
 * Goal: the store behind its queue takes what it is given, answers who asked, in the loop's
 * thread, and has everything on disk when it is closed.
 * Method: a depot over a real store, in a loop that the test turns until the answers are there.
 */
#define _GNU_SOURCE  // nftw
#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "host/depot.h"
#include "tests/support/capsule_world.h"
#include "wire/frame.h"

enum { CLIENT = 42 };

struct fixture {
    char directory[64];
    struct capsule_world world;
    uv_loop_t loop;
    struct depot *depot;
    pthread_t thread;  // of the loop
    uint64_t receipt_count;
    uint64_t record_frame_count;
    uint64_t fetched_count;
    uint64_t refused_count;
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
    f->receipt_count += frame.kind == FRAME_RECEIPT;
}

static void on_failed(void *context, enum status status)
{
    (void)context;
    (void)status;
    CHECK(context == NULL);  // never: the disk is fine
}

static enum status open_depot(struct fixture *f, const char *directory)
{
    const struct depot_config config = {
        .loop = &f->loop,
        .directory = directory,
        .genesis = buffer_bytes(&f->world.genesis_body),
        .key = f->world.store_keys[0],
        .events = {.answer = on_answer,
                   .broadcast = on_broadcast,
                   .failed = on_failed,
                   .context = f},
    };
    return depot_open(&f->depot, &config);
}

static int setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){.directory = "/tmp/paranoid-depot-XXXXXX", .thread = pthread_self()};
    CHECK(mkdtemp(f.directory) != NULL);
    capsule_world_init(&f.world, 7, 1, 1, 0);
    capsule_world_start(&f.world);
    struct capsule_world_writer *worker = capsule_world_admit(&f.world, MEMBER_WORKER);
    for (int i = 0; i < 50; i++) {
        capsule_world_put(&f.world, worker, "key", "value");
    }
    CHECK(uv_loop_init(&f.loop) == 0);
    CHECK(open_depot(&f, f.directory) == STATUS_OK);
    *state = &f;
    return 0;
}

static int remove_one(const char *path, const struct stat *file, int kind, struct FTW *where)
{
    (void)file;
    (void)kind;
    (void)where;
    return remove(path);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    depot_close(f->depot);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&f->loop) == 0);
    capsule_world_release(&f->world);
    nftw(f->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
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

static void put_all_records(struct fixture *f)
{
    for (size_t i = 0; i < f->world.record_count; i++) {
        put(f, FRAME_RECORD, capsule_world_record(&f->world, i));
    }
}

static void records_are_receipted_and_can_be_fetched(void **state)
{
    struct fixture *f = *state;
    struct store_counters counters = {.record_count = 0};
    put_all_records(f);
    while (f->receipt_count == 0 || counters.record_count < f->world.record_count) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
        depot_count(f->depot, &counters);
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
    assert_int_equal(f->record_frame_count, 1);
}

static void p4_what_is_in_the_queue_is_on_disk_after_a_close(void **state)
{
    struct fixture *f = *state;
    struct store_counters counters;
    put_all_records(f);
    depot_close(f->depot);
    assert_int_equal(open_depot(f, f->directory), STATUS_OK);
    depot_count(f->depot, &counters);
    assert_int_equal(counters.record_count, f->world.record_count);
}

static void what_the_queue_has_no_room_for_is_dropped(void **state)
{
    struct fixture *f = *state;
    // Longer than any frame: nothing less is sure to find the queue full.
    uint8_t *zeroes = calloc(1, DEPOT_IN_BYTES_MAX);
    CHECK(zeroes != NULL);
    assert_int_equal(depot_put(f->depot, CLIENT, bytes_of(zeroes, DEPOT_IN_BYTES_MAX)),
                     STATUS_FULL);
    free(zeroes);
    records_are_receipted_and_can_be_fetched(state);
}

static void a_store_that_is_in_use_or_nowhere_does_not_open(void **state)
{
    struct fixture *f = *state;
    struct depot *first = f->depot;
    assert_int_equal(open_depot(f, f->directory), STATUS_IO);
    assert_null(f->depot);
    assert_int_not_equal(open_depot(f, "/nowhere"), STATUS_OK);
    assert_null(f->depot);
    f->depot = first;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(records_are_receipted_and_can_be_fetched, setup, teardown),
        cmocka_unit_test_setup_teardown(p4_what_is_in_the_queue_is_on_disk_after_a_close, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_the_queue_has_no_room_for_is_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(a_store_that_is_in_use_or_nowhere_does_not_open, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
