/* src/cli/audit.c */
#include "cli/audit.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attest/policy.h"
#include "base/check.h"
#include "base/date.h"
#include "base/hex.h"
#include "cli/inspect_internal.h"
#include "cli/policy_file.h"
#include "cli/report.h"

enum { AUDIT_DATA_BYTES_MAX = 128 << 20, AUDIT_POLICY_BYTES_MAX = 1 << 17 };

struct reason_text {
    const char *code;
    const char *sentence;
    const char *remedy;
};

static const struct reason_text reason_texts[] = {
    [AUDIT_FORMAT] = {"format", "this is no receipt", "ask for it again"},
    [AUDIT_SIGNATURE] = {"signature", "it was altered, or its worker did not sign it",
                         "ask whoever handed it out for the bytes as the worker sent them"},
    [AUDIT_CAPSULE] = {"capsule", "it speaks of another capsule",
                       "verify it with the capsule that it names: --capsule and --genesis"},
    [AUDIT_MEMBER] = {"member", "no worker of this capsule has that key",
                      "if the worker joined lately, take a newer copy of the capsule; else do not "
                      "believe it"},
    [AUDIT_EVIDENCE] = {"evidence", "its worker was admitted by other evidence",
                        "do not believe it"},
    [AUDIT_REVOKED] = {"revoked", "the owner has thrown its worker out",
                       "do not believe it; what it wrote before its cut is in the capsule"},
    [AUDIT_RECORD] = {"record", "the capsule does not hold a record that it names",
                      "if it was written lately, take a newer copy of the capsule; else a store "
                      "has lost or replaced it"},
    [AUDIT_CUT] = {"cut", "it names a record beyond the end of its branch, which counts nowhere",
                   "do what it says again: the write was lost with its worker"},
    [AUDIT_HISTORY] = {"history", "its SYNC is not in the history of this capsule",
                       "take a newer copy of the capsule; if it stays so, the capsule was rolled "
                       "back"},
    [AUDIT_POLICY] = {"policy", "the policy at hand does not admit its worker",
                      "ask the owner for the policy of that time"},
    [AUDIT_FUNCTION] = {"function", "the capsule holds no such version of the function",
                        "if it was deployed lately, take a newer copy of the capsule"},
    [AUDIT_INPUT] = {"input", "it was given for another input", "compare the files"},
    [AUDIT_OUTPUT] = {"output", "it was given for another output", "compare the files"},
    [AUDIT_NONE] = {"none", "nothing speaks against it", "nothing to do"},
};

const char *audit_code(enum audit_reason reason)
{
    return reason_texts[reason].code;
}

/* Always false, so that a judge can return it. */
static bool refuse(struct audit *audit, enum audit_reason reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool refuse(struct audit *audit, enum audit_reason reason, const char *format, ...)
{
    va_list arguments;
    audit->reason = reason;
    va_start(arguments, format);
    vsnprintf(audit->detail, sizeof audit->detail, format, arguments);
    va_end(arguments);
    return false;
}

/* ---- by the capsule ---- */

/* Whether this branch counts so far. */
static bool judge_cut(struct audit *audit, const struct survey *survey,
                      const struct writer_id *writer, uint64_t sequence)
{
    char text[WRITER_ID_TEXT_BYTES];
    const struct capsule_member *member = capsule_member_find(survey->capsule, writer);
    if (member == NULL || !member->is_closed || sequence <= member->cut.sequence) {
        return true;
    }
    writer_id_text(writer, text);
    return refuse(audit, AUDIT_CUT, "record %" PRIu64 " of %s; its branch ends with %" PRIu64,
                  sequence, text, member->cut.sequence);
}

static bool judge_head(struct audit *audit, const struct survey *survey,
                       const struct branch_head *head)
{
    char writer[WRITER_ID_TEXT_BYTES];
    writer_id_text(&head->writer, writer);
    for (size_t i = 0; i < survey->record_count; i++) {
        const struct survey_record *record = &survey->records[i];
        if (record->sequence == head->head.sequence &&
            writer_id_equal(&record->writer_id, &head->writer)) {
            return hash_equal(&record->hash, &head->head.hash) ||
                   refuse(audit, AUDIT_RECORD, "record %" PRIu64 " of %s is another one here",
                          head->head.sequence, writer);
        }
    }
    return refuse(audit, AUDIT_RECORD, "record %" PRIu64 " of %s is not here", head->head.sequence,
                  writer);
}

static bool judge_heads(struct audit *audit, const struct deed *deed, const struct survey *survey,
                        const struct writer_id *worker)
{
    for (uint32_t i = 0; i < deed->written_count; i++) {
        const struct branch_head head = {.writer = *worker, .head = deed->written[i]};
        if (!judge_cut(audit, survey, worker, head.head.sequence) ||
            !judge_head(audit, survey, &head)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < deed->read_count; i++) {
        const struct deed_read *read = &deed->read[i];
        const struct branch_head head = {.writer = read->writer, .head = read->head};
        struct audit beyond;
        if (!judge_cut(audit, survey, &read->writer, read->sequence)) {
            return false;
        }
        // What the worker had seen of it beyond what it read may have been cut since.
        if (judge_cut(&beyond, survey, &read->writer, read->head.sequence) &&
            !judge_head(audit, survey, &head)) {
            return false;
        }
    }
    return true;
}

static bool judge_worker(struct audit *audit, const struct deed *deed, const struct survey *survey,
                         const struct writer_id *worker)
{
    char text[WRITER_ID_TEXT_BYTES];
    writer_id_text(worker, text);
    const struct capsule_member *member = capsule_member_find(survey->capsule, worker);
    if (member == NULL || member->role != MEMBER_WORKER) {
        return refuse(audit, AUDIT_MEMBER, "%s is %s", text,
                      member == NULL ? "unknown" : "no worker");
    }
    if (!hash_equal(&member->evidence_hash, &deed->evidence)) {
        return refuse(audit, AUDIT_EVIDENCE, "of %s", text);
    }
    if (member->revoked_epoch != 0) {
        return refuse(audit, AUDIT_REVOKED, "%s, before epoch %" PRIu64, text,
                      member->revoked_epoch);
    }
    return true;
}

void audit_judge(struct audit *audit, const struct deed *deed, const struct survey *survey)
{
    *audit = (struct audit){.reason = AUDIT_NONE};
    const struct writer_id worker = writer_id_of(&deed->worker);
    if (!hash_equal(&deed->capsule, capsule_name(survey->capsule))) {
        refuse(audit, AUDIT_CAPSULE, "it is not the one at hand");
    } else if (!judge_worker(audit, deed, survey, &worker)) {
        return;
    } else if (deed->sync_epoch != 0 &&
               !capsule_includes_sync(survey->capsule, &deed->sync, deed->sync_epoch)) {
        refuse(audit, AUDIT_HISTORY, "SYNC of epoch %" PRIu64, deed->sync_epoch);
    } else {
        (void)judge_heads(audit, deed, survey, &worker);
    }
}

/* ---- the command ---- */

struct hearing {
    struct deed deed;
    struct audit audit;
    struct inspection inspection;
    struct hash code;  // of the FUNCTION record with its name and version
    bool has_code;
    enum tee tee;  // of the worker
};

static void note_function(void *context, const struct function_manifest *manifest,
                          struct bytes code)
{
    (void)code;
    struct inspection *inspection = context;
    struct hearing *it =
        (struct hearing *)(void *)((char *)inspection - offsetof(struct hearing, inspection));
    if (strcmp(manifest->name, it->deed.name) == 0 &&
        manifest->version == it->deed.function_version) {
        it->code = manifest->code_hash;
        it->has_code = true;
    }
}

/* With the seed the FUNCTION records are open. */
static bool judge_function(struct hearing *it)
{
    if (it->inspection.seed == NULL || (it->has_code && hash_equal(&it->code, &it->deed.code))) {
        return true;
    }
    return refuse(&it->audit, AUDIT_FUNCTION, "%s, version %" PRIu64, it->deed.name,
                  it->deed.function_version);
}

/* A policy handed out by the owner names the owner and the capsule, and whom it admits. */
static int judge_policy(struct hearing *it, const char *path)
{
    struct buffer text = BUFFER_EMPTY;
    struct policy_file file;
    char error[POLICY_ERROR_BYTES_MAX] = "";
    int result = COMMAND_COULD_NOT;
    const struct survey *survey = &it->inspection.survey;
    const struct genesis *genesis = capsule_genesis(survey->capsule);
    const struct writer_id worker = writer_id_of(&it->deed.worker);
    const struct capsule_member *member = capsule_member_find(survey->capsule, &worker);
    struct policy *policy = malloc(sizeof *policy);
    CHECK(policy != NULL && member != NULL);
    enum status status = file_read(&text, path, AUDIT_POLICY_BYTES_MAX);
    if (status != STATUS_OK) {
        report_error("cannot read '%s': %s", path, file_reason(status));
        goto done;
    }
    status = policy_file_decode(&file, buffer_bytes(&text));
    if (status == STATUS_OK) {
        status = policy_parse(policy, file.policy, error);
    }
    if (status != STATUS_OK) {
        report_error("cannot use policy '%s': %s; it has to be one of 'paranoid policy export'",
                     path, error[0] != '\0' ? error : status_text(status));
        goto done;
    }
    result = COMMAND_NO;
    if (!verify_key_equal(&file.owner, &genesis->owner) ||
        !hash_equal(&file.capsule, &genesis->capsule)) {
        refuse(&it->audit, AUDIT_POLICY, "it is of another app");
        goto done;
    }
    for (size_t i = 0; i < survey->evidence_count; i++) {
        if (survey->evidence[i].writer != capsule_member_index(survey->capsule, member)) {
            continue;
        }
        const struct verdict *verdict = &survey->evidence[i].verdict;
        const struct verdict again =
            policy_judge(policy, verdict, verdict->report_data, POLICY_WORKER);
        if (again.is_admitted) {
            result = COMMAND_OK;
        } else {
            refuse(&it->audit, AUDIT_POLICY, "%s: %s", verdict_code(again.reason), again.detail);
        }
    }

done:
    buffer_release(&text);
    free(policy);
    return result;
}

/* Compare a file with what the receipt names. */
static int judge_file(struct hearing *it, const char *path, const struct hash *named,
                      enum audit_reason reason)
{
    struct buffer bytes = BUFFER_EMPTY;
    if (path == NULL) {
        return COMMAND_OK;
    }
    enum status status = file_read(&bytes, path, AUDIT_DATA_BYTES_MAX);
    if (status != STATUS_OK) {
        report_error("cannot read '%s': %s", path, file_reason(status));
        buffer_release(&bytes);
        return COMMAND_COULD_NOT;
    }
    const struct hash hash = hash_of(bytes.bytes, bytes.length);
    buffer_release(&bytes);
    if (hash_equal(&hash, named)) {
        return COMMAND_OK;
    }
    refuse(&it->audit, reason, "'%s' has another hash", path);
    return COMMAND_NO;
}

static void find_tee(struct hearing *it)
{
    const struct survey *survey = &it->inspection.survey;
    const struct writer_id worker = writer_id_of(&it->deed.worker);
    const struct capsule_member *member = capsule_member_find(survey->capsule, &worker);
    for (size_t i = 0; member != NULL && i < survey->evidence_count; i++) {
        if (survey->evidence[i].writer == capsule_member_index(survey->capsule, member)) {
            it->tee = survey->evidence[i].verdict.tee;
        }
    }
}

static int hear(struct hearing *it, const struct command_line *line)
{
    const char *policy = command_text(line, "policy", NULL);
    enum status status = inspect_open(&it->inspection, line, command_text(line, "capsule", NULL));
    if (status != STATUS_OK) {
        return COMMAND_COULD_NOT;
    }
    it->inspection.function = note_function;
    status = inspect_survey(&it->inspection);
    if (status != STATUS_OK) {
        return inspect_refuse(&it->inspection, status);
    }
    find_tee(it);
    audit_judge(&it->audit, &it->deed, &it->inspection.survey);
    if (it->audit.reason != AUDIT_NONE || !judge_function(it)) {
        return COMMAND_NO;
    }
    int result = policy == NULL ? COMMAND_OK : judge_policy(it, policy);
    if (result == COMMAND_OK) {
        result = judge_file(it, command_text(line, "input", NULL), &it->deed.input, AUDIT_INPUT);
    }
    if (result == COMMAND_OK) {
        result = judge_file(it, command_text(line, "output", NULL), &it->deed.output, AUDIT_OUTPUT);
    }
    return result;
}

static void print_hash(const char *name, const void *bytes, size_t length)
{
    char text[2 * HASH_BYTES + 1];
    hex_encode(text, bytes, length);
    printf("%-12s %s\n", name, text);
}

static void print_facts(const struct hearing *it)
{
    const struct deed *deed = &it->deed;
    const struct writer_id worker = writer_id_of(&deed->worker);
    char date[DATE_TEXT_BYTES];
    date_text(date, deed->sync_time_ms / 1000);
    printf("%-12s %s, version %" PRIu64 "\n", "function", deed->name, deed->function_version);
    print_hash("code", deed->code.bytes, HASH_BYTES);
    print_hash("input", deed->input.bytes, HASH_BYTES);
    print_hash("output", deed->output.bytes, HASH_BYTES);
    printf("%-12s %u\n", "status", deed->status);
    print_hash("worker", worker.bytes, WRITER_ID_BYTES);
    print_hash("evidence", deed->evidence.bytes, HASH_BYTES);
    printf("%-12s %s\n", "tee", verdict_tee_text(it->tee));
    print_hash("capsule", deed->capsule.bytes, HASH_BYTES);
    if (deed->sync_epoch != 0) {
        printf("%-12s epoch %" PRIu64 ", at or after %s by the leader's clock\n", "time",
               deed->sync_epoch, date);
    }
    for (uint32_t i = 0; i < deed->written_count; i++) {
        char text[2 * HASH_BYTES + 1];
        hex_encode(text, deed->written[i].hash.bytes, HASH_BYTES);
        printf("%-12s %" PRIu64 " %s\n", "wrote", deed->written[i].sequence, text);
    }
    if (deed->has_more_written) {
        printf("%-12s more than these\n", "wrote");
    }
    for (uint32_t i = 0; i < deed->read_count; i++) {
        char text[WRITER_ID_TEXT_BYTES];
        writer_id_text(&deed->read[i].writer, text);
        printf("%-12s %s up to %" PRIu64 "\n", "read", text, deed->read[i].sequence);
    }
    if (deed->has_more_read) {
        printf("%-12s more than these\n", "read");
    }
}

static json_t *json_hex(const void *bytes, size_t length)
{
    char text[2 * HASH_BYTES + 1];
    hex_encode(text, bytes, length);
    return json_string(text);
}

static void print_json(const struct hearing *it)
{
    const struct deed *deed = &it->deed;
    const struct audit *audit = &it->audit;
    const struct writer_id worker = writer_id_of(&deed->worker);
    bool is_valid = audit->reason == AUDIT_NONE;
    json_t *written = json_array();
    for (uint32_t i = 0; i < deed->written_count; i++) {
        json_array_append_new(
            written, json_pack("{s:I, s:o}", "sequence", (json_int_t)deed->written[i].sequence,
                               "hash", json_hex(deed->written[i].hash.bytes, HASH_BYTES)));
    }
    json_t *object = json_pack(
        "{s:s, s:s?, s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:i, s:o, s:o, s:o, s:I, s:I}", "verdict",
        is_valid ? "valid" : "invalid", "reason", is_valid ? NULL : audit_code(audit->reason),
        "detail", audit->detail, "tee", verdict_tee_text(it->tee), "function", deed->name,
        "version", (json_int_t)deed->function_version, "code",
        json_hex(deed->code.bytes, HASH_BYTES), "input", json_hex(deed->input.bytes, HASH_BYTES),
        "output", json_hex(deed->output.bytes, HASH_BYTES), "status", (int)deed->status, "worker",
        json_hex(worker.bytes, WRITER_ID_BYTES), "evidence",
        json_hex(deed->evidence.bytes, HASH_BYTES), "written", written, "epoch",
        (json_int_t)deed->sync_epoch, "time_ms", (json_int_t)deed->sync_time_ms);
    CHECK(object != NULL);
    json_dumpf(object, stdout, JSON_COMPACT | JSON_SORT_KEYS);
    putchar('\n');
    json_decref(object);
}

static void print_verdict(const struct hearing *it)
{
    const struct audit *audit = &it->audit;
    const struct reason_text *text = &reason_texts[audit->reason];
    bool is_valid = audit->reason == AUDIT_NONE;
    printf("%-12s %s\n", "verdict", is_valid ? "valid" : "invalid");
    if (!is_valid) {
        printf("%-12s %s: %s%s%s\n", "reason", text->code, text->sentence,
               audit->detail[0] != '\0' ? ": " : "", audit->detail);
        printf("%-12s %s\n", "remedy", text->remedy);
    }
    if (audit->reason != AUDIT_FORMAT) {
        print_facts(it);
    }
}

static int run(const struct command_line *line)
{
    int result = COMMAND_NO;
    const char *path = line->arguments[0];
    struct buffer bytes = BUFFER_EMPTY;
    struct hearing *it = calloc(1, sizeof *it);
    CHECK(it != NULL);
    it->audit.reason = AUDIT_NONE;
    enum status status = file_read(&bytes, path, DEED_BYTES_MAX);
    if (status != STATUS_OK && status != STATUS_FULL) {
        report_error("cannot read '%s': %s", path, file_reason(status));
        result = COMMAND_COULD_NOT;
        goto done;
    }
    if (status == STATUS_FULL || deed_decode(&it->deed, buffer_bytes(&bytes)) != STATUS_OK) {
        refuse(&it->audit, AUDIT_FORMAT, "'%s'", path);
    } else if (deed_verify(&it->deed) != STATUS_OK) {
        refuse(&it->audit, AUDIT_SIGNATURE, "'%s'", path);
    } else {
        result = hear(it, line);
    }
    // A capsule that is refused or cannot be read says nothing of the receipt: that was reported.
    bool is_judged = result == COMMAND_OK || it->audit.reason != AUDIT_NONE;
    if (is_judged && command_has(line, "json")) {
        print_json(it);
    } else if (is_judged) {
        print_verdict(it);
    }

done:
    inspect_close(&it->inspection);
    buffer_release(&bytes);
    free(it);
    return result;
}

static const struct command_option options[] = {
    {.name = "capsule",
     .value = "PATH",
     .text = "a copy of the capsule: a store's directory, or what 'paranoid capsule export' wrote "
             "(default: the app's)"},
    {.name = "genesis", .value = "FILE", .text = "its GENESIS body (default: the app's)"},
    {.name = "policy",
     .value = "FILE",
     .text = "one of 'paranoid policy export': whose app it has to be, and whom it admits"},
    {.name = "input", .value = "FILE", .text = "what the function was sent"},
    {.name = "output", .value = "FILE", .text = "what it answered"},
    {.name = "keys",
     .text = "open the FUNCTION records with the app's seed: the code has to be there"},
};

const struct command audit_command = {
    .name = "receipt verify",
    .arguments = "FILE",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "Judge a receipt of 'paranoid invoke --receipt', offline.",
    .about =
        "From the receipt's signature to the worker, the MEMBER record that admitted it, its\n"
        "evidence, the policy and the owner's signature; and to the records that it names, all in\n"
        "a copy of the capsule, which is verified as 'paranoid capsule verify' does.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .status = "0 valid, 1 invalid, with the reason, 2 wrong usage, 3 could not be read",
    .example = "paranoid receipt verify answer.receipt --policy orders.policy --output answer",
    .run = run,
};
