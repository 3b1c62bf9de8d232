/* src/cli/client_head.h */
#ifndef CLI_CLIENT_HEAD_H
#define CLI_CLIENT_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"

/*
 * client_head: the first line and the headers of an HTTP/1.1 response, which is hostile until its
 * sender is known, and no better than its sender after that.
 */
enum { CLIENT_HEAD_BYTES_MAX = 64 * 1024 };

struct client_head {
    unsigned status;  // 100 to 599
    bool has_length;  // there is a Content-Length
    uint64_t content_length;
    bool closes;          // Connection: close
    struct bytes fields;  // the header lines; borrowed
    size_t head_bytes;    // up to and with the empty line
};

/*
 * STATUS_EMPTY: the empty line has not come yet. STATUS_MALFORMED: no response of HTTP/1.1, two
 * lengths, a length that is no number, or one longer than CLIENT_HEAD_BYTES_MAX.
 * STATUS_DENIED: it is sent in chunks, which nobody here does.
 */
MUST_CHECK enum status client_head_parse(struct client_head *head, struct bytes bytes);

/* The value of the first header of this name (any case); false: there is none. */
bool client_head_field(const struct client_head *head, const char *name, struct bytes *value);

#endif
