/* tests/host/route_test.c */

/*
 * Goal: every frame goes where its header and its true sender say, and nowhere else.
 * Method: a leader, three workers of which one has not said who it is, and a command line; each
 * kind of frame from each of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/route.h"

enum {
    WORKER_A = ROUTE_WORKER_FIRST,
    WORKER_B,
    SILENT,
    CLIENT = ROUTE_CLIENT_FIRST + 3,
    NOBODY = ROUTE_END_COUNT,
};

static struct writer_id id_of(uint8_t byte)
{
    struct writer_id id;
    memset(id.bytes, byte, sizeof id.bytes);
    return id;
}

static const struct writer_id everyone = {.bytes = {0}};

static int setup(void **state)
{
    static struct route route;
    route = (struct route){.ids = {{.bytes = {0}}}};
    const uint32_t ends[] = {ROUTE_LEADER, WORKER_A, WORKER_B, CLIENT};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct writer_id id = id_of((uint8_t)(ends[i] + 1));
        assert_int_equal(route_add(&route, ends[i], &id), STATUS_OK);
    }
    *state = &route;
    return 0;
}

static enum route_action go(const struct route *route, uint32_t source, enum frame_kind kind,
                            struct writer_id peer, uint32_t *end)
{
    struct frame frame = {.kind = kind, .peer = peer};
    *end = NOBODY;
    return route_frame(route, source, &frame, end);
}

static void records_for_everyone_go_to_store_and_workers(void **state)
{
    uint32_t end;
    assert_int_equal(go(*state, WORKER_A, FRAME_RECORD, everyone, &end),
                     ROUTE_TO_STORE_AND_WORKERS);
    assert_int_equal(go(*state, ROUTE_LEADER, FRAME_RECORD, everyone, &end),
                     ROUTE_TO_STORE_AND_WORKERS);
}

static void records_for_the_leader_go_to_it_alone(void **state)
{
    uint32_t end;
    assert_int_equal(go(*state, WORKER_A, FRAME_RECORD, frame_to_leader, &end), ROUTE_TO_END);
    assert_int_equal(end, ROUTE_LEADER);
    assert_int_equal(go(*state, ROUTE_LEADER, FRAME_RECORD, frame_to_leader, &end), ROUTE_DROP);
    assert_int_equal(go(*state, WORKER_A, FRAME_RECORD, id_of(WORKER_B + 1), &end), ROUTE_DROP);
}

static void what_stores_alone_need_goes_to_them_alone(void **state)
{
    uint32_t end;
    assert_int_equal(go(*state, WORKER_A, FRAME_RECORD, frame_to_stores, &end), ROUTE_TO_STORE);
    assert_int_equal(go(*state, WORKER_A, FRAME_RECORD, frame_to_replicas, &end), ROUTE_TO_WORKERS);
}

static void joins_and_channels_go_to_the_peer_named(void **state)
{
    const enum frame_kind kinds[] = {FRAME_JOIN, FRAME_CHANNEL};
    for (size_t i = 0; i < 2; i++) {
        uint32_t end;
        assert_int_equal(go(*state, WORKER_B, kinds[i], frame_to_leader, &end), ROUTE_TO_END);
        assert_int_equal(end, ROUTE_LEADER);
        assert_int_equal(go(*state, ROUTE_LEADER, kinds[i], id_of(WORKER_A + 1), &end),
                         ROUTE_TO_END);
        assert_int_equal(end, WORKER_A);
        assert_int_equal(go(*state, ROUTE_LEADER, kinds[i], id_of(CLIENT + 1), &end), ROUTE_TO_END);
        assert_int_equal(end, CLIENT);
        assert_int_equal(go(*state, WORKER_A, kinds[i], id_of(WORKER_A + 1), &end), ROUTE_DROP);
        assert_int_equal(go(*state, WORKER_A, kinds[i], id_of(99), &end), ROUTE_DROP);
        assert_int_equal(go(*state, WORKER_A, kinds[i], everyone, &end), ROUTE_DROP);
    }
}

static void only_the_leader_asks_for_an_epochs_end_or_fences(void **state)
{
    uint32_t end;
    assert_int_equal(go(*state, ROUTE_LEADER, FRAME_RTS, everyone, &end), ROUTE_TO_WORKERS);
    assert_int_equal(go(*state, WORKER_A, FRAME_RTS, everyone, &end), ROUTE_DROP);
    assert_int_equal(go(*state, ROUTE_LEADER, FRAME_FENCE, everyone, &end), ROUTE_TO_STORE);
    assert_int_equal(go(*state, WORKER_A, FRAME_FENCE, everyone, &end), ROUTE_DROP);
    assert_int_equal(go(*state, WORKER_A, FRAME_FETCH, everyone, &end), ROUTE_TO_STORE);
}

static void an_enclave_that_said_no_hello_speaks_to_the_host_only(void **state)
{
    for (int kind = FRAME_RECORD; kind <= FRAME_STORES; kind++) {
        uint32_t end;
        enum route_action expected =
            kind == FRAME_HELLO || kind == FRAME_EVIDENCE || kind == FRAME_LOG ? ROUTE_TO_HOST
                                                                               : ROUTE_DROP;
        assert_int_equal(go(*state, SILENT, (enum frame_kind)kind, frame_to_leader, &end),
                         expected);
    }
}

static void what_only_hosts_and_stores_say_is_dropped(void **state)
{
    const enum frame_kind kinds[] = {FRAME_RECEIPT, FRAME_FETCHED, FRAME_FENCED, FRAME_REFUSED,
                                     FRAME_START,   FRAME_GONE,    FRAME_STOP,   FRAME_STREAM};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        uint32_t end;
        assert_int_equal(go(*state, WORKER_A, kinds[i], everyone, &end), ROUTE_DROP);
        assert_int_equal(go(*state, ROUTE_LEADER, kinds[i], everyone, &end), ROUTE_DROP);
    }
}

static void a_command_line_speaks_to_the_leader_and_stops_the_host(void **state)
{
    struct route *route = *state;
    for (int kind = FRAME_RECORD; kind <= FRAME_STORES; kind++) {
        uint32_t end;
        enum route_action expected = ROUTE_DROP;
        if (kind == FRAME_JOIN || kind == FRAME_CHANNEL) {
            expected = ROUTE_TO_END;
        } else if (kind == FRAME_STOP || kind == FRAME_STORES) {
            expected = ROUTE_TO_HOST;
        }
        assert_int_equal(go(route, CLIENT, (enum frame_kind)kind, frame_to_leader, &end), expected);
        assert_int_equal(end, expected == ROUTE_TO_END ? ROUTE_LEADER : NOBODY);
    }
    uint32_t end;
    assert_int_equal(go(route, CLIENT, FRAME_JOIN, id_of(WORKER_A + 1), &end), ROUTE_DROP);
    route_remove(route, ROUTE_LEADER);
    assert_int_equal(go(route, CLIENT, FRAME_JOIN, frame_to_leader, &end), ROUTE_TO_NO_LEADER);
    assert_int_equal(go(route, WORKER_A, FRAME_JOIN, frame_to_leader, &end), ROUTE_DROP);
}

static void an_id_belongs_to_one_end_at_a_time(void **state)
{
    struct route *route = *state;
    struct writer_id taken = id_of(WORKER_A + 1);
    struct writer_id fresh = id_of(77);
    assert_int_equal(route_add(route, SILENT, &taken), STATUS_DENIED);
    assert_int_equal(route_add(route, SILENT, &everyone), STATUS_DENIED);
    assert_int_equal(route_add(route, SILENT, &frame_to_leader), STATUS_DENIED);
    assert_int_equal(route_add(route, WORKER_A, &fresh), STATUS_DENIED);
    route_remove(route, WORKER_A);
    assert_int_equal(route_add(route, SILENT, &taken), STATUS_OK);
    assert_int_equal(route_add(route, WORKER_A, &fresh), STATUS_OK);
    uint32_t end;
    assert_int_equal(go(route, ROUTE_LEADER, FRAME_JOIN, taken, &end), ROUTE_TO_END);
    assert_int_equal(end, SILENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(records_for_everyone_go_to_store_and_workers, setup),
        cmocka_unit_test_setup(records_for_the_leader_go_to_it_alone, setup),
        cmocka_unit_test_setup(what_stores_alone_need_goes_to_them_alone, setup),
        cmocka_unit_test_setup(joins_and_channels_go_to_the_peer_named, setup),
        cmocka_unit_test_setup(only_the_leader_asks_for_an_epochs_end_or_fences, setup),
        cmocka_unit_test_setup(an_enclave_that_said_no_hello_speaks_to_the_host_only, setup),
        cmocka_unit_test_setup(what_only_hosts_and_stores_say_is_dropped, setup),
        cmocka_unit_test_setup(a_command_line_speaks_to_the_leader_and_stops_the_host, setup),
        cmocka_unit_test_setup(an_id_belongs_to_one_end_at_a_time, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
