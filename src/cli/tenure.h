/* src/cli/tenure.h */
#ifndef CLI_TENURE_H
#define CLI_TENURE_H

#include <stdbool.h>
#include <stdint.h>

#include "attest/policy.h"
#include "base/random.h"
#include "base/status.h"
#include "cli/app.h"
#include "cli/known.h"
#include "cli/post.h"
#include "cli/session.h"

/*
 * tenure: gives a leader its term: it judges the leader's evidence, signs a TERM, and sends the
 * seed over the channel (DESIGN 6.1). Then it hears from the leader which SYNCs W stores hold. What
 * `up`, `recover` and `keeper` have in common.
 */
struct tenure {
    struct app *app;           // borrowed; what it says of the stores is read anew
    struct sign_key *signer;   // the owner's key, or a keeper's
    struct buffer delegation;  // the keeper's; empty: it is the owner
    struct delegation keeper;  // what that says
    struct secret *seed;
    struct policy *policy;
    struct buffer policy_text;  // policy.json, when it is to be published; else empty
    struct random random;
    struct session session;
    struct known known;
    bool accepts_loss;  // go on from `loss_from`, and give up what is known beyond
    struct app_sync loss_from;
    uint64_t term;            // the last one given
    uint64_t stores_version;  // of the word on the stores in it
    uint64_t sync_epoch;      // that its leader leads from
    bool is_leading;
    int64_t due_ms;      // of the handshake's step; INT64_MAX: none is under way
    int64_t started_ms;  // when this began, for what is said to people
};

/* What came of a frame. */
enum tenure_event {
    TENURE_NOTHING,
    TENURE_LEADS,        // the leader has taken over
    TENURE_FAILED,       // the leader cannot take over; it was said, and another may
    TENURE_ROLLED_BACK,  // the stores lack what is known; it was said. `loss_from`: what they hold
    TENURE_OTHERS,       // somebody else has given this leader its term
    TENURE_REFUSED,      // no leader of this program gets a term; it was said
    TENURE_BROKEN,       // the host is gone
    TENURE_STUCK,        // this machine cannot go on, or an answer is no good; it was said
};

/*
 * Read what signing terms needs; the app is borrowed. Says on stderr why it failed. Release it
 * whatever comes back.
 */
MUST_CHECK enum status tenure_open(struct tenure *tenure, struct app *app);
/* The same for a keeper: with its own key and the owner's delegation (cli/keeper.h). */
MUST_CHECK enum status tenure_open_as_keeper(struct tenure *tenure, struct app *app);
void tenure_release(struct tenure *tenure);

/*
 * Whether policy.json has to be published with the term: it is not the one that the last leader
 * took. Its version is then above every one that was ever signed, so that no capsule refuses it as
 * old. The owner's; says on stderr what it does.
 */
MUST_CHECK enum status tenure_prepare_policy(struct tenure *tenure);

/* Ask the leader that is there to prove itself: it gets the next term. */
MUST_CHECK enum status tenure_call(struct tenure *tenure, struct post *post);

/* A JOIN, CHANNEL or REFUSED frame from the host. */
enum tenure_event tenure_receive(struct tenure *tenure, struct post *post,
                                 const struct frame *frame);

/* Since it was opened, for what is said to people. */
long long tenure_elapsed_ms(const struct tenure *tenure);

/* Whether the leader has its term, and has not said yet what came of it. */
bool tenure_is_given(const struct tenure *tenure);

/* Whether the leader is silent in the middle of the handshake: it is to be called again. */
bool tenure_is_overdue(const struct tenure *tenure);

#endif
