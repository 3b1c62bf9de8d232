/* tests/store/store_test.c */

/*
 * Goal: a store takes what its capsule accepts and nothing else, says in its receipts only what is
 * durable, gives back what it took, and keeps what it promised to a leader.
 * Method: a world of owner, leader and workers writes a history; the store runs on a disk in
 * memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/fence.h"
#include "tests/support/store_fixture.h"

static int setup(void **state)
{
    struct store_fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    store_fixture_init(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct store_fixture *f = *state;
    store_fixture_release(f);
    free(f);
    return 0;
}

/* Append all that the world has from record `first` on, and commit. */
static void take_from(struct store_fixture *f, size_t first)
{
    assert_int_equal(store_fixture_append_range(f, first, f->world.record_count), STATUS_OK);
    assert_int_equal(store_fixture_commit(f), STATUS_OK);
}

static struct receipt decode(struct store_fixture *f, struct bytes bytes, enum receipt_kind kind)
{
    struct receipt receipt;
    struct verify_key key = sign_key_public(f->world.store_keys[0]);
    assert_int_equal(receipt_decode(&receipt, bytes), STATUS_OK);
    assert_int_equal(receipt_verify(&receipt, kind, &f->world.name, &key), STATUS_OK);
    return receipt;
}

/* Whether the statement names `writer`, and then with the head that the world knows. */
static bool names(const struct receipt *receipt, const struct capsule_world_writer *writer)
{
    for (uint32_t i = 0; i < receipt->head_count; i++) {
        struct branch_head head = receipt_head(receipt, i);
        if (writer_id_equal(&head.writer, &writer->id)) {
            assert_int_equal(head.head.sequence, writer->head.sequence);
            assert_true(hash_equal(&head.head.hash, &writer->head.hash));
            return true;
        }
    }
    return false;
}

static struct frame_fence decode_ask(const struct buffer *body)
{
    struct frame_fence ask;
    assert_int_equal(frame_fence_decode(&ask, buffer_bytes(body)), STATUS_OK);
    return ask;
}

static void p4_a_receipt_names_what_a_crash_leaves(void **state)
{
    struct store_fixture *f = *state;
    store_fixture_put(f);
    take_from(f, 0);
    struct receipt receipt = decode(f, buffer_bytes(&f->receipt), RECEIPT_DURABLE);
    assert_int_equal(receipt.head_count, 3);
    assert_int_equal(receipt.term, 1);
    assert_true(names(&receipt, f->world.leader) && names(&receipt, f->a) && names(&receipt, f->b));
    assert_int_equal(store_commit(f->store, &f->receipt), STATUS_EMPTY);
    disk_fake_crash(f->fake, NULL);
    assert_int_equal(store_fixture_reopen(f), STATUS_OK);
    assert_int_equal(store_fixture_held(f), f->world.record_count);
}

static void p4_nothing_is_receipted_when_the_sync_fails(void **state)
{
    struct store_fixture *f = *state;
    assert_int_equal(store_fixture_append_range(f, 0, f->world.record_count), STATUS_OK);
    disk_fake_fail(f->fake, 2, STATUS_IO);  // the write succeeds
    assert_int_equal(store_commit(f->store, &f->receipt), STATUS_IO);
    assert_int_equal(f->receipt.length, 0);
    assert_int_equal(store_commit(f->store, &f->receipt), STATUS_IO);
    assert_int_equal(store_fixture_append(f, capsule_world_record(&f->world, 0)), STATUS_IO);
}

static void p4_a_repeated_record_is_receipted_again(void **state)
{
    struct store_fixture *f = *state;
    store_fixture_put(f);
    take_from(f, 0);
    size_t last_of_b = f->world.record_count - 1;
    assert_int_equal(store_fixture_append(f, capsule_world_record(&f->world, last_of_b)),
                     STATUS_STALE);
    assert_int_equal(store_fixture_commit(f), STATUS_OK);
    struct receipt receipt = decode(f, buffer_bytes(&f->receipt), RECEIPT_DURABLE);
    assert_int_equal(receipt.head_count, 1);
    assert_true(names(&receipt, f->b));
}

static void goes_on_after_reopening_over_many_segments(void **state)
{
    struct store_fixture *f = *state;
    size_t sent = 0;
    for (int round = 0; round < 12; round++) {
        store_fixture_put(f);
        take_from(f, sent);
        sent = f->world.record_count;
        assert_int_equal(store_prepare(f->store), STATUS_OK);
        assert_int_equal(store_fixture_reopen(f), STATUS_OK);
        assert_int_equal(store_fixture_held(f), f->world.record_count);
    }
    struct store_counters counters;
    store_count(f->store, &counters);
    assert_in_range(counters.segment_count, 3, 20);
    assert_int_equal(counters.record_count, f->world.record_count);
    assert_int_equal(counters.record_bytes, f->world.log.length);
}

/* A disk that counts what is read of segments. */
struct counted_disk {
    struct disk disk;
    uint64_t bytes;
};

static enum status read_and_count(void *context, const char *name, uint64_t offset, void *target,
                                  size_t length)
{
    struct counted_disk *counted = context;
    counted->bytes += strncmp(name, "segment-", 8) == 0 ? length : 0;
    return counted->disk.read(counted->disk.context, name, offset, target, length);
}

static enum status size_of(void *context, const char *name, uint64_t *bytes)
{
    const struct counted_disk *counted = context;
    return counted->disk.size(counted->disk.context, name, bytes);
}

static enum status replace_none(void *context, const char *name, const void *source, size_t length)
{
    (void)context;
    (void)name;
    (void)source;
    (void)length;
    return STATUS_NO_SPACE;
}

static enum status write_through(void *context, const char *name, uint64_t offset,
                                 const void *source, size_t length)
{
    const struct counted_disk *counted = context;
    return counted->disk.write(counted->disk.context, name, offset, source, length);
}

static enum status sync_through(void *context, const char *name)
{
    const struct counted_disk *counted = context;
    return counted->disk.sync(counted->disk.context, name);
}

/* Open the store once more, and say how many bytes of segments it read. */
static uint64_t bytes_read_at_open(struct store_fixture *f)
{
    struct counted_disk counted = {.disk = f->disk};
    store_close(f->store);
    f->store = NULL;
    struct disk disk = f->disk;
    disk.context = &counted;
    disk.read = read_and_count;
    disk.size = size_of;
    disk.write = write_through;
    disk.sync = sync_through;
    disk.replace = replace_none;
    struct disk before = f->disk;
    f->disk = disk;
    assert_int_equal(store_fixture_reopen(f), STATUS_OK);
    uint64_t bytes = counted.bytes;
    assert_int_equal(store_fixture_held(f), f->world.record_count);
    store_close(f->store);
    f->store = NULL;
    f->disk = before;
    assert_int_equal(store_fixture_reopen(f), STATUS_OK);
    return bytes;
}

static void p9_opening_reads_the_last_segment_alone(void **state)
{
    struct store_fixture *f = *state;
    uint64_t early = 0;
    for (int i = 0; i < 60; i++) {
        size_t first = f->world.record_count;
        store_fixture_put(f);
        first = i == 0 ? 0 : first;
        assert_int_equal(store_fixture_append_range(f, first, f->world.record_count), STATUS_OK);
        assert_int_equal(store_fixture_commit(f), STATUS_OK);
        early = i == 15 ? bytes_read_at_open(f) : early;
    }
    uint64_t late = bytes_read_at_open(f);
    assert_true(early > 0 && early <= 2 * STORE_FIXTURE_SEGMENT_BYTES);
    assert_true(late > 0 && late <= 2 * STORE_FIXTURE_SEGMENT_BYTES);
}

static void p9_a_lost_checkpoint_or_index_is_made_anew(void **state)
{
    struct store_fixture *f = *state;
    for (int i = 0; i < 20; i++) {
        store_fixture_put(f);
    }
    assert_int_equal(store_fixture_append_range(f, 0, f->world.record_count), STATUS_OK);
    assert_int_equal(store_fixture_commit(f), STATUS_OK);
    const char *const names[] = {"checkpoint", "index-00000001", "index-00000003"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_non_null(disk_fake_file(f->fake, names[i]));
        disk_fake_remove(f->fake, names[i]);
        assert_int_equal(store_fixture_reopen(f), STATUS_OK);
        assert_int_equal(store_fixture_held(f), f->world.record_count);
        assert_non_null(disk_fake_file(f->fake, names[i]));
        assert_true(bytes_read_at_open(f) <= 2 * STORE_FIXTURE_SEGMENT_BYTES);
    }
    // A record under the checkpoint is known for good.
    assert_int_equal(store_fixture_append(f, capsule_world_record(&f->world, 6)), STATUS_STALE);
}

/* The one record that is found for a FETCH, which must be so many in the world. */
static void assert_finds(struct store_fixture *f, const struct writer_id *writer, size_t number)
{
    struct buffer records = BUFFER_EMPTY;
    struct frame_fetched fetched;
    const struct frame_fetch fetch = {.writer = *writer, .max_bytes = UINT32_MAX};
    assert_int_equal(store_read(f->store, &fetch, &records, &fetched), STATUS_OK);
    assert_true(fetched.is_end);
    assert_true(bytes_equal(buffer_bytes(&records), capsule_world_record(&f->world, number)));
    buffer_release(&records);
}

static void finds_what_admitted_a_writer(void **state)
{
    struct store_fixture *f = *state;
    assert_int_equal(store_fixture_append_range(f, 0, f->world.record_count), STATUS_OK);
    assert_int_equal(store_fixture_commit(f), STATUS_OK);
    assert_finds(f, &f->world.leader->id, 1);
    assert_finds(f, &frame_to_leader, 1);
    assert_finds(f, &f->a->id, 2);
    assert_finds(f, &f->b->id, 3);
    // Nobody was admitted by that name.
    struct buffer records = BUFFER_EMPTY;
    struct frame_fetched fetched;
    const struct frame_fetch fetch = {.writer = {.bytes = {9}}, .max_bytes = UINT32_MAX};
    assert_int_equal(store_read(f->store, &fetch, &records, &fetched), STATUS_OK);
    assert_int_equal(records.length, 0);
}

static void p2_a_sealed_segment_that_is_lost_is_damage(void **state)
{
    struct store_fixture *f = *state;
    for (int i = 0; i < 20; i++) {
        store_fixture_put(f);
    }
    assert_int_equal(store_fixture_append_range(f, 0, f->world.record_count), STATUS_OK);
    assert_int_equal(store_fixture_commit(f), STATUS_OK);
    disk_fake_remove(f->fake, "segment-00000002");
    assert_int_equal(store_fixture_reopen(f), STATUS_DAMAGED);
    f->store = NULL;
}

static void takes_a_record_larger_than_a_segment(void **state)
{
    struct store_fixture *f = *state;
    char *value = calloc(1, 3 * STORE_FIXTURE_SEGMENT_BYTES);
    memset(value, 'v', 3 * STORE_FIXTURE_SEGMENT_BYTES - 1);
    capsule_world_put(&f->world, f->a, "large", value);
    store_fixture_put(f);
    free(value);
    take_from(f, 0);
    assert_int_equal(store_fixture_reopen(f), STATUS_OK);
    assert_int_equal(store_fixture_held(f), f->world.record_count);
    size_t before = f->world.record_count;
    store_fixture_put(f);
    take_from(f, before);
    assert_int_equal(store_fixture_held(f), f->world.record_count);
}

/* What is refused may have ended a segment before: the next one then waits, empty. */
static void opens_with_segments_that_wait(void **state)
{
    struct store_fixture *f = *state;
    take_from(f, 0);
    struct capsule_world_draft draft;
    capsule_world_draft(&f->world, &draft, f->a, RECORD_MEMBER);
    uint8_t body[STORE_FIXTURE_SEGMENT_BYTES - 500] = {0};
    assert_int_equal(buffer_append(&draft.body, body, sizeof body), STATUS_OK);
    capsule_world_build(&f->world, &draft);
    assert_int_equal(store_fixture_append(f, buffer_bytes(&f->world.tried)), STATUS_DENIED);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(store_prepare(f->store), STATUS_OK);
    }
    assert_non_null(disk_fake_file(f->fake, "segment-00000003"));
    assert_int_equal(store_fixture_reopen(f), STATUS_OK);
    assert_int_equal(store_fixture_held(f), f->world.record_count);
    size_t before = f->world.record_count;
    store_fixture_put(f);
    take_from(f, before);
    assert_int_equal(store_fixture_reopen(f), STATUS_OK);
    assert_int_equal(store_fixture_held(f), f->world.record_count);
}

static void a_gap_changes_nothing(void **state)
{
    struct store_fixture *f = *state;
    store_fixture_put(f);
    assert_int_equal(store_fixture_append(f, capsule_world_record(&f->world, 1)), STATUS_GAP);
    assert_int_equal(store_fixture_append(f, capsule_world_record(&f->world, 4)), STATUS_GAP);
    take_from(f, 0);
    size_t before = f->world.record_count;
    store_fixture_put(f);
    assert_int_equal(store_fixture_append(f, capsule_world_record(&f->world, before + 1)),
                     STATUS_GAP);
    assert_int_equal(store_fixture_held(f), before);
}

static void p2_a_record_whose_signature_is_wrong_is_refused(void **state)
{
    struct store_fixture *f = *state;
    take_from(f, 0);
    store_fixture_build_other(f, f->a);
    f->world.tried.bytes[f->world.tried.length - 1] ^= 1;
    assert_int_equal(store_fixture_append(f, buffer_bytes(&f->world.tried)), STATUS_FORGED);
    assert_int_equal(store_commit(f->store, &f->receipt), STATUS_EMPTY);
    struct store_counters counters;
    store_count(f->store, &counters);
    assert_int_equal(counters.refused_count, 1);
}

static void p8_a_second_record_for_a_place_gives_a_fork_proof(void **state)
{
    struct store_fixture *f = *state;
    store_fixture_build_other(f, f->a);
    struct buffer other = BUFFER_EMPTY;
    assert_int_equal(buffer_append(&other, f->world.tried.bytes, f->world.tried.length), STATUS_OK);
    store_fixture_put(f);
    take_from(f, 0);
    for (int i = 0; i < 2; i++) {
        buffer_clear(&f->proof);
        assert_int_equal(store_fixture_append(f, buffer_bytes(&other)), STATUS_FORKED);
        assert_int_equal(receipt_fork_verify(buffer_bytes(&f->proof), &f->a->public_key),
                         STATUS_OK);
        assert_int_equal(store_fixture_reopen(f), STATUS_OK);  // from the disk as well
    }
    // Not everybody can accuse.
    buffer_clear(&f->proof);
    other.bytes[other.length - 1] ^= 1;
    assert_int_equal(store_fixture_append(f, buffer_bytes(&other)), STATUS_FORGED);
    assert_int_equal(f->proof.length, 0);
    buffer_release(&other);
}

/* Of another length than what is here: were that read, its damage would stop the store. */
static void p2_a_forged_claim_to_a_taken_place_costs_no_reading(void **state)
{
    struct store_fixture *f = *state;
    take_from(f, 0);
    disk_fake_file(f->fake, "segment-00000001")->bytes[200] ^= 1;  // in the GENESIS
    struct capsule_world_draft draft;
    capsule_world_draft(&f->world, &draft, f->world.leader, RECORD_MEMBER);
    draft.fields.sequence = 1;
    draft.fields.parent_count = 0;
    draft.key = f->a->key;
    capsule_world_build(&f->world, &draft);
    assert_int_equal(store_fixture_append(f, buffer_bytes(&f->world.tried)), STATUS_FORGED);
    assert_int_equal(store_fixture_commit(f), STATUS_EMPTY);
}

/* What a store keeps, whoever reads it later can hold to account, record by record. */
static void p2_a_spoilt_signature_is_refused_though_a_descendant_vouches(void **state)
{
    struct store_fixture *f = *state;
    take_from(f, 0);
    size_t first = f->world.record_count;
    for (int i = 0; i < 4; i++) {
        capsule_world_put(&f->world, f->a, "x", "1");
    }
    uint8_t *last_byte = &f->world.log.bytes[f->world.offsets[first + 2] - 1];
    *last_byte ^= 1;
    assert_int_equal(store_fixture_append_range(f, first, first + 4), STATUS_FORGED);
    assert_int_equal(store_fixture_held(f), first + 1);

    // Its writer repeats it, and this time it comes whole.
    *last_byte ^= 1;
    take_from(f, first + 1);
    assert_int_equal(store_fixture_reopen(f), STATUS_OK);
    assert_int_equal(store_fixture_held(f), first + 4);
}

static void reads_within_the_bounds_that_were_asked_for(void **state)
{
    struct store_fixture *f = *state;
    store_fixture_put(f);
    store_fixture_put(f);
    take_from(f, 0);
    struct buffer records = BUFFER_EMPTY;
    struct frame_fetched fetched;
    struct frame_fetch fetch = {.writer = f->a->id, .from = 2, .to = 3, .max_bytes = 1 << 20};
    assert_int_equal(store_read(f->store, &fetch, &records, &fetched), STATUS_OK);
    assert_true(fetched.next == 4 && !fetched.is_end);
    struct record record;
    size_t length = record_length(records.bytes, records.length);
    assert_int_equal(record_decode(&record, records.bytes, length), STATUS_OK);
    assert_int_equal(record.sequence, 2);
    assert_int_equal(record_decode(&record, records.bytes + length, records.length - length),
                     STATUS_OK);
    assert_int_equal(record.sequence, 3);

    buffer_clear(&records);
    fetch = (struct frame_fetch){.writer = f->a->id, .from = 1, .to = UINT64_MAX, .max_bytes = 1};
    assert_int_equal(store_read(f->store, &fetch, &records, &fetched), STATUS_OK);
    assert_true(fetched.next == 2 && records.length > 1);

    buffer_clear(&records);
    fetch = (struct frame_fetch){.writer = f->a->id, .from = 9, .to = UINT64_MAX, .max_bytes = 1};
    assert_int_equal(store_read(f->store, &fetch, &records, &fetched), STATUS_OK);
    assert_true(fetched.next == 9 && fetched.is_end && records.length == 0);

    fetch = (struct frame_fetch){.writer = {.bytes = {9}}, .from = 1, .to = 5, .max_bytes = 1};
    assert_int_equal(store_read(f->store, &fetch, &records, &fetched), STATUS_OK);
    assert_true(fetched.is_end && records.length == 0);
    buffer_release(&records);
}

static void a_table_is_given_out_without_its_body_to_who_wants_no_more(void **state)
{
    struct store_fixture *f = *state;
    struct capsule_world_writer *compactor = capsule_world_admit(&f->world, MEMBER_COMPACTOR);
    (void)capsule_world_compact(&f->world, compactor);
    take_from(f, 0);
    struct buffer whole = BUFFER_EMPTY, bare = BUFFER_EMPTY;
    struct frame_fetched fetched;
    struct frame_fetch fetch = {.writer = compactor->id, .to = UINT64_MAX, .max_bytes = 1 << 20};
    assert_int_equal(store_read(f->store, &fetch, &whole, &fetched), STATUS_OK);
    fetch.has_bare_tables = true;
    assert_int_equal(store_read(f->store, &fetch, &bare, &fetched), STATUS_OK);
    assert_true(fetched.next == 3 && fetched.is_end);

    struct record table, record;
    size_t length = record_length(whole.bytes, whole.length);
    assert_int_equal(record_decode(&table, whole.bytes, length), STATUS_OK);
    size_t bare_length = record_length(bare.bytes, bare.length);
    assert_int_equal(record_decode_stored(&record, bare.bytes, bare_length), STATUS_OK);
    assert_true(record.type == RECORD_TABLE && record.is_pruned);
    assert_memory_equal(record.hash.bytes, table.hash.bytes, HASH_BYTES);
    // The MANIFEST behind it is as it stands.
    assert_int_equal(bare.length - bare_length, whole.length - length);
    assert_memory_equal(bare.bytes + bare_length, whole.bytes + length, whole.length - length);
    buffer_release(&whole);
    buffer_release(&bare);
}

static void p2_what_changed_on_the_disk_is_not_given_out(void **state)
{
    struct store_fixture *f = *state;
    take_from(f, 0);
    disk_fake_file(f->fake, "segment-00000001")->bytes[200] ^= 1;
    struct buffer records = BUFFER_EMPTY;
    struct frame_fetched fetched;
    struct frame_fetch fetch = {.from = 1, .to = UINT64_MAX, .max_bytes = 1 << 20};
    assert_int_equal(store_read(f->store, &fetch, &records, &fetched), STATUS_DAMAGED);
    assert_int_equal(records.length, 0);
    buffer_release(&records);
}

static void a_fenced_writer_adds_nothing_until_it_is_cut(void **state)
{
    struct store_fixture *f = *state;
    struct buffer body = BUFFER_EMPTY;
    struct buffer said = BUFFER_EMPTY;
    store_fixture_put(f);
    take_from(f, 0);
    store_fixture_ask(f, &body, &f->a->id);
    struct frame_fence ask = decode_ask(&body);
    assert_int_equal(store_fence(f->store, &ask, &said), STATUS_OK);
    struct receipt fence = decode(f, buffer_bytes(&said), RECEIPT_FENCE);
    assert_int_equal(fence.head_count, 1);
    assert_int_equal(fence.term, 1);
    assert_true(names(&fence, f->a));

    size_t next = f->world.record_count;
    capsule_world_put(&f->world, f->a, "x", "late");
    capsule_world_put(&f->world, f->b, "x", "of another");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(store_fixture_append(f, capsule_world_record(&f->world, next)),
                         STATUS_GAP);
        assert_int_equal(store_fixture_reopen(f), STATUS_OK);  // it is remembered
    }
    assert_int_equal(store_fixture_append(f, capsule_world_record(&f->world, next + 1)), STATUS_OK);

    // A cut above what this store holds lets in what lies up to it, and nothing beyond.
    store_fixture_build_other(f, f->a);
    struct buffer beyond = BUFFER_EMPTY;
    assert_int_equal(buffer_append(&beyond, f->world.tried.bytes, f->world.tried.length),
                     STATUS_OK);
    capsule_world_close(&f->world, f->a);
    assert_int_equal(store_fixture_append(f, capsule_world_record(&f->world, next + 2)), STATUS_OK);
    assert_int_equal(store_fixture_append(f, capsule_world_record(&f->world, next)), STATUS_OK);
    assert_int_equal(store_fixture_append(f, buffer_bytes(&beyond)), STATUS_CLOSED);
    buffer_release(&beyond);
    buffer_release(&said);
    buffer_release(&body);
}

/* A FENCE of a that proposes to cut it there; no cut: NULL. */
static void propose(struct store_fixture *f, const struct head *cut)
{
    const struct head none = {.sequence = 0};
    struct buffer body = BUFFER_EMPTY, said = BUFFER_EMPTY;
    store_fixture_propose(f, &body, &f->a->id, cut == NULL ? &none : cut);
    struct frame_fence ask = decode_ask(&body);
    assert_int_equal(store_fence(f->store, &ask, &said), STATUS_OK);
    buffer_release(&said);
    buffer_release(&body);
}

static void p4_a_fenced_writer_adds_what_lies_below_the_cut_that_is_proposed(void **state)
{
    struct store_fixture *f = *state;
    store_fixture_put(f);
    take_from(f, 0);
    propose(f, NULL);
    size_t next = f->world.record_count;
    capsule_world_put(&f->world, f->a, "x", "below the cut");
    capsule_world_put(&f->world, f->a, "x", "at the cut");
    const struct head cut = f->a->head;
    capsule_world_put(&f->world, f->a, "x", "beyond");
    assert_int_equal(store_fixture_append(f, capsule_world_record(&f->world, next)), STATUS_GAP);

    // It is remembered, and no FENCE that says less takes it back.
    propose(f, &cut);
    propose(f, NULL);
    assert_int_equal(store_fixture_reopen(f), STATUS_OK);
    assert_int_equal(store_fixture_append(f, capsule_world_record(&f->world, next)), STATUS_OK);
    assert_int_equal(store_fixture_append(f, capsule_world_record(&f->world, next + 1)), STATUS_OK);
    assert_int_equal(store_fixture_append(f, capsule_world_record(&f->world, next + 2)),
                     STATUS_GAP);
}

static void p4_another_record_where_the_proposed_cut_lies_is_not_taken(void **state)
{
    struct store_fixture *f = *state;
    store_fixture_put(f);
    take_from(f, 0);
    struct buffer other = BUFFER_EMPTY;
    store_fixture_build_other(f, f->a);
    assert_int_equal(buffer_append(&other, f->world.tried.bytes, f->world.tried.length), STATUS_OK);
    capsule_world_put(&f->world, f->a, "x", "at the cut");
    propose(f, &f->a->head);
    assert_int_equal(store_fixture_append(f, buffer_bytes(&other)), STATUS_GAP);
    buffer_release(&other);
}

static void p4_what_a_leader_proposed_ends_with_its_term(void **state)
{
    struct store_fixture *f = *state;
    struct buffer body = BUFFER_EMPTY, later = BUFFER_EMPTY, said = BUFFER_EMPTY;
    store_fixture_put(f);
    take_from(f, 0);
    size_t next = f->world.record_count;
    capsule_world_put(&f->world, f->a, "x", "below the cut");
    const struct head cut = f->a->head;
    propose(f, &cut);
    store_fixture_propose(f, &body, &f->a->id, &cut);
    capsule_world_restart(&f->world);
    store_fixture_ask(f, &later, NULL);
    struct frame_fence ask = decode_ask(&later);
    assert_int_equal(store_fence(f->store, &ask, &said), STATUS_OK);
    // What it said to the successor it keeps to, whatever comes late.
    ask = decode_ask(&body);
    assert_int_equal(store_fence(f->store, &ask, &said), STATUS_CLOSED);
    assert_int_equal(store_fixture_append(f, capsule_world_record(&f->world, next)), STATUS_GAP);
    buffer_release(&later);
    buffer_release(&said);
    buffer_release(&body);
}

static void p4_fences_that_are_handed_on_hold_in_whatever_order_they_come(void **state)
{
    struct store_fixture *f = *state;
    struct buffer of_one = BUFFER_EMPTY, of_all = BUFFER_EMPTY;
    store_fixture_put(f);
    store_fixture_ask(f, &of_one, &f->a->id);
    store_fixture_ask(f, &of_all, NULL);
    const struct frame_fence asks[] = {decode_ask(&of_one), decode_ask(&of_all)};
    size_t puts = f->world.record_count - 3;  // two of a, one of b
    for (size_t i = 0; i < 2; i++) {
        // A store that has lost its disk knows nobody yet.
        assert_int_equal(store_fixture_reopen_fresh(f), STATUS_OK);
        assert_int_equal(store_adopt_fence(f->store, &asks[i]), STATUS_OK);
        assert_int_equal(store_adopt_fence(f->store, &asks[1 - i]), STATUS_OK);
        assert_true(store_fence_at(f->store, 1).length > 0);
        assert_int_equal(store_fixture_append_range(f, 0, puts), STATUS_OK);
        assert_int_equal(store_fixture_append(f, capsule_world_record(&f->world, puts)),
                         STATUS_GAP);
        assert_int_equal(store_fixture_append(f, capsule_world_record(&f->world, puts + 2)),
                         STATUS_OK);
    }
    buffer_release(&of_one);
    buffer_release(&of_all);
}

static void a_fence_is_durable_before_it_is_signed(void **state)
{
    struct store_fixture *f = *state;
    struct buffer body = BUFFER_EMPTY;
    struct buffer said = BUFFER_EMPTY;
    assert_int_equal(store_fixture_append_range(f, 0, f->world.record_count), STATUS_OK);
    store_fixture_ask(f, &body, &f->a->id);
    struct frame_fence ask = decode_ask(&body);
    assert_int_equal(store_fence(f->store, &ask, &said), STATUS_OK);
    // What it says of the branch is durable too, and its receipt still comes.
    assert_int_equal(store_fixture_commit(f), STATUS_OK);
    disk_fake_crash(f->fake, NULL);
    assert_int_equal(store_fixture_reopen(f), STATUS_OK);
    assert_int_equal(store_fixture_held(f), f->world.record_count);

    buffer_clear(&said);
    buffer_clear(&body);
    store_fixture_ask(f, &body, &f->b->id);
    ask = decode_ask(&body);
    disk_fake_fail(f->fake, 1, STATUS_NO_SPACE);
    assert_int_equal(store_fence(f->store, &ask, &said), STATUS_NO_SPACE);
    assert_int_equal(said.length, 0);
    size_t next = f->world.record_count;
    capsule_world_put(&f->world, f->b, "x", "1");
    assert_int_equal(store_fixture_append(f, capsule_world_record(&f->world, next)), STATUS_OK);
    buffer_release(&said);
    buffer_release(&body);
}

static void a_new_term_ends_the_old_one(void **state)
{
    struct store_fixture *f = *state;
    struct buffer old_body = BUFFER_EMPTY;
    struct buffer body = BUFFER_EMPTY;
    struct buffer said = BUFFER_EMPTY;
    store_fixture_put(f);
    take_from(f, 0);
    store_fixture_ask(f, &old_body, &f->a->id);
    size_t next = f->world.record_count;
    capsule_world_sync(&f->world);  // the old leader's, on its way
    struct capsule_world_writer *old = f->world.leader;
    struct head old_head = old->head;
    capsule_world_restart(&f->world);
    store_fixture_ask(f, &body, NULL);
    struct frame_fence ask = decode_ask(&body);
    assert_int_equal(store_fence(f->store, &ask, &said), STATUS_OK);
    struct receipt fence = decode(f, buffer_bytes(&said), RECEIPT_FENCE);
    assert_int_equal(fence.term, 2);
    assert_int_equal(fence.head_count, 2);  // its leader has no SYNC here
    assert_true(names(&fence, f->a) && names(&fence, f->b));

    // Asked again, the same is said; the old leader is not obeyed any more.
    assert_int_equal(store_fence(f->store, &ask, &said), STATUS_OK);
    struct frame_fence old_ask = decode_ask(&old_body);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(store_fence(f->store, &old_ask, &said), STATUS_CLOSED);
        assert_int_equal(store_fixture_append(f, capsule_world_record(&f->world, next)),
                         STATUS_GAP);
        assert_int_equal(store_fixture_reopen(f), STATUS_OK);
    }
    // Its successor's branch is taken, and what its CLOSE cuts.
    capsule_world_close(&f->world, old);
    assert_int_equal(f->world.record_count, next + 3);
    assert_int_equal(store_fixture_append(f, capsule_world_record(&f->world, next + 1)), STATUS_OK);
    assert_int_equal(store_fixture_append(f, capsule_world_record(&f->world, next + 2)), STATUS_OK);
    assert_int_equal(store_fixture_append(f, capsule_world_record(&f->world, next)), STATUS_OK);
    const struct capsule_member *member = capsule_member_find(store_capsule(f->store), &old->id);
    assert_int_equal(member->head.sequence, old_head.sequence);
    // Receipts are those of the new term.
    assert_int_equal(store_fixture_commit(f), STATUS_OK);
    assert_int_equal(decode(f, buffer_bytes(&f->receipt), RECEIPT_DURABLE).term, 2);
    buffer_release(&said);
    buffer_release(&body);
    buffer_release(&old_body);
}

static void a_fence_that_its_leader_did_not_sign_is_refused(void **state)
{
    struct store_fixture *f = *state;
    struct buffer body = BUFFER_EMPTY;
    struct buffer said = BUFFER_EMPTY;
    take_from(f, 0);
    store_fixture_ask(f, &body, &f->a->id);
    for (size_t i = 0; i < body.length; i++) {
        struct frame_fence ask;
        body.bytes[i] ^= 1;
        if (frame_fence_decode(&ask, buffer_bytes(&body)) == STATUS_OK) {
            enum status status = store_fence(f->store, &ask, &said);
            assert_true(status == STATUS_FORGED || status == STATUS_MALFORMED);
        }
        body.bytes[i] ^= 1;
    }
    assert_int_equal(said.length, 0);
    assert_null(disk_fake_file(f->fake, "fence"));
    buffer_release(&said);
    buffer_release(&body);
}

static void a_flipped_bit_in_the_fence_file_is_damage(void **state)
{
    struct store_fixture *f = *state;
    struct buffer body = BUFFER_EMPTY;
    struct buffer said = BUFFER_EMPTY;
    take_from(f, 0);
    store_fixture_ask(f, &body, &f->a->id);
    struct frame_fence ask = decode_ask(&body);
    assert_int_equal(store_fence(f->store, &ask, &said), STATUS_OK);
    struct buffer *file = disk_fake_file(f->fake, "fence");
    for (size_t i = 0; i < file->length; i++) {
        struct fence fence;
        file->bytes[i] ^= 4;
        assert_int_equal(fence_load(&fence, &f->disk, &f->world.name), STATUS_DAMAGED);
        file->bytes[i] ^= 4;
    }
    file->length--;
    assert_int_equal(store_fixture_reopen(f), STATUS_DAMAGED);
    buffer_release(&said);
    buffer_release(&body);
}

static void refuses_to_open_what_is_not_its_own(void **state)
{
    struct store_fixture *f = *state;
    take_from(f, 0);
    struct sign_key *stranger = sign_key_new(&f->world.random);
    struct sign_key *own = f->world.store_keys[0];
    f->world.store_keys[0] = stranger;
    assert_int_equal(store_fixture_reopen(f), STATUS_FORGED);
    f->world.store_keys[0] = own;
    sign_key_free(stranger);
    // Another store of the same capsule, or another capsule's log.
    disk_fake_file(f->fake, "segment-00000001")->bytes[40] ^= 1;
    assert_int_equal(store_fixture_reopen(f), STATUS_DAMAGED);
    f->world.genesis_body.bytes[f->world.genesis_body.length - 1] ^= 1;
    assert_int_equal(store_fixture_reopen(f), STATUS_FORGED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(p4_a_receipt_names_what_a_crash_leaves, setup, teardown),
        cmocka_unit_test_setup_teardown(p4_nothing_is_receipted_when_the_sync_fails, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(p4_a_repeated_record_is_receipted_again, setup, teardown),
        cmocka_unit_test_setup_teardown(goes_on_after_reopening_over_many_segments, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(p9_opening_reads_the_last_segment_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(p9_a_lost_checkpoint_or_index_is_made_anew, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(finds_what_admitted_a_writer, setup, teardown),
        cmocka_unit_test_setup_teardown(p2_a_sealed_segment_that_is_lost_is_damage, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(takes_a_record_larger_than_a_segment, setup, teardown),
        cmocka_unit_test_setup_teardown(opens_with_segments_that_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(a_gap_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(p2_a_record_whose_signature_is_wrong_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(p8_a_second_record_for_a_place_gives_a_fork_proof, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            p2_a_spoilt_signature_is_refused_though_a_descendant_vouches, setup, teardown),
        cmocka_unit_test_setup_teardown(p2_a_forged_claim_to_a_taken_place_costs_no_reading, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(reads_within_the_bounds_that_were_asked_for, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_table_is_given_out_without_its_body_to_who_wants_no_more,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(p2_what_changed_on_the_disk_is_not_given_out, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_fenced_writer_adds_nothing_until_it_is_cut, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            p4_a_fenced_writer_adds_what_lies_below_the_cut_that_is_proposed, setup, teardown),
        cmocka_unit_test_setup_teardown(p4_another_record_where_the_proposed_cut_lies_is_not_taken,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            p4_fences_that_are_handed_on_hold_in_whatever_order_they_come, setup, teardown),
        cmocka_unit_test_setup_teardown(p4_what_a_leader_proposed_ends_with_its_term, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_fence_is_durable_before_it_is_signed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_term_ends_the_old_one, setup, teardown),
        cmocka_unit_test_setup_teardown(a_fence_that_its_leader_did_not_sign_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_flipped_bit_in_the_fence_file_is_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_to_open_what_is_not_its_own, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
