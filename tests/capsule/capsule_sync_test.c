/* tests/capsule/capsule_sync_test.c */

/*
 * Goal: a SYNC or CLOSE is accepted only when every part of it is true, and
 * what it names and what a branch holds agree, whichever came first.
 * Method: plan a true one, bend it in one point, offer it; then the true one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/capsule_world.h"

struct fixture {
    struct capsule_world world;
    struct capsule_world_writer *a;
    struct capsule_world_writer *b;
    size_t second_at;  // where a's second record stands
};

static int setup(void **state)
{
    static struct fixture f;
    capsule_world_init(&f.world, 12, 4, 2, 1);  // R = 4
    capsule_world_start(&f.world);
    f.a = capsule_world_admit(&f.world, MEMBER_WORKER);
    f.b = capsule_world_admit(&f.world, MEMBER_WORKER);
    capsule_world_put(&f.world, f.a, "x", "1");
    capsule_world_sync(&f.world);
    f.second_at = f.world.record_count;
    capsule_world_put(&f.world, f.a, "x", "2");
    capsule_world_put(&f.world, f.b, "y", "3");
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    capsule_world_release(&f->world);
    return 0;
}

/* State all heads of the plan anew, by the first `count` stores. */
static void restate(struct fixture *f, struct capsule_world_sync_plan *plan, uint32_t count,
                    enum receipt_kind kind, uint64_t term)
{
    struct branch_head held[CAPSULE_WORLD_WRITERS_MAX];
    for (uint32_t i = 0; i < plan->body.head_count; i++) {
        held[i] = plan->heads[i].branch;
    }
    buffer_clear(&plan->receipts);
    for (uint32_t i = 0; i < count; i++) {
        capsule_world_state(&f->world, &plan->receipts, i, kind, term, held, plan->body.head_count);
    }
}

// ---- a SYNC bent in one point ----

typedef void bend_function(struct fixture *f, struct capsule_world_sync_plan *plan);

static void other_term(struct fixture *f, struct capsule_world_sync_plan *plan)
{
    (void)f;
    plan->body.term = 2;
}

static void earlier_time(struct fixture *f, struct capsule_world_sync_plan *plan)
{
    plan->body.time_ms = capsule_newest_sync(f->world.capsule)->time_ms - 1;
}

static void lower_lamport(struct fixture *f, struct capsule_world_sync_plan *plan)
{
    plan->body.lamport = capsule_newest_sync(f->world.capsule)->lamport - 1;
    plan->body.floor = 0;
}

static void floor_above_lamport(struct fixture *f, struct capsule_world_sync_plan *plan)
{
    (void)f;
    plan->body.floor = plan->body.lamport + 1;
}

static void unknown_writer(struct fixture *f, struct capsule_world_sync_plan *plan)
{
    plan->heads[0].branch.writer.bytes[0] ^= 1;
    restate(f, plan, 2, RECEIPT_DURABLE, 1);
}

static void one_listed_twice(struct fixture *f, struct capsule_world_sync_plan *plan)
{
    (void)f;
    plan->heads[plan->body.head_count++] = plan->heads[0];
}

static void head_below_the_last_one(struct fixture *f, struct capsule_world_sync_plan *plan)
{
    (void)f;
    plan->heads[0].branch.head = (struct head){.sequence = 0};
}

static void open_listed_as_closed(struct fixture *f, struct capsule_world_sync_plan *plan)
{
    (void)f;
    plan->heads[0].flags = SYNC_FLAG_CLOSED;
}

static void receipts_of_too_few_stores(struct fixture *f, struct capsule_world_sync_plan *plan)
{
    restate(f, plan, 1, RECEIPT_DURABLE, 1);
}

static void receipts_of_one_store_twice(struct fixture *f, struct capsule_world_sync_plan *plan)
{
    restate(f, plan, 1, RECEIPT_DURABLE, 1);
    struct buffer twice = BUFFER_EMPTY;
    assert_int_equal(buffer_append(&twice, plan->receipts.bytes, plan->receipts.length), STATUS_OK);
    assert_int_equal(buffer_append(&plan->receipts, twice.bytes, twice.length), STATUS_OK);
    buffer_release(&twice);
}

static void receipts_of_a_later_term(struct fixture *f, struct capsule_world_sync_plan *plan)
{
    restate(f, plan, 2, RECEIPT_DURABLE, 2);
}

static void fences_for_receipts(struct fixture *f, struct capsule_world_sync_plan *plan)
{
    restate(f, plan, 2, RECEIPT_FENCE, 1);
}

static void receipts_of_what_came_before(struct fixture *f, struct capsule_world_sync_plan *plan)
{
    struct head now = plan->heads[0].branch.head;
    plan->heads[0].branch.head.sequence--;
    restate(f, plan, 2, RECEIPT_DURABLE, 1);
    plan->heads[0].branch.head = now;
}

static void receipts_of_another_record(struct fixture *f, struct capsule_world_sync_plan *plan)
{
    struct head now = plan->heads[0].branch.head;
    plan->heads[0].branch.head.hash.bytes[0] ^= 1;
    restate(f, plan, 2, RECEIPT_DURABLE, 1);
    plan->heads[0].branch.head = now;
}

static void receipt_with_a_flipped_bit(struct fixture *f, struct capsule_world_sync_plan *plan)
{
    (void)f;
    plan->receipts.bytes[plan->receipts.length - 1] ^= 1;
}

static void the_leader_beyond_itself(struct fixture *f, struct capsule_world_sync_plan *plan)
{
    struct branch_head itself = {.writer = f->world.leader->id, .head = f->world.leader->head};
    itself.head.sequence++;
    plan->heads[plan->body.head_count++] = (struct sync_head){.branch = itself};
    restate(f, plan, 2, RECEIPT_DURABLE, 1);
}

static void a_bent_sync_is_forged(void **state)
{
    struct fixture *f = *state;
    bend_function *const bends[] = {
        other_term,
        earlier_time,
        lower_lamport,
        floor_above_lamport,
        unknown_writer,
        one_listed_twice,
        head_below_the_last_one,
        open_listed_as_closed,
        receipts_of_too_few_stores,
        receipts_of_one_store_twice,
        receipts_of_a_later_term,
        fences_for_receipts,
        receipts_of_what_came_before,
        receipts_of_another_record,
        receipt_with_a_flipped_bit,
        the_leader_beyond_itself,
    };
    for (size_t i = 0; i < sizeof bends / sizeof *bends; i++) {
        struct capsule_world_sync_plan plan;
        capsule_world_plan_sync(&f->world, &plan);
        bends[i](f, &plan);
        enum status status = capsule_world_try_sync(&f->world, &plan);
        if (status != STATUS_FORGED) {
            fail_msg("bend %zu: %s: %s", i, status_text(status), capsule_reason(f->world.capsule));
        }
        assert_int_equal(capsule_newest_sync(f->world.capsule)->epoch, 1);
    }
    capsule_world_sync(&f->world);
    assert_int_equal(capsule_newest_sync(f->world.capsule)->epoch, 2);
    assert_int_equal(capsule_joined_sync(f->world.capsule)->epoch, 2);
}

static void a_floor_does_not_fall(void **state)
{
    struct fixture *f = *state;
    capsule_world_sync(&f->world);
    capsule_world_put(&f->world, f->a, "x", "3");
    capsule_world_put(&f->world, f->b, "x", "4");
    capsule_world_sync(&f->world);
    assert_true(capsule_newest_sync(f->world.capsule)->floor > 0);
    struct capsule_world_sync_plan plan;
    capsule_world_plan_sync(&f->world, &plan);
    plan.body.floor = capsule_newest_sync(f->world.capsule)->floor - 1;
    assert_int_equal(capsule_world_try_sync(&f->world, &plan), STATUS_FORGED);
}

static void what_is_no_receipt_is_malformed(void **state)
{
    struct fixture *f = *state;
    struct capsule_world_sync_plan plan;
    capsule_world_plan_sync(&f->world, &plan);
    plan.receipts.length--;
    assert_int_equal(capsule_world_try_sync(&f->world, &plan), STATUS_MALFORMED);
}

static void the_parents_of_a_sync_are_its_heads_in_order(void **state)
{
    struct fixture *f = *state;
    for (int bend = 0; bend < 4; bend++) {
        struct capsule_world_sync_plan plan;
        struct capsule_world_draft draft;
        capsule_world_plan_sync(&f->world, &plan);
        plan.body.receipts = buffer_bytes(&plan.receipts);
        capsule_world_draft(&f->world, &draft, f->world.leader, RECORD_SYNC);
        draft.parents[1] = plan.heads[bend == 0 ? 1 : 0].branch.head.hash;
        draft.parents[2] = plan.heads[bend == 0 ? 0 : 1].branch.head.hash;
        draft.parents[3] = hash_of("more", 4);
        draft.fields.parent_count = bend == 1 ? 2 : bend == 2 ? 4 : 3;
        draft.fields.epoch -= bend == 3 ? 1 : 0;
        assert_int_equal(sync_encode(&draft.body, &plan.body, plan.heads), STATUS_OK);
        buffer_release(&plan.receipts);
        assert_int_equal(capsule_world_try(&f->world, &draft), STATUS_FORGED);
    }
    capsule_world_sync(&f->world);
}

static void a_head_proven_before_needs_no_receipt_again(void **state)
{
    struct fixture *f = *state;
    capsule_world_sync(&f->world);
    struct capsule_world_sync_plan plan;
    capsule_world_plan_sync(&f->world, &plan);
    buffer_clear(&plan.receipts);
    assert_int_equal(capsule_world_try_sync(&f->world, &plan), STATUS_OK);
}

// ---- a branch and a SYNC that disagree ----

/* Another record in the place of a's second, as true as that one. */
static void build_fork(struct fixture *f, struct hash *hash)
{
    struct record original, fork;
    struct bytes bytes = capsule_world_record(&f->world, f->second_at);
    assert_int_equal(record_decode(&original, bytes.at, bytes.length), STATUS_OK);
    struct capsule_world_draft draft;
    capsule_world_draft(&f->world, &draft, f->a, RECORD_DATA);
    draft.fields.sequence = original.sequence;
    draft.fields.epoch = original.epoch;
    draft.fields.parent_count = original.parent_count;
    for (size_t i = 0; i < original.parent_count; i++) {
        draft.parents[i] = record_parent(&original, i);
    }
    capsule_world_tuple(&f->world, f->a, &draft.body, "x", "forked");
    capsule_world_build(&f->world, &draft);
    assert_int_equal(record_decode(&fork, f->world.tried.bytes, f->world.tried.length), STATUS_OK);
    *hash = fork.hash;
}

/* A replica that lacks a's second record and b's first. */
static struct capsule *replica_behind(const struct fixture *f)
{
    struct capsule *replica;
    assert_int_equal(capsule_new(&replica, buffer_bytes(&f->world.genesis_body)), STATUS_OK);
    for (size_t i = 0; i < f->world.record_count; i++) {
        if (i != f->second_at && i != f->second_at + 1) {
            assert_int_equal(capsule_world_feed(replica, capsule_world_record(&f->world, i)),
                             STATUS_OK);
        }
    }
    return replica;
}

/* W stores hold what it names: what is here counts for nothing. */
static void p9_a_sync_that_names_another_record_than_is_here_counts(void **state)
{
    struct fixture *f = *state;
    struct hash other;
    build_fork(f, &other);
    capsule_world_put(&f->world, f->a, "x", "later");
    struct capsule_world_sync_plan plan;
    capsule_world_plan_sync(&f->world, &plan);
    plan.heads[0].branch.head = (struct head){.sequence = 2, .hash = other};
    restate(f, &plan, 2, RECEIPT_DURABLE, 1);
    assert_int_equal(capsule_world_try_sync(&f->world, &plan), STATUS_OK);
    assert_true(capsule_is_overrun(f->world.capsule));
    const struct capsule_member *a = capsule_member_find(f->world.capsule, &f->a->id);
    assert_int_equal(a->forked_sequence, 2);
    struct head named = capsule_named_head(f->world.capsule, a);
    assert_memory_equal(named.hash.bytes, other.bytes, HASH_BYTES);
}

static void p4_a_sync_that_names_another_record_than_one_before_it_is_refused(void **state)
{
    struct fixture *f = *state;
    struct hash other;
    capsule_world_sync(&f->world);
    build_fork(f, &other);
    struct capsule_world_sync_plan plan;
    capsule_world_plan_sync(&f->world, &plan);
    plan.heads[0].branch.head = (struct head){.sequence = 2, .hash = other};
    restate(f, &plan, 2, RECEIPT_DURABLE, 1);
    assert_int_equal(capsule_world_try_sync(&f->world, &plan), STATUS_FORKED);
    assert_non_null(strstr(capsule_reason(f->world.capsule), "here it is"));
    assert_false(capsule_is_overrun(f->world.capsule));
}

static void what_is_here_stays_known_until_what_a_sync_names_is_reached(void **state)
{
    struct fixture *f = *state;
    struct hash here;
    struct capsule *replica;
    size_t third_at = f->world.record_count;
    capsule_world_put(&f->world, f->a, "x", "4");
    capsule_world_put(&f->world, f->a, "x", "5");
    capsule_world_sync(&f->world);
    assert_int_equal(capsule_new(&replica, buffer_bytes(&f->world.genesis_body)), STATUS_OK);
    for (size_t i = 0; i < f->world.record_count; i++) {
        if (i != third_at && i != third_at + 1) {
            assert_int_equal(capsule_world_feed(replica, capsule_world_record(&f->world, i)),
                             STATUS_OK);
        }
    }
    const struct capsule_member *a = capsule_member_find(replica, &f->a->id);
    assert_int_equal(capsule_named_head(replica, a).sequence, 4);
    assert_int_equal(capsule_world_feed(replica, capsule_world_record(&f->world, third_at)),
                     STATUS_OK);
    struct record second;
    struct bytes bytes = capsule_world_record(&f->world, f->second_at);
    assert_int_equal(record_decode(&second, bytes.at, bytes.length), STATUS_OK);
    assert_true(capsule_hash_at(replica, a, 2, &here));
    assert_memory_equal(here.bytes, second.hash.bytes, HASH_BYTES);
    assert_int_equal(capsule_world_feed(replica, capsule_world_record(&f->world, third_at + 1)),
                     STATUS_OK);
    assert_false(capsule_hash_at(replica, a, 2, &here));
    capsule_free(replica);
}

static void p8_a_record_other_than_a_sync_named_is_a_fork(void **state)
{
    struct fixture *f = *state;
    struct hash other;
    capsule_world_sync(&f->world);

    struct capsule *replica = replica_behind(f);
    assert_int_equal(capsule_newest_sync(replica)->unmet_count, 2);
    assert_int_equal(capsule_joined_sync(replica)->epoch, 1);

    build_fork(f, &other);
    assert_int_equal(capsule_world_feed(replica, buffer_bytes(&f->world.tried)), STATUS_FORKED);
    f->world.tried.bytes[f->world.tried.length - 1] ^= 1;
    assert_int_equal(capsule_world_feed(replica, buffer_bytes(&f->world.tried)), STATUS_FORGED);

    assert_int_equal(capsule_world_feed(replica, capsule_world_record(&f->world, f->second_at)),
                     STATUS_OK);
    assert_int_equal(capsule_newest_sync(replica)->unmet_count, 1);
    assert_int_equal(capsule_world_feed(replica, capsule_world_record(&f->world, f->second_at + 1)),
                     STATUS_OK);
    assert_int_equal(capsule_joined_sync(replica)->epoch, 2);
    capsule_free(replica);
}

// ---- CLOSE ----

static void fence(struct fixture *f, struct capsule_world_close_plan *plan, uint32_t count,
                  enum receipt_kind kind, uint64_t term, const struct branch_head *head)
{
    buffer_clear(&plan->fences);
    for (uint32_t i = 0; i < count; i++) {
        capsule_world_state(&f->world, &plan->fences, i, kind, term, head, 1);
    }
}

static void a_bent_close_is_forged(void **state)
{
    struct fixture *f = *state;
    struct branch_head above = {.writer = f->a->id, .head = f->a->head};
    struct branch_head other = {.writer = f->b->id, .head = f->b->head};
    above.head.sequence++;
    for (int bend = 0; bend < 8; bend++) {
        struct capsule_world_close_plan plan;
        capsule_world_plan_close(&f->world, &plan, f->a);
        switch (bend) {
        case 0:
            plan.body.term = 2;
            break;
        case 1:
            fence(f, &plan, 3, RECEIPT_FENCE, 1, &plan.body.cut);
            break;
        case 2:
            fence(f, &plan, 4, RECEIPT_DURABLE, 1, &plan.body.cut);
            break;
        case 3:
            fence(f, &plan, 4, RECEIPT_FENCE, 2, &plan.body.cut);
            break;
        case 4:
            fence(f, &plan, 4, RECEIPT_FENCE, 1, &above);
            break;
        case 5:
            fence(f, &plan, 4, RECEIPT_FENCE, 1, &other);
            break;
        case 6:  // below what a SYNC has named
            plan.body.cut.head = (struct head){.sequence = 0};
            fence(f, &plan, 4, RECEIPT_FENCE, 1, &plan.body.cut);
            break;
        default:
            above.head = f->a->head;
            above.head.hash.bytes[0] ^= 1;
            fence(f, &plan, 4, RECEIPT_FENCE, 1, &above);
        }
        enum status status = capsule_world_try_close(&f->world, &plan);
        if (status != STATUS_FORGED) {
            fail_msg("bend %d: %s: %s", bend, status_text(status),
                     capsule_reason(f->world.capsule));
        }
    }
    capsule_world_close(&f->world, f->a);
    struct capsule_world_close_plan plan;
    capsule_world_plan_close(&f->world, &plan, f->a);
    assert_int_equal(capsule_world_try_close(&f->world, &plan), STATUS_FORGED);
}

static void a_leader_closes_neither_itself_nor_a_stranger(void **state)
{
    struct fixture *f = *state;
    struct capsule_world_close_plan plan;
    capsule_world_plan_close(&f->world, &plan, f->world.leader);
    assert_int_equal(capsule_world_try_close(&f->world, &plan), STATUS_DENIED);
    capsule_world_plan_close(&f->world, &plan, capsule_world_stranger(&f->world, MEMBER_WORKER));
    assert_int_equal(capsule_world_try_close(&f->world, &plan), STATUS_GAP);
}

static void p11_nothing_is_accepted_beyond_a_cut(void **state)
{
    struct fixture *f = *state;
    capsule_world_close(&f->world, f->a);
    struct capsule_world_draft draft;
    capsule_world_draft(&f->world, &draft, f->a, RECORD_DATA);
    assert_int_equal(capsule_world_try(&f->world, &draft), STATUS_CLOSED);
    assert_false(capsule_is_overrun(f->world.capsule));
}

static void a_replica_beyond_a_cut_is_overrun(void **state)
{
    struct fixture *f = *state;
    struct head cut = f->a->head;
    capsule_world_put(&f->world, f->a, "x", "beyond");
    struct capsule_world_writer at_cut = *f->a;
    at_cut.head = cut;
    struct capsule_world_close_plan plan;
    capsule_world_plan_close(&f->world, &plan, &at_cut);
    assert_int_equal(capsule_world_try_close(&f->world, &plan), STATUS_OK);
    assert_true(capsule_is_overrun(f->world.capsule));
}

static void at_the_cut_stands_the_record_that_the_close_names(void **state)
{
    struct fixture *f = *state;
    struct hash other;
    capsule_world_close(&f->world, f->a);
    struct capsule *replica = replica_behind(f);
    build_fork(f, &other);
    assert_int_equal(capsule_world_feed(replica, buffer_bytes(&f->world.tried)), STATUS_FORKED);
    assert_int_equal(capsule_world_feed(replica, capsule_world_record(&f->world, f->second_at)),
                     STATUS_OK);
    capsule_free(replica);
}

static void p9_a_close_that_names_another_record_than_is_here_counts(void **state)
{
    struct fixture *f = *state;
    struct hash other;
    build_fork(f, &other);
    struct capsule_world_close_plan plan;
    struct capsule_world_writer forked = *f->a;
    forked.head.hash = other;
    capsule_world_plan_close(&f->world, &plan, &forked);
    assert_int_equal(capsule_world_try_close(&f->world, &plan), STATUS_OK);
    assert_true(capsule_is_overrun(f->world.capsule));
    const struct capsule_member *a = capsule_member_find(f->world.capsule, &f->a->id);
    assert_int_equal(a->forked_sequence, 2);
    assert_memory_equal(a->cut.hash.bytes, other.bytes, HASH_BYTES);
}

static void a_closed_branch_is_listed_once_more_with_its_cut(void **state)
{
    struct fixture *f = *state;
    capsule_world_close(&f->world, f->a);
    struct capsule_world_sync_plan plan;
    capsule_world_plan_sync(&f->world, &plan);
    plan.heads[0].flags = 0;
    assert_int_equal(capsule_world_try_sync(&f->world, &plan), STATUS_FORGED);
    capsule_world_plan_sync(&f->world, &plan);
    plan.heads[0].branch.head.sequence++;
    restate(f, &plan, 2, RECEIPT_DURABLE, 1);
    assert_int_equal(capsule_world_try_sync(&f->world, &plan), STATUS_FORGED);
    capsule_world_sync(&f->world);
    f->a->is_listed_closed = false;
    capsule_world_plan_sync(&f->world, &plan);
    assert_int_equal(capsule_world_try_sync(&f->world, &plan), STATUS_FORGED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_bent_sync_is_forged),
        TEST(a_floor_does_not_fall),
        TEST(what_is_no_receipt_is_malformed),
        TEST(the_parents_of_a_sync_are_its_heads_in_order),
        TEST(a_head_proven_before_needs_no_receipt_again),
        TEST(p9_a_sync_that_names_another_record_than_is_here_counts),
        TEST(p4_a_sync_that_names_another_record_than_one_before_it_is_refused),
        TEST(p9_a_close_that_names_another_record_than_is_here_counts),
        TEST(what_is_here_stays_known_until_what_a_sync_names_is_reached),
        TEST(p8_a_record_other_than_a_sync_named_is_a_fork),
        TEST(a_bent_close_is_forged),
        TEST(a_leader_closes_neither_itself_nor_a_stranger),
        TEST(p11_nothing_is_accepted_beyond_a_cut),
        TEST(a_replica_beyond_a_cut_is_overrun),
        TEST(at_the_cut_stands_the_record_that_the_close_names),
        TEST(a_closed_branch_is_listed_once_more_with_its_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
