/* src/cli/judge.h */
#ifndef CLI_JUDGE_H
#define CLI_JUDGE_H

#include "base/bytes.h"
#include "cli/command.h"
#include "crypto/hash.h"
#include "crypto/hash512.h"
#include "crypto/p256.h"

/* judge: what evidence is worth, by the owner's policy, with the reason and the remedy. */

/* What a worker's evidence for this nonce has to carry (DESIGN 8.2). */
void judge_report_data(uint8_t target[HASH512_BYTES], struct bytes nonce,
                       const struct p256_public *tls_key);

extern const struct command judge_command;  // attest verify

#endif
