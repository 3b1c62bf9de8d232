/* src/scl/outbox.c */
#include "scl/outbox.h"

#include <stdlib.h>

struct outbox_item {
    struct outbox_item *next;
    uint64_t sequence;
    uint64_t sent_us;
    struct buffer frame;
};

void outbox_init(struct outbox *outbox)
{
    *outbox = (struct outbox){.first = NULL};
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

enum status outbox_repeat(struct outbox *outbox, size_t *place, uint64_t now_us,
                          struct bytes *frame)
{
    struct outbox_item *item = outbox->first;
    for (size_t i = 0; i < *place && item != NULL; i++) {
        item = item->next;
    }
    // The younger ones are not due before the older.
    if (item == NULL || *place == OUTBOX_REPEAT_COUNT ||
        now_us < item->sent_us + OUTBOX_REPEAT_US) {
        return STATUS_EMPTY;
    }
    item->sent_us = now_us;
    *place += 1;
    *frame = buffer_bytes(&item->frame);
    return STATUS_OK;
}
