/* src/cli/order.h */
#ifndef CLI_ORDER_H
#define CLI_ORDER_H

#include "attest/policy.h"
#include "base/bytes.h"
#include "cli/app.h"
#include "crypto/sign.h"

/*
 * order: the owner tells the running leader something, after it has proved itself, and waits for
 * its answer.
 */
enum { ORDER_REQUEST = 1 };  // the number that the message carries

/*
 * Give `message` (wire/message.h), numbered ORDER_REQUEST. `what` it does goes into errors: "cannot
 * deploy 'x': …". Returns COMMAND_OK when the leader says that it was done; else COMMAND_NO or
 * COMMAND_COULD_NOT, and what is wrong has been said. The newest SYNC is kept either way.
 */
int order_give(const struct app *app, const struct sign_key *owner, const char *what,
               struct bytes message, int wait_ms);

/* The same, and the leader is judged by this policy instead of policy.json. */
int order_give_under(const struct app *app, const struct sign_key *owner,
                     const struct policy *policy, const char *what, struct bytes message,
                     int wait_ms);

#endif
