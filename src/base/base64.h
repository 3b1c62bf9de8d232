/* src/base/base64.h */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"

/* Append the text (RFC 4648, with padding, without line ends). STATUS_NO_MEMORY. */
MUST_CHECK enum status base64_encode(struct buffer *text, struct bytes bytes);

/* Append the bytes of exactly such a text. STATUS_MALFORMED: `bytes` is as it was. */
MUST_CHECK enum status base64_decode(struct buffer *bytes, struct bytes text);

#endif
