/* tests/support/scratch.c */
#define _GNU_SOURCE  // nftw
#include "tests/support/scratch.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

void scratch_make(char path[SCRATCH_PATH_BYTES], const char *name)
{
    const char *parent = getenv("TMPDIR");
    int length = snprintf(path, SCRATCH_PATH_BYTES, "%s/paranoid-%s-XXXXXX",
                          parent == NULL ? "/tmp" : parent, name);
    CHECK(length < SCRATCH_PATH_BYTES);
    CHECK(mkdtemp(path) != NULL);
}

static int remove_one(const char *path, const struct stat *file, int kind, struct FTW *where)
{
    (void)file;
    (void)kind;
    (void)where;
    return remove(path);
}

void scratch_remove(const char *path)
{
    CHECK(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
}
