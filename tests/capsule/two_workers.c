/* tests/capsule/two_workers.c */
#include "tests/capsule/two_workers.h"

int two_workers_setup(void **state)
{
    static struct two_workers f;
    capsule_world_init(&f.world, 7, 3, 2, 0);
    capsule_world_start(&f.world);
    f.a = capsule_world_admit(&f.world, MEMBER_WORKER);
    f.b = capsule_world_admit(&f.world, MEMBER_WORKER);
    capsule_world_put(&f.world, f.a, "x", "1");
    capsule_world_put(&f.world, f.b, "y", "2");
    *state = &f;
    return 0;
}

int two_workers_teardown(void **state)
{
    struct two_workers *f = *state;
    capsule_world_release(&f->world);
    return 0;
}
