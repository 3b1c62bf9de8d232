/* src/store/fence.c */
#include "store/fence.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/cursor.h"
#include "base/encoder.h"
#include "store/crc32c.h"

enum {
    MAGIC = 0x33464350,  // "PCF3"
    FIXED_BYTES = 88,
    SUM_BYTES = 4,
    ASK_FIXED_BYTES = 4,
    FILE_BYTES_MAX =
        FIXED_BYTES + FENCE_ASKS_MAX * (ASK_FIXED_BYTES + FENCE_ASK_BYTES_MAX) + SUM_BYTES,
};

void fence_release(struct fence *fence)
{
    for (uint32_t i = 0; i < fence->ask_count; i++) {
        buffer_release(&fence->asks[i].body);
    }
    free(fence->asks);
    *fence = FENCE_EMPTY;
}

static struct fence_ask *find(const struct fence *fence, const struct writer_id *writer)
{
    for (uint32_t i = 0; i < fence->ask_count; i++) {
        if (writer_id_equal(&fence->asks[i].writer, writer)) {
            return &fence->asks[i];
        }
    }
    return NULL;
}

enum status fence_add(struct fence *fence, const struct frame_fence *ask)
{
    struct fence_ask *kept = find(fence, &ask->writer);
    if (kept != NULL && (kept->cut.sequence > 0 || ask->cut.sequence == 0)) {
        return STATUS_OK;
    }
    bool is_full = kept == NULL && fence->ask_count == FENCE_ASKS_MAX;
    if (is_full || ask->whole.length > FENCE_ASK_BYTES_MAX) {
        return STATUS_FULL;
    }
    struct fence_ask added = {.writer = ask->writer, .cut = ask->cut, .body = BUFFER_EMPTY};
    enum status status = buffer_append(&added.body, ask->whole.at, ask->whole.length);
    if (status == STATUS_OK && kept == NULL) {
        struct fence_ask *asks = reallocarray(fence->asks, fence->ask_count + 1, sizeof *asks);
        if (asks == NULL) {
            buffer_release(&added.body);
            return STATUS_NO_MEMORY;
        }
        fence->asks = asks;
        asks[fence->ask_count] = (struct fence_ask){.body = BUFFER_EMPTY};
        kept = &asks[fence->ask_count++];
    }
    if (status == STATUS_OK) {
        buffer_release(&kept->body);
        *kept = added;
    }
    return status;
}

static enum status decode_asks(struct fence *fence, struct cursor *in, uint32_t count)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        struct frame_fence ask;
        bool is_whole = frame_fence_decode(&ask, cursor_run(in)) == STATUS_OK;
        status = is_whole ? fence_add(fence, &ask) : STATUS_DAMAGED;
    }
    return status == STATUS_FULL ? STATUS_DAMAGED : status;
}

static enum status fence_decode(struct fence *fence, struct bytes bytes, const struct hash *capsule)
{
    struct cursor in = cursor_over(bytes.at, bytes.length);
    struct fence read = FENCE_EMPTY;
    struct hash name;
    uint32_t magic = cursor_u32(&in);
    uint32_t ask_count = cursor_u32(&in);
    cursor_copy(&in, name.bytes, HASH_BYTES);
    read.term = cursor_u64(&in);
    read.fenced_below = cursor_u64(&in);
    cursor_copy(&in, read.leader.bytes, SIGN_PUBLIC_BYTES);
    if (magic != MAGIC || !hash_equal(&name, capsule) || ask_count > FENCE_ASKS_MAX) {
        return STATUS_DAMAGED;
    }
    enum status status = decode_asks(&read, &in, ask_count);
    uint32_t sum = cursor_u32(&in);
    if (status == STATUS_OK &&
        (!cursor_done(&in) || sum != crc32c_extend(0, bytes.at, bytes.length - SUM_BYTES))) {
        status = STATUS_DAMAGED;
    }
    if (status == STATUS_OK) {
        *fence = read;
    } else {
        fence_release(&read);
    }
    return status;
}

enum status fence_load(struct fence *fence, const struct disk *disk, const struct hash *capsule)
{
    *fence = FENCE_EMPTY;
    uint64_t bytes = 0;
    enum status status = disk->size(disk->context, FENCE_FILE, &bytes);
    if (status == STATUS_NOT_FOUND) {
        return STATUS_OK;
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (bytes > FILE_BYTES_MAX) {
        return STATUS_DAMAGED;
    }
    struct buffer file = BUFFER_EMPTY;
    status = buffer_reserve(&file, bytes);
    if (status == STATUS_OK && bytes > 0) {
        status = disk->read(disk->context, FENCE_FILE, 0, file.bytes, bytes);
    }
    if (status == STATUS_OK) {
        status = fence_decode(fence, bytes_of(file.bytes, bytes), capsule);
    }
    buffer_release(&file);
    return status;
}

enum status fence_save(const struct fence *fence, const struct disk *disk,
                       const struct hash *capsule)
{
    size_t bytes = FIXED_BYTES + SUM_BYTES;
    for (uint32_t i = 0; i < fence->ask_count; i++) {
        bytes += ASK_FIXED_BYTES + fence->asks[i].body.length;
    }
    uint8_t *file = malloc(bytes);
    if (file == NULL) {
        return STATUS_NO_MEMORY;
    }
    struct encoder out = encoder_over(file, bytes);
    encoder_u32(&out, MAGIC);
    encoder_u32(&out, fence->ask_count);
    encoder_bytes(&out, capsule->bytes, HASH_BYTES);
    encoder_u64(&out, fence->term);
    encoder_u64(&out, fence->fenced_below);
    encoder_bytes(&out, fence->leader.bytes, SIGN_PUBLIC_BYTES);
    for (uint32_t i = 0; i < fence->ask_count; i++) {
        encoder_run(&out, buffer_bytes(&fence->asks[i].body));
    }
    encoder_u32(&out, crc32c_extend(0, file, out.length));
    CHECK(!out.failed && out.length == bytes);
    enum status status = disk->replace(disk->context, FENCE_FILE, file, bytes);
    free(file);
    return status;
}

static bool is_up_to(const struct record *record, const struct head *cut)
{
    return record->sequence < cut->sequence ||
           (record->sequence == cut->sequence && hash_equal(&record->hash, &cut->hash));
}

bool fence_covers(const struct fence *fence, const struct record *record,
                  const struct capsule_member *member)
{
    const struct fence_ask *ask = find(fence, &record->writer);

    if (member != NULL && member->term < fence->fenced_below) {
        return true;
    }
    if (member != NULL && member->role == MEMBER_LEADER && member->term < fence->term) {
        return true;
    }
    return ask != NULL && !is_up_to(record, &ask->cut);
}
