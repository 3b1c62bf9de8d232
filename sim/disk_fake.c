/* sim/disk_fake.c */
#include "sim/disk_fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { FILES_MAX = 1024, NAME_BYTES = 64, SECTOR_BYTES = 512 };

struct file {
    char name[NAME_BYTES];
    struct buffer content;  // as it is read
    struct buffer durable;  // as of the last sync
};

/* A write that no sync followed. */
struct unsynced {
    size_t file;
    uint64_t offset;
    uint8_t *bytes;
    size_t length;
};

struct disk_fake {
    struct file files[FILES_MAX];
    size_t file_count;
    struct unsynced *unsynced;
    size_t unsynced_count;
    uint64_t operations;
    uint64_t fail_at;
    enum status failure;
    uint64_t power_off_at;
    bool is_off;
    uint64_t limit;
};

/* buffer_reserve() without wiping what it leaves behind: nothing on a disk is secret. */
static void reserve(struct buffer *buffer, size_t length)
{
    if (length > buffer->capacity) {
        size_t capacity = length > 2 * buffer->capacity ? length : 2 * buffer->capacity;
        buffer->bytes = realloc(buffer->bytes, capacity);
        CHECK(buffer->bytes != NULL);
        buffer->capacity = capacity;
    }
}

static void resize(struct buffer *buffer, size_t length)
{
    if (length > buffer->length) {
        reserve(buffer, length);
        memset(buffer->bytes + buffer->length, 0, length - buffer->length);
    }
    buffer->length = length;
}

static void patch(struct buffer *target, uint64_t offset, const uint8_t *bytes, size_t length)
{
    if (length == 0) {
        return;
    }
    if (offset > target->length) {
        resize(target, offset);
    }
    reserve(target, offset + length);
    memcpy(target->bytes + offset, bytes, length);
    target->length = offset + length > target->length ? offset + length : target->length;
}

static void assign(struct buffer *target, const void *bytes, size_t length)
{
    target->length = 0;
    patch(target, 0, bytes, length);
}

static struct file *find(const struct disk_fake *fake, const char *name)
{
    for (size_t i = 0; i < fake->file_count; i++) {
        if (strcmp(fake->files[i].name, name) == 0) {
            return (struct file *)&fake->files[i];
        }
    }
    return NULL;
}

static struct file *find_or_make(struct disk_fake *fake, const char *name)
{
    struct file *file = find(fake, name);
    if (file == NULL) {
        CHECK(fake->file_count < FILES_MAX && strlen(name) < NAME_BYTES);
        file = &fake->files[fake->file_count++];
        *file = (struct file){.content = BUFFER_EMPTY};
        (void)snprintf(file->name, NAME_BYTES, "%s", name);
    }
    return file;
}

/* Forget the writes to one file, or to all (NULL). */
static void forget_unsynced(struct disk_fake *fake, const struct file *file)
{
    size_t kept = 0;
    for (size_t i = 0; i < fake->unsynced_count; i++) {
        if (file == NULL || &fake->files[fake->unsynced[i].file] == file) {
            free(fake->unsynced[i].bytes);
        } else {
            fake->unsynced[kept++] = fake->unsynced[i];
        }
    }
    fake->unsynced_count = kept;
}

static void make_durable(struct disk_fake *fake, struct file *file)
{
    assign(&file->durable, file->content.bytes, file->content.length);
    forget_unsynced(fake, file);
}

/* The same where nothing but writes changed the file: by them alone, however large it is. */
static void sync_writes(struct disk_fake *fake, struct file *file)
{
    for (size_t i = 0; i < fake->unsynced_count; i++) {
        const struct unsynced *write = &fake->unsynced[i];
        if (&fake->files[write->file] == file) {
            patch(&file->durable, write->offset, write->bytes, write->length);
        }
    }
    forget_unsynced(fake, file);
}

/* Count an operation, and say what becomes of it. */
static enum status begin(struct disk_fake *fake)
{
    fake->operations++;
    if (fake->operations == fake->power_off_at) {
        fake->is_off = true;
        return STATUS_IO;
    }
    if (fake->is_off) {
        return STATUS_IO;
    }
    return fake->operations == fake->fail_at ? fake->failure : STATUS_OK;
}

/* Whether the operation that just failed was under way when power went off. */
static bool is_interrupted(const struct disk_fake *fake)
{
    return !fake->is_off || fake->operations == fake->power_off_at;
}

static uint64_t used_without(const struct disk_fake *fake, const struct file *file)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < fake->file_count; i++) {
        bytes += &fake->files[i] == file ? 0 : fake->files[i].content.length;
    }
    return bytes;
}

static enum status fake_create(void *context, const char *name, uint64_t bytes)
{
    struct disk_fake *fake = context;
    enum status status = begin(fake);
    if (status != STATUS_OK && !is_interrupted(fake)) {
        return status;
    }
    struct file *file = find_or_make(fake, name);
    if (status == STATUS_OK && used_without(fake, file) + bytes > fake->limit) {
        status = STATUS_NO_SPACE;
    }
    uint64_t length = status == STATUS_OK ? bytes : bytes / 3;
    if (used_without(fake, file) + length > fake->limit) {
        length = 0;
    }
    resize(&file->content, 0);
    resize(&file->content, length);
    make_durable(fake, file);
    return status;
}

static enum status fake_size(void *context, const char *name, uint64_t *bytes)
{
    const struct file *file = find(context, name);
    if (file == NULL) {
        return STATUS_NOT_FOUND;
    }
    *bytes = file->content.length;
    return STATUS_OK;
}

static enum status fake_read(void *context, const char *name, uint64_t offset, void *target,
                             size_t length)
{
    const struct file *file = find(context, name);
    if (file == NULL) {
        return STATUS_NOT_FOUND;
    }
    if (offset > file->content.length || length > file->content.length - offset) {
        return STATUS_IO;
    }
    memcpy(target, file->content.bytes + offset, length);
    return STATUS_OK;
}

static void write_unsynced(struct disk_fake *fake, struct file *file, uint64_t offset,
                           const uint8_t *bytes, size_t length)
{
    if (length == 0) {
        return;
    }
    fake->unsynced = reallocarray(fake->unsynced, fake->unsynced_count + 1, sizeof *fake->unsynced);
    uint8_t *copy = malloc(length);
    CHECK(fake->unsynced != NULL && copy != NULL);
    memcpy(copy, bytes, length);
    fake->unsynced[fake->unsynced_count++] = (struct unsynced){
        .file = (size_t)(file - fake->files),
        .offset = offset,
        .bytes = copy,
        .length = length,
    };
    patch(&file->content, offset, bytes, length);
}

static enum status fake_write(void *context, const char *name, uint64_t offset, const void *source,
                              size_t length)
{
    struct disk_fake *fake = context;
    struct file *file = find(fake, name);
    enum status status = begin(fake);
    if (file == NULL) {
        return status == STATUS_OK ? STATUS_NOT_FOUND : status;
    }
    if (status != STATUS_OK) {
        // An interrupted write may have got anywhere: the crash decides.
        size_t part = fake->is_off ? length : length / 2;
        if (is_interrupted(fake) && (status != STATUS_NO_SPACE || offset < file->content.length)) {
            write_unsynced(fake, file, offset, source, part);
        }
        return status;
    }
    uint64_t end = offset + length;
    uint64_t room = fake->limit - used_without(fake, file);
    if (end > file->content.length && end > room) {
        uint64_t fits = room > offset ? room - offset : 0;
        write_unsynced(fake, file, offset, source, (size_t)fits);
        return STATUS_NO_SPACE;
    }
    write_unsynced(fake, file, offset, source, length);
    return STATUS_OK;
}

static enum status fake_sync(void *context, const char *name)
{
    struct disk_fake *fake = context;
    struct file *file = find(fake, name);
    enum status status = begin(fake);
    if (status == STATUS_OK && file == NULL) {
        return STATUS_NOT_FOUND;
    }
    if (status == STATUS_OK) {
        sync_writes(fake, file);
    }
    return status;
}

static enum status fake_replace(void *context, const char *name, const void *source, size_t length)
{
    struct disk_fake *fake = context;
    enum status status = begin(fake);
    // When it fails with STATUS_IO nobody knows which of the two is there.
    bool is_done = status == STATUS_OK ||
                   (status == STATUS_IO && is_interrupted(fake) && fake->operations % 2 == 0);
    if (is_done) {
        disk_fake_put(fake, name, source, length);
    }
    return status;
}

/* Nothing takes any time. */
static uint64_t fake_now_us(void *context)
{
    (void)context;
    return 0;
}

struct disk_fake *disk_fake_new(void)
{
    struct disk_fake *fake = calloc(1, sizeof *fake);
    CHECK(fake != NULL);
    fake->limit = UINT64_MAX;
    return fake;
}

static void release(struct disk_fake *fake)
{
    forget_unsynced(fake, NULL);
    free(fake->unsynced);
    for (size_t i = 0; i < fake->file_count; i++) {
        free(fake->files[i].content.bytes);
        free(fake->files[i].durable.bytes);
    }
}

void disk_fake_free(struct disk_fake *fake)
{
    if (fake != NULL) {
        release(fake);
        free(fake);
    }
}

struct disk_fake *disk_fake_copy(const struct disk_fake *fake)
{
    struct disk_fake *copy = disk_fake_new();
    disk_fake_assign(copy, fake);
    return copy;
}

void disk_fake_assign(struct disk_fake *fake, const struct disk_fake *source)
{
    release(fake);
    *fake = (struct disk_fake){.limit = UINT64_MAX};
    for (size_t i = 0; i < source->file_count; i++) {
        const struct buffer *content = &source->files[i].content;
        disk_fake_put(fake, source->files[i].name, content->bytes, content->length);
    }
}

struct disk disk_fake_disk(struct disk_fake *fake)
{
    return (struct disk){
        .create = fake_create,
        .size = fake_size,
        .read = fake_read,
        .write = fake_write,
        .sync = fake_sync,
        .replace = fake_replace,
        .now_us = fake_now_us,
        .context = fake,
    };
}

uint64_t disk_fake_operations(const struct disk_fake *fake)
{
    return fake->operations;
}

void disk_fake_fail(struct disk_fake *fake, uint64_t nth, enum status status)
{
    fake->fail_at = nth == 0 ? 0 : fake->operations + nth;
    fake->failure = status;
}

void disk_fake_power_off(struct disk_fake *fake, uint64_t nth)
{
    fake->power_off_at = nth == 0 ? 0 : fake->operations + nth;
}

void disk_fake_limit(struct disk_fake *fake, uint64_t bytes)
{
    fake->limit = bytes;
}

uint64_t disk_fake_used(const struct disk_fake *fake)
{
    return used_without(fake, NULL);
}

/* What survived is all there is now. */
static void restart(struct disk_fake *fake)
{
    forget_unsynced(fake, NULL);
    for (size_t i = 0; i < fake->file_count; i++) {
        const struct buffer *durable = &fake->files[i].durable;
        assign(&fake->files[i].content, durable->bytes, durable->length);
    }
    fake->is_off = false;
    fake->power_off_at = 0;
    fake->fail_at = 0;
}

void disk_fake_crash(struct disk_fake *fake, const struct random *random)
{
    for (size_t i = 0; i < fake->unsynced_count; i++) {
        const struct unsynced *write = &fake->unsynced[i];
        for (size_t at = 0; at < write->length;) {
            size_t step = SECTOR_BYTES - (size_t)((write->offset + at) % SECTOR_BYTES);
            step = step < write->length - at ? step : write->length - at;
            uint8_t coin = 1;
            if (random != NULL) {
                random_fill(random, &coin, sizeof coin);
            }
            if (coin % 2 == 0) {
                patch(&fake->files[write->file].durable, write->offset + at, write->bytes + at,
                      step);
            }
            at += step;
        }
    }
    restart(fake);
}

void disk_fake_crash_torn(struct disk_fake *fake, size_t kept)
{
    for (size_t i = 0; i < fake->unsynced_count; i++) {
        const struct unsynced *write = &fake->unsynced[i];
        bool is_last = i + 1 == fake->unsynced_count;
        size_t length = is_last && kept < write->length ? kept : write->length;
        patch(&fake->files[write->file].durable, write->offset, write->bytes, length);
    }
    restart(fake);
}

size_t disk_fake_last_write(const struct disk_fake *fake)
{
    return fake->unsynced_count == 0 ? 0 : fake->unsynced[fake->unsynced_count - 1].length;
}

struct buffer *disk_fake_file(struct disk_fake *fake, const char *name)
{
    struct file *file = find(fake, name);
    return file == NULL ? NULL : &file->content;
}

size_t disk_fake_count(const struct disk_fake *fake)
{
    return fake->file_count;
}

const char *disk_fake_name(const struct disk_fake *fake, size_t index)
{
    CHECK(index < fake->file_count);
    return fake->files[index].name;
}

void disk_fake_put(struct disk_fake *fake, const char *name, const void *bytes, size_t length)
{
    struct file *file = find_or_make(fake, name);
    assign(&file->content, bytes, length);
    make_durable(fake, file);
}

void disk_fake_remove(struct disk_fake *fake, const char *name)
{
    struct file *file = find(fake, name);
    CHECK(file != NULL);
    forget_unsynced(fake, NULL);
    free(file->content.bytes);
    free(file->durable.bytes);
    size_t index = (size_t)(file - fake->files);
    memmove(file, file + 1, (fake->file_count - index - 1) * sizeof *file);
    fake->file_count--;
}
