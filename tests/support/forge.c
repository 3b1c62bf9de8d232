/* tests/support/forge.c */
#include "tests/support/forge.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attest/collateral.h"
#include "attest/evidence.h"
#include "base/check.h"
#include "base/date.h"
#include "base/encoder.h"
#include "base/hex.h"
#include "crypto/crypto.h"
#include "crypto/hash.h"

enum {
    DAY_S = 24 * 60 * 60,
    RSA_BITS = 4096,
    TEXT_BYTES = 8192,
    PLATFORM_COMPONENT = 7,
    PLATFORM_PCESVN = 13,
    QE_VERSION = 8,
    MODULE_VERSION = 5,
    SERIAL_ROOT = 1,
    SERIAL_CA = 2,
    SERIAL_PCK = 3,
    SERIAL_SIGNER = 4,
};

static const char SGX_OID[] = "1.2.840.113741.1.13.1";
static const uint8_t FMSPC[] = {0x00, 0x60, 0x6a, 0x00, 0x00, 0x00};
static const uint8_t SNP_TCB[] = {4, 1, 0, 0, 0, 0, 24, 219};
static const uint8_t TURIN_TCB[] = {1, 2, 3, 4, 0, 0, 0, 75};

struct forge {
    EVP_PKEY *intel_root;
    EVP_PKEY *intel_ca;
    EVP_PKEY *pck;
    EVP_PKEY *signer;
    EVP_PKEY *attestation;
    EVP_PKEY *amd_root;  // NULL until it is needed: it takes seconds
    EVP_PKEY *chip;
    struct vendor_roots roots;
};

// ---- keys and signatures ----

static EVP_PKEY *curve_key(const char *curve)
{
    EVP_PKEY *key = EVP_EC_gen(curve);
    CHECK(key != NULL);
    return key;
}

static struct x509_pin pin_of(EVP_PKEY *key)
{
    uint8_t *der = NULL;
    int length = i2d_PUBKEY(key, &der);
    CHECK(length > 0);
    struct x509_pin pin = {.key = hash_of(der, (size_t)length)};
    OPENSSL_free(der);
    return pin;
}

struct forge *forge_new(void)
{
    crypto_init();
    struct forge *forge = calloc(1, sizeof *forge);
    CHECK(forge != NULL);
    forge->intel_root = curve_key("P-256");
    forge->intel_ca = curve_key("P-256");
    forge->pck = curve_key("P-256");
    forge->signer = curve_key("P-256");
    forge->attestation = curve_key("P-256");
    forge->chip = curve_key("P-384");
    forge->roots.intel = pin_of(forge->intel_root);
    return forge;
}

/* One key for root and intermediate, and for every product: it takes seconds to make. */
static void need_amd(struct forge *forge)
{
    if (forge->amd_root == NULL) {
        forge->amd_root = EVP_RSA_gen(RSA_BITS);
        CHECK(forge->amd_root != NULL);
    }
}

void forge_free(struct forge *forge)
{
    if (forge != NULL) {
        EVP_PKEY_free(forge->intel_root);
        EVP_PKEY_free(forge->intel_ca);
        EVP_PKEY_free(forge->pck);
        EVP_PKEY_free(forge->signer);
        EVP_PKEY_free(forge->attestation);
        EVP_PKEY_free(forge->amd_root);
        EVP_PKEY_free(forge->chip);
        free(forge);
    }
}

const struct vendor_roots *forge_roots(const struct forge *forge)
{
    return &forge->roots;
}

static EVP_MD_CTX *signing(EVP_PKEY *key)
{
    EVP_PKEY_CTX *context = NULL;
    EVP_MD_CTX *digests = EVP_MD_CTX_new();
    bool is_long = EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_get_bits(key) == 384;
    CHECK(digests != NULL);
    CHECK(EVP_DigestSignInit(digests, &context, is_long ? EVP_sha384() : EVP_sha256(), NULL, key) ==
          1);
    if (EVP_PKEY_is_a(key, "RSA")) {
        CHECK(EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1);
        CHECK(EVP_PKEY_CTX_set_rsa_mgf1_md(context, EVP_sha384()) == 1);
        CHECK(EVP_PKEY_CTX_set_rsa_pss_saltlen(context, 48) == 1);
    }
    return digests;
}

/* r ‖ s, big endian, `size` bytes each. */
static void sign_raw(EVP_PKEY *key, struct bytes message, uint8_t *target, size_t size)
{
    uint8_t der[256];
    size_t length = sizeof der;
    EVP_MD_CTX *digests = signing(key);
    CHECK(EVP_DigestSign(digests, der, &length, message.at, message.length) == 1);
    EVP_MD_CTX_free(digests);
    const uint8_t *at = der;
    ECDSA_SIG *numbers = d2i_ECDSA_SIG(NULL, &at, (long)length);
    CHECK(numbers != NULL);
    CHECK(BN_bn2binpad(ECDSA_SIG_get0_r(numbers), target, (int)size) == (int)size);
    CHECK(BN_bn2binpad(ECDSA_SIG_get0_s(numbers), target + size, (int)size) == (int)size);
    ECDSA_SIG_free(numbers);
}

static void append(struct buffer *target, const void *bytes, size_t length)
{
    CHECK(buffer_append(target, bytes, length) == STATUS_OK);
}

static void append_text(struct buffer *target, const char *text)
{
    append(target, text, strlen(text));
}

// ---- certificates ----

struct paper {
    const char *subject;
    const char *issuer;
    EVP_PKEY *key;
    EVP_PKEY *signer;
    long serial;
    uint64_t from_s;
    uint64_t until_s;
    const char *constraints;  // NULL: it has none
    const char *usage;
};

static void set_name(X509_NAME *name, const char *common_name)
{
    CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *)common_name, -1,
                                     -1, 0) == 1);
    CHECK(X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const uint8_t *)"Forge", -1, -1,
                                     0) == 1);
}

static void add_extension(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    CHECK(extension != NULL && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static void add_bytes(X509 *certificate, const char *oid, int is_critical, const void *bytes,
                      size_t length)
{
    ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
    ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
    CHECK(object != NULL && data != NULL && ASN1_OCTET_STRING_set(data, bytes, (int)length) == 1);
    X509_EXTENSION *extension = X509_EXTENSION_create_by_OBJ(NULL, object, is_critical, data);
    CHECK(extension != NULL && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(data);
    ASN1_OBJECT_free(object);
}

static X509 *paper_new(const struct paper *paper)
{
    X509 *certificate = X509_new();
    CHECK(certificate != NULL && X509_set_version(certificate, X509_VERSION_3) == 1);
    CHECK(ASN1_INTEGER_set(X509_get_serialNumber(certificate), paper->serial) == 1);
    set_name(X509_get_subject_name(certificate), paper->subject);
    set_name(X509_get_issuer_name(certificate), paper->issuer);
    CHECK(ASN1_TIME_set(X509_getm_notBefore(certificate), (time_t)paper->from_s) != NULL);
    CHECK(ASN1_TIME_set(X509_getm_notAfter(certificate), (time_t)paper->until_s) != NULL);
    CHECK(X509_set_pubkey(certificate, paper->key) == 1);
    if (paper->constraints != NULL) {
        add_extension(certificate, NID_basic_constraints, paper->constraints);
    }
    if (paper->usage != NULL) {
        add_extension(certificate, NID_key_usage, paper->usage);
    }
    return certificate;
}

/* Sign it and append it as PEM; it is freed. */
static void paper_sign(X509 *certificate, EVP_PKEY *signer, struct buffer *pem)
{
    EVP_MD_CTX *digests = signing(signer);
    CHECK(X509_sign_ctx(certificate, digests) > 0);
    EVP_MD_CTX_free(digests);
    BIO *memory = BIO_new(BIO_s_mem());
    CHECK(memory != NULL && PEM_write_bio_X509(memory, certificate) == 1);
    char *text;
    long length = BIO_get_mem_data(memory, &text);
    append(pem, text, (size_t)length);
    BIO_free(memory);
    X509_free(certificate);
}

static void add_authority(const struct paper *paper, struct buffer *pem)
{
    paper_sign(paper_new(paper), paper->signer, pem);
}

/* Append a list that revokes `serial`; 0: nobody. */
static void add_list(struct buffer *der, const char *issuer, EVP_PKEY *signer, uint64_t from_s,
                     uint64_t until_s, long serial, bool is_of_changes)
{
    X509_CRL *list = X509_CRL_new();
    X509_NAME *name = X509_NAME_new();
    ASN1_TIME *from = ASN1_TIME_set(NULL, (time_t)from_s);
    ASN1_TIME *until = ASN1_TIME_set(NULL, (time_t)until_s);
    set_name(name, issuer);
    CHECK(X509_CRL_set_version(list, X509_CRL_VERSION_2) == 1);
    CHECK(X509_CRL_set_issuer_name(list, name) == 1);
    CHECK(X509_CRL_set1_lastUpdate(list, from) == 1 && X509_CRL_set1_nextUpdate(list, until) == 1);
    if (serial != 0) {
        X509_REVOKED *entry = X509_REVOKED_new();
        ASN1_INTEGER *number = ASN1_INTEGER_new();
        CHECK(ASN1_INTEGER_set(number, serial) == 1);
        CHECK(X509_REVOKED_set_serialNumber(entry, number) == 1);
        CHECK(X509_REVOKED_set_revocationDate(entry, from) == 1);
        CHECK(X509_CRL_add0_revoked(list, entry) == 1);
        ASN1_INTEGER_free(number);
    }
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    CHECK(ASN1_INTEGER_set(number, 1) == 1);
    CHECK(X509_CRL_add1_ext_i2d(list, NID_crl_number, number, 0, 0) == 1);
    if (is_of_changes) {
        CHECK(X509_CRL_add1_ext_i2d(list, NID_delta_crl, number, 1, 0) == 1);
    }
    EVP_MD_CTX *digests = signing(signer);
    CHECK(X509_CRL_sign_ctx(list, digests) > 0);
    uint8_t *bytes = NULL;
    int length = i2d_X509_CRL(list, &bytes);
    CHECK(length > 0);
    append(der, bytes, (size_t)length);
    OPENSSL_free(bytes);
    EVP_MD_CTX_free(digests);
    ASN1_INTEGER_free(number);
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
    X509_NAME_free(name);
    X509_CRL_free(list);
}

// ---- Intel ----

static uint64_t from_of(const struct forge_order *order)
{
    return order->now_s - DAY_S;
}

static uint64_t until_of(const struct forge_order *order)
{
    return order->now_s + 29 * DAY_S;
}

static uint64_t from_unless(const struct forge_order *order, enum forge_flaw from_tomorrow)
{
    return order->flaw == from_tomorrow ? order->now_s + DAY_S : from_of(order);
}

static const char *ca_name(const struct forge_order *order)
{
    return order->flaw == FORGE_CA_MISNAMED ? "Intel SGX PCK Other CA"
           : order->is_processor            ? "Intel SGX PCK Processor CA"
                                            : "Intel SGX PCK Platform CA";
}

static uint64_t until_unless(const struct forge_order *order, enum forge_flaw expired)
{
    return order->flaw == expired ? order->now_s - 1 : until_of(order);
}

/* {OID, value} as DER: the object below SGX_OID, and what is given. */
static void add_member(struct buffer *target, const uint8_t *numbers, size_t count,
                       const uint8_t *value, size_t length)
{
    static const uint8_t prefix[] = {0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01};
    size_t inner = 2 + sizeof prefix + count + length;
    uint8_t head[4] = {0x30, 0x82, (uint8_t)(inner >> 8), (uint8_t)inner};
    if (inner < 0x80) {
        head[1] = (uint8_t)inner;
        append(target, head, 2);
    } else if (inner < 0x100) {
        head[1] = 0x81;
        head[2] = (uint8_t)inner;
        append(target, head, 3);
    } else {
        append(target, head, 4);
    }
    const uint8_t object[2] = {0x06, (uint8_t)(sizeof prefix + count)};
    append(target, object, sizeof object);
    append(target, prefix, sizeof prefix);
    append(target, numbers, count);
    append(target, value, length);
}

static void wrap(struct buffer *content)
{
    struct buffer whole = BUFFER_EMPTY;
    uint8_t head[4] = {0x30, 0x82, (uint8_t)(content->length >> 8), (uint8_t)content->length};
    CHECK(content->length >= 0x100);
    append(&whole, head, sizeof head);
    append(&whole, content->bytes, content->length);
    buffer_release(content);
    *content = whole;
}

static void sgx_extension(struct buffer *target)
{
    struct buffer tcb = BUFFER_EMPTY;
    uint8_t octets[2 + 16] = {0x04, 16};
    for (uint8_t i = 1; i <= 18; i++) {
        const uint8_t numbers[] = {2, i};
        const uint8_t number[] = {0x02, 1, i == 17 ? PLATFORM_PCESVN : PLATFORM_COMPONENT};
        add_member(&tcb, numbers, 2, i == 18 ? octets : number, i == 18 ? sizeof octets : 3);
    }
    wrap(&tcb);
    add_member(target, (const uint8_t[]){1}, 1, octets, sizeof octets);
    add_member(target, (const uint8_t[]){2}, 1, tcb.bytes, tcb.length);
    add_member(target, (const uint8_t[]){3}, 1, (const uint8_t[]){0x04, 2, 0, 0}, 4);
    uint8_t fmspc[2 + sizeof FMSPC] = {0x04, sizeof FMSPC};
    memcpy(fmspc + 2, FMSPC, sizeof FMSPC);
    add_member(target, (const uint8_t[]){4}, 1, fmspc, sizeof fmspc);
    add_member(target, (const uint8_t[]){5}, 1, (const uint8_t[]){0x0a, 1, 0}, 3);
    wrap(target);
    buffer_release(&tcb);
}

static void intel_root(struct forge *forge, const struct forge_order *order, struct buffer *pem)
{
    const struct paper root = {
        .subject = "Intel SGX Root CA",
        .issuer = "Intel SGX Root CA",
        .key = forge->intel_root,
        .signer = forge->intel_root,
        .serial = SERIAL_ROOT,
        .from_s = from_of(order),
        .until_s = until_of(order),
        .constraints = "critical,CA:TRUE,pathlen:1",
        .usage = "critical,keyCertSign,cRLSign",
    };
    add_authority(&root, pem);
}

static void intel_ca(struct forge *forge, const struct forge_order *order, struct buffer *pem)
{
    const struct paper ca = {
        .subject = ca_name(order),
        .issuer = "Intel SGX Root CA",
        .key = forge->intel_ca,
        .signer = forge->intel_root,
        .serial = SERIAL_CA,
        .from_s = from_of(order),
        .until_s = until_unless(order, FORGE_CA_EXPIRED),
        .constraints = order->flaw == FORGE_CA_NO_AUTHORITY ? "critical,CA:FALSE"
                                                            : "critical,CA:TRUE,pathlen:0",
        .usage = order->flaw == FORGE_CA_MAY_NOT_CERTIFY ? "critical,cRLSign"
                 : order->flaw == FORGE_CA_MAY_NOT_LIST  ? "critical,keyCertSign"
                                                         : "critical,keyCertSign,cRLSign",
    };
    add_authority(&ca, pem);
}

static void pck_chain(struct forge *forge, const struct forge_order *order, struct buffer *pem)
{
    const struct paper pck = {
        .subject =
            order->flaw == FORGE_PCK_MISNAMED ? "Another Certificate" : "Intel SGX PCK Certificate",
        .issuer = ca_name(order),
        .key = forge->pck,
        .signer = forge->intel_ca,
        .serial = SERIAL_PCK,
        .from_s = from_of(order),
        .until_s = until_unless(order, FORGE_PCK_EXPIRED),
        .constraints = "critical,CA:FALSE",
        .usage = "critical,digitalSignature",
    };
    struct buffer extension = BUFFER_EMPTY;
    sgx_extension(&extension);
    X509 *certificate = paper_new(&pck);
    add_bytes(certificate, SGX_OID, 0, extension.bytes, extension.length);
    if (order->flaw == FORGE_PCK_UNKNOWN_CRITICAL) {
        add_bytes(certificate, "1.2.3.4.5", 1, "\5\0", 2);
    }
    paper_sign(certificate,
               order->flaw == FORGE_PCK_OF_ANOTHER_KEY ? forge->signer : forge->intel_ca, pem);
    intel_ca(forge, order, pem);
    intel_root(forge, order, pem);
    buffer_release(&extension);
}

static void signer_chain(struct forge *forge, const struct forge_order *order, struct buffer *pem)
{
    bool is_of_ca = order->flaw == FORGE_SIGNER_OF_THE_CA;
    const struct paper signer = {
        .subject = order->flaw == FORGE_SIGNER_MISNAMED ? "Intel SGX PCK Certificate"
                                                        : "Intel SGX TCB Signing",
        .issuer = is_of_ca ? ca_name(order) : "Intel SGX Root CA",
        .key = forge->signer,
        .signer = is_of_ca ? forge->intel_ca : forge->intel_root,
        .serial = SERIAL_SIGNER,
        .from_s = from_of(order),
        .until_s = until_unless(order, FORGE_SIGNER_EXPIRED),
        .constraints = "critical,CA:FALSE",
        .usage = "critical,digitalSignature",
    };
    add_authority(&signer, pem);
    if (is_of_ca) {
        intel_ca(forge, order, pem);
    }
    intel_root(forge, order, pem);
}

void forge_statement(struct buffer *target, EVP_PKEY *signer, const char *name,
                     struct bytes content)
{
    uint8_t signature[64];
    char digits[2 * sizeof signature + 1];
    sign_raw(signer, content, signature, sizeof signature / 2);
    hex_encode(digits, signature, sizeof signature);
    append_text(target, "{\"");
    append_text(target, name);
    append_text(target, "\":");
    append(target, content.at, content.length);
    append_text(target, ",\"signature\":\"");
    append_text(target, digits);
    append_text(target, "\"}");
}

static void dates_text(char text[128], uint64_t from_s, uint64_t until_s)
{
    char from[DATE_TEXT_BYTES], until[DATE_TEXT_BYTES];
    date_text(from, from_s);
    date_text(until, until_s);
    snprintf(text, 128, "\"issueDate\":\"%s\",\"nextUpdate\":\"%s\"", from, until);
}

/* Sixteen components, the first of `first`, the others of `svn`: as an array, or as members. */
static void components_text(char text[1024], bool is_flat, const char *name, unsigned first,
                            unsigned svn)
{
    int length = is_flat ? 0 : snprintf(text, 64, "\"%s\":[", name);
    for (unsigned i = 1; i <= 16; i++) {
        const char *comma = i > 1 ? "," : "";
        unsigned value = i > 1 ? svn : first;
        length += is_flat
                      ? snprintf(text + length, 64, "%s\"sgxtcbcomp%02usvn\":%u", comma, i, value)
                      : snprintf(text + length, 64, "%s{\"svn\":%u}", comma, value);
    }
    snprintf(text + length, 4, is_flat ? "" : "]");
}

/* A level above all, and the one that is reached, if any. */
static void levels_text(char *text, size_t size, const struct forge_order *order)
{
    int pcesvn = PLATFORM_PCESVN + (order->flaw == FORGE_PCE_BELOW_LEVELS);
    unsigned module = order->flaw == FORGE_MODULE_BELOW_LEVELS ? MODULE_VERSION + 1 : 0;
    char high[1024], low[1024], tdx_high[1025] = "", tdx_low[1025] = "";
    components_text(high, order->is_flat, "sgxtcbcomponents", PLATFORM_COMPONENT + 1,
                    PLATFORM_COMPONENT + 1);
    components_text(low, order->is_flat, "sgxtcbcomponents", PLATFORM_COMPONENT,
                    PLATFORM_COMPONENT);
    if (order->tee == TEE_TDX) {
        tdx_high[0] = tdx_low[0] = ',';
        components_text(tdx_high + 1, false, "tdxtcbcomponents", module, 0);
        components_text(tdx_low + 1, false, "tdxtcbcomponents", module, 0);
    }
    int length = snprintf(
        text, size, "\"tcbLevels\":[{\"tcb\":{%s,\"pcesvn\":%d%s},\"tcbStatus\":\"UpToDate\"}",
        high, pcesvn, tdx_high);
    if (order->platform_status != NULL) {
        length += snprintf(text + length, size - (size_t)length,
                           ",{\"tcb\":{%s,\"pcesvn\":%d%s},\"tcbStatus\":\"%s\","
                           "\"advisoryIDs\":[\"FORGE-SA-00001\"]}",
                           low, pcesvn, tdx_low, order->platform_status);
    }
    snprintf(text + length, size - (size_t)length, "]");
}

static void modules_text(char *text, size_t size, const struct forge_order *order)
{
    char signer[97], level[256] = "";
    memset(signer, order->flaw == FORGE_MODULE_OF_ANOTHER_SIGNER ? '1' : '0', 96);
    signer[96] = '\0';
    if (order->module_status != NULL) {
        snprintf(level, sizeof level,
                 ",{\"tcb\":{\"isvsvn\":%d},\"tcbStatus\":\"%s\","
                 "\"advisoryIDs\":[\"FORGE-SA-00002\",\"FORGE-SA-00001\"]}",
                 MODULE_VERSION, order->module_status);
    }
    snprintf(text, size,
             "\"tdxModule\":{\"mrsigner\":\"%s\",\"attributes\":\"0000000000000000\","
             "\"attributesMask\":\"FFFFFFFFFFFFFFFF\"},"
             "\"tdxModuleIdentities\":[{\"id\":\"TDX_01\",\"mrsigner\":\"%s\","
             "\"attributes\":\"0000000000000000\",\"attributesMask\":\"FFFFFFFFFFFFFFFF\","
             "\"tcbLevels\":[{\"tcb\":{\"isvsvn\":%d},\"tcbStatus\":\"UpToDate\"}%s]}],",
             signer, signer, MODULE_VERSION + 1, level);
}

static void tcb_info(struct forge *forge, const struct forge_order *order, struct buffer *target)
{
    char text[TEXT_BYTES], dates[128], levels[TEXT_BYTES / 2], modules[1024] = "";
    bool is_tdx = (order->tee == TEE_TDX) != (order->flaw == FORGE_TCB_INFO_OF_ANOTHER_TEE);
    dates_text(dates, from_unless(order, FORGE_TCB_INFO_FROM_TOMORROW), until_of(order));
    levels_text(levels, sizeof levels, order);
    if (order->tee == TEE_TDX) {
        modules_text(modules, sizeof modules, order);
    }
    snprintf(text, sizeof text,
             "{%s\"version\":%d,%s,\"fmspc\":\"00606a00000%d\",\"pceId\":\"0000\",\"tcbType\":0,"
             "\"tcbEvaluationDataNumber\":17,%s%s}",
             order->is_flat ? ""
             : is_tdx       ? "\"id\":\"TDX\","
                            : "\"id\":\"SGX\",",
             order->is_flat ? 2 : 3, dates,
             order->flaw == FORGE_TCB_INFO_OF_ANOTHER_PLATFORM ? 1 : 0, modules, levels);
    forge_statement(target, forge->signer, "tcbInfo", bytes_text(text));
}

static void qe_identity(struct forge *forge, const struct forge_order *order, struct buffer *target)
{
    char text[TEXT_BYTES], dates[128], level[256] = "", signer[65];
    memset(signer, order->flaw == FORGE_QE_OF_ANOTHER_SIGNER ? 'a' : 'b', 64);
    signer[64] = '\0';
    dates_text(dates, from_of(order), until_unless(order, FORGE_QE_IDENTITY_EXPIRED));
    if (order->qe_status != NULL) {
        snprintf(level, sizeof level, ",{\"tcb\":{\"isvsvn\":%d},\"tcbStatus\":\"%s\"}", QE_VERSION,
                 order->qe_status);
    }
    snprintf(text, sizeof text,
             "{\"id\":\"%s\",\"version\":2,%s,\"tcbEvaluationDataNumber\":17,"
             "\"miscselect\":\"00000000\",\"miscselectMask\":\"FFFFFFFF\","
             "\"attributes\":\"11000000000000000000000000000000\","
             "\"attributesMask\":\"FBFFFFFFFFFFFFFF0000000000000000\","
             "\"mrsigner\":\"%s\",\"isvprodid\":1,"
             "\"tcbLevels\":[{\"tcb\":{\"isvsvn\":%d},\"tcbStatus\":\"UpToDate\"}%s]}",
             order->tee == TEE_TDX ? "TD_QE" : "QE", dates, signer, QE_VERSION + 1, level);
    forge_statement(
        target, order->flaw == FORGE_QE_IDENTITY_OF_ANOTHER_KEY ? forge->intel_ca : forge->signer,
        "enclaveIdentity", bytes_text(text));
}

static void encode_zeroes(struct encoder *out, size_t count)
{
    uint8_t *zeroes = encoder_reserve(out, count);
    CHECK(zeroes != NULL);
    memset(zeroes, 0, count);
}

/* An enclave's report. */
static void encode_enclave(struct encoder *out, uint8_t attributes, const uint8_t *measurement,
                           const uint8_t *signer, uint16_t version, const uint8_t *report_data)
{
    encode_zeroes(out, 48);
    encoder_u8(out, attributes);
    encode_zeroes(out, 15);
    encoder_bytes(out, measurement, 32);
    encode_zeroes(out, 32);
    encoder_bytes(out, signer, 32);
    encode_zeroes(out, 96);
    encoder_u16(out, 1);
    encoder_u16(out, version);
    encode_zeroes(out, 60);
    encoder_bytes(out, report_data, 64);
}

static void encode_td(struct encoder *out, const struct forge_order *order, bool is_15)
{
    encoder_u8(out, MODULE_VERSION);
    encoder_u8(out, order->flaw == FORGE_MODULE_UNKNOWN ? 9 : order->module_version);
    encode_zeroes(out, 14 + 48 + 48 + 8);
    encoder_u8(out, order->is_debug);
    encode_zeroes(out, 15);
    encoder_bytes(out, order->measurement, 48);
    encode_zeroes(out, 7 * 48);
    encoder_bytes(out, order->report_data, 64);
    encode_zeroes(out, is_15 ? 64 : 0);
}

static void encode_body(struct encoder *out, const struct forge_order *order)
{
    static const uint8_t vendor[] = {0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                     0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};
    uint8_t signer[32];
    memset(signer, 0x51, sizeof signer);
    encoder_u16(out, order->version);
    encoder_u16(out, order->flaw == FORGE_KEY_OF_ANOTHER_TYPE ? 3 : 2);
    encoder_u32(out, order->tee == TEE_TDX ? 0x81 : 0);
    encoder_u32(out, 0);
    encoder_bytes(out, vendor, sizeof vendor - 1);
    encoder_u8(out, vendor[15] ^ (order->flaw == FORGE_QUOTE_OF_ANOTHER_VENDOR));
    encode_zeroes(out, 20);
    if (order->version == 5) {
        encoder_u16(out, order->tee == TEE_SGX ? 1 : 3);
        encoder_u32(out, order->tee == TEE_SGX ? 384 : 648);
    }
    if (order->tee == TEE_SGX) {
        encode_enclave(out, order->is_debug ? 7 : 5, order->measurement, signer, 1,
                       order->report_data);
    } else {
        encode_td(out, order, order->version == 5);
    }
}

/* The attestation key as x ‖ y, and the QE's report that names it. */
static void encode_certification(struct encoder *out, struct forge *forge,
                                 const struct forge_order *order, const uint8_t key[64],
                                 struct bytes chain)
{
    static const uint8_t qe_data[32] = {1, 2, 3};
    uint8_t report_data[64] = {0}, signer[32], measurement[32] = {7}, signature[64];
    const struct bytes parts[] = {bytes_of(key, 64), bytes_of(qe_data, sizeof qe_data)};
    const struct hash bound = hash_of_parts(parts, 2);
    memcpy(report_data, bound.bytes, sizeof bound.bytes);
    report_data[0] ^= order->flaw == FORGE_KEY_NOT_BOUND;
    report_data[63] ^= order->flaw == FORGE_KEY_BOUND_AND_MORE;
    memset(signer, 0xbb, sizeof signer);
    size_t start = out->length;
    encode_enclave(out, order->flaw == FORGE_QE_IN_DEBUG_MODE ? 0x13 : 0x11, measurement, signer,
                   QE_VERSION, report_data);
    sign_raw(order->flaw == FORGE_QE_REPORT_OF_ANOTHER_KEY ? forge->signer : forge->pck,
             bytes_of(out->start + start, out->length - start), signature, 32);
    encoder_bytes(out, signature, sizeof signature);
    encoder_u16(out, sizeof qe_data);
    encoder_bytes(out, qe_data, sizeof qe_data);
    encoder_u16(out, order->flaw == FORGE_QUOTE_WITH_ANOTHER_CERTIFICATION ? 4 : 5);
    encoder_u32(out, (uint32_t)chain.length);
    encoder_bytes(out, chain.at, chain.length);
}

static void intel_quote(struct forge *forge, const struct forge_order *order, struct buffer *quote)
{
    enum { CERTIFICATION_BYTES = 384 + 64 + 2 + 32 + 6 };
    struct buffer chain = BUFFER_EMPTY;
    uint8_t bytes[16 * 1024], key[65], signature[64];
    size_t key_length = 0;
    pck_chain(forge, order, &chain);
    CHECK(EVP_PKEY_get_octet_string_param(forge->attestation, OSSL_PKEY_PARAM_PUB_KEY, key,
                                          sizeof key, &key_length) == 1);
    struct encoder out = encoder_over(bytes, sizeof bytes);
    encode_body(&out, order);
    sign_raw(order->flaw == FORGE_QUOTE_OF_ANOTHER_KEY ? forge->pck : forge->attestation,
             bytes_of(bytes, out.length), signature, 32);
    size_t certification = CERTIFICATION_BYTES + chain.length;
    encoder_u32(&out, (uint32_t)(128 + certification + (order->version >= 4 ? 6 : 0)));
    encoder_bytes(&out, signature, sizeof signature);
    encoder_bytes(&out, key + 1, 64);
    if (order->version >= 4) {
        encoder_u16(&out, 6);
        encoder_u32(&out, (uint32_t)certification);
    }
    encode_certification(&out, forge, order, key + 1, buffer_bytes(&chain));
    CHECK(!out.failed);
    append(quote, bytes, out.length);
    buffer_release(&chain);
}

static void intel_make(struct forge *forge, const struct forge_order *order, struct buffer *quote,
                       struct buffer documents[COLLATERAL_KIND_COUNT])
{
    uint64_t until_s = until_unless(order, FORGE_CRL_EXPIRED);
    long revoked = order->flaw == FORGE_CA_REVOKED       ? SERIAL_CA
                   : order->flaw == FORGE_SIGNER_REVOKED ? SERIAL_SIGNER
                                                         : 0;
    intel_quote(forge, order, quote);
    add_list(&documents[COLLATERAL_PCK_CRL],
             order->flaw == FORGE_CRL_OF_ANOTHER_ISSUER ? "Intel SGX PCK Other CA" : ca_name(order),
             order->flaw == FORGE_CRL_OF_ANOTHER_KEY ? forge->signer : forge->intel_ca,
             from_unless(order, FORGE_CRL_FROM_TOMORROW), until_s,
             order->flaw == FORGE_PCK_REVOKED ? SERIAL_PCK : 0,
             order->flaw == FORGE_CRL_OF_CHANGES);
    add_list(&documents[COLLATERAL_ROOT_CA_CRL], "Intel SGX Root CA",
             order->flaw == FORGE_ROOT_CRL_OF_ANOTHER_KEY ? forge->intel_ca : forge->intel_root,
             from_of(order), until_unless(order, FORGE_ROOT_CRL_EXPIRED), revoked, false);
    tcb_info(forge, order, &documents[COLLATERAL_TCB_INFO]);
    qe_identity(forge, order, &documents[COLLATERAL_QE_IDENTITY]);
    signer_chain(forge, order, &documents[COLLATERAL_TCB_INFO_ISSUER_CHAIN]);
    append(&documents[COLLATERAL_QE_IDENTITY_ISSUER_CHAIN],
           documents[COLLATERAL_TCB_INFO_ISSUER_CHAIN].bytes,
           documents[COLLATERAL_TCB_INFO_ISSUER_CHAIN].length);
}

// ---- AMD ----

static void add_tcb(X509 *certificate, const struct forge_order *order)
{
    static const uint8_t numbers[VENDOR_PRODUCT_COUNT][8] = {
        {1, 2, 4, 5, 6, 7, 3, 8}, {1, 2, 4, 5, 6, 7, 3, 8}, {9, 1, 2, 3, 0, 0, 0, 8}};
    const uint8_t *tcb = order->product == VENDOR_TURIN ? TURIN_TCB : SNP_TCB;
    for (size_t i = 0; i < 8; i++) {
        char oid[64];
        uint8_t svn = tcb[i];
        if (numbers[order->product][i] == 0) {
            continue;
        }
        if (i == 7 && order->flaw == FORGE_VCEK_OF_ANOTHER_TCB) {
            svn--;
        }
        if (i == 0 && order->flaw == FORGE_VCEK_OF_ANOTHER_BOOT_LOADER) {
            svn++;
        }
        const uint8_t small[] = {0x02, 1, svn}, large[] = {0x02, 2, 0, svn};
        snprintf(oid, sizeof oid, "1.3.6.1.4.1.3704.1.3.%u", numbers[order->product][i]);
        add_bytes(certificate, oid, 0, svn < 0x80 ? small : large, svn < 0x80 ? 3 : 4);
    }
}

static void chip_id(uint8_t chip[64], const struct forge_order *order)
{
    memset(chip, 0, 64);
    memset(chip, 0xc4, order->product == VENDOR_TURIN ? 8 : 64);
}

static void add_leaf(struct forge *forge, const struct forge_order *order, const char *issuer,
                     struct buffer *pem)
{
    uint8_t chip[64];
    const struct paper leaf = {
        .subject = order->is_vlek ? "SEV-VLEK" : "SEV-VCEK",
        .issuer = issuer,
        .key = forge->chip,
        .signer = forge->amd_root,
        .from_s = from_of(order),
        .until_s = until_unless(order, FORGE_VCEK_EXPIRED),
    };
    X509 *certificate = paper_new(&leaf);
    add_tcb(certificate, order);
    chip_id(chip, order);
    chip[0] ^= order->flaw == FORGE_VCEK_OF_ANOTHER_CHIP;
    if (!order->is_vlek && order->flaw != FORGE_VCEK_WITHOUT_CHIP) {
        add_bytes(certificate, "1.3.6.1.4.1.3704.1.4", 0, chip,
                  order->product == VENDOR_TURIN ? 8 : 64);
    }
    paper_sign(certificate, forge->amd_root, pem);
}

static void add_issuers(struct forge *forge, const struct forge_order *order, const char *ask_name,
                        const char *ark_name, struct buffer documents[COLLATERAL_KIND_COUNT])
{
    struct paper authority = {
        .subject = ark_name,
        .issuer = ark_name,
        .key = forge->amd_root,
        .signer = forge->amd_root,
        .serial = SERIAL_ROOT,
        .from_s = from_of(order),
        .until_s = until_of(order),
        .constraints = "critical,CA:TRUE",
        .usage = "critical,keyCertSign,cRLSign",
    };
    add_authority(&authority, &documents[COLLATERAL_ARK]);
    authority.subject = ask_name;
    authority.serial = SERIAL_CA;
    authority.constraints = "critical,CA:TRUE,pathlen:0";
    authority.usage = "critical,keyCertSign";
    add_authority(&authority, &documents[COLLATERAL_ASK]);
    if (order->has_crl || order->flaw == FORGE_ASK_REVOKED) {
        EVP_PKEY *key =
            order->flaw == FORGE_CRL_OF_ANOTHER_KEY ? forge->intel_root : forge->amd_root;
        add_list(
            &documents[COLLATERAL_AMD_CRL],
            order->flaw == FORGE_CRL_OF_ANOTHER_ISSUER ? ask_name : ark_name, key,
            from_unless(order, FORGE_CRL_FROM_TOMORROW), until_unless(order, FORGE_CRL_EXPIRED),
            order->flaw == FORGE_ASK_REVOKED ? SERIAL_CA : 0, order->flaw == FORGE_CRL_OF_CHANGES);
    }
}

static void encode_cpu(struct encoder *out, const struct forge_order *order)
{
    static const uint8_t cpus[VENDOR_PRODUCT_COUNT][2] = {{0x19, 0x01}, {0x19, 0xa0}, {0x1a, 0x02}};
    enum vendor_product product = order->flaw == FORGE_REPORT_OF_ANOTHER_CPU
                                      ? (order->product + 1) % VENDOR_PRODUCT_COUNT
                                      : order->product;
    bool is_named = order->version >= 3;
    encoder_u8(out, is_named ? cpus[product][0] : 0);
    encoder_u8(out, !is_named ? 0 : order->cpu_model != 0 ? order->cpu_model : cpus[product][1]);
    encode_zeroes(out, 22);
}

static void snp_report(struct forge *forge, const struct forge_order *order, struct buffer *report)
{
    uint8_t bytes[0x4a0], chip[64], raw[96], turned[48];
    uint32_t key = order->flaw == FORGE_REPORT_UNSIGNED                             ? 7
                   : order->is_vlek != (order->flaw == FORGE_REPORT_OF_ANOTHER_KEY) ? 1
                                                                                    : 0;
    struct encoder out = encoder_over(bytes, sizeof bytes);
    chip_id(chip, order);
    if (order->is_vlek || order->flaw == FORGE_REPORT_WITH_MASKED_CHIP) {
        memset(chip, 0, sizeof chip);
    }
    chip[8] ^= order->flaw == FORGE_REPORT_OF_A_LONGER_CHIP;
    uint32_t flags = order->flaw == FORGE_REPORT_WITH_UNKNOWN_FLAGS ? 1u << 5
                     : order->flaw == FORGE_REPORT_WITH_AUTHOR_KEY  ? 1u
                                                                    : 0;
    encoder_u32(&out, order->version);
    encoder_u32(&out, 3);
    encoder_u64(&out, (order->flaw == FORGE_REPORT_WITHOUT_RESERVED_ONE ? 0x10000 : 0x30000) |
                          (order->is_debug ? 1 << 19 : 0));
    encode_zeroes(&out, 32 + 4);
    encoder_u32(&out, order->flaw == FORGE_REPORT_OF_ANOTHER_ALGORITHM ? 2 : 1);
    encode_zeroes(&out, 16);
    encoder_u32(&out, key << 2 | flags);
    encoder_u32(&out, 0);
    encoder_bytes(&out, order->report_data, 64);
    encoder_bytes(&out, order->measurement, 48);
    encode_zeroes(&out, 32 + 96 + 64);
    encoder_bytes(&out, order->product == VENDOR_TURIN ? TURIN_TCB : SNP_TCB, 8);
    encode_cpu(&out, order);
    encoder_bytes(&out, chip, sizeof chip);
    encode_zeroes(&out, 192);
    sign_raw(forge->chip, bytes_of(bytes, out.length), raw, 48);
    for (size_t half = 0; half < 2; half++) {
        for (size_t i = 0; i < sizeof turned; i++) {
            turned[i] = raw[48 * half + 47 - i];
        }
        encoder_bytes(&out, turned, sizeof turned);
        encode_zeroes(&out, 24);
    }
    encode_zeroes(&out, 368);
    CHECK(!out.failed && out.length == sizeof bytes);
    append(report, bytes, sizeof bytes);
}

static void amd_make(struct forge *forge, const struct forge_order *order, struct buffer *report,
                     struct buffer documents[COLLATERAL_KIND_COUNT])
{
    char ask[32], ark[32];
    need_amd(forge);
    // The same key is the root of every product; the order says which.
    memset(forge->roots.amd, 0, sizeof forge->roots.amd);
    forge->roots.amd[order->product] = pin_of(forge->amd_root);
    enum vendor_product issuer = order->flaw == FORGE_ASK_OF_ANOTHER_PRODUCT
                                     ? (order->product + 1) % VENDOR_PRODUCT_COUNT
                                     : order->product;
    snprintf(ask, sizeof ask, order->is_vlek ? "SEV-VLEK-%s" : "SEV-%s",
             vendor_product_text(issuer));
    snprintf(ark, sizeof ark, "ARK-%s", vendor_product_text(order->product));
    snp_report(forge, order, report);
    add_leaf(forge, order, ask, &documents[order->is_vlek ? COLLATERAL_VLEK : COLLATERAL_VCEK]);
    add_issuers(forge, order, ask, ark, documents);
}

// ---- orders ----

struct forge_order forge_order_of(enum tee tee, uint64_t now_s)
{
    return (struct forge_order){
        .tee = tee,
        .version = tee == TEE_SGX ? 3 : 5,
        .now_s = now_s,
        .platform_status = "UpToDate",
        .qe_status = "UpToDate",
        .module_status = "UpToDate",
        .module_version = 1,
        .product = VENDOR_GENOA,
    };
}

void forge_make(struct forge *forge, const struct forge_order *order, struct buffer *quote,
                struct buffer *bundle)
{
    struct buffer documents[COLLATERAL_KIND_COUNT] = {{.bytes = NULL}};
    struct collateral collateral;
    CHECK(order->tee == TEE_SGX || order->tee == TEE_TDX || order->tee == TEE_SEV_SNP);
    if (order->tee == TEE_SEV_SNP) {
        amd_make(forge, order, quote, documents);
    } else {
        intel_make(forge, order, quote, documents);
    }
    for (size_t kind = 0; kind < COLLATERAL_KIND_COUNT; kind++) {
        collateral.documents[kind] = buffer_bytes(&documents[kind]);
    }
    CHECK(collateral_encode(&collateral, bundle) == STATUS_OK);
    for (size_t kind = 0; kind < COLLATERAL_KIND_COUNT; kind++) {
        buffer_release(&documents[kind]);
    }
}

void forge_evidence(struct forge *forge, const struct forge_order *order, struct buffer *evidence)
{
    struct buffer quote = BUFFER_EMPTY, bundle = BUFFER_EMPTY;
    forge_make(forge, order, &quote, &bundle);
    const struct evidence parts = {
        .tee = order->tee,
        .quote = buffer_bytes(&quote),
        .collateral = buffer_bytes(&bundle),
    };
    CHECK(evidence_encode(&parts, evidence) == STATUS_OK);
    buffer_release(&quote);
    buffer_release(&bundle);
}
