#include "attest/evidence.h"

#include "attest/simulated.h"
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

struct verdict evidence_verify(struct bytes bytes, uint64_t now_s,
                               const struct evidence_roots *roots)
{
    struct verdict verdict = {.judged_at_s = now_s};
    struct evidence evidence;
    if (evidence_decode(&evidence, bytes) != STATUS_OK) {
        verdict_refuse(&verdict, REASON_FORMAT, "%zu bytes are no evidence container",
                       bytes.length);
        return verdict;
    }
    verdict.tee = evidence.tee;
    switch (evidence.tee) {
    case TEE_SIMULATED:
        simulated_verify(&verdict, &evidence, roots->simulated);
        break;
    case TEE_SGX:
    case TEE_TDX:
    case TEE_SEV_SNP:
    case TEE_UNKNOWN:
        verdict_refuse(&verdict, REASON_UNSUPPORTED, "evidence of tee=%s has no verifier here",
                       verdict_tee_text(evidence.tee));
        break;
    }
    return verdict;
}
