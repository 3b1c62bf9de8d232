/* src/store/store.h */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/random.h"
#include "base/status.h"
#include "capsule/capsule.h"
#include "capsule/record.h"
#include "crypto/sign.h"
#include "store/disk.h"
#include "wire/frame.h"

/*
 * store: a DataCapsule server for one capsule. It keeps records in segments
 * (DESIGN 5.2), verifies each from GENESIS, TERM and MEMBER records on, and says
 * in signed receipts what it holds durably. It needs no key of the app's and
 * trusts nobody; nobody trusts it with more than availability.
 *
 * One thread uses a store. Nothing is acknowledged before fdatasync returned.
 */
struct store;

enum { STORE_SEGMENT_BYTES = 64 << 20 };

struct store_config {
    const struct disk *disk;     // borrowed until store_close()
    struct bytes genesis;        // GENESIS body; copied
    struct bytes stores;         // the owner's newest word on the stores; empty: none
    const struct sign_key *key;  // signs receipts; borrowed until store_close()
    const struct log *log;       // borrowed; NULL for none
    struct random random;        // of the nonces in its questions to siblings
    uint64_t segment_bytes;      // of a new segment; 0: STORE_SEGMENT_BYTES. A multiple of 8
};

/*
 * Open the segments on the disk, or begin the first one when there are none; verify
 * every record again. A torn tail (docs/format/segment.md) is cut; nothing that was acknowledged
 * lies there.
 * STATUS_DAMAGED: a segment is damaged elsewhere, or another store's or capsule's; the log
 * names file and offset. STATUS_FORGED: this key is not among the stores.
 * STATUS_NO_SPACE, STATUS_IO, STATUS_NO_MEMORY. On failure *store is NULL.
 */
MUST_CHECK enum status store_open(struct store **store, const struct store_config *config);
void store_close(struct store *store);

/* What it knows. Borrowed; read only. */
const struct capsule *store_capsule(const struct store *store);

/*
 * Which stores there are: by the owner's newest word that this one was opened with, or has read in
 * a TERM. Valid until the next store_append() or store_commit().
 */
const struct stores *store_stores(const struct store *store);

/*
 * Take one record: verified, and written, but not yet durable. The first leader's GENESIS waits in
 * memory for the TERM that vouches for it, and both are written together.
 *
 * STATUS_OK. STATUS_STALE: already here, the very same; the next receipt names its branch once
 * more, since the last one may have been lost. STATUS_FORKED: another one is here for this writer
 * and sequence; `proof` receives the fork proof, or nothing where the other is not here or its own
 * signature was damaged on its way to this store. STATUS_GAP: an ancestor is missing, or the
 * branch is fenced and its cut not known yet, or its body is missing and no PRUNE here names it, or
 * the store is waiting.
 * STATUS_CLOSED, STATUS_DENIED, STATUS_MALFORMED, STATUS_FORGED, STATUS_FULL: as capsule_accept().
 * STATUS_NO_SPACE: the disk is full; nothing changed, and it can be tried again.
 * STATUS_IO, STATUS_NO_MEMORY: the store may refuse everything from now on, with STATUS_IO.
 */
MUST_CHECK enum status store_append(struct store *store, const struct record *record,
                                    struct buffer *proof);

/*
 * Make everything appended durable and append to `receipt` the receipt for all branches that grew
 * or were asked for again; a receipt names at most RECEIPT_HEADS_MAX, so call until STATUS_EMPTY:
 * there is nothing to say. When a CLOSE has come whose cut lies below what was taken, or a CLOSE or
 * SYNC that names another record than was taken, the log is read again without what does not count.
 * STATUS_IO: as above; nothing may be acknowledged.
 */
MUST_CHECK enum status store_commit(struct store *store, struct buffer *receipt);

/* Whether it holds this very record. */
bool store_holds(struct store *store, const struct record *record);

/*
 * Whether what this store lacks of a branch is taken only when it was shown to lead to the branch's
 * cut: it is fenced, and the CLOSE may yet come to count for nothing.
 */
bool store_needs_trail(const struct store *store, const struct capsule_member *member);

/*
 * The hashes of records, from `from` on, that lead to this cut. Those of one branch are kept, in
 * memory. STATUS_NO_MEMORY.
 */
MUST_CHECK enum status store_show(struct store *store, const struct branch_head *cut, uint64_t from,
                                  struct bytes hashes);

/*
 * What it holds of this writer beyond `sequence` does not lead to the head that a SYNC or CLOSE
 * names (capsule/trail.h): from now on it counts for nothing, and the log is read again without it.
 * STATUS_GAP: the branch is fenced, and no cut of the one who fenced it is known. STATUS_IO: as
 * above; STATUS_NO_MEMORY.
 */
MUST_CHECK enum status store_leave_out(struct store *store, const struct writer_id *writer,
                                       uint64_t sequence);

/*
 * What this store holds, said again: append to `receipt` the receipt for the next of all branches.
 * Begin with *index = 0, after a store_commit() that was STATUS_EMPTY; STATUS_EMPTY: that was all.
 * STATUS_IO: as above; STATUS_NO_MEMORY.
 */
MUST_CHECK enum status store_recall(struct store *store, size_t *index, struct buffer *receipt);

/*
 * Whether its log was empty when it was opened, and the disk may have been lost: it takes no record
 * while it is waiting, before store_end_wait(): before its siblings have said what it may have
 * promised to leaders. And it fences nothing before store_end_refill(): before they have given it
 * all that it may have signed for. STATUS_NO_SPACE: try again; STATUS_IO: as above.
 */
bool store_is_refilling(const struct store *store);
bool store_is_waiting(const struct store *store);
void store_end_wait(struct store *store);
MUST_CHECK enum status store_end_refill(struct store *store);

/*
 * Note durably on a disk that no store is open on, in the file `refill`: what it held may be lost,
 * whatever is left; or nothing is lost, although it is empty. STATUS_NO_SPACE, STATUS_IO.
 */
#define STORE_REFILL_FILE "refill"
MUST_CHECK enum status store_begin_refill(const struct disk *disk);
MUST_CHECK enum status store_begin_whole(const struct disk *disk);

/* Whether bytes on its disk were found not to be what was written; the log named the place. */
bool store_is_damaged(const struct store *store);

/*
 * The FENCEs that this store obeys: the body of number `index`, borrowed until the next FENCE;
 * empty beyond the last. What a sibling obeys, handed on, is obeyed from then on as if the leader
 * had asked; STATUS_OK also where it says nothing new. Other statuses as store_fence().
 */
struct bytes store_fence_at(const struct store *store, uint32_t index);
MUST_CHECK enum status store_adopt_fence(struct store *store, const struct frame_fence *ask);

/*
 * Ready the disk for what comes next: for when the receipts have left, or when there is nothing
 * else to do. Writes at most JOURNAL_SLICE_BYTES; without it an append does so when it must.
 * STATUS_IO: as above.
 */
MUST_CHECK enum status store_prepare(struct store *store);

/*
 * A leader's FENCE: verified against the owner-signed TERM inside it. The store first makes durable
 * what it has appended, remembers durably the higher term and the fenced branches, and
 * then signs `fence`: the heads of the branches concerned; of a fence around everything these are
 * all that are open, or closed by a leader whom another may yet contradict, but for leaders that
 * have no SYNC; the first is that of the leader who wrote the newest SYNC, if there is one. From
 * then on it takes nothing from them except up to a cut that rests on the word of this leader or a
 * later one, and nothing from leaders of lower terms. STATUS_GAP: it is being refilled.
 * STATUS_CLOSED: a higher term is known, or another leader of this term. STATUS_FORGED,
 * STATUS_MALFORMED, STATUS_NO_SPACE, STATUS_FULL (FENCE_ASKS_MAX open branches are fenced one by
 * one), STATUS_NO_MEMORY, STATUS_IO.
 */
MUST_CHECK enum status store_fence(struct store *store, const struct frame_fence *ask,
                                   struct buffer *fence);

/* The term that it obeys; 0: none yet. */
uint64_t store_term(const struct store *store);

/*
 * Append to `records` the whole records that `fetch` asks for, within its bounds, and fill
 * `fetched`. A body that is left out counts as if it were there. A writer or range it does not hold
 * gives none. STATUS_DAMAGED: bytes on disk are not what was written; STATUS_IO, STATUS_NO_MEMORY.
 */
MUST_CHECK enum status store_read(struct store *store, const struct frame_fetch *fetch,
                                  struct buffer *records, struct frame_fetched *fetched);

/* Counters for metrics. */
struct store_counters {
    uint64_t record_count;
    uint64_t record_bytes;
    uint64_t commit_count;
    uint64_t commit_us_total;  // as the disk's clock says
    uint64_t refused_count;
    uint64_t segment_count;
};
void store_count(const struct store *store, struct store_counters *counters);

/*
 * Visit every record of the segments in `disk` that counts (store/cuts.h), in order, without
 * changing anything, for the offline tools; `capsule` is its name: `visit` gets the bytes and where
 * they lie; a status other than STATUS_OK from it ends the walk and is returned. STATUS_DAMAGED:
 * `place` names file and offset of what is not as it was written; here a torn tail, which
 * store_open() would cut, is damage too. STATUS_NOT_FOUND: there is no segment. STATUS_IO,
 * STATUS_NO_MEMORY.
 */
struct store_place {
    uint32_t segment;
    uint64_t offset;
};
MUST_CHECK enum status store_walk(const struct disk *disk, const struct hash *capsule,
                                  enum status (*visit)(void *context, struct bytes record,
                                                       const struct store_place *place),
                                  void *context, struct store_place *place);

#endif
