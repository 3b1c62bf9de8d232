/* src/attest/collateral.c */
#include "attest/collateral.h"

#include <stdint.h>

#include "base/check.h"
#include "base/cursor.h"
#include "base/encoder.h"

static const uint32_t COLLATERAL_MAGIC = 0x31425650;  // "PVB1"

enum { HEADER_BYTES = 4, DOCUMENT_HEADER_BYTES = 8 };

static const char *const names[COLLATERAL_KIND_COUNT] = {
    [COLLATERAL_PCK_CRL] = "pck_crl",
    [COLLATERAL_PCK_CRL_ISSUER_CHAIN] = "pck_crl_issuer_chain",
    [COLLATERAL_ROOT_CA_CRL] = "root_ca_crl",
    [COLLATERAL_TCB_INFO] = "tcb_info",
    [COLLATERAL_TCB_INFO_ISSUER_CHAIN] = "tcb_info_issuer_chain",
    [COLLATERAL_QE_IDENTITY] = "qe_identity",
    [COLLATERAL_QE_IDENTITY_ISSUER_CHAIN] = "qe_identity_issuer_chain",
    [COLLATERAL_VCEK] = "vcek",
    [COLLATERAL_VLEK] = "vlek",
    [COLLATERAL_ASK] = "ask",
    [COLLATERAL_ARK] = "ark",
    [COLLATERAL_AMD_CRL] = "crl",
};

const char *collateral_name(enum collateral_kind kind)
{
    CHECK(kind < COLLATERAL_KIND_COUNT);
    return names[kind];
}

bool collateral_is_empty(const struct collateral *collateral)
{
    for (size_t kind = 0; kind < COLLATERAL_KIND_COUNT; kind++) {
        if (collateral->documents[kind].length > 0) {
            return false;
        }
    }
    return true;
}

enum status collateral_encode(const struct collateral *collateral, struct buffer *target)
{
    size_t length = HEADER_BYTES;
    for (size_t kind = 0; kind < COLLATERAL_KIND_COUNT; kind++) {
        size_t bytes = collateral->documents[kind].length;
        CHECK(bytes <= UINT32_MAX);
        length += bytes == 0 ? 0 : DOCUMENT_HEADER_BYTES + bytes;
    }
    struct encoder out;
    enum status status = encoder_begin(&out, target, length);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_u32(&out, COLLATERAL_MAGIC);
    for (size_t kind = 0; kind < COLLATERAL_KIND_COUNT; kind++) {
        struct bytes document = collateral->documents[kind];
        if (document.length > 0) {
            encoder_u32(&out, (uint32_t)kind);
            encoder_run(&out, document);
        }
    }
    encoder_finish(&out, target);
    return STATUS_OK;
}

/*
 * The bundle. Integers are little endian.
 *
 *     offset  bytes  field
 *          0      4  magic, "PVB1"
 *                    then for each document, the kinds ascending:
 *          0      4  kind
 *          4      4  document_bytes, 1 or more
 *          8      n  document
 */
enum status collateral_decode(struct collateral *collateral, struct bytes bytes)
{
    *collateral = (struct collateral){.documents = {{.at = NULL}}};
    if (bytes.length == 0) {
        return STATUS_OK;
    }
    struct cursor in = cursor_over(bytes.at, bytes.length);
    uint32_t next_kind = 0;
    if (cursor_u32(&in) != COLLATERAL_MAGIC) {
        return STATUS_MALFORMED;
    }
    while (!in.failed && in.left > 0) {
        uint32_t kind = cursor_u32(&in);
        struct bytes document = cursor_run(&in);
        if (in.failed || kind < next_kind || kind >= COLLATERAL_KIND_COUNT ||
            document.length == 0) {
            return STATUS_MALFORMED;
        }
        collateral->documents[kind] = document;
        next_kind = kind + 1;
    }
    return in.failed ? STATUS_MALFORMED : STATUS_OK;
}
