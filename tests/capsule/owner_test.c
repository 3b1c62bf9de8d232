/* tests/capsule/owner_test.c */

/*
 * Goal: what the owner signed reads back, and nothing else counts: no other
 * type, key, capsule or payload, no unknown member, no number but an integer.
 * Method: sign JSON by hand with the true key, right and wrong in one point each.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/hex.h"
#include "capsule/function.h"
#include "capsule/genesis.h"
#include "capsule/term.h"
#include "capsule/tuple.h"
#include "crypto/crypto.h"

struct fixture {
    struct sign_key *owner;
    struct verify_key key;
    struct hash capsule;
    struct buffer body;
};

static int setup(void **state)
{
    static struct fixture f;
    static const uint8_t seed[SIGN_SEED_BYTES] = {4};
    crypto_init();
    f = (struct fixture){.owner = sign_key_new_from_seed(seed)};
    f.key = sign_key_public(f.owner);
    f.capsule = hash_of("capsule", 7);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    buffer_release(&f->body);
    sign_key_free(f->owner);
    return 0;
}

/* Sign `text`, in which each @ stands for 64 digits: the capsule's name. */
static void sign_text(struct fixture *f, enum record_type type, const char *text,
                      const char *payload)
{
    struct buffer json = BUFFER_EMPTY;
    char name[HASH_TEXT_BYTES];
    hash_text(&f->capsule, name);
    for (size_t i = 0; text[i] != '\0'; i++) {
        const char *part = text[i] == '@' ? name : text + i;
        size_t length = text[i] == '@' ? strlen(name) : 1;
        assert_int_equal(buffer_append(&json, part, length), STATUS_OK);
    }
    buffer_clear(&f->body);
    assert_int_equal(
        owner_encode(&f->body, type, buffer_bytes(&json), bytes_text(payload), f->owner),
        STATUS_OK);
    buffer_release(&json);
}

static void a_signature_holds_for_one_type_key_and_payload(void **state)
{
    struct fixture *f = *state;
    struct owner_body body;
    sign_text(f, RECORD_POLICY, "{}", "payload");
    assert_int_equal(owner_decode(&body, buffer_bytes(&f->body)), STATUS_OK);
    assert_true(bytes_equal(body.json, bytes_text("{}")));
    assert_true(bytes_equal(body.payload, bytes_text("payload")));
    assert_int_equal(owner_verify(&body, RECORD_POLICY, &f->key), STATUS_OK);
    assert_int_equal(owner_verify(&body, RECORD_TERM, &f->key), STATUS_FORGED);
    struct verify_key other = f->key;
    other.bytes[0] ^= 1;
    assert_int_equal(owner_verify(&body, RECORD_POLICY, &other), STATUS_FORGED);
    for (size_t i = 0; i < f->body.length; i++) {
        f->body.bytes[i] ^= 1;
        enum status status = owner_decode(&body, buffer_bytes(&f->body));
        if (status == STATUS_OK) {
            status = owner_verify(&body, RECORD_POLICY, &f->key);
        }
        assert_int_not_equal(status, STATUS_OK);
        f->body.bytes[i] ^= 1;
    }
}

static void a_body_too_short_for_its_json_and_signature_is_malformed(void **state)
{
    struct fixture *f = *state;
    struct owner_body body;
    sign_text(f, RECORD_POLICY, "{}", "");
    for (size_t length = 0; length < f->body.length; length++) {
        assert_int_equal(owner_decode(&body, bytes_of(f->body.bytes, length)), STATUS_MALFORMED);
    }
}

static enum status read_policy(struct fixture *f, const char *text)
{
    uint64_t version;
    struct bytes policy;
    sign_text(f, RECORD_POLICY, text, "policy");
    return term_policy_decode(&version, &policy, buffer_bytes(&f->body), &f->key, &f->capsule);
}

static void json_is_read_strictly(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(read_policy(f, "{\"capsule\":\"@\",\"version\":3}"), STATUS_OK);
    const char *const wrong[] = {
        "",
        "[]",
        "3",
        "{\"capsule\":\"@\"}",
        "{\"version\":3}",
        "{\"capsule\":\"@\",\"version\":3,\"more\":1}",
        "{\"capsule\":\"@\",\"version\":3,\"version\":4}",
        "{\"capsule\":\"@\",\"version\":3.0}",
        "{\"capsule\":\"@\",\"version\":3e0}",
        "{\"capsule\":\"@\",\"version\":-3}",
        "{\"capsule\":\"@\",\"version\":0}",
        "{\"capsule\":\"@\",\"version\":9223372036854775808}",
        "{\"capsule\":\"@\",\"version\":\"3\"}",
        "{\"capsule\":\"@\",\"version\":null}",
        "{\"capsule\":\"@00\",\"version\":3}",
        "{\"capsule\":\"x\",\"version\":3}",
        "{\"capsule\":5,\"version\":3}",
        "{\"capsule\":\"@\",\"version\":3} x",
        "{\"capsule\":\"@\",\"version\":3",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(read_policy(f, wrong[i]), STATUS_MALFORMED);
    }
}

static void a_statement_about_another_capsule_is_forged(void **state)
{
    struct fixture *f = *state;
    uint64_t version;
    struct bytes policy;
    struct hash other = hash_of("other", 5);
    assert_int_equal(term_policy_encode(&f->body, &other, 2, bytes_text("p"), f->owner), STATUS_OK);
    assert_int_equal(
        term_policy_decode(&version, &policy, buffer_bytes(&f->body), &f->key, &f->capsule),
        STATUS_FORGED);
    assert_int_equal(term_policy_decode(&version, &policy, buffer_bytes(&f->body), &f->key, &other),
                     STATUS_OK);
    assert_int_equal(version, 2);
}

static void a_term_reads_back(void **state)
{
    struct fixture *f = *state;
    struct term term = {
        .capsule = f->capsule,
        .number = 4,
        .leader = f->key,
        .sync = hash_of("sync", 4),
        .sync_epoch = 17,
        .evidence = bytes_text("evidence"),
    };
    struct term read;
    assert_int_equal(term_encode(&f->body, &term, f->owner), STATUS_OK);
    assert_int_equal(term_decode(&read, buffer_bytes(&f->body), &f->key, &f->capsule), STATUS_OK);
    assert_int_equal(read.number, 4);
    assert_true(verify_key_equal(&read.leader, &f->key));
    assert_true(hash_equal(&read.sync, &term.sync));
    assert_int_equal(read.sync_epoch, 17);
    assert_true(bytes_equal(read.evidence, term.evidence));
    struct hash other = hash_of("other", 5);
    assert_int_equal(term_decode(&read, buffer_bytes(&f->body), &f->key, &other), STATUS_FORGED);
}

static void a_term_with_other_evidence_than_it_names_is_forged(void **state)
{
    struct fixture *f = *state;
    struct term read;
    sign_text(f, RECORD_TERM,
              "{\"capsule\":\"@\",\"evidence\":\"@\",\"leader\":\"@\",\"sync\":\"@\","
              "\"sync_epoch\":0,\"version\":1}",
              "evidence");
    assert_int_equal(term_decode(&read, buffer_bytes(&f->body), &f->key, &f->capsule),
                     STATUS_FORGED);
}

// ---- GENESIS ----

static struct genesis genesis_make(const struct fixture *f, uint32_t store_count)
{
    struct genesis genesis = {
        .app = "orders_2-eu",
        .owner = f->key,
        .store_count = store_count,
        .receipt_count = 1,
    };
    for (uint32_t i = 0; i < store_count; i++) {
        genesis.stores[i].name[0] = (char)('a' + i);
        genesis.stores[i].key.bytes[0] = (uint8_t)i;
    }
    return genesis;
}

static void a_genesis_reads_back_and_names_the_capsule(void **state)
{
    struct fixture *f = *state;
    struct genesis genesis = genesis_make(f, GENESIS_STORES_MAX), read;
    genesis.receipt_count = 9;
    genesis.tolerated_count = 8;
    assert_int_equal(genesis_encode(&f->body, &genesis, bytes_text("{}"), f->owner), STATUS_OK);
    assert_int_equal(genesis_decode(&read, buffer_bytes(&f->body)), STATUS_OK);
    assert_string_equal(read.app, "orders_2-eu");
    assert_true(verify_key_equal(&read.owner, &f->key));
    assert_int_equal(read.store_count, GENESIS_STORES_MAX);
    assert_int_equal(read.receipt_count, 9);
    assert_int_equal(read.tolerated_count, 8);
    assert_true(bytes_equal(read.policy, bytes_text("{}")));
    struct hash name = hash_of(f->body.bytes, f->body.length);
    assert_true(hash_equal(&read.capsule, &name));
    struct writer_id id = writer_store_id_of(&genesis.stores[3].key);
    assert_string_equal(genesis_store_find(&read, &id)->name, "d");
    id.bytes[0] ^= 1;
    assert_null(genesis_store_find(&read, &id));
}

static void a_genesis_of_impossible_numbers_is_malformed(void **state)
{
    struct fixture *f = *state;
    const char *const store = "{\"key\":\"@\",\"name\":\"s\"}";
    const struct {
        const char *app, *receipts, *tolerated, *suite, *version, *more;
    } wrong[] = {
        {"a b", "1", "0", "paranoid-1", "1", ""},
        {"", "1", "0", "paranoid-1", "1", ""},
        {"app", "0", "0", "paranoid-1", "1", ""},
        {"app", "2", "0", "paranoid-1", "1", ""},
        {"app", "1", "1", "paranoid-1", "1", ""},
        {"app", "4294967297", "0", "paranoid-1", "1", ""},
        {"app", "1", "0", "paranoid-2", "1", ""},
        {"app", "1", "0", "paranoid-1", "2", ""},
        {"app", "1", "0", "paranoid-1", "1", ",{\"key\":\"@\",\"name\":\"t\"}"},
        {"app", "1", "0", "paranoid-1", "1", ",7"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[2048];
        struct genesis read;
        snprintf(text, sizeof text,
                 "{\"app\":\"%s\",\"owner\":\"@\",\"receipts\":%s,\"stores\":[%s%s],"
                 "\"suite\":\"%s\",\"tolerated\":%s,\"version\":%s}",
                 wrong[i].app, wrong[i].receipts, store, wrong[i].more, wrong[i].suite,
                 wrong[i].tolerated, wrong[i].version);
        sign_text(f, RECORD_GENESIS, text, "{}");
        assert_int_equal(genesis_decode(&read, buffer_bytes(&f->body)), STATUS_MALFORMED);
    }
}

static void a_genesis_signed_by_another_than_it_names_is_forged(void **state)
{
    struct fixture *f = *state;
    struct genesis genesis = genesis_make(f, 1), read;
    genesis.owner.bytes[0] ^= 1;
    assert_int_equal(genesis_encode(&f->body, &genesis, bytes_text("{}"), f->owner), STATUS_OK);
    assert_int_equal(genesis_decode(&read, buffer_bytes(&f->body)), STATUS_FORGED);
}

// ---- FUNCTION ----

static void a_function_reads_back(void **state)
{
    struct fixture *f = *state;
    struct function_manifest manifest = {
        .name = "hello-World_1",
        .version = 3,
        .runtime = FUNCTION_WASM,
        .access = FUNCTION_PUBLIC,
        .durability = FUNCTION_ASYNC,
        .time_ms = 1000,
        .memory_bytes = 64 << 20,
        .response_bytes = 1 << 20,
        .prefixes = {"user:", "grüße/"},
        .prefix_count = 2,
    };
    struct function_manifest read;
    struct bytes code;
    assert_int_equal(
        function_encode(&f->body, &manifest, bytes_text("code"), &f->capsule, f->owner), STATUS_OK);
    assert_int_equal(function_decode(&read, &code, buffer_bytes(&f->body), &f->key, &f->capsule),
                     STATUS_OK);
    assert_string_equal(read.name, manifest.name);
    assert_int_equal(read.version, 3);
    assert_int_equal(read.runtime, FUNCTION_WASM);
    assert_int_equal(read.access, FUNCTION_PUBLIC);
    assert_int_equal(read.durability, FUNCTION_ASYNC);
    assert_int_equal(read.time_ms, 1000);
    assert_int_equal(read.memory_bytes, 64 << 20);
    assert_int_equal(read.response_bytes, 1 << 20);
    assert_int_equal(read.prefix_count, 2);
    assert_string_equal(read.prefixes[1], "grüße/");
    assert_true(hash_equal(&read.code_hash, &manifest.code_hash));
    assert_true(bytes_equal(code, bytes_text("code")));
    function_manifest_release(&read);
    function_manifest_release(&read);

    struct hash other = hash_of("other", 5);
    assert_int_equal(function_decode(&read, &code, buffer_bytes(&f->body), &f->key, &other),
                     STATUS_FORGED);
}

#define FUNCTION_JSON(access, limits, name, prefixes, removed, version)                  \
    "{\"access\":\"" access                                                              \
    "\",\"capsule\":\"@\",\"code\":\"@\",\"durability\":\"receipt\",\"limits\":{" limits \
    "},\"name\":\"" name "\",\"prefixes\":[" prefixes "],\"removed\":" removed           \
    ",\"runtime\":\"js\",\"version\":" version "}"
#define LIMITS "\"memory_bytes\":1,\"response_bytes\":1,\"time_ms\":1"

static void a_function_of_another_shape_is_malformed(void **state)
{
    struct fixture *f = *state;
    const struct {
        const char *text;
        enum status expected;
    } cases[] = {
        // Right, but for the code, whose hash is another: what the others are compared with.
        {FUNCTION_JSON("token", LIMITS, "f", "\"p\"", "false", "1"), STATUS_FORGED},
        {FUNCTION_JSON("other", LIMITS, "f", "", "false", "1"), STATUS_MALFORMED},
        {FUNCTION_JSON("token", "\"time_ms\":1", "f", "", "false", "1"), STATUS_MALFORMED},
        {FUNCTION_JSON("token", LIMITS ",\"x\":1", "f", "", "false", "1"), STATUS_MALFORMED},
        {FUNCTION_JSON("token", LIMITS, "", "", "false", "1"), STATUS_MALFORMED},
        {FUNCTION_JSON("token", LIMITS, "a/b", "", "false", "1"), STATUS_MALFORMED},
        {FUNCTION_JSON("token", LIMITS, "f", "1", "false", "1"), STATUS_MALFORMED},
        {FUNCTION_JSON("token", LIMITS, "f", "\"p\",1", "false", "1"), STATUS_MALFORMED},
        {FUNCTION_JSON("token", LIMITS, "f", "\"\\u0000\"", "false", "1"), STATUS_MALFORMED},
        {FUNCTION_JSON("token", LIMITS, "f", "", "true", "1"), STATUS_MALFORMED},  // with code
        {FUNCTION_JSON("token", LIMITS, "f", "", "0", "1"), STATUS_MALFORMED},
        {FUNCTION_JSON("token", LIMITS, "f", "", "false", "0"), STATUS_MALFORMED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct function_manifest read;
        struct bytes code;
        sign_text(f, RECORD_FUNCTION, cases[i].text, "code");
        assert_int_equal(
            function_decode(&read, &code, buffer_bytes(&f->body), &f->key, &f->capsule),
            cases[i].expected);
    }
}

static void a_prefix_that_is_no_text_is_malformed(void **state)
{
    struct fixture *f = *state;
    char longest[TUPLE_KEY_BYTES_MAX + 2];
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    char no_text[] = "\xff";
    struct function_manifest manifest = {.name = "f", .version = 1, .prefix_count = 1};
    char *const prefixes[] = {no_text, longest};
    for (size_t i = 0; i < 2; i++) {
        manifest.prefixes[0] = prefixes[i];
        assert_int_equal(
            function_encode(&f->body, &manifest, bytes_text(""), &f->capsule, f->owner),
            STATUS_MALFORMED);
    }
    longest[TUPLE_KEY_BYTES_MAX] = '\0';
    assert_int_equal(function_encode(&f->body, &manifest, bytes_text(""), &f->capsule, f->owner),
                     STATUS_OK);
}

static enum status decode_renamed(struct fixture *f, const char *name,
                                  enum function_runtime runtime)
{
    // The names are as long as each other, so that one can stand where the other stood.
    const bool is_secret = strncmp(name, "secret:", 7) == 0;
    struct function_manifest manifest = {.version = 1, .runtime = runtime}, read;
    struct bytes code;
    snprintf(manifest.name, sizeof manifest.name, "%s",
             runtime == FUNCTION_SECRET ? "secret:a" : "function");
    buffer_clear(&f->body);
    assert_int_equal(
        function_encode(&f->body, &manifest, bytes_text("text"), &f->capsule, f->owner), STATUS_OK);
    if (is_secret != (runtime == FUNCTION_SECRET)) {
        // As a wrong program of the owner's would sign it.
        struct owner_body whole;
        struct buffer json = BUFFER_EMPTY, forged = BUFFER_EMPTY;
        assert_int_equal(owner_decode(&whole, buffer_bytes(&f->body)), STATUS_OK);
        assert_int_equal(buffer_append(&json, whole.json.at, whole.json.length), STATUS_OK);
        assert_int_equal(buffer_append(&json, "", 1), STATUS_OK);
        json.length--;
        char *at = strstr((char *)json.bytes, manifest.name);
        assert_non_null(at);
        memcpy(at, name, 8);
        assert_int_equal(
            owner_encode(&forged, RECORD_FUNCTION, buffer_bytes(&json), whole.payload, f->owner),
            STATUS_OK);
        enum status status =
            function_decode(&read, &code, buffer_bytes(&forged), &f->key, &f->capsule);
        buffer_release(&json);
        buffer_release(&forged);
        return status;
    }
    enum status status =
        function_decode(&read, &code, buffer_bytes(&f->body), &f->key, &f->capsule);
    if (status == STATUS_OK) {
        assert_int_equal(read.runtime, runtime);
        assert_string_equal(read.name, manifest.name);
        function_manifest_release(&read);
    }
    return status;
}

static void no_function_is_called_like_a_secret_and_no_secret_like_a_function(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(decode_renamed(f, "secret:a", FUNCTION_SECRET), STATUS_OK);
    assert_int_equal(decode_renamed(f, "function", FUNCTION_JS), STATUS_OK);
    assert_int_equal(decode_renamed(f, "secret:a", FUNCTION_JS), STATUS_MALFORMED);
    assert_int_equal(decode_renamed(f, "function", FUNCTION_SECRET), STATUS_MALFORMED);
    assert_true(function_secret_name_is_valid(bytes_text("api-key")));
    assert_false(function_secret_name_is_valid(bytes_text("")));
    assert_false(function_secret_name_is_valid(bytes_text("secret:a")));
    static const char longest[] = "123456789012345678901234567890123456789012345678901234567";
    assert_true(function_secret_name_is_valid(bytes_of(longest, 57)));
    assert_false(function_secret_name_is_valid(
        bytes_text("1234567890123456789012345678901234567890123456789012345678")));
}

static void names_of_functions_are_plain(void **state)
{
    (void)state;
    static const char longest[] =
        "0123456789012345678901234567890123456789012345678901234567890123";
    assert_true(function_name_is_valid(bytes_text(longest)));
    assert_false(
        function_name_is_valid(bytes_text("01234567890123456789012345678901"
                                          "234567890123456789012345678901234")));
    assert_false(function_name_is_valid(bytes_text("")));
    assert_false(function_name_is_valid(bytes_text("a.b")));
    assert_false(function_name_is_valid(bytes_of("a\0b", 3)));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_signature_holds_for_one_type_key_and_payload),
        TEST(a_body_too_short_for_its_json_and_signature_is_malformed),
        TEST(json_is_read_strictly),
        TEST(a_statement_about_another_capsule_is_forged),
        TEST(a_term_reads_back),
        TEST(a_term_with_other_evidence_than_it_names_is_forged),
        TEST(a_genesis_reads_back_and_names_the_capsule),
        TEST(a_genesis_of_impossible_numbers_is_malformed),
        TEST(a_genesis_signed_by_another_than_it_names_is_forged),
        TEST(a_function_reads_back),
        TEST(a_function_of_another_shape_is_malformed),
        TEST(a_prefix_that_is_no_text_is_malformed),
        TEST(no_function_is_called_like_a_secret_and_no_secret_like_a_function),
        TEST(names_of_functions_are_plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
