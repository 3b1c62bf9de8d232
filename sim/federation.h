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
#include "scl/memtable.h"
#include "scl/scl.h"
#include "sim/network.h"
#include "store/disk.h"

/*
 * federation: owner, host, one store, a leader and workers in one process:
 * the very cores that the programs run, wired by a queue of frames under
 * virtual time. Same seed, same run.
 *
 * Time jumps from one event to the next. What enclaves send to each other and
 * to the store meets the troubles of the network (sim/network.h); what they say to their own host
 * and to the owner does not.
 */
enum { FEDERATION_WORKERS_MAX = 512, FEDERATION_PLACE_BYTES = 16 };

struct federation;

/* Something happened to a frame, or to a process (then `bytes` is 0 and `from` is `to`). */
struct federation_event {
    uint64_t time_us;
    const char *what;  // static
    size_t from;       // places, for federation_place_name()
    size_t to;
    uint8_t kind;     // enum frame_kind as sent; 0: no frame
    size_t bytes;
    uint64_t digest;  // of the frame
};

struct federation_config {
    uint64_t seed;
    const struct disk *disk;  // of the store; borrowed
    const struct log *log;    // borrowed; NULL for none
    struct network_faults faults;
    void (*on_event)(void *context, const struct federation_event *event);  // NULL: none
    void *context;
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
/*
 * The store; one whose disk fails ends by itself. Starting it reads what is on the disk. Statuses
 * as store_open().
 */
bool federation_has_store(const struct federation *federation);
void federation_kill_store(struct federation *federation);
MUST_CHECK enum status federation_start_store(struct federation *federation);
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

/* From now on. */
void federation_disturb(struct federation *federation, const struct network_faults *faults);
/* As network_divide(): the store is place 0, the leader 1, worker n 3 + n. 0: heal. */
void federation_divide(struct federation *federation, uint64_t sides);

/*
 * From now on a clock runs `drift_permille` too fast (or, below 0, too slow), and it leaps ahead at
 * once by `leap_us`. `skew_ms`: how far the leader's time of day is off, either way.
 */
void federation_adjust_clock(struct federation *federation, size_t worker, int drift_permille,
                             uint64_t leap_us);
void federation_adjust_leader_clock(struct federation *federation, int drift_permille,
                                    uint64_t leap_us, int64_t skew_ms);

/* Whether a leader has told the owner of a rollback or fork. */
bool federation_has_false_alarm(const struct federation *federation);

/* For those who judge a run. Borrowed; of a worker that is alive. */
uint64_t federation_now_us(const struct federation *federation);
struct bytes federation_genesis(const struct federation *federation);
struct writer_id federation_worker_id(const struct federation *federation, size_t worker);
struct scl *federation_scl(struct federation *federation, size_t worker);
struct memtable_reader *federation_reader(struct federation *federation, size_t worker);

/* "store", "leader", "owner", "worker-3". */
void federation_place_name(size_t place, char name[FEDERATION_PLACE_BYTES]);

/* Frames delivered so far. */
uint64_t federation_frame_count(const struct federation *federation);

#endif
