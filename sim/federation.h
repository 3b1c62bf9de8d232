/* sim/federation.h */
#ifndef SIM_FEDERATION_H
#define SIM_FEDERATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/status.h"
#include "capsule/writer.h"
#include "scl/dependency.h"
#include "store/disk.h"

/*
 * federation: owner, host, one store, a leader and workers in one process:
 * the very cores that the programs run, wired by a queue of frames under
 * virtual time. Same seed, same run.
 *
 * A frame takes a random time from 0 to `delay_us`, so frames overtake each
 * other; `drop_percent` of those that enclaves send to each other and to the
 * store get lost.
 */
enum { FEDERATION_WORKERS_MAX = 64 };

struct federation;

struct federation_config {
    uint64_t seed;
    const struct disk *disk;  // of the store; borrowed
    const struct log *log;    // borrowed; NULL for none
    uint64_t delay_us;
    unsigned drop_percent;
};

/* An app with its owner, its GENESIS and a store on `disk`; nothing runs yet. */
struct federation *federation_new(const struct federation_config *config);
void federation_free(struct federation *federation);

/* Start a leader and let the owner give it the next term. One that cannot take over ends. */
void federation_start_leader(struct federation *federation);
bool federation_has_leader(const struct federation *federation);
bool federation_is_leading(const struct federation *federation);

/* Start a worker; returns its index. It joins, catches up and is ready. */
size_t federation_start_worker(struct federation *federation);
bool federation_is_ready(const struct federation *federation, size_t worker);
/* False: killed, or ended by itself because its branch was closed. */
bool federation_is_alive(const struct federation *federation, size_t worker);

/* kill -9: nothing of it is left. */
void federation_kill_leader(struct federation *federation);
void federation_kill_worker(struct federation *federation, size_t worker);
/* Close the store and open it again from what is on its disk. */
MUST_CHECK enum status federation_restart_store(struct federation *federation);

/* Put or (without value) delete, at one worker. `dependency` is raised. */
MUST_CHECK enum status federation_put(struct federation *federation, size_t worker, const char *key,
                                      const char *value, struct dependency *dependency);
/* Whether W stores hold it. */
bool federation_is_durable(struct federation *federation, size_t worker,
                           const struct dependency *dependency);
/* Copy the value, cut at `text_bytes`. STATUS_NOT_FOUND. */
MUST_CHECK enum status federation_get(struct federation *federation, size_t worker, const char *key,
                                      char *text, size_t text_bytes);
/* Whether two workers hold the same map, tombstones and versions included. */
bool federation_are_equal(struct federation *federation, size_t a, size_t b);
uint64_t federation_joined_epoch(struct federation *federation, size_t worker);

/* Let time pass, until `condition` holds or `limit_us` has gone by. False: it does not hold. */
typedef bool federation_condition(struct federation *federation, void *context);
bool federation_run(struct federation *federation, uint64_t limit_us,
                    federation_condition *condition, void *context);

/* From now on frames take up to `delay_us`, and so many of a hundred get lost. */
void federation_disturb(struct federation *federation, uint64_t delay_us, unsigned drop_percent);

/* Frames delivered so far. */
uint64_t federation_frame_count(const struct federation *federation);

#endif
