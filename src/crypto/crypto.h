/* src/crypto/crypto.h */
#ifndef CRYPTO_CRYPTO_H
#define CRYPTO_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The only folder that sees libsodium and libcrypto's ciphers. One suite,
 * no negotiation: ChaCha20-Poly1305 (RFC 8439), SHA-256 (FIPS 180-4),
 * Ed25519 (RFC 8032), X25519 (RFC 7748), HKDF-SHA-256 (RFC 5869), SLIP-0010.
 */

/*
 * Before anything else here and before the process is sealed, by any thread,
 * any number of times: libsodium and OpenSSL find their source of randomness,
 * OpenSSL fetches its algorithms without reading a configuration file.
 *
 * From then on no call here opens a file. What remains of the kernel: getrandom,
 * getpid, clock_gettime, futex, mmap, munmap, mprotect (never executable),
 * madvise, brk, and mlock and munlock, which may fail, but must not kill.
 */
void crypto_init(void);

/* Compare in a time that depends on `length` alone. */
bool crypto_equal(const void *a, const void *b, size_t length);

#endif
