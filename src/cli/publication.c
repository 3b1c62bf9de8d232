/* src/cli/publication.c */
#include "cli/publication.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "capsule/term.h"
#include "cli/order.h"
#include "cli/post.h"
#include "cli/report.h"
#include "wire/message.h"

enum { PUBLICATION_WAIT_MS = 30 * 1000 };

enum status publication_prepare(const struct app *app, struct policy *policy, struct buffer *text)
{
    struct buffer current = BUFFER_EMPTY, recorded = BUFFER_EMPTY;
    uint64_t signed_version;
    enum status status = app_read(app, APP_POLICY, &current);
    if (status == STATUS_OK) {
        status = app_read(app, APP_POLICY_RECORDED, &recorded);
    }
    if (status == STATUS_OK) {
        status = app_number(app, APP_POLICY_VERSION, &signed_version);
    }
    if (status != STATUS_OK || bytes_equal(buffer_bytes(&current), buffer_bytes(&recorded))) {
        goto done;
    }
    if (policy->version <= signed_version) {
        policy->version = (uint32_t)signed_version + 1;
        buffer_clear(&current);
        status = policy_encode(policy, &current);
        if (status == STATUS_OK) {
            status = app_write(app, APP_POLICY, buffer_bytes(&current), 0644);
        }
    }
    if (status == STATUS_OK) {
        status = app_raise(app, APP_POLICY_VERSION, policy->version);
    }
    if (status == STATUS_OK) {
        *text = current;
        current = BUFFER_EMPTY;
    }

done:
    buffer_release(&current);
    buffer_release(&recorded);
    return status;
}

enum status publication_note(const struct app *app, struct bytes text)
{
    return app_write(app, APP_POLICY_RECORDED, text, 0600);
}

enum status publication_in_force(const struct app *app, struct policy *policy)
{
    char error[POLICY_ERROR_BYTES_MAX];
    struct buffer text = BUFFER_EMPTY;
    enum status status = app_read(app, APP_POLICY_RECORDED, &text);
    if (status == STATUS_OK) {
        status = policy_parse(policy, buffer_bytes(&text), error);
        if (status != STATUS_OK) {
            report_error("cannot use '%s/" APP_POLICY_RECORDED "': %s; put back the file as it was",
                         app->directory, error);
        }
    }
    buffer_release(&text);
    return status;
}

/* The owner's word, as the leader takes it. */
static enum status encode_order(const struct app *app, const struct policy *policy,
                                struct bytes text, const struct sign_key *owner,
                                struct buffer *plain)
{
    struct buffer body = BUFFER_EMPTY;
    enum status status =
        term_policy_encode(&body, &app->genesis.capsule, policy->version, text, owner);
    const struct message_policy message = {.request = ORDER_REQUEST, .policy = buffer_bytes(&body)};
    if (status == STATUS_OK) {
        status = message_policy_encode(plain, &message);
    }
    buffer_release(&body);
    return status;
}

static bool is_up(const struct app *app)
{
    struct post post;
    bool is_open = post_open(&post, app) == STATUS_OK;
    post_close(&post);
    return is_open;
}

/* Nothing is sent when the policy is the one in force. `policy` is what policy.json says. */
static int send_to_leader(const struct app *app, struct policy *policy)
{
    int result = COMMAND_COULD_NOT;
    struct buffer text = BUFFER_EMPTY, plain = BUFFER_EMPTY;
    struct sign_key *owner = NULL;
    struct policy *in_force = malloc(sizeof *in_force);
    CHECK(in_force != NULL);
    if (publication_in_force(app, in_force) != STATUS_OK ||
        app_key(app, APP_OWNER_KEY, &owner) != STATUS_OK ||
        publication_prepare(app, policy, &text) != STATUS_OK) {
        goto done;
    }
    if (text.length == 0) {
        result = COMMAND_OK;
        goto done;
    }
    enum status status = encode_order(app, policy, buffer_bytes(&text), owner, &plain);
    CHECK(status == STATUS_OK);
    result = order_give_under(app, owner, in_force, "put the policy in force", buffer_bytes(&plain),
                              PUBLICATION_WAIT_MS);
    if (result == COMMAND_OK && publication_note(app, buffer_bytes(&text)) != STATUS_OK) {
        result = COMMAND_COULD_NOT;
    }

done:
    buffer_release(&text);
    buffer_release(&plain);
    sign_key_free(owner);
    free(in_force);
    return result;
}

static int publish(const struct app *app, const char *done, bool is_json)
{
    bool is_running = is_up(app);
    struct policy *policy = malloc(sizeof *policy);
    CHECK(policy != NULL);
    int result = app_policy(app, policy) != STATUS_OK ? COMMAND_COULD_NOT
                 : is_running                         ? send_to_leader(app, policy)
                                                      : COMMAND_OK;
    if (result == COMMAND_OK && is_json) {
        printf("{\"in_force\":%s,\"version\":%u}\n", is_running ? "true" : "false",
               policy->version);
    } else if (result == COMMAND_OK) {
        printf("policy %u %s; it is in force %s\n", policy->version, done,
               is_running ? "from now on" : "after the next 'paranoid up'");
    }
    free(policy);
    return result;
}

int publication_finish(const struct app *app, const char *done, bool is_json)
{
    int result = publish(app, done, is_json);
    if (result != COMMAND_OK) {
        report_note(
            "policy.json is written; 'paranoid policy publish' or the next 'paranoid up' "
            "puts it in force");
    }
    return result;
}

static int run(const struct command_line *line)
{
    int result = COMMAND_COULD_NOT;
    struct app app;
    if (app_open(&app, line) == STATUS_OK) {
        result = publish(&app, "is what policy.json says", command_has(line, "json"));
    }
    app_release(&app);
    return result;
}

const struct command publication_command = {
    .name = "policy publish",
    .arguments = "",
    .summary = "Put policy.json in force now: the running leader judges by it from then on.",
    .about =
        "After policy.json was edited by hand; 'policy update', 'succeed' and 'retire' do it\n"
        "themselves. Whoever is a member stays one: 'paranoid member revoke' throws members out.",
    .status =
        "0 done, or the next 'paranoid up' does it, 1 the leader refuses that or is refused,\n"
        "2 wrong usage, 3 could not",
    .example = "paranoid policy publish",
    .run = run,
};
