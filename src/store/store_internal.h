/* src/store/store_internal.h */
#ifndef STORE_STORE_INTERNAL_H
#define STORE_STORE_INTERNAL_H

#include "store/store.h"

/* Whose receipts these are. */
const struct writer_id *store_id(const struct store *store);
const struct sign_key *store_key(const struct store *store);
const struct random *store_random(const struct store *store);

#endif
