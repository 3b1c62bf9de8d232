/* src/lambda/resident.h */
#ifndef LAMBDA_RESIDENT_H
#define LAMBDA_RESIDENT_H

#include <stdint.h>

/*
 * resident: how much memory the process holds, from /proc/self/statm, opened
 * before the process is sealed and read again and again.
 */

/* A descriptor for resident_bytes(), or -1. */
int resident_open(void);

/* 0 when the kernel does not say. */
uint64_t resident_bytes(int statm);

#endif
