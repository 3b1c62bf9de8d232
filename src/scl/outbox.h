/* src/scl/outbox.h */
#ifndef SCL_OUTBOX_H
#define SCL_OUTBOX_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"

/*
 * outbox: a writer's own records, as the RECORD frames they were sent in, until receipts cover
 * them. What no receipt covers is repeated every 250 ms (DESIGN 6.4). Plain; begins
 * by outbox_init().
 */
enum { OUTBOX_REPEAT_US = 250 * 1000, OUTBOX_REPEAT_COUNT = 16 };

struct outbox_item;

struct outbox {
    struct outbox_item *first;  // oldest
    struct outbox_item **end;
    size_t bytes;
};

void outbox_init(struct outbox *outbox);
void outbox_release(struct outbox *outbox);

/*
 * Take the frame over (it becomes empty). `*kept` borrows it until its item is
 * dropped. Sequences rise. STATUS_NO_MEMORY: the frame stays the caller's.
 */
MUST_CHECK enum status outbox_add(struct outbox *outbox, uint64_t sequence, struct buffer *frame,
                                  uint64_t now_us, struct bytes *kept);

/* The oldest sequence; 0 when empty. */
uint64_t outbox_oldest(const struct outbox *outbox);
void outbox_drop_oldest(struct outbox *outbox);
/* The same, but its frame goes to `frame`, which is released before. */
void outbox_take_oldest(struct outbox *outbox, struct buffer *frame);

/*
 * The next frame that is due to be repeated, oldest first, at most OUTBOX_REPEAT_COUNT in a
 * row: begin with *place = 0. STATUS_EMPTY. Borrowed until its item is dropped.
 */
MUST_CHECK enum status outbox_repeat(struct outbox *outbox, size_t *place, uint64_t now_us,
                                     struct bytes *frame);

#endif
