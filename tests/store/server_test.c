/* tests/store/server_test.c */

/*
 * Goal: the server takes records in whatever order they come, answers with receipts, records,
 * fences and reasons, and lets no client make it hold or send more than its bounds. Method: play
 * the clients by hand, and look at every frame that leaves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/server.h"
#include "tests/support/store_fixture.h"

enum { SENT_MAX = 128, EVERYONE = 0, CLIENT = 7, FRAME_TEXT_BYTES = 512 };

struct sent {
    uint64_t client;  // EVERYONE: broadcast
    struct buffer bytes;
    struct frame frame;
};

struct server_fixture {
    struct store_fixture store;
    struct server *server;
    struct sent sent[SENT_MAX];
    size_t sent_count;
    size_t flushed_count;         // of those, when the server last let them go
    uint64_t flushed_operations;  // of the disk, by then
};

static void note_sent(struct server_fixture *f, uint64_t client, struct bytes frame)
{
    assert_true(f->sent_count < SENT_MAX);
    struct sent *sent = &f->sent[f->sent_count++];
    *sent = (struct sent){.client = client};
    assert_int_equal(buffer_append(&sent->bytes, frame.at, frame.length), STATUS_OK);
    assert_int_equal(frame_decode(&sent->frame, buffer_bytes(&sent->bytes)), STATUS_OK);
    assert_true(writer_id_equal(&sent->frame.peer, store_id(f->store.store)));
}

static void on_send(void *context, uint64_t client, struct bytes frame)
{
    assert_true(client != EVERYONE);
    note_sent(context, client, frame);
}

static void on_broadcast(void *context, struct bytes frame)
{
    note_sent(context, EVERYONE, frame);
}

static void on_flush(void *context)
{
    struct server_fixture *f = context;
    f->flushed_count = f->sent_count;
    f->flushed_operations = disk_fake_operations(f->store.fake);
}

static void forget_sent(struct server_fixture *f)
{
    for (size_t i = 0; i < f->sent_count; i++) {
        buffer_release(&f->sent[i].bytes);
    }
    f->sent_count = 0;
}

static int setup(void **state)
{
    struct server_fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    store_fixture_init(&f->store);
    struct server_output output = {
        .send = on_send, .broadcast = on_broadcast, .flush = on_flush, .context = f};
    assert_int_equal(server_new(&f->server, f->store.store, &output), STATUS_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct server_fixture *f = *state;
    forget_sent(f);
    server_free(f->server);
    store_fixture_release(&f->store);
    free(f);
    return 0;
}

static void receive(struct server_fixture *f, enum frame_kind kind, uint32_t request,
                    struct bytes body)
{
    static const struct writer_id nobody;
    struct buffer frame = BUFFER_EMPTY;
    assert_int_equal(frame_encode(&frame, kind, request, &nobody, body), STATUS_OK);
    assert_int_equal(server_receive(f->server, CLIENT, buffer_bytes(&frame)), STATUS_OK);
    buffer_release(&frame);
}

static void receive_record(struct server_fixture *f, size_t index)
{
    receive(f, FRAME_RECORD, 0, capsule_world_record(&f->store.world, index));
}

/* All of the world's records from `first` on, in one frame. */
static void receive_from(struct server_fixture *f, size_t first)
{
    const struct capsule_world *world = &f->store.world;
    size_t start = world->offsets[first];
    receive(f, FRAME_RECORD, 0,
            bytes_of(world->log.bytes + start, world->offsets[world->record_count] - start));
}

static void receive_fetch(struct server_fixture *f, uint32_t request,
                          const struct frame_fetch *fetch)
{
    struct buffer body = BUFFER_EMPTY;
    assert_int_equal(frame_fetch_encode(&body, fetch), STATUS_OK);
    receive(f, FRAME_FETCH, request, buffer_bytes(&body));
    buffer_release(&body);
}

static void commit(struct server_fixture *f)
{
    assert_int_equal(server_commit(f->server), STATUS_OK);
}

static struct frame_refused refused_at(const struct server_fixture *f, size_t index)
{
    struct frame_refused refused;
    assert_true(index < f->sent_count);
    assert_int_equal(f->sent[index].frame.kind, FRAME_REFUSED);
    assert_int_equal(frame_refused_decode(&refused, f->sent[index].frame.body), STATUS_OK);
    return refused;
}

static void p4_one_receipt_for_a_whole_group(void **state)
{
    struct server_fixture *f = *state;
    store_fixture_put(&f->store);
    for (size_t i = 0; i < f->store.world.record_count; i++) {
        receive_record(f, i);
    }
    assert_int_equal(f->sent_count, 0);
    commit(f);
    assert_int_equal(f->sent_count, 1);
    assert_int_equal(f->sent[0].client, EVERYONE);
    assert_int_equal(f->sent[0].frame.kind, FRAME_RECEIPT);
    struct receipt receipt;
    assert_int_equal(receipt_decode(&receipt, f->sent[0].frame.body), STATUS_OK);
    assert_int_equal(receipt.head_count, 3);
    commit(f);
    assert_int_equal(f->sent_count, 1);
}

static void takes_records_in_any_order(void **state)
{
    struct server_fixture *f = *state;
    store_fixture_put(&f->store);
    capsule_world_sync(&f->store.world);
    store_fixture_put(&f->store);
    for (size_t i = f->store.world.record_count; i-- > 0;) {
        receive_record(f, i);
    }
    commit(f);
    assert_int_equal(f->sent_count, 1);
    struct store_counters counters;
    store_count(f->store.store, &counters);
    assert_int_equal(counters.record_count, f->store.world.record_count);
}

static void holds_back_what_has_a_gap_and_names_it_once(void **state)
{
    struct server_fixture *f = *state;
    receive_from(f, 0);
    commit(f);
    forget_sent(f);
    size_t first = f->store.world.record_count;
    store_fixture_put(&f->store);
    receive_record(f, first + 1);
    commit(f);
    assert_int_equal(f->sent_count, 1);
    assert_int_equal(f->sent[0].client, CLIENT);
    assert_int_equal(refused_at(f, 0).status, STATUS_GAP);
    assert_int_equal(refused_at(f, 0).sequence, 1);
    // The same once more is no news.
    receive_record(f, first + 1);
    commit(f);
    assert_int_equal(f->sent_count, 1);
    // The missing one brings both in.
    forget_sent(f);
    receive_record(f, first);
    commit(f);
    assert_int_equal(f->sent_count, 1);
    assert_int_equal(f->sent[0].frame.kind, FRAME_RECEIPT);
    const struct capsule_member *member =
        capsule_member_find(store_capsule(f->store.store), &f->store.a->id);
    assert_int_equal(member->head.sequence, 2);
}

static void what_is_held_back_is_bounded(void **state)
{
    struct server_fixture *f = *state;
    receive_from(f, 0);
    commit(f);
    // Signed by a stranger: nobody can say yet that they will never be taken.
    struct capsule_world_writer *stranger = capsule_world_stranger(&f->store.world, MEMBER_WORKER);
    struct buffer records = BUFFER_EMPTY;
    for (size_t i = 0; i < SERVER_HELD_RECORDS_MAX + 100; i++) {
        struct capsule_world_draft draft;
        capsule_world_draft(&f->store.world, &draft, stranger, RECORD_DATA);
        draft.fields.key_epoch = (uint32_t)i;
        assert_int_equal(buffer_append(&draft.body, "sealed, as it were", 18), STATUS_OK);
        capsule_world_build(&f->store.world, &draft);
        assert_int_equal(
            buffer_append(&records, f->store.world.tried.bytes, f->store.world.tried.length),
            STATUS_OK);
    }
    receive(f, FRAME_RECORD, 0, buffer_bytes(&records));
    commit(f);
    // Others are served as before.
    forget_sent(f);
    size_t first = f->store.world.record_count;
    store_fixture_put(&f->store);
    receive_from(f, first);
    commit(f);
    assert_int_equal(f->sent_count, 1);
    assert_int_equal(f->sent[0].frame.kind, FRAME_RECEIPT);
    buffer_release(&records);
}

static void p2_says_why_a_record_is_refused(void **state)
{
    struct server_fixture *f = *state;
    receive_from(f, 0);
    commit(f);
    forget_sent(f);
    store_fixture_build_other(&f->store, f->store.a);
    struct buffer *tried = &f->store.world.tried;
    tried->bytes[tried->length - 1] ^= 1;
    receive(f, FRAME_RECORD, 0, buffer_bytes(tried));
    commit(f);
    assert_int_equal(f->sent_count, 1);
    struct frame_refused refused = refused_at(f, 0);
    assert_int_equal(refused.status, STATUS_FORGED);
    assert_int_equal(refused.sequence, 1);
    char text[FRAME_TEXT_BYTES] = "";
    assert_true(refused.text.length < sizeof text);
    memcpy(text, refused.text.at, refused.text.length);
    assert_non_null(strstr(text, "signature"));
    receive(f, FRAME_RECORD, 0, bytes_text("no record at all"));
    assert_int_equal(refused_at(f, 1).status, STATUS_MALFORMED);
}

static void p8_everybody_learns_of_a_fork(void **state)
{
    struct server_fixture *f = *state;
    store_fixture_build_other(&f->store, f->store.a);
    struct buffer other = BUFFER_EMPTY;
    assert_int_equal(buffer_append(&other, f->store.world.tried.bytes, f->store.world.tried.length),
                     STATUS_OK);
    store_fixture_put(&f->store);
    receive_from(f, 0);
    commit(f);
    forget_sent(f);
    receive(f, FRAME_RECORD, 0, buffer_bytes(&other));
    commit(f);
    assert_int_equal(f->sent[0].client, EVERYONE);
    struct frame_refused refused = refused_at(f, 0);
    assert_int_equal(refused.status, STATUS_FORKED);
    assert_int_equal(receipt_fork_verify(refused.text, &f->store.a->public_key), STATUS_OK);
    buffer_release(&other);
}

static void fetches_in_frames_and_within_a_budget(void **state)
{
    struct server_fixture *f = *state;
    enum { VALUE_BYTES = 700 << 10, COUNT = 4 };
    char *value = malloc(VALUE_BYTES);
    memset(value, 'v', VALUE_BYTES - 1);
    value[VALUE_BYTES - 1] = '\0';
    for (int i = 0; i < COUNT; i++) {
        capsule_world_put(&f->store.world, f->store.a, "large", value);
    }
    free(value);
    receive_from(f, 0);
    commit(f);
    forget_sent(f);

    // Two of them do not fit into one frame.
    struct frame_fetch fetch = {
        .writer = f->store.a->id, .from = 1, .to = UINT64_MAX, .max_bytes = UINT32_MAX};
    receive_fetch(f, 5, &fetch);
    assert_int_equal(f->sent_count, COUNT + 1);
    for (size_t i = 0; i <= COUNT; i++) {
        assert_int_equal(f->sent[i].frame.kind, i < COUNT ? FRAME_RECORD : FRAME_FETCHED);
        assert_int_equal(f->sent[i].frame.request, 5);
    }
    struct frame_fetched fetched;
    assert_int_equal(frame_fetched_decode(&fetched, f->sent[COUNT].frame.body), STATUS_OK);
    assert_true(fetched.next == COUNT + 1 && fetched.is_end);

    // What was asked for is not exceeded, but for one record.
    forget_sent(f);
    fetch.max_bytes = VALUE_BYTES * 3 / 2;
    receive_fetch(f, 6, &fetch);
    assert_int_equal(f->sent_count, 2);
    assert_int_equal(frame_fetched_decode(&fetched, f->sent[1].frame.body), STATUS_OK);
    assert_true(fetched.next == 2 && !fetched.is_end);

    // Nor is what one client may have between two commits.
    fetch.max_bytes = UINT32_MAX;
    enum { ROUNDS = SERVER_CLIENT_BYTES_MAX / (COUNT * VALUE_BYTES) + 2 };
    bool was_refused = false;
    for (int i = 0; i < ROUNDS; i++) {
        forget_sent(f);
        receive_fetch(f, 7, &fetch);
        was_refused = f->sent[0].frame.kind == FRAME_REFUSED;
    }
    assert_true(was_refused);
    assert_int_equal(refused_at(f, 0).status, STATUS_FULL);
    commit(f);
    forget_sent(f);
    receive_fetch(f, 8, &fetch);
    assert_int_equal(f->sent_count, COUNT + 1);
}

static void p4_who_reads_is_answered_before_the_disk_is_waited_for_and_no_receipt_is(void **state)
{
    struct server_fixture *f = *state;
    receive_from(f, 0);
    commit(f);
    forget_sent(f);

    size_t before = f->store.world.record_count;
    store_fixture_put(&f->store);
    uint64_t operations = disk_fake_operations(f->store.fake);
    receive_from(f, before);
    const struct frame_fetch fetch = {.from = 1, .to = before, .max_bytes = UINT32_MAX};
    receive_fetch(f, 5, &fetch);
    commit(f);
    assert_int_equal(f->flushed_count, 2);
    assert_int_equal(f->sent[0].frame.kind, FRAME_RECORD);
    assert_int_equal(f->sent[1].frame.kind, FRAME_FETCHED);
    assert_int_equal(f->flushed_operations, operations);
    assert_true(disk_fake_operations(f->store.fake) > operations);
    assert_int_equal(f->sent_count, 3);
    assert_int_equal(f->sent[2].frame.kind, FRAME_RECEIPT);
}

static void answers_a_fence_that_follows_records(void **state)
{
    struct server_fixture *f = *state;
    struct buffer body = BUFFER_EMPTY;
    store_fixture_put(&f->store);
    receive_from(f, 0);
    store_fixture_ask(&f->store, &body, &f->store.a->id);
    receive(f, FRAME_FENCE, 9, buffer_bytes(&body));
    assert_int_equal(f->sent_count, 1);
    assert_int_equal(f->sent[0].frame.kind, FRAME_FENCED);
    assert_int_equal(f->sent[0].frame.request, 9);
    struct receipt fence;
    assert_int_equal(receipt_decode(&fence, f->sent[0].frame.body), STATUS_OK);
    assert_int_equal(receipt_head(&fence, 0).head.sequence, 2);
    body.bytes[body.length - 1] ^= 1;
    receive(f, FRAME_FENCE, 10, buffer_bytes(&body));
    assert_int_equal(refused_at(f, 1).status, STATUS_FORGED);
    buffer_release(&body);
}

static void p9_what_waits_is_taken_with_the_cut_that_is_proposed(void **state)
{
    struct server_fixture *f = *state;
    struct buffer body = BUFFER_EMPTY, cut = BUFFER_EMPTY;
    store_fixture_put(&f->store);
    receive_from(f, 0);
    store_fixture_ask(&f->store, &body, &f->store.a->id);
    receive(f, FRAME_FENCE, 9, buffer_bytes(&body));
    size_t next = f->store.world.record_count;
    capsule_world_put(&f->store.world, f->store.a, "x", "the tail");
    receive_from(f, next);
    commit(f);
    forget_sent(f);
    store_fixture_propose(&f->store, &cut, &f->store.a->id, &f->store.a->head);
    receive(f, FRAME_FENCE, 10, buffer_bytes(&cut));
    struct receipt fence;
    assert_int_equal(f->sent[0].frame.kind, FRAME_FENCED);
    assert_int_equal(receipt_decode(&fence, f->sent[0].frame.body), STATUS_OK);
    assert_int_equal(receipt_head(&fence, 0).head.sequence, f->store.a->head.sequence);
    buffer_release(&cut);
    buffer_release(&body);
}

static void p4_a_full_disk_is_told_and_forgotten_when_there_is_room(void **state)
{
    struct server_fixture *f = *state;
    receive_from(f, 0);
    commit(f);
    forget_sent(f);
    size_t first = f->store.world.record_count;
    for (int i = 0; i < 8; i++) {
        store_fixture_put(&f->store);
    }
    disk_fake_limit(f->store.fake, disk_fake_used(f->store.fake));
    receive_from(f, first);
    commit(f);
    bool was_told = false;
    for (size_t i = 0; i < f->sent_count; i++) {
        was_told |=
            f->sent[i].frame.kind == FRAME_REFUSED && refused_at(f, i).status == STATUS_NO_SPACE;
    }
    assert_true(was_told);
    disk_fake_limit(f->store.fake, UINT64_MAX);
    receive_from(f, first);
    commit(f);
    struct store_counters counters;
    store_count(f->store.store, &counters);
    assert_int_equal(counters.record_count, f->store.world.record_count);
}

static void a_dead_disk_ends_the_server(void **state)
{
    struct server_fixture *f = *state;
    receive_from(f, 0);
    disk_fake_fail(f->store.fake, 1, STATUS_IO);
    assert_int_equal(server_commit(f->server), STATUS_IO);
    assert_int_equal(f->sent_count, 0);
    assert_int_equal(server_commit(f->server), STATUS_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(p4_one_receipt_for_a_whole_group, setup, teardown),
        cmocka_unit_test_setup_teardown(takes_records_in_any_order, setup, teardown),
        cmocka_unit_test_setup_teardown(holds_back_what_has_a_gap_and_names_it_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_held_back_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(p2_says_why_a_record_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(p8_everybody_learns_of_a_fork, setup, teardown),
        cmocka_unit_test_setup_teardown(fetches_in_frames_and_within_a_budget, setup, teardown),
        cmocka_unit_test_setup_teardown(
            p4_who_reads_is_answered_before_the_disk_is_waited_for_and_no_receipt_is, setup,
            teardown),
        cmocka_unit_test_setup_teardown(answers_a_fence_that_follows_records, setup, teardown),
        cmocka_unit_test_setup_teardown(p9_what_waits_is_taken_with_the_cut_that_is_proposed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(p4_a_full_disk_is_told_and_forgotten_when_there_is_room,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_dead_disk_ends_the_server, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
