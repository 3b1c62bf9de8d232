/* src/cli/notary.h */
#ifndef CLI_NOTARY_H
#define CLI_NOTARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capsule/record.h"
#include "crypto/sign.h"

/*
 * notary: verifies the signatures of records in threads of its own, one for each processor, while
 * whoever reads the records goes on. A signature costs five times as much as all else that is
 * verified of a small record. Holds a bounded number of them, and makes its caller wait then.
 */
struct notary;

struct notary *notary_new(void);
void notary_free(struct notary *notary);

/* Have the record's signature verified; copies what it needs. `index` names it, rising. */
void notary_push(struct notary *notary, const struct record *record, const struct verify_key *key,
                 size_t index);

/* Whether some signature is known to be wrong: then there is no need to go on. */
bool notary_has_refused(struct notary *notary);

/* The end: wait for all. The least index whose signature does not verify; SIZE_MAX: all do. */
size_t notary_settle(struct notary *notary);

#endif
