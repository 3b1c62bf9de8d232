/* tests/support/blocked.c */
#include "tests/support/blocked.h"

#include <sched.h>
#include <stdio.h>

#include "base/check.h"

static char state_of(pid_t process)
{
    char path[64], state = '?';
    snprintf(path, sizeof path, "/proc/%d/stat", (int)process);
    FILE *file = fopen(path, "r");
    CHECK(file != NULL && fscanf(file, "%*d %*s %c", &state) == 1);
    fclose(file);
    return state;
}

void blocked_await(pid_t child)
{
    char state;
    while ((state = state_of(child)) != 'S' && state != 'Z') {
        sched_yield();
    }
}
