/* tests/sim/until.c */
#include "tests/sim/until.h"

bool until_leads(struct federation *federation, void *context)
{
    (void)context;
    return federation_leader_is_leading(federation);
}

bool until_ready(struct federation *federation, void *context)
{
    return federation_worker_is_ready(federation, *(size_t *)context);
}

bool until_held(struct federation *federation, void *context)
{
    struct until_held *held = context;
    return federation_worker_is_durable(federation, held->worker, &held->dependency);
}
