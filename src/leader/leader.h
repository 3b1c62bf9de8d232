/* src/leader/leader.h */
#ifndef LEADER_LEADER_H
#define LEADER_LEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "attest/vendor.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/random.h"
#include "base/status.h"
#include "capsule/capsule.h"
#include "crypto/sign.h"
#include "wire/frame.h"

/*
 * leader: the control plane of an app (DESIGN 6.1 to 6.4, 6.10): it is given a
 * term by the owner, takes over what earlier terms left, admits members,
 * publishes functions, joins the branches at every epoch, closes those that ended.
 *
 *   IDLE ──SEED──► FENCING ──R fences──► LOADING ──end of log──► TAKING_OVER ──receipts──► LEADING
 *
 * Any failure on the way, and whatever tells it that another leads, ends in
 * STATUS_CLOSED: the process ends, and the next one gets a new term. It
 * holds no state that capsule and seed cannot rebuild.
 *
 * Sans-IO: frames and the time go in; frames and a wake-up time come out. One thread.
 */
struct leader;

struct leader_config {
    struct bytes genesis;                // copied
    const struct sign_key *key;          // the writer's; borrowed until leader_free()
    const struct random *random;         // borrowed
    const struct log *log;               // borrowed
    const struct vendor_roots *vendors;  // whose evidence counts; borrowed until leader_free()
};

/* Two clocks: one that only rises, for waiting; the host's, for certificates and SYNC records. */
struct leader_time {
    uint64_t now_us;
    uint64_t unix_ms;
};

MUST_CHECK enum status leader_new(struct leader **leader, const struct leader_config *config);
void leader_free(struct leader *leader);

/*
 * One frame from the host. Frames that are malformed, forged or out of place are dropped and
 * logged: STATUS_OK. STATUS_CLOSED: this term is over; STATUS_NO_MEMORY. Both end the process.
 */
MUST_CHECK enum status leader_receive(struct leader *leader, struct bytes frame,
                                      struct leader_time time);

/* Time passes; `*wake_us` receives when to call again at the latest. Same statuses. */
MUST_CHECK enum status leader_tick(struct leader *leader, struct leader_time time,
                                   uint64_t *wake_us);

/* Append the next frame to be sent to `frame`. STATUS_EMPTY. */
MUST_CHECK enum status leader_output(struct leader *leader, struct buffer *frame);

/* Whether it leads: workers can join. */
bool leader_is_leading(const struct leader *leader);

const struct capsule *leader_capsule(const struct leader *leader);

struct leader_counters {
    uint64_t term;
    uint64_t epoch;
    uint64_t members_open;
    uint64_t members_admitted;
    uint64_t members_refused;
    uint64_t syncs_written;
    uint64_t absences;
    uint64_t locks_granted;
    uint64_t locks_decided;  // in favour of what was written under them
    uint64_t locks_taken;    // over, from a holder that took too long
};
void leader_count(const struct leader *leader, struct leader_counters *counters);

#endif
