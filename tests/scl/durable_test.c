/* tests/scl/durable_test.c */

/*
 * Goal: a branch counts as held exactly when W stores have signed that they
 * hold it, as it is here, and no more is verified than somebody asks for.
 * Method: three stores of which two must sign; true receipts from each, and
 * ones that are bent, of another kind, of another capsule, of a stranger, of a fork.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cursor.h"
#include "scl/durable.h"
#include "tests/support/capsule_world.h"

enum { STORE_COUNT = 3, RECEIPT_COUNT = 2, MANY_WRITERS = 300 };

struct fixture {
    struct capsule_world world;
    struct durable *durable;
    struct writer_id writer;
};

static struct writer_id writer_of(uint32_t number)
{
    // A test's ids are no hashes, and crowd the same slots all the more.
    return (struct writer_id){.bytes = {[0] = (uint8_t)number, [15] = (uint8_t)(number >> 8)}};
}

static int setup(void **state)
{
    static struct fixture f;
    capsule_world_init(&f.world, 7, STORE_COUNT, RECEIPT_COUNT, 0);
    f.writer = writer_of(1);
    assert_int_equal(durable_new(&f.durable, &f.world.genesis, NULL), STATUS_OK);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    durable_free(f->durable);
    capsule_world_release(&f->world);
    return 0;
}

static struct branch_head head_of(const struct writer_id *writer, uint64_t sequence)
{
    return (struct branch_head){
        .writer = *writer,
        .head = {.sequence = sequence, .hash = hash_of(&sequence, sizeof sequence)},
    };
}

/* What store `store` signs of one branch. */
static struct buffer statement_of(struct fixture *f, uint32_t store, enum receipt_kind kind,
                                  const struct writer_id *writer, uint64_t sequence)
{
    struct buffer statement = BUFFER_EMPTY;
    const struct branch_head head = head_of(writer, sequence);
    assert_int_equal(
        receipt_encode(&statement, kind, &f->world.name, 1, &head, 1, f->world.store_keys[store]),
        STATUS_OK);
    return statement;
}

static enum status receive_and_release(struct fixture *f, struct buffer *statement)
{
    enum status status = durable_receive(f->durable, buffer_bytes(statement));
    buffer_release(statement);
    return status;
}

static void receive(struct fixture *f, uint32_t store, uint64_t sequence)
{
    struct buffer receipt = statement_of(f, store, RECEIPT_DURABLE, &f->writer, sequence);
    assert_int_equal(receive_and_release(f, &receipt), STATUS_OK);
}

/* Like a receipt, but for one bit of its signature. */
static enum status receive_bent(struct fixture *f, uint32_t store, uint64_t sequence)
{
    struct buffer receipt = statement_of(f, store, RECEIPT_DURABLE, &f->writer, sequence);
    receipt.bytes[receipt.length - 1] ^= 1;
    return receive_and_release(f, &receipt);
}

static bool covers(struct fixture *f, uint64_t sequence)
{
    return durable_covers(f->durable, &f->writer, sequence);
}

static void nothing_is_held_but_the_beginning(void **state)
{
    struct fixture *f = *state;
    assert_true(covers(f, 0));
    assert_false(covers(f, 1));
}

static void p4_a_branch_is_held_once_enough_distinct_stores_say_so(void **state)
{
    struct fixture *f = *state;
    receive(f, 0, 5);
    assert_false(covers(f, 1));
    receive(f, 0, 5);
    receive(f, 0, 9);
    assert_false(covers(f, 1));

    receive(f, 2, 7);
    assert_true(covers(f, 7));
    assert_true(covers(f, 1));
    assert_false(covers(f, 8));
    const struct writer_id other = writer_of(2);
    assert_false(durable_covers(f->durable, &other, 1));
}

static void p4_an_older_receipt_takes_nothing_back(void **state)
{
    struct fixture *f = *state;
    receive(f, 0, 9);
    receive(f, 1, 9);
    receive(f, 0, 3);
    assert_true(covers(f, 9));
    receive(f, 1, 3);
    assert_true(covers(f, 9));
}

static void p4_a_claim_still_unverified_does_not_hide_a_verified_one(void **state)
{
    struct fixture *f = *state;
    receive(f, 0, 5);
    receive(f, 1, 5);
    assert_true(covers(f, 5));
    assert_int_equal(receive_bent(f, 0, 8), STATUS_OK);
    assert_int_equal(receive_bent(f, 1, 8), STATUS_OK);
    assert_true(covers(f, 5));
    assert_false(covers(f, 8));
    assert_true(covers(f, 5));
}

static void p4_a_false_claim_keeps_no_true_one_below_it_from_being_heard(void **state)
{
    struct fixture *f = *state;
    receive(f, 0, 1);
    receive(f, 1, 1);
    for (uint32_t store = 0; store < RECEIPT_COUNT; store++) {
        assert_int_equal(receive_bent(f, store, 8), STATUS_OK);
        receive(f, store, 5);
    }
    assert_true(covers(f, 5));
    assert_false(covers(f, 6));
}

static void p2_a_bent_receipt_counts_for_nothing(void **state)
{
    struct fixture *f = *state;
    // Of an unknown writer it is refused at once.
    assert_int_equal(receive_bent(f, 0, 5), STATUS_FORGED);
    receive(f, 0, 5);
    assert_int_equal(receive_bent(f, 1, 5), STATUS_OK);
    assert_int_equal(receive_bent(f, 2, 5), STATUS_OK);
    assert_false(covers(f, 5));

    // The true one, when it comes again, counts.
    receive(f, 1, 5);
    assert_true(covers(f, 5));
}

static void p2_another_kind_and_another_capsule_count_for_nothing(void **state)
{
    struct fixture *f = *state;
    struct buffer fence = statement_of(f, 0, RECEIPT_FENCE, &f->writer, 5);
    assert_int_equal(receive_and_release(f, &fence), STATUS_FORGED);
    const struct hash name = f->world.name;
    f->world.name.bytes[0] ^= 1;
    struct buffer foreign = statement_of(f, 0, RECEIPT_DURABLE, &f->writer, 5);
    f->world.name = name;
    assert_int_equal(receive_and_release(f, &foreign), STATUS_FORGED);

    // Of a known writer they are kept until somebody asks, and then found out.
    receive(f, 0, 5);
    fence = statement_of(f, 1, RECEIPT_FENCE, &f->writer, 5);
    assert_int_equal(receive_and_release(f, &fence), STATUS_OK);
    assert_false(covers(f, 5));
    f->world.name.bytes[0] ^= 1;
    foreign = statement_of(f, 1, RECEIPT_DURABLE, &f->writer, 5);
    f->world.name = name;
    assert_int_equal(receive_and_release(f, &foreign), STATUS_OK);
    assert_false(covers(f, 5));
}

static void refuses_a_store_that_the_genesis_does_not_name(void **state)
{
    struct fixture *f = *state;
    struct sign_key *stranger = sign_key_new(&f->world.random);
    struct buffer receipt = BUFFER_EMPTY;
    const struct branch_head head = head_of(&f->writer, 5);
    assert_int_equal(
        receipt_encode(&receipt, RECEIPT_DURABLE, &f->world.name, 1, &head, 1, stranger),
        STATUS_OK);
    assert_int_equal(receive_and_release(f, &receipt), STATUS_DENIED);
    sign_key_free(stranger);
}

static void refuses_what_is_no_receipt(void **state)
{
    struct fixture *f = *state;
    struct buffer receipt = statement_of(f, 0, RECEIPT_DURABLE, &f->writer, 5);
    for (size_t length = 0; length < receipt.length; length++) {
        assert_int_equal(durable_receive(f->durable, bytes_of(receipt.bytes, length)),
                         STATUS_MALFORMED);
    }
    buffer_release(&receipt);
    assert_int_equal(durable_verified_count(f->durable), 0);
}

static void verifies_only_what_somebody_asks_for(void **state)
{
    struct fixture *f = *state;
    for (uint32_t store = 0; store < STORE_COUNT; store++) {
        receive(f, store, 1);
    }
    assert_int_equal(durable_verified_count(f->durable), 1);  // the first of a new writer
    for (uint64_t sequence = 2; sequence <= 50; sequence++) {
        for (uint32_t store = 0; store < STORE_COUNT; store++) {
            receive(f, store, sequence);
        }
    }
    assert_int_equal(durable_verified_count(f->durable), 1);

    assert_true(covers(f, 50));
    assert_int_equal(durable_verified_count(f->durable), 1 + RECEIPT_COUNT);
    assert_true(covers(f, 50));
    assert_true(covers(f, 20));
    assert_int_equal(durable_verified_count(f->durable), 1 + RECEIPT_COUNT);

    // Two stores are verified this far, the first of which has gone on: nothing new to verify.
    receive(f, 0, 60);
    assert_true(covers(f, 50));
    assert_int_equal(durable_verified_count(f->durable), 1 + RECEIPT_COUNT);
}

static void verifies_a_receipt_of_many_branches_once(void **state)
{
    struct fixture *f = *state;
    static struct branch_head heads[MANY_WRITERS];
    for (uint32_t i = 0; i < MANY_WRITERS; i++) {
        const struct writer_id writer = writer_of(i);
        heads[i] = head_of(&writer, i + 1);
    }
    for (uint32_t store = 0; store < RECEIPT_COUNT; store++) {
        struct buffer receipt = BUFFER_EMPTY;
        assert_int_equal(receipt_encode(&receipt, RECEIPT_DURABLE, &f->world.name, 1, heads,
                                        MANY_WRITERS, f->world.store_keys[store]),
                         STATUS_OK);
        assert_int_equal(receive_and_release(f, &receipt), STATUS_OK);
    }
    for (uint32_t i = 0; i < MANY_WRITERS; i++) {
        assert_true(durable_covers(f->durable, &heads[i].writer, i + 1));
        assert_false(durable_covers(f->durable, &heads[i].writer, i + 2));
    }
    assert_int_equal(durable_verified_count(f->durable), RECEIPT_COUNT);
}

/* The distinct stores whose receipts, each behind its length, verify and cover the sequence. */
static size_t count_stores(struct fixture *f, const struct buffer *collected, uint64_t sequence)
{
    struct cursor in = cursor_over(collected->bytes, collected->length);
    bool has_signed[STORE_COUNT] = {false};
    while (in.left > 0) {
        uint32_t length = cursor_u32(&in);
        struct bytes bytes = cursor_bytes(&in, length);
        struct receipt receipt;
        assert_false(in.failed);
        assert_int_equal(receipt_decode(&receipt, bytes), STATUS_OK);
        const struct genesis_store *store = genesis_store_find(&f->world.genesis, &receipt.store);
        assert_non_null(store);
        assert_int_equal(receipt_verify(&receipt, RECEIPT_DURABLE, &f->world.name, &store->key),
                         STATUS_OK);
        assert_true(receipt_head(&receipt, 0).head.sequence >= sequence);
        has_signed[store - f->world.genesis.stores] = true;
    }
    size_t count = 0;
    for (size_t i = 0; i < STORE_COUNT; i++) {
        count += has_signed[i];
    }
    return count;
}

static enum status collect(struct fixture *f, uint64_t sequence, struct buffer *collected)
{
    const struct branch_head head = head_of(&f->writer, sequence);
    return durable_collect(f->durable, &f->writer, &head.head, collected);
}

static void p9_a_store_that_names_another_record_spoils_nothing(void **state)
{
    struct fixture *f = *state;
    struct buffer collected = BUFFER_EMPTY, lie = BUFFER_EMPTY;
    const struct branch_head other = {.writer = f->writer,
                                      .head = {.sequence = 5, .hash = {{0xee}}}};
    assert_int_equal(
        receipt_encode(&lie, RECEIPT_DURABLE, &f->world.name, 1, &other, 1, f->world.store_keys[0]),
        STATUS_OK);
    assert_int_equal(receive_and_release(f, &lie), STATUS_OK);
    receive(f, 1, 5);
    durable_collect_begin(f->durable);
    assert_int_equal(collect(f, 5, &collected), STATUS_GAP);
    receive(f, 2, 5);
    assert_int_equal(collect(f, 5, &collected), STATUS_OK);
    assert_int_equal(count_stores(f, &collected, 5), RECEIPT_COUNT);
    buffer_release(&collected);
}

static void p4_collects_the_receipts_that_prove_it(void **state)
{
    struct fixture *f = *state;
    struct buffer collected = BUFFER_EMPTY;
    durable_collect_begin(f->durable);
    receive(f, 0, 5);
    assert_int_equal(collect(f, 5, &collected), STATUS_GAP);
    assert_int_equal(collected.length, 0);

    receive(f, 1, 4);
    receive(f, 2, 6);
    assert_int_equal(collect(f, 5, &collected), STATUS_OK);
    assert_int_equal(count_stores(f, &collected, 5), RECEIPT_COUNT);

    // Already appended: nothing is said twice, until another collection begins.
    size_t length = collected.length;
    assert_int_equal(collect(f, 5, &collected), STATUS_OK);
    assert_int_equal(collected.length, length);
    buffer_clear(&collected);
    durable_collect_begin(f->durable);
    assert_int_equal(collect(f, 5, &collected), STATUS_OK);
    assert_int_equal(count_stores(f, &collected, 5), RECEIPT_COUNT);
    buffer_release(&collected);
}

static void what_was_collected_may_be_overtaken_before_the_next_collection(void **state)
{
    struct fixture *f = *state;
    struct buffer collected = BUFFER_EMPTY;
    receive(f, 0, 5);
    receive(f, 1, 5);
    durable_collect_begin(f->durable);
    assert_int_equal(collect(f, 5, &collected), STATUS_OK);
    receive(f, 0, 6);
    receive(f, 1, 6);
    assert_true(covers(f, 6));
    buffer_clear(&collected);
    durable_collect_begin(f->durable);
    assert_int_equal(collect(f, 6, &collected), STATUS_OK);
    assert_int_equal(count_stores(f, &collected, 6), RECEIPT_COUNT);
    buffer_release(&collected);
}

/* The GENESIS with a fourth store, and without the first one. */
static struct genesis other_stores(struct fixture *f, uint32_t receipt_count)
{
    struct genesis stores = f->world.genesis;
    f->world.store_keys[STORE_COUNT] = sign_key_new(&f->world.random);
    for (uint32_t i = 0; i < STORE_COUNT; i++) {
        struct genesis_store *store = &stores.stores[i];
        store->key = sign_key_public(f->world.store_keys[i + 1]);
        store->id = writer_store_id_of(&store->key);
    }
    stores.receipt_count = receipt_count;
    return stores;
}

static void p4_a_store_that_counts_no_more_is_not_counted(void **state)
{
    struct fixture *f = *state;
    struct buffer collected = BUFFER_EMPTY;
    receive(f, 0, 5);
    receive(f, 1, 5);
    receive(f, 2, 6);
    assert_true(covers(f, 5));
    const struct genesis stores = other_stores(f, RECEIPT_COUNT);
    assert_int_equal(durable_use(f->durable, &stores), STATUS_OK);
    assert_true(covers(f, 5));  // by the two that stay: what they said still counts
    assert_false(covers(f, 6));
    struct buffer receipt = statement_of(f, 0, RECEIPT_DURABLE, &f->writer, 6);
    assert_int_equal(receive_and_release(f, &receipt), STATUS_DENIED);
    receive(f, STORE_COUNT, 6);
    assert_true(covers(f, 6));
    durable_collect_begin(f->durable);
    assert_int_equal(collect(f, 6, &collected), STATUS_OK);
    assert_int_equal(durable_claimed(f->durable, &f->writer), 6);
    buffer_release(&collected);
}

static void p4_as_many_have_to_sign_as_the_new_word_says(void **state)
{
    struct fixture *f = *state;
    receive(f, 1, 5);
    receive(f, 2, 5);
    assert_true(covers(f, 5));
    const struct genesis stores = other_stores(f, RECEIPT_COUNT + 1);
    assert_int_equal(durable_use(f->durable, &stores), STATUS_OK);
    assert_false(covers(f, 5));
    receive(f, STORE_COUNT, 5);
    assert_true(covers(f, 5));
}

// ---- compared with what is here ----

/* Writer `worker` of the world, of whose records `here` has accepted the first ones. */
struct compared {
    struct fixture *f;
    struct capsule_world_writer *worker;
    struct capsule *here;
    struct branch_head heads[5];  // by sequence
    size_t record_first;          // where the world has record 1
};

static void compared_init(struct compared *c, struct fixture *f)
{
    struct capsule_world *world = &f->world;
    *c = (struct compared){.f = f};
    capsule_world_start(world);
    c->worker = capsule_world_admit(world, MEMBER_WORKER);
    c->record_first = world->record_count;
    assert_int_equal(capsule_new(&c->here, buffer_bytes(&world->genesis_body)), STATUS_OK);
    for (size_t i = 0; i < c->record_first; i++) {
        assert_int_equal(capsule_world_feed(c->here, capsule_world_record(world, i)), STATUS_OK);
    }
    for (size_t i = 1; i < 5; i++) {
        capsule_world_put(world, c->worker, "key", "value");
        c->heads[i] = (struct branch_head){.writer = c->worker->id, .head = c->worker->head};
    }
    durable_free(f->durable);
    assert_int_equal(durable_new(&f->durable, &world->genesis, c->here), STATUS_OK);
}

static void compared_release(struct compared *c)
{
    durable_free(c->f->durable);
    c->f->durable = NULL;
    capsule_free(c->here);
}

/* Record `sequence` comes. */
static void compared_accept(struct compared *c, uint64_t sequence)
{
    const struct capsule_world *world = &c->f->world;
    size_t index = c->record_first + (size_t)sequence - 1;
    assert_int_equal(capsule_world_feed(c->here, capsule_world_record(world, index)), STATUS_OK);
}

/* With one bit of the signature changed, or none. */
static enum status compared_sign(struct compared *c, uint32_t store, const struct branch_head *head,
                                 uint8_t flaw)
{
    struct buffer receipt = BUFFER_EMPTY;
    const struct capsule_world *world = &c->f->world;
    assert_int_equal(receipt_encode(&receipt, RECEIPT_DURABLE, &world->name, 1, head, 1,
                                    world->store_keys[store]),
                     STATUS_OK);
    receipt.bytes[receipt.length - 1] ^= flaw;
    return receive_and_release(c->f, &receipt);
}

static bool compared_covers(struct compared *c, uint64_t sequence)
{
    return durable_covers(c->f->durable, &c->worker->id, sequence);
}

static void p4_stores_that_hold_a_fork_do_not_hold_the_branch(void **state)
{
    struct compared c;
    compared_init(&c, *state);
    compared_accept(&c, 1);
    const struct branch_head fork = {.writer = c.worker->id,
                                     .head = {.sequence = 1, .hash = {{0xee}}}};
    const struct branch_head beyond = {.writer = c.worker->id,
                                       .head = {.sequence = 2, .hash = {{0xee}}}};
    for (uint32_t store = 0; store < STORE_COUNT; store++) {
        assert_int_equal(compared_sign(&c, store, &fork, 0), STATUS_OK);
        assert_int_equal(compared_sign(&c, store, &beyond, 0), STATUS_OK);
    }
    assert_false(compared_covers(&c, 1));
    assert_int_equal(durable_claimed(c.f->durable, &c.worker->id), 0);
    compared_accept(&c, 2);
    assert_false(compared_covers(&c, 1));
    for (uint32_t store = 0; store < RECEIPT_COUNT; store++) {
        assert_false(compared_covers(&c, 1));
        assert_int_equal(compared_sign(&c, store, &c.heads[1], 0), STATUS_OK);
    }
    assert_true(compared_covers(&c, 1));
    assert_false(compared_covers(&c, 2));
    compared_release(&c);
}

static void p4_some_claim_counts_next_however_far_the_stores_are_ahead(void **state)
{
    struct compared c;
    compared_init(&c, *state);
    compared_accept(&c, 1);
    for (uint64_t sequence = 2; sequence <= 4; sequence++) {
        for (uint32_t store = 0; store < RECEIPT_COUNT; store++) {
            assert_int_equal(compared_sign(&c, store, &c.heads[sequence], 0), STATUS_OK);
        }
    }
    assert_false(compared_covers(&c, 1));
    compared_accept(&c, 2);
    assert_true(compared_covers(&c, 2));
    compared_accept(&c, 3);
    assert_false(compared_covers(&c, 3));
    compared_accept(&c, 4);
    assert_true(compared_covers(&c, 4));
    compared_release(&c);
}

static void p4_a_false_claim_ahead_keeps_no_true_one_from_being_heard(void **state)
{
    struct compared c;
    compared_init(&c, *state);
    compared_accept(&c, 1);
    struct branch_head never = {.writer = c.worker->id, .head = {.hash = {{0xee}}}};
    assert_int_equal(compared_sign(&c, 0, &c.heads[1], 0), STATUS_OK);
    assert_int_equal(compared_sign(&c, 1, &c.heads[1], 0), STATUS_OK);
    for (uint32_t store = 0; store < RECEIPT_COUNT; store++) {
        never.head.sequence = 100;
        assert_int_equal(compared_sign(&c, store, &never, 1), STATUS_OK);
        never.head.sequence = 200;
        assert_int_equal(compared_sign(&c, store, &never, 1), STATUS_OK);
        assert_int_equal(compared_sign(&c, store, &c.heads[3], 0), STATUS_OK);
        assert_int_equal(compared_sign(&c, store, &c.heads[4], 0), STATUS_OK);
        // An older one comes late, and one in place of the first.
        assert_int_equal(compared_sign(&c, store, &c.heads[2], 0), STATUS_OK);
        never.head.sequence = 2;
        assert_int_equal(compared_sign(&c, store, &never, 1), STATUS_OK);
    }
    compared_accept(&c, 2);
    assert_true(compared_covers(&c, 2));
    compared_accept(&c, 3);
    compared_accept(&c, 4);
    assert_true(compared_covers(&c, 4));
    compared_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_held_but_the_beginning, setup, teardown),
        cmocka_unit_test_setup_teardown(p4_a_branch_is_held_once_enough_distinct_stores_say_so,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(p4_an_older_receipt_takes_nothing_back, setup, teardown),
        cmocka_unit_test_setup_teardown(p4_a_claim_still_unverified_does_not_hide_a_verified_one,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            p4_a_false_claim_keeps_no_true_one_below_it_from_being_heard, setup, teardown),
        cmocka_unit_test_setup_teardown(p2_a_bent_receipt_counts_for_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(p2_another_kind_and_another_capsule_count_for_nothing,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_a_store_that_the_genesis_does_not_name, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(refuses_what_is_no_receipt, setup, teardown),
        cmocka_unit_test_setup_teardown(verifies_only_what_somebody_asks_for, setup, teardown),
        cmocka_unit_test_setup_teardown(verifies_a_receipt_of_many_branches_once, setup, teardown),
        cmocka_unit_test_setup_teardown(p9_a_store_that_names_another_record_spoils_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(p4_collects_the_receipts_that_prove_it, setup, teardown),
        cmocka_unit_test_setup_teardown(p4_a_store_that_counts_no_more_is_not_counted, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(p4_as_many_have_to_sign_as_the_new_word_says, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            what_was_collected_may_be_overtaken_before_the_next_collection, setup, teardown),
        cmocka_unit_test_setup_teardown(p4_stores_that_hold_a_fork_do_not_hold_the_branch, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(p4_some_claim_counts_next_however_far_the_stores_are_ahead,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(p4_a_false_claim_ahead_keeps_no_true_one_from_being_heard,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
