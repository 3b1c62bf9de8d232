/* src/attest/vendor.h */
#ifndef ATTEST_VENDOR_H
#define ATTEST_VENDOR_H

#include "attest/x509.h"

/*
 * vendor: the roots that hardware vendors' evidence leads to, by their public keys. The verifiers
 * take them as a parameter, so that tests bring their own; the programs pass vendor_pinned().
 */
enum vendor_product { VENDOR_MILAN, VENDOR_GENOA, VENDOR_TURIN, VENDOR_PRODUCT_COUNT };

struct vendor_roots {
    struct x509_pin intel;                      // Intel SGX Root CA: SGX and TDX
    struct x509_pin amd[VENDOR_PRODUCT_COUNT];  // the ARK of each line of processors
};

/* The vendors' real roots. Static storage. */
const struct vendor_roots *vendor_pinned(void);

/* "Milan". Static storage, never NULL. */
const char *vendor_product_text(enum vendor_product product);

#endif
