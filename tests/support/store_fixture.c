/* tests/support/store_fixture.c */
#include "tests/support/store_fixture.h"

#include <string.h>

#include "base/check.h"
#include "crypto/crypto.h"

void store_fixture_init(struct store_fixture *f)
{
    *f = (struct store_fixture){.store = NULL};
    crypto_init();
    capsule_world_init(&f->world, 11, 1, 1, 0);
    capsule_world_start(&f->world);
    f->a = capsule_world_admit(&f->world, MEMBER_WORKER);
    f->b = capsule_world_admit(&f->world, MEMBER_WORKER);
    CHECK(store_fixture_reopen_fresh(f) == STATUS_OK);
}

void store_fixture_release(struct store_fixture *f)
{
    store_close(f->store);
    disk_fake_free(f->fake);
    buffer_release(&f->receipt);
    buffer_release(&f->proof);
    capsule_world_release(&f->world);
}

enum status store_fixture_reopen(struct store_fixture *f)
{
    store_close(f->store);
    struct store_config config = {
        .disk = &f->disk,
        .genesis = buffer_bytes(&f->world.genesis_body),
        .key = f->world.store_keys[0],
        .segment_bytes = STORE_FIXTURE_SEGMENT_BYTES,
    };
    return store_open(&f->store, &config);
}

enum status store_fixture_reopen_fresh(struct store_fixture *f)
{
    store_close(f->store);
    f->store = NULL;
    disk_fake_free(f->fake);
    f->fake = disk_fake_new();
    f->disk = disk_fake_disk(f->fake);
    return store_fixture_reopen(f);
}

void store_fixture_put(struct store_fixture *f)
{
    capsule_world_put(&f->world, f->a, "x", "1");
    capsule_world_put(&f->world, f->a, "y", "2");
    capsule_world_put(&f->world, f->b, "x", "3");
}

enum status store_fixture_append(struct store_fixture *f, struct bytes bytes)
{
    struct record record;
    enum status status = record_decode(&record, bytes.at, bytes.length);
    return status == STATUS_OK ? store_append(f->store, &record, &f->proof) : status;
}

enum status store_fixture_append_range(struct store_fixture *f, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++) {
        struct record record;
        struct bytes bytes = capsule_world_record(&f->world, i);
        CHECK(record_decode(&record, bytes.at, bytes.length) == STATUS_OK);
        enum status status = store_append(f->store, &record, &f->proof);
        // A GENESIS torn from its TERM waits in memory.
        bool waits = status == STATUS_STALE && record.type == RECORD_GENESIS;
        if (status != STATUS_OK && !waits) {
            return status;
        }
    }
    return STATUS_OK;
}

enum status store_fixture_commit(struct store_fixture *f)
{
    buffer_clear(&f->receipt);
    return store_commit(f->store, &f->receipt);
}

enum status store_fixture_read(struct store_fixture *f, size_t *count)
{
    struct buffer records = BUFFER_EMPTY;
    struct frame_fetched fetched;
    struct frame_fetch fetch = {.from = 1, .to = UINT64_MAX, .max_bytes = UINT32_MAX};
    enum status status = store_read(f->store, &fetch, &records, &fetched);
    if (status == STATUS_OK) {
        *count = fetched.next - 1;
        CHECK(fetched.is_end && *count <= f->world.record_count);
        CHECK(records.length == f->world.offsets[*count]);
        CHECK(records.length == 0 ||
              memcmp(records.bytes, f->world.log.bytes, records.length) == 0);
    }
    buffer_release(&records);
    return status;
}

size_t store_fixture_held(struct store_fixture *f)
{
    size_t count;
    CHECK(store_fixture_read(f, &count) == STATUS_OK);
    return count;
}

void store_fixture_build_other(struct store_fixture *f, struct capsule_world_writer *writer)
{
    struct capsule_world_draft draft;
    capsule_world_draft(&f->world, &draft, writer, RECORD_DATA);
    capsule_world_tuple(&f->world, writer, &draft.body, "other", "other");
    capsule_world_build(&f->world, &draft);
}

void store_fixture_propose(struct store_fixture *f, struct buffer *body,
                           const struct writer_id *writer, const struct head *cut)
{
    static const struct writer_id everyone;
    for (size_t i = 0; i < f->world.record_count; i++) {
        struct bytes bytes = capsule_world_record(&f->world, i);
        struct record record;
        CHECK(record_decode(&record, bytes.at, bytes.length) == STATUS_OK);
        if (record.type == RECORD_TERM && writer_id_equal(&record.writer, &f->world.leader->id)) {
            CHECK(frame_fence_encode(body, &f->world.name, f->world.leader->term,
                                     writer == NULL ? &everyone : writer, cut, record.body,
                                     f->world.leader->key) == STATUS_OK);
            return;
        }
    }
    CHECK(false && "the world has a leader");
}

void store_fixture_ask(struct store_fixture *f, struct buffer *body, const struct writer_id *writer)
{
    const struct head none = {.sequence = 0};
    store_fixture_propose(f, body, writer, &none);
}
