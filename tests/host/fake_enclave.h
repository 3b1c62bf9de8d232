/* tests/host/fake_enclave.h */
#ifndef TESTS_HOST_FAKE_ENCLAVE_H
#define TESTS_HOST_FAKE_ENCLAVE_H

#include <stdbool.h>

/*
 * fake_enclave: an enclave program for the tests of the host, without a sandbox. It knows no
 * secret and verifies nothing.
 *
 * As leader: says HELLO, and is READY at the first JOIN from a command line. It answers every JOIN
 * in upper case. Those that say "records" let it send the first records of the world of
 * FAKE_ENCLAVE_SEED, "nonsense" let it break all rules of frames, "exit" end it.
 *
 * As worker: says HELLO, sends a JOIN, asks for evidence, and is then READY. It sends the bytes of
 * connections back in upper case and keeps to both windows. After
 * "bye\n" it closes; after "flood\n" it sends much first. When it has fetched what a receipt
 * speaks of, it sends a record that is none.
 *
 * Both count the frames they get, and report them as metrics "got_join", "got_receipt", …
 */
enum { FAKE_ENCLAVE_SEED = 7, FAKE_ENCLAVE_FLOOD_BYTES = 8 << 20 };

/* What main() of a test calls first: true when this process was started to be an enclave. */
bool fake_enclave_is_wanted(const char *program_name);

int fake_enclave_run(void);

#endif
