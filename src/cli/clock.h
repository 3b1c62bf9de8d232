/* src/cli/clock.h */
#ifndef CLI_CLOCK_H
#define CLI_CLOCK_H

#include <stdint.h>

/* Milliseconds since some moment in the past: for waits, and not for dates. It never goes back. */
int64_t clock_now_ms(void);

#endif
