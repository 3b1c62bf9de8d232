/* src/attest/verdict.h */
#ifndef ATTEST_VERDICT_H
#define ATTEST_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"

/*
 * verdict: what is known about one piece of evidence, and why it is refused.
 *
 * Two judges write it, one after the other. evidence_verify() asks whether the
 * evidence is genuine: signed by a TEE whose vendor we trust. policy_judge()
 * asks whether the owner admits it. Only the second sets `is_admitted`, so
 * nobody lets a stranger in by forgetting to ask it.
 */

/* The values are part of the evidence format. */
enum tee {
    TEE_UNKNOWN = 0,
    TEE_SIMULATED = 1,
    TEE_SGX = 2,
    TEE_TDX = 3,
    TEE_SEV_SNP = 4,
    TEE_COUNT,
};

/* How current a platform is, in the words of Intel's TCB info. The values are part of formats. */
enum tcb_status {
    TCB_UNKNOWN = 0,  // no collateral says; accepted by no policy
    TCB_UP_TO_DATE = 1,
    TCB_SW_HARDENING_NEEDED = 2,
    TCB_CONFIGURATION_NEEDED = 3,
    TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED = 4,
    TCB_OUT_OF_DATE = 5,
    TCB_OUT_OF_DATE_CONFIGURATION_NEEDED = 6,
    TCB_REVOKED = 7,
    TCB_STATUS_COUNT,
};

/* What the TCB of an SEV-SNP processor is made of: a version each. */
enum verdict_part {
    VERDICT_PART_FMC,  // Turin
    VERDICT_PART_BOOT_LOADER,
    VERDICT_PART_TEE,
    VERDICT_PART_SNP,
    VERDICT_PART_MICROCODE,
    VERDICT_PART_COUNT,
};

/*
 * Why evidence is refused. A closed list, each with a code for programs, a
 * sentence for people and a remedy. Zero is a refusal: a verdict that nobody
 * filled in admits nobody.
 */
enum reason {
    // Not genuine.
    REASON_FORMAT = 0,
    REASON_UNSUPPORTED,
    REASON_SIGNATURE,
    REASON_QE_BINDING,
    REASON_CHIP_BINDING,
    REASON_CHAIN,
    REASON_REVOKED,
    REASON_COLLATERAL,
    REASON_COLLATERAL_EXPIRED,

    // Genuine, and not admitted.
    REASON_SIMULATED_NOT_ALLOWED,
    REASON_DEBUG,
    REASON_TCB_STATUS,
    REASON_ADVISORY,
    REASON_PLATFORM,
    REASON_POLICY,
    REASON_MEASUREMENT,
    REASON_REPORT_DATA,

    // Admitted, and not who it has to be.
    REASON_OWNER,
    REASON_LEADER,
    REASON_CERTIFICATE,

    REASON_UNREADABLE,  // nothing was judged

    REASON_NONE,  // nothing speaks against it
};

enum {
    VERDICT_VALUE_BYTES_MAX = 64,  // an SNP chip id; the longest measurement has 48
    VERDICT_REPORT_DATA_BYTES = 64,
    VERDICT_RTMR_COUNT = 4,
    VERDICT_RTMR_BYTES = 48,
    VERDICT_DETAIL_BYTES_MAX = 256,
    VERDICT_LINE_BYTES_MAX = 512,
    VERDICT_ADVISORIES_BYTES_MAX = 1024,  // about 60 names; Intel's longest list has 28
};

/* A hash or an identifier, whose length differs from TEE to TEE. Length 0: there is none. */
struct verdict_value {
    uint8_t bytes[VERDICT_VALUE_BYTES_MAX];
    uint8_t length;
};

/*
 * The fields from `tcb_status` on are what the evidence claims. They are true
 * when the reason is none of those above "Genuine"; before that they are for
 * messages alone.
 */
struct verdict {
    enum tee tee;
    enum reason reason;
    bool is_admitted;  // set by policy_judge() alone

    enum tcb_status tcb_status;
    bool is_debug;
    struct verdict_value measurement;
    struct verdict_value signer;   // who signed the program; length 0: nobody did
    struct verdict_value product;  // which of the signer's programs it is
    uint32_t security_version;     // of the program, by its signer's count
    struct verdict_value platform;
    bool has_parts;                     // of SEV-SNP, once it is known whose TCB it is:
    unsigned parts_product;             // enum vendor_product
    uint8_t parts[VERDICT_PART_COUNT];  // of REPORTED_TCB
    uint8_t rtmrs[VERDICT_RTMR_COUNT][VERDICT_RTMR_BYTES];  // of TDX: what was loaded at runtime
    uint8_t report_data[VERDICT_REPORT_DATA_BYTES];

    uint64_t judged_at_s;          // the time it was verified for
    uint64_t collateral_issued_s;  // the oldest of the vendor's statements; 0: there are none
    uint64_t valid_from_s;         // the time during which all that was looked at is in force
    uint64_t valid_until_s;        // inclusive
    char advisories[VERDICT_ADVISORIES_BYTES_MAX];  // names, with a comma after each
    bool has_more_advisories;                       // than fit there

    char detail[VERDICT_DETAIL_BYTES_MAX];  // the values compared; empty when not refused
};

/* What a judge starts from, at Unix time `now_s`: nothing is known, so it is a refusal. */
struct verdict verdict_at(uint64_t now_s);

/*
 * Refuse: set the reason and the detail, which is cut at VERDICT_DETAIL_BYTES_MAX. Always false, so
 * that a judge can return it.
 */
bool verdict_refuse(struct verdict *verdict, enum reason reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * The evidence rests on something in force from `from_s` to `until_s`, both inclusive: narrow
 * valid_from_s and valid_until_s. False, and refused for `reason`: the time judged for lies
 * outside.
 */
bool verdict_narrow(struct verdict *verdict, enum reason reason, const char *what, uint64_t from_s,
                    uint64_t until_s);

/* The vendor issued a statement then: collateral_issued_s is the oldest of them. */
void verdict_note_issue(struct verdict *verdict, uint64_t issued_s);

/* The vendor names an advisory that applies. One that is there already is not added again. */
void verdict_add_advisory(struct verdict *verdict, const char *name);

/* Copy `bytes`, at most VERDICT_VALUE_BYTES_MAX. */
struct verdict_value verdict_value_of(struct bytes bytes);
bool verdict_value_equal(const struct verdict_value *a, const struct verdict_value *b);

/* "fmc", "boot_loader", "tee", "snp", "microcode". Static storage, never NULL. */
const char *verdict_part_text(enum verdict_part part);

/* "simulated", "sgx", "tdx", "sev-snp", "unknown". Static storage, never NULL. */
const char *verdict_tee_text(enum tee tee);

/*
 * What holds when both do: out of date as soon as one is, in need of configuration or hardening
 * when one is, revoked when one is. TCB_UNKNOWN with anything is that.
 */
enum tcb_status verdict_tcb_worst(enum tcb_status a, enum tcb_status b);

/* "UpToDate", …; NULL for TCB_UNKNOWN. And back: TCB_UNKNOWN when there is no such status. */
const char *verdict_tcb_text(enum tcb_status status);
enum tcb_status verdict_tcb_parse(const char *text);

/* Static storage, never NULL: "report_data"; what is wrong; what to do. */
const char *verdict_code(enum reason reason);
const char *verdict_sentence(enum reason reason);
const char *verdict_remedy(enum reason reason);

/*
 * One line of fields for a log: "tee=simulated verdict=invalid reason=debug
 * tcb_status=UpToDate debug=true measurement=… detail=…"; the detail goes on to the end of the
 * line.
 */
void verdict_line(const struct verdict *verdict, char text[VERDICT_LINE_BYTES_MAX]);

/*
 * Append one JSON object with the members tee, verdict ("valid" or "invalid"),
 * reason, tcb_status, debug, measurement, signer, report_data, detail. An absent TEE, reason,
 * status or signer is null, an absent measurement has no digits. The detail is a sentence with the
 * values compared and the remedy, or with how long the evidence is in force and the advisories.
 * STATUS_NO_MEMORY: nothing was appended.
 */
MUST_CHECK enum status verdict_json(const struct verdict *verdict, struct buffer *text);

#endif
