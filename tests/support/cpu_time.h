/* tests/support/cpu_time.h */
#ifndef TESTS_SUPPORT_CPU_TIME_H
#define TESTS_SUPPORT_CPU_TIME_H

#include <stdint.h>

/* Work, to no end, until the calling thread has taken so much CPU time. */
void cpu_time_take(uint64_t ms);

#endif
