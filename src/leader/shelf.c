/* src/leader/shelf.c */
#include "leader/shelf.h"

void shelf_release(struct shelf *shelf)
{
    for (size_t tee = 0; tee < TEE_COUNT; tee++) {
        buffer_release(&shelf->bundles[tee]);
    }
}

static bool is_shelved(enum tee tee)
{
    return tee == TEE_SGX || tee == TEE_TDX;
}

enum status shelf_keep(struct shelf *shelf, struct bytes evidence)
{
    struct evidence parts;
    if (evidence_decode(&parts, evidence) != STATUS_OK || !is_shelved(parts.tee) ||
        parts.collateral.length == 0) {
        return STATUS_OK;
    }
    struct buffer *bundle = &shelf->bundles[parts.tee];
    enum status status = buffer_reserve(bundle, parts.collateral.length);
    if (status == STATUS_OK) {
        buffer_clear(bundle);
        status = buffer_append(bundle, parts.collateral.at, parts.collateral.length);
    }
    return status;
}

enum status shelf_complete(const struct shelf *shelf, struct buffer *evidence)
{
    struct evidence parts;
    if (evidence_decode(&parts, buffer_bytes(evidence)) != STATUS_OK || !is_shelved(parts.tee) ||
        parts.collateral.length > 0 || shelf->bundles[parts.tee].length == 0) {
        return STATUS_OK;
    }
    struct buffer whole = BUFFER_EMPTY;
    parts.collateral = buffer_bytes(&shelf->bundles[parts.tee]);
    enum status status = evidence_encode(&parts, &whole);
    if (status == STATUS_OK) {
        buffer_release(evidence);
        *evidence = whole;
    }
    return status;
}
