/* src/cli/array.c */
#include "cli/array.h"

#include <stdlib.h>

#include "base/check.h"

void *array_grown(void *array, size_t count, size_t item_bytes)
{
    if (count != 0 && (count < 16 || (count & (count - 1)) != 0)) {
        return array;
    }
    void *moved = reallocarray(array, count < 16 ? 16 : 2 * count, item_bytes);
    CHECK(moved != NULL);
    return moved;
}
