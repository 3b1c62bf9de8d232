/* src/cli/array.h */
#ifndef CLI_ARRAY_H
#define CLI_ARRAY_H

#include <stddef.h>

/*
 * array: room for one item more than the `count` that `array` holds (NULL: none yet); it doubles at
 * every power of two from 16 on. A command stops without memory.
 */
void *array_grown(void *array, size_t count, size_t item_bytes);

#endif
