/* src/cli/policy_file.h */
#ifndef CLI_POLICY_FILE_H
#define CLI_POLICY_FILE_H

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "cli/command.h"
#include "crypto/hash.h"
#include "crypto/sign.h"

/*
 * policy_file: the policy as the owner hands it out, with which anybody can tell the app's servers
 * from others (docs/format/policy.md): four lines, then the policy itself, to the end of the file.
 *
 *     paranoid policy 1
 *     owner <64 digits>        the owner's public key
 *     capsule <64 digits>
 *     signature <128 digits>   the owner's, "paranoid policy file v1", over
 *                              SHA-256(owner ‖ capsule ‖ policy)
 *     {"version":…}
 */
struct policy_file {
    struct verify_key owner;
    struct hash capsule;
    struct bytes policy;  // borrowed
};

/* Whether it claims to be one; a bare policy does not. */
bool policy_file_is(struct bytes text);

/* STATUS_MALFORMED; STATUS_FORGED: its own owner did not sign it. */
MUST_CHECK enum status policy_file_decode(struct policy_file *file, struct bytes text);

MUST_CHECK enum status policy_file_encode(struct buffer *text, const struct hash *capsule,
                                          struct bytes policy, const struct sign_key *owner);

extern const struct command policy_file_command;  // policy export

#endif
