/* src/attest/x509.c */
#include "attest/x509.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "attest/der.h"
#include "attest/pem.h"
#include "base/buffer.h"
#include "base/check.h"
#include "base/date.h"
#include "base/hex.h"

enum { NAME_BYTES_MAX = 64, SERIAL_BYTES_MAX = 20, NOBODY = X509_POOL_COUNT_MAX };

static const char LABEL_CERTIFICATE[] = "CERTIFICATE";
static const char LABEL_CRL[] = "X509 CRL";

struct item {
    X509 *certificate;  // owned
    struct buffer der;
    size_t signer;  // the item whose key is known to have signed it; NOBODY: not tried yet
};

struct x509_pool {
    struct item items[X509_POOL_COUNT_MAX];
    size_t count;
};

struct x509_crl {
    X509_CRL *list;  // owned
    uint64_t issued_s;
};

struct x509_pool *x509_pool_new(void)
{
    struct x509_pool *pool = calloc(1, sizeof *pool);
    CHECK(pool != NULL);
    return pool;
}

void x509_pool_free(struct x509_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    for (size_t i = 0; i < pool->count; i++) {
        X509_free(pool->items[i].certificate);
        buffer_release(&pool->items[i].der);
    }
    free(pool);
}

static const X509 *certificate_at(const struct x509_pool *pool, const struct x509_chain *chain,
                                  size_t index)
{
    CHECK(index < chain->count);
    return pool->items[chain->items[index]].certificate;
}

// ---- names and dates, for people ----

/* The common name, cut, with '?' for what is not printable ASCII. */
static void name_text(char text[NAME_BYTES_MAX], const X509_NAME *name)
{
    text[0] = '\0';
    X509_NAME_get_text_by_NID(name, NID_commonName, text, NAME_BYTES_MAX);
    for (char *at = text; *at != '\0'; at++) {
        *at = *at < ' ' || *at > '~' ? '?' : *at;
    }
}

static void subject_text(char text[NAME_BYTES_MAX], const X509 *certificate)
{
    name_text(text, X509_get_subject_name(certificate));
}

static bool time_to_unix(uint64_t *unix_s, const ASN1_TIME *time)
{
    struct tm tm;
    if (time == NULL || ASN1_TIME_to_tm(time, &tm) != 1 || tm.tm_year < 70) {
        return false;
    }
    const struct date date = {
        .year = (uint32_t)tm.tm_year + 1900,
        .month = (uint32_t)tm.tm_mon + 1,
        .day = (uint32_t)tm.tm_mday,
        .hour = (uint32_t)tm.tm_hour,
        .minute = (uint32_t)tm.tm_min,
        .second = (uint32_t)tm.tm_sec,
    };
    return date_to_unix(unix_s, &date);
}

/* Whether the judgement's time lies between two dates, both inclusive. */
static bool is_in_force(struct verdict *verdict, const struct x509_use *use, const char *name,
                        const ASN1_TIME *from, const ASN1_TIME *until)
{
    uint64_t from_s, until_s;
    if (!time_to_unix(&from_s, from) || !time_to_unix(&until_s, until)) {
        return verdict_refuse(verdict, use->broken, "%s: '%s' has no valid dates", use->what, name);
    }
    return verdict_narrow(verdict, use->expired, name, from_s, until_s);
}

// ---- reading ----

/* The outer form of certificates and revocation lists alike. */
struct signed_der {
    struct bytes content;    // what is signed
    struct bytes algorithm;  // as the content states it
    struct bytes signature;
};

static bool signed_der_read(struct signed_der *target, struct bytes der)
{
    struct der content, outer, inner;
    struct bytes sequence, bits;
    struct cursor in = cursor_over(der.at, der.length);
    if (!der_expect(&sequence, DER_SEQUENCE, &in) || !cursor_done(&in)) {
        return false;
    }
    in = cursor_over(sequence.at, sequence.length);
    if (!der_next(&content, &in) || content.tag != DER_SEQUENCE || !der_next(&outer, &in) ||
        !der_expect(&bits, DER_BIT_STRING, &in) || !cursor_done(&in)) {
        return false;
    }
    // Versions and serial numbers come first; the first sequence is the algorithm.
    in = cursor_over(content.value.at, content.value.length);
    do {
        if (!der_next(&inner, &in)) {
            return false;
        }
    } while (inner.tag != DER_SEQUENCE);
    if (!bytes_equal(inner.whole, outer.whole) || bits.length < 2 || bits.at[0] != 0) {
        return false;
    }
    *target = (struct signed_der){
        .content = content.whole,
        .algorithm = inner.whole,
        .signature = bytes_of(bits.at + 1, bits.length - 1),
    };
    return true;
}

static bool is_algorithm(enum signature_suite suite, struct bytes algorithm)
{
    static const uint8_t ecdsa[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                    0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
    // SHA-384, MGF1 with SHA-384, salt of 48; AMD writes the trailer field, which has its default.
    static const uint8_t pss[] = {
        0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a, 0x30, 0x00,
        0xa0, 0x0f, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04,
        0x02, 0x02, 0x05, 0x00, 0xa1, 0x1c, 0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48,
        0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48,
        0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0xa2, 0x03, 0x02, 0x01, 0x30,
    };
    static const uint8_t trailer[] = {0xa3, 0x03, 0x02, 0x01, 0x01};
    enum { PSS_LENGTH_AT = 12 };

    if (suite == SIGNATURE_P256_SHA256) {
        return bytes_equal(algorithm, bytes_of(ecdsa, sizeof ecdsa));
    }
    uint8_t expected[2 + sizeof pss + sizeof trailer] = {DER_SEQUENCE};
    size_t length = algorithm.length == sizeof expected ? sizeof expected : 2 + sizeof pss;
    expected[1] = (uint8_t)(length - 2);
    memcpy(expected + 2, pss, sizeof pss);
    expected[2 + PSS_LENGTH_AT] = (uint8_t)(length - 2 - PSS_LENGTH_AT - 1);
    memcpy(expected + 2 + sizeof pss, trailer, sizeof trailer);
    return suite == SIGNATURE_RSA_PSS_SHA384 && bytes_equal(algorithm, bytes_of(expected, length));
}

static bool is_signed_by(const struct x509_use *use, EVP_PKEY *key, struct bytes der)
{
    struct signed_der parts;
    return signed_der_read(&parts, der) && is_algorithm(use->suite, parts.algorithm) &&
           signature_verify(use->suite, key, parts.content, parts.signature);
}

/* The item with this DER, made when there is none. False: it is no certificate, or one too many. */
static bool pool_add(struct x509_pool *pool, size_t *index, struct bytes der)
{
    for (size_t i = 0; i < pool->count; i++) {
        if (bytes_equal(buffer_bytes(&pool->items[i].der), der)) {
            *index = i;
            return true;
        }
    }
    if (pool->count == X509_POOL_COUNT_MAX || der.length > LONG_MAX) {
        return false;
    }
    struct item *item = &pool->items[pool->count];
    const uint8_t *at = der.at;
    X509 *certificate = d2i_X509(NULL, &at, (long)der.length);
    ERR_clear_error();
    if (certificate == NULL || at != der.at + der.length ||
        buffer_append(&item->der, der.at, der.length) != STATUS_OK) {
        X509_free(certificate);
        buffer_release(&item->der);
        return false;
    }
    item->certificate = certificate;
    item->signer = NOBODY;
    *index = pool->count++;
    return true;
}

static bool chain_add(struct x509_pool *pool, struct x509_chain *chain, struct bytes der)
{
    size_t index;
    if (!pool_add(pool, &index, der)) {
        return false;
    }
    for (size_t i = 0; i < chain->count; i++) {
        if (chain->items[i] == index) {
            return true;  // vendors serve the root beside whatever it signed
        }
    }
    if (chain->count == X509_CHAIN_COUNT_MAX) {
        return false;
    }
    chain->items[chain->count++] = index;
    return true;
}

static bool chain_add_pem(struct x509_pool *pool, struct x509_chain *chain, struct bytes text)
{
    struct buffer der = BUFFER_EMPTY;
    enum status status = pem_next(&der, &text, LABEL_CERTIFICATE);
    while (status == STATUS_OK && chain_add(pool, chain, buffer_bytes(&der))) {
        status = pem_next(&der, &text, LABEL_CERTIFICATE);
    }
    buffer_release(&der);
    return status == STATUS_EMPTY;
}

static bool chain_add_der(struct x509_pool *pool, struct x509_chain *chain, struct bytes bytes)
{
    struct cursor in = cursor_over(bytes.at, bytes.length);
    struct der certificate;
    while (der_next(&certificate, &in)) {
        if (!chain_add(pool, chain, certificate.whole)) {
            return false;
        }
    }
    return bytes.length > 0 && cursor_done(&in);
}

bool x509_chain_read(struct verdict *verdict, struct x509_pool *pool, struct x509_chain *chain,
                     const struct x509_use *use, struct bytes bytes)
{
    bool is_read =
        pem_is_text(bytes) ? chain_add_pem(pool, chain, bytes) : chain_add_der(pool, chain, bytes);
    if (!is_read) {
        return verdict_refuse(verdict, use->broken,
                              "%s: %zu bytes are not one to %d certificates, PEM or DER", use->what,
                              bytes.length, X509_CHAIN_COUNT_MAX);
    }
    return true;
}

// ---- the path ----

static bool is_authority(const X509 *certificate)
{
    return (X509_get_extension_flags((X509 *)certificate) & EXFLAG_CA) != 0;
}

static bool is_self_issued(const X509 *certificate)
{
    return X509_NAME_cmp(X509_get_subject_name(certificate), X509_get_issuer_name(certificate)) ==
           0;
}

bool x509_chain_find_leaf(struct verdict *verdict, const struct x509_pool *pool,
                          struct x509_chain *chain, const struct x509_use *use)
{
    size_t leaf_count = 0, leaf = 0;
    for (size_t i = 0; i < chain->count; i++) {
        if (!is_authority(certificate_at(pool, chain, i))) {
            leaf = i;
            leaf_count++;
        }
    }
    if (leaf_count != 1) {
        return verdict_refuse(verdict, use->broken,
                              "%s: %zu of %zu certificates are no authority's, and one has to be",
                              use->what, leaf_count, chain->count);
    }
    size_t moved = chain->items[leaf];
    chain->items[leaf] = chain->items[0];
    chain->items[0] = moved;
    return true;
}

/* Sort: behind each certificate its issuer, up to one that names itself. */
static bool issuers_next(struct verdict *verdict, const struct x509_pool *pool,
                         struct x509_chain *chain, const struct x509_use *use)
{
    char name[NAME_BYTES_MAX];
    for (size_t i = 0; i + 1 < chain->count; i++) {
        const X509 *subject = certificate_at(pool, chain, i);
        size_t next = i + 1;
        while (next < chain->count &&
               (is_self_issued(subject) ||
                X509_NAME_cmp(X509_get_subject_name(certificate_at(pool, chain, next)),
                              X509_get_issuer_name(subject)) != 0)) {
            next++;
        }
        if (next == chain->count) {
            name_text(name, X509_get_issuer_name(subject));
            return verdict_refuse(verdict, use->broken,
                                  "%s: of %zu certificates number %zu is issued by '%s', which is "
                                  "not among the rest",
                                  use->what, chain->count, i + 1, name);
        }
        size_t moved = chain->items[next];
        chain->items[next] = chain->items[i + 1];
        chain->items[i + 1] = moved;
    }
    return true;
}

/* What a certificate says of itself: its form, its dates, and that nothing in it is unknown. */
static bool certificate_verify(struct verdict *verdict, const X509 *certificate,
                               const struct x509_use *use)
{
    char name[NAME_BYTES_MAX];
    subject_text(name, certificate);
    uint32_t flags = X509_get_extension_flags((X509 *)certificate);
    if (X509_get_version(certificate) != X509_VERSION_3 ||
        (flags & (EXFLAG_INVALID | EXFLAG_CRITICAL)) != 0) {
        return verdict_refuse(verdict, use->broken,
                              "%s: '%s' is no version 3 certificate, or has an extension that is "
                              "invalid, or critical and unknown",
                              use->what, name);
    }
    return is_in_force(verdict, use, name, X509_get0_notBefore(certificate),
                       X509_get0_notAfter(certificate));
}

/* Whether number `index` may issue the certificate below it, which is `below`-th over the leaf. */
static bool issuer_verify(struct verdict *verdict, struct x509_pool *pool,
                          const struct x509_chain *chain, const struct x509_use *use, size_t index,
                          size_t below)
{
    struct item *item = &pool->items[chain->items[below]];
    X509 *issuer = pool->items[chain->items[index]].certificate;
    char name[NAME_BYTES_MAX], issuer_name[NAME_BYTES_MAX];
    subject_text(name, item->certificate);
    subject_text(issuer_name, issuer);

    long path = X509_get_pathlen(issuer);
    bool may_issue = is_authority(issuer) && (X509_get_key_usage(issuer) & KU_KEY_CERT_SIGN) != 0 &&
                     X509_check_issued(issuer, item->certificate) == X509_V_OK &&
                     (path < 0 || index == below || (size_t)path >= below);
    ERR_clear_error();
    if (!may_issue) {
        return verdict_refuse(verdict, use->broken, "%s: '%s' may not issue '%s'", use->what,
                              issuer_name, name);
    }
    if (item->signer != chain->items[index]) {
        if (!is_signed_by(use, X509_get0_pubkey(issuer), buffer_bytes(&item->der))) {
            return verdict_refuse(verdict, use->broken, "%s: '%s' did not sign '%s'", use->what,
                                  issuer_name, name);
        }
        item->signer = chain->items[index];
    }
    return true;
}

static bool root_verify(struct verdict *verdict, const X509 *root, const struct x509_use *use,
                        size_t *pin)
{
    uint8_t *der = NULL;
    int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(root), &der);
    const struct hash key = hash_of(der, length > 0 ? (size_t)length : 0);
    OPENSSL_free(der);
    for (*pin = 0; *pin < use->pin_count; (*pin)++) {
        if (hash_equal(&key, &use->pins[*pin].key)) {
            return true;
        }
    }
    char name[NAME_BYTES_MAX], text[HASH_TEXT_BYTES];
    subject_text(name, root);
    hash_text(&key, text);
    return verdict_refuse(verdict, use->broken,
                          "%s: the root '%s' has key %s, which is no vendor's that we trust",
                          use->what, name, text);
}

bool x509_chain_verify(struct verdict *verdict, struct x509_pool *pool, struct x509_chain *chain,
                       const struct x509_use *use, size_t *pin)
{
    if (chain->count < 2) {
        return verdict_refuse(verdict, use->broken,
                              "%s: %zu certificates; a leaf and its issuers are needed", use->what,
                              chain->count);
    }
    if (!x509_chain_find_leaf(verdict, pool, chain, use) ||
        !issuers_next(verdict, pool, chain, use)) {
        return false;
    }
    size_t last = chain->count - 1;
    if (!root_verify(verdict, certificate_at(pool, chain, last), use, pin) ||
        !issuer_verify(verdict, pool, chain, use, last, last)) {
        return false;
    }
    for (size_t i = last; i-- > 0;) {
        if (!issuer_verify(verdict, pool, chain, use, i + 1, i)) {
            return false;
        }
    }
    // Dates after signatures: a forged certificate is not called an old one.
    for (size_t i = 0; i <= last; i++) {
        if (!certificate_verify(verdict, certificate_at(pool, chain, i), use)) {
            return false;
        }
    }
    return true;
}

EVP_PKEY *x509_chain_key(const struct x509_pool *pool, const struct x509_chain *chain, size_t index)
{
    return X509_get0_pubkey(certificate_at(pool, chain, index));
}

bool x509_chain_has_name(const struct x509_pool *pool, const struct x509_chain *chain, size_t index,
                         const char *common_name)
{
    const X509_NAME *name = X509_get_subject_name(certificate_at(pool, chain, index));
    int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    if (at < 0 || X509_NAME_get_index_by_NID(name, NID_commonName, at) >= 0) {
        return false;
    }
    const ASN1_STRING *value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
    return bytes_equal(bytes_of(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value)),
                       bytes_text(common_name));
}

bool x509_chain_extension(const struct x509_pool *pool, const struct x509_chain *chain,
                          size_t index, struct bytes oid, struct bytes *content)
{
    const X509 *certificate = certificate_at(pool, chain, index);
    size_t found = 0;
    for (int i = 0; i < X509_get_ext_count(certificate); i++) {
        X509_EXTENSION *extension = X509_get_ext(certificate, i);
        const ASN1_OBJECT *object = X509_EXTENSION_get_object(extension);
        if (bytes_equal(bytes_of(OBJ_get0_data(object), OBJ_length(object)), oid)) {
            const ASN1_OCTET_STRING *data = X509_EXTENSION_get_data(extension);
            *content = bytes_of(ASN1_STRING_get0_data(data), (size_t)ASN1_STRING_length(data));
            found++;
        }
    }
    return found == 1;
}

// ---- revocation lists ----

/* The list in `der`, NULL when it is none. */
static X509_CRL *crl_decode(struct bytes der)
{
    const uint8_t *at = der.at;
    X509_CRL *list =
        der.length == 0 || der.length > LONG_MAX ? NULL : d2i_X509_CRL(NULL, &at, (long)der.length);
    ERR_clear_error();
    if (list != NULL && at != der.at + der.length) {
        X509_CRL_free(list);
        return NULL;
    }
    return list;
}

/* Nothing critical is known to us: not a list of changes, nor one for some certificates only. */
static bool crl_is_plain(X509_CRL *list)
{
    if (X509_CRL_get_version(list) != X509_CRL_VERSION_2 ||
        X509_CRL_get_ext_by_critical(list, 1, -1) >= 0) {
        return false;
    }
    const STACK_OF(X509_REVOKED) *entries = X509_CRL_get_REVOKED(list);
    for (int i = 0; i < sk_X509_REVOKED_num(entries); i++) {
        if (X509_REVOKED_get_ext_by_critical(sk_X509_REVOKED_value(entries, i), 1, -1) >= 0) {
            return false;
        }
    }
    return true;
}

static bool crl_verify(struct verdict *verdict, X509_CRL *list, struct bytes der, X509 *issuer,
                       const struct x509_use *use)
{
    char name[NAME_BYTES_MAX], issuer_name[NAME_BYTES_MAX];
    subject_text(issuer_name, issuer);
    name_text(name, X509_CRL_get_issuer(list));
    if (X509_NAME_cmp(X509_CRL_get_issuer(list), X509_get_subject_name(issuer)) != 0) {
        return verdict_refuse(verdict, use->broken, "%s: it is the list of '%s', not of '%s'",
                              use->what, name, issuer_name);
    }
    if ((X509_get_key_usage(issuer) & KU_CRL_SIGN) == 0 || !crl_is_plain(list) ||
        !is_signed_by(use, X509_get0_pubkey(issuer), der)) {
        return verdict_refuse(
            verdict, use->broken,
            "%s: '%s' did not sign it, or may not, or it has a critical extension", use->what,
            issuer_name);
    }
    return is_in_force(verdict, use, use->what, X509_CRL_get0_lastUpdate(list),
                       X509_CRL_get0_nextUpdate(list));
}

/* One list in PEM, and no more. */
static bool crl_from_pem(struct buffer *der, struct bytes text)
{
    struct buffer more = BUFFER_EMPTY;
    enum status first = pem_next(der, &text, LABEL_CRL);
    enum status second = pem_next(&more, &text, LABEL_CRL);
    buffer_release(&more);
    return first == STATUS_OK && second == STATUS_EMPTY;
}

/* As Intel's caching service (PCCS) serves lists: the digits of the DER, and at most a line end. */
static bool crl_from_hex(struct buffer *der, struct bytes text)
{
    size_t length = text.length;
    length -= length > 0 && text.at[length - 1] == '\n';
    length -= length > 0 && text.at[length - 1] == '\r';
    if (buffer_reserve(der, length / 2) != STATUS_OK ||
        !hex_decode(der->bytes, length / 2, (const char *)text.at, length)) {
        return false;
    }
    der->length = length / 2;
    return true;
}

struct x509_crl *x509_crl_new(struct verdict *verdict, const struct x509_pool *pool,
                              const struct x509_chain *chain, size_t issuer,
                              const struct x509_use *use, struct bytes bytes)
{
    struct buffer decoded = BUFFER_EMPTY;
    struct x509_crl *crl = NULL;
    struct bytes der = bytes;
    if (pem_is_text(bytes)) {
        der = crl_from_pem(&decoded, bytes) ? buffer_bytes(&decoded) : bytes_of(NULL, 0);
    } else if (bytes_start_with(bytes, bytes_text("30"))) {  // DER begins with 0x30 itself
        der = crl_from_hex(&decoded, bytes) ? buffer_bytes(&decoded) : bytes_of(NULL, 0);
    }
    X509_CRL *list = crl_decode(der);
    if (list == NULL) {
        verdict_refuse(verdict, use->broken,
                       "%s: %zu bytes are no revocation list, PEM, DER or hexadecimal", use->what,
                       bytes.length);
    } else if (crl_verify(verdict, list, der, pool->items[chain->items[issuer]].certificate, use)) {
        crl = calloc(1, sizeof *crl);
        CHECK(crl != NULL);
        crl->list = list;
        CHECK(time_to_unix(&crl->issued_s, X509_CRL_get0_lastUpdate(list)));
        list = NULL;
    }
    X509_CRL_free(list);
    buffer_release(&decoded);
    return crl;
}

void x509_crl_free(struct x509_crl *crl)
{
    if (crl != NULL) {
        X509_CRL_free(crl->list);
        free(crl);
    }
}

uint64_t x509_crl_issued_s(const struct x509_crl *crl)
{
    return crl->issued_s;
}

bool x509_crl_allows(struct verdict *verdict, const struct x509_crl *crl,
                     const struct x509_pool *pool, const struct x509_chain *chain, size_t index)
{
    const X509 *certificate = certificate_at(pool, chain, index);
    const ASN1_INTEGER *serial = X509_get0_serialNumber(certificate);
    X509_REVOKED *entry = NULL;
    if (X509_CRL_get0_by_serial(crl->list, &entry, (ASN1_INTEGER *)serial) == 0) {
        return true;
    }
    char name[NAME_BYTES_MAX], digits[2 * SERIAL_BYTES_MAX + 1];
    size_t length = (size_t)ASN1_STRING_length(serial);
    hex_encode(digits, ASN1_STRING_get0_data(serial),
               length < SERIAL_BYTES_MAX ? length : SERIAL_BYTES_MAX);
    subject_text(name, certificate);
    return verdict_refuse(verdict, REASON_REVOKED, "the certificate '%s', serial %s, is revoked",
                          name, digits);
}
