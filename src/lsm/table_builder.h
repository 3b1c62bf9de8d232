/* src/lsm/table_builder.h */
#ifndef LSM_TABLE_BUILDER_H
#define LSM_TABLE_BUILDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "crypto/short_hash.h"
#include "lsm/entry.h"
#include "lsm/table.h"

/*
 * table_builder: takes entries, gives the plaintexts of TABLE records; the caller seals each one,
 * appends it to its branch, and says where it lies:
 *
 *     for each entry: while (table_builder_add() == STATUS_FULL)
 *         if table_builder_body() == STATUS_OK: seal, append, table_builder_sealed()
 *         else: the table is at its bound: table_builder_finish(), and as at the end
 *     table_builder_finish()
 *     while (table_builder_body() == STATUS_OK) seal, append, table_builder_sealed()
 *     table_builder_result(); the next add begins the next table
 *
 * Memory: 16 bytes for each entry of the table, its index, and two blocks.
 */
struct table_builder;

struct table_builder_config {
    struct short_hash_key filter_key;
    uint32_t block_bytes;  // at most BLOCK_TARGET_BYTES_MAX; 0: TABLE_BLOCK_BYTES
    uint64_t table_bytes;  // at most TABLE_TARGET_BYTES; 0: that
    uint64_t now_ms;       // by SYNC time: what stale_ms is reckoned from
};

MUST_CHECK enum status table_builder_new(struct table_builder **builder,
                                         const struct table_builder_config *config);
void table_builder_free(struct table_builder *builder);  // wipes

/*
 * Append an entry (copied) with a key above the last one's (CHECK). STATUS_FULL: a body waits, or
 * the table is at its bound. STATUS_NO_MEMORY: nothing changed.
 */
MUST_CHECK enum status table_builder_add(struct table_builder *builder, const struct entry *entry);

/*
 * No more entries for this table; it has at least one (CHECK). STATUS_FULL: a body waits.
 * STATUS_NO_MEMORY.
 */
MUST_CHECK enum status table_builder_finish(struct table_builder *builder);

/* The plaintext that waits to be sealed; borrowed until table_builder_sealed(). STATUS_EMPTY. */
MUST_CHECK enum status table_builder_body(const struct table_builder *builder, struct bytes *plain);

/* It lies there. STATUS_NO_MEMORY: nothing changed. */
MUST_CHECK enum status table_builder_sealed(struct table_builder *builder,
                                            const struct block_ref *ref);

/* Whether no entry was added since the last result. */
bool table_builder_is_empty(const struct table_builder *builder);

/*
 * The finished table, all of whose bodies are sealed (CHECK), on level 0 and run 0. Its keys are
 * borrowed until the next table_builder_add().
 */
struct table table_builder_result(struct table_builder *builder);

#endif
