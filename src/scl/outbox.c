/* src/scl/outbox.c */
#include "scl/outbox.h"

#include <stdbool.h>
#include <stdlib.h>

struct outbox_item {
    struct outbox_item *next;
    uint64_t sequence;
    uint64_t sent_us;
    bool is_repeated;
    struct buffer frame;
};

static size_t lesser(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Of the window. */
static size_t item_bytes(const struct outbox_item *item)
{
    size_t length = item->frame.length;
    return length < OUTBOX_ITEM_BYTES_MIN ? OUTBOX_ITEM_BYTES_MIN : length;
}

void outbox_init(struct outbox *outbox)
{
    *outbox = (struct outbox){.window_bytes = OUTBOX_WINDOW_BYTES_MIN};
    outbox->end = &outbox->first;
}

void outbox_release(struct outbox *outbox)
{
    while (outbox->first != NULL) {
        outbox_drop_oldest(outbox);
    }
}

enum status outbox_add(struct outbox *outbox, uint64_t sequence, struct buffer *frame,
                       uint64_t now_us, struct bytes *kept)
{
    struct outbox_item *item = calloc(1, sizeof *item);
    if (item == NULL) {
        return STATUS_NO_MEMORY;
    }
    item->sequence = sequence;
    item->sent_us = now_us;
    item->frame = *frame;
    *frame = BUFFER_EMPTY;
    *outbox->end = item;
    outbox->end = &item->next;
    outbox->bytes += item->frame.length;
    *kept = buffer_bytes(&item->frame);
    return STATUS_OK;
}

uint64_t outbox_oldest(const struct outbox *outbox)
{
    return outbox->first == NULL ? 0 : outbox->first->sequence;
}

void outbox_take_oldest(struct outbox *outbox, struct buffer *frame)
{
    struct outbox_item *item = outbox->first;
    outbox->first = item->next;
    if (outbox->first == NULL) {
        outbox->end = &outbox->first;
    }
    outbox->bytes -= item->frame.length;
    if (item->is_repeated) {
        outbox->window_bytes =
            lesser(outbox->window_bytes + item_bytes(item), OUTBOX_WINDOW_BYTES_MAX);
    }
    buffer_release(frame);
    *frame = item->frame;
    free(item);
}

void outbox_drop_oldest(struct outbox *outbox)
{
    struct buffer frame = BUFFER_EMPTY;
    outbox_take_oldest(outbox, &frame);
    buffer_release(&frame);
}

enum status outbox_repeat(struct outbox *outbox, struct outbox_walk *walk, uint64_t now_us,
                          struct bytes *frame)
{
    struct outbox_item *item = walk->last == NULL ? outbox->first : walk->last->next;
    for (; item != NULL; item = item->next) {
        bool is_due = now_us >= item->sent_us + OUTBOX_REPEAT_US;
        if (item == outbox->first && is_due && item->is_repeated) {
            outbox->window_bytes = OUTBOX_WINDOW_BYTES_MIN;  // nobody answers
        }
        // What was sent once is no older than what follows it; what was repeated may be younger.
        if (!is_due && !item->is_repeated) {
            return STATUS_EMPTY;
        }
        walk->bytes += item_bytes(item);
        if (walk->bytes > outbox->window_bytes && item != outbox->first) {
            return STATUS_EMPTY;
        }
        walk->last = item;
        if (is_due) {
            item->sent_us = now_us;
            item->is_repeated = true;
            *frame = buffer_bytes(&item->frame);
            return STATUS_OK;
        }
    }
    return STATUS_EMPTY;
}
