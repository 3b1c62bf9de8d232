/* src/cli/audit.h */
#ifndef CLI_AUDIT_H
#define CLI_AUDIT_H

#include "capsule/deed.h"
#include "cli/command.h"
#include "cli/survey.h"

/*
 * audit: what a receipt for people (capsule/deed.h) is worth, offline: by its signature, and by the
 * capsule, which leads from the worker that signed it to the MEMBER record that admitted it, to its
 * evidence and to the owner's signature.
 */
enum audit_reason {
    AUDIT_FORMAT,
    AUDIT_SIGNATURE,
    AUDIT_CAPSULE,
    AUDIT_MEMBER,
    AUDIT_EVIDENCE,
    AUDIT_REVOKED,
    AUDIT_RECORD,
    AUDIT_CUT,
    AUDIT_HISTORY,
    AUDIT_POLICY,
    AUDIT_FUNCTION,
    AUDIT_INPUT,
    AUDIT_OUTPUT,
    AUDIT_NONE,  // nothing speaks against it
};

enum { AUDIT_DETAIL_BYTES = 256 };

struct audit {
    enum audit_reason reason;
    char detail[AUDIT_DETAIL_BYTES];  // the values compared; may be empty
};

/* "signature"; what is wrong; what to do. Static storage, never NULL. */
const char *audit_code(enum audit_reason reason);

/*
 * Whether the deed follows from a capsule that was surveyed and found good. Its signature has been
 * verified.
 */
void audit_judge(struct audit *audit, const struct deed *deed, const struct survey *survey);

extern const struct command audit_command;  // receipt verify

#endif
