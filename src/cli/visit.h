/* src/cli/visit.h */
#ifndef CLI_VISIT_H
#define CLI_VISIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"

/* visit: ask whoever answers at an address for evidence, and keep what it showed on the way. */
enum { VISIT_HOST_BYTES = 200 };

/* "https://HOST[:PORT][/]"; port 443 unless it is named. */
bool visit_split_url(const char *url, char host[VISIT_HOST_BYTES], uint16_t *port);

/*
 * Get the evidence over `nonce` and, as DER, the certificate of the connection that it came by;
 * neither has been judged. Says on stderr why it fails.
 */
MUST_CHECK enum status visit_ask(const char *host, uint16_t port, struct bytes nonce,
                                 struct buffer *evidence, struct buffer *certificate);

#endif
