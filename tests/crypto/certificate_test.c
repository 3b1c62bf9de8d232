/* tests/crypto/certificate_test.c */

/*
 * Goal: a leaf says what its claims said, any TLS client can check it against
 * the root, and no changed, foreign or expired one is accepted.
 * Method: make both, read them back, and let OpenSSL's own chain verification
 * judge them in its strict mode; then bend every byte.
 */
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/certificate.h"
#include "crypto/crypto.h"

enum { NOW_S = 1800000000 };

struct fixture {
    struct p256_key *root_key;
    struct p256_key *leaf_key;
    struct certificate_claims claims;
    struct buffer root;
    struct buffer leaf;
};

static struct p256_key *key_from_byte(uint8_t byte)
{
    uint8_t bytes[SECRET_BYTES] = {[SECRET_BYTES - 1] = byte};
    struct secret *secret = secret_new_copy(bytes);
    struct p256_key *key = p256_key_new_from_secret(secret);
    secret_free(secret);
    return key;
}

static int setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){
        .root_key = key_from_byte(1),
        .leaf_key = p256_key_new(),
        .claims = {.not_before_s = NOW_S - 10, .not_after_s = NOW_S + 10, .tee = "simulated"},
    };
    memset(f.claims.capsule.bytes, 0xca, HASH_BYTES);
    memset(f.claims.writer_id, 0x1d, sizeof f.claims.writer_id);
    memset(f.claims.evidence_hash.bytes, 0xe5, HASH_BYTES);
    struct p256_public leaf_public = p256_key_public(f.leaf_key);
    assert_int_equal(certificate_root(&f.root, f.root_key, &f.claims.capsule), STATUS_OK);
    assert_int_equal(certificate_leaf(&f.leaf, f.root_key, &leaf_public, &f.claims), STATUS_OK);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    p256_key_free(f->root_key);
    p256_key_free(f->leaf_key);
    buffer_release(&f->root);
    buffer_release(&f->leaf);
    return 0;
}

static enum status verify(struct bytes leaf, struct bytes root, uint64_t now_s)
{
    struct certificate_claims claims;
    struct p256_public key;
    return certificate_verify_leaf(&claims, &key, leaf, root, now_s);
}

static void p3_a_leaf_says_what_its_claims_said(void **state)
{
    struct fixture *f = *state;
    struct certificate_claims claims;
    struct p256_public key;
    assert_int_equal(certificate_verify_leaf(&claims, &key, buffer_bytes(&f->leaf),
                                             buffer_bytes(&f->root), NOW_S),
                     STATUS_OK);
    struct p256_public leaf_public = p256_key_public(f->leaf_key);
    assert_memory_equal(key.bytes, leaf_public.bytes, sizeof key.bytes);
    assert_true(hash_equal(&claims.capsule, &f->claims.capsule));
    assert_true(hash_equal(&claims.evidence_hash, &f->claims.evidence_hash));
    assert_memory_equal(claims.writer_id, f->claims.writer_id, sizeof claims.writer_id);
    assert_int_equal(claims.not_before_s, f->claims.not_before_s);
    assert_int_equal(claims.not_after_s, f->claims.not_after_s);
    assert_string_equal(claims.tee, "simulated");
}

static void p2_refuses_a_leaf_outside_its_dates(void **state)
{
    struct fixture *f = *state;
    struct bytes leaf = buffer_bytes(&f->leaf);
    struct bytes root = buffer_bytes(&f->root);
    assert_int_equal(verify(leaf, root, NOW_S - 11), STATUS_FORGED);
    assert_int_equal(verify(leaf, root, NOW_S - 10), STATUS_OK);
    assert_int_equal(verify(leaf, root, NOW_S + 10), STATUS_OK);
    assert_int_equal(verify(leaf, root, NOW_S + 11), STATUS_FORGED);
}

static void p2_refuses_every_changed_byte(void **state)
{
    struct fixture *f = *state;
    struct bytes leaf = buffer_bytes(&f->leaf);
    for (size_t i = 0; i < f->leaf.length; i++) {
        f->leaf.bytes[i] ^= 1;
        enum status status = verify(leaf, buffer_bytes(&f->root), NOW_S);
        assert_true(status == STATUS_FORGED || status == STATUS_MALFORMED);
        f->leaf.bytes[i] ^= 1;
    }
    assert_int_equal(verify(leaf, buffer_bytes(&f->root), NOW_S), STATUS_OK);
}

static void refuses_the_cut_and_the_lengthened(void **state)
{
    struct fixture *f = *state;
    for (size_t length = 0; length < f->leaf.length; length++) {
        assert_int_equal(verify(bytes_of(f->leaf.bytes, length), buffer_bytes(&f->root), NOW_S),
                         STATUS_MALFORMED);
    }
    assert_int_equal(buffer_append(&f->leaf, "", 1), STATUS_OK);
    assert_int_equal(verify(buffer_bytes(&f->leaf), buffer_bytes(&f->root), NOW_S),
                     STATUS_MALFORMED);
}

static void p2_refuses_another_root_and_a_root_as_leaf(void **state)
{
    struct fixture *f = *state;
    struct p256_key *other_key = key_from_byte(2);
    struct buffer other = BUFFER_EMPTY;
    assert_int_equal(certificate_root(&other, other_key, &f->claims.capsule), STATUS_OK);
    assert_int_equal(verify(buffer_bytes(&f->leaf), buffer_bytes(&other), NOW_S), STATUS_FORGED);
    assert_int_equal(verify(buffer_bytes(&f->root), buffer_bytes(&f->root), NOW_S),
                     STATUS_MALFORMED);
    assert_int_equal(verify(buffer_bytes(&f->leaf), buffer_bytes(&f->leaf), NOW_S), STATUS_FORGED);
    buffer_release(&other);
    p256_key_free(other_key);
}

static X509 *parse(const struct buffer *der)
{
    const uint8_t *end = der->bytes;
    X509 *parsed = d2i_X509(NULL, &end, (long)der->length);
    assert_non_null(parsed);
    return parsed;
}

/* Sign `certificate` as the app's root would, and let it take the place of `der`. */
static void sign_again(const struct fixture *f, X509 *certificate, const EVP_MD *digest,
                       struct buffer *der)
{
    uint8_t bytes[CERTIFICATE_BYTES_MAX];
    uint8_t *end = bytes;
    assert_true(X509_sign(certificate, p256_key_openssl(f->root_key), digest) > 0);
    int length = i2d_X509(certificate, NULL);
    assert_true(0 < length && (size_t)length <= sizeof bytes);
    assert_int_equal(i2d_X509(certificate, &end), length);
    buffer_clear(der);
    assert_int_equal(buffer_append(der, bytes, (size_t)length), STATUS_OK);
}

/* Put `text` in the place of the extension `nid`; none where `text` is NULL. */
static void extension_replace(X509 *certificate, int nid, const char *text)
{
    int index = X509_get_ext_by_NID(certificate, nid, -1);
    if (index >= 0) {
        X509_EXTENSION_free(X509_delete_ext(certificate, index));
    }
    if (text != NULL) {
        X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, text);
        assert_non_null(extension);
        assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
        X509_EXTENSION_free(extension);
    }
}

/* What becomes of the leaf when one extension of it says something else, signed by the root. */
static enum status verify_with(const struct fixture *f, int nid, const char *text)
{
    struct buffer bent = BUFFER_EMPTY;
    X509 *leaf = parse(&f->leaf);
    extension_replace(leaf, nid, text);
    sign_again(f, leaf, EVP_sha256(), &bent);
    enum status status = verify(buffer_bytes(&bent), buffer_bytes(&f->root), NOW_S);
    buffer_release(&bent);
    X509_free(leaf);
    return status;
}

static void p2_refuses_a_signed_leaf_of_another_kind(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(verify_with(f, NID_ext_key_usage, "serverAuth"), STATUS_OK);
    assert_int_equal(verify_with(f, NID_ext_key_usage, "clientAuth"), STATUS_FORGED);
    assert_int_equal(verify_with(f, NID_ext_key_usage, NULL), STATUS_FORGED);
    assert_int_equal(verify_with(f, NID_basic_constraints, "critical,CA:TRUE"), STATUS_FORGED);
    // A critical extension that this code does not know.
    assert_int_equal(verify_with(f, NID_netscape_comment, "critical,DER:160178"), STATUS_FORGED);
}

static void refuses_a_signed_leaf_without_each_name_once(void **state)
{
    struct fixture *f = *state;
    const char *const writer = "URI:paranoid:writer:1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d";
    const char *const evidence =
        "URI:paranoid:evidence:e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5";
    const char *const capsule =
        "URI:paranoid:capsule:cacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacaca";
    const char *const short_capsule = "URI:paranoid:capsule:caca";
    const struct {
        const char *names[4];
        enum status expected;
    } cases[] = {
        {{writer, evidence, capsule, "DNS:other"}, STATUS_OK},
        {{writer, evidence, capsule, writer}, STATUS_MALFORMED},
        {{writer, evidence, capsule, capsule}, STATUS_MALFORMED},
        {{writer, evidence, evidence, capsule}, STATUS_MALFORMED},
        {{writer, evidence, "DNS:other", "DNS:other"}, STATUS_MALFORMED},
        {{writer, evidence, short_capsule, "DNS:other"}, STATUS_MALFORMED},
        {{"DNS:other", evidence, capsule, "DNS:other"}, STATUS_MALFORMED},
        {{writer, "DNS:other", capsule, "DNS:other"}, STATUS_MALFORMED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1024];
        snprintf(text, sizeof text, "%s,%s,%s,%s", cases[i].names[0], cases[i].names[1],
                 cases[i].names[2], cases[i].names[3]);
        assert_int_equal(verify_with(f, NID_subject_alt_name, text), cases[i].expected);
    }
    assert_int_equal(verify_with(f, NID_subject_alt_name, NULL), STATUS_MALFORMED);
}

static void p2_refuses_another_suite_of_signature_or_key(void **state)
{
    struct fixture *f = *state;
    struct buffer bent = BUFFER_EMPTY;
    struct p256_public key;
    X509 *leaf = parse(&f->leaf);
    sign_again(f, leaf, EVP_sha384(), &bent);
    assert_int_equal(verify(buffer_bytes(&bent), buffer_bytes(&f->root), NOW_S), STATUS_FORGED);

    static const char *const curves[] = {"P-384", "secp256k1"};  // the second has 65 bytes, too
    for (size_t i = 0; i < sizeof curves / sizeof *curves; i++) {
        EVP_PKEY *other = EVP_EC_gen(curves[i]);
        assert_non_null(other);
        assert_int_equal(X509_set_pubkey(leaf, other), 1);
        sign_again(f, leaf, EVP_sha256(), &bent);
        assert_int_equal(verify(buffer_bytes(&bent), buffer_bytes(&f->root), NOW_S),
                         STATUS_MALFORMED);
        assert_int_equal(certificate_public(&key, buffer_bytes(&bent)), STATUS_MALFORMED);
        EVP_PKEY_free(other);
    }
    X509_free(leaf);
    buffer_release(&bent);
}

static void p2_refuses_a_root_that_is_no_authority_or_another_apps(void **state)
{
    struct fixture *f = *state;
    struct buffer bent = BUFFER_EMPTY;
    X509 *root = parse(&f->root);
    assert_int_equal(X509_get_pathlen(root), 0);
    extension_replace(root, NID_basic_constraints, "critical,CA:FALSE");
    sign_again(f, root, EVP_sha256(), &bent);
    assert_int_equal(verify(buffer_bytes(&f->leaf), buffer_bytes(&bent), NOW_S), STATUS_FORGED);

    // The same key under another app's name.
    struct hash other = {.bytes = {1}};
    assert_int_equal(certificate_root(&bent, f->root_key, &other), STATUS_OK);
    assert_int_equal(verify(buffer_bytes(&f->leaf), buffer_bytes(&bent), NOW_S), STATUS_FORGED);
    X509_free(root);
    buffer_release(&bent);
}

static void a_tee_that_is_not_known_has_no_name(void **state)
{
    struct fixture *f = *state;
    struct p256_public key = p256_key_public(f->leaf_key);
    struct certificate_claims claims;
    static const char *const known[] = {"simulated", "sgx", "tdx", "sev-snp"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        f->claims.tee = known[i];
        assert_int_equal(certificate_leaf(&f->leaf, f->root_key, &key, &f->claims), STATUS_OK);
        assert_int_equal(certificate_verify_leaf(&claims, &key, buffer_bytes(&f->leaf),
                                                 buffer_bytes(&f->root), NOW_S),
                         STATUS_OK);
        assert_string_equal(claims.tee, known[i]);
    }
    f->claims.tee = "sgx2";
    assert_int_equal(certificate_leaf(&f->leaf, f->root_key, &key, &f->claims), STATUS_OK);
    assert_int_equal(certificate_verify_leaf(&claims, &key, buffer_bytes(&f->leaf),
                                             buffer_bytes(&f->root), NOW_S),
                     STATUS_OK);
    assert_null(claims.tee);
}

static void openssl_accepts_the_chain_in_its_strict_mode(void **state)
{
    struct fixture *f = *state;
    X509 *root = parse(&f->root);
    X509 *leaf = parse(&f->leaf);
    X509_STORE *anchors = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    assert_int_equal(X509_STORE_add_cert(anchors, root), 1);
    assert_int_equal(X509_STORE_CTX_init(context, anchors, leaf, NULL), 1);
    X509_VERIFY_PARAM *parameters = X509_STORE_CTX_get0_param(context);
    X509_VERIFY_PARAM_set_time(parameters, NOW_S);
    X509_VERIFY_PARAM_set_flags(parameters,
                                X509_V_FLAG_X509_STRICT | X509_V_FLAG_CHECK_SS_SIGNATURE);
    X509_VERIFY_PARAM_set_purpose(parameters, X509_PURPOSE_SSL_SERVER);
    int verdict = X509_verify_cert(context);
    assert_string_equal(X509_verify_cert_error_string(X509_STORE_CTX_get_error(context)), "ok");
    assert_int_equal(verdict, 1);

    assert_int_equal(X509_check_host(leaf, "localhost", 0, 0, NULL), 1);
    assert_int_equal(X509_check_ip_asc(leaf, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(leaf, "::1", 0), 1);
    assert_int_equal(X509_check_host(leaf, "example.org", 0, 0, NULL), 0);

    X509_STORE_CTX_free(context);
    X509_STORE_free(anchors);
    X509_free(root);
    X509_free(leaf);
}

static void the_names_are_those_of_the_contract(void **state)
{
    struct fixture *f = *state;
    X509 *root = parse(&f->root);
    X509 *leaf = parse(&f->leaf);
    char text[256];
    X509_NAME_oneline(X509_get_subject_name(root), text, sizeof text);
    assert_string_equal(text, "/CN=Paranoid app cacacacacacacaca");
    X509_NAME_oneline(X509_get_subject_name(leaf), text, sizeof text);
    assert_string_equal(text,
                        "/OU=tee=simulated/CN=paranoid worker 1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d");
    X509_free(root);
    X509_free(leaf);
}

static void any_copy_of_the_root_anchors_every_leaf(void **state)
{
    struct fixture *f = *state;
    struct buffer again = BUFFER_EMPTY;
    assert_int_equal(certificate_root(&again, f->root_key, &f->claims.capsule), STATUS_OK);
    assert_int_equal(verify(buffer_bytes(&f->leaf), buffer_bytes(&again), NOW_S), STATUS_OK);
    buffer_release(&again);
}

static void a_scalar_of_one_is_the_generator(void **state)
{
    struct fixture *f = *state;
    // SEC 2, section 2.4.2: the x coordinate of P-256's base point.
    static const uint8_t x[] = {
        0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6,
        0xe5, 0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb,
        0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96,
    };
    struct p256_public key;
    assert_int_equal(certificate_public(&key, buffer_bytes(&f->root)), STATUS_OK);
    assert_int_equal(key.bytes[0], 4);
    assert_memory_equal(key.bytes + 1, x, sizeof x);
    assert_int_equal(certificate_public(&key, bytes_text("no certificate")), STATUS_MALFORMED);
}

static void refuses_to_certify_a_point_off_the_curve(void **state)
{
    struct fixture *f = *state;
    struct buffer der = BUFFER_EMPTY;
    struct p256_public key = p256_key_public(f->leaf_key);
    key.bytes[P256_PUBLIC_BYTES - 1] ^= 1;
    assert_int_equal(certificate_leaf(&der, f->root_key, &key, &f->claims), STATUS_MALFORMED);
    key = (struct p256_public){.bytes = {0}};
    assert_int_equal(certificate_leaf(&der, f->root_key, &key, &f->claims), STATUS_MALFORMED);
    buffer_release(&der);
}

static void dates_beyond_2049_come_back_whole(void **state)
{
    struct fixture *f = *state;
    struct p256_public key = p256_key_public(f->leaf_key);
    struct certificate_claims claims;
    f->claims.not_before_s = 0;
    f->claims.not_after_s = 253402300799;
    assert_int_equal(certificate_leaf(&f->leaf, f->root_key, &key, &f->claims), STATUS_OK);
    assert_int_equal(certificate_verify_leaf(&claims, &key, buffer_bytes(&f->leaf),
                                             buffer_bytes(&f->root), NOW_S),
                     STATUS_OK);
    assert_int_equal(claims.not_before_s, 0);
    assert_int_equal(claims.not_after_s, 253402300799);
}

static void the_hosts_are_named_beside_localhost(void **state)
{
    struct fixture *f = *state;
    struct p256_public key = p256_key_public(f->leaf_key);
    struct certificate_host hosts[CERTIFICATE_HOST_COUNT_MAX];
    memset(hosts, 0, sizeof hosts);
    for (size_t i = 0; i < CERTIFICATE_HOST_COUNT_MAX; i++) {
        // The longest there are: two labels, of 63 and 62 letters, behind each other.
        memset(hosts[i].name, 'a' + (int)i, CERTIFICATE_HOST_BYTES - 1);
        hosts[i].name[63] = '.';
        hosts[i].name[126] = '\0';
        assert_true(certificate_host_is_sound(&hosts[i]));
    }
    memcpy(hosts[0].name, "a.example", 10);
    memcpy(hosts[1].name, "10.1.2.3", 9);
    memcpy(hosts[2].name, "2001:db8::1", 12);
    f->claims.hosts = hosts;
    f->claims.host_count = CERTIFICATE_HOST_COUNT_MAX;
    assert_int_equal(certificate_leaf(&f->leaf, f->root_key, &key, &f->claims), STATUS_OK);
    assert_int_equal(verify(buffer_bytes(&f->leaf), buffer_bytes(&f->root), NOW_S), STATUS_OK);
    const uint8_t *at = f->leaf.bytes;
    X509 *leaf = d2i_X509(NULL, &at, (long)f->leaf.length);
    assert_int_equal(X509_check_host(leaf, "localhost", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(leaf, "a.example", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(leaf, hosts[7].name, 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(leaf, "b.example", 0, 0, NULL), 0);
    assert_int_equal(X509_check_host(leaf, "x.a.example", 0, 0, NULL), 0);
    assert_int_equal(X509_check_ip_asc(leaf, "10.1.2.3", 0), 1);
    assert_int_equal(X509_check_ip_asc(leaf, "2001:db8::1", 0), 1);
    assert_int_equal(X509_check_ip_asc(leaf, "10.1.2.4", 0), 0);
    X509_free(leaf);
}

static void pem_comes_back_as_the_same_der(void **state)
{
    struct fixture *f = *state;
    struct buffer pem = BUFFER_EMPTY;
    struct buffer der = BUFFER_EMPTY;
    assert_int_equal(certificate_to_pem(&pem, buffer_bytes(&f->leaf)), STATUS_OK);
    assert_int_equal(strlen((const char *)pem.bytes), pem.length);
    assert_int_equal(certificate_from_pem(&der, buffer_bytes(&pem)), STATUS_OK);
    assert_true(bytes_equal(buffer_bytes(&der), buffer_bytes(&f->leaf)));

    // Something else in PEM's dress, and a certificate with the header of an encrypted key.
    assert_non_null(strstr((const char *)pem.bytes, "BEGIN CERTIFICATE-----\n"));
    const char *body = strchr((const char *)pem.bytes, '\n') + 1;
    int body_bytes = (int)(strstr(body, "-----END") - body);
    char text[4096];
    snprintf(text, sizeof text, "-----BEGIN TRUSTED-----\n%.*s-----END TRUSTED-----\n", body_bytes,
             body);
    assert_int_equal(certificate_from_pem(&der, bytes_text(text)), STATUS_MALFORMED);
    snprintf(text, sizeof text,
             "-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\n\n%.*s"
             "-----END CERTIFICATE-----\n",
             body_bytes, body);
    assert_int_equal(certificate_from_pem(&der, bytes_text(text)), STATUS_MALFORMED);
    assert_int_equal(certificate_from_pem(&der, bytes_of(NULL, 0)), STATUS_MALFORMED);
    buffer_release(&pem);
    buffer_release(&der);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(p3_a_leaf_says_what_its_claims_said, setup, teardown),
        cmocka_unit_test_setup_teardown(p2_refuses_a_leaf_outside_its_dates, setup, teardown),
        cmocka_unit_test_setup_teardown(p2_refuses_every_changed_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_the_cut_and_the_lengthened, setup, teardown),
        cmocka_unit_test_setup_teardown(p2_refuses_another_root_and_a_root_as_leaf, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(p2_refuses_a_signed_leaf_of_another_kind, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_a_signed_leaf_without_each_name_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(p2_refuses_another_suite_of_signature_or_key, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(p2_refuses_a_root_that_is_no_authority_or_another_apps,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_tee_that_is_not_known_has_no_name, setup, teardown),
        cmocka_unit_test_setup_teardown(openssl_accepts_the_chain_in_its_strict_mode, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_names_are_those_of_the_contract, setup, teardown),
        cmocka_unit_test_setup_teardown(any_copy_of_the_root_anchors_every_leaf, setup, teardown),
        cmocka_unit_test_setup_teardown(a_scalar_of_one_is_the_generator, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_to_certify_a_point_off_the_curve, setup, teardown),
        cmocka_unit_test_setup_teardown(dates_beyond_2049_come_back_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(the_hosts_are_named_beside_localhost, setup, teardown),
        cmocka_unit_test_setup_teardown(pem_comes_back_as_the_same_der, setup, teardown),
    };
    crypto_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
