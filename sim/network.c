/* sim/network.c */
#include "sim/network.h"

#include <stdlib.h>

#include "base/check.h"

enum {
    OLD_FRAMES = 64,     // of which one may be replayed
    OLD_ONE_IN = 4,      // frames, kept as old
    BENT_BYTES_MAX = 4,  // of one corrupted frame
};

struct network {
    const struct random *random;
    struct network_faults faults;
    uint64_t sides;
    struct network_letter *heap;  // the next one first
    size_t count;
    size_t room;
    uint64_t sent_count;
    uint64_t ordered_us[NETWORK_PLACES_MAX];  // when the last one in order arrives
    struct network_letter old[OLD_FRAMES];
};

static uint64_t pick(struct network *network, uint64_t below)
{
    uint64_t word;
    random_fill(network->random, &word, sizeof word);
    return word % below;
}

/* ---- the heap ---- */

static bool is_before(const struct network_letter *a, const struct network_letter *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->number < b->number;
}

static void swap(struct network_letter *a, struct network_letter *b)
{
    struct network_letter kept = *a;
    *a = *b;
    *b = kept;
}

static void push(struct network *network, const struct network_letter *letter)
{
    if (network->count == network->room) {
        network->room = network->room == 0 ? 64 : 2 * network->room;
        network->heap = reallocarray(network->heap, network->room, sizeof *network->heap);
        CHECK(network->heap != NULL);
    }
    size_t at = network->count++;
    network->heap[at] = *letter;
    while (at > 0 && is_before(&network->heap[at], &network->heap[(at - 1) / 2])) {
        swap(&network->heap[at], &network->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

static void pop(struct network *network, struct network_letter *letter)
{
    struct network_letter *heap = network->heap;
    *letter = heap[0];
    heap[0] = heap[--network->count];
    for (size_t at = 0;;) {
        size_t least = at, left = 2 * at + 1, right = 2 * at + 2;
        if (left < network->count && is_before(&heap[left], &heap[least])) {
            least = left;
        }
        if (right < network->count && is_before(&heap[right], &heap[least])) {
            least = right;
        }
        if (least == at) {
            return;
        }
        swap(&heap[at], &heap[least]);
        at = least;
    }
}

/* ---- what happens to a frame ---- */

static void copy(struct network_letter *target, struct bytes frame)
{
    target->frame = (struct buffer)BUFFER_EMPTY;
    CHECK(buffer_append(&target->frame, frame.at, frame.length) == STATUS_OK);
}

static void post(struct network *network, enum network_link link,
                 const struct network_letter *letter, struct bytes frame, uint64_t now_us)
{
    struct network_letter made = *letter;
    made.due_us = now_us + 1 + pick(network, network->faults.delay_us + 1);
    if (link != NETWORK_LINK_OPEN) {
        uint64_t *ordered_us = &network->ordered_us[made.to];
        made.due_us = made.due_us < *ordered_us ? *ordered_us : made.due_us;
        *ordered_us = made.due_us;
    }
    made.number = network->sent_count++;
    copy(&made, frame);
    push(network, &made);
}

static void post_corrupted(struct network *network, enum network_link link,
                           const struct network_letter *letter, struct bytes frame, uint64_t now_us)
{
    struct network_letter bent;
    copy(&bent, frame);
    for (uint64_t i = 1 + pick(network, BENT_BYTES_MAX); i > 0; i--) {
        size_t at = (size_t)pick(network, frame.length);
        bent.frame.bytes[at] ^= (uint8_t)(1 + pick(network, 255));
    }
    post(network, link, letter, buffer_bytes(&bent.frame), now_us);
    buffer_release(&bent.frame);
}

/* To whoever is at that place now. */
static void post_old(struct network *network, enum network_link link,
                     const struct network_letter *letter, uint64_t now_us)
{
    const struct network_letter *old = &network->old[pick(network, OLD_FRAMES)];
    if (old->frame.length > 0) {
        post(network, link, letter, buffer_bytes(&old->frame), now_us);
    }
}

static void keep_old(struct network *network, struct bytes frame)
{
    if (pick(network, OLD_ONE_IN) == 0) {
        struct network_letter *old = &network->old[pick(network, OLD_FRAMES)];
        buffer_release(&old->frame);
        copy(old, frame);
    }
}

static enum network_fate draw_fate(struct network *network, const struct network_letter *letter)
{
    const struct network_faults *faults = &network->faults;
    uint64_t difference =
        (network->sides >> (letter->from % 64)) ^ (network->sides >> (letter->to % 64));
    if (difference % 2 != 0) {
        return NETWORK_DIVIDED;
    }
    const struct {
        unsigned percent;
        enum network_fate fate;
    } fates[] = {
        {faults->drop_percent, NETWORK_DROPPED},
        {faults->duplicate_percent, NETWORK_DUPLICATED},
        {faults->corrupt_percent, NETWORK_CORRUPTED},
        {faults->replay_percent, NETWORK_REPLAYED},
    };
    uint64_t drawn = pick(network, 100);
    for (size_t i = 0; i < sizeof fates / sizeof *fates; i++) {
        if (drawn < fates[i].percent) {
            return fates[i].fate;
        }
        drawn -= fates[i].percent;
    }
    return NETWORK_SENT;
}

enum network_fate network_send(struct network *network, enum network_link link,
                               const struct network_letter *letter, struct bytes frame,
                               uint64_t now_us)
{
    CHECK(letter->to < NETWORK_PLACES_MAX && frame.length > 0);
    if (link == NETWORK_LINK_INNER) {
        post(network, link, letter, frame, now_us);
        return NETWORK_SENT;
    }
    enum network_fate fate = draw_fate(network, letter);
    keep_old(network, frame);
    switch (fate) {
    case NETWORK_DROPPED:
    case NETWORK_DIVIDED:
        return fate;
    case NETWORK_CORRUPTED:
        post_corrupted(network, link, letter, frame, now_us);
        return fate;
    case NETWORK_DUPLICATED:
        post(network, link, letter, frame, now_us);
        break;
    case NETWORK_REPLAYED:
        post_old(network, link, letter, now_us);
        break;
    case NETWORK_SENT:
        break;
    }
    post(network, link, letter, frame, now_us);
    return fate;
}

/* ---- the rest ---- */

struct network *network_new(const struct random *random)
{
    struct network *network = calloc(1, sizeof *network);
    CHECK(network != NULL);
    network->random = random;
    return network;
}

void network_free(struct network *network)
{
    if (network == NULL) {
        return;
    }
    for (size_t i = 0; i < network->count; i++) {
        buffer_release(&network->heap[i].frame);
    }
    for (size_t i = 0; i < OLD_FRAMES; i++) {
        buffer_release(&network->old[i].frame);
    }
    free(network->heap);
    free(network);
}

void network_disturb(struct network *network, const struct network_faults *faults)
{
    CHECK(faults->drop_percent + faults->duplicate_percent + faults->corrupt_percent +
              faults->replay_percent <=
          100);
    network->faults = *faults;
}

void network_divide(struct network *network, uint64_t sides)
{
    network->sides = sides;
}

bool network_receive(struct network *network, uint64_t now_us, struct network_letter *letter)
{
    if (network_due_us(network) > now_us) {
        return false;
    }
    pop(network, letter);
    return true;
}

uint64_t network_due_us(const struct network *network)
{
    return network->count == 0 ? UINT64_MAX : network->heap[0].due_us;
}
