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
 * federation: owner, host, stores, a leader and workers in one process: the very cores that the
 * programs run, wired by a queue of frames under virtual time. Same seed, same run.
 *
 * Time jumps from one event to the next. What enclaves send to each other and to the stores meets
 * the troubles of the network (sim/network.h); what they say to their own host and to the owner
 * does not.
 */
enum { FEDERATION_STORES_MAX = 8, FEDERATION_WORKERS_MAX = 1500, FEDERATION_PLACE_BYTES = 16 };

struct federation;

/* Something happened to a frame, or to a process (then `bytes` is 0 and `from` is `to`). */
struct federation_event {
    uint64_t time_us;
    const char *what;  // static
    size_t from;       // places, for federation_place_name()
    size_t to;
    uint8_t kind;  // enum frame_kind as sent; 0: no frame
    size_t bytes;
    uint64_t digest;  // of the frame
};

struct federation_config {
    uint64_t seed;
    uint64_t memtable_bytes;   // bound of each worker's memtable; 0: none
    const struct disk *disks;  // one for each store; borrowed
    size_t store_count;
    size_t receipt_count;    // W
    size_t tolerated_count;  // f
    const struct log *log;   // borrowed; NULL for none
    struct network_faults faults;
    void (*on_event)(void *context, const struct federation_event *event);  // NULL: none
    void *context;
};

/* An app with its owner, its GENESIS and its stores; nothing else runs yet. */
struct federation *federation_new(const struct federation_config *config);
void federation_free(struct federation *federation);

/* Let time pass, until `condition` holds or `limit_us` has gone by. False: it does not hold. */
typedef bool federation_condition(struct federation *federation, void *context);
bool federation_run(struct federation *federation, uint64_t limit_us,
                    federation_condition *condition, void *context);

/* From now on. */
void federation_disturb(struct federation *federation, const struct network_faults *faults);
/* As network_divide(): store n is place n, the leader 8, worker n 16 + n. 0: heal. */
void federation_divide(struct federation *federation, uint64_t sides);

/* ---- the leader ---- */

/* Start a leader and let the owner give it the next term. One that cannot take over ends. */
void federation_leader_start(struct federation *federation);
void federation_leader_kill(struct federation *federation);  // kill -9: nothing of it is left
/* It dies while it sends its `frames`th frame from now: some of the receivers get it. */
void federation_leader_trip(struct federation *federation, uint64_t frames);
bool federation_leader_is_running(const struct federation *federation);
bool federation_leader_is_leading(const struct federation *federation);

/*
 * From now on a clock runs `drift_permille` too fast (or, below 0, too slow), and it leaps ahead at
 * once by `leap_us`. `skew_ms`: how far the leader's time of day is off, either way.
 */
void federation_leader_adjust_clock(struct federation *federation, int drift_permille,
                                    uint64_t leap_us, int64_t skew_ms);

/* Whether a leader has told the owner of a rollback or fork. */
bool federation_owner_has_alarm(const struct federation *federation);
/* Whether what stores have signed proves it to anybody (capsule/proof.h). */
bool federation_owner_has_proof(const struct federation *federation);
/* Of the newest SYNC that the owner has been told of. */
uint64_t federation_owner_epoch(const struct federation *federation);

/*
 * The owner tells the leader, which leads, to begin a key epoch; to throw out a worker. False: it
 * cannot be told now. Whether it then does, the stores show.
 */
bool federation_owner_rotate(struct federation *federation);
bool federation_owner_revoke(struct federation *federation, size_t worker);

/*
 * The owner's next TERMs name these stores, by bits, of which W have to hold a write. False: the
 * last change is not in force yet. It is once a leader leads by such a TERM.
 */
bool federation_owner_name_stores(struct federation *federation, uint64_t stores,
                                  uint32_t receipt_count);
bool federation_owner_is_settled(const struct federation *federation);
/* Whether all stores count, as at first. */
bool federation_owner_counts_all(const struct federation *federation);

/* ---- the stores ---- */

/* Reads what is on its disk. Statuses as store_open(). One whose disk fails ends by itself. */
MUST_CHECK enum status federation_store_start(struct federation *federation, size_t store);
void federation_store_kill(struct federation *federation, size_t store);
/*
 * Whoever has a worker's key signs another record where the last one is, and gives it to the
 * store, which runs. False: the store told everybody, with a proof (P8), or died of its disk, or
 * holds too little of that worker to be forked.
 */
bool federation_store_fork(struct federation *federation, size_t store, size_t worker);
/*
 * From now on it signs for every other lot of records that comes, and keeps none of them; or not.
 */
void federation_store_lie(struct federation *federation, size_t store, bool is_lying);
/* Of all records that it gives to whoever reads its log. Statuses as store_read(). */
MUST_CHECK enum status federation_store_digest(struct federation *federation, size_t store,
                                               struct hash *digest);
bool federation_store_is_running(const struct federation *federation, size_t store);
/* Whether it has lost its disk, and does not hold again what it held. It is running. */
bool federation_store_is_refilling(const struct federation *federation, size_t index);
/* Whether all stores, which run, hold the same of every worker and compactor. */
bool federation_store_agree(const struct federation *federation);

/* ---- the workers ---- */

/* Start one more; returns its index. It joins, catches up and is ready. */
size_t federation_worker_start(struct federation *federation);
void federation_worker_kill(struct federation *federation, size_t worker);
void federation_worker_trip(struct federation *federation, size_t worker, uint64_t frames);
/* False: killed, or ended by itself because its branch was closed. */
bool federation_worker_is_alive(const struct federation *federation, size_t worker);
bool federation_worker_is_ready(const struct federation *federation, size_t worker);
void federation_worker_adjust_clock(struct federation *federation, size_t worker,
                                    int drift_permille, uint64_t leap_us);

/* Put or (without value) delete, at one worker. `dependency` is raised. */
MUST_CHECK enum status federation_worker_put(struct federation *federation, size_t worker,
                                             const char *key, const char *value,
                                             struct dependency *dependency);
/* Something was asked of its scl: it acts at once. */
void federation_worker_wake(struct federation *federation, size_t worker);
/* Whether W stores hold it. */
bool federation_worker_is_durable(struct federation *federation, size_t worker,
                                  const struct dependency *dependency);
/* Copy the value, cut at `text_bytes`. STATUS_NOT_FOUND. */
MUST_CHECK enum status federation_worker_get(struct federation *federation, size_t worker,
                                             const char *key, char *text, size_t text_bytes);
/*
 * Of which version the value or tombstone in memory is. `dependency` is raised. STATUS_NOT_FOUND.
 */
MUST_CHECK enum status federation_worker_read(struct federation *federation, size_t worker,
                                              const char *key, struct memtable_version *version,
                                              struct dependency *dependency);
/* Whether two workers hold the same map, versions included. */
bool federation_worker_equals(struct federation *federation, size_t a, size_t b);
uint64_t federation_worker_joined_epoch(struct federation *federation, size_t worker);

/* ---- for those who judge a run ---- */

uint64_t federation_now_us(const struct federation *federation);
struct bytes federation_genesis(const struct federation *federation);

/* Of the newest data key that this worker was ever given; 0: none. */
uint32_t federation_worker_key_epoch(const struct federation *federation, size_t worker);
/* Whether all stores run and know that the owner has revoked it, and where its branch was cut. */
bool federation_worker_is_revoked(const struct federation *federation, size_t worker);

/*
 * Whoever has all keys of this worker, dead or alive, writes FEDERATION_THIEF_KEY on its branch
 * beyond the cut, and tells everybody: going on, and as if it had joined.
 */
#define FEDERATION_THIEF_KEY "/stolen"
void federation_thief_write(struct federation *federation, size_t worker);

/* Borrowed; of a worker that is alive. */
struct writer_id federation_worker_id(const struct federation *federation, size_t worker);
struct scl *federation_worker_scl(struct federation *federation, size_t worker);
/*
 * What a worker has of a key, or from a key on: as its clients would get it, but for the time that
 * blocks take to come. Borrowed until the next of these calls. STATUS_GAP: no store that runs holds
 * the block that is needed. STATUS_NOT_FOUND.
 */
MUST_CHECK enum status federation_worker_find(struct federation *federation, size_t worker,
                                              struct bytes key, struct memtable_entry *entry);
MUST_CHECK enum status federation_worker_seek(struct federation *federation, size_t worker,
                                              struct bytes from, bool is_after,
                                              struct memtable_entry *entry);
/*
 * Whether a worker has it by now, as a client's thread finds out that waits for blocks: STATUS_GAP:
 * the one that is needed is on its way over the network. STATUS_NOT_FOUND.
 */
MUST_CHECK enum status federation_worker_ask(struct federation *federation, size_t worker,
                                             struct bytes key);

/* ---- the compactor: among the workers, but nobody writes there ---- */

size_t federation_worker_start_compactor(struct federation *federation);

/* "store-0", "leader", "owner", "worker-3". */
void federation_place_name(size_t place, char name[FEDERATION_PLACE_BYTES]);

struct federation_counters {
    uint64_t delivered_frames;
    uint64_t sent_frames;  // by enclaves and stores; one to many counts once
    uint64_t sent_bytes;   // likewise
};
void federation_count(const struct federation *federation, struct federation_counters *counters);

#endif
