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
 * them. What no receipt covers is repeated every 250 ms (DESIGN 6.4), and no more of it than the
 * window holds: little while nobody answers, so that a store which is silent does not find its
 * queue full of copies; and more with each answer, so that one which is back is sent the rest at
 * once, however much it is. Plain; begins by outbox_init().
 */
enum {
    OUTBOX_REPEAT_US = 250 * 1000,
    OUTBOX_ITEM_BYTES_MIN = 64 << 10,   // that a frame takes of the window, however short it is
    OUTBOX_WINDOW_BYTES_MIN = 1 << 20,  // repeated and unanswered; one frame may be more
    OUTBOX_WINDOW_BYTES_MAX = 8 << 20,
};

struct outbox_item;

struct outbox {
    struct outbox_item *first;  // oldest
    struct outbox_item **end;
    size_t bytes;
    size_t window_bytes;
};

/* How far one round of repeating has come. */
struct outbox_walk {
    struct outbox_item *last;  // NULL: it begins
    size_t bytes;              // of the window
};

#define OUTBOX_WALK_BEGIN ((struct outbox_walk){.last = NULL})

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
 * The next frame that is due to be repeated and has room in the window, oldest first: begin with
 * OUTBOX_WALK_BEGIN. STATUS_EMPTY. Borrowed until its item is dropped; until then no item may be.
 */
MUST_CHECK enum status outbox_repeat(struct outbox *outbox, struct outbox_walk *walk,
                                     uint64_t now_us, struct bytes *frame);

#endif
