/* fuzz/store/journal_fuzz.c */

/*
 * A disk image of the store's own making, bent: runs of (file u8, offset u16, length u8, bytes) are
 * written over a log of three segments and a fence. An empty input leaves it whole. The store opens
 * or refuses; it never gives out a record that was not taken, and what it repaired it opens again.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "base/cursor.h"
#include "store/checkpoint.h"
#include "tests/support/store_fixture.h"

static struct store_fixture *make_whole(void)
{
    static struct store_fixture f;
    if (f.fake == NULL) {
        store_fixture_init(&f);
        for (int i = 0; i < 8; i++) {
            size_t first = i == 0 ? 0 : f.world.record_count;
            store_fixture_put(&f);
            CHECK(store_fixture_append_range(&f, first, f.world.record_count) == STATUS_OK);
            CHECK(store_fixture_commit(&f) == STATUS_OK);
        }
        struct buffer body = BUFFER_EMPTY;
        struct buffer said = BUFFER_EMPTY;
        struct frame_fence ask;
        store_fixture_ask(&f, &body, &f.a->id);
        CHECK(frame_fence_decode(&ask, buffer_bytes(&body)) == STATUS_OK);
        CHECK(store_fence(f.store, &ask, &said) == STATUS_OK);
        buffer_release(&said);
        buffer_release(&body);
        store_close(f.store);
        f.store = NULL;
    }
    return &f;
}

static enum status ignore_record(void *context, struct bytes record,
                                 const struct store_place *place)
{
    (void)context;
    (void)place;
    CHECK(record.length > 0);
    return STATUS_OK;
}

static void bend(struct disk_fake *fake, const uint8_t *bytes, size_t length)
{
    struct cursor in = cursor_over(bytes, length);
    while (in.left > 0 && !in.failed) {
        uint8_t file = cursor_u8(&in);
        uint16_t offset = cursor_u16(&in);
        uint8_t patch_length = cursor_u8(&in);
        const uint8_t *patch = cursor_take(&in, patch_length);
        const char *name = disk_fake_name(fake, file % disk_fake_count(fake));
        struct buffer *content = disk_fake_file(fake, name);
        if (patch == NULL || offset + (size_t)patch_length > content->length) {
            continue;
        }
        memcpy(content->bytes + offset, patch, patch_length);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct store_fixture *f = make_whole();
    struct disk_fake *whole = f->fake;
    f->fake = disk_fake_copy(whole);
    f->disk = disk_fake_disk(f->fake);
    bend(f->fake, bytes, length);

    struct store_place place;
    enum status walked = store_walk(&f->disk, &f->world.name, ignore_record, NULL, &place);
    CHECK(walked == STATUS_OK || walked == STATUS_DAMAGED);
    enum status status = store_fixture_reopen(f);
    CHECK(status == STATUS_OK || status == STATUS_DAMAGED);
    if (status == STATUS_OK) {
        // What a checkpoint vouches for is judged when it is read; without one, all is read now.
        size_t count;
        enum status read = store_fixture_read(f, &count);
        CHECK(read == STATUS_OK || (read == STATUS_DAMAGED && walked == STATUS_DAMAGED));
        CHECK(checkpoint_forget(&f->disk) == STATUS_OK);
        status = store_fixture_reopen(f);
        CHECK(status == STATUS_OK || (status == STATUS_DAMAGED && walked == STATUS_DAMAGED));
        CHECK(status == STATUS_DAMAGED || read == STATUS_OK);
    }
    if (status == STATUS_OK) {
        size_t held = store_fixture_held(f);
        CHECK(walked != STATUS_OK || length > 0 || held == f->world.record_count);
        CHECK(store_fixture_reopen(f) == STATUS_OK);
        CHECK(store_fixture_held(f) == held);
        store_close(f->store);
        f->store = NULL;
        CHECK(store_walk(&f->disk, &f->world.name, ignore_record, NULL, &place) == STATUS_OK);
    }
    disk_fake_free(f->fake);
    f->fake = whole;
    return 0;
}
