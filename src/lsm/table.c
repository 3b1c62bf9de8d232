/* src/lsm/table.c */
#include "lsm/table.h"

#include <string.h>

#include "crypto/secret.h"

struct short_hash_key table_filter_key(const struct secret *data_key, const struct hash *capsule)
{
    struct secret *secret = secret_derive(data_key, "paranoid filter v1",
                                          bytes_of(capsule->bytes, sizeof capsule->bytes));
    struct short_hash_key key;
    memcpy(key.bytes, secret_bytes(secret), sizeof key.bytes);
    secret_free(secret);
    return key;
}
