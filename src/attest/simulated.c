/* src/attest/simulated.c */
#include "attest/simulated.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "base/encoder.h"
#include "base/hex.h"

/*
 * The formats. Integers are little endian; each signature covers its purpose
 * and everything before it.
 *
 * Report, by the platform's key          Certificate, by the vendor's key
 *     offset  bytes  field                   offset  bytes  field
 *          0      4  magic, "PSR1"                0      4  magic, "PSC1"
 *          4      4  flags: 1 debug               4     16  platform id
 *          8      4  tcb_level                   20      4  tcb_level
 *         12     16  platform id                 24      8  not_before_s
 *         28     32  measurement                 32      8  not_after_s
 *         60     64  report data                 40     32  platform's public key
 *        124     64  signature                   72     64  signature
 *
 * Quote: report ‖ certificate            Platform as stored
 *                                                 0      4  magic, "PSP1"
 * TCB info, by the vendor's key                   4     32  seed of the platform's key
 *          0      4  magic, "PST1"               36    136  certificate
 *          4      8  issued_s
 *         12      8  next_update_s
 *         20      1  level_count, 1 to SIMULATED_LEVEL_COUNT_MAX
 *         21      1  revoked_count, at most SIMULATED_REVOKED_COUNT_MAX
 *         22     5n  levels, descending: tcb_level (4), status (1)
 *               16m  ids of revoked platforms
 *                64  signature
 */
static const uint32_t REPORT_MAGIC = 0x31525350;
static const uint32_t CERTIFICATE_MAGIC = 0x31435350;
static const uint32_t PLATFORM_MAGIC = 0x31505350;
static const uint32_t TCB_MAGIC = 0x31545350;

static const char REPORT_PURPOSE[] = "paranoid simulated report v1";
static const char CERTIFICATE_PURPOSE[] = "paranoid simulated certificate v1";
static const char TCB_PURPOSE[] = "paranoid simulated tcb v1";

enum {
    REPORT_BYTES = 188,
    FLAG_DEBUG = 1,
    TCB_BYTES_MAX = 22 + 5 * SIMULATED_LEVEL_COUNT_MAX +
                    SIMULATED_PLATFORM_ID_BYTES * SIMULATED_REVOKED_COUNT_MAX +
                    SIGN_SIGNATURE_BYTES,
};

_Static_assert(SIMULATED_QUOTE_BYTES == REPORT_BYTES + SIMULATED_CERTIFICATE_BYTES,
               "a quote is a report and a certificate");
_Static_assert(SIMULATED_PLATFORM_BYTES == 4 + SIGN_SEED_BYTES + SIMULATED_CERTIFICATE_BYTES,
               "a stored platform is a magic, a seed and a certificate");

struct certificate {
    uint8_t platform_id[SIMULATED_PLATFORM_ID_BYTES];
    struct simulated_terms terms;
    struct verify_key key;
};

struct report {
    uint32_t flags;
    uint32_t tcb_level;
    uint8_t platform_id[SIMULATED_PLATFORM_ID_BYTES];
    uint8_t measurement[HASH_BYTES];
    uint8_t report_data[VERDICT_REPORT_DATA_BYTES];
};

struct simulated_platform {
    struct sign_key *key;  // owned
    struct certificate certificate;
    uint8_t certificate_bytes[SIMULATED_CERTIFICATE_BYTES];
};

/* Sign all that was written so far, and write the signature. */
static void encode_signature(struct encoder *out, const struct sign_key *key, const char *purpose)
{
    struct signature signature = sign_make(key, purpose, bytes_of(out->start, out->length));
    encoder_bytes(out, signature.bytes, sizeof signature.bytes);
}

/* Whether `key` signed `whole`, which ends in the signature. */
static bool is_signed(struct bytes whole, const struct verify_key *key, const char *purpose)
{
    struct signature signature;
    size_t length = whole.length - sizeof signature.bytes;
    memcpy(signature.bytes, whole.at + length, sizeof signature.bytes);
    return sign_verify(key, purpose, bytes_of(whole.at, length), &signature) == STATUS_OK;
}

static void certificate_encode(const struct certificate *certificate, const struct sign_key *vendor,
                               uint8_t target[SIMULATED_CERTIFICATE_BYTES])
{
    struct encoder out = encoder_over(target, SIMULATED_CERTIFICATE_BYTES);
    encoder_u32(&out, CERTIFICATE_MAGIC);
    encoder_bytes(&out, certificate->platform_id, sizeof certificate->platform_id);
    encoder_u32(&out, certificate->terms.tcb_level);
    encoder_u64(&out, certificate->terms.not_before_s);
    encoder_u64(&out, certificate->terms.not_after_s);
    encoder_bytes(&out, certificate->key.bytes, sizeof certificate->key.bytes);
    encode_signature(&out, vendor, CERTIFICATE_PURPOSE);
    CHECK(!out.failed && out.length == SIMULATED_CERTIFICATE_BYTES);
}

static enum status certificate_decode(struct certificate *certificate, struct bytes bytes)
{
    struct cursor in = cursor_over(bytes.at, bytes.length);
    uint32_t magic = cursor_u32(&in);
    cursor_copy(&in, certificate->platform_id, sizeof certificate->platform_id);
    certificate->terms.tcb_level = cursor_u32(&in);
    certificate->terms.not_before_s = cursor_u64(&in);
    certificate->terms.not_after_s = cursor_u64(&in);
    cursor_copy(&in, certificate->key.bytes, sizeof certificate->key.bytes);
    cursor_take(&in, SIGN_SIGNATURE_BYTES);
    return cursor_done(&in) && magic == CERTIFICATE_MAGIC ? STATUS_OK : STATUS_MALFORMED;
}

static enum status report_decode(struct report *report, struct bytes bytes)
{
    struct cursor in = cursor_over(bytes.at, bytes.length);
    uint32_t magic = cursor_u32(&in);
    report->flags = cursor_u32(&in);
    report->tcb_level = cursor_u32(&in);
    cursor_copy(&in, report->platform_id, sizeof report->platform_id);
    cursor_copy(&in, report->measurement, sizeof report->measurement);
    cursor_copy(&in, report->report_data, sizeof report->report_data);
    cursor_take(&in, SIGN_SIGNATURE_BYTES);
    if (!cursor_done(&in) || magic != REPORT_MAGIC || (report->flags & ~(uint32_t)FLAG_DEBUG)) {
        return STATUS_MALFORMED;
    }
    return STATUS_OK;
}

static struct simulated_platform *platform_allocate(void)
{
    struct simulated_platform *platform = calloc(1, sizeof *platform);
    CHECK(platform != NULL);
    return platform;
}

struct simulated_platform *simulated_platform_new(const struct random *random,
                                                  const struct sign_key *vendor,
                                                  const struct simulated_terms *terms)
{
    struct simulated_platform *platform = platform_allocate();
    struct certificate *certificate = &platform->certificate;
    platform->key = sign_key_new(random);
    random_fill(random, certificate->platform_id, sizeof certificate->platform_id);
    certificate->terms = *terms;
    certificate->key = sign_key_public(platform->key);
    certificate_encode(certificate, vendor, platform->certificate_bytes);
    return platform;
}

void simulated_platform_free(struct simulated_platform *platform)
{
    if (platform != NULL) {
        sign_key_free(platform->key);
        free(platform);
    }
}

void simulated_platform_encode(const struct simulated_platform *platform,
                               uint8_t target[SIMULATED_PLATFORM_BYTES])
{
    struct encoder out = encoder_over(target, SIMULATED_PLATFORM_BYTES);
    encoder_u32(&out, PLATFORM_MAGIC);
    encoder_bytes(&out, sign_key_seed(platform->key), SIGN_SEED_BYTES);
    encoder_bytes(&out, platform->certificate_bytes, sizeof platform->certificate_bytes);
    CHECK(!out.failed && out.length == SIMULATED_PLATFORM_BYTES);
}

enum status simulated_platform_decode(struct simulated_platform **platform, struct bytes bytes)
{
    *platform = NULL;
    struct cursor in = cursor_over(bytes.at, bytes.length);
    uint32_t magic = cursor_u32(&in);
    struct bytes seed = cursor_bytes(&in, SIGN_SEED_BYTES);
    struct bytes certificate_bytes = cursor_bytes(&in, SIMULATED_CERTIFICATE_BYTES);
    struct certificate certificate;
    if (!cursor_done(&in) || magic != PLATFORM_MAGIC ||
        certificate_decode(&certificate, certificate_bytes) != STATUS_OK) {
        return STATUS_MALFORMED;
    }
    struct sign_key *key = sign_key_new_from_seed(seed.at);
    struct verify_key public = sign_key_public(key);
    if (!verify_key_equal(&public, &certificate.key)) {
        sign_key_free(key);
        return STATUS_MALFORMED;
    }
    *platform = platform_allocate();
    (*platform)->key = key;
    (*platform)->certificate = certificate;
    memcpy((*platform)->certificate_bytes, certificate_bytes.at, certificate_bytes.length);
    return STATUS_OK;
}

const uint8_t *simulated_platform_id(const struct simulated_platform *platform)
{
    return platform->certificate.platform_id;
}

void simulated_quote(const struct simulated_platform *platform, const struct hash *measurement,
                     const uint8_t report_data[VERDICT_REPORT_DATA_BYTES], bool is_debug,
                     uint8_t target[SIMULATED_QUOTE_BYTES])
{
    const struct certificate *certificate = &platform->certificate;
    struct encoder out = encoder_over(target, SIMULATED_QUOTE_BYTES);
    encoder_u32(&out, REPORT_MAGIC);
    encoder_u32(&out, is_debug ? FLAG_DEBUG : 0);
    encoder_u32(&out, certificate->terms.tcb_level);
    encoder_bytes(&out, certificate->platform_id, sizeof certificate->platform_id);
    encoder_bytes(&out, measurement->bytes, sizeof measurement->bytes);
    encoder_bytes(&out, report_data, VERDICT_REPORT_DATA_BYTES);
    encode_signature(&out, platform->key, REPORT_PURPOSE);
    encoder_bytes(&out, platform->certificate_bytes, sizeof platform->certificate_bytes);
    CHECK(!out.failed && out.length == SIMULATED_QUOTE_BYTES);
}

enum status simulated_tcb_encode(const struct simulated_tcb *tcb, const struct sign_key *vendor,
                                 struct buffer *target)
{
    CHECK(0 < tcb->level_count && tcb->level_count <= SIMULATED_LEVEL_COUNT_MAX);
    CHECK(tcb->revoked_count <= SIMULATED_REVOKED_COUNT_MAX);
    uint8_t bytes[TCB_BYTES_MAX];
    struct encoder out = encoder_over(bytes, sizeof bytes);
    encoder_u32(&out, TCB_MAGIC);
    encoder_u64(&out, tcb->issued_s);
    encoder_u64(&out, tcb->next_update_s);
    encoder_u8(&out, tcb->level_count);
    encoder_u8(&out, tcb->revoked_count);
    for (size_t i = 0; i < tcb->level_count; i++) {
        CHECK(i == 0 || tcb->levels[i].tcb_level < tcb->levels[i - 1].tcb_level);
        encoder_u32(&out, tcb->levels[i].tcb_level);
        encoder_u8(&out, (uint8_t)tcb->levels[i].status);
    }
    for (size_t i = 0; i < tcb->revoked_count; i++) {
        encoder_bytes(&out, tcb->revoked[i], sizeof tcb->revoked[i]);
    }
    encode_signature(&out, vendor, TCB_PURPOSE);
    CHECK(!out.failed);
    return buffer_append(target, bytes, out.length);
}

enum status simulated_tcb_decode(struct simulated_tcb *tcb, struct bytes bytes,
                                 const struct verify_key *root)
{
    struct cursor in = cursor_over(bytes.at, bytes.length);
    uint32_t magic = cursor_u32(&in);
    tcb->issued_s = cursor_u64(&in);
    tcb->next_update_s = cursor_u64(&in);
    tcb->level_count = cursor_u8(&in);
    tcb->revoked_count = cursor_u8(&in);
    if (in.failed || magic != TCB_MAGIC || tcb->level_count == 0 ||
        tcb->level_count > SIMULATED_LEVEL_COUNT_MAX ||
        tcb->revoked_count > SIMULATED_REVOKED_COUNT_MAX) {
        return STATUS_MALFORMED;
    }
    for (size_t i = 0; i < tcb->level_count; i++) {
        struct simulated_level *level = &tcb->levels[i];
        level->tcb_level = cursor_u32(&in);
        uint8_t status = cursor_u8(&in);
        if (status == TCB_UNKNOWN || status >= TCB_STATUS_COUNT ||
            (i > 0 && level->tcb_level >= tcb->levels[i - 1].tcb_level)) {
            return STATUS_MALFORMED;
        }
        level->status = (enum tcb_status)status;
    }
    for (size_t i = 0; i < tcb->revoked_count; i++) {
        cursor_copy(&in, tcb->revoked[i], sizeof tcb->revoked[i]);
    }
    cursor_take(&in, SIGN_SIGNATURE_BYTES);
    if (!cursor_done(&in)) {
        return STATUS_MALFORMED;
    }
    return is_signed(bytes, root, TCB_PURPOSE) ? STATUS_OK : STATUS_FORGED;
}

/* TCB_UNKNOWN: the level is below all that the vendor knows. */
static enum tcb_status tcb_status_of(const struct simulated_tcb *tcb, uint32_t tcb_level)
{
    for (size_t i = 0; i < tcb->level_count; i++) {
        if (tcb->levels[i].tcb_level <= tcb_level) {
            return tcb->levels[i].status;
        }
    }
    return TCB_UNKNOWN;
}

static bool is_revoked(const struct simulated_tcb *tcb, const uint8_t *platform_id)
{
    for (size_t i = 0; i < tcb->revoked_count; i++) {
        if (memcmp(tcb->revoked[i], platform_id, SIMULATED_PLATFORM_ID_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

/* What the report claims. */
static void verdict_fill(struct verdict *verdict, const struct report *report)
{
    verdict->is_debug = (report->flags & FLAG_DEBUG) != 0;
    verdict->measurement =
        verdict_value_of(bytes_of(report->measurement, sizeof report->measurement));
    verdict->platform = verdict_value_of(bytes_of(report->platform_id, sizeof report->platform_id));
    memcpy(verdict->report_data, report->report_data, sizeof verdict->report_data);
}

/* Root → certificate → report. False, with the reason in the verdict: the chain does not hold. */
static bool chain_verify(struct verdict *verdict, struct bytes quote, const struct report *report,
                         const struct certificate *certificate, const struct verify_key *root)
{
    uint64_t now_s = verdict->judged_at_s;
    struct bytes report_bytes = bytes_of(quote.at, REPORT_BYTES);
    struct bytes certificate_bytes = bytes_of(quote.at + REPORT_BYTES, SIMULATED_CERTIFICATE_BYTES);

    if (!is_signed(certificate_bytes, root, CERTIFICATE_PURPOSE)) {
        char text[2 * SIGN_PUBLIC_BYTES + 1];
        hex_encode(text, root->bytes, sizeof root->bytes);
        verdict_refuse(verdict, REASON_CHAIN,
                       "the simulated root %s did not sign the platform's certificate", text);
        return false;
    }
    if (now_s < certificate->terms.not_before_s || now_s > certificate->terms.not_after_s) {
        verdict_refuse(verdict, REASON_CHAIN,
                       "the platform's certificate is valid from %" PRIu64 " to %" PRIu64
                       ", and it is %" PRIu64,
                       certificate->terms.not_before_s, certificate->terms.not_after_s, now_s);
        return false;
    }
    if (!is_signed(report_bytes, &certificate->key, REPORT_PURPOSE)) {
        verdict_refuse(verdict, REASON_SIGNATURE,
                       "the key of the platform's certificate did not sign the report");
        return false;
    }
    if (memcmp(report->platform_id, certificate->platform_id, SIMULATED_PLATFORM_ID_BYTES) != 0 ||
        report->tcb_level != certificate->terms.tcb_level) {
        verdict_refuse(verdict, REASON_CHAIN,
                       "the report is of another platform or TCB level (%" PRIu32
                       ") than the certificate (%" PRIu32 ")",
                       report->tcb_level, certificate->terms.tcb_level);
        return false;
    }
    return true;
}

/* The vendor's statement about the platform of a chain that holds. False as above. */
static bool collateral_verify(struct verdict *verdict, struct bytes collateral,
                              const struct certificate *certificate, const struct verify_key *root)
{
    struct simulated_tcb tcb;
    enum status status = simulated_tcb_decode(&tcb, collateral, root);
    if (status != STATUS_OK) {
        verdict_refuse(verdict, REASON_COLLATERAL, "%zu bytes of TCB info: %s", collateral.length,
                       collateral.length == 0 ? "missing" : status_text(status));
        return false;
    }
    verdict->collateral_issued_s = tcb.issued_s;
    if (!verdict_narrow(verdict, REASON_COLLATERAL_EXPIRED, "TCB info", tcb.issued_s,
                        tcb.next_update_s == 0 ? 0 : tcb.next_update_s - 1)) {
        return false;
    }
    if (is_revoked(&tcb, certificate->platform_id)) {
        verdict_refuse(verdict, REASON_REVOKED, "the TCB info lists the platform as revoked");
        return false;
    }
    verdict->tcb_status = tcb_status_of(&tcb, certificate->terms.tcb_level);
    if (verdict->tcb_status == TCB_UNKNOWN) {
        verdict_refuse(verdict, REASON_COLLATERAL,
                       "TCB level %" PRIu32 " is below all that the TCB info lists",
                       certificate->terms.tcb_level);
        return false;
    }
    return true;
}

void simulated_verify(struct verdict *verdict, const struct evidence *evidence,
                      const struct verify_key *root)
{
    struct bytes quote = evidence->quote;
    struct report report;
    struct certificate certificate;
    if (quote.length != SIMULATED_QUOTE_BYTES ||
        report_decode(&report, bytes_of(quote.at, REPORT_BYTES)) != STATUS_OK ||
        certificate_decode(&certificate, bytes_of(quote.at + REPORT_BYTES,
                                                  SIMULATED_CERTIFICATE_BYTES)) != STATUS_OK) {
        verdict_refuse(verdict, REASON_FORMAT, "%zu bytes are no quote of tee=simulated",
                       quote.length);
        return;
    }
    verdict_fill(verdict, &report);
    if (root == NULL) {
        verdict_refuse(verdict, REASON_SIMULATED_NOT_ALLOWED,
                       "no root is given that tee=simulated could lead to");
        return;
    }
    if (chain_verify(verdict, quote, &report, &certificate, root) &&
        collateral_verify(verdict, evidence->collateral, &certificate, root)) {
        verdict->reason = REASON_NONE;
    }
}
