/* src/capsule/genesis_internal.h */
#ifndef CAPSULE_GENESIS_INTERNAL_H
#define CAPSULE_GENESIS_INTERNAL_H

#include <stdbool.h>

#include "capsule/genesis.h"
#include "capsule/owner_internal.h"

/* [{"key":"<hex>","name":"…"},…]; NULL: no memory. */
json_t *genesis_stores_to_json(const struct genesis *genesis);

/* Fill stores and store_count; false: 1 to 16 such objects are not there. */
bool genesis_stores_from_json(struct genesis *genesis, json_t *stores);

/* How many stores a member says; one that does not fit is refused by genesis_is_sound(). */
uint32_t genesis_count_from_json(struct owner_json *in, const char *name);

/* Names are names, no store is there twice, and f < W ≤ N. */
bool genesis_is_sound(const struct genesis *genesis);

#endif
