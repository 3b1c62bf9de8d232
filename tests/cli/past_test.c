/* tests/cli/past_test.c */

/*
 * Goal: of one key every version is told, with the SYNC from which it counts; and what the key was
 * as of each SYNC.
 * Method: hand records and tuples to the visitor as a survey would, in hostile orders.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "capsule/lock.h"
#include "capsule/sync.h"
#include "cli/past.h"

static const struct writer_id leader = {.bytes = {0xee}};
static const struct writer_id a = {.bytes = {0x0a}};
static const struct writer_id b = {.bytes = {0x0b}};
static const struct hash lock_name = {.bytes = {7}};

static struct hash hash_at(const struct writer_id *writer, uint64_t sequence)
{
    return sequence == 0 ? (struct hash){{0}}
                         : (struct hash){.bytes = {writer->bytes[0], (uint8_t)sequence}};
}

static void see(struct past *past, enum record_type type, const struct writer_id *writer,
                uint64_t sequence, uint64_t epoch, const struct buffer *body)
{
    const struct record record = {
        .type = type,
        .writer = *writer,
        .sequence = sequence,
        .epoch = epoch,
        .hash = hash_at(writer, sequence),
        .body = body == NULL ? bytes_of(NULL, 0) : buffer_bytes(body),
    };
    past->visitor.record(past->visitor.context, &record);
}

/* A SYNC over both branches. */
static void see_sync(struct past *past, uint64_t epoch, uint64_t of_a, uint64_t of_b,
                     uint64_t time_ms)
{
    struct buffer body = BUFFER_EMPTY;
    const struct sync_head heads[] = {
        {.branch = {.writer = a, .head = {.sequence = of_a, .hash = hash_at(&a, of_a)}}},
        {.branch = {.writer = b, .head = {.sequence = of_b, .hash = hash_at(&b, of_b)}}},
    };
    const struct sync_body sync = {
        .term = 1, .time_ms = time_ms, .lamport = 100, .floor = 5, .head_count = 2};
    CHECK(sync_encode(&body, &sync, heads) == STATUS_OK);
    see(past, RECORD_SYNC, &leader, epoch + 10, epoch, &body);
    buffer_release(&body);
}

/* A LOCK for a record of `a`; sequence 0: void. */
static void see_lock(struct past *past, uint32_t fence, uint64_t sequence)
{
    struct buffer body = BUFFER_EMPTY;
    struct lock_body lock = {.term = 1, .lock = lock_name, .fence = lock_fence(1, fence)};
    if (sequence != 0) {
        lock.record = (struct branch_head){
            .writer = a, .head = {.sequence = sequence, .hash = hash_at(&a, sequence)}};
    }
    CHECK(lock_encode(&body, &lock) == STATUS_OK);
    see(past, RECORD_LOCK, &leader, 50 + fence, 0, &body);
    buffer_release(&body);
}

static void see_tuple(struct past *past, const struct writer_id *writer, uint64_t sequence,
                      uint32_t fence, const struct tuple *tuple)
{
    const struct record record = {
        .type = RECORD_DATA,
        .writer = *writer,
        .sequence = sequence,
        .hash = hash_at(writer, sequence),
    };
    const struct tuple_tag tag = {.lock = lock_name,
                                  .fence = fence == 0 ? 0 : lock_fence(1, fence)};
    past->visitor.record(past->visitor.context, &record);
    past->visitor.tuple(past->visitor.context, &record, &tag, tuple);
}

static void see_put(struct past *past, const struct writer_id *writer, uint64_t sequence,
                    uint32_t fence, uint64_t lamport, const char *value)
{
    const struct tuple tuple = {.kind = TUPLE_PUT,
                                .lamport = lamport,
                                .key = bytes_text("key"),
                                .value = bytes_text(value)};
    see_tuple(past, writer, sequence, fence, &tuple);
}

static void assert_at(const struct past *past, uint64_t epoch, const char *value)
{
    const struct past_version *version;
    assert_int_equal(past_at(past, epoch, &version), STATUS_OK);
    assert_int_equal(version->value.length, strlen(value));
    assert_memory_equal(version->value.bytes, value, strlen(value));
}

static void assert_gone(const struct past *past, uint64_t epoch)
{
    const struct past_version *version;
    assert_int_equal(past_at(past, epoch, &version), STATUS_NOT_FOUND);
}

static void says_what_a_key_was_as_of_each_sync(void **state)
{
    (void)state;
    struct past past;
    const struct past_version *version;
    past_init(&past, bytes_text("key"));
    see_sync(&past, 1, 0, 0, 1000);
    see_put(&past, &a, 1, 0, 6, "first");
    see_sync(&past, 2, 2, 0, 2000);  // names what comes only later in the store
    see_put(&past, &a, 2, 0, 8, "second");
    see_put(&past, &b, 1, 0, 7, "beaten");
    see_sync(&past, 3, 2, 1, 3000);
    const struct tuple deletion = {.kind = TUPLE_DELETE, .lamport = 9, .key = bytes_text("key")};
    see_tuple(&past, &b, 2, 0, &deletion);
    const struct tuple other = {.kind = TUPLE_PUT, .lamport = 99, .key = bytes_text("keys")};
    see_tuple(&past, &b, 3, 0, &other);
    see_sync(&past, 4, 2, 3, 4000);
    see_put(&past, &a, 3, 0, 10, "not yet");
    past_settle(&past);

    assert_int_equal(past.version_count, 5);
    assert_gone(&past, 1);
    assert_at(&past, 2, "second");
    assert_at(&past, 3, "second");
    assert_gone(&past, 4);
    assert_int_equal(past_at(&past, 5, &version), STATUS_EMPTY);
    assert_int_equal(past.versions[4].epoch, 0);
    assert_int_equal(past.versions[0].epoch, 2);
    assert_int_equal(past.versions[1].lamport, 7);
    // Only what lies above the floor, 5, cannot have been pruned.
    assert_true(past_is_certain(&past, &past.versions[0]));
    assert_false(past_is_certain(&past, NULL));
    past.versions[0].lamport = 5;
    assert_false(past_is_certain(&past, &past.versions[0]));
    past_release(&past);
}

static void of_two_at_one_time_the_greater_writer_wins(void **state)
{
    (void)state;
    struct past past;
    past_init(&past, bytes_text("key"));
    see_put(&past, &b, 1, 0, 6, "of b");
    see_put(&past, &a, 1, 0, 6, "of a");
    see_sync(&past, 1, 1, 1, 1000);
    past_settle(&past);
    assert_at(&past, 1, "of b");
    past_release(&past);
}

static void what_has_expired_by_a_syncs_time_is_gone(void **state)
{
    (void)state;
    struct past past;
    past_init(&past, bytes_text("key"));
    const struct tuple tuple = {.kind = TUPLE_PUT,
                                .lamport = 6,
                                .expiry_ms = 2000,
                                .key = bytes_text("key"),
                                .value = bytes_text("short")};
    see_tuple(&past, &a, 1, 0, &tuple);
    see_sync(&past, 1, 1, 0, 1999);
    see_sync(&past, 2, 1, 0, 2000);
    past_settle(&past);
    assert_at(&past, 1, "short");
    assert_gone(&past, 2);
    past_release(&past);
}

static void p7_what_a_lock_held_back_counts_from_its_lock_on(void **state)
{
    (void)state;
    struct past past;
    past_init(&past, bytes_text("key"));
    see_put(&past, &a, 1, 1, 6, "kept");
    see_sync(&past, 1, 1, 0, 1000);  // covers the record, and not the LOCK
    see_lock(&past, 1, 1);
    see_sync(&past, 2, 1, 0, 2000);
    see_put(&past, &a, 2, 2, 7, "lost");
    see_put(&past, &a, 3, 3, 8, "overtaken");
    see_put(&past, &a, 4, 5, 9, "pending");
    see_lock(&past, 2, 0);
    see_lock(&past, 4, 9);
    see_sync(&past, 3, 4, 0, 3000);
    past_settle(&past);

    const enum past_state states[] = {PAST_COUNTS, PAST_VOID, PAST_VOID, PAST_UNDECIDED};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        assert_int_equal(past.versions[i].state, states[i]);
    }
    assert_gone(&past, 1);
    assert_at(&past, 2, "kept");
    assert_at(&past, 3, "kept");
    past_release(&past);
}

static void begins_anew_when_the_survey_does(void **state)
{
    (void)state;
    struct past past;
    past_init(&past, bytes_text("key"));
    for (unsigned i = 0; i < 3; i++) {
        past.visitor.begin(past.visitor.context);
        for (uint64_t sequence = 1; sequence <= 40; sequence++) {
            see_put(&past, &a, sequence, 0, 5 + sequence, "value");
        }
        see_sync(&past, 1, 40, 0, 1000);
    }
    past_settle(&past);
    assert_int_equal(past.version_count, 40);
    assert_int_equal(past.sync_count, 1);
    past_release(&past);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_a_key_was_as_of_each_sync),
        cmocka_unit_test(of_two_at_one_time_the_greater_writer_wins),
        cmocka_unit_test(what_has_expired_by_a_syncs_time_is_gone),
        cmocka_unit_test(p7_what_a_lock_held_back_counts_from_its_lock_on),
        cmocka_unit_test(begins_anew_when_the_survey_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
