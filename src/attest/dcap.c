/* src/attest/dcap.c */
#include "attest/dcap.h"

#include <openssl/evp.h>
#include <string.h>

#include "attest/der.h"
#include "attest/signature.h"
#include "base/check.h"
#include "base/cursor.h"
#include "base/hex.h"
#include "crypto/hash.h"

enum {
    KEY_TYPE_P256 = 2,
    TEE_TYPE_SGX = 0,
    TEE_TYPE_TDX = 0x81,
    BODY_TYPE_ENCLAVE = 1,  // and then as enum dcap_body
    BODY_TYPE_TD_15 = 3,
    CERTIFICATION_PCK_CHAIN = 5,
    CERTIFICATION_QE_REPORT = 6,
    CURVE_BYTES = 64,
    PPID_BYTES = 16,
};

// The QE vendor that every quote of Intel's names.
static const uint8_t QE_VENDOR[] = {0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                    0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};

// 1.2.840.113741.1.13.1, and what its members begin with.
static const uint8_t OID_SGX[] = {0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01};

// ---- the quote ----

/*
 * A quote. Integers are little endian.
 *
 *     offset  bytes  field
 *          0      2  version: 3, 4 or 5
 *          2      2  attestation key type: 2, ECDSA with P-256
 *          4      4  TEE type: 0 SGX, 0x81 TDX
 *          8      4  reserved; in version 3 the SVNs of QE and PCE
 *         12     16  QE vendor
 *         28     20  user data
 *                    in version 5: body type (2), body_bytes (4)
 *                 n  body
 *                 4  signature_bytes, of all that follows
 *                64  signature of the attestation key over everything before signature_bytes
 *                64  attestation key
 *                    from version 4 on: certification type (2) 6, certification_bytes (4)
 *               384  report of the QE
 *                64  signature of the PCK over it
 *                 2  qe_data_bytes
 *                 m  QE data
 *                 2  certification type: 5, PCK chain
 *                 4  certification_bytes
 *                 k  PCK chain, PEM
 *                    zeroes
 */
struct quote_header {
    uint16_t version;
    uint16_t key_type;
    uint32_t tee_type;
    struct bytes vendor;
};

static void header_read(struct quote_header *header, struct cursor *in)
{
    header->version = cursor_u16(in);
    header->key_type = cursor_u16(in);
    header->tee_type = cursor_u32(in);
    cursor_take(in, 4);
    header->vendor = cursor_bytes(in, sizeof QE_VENDOR);
    cursor_take(in, 20);
}

/* Where the body is. False: the header's words do not fit each other. */
static bool body_read(struct dcap_quote *quote, const struct quote_header *header,
                      struct cursor *in)
{
    static const struct {
        uint32_t tee_type;
        uint32_t bytes;
    } bodies[] = {
        [DCAP_BODY_ENCLAVE] = {TEE_TYPE_SGX, DCAP_ENCLAVE_REPORT_BYTES},
        [DCAP_BODY_TD_10] = {TEE_TYPE_TDX, DCAP_TD_REPORT_10_BYTES},
        [DCAP_BODY_TD_15] = {TEE_TYPE_TDX, DCAP_TD_REPORT_15_BYTES},
    };
    bool is_tdx = header->tee_type == TEE_TYPE_TDX;
    enum dcap_body type = is_tdx ? DCAP_BODY_TD_10 : DCAP_BODY_ENCLAVE;
    uint32_t body_bytes = bodies[type].bytes;
    bool is_known = header->version == 4 || !is_tdx;
    if (header->version == 5) {
        uint16_t number = cursor_u16(in);
        body_bytes = cursor_u32(in);
        is_known = number >= BODY_TYPE_ENCLAVE && number <= BODY_TYPE_TD_15;
        type = is_known ? (enum dcap_body)(number - BODY_TYPE_ENCLAVE) : DCAP_BODY_ENCLAVE;
    }
    is_known =
        is_known && header->tee_type == bodies[type].tee_type && body_bytes == bodies[type].bytes;
    quote->body_type = type;
    quote->body = cursor_bytes(in, is_known ? body_bytes : 0);
    return is_known;
}

/* From the QE's report on; `type` receives how its key is certified. */
static void certification_read(struct dcap_quote *quote, uint16_t *type, struct cursor *in)
{
    quote->qe_report = cursor_bytes(in, DCAP_ENCLAVE_REPORT_BYTES);
    quote->qe_signature = cursor_bytes(in, CURVE_BYTES);
    uint16_t qe_data_bytes = cursor_u16(in);
    quote->qe_data = cursor_bytes(in, qe_data_bytes);
    *type = cursor_u16(in);
    quote->chain = cursor_run(in);
}

static bool signatures_read(struct dcap_quote *quote, uint16_t *type, struct bytes bytes)
{
    struct cursor in = cursor_over(bytes.at, bytes.length);
    quote->signature = cursor_bytes(&in, CURVE_BYTES);
    quote->key = cursor_bytes(&in, CURVE_BYTES);
    if (quote->version >= 4) {
        uint16_t outer_type = cursor_u16(&in);
        uint32_t outer_bytes = cursor_u32(&in);
        if (outer_type != CERTIFICATION_QE_REPORT || outer_bytes != in.left) {
            return false;
        }
    }
    certification_read(quote, type, &in);
    return cursor_done(&in);
}

static bool is_padding(const struct cursor *in)
{
    for (size_t i = 0; i < in->left; i++) {
        if (in->at[i] != 0) {
            return false;
        }
    }
    return true;
}

bool dcap_decode(struct verdict *verdict, struct dcap_quote *quote, struct bytes bytes)
{
    struct cursor in = cursor_over(bytes.at, bytes.length);
    struct quote_header header;
    uint16_t type = 0;
    *quote = (struct dcap_quote){.version = 0};
    header_read(&header, &in);
    if (in.failed || header.version < 3 || header.version > 5) {
        return verdict_refuse(verdict, REASON_FORMAT,
                              "%zu bytes of version %u are no quote of version 3 to 5",
                              bytes.length, header.version);
    }
    quote->version = header.version;
    if (header.key_type != KEY_TYPE_P256 || !body_read(quote, &header, &in) ||
        !bytes_equal(header.vendor, bytes_of(QE_VENDOR, sizeof QE_VENDOR))) {
        return verdict_refuse(verdict, REASON_FORMAT,
                              "version %u, TEE type %u, key type %u, or the body's type or the QE "
                              "vendor, is not one that this version of quotes has",
                              header.version, header.tee_type, header.key_type);
    }
    quote->signed_part = bytes_of(bytes.at, bytes.length - in.left);
    uint32_t signature_bytes = cursor_u32(&in);
    struct bytes signatures = cursor_bytes(&in, signature_bytes);
    if (in.failed || !signatures_read(quote, &type, signatures)) {
        return verdict_refuse(verdict, REASON_FORMAT,
                              "of %zu bytes, %u for the signatures: the parts do not fill them",
                              bytes.length, signature_bytes);
    }
    if (!is_padding(&in)) {
        return verdict_refuse(verdict, REASON_FORMAT,
                              "behind the end of the quote lie %zu bytes that are not all zero",
                              in.left);
    }
    if (type != CERTIFICATION_PCK_CHAIN) {
        return verdict_refuse(verdict, REASON_CHAIN,
                              "certification data of type %u: only type %d carries the PCK chain",
                              type, CERTIFICATION_PCK_CHAIN);
    }
    return true;
}

/*
 * An enclave's report.
 *
 *     offset  bytes  field
 *          0     16  CPUSVN
 *         16      4  misc select
 *         48     16  attributes
 *         64     32  MRENCLAVE
 *        128     32  MRSIGNER
 *        256      2  ISVPRODID
 *        258      2  ISVSVN
 *        320     64  report data
 */
void dcap_enclave_decode(struct dcap_enclave *enclave, struct bytes bytes)
{
    struct cursor in = cursor_over(bytes.at, bytes.length);
    cursor_take(&in, 16);
    cursor_copy(&in, enclave->misc_select, sizeof enclave->misc_select);
    cursor_take(&in, 28);
    cursor_copy(&in, enclave->attributes, sizeof enclave->attributes);
    cursor_copy(&in, enclave->measurement, sizeof enclave->measurement);
    cursor_take(&in, 32);
    cursor_copy(&in, enclave->signer, sizeof enclave->signer);
    cursor_take(&in, 96);
    enclave->product = cursor_u16(&in);
    enclave->security_version = cursor_u16(&in);
    cursor_take(&in, 60);
    cursor_copy(&in, enclave->report_data, sizeof enclave->report_data);
    CHECK(cursor_done(&in));
}

// ---- the signatures ----

/* The quote's own signature, and the attestation key in the QE's report. */
static bool quote_verify(struct verdict *verdict, const struct dcap_quote *quote,
                         const struct dcap_enclave *qe)
{
    EVP_PKEY *key = signature_key(SIGNATURE_P256_SHA256, quote->key);
    bool is_signed =
        signature_verify_raw(SIGNATURE_P256_SHA256, key, quote->signed_part, quote->signature);
    EVP_PKEY_free(key);
    if (!is_signed) {
        return verdict_refuse(verdict, REASON_SIGNATURE,
                              "the attestation key in the quote did not sign header and body");
    }
    const struct bytes parts[] = {quote->key, quote->qe_data};
    const struct hash bound = hash_of_parts(parts, 2);
    uint8_t expected[sizeof qe->report_data] = {0};
    memcpy(expected, bound.bytes, sizeof bound.bytes);
    if (memcmp(expected, qe->report_data, sizeof expected) != 0) {
        char ours[HASH_TEXT_BYTES], theirs[2 * sizeof expected + 1];
        hash_text(&bound, ours);
        hex_encode(theirs, qe->report_data, sizeof qe->report_data);
        return verdict_refuse(verdict, REASON_QE_BINDING,
                              "the attestation key hashes to %s, and the QE's report names %.64s",
                              ours, theirs);
    }
    return true;
}

/* A member of the SGX extension: its number behind OID_SGX, and its value. */
static bool member_read(uint8_t *number, struct der *value, struct bytes sequence,
                        struct bytes prefix)
{
    struct bytes oid;
    struct cursor in = cursor_over(sequence.at, sequence.length);
    if (!der_expect(&oid, DER_OBJECT, &in) || !der_next(value, &in) || !cursor_done(&in) ||
        oid.length != prefix.length + 1 || !bytes_start_with(oid, prefix)) {
        return false;
    }
    *number = oid.at[prefix.length];
    return true;
}

/* Members 1 to 16 of the TCB: the components; 17: PCESVN; 18: CPUSVN, which they make up. */
static bool tcb_read(struct tcb_platform *platform, struct bytes sequence)
{
    uint8_t prefix[sizeof OID_SGX + 1], number;
    struct bytes entry;
    struct cursor in = cursor_over(sequence.at, sequence.length);
    uint32_t seen = 0, svn;
    memcpy(prefix, OID_SGX, sizeof OID_SGX);
    prefix[sizeof OID_SGX] = 2;
    while (in.left > 0 && !in.failed) {
        struct der value;
        if (!der_expect(&entry, DER_SEQUENCE, &in) ||
            !member_read(&number, &value, entry, bytes_of(prefix, sizeof prefix)) || number == 0 ||
            number > 18 || (seen & 1u << number) != 0) {
            return false;
        }
        seen |= 1u << number;
        if (number == 18) {
            continue;
        }
        if (value.tag != DER_INTEGER ||
            !der_number(&svn, value.value, number == 17 ? UINT16_MAX : UINT8_MAX)) {
            return false;
        }
        if (number == 17) {
            platform->pcesvn = (uint16_t)svn;
        } else {
            platform->components[number - 1] = (uint8_t)svn;
        }
    }
    return !in.failed && (seen & 0x3fffe) == 0x3fffe;
}

struct pck_identity {
    struct tcb_platform platform;
    uint8_t ppid[PPID_BYTES];
};

/* An OCTET STRING of exactly this length. */
static bool octets_copy(uint8_t *target, size_t length, const struct der *value)
{
    if (value->tag != DER_OCTET_STRING || value->value.length != length) {
        return false;
    }
    memcpy(target, value->value.at, length);
    return true;
}

/* The extension of a PCK certificate: 1 PPID, 2 TCB, 3 PCEID, 4 FMSPC; the others say no more. */
static bool extension_read(struct pck_identity *identity, struct bytes extension)
{
    enum { PPID = 1, TCB, PCEID, FMSPC, NEEDED = 1 << PPID | 1 << TCB | 1 << PCEID | 1 << FMSPC };
    struct bytes sequence, entry;
    struct cursor in = cursor_over(extension.at, extension.length);
    uint32_t seen = 0;
    if (!der_expect(&sequence, DER_SEQUENCE, &in) || !cursor_done(&in)) {
        return false;
    }
    in = cursor_over(sequence.at, sequence.length);
    while (in.left > 0 && !in.failed) {
        uint8_t number;
        struct der value;
        struct tcb_platform *platform = &identity->platform;
        bool is_read = true;
        if (!der_expect(&entry, DER_SEQUENCE, &in) ||
            !member_read(&number, &value, entry, bytes_of(OID_SGX, sizeof OID_SGX)) ||
            number > 31 || (seen & 1u << number) != 0) {
            return false;
        }
        seen |= 1u << number;
        if (number == PPID) {
            is_read = octets_copy(identity->ppid, sizeof identity->ppid, &value);
        } else if (number == TCB) {
            is_read = value.tag == DER_SEQUENCE && tcb_read(platform, value.value);
        } else if (number == PCEID) {
            is_read = octets_copy(platform->pceid, sizeof platform->pceid, &value);
        } else if (number == FMSPC) {
            is_read = octets_copy(platform->fmspc, sizeof platform->fmspc, &value);
        }
        if (!is_read) {
            return false;
        }
    }
    return !in.failed && (seen & NEEDED) == NEEDED;
}

/* PCK, Platform or Processor CA, root. */
static bool pck_verify(struct verdict *verdict, struct x509_pool *pool, struct x509_chain *chain,
                       struct pck_identity *identity, const struct dcap_quote *quote,
                       const struct x509_pin *root)
{
    const struct x509_use use = {
        .what = "PCK chain",
        .suite = SIGNATURE_P256_SHA256,
        .broken = REASON_CHAIN,
        .expired = REASON_CHAIN,
        .pins = root,
        .pin_count = 1,
    };
    size_t pin;
    struct bytes extension;
    if (!x509_chain_read(verdict, pool, chain, &use, quote->chain) ||
        !x509_chain_find_leaf(verdict, pool, chain, &use)) {
        return false;
    }
    if (!signature_verify_raw(SIGNATURE_P256_SHA256, x509_chain_key(pool, chain, 0),
                              quote->qe_report, quote->qe_signature)) {
        return verdict_refuse(verdict, REASON_QE_BINDING,
                              "the platform's PCK did not sign the QE's report");
    }
    if (!x509_chain_verify(verdict, pool, chain, &use, &pin)) {
        return false;
    }
    if (chain->count != 3 || !x509_chain_has_name(pool, chain, 0, "Intel SGX PCK Certificate") ||
        (!x509_chain_has_name(pool, chain, 1, "Intel SGX PCK Platform CA") &&
         !x509_chain_has_name(pool, chain, 1, "Intel SGX PCK Processor CA"))) {
        return verdict_refuse(verdict, REASON_CHAIN,
                              "PCK chain: %zu certificates, which are not a PCK certificate, the "
                              "PCK Platform or Processor CA, and the root",
                              chain->count);
    }
    if (!x509_chain_extension(pool, chain, 0, bytes_of(OID_SGX, sizeof OID_SGX), &extension) ||
        !extension_read(identity, extension)) {
        return verdict_refuse(verdict, REASON_CHAIN,
                              "PCK chain: the certificate's SGX extension is missing or malformed");
    }
    return true;
}

// ---- the vendor's statements ----

/* What a judgement of collateral works with. */
struct statements {
    struct verdict *verdict;
    struct x509_pool *pool;
    const struct x509_chain *pck;
    const struct x509_pin *root;
    const struct collateral *collateral;
    struct x509_crl *root_crl;
};

static struct x509_use use_of(const struct statements *it, const char *what)
{
    return (struct x509_use){
        .what = what,
        .suite = SIGNATURE_P256_SHA256,
        .broken = REASON_COLLATERAL,
        .expired = REASON_COLLATERAL_EXPIRED,
        .pins = it->root,
        .pin_count = 1,
    };
}

static struct bytes document(const struct statements *it, enum collateral_kind kind)
{
    return it->collateral->documents[kind];
}

static bool all_are_there(const struct statements *it)
{
    static const enum collateral_kind needed[] = {
        COLLATERAL_TCB_INFO,    COLLATERAL_TCB_INFO_ISSUER_CHAIN,
        COLLATERAL_QE_IDENTITY, COLLATERAL_QE_IDENTITY_ISSUER_CHAIN,
        COLLATERAL_PCK_CRL,     COLLATERAL_ROOT_CA_CRL,
    };
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        if (document(it, needed[i]).length == 0) {
            return verdict_refuse(it->verdict, REASON_COLLATERAL, "the document '%s' is missing",
                                  collateral_name(needed[i]));
        }
    }
    return true;
}

/* Neither the PCK nor the CA that issued it is revoked. */
static bool pck_is_in_force(struct statements *it)
{
    const struct x509_use pck_use = use_of(it, "PCK CRL");
    const struct x509_use root_use = use_of(it, "root CA CRL");
    struct x509_crl *crl =
        x509_crl_new(it->verdict, it->pool, it->pck, 1, &pck_use, document(it, COLLATERAL_PCK_CRL));
    if (crl == NULL) {
        return false;
    }
    verdict_note_issue(it->verdict, x509_crl_issued_s(crl));
    it->root_crl = x509_crl_new(it->verdict, it->pool, it->pck, 2, &root_use,
                                document(it, COLLATERAL_ROOT_CA_CRL));
    bool is_in_force = it->root_crl != NULL &&
                       x509_crl_allows(it->verdict, it->root_crl, it->pool, it->pck, 1) &&
                       x509_crl_allows(it->verdict, crl, it->pool, it->pck, 0);
    x509_crl_free(crl);
    return is_in_force;
}

/* The list of a PCK CA lies beside the chain of that CA: a copy, which has to be a true one. */
static bool copy_is_true(struct statements *it)
{
    const struct x509_use use = use_of(it, "PCK CRL issuer chain");
    struct bytes text = document(it, COLLATERAL_PCK_CRL_ISSUER_CHAIN);
    struct x509_chain copy = {.count = 0};
    struct x509_chain whole = *it->pck;
    if (text.length == 0) {
        return true;
    }
    if (!x509_chain_read(it->verdict, it->pool, &copy, &use, text)) {
        return false;
    }
    // Judged with the PCK in front, whose issuer the copy is.
    if (copy.count != 2) {
        return verdict_refuse(it->verdict, REASON_COLLATERAL,
                              "PCK CRL issuer chain: %zu certificates, not a CA and the root",
                              copy.count);
    }
    size_t pin;
    whole.items[1] = copy.items[0];
    whole.items[2] = copy.items[1];
    return x509_chain_verify(it->verdict, it->pool, &whole, &use, &pin);
}

/* The key that signs statements: certified for that by the root itself, and not revoked. */
static EVP_PKEY *signer_verify(struct statements *it, const char *what, enum collateral_kind kind,
                               struct x509_chain *chain)
{
    const struct x509_use use = use_of(it, what);
    size_t pin;
    if (!x509_chain_read(it->verdict, it->pool, chain, &use, document(it, kind)) ||
        !x509_chain_verify(it->verdict, it->pool, chain, &use, &pin)) {
        return NULL;
    }
    if (chain->count != 2 || !x509_chain_has_name(it->pool, chain, 0, "Intel SGX TCB Signing")) {
        verdict_refuse(it->verdict, REASON_COLLATERAL,
                       "%s: %zu certificates, which are not those of TCB signing and the root",
                       what, chain->count);
        return NULL;
    }
    return x509_crl_allows(it->verdict, it->root_crl, it->pool, chain, 0)
               ? x509_chain_key(it->pool, chain, 0)
               : NULL;
}

static bool statements_verify(struct statements *it, const struct tcb_platform *platform,
                              const struct tcb_module *module, const struct dcap_enclave *qe)
{
    struct x509_chain info_chain = {.count = 0}, identity_chain = {.count = 0};
    enum tcb_status platform_status, enclave_status;
    if (!all_are_there(it) || !pck_is_in_force(it) || !copy_is_true(it)) {
        return false;
    }
    EVP_PKEY *key =
        signer_verify(it, "TCB info issuer chain", COLLATERAL_TCB_INFO_ISSUER_CHAIN, &info_chain);
    if (key == NULL ||
        !tcb_judge_platform(it->verdict, &platform_status, document(it, COLLATERAL_TCB_INFO), key,
                            platform, module)) {
        return false;
    }
    struct tcb_enclave enclave = {
        .product = qe->product,
        .security_version = qe->security_version,
    };
    memcpy(enclave.misc_select, qe->misc_select, sizeof enclave.misc_select);
    memcpy(enclave.attributes, qe->attributes, sizeof enclave.attributes);
    memcpy(enclave.signer, qe->signer, sizeof enclave.signer);
    key = signer_verify(it, "QE identity issuer chain", COLLATERAL_QE_IDENTITY_ISSUER_CHAIN,
                        &identity_chain);
    if (key == NULL ||
        !tcb_judge_enclave(it->verdict, &enclave_status, document(it, COLLATERAL_QE_IDENTITY), key,
                           &enclave, module != NULL)) {
        return false;
    }
    it->verdict->tcb_status = verdict_tcb_worst(platform_status, enclave_status);
    return true;
}

bool dcap_verify(struct verdict *verdict, const struct dcap_quote *quote,
                 const struct x509_pin *root, const struct collateral *collateral,
                 const struct tcb_module *module)
{
    struct dcap_enclave qe;
    struct pck_identity identity = {.platform = {.pcesvn = 0}};
    struct x509_pool *pool = x509_pool_new();
    struct x509_chain pck = {.count = 0};
    dcap_enclave_decode(&qe, quote->qe_report);
    bool is_genuine = quote_verify(verdict, quote, &qe) &&
                      pck_verify(verdict, pool, &pck, &identity, quote, root);
    if (is_genuine) {
        verdict->platform = verdict_value_of(bytes_of(identity.ppid, sizeof identity.ppid));
    }
    if (is_genuine && collateral != NULL) {
        struct statements it = {
            .verdict = verdict,
            .pool = pool,
            .pck = &pck,
            .root = root,
            .collateral = collateral,
        };
        is_genuine = statements_verify(&it, &identity.platform, module, &qe);
        x509_crl_free(it.root_crl);
    }
    x509_pool_free(pool);
    return is_genuine;
}

bool dcap_query_read(struct dcap_query *query, struct bytes bytes)
{
    const struct x509_use use = {.what = "PCK chain", .broken = REASON_CHAIN};
    struct verdict verdict = verdict_at(0);
    struct dcap_quote quote;
    struct pck_identity identity = {.platform = {.pcesvn = 0}};
    struct x509_chain chain = {.count = 0};
    struct bytes extension;
    if (!dcap_decode(&verdict, &quote, bytes)) {
        return false;
    }
    struct x509_pool *pool = x509_pool_new();
    bool is_read =
        x509_chain_read(&verdict, pool, &chain, &use, quote.chain) &&
        x509_chain_find_leaf(&verdict, pool, &chain, &use) &&
        x509_chain_extension(pool, &chain, 0, bytes_of(OID_SGX, sizeof OID_SGX), &extension) &&
        extension_read(&identity, extension);
    *query = (struct dcap_query){.is_tdx = quote.body_type != DCAP_BODY_ENCLAVE};
    memcpy(query->fmspc, identity.platform.fmspc, sizeof query->fmspc);
    for (size_t i = 0; is_read && i < chain.count; i++) {
        query->is_processor_ca |=
            x509_chain_has_name(pool, &chain, i, "Intel SGX PCK Processor CA");
    }
    x509_pool_free(pool);
    return is_read;
}
