/* sim/checker_session.h */
#ifndef SIM_CHECKER_SESSION_H
#define SIM_CHECKER_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scl/scl.h"
#include "sim/checker_store.h"
#include "sim/federation.h"
#include "sim/oracle.h"

/*
 * checker_session: P6 at one worker: a client reads what it wrote there, or what is later; and
 * the session token it is given never names less than the one before.
 */
struct checker_session {
    char token[SCL_VERSION_BYTES_MAX];  // the newest; "" before the first
    uint64_t epoch;                     // that it names
};

/* To be called now and then while the worker lives. False: `reason` says why. */
bool checker_session_judge(struct checker_session *session, const struct scl *scl, size_t worker,
                           char reason[CHECKER_REASON_BYTES]);

/* Whether `put`, made there, or a later one is read there. */
bool checker_session_judge_put(const struct oracle *oracle, const struct oracle_put *put,
                               struct federation *federation, char reason[CHECKER_REASON_BYTES]);

/* Once all is quiet: any worker has reached what the token names, but for what a cut removed. */
bool checker_session_judge_end(const struct checker_session *session, const struct scl *scl,
                               size_t worker, char reason[CHECKER_REASON_BYTES]);

#endif
