/* src/enclave/enclave.h */
#ifndef ENCLAVE_ENCLAVE_H
#define ENCLAVE_ENCLAVE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attest/verdict.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/random.h"
#include "base/status.h"
#include "capsule/member.h"
#include "capsule/writer.h"
#include "crypto/hash.h"
#include "crypto/sign.h"
#include "enclave/sandbox.h"
#include "ring/wall.h"
#include "wire/frame.h"

/*
 * enclave: what every program behind the wall has: the wall, an identity made
 * at start, a log that goes to the host, clocks that the host owns.
 */
struct enclave {
    struct wall wall;
    pthread_mutex_t send_lock;  // around sending on the data port: several threads do
    struct sandbox sandbox;
    struct sandbox_report report;
    bool is_in_gramine;          // an SGX enclave: it asks for its evidence itself
    pthread_mutex_t quote_lock;  // around asking: Gramine keeps one report data for all
    _Atomic int tee;             // as its evidence said last
    enum member_role role;
    uint32_t lambda_threads;
    uint64_t memtable_bytes;
    struct hash capsule;
    struct buffer genesis;
    struct sign_key *key;  // new at every start: writer ids are never used again
    struct verify_key public_key;
    struct writer_id id;
    struct random random;
    struct log log;
};

/*
 * First in main(), in this order: begin, whatever has to be loaded while there is a
 * file system, seal. `roles`: a bit 1 << role for each that this program can take; the host
 * chooses. STATUS_FORGED, STATUS_MALFORMED: the host's first frame makes no sense.
 */
MUST_CHECK enum status enclave_begin(struct enclave *enclave, unsigned roles);
MUST_CHECK enum status enclave_seal(struct enclave *enclave, enum sandbox_role role);

/* Send one frame on the data port, waiting for room. STATUS_IO: the wall is beyond repair. */
MUST_CHECK enum status enclave_send(struct enclave *enclave, struct bytes frame);
MUST_CHECK enum status enclave_send_body(struct enclave *enclave, enum frame_kind kind,
                                         uint32_t request, const struct writer_id *peer,
                                         struct bytes body);

/*
 * Ask for evidence that carries `report_data`: the host's, or Gramine's, to which the host adds the
 * vendor's documents. Either way it comes back as a frame EVIDENCE with this request number, whose
 * body goes through enclave_take_evidence(). When Gramine gives none that is logged, and nothing
 * comes back.
 */
MUST_CHECK enum status enclave_ask_evidence(struct enclave *enclave, uint32_t request,
                                            const uint8_t report_data[VERDICT_REPORT_DATA_BYTES]);

/* Note which TEE evidence of this enclave speaks of. It is the host's word, for status lines. */
void enclave_take_evidence(struct enclave *enclave, struct bytes evidence);
const char *enclave_tee_text(const struct enclave *enclave);

/* A clock that only rises, and the host's idea of Unix time. */
uint64_t enclave_now_us(void);
uint64_t enclave_unix_ms(void);

/* How long to sleep for something due at `due_us`: -1 for never, rounded up to a millisecond. */
int enclave_timeout_ms(uint64_t due_us, uint64_t now_us);

#endif
