/* src/lsm/block.c */
#include "lsm/block.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/checked.h"
#include "base/cursor.h"
#include "base/encoder.h"
#include "lsm/key_head.h"

static const uint32_t BLOCK_MAGIC = 0x31425450;  // "PTB1"

enum {
    BLOCK_HEADER_BYTES = 12,
    SUFFIX_LENGTH_BYTES = 2,
    KIND_BYTES = 1,
    EXPIRY_BYTES = 8,
    FLAG_EXPIRY = 0x80,
    // So that a writer is found in the list by looking at all of it.
    WRITERS_MAX = 256,
    PENDING_COUNT_MIN = 128,
};

/* One entry of a block under construction; key and value lie one behind the other in `data`. */
struct pending {
    size_t offset;
    uint32_t key_length;
    uint32_t value_length;
    enum tuple_kind kind;
    uint32_t writer;  // its place in the list, in order of appearance
    uint64_t lamport;
    uint64_t expiry_ms;
};

struct block_builder {
    size_t target_bytes;
    struct buffer data;
    struct pending *entries;
    uint32_t entry_count;
    uint32_t entry_capacity;
    size_t prefix_length;  // of all keys so far
    size_t fixed_bytes;    // what all entries take without their keys, at most
    size_t key_bytes;      // what all keys take, prefixes included
    uint32_t writer_count;
    struct writer_id writers[WRITERS_MAX];
};

enum status block_builder_new(struct block_builder **builder, size_t target_bytes)
{
    CHECK(target_bytes > 0 && target_bytes <= BLOCK_TARGET_BYTES_MAX);
    *builder = calloc(1, sizeof **builder);
    if (*builder == NULL) {
        return STATUS_NO_MEMORY;
    }
    (*builder)->target_bytes = target_bytes;
    return STATUS_OK;
}

void block_builder_free(struct block_builder *builder)
{
    if (builder != NULL) {
        buffer_release(&builder->data);
        free(builder->entries);
        free(builder);
    }
}

uint32_t block_builder_count(const struct block_builder *builder)
{
    return builder->entry_count;
}

static struct bytes pending_key(const struct block_builder *builder, uint32_t index)
{
    CHECK(index < builder->entry_count);
    const struct pending *entry = &builder->entries[index];
    return bytes_of(builder->data.bytes + entry->offset, entry->key_length);
}

struct bytes block_builder_first(const struct block_builder *builder)
{
    return pending_key(builder, 0);
}

struct bytes block_builder_last(const struct block_builder *builder)
{
    CHECK(builder->entry_count > 0);
    return pending_key(builder, builder->entry_count - 1);
}

static size_t common_length(struct bytes a, struct bytes b, size_t length_max)
{
    size_t length = 0;
    while (length < length_max && length < a.length && length < b.length &&
           a.at[length] == b.at[length]) {
        length++;
    }
    return length;
}

/* The writer's place in the list, or the place that it would get. */
static uint32_t find_writer(const struct block_builder *builder, const struct writer_id *writer)
{
    uint32_t index = 0;
    while (index < builder->writer_count && !writer_id_equal(&builder->writers[index], writer)) {
        index++;
    }
    return index;
}

static size_t entry_fixed_bytes(const struct tuple *tuple)
{
    size_t expiry_bytes = tuple->expiry_ms != 0 ? EXPIRY_BYTES : 0;
    // WRITERS_MAX - 1 is the greatest place.
    return SUFFIX_LENGTH_BYTES + KIND_BYTES + encoder_varint_bytes(WRITERS_MAX - 1) +
           encoder_varint_bytes(tuple->lamport) + expiry_bytes +
           encoder_varint_bytes(tuple->value.length) + tuple->value.length;
}

static enum status grow_entries(struct block_builder *builder)
{
    if (builder->entry_count < builder->entry_capacity) {
        return STATUS_OK;
    }
    uint32_t capacity =
        builder->entry_capacity == 0 ? PENDING_COUNT_MIN : builder->entry_capacity * 2;
    struct pending *entries = realloc(builder->entries, capacity * sizeof *entries);
    if (entries == NULL) {
        return STATUS_NO_MEMORY;
    }
    builder->entries = entries;
    builder->entry_capacity = capacity;
    return STATUS_OK;
}

enum status block_builder_add(struct block_builder *builder, const struct entry *entry)
{
    const struct tuple *tuple = &entry->tuple;
    CHECK(entry_is_sound(entry));
    bool is_first = builder->entry_count == 0;
    CHECK(is_first || bytes_compare(tuple->key, block_builder_last(builder)) > 0);

    size_t prefix_length = tuple->key.length;
    if (!is_first) {
        prefix_length =
            common_length(block_builder_first(builder), tuple->key, builder->prefix_length);
    }
    uint32_t writer = find_writer(builder, &entry->writer);
    bool is_new_writer = writer == builder->writer_count;
    uint32_t writer_count = builder->writer_count + (is_new_writer ? 1 : 0);
    size_t fixed_bytes = builder->fixed_bytes + entry_fixed_bytes(tuple);
    size_t key_bytes = builder->key_bytes + tuple->key.length;
    size_t total = BLOCK_HEADER_BYTES + writer_count * (size_t)WRITER_ID_BYTES + fixed_bytes +
                   key_bytes - builder->entry_count * prefix_length;
    if (!is_first && (total > builder->target_bytes || writer_count > WRITERS_MAX)) {
        return STATUS_FULL;
    }

    enum status status = grow_entries(builder);
    if (status == STATUS_OK) {
        status = buffer_reserve(&builder->data, tuple->key.length + tuple->value.length);
    }
    if (status != STATUS_OK) {
        return status;
    }
    builder->entries[builder->entry_count] = (struct pending){
        .offset = builder->data.length,
        .key_length = (uint32_t)tuple->key.length,
        .value_length = (uint32_t)tuple->value.length,
        .kind = tuple->kind,
        .writer = writer,
        .lamport = tuple->lamport,
        .expiry_ms = tuple->expiry_ms,
    };
    CHECK(buffer_append(&builder->data, tuple->key.at, tuple->key.length) == STATUS_OK);
    CHECK(buffer_append(&builder->data, tuple->value.at, tuple->value.length) == STATUS_OK);
    builder->entry_count++;
    if (is_new_writer) {
        builder->writers[writer] = entry->writer;
    }
    builder->writer_count = writer_count;
    builder->prefix_length = prefix_length;
    builder->fixed_bytes = fixed_bytes;
    builder->key_bytes = key_bytes;
    return STATUS_OK;
}

/* Sort the writers; places[i] gets the new place of the one that was at i. */
static void sort_writers(struct block_builder *builder, uint32_t places[WRITERS_MAX])
{
    for (uint32_t i = 0; i < builder->writer_count; i++) {
        places[i] = 0;
        for (uint32_t j = 0; j < builder->writer_count; j++) {
            places[i] += writer_id_compare(&builder->writers[j], &builder->writers[i]) < 0;
        }
    }
    struct writer_id sorted[WRITERS_MAX];
    for (uint32_t i = 0; i < builder->writer_count; i++) {
        sorted[places[i]] = builder->writers[i];
    }
    memcpy(builder->writers, sorted, builder->writer_count * sizeof *sorted);
}

static void encode_entry(struct encoder *out, const struct block_builder *builder,
                         const struct pending *entry, const uint32_t places[WRITERS_MAX])
{
    const uint8_t *key = builder->data.bytes + entry->offset;
    bool has_expiry = entry->expiry_ms != 0;
    size_t suffix_length = entry->key_length - builder->prefix_length;
    encoder_u16(out, (uint16_t)suffix_length);
    encoder_bytes(out, key + builder->prefix_length, suffix_length);
    encoder_u8(out, (uint8_t)(entry->kind | (has_expiry ? FLAG_EXPIRY : 0)));
    encoder_varint(out, places[entry->writer]);
    encoder_varint(out, entry->lamport);
    if (has_expiry) {
        encoder_u64(out, entry->expiry_ms);
    }
    encoder_varint(out, entry->value_length);
    encoder_bytes(out, key + entry->key_length, entry->value_length);
}

enum status block_builder_finish(struct block_builder *builder, struct buffer *plain)
{
    CHECK(builder->entry_count > 0);
    size_t bytes_max = BLOCK_HEADER_BYTES + builder->writer_count * (size_t)WRITER_ID_BYTES +
                       builder->fixed_bytes + builder->key_bytes;
    buffer_clear(plain);
    enum status status = buffer_reserve(plain, bytes_max);
    if (status != STATUS_OK) {
        return status;
    }
    uint32_t places[WRITERS_MAX];
    sort_writers(builder, places);
    struct encoder out = encoder_over(plain->bytes, bytes_max);
    encoder_u32(&out, BLOCK_MAGIC);
    encoder_u32(&out, builder->entry_count);
    encoder_u16(&out, (uint16_t)builder->prefix_length);
    encoder_u16(&out, (uint16_t)builder->writer_count);
    encoder_bytes(&out, builder->data.bytes, builder->prefix_length);
    encoder_bytes(&out, builder->writers, builder->writer_count * sizeof *builder->writers);
    for (uint32_t i = 0; i < builder->entry_count; i++) {
        encode_entry(&out, builder, &builder->entries[i], places);
    }
    CHECK(!out.failed && out.length <= BLOCK_BYTES_MAX);
    plain->length = out.length;

    buffer_clear(&builder->data);
    builder->entry_count = 0;
    builder->writer_count = 0;
    builder->prefix_length = 0;
    builder->fixed_bytes = 0;
    builder->key_bytes = 0;
    return STATUS_OK;
}

/* ---- reading ---- */

/* An entry, for those who look for its key. */
struct place {
    uint32_t offset;  // of the suffix, in plain
    uint16_t suffix_length;
    uint32_t head;  // the first half of the suffix's key_head()
};

struct block {
    struct buffer plain;
    struct bytes prefix;     // in plain
    const uint8_t *writers;  // in plain
    uint32_t count;
    struct place places[];
};

static uint32_t short_head(struct bytes suffix)
{
    return (uint32_t)(key_head(suffix) >> 32);
}

struct header {
    uint32_t count;
    uint16_t writer_count;
    struct bytes prefix;
    const uint8_t *writers;
};

static bool decode_header(struct header *header, struct cursor *in)
{
    uint32_t magic = cursor_u32(in);
    uint32_t count = cursor_u32(in);
    uint16_t prefix_length = cursor_u16(in);
    uint16_t writer_count = cursor_u16(in);
    struct bytes prefix = cursor_bytes(in, prefix_length);
    const uint8_t *writers = cursor_take(in, (size_t)writer_count * WRITER_ID_BYTES);
    // An entry takes more than one byte, which bounds what is allocated for them.
    if (in->failed || magic != BLOCK_MAGIC || count == 0 || count > in->left ||
        prefix_length > TUPLE_KEY_BYTES_MAX || writer_count == 0 || writer_count > WRITERS_MAX) {
        return false;
    }
    *header = (struct header){
        .count = count,
        .writer_count = writer_count,
        .prefix = prefix,
        .writers = writers,
    };
    return true;
}

/* What follows an entry's key. */
struct rest {
    struct entry entry;  // without key and writer
    uint64_t writer;     // its place
    bool is_canonical;
};

static struct rest read_rest(struct cursor *in)
{
    uint8_t kind = cursor_u8(in);
    bool has_expiry = (kind & FLAG_EXPIRY) != 0;
    struct rest rest = {.writer = cursor_varint(in)};
    struct tuple *tuple = &rest.entry.tuple;
    tuple->kind = (enum tuple_kind)(kind & ~FLAG_EXPIRY);
    tuple->lamport = cursor_varint(in);
    tuple->expiry_ms = has_expiry ? cursor_u64(in) : 0;
    uint64_t value_length = cursor_varint(in);
    tuple->value = cursor_bytes(in, value_length);
    // An expiry of 0 would be a second way to say "never".
    rest.is_canonical = has_expiry == (tuple->expiry_ms != 0);
    return rest;
}

struct walk {
    struct cursor in;
    struct header header;
    struct bytes first;  // suffixes
    struct bytes last;
    bool is_used[WRITERS_MAX];
};

static bool walk_entry(struct walk *walk, uint32_t index)
{
    uint16_t suffix_length = cursor_u16(&walk->in);
    struct bytes suffix = cursor_bytes(&walk->in, suffix_length);
    struct rest rest = read_rest(&walk->in);
    // For its bounds only the key's length counts.
    rest.entry.tuple.key = bytes_of(NULL, walk->header.prefix.length + suffix_length);
    if (walk->in.failed || !rest.is_canonical || rest.writer >= walk->header.writer_count ||
        !entry_is_sound(&rest.entry) || (index > 0 && bytes_compare(suffix, walk->last) <= 0)) {
        return false;
    }
    walk->is_used[rest.writer] = true;
    walk->last = suffix;
    if (index == 0) {
        walk->first = suffix;
    }
    return true;
}

static bool prefix_is_longest(const struct walk *walk)
{
    if (walk->header.count == 1) {
        return walk->first.length == 0;
    }
    return walk->first.length == 0 || walk->first.at[0] != walk->last.at[0];
}

static bool writers_are_canonical(const struct walk *walk)
{
    for (uint32_t i = 0; i < walk->header.writer_count; i++) {
        const uint8_t *writer = walk->header.writers + (size_t)i * WRITER_ID_BYTES;
        if (!walk->is_used[i] ||
            (i > 0 && memcmp(writer - WRITER_ID_BYTES, writer, WRITER_ID_BYTES) >= 0)) {
            return false;
        }
    }
    return true;
}

/* places[i] gets that of entry i. */
static bool walk_entries(struct walk *walk, size_t length, struct place *places)
{
    for (uint32_t i = 0; i < walk->header.count; i++) {
        size_t offset = length - walk->in.left + SUFFIX_LENGTH_BYTES;
        if (!walk_entry(walk, i)) {
            return false;
        }
        places[i] = (struct place){
            .offset = (uint32_t)offset,
            .suffix_length = (uint16_t)walk->last.length,
            .head = short_head(walk->last),
        };
    }
    return cursor_done(&walk->in) && prefix_is_longest(walk) && writers_are_canonical(walk);
}

enum status block_decode(struct block **block, struct buffer *plain)
{
    *block = NULL;
    if (plain->length > BLOCK_BYTES_MAX) {
        return STATUS_MALFORMED;
    }
    struct walk walk = {.in = cursor_over(plain->bytes, plain->length)};
    if (!decode_header(&walk.header, &walk.in) ||
        (walk.header.count > 1 && plain->length > BLOCK_TARGET_BYTES_MAX)) {
        return STATUS_MALFORMED;
    }
    struct block *made = calloc(1, sizeof *made + walk.header.count * sizeof *made->places);
    if (made == NULL) {
        return STATUS_NO_MEMORY;
    }
    if (!walk_entries(&walk, plain->length, made->places)) {
        free(made);
        return STATUS_MALFORMED;
    }
    made->prefix = walk.header.prefix;
    made->writers = walk.header.writers;
    made->count = walk.header.count;
    made->plain = *plain;
    *plain = BUFFER_EMPTY;
    *block = made;
    return STATUS_OK;
}

void block_free(struct block *block)
{
    if (block != NULL) {
        buffer_release(&block->plain);
        free(block);
    }
}

uint32_t block_count(const struct block *block)
{
    return block->count;
}

size_t block_bytes(const struct block *block)
{
    return sizeof *block + block->count * sizeof *block->places + block->plain.capacity;
}

static struct bytes suffix_at(const struct block *block, uint32_t index)
{
    CHECK(index < block->count);
    const struct place *place = &block->places[index];
    return bytes_of(block->plain.bytes + place->offset, place->suffix_length);
}

struct block_key block_key_at(const struct block *block, uint32_t index)
{
    return (struct block_key){.prefix = block->prefix, .suffix = suffix_at(block, index)};
}

int block_key_compare(const struct block_key *block_key, struct bytes key)
{
    struct bytes prefix = block_key->prefix;
    if (key.length <= prefix.length) {
        int order = bytes_compare(bytes_of(prefix.at, key.length), key);
        bool is_longer = prefix.length + block_key->suffix.length > key.length;
        return order != 0 ? order : is_longer;
    }
    int order = bytes_compare(prefix, bytes_of(key.at, prefix.length));
    if (order != 0) {
        return order;
    }
    return bytes_compare(block_key->suffix,
                         bytes_of(key.at + prefix.length, key.length - prefix.length));
}

struct bytes block_key_copy(const struct block_key *block_key, uint8_t *target)
{
    struct bytes prefix = block_key->prefix, suffix = block_key->suffix;
    memcpy(target, prefix.at, prefix.length);
    memcpy(target + prefix.length, suffix.at, suffix.length);
    return bytes_of(target, prefix.length + suffix.length);
}

void block_entry_at(const struct block *block, uint32_t index, struct entry *entry)
{
    struct bytes suffix = suffix_at(block, index);
    const uint8_t *rest_at = suffix.at + suffix.length;
    const uint8_t *end = block->plain.bytes + block->plain.length;
    struct cursor in = cursor_over(rest_at, (size_t)(end - rest_at));
    struct rest rest = read_rest(&in);
    CHECK(!in.failed);
    *entry = rest.entry;
    memcpy(entry->writer.bytes, block->writers + rest.writer * WRITER_ID_BYTES, WRITER_ID_BYTES);
}

/* The first entry whose suffix is at or after `suffix`; `is_equal` says whether it is that one. */
static uint32_t seek_suffix(const struct block *block, struct bytes suffix, bool *is_equal)
{
    uint32_t head = short_head(suffix);
    uint32_t low = 0, high = block->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        uint32_t middle_head = block->places[middle].head;
        int order = middle_head < head ? -1 : 1;
        if (middle_head == head) {
            order = bytes_compare(suffix_at(block, middle), suffix);
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
            *is_equal = *is_equal || order == 0;
        }
    }
    return low;
}

static uint32_t seek(const struct block *block, struct bytes key, bool *is_equal)
{
    struct bytes prefix = block->prefix;
    *is_equal = false;
    if (bytes_start_with(key, prefix)) {
        return seek_suffix(block, bytes_of(key.at + prefix.length, key.length - prefix.length),
                           is_equal);
    }
    // All keys lie on one side of it.
    return bytes_compare(key, prefix) < 0 ? 0 : block->count;
}

uint32_t block_seek(const struct block *block, struct bytes key)
{
    bool is_equal;
    return seek(block, key, &is_equal);
}

enum status block_get(const struct block *block, struct bytes key, struct entry *entry)
{
    bool is_equal;
    uint32_t index = seek(block, key, &is_equal);
    if (!is_equal) {
        return STATUS_NOT_FOUND;
    }
    block_entry_at(block, index, entry);
    entry->tuple.key = key;
    return STATUS_OK;
}
