/* src/cli/exhibit.h */
#ifndef CLI_EXHIBIT_H
#define CLI_EXHIBIT_H

#include "capsule/proof.h"
#include "cli/command.h"

/* exhibit: proofs of misbehaviour (capsule/proof.h), for people. */
extern const struct command exhibit_command;  // proof verify

/* Say on stderr what a rollback's proof shows, store by store. */
void exhibit_note(const struct proof *proof);

#endif
