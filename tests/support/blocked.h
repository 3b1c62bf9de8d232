/* tests/support/blocked.h */
#ifndef TESTS_SUPPORT_BLOCKED_H
#define TESTS_SUPPORT_BLOCKED_H

#include <sys/types.h>

/* Until the main thread of a child waits, or it has ended. Nobody sends word of the first. */
void blocked_await(pid_t child);

#endif
