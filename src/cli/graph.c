/* src/cli/graph.c */
#include "cli/graph.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* A writer's column, and the records between which it is drawn. */
struct column {
    size_t index;
    size_t first;
    size_t last;
    bool is_used;
};

struct graph {
    const struct graph_record *records;
    size_t record_count;
    struct column *columns;  // by writer
    size_t writer_count;
    size_t width;  // in columns
};

/* A branch lasts from its first record until the last record that is its own or names it. */
static void find_lives(struct graph *graph)
{
    for (size_t i = 0; i < graph->record_count; i++) {
        const struct graph_record *record = &graph->records[i];
        struct column *own = &graph->columns[record->writer];
        if (!own->is_used) {
            own->is_used = true;
            own->first = i;
        }
        own->last = i;
        for (size_t j = 0; j < record->parent_count; j++) {
            if (record->parents[j] < graph->writer_count) {
                graph->columns[record->parents[j]].last = i;
            }
        }
    }
}

/* Each takes the leftmost column that nobody has during its life. */
static void place_columns(struct graph *graph)
{
    size_t *free_from = calloc(graph->writer_count + 1, sizeof *free_from);
    CHECK(free_from != NULL);
    for (size_t i = 0; i < graph->record_count; i++) {
        struct column *column = &graph->columns[graph->records[i].writer];
        if (column->first != i) {
            continue;
        }
        size_t at = 0;
        while (at < graph->width && free_from[at] > i) {
            at++;
        }
        column->index = at;
        free_from[at] = column->last + 1;
        graph->width = at + 1 > graph->width ? at + 1 : graph->width;
    }
    free(free_from);
}

struct graph *graph_new(const struct graph_record *records, size_t record_count,
                        size_t writer_count)
{
    struct graph *graph = calloc(1, sizeof *graph);
    CHECK(graph != NULL);
    *graph = (struct graph){
        .records = records,
        .record_count = record_count,
        .columns = calloc(writer_count + 1, sizeof *graph->columns),
        .writer_count = writer_count,
    };
    CHECK(graph->columns != NULL);
    find_lives(graph);
    place_columns(graph);
    return graph;
}

void graph_free(struct graph *graph)
{
    if (graph != NULL) {
        free(graph->columns);
        free(graph);
    }
}

size_t graph_width(const struct graph *graph)
{
    return graph->width == 0 ? 0 : 2 * graph->width - 1;
}

/* Whether a branch that began before record `index` goes on after it. */
static bool passes(const struct column *column, size_t index)
{
    return column->is_used && column->first < index && index <= column->last;
}

enum status graph_line(const struct graph *graph, size_t index, struct buffer *text)
{
    const struct graph_record *record = &graph->records[index];
    size_t width = graph_width(graph), own = graph->columns[record->writer].index;
    size_t left = own, right = own;
    enum status status = buffer_reserve(text, width);
    if (status != STATUS_OK) {
        return status;
    }
    char *line = (char *)text->bytes + text->length;
    memset(line, ' ', width);
    for (size_t i = 0; i < graph->writer_count; i++) {
        if (passes(&graph->columns[i], index)) {
            line[2 * graph->columns[i].index] = '|';
        }
    }
    for (size_t i = 0; i < record->parent_count; i++) {
        if (record->parents[i] < graph->writer_count) {
            size_t at = graph->columns[record->parents[i]].index;
            line[2 * at] = '+';
            left = at < left ? at : left;
            right = at > right ? at : right;
        }
    }
    for (size_t i = 2 * left; i < 2 * right; i++) {
        line[i] = line[i] == ' ' ? '-' : line[i];
    }
    line[2 * own] = '*';
    text->length += width;
    return STATUS_OK;
}
