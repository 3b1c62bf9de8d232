/* src/attest/pem.h */
#ifndef ATTEST_PEM_H
#define ATTEST_PEM_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"

/*
 * pem: the text form of certificates and revocation lists (RFC 7468), read strictly: base64 with
 * line ends and no other sign, no bit left over. So a block that was altered is refused, and not
 * just read otherwise. Around blocks there may be lines of words that explain them.
 */

/* Whether the text begins with a block, or with words and then a block. */
bool pem_is_text(struct bytes text);

/*
 * Replace `der` with the next block of `*rest`, which moves behind it. `label` is "CERTIFICATE" or
 * "X509 CRL". STATUS_EMPTY: only words are left, or zeroes that end the text; STATUS_MALFORMED;
 * STATUS_NO_MEMORY.
 */
MUST_CHECK enum status pem_next(struct buffer *der, struct bytes *rest, const char *label);

#endif
