/* src/attest/verdict.c */
#include "attest/verdict.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/date.h"
#include "base/hex.h"

enum { JSON_DETAIL_BYTES_MAX = VERDICT_ADVISORIES_BYTES_MAX + 512 };

struct reason_text {
    const char *code;
    const char *sentence;
    const char *remedy;
};

static const struct reason_text reason_texts[] = {
    [REASON_FORMAT] = {"format", "the evidence cannot be parsed",
                       "ask the member for fresh evidence; if it stays so, its host or the "
                       "network alters it"},
    [REASON_UNSUPPORTED] = {"unsupported", "this build cannot verify evidence of this TEE",
                            "run the member in a TEE that this version supports"},
    [REASON_SIGNATURE] = {"signature", "the signature on the report does not verify",
                          "do not trust this member: what it sent was not made by the platform "
                          "it names"},
    [REASON_QE_BINDING] = {"qe_binding",
                           "the quote's key is not one that the vendor's quoting enclave vouches "
                           "for",
                           "do not trust this member; if it is honest, update the machine's "
                           "quoting enclave (Intel SGX DCAP packages)"},
    [REASON_CHIP_BINDING] = {"chip_binding",
                             "the certificate is of another chip, product or TCB than the report",
                             "fetch the certificate for the chip id and the reported TCB that are "
                             "in the report"},
    [REASON_CHAIN] = {"chain", "the certificates do not lead from the platform to a trusted root",
                      "check that the platform was certified by the vendor root that the policy "
                      "names, and that the certificate is valid today"},
    [REASON_REVOKED] = {"revoked", "the vendor has revoked the platform",
                        "move the member to another machine"},
    [REASON_COLLATERAL] = {"collateral",
                           "the vendor's statement about the platform is missing, forged, of "
                           "another platform or older than the policy grants",
                           "fetch fresh collateral from the vendor: 'paranoid attest fetch' says "
                           "which and where"},
    [REASON_COLLATERAL_EXPIRED] = {"collateral_expired",
                                   "the vendor's statement about the platform is not current",
                                   "fetch fresh collateral from the vendor, and check the clock"},
    [REASON_SIMULATED_NOT_ALLOWED] = {"simulated_not_allowed",
                                      "the member runs in a simulated TEE, which protects nothing",
                                      "use a machine with a TEE, or, to try things out, sign a "
                                      "policy with \"allow_simulated\": true and its root"},
    [REASON_DEBUG] = {"debug", "the enclave runs in debug mode, so its host can read its memory",
                      "start the enclave without debug mode"},
    [REASON_TCB_STATUS] = {"tcb_status", "the policy does not accept the platform's TCB status",
                           "update firmware and microcode of the machine, or sign a policy that "
                           "lists the status in \"tcb_statuses\""},
    [REASON_ADVISORY] = {"advisory",
                         "the policy does not accept an advisory that applies to the platform",
                         "do what the advisory asks for, or sign a policy that lists it in "
                         "\"advisories\""},
    [REASON_PLATFORM] = {"platform", "the platform is not among those that the policy pins",
                         "run the member on a pinned machine, or sign a policy that lists this "
                         "one in \"platforms\""},
    [REASON_POLICY] = {"policy", "the policy admits nobody in this role",
                       "sign a policy that lists a measurement for the role in \"measurements\""},
    [REASON_MEASUREMENT] = {"measurement", "the program is not one that the policy admits",
                            "start the program whose measurement the policy lists, or sign a "
                            "policy that lists this one"},
    [REASON_REPORT_DATA] = {"report_data",
                            "the evidence was made for another connection: it is a replay",
                            "let the member join anew; if it stays so, someone in between "
                            "repeats old evidence"},
    [REASON_OWNER] = {"owner", "the server belongs to another app, or to nobody",
                      "check the address; if it is right, someone else answers there: send it "
                      "nothing"},
    [REASON_LEADER] = {"leader", "no leader of the app vouches for the server",
                       "try again in a moment, the leader may be starting; if it stays so, the "
                       "server is no member, or the app has no leader ('paranoid status')"},
    [REASON_CERTIFICATE] = {"certificate",
                            "the connection's certificate is not the app's: someone else ends TLS",
                            "send it nothing: connect to the worker itself, without a proxy that "
                            "ends TLS in between"},
    [REASON_UNREADABLE] = {"unreadable",
                           "the evidence, or what it is to be judged by, cannot be read",
                           "name a directory with quote.bin or report.bin and its documents, all "
                           "of which can be read"},
    [REASON_NONE] = {"none", "nothing speaks against the evidence", "nothing to do"},
};

static const char *const tcb_texts[] = {
    [TCB_UP_TO_DATE] = "UpToDate",
    [TCB_SW_HARDENING_NEEDED] = "SWHardeningNeeded",
    [TCB_CONFIGURATION_NEEDED] = "ConfigurationNeeded",
    [TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED] = "ConfigurationAndSWHardeningNeeded",
    [TCB_OUT_OF_DATE] = "OutOfDate",
    [TCB_OUT_OF_DATE_CONFIGURATION_NEEDED] = "OutOfDateConfigurationNeeded",
    [TCB_REVOKED] = "Revoked",
};

_Static_assert(sizeof tcb_texts / sizeof *tcb_texts == TCB_STATUS_COUNT, "each status has a text");
_Static_assert(sizeof reason_texts / sizeof *reason_texts == REASON_NONE + 1,
               "each reason has its texts");

struct verdict verdict_at(uint64_t now_s)
{
    return (struct verdict){.judged_at_s = now_s, .valid_until_s = UINT64_MAX};
}

bool verdict_refuse(struct verdict *verdict, enum reason reason, const char *format, ...)
{
    verdict->reason = reason;
    verdict->is_admitted = false;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(verdict->detail, sizeof verdict->detail, format, arguments);
    va_end(arguments);
    return false;
}

bool verdict_narrow(struct verdict *verdict, enum reason reason, const char *what, uint64_t from_s,
                    uint64_t until_s)
{
    uint64_t now_s = verdict->judged_at_s;
    verdict->valid_from_s = from_s > verdict->valid_from_s ? from_s : verdict->valid_from_s;
    verdict->valid_until_s = until_s < verdict->valid_until_s ? until_s : verdict->valid_until_s;
    if (from_s <= now_s && now_s <= until_s) {
        return true;
    }
    char from[DATE_TEXT_BYTES], until[DATE_TEXT_BYTES], now[DATE_TEXT_BYTES];
    date_text(from, from_s);
    date_text(until, until_s);
    date_text(now, now_s);
    return verdict_refuse(verdict, reason, "'%s' is in force from %s to %s, and it is %s", what,
                          from, until, now);
}

void verdict_note_issue(struct verdict *verdict, uint64_t issued_s)
{
    if (verdict->collateral_issued_s == 0 || issued_s < verdict->collateral_issued_s) {
        verdict->collateral_issued_s = issued_s;
    }
}

void verdict_add_advisory(struct verdict *verdict, const char *name)
{
    size_t length = strlen(name), used = strlen(verdict->advisories);
    for (const char *at = verdict->advisories; *at != '\0'; at = strchr(at, ',') + 1) {
        if (strncmp(at, name, length) == 0 && at[length] == ',') {
            return;
        }
    }
    if (length == 0 || strchr(name, ',') != NULL ||
        used + length + 2 > sizeof verdict->advisories) {
        verdict->has_more_advisories = true;
        return;
    }
    snprintf(verdict->advisories + used, sizeof verdict->advisories - used, "%s,", name);
}

// A status is what a platform lacks; two platforms lack what either does.
enum { LACKS_HARDENING = 1, LACKS_CONFIGURATION = 2, LACKS_UPDATE = 4, LACKS_TRUST = 8 };

static const uint8_t lacks[TCB_STATUS_COUNT] = {
    [TCB_UP_TO_DATE] = 0,
    [TCB_SW_HARDENING_NEEDED] = LACKS_HARDENING,
    [TCB_CONFIGURATION_NEEDED] = LACKS_CONFIGURATION,
    [TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED] = LACKS_CONFIGURATION | LACKS_HARDENING,
    [TCB_OUT_OF_DATE] = LACKS_UPDATE,
    [TCB_OUT_OF_DATE_CONFIGURATION_NEEDED] = LACKS_UPDATE | LACKS_CONFIGURATION,
    [TCB_REVOKED] = LACKS_TRUST,
};

enum tcb_status verdict_tcb_worst(enum tcb_status a, enum tcb_status b)
{
    CHECK(a < TCB_STATUS_COUNT && b < TCB_STATUS_COUNT);
    uint8_t both = lacks[a] | lacks[b];
    if (a == TCB_UNKNOWN || b == TCB_UNKNOWN) {
        return TCB_UNKNOWN;
    }
    if ((both & LACKS_TRUST) != 0) {
        return TCB_REVOKED;
    }
    if ((both & LACKS_UPDATE) != 0) {
        return (both & LACKS_CONFIGURATION) != 0 ? TCB_OUT_OF_DATE_CONFIGURATION_NEEDED
                                                 : TCB_OUT_OF_DATE;
    }
    if ((both & LACKS_CONFIGURATION) != 0) {
        return (both & LACKS_HARDENING) != 0 ? TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED
                                             : TCB_CONFIGURATION_NEEDED;
    }
    return both != 0 ? TCB_SW_HARDENING_NEEDED : TCB_UP_TO_DATE;
}

struct verdict_value verdict_value_of(struct bytes bytes)
{
    CHECK(bytes.length <= VERDICT_VALUE_BYTES_MAX);
    struct verdict_value value = {.length = (uint8_t)bytes.length};
    if (bytes.length > 0) {
        memcpy(value.bytes, bytes.at, bytes.length);
    }
    return value;
}

bool verdict_value_equal(const struct verdict_value *a, const struct verdict_value *b)
{
    return bytes_equal(bytes_of(a->bytes, a->length), bytes_of(b->bytes, b->length));
}

const char *verdict_tee_text(enum tee tee)
{
    switch (tee) {
    case TEE_SIMULATED:
        return "simulated";
    case TEE_SGX:
        return "sgx";
    case TEE_TDX:
        return "tdx";
    case TEE_SEV_SNP:
        return "sev-snp";
    case TEE_UNKNOWN:
    case TEE_COUNT:
        break;
    }
    return "unknown";
}

const char *verdict_part_text(enum verdict_part part)
{
    static const char *const texts[VERDICT_PART_COUNT] = {"fmc", "boot_loader", "tee", "snp",
                                                          "microcode"};
    CHECK(part < VERDICT_PART_COUNT);
    return texts[part];
}

const char *verdict_tcb_text(enum tcb_status status)
{
    CHECK(status < TCB_STATUS_COUNT);
    return tcb_texts[status];
}

enum tcb_status verdict_tcb_parse(const char *text)
{
    for (enum tcb_status status = TCB_UP_TO_DATE; status < TCB_STATUS_COUNT; status++) {
        if (strcmp(text, tcb_texts[status]) == 0) {
            return status;
        }
    }
    return TCB_UNKNOWN;
}

static const struct reason_text *reason_text(enum reason reason)
{
    CHECK(reason <= REASON_NONE);
    return &reason_texts[reason];
}

const char *verdict_code(enum reason reason)
{
    return reason_text(reason)->code;
}

const char *verdict_sentence(enum reason reason)
{
    return reason_text(reason)->sentence;
}

const char *verdict_remedy(enum reason reason)
{
    return reason_text(reason)->remedy;
}

static const char *verdict_word(const struct verdict *verdict)
{
    return verdict->reason == REASON_NONE ? "valid" : "invalid";
}

void verdict_line(const struct verdict *verdict, char text[VERDICT_LINE_BYTES_MAX])
{
    const char *tcb_status = verdict_tcb_text(verdict->tcb_status);
    char measurement[2 * VERDICT_VALUE_BYTES_MAX + 1];
    hex_encode(measurement, verdict->measurement.bytes, verdict->measurement.length);
    snprintf(text, VERDICT_LINE_BYTES_MAX,
             "tee=%s verdict=%s reason=%s tcb_status=%s debug=%s measurement=%s detail=%s",
             verdict_tee_text(verdict->tee), verdict_word(verdict), verdict_code(verdict->reason),
             tcb_status != NULL ? tcb_status : "unknown", verdict->is_debug ? "true" : "false",
             measurement, verdict->detail);
}

/* A new string of hexadecimal digits. NULL: no memory. */
static json_t *json_hex(const uint8_t *bytes, size_t length)
{
    char text[2 * VERDICT_VALUE_BYTES_MAX + 1];
    hex_encode(text, bytes, length);
    return json_string(text);
}

/* For a program's people: the values compared and the remedy, or how long it holds. */
static void json_detail(char text[JSON_DETAIL_BYTES_MAX], const struct verdict *verdict)
{
    const char *sentence = verdict_sentence(verdict->reason);
    if (verdict->reason != REASON_NONE) {
        snprintf(text, JSON_DETAIL_BYTES_MAX, "%s%s%s; remedy: %s", sentence,
                 verdict->detail[0] != '\0' ? ": " : "", verdict->detail,
                 verdict_remedy(verdict->reason));
        return;
    }
    char from[DATE_TEXT_BYTES], until[DATE_TEXT_BYTES];
    date_text(from, verdict->valid_from_s);
    date_text(until, verdict->valid_until_s);
    bool has_dates = verdict->valid_from_s > 0;
    size_t advisories_length = strlen(verdict->advisories);  // with a comma at the end
    snprintf(text, JSON_DETAIL_BYTES_MAX, "%s%s%s%s%s%s%.*s", sentence,
             has_dates ? "; it is in force from " : "", has_dates ? from : "",
             has_dates ? " to " : "", has_dates ? until : "",
             advisories_length > 0 ? "; advisories: " : "",
             advisories_length > 0 ? (int)advisories_length - 1 : 0, verdict->advisories);
}

enum status verdict_json(const struct verdict *verdict, struct buffer *text)
{
    bool is_valid = verdict->reason == REASON_NONE;
    bool has_tee = verdict->tee != TEE_UNKNOWN;
    bool has_signer = verdict->signer.length > 0;
    char detail[JSON_DETAIL_BYTES_MAX];
    json_detail(detail, verdict);
    json_t *object = json_pack(
        "{s:s?, s:s, s:s?, s:s?, s:b, s:o, s:o, s:o, s:s}",                                //
        "tee", has_tee ? verdict_tee_text(verdict->tee) : NULL,                            //
        "verdict", verdict_word(verdict),                                                  //
        "reason", is_valid ? NULL : verdict_code(verdict->reason),                         //
        "tcb_status", verdict_tcb_text(verdict->tcb_status),                               //
        "debug", (int)verdict->is_debug,                                                   //
        "measurement", json_hex(verdict->measurement.bytes, verdict->measurement.length),  //
        "signer",
        has_signer ? json_hex(verdict->signer.bytes, verdict->signer.length) : json_null(),  //
        "report_data", json_hex(verdict->report_data, sizeof verdict->report_data),          //
        "detail", detail);
    char *dumped = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);
    enum status status = STATUS_NO_MEMORY;
    if (dumped != NULL) {
        status = buffer_append(text, dumped, strlen(dumped));
    }
    free(dumped);
    json_decref(object);
    return status;
}
