/* tests/capsule/capsule_prune_test.c */

/*
 * Goal: the MANIFEST in effect is one that the stores hold and never goes back, whichever came
 * first, it or the SYNC; and a PRUNE names only bodies that may go, as far as one sees without
 * keys. Method: true histories; then the one record bent in one point.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "capsule/prune.h"
#include "tests/support/capsule_world.h"

struct fixture {
    struct capsule_world world;
    struct capsule_world_writer *worker;
    struct capsule_world_writer *compactor;
    struct branch_head first;  // MANIFESTs
    struct branch_head second;
};

static int setup(void **state)
{
    static struct fixture f;
    capsule_world_init(&f.world, 31, 1, 1, 0);
    capsule_world_start(&f.world);
    f.worker = capsule_world_admit(&f.world, MEMBER_WORKER);
    f.compactor = capsule_world_admit(&f.world, MEMBER_COMPACTOR);
    capsule_world_put(&f.world, f.worker, "x", "1");
    f.first = capsule_world_compact(&f.world, f.compactor);
    f.second = capsule_world_compact(&f.world, f.compactor);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    capsule_world_release(&f->world);
    return 0;
}

static enum status sync_naming(struct fixture *f, const struct branch_head *manifest)
{
    struct capsule_world_sync_plan plan;
    capsule_world_plan_sync(&f->world, &plan);
    plan.body.manifest = *manifest;
    return capsule_world_try_sync(&f->world, &plan);
}

static void assert_reason(const struct fixture *f, const char *part)
{
    if (strstr(capsule_reason(f->world.capsule), part) == NULL) {
        fail_msg("the reason is '%s', not '%s'", capsule_reason(f->world.capsule), part);
    }
}

// ---- which MANIFEST is in effect ----

static void a_sync_lets_a_manifest_take_effect(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(sync_naming(f, &f->first), STATUS_OK);
    const struct capsule_sync *sync = capsule_newest_sync(f->world.capsule);
    assert_memory_equal(&sync->manifest, &f->first, sizeof f->first);
    assert_int_equal(sync_naming(f, &f->first), STATUS_OK);
    assert_int_equal(sync_naming(f, &f->second), STATUS_OK);
}

static void p9_an_older_manifest_is_refused(void **state)
{
    struct fixture *f = *state;
    static const struct branch_head none;
    assert_int_equal(sync_naming(f, &f->second), STATUS_OK);
    assert_int_equal(sync_naming(f, &f->first), STATUS_FORGED);
    assert_reason(f, "goes back");
    assert_int_equal(sync_naming(f, &none), STATUS_FORGED);
    assert_int_equal(sync_naming(f, &f->second), STATUS_OK);
}

static void p9_a_manifest_of_an_earlier_compactor_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(sync_naming(f, &f->first), STATUS_OK);
    capsule_world_close(&f->world, f->compactor);
    struct capsule_world_writer *later = capsule_world_admit(&f->world, MEMBER_COMPACTOR);
    struct branch_head third = capsule_world_compact(&f->world, later);
    assert_int_equal(sync_naming(f, &third), STATUS_OK);
    assert_int_equal(sync_naming(f, &f->second), STATUS_FORGED);
    assert_reason(f, "goes back");
}

static void p4_a_manifest_that_the_stores_do_not_hold_is_not_named(void **state)
{
    struct fixture *f = *state;
    struct capsule_world_sync_plan plan;
    struct branch_head held[CAPSULE_WORLD_WRITERS_MAX];
    assert_int_equal(sync_naming(f, &f->first), STATUS_OK);
    struct branch_head third = capsule_world_compact(&f->world, f->compactor);
    capsule_world_plan_sync(&f->world, &plan);
    for (uint32_t i = 0; i < plan.body.head_count; i++) {
        if (writer_id_equal(&plan.heads[i].branch.writer, &f->compactor->id)) {
            plan.heads[i].branch = f->second;
        }
        held[i] = plan.heads[i].branch;
    }
    buffer_clear(&plan.receipts);
    capsule_world_state(&f->world, &plan.receipts, 0, RECEIPT_DURABLE, 1, held,
                        plan.body.head_count);
    plan.body.manifest = third;
    assert_int_equal(capsule_world_try_sync(&f->world, &plan), STATUS_FORGED);
    assert_reason(f, "lists that branch to");
}

static void what_is_named_is_a_manifest_of_a_compactor(void **state)
{
    struct fixture *f = *state;
    struct branch_head other = f->second;
    other.head.hash.bytes[0] ^= 1;
    assert_int_equal(sync_naming(f, &other), STATUS_FORGED);
    assert_reason(f, "is another record");
    other = (struct branch_head){.writer = f->worker->id, .head = f->worker->head};
    assert_int_equal(sync_naming(f, &other), STATUS_FORGED);
    assert_reason(f, "no compactor");
    other = f->second;
    other.head.sequence--;  // the TABLE before it
    assert_int_equal(sync_naming(f, &other), STATUS_FORGED);
    assert_reason(f, "is another record");
}

/* The SYNC first, then what it names. */
static void a_sync_that_came_first_binds_what_it_names(void **state)
{
    struct fixture *f = *state;
    struct capsule *capsule;
    assert_int_equal(sync_naming(f, &f->second), STATUS_OK);
    assert_int_equal(capsule_new(&capsule, buffer_bytes(&f->world.genesis_body)), STATUS_OK);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < f->world.record_count; i++) {
            struct record record;
            struct bytes bytes = capsule_world_record(&f->world, i);
            assert_int_equal(record_decode(&record, bytes.at, bytes.length), STATUS_OK);
            bool is_leaders = writer_id_equal(&record.writer, &f->world.leader->id);
            if (is_leaders == (pass == 0)) {
                assert_int_equal(capsule_accept(capsule, &record), STATUS_OK);
            }
        }
    }
    assert_memory_equal(&capsule_joined_sync(capsule)->manifest, &f->second, sizeof f->second);
    capsule_free(capsule);
}

// ---- PRUNE ----

static struct prune_range range_of(const struct capsule_world_writer *writer, uint64_t from,
                                   uint64_t to)
{
    return (struct prune_range){.writer = writer->id, .from = from, .to = to};
}

static enum status prune(struct fixture *f, const struct branch_head *manifest,
                         struct prune_range range)
{
    struct capsule_world_draft draft;
    const struct prune_body body = {.term = 1, .manifest = *manifest, .range_count = 1};
    capsule_world_draft(&f->world, &draft, f->world.leader, RECORD_PRUNE);
    assert_int_equal(prune_encode(&draft.body, &body, &range), STATUS_OK);
    return capsule_world_try(&f->world, &draft);
}

static void a_prune_names_what_need_not_be_kept(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(sync_naming(f, &f->first), STATUS_OK);
    assert_false(capsule_is_pruned(f->world.capsule, &f->worker->id, 1));
    assert_int_equal(prune(f, &f->first, range_of(f->worker, 1, 1)), STATUS_OK);
    assert_true(capsule_is_pruned(f->world.capsule, &f->worker->id, 1));
    assert_false(capsule_is_pruned(f->world.capsule, &f->worker->id, 2));
    assert_false(capsule_is_pruned(f->world.capsule, &f->compactor->id, 1));
}

static void p4_a_prune_names_only_what_a_sync_has_named(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(sync_naming(f, &f->first), STATUS_OK);
    capsule_world_put(&f->world, f->worker, "x", "2");
    assert_int_equal(prune(f, &f->first, range_of(f->worker, 1, 2)), STATUS_FORGED);
    assert_reason(f, "no SYNC names so far up");
    assert_int_equal(prune(f, &f->first, range_of(f->world.leader, 1, 1)), STATUS_FORGED);
    assert_reason(f, "no worker or compactor");
}

static void p4_a_prune_rests_on_the_manifest_in_effect_and_leaves_it(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(prune(f, &f->first, range_of(f->worker, 1, 1)), STATUS_FORGED);
    assert_reason(f, "not in effect");
    assert_int_equal(sync_naming(f, &f->first), STATUS_OK);
    assert_int_equal(sync_naming(f, &f->second), STATUS_OK);
    assert_int_equal(prune(f, &f->first, range_of(f->worker, 1, 1)), STATUS_FORGED);
    assert_reason(f, "not in effect");
    assert_int_equal(prune(f, &f->second, range_of(f->compactor, 3, 4)), STATUS_FORGED);
    assert_reason(f, "in use");
    assert_int_equal(prune(f, &f->second, range_of(f->compactor, 2, 3)), STATUS_FORGED);
    assert_reason(f, "in use");
    assert_int_equal(prune(f, &f->second, range_of(f->compactor, 1, 1)), STATUS_OK);
}

/* A history whose bodies are gone verifies all the same, whichever ranges came in which order. */
static void p3_a_pruned_history_verifies(void **state)
{
    struct fixture *f = *state;
    struct capsule *capsule;
    struct buffer bytes = BUFFER_EMPTY;
    capsule_world_put(&f->world, f->worker, "x", "2");
    capsule_world_put(&f->world, f->worker, "x", "3");
    assert_int_equal(sync_naming(f, &f->second), STATUS_OK);
    assert_int_equal(prune(f, &f->second, range_of(f->worker, 3, 3)), STATUS_OK);
    assert_int_equal(prune(f, &f->second, range_of(f->worker, 1, 1)), STATUS_OK);
    assert_int_equal(prune(f, &f->second, range_of(f->worker, 1, 2)), STATUS_OK);
    assert_int_equal(capsule_new(&capsule, buffer_bytes(&f->world.genesis_body)), STATUS_OK);
    for (size_t i = 0; i < f->world.record_count; i++) {
        struct record record;
        struct bytes whole = capsule_world_record(&f->world, i);
        assert_int_equal(record_decode(&record, whole.at, whole.length), STATUS_OK);
        if (capsule_is_pruned(f->world.capsule, &record.writer, record.sequence)) {
            buffer_clear(&bytes);
            assert_int_equal(record_prune(&bytes, &record), STATUS_OK);
            assert_int_equal(record_decode_stored(&record, bytes.bytes, bytes.length), STATUS_OK);
        }
        assert_int_equal(capsule_accept(capsule, &record), STATUS_OK);
    }
    for (uint64_t sequence = 1; sequence <= 3; sequence++) {
        assert_true(capsule_is_pruned(capsule, &f->worker->id, sequence));
    }
    buffer_release(&bytes);
    capsule_free(capsule);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_sync_lets_a_manifest_take_effect),
        TEST(p9_an_older_manifest_is_refused),
        TEST(p9_a_manifest_of_an_earlier_compactor_is_refused),
        TEST(p4_a_manifest_that_the_stores_do_not_hold_is_not_named),
        TEST(what_is_named_is_a_manifest_of_a_compactor),
        TEST(a_sync_that_came_first_binds_what_it_names),
        TEST(a_prune_names_what_need_not_be_kept),
        TEST(p4_a_prune_names_only_what_a_sync_has_named),
        TEST(p4_a_prune_rests_on_the_manifest_in_effect_and_leaves_it),
        TEST(p3_a_pruned_history_verifies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
