/* src/scl/scl_repair.c */
#include "scl/scl_internal.h"

enum {
    SCL_LOST_US_MAX = 64 * 1000 * 1000,  // so often at most is the log read again for nothing
    SCL_FETCH_TIMEOUT_US = 2000 * 1000,
    SCL_FETCH_BYTES = 4 << 20,
    SCL_ASK_DELAY_US_MAX = 2000 * 1000,  // so often at most is a branch fetched for nothing
};

static bool is_being_fetched(const struct scl *scl, const struct writer_id *writer)
{
    for (size_t i = 0; i < SCL_FETCHES_MAX; i++) {
        if (scl->fetches[i].request != 0 && !scl->fetches[i].is_log &&
            writer_id_equal(&scl->fetches[i].writer, writer)) {
            return true;
        }
    }
    return false;
}

/* The stores take turns: one may be down, or behind. */
static const struct writer_id *store_at(const struct scl *scl, uint32_t turn)
{
    const struct genesis *stores = &capsule_stores(scl->capsule)->now;
    return &stores->stores[turn % stores->store_count].id;
}

/* Returns NULL when there is no room for one more. */
static struct scl_fetch *fetch_ask(struct scl *scl, const struct writer_id *writer, uint64_t from,
                                   uint64_t to, bool is_log, uint64_t now_us)
{
    for (size_t i = 0; i < SCL_FETCHES_MAX; i++) {
        struct scl_fetch *fetch = &scl->fetches[i];
        if (fetch->request != 0) {
            continue;
        }
        // What tables hold is fetched when somebody reads it (scl_cold.c).
        const struct frame_fetch ask = {
            .writer = *writer,
            .from = from,
            .to = to,
            .max_bytes = SCL_FETCH_BYTES,
            .has_bare_tables = true,
        };
        struct buffer body = BUFFER_EMPTY;
        const struct writer_id *store = store_at(scl, is_log ? scl->log_store : scl->store_turn++);
        scl->last_request = scl->last_request == UINT32_MAX ? 1 : scl->last_request + 1;
        if (frame_fetch_encode(&body, &ask) == STATUS_OK &&
            scl_output_add(scl, FRAME_FETCH, scl->last_request, store, buffer_bytes(&body)) ==
                STATUS_OK) {
            *fetch = (struct scl_fetch){.request = scl->last_request,
                                        .writer = *writer,
                                        .deadline_us = now_us + SCL_FETCH_TIMEOUT_US};
            scl->counters.fetches++;
        }
        buffer_release(&body);
        return fetch;
    }
    return NULL;
}

static uint64_t longer(uint64_t delay_us)
{
    delay_us = delay_us == 0 ? SCL_STALL_US : 2 * delay_us;
    return delay_us < SCL_ASK_DELAY_US_MAX ? delay_us : SCL_ASK_DELAY_US_MAX;
}

/*
 * What was asked for again and again may have come, and not have followed what is here: its writer
 * has forked. Then it is asked for together with the head that is here (capsule/trail.h).
 */
static uint64_t trail_from(struct scl *scl, const struct capsule_member *member,
                           struct scl_peer *peer)
{
    const struct branch_head named = {.writer = member->id,
                                      .head = capsule_named_head(scl->capsule, member)};
    struct trail *trail = &peer->trail;
    if (peer->ask_delay_us <= SCL_STALL_US || member->role == MEMBER_LEADER ||
        member->head.sequence == 0 || named.head.sequence <= member->head.sequence) {
        trail->next = 0;
        return member->head.sequence + 1;
    }
    // What came last time was a part of it, or led nowhere.
    bool goes_on =
        trail->next > peer->trail_asked && hash_equal(&trail->named.head.hash, &named.head.hash);
    if (!goes_on) {
        trail_begin(trail, &named, member->head.sequence);
        peer->is_trail_other = false;
    }
    peer->trail_asked = trail->next;
    return trail->next;
}

void scl_repair_follow(struct scl *scl, const struct capsule_member *member,
                       const struct record *record)
{
    struct scl_peer *peer = member == NULL ? NULL : &scl->peers[scl_member_index(scl, member)];
    if (peer == NULL || !trail_follow(&peer->trail, record)) {
        return;
    }
    if (record->sequence == member->head.sequence) {
        peer->is_trail_other = !hash_equal(&record->hash, &member->head.hash);
    }
    if (trail_has_led(&peer->trail)) {
        peer->trail.next = 0;
        scl->is_forked = scl->is_forked || peer->is_trail_other;
    }
}

/*
 * A branch that still grows is not stalled: what it lacks may be under way; but a closed one grows
 * by what is fetched alone. One that does not grow by that is asked for less and less often: what
 * names it may be false.
 */
static void fetch_known(struct scl *scl, const struct capsule_member *member, uint64_t to,
                        uint64_t now_us)
{
    struct scl_peer *peer = &scl->peers[scl_member_index(scl, member)];
    uint64_t from = member->head.sequence + 1;
    if (peer->progress_us >= peer->asked_us) {
        peer->ask_delay_us = 0;
    }
    bool is_early = (!member->is_closed && now_us < peer->progress_us + SCL_STALL_US) ||
                    (peer->asked_us != 0 && now_us < peer->asked_us + peer->ask_delay_us);
    if (from <= to && !is_early && !is_being_fetched(scl, &member->id) &&
        !holdback_has(scl->holdback, &member->id, from)) {
        from = trail_from(scl, member, peer);
        to = peer->trail.next != 0 ? peer->trail.named.head.sequence : to;
        (void)fetch_ask(scl, &member->id, from, to, false, now_us);
        peer->asked_us = now_us;
        peer->ask_delay_us = longer(peer->ask_delay_us);
    }
}

static void fetch_branch(struct scl *scl, const struct writer_id *writer, uint64_t to,
                         uint64_t now_us)
{
    const struct capsule_member *member = capsule_member_find(scl->capsule, writer);
    if (member != NULL) {
        fetch_known(scl, member, to, now_us);
        return;
    }
    // Who nobody has told of is asked for together with all such: their names may be made up.
    if (now_us >= scl->stranger_us + scl->stranger_delay_us && !is_being_fetched(scl, writer) &&
        !holdback_has(scl->holdback, writer, 1)) {
        (void)fetch_ask(scl, writer, 1, to, false, now_us);
        scl->stranger_delay_us =
            scl->progress_us > scl->stranger_us ? SCL_STALL_US : longer(scl->stranger_delay_us);
        scl->stranger_us = now_us;
    }
}

/*
 * Ask for what keeps this replica from going on: SYNC heads, GRANT heads, holes before held
 * records.
 */
static void fetch_missing(struct scl *scl, uint64_t now_us)
{
    struct branch_head wanted;
    uint64_t from;
    size_t place = 0;
    scl->may_lack = false;
    while (capsule_missing(scl->capsule, &place, &wanted, &from) == STATUS_OK) {
        fetch_branch(scl, &wanted.writer, wanted.head.sequence, now_us);
        scl->may_lack = true;
    }
    for (size_t i = 0; i < scl->required_count; i++) {
        if (!scl_has_reached(scl, &scl->required[i])) {
            fetch_branch(scl, &scl->required[i].writer, scl->required[i].head.sequence, now_us);
        }
    }
    for (place = 0; scl_lock_missing(scl, &place, &wanted);) {
        fetch_branch(scl, &wanted.writer, wanted.head.sequence, now_us);
    }
    for (place = 0; scl_tag_missing(scl, &place, &wanted);) {
        fetch_branch(scl, &wanted.writer, wanted.head.sequence, now_us);
    }
    if (!writer_id_is_zero(&scl->predecessor) &&
        capsule_member_find(scl->capsule, &scl->predecessor) == NULL) {
        fetch_branch(scl, &scl->predecessor, UINT64_MAX, now_us);
    }
    struct writer_id writer;
    uint64_t sequence;
    place = 0;
    while (holdback_next(scl->holdback, &place, &writer, &sequence) == STATUS_OK) {
        const struct capsule_member *member = capsule_member_find(scl->capsule, &writer);
        if (member != NULL && sequence <= member->head.sequence) {
            holdback_drop(scl->holdback, &writer, member->head.sequence);
        } else if (member != NULL && member->is_closed && sequence > member->cut.sequence) {
            // Nothing beyond the cut will ever count; what is below it, capsule_missing() names.
            holdback_drop(scl->holdback, &writer, UINT64_MAX);
        } else {
            fetch_branch(scl, &writer, sequence - 1, now_us);
        }
    }
    // What holds back scl_everyone else is a record of the leader's.
    const struct capsule_member *leader = capsule_leader(scl->capsule);
    if (leader != NULL && holdback_count(scl->holdback) > 0) {
        fetch_branch(scl, &leader->id, UINT64_MAX, now_us);
    }
}

/*
 * Part of an answer got lost, or a leader came and went unseen: what is held waits for records
 * whose writer nobody names here, or this replica's branch was closed and it was not told. Only a
 * store's log tells; perhaps another one's than the last time.
 */
static void read_log_again(struct scl *scl, uint64_t now_us)
{
    scl->is_doubtful = false;
    if (scl->start.stage == SCL_START_RESTORED) {
        // Its past is not to be read again: a leader that is not known here makes itself known.
        (void)fetch_ask(scl, &frame_to_leader, 0, 0, false, now_us);
    } else {
        scl->log_store++;
        scl->log_next = 1;
        scl->is_log_done = false;
    }
    scl->progress_us = now_us;
    scl->lost_us = scl->lost_us < SCL_LOST_US_MAX / 2 ? 2 * scl->lost_us : SCL_LOST_US_MAX;
}

/*
 * Who reads the log sees all that a store holds. Who begins from a MANIFEST has heard of what the
 * leader and SYNCs name: once that is here, it asks for the rest of each open branch.
 */
static void probe(struct scl *scl, uint64_t now_us)
{
    if (scl->start.stage != SCL_START_RESTORED || scl->is_compactor) {
        return;
    }
    for (size_t i = 0; i < scl->required_count && !scl->start.has_probed; i++) {
        if (!scl_has_reached(scl, &scl->required[i])) {
            return;
        }
    }
    for (size_t i = 0; i < scl->peer_count; i++) {
        const struct capsule_member *member = capsule_member_at(scl->capsule, i);
        struct scl_peer *peer = &scl->peers[i];
        if (!scl->start.has_probed) {
            peer->must_probe = !member->is_closed && !writer_id_equal(&member->id, &scl->id);
        }
        if (peer->must_probe && !is_being_fetched(scl, &member->id)) {
            struct scl_fetch *fetch =
                fetch_ask(scl, &member->id, member->head.sequence + 1, UINT64_MAX, false, now_us);
            if (fetch != NULL) {
                fetch->is_probe = true;
            }
        }
    }
    scl->start.has_probed = true;
}

/* Whether something waits for what no branch that is known here can bring. */
static bool is_lost(const struct scl *scl)
{
    return holdback_count(scl->holdback) > 0 || scl->is_doubtful || !scl_is_ready(scl);
}

bool scl_repair_is_needed(const struct scl *scl)
{
    const struct capsule_sync *newest = capsule_newest_sync(scl->capsule);
    const struct capsule_sync *joined = capsule_joined_sync(scl->capsule);
    struct branch_head wanted;
    size_t lock = 0, tagged = 0;
    return holdback_count(scl->holdback) > 0 || newest != joined || scl->may_lack ||
           scl_lock_missing(scl, &lock, &wanted) || scl_tag_missing(scl, &tagged, &wanted) ||
           scl->is_doubtful || (scl->is_log_done && !scl_is_ready(scl));
}

void scl_repair_tick(struct scl *scl, uint64_t now_us)
{
    bool is_fetching_log = false;
    scl->progress_us = scl->progress_us == 0 ? now_us : scl->progress_us;
    for (size_t i = 0; i < SCL_FETCHES_MAX; i++) {
        struct scl_fetch *fetch = &scl->fetches[i];
        if (fetch->request != 0 && fetch->deadline_us <= now_us) {
            fetch->request = 0;
            if (fetch->is_log && capsule_stores(scl->capsule)->now.store_count > 1) {
                // Each store has an order of its own.
                scl->log_store++;
                scl->log_next = 1;
            }
        }
        is_fetching_log = is_fetching_log || (fetch->request != 0 && fetch->is_log);
    }
    if (!scl->is_log_done && !is_fetching_log && scl->start.stage == SCL_START_LOG) {
        struct scl_fetch *fetch =
            fetch_ask(scl, &scl_everyone, scl->log_next, UINT64_MAX, true, now_us);
        if (fetch != NULL) {
            fetch->is_log = true;
        }
    }
    probe(scl, now_us);
    // What an answer has brought may show at once what else is missing: nobody waits for that.
    bool is_led_on = scl->is_answered && scl->progress_us >= scl->checked_us;
    scl->is_answered = false;
    if (scl->is_log_done && scl_repair_is_needed(scl) &&
        (is_led_on || now_us >= scl->checked_us + SCL_STALL_US)) {
        scl->checked_us = now_us;
        scl_unblock(scl);
        fetch_missing(scl, now_us);
        if (is_lost(scl) && now_us >= scl->progress_us + scl->lost_us) {
            read_log_again(scl, now_us);
        }
    }
}
