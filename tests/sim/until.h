/* tests/sim/until.h */
#ifndef TESTS_SIM_UNTIL_H
#define TESTS_SIM_UNTIL_H

#include <stdbool.h>
#include <stddef.h>

#include "sim/federation.h"

/* until: conditions for federation_run(). */

bool until_leads(struct federation *federation, void *context);

/* `context`: a worker's number, a size_t. */
bool until_ready(struct federation *federation, void *context);

/* `context`: what a worker has written, durably. */
struct until_held {
    size_t worker;
    struct dependency dependency;
};
bool until_held(struct federation *federation, void *context);

#endif
