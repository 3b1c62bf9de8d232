/* src/wire/join.h */
#ifndef WIRE_JOIN_H
#define WIRE_JOIN_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/random.h"
#include "base/status.h"
#include "capsule/member.h"
#include "capsule/writer.h"
#include "crypto/agree.h"
#include "crypto/certificate.h"
#include "crypto/hash.h"
#include "crypto/sign.h"
#include "wire/channel.h"

/*
 * join: the handshake by which an enclave proves what it is and gets a channel
 * (DESIGN 6.1 and 6.3, docs/format/join.md). Two parts, two uses:
 *
 *   applicant              judge                 label                  judge signs with
 *   worker enclave         leader enclave        "paranoid join v1"     its TERM key
 *   leader enclave         the owner's CLI       "paranoid provision v1"  the owner key
 *   leader enclave        a keeper              the same               the keeper's key
 *
 *   0 CALL, judge → applicant: "speak to me"; body empty; only the owner's CLI sends it
 *   1 APPLY, applicant → judge:
 *       version, 1 ‖ role ‖ capsule ‖ X25519 key ‖ nonce 32 ‖ writer public key ‖ TLS public key
 *   2 ANSWER, judge → applicant:
 *       X25519 key ‖ nonce 32 ‖ u32 length, TERM body (empty from the owner; a keeper's
 *       delegation, capsule/delegation.h) ‖
 *       Ed25519, purpose label " judge", over SHA-256(message 1 ‖ message 2 before the signature)
 *     T = SHA-256(message 1 ‖ message 2); a channel, with one key for each direction:
 *     HKDF(X25519 result, purpose label " applicant" or label " judge" after the sender, T)
 *   3 PROVE, applicant → judge: the evidence, sealed on the channel; its report data is
 *       SHA-512(label " member" ‖ T)
 *  15 REFUSED, judge → applicant: a reason in words, in the clear; ends the attempt
 *
 * The transcript binds both fresh keys, so evidence from an earlier join fits no
 * later one. Nothing secret is sent before the judge has seen the evidence.
 * JOIN frame body: step (1 byte) ‖ message. Sans-IO: bytes in, bytes out.
 */
enum join_step {
    JOIN_CALL = 0,
    JOIN_APPLY = 1,
    JOIN_ANSWER = 2,
    JOIN_PROVE = 3,
    JOIN_REFUSED = 15
};
enum join_label { JOIN_MEMBER, JOIN_PROVISION };

enum { JOIN_NONCE_BYTES = 32, JOIN_REPORT_DATA_BYTES = 64, JOIN_REASON_BYTES_MAX = 512 };

/* Message 1, as the judge reads it. */
struct join_apply {
    enum member_role role;
    struct hash capsule;
    struct agree_public agree;
    uint8_t nonce[JOIN_NONCE_BYTES];
    struct verify_key key;  // the writer's
    struct p256_public tls_key;
};

/*
 * Split a JOIN frame body. `message` borrows. STATUS_MALFORMED: an unknown step,
 * a length that the step cannot have, or a reason that is not printable ASCII.
 */
MUST_CHECK enum status join_decode(enum join_step *step, struct bytes *message, struct bytes body);

/* The applicant's side. */
struct join_applicant;

/* Start: `target` receives the JOIN frame body of message 1. STATUS_NO_MEMORY. */
MUST_CHECK enum status join_applicant_new(struct join_applicant **applicant, enum join_label label,
                                          enum member_role role, const struct hash *capsule,
                                          const struct verify_key *key,
                                          const struct p256_public *tls_key,
                                          const struct random *random, struct buffer *target);
void join_applicant_free(struct join_applicant *applicant);

/*
 * Message 2 has come. For JOIN_PROVISION `owner` signed it, or a keeper whose delegation in it
 * `owner` signed; for JOIN_MEMBER the leader named by the TERM body inside, which `owner` signed:
 * `term` and `leader` receive them (for JOIN_PROVISION 0 and the owner or keeper).
 * On STATUS_OK `report_data` is what the evidence has to carry.
 * STATUS_MALFORMED, STATUS_FORGED: the attempt is over.
 * STATUS_STALE: an answer was taken or refused before; drop this one, the attempt stands where it
 * stood.
 */
MUST_CHECK enum status join_applicant_answer(struct join_applicant *applicant, struct bytes message,
                                             const struct verify_key *owner, uint64_t *term,
                                             struct verify_key *leader,
                                             uint8_t report_data[JOIN_REPORT_DATA_BYTES]);

/*
 * Evidence is here: `target` receives the JOIN frame body of message 3, and
 * `*channel` (the caller's) speaks to the judge from now on. STATUS_MALFORMED:
 * it is longer than MEMBER_EVIDENCE_BYTES_MAX; ask again. STATUS_STALE: nothing
 * awaits evidence. STATUS_NO_MEMORY. On any but STATUS_OK `*channel` is NULL.
 */
MUST_CHECK enum status join_applicant_prove(struct join_applicant *applicant, struct bytes evidence,
                                            struct buffer *target, struct channel **channel);

/* The judge's side. */
struct join_judge;

/*
 * Message 1 has come: decode it into `apply`, and answer: `target` receives the JOIN
 * frame body of message 2. The caller has to look at apply->role and ->capsule.
 * `term_body` is for JOIN_PROVISION empty, or the keeper's delegation; else it names the public
 * half of `key`. STATUS_MALFORMED; STATUS_FORGED: an X25519 key of small order; STATUS_NO_MEMORY.
 * On any but STATUS_OK `*judge` is NULL.
 */
MUST_CHECK enum status join_judge_new(struct join_judge **judge, enum join_label label,
                                      struct bytes message, struct bytes term_body,
                                      const struct sign_key *key, const struct random *random,
                                      struct join_apply *apply, struct buffer *target);
void join_judge_free(struct join_judge *judge);

/*
 * Message 3 has come: append the evidence to `evidence`; `report_data` is what
 * it must carry for this very handshake: nothing secret is said on `*channel` (the
 * caller's, it speaks to the applicant) before a verifier found it there.
 * STATUS_MALFORMED, STATUS_FORGED: the attempt is over. STATUS_STALE: a message 3
 * was taken or refused before. On any but STATUS_OK `*channel` is NULL.
 */
MUST_CHECK enum status join_judge_prove(struct join_judge *judge, struct bytes message,
                                        struct buffer *evidence,
                                        uint8_t report_data[JOIN_REPORT_DATA_BYTES],
                                        struct channel **channel);

/* `target` receives the JOIN frame body of a CALL. */
MUST_CHECK enum status join_call(struct buffer *target);

/*
 * `target` receives the JOIN frame body of a refusal. `reason` is text for the log: cut
 * after JOIN_REASON_BYTES_MAX, and '?' for what is not printable ASCII.
 */
MUST_CHECK enum status join_refuse(struct buffer *target, const char *reason);

#endif
