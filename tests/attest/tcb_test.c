/* tests/attest/tcb_test.c */

/*
 * Goal: of a vendor's statement the signed object counts, byte for byte as it was delivered,
 * whatever lies around it; and no text holds two of them.
 * Method: real statements, taken out of their wrapping and wrapped otherwise.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/attest/cases.h"

static const char SGX[] = "sgx/automata-606a-platca";
static const char SGX_FLAT[] = "sgx/oe-906ed-2022-tcbinfo-v2";
static const char TDX[] = "tdx/azure-v4-2026";

/* One document of a case, taken apart. Borrows from the case. */
struct statement {
    const char *name;
    struct bytes content;
    struct bytes signature;  // the digits
};

/* The text as vendors serve it: {"name":{…},"signature":"…"}. */
static struct statement statement_of(const struct cases_one *it, enum collateral_kind kind)
{
    static const char middle[] = ",\"signature\":\"";
    enum { SIGNATURE_DIGITS = 128 };
    const char *name = kind == COLLATERAL_TCB_INFO ? "tcbInfo" : "enclaveIdentity";
    struct bytes text = buffer_bytes(&it->files[kind]);
    size_t head = strlen("{\"\":") + strlen(name);
    const uint8_t *end = text.at + text.length;
    do {
        end--;
    } while (*end != '}');
    const uint8_t *digits = end - 1 - SIGNATURE_DIGITS;
    const uint8_t *content_end = digits - strlen(middle);
    assert_memory_equal(content_end, middle, strlen(middle));
    return (struct statement){
        .name = name,
        .content = bytes_of(text.at + head, (size_t)(content_end - (text.at + head))),
        .signature = bytes_of(digits, SIGNATURE_DIGITS),
    };
}

/* A pattern, with NAME, CONTENT and SIGNATURE filled in for its signs N, C and S. */
static void wrap(struct buffer *target, const char *pattern, const struct statement *it)
{
    buffer_clear(target);
    for (const char *at = pattern; *at != '\0'; at++) {
        struct bytes part = bytes_of(at, 1);
        part = *at == 'N' ? bytes_text(it->name) : part;
        part = *at == 'C' ? it->content : part;
        part = *at == 'S' ? it->signature : part;
        assert_int_equal(buffer_append(target, part.at, part.length), STATUS_OK);
    }
}

static const enum collateral_kind KINDS[] = {COLLATERAL_TCB_INFO, COLLATERAL_QE_IDENTITY};

/* Both statements of a case, wrapped by each pattern. */
static void assert_all(const char *name, const char *const *patterns, size_t count,
                       enum reason reason)
{
    struct cases_one it;
    cases_load(&it, name);
    for (size_t kind = 0; kind < sizeof KINDS / sizeof *KINDS; kind++) {
        const struct statement statement = statement_of(&it, KINDS[kind]);
        struct bytes *document = &it.collateral.documents[KINDS[kind]];
        struct bytes before = *document;
        for (size_t i = 0; i < count; i++) {
            struct buffer text = BUFFER_EMPTY;
            wrap(&text, patterns[i], &statement);
            *document = buffer_bytes(&text);
            const struct verdict verdict = cases_judge_own(&it);
            if (verdict.reason != reason) {
                fail_msg("%s, %s wrapped as %s: %s: %s", name, statement.name, patterns[i],
                         verdict_code(verdict.reason), verdict.detail);
            }
            buffer_release(&text);
        }
        *document = before;
    }
    cases_release(&it);
}

static void what_lies_around_a_statement_does_not_matter(void **state)
{
    (void)state;
    static const char *const patterns[] = {
        "{\"N\":C,\"signature\":\"S\"}",
        " \r\n\t{ \"N\" :\n C ,\t\"signature\" : \"S\" }\r\n\r\n",
        "{\"signature\":\"S\",\"N\":C}",
        "{\"N\":C,\"signature\":\"S\",\"note\":\"of today\"}",
        "{\"note\":\"a \\\"quoted\\\" } one\",\"N\":C,\"signature\":\"S\"}",
        "{\"N\":C,\"meta\":{\"a\":[1,{\"b\":\"]}\"}],\"signature\":\"00\",\"N\":{}},\"signature\":"
        "\"S\"}",
        "{\"list\":[[],{},\"\",-1.5e+3],\"N\":C,\"yes\":true,\"no\":false,\"none\":null,"
        "\"signature\":\"S\"}",
        "{\"\":0,\"signatures\":\"00\",\"n\":1,\"N\":C,\"signature\":\"S\"}",
    };
    static const char *const names[] = {SGX, SGX_FLAT, TDX};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_all(names[i], patterns, sizeof patterns / sizeof *patterns, REASON_NONE);
    }
}

static void a_text_that_could_be_read_in_two_ways_is_no_statement(void **state)
{
    (void)state;
    static const char *const patterns[] = {
        "",
        "{}",
        "C",
        "[{\"N\":C,\"signature\":\"S\"}]",
        "{\"N\":C}",
        "{\"signature\":\"S\"}",
        "{\"N\":C,\"N\":C,\"signature\":\"S\"}",
        "{\"N\":{},\"N\":C,\"signature\":\"S\"}",
        "{\"N\":C,\"signature\":\"S\",\"N\":{}}",
        "{\"N\":C,\"signature\":\"S\",\"signature\":\"S\"}",
        "{\"N\":C,\"signature\":\"S\",\"signature\":0}",
        "{\"N\":C,\"signature\":\"S\",\"signatur\\u0065\":\"S\"}",
        "{\"N\":[C],\"signature\":\"S\"}",
        "{\"N\":\"C\",\"signature\":\"S\"}",
        "{\"N\":C,\"signature\":S}",
        "{\"N\":C,\"signature\":\"0xS\"}",
        "{\"N\":C,\"signature\":\"SS\"}",
        "{\"N\":C,\"signature\":\"\"}",
        "{\"N\":C,\"signature\":\"S\",}",
        "{\"N\":C,\"signature\":\"S\"",
        "{\"N\":C,\"signature\":\"S\"}}",
        "{\"N\":C,\"signature\":\"S\"} x",
        "{\"N\":C,\"signature\":\"S\",\"note\":}",
        "{\"N\":C,\"signature\":\"S\",\"note\"}",
        "{\"N\":C,\"signature\":\"S\",\"note\":[}",
        "{\"N\":C,\"signature\":\"S\",\"note\":\"}",
        "{\"N\":C \"signature\":\"S\"}",
        "\xef\xbb\xbf{\"N\":C,\"signature\":\"S\"}",
    };
    assert_all(SGX, patterns, sizeof patterns / sizeof *patterns, REASON_COLLATERAL);
    assert_all(TDX, patterns, sizeof patterns / sizeof *patterns, REASON_COLLATERAL);
}

static void a_statement_that_was_written_anew_is_not_the_one_that_was_signed(void **state)
{
    (void)state;
    struct cases_one it;
    cases_load(&it, TDX);
    for (size_t kind = 0; kind < sizeof KINDS / sizeof *KINDS; kind++) {
        const struct statement statement = statement_of(&it, KINDS[kind]);
        struct bytes *document = &it.collateral.documents[KINDS[kind]];
        struct bytes before = *document;
        // One blank more, where JSON does not care.
        struct buffer content = BUFFER_EMPTY, text = BUFFER_EMPTY;
        assert_int_equal(buffer_append(&content, "{ ", 2), STATUS_OK);
        assert_int_equal(
            buffer_append(&content, statement.content.at + 1, statement.content.length - 1),
            STATUS_OK);
        const struct statement anew = {statement.name, buffer_bytes(&content), statement.signature};
        wrap(&text, "{\"N\":C,\"signature\":\"S\"}", &anew);
        *document = buffer_bytes(&text);
        assert_int_equal(cases_judge_own(&it).reason, REASON_COLLATERAL);
        buffer_release(&text);
        buffer_release(&content);
        *document = before;
    }
    cases_release(&it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_lies_around_a_statement_does_not_matter),
        cmocka_unit_test(a_text_that_could_be_read_in_two_ways_is_no_statement),
        cmocka_unit_test(a_statement_that_was_written_anew_is_not_the_one_that_was_signed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
