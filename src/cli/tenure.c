/* src/cli/tenure.c */
#include "cli/tenure.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "capsule/term.h"
#include "cli/clock.h"
#include "cli/exhibit.h"
#include "cli/keeper.h"
#include "cli/publication.h"
#include "cli/report.h"
#include "cli/store_set.h"

enum {
    TENURE_STEP_MS_MAX = 10 * 1000,  // of one step of a leader's handshake
    TENURE_LEAP_MAX = 1 << 20,       // terms that others have given meanwhile
};

long long tenure_elapsed_ms(const struct tenure *tenure)
{
    return (long long)(clock_now_ms() - tenure->started_ms);
}

static enum status read_files(struct tenure *tenure, struct app *app, const char *key_name)
{
    *tenure = (struct tenure){
        .app = app,
        .random = random_kernel(),
        .known = KNOWN_NONE,
        .due_ms = INT64_MAX,
        .started_ms = clock_now_ms(),
    };
    tenure->policy = malloc(sizeof *tenure->policy);
    CHECK(tenure->policy != NULL);
    enum status status = app_key(app, key_name, &tenure->signer);
    if (status == STATUS_OK) {
        status = app_seed(app, &tenure->seed);
    }
    if (status == STATUS_OK) {
        status = app_policy(app, tenure->policy);
    }
    if (status == STATUS_OK) {
        status = known_load(&tenure->known, app);
    }
    return status;
}

static void begin(struct tenure *tenure)
{
    const struct session_config config = {
        .genesis = &tenure->app->genesis,
        .owner = tenure->signer,
        .delegation = buffer_bytes(&tenure->delegation),
        .policy = tenure->policy,
        .random = &tenure->random,
    };
    session_init(&tenure->session, &config);
}

enum status tenure_open(struct tenure *tenure, struct app *app)
{
    enum status status = read_files(tenure, app, APP_OWNER_KEY);
    begin(tenure);
    return status;
}

enum status tenure_open_as_keeper(struct tenure *tenure, struct app *app)
{
    enum status status = read_files(tenure, app, KEEPER_KEY);
    if (status == STATUS_OK) {
        status = app_read(app, KEEPER_DELEGATION, &tenure->delegation);
    }
    if (status == STATUS_OK) {
        status = delegation_decode(&tenure->keeper, buffer_bytes(&tenure->delegation),
                                   &app->genesis.owner, &app->genesis.capsule);
        if (status != STATUS_OK) {
            report_error("cannot keep app '%s': its delegation: %s", app->directory,
                         status_text(status));
        }
    }
    begin(tenure);
    return status;
}

void tenure_release(struct tenure *tenure)
{
    session_release(&tenure->session);
    known_release(&tenure->known);
    buffer_release(&tenure->policy_text);
    secret_free(tenure->seed);
    sign_key_free(tenure->signer);
    buffer_release(&tenure->delegation);
    free(tenure->policy);
}

enum status tenure_prepare_policy(struct tenure *tenure)
{
    enum status status = publication_prepare(tenure->app, tenure->policy, &tenure->policy_text);
    if (status == STATUS_OK && tenure->policy_text.length > 0) {
        report_note("policy %u is new, and is published with this term", tenure->policy->version);
    }
    return status;
}

/* The owner may have put another policy in force since this one was read. */
static enum status follow_policy(struct tenure *tenure)
{
    struct policy *in_force = malloc(sizeof *in_force);
    CHECK(in_force != NULL);
    enum status status = publication_in_force(tenure->app, in_force);
    if (status == STATUS_OK && in_force->version > tenure->policy->version) {
        *tenure->policy = *in_force;
    }
    free(in_force);
    return status;
}

enum status tenure_call(struct tenure *tenure, struct post *post)
{
    struct buffer frame = BUFFER_EMPTY;
    tenure->is_leading = false;
    tenure->due_ms = clock_now_ms() + TENURE_STEP_MS_MAX;
    // A keeper has the policy that it was given.
    enum status status = tenure->delegation.length > 0 ? STATUS_OK : follow_policy(tenure);
    if (status == STATUS_OK) {
        status = session_call(&tenure->session, &frame);
    }
    if (status == STATUS_OK) {
        status = post_send(post, buffer_bytes(&frame));
    }
    buffer_release(&frame);
    return status;
}

bool tenure_is_given(const struct tenure *tenure)
{
    return !tenure->is_leading && tenure->session.state == SESSION_TRUSTED;
}

bool tenure_is_overdue(const struct tenure *tenure)
{
    return !tenure->is_leading && clock_now_ms() > tenure->due_ms;
}

static enum status sign_term(struct tenure *tenure, struct buffer *body)
{
    enum status status = app_number(tenure->app, APP_TERM, &tenure->term);
    // First kept, then signed: a crash between the two skips a number, and none is used twice.
    tenure->term++;
    if (tenure->delegation.length > 0 && tenure->term < tenure->keeper.first) {
        tenure->term = tenure->keeper.first;
    }
    if (status == STATUS_OK) {
        status = app_raise(tenure->app, APP_TERM, tenure->term);
    }
    if (status == STATUS_OK) {
        status = app_read_stores(tenure->app);
    }
    if (status != STATUS_OK) {
        return status;
    }
    tenure->stores_version = tenure->app->stores.version;
    const struct app_sync *known = &tenure->known.sync;
    struct term term = {
        .capsule = tenure->app->genesis.capsule,
        .number = tenure->term,
        .leader = tenure->session.leader,
        .sync = known->hash,
        .sync_epoch = known->epoch,
        .evidence = buffer_bytes(&tenure->session.evidence),
        .stores = buffer_bytes(&tenure->app->stores_word),
        .delegation = buffer_bytes(&tenure->delegation),
    };
    if (tenure->accepts_loss) {
        term.sync = tenure->loss_from.hash;
        term.sync_epoch = tenure->loss_from.epoch;
        term.lost = known->hash;
        term.lost_epoch = known->epoch;
    }
    return term_encode(body, &term, tenure->signer);
}

/* The leader has proved itself: it gets a term, the seed, and the policy if that is new. */
static enum status send_seed(struct tenure *tenure, struct post *post)
{
    struct buffer term = BUFFER_EMPTY, policy = BUFFER_EMPTY, plain = BUFFER_EMPTY,
                  frame = BUFFER_EMPTY;
    enum status status = sign_term(tenure, &term);
    if (status == STATUS_OK && tenure->policy_text.length > 0) {
        status = term_policy_encode(&policy, &tenure->app->genesis.capsule, tenure->policy->version,
                                    buffer_bytes(&tenure->policy_text), tenure->signer);
    }
    if (status == STATUS_OK) {
        const struct message_seed seed = {
            .seed = secret_bytes(tenure->seed),
            .sync = tenure->accepts_loss ? (struct branch_head){.head = {.sequence = 0}}
                                         : tenure->known.head,
            .term_body = buffer_bytes(&term),
            .policy_body = buffer_bytes(&policy),
        };
        status = message_seed_encode(&plain, &seed);
    }
    if (status == STATUS_OK) {
        status = session_seal(&tenure->session, buffer_bytes(&plain), &frame);
    }
    if (status == STATUS_OK) {
        status = post_send(post, buffer_bytes(&frame));
    }
    if (status == STATUS_OK) {
        const struct verdict *verdict = &tenure->session.verdict;
        const char *tcb = verdict_tcb_text(verdict->tcb_status);
        report_note("leader attested (tee=%s, %s); term %" PRIu64 " (%lld ms)",
                    verdict_tee_text(verdict->tee), tcb != NULL ? tcb : "no TCB status",
                    tenure->term, tenure_elapsed_ms(tenure));
        tenure->due_ms = INT64_MAX;  // how long a takeover takes depends on the capsule
    }
    buffer_release(&term);
    buffer_release(&policy);
    buffer_release(&plain);
    buffer_release(&frame);
    return status;
}

/* ---- what the leader says ---- */

/* What ended it: post_send() alone says that the host is gone. */
static enum tenure_event ended_by(enum status status)
{
    return status == STATUS_CLOSED ? TENURE_BROKEN : TENURE_STUCK;
}

static void report_rollback(struct tenure *tenure, const struct message_answer *answer)
{
    char path[FILE_PATH_BYTES];
    struct buffer bytes = BUFFER_EMPTY;
    struct proof proof;
    report_error("cannot lead app '%s': its stores were rolled back: SYNC %" PRIu64
                 ", which they had signed for, is gone; the newest that they hold is SYNC %" PRIu64,
                 tenure->app->directory, tenure->known.sync.epoch, answer->sync_epoch);
    if (known_prove(&tenure->known, tenure->app, answer->statements, &proof, &bytes, path) ==
        STATUS_OK) {
        exhibit_note(&proof);
        report_note("     the proof is '%s'; 'paranoid proof verify' shows it to anybody", path);
    } else {
        report_note("     what the stores have signed does not prove it to others");
    }
    report_note("     put the stores' directories back as they were, and start again%s",
                tenure->delegation.length > 0
                    ? ""
                    : "; or the owner goes on\n     without what is lost, by 'paranoid recover'");
    buffer_release(&bytes);
}

static enum tenure_event take_refusal(struct tenure *tenure, const struct message_answer *answer)
{
    bool is_rollback =
        answer->status == STATUS_FORGED && answer->sync_epoch < tenure->known.sync.epoch;
    if (is_rollback) {
        report_rollback(tenure, answer);
        tenure->loss_from = (struct app_sync){.epoch = answer->sync_epoch, .hash = answer->sync};
        return TENURE_ROLLED_BACK;
    }
    if (answer->status == STATUS_STALE) {
        tenure->is_leading = true;  // by somebody else's term
        return TENURE_OTHERS;
    }
    // What the host says of a later term is believed as far as it does no harm.
    if (answer->term > tenure->term && answer->term - tenure->term <= TENURE_LEAP_MAX &&
        app_raise(tenure->app, APP_TERM, answer->term) != STATUS_OK) {
        return TENURE_STUCK;
    }
    report_error("the leader of term %" PRIu64 " cannot lead: %.*s (%s)", tenure->term,
                 (int)answer->text.length, (const char *)answer->text.at,
                 status_text((enum status)answer->status));
    return TENURE_FAILED;
}

/* The stores that its TERM names are those that count. A keeper leaves it to the owner. */
static enum status settle_stores(struct tenure *tenure, struct post *post)
{
    bool is_owner = tenure->delegation.length == 0;
    return is_owner && tenure->app->stores.has_former &&
                   tenure->app->stores.version == tenure->stores_version
               ? store_set_settle(tenure->app, tenure->signer, post)
               : STATUS_OK;
}

static enum tenure_event take_answer(struct tenure *tenure, struct post *post,
                                     const struct message_answer *answer)
{
    if (answer->request != 0) {
        return TENURE_NOTHING;
    }
    if (answer->status != STATUS_OK) {
        return take_refusal(tenure, answer);
    }
    enum status status = known_take(&tenure->known, tenure->app, answer);
    if (status != STATUS_OK) {
        return ended_by(status);
    }
    if (tenure->is_leading) {
        return TENURE_NOTHING;
    }
    tenure->is_leading = true;
    tenure->sync_epoch = answer->sync_epoch;
    report_note("leader leads term %" PRIu64 ", epoch %" PRIu64 " (%lld ms)", tenure->term,
                answer->sync_epoch, tenure_elapsed_ms(tenure));
    if (tenure->policy_text.length > 0) {
        status = publication_note(tenure->app, buffer_bytes(&tenure->policy_text));
        buffer_release(&tenure->policy_text);
    }
    if (status == STATUS_OK) {
        status = settle_stores(tenure, post);
    }
    return status == STATUS_OK ? TENURE_LEADS : ended_by(status);
}

enum tenure_event tenure_receive(struct tenure *tenure, struct post *post,
                                 const struct frame *frame)
{
    struct buffer reply = BUFFER_EMPTY;
    struct message_answer answer;
    bool was_trusted = tenure->session.state == SESSION_TRUSTED;
    enum status status =
        session_receive(&tenure->session, frame, (uint64_t)time(NULL), &reply, &answer);
    if (reply.length > 0 &&
        (status == STATUS_OK || status == STATUS_EMPTY || status == STATUS_DENIED)) {
        enum status sent = post_send(post, buffer_bytes(&reply));
        status = sent == STATUS_OK ? status : sent;
        tenure->due_ms = clock_now_ms() + TENURE_STEP_MS_MAX;
    }
    buffer_release(&reply);
    switch (status) {
    case STATUS_OK:
        if (was_trusted) {
            return take_answer(tenure, post, &answer);
        }
        status = send_seed(tenure, post);
        return status == STATUS_OK ? TENURE_NOTHING : ended_by(status);
    case STATUS_EMPTY:
        return TENURE_NOTHING;
    case STATUS_NOT_FOUND:
        tenure->due_ms = INT64_MAX;  // the next one says HELLO
        return TENURE_NOTHING;
    case STATUS_DENIED:
        report_error("refusing the leader: %s", tenure->session.reason);
        return TENURE_REFUSED;
    default:
        return ended_by(status);
    }
}
