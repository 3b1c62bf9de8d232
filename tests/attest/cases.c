/* tests/attest/cases.c */
#include "tests/attest/cases.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attest/dcap.h"
#include "base/date.h"
#include "crypto/crypto.h"

static const char *vectors(void)
{
    static char path[4096];
    const char *shared = getenv("PARANOID_SHARED");
    snprintf(path, sizeof path, "%s/vectors", shared != NULL ? shared : "../shared");
    return path;
}

/* False: there is no such file. */
static bool read_file(struct buffer *target, const char *path)
{
    char whole[8192], part[4096];
    snprintf(whole, sizeof whole, "%s/%s", vectors(), path);
    FILE *file = fopen(whole, "rb");
    if (file == NULL) {
        return false;
    }
    size_t length;
    while ((length = fread(part, 1, sizeof part, file)) > 0) {
        assert_int_equal(buffer_append(target, part, length), STATUS_OK);
    }
    assert_int_equal(ferror(file), 0);
    fclose(file);
    return true;
}

struct buffer cases_file(const char *path)
{
    struct buffer bytes = BUFFER_EMPTY;
    if (!read_file(&bytes, path)) {
        fail_msg("cannot read '%s/%s'", vectors(), path);
    }
    assert_int_equal(buffer_append(&bytes, "", 1), STATUS_OK);
    bytes.length--;
    return bytes;
}

void cases_load(struct cases_one *it, const char *name)
{
    static const char *const endings[] = {"json", "pem", "der"};
    char path[4096];
    *it = (struct cases_one){.tee = strncmp(name, "sgx", 3) == 0   ? TEE_SGX
                                    : strncmp(name, "tdx", 3) == 0 ? TEE_TDX
                                                                   : TEE_SEV_SNP};
    crypto_init();
    snprintf(path, sizeof path, "attestation/%s/%s.bin", name,
             it->tee == TEE_SEV_SNP ? "report" : "quote");
    it->quote = cases_file(path);
    for (size_t kind = 0; kind < COLLATERAL_KIND_COUNT; kind++) {
        for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
            snprintf(path, sizeof path, "attestation/%s/%s.%s", name,
                     collateral_name((enum collateral_kind)kind), endings[i]);
            read_file(&it->files[kind], path);
        }
        it->collateral.documents[kind] = buffer_bytes(&it->files[kind]);
    }
    snprintf(path, sizeof path, "attestation/%s/expected.json", name);
    struct buffer text = cases_file(path);
    it->expected = json_loadb((const char *)text.bytes, text.length, 0, NULL);
    assert_non_null(it->expected);
    buffer_release(&text);
    const char *at = json_string_value(json_object_get(it->expected, "verify_at"));
    if (at != NULL) {
        assert_true(date_parse(&it->verify_at_s, bytes_text(at)));
    }
}

void cases_release(struct cases_one *it)
{
    buffer_release(&it->quote);
    buffer_release(&it->bundle);
    for (size_t kind = 0; kind < COLLATERAL_KIND_COUNT; kind++) {
        buffer_release(&it->files[kind]);
    }
    json_decref(it->expected);
}

struct verdict cases_judge(struct cases_one *it, struct bytes quote, uint64_t now_s)
{
    const struct evidence_roots roots = {.vendors = vendor_pinned()};
    buffer_clear(&it->bundle);
    assert_int_equal(collateral_encode(&it->collateral, &it->bundle), STATUS_OK);
    const struct evidence evidence = {
        .tee = it->tee,
        .quote = quote,
        .collateral = buffer_bytes(&it->bundle),
    };
    return evidence_verify_parts(&evidence, now_s, &roots);
}

struct verdict cases_judge_own(struct cases_one *it)
{
    return cases_judge(it, buffer_bytes(&it->quote), it->verify_at_s);
}

void cases_each(void (*each)(const char *name))
{
    static const char *const tees[] = {"sgx", "tdx", "sev-snp"};
    size_t count = 0;
    for (size_t i = 0; i < sizeof tees / sizeof *tees; i++) {
        char path[8192];
        snprintf(path, sizeof path, "%s/attestation/%s", vectors(), tees[i]);
        DIR *directory = opendir(path);
        assert_non_null(directory);
        for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
            if (entry->d_name[0] != '.' && strcmp(entry->d_name, "roots") != 0) {
                snprintf(path, sizeof path, "%s/%s", tees[i], entry->d_name);
                each(path);
                count++;
            }
        }
        closedir(directory);
    }
    assert_true(count >= 20);
}

void cases_assert_no_bit_can_change(struct cases_one *it, struct bytes part, size_t step)
{
    size_t start = (size_t)(part.at - it->quote.bytes);
    assert_true(start + part.length <= it->quote.length);
    for (size_t bit = 8 * start; bit < 8 * (start + part.length); bit += step) {
        it->quote.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        const struct verdict verdict = cases_judge_own(it);
        if (verdict.reason == REASON_NONE) {
            fail_msg("bit %zu of byte %zu can change", bit % 8, bit / 8);
        }
        it->quote.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(cases_judge_own(it).reason, REASON_NONE);
}

void cases_assert_no_bit_of_a_quote_can_change(const char *name)
{
    struct cases_one it;
    struct dcap_quote quote;
    struct verdict verdict = verdict_at(0);
    cases_load(&it, name);
    assert_true(dcap_decode(&verdict, &quote, buffer_bytes(&it.quote)));
    cases_assert_no_bit_can_change(&it, quote.signed_part, 1);
    cases_assert_no_bit_can_change(&it, quote.signature, 1);
    cases_assert_no_bit_can_change(&it, quote.key, 1);
    cases_assert_no_bit_can_change(&it, quote.qe_report, 1);
    cases_assert_no_bit_can_change(&it, quote.qe_signature, 1);
    cases_assert_no_bit_can_change(&it, quote.qe_data, 1);
    cases_assert_no_bit_can_change(&it, quote.chain, 8 * 5 + 1);  // PEM, strictly read: a sample
    cases_release(&it);
}

void cases_assert_refused_at_every_length(const char *name, size_t end)
{
    struct cases_one it;
    cases_load(&it, name);
    for (size_t length = 0; length < end; length++) {
        // A copy of its own size, so that a read beyond the end is seen.
        struct buffer cut = BUFFER_EMPTY;
        assert_int_equal(buffer_append(&cut, it.quote.bytes, length), STATUS_OK);
        const struct verdict verdict = cases_judge(&it, buffer_bytes(&cut), it.verify_at_s);
        assert_int_equal(verdict.reason, REASON_FORMAT);
        buffer_release(&cut);
    }
    cases_release(&it);
}
