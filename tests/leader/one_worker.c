/* tests/leader/one_worker.c */
#include "tests/leader/one_worker.h"

#include <stdlib.h>

#include "base/check.h"

static int set_up(void **state, bool has_mirrors)
{
    struct one_worker *f = calloc(1, sizeof *f);
    CHECK(f != NULL);
    leader_world_init(&f->world, 3);
    f->world.has_mirrors = has_mirrors;
    leader_world_begin(&f->world);
    leader_world_lead(&f->world, 1);
    leader_world_joiner_init(&f->world, &f->worker);
    leader_world_join(&f->world, &f->worker, MEMBER_WORKER, &f->world.capsule);
    CHECK(f->worker.is_granted);
    *state = f;
    return 0;
}

int one_worker_setup(void **state)
{
    return set_up(state, false);
}

int one_worker_setup_mirrored(void **state)
{
    return set_up(state, true);
}

int one_worker_teardown(void **state)
{
    struct one_worker *f = *state;
    buffer_release(&f->record);
    leader_world_joiner_release(&f->worker);
    leader_world_release(&f->world);
    free(f);
    return 0;
}

const struct capsule *one_worker_capsule(const struct one_worker *f)
{
    return leader_capsule(f->world.leader);
}

const struct capsule_member *one_worker_member(const struct one_worker *f)
{
    return capsule_member_find(one_worker_capsule(f), &f->worker.id);
}

const struct capsule_sync *one_worker_newest(const struct one_worker *f)
{
    return capsule_newest_sync(one_worker_capsule(f));
}

void one_worker_write_eoe(struct one_worker *f, uint64_t lamport)
{
    const struct capsule_sync *sync = one_worker_newest(f);
    struct hash parents[2], hash;
    struct buffer body = BUFFER_EMPTY;
    const struct eoe eoe = {.epoch = sync->epoch + 1, .lamport = lamport, .sync = sync->hash};
    struct record_fields fields = {
        .type = RECORD_EOE,
        .sequence = f->head.sequence + 1,
        .epoch = sync->epoch + 1,
        .writer = f->worker.id,
        .capsule = f->world.capsule,
        .parents = parents,
    };
    if (f->head.sequence > 0) {
        parents[fields.parent_count++] = f->head.hash;
    }
    if (!hash_equal(&one_worker_member(f)->joined, &sync->hash)) {
        parents[fields.parent_count++] = sync->hash;
    }
    buffer_clear(&f->record);
    CHECK(sync_eoe_encode(&body, &eoe, NULL) == STATUS_OK);
    CHECK(record_encode(&f->record, &hash, &fields, buffer_bytes(&body), f->worker.key) ==
          STATUS_OK);
    f->head = (struct head){.sequence = fields.sequence, .hash = hash};
    buffer_release(&body);
}

void one_worker_tell_leader(struct one_worker *f)
{
    leader_world_send(&f->world, FRAME_RECORD, 0, &f->worker.id, buffer_bytes(&f->record));
}

void one_worker_tell_store(struct one_worker *f)
{
    leader_world_store(&f->world, buffer_bytes(&f->record));
}

void one_worker_say(struct one_worker *f, struct buffer *plain)
{
    struct buffer sealed = BUFFER_EMPTY;
    CHECK(channel_seal(f->worker.channel, &sealed, buffer_bytes(plain)) == STATUS_OK);
    leader_world_send(&f->world, FRAME_CHANNEL, 0, &f->worker.id, buffer_bytes(&sealed));
    buffer_release(&sealed);
    buffer_release(plain);
}
