/* src/cli/graph.h */
#ifndef CLI_GRAPH_H
#define CLI_GRAPH_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"

/*
 * graph: the picture of a capsule's branches as text, one line for each record, newest first.
 * A writer has a column from its first record to its last; others take it over after that.
 *
 *     *-+-+   a record with parents in other branches: a SYNC joins the columns marked +
 *     | * |   a record of the second branch
 *     *-|-+   one that joins the third, with the second going on behind it
 */
struct graph_record {
    uint32_t writer;          // 0 to writer_count - 1
    const uint32_t *parents;  // writers of the other branches it names; borrowed
    size_t parent_count;
};

struct graph;

/* `records` are in the order in which they were written, and borrowed until graph_free(). */
struct graph *graph_new(const struct graph_record *records, size_t record_count,
                        size_t writer_count);
void graph_free(struct graph *graph);

/* Columns, each two characters wide but the last. */
size_t graph_width(const struct graph *graph);

/* Append the picture of record `index`, graph_width() characters. STATUS_NO_MEMORY. */
MUST_CHECK enum status graph_line(const struct graph *graph, size_t index, struct buffer *text);

#endif
