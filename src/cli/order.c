/* src/cli/order.c */
#include "cli/order.h"

#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "cli/clock.h"
#include "cli/command.h"
#include "cli/known.h"
#include "cli/post.h"
#include "cli/report.h"
#include "cli/session.h"

/* What passes between here and the leader. */
struct exchange {
    struct post post;
    struct session session;
    struct bytes message;
    int64_t due_ms;
};

/* One frame from the host. STATUS_OK: `answer` is the leader's. STATUS_EMPTY: go on. */
static enum status take_frame(struct exchange *exchange, const struct frame *frame,
                              struct message_answer *answer)
{
    struct buffer reply = BUFFER_EMPTY;
    bool was_trusted = exchange->session.state == SESSION_TRUSTED;
    enum status status =
        session_receive(&exchange->session, frame, (uint64_t)time(NULL), &reply, answer);
    if (status == STATUS_OK && !was_trusted) {
        status = session_seal(&exchange->session, exchange->message, &reply);
        status = status == STATUS_OK ? STATUS_EMPTY : status;
    } else if (status == STATUS_OK && answer->request != ORDER_REQUEST) {
        status = STATUS_EMPTY;
    }
    if (reply.length > 0) {
        enum status sent = post_send(&exchange->post, buffer_bytes(&reply));
        status = sent == STATUS_OK ? status : sent;
    }
    buffer_release(&reply);
    return status;
}

static enum status await_answer(struct exchange *exchange, struct message_answer *answer)
{
    while (true) {
        struct frame frame;
        int64_t left_ms = exchange->due_ms - clock_now_ms();
        enum status status =
            left_ms <= 0 ? STATUS_TIMEOUT : post_receive(&exchange->post, &frame, (int)left_ms);
        if (status == STATUS_OK) {
            status = take_frame(exchange, &frame, answer);
        } else if (status == STATUS_TIMEOUT && left_ms > 0) {
            status = STATUS_EMPTY;
        }
        if (status != STATUS_EMPTY) {
            return status;
        }
    }
}

static int report_failure(const struct exchange *exchange, const char *what, enum status status)
{
    if (status == STATUS_DENIED) {
        report_error("cannot %s: refusing the leader: %s", what, exchange->session.reason);
        return COMMAND_NO;
    }
    report_error("cannot %s: %s", what,
                 status == STATUS_NOT_FOUND ? "no leader is up; try again in a moment"
                 : status == STATUS_TIMEOUT ? "the leader does not answer; see 'paranoid status'"
                 : status == STATUS_CLOSED  ? "the host has ended; start it with 'paranoid up'"
                                            : status_text(status));
    return COMMAND_COULD_NOT;
}

int order_give_under(const struct app *app, const struct sign_key *owner,
                     const struct policy *policy, const char *what, struct bytes message,
                     int wait_ms)
{
    int result = COMMAND_COULD_NOT;
    const struct random random = random_kernel();
    struct exchange exchange = {.message = message, .due_ms = clock_now_ms() + wait_ms};
    struct buffer frame = BUFFER_EMPTY;
    struct message_answer answer;
    struct known known = KNOWN_NONE;
    const struct session_config config = {
        .genesis = &app->genesis, .owner = owner, .policy = policy, .random = &random};
    session_init(&exchange.session, &config);
    enum status status = post_open(&exchange.post, app);
    if (status != STATUS_OK) {
        report_error("cannot %s: the app does not run; start it with 'paranoid up --app %s'", what,
                     app->directory);
        goto done;
    }
    status = session_call(&exchange.session, &frame);
    if (status == STATUS_OK) {
        status = post_send(&exchange.post, buffer_bytes(&frame));
    }
    if (status == STATUS_OK) {
        status = await_answer(&exchange, &answer);
    }
    if (status != STATUS_OK) {
        result = report_failure(&exchange, what, status);
        goto done;
    }
    if (known_load(&known, app) != STATUS_OK || known_take(&known, app, &answer) != STATUS_OK) {
        goto done;
    }
    result = COMMAND_OK;
    if (answer.status != STATUS_OK) {
        report_error("cannot %s: %.*s (%s)", what, (int)answer.text.length,
                     (const char *)answer.text.at, status_text((enum status)answer.status));
        result = COMMAND_NO;
    }

done:
    known_release(&known);
    post_close(&exchange.post);
    session_release(&exchange.session);
    buffer_release(&frame);
    return result;
}

int order_give(const struct app *app, const struct sign_key *owner, const char *what,
               struct bytes message, int wait_ms)
{
    struct policy *policy = malloc(sizeof *policy);
    CHECK(policy != NULL);
    int result = app_policy(app, policy) == STATUS_OK
                     ? order_give_under(app, owner, policy, what, message, wait_ms)
                     : COMMAND_COULD_NOT;
    free(policy);
    return result;
}
