/* tests/capsule/capsule_stores_test.c */

/*
 * Goal: which stores count is the owner's word, in the TERM of each leader: the W of a SYNC are of
 * its leader's stores, the R of a CLOSE also of those before when the branch is of an earlier
 * term; and no leader leaves out stores that counted for its predecessor.
 * Method: an app of three stores, W = 2, gets a fourth, W = 3, then loses its first; next to each
 * step the same step wrong in one point.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "capsule/capsule_snapshot.h"
#include "capsule/proof.h"
#include "capsule/stores.h"
#include "tests/support/capsule_world.h"

enum { STORE_COUNT = 4 };

struct fixture {
    struct capsule_world world;
    struct genesis sets[3];  // of the GENESIS; with the fourth store; without the first one
    struct buffer words[3];  // the owner's on the second; on the third; on the second for good
};

static struct genesis set_of(struct fixture *f, uint32_t first, uint32_t last, uint32_t receipts)
{
    struct genesis set = f->world.genesis;
    set.receipt_count = receipts;
    set.store_count = 0;
    set.policy = bytes_of(NULL, 0);
    for (uint32_t i = first; i <= last; i++) {
        struct genesis_store *store = &set.stores[set.store_count++];
        *store = (struct genesis_store){.key = sign_key_public(f->world.store_keys[i])};
        store->id = writer_store_id_of(&store->key);
        store->name[0] = (char)('a' + i);
    }
    return set;
}

static void say(struct fixture *f, size_t word, uint64_t version, size_t now, size_t former)
{
    const struct stores stores = {
        .version = version,
        .now = f->sets[now],
        .has_former = former != now,
        .former = f->sets[former],
    };
    assert_int_equal(stores_encode(&f->words[word], &stores, f->world.owner), STATUS_OK);
}

static int setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){.words = {BUFFER_EMPTY}};
    capsule_world_init(&f.world, 21, STORE_COUNT - 1, 2, 0);
    f.world.store_keys[STORE_COUNT - 1] = sign_key_new(&f.world.random);
    f.sets[0] = set_of(&f, 0, 2, 2);
    f.sets[1] = set_of(&f, 0, 3, 3);
    f.sets[2] = set_of(&f, 1, 3, 2);
    say(&f, 0, 1, 1, 0);
    say(&f, 1, 2, 2, 1);
    say(&f, 2, 2, 1, 1);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof f->words / sizeof *f->words; i++) {
        buffer_release(&f->words[i]);
    }
    capsule_world_release(&f->world);
    return 0;
}

static void assert_reason(const struct fixture *f, const char *part)
{
    if (strstr(capsule_reason(f->world.capsule), part) == NULL) {
        fail_msg("the reason is '%s', not '%s'", capsule_reason(f->world.capsule), part);
    }
}

/* A leader of the next term, for which these stores count. */
static void restart(struct fixture *f, struct bytes word)
{
    f->world.term_stores = word;
    capsule_world_restart(&f->world);
}

/* Its CLOSE of `writer`, which these stores have fenced. */
static enum status try_close(struct fixture *f, struct capsule_world_writer *writer,
                             uint32_t stores)
{
    struct capsule_world_close_plan plan = {
        .body = {.term = f->world.leader->term,
                 .cut = {.writer = writer->id, .head = writer->head},
                 .reason = SYNC_CLOSE_RESTART},
    };
    for (uint32_t i = 0; i < STORE_COUNT; i++) {
        if ((stores & 1u << i) != 0) {
            capsule_world_state(&f->world, &plan.fences, i, RECEIPT_FENCE, plan.body.term,
                                &plan.body.cut, 1);
        }
    }
    return capsule_world_try_close(&f->world, &plan);
}

/* Its SYNC, which rests on receipts of these stores. */
static enum status try_sync(struct fixture *f, uint32_t stores)
{
    struct capsule_world_sync_plan plan;
    struct branch_head heads[CAPSULE_WORLD_WRITERS_MAX];
    capsule_world_plan_sync(&f->world, &plan);
    for (uint32_t i = 0; i < plan.body.head_count; i++) {
        heads[i] = plan.heads[i].branch;
    }
    buffer_release(&plan.receipts);
    for (uint32_t i = 0; i < STORE_COUNT; i++) {
        if ((stores & 1u << i) != 0) {
            capsule_world_state(&f->world, &plan.receipts, i, RECEIPT_DURABLE,
                                f->world.leader->term, heads, plan.body.head_count);
        }
    }
    return capsule_world_try_sync(&f->world, &plan);
}

/* A first term with a worker that has written; then a second leader with the fourth store. */
static struct capsule_world_writer *begin(struct fixture *f, struct capsule_world_writer **worker)
{
    capsule_world_start(&f->world);
    struct capsule_world_writer *first = f->world.leader;
    *worker = capsule_world_admit(&f->world, MEMBER_WORKER);
    capsule_world_put(&f->world, *worker, "x", "1");
    assert_int_equal(try_sync(f, 3), STATUS_OK);
    capsule_world_put(&f->world, *worker, "x", "2");
    restart(f, buffer_bytes(&f->words[0]));
    return first;
}

// ---- the owner's word ----

static void the_owners_word_reads_back(void **state)
{
    struct fixture *f = *state;
    struct stores read;
    assert_int_equal(stores_decode(&read, buffer_bytes(&f->words[0]), &f->world.genesis),
                     STATUS_OK);
    assert_int_equal(read.version, 1);
    assert_true(read.has_former);
    assert_true(stores_are_same(&read.now, &f->sets[1]));
    assert_true(stores_are_same(&read.former, &f->sets[0]));
    assert_string_equal(read.now.stores[3].name, "d");
    assert_int_equal(genesis_answer_count(&read.now), 2);
    assert_int_equal(stores_decode(&read, buffer_bytes(&f->words[2]), &f->world.genesis),
                     STATUS_OK);
    assert_false(read.has_former);
}

static void p2_no_bent_byte_of_the_owners_word_is_taken(void **state)
{
    struct fixture *f = *state;
    struct stores read;
    struct buffer *word = &f->words[1];
    for (size_t i = 0; i < word->length; i++) {
        word->bytes[i] ^= 4;
        assert_int_not_equal(stores_decode(&read, buffer_bytes(word), &f->world.genesis),
                             STATUS_OK);
        word->bytes[i] ^= 4;
    }
    struct genesis other = f->world.genesis;
    other.capsule = hash_of("other", 5);
    assert_int_equal(stores_decode(&read, buffer_bytes(word), &other), STATUS_FORGED);
}

static void p3_only_the_owner_says_which_stores_count(void **state)
{
    struct fixture *f = *state;
    capsule_world_start(&f->world);
    struct capsule_world_writer *next = capsule_world_stranger(&f->world, MEMBER_LEADER);
    const struct stores stores = {.version = 1, .now = f->sets[1]};
    struct buffer word = BUFFER_EMPTY;
    assert_int_equal(stores_encode(&word, &stores, next->key), STATUS_OK);
    const struct bytes words[] = {buffer_bytes(&word), bytes_text("nothing of the kind")};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const struct term term = {
            .capsule = f->world.name,
            .number = 2,
            .leader = next->public_key,
            .evidence = bytes_text("evidence"),
            .stores = words[i],
        };
        struct capsule_world_draft draft;
        capsule_world_draft(&f->world, &draft, next, RECORD_TERM);
        assert_int_equal(term_encode(&draft.body, &term, f->world.owner), STATUS_OK);
        assert_int_not_equal(capsule_world_try(&f->world, &draft), STATUS_OK);
        assert_reason(f, "not the owner's word");
    }
    buffer_release(&word);
}

// ---- who counts ----

static void p4_a_branch_of_an_earlier_term_is_fenced_by_both_sets(void **state)
{
    struct fixture *f = *state;
    struct capsule_world_writer *worker, *first = begin(f, &worker);
    // R is 2 of either set. Of 1 and 4 both count now, and one did before.
    assert_int_equal(try_close(f, first, 1 | 8), STATUS_FORGED);
    assert_reason(f, "of the former set");
    assert_int_equal(try_close(f, first, 1), STATUS_FORGED);
    assert_int_equal(try_close(f, first, 1 | 2), STATUS_OK);
    assert_int_equal(try_close(f, worker, 4 | 8), STATUS_FORGED);
    assert_int_equal(try_close(f, worker, 2 | 4 | 8), STATUS_OK);

    // One of this term has counted by these stores alone.
    assert_int_equal(try_sync(f, 7), STATUS_OK);
    struct capsule_world_writer *own = capsule_world_admit(&f->world, MEMBER_WORKER);
    assert_int_equal(try_close(f, own, 8), STATUS_FORGED);
    assert_int_equal(try_close(f, own, 1 | 8), STATUS_OK);
}

static void p4_a_sync_rests_on_the_stores_of_its_leader(void **state)
{
    struct fixture *f = *state;
    struct capsule_world_writer *worker, *first = begin(f, &worker);
    assert_int_equal(try_close(f, first, 7), STATUS_OK);
    assert_int_equal(try_close(f, worker, 7), STATUS_OK);
    assert_int_equal(try_sync(f, 7), STATUS_OK);
    struct capsule_world_writer *own = capsule_world_admit(&f->world, MEMBER_WORKER);
    capsule_world_put(&f->world, own, "y", "1");
    assert_int_equal(try_sync(f, 3), STATUS_FORGED);
    assert_reason(f, "3 must");
    assert_int_equal(try_sync(f, 1 | 2 | 8), STATUS_OK);

    // Without the first one: it says what it likes.
    struct capsule_world_writer *second = f->world.leader;
    restart(f, buffer_bytes(&f->words[1]));
    assert_int_equal(try_close(f, second, 1 | 2 | 8), STATUS_OK);
    assert_int_equal(try_close(f, own, 1 | 2 | 8), STATUS_OK);
    struct capsule_world_writer *last = capsule_world_admit(&f->world, MEMBER_WORKER);
    capsule_world_put(&f->world, last, "y", "2");
    assert_int_equal(try_sync(f, 1 | 2), STATUS_FORGED);
    assert_int_equal(try_sync(f, 1 | 4), STATUS_FORGED);
    assert_int_equal(try_sync(f, 2 | 8), STATUS_OK);
    assert_int_equal(capsule_stores(f->world.capsule)->version, 2);
}

static void p4_no_leader_leaves_out_the_stores_of_its_predecessor(void **state)
{
    struct fixture *f = *state;
    struct capsule_world_writer *worker, *first = begin(f, &worker);
    assert_int_equal(try_close(f, first, 7), STATUS_OK);
    assert_int_equal(try_close(f, worker, 7), STATUS_OK);
    assert_int_equal(try_sync(f, 7), STATUS_OK);
    struct capsule_world_writer *second = f->world.leader;

    // The owner's word of before: none, which is the GENESIS's.
    restart(f, bytes_of(NULL, 0));
    assert_int_equal(try_close(f, second, 15), STATUS_DENIED);
    assert_reason(f, "do not follow");
    restart(f, buffer_bytes(&f->words[2]));
    assert_int_equal(try_close(f, second, 1 | 8), STATUS_OK);
    restart(f, buffer_bytes(&f->words[1]));
    assert_int_equal(try_close(f, f->world.leader - 1, 15), STATUS_OK);

    // A set that differs from the one before and says nothing of it.
    struct buffer word = BUFFER_EMPTY;
    const struct stores alone = {.version = 9, .now = f->sets[0]};
    assert_int_equal(stores_encode(&word, &alone, f->world.owner), STATUS_OK);
    restart(f, buffer_bytes(&word));
    assert_int_equal(try_close(f, f->world.leader - 1, 15), STATUS_DENIED);
    buffer_release(&word);
}

static void every_order_of_arrival_judges_alike(void **state)
{
    struct fixture *f = *state;
    struct capsule_world_writer *worker, *first = begin(f, &worker);
    assert_int_equal(try_close(f, first, 1 | 2), STATUS_OK);
    assert_int_equal(try_close(f, worker, 1 | 2), STATUS_OK);
    assert_int_equal(try_sync(f, 7), STATUS_OK);

    // The second leader's branch first: it waits for the end of the first one's, and no longer.
    struct capsule *replica;
    assert_int_equal(capsule_new(&replica, buffer_bytes(&f->world.genesis_body)), STATUS_OK);
    for (size_t pass = 0; pass < f->world.record_count; pass++) {
        for (size_t i = f->world.record_count; i-- > 0;) {
            enum status status = capsule_world_feed(replica, capsule_world_record(&f->world, i));
            assert_true(status == STATUS_OK || status == STATUS_GAP || status == STATUS_STALE ||
                        (status == STATUS_FORGED && i == 0));
        }
    }
    assert_non_null(capsule_newest_sync(replica));
    assert_true(hash_equal(&capsule_newest_sync(replica)->hash, &f->world.sync));
    assert_int_equal(capsule_stores(replica)->version, 1);
    capsule_free(replica);
}

static void a_snapshot_remembers_which_stores_count(void **state)
{
    struct fixture *f = *state;
    struct capsule_world_writer *worker, *first = begin(f, &worker);
    assert_int_equal(try_close(f, first, 1 | 2), STATUS_OK);
    assert_int_equal(try_close(f, worker, 1 | 2), STATUS_OK);
    assert_int_equal(try_sync(f, 7), STATUS_OK);
    size_t before = f->world.record_count;
    struct buffer bytes = BUFFER_EMPTY;
    assert_int_equal(capsule_snapshot_encode_whole(&bytes, f->world.capsule), STATUS_OK);
    (void)capsule_world_admit(&f->world, MEMBER_WORKER);
    assert_int_equal(try_sync(f, 1 | 4 | 8), STATUS_OK);

    struct capsule *restored;
    struct capsule_snapshot snapshot;
    assert_int_equal(
        capsule_snapshot_restore(&restored, &snapshot, buffer_bytes(&f->world.genesis_body),
                                 buffer_bytes(&bytes)),
        STATUS_OK);
    assert_true(stores_are_same(&capsule_stores(restored)->now, &f->sets[1]));
    assert_true(stores_are_same(&capsule_stores(restored)->former, &f->sets[0]));
    for (size_t i = before; i < f->world.record_count; i++) {
        assert_int_equal(capsule_world_feed(restored, capsule_world_record(&f->world, i)),
                         STATUS_OK);
    }
    capsule_free(restored);
    buffer_release(&bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_owners_word_reads_back),
        TEST(p2_no_bent_byte_of_the_owners_word_is_taken),
        TEST(p3_only_the_owner_says_which_stores_count),
        TEST(p4_a_branch_of_an_earlier_term_is_fenced_by_both_sets),
        TEST(p4_a_sync_rests_on_the_stores_of_its_leader),
        TEST(p4_no_leader_leaves_out_the_stores_of_its_predecessor),
        TEST(every_order_of_arrival_judges_alike),
        TEST(a_snapshot_remembers_which_stores_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
