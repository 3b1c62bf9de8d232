/* src/cli/export_file.h */
#ifndef CLI_EXPORT_FILE_H
#define CLI_EXPORT_FILE_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/status.h"
#include "store/store.h"

/*
 * export_file: what `paranoid capsule export` writes: records, one after the other, and nothing
 * else. A place in it has segment 0.
 */
enum { EXPORT_FILE_SEGMENT = 0 };

/* Whether `path` is a file: then it is taken for one of these, and else for a store's directory. */
bool export_file_is(const char *path);

/*
 * As store_walk(). STATUS_DAMAGED: what lies at `place` is no record, or not a whole one.
 * STATUS_NOT_FOUND: it is empty.
 */
MUST_CHECK enum status export_file_walk(const char *path,
                                        enum status (*visit)(void *context, struct bytes record,
                                                             const struct store_place *place),
                                        void *context, struct store_place *place);

/* The bytes of a record that was visited. STATUS_IO: also when they are not there any more. */
MUST_CHECK enum status export_file_read(const char *path, const struct store_place *place,
                                        uint8_t *target, size_t length);

#endif
