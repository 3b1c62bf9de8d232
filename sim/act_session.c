/* sim/act_session.c */

/* Clients keep the token of the last answer of each worker. P6; and P8, that nobody cries wolf. */
#include <stdlib.h>

#include "base/check.h"
#include "sim/checker_session.h"
#include "sim/scenario_internal.h"

// Who has ended may take a while to be closed; until then a token that names it is not reached.
enum { REACH_US = 60 * 1000 * 1000 };

static void *begin(struct scenario *s)
{
    (void)s;
    struct checker_session *sessions = calloc(FEDERATION_WORKERS_MAX, sizeof *sessions);
    CHECK(sessions != NULL);
    return sessions;
}

static void watch(struct scenario *s, void *state)
{
    struct checker_session *sessions = state;
    char reason[CHECKER_REASON_BYTES];
    for (size_t i = 0; i < s->config->worker_count; i++) {
        size_t worker = s->workers[i];
        if (scenario_is_ready(s, i) &&
            !checker_session_judge(&sessions[worker], federation_worker_scl(s->federation, worker),
                                   worker, reason)) {
            scenario_fail(s, "%s", reason);
        }
    }
    if (federation_owner_has_alarm(s->federation)) {
        scenario_fail(s, "P8: a leader told the owner of a rollback, and there was none");
    }
}

struct tokens {
    const struct checker_session *sessions;
    size_t count;
    size_t worker;
    char reason[CHECKER_REASON_BYTES];
};

static bool are_reached(struct federation *federation, void *context)
{
    struct tokens *tokens = context;
    bool are_reached = true;
    if (!federation_worker_is_alive(federation, tokens->worker)) {
        return true;
    }
    for (size_t i = 0; i < tokens->count && are_reached; i++) {
        are_reached = checker_session_judge_end(&tokens->sessions[i],
                                                federation_worker_scl(federation, tokens->worker),
                                                tokens->worker, tokens->reason);
    }
    return are_reached;
}

static void judge(struct scenario *s, void *state, size_t later)
{
    struct tokens tokens = {.sessions = state, .count = s->life_count, .worker = later};
    bool are_all = federation_run(s->federation, REACH_US, are_reached, &tokens);
    if (!federation_worker_is_alive(s->federation, later)) {
        scenario_fail(s, "P9: a later worker ends by itself");
    } else if (!are_all) {
        scenario_fail(s, "%s", tokens.reason);
    }
}

static void end(struct scenario *s, void *state)
{
    (void)s;
    free(state);
}

const struct scenario_act act_session = {
    .begin = begin, .watch = watch, .judge = judge, .end = end};
