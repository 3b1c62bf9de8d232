/* src/attest/evidence.c */
#include "attest/evidence.h"

#include "attest/collateral.h"
#include "attest/sgx.h"
#include "attest/simulated.h"
#include "attest/snp.h"
#include "attest/tdx.h"
#include "base/check.h"
#include "base/cursor.h"
#include "base/encoder.h"

static const uint32_t EVIDENCE_MAGIC = 0x31564550;  // "PEV1"

enum status evidence_encode(const struct evidence *evidence, struct buffer *target)
{
    CHECK(evidence->tee != TEE_UNKNOWN);
    CHECK(evidence->quote.length <= EVIDENCE_QUOTE_BYTES_MAX);
    CHECK(evidence->collateral.length <= EVIDENCE_COLLATERAL_BYTES_MAX);
    size_t length = EVIDENCE_HEADER_BYTES + evidence->quote.length + evidence->collateral.length;
    struct encoder out;
    enum status status = encoder_begin(&out, target, length);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_u32(&out, EVIDENCE_MAGIC);
    encoder_u32(&out, (uint32_t)evidence->tee);
    encoder_u32(&out, (uint32_t)evidence->quote.length);
    encoder_u32(&out, (uint32_t)evidence->collateral.length);
    encoder_bytes(&out, evidence->quote.at, evidence->quote.length);
    encoder_bytes(&out, evidence->collateral.at, evidence->collateral.length);
    encoder_finish(&out, target);
    return STATUS_OK;
}

/*
 * The container. Integers are little endian.
 *
 *     offset  bytes  field
 *          0      4  magic, "PEV1"
 *          4      1  tee
 *          5      3  reserved, zero
 *          8      4  quote_bytes, at most EVIDENCE_QUOTE_BYTES_MAX
 *         12      4  collateral_bytes, at most EVIDENCE_COLLATERAL_BYTES_MAX
 *         16      n  quote
 *                 m  collateral
 */
enum status evidence_decode(struct evidence *evidence, struct bytes bytes)
{
    struct cursor in = cursor_over(bytes.at, bytes.length);
    uint32_t magic = cursor_u32(&in);
    uint32_t tee = cursor_u32(&in);  // with the reserved bytes, which are zero
    uint32_t quote_bytes = cursor_u32(&in);
    uint32_t collateral_bytes = cursor_u32(&in);
    struct bytes quote = cursor_bytes(&in, quote_bytes);
    struct bytes collateral = cursor_bytes(&in, collateral_bytes);

    if (!cursor_done(&in) || magic != EVIDENCE_MAGIC) {
        return STATUS_MALFORMED;
    }
    if (tee < TEE_SIMULATED || tee > TEE_SEV_SNP || quote_bytes > EVIDENCE_QUOTE_BYTES_MAX ||
        collateral_bytes > EVIDENCE_COLLATERAL_BYTES_MAX) {
        return STATUS_MALFORMED;
    }
    *evidence = (struct evidence){
        .tee = (enum tee)tee,
        .quote = quote,
        .collateral = collateral,
    };
    return STATUS_OK;
}

static struct verdict verify(const struct evidence *evidence, uint64_t now_s,
                             const struct evidence_roots *roots, bool with_statements)
{
    struct verdict verdict = verdict_at(now_s);
    struct collateral collateral;
    const struct vendor_roots *vendors = roots->vendors;
    const struct collateral *statements = with_statements ? &collateral : NULL;
    verdict.tee = evidence->tee;
    if (evidence->tee == TEE_UNKNOWN) {
        verdict_refuse(&verdict, REASON_FORMAT, "%zu bytes are no quote or report that is known",
                       evidence->quote.length);
        return verdict;
    }
    if (evidence->tee == TEE_SIMULATED) {
        simulated_verify(&verdict, evidence, roots->simulated);
        return verdict;
    }
    if (vendors == NULL) {
        verdict_refuse(&verdict, REASON_UNSUPPORTED, "no root is given that tee=%s could lead to",
                       verdict_tee_text(evidence->tee));
        return verdict;
    }
    if (collateral_decode(&collateral, evidence->collateral) != STATUS_OK) {
        verdict_refuse(&verdict, REASON_COLLATERAL, "%zu bytes are no bundle of collateral",
                       evidence->collateral.length);
        return verdict;
    }
    switch (evidence->tee) {
    case TEE_SGX:
        sgx_verify(&verdict, evidence->quote, statements, &vendors->intel);
        break;
    case TEE_TDX:
        tdx_verify(&verdict, evidence->quote, statements, &vendors->intel);
        break;
    case TEE_SEV_SNP:
        snp_verify(&verdict, evidence->quote, &collateral, vendors->amd);
        break;
    case TEE_SIMULATED:
    case TEE_UNKNOWN:
    case TEE_COUNT:
        break;
    }
    return verdict;
}

struct verdict evidence_verify_parts(const struct evidence *evidence, uint64_t now_s,
                                     const struct evidence_roots *roots)
{
    return verify(evidence, now_s, roots, true);
}

struct verdict evidence_verify_quote(const struct evidence *evidence, uint64_t now_s,
                                     const struct evidence_roots *roots)
{
    return verify(evidence, now_s, roots, false);
}

struct verdict evidence_verify(struct bytes bytes, uint64_t now_s,
                               const struct evidence_roots *roots)
{
    struct evidence evidence;
    if (evidence_decode(&evidence, bytes) != STATUS_OK) {
        struct verdict verdict = verdict_at(now_s);
        verdict_refuse(&verdict, REASON_FORMAT, "%zu bytes are no evidence container",
                       bytes.length);
        return verdict;
    }
    return evidence_verify_parts(&evidence, now_s, roots);
}
