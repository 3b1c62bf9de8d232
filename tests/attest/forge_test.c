/* tests/attest/forge_test.c */

/*
 * Goal: each flaw that evidence can have is refused for its own reason, each TCB status comes out
 * as the worst of platform, TDX module and quoting enclave, and nothing that only tests trust is
 * trusted by the programs.
 * Method: a vendor of our own makes evidence of every format, sound and with one flaw each.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "attest/evidence.h"
#include "tests/support/forge.h"

static const uint64_t NOW_S = 1800000000;

static int setup(void **state)
{
    *state = forge_new();
    return 0;
}

static int teardown(void **state)
{
    forge_free(*state);
    return 0;
}

static struct verdict judge(struct forge *forge, const struct forge_order *order)
{
    struct buffer evidence = BUFFER_EMPTY;
    forge_evidence(forge, order, &evidence);
    const struct evidence_roots roots = {.vendors = forge_roots(forge)};
    const struct verdict verdict = evidence_verify(buffer_bytes(&evidence), NOW_S, &roots);
    buffer_release(&evidence);
    return verdict;
}

static void assert_reason(struct forge *forge, const struct forge_order *order, enum reason reason)
{
    const struct verdict verdict = judge(forge, order);
    if (verdict.reason != reason) {
        fail_msg("tee %s, version %u, flaw %d: expected %s, got %s (%s)",
                 verdict_tee_text(order->tee), order->version, order->flaw, verdict_code(reason),
                 verdict_code(verdict.reason), verdict.detail);
    }
}

static void sound_evidence_of_every_format_is_genuine(void **state)
{
    static const struct {
        enum tee tee;
        uint16_t version;
    } formats[] = {{TEE_SGX, 3},     {TEE_SGX, 4},     {TEE_SGX, 5},
                   {TEE_TDX, 4},     {TEE_TDX, 5},     {TEE_SEV_SNP, 2},
                   {TEE_SEV_SNP, 3}, {TEE_SEV_SNP, 4}, {TEE_SEV_SNP, 5}};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        struct forge_order order = forge_order_of(formats[i].tee, NOW_S);
        order.version = formats[i].version;
        memset(order.measurement, 0x3e, sizeof order.measurement);
        memset(order.report_data, 0xd7, sizeof order.report_data);
        for (int debug = 0; debug < 2; debug++) {
            order.is_debug = debug == 1;
            const struct verdict verdict = judge(*state, &order);
            assert_string_equal(verdict.detail, "");
            assert_int_equal(verdict.reason, REASON_NONE);
            assert_int_equal(verdict.is_debug, debug);
            assert_memory_equal(verdict.report_data, order.report_data, 64);
            assert_memory_equal(verdict.measurement.bytes, order.measurement,
                                verdict.measurement.length);
            assert_int_equal(verdict.tcb_status,
                             order.tee == TEE_SEV_SNP ? TCB_UNKNOWN : TCB_UP_TO_DATE);
        }
    }
}

static void reports_of_every_product_and_both_keys_are_genuine(void **state)
{
    for (enum vendor_product product = 0; product < VENDOR_PRODUCT_COUNT; product++) {
        for (int vlek = 0; vlek < 2; vlek++) {
            struct forge_order order = forge_order_of(TEE_SEV_SNP, NOW_S);
            order.product = product;
            order.is_vlek = vlek == 1;
            order.has_crl = true;
            const struct verdict verdict = judge(*state, &order);
            assert_string_equal(verdict.detail, "");
            assert_int_equal(verdict.platform.length, vlek ? 0 : product == VENDOR_TURIN ? 8 : 64);
            assert_int_equal(verdict.collateral_issued_s, NOW_S - 24 * 60 * 60);
            assert_true(verdict.has_parts);
            assert_int_equal(verdict.parts_product, product);
            bool is_turin = product == VENDOR_TURIN;
            assert_int_equal(verdict.parts[VERDICT_PART_FMC], is_turin ? 1 : 0);
            assert_int_equal(verdict.parts[VERDICT_PART_BOOT_LOADER], is_turin ? 2 : 4);
            assert_int_equal(verdict.parts[VERDICT_PART_SNP], is_turin ? 4 : 24);
            assert_int_equal(verdict.parts[VERDICT_PART_MICROCODE], is_turin ? 75 : 219);
        }
    }
}

static void each_flaw_of_a_quote_is_refused_for_its_reason(void **state)
{
    static const struct {
        enum forge_flaw flaw;
        enum reason reason;
    } flaws[] = {
        {FORGE_PCK_EXPIRED, REASON_CHAIN},
        {FORGE_PCK_REVOKED, REASON_REVOKED},
        {FORGE_PCK_UNKNOWN_CRITICAL, REASON_CHAIN},
        {FORGE_PCK_MISNAMED, REASON_CHAIN},
        {FORGE_PCK_OF_ANOTHER_KEY, REASON_CHAIN},
        {FORGE_CA_EXPIRED, REASON_CHAIN},
        {FORGE_CA_MISNAMED, REASON_CHAIN},
        {FORGE_CA_REVOKED, REASON_REVOKED},
        {FORGE_CA_NO_AUTHORITY, REASON_CHAIN},
        {FORGE_CA_MAY_NOT_CERTIFY, REASON_CHAIN},
        {FORGE_CA_MAY_NOT_LIST, REASON_COLLATERAL},
        {FORGE_SIGNER_REVOKED, REASON_REVOKED},
        {FORGE_SIGNER_MISNAMED, REASON_COLLATERAL},
        {FORGE_SIGNER_OF_THE_CA, REASON_COLLATERAL},
        {FORGE_SIGNER_EXPIRED, REASON_COLLATERAL_EXPIRED},
        {FORGE_CRL_EXPIRED, REASON_COLLATERAL_EXPIRED},
        {FORGE_CRL_FROM_TOMORROW, REASON_COLLATERAL_EXPIRED},
        {FORGE_CRL_OF_ANOTHER_KEY, REASON_COLLATERAL},
        {FORGE_CRL_OF_ANOTHER_ISSUER, REASON_COLLATERAL},
        {FORGE_CRL_OF_CHANGES, REASON_COLLATERAL},
        {FORGE_ROOT_CRL_EXPIRED, REASON_COLLATERAL_EXPIRED},
        {FORGE_ROOT_CRL_OF_ANOTHER_KEY, REASON_COLLATERAL},
        {FORGE_KEY_NOT_BOUND, REASON_QE_BINDING},
        {FORGE_KEY_BOUND_AND_MORE, REASON_QE_BINDING},
        {FORGE_KEY_OF_ANOTHER_TYPE, REASON_FORMAT},
        {FORGE_QUOTE_OF_ANOTHER_VENDOR, REASON_FORMAT},
        {FORGE_QUOTE_WITH_ANOTHER_CERTIFICATION, REASON_CHAIN},
        {FORGE_QUOTE_OF_ANOTHER_KEY, REASON_SIGNATURE},
        {FORGE_QE_REPORT_OF_ANOTHER_KEY, REASON_QE_BINDING},
        {FORGE_QE_IDENTITY_EXPIRED, REASON_COLLATERAL_EXPIRED},
        {FORGE_QE_IDENTITY_OF_ANOTHER_KEY, REASON_COLLATERAL},
        {FORGE_QE_OF_ANOTHER_SIGNER, REASON_QE_BINDING},
        {FORGE_QE_IN_DEBUG_MODE, REASON_QE_BINDING},
        {FORGE_TCB_INFO_OF_ANOTHER_PLATFORM, REASON_COLLATERAL},
        {FORGE_TCB_INFO_OF_ANOTHER_TEE, REASON_COLLATERAL},
        {FORGE_TCB_INFO_FROM_TOMORROW, REASON_COLLATERAL_EXPIRED},
        {FORGE_PCE_BELOW_LEVELS, REASON_TCB_STATUS},
    };
    for (enum tee tee = TEE_SGX; tee <= TEE_TDX; tee++) {
        for (size_t i = 0; i < sizeof flaws / sizeof *flaws; i++) {
            struct forge_order order = forge_order_of(tee, NOW_S);
            order.flaw = flaws[i].flaw;
            assert_reason(*state, &order, flaws[i].reason);
            order.is_processor = true;
            assert_reason(*state, &order, flaws[i].reason);
        }
    }
}

static void a_pck_is_of_the_processor_ca_or_of_the_platform_ca(void **state)
{
    for (enum tee tee = TEE_SGX; tee <= TEE_TDX; tee++) {
        struct forge_order order = forge_order_of(tee, NOW_S);
        assert_reason(*state, &order, REASON_NONE);
        order.is_processor = true;
        assert_reason(*state, &order, REASON_NONE);
    }
}

static void each_flaw_of_a_tdx_module_is_refused(void **state)
{
    struct forge_order order = forge_order_of(TEE_TDX, NOW_S);
    order.flaw = FORGE_MODULE_OF_ANOTHER_SIGNER;
    assert_reason(*state, &order, REASON_COLLATERAL);
    order.module_version = 0;
    assert_reason(*state, &order, REASON_COLLATERAL);
    order.flaw = FORGE_MODULE_UNKNOWN;
    assert_reason(*state, &order, REASON_COLLATERAL);
}

static void each_flaw_of_a_report_is_refused_for_its_reason(void **state)
{
    static const struct {
        enum forge_flaw flaw;
        enum reason reason;
    } flaws[] = {
        {FORGE_VCEK_OF_ANOTHER_TCB, REASON_CHIP_BINDING},
        {FORGE_VCEK_OF_ANOTHER_CHIP, REASON_CHIP_BINDING},
        {FORGE_VCEK_EXPIRED, REASON_CHAIN},
        {FORGE_REPORT_OF_ANOTHER_CPU, REASON_CHIP_BINDING},
        {FORGE_REPORT_WITH_MASKED_CHIP, REASON_NONE},
        {FORGE_REPORT_OF_ANOTHER_KEY, REASON_CHAIN},
        {FORGE_REPORT_UNSIGNED, REASON_FORMAT},
        {FORGE_ASK_REVOKED, REASON_REVOKED},
        {FORGE_ASK_OF_ANOTHER_PRODUCT, REASON_CHAIN},
        {FORGE_VCEK_OF_ANOTHER_BOOT_LOADER, REASON_CHIP_BINDING},
        {FORGE_VCEK_WITHOUT_CHIP, REASON_CHIP_BINDING},
        {FORGE_REPORT_OF_A_LONGER_CHIP, REASON_CHIP_BINDING},
        {FORGE_REPORT_OF_ANOTHER_ALGORITHM, REASON_FORMAT},
        {FORGE_REPORT_WITH_UNKNOWN_FLAGS, REASON_FORMAT},
        {FORGE_REPORT_WITH_AUTHOR_KEY, REASON_NONE},
        {FORGE_REPORT_WITHOUT_RESERVED_ONE, REASON_FORMAT},
        {FORGE_CRL_EXPIRED, REASON_COLLATERAL_EXPIRED},
        {FORGE_CRL_FROM_TOMORROW, REASON_COLLATERAL_EXPIRED},
        {FORGE_CRL_OF_ANOTHER_KEY, REASON_COLLATERAL},
        {FORGE_CRL_OF_ANOTHER_ISSUER, REASON_COLLATERAL},
        {FORGE_CRL_OF_CHANGES, REASON_COLLATERAL},
    };
    for (enum vendor_product product = 0; product < VENDOR_PRODUCT_COUNT; product++) {
        for (size_t i = 0; i < sizeof flaws / sizeof *flaws; i++) {
            struct forge_order order = forge_order_of(TEE_SEV_SNP, NOW_S);
            order.product = product;
            order.flaw = flaws[i].flaw;
            order.has_crl = true;
            assert_reason(*state, &order, flaws[i].reason);
        }
    }
    struct forge_order order = forge_order_of(TEE_SEV_SNP, NOW_S);
    order.version = 6;
    assert_reason(*state, &order, REASON_UNSUPPORTED);
    order.version = 1;
    assert_reason(*state, &order, REASON_UNSUPPORTED);
}

static void a_vlek_is_of_the_tcb_that_the_report_names(void **state)
{
    static const enum forge_flaw flaws[] = {FORGE_VCEK_OF_ANOTHER_TCB,
                                            FORGE_VCEK_OF_ANOTHER_BOOT_LOADER};
    for (size_t i = 0; i < sizeof flaws / sizeof *flaws; i++) {
        struct forge_order order = forge_order_of(TEE_SEV_SNP, NOW_S);
        order.is_vlek = true;
        assert_reason(*state, &order, REASON_NONE);
        order.flaw = flaws[i];
        assert_reason(*state, &order, REASON_CHIP_BINDING);
    }
}

static void a_processors_model_says_whose_product_it_is(void **state)
{
    static const struct {
        enum vendor_product product;
        uint8_t model;
        enum reason reason;
    } models[] = {
        {VENDOR_MILAN, 0x01, REASON_NONE},         {VENDOR_MILAN, 0x0f, REASON_NONE},
        {VENDOR_MILAN, 0x10, REASON_CHIP_BINDING}, {VENDOR_MILAN, 0xa0, REASON_CHIP_BINDING},
        {VENDOR_GENOA, 0x10, REASON_NONE},         {VENDOR_GENOA, 0x1f, REASON_NONE},
        {VENDOR_GENOA, 0xa0, REASON_NONE},         {VENDOR_GENOA, 0xaf, REASON_NONE},
        {VENDOR_GENOA, 0x01, REASON_CHIP_BINDING}, {VENDOR_GENOA, 0x20, REASON_CHIP_BINDING},
        {VENDOR_GENOA, 0x9f, REASON_CHIP_BINDING}, {VENDOR_GENOA, 0xb0, REASON_CHIP_BINDING},
        {VENDOR_TURIN, 0x02, REASON_NONE},         {VENDOR_TURIN, 0x11, REASON_NONE},
        {VENDOR_TURIN, 0x1f, REASON_NONE},         {VENDOR_TURIN, 0x20, REASON_CHIP_BINDING},
    };
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        struct forge_order order = forge_order_of(TEE_SEV_SNP, NOW_S);
        order.product = models[i].product;
        order.cpu_model = models[i].model;
        assert_reason(*state, &order, models[i].reason);
    }
}

static void a_status_is_the_worst_of_platform_module_and_quoting_enclave(void **state)
{
    static const struct {
        const char *platform, *module, *qe;
        enum tcb_status status;
    } cases[] = {
        {"UpToDate", "UpToDate", "UpToDate", TCB_UP_TO_DATE},
        {"SWHardeningNeeded", "UpToDate", "UpToDate", TCB_SW_HARDENING_NEEDED},
        {"UpToDate", "OutOfDate", "UpToDate", TCB_OUT_OF_DATE},
        {"UpToDate", "UpToDate", "OutOfDate", TCB_OUT_OF_DATE},
        {"SWHardeningNeeded", "OutOfDate", "UpToDate", TCB_OUT_OF_DATE},
        {"ConfigurationNeeded", "OutOfDate", "UpToDate", TCB_OUT_OF_DATE_CONFIGURATION_NEEDED},
        {"ConfigurationNeeded", "UpToDate", "OutOfDate", TCB_OUT_OF_DATE_CONFIGURATION_NEEDED},
        {"ConfigurationAndSWHardeningNeeded", "UpToDate", "OutOfDate",
         TCB_OUT_OF_DATE_CONFIGURATION_NEEDED},
        {"ConfigurationAndSWHardeningNeeded", "UpToDate", "UpToDate",
         TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED},
        {"OutOfDateConfigurationNeeded", "UpToDate", "UpToDate",
         TCB_OUT_OF_DATE_CONFIGURATION_NEEDED},
        {"Revoked", "UpToDate", "UpToDate", TCB_REVOKED},
        {"UpToDate", "Revoked", "UpToDate", TCB_REVOKED},
        {"UpToDate", "UpToDate", "Revoked", TCB_REVOKED},
        {"OutOfDate", "UpToDate", "Revoked", TCB_REVOKED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (uint16_t version = 4; version <= 5; version++) {
            struct forge_order order = forge_order_of(TEE_TDX, NOW_S);
            order.version = version;
            order.platform_status = cases[i].platform;
            order.module_status = cases[i].module;
            order.qe_status = cases[i].qe;
            const struct verdict verdict = judge(*state, &order);
            assert_int_equal(verdict.reason, REASON_NONE);
            assert_int_equal(verdict.tcb_status, cases[i].status);
        }
        if (strcmp(cases[i].module, "UpToDate") == 0) {
            struct forge_order order = forge_order_of(TEE_SGX, NOW_S);
            order.platform_status = cases[i].platform;
            order.qe_status = cases[i].qe;
            assert_int_equal(judge(*state, &order).tcb_status, cases[i].status);
            order.is_flat = true;
            assert_int_equal(judge(*state, &order).tcb_status, cases[i].status);
        }
    }
}

static void what_is_below_every_level_or_has_an_unknown_status_is_refused(void **state)
{
    for (enum tee tee = TEE_SGX; tee <= TEE_TDX; tee++) {
        static const char *const statuses[] = {NULL, "Excellent", ""};
        for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
            struct forge_order order = forge_order_of(tee, NOW_S);
            order.platform_status = statuses[i];
            assert_reason(*state, &order, REASON_TCB_STATUS);
            order = forge_order_of(tee, NOW_S);
            order.qe_status = statuses[i];
            assert_reason(*state, &order, REASON_TCB_STATUS);
            order = forge_order_of(TEE_TDX, NOW_S);
            order.module_status = statuses[i];
            assert_reason(*state, &order, REASON_TCB_STATUS);
        }
    }
}

static void a_first_module_is_judged_by_the_level_of_its_platform(void **state)
{
    struct forge_order order = forge_order_of(TEE_TDX, NOW_S);
    order.module_version = 0;
    order.module_status = NULL;  // its identity has no say
    order.platform_status = "OutOfDate";
    const struct verdict verdict = judge(*state, &order);
    assert_int_equal(verdict.reason, REASON_NONE);
    assert_int_equal(verdict.tcb_status, TCB_OUT_OF_DATE);
    order.flaw = FORGE_MODULE_BELOW_LEVELS;
    assert_reason(*state, &order, REASON_TCB_STATUS);
    order.module_version = 1;
    order.module_status = "UpToDate";
    assert_reason(*state, &order, REASON_NONE);
}

static void advisories_of_platform_and_module_are_named_once(void **state)
{
    struct forge_order order = forge_order_of(TEE_TDX, NOW_S);
    struct verdict verdict = judge(*state, &order);
    assert_string_equal(verdict.advisories, "FORGE-SA-00002,FORGE-SA-00001,");
    order = forge_order_of(TEE_SGX, NOW_S);
    verdict = judge(*state, &order);
    assert_string_equal(verdict.advisories, "FORGE-SA-00001,");
}

static void the_programs_trust_none_of_it(void **state)
{
    for (enum tee tee = TEE_SGX; tee <= TEE_SEV_SNP; tee++) {
        const struct forge_order order = forge_order_of(tee, NOW_S);
        const struct evidence_roots pinned = {.vendors = vendor_pinned()};
        struct buffer evidence = BUFFER_EMPTY;
        forge_evidence(*state, &order, &evidence);
        assert_int_equal(evidence_verify(buffer_bytes(&evidence), NOW_S, &pinned).reason,
                         REASON_CHAIN);
        buffer_release(&evidence);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_evidence_of_every_format_is_genuine),
        cmocka_unit_test(reports_of_every_product_and_both_keys_are_genuine),
        cmocka_unit_test(each_flaw_of_a_quote_is_refused_for_its_reason),
        cmocka_unit_test(a_pck_is_of_the_processor_ca_or_of_the_platform_ca),
        cmocka_unit_test(each_flaw_of_a_tdx_module_is_refused),
        cmocka_unit_test(each_flaw_of_a_report_is_refused_for_its_reason),
        cmocka_unit_test(a_vlek_is_of_the_tcb_that_the_report_names),
        cmocka_unit_test(a_processors_model_says_whose_product_it_is),
        cmocka_unit_test(a_status_is_the_worst_of_platform_module_and_quoting_enclave),
        cmocka_unit_test(what_is_below_every_level_or_has_an_unknown_status_is_refused),
        cmocka_unit_test(a_first_module_is_judged_by_the_level_of_its_platform),
        cmocka_unit_test(advisories_of_platform_and_module_are_named_once),
        cmocka_unit_test(the_programs_trust_none_of_it),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
