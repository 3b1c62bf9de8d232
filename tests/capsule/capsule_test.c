/* tests/capsule/capsule_test.c */

/*
 * Goal: a capsule accepts what its members wrote, in any order that respects
 * ancestry, and nothing else; each refusal has its status.
 * Method: a world of an owner, stores, leaders and workers writes a history;
 * then each invariant is broken once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "capsule/record_internal.h"
#include "tests/capsule/two_workers.h"

/* A longer history: epochs, an end of a worker, a second leader. */
static void live_on(struct two_workers *f)
{
    struct capsule_world *world = &f->world;
    capsule_world_eoe(world, f->a);
    capsule_world_eoe(world, f->b);
    capsule_world_sync(world);
    capsule_world_put(world, f->a, "x", "3");
    capsule_world_put(world, f->a, "z", "4");
    capsule_world_sync(world);
    capsule_world_close(world, f->b);
    capsule_world_sync(world);
    struct capsule_world_writer *old = world->leader;
    capsule_world_restart(world);
    capsule_world_close(world, old);
    struct capsule_world_writer *c = capsule_world_admit(world, MEMBER_WORKER);
    capsule_world_put(world, c, "w", "5");
    capsule_world_put(world, f->a, "x", "6");
    capsule_world_sync(world);
    capsule_world_put(world, f->a, "x", "7");
}

static void assert_same(const struct capsule *one, const struct capsule *other)
{
    assert_int_equal(capsule_term(one), capsule_term(other));
    assert_int_equal(capsule_member_count(one), capsule_member_count(other));
    for (size_t i = 0; i < capsule_member_count(one); i++) {
        const struct capsule_member *member = capsule_member_at(one, i);
        const struct capsule_member *twin = capsule_member_find(other, &member->id);
        assert_non_null(twin);
        assert_int_equal(member->head.sequence, twin->head.sequence);
        assert_true(hash_equal(&member->head.hash, &twin->head.hash));
        assert_true(hash_equal(&member->joined, &twin->joined));
        assert_int_equal(member->is_closed, twin->is_closed);
    }
    const struct capsule_sync *sync = capsule_joined_sync(one);
    const struct capsule_sync *same = capsule_joined_sync(other);
    assert_non_null(sync);
    assert_non_null(same);
    assert_true(hash_equal(&sync->hash, &same->hash));
    assert_int_equal(sync->unmet_count, 0);
}

static void replays_a_history_in_the_order_of_its_log(void **state)
{
    struct two_workers *f = *state;
    live_on(f);
    struct capsule *replica;
    assert_int_equal(capsule_new(&replica, buffer_bytes(&f->world.genesis_body)), STATUS_OK);
    for (size_t i = 0; i < f->world.record_count; i++) {
        assert_int_equal(capsule_world_feed(replica, capsule_world_record(&f->world, i)),
                         STATUS_OK);
    }
    assert_same(f->world.capsule, replica);
    assert_int_equal(capsule_newest_sync(replica)->epoch, 4);
    capsule_free(replica);
}

static void replays_the_leaders_branches_before_the_data(void **state)
{
    struct two_workers *f = *state;
    live_on(f);
    struct capsule *replica;
    assert_int_equal(capsule_new(&replica, buffer_bytes(&f->world.genesis_body)), STATUS_OK);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < f->world.record_count; i++) {
            struct bytes bytes = capsule_world_record(&f->world, i);
            struct record record;
            assert_int_equal(record_decode(&record, bytes.at, bytes.length), STATUS_OK);
            bool is_data = record.type == RECORD_DATA || record.type == RECORD_EOE;
            if (is_data == (pass == 1)) {
                assert_int_equal(capsule_accept(replica, &record), STATUS_OK);
            }
        }
        if (pass == 0) {
            assert_null(capsule_joined_sync(replica));
            size_t index = 0;
            struct branch_head wanted;
            uint64_t from;
            assert_int_equal(capsule_missing(replica, &index, &wanted, &from), STATUS_OK);
            assert_true(writer_id_equal(&wanted.writer, &f->a->id));
            assert_int_equal(from, 1);
            assert_int_equal(wanted.head.sequence, 5);
        }
    }
    assert_same(f->world.capsule, replica);
    capsule_free(replica);
}

/* Feed all records once; whether every one of them was accepted. */
static bool accepts_all(const struct capsule_world *world, const struct buffer *log)
{
    struct capsule *replica;
    bool is_whole = true;
    assert_int_equal(capsule_new(&replica, buffer_bytes(&world->genesis_body)), STATUS_OK);
    for (size_t i = 0; i < world->record_count && is_whole; i++) {
        struct bytes bytes =
            bytes_of(log->bytes + world->offsets[i], world->offsets[i + 1] - world->offsets[i]);
        is_whole = capsule_world_feed(replica, bytes) == STATUS_OK;
    }
    capsule_free(replica);
    return is_whole;
}

static void p2_no_flipped_byte_is_accepted(void **state)
{
    struct two_workers *f = *state;
    capsule_world_sync(&f->world);
    struct buffer *log = &f->world.log;
    assert_true(accepts_all(&f->world, log));
    for (size_t i = 0; i < log->length; i++) {
        log->bytes[i] ^= (uint8_t)(1u << i % 8);
        if (accepts_all(&f->world, log)) {
            fail_msg("a flipped bit in byte %zu of %zu was accepted", i, log->length);
        }
        log->bytes[i] ^= (uint8_t)(1u << i % 8);
    }
}

static void a_log_cut_anywhere_is_whole_up_to_its_last_record(void **state)
{
    struct two_workers *f = *state;
    const struct buffer *log = &f->world.log;
    struct capsule *replica;
    assert_int_equal(capsule_new(&replica, buffer_bytes(&f->world.genesis_body)), STATUS_OK);
    for (size_t i = 0; i < f->world.record_count; i++) {
        struct bytes whole = capsule_world_record(&f->world, i);
        for (size_t length = 0; length < whole.length; length++) {
            struct bytes cut = bytes_of(whole.at, length);
            assert_int_equal(capsule_world_feed(replica, cut), STATUS_MALFORMED);
        }
        size_t left = log->length - f->world.offsets[i];
        assert_int_equal(record_length(whole.at, left), whole.length);
        assert_int_equal(capsule_world_feed(replica, whole), STATUS_OK);
    }
    capsule_free(replica);
}

// ---- any order ----

static uint64_t seed_of_run(void)
{
    const char *text = getenv("SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : 20260;
    printf("SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

/* Deliver every record once or twice, shuffled, holding what meets a gap. */
static void p5_any_order_of_arrival_ends_in_the_same_state(void **state)
{
    struct two_workers *f = *state;
    live_on(f);
    const struct capsule_world *world = &f->world;
    uint64_t seed = seed_of_run();
    for (uint64_t round = 0; round < 40; round++) {
        struct random_seeded storage;
        struct random random = random_seeded(&storage, seed + round);
        size_t order[CAPSULE_WORLD_RECORDS_MAX];
        bool is_here[CAPSULE_WORLD_RECORDS_MAX] = {false};
        for (size_t i = 0; i < world->record_count; i++) {
            uint32_t at;
            random_fill(&random, &at, sizeof at);
            at %= (uint32_t)i + 1;
            order[i] = order[at];
            order[at] = i;
        }
        struct capsule *replica;
        assert_int_equal(capsule_new(&replica, buffer_bytes(&world->genesis_body)), STATUS_OK);
        size_t accepted = 0, before = SIZE_MAX;
        while (accepted != before) {
            before = accepted;
            for (size_t i = 0; i < world->record_count; i++) {
                enum status status =
                    capsule_world_feed(replica, capsule_world_record(world, order[i]));
                if (is_here[order[i]]) {
                    assert_int_equal(status, STATUS_STALE);
                } else if (status == STATUS_OK) {
                    is_here[order[i]] = true;
                    accepted++;
                } else if (status != STATUS_GAP) {
                    fail_msg("SEED=%llu, record %zu: %s: %s", (unsigned long long)(seed + round),
                             order[i], status_text(status), capsule_reason(replica));
                }
            }
        }
        assert_int_equal(accepted, world->record_count);
        assert_same(world->capsule, replica);
        capsule_free(replica);
    }
}

// ---- a place in the branch ----

static void assert_reason(const struct two_workers *f, const char *part)
{
    if (strstr(capsule_reason(f->world.capsule), part) == NULL) {
        fail_msg("the reason is '%s', not '%s'", capsule_reason(f->world.capsule), part);
    }
}

/* A next DATA record of a's. */
static struct capsule_world_draft draft_data(struct two_workers *f)
{
    struct capsule_world_draft draft;
    capsule_world_draft(&f->world, &draft, f->a, RECORD_DATA);
    capsule_world_tuple(&f->world, f->a, &draft.body, "k", "v");
    return draft;
}

static void a_branch_grows_by_one(void **state)
{
    struct two_workers *f = *state;
    struct capsule_world_draft draft = draft_data(f);
    draft.fields.sequence++;
    assert_int_equal(capsule_world_try(&f->world, &draft), STATUS_GAP);
    draft = draft_data(f);
    draft.fields.sequence--;
    draft.fields.parent_count = 0;
    assert_int_equal(capsule_world_try(&f->world, &draft), STATUS_STALE);
    draft = draft_data(f);
    assert_int_equal(capsule_world_try(&f->world, &draft), STATUS_OK);
}

static void p8_another_parent_than_the_head_is_a_fork_when_it_is_signed(void **state)
{
    struct two_workers *f = *state;
    struct capsule_world_draft draft = draft_data(f);
    draft.parents[0].bytes[0] ^= 1;
    assert_int_equal(capsule_world_try(&f->world, &draft), STATUS_FORKED);
    assert_reason(f, "its first parent is");
    draft = draft_data(f);
    draft.parents[0].bytes[0] ^= 1;
    draft.key = f->b->key;
    assert_int_equal(capsule_world_try(&f->world, &draft), STATUS_FORGED);
}

static void p2_another_key_does_not_sign_for_a_writer(void **state)
{
    struct two_workers *f = *state;
    struct capsule_world_draft draft = draft_data(f);
    draft.key = f->b->key;
    assert_int_equal(capsule_world_try(&f->world, &draft), STATUS_FORGED);
    assert_reason(f, "signature");
    assert_int_equal(capsule_member_find(f->world.capsule, &f->a->id)->head.sequence, 1);
}

static void p2_a_record_of_another_capsule_is_forged(void **state)
{
    struct two_workers *f = *state;
    struct capsule_world_draft draft = draft_data(f);
    draft.fields.capsule.bytes[0] ^= 1;
    assert_int_equal(capsule_world_try(&f->world, &draft), STATUS_FORGED);
    assert_reason(f, "belongs to capsule");
}

static void p3_a_writer_that_nobody_admitted_waits(void **state)
{
    struct two_workers *f = *state;
    struct capsule_world_draft draft;
    capsule_world_draft(&f->world, &draft, capsule_world_stranger(&f->world, MEMBER_WORKER),
                        RECORD_DATA);
    assert_int_equal(capsule_world_try(&f->world, &draft), STATUS_GAP);
}

static void each_type_has_its_signers(void **state)
{
    struct two_workers *f = *state;
    struct capsule_world_writer *compactor = capsule_world_admit(&f->world, MEMBER_COMPACTOR);
    const struct {
        struct capsule_world_writer *writer;
        const char *may;  // by type: y(es), n(o), too l(ate)
    } rules[] = {
        {f->world.leader, "lynnynnyylyyyy"},
        {f->a, "nnyynnnnnnnnnn"},
        {compactor, "nnnynyynnnnnnn"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        for (unsigned type = 0; type < RECORD_TYPE_COUNT; type++) {
            struct capsule_world_draft draft;
            capsule_world_draft(&f->world, &draft, rules[i].writer, (enum record_type)type);
            bool is_empty_right = record_type_is_sealed((enum record_type)type);
            enum status status = capsule_world_try(&f->world, &draft);
            switch (rules[i].may[type]) {
            case 'n':
                assert_int_equal(status, STATUS_DENIED);
                assert_reason(f, "may not sign it");
                break;
            case 'l':
                assert_int_equal(status, STATUS_DENIED);
                assert_reason(f, "at the beginning of a leader's branch");
                break;
            default:
                // Its signer is right; its empty body is not, where there has to be one.
                assert_int_not_equal(status, STATUS_DENIED);
                assert_int_equal(status == STATUS_OK, is_empty_right);
            }
        }
    }
}

static void a_body_that_was_never_sealed_is_malformed(void **state)
{
    struct two_workers *f = *state;
    struct capsule_world_draft draft;
    struct record_draft place;
    capsule_world_draft(&f->world, &draft, f->a, RECORD_DATA);
    draft.fields.parents = draft.parents;
    buffer_clear(&f->world.tried);
    assert_int_equal(record_draft_begin(&place, &f->world.tried, &draft.fields, AEAD_TAG_BYTES - 1),
                     STATUS_OK);
    memset(place.body, 0, AEAD_TAG_BYTES - 1);
    record_draft_finish(&place, f->a->key);
    assert_int_equal(capsule_world_feed(f->world.capsule, buffer_bytes(&f->world.tried)),
                     STATUS_MALFORMED);
}

// ---- joins ----

static void a_record_joins_a_known_and_newer_sync(void **state)
{
    struct two_workers *f = *state;
    capsule_world_sync(&f->world);
    struct hash first = f->world.sync;
    struct capsule_world_draft draft = draft_data(f);
    draft.parents[1].bytes[0] ^= 1;
    assert_int_equal(capsule_world_try(&f->world, &draft), STATUS_GAP);
    draft = draft_data(f);
    draft.fields.epoch++;
    assert_int_equal(capsule_world_try(&f->world, &draft), STATUS_FORGED);
    draft = draft_data(f);
    assert_int_equal(capsule_world_try(&f->world, &draft), STATUS_OK);
    const struct capsule_member *a = capsule_member_find(f->world.capsule, &f->a->id);
    assert_true(hash_equal(&a->joined, &first));
    assert_int_equal(a->joined_epoch, 1);
    assert_int_equal(a->joined_lamport, capsule_newest_sync(f->world.capsule)->lamport);

    draft = draft_data(f);  // the same SYNC again
    draft.parents[draft.fields.parent_count++] = first;
    assert_int_equal(capsule_world_try(&f->world, &draft), STATUS_FORGED);
    draft = draft_data(f);
    draft.fields.epoch--;
    assert_int_equal(capsule_world_try(&f->world, &draft), STATUS_FORGED);
}

static enum status try_eoe(struct two_workers *f, struct eoe eoe, uint64_t epoch_offset)
{
    struct capsule_world_draft draft;
    capsule_world_draft(&f->world, &draft, f->a, RECORD_EOE);
    draft.fields.epoch += epoch_offset;
    assert_int_equal(sync_eoe_encode(&draft.body, &eoe, NULL), STATUS_OK);
    return capsule_world_try(&f->world, &draft);
}

static void an_eoe_says_what_its_branch_has_joined(void **state)
{
    struct two_workers *f = *state;
    capsule_world_sync(&f->world);
    const struct eoe right = {.epoch = 2, .lamport = 5, .sync = f->world.sync};
    struct eoe eoe = right;
    eoe.epoch = 3;
    assert_int_equal(try_eoe(f, eoe, 0), STATUS_GAP);
    eoe = right;
    eoe.sync.bytes[0] ^= 1;
    assert_int_equal(try_eoe(f, eoe, 0), STATUS_FORGED);
    eoe.sync = (struct hash){.bytes = {0}};
    assert_int_equal(try_eoe(f, eoe, 0), STATUS_FORGED);
    assert_int_equal(try_eoe(f, right, 1), STATUS_FORGED);
    assert_int_equal(try_eoe(f, right, 0), STATUS_OK);
}

// ---- runs and leaps ----

enum { RUN_COUNT = 5 };

/* Five records of a's that world.capsule has and `replica` has not. */
static struct capsule *run_make(struct two_workers *f, struct record run[RUN_COUNT])
{
    struct capsule *replica;
    size_t first = f->world.record_count;
    assert_int_equal(capsule_new(&replica, buffer_bytes(&f->world.genesis_body)), STATUS_OK);
    for (size_t i = 0; i < first; i++) {
        assert_int_equal(capsule_world_feed(replica, capsule_world_record(&f->world, i)),
                         STATUS_OK);
    }
    for (size_t i = 0; i < RUN_COUNT; i++) {
        capsule_world_put(&f->world, f->a, "run", "v");
    }
    for (size_t i = 0; i < RUN_COUNT; i++) {
        struct bytes bytes = capsule_world_record(&f->world, first + i);
        assert_int_equal(record_decode(&run[i], bytes.at, bytes.length), STATUS_OK);
    }
    return replica;
}

static void the_last_signature_of_a_run_vouches_for_all(void **state)
{
    struct two_workers *f = *state;
    struct record run[RUN_COUNT];
    struct capsule *replica = run_make(f, run);
    assert_int_equal(capsule_verify_run(replica, run + 1, RUN_COUNT - 1), STATUS_GAP);
    for (size_t i = 0; i + 1 < RUN_COUNT; i++) {
        memset(run[i].signature.bytes, 0, sizeof run[i].signature.bytes);
    }
    assert_int_equal(capsule_verify_run(replica, run, RUN_COUNT - 1), STATUS_FORGED);
    assert_int_equal(capsule_verify_run(replica, run, RUN_COUNT), STATUS_OK);
    assert_int_equal(capsule_accept(replica, &run[0]), STATUS_FORGED);
    for (size_t i = 0; i < RUN_COUNT; i++) {
        assert_int_equal(capsule_accept_vouched(replica, &run[i]), STATUS_OK);
    }
    assert_int_equal(capsule_verify_run(replica, run, RUN_COUNT), STATUS_STALE);
    capsule_free(replica);
}

static void p2_a_run_with_a_stranger_in_it_is_forged(void **state)
{
    struct two_workers *f = *state;
    struct record run[RUN_COUNT];
    struct capsule *replica = run_make(f, run);
    const struct record other = run[3];
    run[3].hash.bytes[0] ^= 1;
    assert_int_equal(capsule_verify_run(replica, run, RUN_COUNT), STATUS_FORGED);
    run[3] = other;
    run[3].writer = f->b->id;
    assert_int_equal(capsule_verify_run(replica, run, RUN_COUNT), STATUS_FORGED);
    run[3] = other;
    run[3].sequence++;
    assert_int_equal(capsule_verify_run(replica, run, RUN_COUNT), STATUS_FORGED);
    run[3] = run[2];
    assert_int_equal(capsule_verify_run(replica, run, RUN_COUNT), STATUS_FORGED);
    run[0].writer.bytes[0] ^= 1;
    assert_int_equal(capsule_verify_run(replica, run, 1), STATUS_GAP);
    capsule_free(replica);
}

static void p8_a_signed_run_that_follows_another_record_is_a_fork(void **state)
{
    struct two_workers *f = *state;
    struct record fork;
    struct capsule_world_draft draft = draft_data(f);
    draft.parents[0].bytes[0] ^= 1;
    capsule_world_build(&f->world, &draft);
    assert_int_equal(record_decode(&fork, f->world.tried.bytes, f->world.tried.length), STATUS_OK);
    assert_int_equal(capsule_verify_run(f->world.capsule, &fork, 1), STATUS_FORKED);
}

static enum status try_leap(struct two_workers *f, struct capsule *replica, const struct hash *sync,
                            const struct hash *parent, uint64_t epoch)
{
    struct capsule_world_draft draft;
    struct eoe eoe = {.epoch = 1, .sync = *sync};
    struct record record;
    capsule_world_draft(&f->world, &draft, f->a, RECORD_EOE);
    draft.fields.sequence += 10;
    draft.fields.epoch = epoch;
    draft.fields.parent_count = 1;
    if (parent != NULL) {
        draft.parents[draft.fields.parent_count++] = *parent;
    }
    assert_int_equal(sync_eoe_encode(&draft.body, &eoe, NULL), STATUS_OK);
    capsule_world_build(&f->world, &draft);
    assert_int_equal(record_decode(&record, f->world.tried.bytes, f->world.tried.length),
                     STATUS_OK);
    return capsule_accept_leap(replica, &record);
}

static void a_leap_goes_back_behind_no_sync(void **state)
{
    struct two_workers *f = *state;
    struct hash syncs[3];
    for (size_t i = 0; i < 3; i++) {
        capsule_world_sync(&f->world);
        syncs[i] = f->world.sync;
        if (i == 1) {
            capsule_world_put(&f->world, f->a, "x", "joins the second");
        }
    }
    struct capsule *capsule = f->world.capsule;
    assert_int_equal(try_leap(f, capsule, &syncs[0], NULL, 2), STATUS_FORGED);
    assert_int_equal(try_leap(f, capsule, &syncs[1], &syncs[2], 3), STATUS_FORGED);
    assert_int_equal(try_leap(f, capsule, &syncs[1], NULL, 4), STATUS_FORGED);
    assert_int_equal(try_leap(f, capsule, &syncs[2], &syncs[2], 4), STATUS_OK);
}

static void what_was_leapt_over_is_not_compared(void **state)
{
    struct two_workers *f = *state;
    struct record eoe;
    capsule_world_put(&f->world, f->a, "x", "second");
    struct capsule_world_sync_plan plan;
    capsule_world_plan_sync(&f->world, &plan);
    struct capsule *replica;
    assert_int_equal(capsule_new(&replica, buffer_bytes(&f->world.genesis_body)), STATUS_OK);
    for (size_t i = 0; i + 1 < f->world.record_count; i++) {
        assert_int_equal(capsule_world_feed(replica, capsule_world_record(&f->world, i)),
                         STATUS_OK);
    }
    capsule_world_put(&f->world, f->a, "x", "third");
    capsule_world_eoe(&f->world, f->a);
    struct bytes bytes = capsule_world_record(&f->world, f->world.record_count - 1);
    assert_int_equal(record_decode(&eoe, bytes.at, bytes.length), STATUS_OK);
    assert_int_equal(capsule_accept_leap(replica, &eoe), STATUS_OK);
    assert_int_equal(capsule_world_try_sync(&f->world, &plan), STATUS_OK);
    bytes = capsule_world_record(&f->world, f->world.record_count - 1);
    assert_int_equal(capsule_world_feed(replica, bytes), STATUS_OK);
    assert_int_equal(capsule_joined_sync(replica)->epoch, 1);
    capsule_free(replica);
}

static void a_leader_may_leap_to_an_eoe_and_to_nothing_else(void **state)
{
    struct two_workers *f = *state;
    struct record run[RUN_COUNT], eoe;
    struct capsule *replica = run_make(f, run);
    assert_int_equal(capsule_accept_leap(replica, &run[3]), STATUS_DENIED);
    capsule_world_sync(&f->world);
    capsule_world_put(&f->world, f->a, "run", "v");  // names the SYNC as its parent
    capsule_world_eoe(&f->world, f->a);
    struct bytes bytes = capsule_world_record(&f->world, f->world.record_count - 1);
    assert_int_equal(record_decode(&eoe, bytes.at, bytes.length), STATUS_OK);
    assert_int_equal(capsule_accept(replica, &eoe), STATUS_GAP);
    assert_int_equal(capsule_accept_leap(replica, &eoe), STATUS_GAP);  // the SYNC is missing
    bytes = capsule_world_record(&f->world, f->world.record_count - 3);
    assert_int_equal(capsule_world_feed(replica, bytes), STATUS_OK);
    assert_null(capsule_joined_sync(replica));

    struct record bent = eoe;
    bent.signature.bytes[0] ^= 1;
    assert_int_equal(capsule_accept_leap(replica, &bent), STATUS_FORGED);
    assert_int_equal(capsule_accept_leap(replica, &eoe), STATUS_OK);
    assert_int_equal(capsule_accept_leap(replica, &eoe), STATUS_STALE);
    const struct capsule_member *a = capsule_member_find(replica, &f->a->id);
    assert_true(hash_equal(&a->head.hash, &f->a->head.hash));
    assert_true(hash_equal(&a->joined, &f->world.sync));
    assert_int_equal(capsule_joined_sync(replica)->epoch, 1);
    assert_same(f->world.capsule, replica);

    capsule_world_sync(&f->world);
    bytes = capsule_world_record(&f->world, f->world.record_count - 1);
    assert_int_equal(capsule_world_feed(replica, bytes), STATUS_OK);
    assert_same(f->world.capsule, replica);
    capsule_free(replica);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, two_workers_setup, two_workers_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(replays_a_history_in_the_order_of_its_log),
        TEST(replays_the_leaders_branches_before_the_data),
        TEST(p2_no_flipped_byte_is_accepted),
        TEST(a_log_cut_anywhere_is_whole_up_to_its_last_record),
        TEST(p5_any_order_of_arrival_ends_in_the_same_state),
        TEST(a_branch_grows_by_one),
        TEST(p8_another_parent_than_the_head_is_a_fork_when_it_is_signed),
        TEST(p2_another_key_does_not_sign_for_a_writer),
        TEST(p2_a_record_of_another_capsule_is_forged),
        TEST(p3_a_writer_that_nobody_admitted_waits),
        TEST(each_type_has_its_signers),
        TEST(a_body_that_was_never_sealed_is_malformed),
        TEST(a_record_joins_a_known_and_newer_sync),
        TEST(an_eoe_says_what_its_branch_has_joined),
        TEST(the_last_signature_of_a_run_vouches_for_all),
        TEST(p2_a_run_with_a_stranger_in_it_is_forged),
        TEST(p8_a_signed_run_that_follows_another_record_is_a_fork),
        TEST(a_leap_goes_back_behind_no_sync),
        TEST(what_was_leapt_over_is_not_compared),
        TEST(a_leader_may_leap_to_an_eoe_and_to_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
