/* src/crypto/certificate.c */
#include "crypto/certificate.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/hex.h"
#include "crypto/crypto_internal.h"
#include "crypto/p256_internal.h"

enum {
    SERIAL_BYTES = 16,
    CAPSULE_DIGITS_IN_NAME = 16,
    // The longest, subjectAltName, has about 300, and the hosts, each behind ",DNS:" or ",IP:".
    TEXT_BYTES_MAX = 512 + CERTIFICATE_HOST_COUNT_MAX * (CERTIFICATE_HOST_BYTES + 5),
    LABEL_BYTES_MAX = 63,
    PEM_BYTES_MAX = 2 * CERTIFICATE_BYTES_MAX,
};

static const uint64_t ROOT_NOT_BEFORE_S = 1577836800;  // 2020-01-01 00:00:00
static const uint64_t ROOT_NOT_AFTER_S = 4102444799;   // 2099-12-31 23:59:59
static const uint64_t DATE_MAX_S = 253402300799;       // 9999-12-31 23:59:59, X.509's last second

static const char URI_WRITER[] = "paranoid:writer:";
static const char URI_EVIDENCE[] = "paranoid:evidence:";
static const char URI_CAPSULE[] = "paranoid:capsule:";
static const char UNIT_TEE[] = "tee=";

// The TEEs that evidence can come from: a leaf's claim is read back as one of these.
static const char *const tees[] = {"simulated", "sgx", "tdx", "sev-snp"};

// ---- writing ----

static bool name_add(X509_NAME *name, const char *field, const char *text)
{
    return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const uint8_t *)text, -1, -1,
                                      0) == 1;
}

static bool dates_set(X509 *certificate, uint64_t not_before_s, uint64_t not_after_s)
{
    // RFC 5280 has two formats of dates; ASN1_TIME_set() picks the one for the year.
    return ASN1_TIME_set(X509_getm_notBefore(certificate), (time_t)not_before_s) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(certificate), (time_t)not_after_s) != NULL;
}

static bool serial_set(X509 *certificate, const struct hash *unique)
{
    uint8_t serial[SERIAL_BYTES];
    memcpy(serial, unique->bytes, sizeof serial);
    serial[0] = (uint8_t)((serial[0] & 0x3f) | 0x40);  // positive, and never shorter

    BIGNUM *number = BN_bin2bn(serial, sizeof serial, NULL);
    bool is_set =
        number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
    BN_free(number);
    return is_set;
}

static bool extension_add(X509 *certificate, X509 *issuer, int nid, const char *text)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, text);
    bool is_added = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return is_added;
}

static bool certificate_sign(struct buffer *der, X509 *certificate, struct p256_key *root_key)
{
    if (X509_sign(certificate, p256_key_openssl(root_key), crypto_algorithms()->sha256) <= 0) {
        return false;
    }
    int length = i2d_X509(certificate, NULL);
    CHECK(0 < length && length <= CERTIFICATE_BYTES_MAX);
    buffer_clear(der);
    if (buffer_reserve(der, (size_t)length) != STATUS_OK) {
        return false;
    }
    uint8_t *end = der->bytes;
    CHECK(i2d_X509(certificate, &end) == length);
    der->length = (size_t)length;
    return true;
}

/* Any copy of the root has this name: it depends on the capsule alone. */
static bool root_name_set(X509_NAME *name, const struct hash *capsule)
{
    char digits[HASH_TEXT_BYTES];
    char text[64];
    hash_text(capsule, digits);
    snprintf(text, sizeof text, "Paranoid app %.*s", CAPSULE_DIGITS_IN_NAME, digits);
    return name_add(name, "CN", text);
}

/* The root without its signature: what a leaf needs of its issuer. NULL: no memory. */
static X509 *root_make(struct p256_key *root_key, const struct hash *capsule)
{
    struct p256_public public_key = p256_key_public(root_key);
    struct hash unique = hash_of(public_key.bytes, sizeof public_key.bytes);
    X509 *root = X509_new();
    bool is_made = root != NULL && X509_set_version(root, X509_VERSION_3) == 1 &&
                   serial_set(root, &unique) &&
                   dates_set(root, ROOT_NOT_BEFORE_S, ROOT_NOT_AFTER_S) &&
                   root_name_set(X509_get_subject_name(root), capsule) &&
                   root_name_set(X509_get_issuer_name(root), capsule) &&
                   X509_set_pubkey(root, p256_key_openssl(root_key)) == 1 &&
                   extension_add(root, root, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
                   extension_add(root, root, NID_key_usage, "critical,keyCertSign") &&
                   extension_add(root, root, NID_subject_key_identifier, "hash");
    if (!is_made) {
        X509_free(root);
        return NULL;
    }
    return root;
}

enum status certificate_root(struct buffer *der, struct p256_key *root_key,
                             const struct hash *capsule)
{
    X509 *root = root_make(root_key, capsule);
    bool is_written = root != NULL && certificate_sign(der, root, root_key);
    X509_free(root);
    ERR_clear_error();
    return is_written ? STATUS_OK : STATUS_NO_MEMORY;
}

static bool leaf_name_set(X509_NAME *name, const struct certificate_claims *claims)
{
    char writer[2 * sizeof claims->writer_id + 1];
    char common_name[64];
    char unit[64];
    hex_encode(writer, claims->writer_id, sizeof claims->writer_id);
    snprintf(common_name, sizeof common_name, "paranoid worker %s", writer);
    snprintf(unit, sizeof unit, "%s%s", UNIT_TEE, claims->tee);
    return name_add(name, "OU", unit) && name_add(name, "CN", common_name);
}

/* Whether it is meant as an address: a name has letters, and no colon. */
static bool is_address(const char *name)
{
    return strchr(name, ':') != NULL || strspn(name, "0123456789.") == strlen(name);
}

static bool is_dns_name(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
    while (true) {
        size_t length = strspn(name, letters);
        if (length == 0 || length > LABEL_BYTES_MAX || name[0] == '-' || name[length - 1] == '-') {
            return false;
        }
        if (name[length] == '\0') {
            return true;
        }
        if (name[length] != '.') {
            return false;
        }
        name += length + 1;
    }
}

bool certificate_host_is_sound(const struct certificate_host *host)
{
    if (memchr(host->name, '\0', sizeof host->name) == NULL || host->name[0] == '\0') {
        return false;
    }
    if (!is_address(host->name)) {
        return is_dns_name(host->name);
    }
    ASN1_OCTET_STRING *address = a2i_IPADDRESS(host->name);
    ASN1_OCTET_STRING_free(address);
    ERR_clear_error();
    return address != NULL;
}

static void alternative_names(char text[TEXT_BYTES_MAX], const struct certificate_claims *claims)
{
    char writer[2 * sizeof claims->writer_id + 1];
    char evidence[HASH_TEXT_BYTES];
    char capsule[HASH_TEXT_BYTES];
    hex_encode(writer, claims->writer_id, sizeof claims->writer_id);
    hash_text(&claims->evidence_hash, evidence);
    hash_text(&claims->capsule, capsule);
    int length = snprintf(text, TEXT_BYTES_MAX,
                          "DNS:localhost,IP:127.0.0.1,IP:::1,URI:%s%s,URI:%s%s,URI:%s%s",
                          URI_WRITER, writer, URI_EVIDENCE, evidence, URI_CAPSULE, capsule);
    CHECK(0 < length && length < TEXT_BYTES_MAX);
    for (size_t i = 0; i < claims->host_count; i++) {
        const char *name = claims->hosts[i].name;
        size_t used = (size_t)length;
        length += snprintf(text + used, TEXT_BYTES_MAX - used, ",%s:%s",
                           is_address(name) ? "IP" : "DNS", name);
        CHECK(length < TEXT_BYTES_MAX);
    }
}

/* The same number for the same key, writer and dates; another one for any other leaf. */
static struct hash leaf_unique(const struct p256_public *leaf_key,
                               const struct certificate_claims *claims)
{
    const struct bytes parts[] = {
        bytes_of(leaf_key->bytes, sizeof leaf_key->bytes),
        bytes_of(claims->writer_id, sizeof claims->writer_id),
        bytes_of(&claims->not_before_s, sizeof claims->not_before_s),
        bytes_of(&claims->not_after_s, sizeof claims->not_after_s),
    };
    return hash_of_parts(parts, sizeof parts / sizeof *parts);
}

enum status certificate_leaf(struct buffer *der, struct p256_key *root_key,
                             const struct p256_public *leaf_key,
                             const struct certificate_claims *claims)
{
    CHECK(claims->not_before_s <= claims->not_after_s);
    CHECK(claims->not_after_s <= DATE_MAX_S);
    CHECK(claims->tee != NULL);
    CHECK(claims->host_count <= CERTIFICATE_HOST_COUNT_MAX);
    for (size_t i = 0; i < claims->host_count; i++) {
        CHECK(certificate_host_is_sound(&claims->hosts[i]));
    }

    // The key is the worker's own word: the only input here that can be wrong.
    EVP_PKEY *openssl_key = p256_public_to_openssl(leaf_key);
    if (openssl_key == NULL) {
        return STATUS_MALFORMED;
    }
    char names[TEXT_BYTES_MAX];
    alternative_names(names, claims);
    struct hash unique = leaf_unique(leaf_key, claims);

    X509 *root = root_make(root_key, &claims->capsule);
    X509 *leaf = X509_new();
    bool is_written = root != NULL && leaf != NULL && X509_set_version(leaf, X509_VERSION_3) == 1 &&
                      serial_set(leaf, &unique) &&
                      dates_set(leaf, claims->not_before_s, claims->not_after_s) &&
                      leaf_name_set(X509_get_subject_name(leaf), claims) &&
                      X509_set_issuer_name(leaf, X509_get_subject_name(root)) == 1 &&
                      X509_set_pubkey(leaf, openssl_key) == 1 &&
                      extension_add(leaf, root, NID_basic_constraints, "critical,CA:FALSE") &&
                      extension_add(leaf, root, NID_key_usage, "critical,digitalSignature") &&
                      extension_add(leaf, root, NID_ext_key_usage, "serverAuth") &&
                      extension_add(leaf, root, NID_subject_alt_name, names) &&
                      extension_add(leaf, root, NID_subject_key_identifier, "hash") &&
                      extension_add(leaf, root, NID_authority_key_identifier, "keyid:always") &&
                      certificate_sign(der, leaf, root_key);
    X509_free(leaf);
    X509_free(root);
    EVP_PKEY_free(openssl_key);
    ERR_clear_error();
    return is_written ? STATUS_OK : STATUS_NO_MEMORY;
}

// ---- reading ----

/* NULL unless `der` is one certificate and nothing else. */
static X509 *certificate_parse(struct bytes der)
{
    if (der.length == 0 || der.length > CERTIFICATE_BYTES_MAX) {
        return NULL;
    }
    const uint8_t *end = der.at;
    X509 *certificate = d2i_X509(NULL, &end, (long)der.length);
    if (certificate != NULL && end != der.at + der.length) {
        X509_free(certificate);
        certificate = NULL;
    }
    ERR_clear_error();
    return certificate;
}

static bool date_read(uint64_t *seconds, const ASN1_TIME *date)
{
    struct tm tm;
    if (ASN1_TIME_to_tm(date, &tm) != 1) {
        return false;
    }
    time_t time = timegm(&tm);
    if (time < 0) {
        return false;
    }
    *seconds = (uint64_t)time;
    return true;
}

/* The static name of the TEE in the subject's OU, or NULL. */
static const char *tee_read(const X509_NAME *subject)
{
    int index = X509_NAME_get_index_by_NID(subject, NID_organizationalUnitName, -1);
    if (index < 0) {
        return NULL;
    }
    const ASN1_STRING *unit = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, index));
    struct bytes text = bytes_of(ASN1_STRING_get0_data(unit), (size_t)ASN1_STRING_length(unit));
    struct bytes prefix = bytes_text(UNIT_TEE);
    if (!bytes_start_with(text, prefix)) {
        return NULL;
    }
    struct bytes tee = bytes_of(text.at + prefix.length, text.length - prefix.length);
    for (size_t i = 0; i < sizeof tees / sizeof *tees; i++) {
        if (bytes_equal(tee, bytes_text(tees[i]))) {
            return tees[i];
        }
    }
    return NULL;
}

/* Read `prefix` and 2 * length hexadecimal digits. False when the text begins otherwise. */
static bool uri_read(void *target, size_t length, struct bytes uri, const char *prefix)
{
    struct bytes start = bytes_text(prefix);
    return bytes_start_with(uri, start) &&
           hex_decode(target, length, (const char *)uri.at + start.length,
                      uri.length - start.length);
}

/* False unless each of the three URIs is there once, well formed. */
static bool uris_read(struct certificate_claims *claims, const X509 *leaf)
{
    int writers = 0, evidences = 0, capsules = 0;
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI) {
            continue;
        }
        const ASN1_STRING *text = name->d.uniformResourceIdentifier;
        struct bytes uri = bytes_of(ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text));
        writers += uri_read(claims->writer_id, sizeof claims->writer_id, uri, URI_WRITER);
        evidences += uri_read(claims->evidence_hash.bytes, HASH_BYTES, uri, URI_EVIDENCE);
        capsules += uri_read(claims->capsule.bytes, HASH_BYTES, uri, URI_CAPSULE);
    }
    GENERAL_NAMES_free(names);
    return writers == 1 && evidences == 1 && capsules == 1;
}

static bool is_signed_by(X509 *leaf, X509 *root)
{
    EVP_PKEY *root_key = X509_get0_pubkey(root);
    return root_key != NULL && X509_get_signature_nid(leaf) == NID_ecdsa_with_SHA256 &&
           X509_NAME_cmp(X509_get_issuer_name(leaf), X509_get_subject_name(root)) == 0 &&
           X509_verify(leaf, root_key) == 1;
}

/* Whether the extensions make it a server's certificate and no authority's. */
static bool is_server(X509 *leaf)
{
    uint32_t flags = X509_get_extension_flags(leaf);
    return (flags & (EXFLAG_CA | EXFLAG_CRITICAL | EXFLAG_INVALID)) == 0 &&
           (flags & EXFLAG_XKUSAGE) != 0 &&
           (X509_get_extended_key_usage(leaf) & XKU_SSL_SERVER) != 0;
}

static enum status leaf_judge(struct certificate_claims *claims, struct p256_public *leaf_key,
                              X509 *leaf, X509 *root, uint64_t now_s)
{
    struct p256_public root_key;
    const EVP_PKEY *openssl_key = X509_get0_pubkey(leaf);
    if (openssl_key == NULL || !p256_public_from_openssl(leaf_key, openssl_key) ||
        X509_get0_pubkey(root) == NULL ||
        !p256_public_from_openssl(&root_key, X509_get0_pubkey(root)) ||
        !date_read(&claims->not_before_s, X509_get0_notBefore(leaf)) ||
        !date_read(&claims->not_after_s, X509_get0_notAfter(leaf)) || !uris_read(claims, leaf)) {
        return STATUS_MALFORMED;
    }
    claims->tee = tee_read(X509_get_subject_name(leaf));

    bool is_root = (X509_get_extension_flags(root) & (EXFLAG_CA | EXFLAG_INVALID)) == EXFLAG_CA;
    if (!is_root || !is_server(leaf) || !is_signed_by(leaf, root) || now_s < claims->not_before_s ||
        now_s > claims->not_after_s) {
        return STATUS_FORGED;
    }
    return STATUS_OK;
}

enum status certificate_verify_leaf(struct certificate_claims *claims, struct p256_public *leaf_key,
                                    struct bytes leaf, struct bytes root, uint64_t now_s)
{
    struct certificate_claims read_claims = {.tee = NULL};
    struct p256_public read_key;
    enum status status = STATUS_MALFORMED;

    X509 *parsed_leaf = certificate_parse(leaf);
    X509 *parsed_root = certificate_parse(root);
    if (parsed_leaf != NULL && parsed_root != NULL) {
        status = leaf_judge(&read_claims, &read_key, parsed_leaf, parsed_root, now_s);
    }
    if (status == STATUS_OK) {
        *claims = read_claims;
        *leaf_key = read_key;
    }
    X509_free(parsed_leaf);
    X509_free(parsed_root);
    ERR_clear_error();
    return status;
}

enum status certificate_public(struct p256_public *key, struct bytes der)
{
    enum status status = STATUS_MALFORMED;
    struct p256_public read_key;
    X509 *certificate = certificate_parse(der);
    if (certificate != NULL && X509_get0_pubkey(certificate) != NULL &&
        p256_public_from_openssl(&read_key, X509_get0_pubkey(certificate))) {
        *key = read_key;
        status = STATUS_OK;
    }
    X509_free(certificate);
    ERR_clear_error();
    return status;
}

// ---- PEM ----

enum status certificate_to_pem(struct buffer *pem, struct bytes der)
{
    enum status status = STATUS_NO_MEMORY;
    char *text = NULL;
    BIO *memory = BIO_new(BIO_s_mem());
    if (memory == NULL ||
        PEM_write_bio(memory, PEM_STRING_X509, "", der.at, (long)der.length) <= 0) {
        goto done;
    }
    long length = BIO_get_mem_data(memory, &text);
    CHECK(length > 0);
    buffer_clear(pem);
    status = buffer_reserve(pem, (size_t)length + 1);
    if (status == STATUS_OK) {
        memcpy(pem->bytes, text, (size_t)length);
        pem->bytes[length] = '\0';
        pem->length = (size_t)length;
    }

done:
    BIO_free(memory);
    ERR_clear_error();
    return status;
}

enum status certificate_from_pem(struct buffer *der, struct bytes pem)
{
    if (pem.length == 0 || pem.length > PEM_BYTES_MAX) {
        return STATUS_MALFORMED;
    }
    enum status status = STATUS_MALFORMED;
    char *name = NULL;
    char *header = NULL;
    uint8_t *bytes = NULL;
    long length = 0;
    BIO *memory = BIO_new_mem_buf(pem.at, (int)pem.length);
    if (memory == NULL) {
        return STATUS_NO_MEMORY;
    }
    if (PEM_read_bio(memory, &name, &header, &bytes, &length) == 1 &&
        strcmp(name, PEM_STRING_X509) == 0 && strcmp(header, "") == 0 && length > 0 &&
        length <= CERTIFICATE_BYTES_MAX) {
        buffer_clear(der);
        status = buffer_append(der, bytes, (size_t)length);
    }
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(bytes);
    BIO_free(memory);
    ERR_clear_error();
    return status;
}
