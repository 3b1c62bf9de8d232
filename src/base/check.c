/* src/base/check.c */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *expression, const char *file, int line)
{
    fprintf(stderr, "check failed: %s at %s:%d\n", expression, file, line);
    abort();
}
