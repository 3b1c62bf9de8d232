/* bench/e2e/history.h */
#ifndef BENCH_HISTORY_H
#define BENCH_HISTORY_H

#include <stdint.h>

#include "cli/app.h"

/*
 * history: the past of an app that has never run, written straight into its store by whoever has
 * the owner's files: a first term, one worker, and its DATA records of one put each, with an epoch
 * every HISTORY_EPOCH_RECORDS. Every byte is as the programs would have made it, but for the
 * evidence, which is a few words.
 */
enum { HISTORY_EPOCH_RECORDS = 4096, HISTORY_VALUE_BYTES = 100 };

/* `app` lies in `directory`. A put of key "k<n>" for n from 0 to record_count - 1. */
void history_write(const char *directory, uint64_t record_count);

#endif
