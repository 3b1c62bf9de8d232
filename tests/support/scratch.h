/* tests/support/scratch.h */
#ifndef SUPPORT_SCRATCH_H
#define SUPPORT_SCRATCH_H

/*
 * scratch: a directory for one test's files, new and empty, below $TMPDIR or else /tmp; it goes
 * with all that is in it. What fails is a CHECK.
 */
enum { SCRATCH_PATH_BYTES = 128 };

void scratch_make(char path[SCRATCH_PATH_BYTES], const char *name);
void scratch_remove(const char *path);

#endif
