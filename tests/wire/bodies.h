/* tests/wire/bodies.h */
#ifndef TESTS_WIRE_BODIES_H
#define TESTS_WIRE_BODIES_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "crypto/sign.h"

/* What the tests of this layer share. Whatever is not as expected fails the test. */

/* As many bytes as fit, counting up from `first`: no two fields look alike. */
void bodies_count(void *target, size_t length, uint8_t first);
struct hash bodies_hash(uint8_t first);

/* Keys whose 32 bytes count up from `first`. The caller frees them. */
struct sign_key *bodies_sign_key(uint8_t first);
struct secret *bodies_secret(uint8_t first);

typedef enum status (*bodies_decode)(struct bytes body);

/* `decode` takes `whole`, and no shorter part of it, and nothing after it. */
void bodies_refuse_other_lengths(struct bytes whole, bodies_decode decode);

/* The same for a body whose last field is as long as it likes: `shortest` bytes are enough. */
void bodies_refuse_shorter_than(struct bytes whole, size_t shortest, bodies_decode decode);

/* The two runs hold the same bytes. */
void bodies_assert_equal(struct bytes actual, struct bytes expected);

#endif
