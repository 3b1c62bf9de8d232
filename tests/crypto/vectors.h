/* tests/crypto/vectors.h */
#ifndef TESTS_CRYPTO_VECTORS_H
#define TESTS_CRYPTO_VECTORS_H

#include <jansson.h>
#include <stdint.h>

#include "base/bytes.h"

/*
 * Published test vectors, as JSON below $PARANOID_SHARED/vectors (default
 * ../shared/vectors). Whatever is not as expected fails the test.
 */
json_t *vectors_load(const char *path);

/* A member that must be there. Borrowed. */
const char *vectors_text(const json_t *object, const char *name);
struct bytes vectors_hex(const json_t *object, const char *name);  // freed by vectors_free()
void vectors_free(struct bytes bytes);

/* Whether the array `name` of strings holds `text`. */
int vectors_have_flag(const json_t *object, const char *name, const char *text);

/* Call `each` with every test of every group of a file in Wycheproof's form. */
void vectors_each_wycheproof(const char *path,
                             void (*each)(const json_t *group, const json_t *test));

#endif
