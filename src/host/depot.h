/* src/host/depot.h */
#ifndef HOST_DEPOT_H
#define HOST_DEPOT_H

#include <stdint.h>

#include <uv.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/status.h"
#include "crypto/sign.h"
#include "store/store.h"

/*
 * depot: the store and its thread. Frames go in by a bounded queue, in the order they came; the
 * thread takes all that wait, and commits once: that is the group. Answers come back in the
 * loop's thread. Nothing here blocks the loop.
 */
struct depot;

enum {
    DEPOT_IN_BYTES_MAX = 64 << 20,   // beyond it frames are dropped: their writers repeat them
    DEPOT_OUT_BYTES_MAX = 64 << 20,  // beyond it the store waits for the loop
};

/* Called in the loop's thread; `frame` is borrowed for the call. */
struct depot_events {
    void (*answer)(void *context, uint64_t client, struct bytes frame);
    void (*broadcast)(void *context, struct bytes frame);
    void (*failed)(void *context,
                   enum status status);  // the disk failed; nothing is stored any more
    void *context;
};

struct depot_config {
    uv_loop_t *loop;
    const char *directory;
    struct bytes genesis;        // copied
    const struct sign_key *key;  // borrowed until depot_close()
    struct depot_events events;
    const struct log *log;  // borrowed; called in the loop's thread only
};

/*
 * Open the store, which verifies every record it holds, and start the thread. Any status of
 * disk_posix_open() and store_open().
 */
MUST_CHECK enum status depot_open(struct depot **depot, const struct depot_config *config);

/* Hand over one frame. STATUS_FULL: it was dropped. `client` gets the answers. */
MUST_CHECK enum status depot_put(struct depot *depot, uint64_t client, struct bytes frame);

/* As of the last commit. */
void depot_count(struct depot *depot, struct store_counters *counters);

/*
 * Commit what is in the queue, end the thread, close the store. No event comes any more. The
 * loop has to run on until its handles have closed. NULL: nothing.
 */
void depot_close(struct depot *depot);

#endif
