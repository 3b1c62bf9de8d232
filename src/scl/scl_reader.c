/* src/scl/scl_reader.c */
#include "scl/scl_reader.h"

#include <stdlib.h>

#include "scl/scl_internal.h"

struct scl_reader {
    struct memtable_reader *memtable;
    struct tree_reader *tables;
    const struct tree *tree;
    uint64_t floor;
    bool is_in_memtable;
    bool is_in_tables;
};

enum status scl_reader_new(struct scl_reader **reader, struct scl *scl)
{
    struct scl_reader *made = calloc(1, sizeof *made);
    *reader = NULL;
    if (made == NULL) {
        return STATUS_NO_MEMORY;
    }
    made->tree = scl->cold.tree;
    enum status status = memtable_reader_new(&made->memtable, scl->memtable);
    if (status == STATUS_OK) {
        status = tree_reader_new(&made->tables, scl->cold.tree);
    }
    if (status != STATUS_OK) {
        scl_reader_free(made);
        return status;
    }
    *reader = made;
    return STATUS_OK;
}

void scl_reader_free(struct scl_reader *reader)
{
    if (reader != NULL) {
        scl_reader_end(reader);
        memtable_reader_free(reader->memtable);
        tree_reader_free(reader->tables);
        free(reader);
    }
}

void scl_reader_end(struct scl_reader *reader)
{
    if (reader->is_in_tables) {
        tree_reader_end(reader->tables);
    }
    if (reader->is_in_memtable) {
        memtable_reader_end(reader->memtable);
    }
    reader->is_in_tables = false;
    reader->is_in_memtable = false;
}

static void begin_memtable(struct scl_reader *reader)
{
    scl_reader_end(reader);
    memtable_reader_begin(reader->memtable);
    reader->is_in_memtable = true;
}

static void begin_tables(struct scl_reader *reader)
{
    // Read before the section begins: the tables read are of this floor or a later one.
    reader->floor = tree_floor(reader->tree);
    tree_reader_begin(reader->tables);
    reader->is_in_tables = true;
}

static struct memtable_entry entry_of(const struct entry *cold)
{
    return (struct memtable_entry){
        .key = cold->tuple.key,
        .value = cold->tuple.value,
        .expiry_ms = cold->tuple.expiry_ms,
        .is_tombstone = cold->tuple.kind == TUPLE_DELETE,
        .version = {.lamport = cold->tuple.lamport, .writer = cold->writer},
    };
}

enum status scl_reader_get(struct scl_reader *reader, struct bytes key,
                           struct memtable_entry *entry, struct block_ref *need)
{
    struct entry cold;
    begin_memtable(reader);
    enum status status = memtable_get(reader->memtable, key, entry);
    if (status != STATUS_NOT_FOUND) {
        return status;
    }
    begin_tables(reader);
    status = tree_get(reader->tables, key, &cold, need);
    if (status == STATUS_OK) {
        *entry = entry_of(&cold);
    }
    return status;
}

/* Whether the table's entry comes first, or hides the memtable's of the same key. */
static bool is_cold_first(const struct memtable_entry *warm, const struct memtable_entry *cold)
{
    int order = bytes_compare(cold->key, warm->key);
    return order < 0 || (order == 0 && memtable_is_newer(&cold->version, &warm->version));
}

enum status scl_reader_seek(struct scl_reader *reader, struct bytes from, bool is_after,
                            struct memtable_entry *entry, struct block_ref *need)
{
    struct entry found;
    begin_memtable(reader);
    enum status warm = memtable_seek(reader->memtable, from, is_after, entry);
    begin_tables(reader);
    enum status cold = tree_seek(reader->tables, from, is_after, &found, need);
    if (cold == STATUS_NOT_FOUND) {
        return warm;
    }
    if (cold == STATUS_OK) {
        const struct memtable_entry lifted = entry_of(&found);
        if (warm == STATUS_NOT_FOUND || is_cold_first(entry, &lifted)) {
            *entry = lifted;
        }
    }
    return cold;
}

uint64_t scl_reader_floor(const struct scl_reader *reader)
{
    return reader->floor;
}
