/* src/attest/der.h */
#ifndef ATTEST_DER_H
#define ATTEST_DER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/cursor.h"

/*
 * der: reads the distinguished encoding rules of ASN.1 (ITU-T X.690) from hostile bytes: what
 * lies in the vendors' own extensions of certificates. One value has one encoding; all others,
 * and tags above 30, are refused.
 */
enum der_tag {
    DER_INTEGER = 0x02,
    DER_BIT_STRING = 0x03,
    DER_OCTET_STRING = 0x04,
    DER_OBJECT = 0x06,
    DER_SEQUENCE = 0x30,
};

struct der {
    uint8_t tag;
    struct bytes value;  // borrowed
    struct bytes whole;  // borrowed: tag, length and value
};

/* The next element. False: none is left, or it is malformed, and then `in` has failed. */
bool der_next(struct der *element, struct cursor *in);

/* The same, of one tag: any other is a failure, and so is the end. */
bool der_expect(struct bytes *value, enum der_tag tag, struct cursor *in);

/* The value of an INTEGER that is not negative and at most `max`. */
bool der_number(uint32_t *number, struct bytes value, uint32_t max);

#endif
