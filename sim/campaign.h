/* sim/campaign.h */
#ifndef SIM_CAMPAIGN_H
#define SIM_CAMPAIGN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "sim/scenario.h"

/*
 * campaign: scenarios of many seeds, in several processes at a time. A seed under which one of the
 * program's own checks fails, or which does not end, is a failed one, and ends no other.
 */
enum { CAMPAIGN_JOBS_MAX = 64 };

struct campaign {
    struct scenario_config config;  // of the first seed; the others follow it
    uint64_t seed_count;
    uint64_t job_count;
    // Called in the caller's process. Seeds end in any order.
    void (*on_result)(void *context, const struct scenario_config *config,
                      const struct scenario_result *result);
    // Whether no further seed is to begin; called in the processes that run them. NULL: never.
    bool (*is_over)(void *context);
    void *context;
};

/* STATUS_IO: no process can be started. */
MUST_CHECK enum status campaign_run(const struct campaign *campaign);

#endif
