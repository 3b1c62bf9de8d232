/* tests/scl/scl_test.c */

/*
 * Goal: a replica applies what members signed, in branch order, and ends at the
 * same map whatever the order of arrival; its own writes count when W stores signed for
 * them; its tokens promise what it has shown.
 * Method: true and bent records of a capsule_world, given to one scl by hand; the test plays the
 * network, the stores and the leader. The scl's own writer is a worker of that world.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "capsule/lock.h"
#include "scl/outbox.h"
#include "scl/scl.h"
#include "scl/scl_internal.h"
#include "scl/scl_lock.h"
#include "scl/version.h"
#include "tests/support/capsule_world.h"

enum { MS = 1000, START_US = 1000 * MS };

static const struct writer_id everyone;

struct fixture {
    struct capsule_world world;
    struct capsule_world_writer *own, *a, *b, *c;
    struct scl *scl;
    struct memtable_reader *reader;
    struct scl_seal_job seal;
    struct scl_open_job open;
    uint64_t now_us;
    uint64_t wake_us;
    size_t fed;            // records of the world that the scl was given
    struct buffer sealed;  // the own record sealed last
    struct buffer frame;   // the frame taken last
    struct log log;
};

static void drop_line(void *context, const char *text)
{
    (void)context;
    if (getenv("LOG") != NULL) {
        fprintf(stderr, "%s\n", text);
    }
}

static void ignore_function(void *context, struct bytes body)
{
    (void)context;
    (void)body;
}

static void start_scl(struct fixture *f)
{
    const struct scl_config config = {
        .genesis = buffer_bytes(&f->world.genesis_body),
        .key = f->own->key,
        .log = &f->log,
        .on_function = ignore_function,
        .is_compactor = f->own->role == MEMBER_COMPACTOR,
    };
    CHECK(scl_new(&f->scl, &config) == STATUS_OK);
    CHECK(memtable_reader_new(&f->reader, scl_memtable(f->scl)) == STATUS_OK);
    f->fed = 0;
}

static void stop_scl(struct fixture *f)
{
    memtable_reader_free(f->reader);
    scl_free(f->scl);
}

/* A replica that knows nothing yet, of a world with workers own, a, b and c. */
static struct fixture *fixture_new(uint32_t stores, uint32_t receipts)
{
    struct fixture *f = calloc(1, sizeof *f);
    CHECK(f != NULL);
    f->now_us = START_US;
    f->log = (struct log){.line = drop_line};
    capsule_world_init(&f->world, 3, stores, receipts, 0);
    capsule_world_start(&f->world);
    f->own = capsule_world_admit(&f->world, MEMBER_WORKER);
    f->a = capsule_world_admit(&f->world, MEMBER_WORKER);
    f->b = capsule_world_admit(&f->world, MEMBER_WORKER);
    f->c = capsule_world_admit(&f->world, MEMBER_WORKER);
    start_scl(f);
    return f;
}

static void fixture_free(struct fixture *f)
{
    scl_seal_release(&f->seal);
    scl_open_release(&f->open);
    buffer_release(&f->sealed);
    buffer_release(&f->frame);
    stop_scl(f);
    capsule_world_release(&f->world);
    free(f);
}

// ---- records in ----

static enum status open_all(struct fixture *f)
{
    enum status status = STATUS_OK;
    while (status == STATUS_OK && scl_open_begin(f->scl, &f->open) == STATUS_OK) {
        scl_open_run(&f->open);
        status = scl_open_finish(f->scl, &f->open, f->now_us);
    }
    return status;
}

static enum status give(struct fixture *f, struct bytes bytes)
{
    struct record record;
    assert_int_equal(record_decode(&record, bytes.at, bytes.length), STATUS_OK);
    enum status status = scl_receive(f->scl, &record);
    return status == STATUS_OK ? open_all(f) : status;
}

static enum status feed(struct fixture *f, size_t index)
{
    return give(f, capsule_world_record(&f->world, index));
}

/* All that was written since the last call. */
static void feed_rest(struct fixture *f)
{
    for (; f->fed < f->world.record_count; f->fed++) {
        enum status status = feed(f, f->fed);
        assert_true(status == STATUS_OK || status == STATUS_STALE);
    }
}

static struct scl_counters counters_of(const struct fixture *f)
{
    struct scl_counters counters;
    scl_count(f->scl, &counters);
    return counters;
}

static void assert_value(struct fixture *f, const char *key, const char *expected)
{
    struct memtable_entry entry;
    memtable_reader_begin(f->reader);
    enum status status = memtable_get(f->reader, bytes_text(key), &entry);
    if (expected == NULL) {
        assert_int_equal(status, STATUS_NOT_FOUND);
    } else {
        assert_int_equal(status, STATUS_OK);
        assert_true(bytes_equal(entry.value, bytes_text(expected)));
    }
    memtable_reader_end(f->reader);
}

static struct dependency read_of(struct fixture *f, const char *key)
{
    struct memtable_entry entry;
    struct dependency dependency = {0};
    memtable_reader_begin(f->reader);
    assert_int_equal(memtable_get(f->reader, bytes_text(key), &entry), STATUS_OK);
    scl_depend(f->scl, &dependency, &entry.version);
    memtable_reader_end(f->reader);
    return dependency;
}

// ---- frames out ----

/* The next frame of this kind; false: there is none. Others are dropped. */
static bool take_frame(struct fixture *f, enum frame_kind kind, struct frame *frame)
{
    buffer_clear(&f->frame);
    while (scl_output(f->scl, &f->frame) == STATUS_OK) {
        assert_int_equal(frame_decode(frame, buffer_bytes(&f->frame)), STATUS_OK);
        if (frame->kind == kind) {
            return true;
        }
        buffer_clear(&f->frame);
    }
    return false;
}

static bool take_fetch(struct fixture *f, struct frame_fetch *fetch, uint32_t *request)
{
    struct frame frame;
    if (!take_frame(f, FRAME_FETCH, &frame)) {
        return false;
    }
    *request = frame.request;
    assert_int_equal(frame_fetch_decode(fetch, frame.body), STATUS_OK);
    return true;
}

static void tick(struct fixture *f, uint64_t us)
{
    f->now_us += us;
    f->wake_us = scl_tick(f->scl, f->now_us);
}

static enum status bring(struct fixture *f, enum frame_kind kind, const struct buffer *body)
{
    const struct frame given = {.kind = kind, .body = buffer_bytes(body)};
    return scl_receive_frame(f->scl, &given);
}

static enum status answer_fetch(struct fixture *f, uint32_t request, uint64_t next, uint8_t is_end)
{
    struct buffer body = BUFFER_EMPTY;
    const struct frame_fetched fetched = {.next = next, .is_end = is_end};
    CHECK(frame_fetched_encode(&body, &fetched) == STATUS_OK);
    const struct frame answer = {
        .kind = FRAME_FETCHED, .request = request, .body = buffer_bytes(&body)};
    enum status status = scl_receive_frame(f->scl, &answer);
    buffer_release(&body);
    return status;
}

/* The whole log is here. */
static void end_log(struct fixture *f)
{
    struct frame_fetch fetch;
    uint32_t request = 0;
    tick(f, 0);
    assert_true(take_fetch(f, &fetch, &request));
    assert_int_equal(answer_fetch(f, request, f->world.record_count + 1, 1), STATUS_OK);
}

// ---- the own branch ----

/* What the leader's GRANT brings, and all records so far. */
static void get_ready(struct fixture *f)
{
    assert_int_equal(scl_add_key(f->scl, 1, secret_bytes(f->world.data_key)), STATUS_OK);
    feed_rest(f);
    end_log(f);
    assert_true(scl_is_ready(f->scl));
}

static enum status try_put(struct fixture *f, const char *key, const char *value,
                           struct dependency *dependency)
{
    const struct tuple tuple = {
        .kind = TUPLE_PUT, .key = bytes_text(key), .value = bytes_text(value)};
    return scl_put(f->scl, &tuple, dependency);
}

static struct dependency put(struct fixture *f, const char *key, const char *value)
{
    struct dependency dependency = {0};
    assert_int_equal(try_put(f, key, value, &dependency), STATUS_OK);
    return dependency;
}

static enum status seal_begin(struct fixture *f)
{
    return scl_seal_begin(f->scl, &f->seal, f->now_us, &f->wake_us);
}

/* The world goes on from what the scl has sealed. */
static struct record seal_end(struct fixture *f)
{
    struct bytes frame;
    struct record record;
    scl_seal_run(f->scl, &f->seal);
    assert_int_equal(scl_seal_finish(f->scl, &f->seal, f->now_us, &frame), STATUS_OK);
    buffer_clear(&f->sealed);
    CHECK(buffer_append(&f->sealed, frame.at + FRAME_HEADER_BYTES,
                        frame.length - FRAME_HEADER_BYTES) == STATUS_OK);
    assert_int_equal(record_decode(&record, f->sealed.bytes, f->sealed.length), STATUS_OK);
    assert_int_equal(capsule_accept(f->world.capsule, &record), STATUS_OK);
    f->own->head = (struct head){.sequence = record.sequence, .hash = record.hash};
    if (f->own->lamport < counters_of(f).lamport) {
        f->own->lamport = counters_of(f).lamport;
    }
    return record;
}

static struct record seal(struct fixture *f)
{
    assert_int_equal(seal_begin(f), STATUS_OK);
    return seal_end(f);
}

// ---- stores and leader ----

/* A store signs for whatever it was given. */
static enum status receive_receipt_of(struct fixture *f, uint32_t store,
                                      const struct branch_head *head)
{
    struct buffer bytes = BUFFER_EMPTY;
    CHECK(receipt_encode(&bytes, RECEIPT_DURABLE, &f->world.name, 1, head, 1,
                         f->world.store_keys[store]) == STATUS_OK);
    enum status status = bring(f, FRAME_RECEIPT, &bytes);
    buffer_release(&bytes);
    return status;
}

static enum status receive_receipt(struct fixture *f, uint32_t store,
                                   const struct capsule_world_writer *writer, uint64_t sequence)
{
    const struct capsule_member *member = capsule_member_find(f->world.capsule, &writer->id);
    struct branch_head head = {.writer = writer->id,
                               .head = {.sequence = sequence, .hash = {.bytes = {0xee}}}};
    if (member != NULL && sequence <= member->head.sequence) {
        assert_true(capsule_hash_at(f->world.capsule, member, sequence, &head.head.hash));
    }
    return receive_receipt_of(f, store, &head);
}

static void receipt(struct fixture *f, uint32_t store, const struct capsule_world_writer *writer,
                    uint64_t sequence)
{
    assert_int_equal(receive_receipt(f, store, writer, sequence), STATUS_OK);
}

static enum status receive_rts(struct fixture *f, uint64_t term, uint64_t epoch,
                               const struct sign_key *key)
{
    struct buffer body = BUFFER_EMPTY;
    CHECK(frame_rts_encode(&body, &f->world.name, term, epoch, key) == STATUS_OK);
    enum status status = bring(f, FRAME_RTS, &body);
    buffer_release(&body);
    return status;
}

// ---- convergence ----

static int by_id(const void *left, const void *right)
{
    const struct capsule_world_writer *const *x = left, *const *y = right;
    return memcmp((*x)->id.bytes, (*y)->id.bytes, WRITER_ID_BYTES);
}

static void p5_a_tie_is_decided_alike_in_every_order_of_arrival(void **state)
{
    (void)state;
    static const size_t orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                        {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    struct fixture *f = fixture_new(1, 1);
    size_t first = f->world.record_count;
    struct capsule_world_writer *writers[] = {f->a, f->b, f->c};
    capsule_world_put(&f->world, f->a, "key", "a");
    capsule_world_put(&f->world, f->b, "key", "b");
    capsule_world_put(&f->world, f->c, "key", "c");
    assert_int_equal(f->a->lamport, f->b->lamport);
    assert_int_equal(f->a->lamport, f->c->lamport);
    qsort(writers, 3, sizeof *writers, by_id);
    const char *expected = writers[2] == f->a ? "a" : writers[2] == f->b ? "b" : "c";
    for (size_t i = 0; i < 6; i++) {
        stop_scl(f);
        start_scl(f);
        assert_int_equal(scl_add_key(f->scl, 1, secret_bytes(f->world.data_key)), STATUS_OK);
        for (size_t record = 0; record < first; record++) {
            assert_int_equal(feed(f, record), STATUS_OK);
        }
        for (size_t step = 0; step < 3; step++) {
            assert_int_equal(feed(f, first + orders[i][step]), STATUS_OK);
        }
        assert_value(f, "key", expected);
    }
    fixture_free(f);
}

static void p5_a_tie_with_the_own_write_is_decided_by_the_writer(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    put(f, "key", "own");
    capsule_world_put(&f->world, f->a, "key", "a");
    assert_int_equal(f->a->lamport, counters_of(f).lamport);
    feed_rest(f);
    assert_value(f, "key", by_id(&f->a, &f->own) > 0 ? "a" : "own");
    // Later than what was applied wins, whoever wrote it.
    put(f, "key", "own again");
    assert_value(f, "key", "own again");
    fixture_free(f);
}

static void applies_in_branch_order_and_holds_what_lies_beyond_a_gap(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    size_t first = f->world.record_count;
    capsule_world_put(&f->world, f->a, "key", "1");
    capsule_world_put(&f->world, f->a, "key", "2");
    capsule_world_put(&f->world, f->a, "key", "3");
    assert_int_equal(feed(f, first + 2), STATUS_OK);
    assert_value(f, "key", NULL);
    assert_int_equal(feed(f, first), STATUS_OK);
    assert_value(f, "key", "1");
    assert_int_equal(feed(f, first + 1), STATUS_OK);
    assert_value(f, "key", "3");
    assert_int_equal(feed(f, first + 1), STATUS_STALE);
    fixture_free(f);
}

static void p9_what_came_early_leaves_room_for_what_it_waits_for(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    size_t first = f->world.record_count;
    enum { VALUE_BYTES = 1 << 20, COUNT = 80 };
    char *value = calloc(1, VALUE_BYTES);
    assert_non_null(value);
    memset(value, 'v', VALUE_BYTES - 1);
    capsule_world_put(&f->world, f->a, "key", value);
    // The first record of one branch got lost; more of it than can be held came before it does.
    enum status status = STATUS_OK;
    for (size_t i = 1; i < COUNT; i++) {
        capsule_world_put(&f->world, f->a, "key", value);
        status = feed(f, first + i);
        assert_true(status == STATUS_OK || status == STATUS_FULL);
    }
    assert_int_equal(status, STATUS_FULL);
    assert_int_equal(feed(f, first), STATUS_OK);
    assert_int_equal(counters_of(f).records_applied > COUNT / 2, true);
    for (size_t i = COUNT / 2; i < COUNT; i++) {
        status = feed(f, first + i);
        assert_true(status == STATUS_OK || status == STATUS_STALE);
    }
    assert_value(f, "key", value);
    free(value);
    fixture_free(f);
}

static void a_record_waits_for_its_member_and_its_key(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    capsule_world_put(&f->world, f->c, "key", "value");
    size_t last = f->world.record_count - 1;
    assert_int_equal(feed(f, last), STATUS_OK);
    for (size_t i = 0; i < last; i++) {
        assert_int_equal(feed(f, i), STATUS_OK);
    }
    assert_value(f, "key", NULL);
    assert_int_equal(scl_add_key(f->scl, 1, secret_bytes(f->world.data_key)), STATUS_OK);
    assert_int_equal(open_all(f), STATUS_OK);
    assert_value(f, "key", "value");
    fixture_free(f);
}

static void the_beginning_may_come_in_any_order(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    capsule_world_put(&f->world, f->a, "key", "value");
    capsule_world_sync(&f->world);
    struct capsule_world_writer *old = f->world.leader;
    capsule_world_restart(&f->world);
    capsule_world_close(&f->world, old);
    assert_int_equal(scl_add_key(f->scl, 1, secret_bytes(f->world.data_key)), STATUS_OK);
    for (size_t i = f->world.record_count; i > 0; i--) {
        assert_int_equal(feed(f, i - 1), STATUS_OK);
    }
    assert_value(f, "key", "value");
    assert_int_equal(capsule_term(scl_capsule(f->scl)), 2);
    fixture_free(f);
}

// ---- refusals ----

static void p2_a_forged_record_is_not_applied(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    size_t first = f->world.record_count;
    capsule_world_put(&f->world, f->a, "key", "1");
    capsule_world_put(&f->world, f->a, "key", "2");
    for (size_t which = 0; which < 2; which++) {
        struct buffer bytes = BUFFER_EMPTY;
        struct bytes true_bytes = capsule_world_record(&f->world, first + which);
        CHECK(buffer_append(&bytes, true_bytes.at, true_bytes.length) == STATUS_OK);
        bytes.bytes[bytes.length - 1] ^= 1;
        uint64_t refused = counters_of(f).records_refused;
        assert_int_equal(give(f, buffer_bytes(&bytes)), STATUS_OK);
        assert_int_equal(counters_of(f).records_refused, refused + 1);
        assert_value(f, "key", which == 0 ? NULL : "1");
        // The true one is taken when it comes.
        assert_int_equal(feed(f, first + which), STATUS_OK);
        buffer_release(&bytes);
    }
    assert_value(f, "key", "2");
    fixture_free(f);
}

static void p2_what_breaks_the_chain_of_a_run_is_not_applied(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    // Two records that the writer signed, the second with another parent than the first.
    struct capsule_world_draft draft;
    size_t first = f->world.record_count;
    capsule_world_put(&f->world, f->a, "key", "1");
    capsule_world_draft(&f->world, &draft, f->a, RECORD_DATA);
    capsule_world_tuple(&f->world, f->a, &draft.body, "key", "2");
    draft.parents[0].bytes[0] ^= 1;
    capsule_world_build(&f->world, &draft);
    struct record record;
    assert_int_equal(record_decode(&record, f->world.tried.bytes, f->world.tried.length),
                     STATUS_OK);
    assert_int_equal(scl_receive(f->scl, &record), STATUS_OK);
    assert_int_equal(feed(f, first), STATUS_OK);
    assert_value(f, "key", NULL);
    assert_int_equal(counters_of(f).records_refused, 1);
    assert_int_equal(feed(f, first), STATUS_OK);
    assert_value(f, "key", "1");
    fixture_free(f);
}

static void p2_a_record_of_a_stranger_is_not_applied(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    struct capsule_world_writer *stranger = capsule_world_stranger(&f->world, MEMBER_WORKER);
    struct capsule_world_draft draft;
    capsule_world_draft(&f->world, &draft, stranger, RECORD_DATA);
    capsule_world_tuple(&f->world, stranger, &draft.body, "key", "value");
    capsule_world_build(&f->world, &draft);
    assert_int_equal(give(f, buffer_bytes(&f->world.tried)), STATUS_OK);
    assert_value(f, "key", NULL);
    fixture_free(f);
}

static void p2_a_leader_may_not_write_data(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    struct capsule_world_draft draft;
    capsule_world_draft(&f->world, &draft, f->world.leader, RECORD_DATA);
    capsule_world_tuple(&f->world, f->a, &draft.body, "key", "value");
    capsule_world_build(&f->world, &draft);
    assert_int_equal(give(f, buffer_bytes(&f->world.tried)), STATUS_OK);
    assert_value(f, "key", NULL);
    assert_int_equal(counters_of(f).records_refused, 1);
    fixture_free(f);
}

static void p2_a_record_of_another_capsule_is_denied(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    struct capsule_world_draft draft;
    capsule_world_draft(&f->world, &draft, f->a, RECORD_DATA);
    draft.fields.capsule.bytes[0] ^= 1;
    capsule_world_tuple(&f->world, f->a, &draft.body, "key", "value");
    capsule_world_build(&f->world, &draft);
    assert_int_equal(give(f, buffer_bytes(&f->world.tried)), STATUS_DENIED);
    fixture_free(f);
}

/* One record of a's, whose lamport is so far above what its branch has joined. */
static void give_lamport(struct fixture *f, uint64_t ahead, bool is_accepted)
{
    struct capsule_world_draft draft;
    uint64_t lamport = f->a->lamport;
    f->a->lamport = f->a->joined_lamport + ahead - 1;
    capsule_world_draft(&f->world, &draft, f->a, RECORD_DATA);
    capsule_world_tuple(&f->world, f->a, &draft.body, "key", "far");
    capsule_world_build(&f->world, &draft);
    f->a->lamport = lamport;
    uint64_t refused = counters_of(f).records_refused;
    assert_int_equal(give(f, buffer_bytes(&f->world.tried)), STATUS_OK);
    assert_int_equal(counters_of(f).records_refused, refused + !is_accepted);
    assert_value(f, "key", is_accepted ? "far" : NULL);
}

static void a_lamport_far_ahead_of_what_its_branch_joined_is_refused(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    give_lamport(f, (1ull << 40) + 1, false);
    assert_int_equal(counters_of(f).lamport, 0);
    // A SYNC that others have joined changes nothing for a branch that has not.
    capsule_world_put(&f->world, f->b, "other", "1");
    capsule_world_put(&f->world, f->b, "other", "2");
    struct capsule_world_writer before = *f->a;
    capsule_world_sync(&f->world);
    *f->a = before;
    feed_rest(f);
    give_lamport(f, (1ull << 40) + 1, false);
    give_lamport(f, 1ull << 40, true);
    fixture_free(f);
}

static void strangers_cannot_keep_a_leader_from_being_introduced(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    struct sign_key *true_owner = f->world.owner;
    struct capsule_world_writer *true_leader = f->world.leader;
    size_t writer_count = f->world.writer_count;
    for (int i = 0; i < 20; i++) {
        struct capsule_world_draft draft;
        struct sign_key *key = sign_key_new(&f->world.random);
        struct capsule_world_writer *liar = capsule_world_stranger(&f->world, MEMBER_LEADER);
        const struct term term = {
            .capsule = f->world.name, .number = 9, .leader = liar->public_key};
        capsule_world_draft(&f->world, &draft, liar, RECORD_TERM);
        CHECK(term_encode(&draft.body, &term, key) == STATUS_OK);
        capsule_world_build(&f->world, &draft);
        assert_int_equal(give(f, buffer_bytes(&f->world.tried)), STATUS_OK);
        sign_key_free(key);
        sign_key_free(liar->key);
        aead_key_free(liar->body_key);
        f->world.writer_count = writer_count;
    }
    assert_int_equal(counters_of(f).records_refused, 20);
    assert_ptr_equal(f->world.owner, true_owner);
    capsule_world_restart(&f->world);
    capsule_world_close(&f->world, true_leader);
    feed_rest(f);
    assert_int_equal(capsule_term(scl_capsule(f->scl)), 2);
    fixture_free(f);
}

// ---- durability ----

static void p4_nothing_is_durable_without_receipts_of_w_stores(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(3, 2);
    get_ready(f);
    struct dependency mine = put(f, "key", "value");
    assert_false(scl_is_durable(f->scl, &mine));
    seal(f);
    assert_false(scl_is_durable(f->scl, &mine));
    receipt(f, 0, f->own, 1);
    assert_false(scl_is_durable(f->scl, &mine));
    receipt(f, 0, f->own, 1);
    assert_false(scl_is_durable(f->scl, &mine));

    // A store that the GENESIS does not know, one in a known one's name, and a fence.
    struct sign_key *known = f->world.store_keys[1];
    struct sign_key *unknown = sign_key_new(&f->world.random);
    f->world.store_keys[1] = unknown;
    assert_int_equal(receive_receipt(f, 1, f->own, 1), STATUS_DENIED);
    f->world.store_keys[1] = known;
    sign_key_free(unknown);
    struct buffer bytes = BUFFER_EMPTY;
    const struct branch_head head = {.writer = f->own->id, .head = f->own->head};
    CHECK(receipt_encode(&bytes, RECEIPT_DURABLE, &f->world.name, 1, &head, 1, known) == STATUS_OK);
    bytes.bytes[bytes.length - 1] ^= 1;
    assert_int_equal(bring(f, FRAME_RECEIPT, &bytes), STATUS_OK);
    assert_false(scl_is_durable(f->scl, &mine));
    buffer_clear(&bytes);
    CHECK(receipt_encode(&bytes, RECEIPT_FENCE, &f->world.name, 1, &head, 1, known) == STATUS_OK);
    assert_int_equal(bring(f, FRAME_RECEIPT, &bytes), STATUS_OK);
    assert_false(scl_is_durable(f->scl, &mine));
    buffer_clear(&bytes);
    struct hash other = hash_of("other", 5);
    CHECK(receipt_encode(&bytes, RECEIPT_DURABLE, &other, 1, &head, 1, known) == STATUS_OK);
    assert_int_equal(bring(f, FRAME_RECEIPT, &bytes), STATUS_OK);
    assert_false(scl_is_durable(f->scl, &mine));
    buffer_release(&bytes);

    receipt(f, 1, f->own, 1);
    assert_true(scl_is_durable(f->scl, &mine));
    struct dependency next = put(f, "key", "next");
    assert_false(scl_is_durable(f->scl, &next));
    fixture_free(f);
}

static void p4_what_was_read_must_be_held_too(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    capsule_world_put(&f->world, f->a, "of a", "1");
    capsule_world_put(&f->world, f->a, "of a", "2");
    feed_rest(f);
    struct dependency dependency = read_of(f, "of a");
    assert_int_equal(try_put(f, "mine", "value", &dependency), STATUS_OK);
    seal(f);
    receipt(f, 0, f->own, 1);
    assert_false(scl_is_durable(f->scl, &dependency));
    receipt(f, 0, f->a, 1);
    assert_false(scl_is_durable(f->scl, &dependency));
    receipt(f, 0, f->a, 2);
    assert_true(scl_is_durable(f->scl, &dependency));
    fixture_free(f);
}

static void p4_a_sync_vouches_for_what_it_lists(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    capsule_world_put(&f->world, f->a, "key", "value");
    feed_rest(f);
    struct dependency dependency = read_of(f, "key");
    assert_false(scl_is_durable(f->scl, &dependency));
    capsule_world_sync(&f->world);
    feed_rest(f);
    assert_true(scl_is_durable(f->scl, &dependency));
    fixture_free(f);
}

/* What whoever has the key of a writer makes of the place of its next record: world.tried. */
static struct branch_head fork_of(struct fixture *f, struct capsule_world_writer *writer)
{
    struct capsule_world_draft draft;
    struct record record;
    capsule_world_draft(&f->world, &draft, writer, RECORD_DATA);
    capsule_world_tuple(&f->world, writer, &draft.body, "key", "forked");
    capsule_world_build(&f->world, &draft);
    CHECK(record_decode(&record, f->world.tried.bytes, f->world.tried.length) == STATUS_OK);
    return (struct branch_head){.writer = writer->id,
                                .head = {.sequence = record.sequence, .hash = record.hash}};
}

static void p4_an_own_write_is_not_covered_by_a_fork_that_stores_took_instead(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(3, 2);
    get_ready(f);
    struct branch_head fork = fork_of(f, f->own);
    struct dependency mine = put(f, "key", "true");
    // Before it is sealed, and after.
    assert_int_equal(receive_receipt_of(f, 0, &fork), STATUS_OK);
    assert_int_equal(receive_receipt_of(f, 1, &fork), STATUS_OK);
    assert_false(scl_is_durable(f->scl, &mine));
    seal(f);
    assert_false(scl_is_durable(f->scl, &mine));
    assert_int_equal(receive_receipt_of(f, 1, &fork), STATUS_OK);
    assert_false(scl_is_durable(f->scl, &mine));
    // Nor by what follows the fork.
    fork.head = (struct head){.sequence = 2, .hash = {.bytes = {0xee}}};
    assert_int_equal(receive_receipt_of(f, 0, &fork), STATUS_OK);
    assert_int_equal(receive_receipt_of(f, 1, &fork), STATUS_OK);
    assert_false(scl_is_durable(f->scl, &mine));
    receipt(f, 1, f->own, 1);
    assert_false(scl_is_durable(f->scl, &mine));
    receipt(f, 2, f->own, 1);
    assert_true(scl_is_durable(f->scl, &mine));
    fixture_free(f);
}

static void p4_what_was_read_in_a_fork_is_not_covered_by_the_branch(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    fork_of(f, f->a);
    assert_int_equal(give(f, buffer_bytes(&f->world.tried)), STATUS_OK);
    assert_value(f, "key", "forked");
    struct dependency dependency = read_of(f, "key");
    capsule_world_put(&f->world, f->a, "key", "true");
    receipt(f, 0, f->a, 1);
    assert_false(scl_is_durable(f->scl, &dependency));
    capsule_world_put(&f->world, f->a, "key", "more");
    receipt(f, 0, f->a, 2);
    assert_false(scl_is_durable(f->scl, &dependency));
    // A SYNC that lists what is not here yet says nothing of what leads there.
    capsule_world_sync(&f->world);
    assert_int_equal(feed(f, f->world.record_count - 1), STATUS_OK);
    assert_false(scl_is_durable(f->scl, &dependency));
    fixture_free(f);
}

static void p4_a_receipt_that_came_first_counts_when_its_record_has_come(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    capsule_world_put(&f->world, f->a, "key", "1");
    capsule_world_put(&f->world, f->a, "key", "2");
    capsule_world_put(&f->world, f->a, "key", "3");
    assert_int_equal(feed(f, f->fed), STATUS_OK);
    struct dependency dependency = read_of(f, "key");
    // However far the stores are ahead of this replica, it comes to what they named first.
    receipt(f, 0, f->a, 3);
    receipt(f, 0, f->a, 2);
    receipt(f, 0, f->a, 3);
    assert_false(scl_is_durable(f->scl, &dependency));
    assert_int_equal(feed(f, f->fed + 1), STATUS_OK);
    assert_true(scl_is_durable(f->scl, &dependency));
    dependency = read_of(f, "key");
    assert_true(scl_is_durable(f->scl, &dependency));
    assert_int_equal(feed(f, f->fed + 2), STATUS_OK);
    dependency = read_of(f, "key");
    assert_true(scl_is_durable(f->scl, &dependency));
    fixture_free(f);
}

static void p4_what_an_earlier_sync_listed_is_held_before_the_next_is_reached(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    capsule_world_put(&f->world, f->a, "key", "1");
    capsule_world_sync(&f->world);
    feed_rest(f);
    struct dependency dependency = read_of(f, "key");
    capsule_world_put(&f->world, f->a, "key", "2");
    capsule_world_sync(&f->world);
    assert_int_equal(feed(f, f->world.record_count - 1), STATUS_OK);
    assert_true(scl_is_durable(f->scl, &dependency));
    fixture_free(f);
}

static void p4_an_answer_that_read_many_writers_waits_for_its_own_write(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    struct dependency dependency = {0};
    for (uint32_t i = 0; i <= DEPENDENCY_WRITERS_MAX; i++) {
        dependency_add(&dependency, i + 100, 1);
    }
    assert_true(dependency.has_overflowed);
    dependency.count = 0;  // of members that this small world does not have
    capsule_world_put(&f->world, f->a, "of a", "value");
    feed_rest(f);
    receipt(f, 0, f->world.leader, f->world.leader->head.sequence);
    assert_false(scl_is_durable(f->scl, &dependency));
    receipt(f, 0, f->a, 1);
    assert_true(scl_is_durable(f->scl, &dependency));
    assert_int_equal(try_put(f, "mine", "value", &dependency), STATUS_OK);
    assert_false(scl_is_durable(f->scl, &dependency));
    struct dependency read = read_of(f, "mine");
    read.has_overflowed = true;
    assert_false(scl_is_durable(f->scl, &read));
    seal(f);
    assert_false(scl_is_durable(f->scl, &read));
    receipt(f, 0, f->own, 1);
    assert_true(scl_is_durable(f->scl, &dependency));
    assert_true(scl_is_durable(f->scl, &read));
    fixture_free(f);
}

// ---- the own branch ----

static void a_batch_gathers_while_a_record_is_unreceipted(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    assert_int_equal(seal_begin(f), STATUS_EMPTY);
    put(f, "key", "1");
    assert_int_equal(seal(f).sequence, 1);
    put(f, "key", "2");
    assert_int_equal(seal_begin(f), STATUS_FULL);
    assert_int_equal(f->wake_us, f->now_us + 1 * MS);
    put(f, "key", "3");
    f->now_us += 1 * MS - 1;
    assert_int_equal(seal_begin(f), STATUS_FULL);
    f->now_us += 1;
    assert_int_equal(seal(f).sequence, 2);
    assert_int_equal(seal_begin(f), STATUS_EMPTY);

    put(f, "key", "4");
    assert_int_equal(seal_begin(f), STATUS_FULL);
    receipt(f, 0, f->own, 2);
    assert_int_equal(seal(f).sequence, 3);
    fixture_free(f);
}

static void puts_stop_when_too_much_waits_for_receipts(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    struct buffer value = BUFFER_EMPTY;
    struct dependency dependency = {0};
    CHECK(buffer_reserve(&value, 1 << 20) == STATUS_OK);
    memset(value.bytes, 'v', 1 << 20);
    struct tuple tuple = {
        .kind = TUPLE_PUT, .key = bytes_text("key"), .value = bytes_of(value.bytes, 1 << 20)};
    enum status status = STATUS_OK;
    size_t megabytes = 0;
    for (; megabytes < 100; megabytes++) {
        status = scl_put(f->scl, &tuple, &dependency);
        if (status == STATUS_FULL && counters_of(f).unreceipted_bytes < 64u << 20) {
            f->now_us += 1 * MS;
            if (seal_begin(f) == STATUS_OK) {
                seal_end(f);
                status = scl_put(f->scl, &tuple, &dependency);
            }
        }
        if (status == STATUS_FULL) {
            break;
        }
    }
    assert_in_range(megabytes, 62, 66);
    uint64_t lamport = counters_of(f).lamport;
    assert_int_equal(scl_put(f->scl, &tuple, &dependency), STATUS_FULL);
    assert_int_equal(counters_of(f).lamport, lamport);
    receipt(f, 0, f->own, f->own->head.sequence);
    f->now_us += 1 * MS;
    (void)!seal_begin(f);
    seal_end(f);
    assert_int_equal(scl_put(f->scl, &tuple, &dependency), STATUS_OK);
    buffer_release(&value);
    fixture_free(f);
}

static void repeats_its_records_until_receipts_cover_them_and_the_newest_until_a_sync_does(
    void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    struct frame frame;
    get_ready(f);
    put(f, "key", "value");
    seal(f);
    tick(f, OUTBOX_REPEAT_US - 1);
    assert_false(take_frame(f, FRAME_RECORD, &frame));
    for (int i = 0; i < 2; i++) {
        tick(f, i == 0 ? 1 : OUTBOX_REPEAT_US);
        assert_true(take_frame(f, FRAME_RECORD, &frame));
        assert_true(bytes_equal(frame.body, buffer_bytes(&f->sealed)));
        assert_false(take_frame(f, FRAME_RECORD, &frame));
    }
    // The leader may not have heard: the newest record is repeated until a SYNC lists it.
    receipt(f, 0, f->own, 1);
    assert_int_equal(seal_begin(f), STATUS_EMPTY);
    tick(f, OUTBOX_REPEAT_US);
    assert_true(take_frame(f, FRAME_RECORD, &frame));
    assert_true(bytes_equal(frame.body, buffer_bytes(&f->sealed)));
    tick(f, OUTBOX_REPEAT_US - 1);
    assert_false(take_frame(f, FRAME_RECORD, &frame));
    capsule_world_sync(&f->world);
    feed_rest(f);
    tick(f, OUTBOX_REPEAT_US);
    assert_false(take_frame(f, FRAME_RECORD, &frame));
    fixture_free(f);
}

static void a_store_without_space_is_trouble_until_it_signs_again(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    put(f, "key", "value");
    seal(f);
    struct buffer body = BUFFER_EMPTY;
    const struct frame_refused refused = {
        .status = STATUS_NO_SPACE, .sequence = 1, .text = bytes_text("full")};
    CHECK(frame_refused_encode(&body, &refused) == STATUS_OK);
    assert_int_equal(scl_store_trouble(f->scl), STATUS_OK);
    assert_int_equal(bring(f, FRAME_REFUSED, &body), STATUS_OK);
    assert_int_equal(scl_store_trouble(f->scl), STATUS_NO_SPACE);
    receipt(f, 0, f->own, 1);
    assert_int_equal(seal_begin(f), STATUS_EMPTY);
    assert_int_equal(scl_store_trouble(f->scl), STATUS_OK);
    buffer_release(&body);
    fixture_free(f);
}

// ---- epochs ----

static void p2_an_rts_of_another_or_of_the_past_is_not_obeyed(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    assert_int_equal(receive_rts(f, 1, 1, f->world.leader->key), STATUS_GAP);
    get_ready(f);
    const struct sign_key *leader = f->world.leader->key;
    assert_int_equal(receive_rts(f, 1, 1, f->a->key), STATUS_FORGED);
    assert_int_equal(receive_rts(f, 2, 1, leader), STATUS_GAP);
    assert_int_equal(receive_rts(f, 0, 1, leader), STATUS_STALE);
    assert_int_equal(seal_begin(f), STATUS_EMPTY);
    assert_int_equal(receive_rts(f, 1, 1, leader), STATUS_OK);
    assert_int_equal(receive_rts(f, 1, 1, leader), STATUS_STALE);

    struct record record = seal(f);
    struct eoe eoe;
    assert_int_equal(record.type, RECORD_EOE);
    assert_int_equal(sync_eoe_decode(&eoe, record.body), STATUS_OK);
    assert_int_equal(eoe.epoch, 1);
    struct frame frame;
    assert_true(take_frame(f, FRAME_RECORD, &frame));
    assert_true(writer_id_equal(&frame.peer, &frame_to_leader));
    assert_int_equal(seal_begin(f), STATUS_EMPTY);
    fixture_free(f);
}

static void an_rts_waits_for_the_sync_before_it(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    assert_int_equal(receive_rts(f, 1, 2, f->world.leader->key), STATUS_OK);
    assert_int_equal(seal_begin(f), STATUS_EMPTY);
    capsule_world_put(&f->world, f->a, "key", "value");
    capsule_world_sync(&f->world);
    feed_rest(f);
    assert_int_equal(seal(f).type, RECORD_EOE);
    fixture_free(f);
}

static uint32_t listed_count(struct fixture *f, uint64_t epoch)
{
    struct eoe eoe;
    assert_int_equal(receive_rts(f, 1, epoch, f->world.leader->key), STATUS_OK);
    struct record record = seal(f);
    assert_int_equal(record.type, RECORD_EOE);
    assert_int_equal(sync_eoe_decode(&eoe, record.body), STATUS_OK);
    return eoe.head_count;
}

static void an_eoe_lists_what_perhaps_nobody_else_holds(void **state)
{
    (void)state;
    enum { LONG_US = 1000 * 1000 };
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    capsule_world_put(&f->world, f->a, "key", "value");
    feed_rest(f);
    f->now_us += LONG_US;
    assert_int_equal(listed_count(f, 1), 1);

    // What stores hold they tell the leader themselves.
    receipt(f, 0, f->a, f->a->head.sequence);
    capsule_world_sync(&f->world);
    feed_rest(f);
    capsule_world_put(&f->world, f->a, "key", "again");
    feed_rest(f);
    receipt(f, 0, f->a, f->a->head.sequence);
    f->now_us += LONG_US;
    assert_int_equal(listed_count(f, 2), 0);

    // What came just now is under way to them.
    capsule_world_sync(&f->world);
    capsule_world_put(&f->world, f->a, "key", "once more");
    feed_rest(f);
    assert_int_equal(listed_count(f, 3), 0);
    fixture_free(f);
}

static void an_eoe_leaves_under_a_flood_of_puts(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    put(f, "key", "0");
    assert_int_equal(receive_rts(f, 1, 1, f->world.leader->key), STATUS_OK);
    const enum record_type types[] = {RECORD_DATA, RECORD_EOE, RECORD_DATA};
    struct dependency last = {0};
    for (uint64_t i = 0; i < 3; i++) {
        if (i == 2) {
            receipt(f, 0, f->own, 2);
            assert_false(scl_is_durable(f->scl, &last));
        }
        assert_int_equal(seal_begin(f), STATUS_OK);
        if (i < 2) {
            last = put(f, "key", i == 0 ? "1" : "2");  // while the sealer works
            assert_int_equal(last.own_sequence, 3);    // the record that it really will be in
        }
        struct record record = seal_end(f);
        assert_int_equal(record.type, types[i]);
        assert_int_equal(record.sequence, i + 1);
    }
    receipt(f, 0, f->own, 3);
    assert_true(scl_is_durable(f->scl, &last));
    fixture_free(f);
}

static void joins_a_sync_that_stores_hold_and_names_it_once(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    capsule_world_put(&f->world, f->a, "key", "value");
    capsule_world_put(&f->world, f->a, "key", "value");
    capsule_world_sync(&f->world);
    struct hash sync = f->world.sync;
    feed_rest(f);
    assert_int_equal(counters_of(f).joined_epoch, 0);
    put(f, "key", "own");
    assert_int_equal(seal(f).parent_count, 0);

    receipt(f, 0, f->world.leader, f->world.leader->head.sequence);
    assert_int_equal(counters_of(f).joined_epoch, 1);
    receipt(f, 0, f->own, 1);
    put(f, "key", "own");
    struct record record = seal(f);
    assert_int_equal(record.parent_count, 2);
    struct hash parent = record_parent(&record, 1);
    assert_true(hash_equal(&parent, &sync));
    assert_int_equal(record.epoch, 2);
    receipt(f, 0, f->own, 2);
    put(f, "key", "own");
    assert_int_equal(seal(f).parent_count, 1);
    fixture_free(f);
}

static void joining_raises_the_clock(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    f->a->lamport = 1000;
    capsule_world_eoe(&f->world, f->a);  // no tuple: only the SYNC says 1000
    capsule_world_sync(&f->world);
    feed_rest(f);
    assert_int_equal(counters_of(f).lamport, 0);
    receipt(f, 0, f->world.leader, f->world.leader->head.sequence);
    assert_int_equal(counters_of(f).lamport, 1000);
    put(f, "key", "value");
    assert_int_equal(counters_of(f).lamport, 1001);
    fixture_free(f);
}

/* A newcomer whose MEMBER names a SYNC, and a newer SYNC in the very same run. */
static void a_newcomer_begins_at_the_sync_that_its_member_names(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    capsule_world_put(&f->world, f->a, "key", "1");
    size_t data = f->world.record_count - 1;
    capsule_world_sync(&f->world);
    f->own = capsule_world_admit(&f->world, MEMBER_WORKER);
    capsule_world_sync(&f->world);
    stop_scl(f);
    start_scl(f);
    assert_int_equal(scl_add_key(f->scl, 1, secret_bytes(f->world.data_key)), STATUS_OK);
    struct record record;
    for (size_t i = 0; i < f->world.record_count; i++) {
        struct bytes bytes = capsule_world_record(&f->world, i);
        assert_int_equal(record_decode(&record, bytes.at, bytes.length), STATUS_OK);
        if (i != data) {
            assert_int_equal(scl_receive(f->scl, &record), STATUS_OK);
        }
    }
    assert_int_equal(open_all(f), STATUS_OK);
    f->fed = f->world.record_count;
    end_log(f);

    // Still catching up: it is silent, whoever asks.
    assert_false(scl_is_ready(f->scl));
    assert_int_equal(receive_rts(f, 1, 3, f->world.leader->key), STATUS_OK);
    assert_int_equal(seal_begin(f), STATUS_EMPTY);

    assert_int_equal(feed(f, data), STATUS_OK);
    assert_true(scl_is_ready(f->scl));
    assert_int_equal(counters_of(f).joined_epoch, 1);
    put(f, "key", "own");
    assert_value(f, "key", "own");
    assert_int_equal(seal(f).epoch, 2);
    assert_int_equal(seal(f).type, RECORD_EOE);
    fixture_free(f);
}

// ---- bodies that were pruned ----

static void give_pruned(struct fixture *f, size_t index)
{
    struct buffer pruned = BUFFER_EMPTY;
    struct record record;
    struct bytes bytes = capsule_world_record(&f->world, index);
    assert_int_equal(record_decode(&record, bytes.at, bytes.length), STATUS_OK);
    assert_int_equal(record_prune(&pruned, &record), STATUS_OK);
    assert_int_equal(record_decode_stored(&record, pruned.bytes, pruned.length), STATUS_OK);
    assert_int_equal(scl_receive(f->scl, &record), STATUS_OK);
    assert_int_equal(open_all(f), STATUS_OK);
    buffer_release(&pruned);
}

enum { PRUNED_LAMPORT = 1, SYNCED_LAMPORT = 40 };

/* It has read all, but of a's branch, which is closed, not the body that a PRUNE took. */
static struct fixture *fixture_pruned(void)
{
    struct fixture *f = fixture_new(1, 1);
    assert_int_equal(scl_add_key(f->scl, 1, secret_bytes(f->world.data_key)), STATUS_OK);
    feed_rest(f);
    capsule_world_put(&f->world, f->a, "key", "value");
    assert_int_equal(f->a->lamport, PRUNED_LAMPORT);
    give_pruned(f, f->fed++);
    capsule_world_close(&f->world, f->a);
    feed_rest(f);
    return f;
}

/* A SYNC lists it, whose ancestors end at SYNCED_LAMPORT. */
static void list_pruned(struct fixture *f)
{
    f->b->lamport = SYNCED_LAMPORT;
    capsule_world_sync(&f->world);
    feed_rest(f);
    end_log(f);
    assert_false(scl_is_ready(f->scl));
}

/*
 * A new compactor's MANIFEST, which covers a's record or does not list a; a SYNC names it, and the
 * replica adopts it.
 */
static void adopt_manifest(struct fixture *f, uint64_t floor, uint32_t cover_count)
{
    const struct manifest none = {.floor = 0};
    const struct manifest_cover cover = {.writer = f->a->id, .sequence = 1};
    const struct manifest_change change = {
        .floor = floor, .covers = &cover, .cover_count = cover_count};
    struct capsule_world_writer *compactor = capsule_world_admit(&f->world, MEMBER_COMPACTOR);
    struct capsule_world_draft draft;
    capsule_world_draft(&f->world, &draft, compactor, RECORD_MANIFEST);
    assert_int_equal(manifest_succeed(&draft.body, &none, &change), STATUS_OK);
    assert_int_equal(capsule_world_try(&f->world, &draft), STATUS_OK);
    size_t manifest = f->world.record_count - 1;
    struct capsule_world_sync_plan plan;
    capsule_world_plan_sync(&f->world, &plan);
    plan.body.manifest = (struct branch_head){.writer = compactor->id, .head = compactor->head};
    assert_int_equal(capsule_world_try_sync(&f->world, &plan), STATUS_OK);
    feed_rest(f);
    receipt(f, 0, f->world.leader, f->world.leader->head.sequence);
    uint64_t before = counters_of(f).manifests_adopted;
    tick(f, 0);
    assert_int_equal(feed(f, manifest), STATUS_OK);
    tick(f, 0);
    assert_int_equal(counters_of(f).manifests_adopted, before + 1);
}

static void p9_what_tables_have_covered_stays_covered(void **state)
{
    (void)state;
    struct fixture *f = fixture_pruned();
    list_pruned(f);
    adopt_manifest(f, PRUNED_LAMPORT, 1);
    assert_true(scl_is_ready(f->scl));
    adopt_manifest(f, SYNCED_LAMPORT - 1, 0);
    assert_true(scl_is_ready(f->scl));
    fixture_free(f);
}

/* Whoever began to compact behind the end of a branch does not list it. */
static void p9_what_lies_below_the_floor_is_covered_whoever_is_listed(void **state)
{
    (void)state;
    struct fixture *f = fixture_pruned();
    list_pruned(f);
    adopt_manifest(f, SYNCED_LAMPORT - 1, 0);
    assert_false(scl_is_ready(f->scl));
    adopt_manifest(f, SYNCED_LAMPORT, 0);
    assert_true(scl_is_ready(f->scl));
    fixture_free(f);
}

/* As after a start from a snapshot that knows the CLOSE, and neither the records nor that SYNC. */
static void p9_what_a_snapshot_knew_by_its_close_is_covered_as_well(void **state)
{
    (void)state;
    struct fixture *f = fixture_pruned();
    const struct capsule_member *member = capsule_member_find(f->scl->capsule, &f->a->id);
    struct scl_peer *peer = &f->scl->peers[capsule_member_index(f->scl->capsule, member)];
    peer->synced_sequence = member->cut.sequence;
    peer->synced_lamport = UINT64_MAX;
    list_pruned(f);
    adopt_manifest(f, SYNCED_LAMPORT - 1, 0);
    assert_false(scl_is_ready(f->scl));
    adopt_manifest(f, SYNCED_LAMPORT, 0);
    assert_true(scl_is_ready(f->scl));
    fixture_free(f);
}

// ---- session tokens ----

static const char *token_of(struct fixture *f, char text[SCL_VERSION_BYTES_MAX])
{
    static const struct dependency nothing;
    assert_int_equal(scl_version(f->scl, &nothing, bytes_of(NULL, 0), text), STATUS_OK);
    return text;
}

static enum status reaches(struct fixture *f, const char *text)
{
    return scl_version_reaches(f->scl, bytes_text(text));
}

static void p6_a_token_is_reached_by_who_has_seen_as_much(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    char before[SCL_VERSION_BYTES_MAX], after[SCL_VERSION_BYTES_MAX];
    get_ready(f);
    token_of(f, before);
    size_t first = f->world.record_count;
    capsule_world_put(&f->world, f->a, "key", "1");
    capsule_world_put(&f->world, f->a, "key", "2");
    feed_rest(f);
    put(f, "key", "own");
    seal(f);
    receipt(f, 0, f->a, 2);
    receipt(f, 0, f->own, 1);
    token_of(f, after);
    assert_int_equal(reaches(f, before), STATUS_OK);
    assert_int_equal(reaches(f, after), STATUS_OK);

    // Another replica of the same world, that lags behind by one record.
    struct buffer own_record = BUFFER_EMPTY;
    CHECK(buffer_append(&own_record, f->sealed.bytes, f->sealed.length) == STATUS_OK);
    struct capsule_world_writer *own = f->own;
    stop_scl(f);
    f->own = f->b;
    start_scl(f);
    assert_int_equal(scl_add_key(f->scl, 1, secret_bytes(f->world.data_key)), STATUS_OK);
    for (size_t i = 0; i < first; i++) {
        assert_int_equal(feed(f, i), STATUS_OK);
    }
    assert_int_equal(reaches(f, before), STATUS_OK);
    assert_int_equal(reaches(f, after), STATUS_GAP);
    assert_int_equal(feed(f, first), STATUS_OK);
    assert_int_equal(give(f, buffer_bytes(&own_record)), STATUS_OK);
    assert_int_equal(reaches(f, after), STATUS_GAP);
    assert_int_equal(feed(f, first + 1), STATUS_OK);
    assert_int_equal(reaches(f, after), STATUS_OK);
    f->own = own;
    buffer_release(&own_record);
    fixture_free(f);
}

/* As a token names it. */
static void name_head(const struct capsule_world_writer *writer, unsigned sequence, char text[32])
{
    const uint8_t *id = writer->id.bytes;
    snprintf(text, 32, ".%02x%02x%02x%02x-%u", id[0], id[1], id[2], id[3], sequence);
}

/* The replica begins again, with the first `count` records. */
static void begin_again(struct fixture *f, size_t count)
{
    stop_scl(f);
    start_scl(f);
    assert_int_equal(scl_add_key(f->scl, 1, secret_bytes(f->world.data_key)), STATUS_OK);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(feed(f, i), STATUS_OK);
    }
}

static void p6_a_token_is_not_reached_by_who_has_seen_a_fork(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    char token[SCL_VERSION_BYTES_MAX], name[32];
    struct buffer fork = BUFFER_EMPTY;
    get_ready(f);
    size_t first = f->world.record_count;
    fork_of(f, f->a);
    CHECK(buffer_append(&fork, f->world.tried.bytes, f->world.tried.length) == STATUS_OK);
    capsule_world_put(&f->world, f->a, "key", "true");
    feed_rest(f);
    const struct dependency rests = read_of(f, "key");
    assert_int_equal(scl_version(f->scl, &rests, bytes_of(NULL, 0), token), STATUS_OK);
    name_head(f->a, 1, name);
    assert_non_null(strstr(token, name));
    assert_int_equal(reaches(f, token), STATUS_OK);

    begin_again(f, first);
    assert_int_equal(reaches(f, token), STATUS_GAP);
    assert_int_equal(give(f, buffer_bytes(&fork)), STATUS_OK);
    assert_value(f, "key", "forked");
    assert_int_equal(reaches(f, token), STATUS_GAP);
    // Nor when a SYNC lists what comes later.
    capsule_world_put(&f->world, f->a, "key", "later");
    capsule_world_sync(&f->world);
    assert_int_equal(feed(f, f->world.record_count - 1), STATUS_OK);
    assert_int_equal(reaches(f, token), STATUS_GAP);

    // One that has the branch goes by it, however far the SYNC is ahead.
    begin_again(f, first + 1);
    assert_int_equal(feed(f, f->world.record_count - 1), STATUS_OK);
    assert_int_equal(reaches(f, token), STATUS_OK);
    assert_int_equal(feed(f, first + 1), STATUS_OK);
    assert_int_equal(reaches(f, token), STATUS_OK);
    buffer_release(&fork);
    fixture_free(f);
}

static void p6_a_token_of_a_fork_is_lost_with_it(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    char token[SCL_VERSION_BYTES_MAX];
    get_ready(f);
    size_t first = f->world.record_count;
    fork_of(f, f->a);
    assert_int_equal(give(f, buffer_bytes(&f->world.tried)), STATUS_OK);
    const struct dependency rests = read_of(f, "key");
    assert_int_equal(scl_version(f->scl, &rests, bytes_of(NULL, 0), token), STATUS_OK);
    assert_int_equal(reaches(f, token), STATUS_OK);
    capsule_world_put(&f->world, f->a, "key", "true");
    begin_again(f, first);
    assert_int_equal(feed(f, first), STATUS_OK);
    assert_int_equal(reaches(f, token), STATUS_GAP);
    capsule_world_close(&f->world, f->a);
    assert_int_equal(feed(f, first + 1), STATUS_OK);
    assert_int_equal(reaches(f, token), STATUS_CLOSED);
    fixture_free(f);
}

static void p6_a_token_names_no_record_whose_hash_is_gone(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    char token[SCL_VERSION_BYTES_MAX], name[32];
    get_ready(f);
    capsule_world_put(&f->world, f->a, "key", "1");
    feed_rest(f);
    const struct dependency rests = read_of(f, "key");
    capsule_world_put(&f->world, f->a, "key", "2");
    capsule_world_close(&f->world, f->a);
    feed_rest(f);
    // No SYNC lists it, and what the CLOSE has named is no longer compared below it.
    assert_int_equal(scl_version(f->scl, &rests, bytes_of(NULL, 0), token), STATUS_OK);
    name_head(f->a, 2, name);
    assert_non_null(strstr(token, name));
    assert_int_equal(strlen(strstr(token, name)), strlen(name) + 1 + 2 * VERSION_HASH_BYTES);
    assert_int_equal(reaches(f, token), STATUS_OK);
    fixture_free(f);
}

static void p6_a_token_names_what_stores_hold_or_its_answer_rests_on(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(3, 2);
    char text[SCL_VERSION_BYTES_MAX], earlier[SCL_VERSION_BYTES_MAX], head[32];
    get_ready(f);
    capsule_world_put(&f->world, f->a, "1", "value");
    capsule_world_put(&f->world, f->a, "2", "value");
    capsule_world_put(&f->world, f->a, "3", "value");
    feed_rest(f);
    struct dependency rests = read_of(f, "2");
    assert_int_equal(try_put(f, "key", "own", &rests), STATUS_OK);
    seal(f);
    // All of it is applied. One store of two that it takes holds all, the other one record.
    receipt(f, 0, f->a, 3);
    name_head(f->a, 3, head);
    assert_null(strstr(token_of(f, text), head));
    assert_null(strchr(text, '-'));
    receipt(f, 1, f->a, 1);
    name_head(f->a, 1, head);
    assert_non_null(strstr(token_of(f, earlier), head));
    name_head(f->own, 1, head);
    assert_null(strstr(earlier, head));

    // An answer that has read more, or whose client has, says so; never more than is here.
    assert_int_equal(scl_version(f->scl, &rests, bytes_text(earlier), text), STATUS_OK);
    assert_non_null(strstr(text, head));
    name_head(f->a, 2, head);
    assert_non_null(strstr(text, head));
    const struct dependency nothing = {0};
    assert_int_equal(scl_version(f->scl, &nothing, bytes_text(text), earlier), STATUS_OK);
    assert_string_equal(text, earlier);
    name_head(f->a, 9, head);
    snprintf(earlier, sizeof earlier, "%.8s.1.0%s", text, head);
    assert_int_equal(scl_version(f->scl, &nothing, bytes_text(earlier), text), STATUS_OK);
    name_head(f->a, 3, head);
    assert_non_null(strstr(text, head));
    fixture_free(f);
}

static void p6_a_token_names_what_the_joined_sync_does_not_cover(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    char unheld[SCL_VERSION_BYTES_MAX], held[SCL_VERSION_BYTES_MAX], prefix[32];
    get_ready(f);
    capsule_world_put(&f->world, f->a, "key", "1");
    capsule_world_sync(&f->world);
    feed_rest(f);
    name_head(f->a, 1, prefix);
    receipt(f, 0, f->a, 1);
    // The SYNC is here, but not joined before stores hold it: the token says epoch 0.
    assert_non_null(strstr(token_of(f, unheld), ".1.0."));
    assert_non_null(strstr(unheld, prefix));
    receipt(f, 0, f->world.leader, f->world.leader->head.sequence);
    assert_null(strstr(token_of(f, held), prefix));
    assert_non_null(strstr(held, ".1.1"));
    fixture_free(f);
}

static void p6_an_answer_names_what_its_client_has_named_until_a_later_epoch(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    char name[9], earlier[SCL_VERSION_BYTES_MAX], text[SCL_VERSION_BYTES_MAX];
    char of_worker[32], of_leader[32];
    const struct dependency nothing = {0};
    get_ready(f);
    capsule_world_put(&f->world, f->a, "key", "1");
    capsule_world_sync(&f->world);
    feed_rest(f);
    receipt(f, 0, f->world.leader, f->world.leader->head.sequence);
    snprintf(name, sizeof name, "%.8s", token_of(f, text));
    assert_null(strchr(text, '-'));
    // Another one names more: it began from a MANIFEST, or knows less of what the SYNC lists.
    name_head(f->a, 1, of_worker);
    name_head(f->world.leader, (unsigned)f->world.leader->head.sequence, of_leader);
    snprintf(earlier, sizeof earlier, "%s.1.1%s%s", name, of_worker, of_leader);
    assert_int_equal(reaches(f, earlier), STATUS_OK);
    assert_int_equal(scl_version(f->scl, &nothing, bytes_text(earlier), text), STATUS_OK);
    assert_non_null(strstr(text, of_worker));
    assert_non_null(strstr(text, of_leader));
    assert_int_equal(strlen(text), strlen(earlier));

    // A later epoch takes the place of what it lists; a leader is listed when it has ended.
    capsule_world_sync(&f->world);
    feed_rest(f);
    receipt(f, 0, f->world.leader, f->world.leader->head.sequence);
    assert_int_equal(scl_version(f->scl, &nothing, bytes_text(earlier), text), STATUS_OK);
    assert_non_null(strstr(text, ".1.2"));
    assert_null(strstr(text, of_worker));
    assert_non_null(strstr(text, of_leader));
    // What is not here is not named.
    snprintf(earlier, sizeof earlier, "%s.1.2.00000000-1", name);
    assert_int_equal(scl_version(f->scl, &nothing, bytes_text(earlier), text), STATUS_OK);
    assert_null(strchr(text, '-'));
    fixture_free(f);
}

static void p6_a_token_of_a_later_term_or_epoch_is_not_reached(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    char name[9], text[SCL_VERSION_BYTES_MAX];
    get_ready(f);
    snprintf(name, sizeof name, "%.8s", token_of(f, text));
    const struct {
        const char *rest;
        enum status status;
    } cases[] = {
        {".1.0", STATUS_OK},
        {".0.0", STATUS_OK},
        {".2.0", STATUS_GAP},
        {".1.1", STATUS_GAP},
        {".1.0.00000000-1", STATUS_GAP},
        {".1.0.00000000-1-000102030405060708090a0b", STATUS_GAP},
        {".1.0.00000000-1-000102030405060708090a0", STATUS_MALFORMED},
        {".1.0.00000000-1-000102030405060708090a0b0", STATUS_MALFORMED},
        {".1.0.00000000-1-", STATUS_MALFORMED},
        {"", STATUS_MALFORMED},
        {".", STATUS_MALFORMED},
        {".1", STATUS_MALFORMED},
        {".1.", STATUS_MALFORMED},
        {".1.0.", STATUS_MALFORMED},
        {".1.0x", STATUS_MALFORMED},
        {".1.-1", STATUS_MALFORMED},
        {".1.1234567890123456789", STATUS_MALFORMED},
        {".1.0.0000000-1", STATUS_MALFORMED},
        {".1.0.00000000", STATUS_MALFORMED},
        {".1.0.00000000-", STATUS_MALFORMED},
        {".1.0.0000000g-1", STATUS_MALFORMED},
        {".1.0.00000000-1 ", STATUS_MALFORMED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof text, "%s%s", name, cases[i].rest);
        assert_int_equal(reaches(f, text), cases[i].status);
    }
    name[0] = name[0] == '0' ? '1' : '0';
    snprintf(text, sizeof text, "%s.1.0", name);
    assert_int_equal(reaches(f, text), STATUS_DENIED);
    assert_int_equal(reaches(f, ""), STATUS_MALFORMED);
    fixture_free(f);
}

static void p6_a_token_beyond_a_cut_is_lost(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    char name[9], token[SCL_VERSION_BYTES_MAX], at[SCL_VERSION_BYTES_MAX];
    get_ready(f);
    capsule_world_put(&f->world, f->a, "key", "1");
    feed_rest(f);
    snprintf(name, sizeof name, "%.8s", token_of(f, at));
    snprintf(token, sizeof token, "%s.1.0.%02x%02x%02x%02x-2", name, f->a->id.bytes[0],
             f->a->id.bytes[1], f->a->id.bytes[2], f->a->id.bytes[3]);
    assert_int_equal(reaches(f, token), STATUS_GAP);
    capsule_world_close(&f->world, f->a);
    feed_rest(f);
    assert_int_equal(reaches(f, token), STATUS_CLOSED);
    assert_int_equal(reaches(f, at), STATUS_OK);
    fixture_free(f);
}

// ---- ends ----

static void p11_ends_when_its_branch_is_closed(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    put(f, "key", "value");
    capsule_world_close(&f->world, f->own);
    assert_int_equal(feed(f, f->fed), STATUS_CLOSED);
    struct dependency dependency = {0};
    assert_int_equal(try_put(f, "key", "more", &dependency), STATUS_CLOSED);
    assert_int_equal(seal_begin(f), STATUS_CLOSED);
    fixture_free(f);
}

static void p11_ends_when_it_went_beyond_a_cut(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    capsule_world_put(&f->world, f->a, "key", "1");
    struct head cut = f->a->head;
    capsule_world_put(&f->world, f->a, "key", "2");
    feed_rest(f);
    struct capsule_world_close_plan plan;
    f->a->head = cut;
    capsule_world_plan_close(&f->world, &plan, f->a);
    assert_int_equal(capsule_world_try_close(&f->world, &plan), STATUS_OK);
    assert_int_equal(feed(f, f->fed), STATUS_CLOSED);
    fixture_free(f);
}

static void p11_applies_nothing_beyond_a_cut(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    capsule_world_put(&f->world, f->a, "key", "1");
    struct capsule_world_draft draft;
    capsule_world_draft(&f->world, &draft, f->a, RECORD_DATA);
    capsule_world_tuple(&f->world, f->a, &draft.body, "key", "2");
    capsule_world_build(&f->world, &draft);
    struct buffer late = f->world.tried;
    f->world.tried = BUFFER_EMPTY;
    capsule_world_close(&f->world, f->a);
    feed_rest(f);
    assert_int_equal(give(f, buffer_bytes(&late)), STATUS_OK);
    assert_value(f, "key", "1");
    buffer_release(&late);
    fixture_free(f);
}

/* Whoever has its key writes on, without end, and it does not even follow the cut. */
static void p9_what_lies_beyond_a_cut_holds_up_nothing_below_it(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    capsule_world_put(&f->world, f->a, "key", "1");
    capsule_world_put(&f->world, f->a, "key", "2");
    struct capsule_world_draft draft;
    capsule_world_draft(&f->world, &draft, f->a, RECORD_DATA);
    capsule_world_tuple(&f->world, f->a, &draft.body, "key", "3");
    draft.parents[0] = hash_of("another", 7);
    capsule_world_build(&f->world, &draft);
    struct buffer stolen = f->world.tried;
    f->world.tried = BUFFER_EMPTY;
    capsule_world_close(&f->world, f->a);
    assert_int_equal(feed(f, f->fed + 2), STATUS_OK);
    assert_int_equal(give(f, buffer_bytes(&stolen)), STATUS_OK);
    assert_int_equal(feed(f, f->fed + 1), STATUS_OK);
    assert_value(f, "key", NULL);
    assert_int_equal(feed(f, f->fed), STATUS_OK);
    assert_value(f, "key", "2");
    buffer_release(&stolen);
    fixture_free(f);
}

// ---- catching up ----

static void the_log_is_fetched_in_pages(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    struct frame_fetch fetch;
    uint32_t request = 0, again = 0;
    tick(f, 0);
    assert_true(take_fetch(f, &fetch, &request));
    assert_true(writer_id_equal(&fetch.writer, &everyone));
    assert_int_equal(fetch.from, 1);
    assert_int_equal(fetch.to, UINT64_MAX);
    tick(f, 100 * MS);
    assert_false(take_fetch(f, &fetch, &again));  // not while it is under way

    assert_int_equal(answer_fetch(f, request + 7, 9, 1), STATUS_STALE);
    assert_int_equal(answer_fetch(f, 0, 9, 1), STATUS_STALE);
    assert_int_equal(answer_fetch(f, request, 3, 0), STATUS_OK);
    assert_int_equal(answer_fetch(f, request, 9, 1), STATUS_STALE);
    tick(f, 0);
    assert_true(take_fetch(f, &fetch, &request));
    assert_int_equal(fetch.from, 3);
    tick(f, 2000 * MS);  // unanswered: once more
    assert_true(take_fetch(f, &fetch, &again));
    assert_int_equal(fetch.from, 3);
    assert_int_equal(answer_fetch(f, request, 4, 1), STATUS_STALE);
    assert_int_equal(scl_add_key(f->scl, 1, secret_bytes(f->world.data_key)), STATUS_OK);
    feed_rest(f);
    assert_false(scl_is_ready(f->scl));
    assert_int_equal(answer_fetch(f, again, 4, 1), STATUS_OK);
    assert_true(scl_is_ready(f->scl));
    tick(f, 0);
    assert_false(take_fetch(f, &fetch, &request));
    fixture_free(f);
}

static void a_gap_is_asked_for_once_at_a_time(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    struct frame_fetch fetch;
    uint32_t request = 0, again = 0;
    get_ready(f);
    tick(f, 50 * MS);
    for (int i = 0; i < 5; i++) {
        capsule_world_put(&f->world, f->a, "key", "value");
    }
    size_t last = f->world.record_count - 1;
    assert_int_equal(feed(f, last), STATUS_OK);
    tick(f, 50 * MS);
    bool has_asked = false;
    while (take_fetch(f, &fetch, &request)) {
        if (writer_id_equal(&fetch.writer, &f->a->id)) {
            assert_false(has_asked);
            has_asked = true;
            assert_int_equal(fetch.from, 1);
            assert_int_equal(fetch.to, 4);
            again = request;
        }
    }
    assert_true(has_asked);
    tick(f, 100 * MS);
    assert_false(take_fetch(f, &fetch, &request));

    // A part of it comes: the rest is asked for.
    assert_int_equal(feed(f, last - 4), STATUS_OK);
    assert_int_equal(feed(f, last - 3), STATUS_OK);
    assert_int_equal(answer_fetch(f, again, 3, 0), STATUS_OK);
    tick(f, 100 * MS);
    assert_true(take_fetch(f, &fetch, &request));
    assert_true(writer_id_equal(&fetch.writer, &f->a->id));
    assert_int_equal(fetch.from, 3);
    assert_int_equal(fetch.to, 4);
    assert_int_equal(feed(f, last - 2), STATUS_OK);
    assert_int_equal(feed(f, last - 1), STATUS_OK);
    assert_value(f, "key", "value");
    tick(f, 100 * MS);
    assert_false(take_fetch(f, &fetch, &request));
    fixture_free(f);
}

static void p9_the_log_is_read_again_when_nothing_else_brings_what_is_awaited(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    struct frame_fetch fetch;
    uint32_t request;
    get_ready(f);
    // The MEMBER of this one got lost, and nobody answers who is asked for it.
    capsule_world_put(&f->world, capsule_world_admit(&f->world, MEMBER_WORKER), "key", "value");
    assert_int_equal(feed(f, f->world.record_count - 1), STATUS_OK);
    bool has_asked = false;
    for (int i = 0; i < 100 && !has_asked; i++) {
        tick(f, 100 * MS);
        while (take_fetch(f, &fetch, &request)) {
            has_asked = has_asked || (writer_id_equal(&fetch.writer, &everyone) &&
                                      fetch.from == 1 && fetch.to == UINT64_MAX);
        }
    }
    assert_true(has_asked);
    feed_rest(f);
    assert_value(f, "key", "value");
    fixture_free(f);
}

static void p5_a_gap_is_asked_for_while_other_branches_go_on(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    struct frame_fetch fetch;
    uint32_t request;
    get_ready(f);
    capsule_world_put(&f->world, f->a, "of a", "1");
    size_t lost = f->world.record_count - 1;
    f->fed++;
    capsule_world_put(&f->world, f->a, "of a", "2");
    bool has_asked = false;
    for (int i = 0; i < 50 && !has_asked; i++) {
        capsule_world_put(&f->world, f->b, "of b", "value");
        feed_rest(f);
        tick(f, 10 * MS);
        while (take_fetch(f, &fetch, &request)) {
            has_asked = has_asked || writer_id_equal(&fetch.writer, &f->a->id);
        }
    }
    assert_true(has_asked);
    assert_int_equal(feed(f, lost), STATUS_OK);
    assert_value(f, "of a", "2");
    fixture_free(f);
}

static void what_a_sync_lists_is_asked_for(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    struct frame_fetch fetch;
    uint32_t request;
    get_ready(f);
    capsule_world_put(&f->world, f->a, "key", "1");
    capsule_world_put(&f->world, f->a, "key", "2");
    capsule_world_sync(&f->world);
    assert_int_equal(feed(f, f->world.record_count - 1), STATUS_OK);
    tick(f, 100 * MS);
    assert_true(take_fetch(f, &fetch, &request));
    assert_true(writer_id_equal(&fetch.writer, &f->a->id));
    assert_int_equal(fetch.from, 1);
    assert_int_equal(fetch.to, 2);
    fixture_free(f);
}

static void what_a_cut_names_is_asked_for(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    struct frame_fetch fetch;
    uint32_t request;
    get_ready(f);
    tick(f, 100 * MS);
    capsule_world_put(&f->world, f->a, "key", "value");
    capsule_world_close(&f->world, f->a);
    assert_int_equal(feed(f, f->world.record_count - 1), STATUS_OK);
    tick(f, 0);
    assert_true(f->wake_us <= f->now_us + 50 * MS);
    tick(f, 50 * MS);
    assert_true(take_fetch(f, &fetch, &request));
    assert_true(writer_id_equal(&fetch.writer, &f->a->id));
    assert_int_equal(fetch.to, 1);
    assert_int_equal(feed(f, f->world.record_count - 2), STATUS_OK);
    tick(f, 100 * MS);
    assert_int_equal(f->wake_us, UINT64_MAX);
    fixture_free(f);
}

static void p9_ends_when_what_it_holds_does_not_lead_to_a_cut(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    struct frame_fetch fetch;
    uint32_t request;
    get_ready(f);
    tick(f, 100 * MS);
    size_t first = f->world.record_count;
    struct capsule_world_draft draft;
    capsule_world_draft(&f->world, &draft, f->a, RECORD_DATA);
    capsule_world_tuple(&f->world, f->a, &draft.body, "key", "forked");
    capsule_world_build(&f->world, &draft);
    assert_int_equal(give(f, buffer_bytes(&f->world.tried)), STATUS_OK);
    assert_value(f, "key", "forked");

    capsule_world_put(&f->world, f->a, "key", "1");
    capsule_world_put(&f->world, f->a, "key", "2");
    capsule_world_close(&f->world, f->a);
    assert_int_equal(feed(f, f->world.record_count - 1), STATUS_OK);
    bool has_ended = false;
    // The second one alone leads nowhere, however often it comes.
    for (int i = 0; i < 20 && !has_ended; i++) {
        tick(f, 1000 * MS);
        while (take_fetch(f, &fetch, &request)) {
            assert_true(writer_id_equal(&fetch.writer, &f->a->id));
            has_ended = fetch.from == 1;
            if (!has_ended) {
                assert_int_equal(feed(f, first + 1), STATUS_OK);
            }
            assert_int_equal(answer_fetch(f, request, 3, 1), STATUS_OK);
        }
    }
    assert_true(has_ended);
    assert_int_equal(feed(f, first), STATUS_STALE);
    assert_int_equal(feed(f, first + 1), STATUS_CLOSED);
    fixture_free(f);
}

static void p6_serves_only_when_it_has_reached_what_the_leader_named(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    struct frame_fetch fetch;
    uint32_t request;
    capsule_world_put(&f->world, f->a, "key", "1");
    size_t data = f->world.record_count - 1;
    const struct branch_head head = {.writer = f->a->id, .head = f->a->head};
    assert_int_equal(scl_add_key(f->scl, 1, secret_bytes(f->world.data_key)), STATUS_OK);
    assert_int_equal(scl_require(f->scl, &head), STATUS_OK);
    for (size_t i = 0; i < data; i++) {
        assert_int_equal(feed(f, i), STATUS_OK);
    }
    end_log(f);  // the host lies: there was more
    assert_false(scl_is_ready(f->scl));
    tick(f, 100 * MS);
    assert_true(take_fetch(f, &fetch, &request));
    assert_true(writer_id_equal(&fetch.writer, &f->a->id));
    assert_int_equal(feed(f, data), STATUS_OK);
    assert_true(scl_is_ready(f->scl));
    fixture_free(f);
}

// ---- locks ----

static const struct hash LOCK_NAME = {.bytes = {0x4c}};

/* A record of `writer` under this fence, which the scl has not been given yet. */
static struct branch_head write_tagged(struct fixture *f, struct capsule_world_writer *writer,
                                       uint32_t number, const char *key, const char *value)
{
    struct capsule_world_draft draft;
    struct tuple_batch batch = {.tag = {.lock = LOCK_NAME, .fence = lock_fence(1, number)}};
    const struct tuple tuple = {.kind = TUPLE_PUT,
                                .lamport = ++writer->lamport,
                                .key = bytes_text(key),
                                .value = bytes_text(value)};
    CHECK(tuple_batch_add(&batch, &tuple) == STATUS_OK);
    capsule_world_draft(&f->world, &draft, writer, RECORD_DATA);
    CHECK(buffer_append(&draft.body, batch.plain.bytes, batch.plain.length) == STATUS_OK);
    assert_int_equal(capsule_world_try(&f->world, &draft), STATUS_OK);
    tuple_batch_release(&batch);
    return (struct branch_head){.writer = writer->id, .head = writer->head};
}

/* The leader's LOCK, which the scl has not been given yet. NULL: void. */
static void write_lock(struct fixture *f, uint32_t number, const struct branch_head *record)
{
    struct capsule_world_draft draft;
    struct lock_body lock = {.term = 1, .lock = LOCK_NAME, .fence = lock_fence(1, number)};
    if (record != NULL) {
        lock.record = *record;
    }
    capsule_world_draft(&f->world, &draft, f->world.leader, RECORD_LOCK);
    CHECK(lock_encode(&draft.body, &lock) == STATUS_OK);
    assert_int_equal(capsule_world_try(&f->world, &draft), STATUS_OK);
}

static void hold_leader(struct fixture *f)
{
    receipt(f, 0, f->world.leader, f->world.leader->head.sequence);
}

static void p7_a_tagged_record_is_applied_when_a_lock_names_it_and_stores_hold_that(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    const struct branch_head record = write_tagged(f, f->a, 1, "key", "1");
    feed_rest(f);
    assert_value(f, "key", NULL);
    write_lock(f, 1, &record);
    feed_rest(f);
    assert_value(f, "key", NULL);
    assert_int_equal(counters_of(f).undecided, 1);
    hold_leader(f);
    assert_value(f, "key", "1");
    assert_int_equal(counters_of(f).undecided, 0);
    fixture_free(f);
}

static void p7_a_lock_may_come_before_what_it_names(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    const struct branch_head record = write_tagged(f, f->a, 1, "key", "1");
    write_lock(f, 1, &record);
    size_t at = f->fed++;
    feed_rest(f);
    hold_leader(f);
    assert_value(f, "key", NULL);
    assert_int_equal(feed(f, at), STATUS_OK);
    assert_value(f, "key", "1");
    fixture_free(f);
}

static void p7_what_no_lock_names_is_void_for_ever(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    // Taken over before it came, and after; another one of the same fence; a higher one decided.
    write_lock(f, 1, NULL);
    feed_rest(f);
    (void)write_tagged(f, f->a, 1, "late", "1");
    (void)write_tagged(f, f->a, 2, "early", "2");
    feed_rest(f);
    write_lock(f, 2, NULL);
    feed_rest(f);
    assert_int_equal(counters_of(f).undecided, 0);
    (void)write_tagged(f, f->b, 3, "other", "3");
    const struct branch_head record = write_tagged(f, f->a, 4, "named", "4");
    write_lock(f, 4, &record);
    feed_rest(f);
    hold_leader(f);
    assert_int_equal(counters_of(f).undecided, 0);
    assert_value(f, "named", "4");
    assert_value(f, "late", NULL);
    assert_value(f, "early", NULL);
    assert_value(f, "other", NULL);
    fixture_free(f);
}

static void p7_what_is_undecided_ends_with_its_branch(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    (void)write_tagged(f, f->a, 1, "before", "1");
    feed_rest(f);
    assert_int_equal(counters_of(f).undecided, 1);
    (void)write_tagged(f, f->a, 2, "after", "2");
    capsule_world_close(&f->world, f->a);
    size_t at = f->fed++;
    feed_rest(f);
    assert_int_equal(counters_of(f).undecided, 0);
    assert_int_equal(feed(f, at), STATUS_OK);
    assert_int_equal(counters_of(f).undecided, 0);
    assert_value(f, "before", NULL);
    assert_value(f, "after", NULL);
    fixture_free(f);
}

/* Nobody's memory is filled with tables that he may never read. */
static void a_tables_body_goes_to_stores_alone(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    stop_scl(f);
    f->own = capsule_world_admit(&f->world, MEMBER_COMPACTOR);
    start_scl(f);
    get_ready(f);
    scl_seal_block(f->scl, RECORD_TABLE, bytes_text("a block"));
    assert_int_equal(seal_begin(f), STATUS_OK);
    const struct record record = seal_end(f);
    struct frame frame;
    struct record told;
    assert_true(take_frame(f, FRAME_RECORD, &frame));
    assert_true(writer_id_equal(&frame.peer, &frame_to_replicas));
    assert_int_equal(record_decode_stored(&told, frame.body.at, frame.body.length), STATUS_OK);
    assert_true(told.is_pruned);
    assert_true(hash_equal(&told.hash, &record.hash));

    tick(f, OUTBOX_REPEAT_US);
    assert_true(take_frame(f, FRAME_RECORD, &frame));
    assert_true(writer_id_equal(&frame.peer, &frame_to_stores));
    assert_true(bytes_equal(frame.body, record.whole));
    fixture_free(f);
}

/* Whoever starts from a snapshot reads what lies behind it, and no LOCK before it. */
static void p7_no_snapshot_is_taken_between_a_lock_and_what_it_names(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    stop_scl(f);
    f->own = capsule_world_admit(&f->world, MEMBER_COMPACTOR);
    start_scl(f);
    get_ready(f);
    struct capsule_world_sync_plan plan;
    const struct head before = f->a->head;
    const struct branch_head record = write_tagged(f, f->a, 1, "key", "1");
    write_lock(f, 1, &record);
    f->a->head = before;
    capsule_world_plan_sync(&f->world, &plan);
    f->a->head = record.head;
    assert_int_equal(capsule_world_try_sync(&f->world, &plan), STATUS_OK);
    feed_rest(f);
    assert_int_equal(capsule_newest_sync(f->scl->capsule)->epoch, 1);
    assert_int_equal(scl_snapshot_for(f->scl, UINT64_MAX).length, 0);

    capsule_world_sync(&f->world);
    feed_rest(f);
    assert_int_equal(capsule_newest_sync(f->scl->capsule)->epoch, 2);
    assert_int_not_equal(scl_snapshot_for(f->scl, UINT64_MAX).length, 0);
    fixture_free(f);
}

/* Their winner may have been evicted, and this one would hide it. */
static void p5_what_the_tables_of_the_start_have_decided_is_not_applied(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    f->scl->start.floor = 20;
    size_t before = memtable_count(f->scl->memtable);
    for (uint64_t lamport = 20; lamport <= 21; lamport++) {
        struct buffer plain = BUFFER_EMPTY;
        const struct branch_head record = {.writer = f->a->id, .head = {.sequence = lamport}};
        f->a->lamport = lamport - 1;
        capsule_world_tuple(&f->world, f->a, &plain, "decided", "late");
        scl_open_apply(f->scl, &record, buffer_bytes(&plain), 0);
        buffer_release(&plain);
        assert_int_equal(memtable_count(f->scl->memtable), before + lamport - 20);
    }
    fixture_free(f);
}

static void a_lock_whose_receipts_are_lost_is_sent_again(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    struct frame frame;
    get_ready(f);
    const struct branch_head record = write_tagged(f, f->a, 1, "key", "1");
    write_lock(f, 1, &record);
    feed_rest(f);
    tick(f, 0);
    assert_false(take_frame(f, FRAME_RECORD, &frame));
    tick(f, OUTBOX_REPEAT_US);
    assert_true(take_frame(f, FRAME_RECORD, &frame));
    assert_true(bytes_equal(frame.body, capsule_world_record(&f->world, f->fed - 1)));
    fixture_free(f);
}

/* The next message for the leader, which `message` borrows from `plain`; STATUS_EMPTY: none. */
static enum status take_message(struct fixture *f, struct buffer *plain, struct message *message)
{
    buffer_clear(plain);
    enum status status = scl_lock_output(f->scl, f->now_us, plain);
    return status == STATUS_OK ? message_decode(message, buffer_bytes(plain)) : status;
}

static void give_grant(struct fixture *f, uint64_t request, uint32_t number, uint64_t decided,
                       const struct branch_head *head)
{
    struct buffer plain = BUFFER_EMPTY;
    struct message message;
    const struct message_lock_grant grant = {.request = request,
                                             .lock = LOCK_NAME,
                                             .fence = lock_fence(1, number),
                                             .decided = decided,
                                             .head_count = head == NULL ? 0 : 1};
    CHECK(message_lock_grant_encode(&plain, &grant, head) == STATUS_OK);
    CHECK(message_decode(&message, buffer_bytes(&plain)) == STATUS_OK);
    assert_int_equal(scl_lock_receive(f->scl, &message), STATUS_OK);
    buffer_release(&plain);
}

static struct scl_lock *take_lock(struct fixture *f, uint64_t request, uint32_t number)
{
    struct scl_lock *lock;
    assert_int_equal(scl_lock_new(f->scl, bytes_text("lock:x"), &lock), STATUS_OK);
    assert_int_equal(scl_lock_poll(f->scl, lock), STATUS_GAP);
    give_grant(f, request, number, 0, NULL);
    assert_int_equal(scl_lock_poll(f->scl, lock), STATUS_OK);
    return lock;
}

static void write_under(struct scl_lock *lock, const char *key, const char *value)
{
    struct overlay written = {.count = 0};
    const struct dependency nothing = {0};
    const struct tuple tuple = {
        .kind = TUPLE_PUT, .key = bytes_text(key), .value = bytes_text(value)};
    CHECK(overlay_put(&written, &tuple) == STATUS_OK);
    scl_lock_seal(lock, &written, &nothing);
}

static void p7_a_lock_is_entered_when_what_its_grant_names_is_applied(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    struct scl_lock *lock;
    get_ready(f);
    const struct branch_head record = write_tagged(f, f->a, 1, "key", "1");
    capsule_world_put(&f->world, f->b, "read", "2");
    const struct branch_head read = {.writer = f->b->id, .head = f->b->head};
    write_lock(f, 1, &record);
    size_t from = f->fed;
    assert_int_equal(scl_lock_new(f->scl, bytes_text("lock:x"), &lock), STATUS_OK);
    give_grant(f, 1, 2, f->world.leader->head.sequence, &read);
    assert_int_equal(scl_lock_poll(f->scl, lock), STATUS_GAP);
    assert_int_equal(feed(f, from + 2), STATUS_OK);  // the LOCK
    assert_int_equal(feed(f, from), STATUS_OK);
    assert_int_equal(scl_lock_poll(f->scl, lock), STATUS_GAP);
    hold_leader(f);
    assert_int_equal(scl_lock_poll(f->scl, lock), STATUS_GAP);
    assert_int_equal(feed(f, from + 1), STATUS_OK);
    assert_int_equal(scl_lock_poll(f->scl, lock), STATUS_OK);
    assert_value(f, "key", "1");
    scl_lock_drop(f->scl, &lock);
    fixture_free(f);
}

static void p7_a_lock_is_not_entered_on_a_fork_below_a_cut(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    struct capsule_world_draft draft;
    struct scl_lock *lock;
    get_ready(f);
    capsule_world_draft(&f->world, &draft, f->a, RECORD_DATA);
    capsule_world_tuple(&f->world, f->a, &draft.body, "read", "forked");
    capsule_world_build(&f->world, &draft);
    assert_int_equal(give(f, buffer_bytes(&f->world.tried)), STATUS_OK);
    capsule_world_put(&f->world, f->a, "read", "1");
    const struct branch_head read = {.writer = f->a->id, .head = f->a->head};
    capsule_world_put(&f->world, f->a, "more", "2");
    capsule_world_close(&f->world, f->a);
    assert_int_equal(scl_lock_new(f->scl, bytes_text("lock:x"), &lock), STATUS_OK);
    give_grant(f, 1, 1, f->world.leader->head.sequence, &read);
    // The CLOSE is not here: the record has the number of the one that is meant.
    assert_int_equal(scl_lock_poll(f->scl, lock), STATUS_GAP);
    assert_int_equal(feed(f, f->world.record_count - 1), STATUS_OK);
    assert_int_equal(scl_lock_poll(f->scl, lock), STATUS_GAP);
    scl_lock_drop(f->scl, &lock);
    fixture_free(f);
}

static void p7_a_lock_is_not_entered_on_a_fork_of_an_open_branch(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    struct scl_lock *lock;
    get_ready(f);
    const struct branch_head fork = fork_of(f, f->a);
    assert_int_equal(give(f, buffer_bytes(&f->world.tried)), STATUS_OK);
    assert_value(f, "key", "forked");
    capsule_world_put(&f->world, f->a, "key", "true");
    const struct branch_head read = {.writer = f->a->id, .head = f->a->head};
    assert_int_equal(scl_lock_new(f->scl, bytes_text("lock:x"), &lock), STATUS_OK);
    give_grant(f, 1, 1, 0, &read);
    assert_int_equal(scl_lock_poll(f->scl, lock), STATUS_GAP);
    scl_lock_drop(f->scl, &lock);
    // One that names what is here is entered.
    assert_int_equal(scl_lock_new(f->scl, bytes_text("lock:x"), &lock), STATUS_OK);
    give_grant(f, 2, 2, 0, &fork);
    assert_int_equal(scl_lock_poll(f->scl, lock), STATUS_OK);
    scl_lock_drop(f->scl, &lock);
    fixture_free(f);
}

static void p7_a_release_names_the_records_that_were_read(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    struct buffer plain = BUFFER_EMPTY;
    struct message message;
    get_ready(f);
    capsule_world_put(&f->world, f->a, "read", "1");
    const struct head read = f->a->head;
    capsule_world_put(&f->world, f->a, "more", "2");
    feed_rest(f);
    struct scl_lock *lock = take_lock(f, 1, 1);
    struct overlay written = {.count = 0};
    const struct dependency dependency = read_of(f, "read");
    const struct tuple tuple = {
        .kind = TUPLE_PUT, .key = bytes_text("key"), .value = bytes_text("value")};
    CHECK(overlay_put(&written, &tuple) == STATUS_OK);
    scl_lock_seal(lock, &written, &dependency);
    seal(f);
    receipt(f, 0, f->own, 1);
    receipt(f, 0, f->a, 2);
    while (take_message(f, &plain, &message) == STATUS_OK && message.kind != MESSAGE_LOCK_RELEASE) {
    }
    assert_int_equal(message.kind, MESSAGE_LOCK_RELEASE);
    assert_int_equal(message.lock_release.head_count, 1);
    const struct branch_head named = message_lock_release_head(&message.lock_release, 0);
    assert_true(writer_id_equal(&named.writer, &f->a->id));
    assert_int_equal(named.head.sequence, read.sequence);
    assert_memory_equal(named.head.hash.bytes, read.hash.bytes, HASH_BYTES);
    buffer_release(&plain);
    scl_lock_drop(f->scl, &lock);
    fixture_free(f);
}

static void p7_a_lock_is_entered_when_a_closed_branch_is_here_up_to_its_cut(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    struct scl_lock *lock;
    get_ready(f);
    size_t from = f->fed;
    capsule_world_put(&f->world, f->a, "read", "1");
    const struct branch_head read = {.writer = f->a->id, .head = f->a->head};
    capsule_world_put(&f->world, f->a, "more", "2");
    capsule_world_close(&f->world, f->a);
    assert_int_equal(feed(f, from), STATUS_OK);
    assert_int_equal(feed(f, from + 2), STATUS_OK);
    assert_int_equal(scl_lock_new(f->scl, bytes_text("lock:x"), &lock), STATUS_OK);
    give_grant(f, 1, 1, f->world.leader->head.sequence, &read);
    assert_int_equal(scl_lock_poll(f->scl, lock), STATUS_GAP);
    assert_int_equal(feed(f, from + 1), STATUS_OK);
    assert_int_equal(scl_lock_poll(f->scl, lock), STATUS_OK);
    scl_lock_drop(f->scl, &lock);
    fixture_free(f);
}

static void p4_what_is_put_beside_a_lock_knows_its_record(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    const struct dependency before = put(f, "before", "1");
    struct scl_lock *lock = take_lock(f, 1, 1);
    write_under(lock, "locked", "2");
    // The batch leaves first; what is put from then on has its place behind the locked record.
    assert_int_equal(seal_begin(f), STATUS_OK);
    const struct dependency after = put(f, "after", "3");
    assert_int_equal(seal_end(f).sequence, before.own_sequence);
    uint64_t lamport = counters_of(f).lamport;
    assert_int_equal(seal(f).sequence, before.own_sequence + 1);
    assert_int_equal(seal_begin(f), STATUS_FULL);  // it gathers beside what is unreceipted
    f->now_us += 10 * MS;
    assert_int_equal(seal(f).sequence, after.own_sequence);
    assert_int_equal(counters_of(f).lamport, lamport);
    assert_int_equal(after.own_sequence, before.own_sequence + 2);
    assert_value(f, "locked", NULL);
    scl_lock_drop(f->scl, &lock);
    fixture_free(f);
}

static void p7_a_lock_is_released_when_stores_hold_what_was_written_under_it(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    struct buffer plain = BUFFER_EMPTY;
    struct message message;
    get_ready(f);
    struct scl_lock *lock = take_lock(f, 1, 1);
    write_under(lock, "key", "1");
    const struct record record = seal(f);
    assert_int_equal(take_message(f, &plain, &message), STATUS_EMPTY);
    receipt(f, 0, f->own, record.sequence);
    assert_int_equal(take_message(f, &plain, &message), STATUS_OK);
    assert_int_equal(message.kind, MESSAGE_LOCK_RELEASE);
    assert_int_equal(message.lock_release.record.sequence, record.sequence);
    assert_true(hash_equal(&message.lock_release.record.hash, &record.hash));
    assert_int_equal(take_message(f, &plain, &message), STATUS_EMPTY);
    f->now_us += OUTBOX_REPEAT_US;  // no answer: once more
    assert_int_equal(take_message(f, &plain, &message), STATUS_OK);

    assert_int_equal(scl_lock_fate(lock), STATUS_GAP);
    const struct branch_head named = {.writer = f->own->id, .head = f->own->head};
    write_lock(f, 1, &named);
    feed_rest(f);
    assert_int_equal(scl_lock_fate(lock), STATUS_GAP);
    hold_leader(f);
    assert_int_equal(scl_lock_fate(lock), STATUS_OK);
    assert_value(f, "key", "1");
    scl_lock_drop(f->scl, &lock);
    assert_int_equal(counters_of(f).locks, 0);
    buffer_release(&plain);
    fixture_free(f);
}

static void p7_a_lock_that_was_taken_over_is_lost(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    get_ready(f);
    struct scl_lock *lock = take_lock(f, 1, 1);
    write_under(lock, "key", "1");
    (void)seal(f);
    write_lock(f, 1, NULL);
    feed_rest(f);
    assert_int_equal(scl_lock_fate(lock), STATUS_STALE);
    assert_value(f, "key", NULL);
    scl_lock_drop(f->scl, &lock);
    fixture_free(f);
}

static void a_lock_given_up_is_given_back(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1, 1);
    struct buffer plain = BUFFER_EMPTY;
    struct message message;
    struct scl_lock *lock;
    get_ready(f);
    assert_int_equal(scl_lock_new(f->scl, bytes_text("lock:x"), &lock), STATUS_OK);
    assert_int_equal(take_message(f, &plain, &message), STATUS_OK);
    assert_int_equal(message.kind, MESSAGE_LOCK_ASK);
    scl_lock_drop(f->scl, &lock);
    assert_int_equal(take_message(f, &plain, &message), STATUS_OK);
    assert_int_equal(message.kind, MESSAGE_LOCK_RELEASE);
    assert_int_equal(message.lock_release.fence, 0);
    // A grant that nobody waits for any more, too.
    give_grant(f, 77, 5, 0, NULL);
    assert_int_equal(take_message(f, &plain, &message), STATUS_OK);
    assert_int_equal(message.lock_release.request, 77);
    assert_true(message.lock_release.fence == lock_fence(1, 5));
    assert_int_equal(message.lock_release.record.sequence, 0);
    buffer_release(&plain);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p7_a_tagged_record_is_applied_when_a_lock_names_it_and_stores_hold_that),
        cmocka_unit_test(p7_a_lock_may_come_before_what_it_names),
        cmocka_unit_test(p7_what_no_lock_names_is_void_for_ever),
        cmocka_unit_test(p7_what_is_undecided_ends_with_its_branch),
        cmocka_unit_test(a_tables_body_goes_to_stores_alone),
        cmocka_unit_test(p7_no_snapshot_is_taken_between_a_lock_and_what_it_names),
        cmocka_unit_test(a_lock_whose_receipts_are_lost_is_sent_again),
        cmocka_unit_test(p7_a_lock_is_entered_when_what_its_grant_names_is_applied),
        cmocka_unit_test(p7_a_lock_is_not_entered_on_a_fork_below_a_cut),
        cmocka_unit_test(p7_a_lock_is_not_entered_on_a_fork_of_an_open_branch),
        cmocka_unit_test(p7_a_release_names_the_records_that_were_read),
        cmocka_unit_test(p7_a_lock_is_entered_when_a_closed_branch_is_here_up_to_its_cut),
        cmocka_unit_test(p4_what_is_put_beside_a_lock_knows_its_record),
        cmocka_unit_test(p7_a_lock_is_released_when_stores_hold_what_was_written_under_it),
        cmocka_unit_test(p7_a_lock_that_was_taken_over_is_lost),
        cmocka_unit_test(p5_what_the_tables_of_the_start_have_decided_is_not_applied),
        cmocka_unit_test(a_lock_given_up_is_given_back),

        cmocka_unit_test(p5_a_tie_is_decided_alike_in_every_order_of_arrival),
        cmocka_unit_test(p5_a_tie_with_the_own_write_is_decided_by_the_writer),
        cmocka_unit_test(applies_in_branch_order_and_holds_what_lies_beyond_a_gap),
        cmocka_unit_test(p9_what_came_early_leaves_room_for_what_it_waits_for),
        cmocka_unit_test(a_record_waits_for_its_member_and_its_key),
        cmocka_unit_test(the_beginning_may_come_in_any_order),
        cmocka_unit_test(p2_a_forged_record_is_not_applied),
        cmocka_unit_test(p2_what_breaks_the_chain_of_a_run_is_not_applied),
        cmocka_unit_test(p2_a_record_of_a_stranger_is_not_applied),
        cmocka_unit_test(p2_a_leader_may_not_write_data),
        cmocka_unit_test(p2_a_record_of_another_capsule_is_denied),
        cmocka_unit_test(a_lamport_far_ahead_of_what_its_branch_joined_is_refused),
        cmocka_unit_test(strangers_cannot_keep_a_leader_from_being_introduced),
        cmocka_unit_test(p4_nothing_is_durable_without_receipts_of_w_stores),
        cmocka_unit_test(p4_what_was_read_must_be_held_too),
        cmocka_unit_test(p4_a_sync_vouches_for_what_it_lists),
        cmocka_unit_test(p4_an_own_write_is_not_covered_by_a_fork_that_stores_took_instead),
        cmocka_unit_test(p4_what_was_read_in_a_fork_is_not_covered_by_the_branch),
        cmocka_unit_test(p4_a_receipt_that_came_first_counts_when_its_record_has_come),
        cmocka_unit_test(p4_what_an_earlier_sync_listed_is_held_before_the_next_is_reached),
        cmocka_unit_test(p4_an_answer_that_read_many_writers_waits_for_its_own_write),
        cmocka_unit_test(a_batch_gathers_while_a_record_is_unreceipted),
        cmocka_unit_test(puts_stop_when_too_much_waits_for_receipts),
        cmocka_unit_test(
            repeats_its_records_until_receipts_cover_them_and_the_newest_until_a_sync_does),
        cmocka_unit_test(a_store_without_space_is_trouble_until_it_signs_again),
        cmocka_unit_test(p2_an_rts_of_another_or_of_the_past_is_not_obeyed),
        cmocka_unit_test(an_rts_waits_for_the_sync_before_it),
        cmocka_unit_test(an_eoe_lists_what_perhaps_nobody_else_holds),
        cmocka_unit_test(an_eoe_leaves_under_a_flood_of_puts),
        cmocka_unit_test(joins_a_sync_that_stores_hold_and_names_it_once),
        cmocka_unit_test(joining_raises_the_clock),
        cmocka_unit_test(a_newcomer_begins_at_the_sync_that_its_member_names),
        cmocka_unit_test(p9_what_tables_have_covered_stays_covered),
        cmocka_unit_test(p9_what_lies_below_the_floor_is_covered_whoever_is_listed),
        cmocka_unit_test(p9_what_a_snapshot_knew_by_its_close_is_covered_as_well),
        cmocka_unit_test(p6_a_token_is_reached_by_who_has_seen_as_much),
        cmocka_unit_test(p6_a_token_is_not_reached_by_who_has_seen_a_fork),
        cmocka_unit_test(p6_a_token_of_a_fork_is_lost_with_it),
        cmocka_unit_test(p6_a_token_names_no_record_whose_hash_is_gone),
        cmocka_unit_test(p6_a_token_names_what_stores_hold_or_its_answer_rests_on),
        cmocka_unit_test(p6_a_token_names_what_the_joined_sync_does_not_cover),
        cmocka_unit_test(p6_an_answer_names_what_its_client_has_named_until_a_later_epoch),
        cmocka_unit_test(p6_a_token_of_a_later_term_or_epoch_is_not_reached),
        cmocka_unit_test(p6_a_token_beyond_a_cut_is_lost),
        cmocka_unit_test(p11_ends_when_its_branch_is_closed),
        cmocka_unit_test(p11_ends_when_it_went_beyond_a_cut),
        cmocka_unit_test(p11_applies_nothing_beyond_a_cut),
        cmocka_unit_test(p9_what_lies_beyond_a_cut_holds_up_nothing_below_it),
        cmocka_unit_test(the_log_is_fetched_in_pages),
        cmocka_unit_test(a_gap_is_asked_for_once_at_a_time),
        cmocka_unit_test(p9_the_log_is_read_again_when_nothing_else_brings_what_is_awaited),
        cmocka_unit_test(p5_a_gap_is_asked_for_while_other_branches_go_on),
        cmocka_unit_test(what_a_sync_lists_is_asked_for),
        cmocka_unit_test(what_a_cut_names_is_asked_for),
        cmocka_unit_test(p9_ends_when_what_it_holds_does_not_lead_to_a_cut),
        cmocka_unit_test(p6_serves_only_when_it_has_reached_what_the_leader_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
