/* src/cli/findings.h */
#ifndef CLI_FINDINGS_H
#define CLI_FINDINGS_H

#include <jansson.h>
#include <stdbool.h>

/* findings: what doctor sees, each with a state, and a remedy where one is needed. */
enum findings_state {
    FINDINGS_GOOD,
    FINDINGS_NOTED,  // well, and worth knowing
    FINDINGS_BAD,    // has a remedy
};

struct findings {
    json_t *list;
    bool is_well;  // none is bad
};

void findings_init(struct findings *findings);
void findings_release(struct findings *findings);

/* `remedy` says what to do, in one sentence; NULL: nothing needs to be done. */
void findings_add(struct findings *findings, enum findings_state state, const char *what,
                  const char *remedy, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* To stdout: a line each, or one JSON list of objects with state, what, text, remedy (or null). */
void findings_print(const struct findings *findings, bool is_json);

#endif
