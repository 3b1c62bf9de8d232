/* tests/preload/clock.c */

/*
 * Sets a real program's wall clock ahead: loaded before the C library (LD_PRELOAD), it adds
 * PARANOID_CLOCK_AHEAD_S seconds to what time() says.
 */
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

__attribute__((visibility("default"))) time_t time(time_t *target)
{
    struct timeval now;
    const char *ahead = getenv("PARANOID_CLOCK_AHEAD_S");
    gettimeofday(&now, NULL);
    time_t result = now.tv_sec + (ahead == NULL ? 0 : strtoll(ahead, NULL, 10));
    if (target != NULL) {
        *target = result;
    }
    return result;
}
