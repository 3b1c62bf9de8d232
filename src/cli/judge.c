/* src/cli/judge.c */
#include "cli/judge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "attest/evidence.h"
#include "attest/policy.h"
#include "base/check.h"
#include "base/date.h"
#include "base/hex.h"
#include "base/random.h"
#include "cli/app.h"
#include "cli/dossier.h"
#include "cli/meet.h"
#include "cli/policy_file.h"
#include "cli/report.h"
#include "cli/service.h"
#include "cli/visit.h"
#include "crypto/certificate.h"
#include "crypto/hash512.h"
#include "wire/vouch.h"

enum { JUDGE_NONCE_BYTES = 32, JUDGE_FILE_BYTES_MAX = 4 << 20 };

/* All that a judgement needs. */
struct judgement {
    struct app app;
    bool has_app;
    struct buffer policy_text;
    struct policy *policy;
    struct verify_key owner;  // with has_owner
    struct hash capsule;      // likewise
    bool has_owner;
    struct buffer root;  // DER; empty: none is known
    enum policy_role role;
    uint64_t now_s;
    uint8_t report_data[HASH512_BYTES];
    uint8_t nonce[VOUCH_NONCE_BYTES_MAX];
    size_t nonce_bytes;
    struct hash code;
    bool has_code;
    struct buffer evidence;
    struct buffer presented;  // the certificate of the connection, DER
};

static enum status read_named(const char *path, struct buffer *target)
{
    enum status status = file_read(target, path, JUDGE_FILE_BYTES_MAX);
    if (status != STATUS_OK) {
        report_error("cannot read '%s': %s", path, file_reason(status));
    }
    return status;
}

/* A policy that its owner has signed says who that is; a bare one does not. */
static enum status read_policy(struct judgement *it, const char *path)
{
    char error[POLICY_ERROR_BYTES_MAX];
    enum status status = read_named(path, &it->policy_text);
    struct bytes text = buffer_bytes(&it->policy_text);
    if (status == STATUS_OK && policy_file_is(text)) {
        struct policy_file file;
        status = policy_file_decode(&file, text);
        if (status != STATUS_OK) {
            report_error("cannot use policy '%s': %s; ask the owner for it again", path,
                         status_text(status));
            return status;
        }
        it->owner = file.owner;
        it->capsule = file.capsule;
        it->has_owner = true;
        text = file.policy;
    }
    if (status == STATUS_OK) {
        status = policy_parse(it->policy, text, error);
        if (status != STATUS_OK) {
            report_error("cannot use policy '%s': %s", path, error);
        }
    }
    return status;
}

static enum status read_root(struct judgement *it, const char *path)
{
    struct buffer pem = BUFFER_EMPTY;
    enum status status =
        path != NULL ? read_named(path, &pem) : app_read(&it->app, APP_TLS_ROOT, &pem);
    if (status == STATUS_OK) {
        status = certificate_from_pem(&it->root, buffer_bytes(&pem));
        if (status != STATUS_OK) {
            report_error("cannot use the root certificate '%s': %s",
                         path != NULL ? path : APP_TLS_ROOT, status_text(status));
        }
    }
    buffer_release(&pem);
    return status;
}

/*
 * Policy, owner and root: the app's, or those that the line names. A policy signed by its owner is
 * enough; a bare one needs a root, or an app.
 */
static enum status load(struct judgement *it, const struct command_line *line, bool is_app_meant)
{
    const char *root = command_text(line, "root", NULL);
    const char *policy = command_text(line, "policy", NULL);
    enum status status = policy == NULL ? STATUS_OK : read_policy(it, policy);
    it->has_app = policy == NULL || (is_app_meant && !it->has_owner && root == NULL);
    if (status == STATUS_OK && it->has_app) {
        status = app_open(&it->app, line);
        it->has_owner = status == STATUS_OK;
        if (status == STATUS_NOT_FOUND) {
            report_note("     with --policy FILE none is needed");
        }
    }
    if (status == STATUS_OK && it->has_app) {
        it->owner = it->app.genesis.owner;
        it->capsule = it->app.genesis.capsule;
        status = policy == NULL ? app_policy(&it->app, it->policy) : STATUS_OK;
    }
    if (status == STATUS_OK && is_app_meant && (it->has_app || root != NULL)) {
        status = read_root(it, root);
    }
    return status;
}

/* Ask a worker for evidence over a nonce of our own. */
static enum status fetch_by_line(struct judgement *it, const struct command_line *line)
{
    char host[VISIT_HOST_BYTES] = "localhost";
    const struct random random = random_kernel();
    uint16_t port = 0;
    const char *url = command_text(line, "url", NULL);
    if (url != NULL && !visit_split_url(url, host, &port)) {
        report_error("cannot use '%s': write https://HOST:PORT", url);
        return STATUS_MALFORMED;
    }
    if (url == NULL) {
        json_t *ports = it->has_app ? service_ports(&it->app) : NULL;
        port = (uint16_t)json_integer_value(json_object_get(ports, "base_port"));
        json_decref(ports);
        if (port == 0) {
            report_error(
                "cannot ask for evidence: the app does not run here; start it, or name a "
                "worker with --url");
            return STATUS_NOT_FOUND;
        }
    }
    it->nonce_bytes = JUDGE_NONCE_BYTES;
    random_fill(&random, it->nonce, it->nonce_bytes);
    return visit_ask(host, port, bytes_of(it->nonce, it->nonce_bytes), &it->evidence,
                     &it->presented);
}

static bool read_report_data(struct judgement *it, const struct command_line *line)
{
    const char *digits = command_text(line, "report-data", NULL);
    if (digits == NULL || !hex_decode(it->report_data, HASH512_BYTES, digits, strlen(digits))) {
        report_error("cannot judge a file without --report-data: 128 hexadecimal digits");
        return false;
    }
    return true;
}

static bool read_role(struct judgement *it, const struct command_line *line)
{
    const char *name = command_text(line, "role", policy_role_text(POLICY_WORKER));
    for (int role = 0; role < POLICY_ROLE_COUNT; role++) {
        if (strcmp(policy_role_text((enum policy_role)role), name) == 0) {
            it->role = (enum policy_role)role;
            return true;
        }
    }
    report_error("there is no role '%s': leader, worker or compactor", name);
    return false;
}

static void print_value(const char *name, const struct verdict_value *value)
{
    char text[2 * VERDICT_VALUE_BYTES_MAX + 1];
    hex_encode(text, value->bytes, value->length);
    printf("%-12s %s\n", name, value->length == 0 ? "-" : text);
}

static void print_verdict(const struct verdict *verdict)
{
    const char *tcb = verdict_tcb_text(verdict->tcb_status);
    bool is_valid = verdict->reason == REASON_NONE;
    printf("%-12s %s\n", "verdict", is_valid ? "valid" : "invalid");
    printf("%-12s %s\n", "tee", verdict_tee_text(verdict->tee));
    printf("%-12s %s\n", "tcb status", tcb == NULL ? "unknown" : tcb);
    printf("%-12s %s\n", "debug", verdict->is_debug ? "yes" : "no");
    print_value("measurement", &verdict->measurement);
    print_value("signer", &verdict->signer);
    print_value("platform", &verdict->platform);
    for (size_t i = 0; verdict->tee == TEE_TDX && i < VERDICT_RTMR_COUNT; i++) {
        char name[] = "rtmr0";
        const struct verdict_value value =
            verdict_value_of(bytes_of(verdict->rtmrs[i], VERDICT_RTMR_BYTES));
        name[sizeof name - 2] = (char)('0' + i);
        print_value(name, &value);
    }
    if (verdict->advisories[0] != '\0') {
        printf("%-12s %.*s\n", "advisories", (int)strlen(verdict->advisories) - 1,
               verdict->advisories);
    }
    if (!is_valid) {
        printf("%-12s %s: %s%s%s\n", "reason", verdict_code(verdict->reason),
               verdict_sentence(verdict->reason), verdict->detail[0] != '\0' ? ": " : "",
               verdict->detail);
        printf("%-12s %s\n", "remedy", verdict_remedy(verdict->reason));
    }
}

static int give_verdict(const struct verdict *verdict, bool is_json)
{
    if (is_json) {
        struct buffer text = BUFFER_EMPTY;
        if (verdict_json(verdict, &text) != STATUS_OK) {
            buffer_release(&text);
            return COMMAND_COULD_NOT;
        }
        printf("%.*s\n", (int)text.length, (const char *)text.bytes);
        buffer_release(&text);
    } else {
        print_verdict(verdict);
    }
    return verdict->reason == REASON_NONE ? COMMAND_OK : COMMAND_NO;
}

/* Nothing could be judged, as stderr says. A program gets its one object all the same. */
static int give_unreadable(const struct command_line *line)
{
    if (command_has(line, "json")) {
        struct verdict verdict = verdict_at(0);
        verdict_refuse(&verdict, REASON_UNREADABLE, "standard error says which and why");
        (void)give_verdict(&verdict, true);
    }
    return COMMAND_COULD_NOT;
}

/* Keep the root for curl and browsers: nobody but the app's workers has certificates under it. */
static enum status save_root(const struct meet_result *met, const char *path)
{
    struct buffer pem = BUFFER_EMPTY;
    enum status status = certificate_to_pem(&pem, met->root);
    if (status == STATUS_OK) {
        status = file_replace(path, buffer_bytes(&pem), 0644);
    }
    if (status != STATUS_OK) {
        report_error("cannot write '%s': %s", path, file_reason(status));
    }
    buffer_release(&pem);
    return status;
}

/* What it is that the evidence binds to the nonce. */
static const char *meeting_text(const struct command_line *line)
{
    if (command_has(line, "code")) {
        return "a function with this code asked for the evidence in that enclave, with this nonce";
    }
    if (command_argument(line, 0, NULL) != NULL) {
        return "the certificate in the file is the enclave's: its key is in the evidence, with "
               "this nonce";
    }
    return "the certificate of this connection is the enclave's: its key is in the evidence, "
           "with our nonce";
}

static int give_meeting(const struct meet_result *met, const struct command_line *line)
{
    bool is_json = command_has(line, "json");
    const char *path = command_text(line, "save", NULL);
    int result = give_verdict(&met->verdict, is_json);
    if (met->has_claims && !is_json) {
        char writer[2 * sizeof met->claims.writer_id + 1], joined[2 * HASH_BYTES + 1];
        hex_encode(writer, met->claims.writer_id, sizeof met->claims.writer_id);
        hex_encode(joined, met->claims.evidence_hash.bytes, HASH_BYTES);
        printf("%-12s %s\n", "writer", writer);
        printf("%-12s %s\n", "joined by", joined);
    }
    if (result == COMMAND_OK && !is_json) {
        printf("%s\n", meeting_text(line));
    }
    if (result == COMMAND_OK && path != NULL) {
        result = save_root(met, path) == STATUS_OK ? COMMAND_OK : COMMAND_COULD_NOT;
        if (result == COMMAND_OK && !is_json) {
            printf("the app's root is in %s: curl --cacert %s\n", path, path);
        }
    }
    return result;
}

/* What a worker says of itself: of this connection, or of a function in a file. */
static int judge_vouch(const struct judgement *it, const struct command_line *line)
{
    struct meet_result met;
    const struct meet meet = {
        .policy = it->policy,
        .owner = it->has_owner ? &it->owner : NULL,
        .capsule = it->has_owner ? &it->capsule : NULL,
        .root = buffer_bytes(&it->root),
        .nonce = bytes_of(it->nonce, it->nonce_bytes),
        .presented = buffer_bytes(&it->presented),
        .code = it->has_code ? &it->code : NULL,
        .now_s = it->now_s,
        .vendors = vendor_pinned(),
    };
    meet_judge(&met, &meet, buffer_bytes(&it->evidence));
    return give_meeting(&met, line);
}

/* The app's own evidence of the running app. The policy always decides. */
static int judge_worker(struct judgement *it, const struct command_line *line)
{
    enum status status = load(it, line, true);
    if (status == STATUS_OK) {
        status = fetch_by_line(it, line);
    }
    return status == STATUS_OK ? judge_vouch(it, line) : COMMAND_COULD_NOT;
}

/* The nonce that a function was asked with, and the function. */
static bool read_question(struct judgement *it, const struct command_line *line)
{
    const char *digits = command_text(line, "nonce", NULL);
    const char *code = command_text(line, "code", NULL);
    struct buffer text = BUFFER_EMPTY;
    it->nonce_bytes = digits == NULL ? 0 : strlen(digits) / 2;
    if (it->nonce_bytes == 0 || it->nonce_bytes > VOUCH_NONCE_BYTES_MAX ||
        !hex_decode(it->nonce, it->nonce_bytes, digits, strlen(digits))) {
        report_error("cannot judge this file without --nonce: 2 to 128 hexadecimal digits");
        return false;
    }
    if (code != NULL && read_named(code, &text) == STATUS_OK) {
        it->code = hash_of(text.bytes, text.length);
        it->has_code = true;
    }
    buffer_release(&text);
    return it->has_code || code == NULL;
}

/* Evidence in a file: what GET /evidence or ctx.attest() gave, or the bare container. */
static int judge_file(struct judgement *it, const struct command_line *line, const char *file)
{
    if (read_named(file, &it->evidence) != STATUS_OK) {
        return COMMAND_COULD_NOT;
    }
    bool is_vouch = vouch_is(buffer_bytes(&it->evidence));
    if (is_vouch ? !read_question(it, line) : !read_report_data(it, line)) {
        return COMMAND_USAGE;
    }
    if (load(it, line, is_vouch) != STATUS_OK) {
        return COMMAND_COULD_NOT;
    }
    if (is_vouch) {
        return judge_vouch(it, line);
    }
    const struct evidence_roots roots = policy_roots(it->policy, vendor_pinned());
    const struct verdict genuine = evidence_verify(buffer_bytes(&it->evidence), it->now_s, &roots);
    const struct verdict verdict = policy_judge(it->policy, &genuine, it->report_data, it->role);
    return give_verdict(&verdict, command_has(line, "json"));
}

/* A vendor's evidence in a directory. Without a policy it is judged for being genuine alone. */
static int judge_directory(struct judgement *it, const struct command_line *line,
                           const char *directory)
{
    const char *policy = command_text(line, "policy", NULL);
    bool has_report_data = command_text(line, "report-data", NULL) != NULL;
    struct dossier dossier = {.tee = TEE_UNKNOWN};
    int result;
    if (has_report_data && !read_report_data(it, line)) {
        return COMMAND_USAGE;
    }
    policy_init(it->policy);
    enum status status = policy == NULL ? STATUS_OK : read_policy(it, policy);
    if (status == STATUS_OK) {
        status = dossier_read_quote(&dossier, directory);
    }
    // An SNP report is judged by its certificates, which are documents too.
    bool is_quote_alone = command_has(line, "no-collateral") && dossier.tee != TEE_SEV_SNP;
    if (status == STATUS_OK && !is_quote_alone) {
        status = dossier_read_documents(&dossier, directory);
    }
    if (status == STATUS_OK) {
        const struct evidence evidence = dossier_evidence(&dossier);
        const struct evidence_roots roots = policy_roots(it->policy, vendor_pinned());
        struct verdict verdict = is_quote_alone
                                     ? evidence_verify_quote(&evidence, it->now_s, &roots)
                                     : evidence_verify_parts(&evidence, it->now_s, &roots);
        // Nobody but the asker knows what the report data had to be.
        const uint8_t *report_data = has_report_data ? it->report_data : verdict.report_data;
        if (policy != NULL) {
            verdict = policy_judge(it->policy, &verdict, report_data, it->role);
        } else if (verdict.reason == REASON_NONE && has_report_data) {
            verdict = policy_judge_report_data(&verdict, report_data);
        }
        result = give_verdict(&verdict, command_has(line, "json"));
    } else {
        result = give_unreadable(line);
    }
    dossier_release(&dossier);
    return result;
}

static bool read_time(struct judgement *it, const struct command_line *line)
{
    const char *text = command_text(line, "at", NULL);
    it->now_s = (uint64_t)time(NULL);
    if (text != NULL && !date_parse(&it->now_s, bytes_text(text))) {
        report_error("cannot use '%s' as a time: write it like 2026-06-08T13:24:22Z", text);
        return false;
    }
    return true;
}

/* Options that mean nothing for what is to be judged would give a false sense of having helped. */
static bool options_fit(const struct command_line *line, const char *path)
{
    bool is_directory = path != NULL && dossier_is_directory(path);
    if (command_has(line, "no-collateral") && !is_directory) {
        report_error("--no-collateral is for a vendor's evidence in a directory");
        return false;
    }
    if (command_has(line, "url") && path != NULL) {
        report_error("name a directory, a file or --url, not two of them");
        return false;
    }
    if ((command_has(line, "nonce") || command_has(line, "code")) &&
        (path == NULL || is_directory)) {
        report_error("--nonce and --code are for what ctx.attest() gave, in a file");
        return false;
    }
    if (command_has(line, "at") && path == NULL) {
        report_error("--at is for evidence in a file or directory; a worker's is judged now");
        return false;
    }
    return true;
}

static int run(const struct command_line *line)
{
    int result = COMMAND_USAGE;
    struct judgement it = {.has_app = false};
    const char *path = command_argument(line, 0, NULL);
    it.policy = malloc(sizeof *it.policy);
    CHECK(it.policy != NULL);
    if (path != NULL && access(path, R_OK) != 0) {
        report_error("cannot read '%s': %s", path, strerror(errno));
        result = give_unreadable(line);
    } else if (read_role(&it, line) && read_time(&it, line) && options_fit(line, path)) {
        result = path == NULL                 ? judge_worker(&it, line)
                 : dossier_is_directory(path) ? judge_directory(&it, line, path)
                                              : judge_file(&it, line, path);
    }
    free(it.policy);
    buffer_release(&it.evidence);
    buffer_release(&it.presented);
    buffer_release(&it.policy_text);
    buffer_release(&it.root);
    app_release(&it.app);
    return result;
}

static const struct command_option options[] = {
    {.name = "url", .value = "URL", .text = "the worker to ask (default: one of the running app)"},
    {.name = "policy",
     .value = "FILE",
     .text = "judge by this policy (default: policy.json; for a DIR none); one of "
             "'paranoid policy export' says whose app it has to be"},
    {.name = "save", .value = "FILE", .text = "valid: write the app's TLS root to FILE, PEM"},
    {.name = "root", .value = "FILE", .text = "the app's TLS root, PEM, when it is known already"},
    {.name = "role", .value = "ROLE", .text = "leader, worker or compactor (default: worker)"},
    {.name = "report-data",
     .value = "HEX",
     .text = "the 64 bytes it has to carry (needed for a FILE of bare evidence)"},
    {.name = "nonce",
     .value = "HEX",
     .text = "of a FILE that ctx.attest() gave: what it was asked"},
    {.name = "code", .value = "FILE", .text = "and the function that has to have asked"},
    {.name = "at",
     .value = "TIME",
     .text = "judge a DIR or FILE for this time, as 2026-06-08T13:24:22Z (default: now)"},
    {.name = "no-collateral",
     .text = "of a DIR: judge quote and certificates alone, not the TCB nor what was revoked"},
};

const struct command judge_command = {
    .name = "attest verify",
    .arguments = "[DIR | FILE]",
    .argument_max = 1,
    .summary = "Judge evidence: a vendor's directory, a worker's over a fresh nonce, or a file.",
    .about =
        "A DIR holds quote.bin (SGX, TDX) or report.bin (SEV-SNP), and its collateral:\n"
        "tcb_info.json, tcb_info_issuer_chain.pem, qe_identity.json,\n"
        "qe_identity_issuer_chain.pem, pck_crl.der, root_ca_crl.der; or vcek.der or vlek.der,\n"
        "ask.pem, ark.pem and, if there is one, crl.der; or, as auxblob.bin, the table that Linux\n"
        "gives beside a report. It is judged by the vendors' own roots; without --policy, TCB\n"
        "status and debug mode are shown and do not decide.\n"
        "\n"
        "A worker's evidence has to name the key of the very TLS connection it came by. Its "
        "leader's\n"
        "evidence has to name the app's TLS root and the worker; and the policy's owner has to "
        "have\n"
        "signed that leader's term. So the policy file alone tells the app's servers from others,\n"
        "and --save keeps a root for curl and browsers. A FILE holds such evidence.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .status = "0 valid, 1 invalid, with reason and remedy, 2 wrong usage, 3 could not be had",
    .example = "paranoid attest verify --url https://localhost:7700 --policy orders.policy",
    .run = run,
};
