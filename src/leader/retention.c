/* src/leader/retention.c */
#include <stdlib.h>

#include "capsule/prune.h"
#include "leader/leader_internal.h"

/*
 * Retention (DESIGN 6.7): a compactor proposes which bodies its MANIFEST has made dispensable; the
 * owner's policy says whether, and how long after, they may go; then the leader signs a PRUNE. What
 * is dispensable stays so, so a proposal rests on whichever MANIFEST is in effect when its time
 * comes.
 */

enum status retention_receive(struct leader *leader, const struct capsule_member *member,
                              struct bytes body)
{
    struct prune_body prune;
    const struct capsule_sync *newest = capsule_newest_sync(leader->capsule);
    if (member->role != MEMBER_COMPACTOR || newest == NULL ||
        prune_decode(&prune, body) != STATUS_OK) {
        return STATUS_OK;
    }
    struct leader_prune *place = &leader->prunes[leader->prunes[0].body.length == 0 ? 0 : 1];
    buffer_clear(&place->body);
    place->time_ms = newest->time_ms;
    return buffer_append(&place->body, body.at, body.length);
}

/* Those of the ranges that are not pruned yet and that no capsule would refuse. */
static uint32_t choose(const struct leader *leader, const struct prune_body *proposed,
                       struct prune_range *ranges)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < proposed->range_count; i++) {
        struct prune_range range = prune_range_at(proposed, i);
        range.from = capsule_pruned_end(leader->capsule, &range.writer, range.from) + 1;
        if (range.from <= range.to &&
            capsule_may_prune(leader->capsule, &range.writer, range.from, range.to)) {
            ranges[count++] = range;
        }
    }
    return count;
}

static enum status write_prune(struct leader *leader, struct bytes proposed_body, uint64_t now_us)
{
    struct prune_body proposed;
    struct buffer body = BUFFER_EMPTY;
    enum status status = prune_decode(&proposed, proposed_body);
    struct prune_range *ranges =
        status == STATUS_OK ? calloc(proposed.range_count, sizeof *ranges) : NULL;
    if (ranges == NULL) {
        return STATUS_NO_MEMORY;
    }
    const struct prune_body prune = {
        .term = leader->term,
        .manifest = capsule_newest_sync(leader->capsule)->manifest,
        .range_count = choose(leader, &proposed, ranges),
    };
    if (prune.range_count > 0) {
        status = prune_encode(&body, &prune, ranges);
        if (status == STATUS_OK) {
            status = leader_write(leader, RECORD_PRUNE, buffer_bytes(&body), NULL, 0, now_us);
        }
    }
    free(ranges);
    buffer_release(&body);
    return status;
}

enum status retention_tick(struct leader *leader, struct leader_time time)
{
    const struct capsule_sync *newest = capsule_newest_sync(leader->capsule);
    struct leader_prune *first = &leader->prunes[0];
    if (first->body.length == 0 || newest == NULL || newest->manifest.head.sequence == 0 ||
        leader_use_policy(leader) != STATUS_OK || !leader->policy.has_retention ||
        newest->time_ms < first->time_ms + 1000ull * leader->policy.retention_s) {
        return STATUS_OK;
    }
    enum status status = write_prune(leader, buffer_bytes(&first->body), time.now_us);
    struct leader_prune done = *first;
    *first = leader->prunes[1];
    leader->prunes[1] = (struct leader_prune){.body = BUFFER_EMPTY};
    buffer_release(&done.body);
    return status;
}

void retention_release(struct leader *leader)
{
    for (size_t i = 0; i < sizeof leader->prunes / sizeof *leader->prunes; i++) {
        buffer_release(&leader->prunes[i].body);
    }
}
