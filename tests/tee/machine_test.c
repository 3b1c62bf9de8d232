/* tests/tee/machine_test.c */

/*
 * Goal: whichever interface a machine has, evidence from it is genuine under its vendor's root and
 * carries the report data of whoever asked, also when others write in between; and whatever goes
 * wrong is said with the file, the cause and the remedy, and leaves nothing behind.
 * Method: fakes of configfs-tsm and Gramine, whose vendor is ours.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "attest/evidence.h"
#include "tee/machine.h"
#include "tests/support/fake_tee.h"

static const uint64_t NOW_S = 1800000000;
static const char ROOT[] = "/fake/tee";
static const char NOWHERE[] = "/fake/nowhere";

static struct forge *forge;  // of all tests: AMD's key takes seconds to make

struct fixture {
    struct fake_tee fake;
    struct files files;
    struct machine machine;
    uint8_t report_data[64];
    struct buffer evidence;
};

static int setup_forge(void **state)
{
    (void)state;
    forge = forge_new();
    return 0;
}

static int teardown_forge(void **state)
{
    (void)state;
    forge_free(forge);
    return 0;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    memset(f->report_data, 0xd7, sizeof f->report_data);
    *state = f;
    return f == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(f->fake.request_count, 0);  // nothing stays in the kernel
    fake_tee_release(&f->fake);
    buffer_release(&f->evidence);
    free(f);
    return 0;
}

static void be(struct fixture *f, enum tee tee)
{
    fake_tee_init(&f->fake, forge, tee, NOW_S, ROOT);
    f->files = fake_tee_files(&f->fake);
}

static void look(struct fixture *f)
{
    const struct machine_roots roots = {
        .gramine = f->fake.order.tee == TEE_SGX ? ROOT : NOWHERE,
        .tsm = f->fake.order.tee == TEE_SGX ? NOWHERE : ROOT,
    };
    machine_look(&f->machine, &f->files, &roots);
}

/* With the vendor's documents, if they are wanted. */
static enum status make(struct fixture *f, bool has_documents)
{
    struct buffer bundle = BUFFER_EMPTY;
    struct collateral documents = {.documents = {{.at = NULL}}};
    if (has_documents) {
        fake_tee_collateral(&f->fake, &bundle);
        assert_int_equal(collateral_decode(&documents, buffer_bytes(&bundle)), STATUS_OK);
    }
    buffer_clear(&f->evidence);
    enum status status = machine_evidence(&f->machine, f->report_data, &documents, &f->evidence);
    buffer_release(&bundle);
    return status;
}

static struct verdict judge(const struct fixture *f, const struct vendor_roots *vendors)
{
    const struct evidence_roots roots = {.vendors = vendors};
    return evidence_verify(buffer_bytes(&f->evidence), NOW_S, &roots);
}

static void assert_genuine(const struct fixture *f, enum tee tee)
{
    const struct verdict verdict = judge(f, forge_roots(forge));
    assert_string_equal(verdict.detail, "");
    assert_int_equal(verdict.reason, REASON_NONE);
    assert_int_equal(verdict.tee, tee);
    assert_memory_equal(verdict.report_data, f->report_data, sizeof f->report_data);
}

static const enum tee tees[] = {TEE_SGX, TEE_TDX, TEE_SEV_SNP};

static void p2_evidence_of_each_interface_is_genuine_and_fresh(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < 3; i++) {
        be(f, tees[i]);
        look(f);
        assert_int_equal(f->machine.interface, tees[i] == TEE_SGX ? MACHINE_GRAMINE : MACHINE_TSM);
        assert_int_equal(f->machine.tee, tees[i]);
        for (uint8_t n = 0; n < 3; n++) {
            f->report_data[0] = n;
            assert_int_equal(make(f, true), STATUS_OK);
            assert_genuine(f, tees[i]);
        }
        fake_tee_release(&f->fake);
    }
}

static void p2_the_vendors_own_roots_trust_no_fake(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < 3; i++) {
        be(f, tees[i]);
        look(f);
        assert_int_equal(make(f, true), STATUS_OK);
        assert_int_equal(judge(f, vendor_pinned()).reason, REASON_CHAIN);
        fake_tee_release(&f->fake);
    }
}

static void certificates_of_the_host_stand_in_for_documents_in_either_order_of_bytes(void **state)
{
    struct fixture *f = *state;
    be(f, TEE_SEV_SNP);
    look(f);
    for (int turned = 0; turned < 2; turned++) {
        f->fake.are_names_turned = turned == 1;
        assert_int_equal(make(f, false), STATUS_OK);
        assert_genuine(f, TEE_SEV_SNP);
    }
    f->fake.has_no_certificates = true;
    assert_int_equal(make(f, false), STATUS_OK);
    assert_int_equal(judge(f, forge_roots(forge)).reason, REASON_CHAIN);
    assert_int_equal(make(f, true), STATUS_OK);
    assert_genuine(f, TEE_SEV_SNP);
    f->fake.has_no_certificates = false;
    f->fake.has_broken_certificates = true;
    assert_int_equal(make(f, true), STATUS_MALFORMED);
    assert_non_null(strstr(f->machine.error, "auxblob"));
    assert_int_equal(f->evidence.length, 0);
}

static void evidence_without_documents_is_bare_for_a_leader_to_complete(void **state)
{
    struct fixture *f = *state;
    be(f, TEE_TDX);
    look(f);
    assert_int_equal(make(f, false), STATUS_OK);
    struct evidence parts;
    assert_int_equal(evidence_decode(&parts, buffer_bytes(&f->evidence)), STATUS_OK);
    assert_int_equal(parts.collateral.length, 0);
    assert_int_equal(parts.tee, TEE_TDX);
}

static void p2_who_writes_to_the_same_request_is_noticed(void **state)
{
    struct fixture *f = *state;
    be(f, TEE_TDX);
    look(f);
    f->fake.intruder_count = 2;  // of the report data that is not asked for, none is handed out
    assert_int_equal(make(f, true), STATUS_OK);
    assert_genuine(f, TEE_TDX);
    f->fake.intruder_count = 1000;
    assert_int_equal(make(f, true), STATUS_IO);
    assert_non_null(strstr(f->machine.error, "others write"));
    assert_int_equal(f->evidence.length, 0);
}

static void what_fails_is_said_with_its_remedy(void **state)
{
    struct fixture *f = *state;
    be(f, TEE_SEV_SNP);
    look(f);
    f->fake.failure = EIO;
    assert_int_equal(make(f, true), STATUS_IO);
    assert_non_null(strstr(f->machine.error, "/outblob': Input/output error; "));
    f->fake.failure = 0;
    f->fake.has_no_driver = true;
    assert_int_equal(make(f, true), STATUS_IO);
    assert_non_null(strstr(f->machine.error, "load tdx_guest or sev-guest"));
    fake_tee_release(&f->fake);

    be(f, TEE_SGX);
    look(f);
    f->fake.failure = EIO;  // whatever it is, Gramine says EACCES
    assert_int_equal(make(f, true), STATUS_IO);
    assert_non_null(strstr(f->machine.error, "/quote': Permission denied; "));
    assert_non_null(strstr(f->machine.error, "aesmd"));
}

static void a_machine_without_a_tee_says_what_it_has(void **state)
{
    struct fixture *f = *state;
    be(f, TEE_TDX);
    const struct machine_roots none = {.gramine = NOWHERE, .tsm = NOWHERE};
    machine_look(&f->machine, &f->files, &none);
    assert_int_equal(f->machine.interface, MACHINE_NONE);
    assert_string_equal(f->machine.error, "");
    assert_int_equal(make(f, true), STATUS_IO);
    assert_non_null(strstr(f->machine.error, "no TEE"));

    f->fake.has_no_driver = true;
    look(f);
    assert_int_equal(f->machine.interface, MACHINE_NONE);
    assert_int_equal(f->machine.tee, TEE_UNKNOWN);
    assert_non_null(strstr(f->machine.error, "load tdx_guest or sev-guest"));
    fake_tee_release(&f->fake);

    be(f, TEE_SGX);
    f->fake.attestation_type = "none";
    look(f);
    assert_int_equal(f->machine.interface, MACHINE_NONE);
    assert_non_null(strstr(f->machine.error, "without DCAP attestation ('none')"));
}

// ---- the fakes themselves: what is written of kernel and Gramine in fake_tee.h ----

static void the_fake_of_configfs_keeps_the_kernels_rules(void **state)
{
    struct fixture *f = *state;
    uint8_t byte[65] = {0};
    struct buffer bytes = BUFFER_EMPTY;
    be(f, TEE_TDX);
    assert_int_equal(f->files.mkdir(&f->fake, "/fake/tee/a"), 0);
    assert_int_equal(f->files.mkdir(&f->fake, "/fake/tee/a"), -1);
    assert_int_equal(errno, EEXIST);
    assert_int_equal(files_read(&f->files, "/fake/tee/a/inblob", 100, &bytes), EACCES);
    assert_int_equal(files_write(&f->files, "/fake/tee/a/outblob", bytes_text("x")), EACCES);
    assert_int_equal(files_read(&f->files, "/fake/tee/a/outblob", 100, &bytes), EINVAL);
    assert_int_equal(files_write(&f->files, "/fake/tee/a/inblob", bytes_of(byte, 65)), EFBIG);
    // Too short is taken, and found out by the driver.
    assert_int_equal(files_write(&f->files, "/fake/tee/a/inblob", bytes_of(byte, 63)), 0);
    assert_int_equal(files_read(&f->files, "/fake/tee/a/outblob", 32 << 10, &bytes), EINVAL);
    assert_int_equal(files_write(&f->files, "/fake/tee/a/inblob", bytes_of(byte, 64)), 0);
    // Made once, and again after a write.
    assert_int_equal(files_read(&f->files, "/fake/tee/a/outblob", 32 << 10, &bytes), 0);
    assert_int_equal(files_read(&f->files, "/fake/tee/a/outblob", 32 << 10, &bytes), 0);
    assert_int_equal(f->fake.made_count, 1);
    assert_int_equal(files_write(&f->files, "/fake/tee/a/inblob", bytes_of(byte, 64)), 0);
    buffer_clear(&bytes);
    assert_int_equal(files_read(&f->files, "/fake/tee/a/outblob", 32 << 10, &bytes), 0);
    assert_int_equal(f->fake.made_count, 2);
    buffer_clear(&bytes);
    assert_int_equal(files_read(&f->files, "/fake/tee/a/generation", 10, &bytes), 0);
    assert_true(bytes_equal(buffer_bytes(&bytes), bytes_text("4\n")));
    assert_int_equal(files_read(&f->files, "/fake/tee/a/auxblob", 10, &bytes), ENOENT);
    // Nothing counts before it is closed.
    int fd = f->files.open(&f->fake, "/fake/tee/a/inblob", O_WRONLY);
    assert_int_equal(f->files.write(&f->fake, fd, byte, 64), 64);
    buffer_clear(&bytes);
    assert_int_equal(files_read(&f->files, "/fake/tee/a/generation", 10, &bytes), 0);
    assert_true(bytes_equal(buffer_bytes(&bytes), bytes_text("4\n")));
    assert_int_equal(f->files.close(&f->fake, fd), 0);
    assert_int_equal(f->files.rmdir(&f->fake, "/fake/tee/a"), 0);
    assert_int_equal(files_read(&f->files, "/fake/tee/a/provider", 100, &bytes), ENOENT);
    buffer_release(&bytes);
}

static void a_request_that_somebody_left_is_no_obstacle(void **state)
{
    struct fixture *f = *state;
    char path[64];
    be(f, TEE_TDX);
    snprintf(path, sizeof path, "%s/paranoid-%d-0", ROOT, (int)getpid());
    assert_int_equal(f->files.mkdir(&f->fake, path), 0);
    look(f);
    assert_int_equal(f->machine.interface, MACHINE_TSM);
    assert_int_equal(f->files.rmdir(&f->fake, path), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(p2_evidence_of_each_interface_is_genuine_and_fresh),
        TEST(p2_the_vendors_own_roots_trust_no_fake),
        TEST(certificates_of_the_host_stand_in_for_documents_in_either_order_of_bytes),
        TEST(evidence_without_documents_is_bare_for_a_leader_to_complete),
        TEST(p2_who_writes_to_the_same_request_is_noticed),
        TEST(what_fails_is_said_with_its_remedy),
        TEST(a_machine_without_a_tee_says_what_it_has),
        TEST(the_fake_of_configfs_keeps_the_kernels_rules),
        TEST(a_request_that_somebody_left_is_no_obstacle),
    };
    return cmocka_run_group_tests(tests, setup_forge, teardown_forge);
}
