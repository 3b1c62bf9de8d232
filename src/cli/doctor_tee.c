/* src/cli/doctor_tee.c */
#include "cli/doctor_tee.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "attest/simulated.h"
#include "base/date.h"
#include "base/hex.h"
#include "cli/measure.h"
#include "host/host.h"
#include "tee/documents.h"
#include "tee/machine.h"

enum { SOON_S = 7 * 24 * 60 * 60, WHAT_BYTES = 48 };

static const char FETCH_CURE[] =
    "put what 'paranoid attest fetch' names into host/collateral of the app's directory";

static const char SIMULATED_CURE[] =
    "check the clock; then 'paranoid up' has the simulated vendor state it anew";

/* One way to run an app here. */
struct way {
    const char *name;  // as `up --tee` has it
    struct verdict verdicts[POLICY_ROLE_COUNT];
    bool is_judged[POLICY_ROLE_COUNT];  // there was something to judge
};

void doctor_tee_machine(struct findings *findings)
{
    struct machine machine;
    machine_look(&machine, files_real(), &MACHINE_ROOTS);
    if (machine.interface != MACHINE_NONE) {
        findings_add(findings, FINDINGS_GOOD, "tee", NULL,
                     "%s, by %s: 'paranoid up --tee hardware'", verdict_tee_text(machine.tee),
                     machine_interface_text(machine.interface));
    } else if (machine.error[0] != '\0') {
        findings_add(findings, FINDINGS_NOTED, "tee", "or run with the simulated TEE", "%s",
                     machine.error);
    } else {
        findings_add(findings, FINDINGS_NOTED, "tee", NULL,
                     "simulated: no " GRAMINE_ROOT ", no " TSM_ROOT
                     "; whoever runs this machine can read everything");
    }
}

// ---- evidence as `up` would make it, of report data that nobody will ask for ----

static const uint8_t NO_REPORT_DATA[VERDICT_REPORT_DATA_BYTES];

static void judge(struct way *way, enum policy_role role, const struct policy *policy,
                  const struct buffer *evidence)
{
    const struct evidence_roots roots = policy_roots(policy, vendor_pinned());
    const struct verdict genuine =
        evidence_verify(buffer_bytes(evidence), (uint64_t)time(NULL), &roots);
    way->verdicts[role] = policy_judge(policy, &genuine, NO_REPORT_DATA, role);
    way->is_judged[role] = true;
}

static enum status simulate(struct buffer *evidence, const struct simulated_platform *platform,
                            struct bytes tcb, enum policy_role role)
{
    struct hash measurement;
    uint8_t quote[SIMULATED_QUOTE_BYTES];
    enum status status = measure_program(role, &measurement);
    if (status == STATUS_OK) {
        simulated_quote(platform, &measurement, NO_REPORT_DATA, false, quote);
        const struct evidence parts = {
            .tee = TEE_SIMULATED,
            .quote = bytes_of(quote, sizeof quote),
            .collateral = tcb,
        };
        status = evidence_encode(&parts, evidence);
    }
    return status;
}

static void try_simulated(struct way *way, struct findings *findings, const struct app *app,
                          const struct policy *policy)
{
    struct buffer bytes = BUFFER_EMPTY, tcb = BUFFER_EMPTY, evidence = BUFFER_EMPTY;
    struct simulated_platform *platform = NULL;
    if (app_read(app, APP_HOST "/" HOST_FILE_PLATFORM, &bytes) != STATUS_OK ||
        app_read(app, APP_HOST "/" HOST_FILE_TCB, &tcb) != STATUS_OK ||
        simulated_platform_decode(&platform, buffer_bytes(&bytes)) != STATUS_OK) {
        findings_add(findings, FINDINGS_BAD, "simulated platform",
                     "remove what is left of both: 'paranoid up' makes them anew",
                     APP_HOST "/" HOST_FILE_PLATFORM " or " APP_HOST "/" HOST_FILE_TCB
                              " cannot be read");
    }
    for (enum policy_role role = 0; role < POLICY_ROLE_COUNT && platform != NULL; role++) {
        buffer_clear(&evidence);
        if (simulate(&evidence, platform, buffer_bytes(&tcb), role) == STATUS_OK) {
            judge(way, role, policy, &evidence);
        } else {
            findings_add(findings, FINDINGS_BAD, policy_role_text(role),
                         "build it with './run build'", "its program is not there");
        }
    }
    simulated_platform_free(platform);
    buffer_release(&bytes);
    buffer_release(&tcb);
    buffer_release(&evidence);
}

/* False: there is no hardware here. */
static bool try_hardware(struct way *way, struct findings *findings, const struct app *app,
                         const struct policy *policy)
{
    char directory[FILE_PATH_BYTES], error[DOCUMENTS_ERROR_BYTES_MAX];
    struct machine machine;
    struct documents documents;
    struct buffer evidence = BUFFER_EMPTY;
    machine_look(&machine, files_real(), &MACHINE_ROOTS);
    if (machine.interface == MACHINE_NONE) {
        return false;
    }
    app_path(app, APP_HOST "/" HOST_FILE_COLLATERAL, directory);
    if (documents_read(&documents, directory, error) != STATUS_OK) {
        findings_add(findings, FINDINGS_BAD, "collateral", "let this user read it", "%s", error);
    } else if (machine_evidence(&machine, NO_REPORT_DATA, &documents.collateral, &evidence) !=
               STATUS_OK) {
        findings_add(findings, FINDINGS_BAD, "evidence", NULL, "%s", machine.error);
    } else {
        // The measurement of a machine is the same for every role; what the policy says is not.
        for (enum policy_role role = 0; role < POLICY_ROLE_COUNT; role++) {
            judge(way, role, policy, &evidence);
        }
    }
    documents_release(&documents);
    buffer_release(&evidence);
    return true;
}

// ---- what comes of it ----

static bool is_admitted(const struct way *way)
{
    for (enum policy_role role = 0; role < POLICY_ROLE_COUNT; role++) {
        if (!way->is_judged[role] || !way->verdicts[role].is_admitted) {
            return false;
        }
    }
    return true;
}

static const char *remedy_of(const struct verdict *verdict)
{
    switch (verdict->reason) {
    case REASON_MEASUREMENT:
        return verdict->tee == TEE_SIMULATED ? "if you rebuilt it, run 'paranoid policy update'"
                                             : verdict_remedy(verdict->reason);
    case REASON_COLLATERAL:
    case REASON_COLLATERAL_EXPIRED:
        return verdict->tee == TEE_SIMULATED ? SIMULATED_CURE : FETCH_CURE;
    default:
        return verdict_remedy(verdict->reason);
    }
}

static void show_role(struct findings *findings, const struct way *way, enum policy_role role,
                      enum findings_state refused)
{
    char what[WHAT_BYTES];
    char measurement[2 * VERDICT_VALUE_BYTES_MAX + 1];
    const struct verdict *verdict = &way->verdicts[role];
    const char *tcb = verdict_tcb_text(verdict->tcb_status);
    if (!way->is_judged[role]) {
        return;
    }
    (void)snprintf(what, sizeof what, "%s, %s", policy_role_text(role), way->name);
    hex_encode(measurement, verdict->measurement.bytes, verdict->measurement.length);
    if (verdict->is_admitted) {
        findings_add(findings, FINDINGS_GOOD, what, NULL, "would be admitted: tee=%s%s%s %s",
                     verdict_tee_text(verdict->tee), tcb != NULL ? " " : "", tcb != NULL ? tcb : "",
                     measurement);
    } else {
        findings_add(findings, refused, what, remedy_of(verdict),
                     "would be refused (%s): %s: %s; tee=%s %s", verdict_code(verdict->reason),
                     verdict_sentence(verdict->reason), verdict->detail,
                     verdict_tee_text(verdict->tee), measurement);
    }
}

/* How long the vendor's statements count: known once the evidence is genuine. */
static void show_dates(struct findings *findings, const struct way *way,
                       const struct policy *policy)
{
    const struct verdict *verdict = &way->verdicts[POLICY_LEADER];
    char what[WHAT_BYTES], until[DATE_TEXT_BYTES];
    bool is_genuine = way->is_judged[POLICY_LEADER] && verdict->valid_until_s != UINT64_MAX &&
                      verdict->reason > REASON_COLLATERAL_EXPIRED;
    if (!is_genuine) {
        return;
    }
    uint64_t until_s = policy_collateral_until(policy, verdict);
    date_text(until, until_s);
    (void)snprintf(what, sizeof what, "collateral, %s", way->name);
    if (until_s < verdict->judged_at_s) {
        return;  // it is too old for the policy: that is said of each role
    }
    if (until_s < verdict->judged_at_s + SOON_S) {
        findings_add(findings, FINDINGS_NOTED, what,
                     verdict->tee == TEE_SIMULATED ? SIMULATED_CURE : FETCH_CURE,
                     "good only until %s", until);
    } else {
        findings_add(findings, FINDINGS_GOOD, what, NULL, "good until %s", until);
    }
}

static void show_policy(struct findings *findings, const struct policy *policy)
{
    if (policy->allow_simulated) {
        findings_add(findings, FINDINGS_NOTED, "policy", NULL,
                     "version %" PRIu32 "; it admits simulated TEEs, which protect nothing",
                     policy->version);
    } else {
        findings_add(findings, FINDINGS_GOOD, "policy", NULL, "version %" PRIu32, policy->version);
    }
}

void doctor_tee_admission(struct findings *findings, const struct app *app,
                          const struct policy *policy)
{
    struct way ways[] = {{.name = "simulated"}, {.name = "hardware"}};
    size_t count = 1;
    show_policy(findings, policy);
    try_simulated(&ways[0], findings, app, policy);
    count += try_hardware(&ways[1], findings, app, policy);
    // Where one way is open, that the other is closed harms nobody.
    bool is_open = is_admitted(&ways[0]) || (count == 2 && is_admitted(&ways[1]));
    for (size_t i = 0; i < count; i++) {
        for (enum policy_role role = 0; role < POLICY_ROLE_COUNT; role++) {
            show_role(findings, &ways[i], role, is_open ? FINDINGS_NOTED : FINDINGS_BAD);
        }
        show_dates(findings, &ways[i], policy);
    }
}
