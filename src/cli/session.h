/* src/cli/session.h */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "attest/policy.h"
#include "base/buffer.h"
#include "base/random.h"
#include "base/status.h"
#include "capsule/genesis.h"
#include "crypto/sign.h"
#include "wire/frame.h"
#include "wire/join.h"
#include "wire/message.h"

/*
 * session: the owner's side of the handshake with a leader (DESIGN 6.1, wire/join.h): the leader
 * proves itself before anything is said to it. Sans-IO: frames and the time go in, frames come out.
 *
 *   CALLED ──APPLY──► CHALLENGED ──PROVE, admitted by the policy──► TRUSTED ──► answers
 *
 * A new call begins again from anywhere; whatever is refused ends in IDLE.
 */
enum session_state { SESSION_IDLE, SESSION_CALLED, SESSION_CHALLENGED, SESSION_TRUSTED };
enum { SESSION_REASON_BYTES = 1024 };

struct session_config {
    const struct genesis *genesis;  // borrowed
    const struct sign_key *owner;   // borrowed; or a keeper's, with the delegation that names it
    struct bytes delegation;        // borrowed; empty: the owner's own
    const struct policy *policy;    // borrowed
    const struct random *random;    // borrowed
};

struct session {
    struct session_config config;
    enum session_state state;
    struct join_judge *judge;
    struct channel *channel;
    struct verify_key leader;  // from CHALLENGED on; it is what it says from TRUSTED on
    struct buffer evidence;    // from TRUSTED on
    struct verdict verdict;    // of the last evidence seen
    struct buffer plain;
    char reason[SESSION_REASON_BYTES];  // of the last refusal: why, and what to do
};

void session_init(struct session *session, const struct session_config *config);
void session_release(struct session *session);

/* Ask the leader to prove itself: `frame` receives the CALL. */
MUST_CHECK enum status session_call(struct session *session, struct buffer *frame);

/*
 * A frame from the host. `reply` may receive one to send. STATUS_EMPTY: nothing for the caller yet.
 * STATUS_OK: the state is TRUSTED now; or, when it was so before, `answer` is the leader's answer
 * (it borrows from the session). STATUS_DENIED: refused; `reason` says why.
 * STATUS_NOT_FOUND: the host says that no leader is there. STATUS_NO_MEMORY.
 */
MUST_CHECK enum status session_receive(struct session *session, const struct frame *frame,
                                       uint64_t now_s, struct buffer *reply,
                                       struct message_answer *answer);

/* Seal a message to a trusted leader: `frame` receives it. */
MUST_CHECK enum status session_seal(struct session *session, struct bytes plain,
                                    struct buffer *frame);

#endif
