/* bench/lsm/workload.c */
#include "bench/lsm/workload.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/check.h"

enum { POOL_BYTES = 1 << 20, VALUE_BYTES_MAX = 64 << 10 };

uint64_t workload_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

struct bytes workload_key(char target[WORKLOAD_KEY_BYTES + 1], uint32_t number)
{
    char last = number < WORKLOAD_ABSENT ? '-' : '.';
    int length =
        snprintf(target, WORKLOAD_KEY_BYTES + 1, "user:%010u%c", number % WORKLOAD_ABSENT, last);
    CHECK(length == WORKLOAD_KEY_BYTES);
    return bytes_of(target, WORKLOAD_KEY_BYTES);
}

struct bytes workload_value(const struct workload *workload, uint32_t number, uint64_t version)
{
    static uint8_t pool[POOL_BYTES + VALUE_BYTES_MAX];
    static uint8_t value[VALUE_BYTES_MAX];
    CHECK(workload->value_bytes >= sizeof number && workload->value_bytes <= sizeof value);
    if (pool[0] == 0) {
        uint64_t state = 1;
        for (size_t i = 0; i < sizeof pool; i++) {
            pool[i] = (uint8_t)workload_random(&state);
        }
        pool[0] = 1;
    }
    uint64_t state = version;
    memcpy(value, pool + workload_random(&state) % POOL_BYTES, workload->value_bytes);
    memcpy(value, &number, sizeof number);
    return bytes_of(value, workload->value_bytes);
}

void workload_check(const struct workload *workload, uint32_t number, struct bytes value)
{
    CHECK(value.length == workload->value_bytes);
    CHECK(memcmp(value.at, &number, sizeof number) == 0);
}

static double read_clock(clockid_t clock)
{
    struct timespec time;
    CHECK(clock_gettime(clock, &time) == 0);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

double workload_now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

double workload_cpu(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}
