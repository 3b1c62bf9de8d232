/* src/cli/inspect.c */
#include "cli/inspect.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/hex.h"
#include "cli/clock.h"
#include "cli/graph.h"
#include "cli/inspect_internal.h"
#include "cli/report.h"
#include "cli/roster.h"
#include "cli/service.h"
#include "host/host.h"

enum {
    INSPECT_TRIES = 5,        // while the app writes to the very files
    INSPECT_QUIET_MS = 2000,  // before progress shows
    INSPECT_STEP_MS = 200,
    INSPECT_GENESIS_BYTES_MAX = 1 << 20,
    INSPECT_SHORT_BYTES = 4,  // of ids and hashes in tables
};

/* ---- finding it ---- */

enum status inspect_open(struct inspection *it, const struct command_line *line,
                         const char *named_directory)
{
    *it = (struct inspection){.target = NULL};
    const char *genesis = command_text(line, "genesis", NULL);
    bool needs_app = named_directory == NULL || genesis == NULL || command_has(line, "keys");
    enum status status = needs_app ? app_open(&it->app, line) : STATUS_OK;
    if (status == STATUS_NOT_FOUND && named_directory != NULL) {
        report_note("     'paranoid capsule verify --genesis FILE %s' needs none", named_directory);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (named_directory != NULL) {
        snprintf(it->directories[it->store_count++], FILE_PATH_BYTES, "%s", named_directory);
    } else {
        it->store_count = app_stores(&it->app, it->directories);
        json_t *ports = service_ports(&it->app);
        it->is_running = ports != NULL;
        json_decref(ports);
    }
    if (genesis == NULL) {
        status =
            buffer_append(&it->genesis, it->app.genesis_body.bytes, it->app.genesis_body.length);
    } else {
        status = file_read(&it->genesis, genesis, INSPECT_GENESIS_BYTES_MAX);
        if (status != STATUS_OK) {
            report_error("cannot read '%s': %s", genesis, file_reason(status));
        }
    }
    if (status == STATUS_OK && command_has(line, "keys")) {
        status = app_seed(&it->app, &it->seed);
    }
    return status;
}

void inspect_close(struct inspection *it)
{
    survey_release(&it->survey);
    secret_free(it->seed);
    buffer_release(&it->genesis);
    app_release(&it->app);
}

/* Bytes of the segments up to number `last`. */
static uint64_t segments_bytes(const char *directory, uint32_t last)
{
    uint64_t total = 0;
    struct stat facts;
    char path[FILE_PATH_BYTES];
    for (uint32_t segment = 1; segment <= last; segment++) {
        snprintf(path, sizeof path, "%s/segment-%08" PRIu32, directory, segment);
        if (stat(path, &facts) != 0) {
            break;
        }
        total += (uint64_t)facts.st_size;
    }
    return total;
}

/*
 * "[######------] 52 %, 118000 records". The last segment is longer than what is written in it, so
 * the end comes early.
 */
static void show_progress(void *context, const struct survey *survey,
                          const struct store_place *place)
{
    static const char done[] = "##############################",
                      left[] = "------------------------------";
    const int width = (int)sizeof done - 1;
    struct inspection *it = context;
    int64_t now = clock_now_ms();
    if (now - it->started_ms < INSPECT_QUIET_MS || now - it->shown_ms < INSPECT_STEP_MS) {
        return;
    }
    it->shown_ms = now;
    uint64_t total = 0, walked = place->offset;
    for (uint32_t i = 0; i < it->store_count; i++) {
        bool is_now = i + 1 == survey->walked_count;
        total += segments_bytes(it->directories[i], UINT32_MAX);
        walked += i + 1 < survey->walked_count ? segments_bytes(it->directories[i], UINT32_MAX)
                  : is_now ? segments_bytes(it->directories[i], place->segment - 1)
                           : 0;
    }
    int percent = total == 0 || walked > total ? 100 : (int)(100 * walked / total);
    int bar = percent * width / 100;
    fprintf(stderr, "\r[%.*s%.*s] %3d %%, %zu records ", bar, done, width - bar, left, percent,
            survey->record_count);
}

static enum status export_record(void *context, struct bytes record)
{
    struct inspection *it = context;
    if (fwrite(record.at, 1, record.length, it->target) != record.length) {
        it->target_cause = errno;
        return STATUS_IO;
    }
    return STATUS_OK;
}

static void begin(void *context)
{
    struct inspection *it = context;
    if (it->target != NULL) {
        rewind(it->target);
    }
}

static bool has_damage(const struct survey *survey)
{
    for (uint32_t i = 0; i < survey->store_count; i++) {
        if (survey->stores[i].status == STATUS_DAMAGED) {
            return true;
        }
    }
    return false;
}

/* What two records of one place prove, for whoever wants to see it. */
static void save_fork(const struct inspection *it)
{
    char path[FILE_PATH_BYTES];
    const char *directory = it->app.directory[0] == '\0' ? "." : it->app.directory;
    const struct hash hash = hash_of(it->survey.fork.bytes, it->survey.fork.length);
    char name[HASH_TEXT_BYTES];
    hash_text(&hash, name);
    snprintf(path, sizeof path, "%s/fork-%.16s.proof", directory, name);
    enum status status = file_replace(path, buffer_bytes(&it->survey.fork), 0600);
    if (status == STATUS_OK) {
        report_note("the proof of the fork is '%s'", path);
    } else {
        report_error("cannot write '%s': %s", path, file_reason(status));
    }
}

/* What a store is just writing looks torn for an instant: then it begins anew. */
enum status inspect_survey(struct inspection *it)
{
    const char *directories[GENESIS_STORES_MAX];
    enum status status = STATUS_DAMAGED;
    bool is_torn = true;
    for (uint32_t i = 0; i < it->store_count; i++) {
        directories[i] = it->directories[i];
    }
    it->started_ms = clock_now_ms();
    for (int i = 0; i < (it->is_running ? INSPECT_TRIES : 1) && is_torn; i++) {
        survey_release(&it->survey);
        it->survey = (struct survey){
            .seed = it->seed,
            .progress = isatty(STDERR_FILENO) ? show_progress : NULL,
            .begin = begin,
            .record = it->target == NULL ? NULL : export_record,
            .function = it->function,
            .context = it,
            .visitor = it->visitor,
        };
        status = survey_run(&it->survey, buffer_bytes(&it->genesis), directories, it->store_count,
                            (uint64_t)time(NULL));
        is_torn = has_damage(&it->survey);
    }
    if (it->shown_ms != 0) {
        fputc('\n', stderr);
    }
    if (it->survey.fork.length > 0) {
        save_fork(it);
    }
    // What is refused as a whole says it of itself.
    for (uint32_t i = 0; i < it->survey.store_count && status == STATUS_OK; i++) {
        const struct survey_store *store = &it->survey.stores[i];
        if (store->status != STATUS_OK) {
            report_note("the store in '%s' is left out: %s", store->directory, store->reason);
        }
    }
    return status;
}

int inspect_refuse(const struct inspection *it, enum status status)
{
    bool is_unread = status == STATUS_NOT_FOUND || status == STATUS_IO;
    report_error("%s capsule in '%s': %s", is_unread ? "cannot read" : "refusing",
                 it->store_count == 1 ? it->directories[0] : it->app.directory,
                 it->survey.reason[0] != '\0' ? it->survey.reason : status_text(status));
    return is_unread ? COMMAND_COULD_NOT : COMMAND_NO;
}

/* ---- the facts ---- */

static json_t *hex_of(const void *bytes, size_t length)
{
    char text[2 * HASH_BYTES + 1];
    hex_encode(text, bytes, length);
    return json_string(text);
}

/* Records that count and that this store does not hold, if all that it holds was read. */
static size_t lacking(const struct survey *survey, const struct survey_store *store)
{
    return survey->record_count - store->held_count;
}

static json_t *stores_json(const struct survey *survey)
{
    json_t *stores = json_array();
    for (uint32_t i = 0; i < survey->store_count; i++) {
        const struct survey_store *store = &survey->stores[i];
        bool is_whole = store->status == STATUS_OK;
        json_array_append_new(
            stores,
            json_pack("{s:s, s:s, s:I, s:o, s:o}", "directory", store->directory, "state",
                      status_text(store->status), "records", (json_int_t)store->held_count,
                      "lacking",
                      is_whole ? json_integer((json_int_t)lacking(survey, store)) : json_null(),
                      "reason", is_whole ? json_null() : json_string(store->reason)));
    }
    return stores;
}

/* Whether all that each of them holds is as it should be. */
static bool are_stores_well(const struct survey *survey)
{
    for (uint32_t i = 0; i < survey->store_count; i++) {
        if (survey->stores[i].status != STATUS_OK) {
            return false;
        }
    }
    return true;
}

/* Of the records, how many are held by fewer stores than a receipt needs. */
static size_t scarce_count(const struct survey *survey)
{
    size_t count = 0;
    for (size_t i = 0; i < survey->record_count; i++) {
        count +=
            survey->records[i].holder_count < capsule_stores(survey->capsule)->now.receipt_count;
    }
    return count;
}

static json_t *member_json(const struct survey *survey, const struct capsule_member *member)
{
    json_t *result =
        json_pack("{s:o, s:s, s:I, s:I, s:I, s:b}", "writer",
                  hex_of(member->id.bytes, WRITER_ID_BYTES), "role", member_role_text(member->role),
                  "term", (json_int_t)member->term, "sequence", (json_int_t)member->head.sequence,
                  "joined_epoch", (json_int_t)member->joined_epoch, "closed", member->is_closed);
    size_t index = capsule_member_index(survey->capsule, member);
    for (size_t i = 0; i < survey->evidence_count; i++) {
        const struct survey_evidence *evidence = &survey->evidence[i];
        if (evidence->writer == index) {
            json_object_set_new(result, "tee",
                                json_string(verdict_tee_text(evidence->verdict.tee)));
            json_object_set_new(result, "evidence",
                                json_string(evidence->verdict.is_admitted
                                                ? "admitted"
                                                : verdict_code(evidence->verdict.reason)));
        }
    }
    return result;
}

static json_t *losses_json(const struct survey *survey)
{
    json_t *losses = json_array();
    for (size_t i = 0; i < survey->term_count; i++) {
        const struct survey_term *term = &survey->terms[i];
        if (term->lost_epoch > 0) {
            json_array_append_new(
                losses, json_pack("{s:I, s:I, s:I}", "term", (json_int_t)term->number, "from_epoch",
                                  (json_int_t)term->sync_epoch + 1, "to_epoch",
                                  (json_int_t)term->lost_epoch));
        }
    }
    return losses;
}

static json_t *facts_of(const struct survey *survey)
{
    const struct genesis *genesis = capsule_genesis(survey->capsule);
    const struct genesis *stores = &capsule_stores(survey->capsule)->now;
    const struct capsule_sync *sync = capsule_newest_sync(survey->capsule);
    json_t *types = json_object(), *members = json_array();
    uint64_t bytes = 0;
    for (size_t i = 0; i < survey->record_count; i++) {
        const char *type = record_type_text(survey->records[i].type);
        json_int_t count = json_integer_value(json_object_get(types, type));
        json_object_set_new(types, type, json_integer(count + 1));
        bytes += survey->records[i].bytes;
    }
    for (size_t i = 0; i < capsule_member_count(survey->capsule); i++) {
        json_array_append_new(members, member_json(survey, capsule_member_at(survey->capsule, i)));
    }
    json_t *facts =
        json_pack("{s:s, s:o, s:I, s:I, s:o, s:o, s:I, s:I, s:i, s:i}", "app", genesis->app,
                  "capsule", hex_of(genesis->capsule.bytes, HASH_BYTES), "records",
                  (json_int_t)survey->record_count, "bytes", (json_int_t)bytes, "types", types,
                  "members", members, "term", (json_int_t)capsule_term(survey->capsule), "policy",
                  (json_int_t)capsule_policy_version(survey->capsule), "stores",
                  (int)stores->store_count, "receipts", (int)stores->receipt_count);
    if (sync != NULL) {
        json_object_set_new(
            facts, "sync",
            json_pack("{s:I, s:o, s:I, s:I}", "epoch", (json_int_t)sync->epoch, "hash",
                      hex_of(sync->hash.bytes, HASH_BYTES), "lamport", (json_int_t)sync->lamport,
                      "time_ms", (json_int_t)sync->time_ms));
    }
    json_object_set_new(facts, "losses", losses_json(survey));
    json_object_set_new(facts, "pruned", json_integer((json_int_t)survey->pruned_count));
    json_object_set_new(facts, "beyond", json_integer((json_int_t)survey->beyond_count));
    json_object_set_new(facts, "scarce", json_integer((json_int_t)scarce_count(survey)));
    json_object_set_new(facts, "held", stores_json(survey));
    if (survey->seed != NULL) {
        json_object_set_new(facts, "opened", json_integer((json_int_t)survey->opened_count));
        json_object_set_new(facts, "tuples", json_integer((json_int_t)survey->tuple_count));
    }
    return facts;
}

static void print_stores(const struct survey *survey)
{
    for (uint32_t i = 0; i < survey->store_count && survey->store_count > 1; i++) {
        const struct survey_store *store = &survey->stores[i];
        printf("store     %s: ", store->directory);
        if (store->status == STATUS_OK && lacking(survey, store) == 0) {
            printf("has all\n");
        } else if (store->status == STATUS_OK) {
            printf("lacks %zu records\n", lacking(survey, store));
        } else {
            printf("%s\n", store->reason);
        }
    }
    if (survey->store_count > 1 && scarce_count(survey) > 0) {
        printf("scarce    %zu records are held by fewer than %" PRIu32 " stores\n",
               scarce_count(survey), capsule_stores(survey->capsule)->now.receipt_count);
    }
}

static void print_losses(const struct survey *survey)
{
    for (size_t i = 0; i < survey->term_count; i++) {
        const struct survey_term *term = &survey->terms[i];
        if (term->lost_epoch > 0) {
            printf("given up  epochs %" PRIu64 " to %" PRIu64
                   ": the owner signed so with term %" PRIu64 "\n",
                   term->sync_epoch + 1, term->lost_epoch, term->number);
        }
    }
}

static void print_json(json_t *value)
{
    json_dumpf(value, stdout, JSON_COMPACT | JSON_SORT_KEYS);
    putchar('\n');
    json_decref(value);
}

static void print_facts(const struct survey *survey)
{
    const struct genesis *genesis = capsule_genesis(survey->capsule);
    const struct capsule_sync *sync = capsule_newest_sync(survey->capsule);
    char text[HASH_TEXT_BYTES];
    uint64_t bytes = 0, counts[RECORD_TYPE_COUNT] = {0};
    for (size_t i = 0; i < survey->record_count; i++) {
        bytes += survey->records[i].bytes;
        counts[survey->records[i].type]++;
    }
    hash_text(&genesis->capsule, text);
    printf("app       %s\ncapsule   %s\nterm      %" PRIu64 "\npolicy    %" PRIu64 "\n",
           genesis->app, text, capsule_term(survey->capsule),
           capsule_policy_version(survey->capsule));
    printf("records   %zu, %" PRIu64 " bytes:", survey->record_count, bytes);
    for (size_t i = 0; i < RECORD_TYPE_COUNT; i++) {
        if (counts[i] > 0) {
            printf(" %" PRIu64 " %s", counts[i], record_type_text((enum record_type)i));
        }
    }
    if (survey->pruned_count > 0) {
        printf("\npruned    %" PRIu64 " bodies", survey->pruned_count);
    }
    printf("\nbranches  %zu\n", capsule_member_count(survey->capsule));
    if (sync != NULL) {
        hash_text(&sync->hash, text);
        printf("sync      epoch %" PRIu64 ", %s\n", sync->epoch, text);
    }
    print_losses(survey);
    if (survey->seed != NULL) {
        printf("opened    %" PRIu64 " bodies, %" PRIu64 " tuples\n", survey->opened_count,
               survey->tuple_count);
    }
}

static void print_members(const struct survey *survey)
{
    printf("%-10s %-9s %5s %9s %6s %-6s %s\n", "WRITER", "ROLE", "TERM", "RECORDS", "EPOCH",
           "STATE", "EVIDENCE");
    for (size_t i = 0; i < capsule_member_count(survey->capsule); i++) {
        const struct capsule_member *member = capsule_member_at(survey->capsule, i);
        const char *evidence = "-", *tee = "";
        for (size_t j = 0; j < survey->evidence_count; j++) {
            if (survey->evidence[j].writer == i) {
                tee = verdict_tee_text(survey->evidence[j].verdict.tee);
                evidence = survey->evidence[j].verdict.is_admitted
                               ? "admitted"
                               : verdict_code(survey->evidence[j].verdict.reason);
            }
        }
        char id[2 * INSPECT_SHORT_BYTES + 1];
        hex_encode(id, member->id.bytes, INSPECT_SHORT_BYTES);
        printf("%-10s %-9s %5" PRIu64 " %9" PRIu64 " %6" PRIu64 " %-6s %s%s%s\n", id,
               member_role_text(member->role), member->term, member->head.sequence,
               member->joined_epoch, member->is_closed ? "closed" : "open", evidence,
               tee[0] != '\0' ? " tee=" : "", tee);
    }
}

/* ---- the commands ---- */

static const struct command_option places[] = {
    {.name = "genesis", .value = "FILE", .text = "the GENESIS body (default: the app's)"},
    {.name = "keys", .text = "also open every sealed body, with the app's seed"},
    {.name = "lines",
     .letter = 'n',
     .value = "N",
     .text = "the newest N records (default: all)",
     .is_number = true,
     .maximum = UINT32_MAX},
    {.name = "graph", .text = "draw the branches and where they join"},
};
enum { PLACE_OPTIONS = 2, LOG_OPTIONS = 4 };

static int run_info(const struct command_line *line)
{
    int result = COMMAND_COULD_NOT;
    struct inspection it;
    if (inspect_open(&it, line, command_argument(line, 0, NULL)) == STATUS_OK) {
        enum status status = inspect_survey(&it);
        result = status == STATUS_OK ? COMMAND_OK : inspect_refuse(&it, status);
        if (result != COMMAND_COULD_NOT && command_has(line, "json")) {
            print_json(facts_of(&it.survey));
        } else if (result != COMMAND_COULD_NOT) {
            print_facts(&it.survey);
            print_stores(&it.survey);
            print_members(&it.survey);
        }
    }
    inspect_close(&it);
    return result;
}

/*
 * The newest SYNC that the owner's files name; zeroes where none is, or a copy is looked at. Read
 * before the stores are: it may grow meanwhile.
 */
static enum status load_known(const struct inspection *it, const struct command_line *line,
                              struct app_sync *known)
{
    bool is_own = command_argument(line, 0, NULL) == NULL && !command_has(line, "genesis");
    *known = (struct app_sync){.epoch = 0};
    return is_own ? app_sync_load(&it->app, known) : STATUS_OK;
}

/* Whole, and nevertheless not all that there was. */
static bool is_rolled_back(const struct survey *survey, const struct app_sync *known)
{
    if (hash_is_zero(&known->hash) ||
        capsule_includes_sync(survey->capsule, &known->hash, known->epoch)) {
        return false;
    }
    report_error("the stores were rolled back: SYNC %" PRIu64
                 ", which they had signed for, is gone; 'paranoid recover --explain' says more",
                 known->epoch);
    return true;
}

static int run_verify(const struct command_line *line)
{
    int result = COMMAND_COULD_NOT;
    struct inspection it;
    struct app_sync known;
    if (inspect_open(&it, line, command_argument(line, 0, NULL)) == STATUS_OK &&
        load_known(&it, line, &known) == STATUS_OK) {
        enum status status = inspect_survey(&it);
        bool is_verified = status == STATUS_OK;
        result = is_verified ? are_stores_well(&it.survey) ? COMMAND_OK : COMMAND_NO
                             : inspect_refuse(&it, status);
        if (is_verified && is_rolled_back(&it.survey, &known)) {
            is_verified = false;
            result = COMMAND_NO;
            (void)snprintf(it.survey.reason, sizeof it.survey.reason,
                           "the stores were rolled back: SYNC %" PRIu64 " is gone", known.epoch);
        }
        if (result != COMMAND_COULD_NOT && command_has(line, "json")) {
            json_t *facts = facts_of(&it.survey);
            json_object_set_new(facts, "verified", json_boolean(is_verified));
            json_object_set_new(facts, "reason",
                                is_verified ? json_null() : json_string(it.survey.reason));
            print_json(facts);
        } else if (is_verified) {
            print_facts(&it.survey);
            print_stores(&it.survey);
            printf(
                "the capsule verifies: every record leads to the owner's signature; evidence of "
                "%zu members admitted\n",
                it.survey.evidence_count);
        }
    }
    inspect_close(&it);
    return result;
}

/* What the leader has decided about keys and members. */
static void print_decision(const struct survey_record *record)
{
    char about[2 * INSPECT_SHORT_BYTES + 1];
    hex_encode(about, record->about.bytes, INSPECT_SHORT_BYTES);
    if (record->type == RECORD_SYNC && record->key_epoch != 0) {
        printf(", begins key epoch %" PRIu32, record->key_epoch);
    } else if (record->type == RECORD_MEMBER) {
        printf(", admits %s", about);
    } else if (record->type == RECORD_REVOKE) {
        printf(", revokes %s", about);
    } else if (record->type == RECORD_CLOSE) {
        printf(", ends %s at %" PRIu64 " (%s)", about, record->cut,
               roster_reason_text(record->reason));
    }
}

/* The TERM that is this record; NULL: it is none. */
static const struct survey_term *term_at(const struct survey *survey, size_t index)
{
    for (size_t i = 0; i < survey->term_count; i++) {
        if (survey->terms[i].record == index) {
            return &survey->terms[i];
        }
    }
    return NULL;
}

static void print_term(const struct survey_term *term)
{
    printf(", term %" PRIu64, term->number);
    if (term->keeper[0] != '\0') {
        printf(" by keeper '%s'", term->keeper);
    }
    if (term->lost_epoch > 0) {
        printf(", goes on from SYNC %" PRIu64
               ": the owner gives up what followed, up to SYNC %" PRIu64,
               term->sync_epoch, term->lost_epoch);
    }
}

static void print_record(const struct survey *survey, size_t index, const char *picture)
{
    const struct survey_record *record = &survey->records[index];
    char id[2 * INSPECT_SHORT_BYTES + 1], hash[2 * INSPECT_SHORT_BYTES + 1];
    hex_encode(id, record->writer_id.bytes, INSPECT_SHORT_BYTES);
    hex_encode(hash, record->hash.bytes, INSPECT_SHORT_BYTES);
    printf("%s%s%s %-8s %s %6" PRIu64 "  epoch %" PRIu64 ", %zu bytes%s", picture,
           picture[0] != '\0' ? "  " : "", hash, record_type_text(record->type), id,
           record->sequence, record->epoch, record->bytes, record->is_pruned ? ", pruned" : "");
    print_decision(record);
    const struct survey_term *term = term_at(survey, index);
    if (term != NULL) {
        print_term(term);
    }
    for (size_t i = 0; i < record->parent_count; i++) {
        uint32_t writer = survey->parents[record->parent_first + i];
        if (writer < capsule_member_count(survey->capsule)) {
            hex_encode(id, capsule_member_at(survey->capsule, writer)->id.bytes,
                       INSPECT_SHORT_BYTES);
            printf("%s%s", i == 0 ? ", joins " : " ", id);
        }
    }
    putchar('\n');
}

static json_t *record_json(const struct survey *survey, size_t index)
{
    const struct survey_record *record = &survey->records[index];
    json_t *parents = json_array();
    for (size_t i = 0; i < record->parent_count; i++) {
        uint32_t writer = survey->parents[record->parent_first + i];
        if (writer < capsule_member_count(survey->capsule)) {
            const struct capsule_member *parent = capsule_member_at(survey->capsule, writer);
            json_array_append_new(parents, hex_of(parent->id.bytes, WRITER_ID_BYTES));
        }
    }
    json_t *result = json_pack(
        "{s:o, s:s, s:o, s:I, s:I, s:I, s:b, s:o, s:I, s:I}", "hash",
        hex_of(record->hash.bytes, HASH_BYTES), "type", record_type_text(record->type), "writer",
        hex_of(record->writer_id.bytes, WRITER_ID_BYTES), "sequence", (json_int_t)record->sequence,
        "epoch", (json_int_t)record->epoch, "bytes", (json_int_t)record->bytes, "pruned",
        record->is_pruned, "joins", parents, "segment", (json_int_t)record->place.segment, "offset",
        (json_int_t)record->place.offset);
    if (record->key_epoch != 0) {
        json_object_set_new(result, "key_epoch", json_integer(record->key_epoch));
    }
    if (!writer_id_is_zero(&record->about)) {
        json_object_set_new(result, "about", hex_of(record->about.bytes, WRITER_ID_BYTES));
    }
    if (record->type == RECORD_CLOSE) {
        json_object_set_new(result, "cut", json_integer((json_int_t)record->cut));
        json_object_set_new(result, "reason", json_string(roster_reason_text(record->reason)));
    }
    const struct survey_term *term = term_at(survey, index);
    if (term != NULL) {
        json_object_set_new(result, "term", json_integer((json_int_t)term->number));
        json_object_set_new(result, "keeper",
                            term->keeper[0] == '\0' ? json_null() : json_string(term->keeper));
        json_object_set_new(result, "lost_epoch", json_integer((json_int_t)term->lost_epoch));
    }
    return result;
}

static void print_log(const struct survey *survey, uint64_t limit, bool draws)
{
    struct graph_record *records = calloc(survey->record_count + 1, sizeof *records);
    struct buffer picture = BUFFER_EMPTY;
    CHECK(records != NULL);
    // A stranger has a column of its own, behind those of the members.
    uint32_t stranger = (uint32_t)capsule_member_count(survey->capsule);
    for (size_t i = 0; i < survey->record_count; i++) {
        uint32_t writer = survey->records[i].writer;
        records[i] = (struct graph_record){
            .writer = writer == SURVEY_STRANGER ? stranger : writer,
            .parents = survey->parents + survey->records[i].parent_first,
            .parent_count = survey->records[i].parent_count,
        };
    }
    struct graph *graph = graph_new(records, survey->record_count, stranger + 1u);
    for (size_t i = 0; i < survey->record_count && (limit == 0 || i < limit); i++) {
        size_t index = survey->record_count - 1 - i;
        buffer_clear(&picture);
        enum status status = draws ? graph_line(graph, index, &picture) : STATUS_OK;
        if (status == STATUS_OK) {
            status = buffer_append(&picture, "", 1);
        }
        CHECK(status == STATUS_OK);
        print_record(survey, index, (const char *)picture.bytes);
    }
    graph_free(graph);
    buffer_release(&picture);
    free(records);
}

static int run_log(const struct command_line *line)
{
    int result = COMMAND_COULD_NOT;
    struct inspection it;
    uint64_t limit = command_number(line, "lines", 0);
    if (inspect_open(&it, line, command_argument(line, 0, NULL)) == STATUS_OK) {
        enum status status = inspect_survey(&it);
        result = status == STATUS_OK ? COMMAND_OK : inspect_refuse(&it, status);
        if (result != COMMAND_COULD_NOT && command_has(line, "json")) {
            for (size_t i = 0; i < it.survey.record_count && (limit == 0 || i < limit); i++) {
                print_json(record_json(&it.survey, it.survey.record_count - 1 - i));
            }
        } else if (result != COMMAND_COULD_NOT) {
            print_log(&it.survey, limit, command_has(line, "graph"));
        }
    }
    inspect_close(&it);
    return result;
}

static int run_export(const struct command_line *line)
{
    int result = COMMAND_COULD_NOT;
    struct inspection it;
    const char *path = line->arguments[0];
    if (inspect_open(&it, line, command_argument(line, 1, NULL)) != STATUS_OK) {
        goto done;
    }
    it.target = fopen(path, "wbx");
    if (it.target == NULL) {
        report_error("cannot write '%s': %s; %s", path, strerror(errno), file_remedy(errno));
        goto done;
    }
    enum status status = inspect_survey(&it);
    if (fclose(it.target) != 0 && it.target_cause == 0) {
        it.target_cause = errno;
    }
    if (status != STATUS_OK || it.target_cause != 0) {
        unlink(path);
        if (it.target_cause == 0) {
            result = inspect_refuse(&it, status);
        } else {
            report_error("cannot write '%s': %s; %s", path, strerror(it.target_cause),
                         file_remedy(it.target_cause));
        }
        goto done;
    }
    result = COMMAND_OK;
    if (command_has(line, "json")) {
        printf("{\"records\":%zu}\n", it.survey.record_count);
    } else {
        report_note("%zu records exported to %s", it.survey.record_count, path);
    }

done:
    inspect_close(&it);
    return result;
}

#define INSPECT_STATUS "0 it verifies, 1 it does not, 2 wrong usage, 3 it could not be read"

const struct command inspect_info_command = {
    .name = "capsule info",
    .arguments = "[DIR | FILE]",
    .argument_max = 1,
    .summary = "Say what a capsule holds: records, branches, members, terms, the newest SYNC.",
    .about =
        "DIR is a store's directory of segments (default: all of the app's), FILE what 'paranoid\n"
        "capsule export' wrote. No key is needed.",
    .options = places,
    .option_count = PLACE_OPTIONS,
    .status = INSPECT_STATUS,
    .example = "paranoid capsule info",
    .run = run_info,
};

const struct command inspect_verify_command = {
    .name = "capsule verify",
    .arguments = "[DIR | FILE]",
    .argument_max = 1,
    .summary = "Verify a whole capsule offline: hashes, signatures, members, receipts, evidence.",
    .about =
        "DIR is a store's directory of segments (default: all of the app's, judged as a whole and\n"
        "each: what it lacks, and what contradicts the others), FILE what 'paranoid capsule "
        "export'\n"
        "wrote. A refusal names the record, its file and offset, and what disagreed. No key is\n"
        "needed; --keys says more.",
    .options = places,
    .option_count = PLACE_OPTIONS,
    .status = INSPECT_STATUS,
    .example = "paranoid capsule verify --keys",
    .run = run_verify,
};

const struct command inspect_log_command = {
    .name = "capsule log",
    .arguments = "[DIR | FILE]",
    .argument_max = 1,
    .summary = "List the records, newest first: hash, type, writer, sequence, epoch, size, joins.",
    .options = places,
    .option_count = LOG_OPTIONS,
    .status = INSPECT_STATUS,
    .example = "paranoid capsule log --graph -n 20",
    .run = run_log,
};

const struct command inspect_export_command = {
    .name = "capsule export",
    .arguments = "FILE [DIR | FILE]",
    .argument_min = 1,
    .argument_max = 2,
    .summary = "Write all records, one after the other, to a new file.",
    .about = "'capsule verify', 'info', 'log' and 'receipt verify --capsule' read it like a store.",
    .options = places,
    .option_count = PLACE_OPTIONS,
    .status = INSPECT_STATUS,
    .example = "paranoid capsule export backup.records",
    .run = run_export,
};
