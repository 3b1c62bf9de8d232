/* tests/cli/survey_test.c */

/*
 * Goal: a whole capsule verifies offline; whatever was changed, left out or admitted against the
 * policy is refused, and the refusal names the record.
 * Method: a true small capsule with simulated evidence, stored by the real store in a directory of
 * its own; then bend the file, the key or the policy.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "attest/policy.h"
#include "attest/simulated.h"
#include "capsule/keys.h"
#include "capsule/receipt.h"
#include "cli/file.h"
#include "cli/survey.h"
#include "crypto/crypto.h"
#include "tests/support/capsule_world.h"
#include "tests/support/scratch.h"

enum { SEGMENT_BYTES = 64 * 1024, NOW_S = 1700001000, DAY_S = 24 * 3600, RECORD_COUNT = 10 };

struct fixture {
    struct random_seeded storage;
    struct random random;
    struct sign_key *vendor;
    struct buffer evidence;
    struct secret *seed;
    struct capsule_world world;
    char directory[SCRATCH_PATH_BYTES];
    char segment[160];
    char other[160];  // a second store
    char other_segment[192];
    struct survey survey;
};

static void make_evidence(struct fixture *f, struct policy *policy)
{
    const struct simulated_terms terms = {
        .tcb_level = 1, .not_before_s = NOW_S - 2 * DAY_S, .not_after_s = NOW_S + DAY_S};
    const struct simulated_tcb tcb = {
        .issued_s = NOW_S - DAY_S,
        .next_update_s = NOW_S + DAY_S,
        .levels = {{.tcb_level = 1, .status = TCB_UP_TO_DATE}},
        .level_count = 1,
    };
    uint8_t quote[SIMULATED_QUOTE_BYTES];
    static const uint8_t report_data[VERDICT_REPORT_DATA_BYTES];
    const struct hash program = hash_of("program", 7);
    struct buffer collateral = BUFFER_EMPTY;
    struct simulated_platform *platform = simulated_platform_new(&f->random, f->vendor, &terms);
    simulated_quote(platform, &program, report_data, false, quote);
    assert_int_equal(simulated_tcb_encode(&tcb, f->vendor, &collateral), STATUS_OK);
    const struct evidence parts = {.tee = TEE_SIMULATED,
                                   .quote = bytes_of(quote, sizeof quote),
                                   .collateral = buffer_bytes(&collateral)};
    assert_int_equal(evidence_encode(&parts, &f->evidence), STATUS_OK);
    simulated_platform_free(platform);
    buffer_release(&collateral);

    policy_init(policy);
    policy->version = 1;
    policy->allow_simulated = true;
    policy->has_simulated_root = true;
    policy->simulated_root = sign_key_public(f->vendor);
    for (int role = 0; role < POLICY_ROLE_COUNT; role++) {
        policy->measurements[role].values[0] =
            verdict_value_of(bytes_of(program.bytes, HASH_BYTES));
        policy->measurements[role].count = 1;
    }
}

/* GENESIS, TERM, two MEMBERs, three puts, two EOEs and a SYNC. */
static void make_world(struct fixture *f, const struct policy *policy)
{
    struct buffer text = BUFFER_EMPTY;
    assert_int_equal(policy_encode(policy, &text), STATUS_OK);
    struct capsule_world *world = &f->world;
    capsule_world_init_attested(world, 7, 1, buffer_bytes(&text), buffer_bytes(&f->evidence));
    secret_free(world->data_key);
    world->data_key = keys_data(f->seed, &world->name, 1);
    capsule_world_start(world);
    struct capsule_world_writer *a = capsule_world_admit(world, MEMBER_WORKER);
    struct capsule_world_writer *b = capsule_world_admit(world, MEMBER_WORKER);
    capsule_world_put(world, a, "x", "1");
    capsule_world_put(world, a, "y", "2");
    capsule_world_put(world, b, "x", "3");
    capsule_world_eoe(world, a);
    capsule_world_eoe(world, b);
    capsule_world_sync(world);
    assert_int_equal(world->record_count, RECORD_COUNT);
    buffer_release(&text);
}

/*
 * A store in `directory` that has taken the first records of the world, and `more` (none: empty).
 */
static void store_in(struct fixture *f, const char *directory, size_t record_count,
                     struct bytes more)
{
    struct disk_posix *posix;
    struct disk disk;
    struct store *store;
    struct record record;
    struct buffer receipt = BUFFER_EMPTY, proof = BUFFER_EMPTY;
    assert_int_equal(disk_posix_open(&posix, &disk, directory), STATUS_OK);
    const struct store_config config = {
        .disk = &disk,
        .genesis = buffer_bytes(&f->world.genesis_body),
        .key = f->world.store_keys[0],
        .segment_bytes = SEGMENT_BYTES,
    };
    assert_int_equal(store_open(&store, &config), STATUS_OK);
    for (size_t i = 0; i < record_count; i++) {
        const struct bytes bytes = capsule_world_record(&f->world, i);
        assert_int_equal(record_decode(&record, bytes.at, bytes.length), STATUS_OK);
        assert_int_equal(store_append(store, &record, &proof), STATUS_OK);
    }
    if (more.length > 0) {
        assert_int_equal(record_decode(&record, more.at, more.length), STATUS_OK);
        assert_int_equal(store_append(store, &record, &proof), STATUS_OK);
    }
    assert_int_equal(store_commit(store, &receipt), STATUS_OK);
    store_close(store);
    disk_posix_close(posix);
    buffer_release(&receipt);
    buffer_release(&proof);
}

static void store_world(struct fixture *f, size_t record_count)
{
    unlink(f->segment);
    store_in(f, f->directory, record_count, bytes_of(NULL, 0));
}

static void bare_fixture(struct fixture *f)
{
    *f = (struct fixture){.directory = ""};
    f->random = random_seeded(&f->storage, 3);
    scratch_make(f->directory, "survey");
    snprintf(f->segment, sizeof f->segment, "%s/segment-00000001", f->directory);
    snprintf(f->other, sizeof f->other, "%s/other", f->directory);
    snprintf(f->other_segment, sizeof f->other_segment, "%s/segment-00000001", f->other);
    assert_int_equal(mkdir(f->other, 0700), 0);
    f->vendor = sign_key_new(&f->random);
    f->seed = secret_new_random(&f->random);
}

static int setup(void **state)
{
    static struct fixture f;
    struct policy *policy = malloc(sizeof *policy);
    bare_fixture(&f);
    make_evidence(&f, policy);
    make_world(&f, policy);
    store_world(&f, RECORD_COUNT);
    free(policy);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    survey_release(&f->survey);
    capsule_world_release(&f->world);
    secret_free(f->seed);
    sign_key_free(f->vendor);
    buffer_release(&f->evidence);
    scratch_remove(f->directory);
    return 0;
}

static enum status survey(struct fixture *f, const struct secret *seed)
{
    survey_release(&f->survey);
    f->survey = (struct survey){.seed = seed};
    const char *const directories[] = {f->directory};
    return survey_run(&f->survey, buffer_bytes(&f->world.genesis_body), directories, 1, NOW_S);
}

static void p3_a_true_capsule_verifies_without_any_key(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(survey(f, NULL), STATUS_OK);
    assert_int_equal(f->survey.record_count, RECORD_COUNT);
    assert_int_equal(f->survey.evidence_count, 3);
    assert_int_equal(f->survey.opened_count, 0);
    // Writers are known even for the GENESIS, which comes before its TERM.
    assert_int_equal(f->survey.records[0].type, RECORD_GENESIS);
    assert_int_equal(f->survey.records[0].writer, f->survey.records[1].writer);
    // The SYNC joins both workers.
    const struct survey_record *sync = &f->survey.records[RECORD_COUNT - 1];
    assert_int_equal(sync->type, RECORD_SYNC);
    assert_true(sync->parent_count >= 2);
}

static void the_seed_opens_every_body(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(survey(f, f->seed), STATUS_OK);
    assert_int_equal(f->survey.opened_count, 3);
    assert_int_equal(f->survey.tuple_count, 3);
}

static void another_seed_opens_none_and_says_so(void **state)
{
    struct fixture *f = *state;
    struct secret *other = secret_new_random(&f->random);
    assert_int_equal(survey(f, other), STATUS_FORGED);
    assert_non_null(strstr(f->survey.reason, "does not open"));
    assert_non_null(strstr(f->survey.reason, "DATA"));
    secret_free(other);
}

static void flip(const struct fixture *f, long offset)
{
    FILE *file = fopen(f->segment, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    assert_int_equal(fputc(byte ^ 1, file), byte ^ 1);
    fclose(file);
}

static void p2_every_flipped_byte_is_refused_and_its_place_named(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(survey(f, NULL), STATUS_OK);
    const struct survey_record *last = &f->survey.records[RECORD_COUNT - 1];
    long last_end = (long)(last->place.offset + last->bytes), end = last_end + 64;
    long ends[RECORD_COUNT];
    for (size_t i = 0; i + 1 < RECORD_COUNT; i++) {
        ends[i] = (long)f->survey.records[i + 1].place.offset;
    }
    ends[RECORD_COUNT - 1] = end;
    for (long offset = 0; offset < end; offset += offset < 64 ? 1 : 13) {
        char named[64];
        size_t index = 0;
        while (ends[index] <= offset) {
            index++;
        }
        flip(f, offset);
        enum status status = survey(f, NULL);
        assert_int_not_equal(status, STATUS_OK);
        assert_non_null(strstr(f->survey.reason, "segment-00000001"));
        snprintf(named, sizeof named, "record %zu ", index + 1);
        // What lies beyond the last record is a mark or nothing.
        if (offset < 64) {
            assert_non_null(strstr(f->survey.reason, "header of segment-00000001"));
        }
        if (offset >= 64 && offset < last_end) {
            assert_non_null(strstr(f->survey.reason, named));
        }
        flip(f, offset);
    }
    assert_int_equal(survey(f, NULL), STATUS_OK);
}

static void p3_evidence_that_the_policy_does_not_admit_is_refused(void **state)
{
    struct fixture *f = *state;
    struct policy *policy = malloc(sizeof *policy);
    bare_fixture(f);
    make_evidence(f, policy);
    policy->measurements[POLICY_WORKER].count = 0;
    make_world(f, policy);
    store_world(f, RECORD_COUNT);
    assert_int_equal(survey(f, NULL), STATUS_DENIED);
    assert_non_null(strstr(f->survey.reason, "MEMBER"));
    assert_non_null(strstr(f->survey.reason, "evidence is not admitted"));
    free(policy);
}

static void another_genesis_refuses_everything(void **state)
{
    struct fixture *f = *state;
    struct buffer body = BUFFER_EMPTY;
    struct genesis genesis = f->world.genesis;
    snprintf(genesis.app, sizeof genesis.app, "other");
    assert_int_equal(genesis_encode(&body, &genesis, f->world.genesis.policy, f->world.owner),
                     STATUS_OK);
    f->survey = (struct survey){.seed = NULL};
    const char *const directories[] = {f->directory};
    enum status status = survey_run(&f->survey, buffer_bytes(&body), directories, 1, NOW_S);
    assert_int_not_equal(status, STATUS_OK);
    assert_int_equal(f->survey.record_count, 0);
    buffer_release(&body);
}

static void a_directory_without_segments_is_not_found(void **state)
{
    struct fixture *f = *state;
    unlink(f->segment);
    assert_int_equal(survey(f, NULL), STATUS_NOT_FOUND);
    assert_non_null(strstr(f->survey.reason, "holds no record"));
}

static enum status count_record(void *context, struct bytes record)
{
    size_t *bytes = context;
    *bytes += record.length;
    return STATUS_OK;
}

static void shows_every_record_to_whoever_asks(void **state)
{
    struct fixture *f = *state;
    size_t bytes = 0;
    const char *const directories[] = {f->directory};
    f->survey = (struct survey){.record = count_record, .context = &bytes};
    assert_int_equal(
        survey_run(&f->survey, buffer_bytes(&f->world.genesis_body), directories, 1, NOW_S),
        STATUS_OK);
    assert_int_equal(bytes, f->world.log.length);
}

/* ---- several stores ---- */

/* The other one first. */
static enum status survey_both(struct fixture *f, const struct survey_visitor *visitor)
{
    const char *const directories[] = {f->other, f->directory};
    survey_release(&f->survey);
    f->survey = (struct survey){.seed = visitor == NULL ? NULL : f->seed, .visitor = visitor};
    return survey_run(&f->survey, buffer_bytes(&f->world.genesis_body), directories, 2, NOW_S);
}

static void forget_all(void *context)
{
    *(size_t *)context = 0;
}

static void ignore_record(void *context, const struct record *record)
{
    (void)context;
    (void)record;
}

static void count_tuple(void *context, const struct record *record, const struct tuple_tag *tag,
                        const struct tuple *tuple)
{
    (void)record;
    (void)tag;
    (void)tuple;
    ++*(size_t *)context;
}

static void what_one_store_lacks_the_other_has_and_each_record_counts_once(void **state)
{
    struct fixture *f = *state;
    size_t tuple_count = 0;
    const struct survey_visitor visitor = {.begin = forget_all,
                                           .record = ignore_record,
                                           .tuple = count_tuple,
                                           .context = &tuple_count};
    store_in(f, f->other, 5, bytes_of(NULL, 0));
    assert_int_equal(survey_both(f, &visitor), STATUS_OK);
    assert_int_equal(f->survey.record_count, RECORD_COUNT);
    assert_int_equal(tuple_count, 3);
    assert_int_equal(f->survey.stores[0].held_count, 5);
    assert_int_equal(f->survey.stores[1].held_count, RECORD_COUNT);
    assert_int_equal(f->survey.records[4].holder_count, 2);
    assert_int_equal(f->survey.records[5].holder_count, 1);
}

static void p2_a_damaged_store_is_named_and_the_other_has_it_all(void **state)
{
    struct fixture *f = *state;
    store_in(f, f->other, RECORD_COUNT, bytes_of(NULL, 0));
    assert_int_equal(survey_both(f, NULL), STATUS_OK);
    flip(f, (long)f->survey.records[6].place.offset + 20);
    assert_int_equal(survey_both(f, NULL), STATUS_OK);
    assert_int_equal(f->survey.record_count, RECORD_COUNT);
    assert_int_equal(f->survey.stores[0].status, STATUS_OK);
    assert_int_equal(f->survey.stores[1].status, STATUS_DAMAGED);
    assert_int_equal(f->survey.stores[1].held_count, 6);
    assert_non_null(strstr(f->survey.stores[1].reason, "record 7 of the store"));

    // With both damaged, nobody knows what is missing.
    assert_int_equal(rename(f->segment, f->other_segment), 0);
    store_world(f, RECORD_COUNT);
    flip(f, (long)f->survey.records[4].place.offset + 20);
    assert_int_equal(survey_both(f, NULL), STATUS_DAMAGED);
    assert_non_null(strstr(f->survey.reason, "0 of 2 stores"));
    assert_int_equal(f->survey.record_count, 6);
}

static void p8_a_fork_between_stores_is_proved(void **state)
{
    struct fixture *f = *state;
    struct capsule_world_draft draft;
    struct capsule_world_writer *a = &f->world.writers[1];
    capsule_world_draft(&f->world, &draft, a, RECORD_DATA);
    capsule_world_tuple(&f->world, a, &draft.body, "x", "another");
    capsule_world_build(&f->world, &draft);
    store_in(f, f->other, RECORD_COUNT, buffer_bytes(&f->world.tried));
    capsule_world_put(&f->world, a, "x", "one");
    store_world(f, RECORD_COUNT + 1);
    assert_int_equal(survey_both(f, NULL), STATUS_FORKED);
    assert_non_null(strstr(f->survey.reason, "it forked"));
    struct verify_key key = sign_key_public(a->key);
    assert_int_equal(receipt_fork_verify(buffer_bytes(&f->survey.fork), &key), STATUS_OK);
}

static void what_a_store_took_beyond_a_cut_counts_for_nothing(void **state)
{
    struct fixture *f = *state;
    struct capsule_world_draft draft;
    struct capsule_world_writer *b = &f->world.writers[2];
    capsule_world_draft(&f->world, &draft, b, RECORD_DATA);
    capsule_world_tuple(&f->world, b, &draft.body, "x", "too late");
    capsule_world_build(&f->world, &draft);
    store_in(f, f->other, RECORD_COUNT, buffer_bytes(&f->world.tried));
    capsule_world_close(&f->world, b);
    store_world(f, RECORD_COUNT + 1);
    assert_int_equal(survey_both(f, NULL), STATUS_OK);
    assert_int_equal(f->survey.beyond_count, 1);
    assert_int_equal(f->survey.record_count, RECORD_COUNT + 1);
}

int main(void)
{
#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    static struct fixture bare;
    crypto_init();
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(p3_a_true_capsule_verifies_without_any_key),
        WITH_FIXTURE(the_seed_opens_every_body),
        WITH_FIXTURE(another_seed_opens_none_and_says_so),
        WITH_FIXTURE(p2_every_flipped_byte_is_refused_and_its_place_named),
        {"p3_evidence_that_the_policy_does_not_admit_is_refused",
         p3_evidence_that_the_policy_does_not_admit_is_refused, NULL, teardown, &bare},
        WITH_FIXTURE(another_genesis_refuses_everything),
        WITH_FIXTURE(a_directory_without_segments_is_not_found),
        WITH_FIXTURE(shows_every_record_to_whoever_asks),
        WITH_FIXTURE(what_one_store_lacks_the_other_has_and_each_record_counts_once),
        WITH_FIXTURE(p2_a_damaged_store_is_named_and_the_other_has_it_all),
        WITH_FIXTURE(p8_a_fork_between_stores_is_proved),
        WITH_FIXTURE(what_a_store_took_beyond_a_cut_counts_for_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
