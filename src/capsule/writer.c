/* src/capsule/writer.c */
#include "capsule/writer.h"

#include <string.h>

#include "base/hex.h"
#include "capsule/writer_internal.h"

static struct writer_id id_from(const char *purpose, const struct verify_key *key)
{
    const struct bytes parts[] = {bytes_text(purpose), bytes_of(key->bytes, sizeof key->bytes)};
    struct hash hash = hash_of_parts(parts, 2);
    struct writer_id id;
    memcpy(id.bytes, hash.bytes, sizeof id.bytes);
    return id;
}

struct writer_id writer_id_of(const struct verify_key *key)
{
    return id_from("paranoid writer v1", key);
}

struct writer_id writer_store_id_of(const struct verify_key *key)
{
    return id_from("paranoid store v1", key);
}

bool writer_id_equal(const struct writer_id *a, const struct writer_id *b)
{
    return writer_id_compare(a, b) == 0;
}

bool writer_id_is_zero(const struct writer_id *id)
{
    static const struct writer_id zero;
    return writer_id_equal(id, &zero);
}

int writer_id_compare(const struct writer_id *a, const struct writer_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

void writer_id_text(const struct writer_id *id, char text[WRITER_ID_TEXT_BYTES])
{
    hex_encode(text, id->bytes, sizeof id->bytes);
}

void writer_head_encode(struct encoder *out, const struct branch_head *branch)
{
    encoder_bytes(out, branch->writer.bytes, sizeof branch->writer.bytes);
    encoder_u64(out, branch->head.sequence);
    encoder_bytes(out, branch->head.hash.bytes, sizeof branch->head.hash.bytes);
}

struct branch_head writer_head_decode(struct cursor *in)
{
    struct branch_head branch;
    cursor_copy(in, branch.writer.bytes, sizeof branch.writer.bytes);
    branch.head.sequence = cursor_u64(in);
    cursor_copy(in, branch.head.hash.bytes, sizeof branch.head.hash.bytes);
    return branch;
}

bool writer_head_is_sound(const struct head *head)
{
    return (head->sequence == 0) == hash_is_zero(&head->hash);
}
