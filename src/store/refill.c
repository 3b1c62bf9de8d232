/* src/store/refill.c */
#include "store/refill.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "capsule/trail.h"
#include "store/store_internal.h"

/* A branch of which a sibling holds more than this store. */
struct wish {
    struct writer_id writer;
    uint64_t sequence;  // to be reached
    uint64_t recalled;  // the greatest in answers to RECALL: a refill ends when it is here
    uint32_t sibling;   // who says so
    uint32_t attempts;  // in a row that led to nothing
    uint64_t due_us;
};

/* What a sibling has said last when it was asked what it holds. */
enum answer {
    ANSWER_NONE,
    ANSWER_REFILLING,  // that it does not know what it has signed for
    ANSWER_WHOLE,
};

/* Another store of the capsule. */
struct sibling {
    struct writer_id id;
    enum answer answer;
    uint64_t asked_us;
    uint64_t silent_us;  // until then others are asked, since it has not answered

    // The RECALL under way.
    uint32_t request;  // 0: none
    uint8_t nonce[FRAME_NONCE_BYTES];
    struct hash digest;  // of what has come of the answer
    bool is_spoilt;      // some of it was forged, or there was no room for it
};

struct refill {
    struct store *store;
    struct refill_output output;
    struct sibling siblings[2 * GENESIS_STORES_MAX];
    uint32_t sibling_count;
    uint64_t stores_version;  // of the owner's word that they are of
    struct wish *wishes;      // in order of their writers
    size_t wish_count;
    size_t wish_capacity;
    size_t next;  // whose turn it is
    uint32_t last_request;
    uint64_t examined_us;  // when SYNC and CLOSE records were looked at last
    uint64_t again_us;     // when all are asked again, should records still wait; 0: none wait
    uint64_t again_delay_us;
    uint64_t later_epoch;  // its SYNC was not written before the disk was lost; 0: not known yet
    uint64_t told_us;      // when it was said last that epochs are awaited; 0: never

    // The FETCH under way.
    uint32_t fetch_request;  // 0: none
    struct writer_id fetch_sibling;
    struct writer_id fetch_writer;
    uint64_t fetch_from;   // what is lacking; asked for is
    uint64_t fetch_trail;  // from here on
    uint64_t fetch_us;
    struct trail trail;     // that the FETCH under way is to show
    uint64_t trail_common;  // up to here it has shown what this store holds
    uint64_t shown_from;    // what follows that, by its hashes, from here on
    struct buffer shown;
    struct buffer frame;
};

/* The sibling with this id; sibling_count when it is none. */
static uint32_t sibling_find(const struct refill *refill, const struct writer_id *id)
{
    uint32_t i = 0;
    while (i < refill->sibling_count && !writer_id_equal(&refill->siblings[i].id, id)) {
        i++;
    }
    return i;
}

static void add_set(struct refill *refill, const struct genesis *set)
{
    for (uint32_t i = 0; i < set->store_count; i++) {
        const struct writer_id *id = &set->stores[i].id;
        if (!writer_id_equal(id, store_id(refill->store)) &&
            sibling_find(refill, id) == refill->sibling_count) {
            CHECK(refill->sibling_count < sizeof refill->siblings / sizeof *refill->siblings);
            refill->siblings[refill->sibling_count++] = (struct sibling){.id = *id};
        }
    }
}

/* What was to be asked of it, the first of the others is asked. */
static void drop_sibling(struct refill *refill, uint32_t index)
{
    struct sibling *sibling = &refill->siblings[index];
    refill->sibling_count--;
    memmove(sibling, sibling + 1, (refill->sibling_count - index) * sizeof *sibling);
    for (size_t i = 0; i < refill->wish_count; i++) {
        struct wish *wish = &refill->wishes[i];
        wish->sibling = wish->sibling == index  ? 0
                        : wish->sibling > index ? wish->sibling - 1
                                                : wish->sibling;
    }
}

/*
 * Those that counted before may have what nobody else has yet; what others know, W of those that
 * count came to hold before a leader led without them.
 */
static void name_siblings(struct refill *refill)
{
    const struct stores *stores = store_stores(refill->store);
    refill->stores_version = stores->version;
    for (uint32_t i = refill->sibling_count; i-- > 0;) {
        if (stores_find(stores, &refill->siblings[i].id) == NULL) {
            drop_sibling(refill, i);
        }
    }
    add_set(refill, &stores->now);
    if (stores->has_former) {
        add_set(refill, &stores->former);
    }
}

enum status refill_new(struct refill **made, struct store *store,
                       const struct refill_output *output)
{
    struct refill *refill = calloc(1, sizeof *refill);
    *made = refill;
    if (refill == NULL) {
        return STATUS_NO_MEMORY;
    }
    refill->store = store;
    refill->output = *output;
    name_siblings(refill);
    return STATUS_OK;
}

void refill_free(struct refill *refill)
{
    if (refill != NULL) {
        buffer_release(&refill->frame);
        buffer_release(&refill->shown);
        free(refill->wishes);
        free(refill);
    }
}

static uint32_t next_request(struct refill *refill)
{
    refill->last_request = refill->last_request == UINT32_MAX ? 1 : refill->last_request + 1;
    return refill->last_request;
}

// ---- wishes ----

/* Where this writer's wish is, or would be. */
static size_t wish_place(const struct refill *refill, const struct writer_id *writer)
{
    size_t low = 0, high = refill->wish_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (writer_id_compare(&refill->wishes[middle].writer, writer) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* STATUS_FULL, STATUS_NO_MEMORY: it will be said again. */
static enum status wish_add(struct refill *refill, const struct branch_head *head, uint32_t sibling,
                            bool is_recalled, uint64_t now_us)
{
    size_t place = wish_place(refill, &head->writer);
    struct wish *wish = &refill->wishes[place];
    uint64_t recalled = is_recalled ? head->head.sequence : 0;
    if (place < refill->wish_count && writer_id_equal(&wish->writer, &head->writer)) {
        if (wish->sequence < head->head.sequence) {
            wish->sequence = head->head.sequence;
            wish->sibling = sibling;
        }
        wish->recalled = wish->recalled < recalled ? recalled : wish->recalled;
        return STATUS_OK;
    }
    if (refill->wish_count == REFILL_WISHES_MAX) {
        return STATUS_FULL;
    }
    if (refill->wish_count == refill->wish_capacity) {
        size_t capacity = refill->wish_capacity == 0 ? 16 : 2 * refill->wish_capacity;
        struct wish *wishes = reallocarray(refill->wishes, capacity, sizeof *wishes);
        if (wishes == NULL) {
            return STATUS_NO_MEMORY;
        }
        refill->wishes = wishes;
        refill->wish_capacity = capacity;
    }
    wish = &refill->wishes[place];
    memmove(wish + 1, wish, (refill->wish_count - place) * sizeof *wish);
    refill->wish_count++;
    refill->next += place < refill->next;
    *wish = (struct wish){
        .writer = head->writer,
        .sequence = head->head.sequence,
        .recalled = recalled,
        .sibling = sibling,
        .due_us = now_us + REFILL_PATIENCE_US,
    };
    return STATUS_OK;
}

static void wish_drop(struct refill *refill, size_t place)
{
    struct wish *wish = &refill->wishes[place];
    refill->wish_count--;
    memmove(wish, wish + 1, (refill->wish_count - place) * sizeof *wish);
}

static uint64_t held_of(const struct refill *refill, const struct writer_id *writer)
{
    const struct capsule_member *member = capsule_member_find(store_capsule(refill->store), writer);
    return member == NULL ? 0 : member->head.sequence;
}

/* What of `sequence` has to be reached: nothing counts beyond a cut. */
static uint64_t target_of(const struct refill *refill, const struct wish *wish, uint64_t sequence)
{
    const struct capsule_member *member =
        capsule_member_find(store_capsule(refill->store), &wish->writer);
    bool is_cut = member != NULL && member->is_closed && member->cut.sequence < sequence;
    return is_cut ? member->cut.sequence : sequence;
}

/* Whose answer this belongs to; NULL: none that is awaited. */
static struct sibling *answerer(struct refill *refill, uint32_t request)
{
    for (uint32_t i = 0; i < refill->sibling_count && request != 0; i++) {
        if (refill->siblings[i].request == request) {
            return &refill->siblings[i];
        }
    }
    return NULL;
}

/* What decides whether this store is whole has to be the sibling's own word. */
static bool is_signed_by(const struct refill *refill, const struct sibling *sibling,
                         const struct receipt *receipt)
{
    const struct genesis_store *store = stores_find(store_stores(refill->store), &sibling->id);
    return store != NULL && writer_id_equal(&receipt->store, &sibling->id) &&
           receipt_verify(receipt, RECEIPT_DURABLE, capsule_name(store_capsule(refill->store)),
                          &store->key) == STATUS_OK;
}

enum status refill_receive_receipt(struct refill *refill, struct bytes bytes, uint32_t request,
                                   uint64_t now_us)
{
    struct receipt receipt;
    struct sibling *answering = answerer(refill, request);
    if (answering != NULL) {
        frame_recalled_digest(&answering->digest, bytes);
    }
    enum status status = receipt_decode(&receipt, bytes);
    if (status != STATUS_OK) {
        return status;
    }
    uint32_t sibling = sibling_find(refill, &receipt.store);
    if (sibling == refill->sibling_count) {
        return STATUS_OK;
    }
    bool is_recalled = answering != NULL && is_signed_by(refill, answering, &receipt);
    for (uint32_t i = 0; i < receipt.head_count && status == STATUS_OK; i++) {
        struct branch_head head = receipt_head(&receipt, i);
        if (head.head.sequence > held_of(refill, &head.writer)) {
            status = wish_add(refill, &head, sibling, is_recalled, now_us);
        }
    }
    if (answering != NULL) {
        answering->is_spoilt = answering->is_spoilt || !is_recalled || status != STATUS_OK;
    }
    return status == STATUS_FULL ? STATUS_OK : status;
}

enum status refill_receive_fence(struct refill *refill, struct bytes body, uint32_t request)
{
    struct frame_fence ask;
    struct sibling *answering = answerer(refill, request);
    if (answering == NULL) {
        return STATUS_NOT_FOUND;
    }
    frame_recalled_digest(&answering->digest, body);
    if (!store_is_refilling(refill->store)) {
        return STATUS_OK;  // it remembers what it has promised
    }
    enum status status = frame_fence_decode(&ask, body);
    if (status == STATUS_OK) {
        status = store_adopt_fence(refill->store, &ask);
    }
    answering->is_spoilt = answering->is_spoilt || status != STATUS_OK;
    return status == STATUS_IO ? STATUS_IO : STATUS_OK;
}

/* What SYNC and CLOSE records name, whoever has it. All branches are looked at: not every time. */
static enum status wish_for_missing(struct refill *refill, uint64_t now_us)
{
    if (now_us < refill->examined_us + REFILL_PATIENCE_US) {
        return STATUS_OK;
    }
    refill->examined_us = now_us;
    struct branch_head wanted;
    uint64_t from;
    size_t index = 0;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && refill->sibling_count > 0 &&
           capsule_missing(store_capsule(refill->store), &index, &wanted, &from) == STATUS_OK) {
        status = wish_add(refill, &wanted, 0, false, now_us);
    }
    return status;
}

// ---- questions ----

static void ask(struct refill *refill, enum frame_kind kind, uint32_t request, uint32_t sibling,
                struct bytes body)
{
    buffer_clear(&refill->frame);
    if (frame_encode(&refill->frame, kind, request, &refill->siblings[sibling].id, body) ==
        STATUS_OK) {
        refill->output.ask(refill->output.context, buffer_bytes(&refill->frame));
    }
}

/*
 * What was asked for in vain may have come, and not have followed what is here: its writer has
 * forked. So what a SYNC or CLOSE names is asked for together with some of what is here; what comes
 * shows by its hashes whether that leads there (capsule/trail.h). And the store may take nothing
 * but what was shown so (store_needs_trail()). Where to begin; or go on.
 */
static uint64_t trail_from(struct refill *refill, const struct wish *wish)
{
    const struct capsule *capsule = store_capsule(refill->store);
    const struct capsule_member *member = capsule_member_find(capsule, &wish->writer);
    struct trail *trail = &refill->trail;
    uint64_t held = member == NULL ? 0 : member->head.sequence;
    if ((wish->attempts == 0 || held == 0) && !store_needs_trail(refill->store, member)) {
        trail->next = 0;
        return held + 1;
    }
    const struct branch_head named = {.writer = wish->writer,
                                      .head = capsule_named_head(capsule, member)};
    bool goes_on = trail->next != 0 && writer_id_equal(&trail->named.writer, &wish->writer) &&
                   hash_equal(&trail->named.head.hash, &named.head.hash);
    if (!goes_on) {
        trail->next = 0;
    }
    if (!goes_on && named.head.sequence > held) {
        uint64_t from = held > REFILL_TRAIL_RECORDS ? held - REFILL_TRAIL_RECORDS : 1;
        trail_begin(trail, &named, from);
        refill->trail_common = from - 1;
        refill->shown_from = held + 1;
        buffer_clear(&refill->shown);
    }
    return trail->next == 0 ? held + 1 : trail->next;
}

/* Whoever has it, or another one while that is silent; all are: that one. */
static uint32_t whom_to_ask(const struct refill *refill, const struct wish *wish, uint64_t now_us)
{
    for (uint32_t step = 0; step < refill->sibling_count; step++) {
        uint32_t index = (wish->sibling + step) % refill->sibling_count;
        if (refill->siblings[index].silent_us <= now_us) {
            return index;
        }
    }
    return wish->sibling;
}

/* The sibling that was asked has answered (0), or may answer later. */
static void note_silence(struct refill *refill, uint64_t until_us)
{
    uint32_t index = sibling_find(refill, &refill->fetch_sibling);
    if (index < refill->sibling_count) {
        refill->siblings[index].silent_us = until_us;
    }
}

static void fetch(struct refill *refill, struct wish *wish, uint64_t to, uint64_t now_us)
{
    struct buffer body = BUFFER_EMPTY;
    bool is_known = capsule_member_find(store_capsule(refill->store), &wish->writer) != NULL;
    wish->sibling = whom_to_ask(refill, wish, now_us);
    refill->fetch_sibling = refill->siblings[wish->sibling].id;
    refill->fetch_writer = wish->writer;
    refill->fetch_from = held_of(refill, &wish->writer) + 1;
    refill->fetch_request = next_request(refill);
    refill->fetch_us = now_us;
    refill->fetch_trail = trail_from(refill, wish);
    const struct frame_fetch question = {
        .writer = wish->writer,
        .from = refill->fetch_trail,
        // A leader introduces itself with its GENESIS or TERM; who else is unknown has to wait.
        .to = is_known ? to : 2,
        .max_bytes = wish->attempts == 0 ? REFILL_FETCH_BYTES : REFILL_PROBE_BYTES,
    };
    if (frame_fetch_encode(&body, &question) == STATUS_OK) {
        ask(refill, FRAME_FETCH, refill->fetch_request, wish->sibling, buffer_bytes(&body));
    }
    buffer_release(&body);
}

/* What the last answer has led to decides when that branch is asked for again, and whom. */
static void settle_fetch(struct refill *refill, uint64_t now_us)
{
    size_t place = wish_place(refill, &refill->fetch_writer);
    bool has_grown = held_of(refill, &refill->fetch_writer) >= refill->fetch_from;
    refill->fetch_request = 0;
    if (has_grown) {
        // What waited for these records may go on now.
        for (size_t i = 0; i < refill->wish_count; i++) {
            refill->wishes[i].due_us = now_us;
        }
    }
    if (place == refill->wish_count ||
        !writer_id_equal(&refill->wishes[place].writer, &refill->fetch_writer)) {
        return;
    }
    struct wish *wish = &refill->wishes[place];
    struct trail *trail = &refill->trail;
    if (has_grown) {
        trail->next = 0;
        wish->attempts = 0;
        return;
    }
    if (trail->next > refill->fetch_trail && trail->next <= trail->named.head.sequence) {
        refill->next = place;
        return;  // the next part of it
    }
    const struct capsule_member *member =
        capsule_member_find(store_capsule(refill->store), &wish->writer);
    if (trail->next > 0 && trail_has_led(trail) && store_needs_trail(refill->store, member) &&
        refill->trail_common == member->head.sequence &&
        store_show(refill->store, &trail->named, refill->shown_from,
                   buffer_bytes(&refill->shown)) == STATUS_OK &&
        !store_needs_trail(refill->store, member)) {
        trail->next = 0;
        refill->next = place;  // due still: now to be taken
        return;
    }
    if (trail->next > 0 && trail_has_led(trail) &&
        refill->trail_common < held_of(refill, &wish->writer) &&
        store_leave_out(refill->store, &wish->writer, refill->trail_common) == STATUS_OK) {
        trail->next = 0;
        wish->attempts = 0;
        return;
    }
    trail->next = 0;
    uint64_t delay_us = (uint64_t)REFILL_PATIENCE_US << (wish->attempts < 6 ? wish->attempts : 6);
    wish->attempts++;
    wish->sibling = wish->sibling + 1 < refill->sibling_count ? wish->sibling + 1 : 0;
    wish->due_us = now_us + (delay_us < REFILL_DELAY_US_MAX ? delay_us : REFILL_DELAY_US_MAX);
}

void refill_end_recall(struct refill *refill, struct bytes body, uint32_t request)
{
    struct sibling *sibling = answerer(refill, request);
    struct frame_recalled recalled;
    if (sibling == NULL || frame_recalled_decode(&recalled, body) != STATUS_OK) {
        return;
    }
    const struct genesis_store *store = stores_find(store_stores(refill->store), &sibling->id);
    bool is_fresh = memcmp(recalled.nonce, sibling->nonce, sizeof recalled.nonce) == 0;
    if (!is_fresh || store == NULL ||
        frame_recalled_verify(&recalled, capsule_name(store_capsule(refill->store)), &store->key) !=
            STATUS_OK) {
        return;  // not its end: that may yet come
    }
    sibling->request = 0;
    if (!sibling->is_spoilt && hash_equal(&recalled.digest, &sibling->digest)) {
        sibling->answer = recalled.is_refilling != 0 ? ANSWER_REFILLING : ANSWER_WHOLE;
    }
}

void refill_receive_record(struct refill *refill, const struct record *record, uint32_t request)
{
    struct trail *trail = &refill->trail;
    if (request == 0 || request != refill->fetch_request || !trail_follow(trail, record)) {
        return;
    }
    if (record->sequence == refill->shown_from + refill->shown.length / HASH_BYTES &&
        refill->shown.length < REFILL_SHOWN_BYTES &&
        buffer_append(&refill->shown, record->hash.bytes, HASH_BYTES) != STATUS_OK) {
        trail->next = 0;
        return;
    }
    if (refill->trail_common + 1 == record->sequence &&
        record->sequence <= held_of(refill, &record->writer) &&
        store_holds(refill->store, record)) {
        refill->trail_common = record->sequence;
    }
}

void refill_end_fetch(struct refill *refill, uint32_t request)
{
    if (request != 0 && refill->fetch_request == request) {
        refill->fetch_us = 0;  // the next tick sees what has come of it
        note_silence(refill, 0);
    }
}

static void ask_recall(struct refill *refill, uint32_t index, uint64_t now_us)
{
    struct sibling *sibling = &refill->siblings[index];
    sibling->request = next_request(refill);
    random_fill(store_random(refill->store), sibling->nonce, sizeof sibling->nonce);
    sibling->digest = (struct hash){{0}};
    sibling->is_spoilt = false;
    sibling->asked_us = now_us == 0 ? 1 : now_us;
    ask(refill, FRAME_RECALL, sibling->request, index,
        bytes_of(sibling->nonce, sizeof sibling->nonce));
}

/* Ask each sibling once, until it has answered, what it holds; for a refill, until it is whole. */
static uint64_t recall(struct refill *refill, uint64_t now_us)
{
    uint64_t wake_us = UINT64_MAX;
    enum answer enough = store_is_refilling(refill->store) ? ANSWER_WHOLE : ANSWER_REFILLING;
    for (uint32_t i = 0; i < refill->sibling_count; i++) {
        struct sibling *sibling = &refill->siblings[i];
        if (sibling->answer >= enough) {
            continue;
        }
        if (sibling->asked_us == 0 || now_us >= sibling->asked_us + REFILL_ANSWER_US) {
            ask_recall(refill, i, now_us);
        }
        uint64_t due_us = sibling->asked_us + REFILL_ANSWER_US;
        wake_us = due_us < wake_us ? due_us : wake_us;
    }
    return wake_us;
}

/* Whether so many of this set are whole that one of them knows of each promise made in it. */
static bool is_enough_of(const struct refill *refill, const struct genesis *set)
{
    uint32_t whole_count = 0;
    for (uint32_t i = 0; i < set->store_count; i++) {
        uint32_t sibling = sibling_find(refill, &set->stores[i].id);
        whole_count +=
            sibling < refill->sibling_count && refill->siblings[sibling].answer == ANSWER_WHOLE;
    }
    return whole_count >= genesis_refill_count(set);
}

static bool are_enough_whole(const struct refill *refill)
{
    const struct stores *stores = store_stores(refill->store);
    return is_enough_of(refill, &stores->now) &&
           (!stores->has_former || is_enough_of(refill, &stores->former));
}

/* Whether these can have a leader while one of them is being refilled. */
static bool can_spare_one(const struct genesis *set)
{
    return genesis_answer_count(set) < set->store_count;
}

/*
 * Whether enough siblings have answered. Those that are being refilled count only when they are all
 * there is: at the birth of an app.
 */
static bool has_enough_answers(const struct refill *refill)
{
    uint32_t answer_count = 0;
    for (uint32_t i = 0; i < refill->sibling_count; i++) {
        answer_count += refill->siblings[i].answer != ANSWER_NONE;
    }
    return answer_count == refill->sibling_count || are_enough_whole(refill);
}

/* Whether all that this store may have signed for is here. */
static bool is_whole(const struct refill *refill)
{
    for (size_t i = 0; i < refill->wish_count; i++) {
        const struct wish *wish = &refill->wishes[i];
        if (held_of(refill, &wish->writer) < target_of(refill, wish, wish->recalled)) {
            return false;
        }
    }
    return true;
}

/*
 * Whether what is here of this branch goes beyond all that the lost disk can have held of it: its
 * writer has joined a SYNC that was written later; or nothing follows its cut.
 */
static bool is_beyond_loss(const struct refill *refill, const struct capsule_member *member)
{
    if (member->is_closed) {
        return member->head.sequence >= member->cut.sequence &&
               capsule_is_close_settled(store_capsule(refill->store), member);
    }
    return member->joined_epoch >= refill->later_epoch;
}

/*
 * A sibling that has answered may take only now what the lost disk had signed for, and who has that
 * old receipt counts both: so this store is not whole before it has that, too. A SYNC is written
 * when W stores have signed for the one before. One of them has answered here, and does not lie: so
 * the next SYNC but one after those that are here was written after that answer. Nothing is waited
 * for when nothing has begun, or those that are left might never come to have a leader.
 */
static bool has_outlived_receipts(struct refill *refill)
{
    const struct capsule *capsule = store_capsule(refill->store);
    const struct capsule_sync *newest = capsule_newest_sync(capsule);
    const struct stores *stores = store_stores(refill->store);
    bool can_wait = are_enough_whole(refill) && can_spare_one(&stores->now) &&
                    (!stores->has_former || can_spare_one(&stores->former));
    if (capsule_term(capsule) == 0 || !can_wait) {
        return true;
    }
    uint64_t epoch = newest == NULL ? 0 : newest->epoch;
    refill->later_epoch = refill->later_epoch == 0 ? epoch + 2 : refill->later_epoch;
    bool is_later = epoch >= refill->later_epoch;
    for (size_t i = 0; is_later && i < capsule_member_count(capsule); i++) {
        const struct capsule_member *member = capsule_member_at(capsule, i);
        is_later = member->role == MEMBER_LEADER || is_beyond_loss(refill, member);
    }
    return is_later;
}

/* Epochs are awaited, also where nobody writes: whoever leads is told. */
static void await_epoch(struct refill *refill, uint64_t now_us, uint64_t *wake_us)
{
    const struct frame_recalled word = {.is_refilling = 1};
    struct buffer body = BUFFER_EMPTY;
    if (refill->told_us == 0 || now_us >= refill->told_us + REFILL_EPOCH_US) {
        refill->told_us = now_us == 0 ? 1 : now_us;
        buffer_clear(&refill->frame);
        if (frame_recalled_encode(&body, capsule_name(store_capsule(refill->store)), &word,
                                  store_key(refill->store)) == STATUS_OK &&
            frame_encode(&refill->frame, FRAME_RECALLED, 0, store_id(refill->store),
                         buffer_bytes(&body)) == STATUS_OK) {
            refill->output.tell(refill->output.context, buffer_bytes(&refill->frame));
        }
        buffer_release(&body);
    }
    uint64_t due_us = refill->told_us + REFILL_EPOCH_US;
    *wake_us = due_us < *wake_us ? due_us : *wake_us;
}

/* Enough siblings have answered. STATUS_IO: the store is dead. */
static enum status try_end(struct refill *refill, uint64_t now_us, uint64_t *wake_us)
{
    store_end_wait(refill->store);
    if (!is_whole(refill)) {
        return STATUS_OK;
    }
    if (!has_outlived_receipts(refill)) {
        await_epoch(refill, now_us, wake_us);
        return STATUS_OK;
    }
    return store_end_refill(refill->store) == STATUS_IO ? STATUS_IO : STATUS_OK;
}

/* The next wish that is due; the others say when they are. NULL: none is. */
static struct wish *choose(struct refill *refill, uint64_t now_us, uint64_t *wake_us)
{
    for (size_t step = refill->wish_count; step > 0; step--) {
        refill->next = refill->next < refill->wish_count ? refill->next : 0;
        struct wish *wish = &refill->wishes[refill->next];
        if (held_of(refill, &wish->writer) >= target_of(refill, wish, wish->sequence)) {
            wish_drop(refill, refill->next);
            continue;
        }
        refill->next++;
        if (wish->due_us <= now_us) {
            return wish;
        }
        *wake_us = wish->due_us < *wake_us ? wish->due_us : *wake_us;
    }
    return NULL;
}

/*
 * Records that wait for what nobody seems to have: a receipt that named it was lost. Ask again what
 * the siblings hold, as long as it lasts.
 */
static void recall_again(struct refill *refill, bool do_records_wait, uint64_t now_us)
{
    if (!do_records_wait) {
        refill->again_us = 0;
        return;
    }
    if (refill->again_us == 0) {
        refill->again_delay_us = REFILL_ANSWER_US;
    } else if (now_us < refill->again_us) {
        return;
    } else {
        refill->again_delay_us = refill->again_delay_us < REFILL_RECALL_US_MAX / 2
                                     ? 2 * refill->again_delay_us
                                     : REFILL_RECALL_US_MAX;
        for (uint32_t i = 0; i < refill->sibling_count; i++) {
            refill->siblings[i].answer = ANSWER_NONE;
        }
    }
    refill->again_us = now_us + refill->again_delay_us;
}

enum status refill_tick(struct refill *refill, bool do_records_wait, uint64_t now_us,
                        uint64_t *wake_us)
{
    if (store_stores(refill->store)->version != refill->stores_version) {
        name_siblings(refill);
    }
    recall_again(refill, do_records_wait, now_us);
    *wake_us = recall(refill, now_us);
    if (refill->again_us != 0 && refill->again_us < *wake_us) {
        *wake_us = refill->again_us;
    }
    if (refill->fetch_request != 0 && refill->fetch_us != 0 &&
        now_us < refill->fetch_us + REFILL_ANSWER_US) {
        uint64_t due_us = refill->fetch_us + REFILL_ANSWER_US;
        *wake_us = due_us < *wake_us ? due_us : *wake_us;
        return STATUS_OK;
    }
    if (refill->fetch_request != 0) {
        if (refill->fetch_us != 0) {
            note_silence(refill, now_us + REFILL_DELAY_US_MAX);
        }
        settle_fetch(refill, now_us);
    }
    enum status status = wish_for_missing(refill, now_us);
    struct wish *wish = refill->sibling_count == 0 ? NULL : choose(refill, now_us, wake_us);
    if (wish != NULL) {
        fetch(refill, wish, target_of(refill, wish, wish->sequence), now_us);
        uint64_t due_us = now_us + REFILL_ANSWER_US;
        *wake_us = due_us < *wake_us ? due_us : *wake_us;
    }
    if (store_is_refilling(refill->store) && has_enough_answers(refill)) {
        enum status ended = try_end(refill, now_us, wake_us);
        status = ended == STATUS_OK ? status : ended;
    }
    return status == STATUS_IO ? STATUS_IO : STATUS_OK;
}
