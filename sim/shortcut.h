/* sim/shortcut.h */
#ifndef SIM_SHORTCUT_H
#define SIM_SHORTCUT_H

#include <stddef.h>

#include "base/buffer.h"
#include "crypto/certificate.h"
#include "crypto/sign.h"

/*
 * shortcut: what the simulation computes once and the programs compute in each process. One
 * process stands for all of them here, so the same signature would be verified by every worker, the
 * leader, the stores and the checkers. The linker puts these in the place of the crypto layer's
 * functions (CMakeLists.txt: --wrap) wherever sim is linked, and nowhere else. One thread only.
 */

/* sign_make(), to the bit, which remembers that the signature verifies. */
struct signature __wrap_sign_make(const struct sign_key *key, const char *purpose,
                                  struct bytes message);
/* sign_verify(), which remembers what it found for the very same key, message and signature. */
enum status __wrap_sign_verify(const struct verify_key *key, const char *purpose,
                               struct bytes message, const struct signature *signature);

/*
 * certificate_root() and certificate_leaf(): what they were asked for, in place of X.509, whose
 * signature OpenSSL draws: two runs of a seed would differ. Nothing in the simulation speaks TLS.
 */
enum status __wrap_certificate_root(struct buffer *der, struct p256_key *root_key,
                                    const struct hash *capsule);
enum status __wrap_certificate_leaf(struct buffer *der, struct p256_key *root_key,
                                    const struct p256_public *leaf_key,
                                    const struct certificate_claims *claims);

/* Memory for secrets without guard pages: no secret is one here. */
void *__wrap_crypto_guarded_new(size_t size);
void __wrap_crypto_guarded_free(void *memory);

#endif
