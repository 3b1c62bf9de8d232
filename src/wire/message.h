/* src/wire/message.h */
#ifndef WIRE_MESSAGE_H
#define WIRE_MESSAGE_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "capsule/keys.h"
#include "capsule/writer.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "wire/channel.h"
#include "wire/frame.h"
#include "wire/vouch.h"

/*
 * message: what is said inside a channel (docs/format/message.md). One byte of
 * kind, then fields. Requests of the owner carry a number that the answer repeats.
 *
 * Each encode appends to `target`, which holds secrets from then on: wipe it after
 * sealing. STATUS_MALFORMED: longer than MESSAGE_BYTES_MAX, what a CHANNEL frame
 * has room for. STATUS_NO_MEMORY. On both `target` is as it was.
 */
enum message_kind {
    MESSAGE_GRANT = 1,   // leader → member: what it needs to take up its role
    MESSAGE_SEED = 2,    // owner → leader: lead this term
    MESSAGE_DEPLOY = 3,  // owner → leader: publish this function
    MESSAGE_ANSWER = 4,  // leader → owner
    MESSAGE_RENEW = 5,   // leader → member: a new certificate; member → leader: please (empty)
    MESSAGE_LOCK_ASK = 6,      // worker → leader: this lock, please
    MESSAGE_LOCK_GRANT = 7,    // leader → worker: it is yours
    MESSAGE_LOCK_RELEASE = 8,  // worker → leader: done with it, or no longer wanted
    MESSAGE_LOCK_ANSWER = 9,   // leader → worker: it is settled
    MESSAGE_PRUNE = 10,        // compactor → leader: these bodies have become dispensable
    MESSAGE_VOUCH_ASK = 11,    // worker → leader: say who you are, and that I am your member
    MESSAGE_VOUCH = 12,        // leader → worker
    MESSAGE_KEY = 13,          // member → leader: this data key, please (empty); and back
    MESSAGE_ROTATE = 14,       // owner → leader: begin a key epoch
    MESSAGE_REVOKE = 15,       // owner → leader: throw this member out
    MESSAGE_POLICY = 16,       // owner → leader: from now on judge by this policy
};

enum {
    MESSAGE_KEYS_MAX = KEYS_EPOCHS_MAX,
    MESSAGE_TOKENS_MAX = 16,
    MESSAGE_HEADS_MAX = 8192,
    MESSAGE_LOCK_NAME_BYTES_MAX = 1024 + 8,
    MESSAGE_VOUCH_BYTES_MAX = 3 << 20,
    MESSAGE_BYTES_MAX = FRAME_BYTES_MAX - FRAME_HEADER_BYTES - CHANNEL_OVERHEAD_BYTES,
};

struct message_key {
    uint32_t key_epoch;
    const uint8_t *secret;  // SECRET_BYTES, borrowed
};

/*
 * GRANT: data keys, certificate, bearer tokens it accepts, the heads to reach before serving, and
 * the MANIFEST to begin from (sequence 0: none, the log is to be read).
 * message_grant_encode() takes head_count heads from `heads` and ignores grant->heads.
 */
struct message_grant {
    uint32_t key_count;
    struct message_key keys[MESSAGE_KEYS_MAX];
    struct bytes certificate;  // DER
    struct bytes root;         // DER
    uint32_t token_count;
    struct hash tokens[MESSAGE_TOKENS_MAX];  // SHA-256 of each
    uint32_t head_count;
    const uint8_t *heads;  // borrowed: encoded branch heads (56 bytes each)
    struct branch_head manifest;
};
MUST_CHECK enum status message_grant_encode(struct buffer *target,
                                            const struct message_grant *grant,
                                            const struct branch_head *heads);
/* `index` is below head_count (CHECK). */
struct branch_head message_grant_head(const struct message_grant *grant, uint32_t index);

/*
 * SEED: `term_body` and `policy_body` are owner-signed; the latter is empty when nothing changed.
 * `sync` is the SYNC that the TERM names: whose, and where; zeroes: not known.
 */
struct message_seed {
    const uint8_t *seed;  // SECRET_BYTES, borrowed
    struct branch_head sync;
    struct bytes term_body;
    struct bytes policy_body;
};
MUST_CHECK enum status message_seed_encode(struct buffer *target, const struct message_seed *seed);

/* DEPLOY: `function` is owner-signed (capsule/function.h). */
struct message_deploy {
    uint32_t request;
    struct bytes function;
};
MUST_CHECK enum status message_deploy_encode(struct buffer *target,
                                             const struct message_deploy *deploy);

/*
 * ANSWER: `status` is an enum status; `text` for people; `sync` the newest SYNC (zero: none).
 * `statements`: what stores have signed. From a leader that leads, a warrant that W stores hold
 * that SYNC (capsule/proof.h), or nothing while too few have told the truth; from one that found a
 * rollback, fences.
 * Request 0 is about the term itself: first how taking over went, then, once it leads, newer SYNCs.
 * `term`: the highest that this leader has heard of, even if only a host says so.
 */
struct message_answer {
    uint32_t request;
    uint32_t status;
    struct bytes text;
    uint64_t term;
    uint64_t sync_epoch;
    struct hash sync;
    struct bytes statements;
};
MUST_CHECK enum status message_answer_encode(struct buffer *target,
                                             const struct message_answer *answer);

/* KEY: the data key of one key epoch; without its secret (NULL) a request. */
MUST_CHECK enum status message_key_encode(struct buffer *target, const struct message_key *key);

/* ROTATE */
MUST_CHECK enum status message_rotate_encode(struct buffer *target, uint32_t request);

/* REVOKE: `revocation` is owner-signed (capsule/revoke.h). */
struct message_revoke {
    uint32_t request;
    struct bytes revocation;
};
MUST_CHECK enum status message_revoke_encode(struct buffer *target,
                                             const struct message_revoke *revoke);

/* POLICY: `policy` is owner-signed (capsule/term.h). */
struct message_policy {
    uint32_t request;
    struct bytes policy;
};
MUST_CHECK enum status message_policy_encode(struct buffer *target,
                                             const struct message_policy *policy);

/* PRUNE: the body of a PRUNE record (capsule/prune.h) as it would be; its term means nothing. */
struct message_prune {
    struct bytes body;
};
MUST_CHECK enum status message_prune_encode(struct buffer *target,
                                            const struct message_prune *prune);

/* RENEW */
struct message_renew {
    struct bytes certificate;  // DER; empty: a request
};
MUST_CHECK enum status message_renew_encode(struct buffer *target,
                                            const struct message_renew *renew);

/*
 * LOCK_ASK: `request` is the worker's own number, never 0 and never used again; it stands for the
 * lock in all that follows. Asking again with the same one asks once.
 */
struct message_lock_ask {
    uint64_t request;
    struct bytes name;  // borrowed; 1 to MESSAGE_LOCK_NAME_BYTES_MAX
};
MUST_CHECK enum status message_lock_ask_encode(struct buffer *target,
                                               const struct message_lock_ask *ask);

/*
 * LOCK_GRANT: what to apply first: the SYNC of `epoch` (0: none), the leader's records up to
 * `decided` with the decisions among them, and the heads. message_lock_grant_encode() takes
 * head_count heads from `heads` and ignores grant->heads.
 */
struct message_lock_grant {
    uint64_t request;
    struct hash lock;  // HMAC of the name
    uint64_t fence;
    uint64_t epoch;
    uint64_t decided;  // at least that of the LOCK that decided the grant before, and of the CLOSE
                       // of each branch among the heads; 0: there is none in this term
    uint32_t head_count;
    const uint8_t *heads;  // borrowed
};
MUST_CHECK enum status message_lock_grant_encode(struct buffer *target,
                                                 const struct message_lock_grant *grant,
                                                 const struct branch_head *heads);
struct branch_head message_lock_grant_head(const struct message_lock_grant *grant, uint32_t index);

/*
 * LOCK_RELEASE: the record written under the lock, which W stores hold; sequence 0: nothing was
 * written, or the lock is no longer wanted. `heads` is what was read on the way to it.
 */
struct message_lock_release {
    uint64_t request;
    uint64_t fence;  // 0: not granted yet
    struct head record;
    uint32_t head_count;
    const uint8_t *heads;  // borrowed
};
MUST_CHECK enum status message_lock_release_encode(struct buffer *target,
                                                   const struct message_lock_release *release,
                                                   const struct branch_head *heads);
struct branch_head message_lock_release_head(const struct message_lock_release *release,
                                             uint32_t index);

/*
 * LOCK_ANSWER: STATUS_OK: whatever became of it stands in the leader's branch up to `sequence`.
 * STATUS_FULL: too many ask, or too many names.
 */
struct message_lock_answer {
    uint64_t request;
    uint32_t status;
    uint64_t sequence;
};
MUST_CHECK enum status message_lock_answer_encode(struct buffer *target,
                                                  const struct message_lock_answer *answer);

/*
 * VOUCH_ASK: the worker's fresh evidence over the client's nonce. `request` is the worker's number,
 * never 0.
 */
struct message_vouch_ask {
    uint32_t request;
    struct bytes nonce;     // borrowed; 1 to VOUCH_NONCE_BYTES_MAX
    struct bytes evidence;  // borrowed; at most VOUCH_EVIDENCE_BYTES_MAX
};
MUST_CHECK enum status message_vouch_ask_encode(struct buffer *target,
                                                const struct message_vouch_ask *ask);

/* VOUCH: the whole of wire/vouch.h, with that evidence in it. */
struct message_vouch {
    uint32_t request;
    struct bytes vouch;  // borrowed; at most MESSAGE_VOUCH_BYTES_MAX
};
MUST_CHECK enum status message_vouch_encode(struct buffer *target,
                                            const struct message_vouch *vouch);

struct message {
    enum message_kind kind;
    union {
        struct message_grant grant;
        struct message_seed seed;
        struct message_deploy deploy;
        struct message_answer answer;
        struct message_renew renew;
        struct message_key key;
        uint32_t rotate;  // its request
        struct message_revoke revoke;
        struct message_policy policy;
        struct message_prune prune;
        struct message_lock_ask lock_ask;
        struct message_lock_grant lock_grant;
        struct message_lock_release lock_release;
        struct message_lock_answer lock_answer;
        struct message_vouch_ask vouch_ask;
        struct message_vouch vouch;
    };
};

/*
 * Borrows from `bytes`, which hold secrets: the caller wipes them. STATUS_MALFORMED:
 * an unknown kind, a count or length beyond its bound, or bytes left over.
 */
MUST_CHECK enum status message_decode(struct message *message, struct bytes bytes);

#endif
