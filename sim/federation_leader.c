/* sim/federation_leader.c */

/* The leader, as paranoid-enclave runs it. */
#include "base/check.h"
#include "sim/federation_internal.h"

static struct leader_time now(const struct federation *f)
{
    uint64_t now_us = federation_clock_us(f, &f->leader.clock);
    return (struct leader_time){
        .now_us = now_us,
        .unix_ms = FEDERATION_START_S * 1000ull + now_us / 1000 + (uint64_t)f->leader.skew_ms,
    };
}

static void flush(struct federation *f)
{
    struct buffer frame = BUFFER_EMPTY;
    while (leader_output(f->leader.leader, &frame) == STATUS_OK) {
        federation_route(f, PLACE_LEADER, buffer_bytes(&frame));
        buffer_clear(&frame);
    }
    buffer_release(&frame);
}

static void act(struct federation *f, struct bytes frame)
{
    enum status status = STATUS_OK;
    uint64_t wake_us;
    if (frame.length > 0) {
        status = leader_receive(f->leader.leader, frame, now(f));
    }
    if (status == STATUS_OK) {
        status = leader_tick(f->leader.leader, now(f), &wake_us);
        f->leader.tick_us = wake_us;
    }
    flush(f);
    if (federation_is_dying(f, PLACE_LEADER)) {
        federation_leader_kill(f);
    } else if (status != STATUS_OK) {
        log_event(f->log, "leader ended status=\"%s\"", status_text(status));
        federation_leader_kill(f);
    }
}

static void leader_process_receive(struct federation *f, size_t place,
                                   const struct network_letter *letter)
{
    (void)place;
    act(f, buffer_bytes(&letter->frame));
}

static uint64_t leader_process_due_us(const struct federation *f, size_t place)
{
    (void)place;
    return federation_clock_real_us(f, &f->leader.clock, f->leader.tick_us);
}

static void leader_process_step(struct federation *f, size_t place)
{
    (void)place;
    act(f, bytes_of(NULL, 0));
}

static const struct federation_kind leader_kind = {.receive = leader_process_receive,
                                                   .due_us = leader_process_due_us,
                                                   .step = leader_process_step};

void federation_leader_start(struct federation *f)
{
    struct federation_leader *leader = &f->leader;
    CHECK(leader->leader == NULL);
    leader->key = sign_key_new(&f->random);
    leader->public_key = sign_key_public(leader->key);
    leader->id = writer_id_of(&leader->public_key);
    leader->clock = (struct federation_clock){.begun_us = f->now_us};
    leader->tick_us = UINT64_MAX;
    federation_occupy(f, PLACE_LEADER, &leader_kind);
    federation_tell(f, "start", PLACE_LEADER, PLACE_LEADER, bytes_of(NULL, 0));
    const struct leader_config config = {
        .genesis = buffer_bytes(&f->genesis),
        .key = leader->key,
        .random = &f->random,
        .log = f->log,
    };
    CHECK(leader_new(&leader->leader, &config) == STATUS_OK);
    federation_owner_call(f);
}

bool federation_leader_is_running(const struct federation *f)
{
    return f->leader.leader != NULL;
}

bool federation_leader_is_leading(const struct federation *f)
{
    return f->leader.leader != NULL && leader_is_leading(f->leader.leader);
}

void federation_leader_kill(struct federation *f)
{
    if (f->leader.leader == NULL) {
        return;
    }
    federation_tell(f, "end", PLACE_LEADER, PLACE_LEADER, bytes_of(NULL, 0));
    federation_vacate(f, PLACE_LEADER);
    leader_free(f->leader.leader);
    sign_key_free(f->leader.key);
    f->leader.leader = NULL;
}

void federation_leader_trip(struct federation *f, uint64_t frames)
{
    federation_trip(f, PLACE_LEADER, frames);
}

void federation_leader_adjust_clock(struct federation *f, int drift_permille, uint64_t leap_us,
                                    int64_t skew_ms)
{
    federation_clock_adjust(f, &f->leader.clock, drift_permille, leap_us);
    f->leader.skew_ms = skew_ms;
}
