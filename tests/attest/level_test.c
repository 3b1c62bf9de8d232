/* tests/attest/level_test.c */

/*
 * Goal: a platform, a TDX module and a quoting enclave get the status of the first level that they
 * reach in every part, and no statement is taken for one about something else.
 * Method: statements of our own, signed by a key of our own, and each part one step lower at a
 * time.
 */
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "attest/tcb.h"
#include "base/buffer.h"
#include "crypto/crypto.h"
#include "tests/support/forge.h"

enum { TEXT_BYTES = 16 * 1024, PART_BYTES = 4096 };

// 2026-01-31T12:00:00Z, within the dates of every statement here.
static const uint64_t NOW_S = 1769860800;

#define DATES "\"issueDate\":\"2026-01-01T00:00:00Z\",\"nextUpdate\":\"2026-02-28T23:59:59Z\""

static EVP_PKEY *key;

static int setup(void **state)
{
    (void)state;
    crypto_init();
    key = EVP_EC_gen("P-256");
    return key == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    EVP_PKEY_free(key);
    return 0;
}

// ---- a platform, and its TCB info ----

/* What is said in a TCB info; each test changes a part of it. */
struct info {
    const char *id;
    int version;
    int type;
    const char *fmspc;
    const char *pceid;
    int second;                 // the TDX component that is the module's major version
    const char *module_signer;  // of the module's identity
    const char *module_id;
    const char *module_attributes;
    const char *module_mask;
};

static const char ZEROES[] =
    "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "000";

static struct info info_of(bool is_tdx)
{
    return (struct info){
        .id = is_tdx ? "TDX" : "SGX",
        .version = 3,
        .fmspc = "00606a000000",
        .pceid = "0000",
        .module_signer = ZEROES,
        .module_id = "TDX_01",
        .module_attributes = "0000000000000000",
        .module_mask = "ffffffffffffffff",
    };
}

/* Sixteen components, the first two of TDX as given. */
static void components(char *text, size_t size, const char *name, int first, int second, int rest)
{
    int length = snprintf(text, size, "\"%s\":[", name);
    for (int i = 0; i < 16; i++) {
        length += snprintf(text + length, size - (size_t)length,
                           "%s{\"svn\":%d,\"category\":\"BIOS\",\"type\":\"x\"}", i > 0 ? "," : "",
                           i == 0   ? first
                           : i == 1 ? second
                                    : rest);
    }
    snprintf(text + length, size - (size_t)length, "]");
}

/* Reached with components of 7, PCESVN 13 and TDX components of 5; and with 5, 11 and 3. */
static void info_text(struct buffer *text, const struct info *info)
{
    char content[TEXT_BYTES], sgx[2][PART_BYTES / 2], tdx[2][PART_BYTES / 2];
    for (int i = 0; i < 2; i++) {
        components(sgx[i], sizeof sgx[i], "sgxtcbcomponents", 7 - 2 * i, 7 - 2 * i, 7 - 2 * i);
        components(tdx[i], sizeof tdx[i], "tdxtcbcomponents", 5 - 2 * i, info->second, 5 - 2 * i);
    }
    snprintf(content, sizeof content,
             "{\"id\":\"%s\",\"version\":%d," DATES
             ",\"fmspc\":\"%s\",\"pceId\":\"%s\","
             "\"tcbType\":%d,\"tcbEvaluationDataNumber\":20,\"unknown\":[{}],"
             "\"tdxModule\":{\"mrsigner\":\"%s\",\"attributes\":\"%s\",\"attributesMask\":\"%s\"},"
             "\"tdxModuleIdentities\":[{\"id\":\"TDX_07\",\"mrsigner\":\"11\"},{\"id\":\"%s\","
             "\"mrsigner\":\"%s\",\"attributes\":\"%s\",\"attributesMask\":\"%s\",\"tcbLevels\":["
             "{\"tcb\":{\"isvsvn\":4},\"tcbDate\":\"2025-01-01T00:00:00Z\",\"tcbStatus\":"
             "\"UpToDate\"},"
             "{\"tcb\":{\"isvsvn\":2},\"tcbStatus\":\"OutOfDate\",\"advisoryIDs\":[\"M\"]}]}],"
             "\"tcbLevels\":[{\"tcb\":{%s,\"pcesvn\":13,%s},\"tcbDate\":\"2025-01-01T00:00:00Z\","
             "\"tcbStatus\":\"SWHardeningNeeded\",\"advisoryIDs\":[\"A\",\"B\"]},"
             "{\"tcb\":{%s,\"pcesvn\":11,%s},\"tcbStatus\":\"ConfigurationNeeded\","
             "\"advisoryIDs\":[\"A\",\"C\"]}]}",
             info->id, info->version, info->fmspc, info->pceid, info->type, info->module_signer,
             info->module_attributes, info->module_mask, info->module_id, info->module_signer,
             info->module_attributes, info->module_mask, sgx[0], tdx[0], sgx[1], tdx[1]);
    forge_statement(text, key, "tcbInfo", bytes_text(content));
}

static struct tcb_platform platform(void)
{
    struct tcb_platform it = {.fmspc = {0x00, 0x60, 0x6a}, .pcesvn = 13};
    memset(it.components, 7, sizeof it.components);
    return it;
}

static struct tcb_module module(uint8_t version)
{
    struct tcb_module it = {.signer = {0}};
    memset(it.svn, 5, sizeof it.svn);
    it.svn[1] = version;
    return it;
}

/* The reason, and, when it is judged, the status. */
static enum reason judge(const struct info *info, const struct tcb_platform *platform,
                         const struct tcb_module *module, enum tcb_status *status)
{
    struct buffer text = BUFFER_EMPTY;
    struct verdict verdict = verdict_at(NOW_S);
    info_text(&text, info);
    *status = TCB_UNKNOWN;
    bool is_judged =
        tcb_judge_platform(&verdict, status, buffer_bytes(&text), key, platform, module);
    buffer_release(&text);
    return is_judged ? REASON_NONE : verdict.reason;
}

static void assert_status(const struct info *info, const struct tcb_platform *platform,
                          const struct tcb_module *module, enum tcb_status expected)
{
    enum tcb_status status;
    enum reason reason = judge(info, platform, module, &status);
    assert_string_equal(verdict_code(reason), verdict_code(REASON_NONE));
    assert_int_equal(status, expected);
}

static void assert_refused(const struct info *info, const struct tcb_platform *platform,
                           const struct tcb_module *module, enum reason expected)
{
    enum tcb_status status;
    enum reason reason = judge(info, platform, module, &status);
    assert_string_equal(verdict_code(reason), verdict_code(expected));
}

static void a_level_is_reached_in_every_component_or_not_at_all(void **state)
{
    (void)state;
    const struct info sgx = info_of(false);
    struct tcb_platform it = platform();
    assert_status(&sgx, &it, NULL, TCB_SW_HARDENING_NEEDED);
    for (size_t i = 0; i < TCB_COMPONENT_COUNT; i++) {
        it = platform();
        it.components[i] = 8;
        assert_status(&sgx, &it, NULL, TCB_SW_HARDENING_NEEDED);
        it.components[i] = 6;
        assert_status(&sgx, &it, NULL, TCB_CONFIGURATION_NEEDED);
        it.components[i] = 5;
        assert_status(&sgx, &it, NULL, TCB_CONFIGURATION_NEEDED);
        it.components[i] = 4;
        assert_refused(&sgx, &it, NULL, REASON_TCB_STATUS);
    }
    static const struct {
        uint16_t pcesvn;
        enum tcb_status status;
    } pces[] = {{UINT16_MAX, TCB_SW_HARDENING_NEEDED},
                {13, TCB_SW_HARDENING_NEEDED},
                {12, TCB_CONFIGURATION_NEEDED},
                {11, TCB_CONFIGURATION_NEEDED},
                {10, TCB_UNKNOWN}};
    for (size_t i = 0; i < sizeof pces / sizeof *pces; i++) {
        it = platform();
        it.pcesvn = pces[i].pcesvn;
        if (pces[i].status == TCB_UNKNOWN) {
            assert_refused(&sgx, &it, NULL, REASON_TCB_STATUS);
        } else {
            assert_status(&sgx, &it, NULL, pces[i].status);
        }
    }
}

static void a_td_reaches_a_level_with_its_platform_and_its_module_both(void **state)
{
    (void)state;
    const struct info tdx = info_of(true);
    for (uint8_t version = 0; version <= 1; version++) {
        struct tcb_platform it = platform();
        struct tcb_module modules = module(version);
        assert_status(&tdx, &it, &modules, TCB_SW_HARDENING_NEEDED);
        for (size_t i = 2; i < TCB_COMPONENT_COUNT; i++) {
            modules = module(version);
            modules.svn[i] = 4;
            assert_status(&tdx, &it, &modules, TCB_CONFIGURATION_NEEDED);
            modules.svn[i] = 3;
            assert_status(&tdx, &it, &modules, TCB_CONFIGURATION_NEEDED);
            modules.svn[i] = 2;
            assert_refused(&tdx, &it, &modules, REASON_TCB_STATUS);
        }
        modules = module(version);
        it.components[15] = 5;
        assert_status(&tdx, &it, &modules, TCB_CONFIGURATION_NEEDED);
        it.components[15] = 4;
        assert_refused(&tdx, &it, &modules, REASON_TCB_STATUS);
    }
}

static void a_modules_own_numbers_are_judged_by_its_identity_alone(void **state)
{
    (void)state;
    const struct info tdx = info_of(true);
    const struct tcb_platform it = platform();
    static const struct {
        uint8_t number, version;
        enum tcb_status status;
    } cases[] = {
        // The first modules have no identity: the level of 5, then that of 3, then none.
        {5, 0, TCB_SW_HARDENING_NEEDED},
        {4, 0, TCB_CONFIGURATION_NEEDED},
        {3, 0, TCB_CONFIGURATION_NEEDED},
        {2, 0, TCB_UNKNOWN},
        // The others have: 4, then 2; the platform's level does not look at them.
        {5, 1, TCB_SW_HARDENING_NEEDED},
        {4, 1, TCB_SW_HARDENING_NEEDED},
        {3, 1, TCB_OUT_OF_DATE},
        {2, 1, TCB_OUT_OF_DATE},
        {1, 1, TCB_UNKNOWN},
        {0, 1, TCB_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tcb_module modules = module(cases[i].version);
        modules.svn[0] = cases[i].number;
        if (cases[i].status == TCB_UNKNOWN) {
            assert_refused(&tdx, &it, &modules, REASON_TCB_STATUS);
        } else {
            assert_status(&tdx, &it, &modules, cases[i].status);
        }
    }
}

static void a_platforms_level_does_not_look_at_the_version_of_a_module_with_an_identity(
    void **state)
{
    (void)state;
    struct info tdx = info_of(true);
    const struct tcb_platform it = platform();
    tdx.second = 9;
    struct tcb_module modules = module(1);
    assert_status(&tdx, &it, &modules, TCB_SW_HARDENING_NEEDED);
    modules = module(0);
    assert_refused(&tdx, &it, &modules, REASON_TCB_STATUS);
}

static void a_module_is_known_by_its_version_signer_and_attributes(void **state)
{
    (void)state;
    const struct tcb_platform it = platform();
    struct info tdx = info_of(true);
    struct tcb_module modules = module(2);
    assert_refused(&tdx, &it, &modules, REASON_COLLATERAL);
    modules = module(7);  // it is listed, with nothing that could be compared
    assert_refused(&tdx, &it, &modules, REASON_COLLATERAL);
    tdx.module_id = "TDX_0A";
    modules = module(0x0a);
    assert_status(&tdx, &it, &modules, TCB_SW_HARDENING_NEEDED);
    tdx.module_id = "TDX_0a";
    assert_status(&tdx, &it, &modules, TCB_SW_HARDENING_NEEDED);
    modules = module(10 + 16);
    assert_refused(&tdx, &it, &modules, REASON_COLLATERAL);
    tdx.module_id = "TDX_1A";
    assert_status(&tdx, &it, &modules, TCB_SW_HARDENING_NEEDED);
    for (uint8_t version = 0; version <= 1; version++) {
        tdx = info_of(true);
        modules = module(version);
        modules.signer[47] = 1;
        assert_refused(&tdx, &it, &modules, REASON_COLLATERAL);
        modules = module(version);
        modules.attributes[7] = 0x80;
        assert_refused(&tdx, &it, &modules, REASON_COLLATERAL);
        tdx.module_mask = "ffffffffffffff7F";
        assert_status(&tdx, &it, &modules, TCB_SW_HARDENING_NEEDED);
        modules.attributes[7] = 0x81;
        assert_refused(&tdx, &it, &modules, REASON_COLLATERAL);
        tdx.module_attributes = "0000000000000001";
        assert_status(&tdx, &it, &modules, TCB_SW_HARDENING_NEEDED);
    }
}

static void a_tcb_info_speaks_of_one_kind_of_platform(void **state)
{
    (void)state;
    const struct tcb_module modules = module(1);
    struct tcb_platform it = platform();
    for (int tdx = 0; tdx <= 1; tdx++) {
        const struct tcb_module *of_td = tdx == 1 ? &modules : NULL;
        struct info info = info_of(tdx == 1);
        info.fmspc = "00606A000000";
        assert_status(&info, &it, of_td, TCB_SW_HARDENING_NEEDED);
        info.fmspc = "00606a000001";
        assert_refused(&info, &it, of_td, REASON_COLLATERAL);
        info.fmspc = "00606a0000";
        assert_refused(&info, &it, of_td, REASON_COLLATERAL);
        info = info_of(tdx == 1);
        info.pceid = "0001";
        assert_refused(&info, &it, of_td, REASON_COLLATERAL);
        info = info_of(tdx == 1);
        info.type = 1;
        assert_refused(&info, &it, of_td, REASON_COLLATERAL);
        info = info_of(tdx == 0);
        assert_refused(&info, &it, of_td, REASON_COLLATERAL);
        for (int version = 1; version <= 4; version++) {
            info = info_of(tdx == 1);
            info.version = version;
            if (version != 3) {
                assert_refused(&info, &it, of_td, REASON_COLLATERAL);
            }
        }
    }
}

static void advisories_are_those_of_the_level_reached(void **state)
{
    (void)state;
    struct buffer text = BUFFER_EMPTY;
    const struct info tdx = info_of(true);
    struct tcb_platform it = platform();
    struct tcb_module modules = module(1);
    enum tcb_status status;
    struct verdict verdict = verdict_at(NOW_S);
    info_text(&text, &tdx);
    assert_true(tcb_judge_platform(&verdict, &status, buffer_bytes(&text), key, &it, &modules));
    assert_string_equal(verdict.advisories, "A,B,");
    it.pcesvn = 11;
    modules.svn[0] = 2;
    verdict = verdict_at(NOW_S);
    assert_true(tcb_judge_platform(&verdict, &status, buffer_bytes(&text), key, &it, &modules));
    assert_string_equal(verdict.advisories, "M,A,C,");
    assert_int_equal(status, TCB_OUT_OF_DATE_CONFIGURATION_NEEDED);
    buffer_release(&text);
}

static void a_statement_is_in_force_from_its_first_to_its_last_second(void **state)
{
    (void)state;
    struct buffer text = BUFFER_EMPTY;
    static const uint64_t FIRST_S = 1767225600, LAST_S = 1772323199;
    const struct {
        uint64_t now_s;
        bool is_in_force;
    } times[] = {{0, false},     {FIRST_S - 1, false}, {FIRST_S, true},
                 {LAST_S, true}, {LAST_S + 1, false},  {UINT64_MAX, false}};
    const struct info sgx = info_of(false);
    const struct tcb_platform it = platform();
    info_text(&text, &sgx);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        enum tcb_status status;
        struct verdict verdict = verdict_at(times[i].now_s);
        bool is_judged = tcb_judge_platform(&verdict, &status, buffer_bytes(&text), key, &it, NULL);
        assert_int_equal(is_judged, times[i].is_in_force);
        assert_true(is_judged || verdict.reason == REASON_COLLATERAL_EXPIRED);
    }
    buffer_release(&text);
}

// ---- a quoting enclave, and its identity ----

struct identity {
    const char *id;
    int version;
    const char *misc_select;
    const char *misc_mask;
    const char *attributes;
    const char *mask;
    int product;
};

static struct identity identity_of(bool is_tdx)
{
    return (struct identity){
        .id = is_tdx ? "TD_QE" : "QE",
        .version = 2,
        .misc_select = "00000000",
        .misc_mask = "FFFFFFFF",
        .attributes = "11000000000000000000000000000000",
        .mask = "FBFFFFFFFFFFFFFF0000000000000000",
        .product = 1,
    };
}

static struct tcb_enclave enclave(uint16_t version)
{
    struct tcb_enclave it = {
        .attributes = {0x15, [8] = 0xe7},  // what the mask leaves out may be anything
        .product = 1,
        .security_version = version,
    };
    memset(it.signer, 0xbb, sizeof it.signer);
    return it;
}

static enum reason judge_enclave(const struct identity *identity, const struct tcb_enclave *enclave,
                                 bool is_tdx, enum tcb_status *status)
{
    char content[PART_BYTES], signer[65];
    struct buffer text = BUFFER_EMPTY;
    struct verdict verdict = verdict_at(NOW_S);
    memset(signer, 'B', 64);
    signer[64] = '\0';
    snprintf(content, sizeof content,
             "{\"id\":\"%s\",\"version\":%d," DATES
             ",\"tcbEvaluationDataNumber\":20,"
             "\"miscselect\":\"%s\",\"miscselectMask\":\"%s\",\"attributes\":\"%s\","
             "\"attributesMask\":\"%s\",\"mrsigner\":\"%s\",\"isvprodid\":%d,\"tcbLevels\":["
             "{\"tcb\":{\"isvsvn\":8},\"tcbDate\":\"2025-01-01T00:00:00Z\",\"tcbStatus\":"
             "\"UpToDate\"},{\"tcb\":{\"isvsvn\":6},\"tcbStatus\":\"OutOfDate\"},"
             "{\"tcb\":{\"isvsvn\":1},\"tcbStatus\":\"Revoked\"}]}",
             identity->id, identity->version, identity->misc_select, identity->misc_mask,
             identity->attributes, identity->mask, signer, identity->product);
    forge_statement(&text, key, "enclaveIdentity", bytes_text(content));
    *status = TCB_UNKNOWN;
    bool is_judged = tcb_judge_enclave(&verdict, status, buffer_bytes(&text), key, enclave, is_tdx);
    buffer_release(&text);
    return is_judged ? REASON_NONE : verdict.reason;
}

static void a_quoting_enclave_has_the_status_of_its_version(void **state)
{
    (void)state;
    static const struct {
        uint16_t version;
        enum tcb_status status;
    } cases[] = {{UINT16_MAX, TCB_UP_TO_DATE}, {8, TCB_UP_TO_DATE}, {7, TCB_OUT_OF_DATE},
                 {6, TCB_OUT_OF_DATE},         {5, TCB_REVOKED},    {1, TCB_REVOKED}};
    for (int tdx = 0; tdx <= 1; tdx++) {
        const struct identity identity = identity_of(tdx == 1);
        enum tcb_status status;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            const struct tcb_enclave it = enclave(cases[i].version);
            assert_int_equal(judge_enclave(&identity, &it, tdx == 1, &status), REASON_NONE);
            assert_int_equal(status, cases[i].status);
        }
        const struct tcb_enclave below = enclave(0);
        assert_int_equal(judge_enclave(&identity, &below, tdx == 1, &status), REASON_TCB_STATUS);
    }
}

static void a_quoting_enclave_is_known_by_all_that_its_identity_names(void **state)
{
    (void)state;
    enum tcb_status status;
    struct identity identity = identity_of(false);
    struct tcb_enclave it = enclave(8);
    it.product = 2;
    assert_int_equal(judge_enclave(&identity, &it, false, &status), REASON_QE_BINDING);
    it = enclave(8);
    it.signer[31] ^= 1;
    assert_int_equal(judge_enclave(&identity, &it, false, &status), REASON_QE_BINDING);
    it = enclave(8);
    it.misc_select[3] = 1;
    assert_int_equal(judge_enclave(&identity, &it, false, &status), REASON_QE_BINDING);
    identity.misc_mask = "FFFFFF00";
    assert_int_equal(judge_enclave(&identity, &it, false, &status), REASON_NONE);
    it = enclave(8);
    it.attributes[0] |= 0x02;  // debug
    assert_int_equal(judge_enclave(&identity, &it, false, &status), REASON_QE_BINDING);
    it = enclave(8);
    it.attributes[7] = 1;
    assert_int_equal(judge_enclave(&identity, &it, false, &status), REASON_QE_BINDING);
    for (int version = 1; version <= 3; version++) {
        identity = identity_of(false);
        it = enclave(8);
        identity.version = version;
        assert_int_equal(judge_enclave(&identity, &it, false, &status),
                         version == 2 ? REASON_NONE : REASON_COLLATERAL);
    }
    // Another enclave's, and the quoting enclave's of the other TEE.
    static const char *const ids[] = {"QVE", "TD_QE", "qe", ""};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        identity = identity_of(false);
        identity.id = ids[i];
        assert_int_equal(judge_enclave(&identity, &it, false, &status), REASON_COLLATERAL);
    }
    identity = identity_of(false);
    assert_int_equal(judge_enclave(&identity, &it, true, &status), REASON_COLLATERAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_level_is_reached_in_every_component_or_not_at_all),
        cmocka_unit_test(a_td_reaches_a_level_with_its_platform_and_its_module_both),
        cmocka_unit_test(a_modules_own_numbers_are_judged_by_its_identity_alone),
        cmocka_unit_test(
            a_platforms_level_does_not_look_at_the_version_of_a_module_with_an_identity),
        cmocka_unit_test(a_module_is_known_by_its_version_signer_and_attributes),
        cmocka_unit_test(a_tcb_info_speaks_of_one_kind_of_platform),
        cmocka_unit_test(advisories_are_those_of_the_level_reached),
        cmocka_unit_test(a_statement_is_in_force_from_its_first_to_its_last_second),
        cmocka_unit_test(a_quoting_enclave_has_the_status_of_its_version),
        cmocka_unit_test(a_quoting_enclave_is_known_by_all_that_its_identity_names),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
