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
#include "cli/client.h"
#include "cli/dossier.h"
#include "cli/report.h"
#include "cli/service.h"
#include "crypto/certificate.h"

enum { JUDGE_NONCE_BYTES = 32, JUDGE_HOST_BYTES = 200, JUDGE_FILE_BYTES_MAX = 1 << 20 };

void judge_report_data(uint8_t target[HASH512_BYTES], struct bytes nonce,
                       const struct p256_public *tls_key)
{
    const struct bytes parts[] = {
        bytes_text("paranoid tls v1"),
        nonce,
        bytes_of(tls_key->bytes, sizeof tls_key->bytes),
    };
    hash512_of_parts(target, parts, 3);
}

/* All that a judgement needs. */
struct judgement {
    struct app app;
    bool has_app;
    struct buffer root_pem;
    struct policy *policy;
    enum policy_role role;
    uint64_t now_s;
    uint8_t report_data[HASH512_BYTES];
    struct buffer evidence;
    struct certificate_claims claims;
    bool has_claims;
};

static enum status read_named(const char *path, struct buffer *target)
{
    enum status status = file_read(target, path, JUDGE_FILE_BYTES_MAX);
    if (status != STATUS_OK) {
        report_error("cannot read '%s': %s", path, file_reason(status));
    }
    return status;
}

static enum status read_policy(struct judgement *it, const char *path)
{
    char error[POLICY_ERROR_BYTES_MAX];
    struct buffer text = BUFFER_EMPTY;
    enum status status = read_named(path, &text);
    if (status == STATUS_OK) {
        status = policy_parse(it->policy, buffer_bytes(&text), error);
        if (status != STATUS_OK) {
            report_error("cannot use policy '%s': %s", path, error);
        }
    }
    buffer_release(&text);
    return status;
}

/* The policy and the root: the app's, or those that the line names, and then no app is needed. */
static enum status load(struct judgement *it, const struct command_line *line, bool needs_root)
{
    const char *root = command_text(line, "root", NULL);
    const char *policy = command_text(line, "policy", NULL);
    enum status status = STATUS_OK;
    it->has_app = policy == NULL || (needs_root && root == NULL);
    if (it->has_app) {
        status = app_open(&it->app, line);
    }
    if (status == STATUS_OK && policy == NULL) {
        status = app_policy(&it->app, it->policy);
    } else if (status == STATUS_OK) {
        status = read_policy(it, policy);
    }
    if (status == STATUS_OK && needs_root) {
        status = root != NULL ? read_named(root, &it->root_pem)
                              : app_read(&it->app, APP_TLS_ROOT, &it->root_pem);
    }
    return status;
}

/* "https://HOST[:PORT][/]" */
static bool split_url(const char *url, char host[JUDGE_HOST_BYTES], uint16_t *port)
{
    static const char scheme[] = "https://";
    uint64_t number = 443;
    if (strncmp(url, scheme, sizeof scheme - 1) != 0) {
        return false;
    }
    const char *start = url + sizeof scheme - 1;
    size_t length = strcspn(start, ":/");
    if (length == 0 || length >= JUDGE_HOST_BYTES) {
        return false;
    }
    snprintf(host, JUDGE_HOST_BYTES, "%.*s", (int)length, start);
    if (start[length] == ':') {
        char digits[8];
        size_t count = strcspn(start + length + 1, "/");
        snprintf(digits, sizeof digits, "%.*s", count < sizeof digits ? (int)count : 0,
                 start + length + 1);
        if (!command_read_number(digits, 1, UINT16_MAX, &number)) {
            return false;
        }
        length += 1 + count;
    }
    *port = (uint16_t)number;
    return start[length] == '\0' || strcmp(start + length, "/") == 0;
}

/* The certificate of this very connection: the app's, and then its key counts. */
static enum status take_certificate(struct judgement *it, const struct client *client,
                                    struct p256_public *tls_key)
{
    struct buffer leaf = BUFFER_EMPTY, root = BUFFER_EMPTY;
    enum status status = client_certificate(client, &leaf);
    if (status == STATUS_OK) {
        status = certificate_from_pem(&root, buffer_bytes(&it->root_pem));
    }
    if (status == STATUS_OK) {
        status = certificate_verify_leaf(&it->claims, tls_key, buffer_bytes(&leaf),
                                         buffer_bytes(&root), (uint64_t)time(NULL));
    }
    if (status != STATUS_OK) {
        report_error("refusing the worker's certificate: it is %s", status_text(status));
    } else if (it->has_app && !hash_equal(&it->claims.capsule, &it->app.genesis.capsule)) {
        report_error("refusing the worker's certificate: it names another capsule");
        status = STATUS_FORGED;
    }
    it->has_claims = status == STATUS_OK;
    buffer_release(&leaf);
    buffer_release(&root);
    return status;
}

/* Ask a worker for evidence over a nonce of our own. */
static enum status fetch(struct judgement *it, const char *host, uint16_t port)
{
    const struct random random = random_kernel();
    uint8_t nonce[JUDGE_NONCE_BYTES];
    char digits[2 * JUDGE_NONCE_BYTES + 1], target[128], error[CLIENT_ERROR_BYTES] = "";
    struct client *client = NULL;
    struct client_response response = {.status = 0};
    struct p256_public tls_key;
    const struct client_target where = {
        .host = host,
        .port = port,
        .root_pem = buffer_bytes(&it->root_pem),
        .timeout_ms = CLIENT_TIMEOUT_MS,
    };
    random_fill(&random, nonce, sizeof nonce);
    hex_encode(digits, nonce, sizeof nonce);
    snprintf(target, sizeof target, "/evidence?nonce=%s", digits);
    const struct client_request request = {.method = "GET", .target = target, .headers = ""};
    enum status status = client_open(&client, &where, error);
    if (status == STATUS_OK) {
        status = client_ask(client, &request, &response, error);
    }
    if (status != STATUS_OK) {
        report_error("%s https://%s:%u: %s",
                     status == STATUS_FORGED ? "refusing the certificate of" : "cannot ask", host,
                     port, error);
        goto done;
    }
    if (response.status != 200) {
        service_report(&response, "get evidence from", host);
        status = STATUS_IO;
        goto done;
    }
    status = take_certificate(it, client, &tls_key);
    if (status == STATUS_OK) {
        judge_report_data(it->report_data, bytes_of(nonce, sizeof nonce), &tls_key);
        it->evidence = response.body;
        response.body = BUFFER_EMPTY;
    }

done:
    client_response_release(&response);
    client_close(client);
    return status;
}

static enum status fetch_by_line(struct judgement *it, const struct command_line *line)
{
    char host[JUDGE_HOST_BYTES] = "localhost";
    uint16_t port = 0;
    const char *url = command_text(line, "url", NULL);
    if (url != NULL && !split_url(url, host, &port)) {
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
    return fetch(it, host, port);
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

static void print_verdict(const struct judgement *it, const struct verdict *verdict)
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
    if (verdict->advisories[0] != '\0') {
        printf("%-12s %.*s\n", "advisories", (int)strlen(verdict->advisories) - 1,
               verdict->advisories);
    }
    if (it->has_claims) {
        char writer[2 * sizeof it->claims.writer_id + 1];
        hex_encode(writer, it->claims.writer_id, sizeof it->claims.writer_id);
        printf("%-12s %s\n", "writer", writer);
        if (is_valid) {
            printf(
                "the certificate of this connection is the enclave's: its key is in the "
                "evidence, with our nonce\n");
        }
    }
    if (!is_valid) {
        printf("%-12s %s: %s%s%s\n", "reason", verdict_code(verdict->reason),
               verdict_sentence(verdict->reason), verdict->detail[0] != '\0' ? ": " : "",
               verdict->detail);
        printf("%-12s %s\n", "remedy", verdict_remedy(verdict->reason));
    }
}

static int give_verdict(const struct judgement *it, const struct verdict *verdict, bool is_json)
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
        print_verdict(it, verdict);
    }
    return verdict->reason == REASON_NONE ? COMMAND_OK : COMMAND_NO;
}

/* The app's own evidence: a worker's, or a container in a file. The policy always decides. */
static int judge_evidence(struct judgement *it, const struct command_line *line, const char *file)
{
    if (file != NULL && !read_report_data(it, line)) {
        return COMMAND_USAGE;
    }
    enum status status = load(it, line, file == NULL);
    if (status == STATUS_OK) {
        status = file != NULL ? read_named(file, &it->evidence) : fetch_by_line(it, line);
    }
    if (status != STATUS_OK) {
        return status == STATUS_FORGED ? COMMAND_NO : COMMAND_COULD_NOT;
    }
    const struct evidence_roots roots = policy_roots(it->policy, vendor_pinned());
    const struct verdict genuine = evidence_verify(buffer_bytes(&it->evidence), it->now_s, &roots);
    const struct verdict verdict = policy_judge(it->policy, &genuine, it->report_data, it->role);
    return give_verdict(it, &verdict, command_has(line, "json"));
}

/* A vendor's evidence in a directory. Without a policy it is judged for being genuine alone. */
static int judge_directory(struct judgement *it, const struct command_line *line,
                           const char *directory)
{
    const char *policy = command_text(line, "policy", NULL);
    bool has_report_data = command_text(line, "report-data", NULL) != NULL;
    struct dossier dossier = {.tee = TEE_UNKNOWN};
    int result = COMMAND_COULD_NOT;
    if (has_report_data && !read_report_data(it, line)) {
        return COMMAND_USAGE;
    }
    policy_init(it->policy);
    enum status status = policy == NULL ? STATUS_OK : read_policy(it, policy);
    if (status == STATUS_OK) {
        status = dossier_read(&dossier, directory);
    }
    if (status == STATUS_OK) {
        const struct evidence evidence = dossier_evidence(&dossier);
        const struct evidence_roots roots = policy_roots(it->policy, vendor_pinned());
        struct verdict verdict = command_has(line, "no-collateral")
                                     ? evidence_verify_quote(&evidence, it->now_s, &roots)
                                     : evidence_verify_parts(&evidence, it->now_s, &roots);
        // Nobody but the asker knows what the report data had to be.
        const uint8_t *report_data = has_report_data ? it->report_data : verdict.report_data;
        if (policy != NULL) {
            verdict = policy_judge(it->policy, &verdict, report_data, it->role);
        } else if (verdict.reason == REASON_NONE && has_report_data) {
            verdict = policy_judge_report_data(&verdict, report_data);
        }
        result = give_verdict(it, &verdict, command_has(line, "json"));
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
        result = COMMAND_COULD_NOT;
    } else if (read_role(&it, line) && read_time(&it, line) && options_fit(line, path)) {
        result = path != NULL && dossier_is_directory(path) ? judge_directory(&it, line, path)
                                                            : judge_evidence(&it, line, path);
    }
    free(it.policy);
    buffer_release(&it.evidence);
    buffer_release(&it.root_pem);
    app_release(&it.app);
    return result;
}

static const struct command_option options[] = {
    {.name = "url", .value = "URL", .text = "the worker to ask (default: one of the running app)"},
    {.name = "root", .value = "FILE", .text = "the app's TLS root, PEM (default: the app's)"},
    {.name = "policy",
     .value = "FILE",
     .text = "judge by this policy (default: policy.json; for a DIR none)"},
    {.name = "role", .value = "ROLE", .text = "leader, worker or compactor (default: worker)"},
    {.name = "report-data",
     .value = "HEX",
     .text = "the 64 bytes it has to carry (needed for a FILE)"},
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
    .summary =
        "Judge evidence: a vendor's in a directory, a worker's over a fresh nonce, or a file's.",
    .about =
        "A DIR holds quote.bin (SGX, TDX) or report.bin (SEV-SNP), and its collateral:\n"
        "tcb_info.json, tcb_info_issuer_chain.pem, qe_identity.json,\n"
        "qe_identity_issuer_chain.pem, pck_crl.der, root_ca_crl.der; or vcek.der or vlek.der,\n"
        "ask.pem, ark.pem and, if there is one, crl.der. It is judged by the vendors' own roots;\n"
        "without --policy, TCB status and debug mode are shown and do not decide.\n"
        "\n"
        "A worker's evidence has to name the key of the very TLS connection it came by, and the\n"
        "certificate to chain to the app's root. A FILE holds such evidence.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .status = "0 valid, 1 invalid, with reason and remedy, 2 wrong usage, 3 could not be had",
    .example = "paranoid attest verify --url https://localhost:7700",
    .run = run,
};
