/* src/host/depot.h */
#ifndef HOST_DEPOT_H
#define HOST_DEPOT_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/status.h"
#include "capsule/stores.h"
#include "crypto/sign.h"
#include "store/post.h"

/*
 * depot: the capsule's stores on this machine, each a process of its own (store/post.h), with its
 * own directory and key. Frames go to them by a bounded queue each: one that is dead, stopped or
 * slow loses frames, and holds up neither the others nor the loop. What it lost its siblings
 * give it. A process that ended is started again. What a damaged one held is set aside
 * (store/aside.h) as soon as enough siblings are whole to give it all again.
 */
struct depot;

enum {
    DEPOT_QUEUE_BYTES_MAX = 64 << 20,  // of one store; beyond it frames to it are dropped
    DEPOT_DELAY_MS_MAX = 10000,        // before a store is started again
    DEPOT_STOP_MS = 2000,              // then a store that was told to end is ended
};

/* Called in the loop's thread; `frame` is borrowed for the call. */
struct depot_events {
    void (*answer)(void *context, uint64_t client, struct bytes frame);
    void (*broadcast)(void *context, struct bytes frame);
    /*
     * Store number `index` could not read what it holds, or not write: nothing it held before is
     * trusted to it until it opens once more. `why` is what it said last; STATUS_DAMAGED: then that
     * names file and offset.
     */
    void (*failed)(void *context, uint32_t index, enum status status, const char *why);
    void *context;
};

struct depot_place {
    const char *name;
    const char *directory;
    const struct sign_key *key;  // borrowed until depot_close()
};

/* As many as can count at a time, and as many that did before. */
enum { DEPOT_PLACES_MAX = 2 * GENESIS_STORES_MAX };

struct depot_config {
    uv_loop_t *loop;
    const char *program;                          // paranoid-store
    struct depot_place places[DEPOT_PLACES_MAX];  // names and directories are copied
    uint32_t count;
    struct bytes genesis;       // copied
    struct bytes stores;        // the owner's word on the stores, empty: none; copied
    const struct stores *sets;  // what it says, or the GENESIS; copied
    struct depot_events events;
    const struct log *log;  // borrowed; called in the loop's thread only
};

/*
 * Start all; the caller ignores SIGPIPE. STATUS_IO: the program cannot be started, errno says why.
 * STATUS_NO_MEMORY.
 */
MUST_CHECK enum status depot_open(struct depot **depot, const struct depot_config *config);

/*
 * Other stores: those of config->places that are new are started, those that are not among them are
 * told to end, the others go on; `stores` and `sets` are taken over, all else is as it was.
 * STATUS_FULL: too many that are not wanted any more have not ended yet; STATUS_NO_MEMORY;
 * STATUS_IO: one cannot be started yet, and is tried again.
 */
MUST_CHECK enum status depot_change(struct depot *depot, const struct depot_config *config);

/*
 * Hand over one frame: a FETCH to the store that its peer names, or to one that answers; all else
 * to every store. `client`, which is below DEPOT_CLIENT_MAX, gets the answers. STATUS_FULL: some
 * store did not get it.
 */
#define DEPOT_CLIENT_MAX (1ull << 63)
MUST_CHECK enum status depot_put(struct depot *depot, uint64_t client, struct bytes frame);

/* What is known of store number `index`, as of its last commit. */
struct depot_view {
    const char *name;
    const char *directory;
    bool is_removed;  // and ends, or has ended
    bool is_open;
    bool has_failed;
    bool is_damaged;  // and not yet set aside
    pid_t pid;        // 0: none
    uint64_t dropped_count;
    struct post_counters counters;
};
struct depot_view depot_view(const struct depot *depot, uint32_t index);
uint32_t depot_count(const struct depot *depot);
/* Whether W of those that count have not failed; and of those before, while they have a say. */
bool depot_is_enough(const struct depot *depot);
bool depot_was_enough(const struct depot *depot);

/*
 * Let the stores commit what is in the queues, and end. No event comes any more. The loop has to
 * run on until its handles have closed. NULL: nothing.
 */
void depot_close(struct depot *depot);

#endif
