/* src/scl/scl_lock.h */
#ifndef SCL_SCL_LOCK_H
#define SCL_SCL_LOCK_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "scl/overlay.h"
#include "scl/scl.h"
#include "wire/message.h"

/*
 * scl_lock: the worker's side of locks (DESIGN 6.8). All calls with the lock of the scl.
 *
 *     scl_lock_new()     ask the leader
 *     scl_lock_poll()    until it is held: what the holder before wrote and read is applied here
 *     scl_lock_seal()    what was written under it leaves as one tagged record
 *     scl_lock_fate()    until a LOCK has decided whether it counts, and W stores hold that
 *     scl_lock_drop()    at any time, once: nothing more is asked of it
 */
struct scl_lock;

enum { SCL_LOCKS_MAX = 1024 };

/*
 * STATUS_FULL: SCL_LOCKS_MAX are asked for or held. STATUS_CLOSED: the branch was closed.
 * STATUS_NO_MEMORY. `name` is copied.
 */
MUST_CHECK enum status scl_lock_new(struct scl *scl, struct bytes name, struct scl_lock **lock);

/* STATUS_OK: held. STATUS_GAP: not yet. STATUS_FULL: the leader cannot take one more. */
MUST_CHECK enum status scl_lock_poll(const struct scl *scl, struct scl_lock *lock);

/* Its fence, once it is granted. */
uint64_t scl_lock_fence(const struct scl_lock *lock);

/*
 * Of one that is held: take what was written and begin to release it. `dependency` is what was read
 * on the way. Nothing written: it is released, and its fate is STATUS_OK.
 */
void scl_lock_seal(struct scl_lock *lock, struct overlay *written,
                   const struct dependency *dependency);

/* STATUS_OK: it counts, and is in the map. STATUS_STALE: it never will. STATUS_GAP: undecided. */
MUST_CHECK enum status scl_lock_fate(const struct scl_lock *lock);

/* The sequence of the record that it was written in; 0: nothing was. Once its fate is known. */
uint64_t scl_lock_sequence(const struct scl_lock *lock);

/* What was not sealed is forgotten; what was takes its way. `*lock` becomes NULL. */
void scl_lock_drop(struct scl *scl, struct scl_lock **lock);

/* ---- what is said to the leader, in the channel ---- */

/* A LOCK_GRANT or LOCK_ANSWER. */
MUST_CHECK enum status scl_lock_receive(struct scl *scl, const struct message *message);

/* Append the next message that is due, new or repeated. STATUS_EMPTY. */
MUST_CHECK enum status scl_lock_output(struct scl *scl, uint64_t now_us, struct buffer *plain);

/* When to ask for messages again; UINT64_MAX: no lock is asked for or held. */
uint64_t scl_lock_wake_us(const struct scl *scl, uint64_t now_us);

#endif
