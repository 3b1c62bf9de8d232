/* src/attest/snp.c */
#include "attest/snp.h"

#include <stdio.h>
#include <string.h>

#include "attest/der.h"
#include "attest/signature.h"
#include "attest/x509.h"
#include "base/cursor.h"
#include "base/hex.h"

enum {
    SIGNED_BYTES = 0x2a0,
    COORDINATE_BYTES = 72,  // as the report has them: little endian, padded
    P384_BYTES = 48,
    VERSION_MIN = 2,
    VERSION_MAX = 5,
    VERSION_WITH_CPUID = 3,
    ALGORITHM_P384_SHA384 = 1,
    KEY_VLEK = 1,  // 0: a VCEK
    TURIN_CHIP_BYTES = 8,
    MEASUREMENT_BYTES = 48,
};

// Author key, masked chip key, and three bits for the signing key.
static const uint32_t FLAGS_KNOWN = 0x1f;
static const uint64_t POLICY_RESERVED_ONE = 1ull << 17;
static const uint64_t POLICY_DEBUG = 1ull << 19;

struct report {
    uint32_t version;
    uint32_t guest_svn;
    uint64_t policy;
    uint8_t product[32];
    uint32_t algorithm;
    uint32_t flags;
    uint8_t report_data[VERDICT_REPORT_DATA_BYTES];
    uint8_t measurement[MEASUREMENT_BYTES];
    uint8_t id_key[MEASUREMENT_BYTES];
    uint8_t tcb[SNP_TCB_BYTES];
    uint8_t cpu_family;
    uint8_t cpu_model;
    uint8_t chip[SNP_CHIP_BYTES];
    uint8_t signature[2 * P384_BYTES];  // r ‖ s, big endian
    struct bytes signed_part;           // borrowed
    bool is_whole;                      // the signature is one, and nothing lies behind it
};

static bool is_zero(struct bytes bytes)
{
    for (size_t i = 0; i < bytes.length; i++) {
        if (bytes.at[i] != 0) {
            return false;
        }
    }
    return true;
}

/* A number of the signature, turned around. False: it is longer than the curve's. */
static bool coordinate_read(uint8_t target[P384_BYTES], struct cursor *in)
{
    struct bytes padded = cursor_bytes(in, COORDINATE_BYTES);
    if (in->failed || !is_zero(bytes_of(padded.at + P384_BYTES, COORDINATE_BYTES - P384_BYTES))) {
        return false;
    }
    for (size_t i = 0; i < P384_BYTES; i++) {
        target[i] = padded.at[P384_BYTES - 1 - i];
    }
    return true;
}

/*
 * A report. Integers are little endian.
 *
 *     offset  bytes  field
 *      0x000      4  version, 2 to 5
 *      0x004      4  GUEST_SVN
 *      0x008      8  policy: bit 17 one, bit 19 debug
 *      0x010     32  FAMILY_ID, IMAGE_ID
 *      0x030      4  VMPL
 *      0x034      4  signature algorithm: 1, ECDSA with P-384 and SHA-384
 *      0x038      8  CURRENT_TCB
 *      0x040      8  PLATFORM_INFO
 *      0x048      4  flags: bits 2 to 4 signing key (0 VCEK, 1 VLEK), 5 on zero
 *      0x050     64  REPORT_DATA
 *      0x090     48  MEASUREMENT
 *      0x0c0     32  HOST_DATA
 *      0x0e0     48  ID_KEY_DIGEST
 *      0x110     48  AUTHOR_KEY_DIGEST
 *      0x140     64  REPORT_ID, REPORT_ID_MA
 *      0x180      8  REPORTED_TCB
 *      0x188      3  CPUID family, model, stepping, since version 3
 *      0x1a0     64  CHIP_ID
 *      0x1e0    192  COMMITTED_TCB, versions, LAUNCH_TCB, mitigations, reserved
 *      0x2a0     72  r, little endian, zeroes above the 48th byte
 *      0x2e8     72  s
 *      0x330    368  zero
 *                    zeroes
 */
static bool report_decode(struct report *report, struct bytes bytes)
{
    struct cursor in = cursor_over(bytes.at, bytes.length);
    report->version = cursor_u32(&in);
    report->guest_svn = cursor_u32(&in);
    report->policy = cursor_u64(&in);
    cursor_copy(&in, report->product, sizeof report->product);
    cursor_take(&in, 4);
    report->algorithm = cursor_u32(&in);
    cursor_take(&in, 16);
    report->flags = cursor_u32(&in);
    cursor_take(&in, 4);
    cursor_copy(&in, report->report_data, sizeof report->report_data);
    cursor_copy(&in, report->measurement, sizeof report->measurement);
    cursor_take(&in, 32);
    cursor_copy(&in, report->id_key, sizeof report->id_key);
    cursor_take(&in, 112);
    cursor_copy(&in, report->tcb, sizeof report->tcb);
    report->cpu_family = cursor_u8(&in);
    report->cpu_model = cursor_u8(&in);
    cursor_take(&in, 22);
    cursor_copy(&in, report->chip, sizeof report->chip);
    cursor_take(&in, 192);
    if (in.failed) {
        return false;
    }
    report->signed_part = bytes_of(bytes.at, SIGNED_BYTES);
    report->is_whole = coordinate_read(report->signature, &in) &&
                       coordinate_read(report->signature + P384_BYTES, &in) && in.left >= 368 &&
                       is_zero(bytes_of(in.at, in.left));
    return true;
}

static uint32_t signing_key(const struct report *report)
{
    return report->flags >> 2 & 7;
}

/* The product of the processor that the report names. False: none that we know. */
static bool product_of_cpu(enum vendor_product *product, const struct report *report)
{
    uint8_t family = report->cpu_family, model = report->cpu_model;
    if (family == 0x19 && model < 0x10) {
        *product = VENDOR_MILAN;
    } else if (family == 0x19 && (model < 0x20 || (model >= 0xa0 && model < 0xb0))) {
        *product = VENDOR_GENOA;  // and Bergamo and Siena
    } else if (family == 0x1a && model < 0x20) {
        *product = VENDOR_TURIN;
    } else {
        return false;
    }
    return true;
}

/* The words of a report that fit no other. */
static bool report_verify(struct verdict *verdict, const struct report *report)
{
    if (report->version < VERSION_MIN || report->version > VERSION_MAX) {
        return verdict_refuse(verdict, REASON_UNSUPPORTED,
                              "report version %u; %d to %d are known here", report->version,
                              VERSION_MIN, VERSION_MAX);
    }
    if (report->algorithm != ALGORITHM_P384_SHA384 || (report->flags & ~FLAGS_KNOWN) != 0 ||
        signing_key(report) > KEY_VLEK || (report->policy & POLICY_RESERVED_ONE) == 0) {
        return verdict_refuse(verdict, REASON_FORMAT,
                              "signature algorithm %u, flags %#x, policy %#llx: not those of a "
                              "report signed by a VCEK or VLEK",
                              report->algorithm, report->flags, (unsigned long long)report->policy);
    }
    return true;
}

/* What the report claims. */
static void verdict_fill(struct verdict *verdict, const struct report *report)
{
    verdict->is_debug = (report->policy & POLICY_DEBUG) != 0;
    verdict->measurement =
        verdict_value_of(bytes_of(report->measurement, sizeof report->measurement));
    if (!is_zero(bytes_of(report->id_key, sizeof report->id_key))) {
        verdict->signer = verdict_value_of(bytes_of(report->id_key, sizeof report->id_key));
    }
    verdict->product = verdict_value_of(bytes_of(report->product, sizeof report->product));
    verdict->security_version = report->guest_svn;
    memcpy(verdict->report_data, report->report_data, sizeof verdict->report_data);
}

// ---- the certificate ----

/* Of the leaf: the content of the extension 1.3.6.1.4.1.3704.1.`numbers`. */
static bool extension(const struct x509_pool *pool, const struct x509_chain *chain,
                      struct bytes numbers, struct bytes *content)
{
    uint8_t oid[16] = {0x2b, 0x06, 0x01, 0x04, 0x01, 0x9c, 0x78, 0x01};
    enum { PREFIX_BYTES = 8 };
    memcpy(oid + PREFIX_BYTES, numbers.at, numbers.length);
    return x509_chain_extension(pool, chain, 0, bytes_of(oid, PREFIX_BYTES + numbers.length),
                                content);
}

/*
 * Which extension below 1.3.6.1.4.1.3704.1.3 certifies each byte of a TCB; 0: none does. 1 boot
 * loader, 2 TEE, 3 SNP, 4 to 7 spare, 8 microcode, 9 FMC.
 */
static const uint8_t tcb_numbers[VENDOR_PRODUCT_COUNT][SNP_TCB_BYTES] = {
    [VENDOR_MILAN] = {1, 2, 4, 5, 6, 7, 3, 8},
    [VENDOR_GENOA] = {1, 2, 4, 5, 6, 7, 3, 8},
    [VENDOR_TURIN] = {9, 1, 2, 3, 0, 0, 0, 8},
};

static bool tcb_verify(struct verdict *verdict, const struct report *report,
                       const struct x509_pool *pool, const struct x509_chain *chain,
                       enum vendor_product product)
{
    char text[2 * SNP_TCB_BYTES + 1];
    hex_encode(text, report->tcb, sizeof report->tcb);
    for (size_t i = 0; i < SNP_TCB_BYTES; i++) {
        const uint8_t numbers[] = {3, tcb_numbers[product][i]};
        struct bytes content, value;
        uint32_t svn;
        if (numbers[1] == 0) {
            continue;
        }
        if (!extension(pool, chain, bytes_of(numbers, sizeof numbers), &content)) {
            return verdict_refuse(verdict, REASON_CHIP_BINDING,
                                  "the certificate has no TCB extension 3.%u, which a %s has",
                                  numbers[1], vendor_product_text(product));
        }
        struct cursor in = cursor_over(content.at, content.length);
        if (!der_expect(&value, DER_INTEGER, &in) || !cursor_done(&in) ||
            !der_number(&svn, value, UINT8_MAX) || svn != report->tcb[i]) {
            return verdict_refuse(verdict, REASON_CHIP_BINDING,
                                  "REPORTED_TCB is %s, and the certificate's extension 3.%u says "
                                  "otherwise of byte %zu",
                                  text, numbers[1], i);
        }
    }
    return true;
}

/* Turin's chips have ids of 8 bytes, in a field of 64. */
static bool is_chip_length(enum vendor_product product, size_t length)
{
    return length == SNP_CHIP_BYTES || (product == VENDOR_TURIN && length == TURIN_CHIP_BYTES);
}

/* The chip id in a VCEK: bare, or as an OCTET STRING. */
static bool chip_read(struct bytes *chip, const struct x509_pool *pool,
                      const struct x509_chain *chain, enum vendor_product product)
{
    static const uint8_t number[] = {4};
    if (!extension(pool, chain, bytes_of(number, sizeof number), chip)) {
        return false;
    }
    if (!is_chip_length(product, chip->length)) {
        struct cursor in = cursor_over(chip->at, chip->length);
        return der_expect(chip, DER_OCTET_STRING, &in) && cursor_done(&in) &&
               is_chip_length(product, chip->length);
    }
    return true;
}

static bool chip_verify(struct verdict *verdict, const struct report *report,
                        const struct x509_pool *pool, const struct x509_chain *chain,
                        enum vendor_product product)
{
    struct bytes chip;
    if (!chip_read(&chip, pool, chain, product)) {
        return verdict_refuse(verdict, REASON_CHIP_BINDING,
                              "the VCEK's chip id is missing or malformed");
    }
    verdict->platform = verdict_value_of(chip);
    // A host may hide the chip id from its guests. The signature still says which chip it was.
    bool is_masked = is_zero(bytes_of(report->chip, sizeof report->chip));
    if (!is_masked &&
        (memcmp(report->chip, chip.at, chip.length) != 0 ||
         !is_zero(bytes_of(report->chip + chip.length, sizeof report->chip - chip.length)))) {
        char ours[2 * SNP_CHIP_BYTES + 1], theirs[2 * SNP_CHIP_BYTES + 1];
        hex_encode(ours, report->chip, sizeof report->chip);
        hex_encode(theirs, chip.at, chip.length);
        return verdict_refuse(verdict, REASON_CHIP_BINDING,
                              "the report is of chip %.32s…, the VCEK of chip %.32s…", ours,
                              theirs);
    }
    return true;
}

/* Whose key it is, by its names: a VCEK of SEV-Milan is no VLEK of SEV-VLEK-Milan. */
static bool names_verify(struct verdict *verdict, const struct report *report,
                         const struct x509_pool *pool, const struct x509_chain *chain,
                         enum vendor_product product)
{
    bool is_vlek = signing_key(report) == KEY_VLEK;
    char issuer[32];
    snprintf(issuer, sizeof issuer, is_vlek ? "SEV-VLEK-%s" : "SEV-%s",
             vendor_product_text(product));
    if (chain->count != 3 ||
        !x509_chain_has_name(pool, chain, 0, is_vlek ? "SEV-VLEK" : "SEV-VCEK") ||
        !x509_chain_has_name(pool, chain, 1, issuer)) {
        return verdict_refuse(verdict, REASON_CHAIN,
                              "the %zu certificates are not a %s, '%s' and its root", chain->count,
                              is_vlek ? "VLEK" : "VCEK", issuer);
    }
    enum vendor_product named;
    if (report->version >= VERSION_WITH_CPUID &&
        (!product_of_cpu(&named, report) || named != product)) {
        return verdict_refuse(verdict, REASON_CHIP_BINDING,
                              "the report is of a processor of family %#x, model %#x, the "
                              "certificate of a %s",
                              report->cpu_family, report->cpu_model, vendor_product_text(product));
    }
    return true;
}

/* Whether AMD revoked the key that signs chips' certificates. */
static bool is_in_force(struct verdict *verdict, const struct x509_pool *pool,
                        const struct x509_chain *chain, struct bytes list)
{
    const struct x509_use use = {
        .what = "AMD CRL",
        .suite = SIGNATURE_RSA_PSS_SHA384,
        .broken = REASON_COLLATERAL,
        .expired = REASON_COLLATERAL_EXPIRED,
    };
    if (list.length == 0) {
        return true;
    }
    struct x509_crl *crl = x509_crl_new(verdict, pool, chain, 2, &use, list);
    bool is_allowed = crl != NULL && x509_crl_allows(verdict, crl, pool, chain, 1);
    if (is_allowed) {
        verdict_note_issue(verdict, x509_crl_issued_s(crl));
    }
    x509_crl_free(crl);
    return is_allowed;
}

/* The certificate of the key that the report names, and whether that key signed the report. */
static bool leaf_verify(struct verdict *verdict, const struct report *report,
                        struct x509_pool *pool, struct x509_chain *chain,
                        const struct x509_use *use, const struct collateral *collateral)
{
    enum collateral_kind leaf = signing_key(report) == KEY_VLEK ? COLLATERAL_VLEK : COLLATERAL_VCEK;
    if (collateral->documents[leaf].length == 0) {
        return verdict_refuse(
            verdict, REASON_CHAIN,
            "the document '%s' is missing; 'paranoid attest fetch' says where it is "
            "published",
            collateral_name(leaf));
    }
    if (!x509_chain_read(verdict, pool, chain, use, collateral->documents[leaf]) ||
        !x509_chain_find_leaf(verdict, pool, chain, use)) {
        return false;
    }
    if (!signature_verify_raw(SIGNATURE_P384_SHA384, x509_chain_key(pool, chain, 0),
                              report->signed_part,
                              bytes_of(report->signature, sizeof report->signature))) {
        char chip[2 * SNP_CHIP_BYTES + 1], tcb[2 * SNP_TCB_BYTES + 1];
        hex_encode(chip, report->chip, sizeof report->chip);
        hex_encode(tcb, report->tcb, sizeof report->tcb);
        return verdict_refuse(verdict, REASON_SIGNATURE,
                              "the certificate's key did not sign the report of chip %.32s…, "
                              "REPORTED_TCB %s: the report was altered, or the certificate is of "
                              "another chip or TCB than 'paranoid attest fetch' names",
                              chip, tcb);
    }
    return true;
}

/* Its issuer and the root, whichever of the two documents holds them. */
static bool issuers_read(struct verdict *verdict, struct x509_pool *pool, struct x509_chain *chain,
                         const struct x509_use *use, const struct collateral *collateral)
{
    static const enum collateral_kind kinds[] = {COLLATERAL_ASK, COLLATERAL_ARK};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct bytes document = collateral->documents[kinds[i]];
        if (document.length > 0 && !x509_chain_read(verdict, pool, chain, use, document)) {
            return false;
        }
    }
    return true;
}

/* The parts of REPORTED_TCB, which lie elsewhere since Turin. */
static void parts_fill(struct verdict *verdict, const struct report *report,
                       enum vendor_product product)
{
    bool is_turin = product == VENDOR_TURIN;
    const uint8_t *tcb = report->tcb;
    verdict->has_parts = true;
    verdict->parts_product = product;
    verdict->parts[VERDICT_PART_FMC] = is_turin ? tcb[0] : 0;
    verdict->parts[VERDICT_PART_BOOT_LOADER] = is_turin ? tcb[1] : tcb[0];
    verdict->parts[VERDICT_PART_TEE] = is_turin ? tcb[2] : tcb[1];
    verdict->parts[VERDICT_PART_SNP] = is_turin ? tcb[3] : tcb[6];
    verdict->parts[VERDICT_PART_MICROCODE] = tcb[7];
}

static bool verify(struct verdict *verdict, const struct report *report, struct x509_pool *pool,
                   const struct collateral *collateral, const struct x509_pin *roots)
{
    const struct x509_use use = {
        .what = signing_key(report) == KEY_VLEK ? "VLEK chain" : "VCEK chain",
        .suite = SIGNATURE_RSA_PSS_SHA384,
        .broken = REASON_CHAIN,
        .expired = REASON_CHAIN,
        .pins = roots,
        .pin_count = VENDOR_PRODUCT_COUNT,
    };
    struct x509_chain chain = {.count = 0};
    size_t pin;
    if (!leaf_verify(verdict, report, pool, &chain, &use, collateral) ||
        !issuers_read(verdict, pool, &chain, &use, collateral) ||
        !x509_chain_verify(verdict, pool, &chain, &use, &pin)) {
        return false;
    }
    enum vendor_product product = (enum vendor_product)pin;
    if (!names_verify(verdict, report, pool, &chain, product)) {
        return false;
    }
    parts_fill(verdict, report, product);
    return tcb_verify(verdict, report, pool, &chain, product) &&
           (signing_key(report) == KEY_VLEK ||
            chip_verify(verdict, report, pool, &chain, product)) &&
           is_in_force(verdict, pool, &chain, collateral->documents[COLLATERAL_AMD_CRL]);
}

void snp_verify(struct verdict *verdict, struct bytes report, const struct collateral *collateral,
                const struct x509_pin roots[VENDOR_PRODUCT_COUNT])
{
    struct report parts;
    bool is_read = report_decode(&parts, report);
    if (is_read) {
        verdict_fill(verdict, &parts);
    }
    if (!is_read || !parts.is_whole) {
        verdict_refuse(verdict, REASON_FORMAT,
                       "%zu bytes are no report: it has %d, zeroes around r and s, and nothing but "
                       "zeroes behind it",
                       report.length, SNP_REPORT_BYTES);
        return;
    }
    if (!report_verify(verdict, &parts)) {
        return;
    }
    struct x509_pool *pool = x509_pool_new();
    if (verify(verdict, &parts, pool, collateral, roots)) {
        verdict->reason = REASON_NONE;
    }
    x509_pool_free(pool);
}

bool snp_query_read(struct snp_query *query, struct bytes report)
{
    struct report parts;
    if (!report_decode(&parts, report)) {
        return false;
    }
    *query = (struct snp_query){.is_vlek = signing_key(&parts) == KEY_VLEK};
    query->has_product =
        parts.version >= VERSION_WITH_CPUID && product_of_cpu(&query->product, &parts);
    memcpy(query->chip, parts.chip, sizeof query->chip);
    memcpy(query->tcb, parts.tcb, sizeof query->tcb);
    return true;
}
