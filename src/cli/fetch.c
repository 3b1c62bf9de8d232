/* src/cli/fetch.c */
#include "cli/fetch.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "attest/dcap.h"
#include "attest/evidence.h"
#include "attest/snp.h"
#include "base/date.h"
#include "base/hex.h"
#include "cli/dossier.h"
#include "cli/report.h"

enum { URL_BYTES = 512, NEED_COUNT_MAX = 8 };

static const char INTEL[] = "https://api.trustedservices.intel.com";
static const char INTEL_ROOT_CRL[] =
    "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der";
static const char AMD[] = "https://kdsintf.amd.com";

/* One document, and where it comes from. */
struct need {
    enum collateral_kind kind;
    bool is_here;
    const char *how;  // of what the URL gives, which part it is
    char url[URL_BYTES];
};

struct needs {
    struct need list[NEED_COUNT_MAX];
    size_t count;
    size_t missing_count;
};

static char *add(struct needs *needs, const struct dossier *dossier, enum collateral_kind kind,
                 const char *how)
{
    struct need *need = &needs->list[needs->count++];
    *need = (struct need){
        .kind = kind,
        .is_here = dossier->documents.collateral.documents[kind].length > 0,
        .how = how,
    };
    needs->missing_count += !need->is_here;
    return need->url;
}

static bool needs_of_quote(struct needs *needs, const struct dossier *dossier)
{
    static const char body[] = "the answer's body";
    struct dcap_query query;
    char fmspc[2 * TCB_FMSPC_BYTES + 1];
    if (!dcap_query_read(&query, buffer_bytes(&dossier->quote))) {
        return false;
    }
    const char *tee = query.is_tdx ? "tdx" : "sgx";
    const char *ca = query.is_processor_ca ? "processor" : "platform";
    hex_encode(fmspc, query.fmspc, sizeof query.fmspc);
    snprintf(add(needs, dossier, COLLATERAL_TCB_INFO, body), URL_BYTES,
             "%s/%s/certification/v4/tcb?fmspc=%s", INTEL, tee, fmspc);
    snprintf(add(needs, dossier, COLLATERAL_TCB_INFO_ISSUER_CHAIN,
                 "its header TCB-Info-Issuer-Chain, URL-decoded"),
             URL_BYTES, "%s/%s/certification/v4/tcb?fmspc=%s", INTEL, tee, fmspc);
    snprintf(add(needs, dossier, COLLATERAL_QE_IDENTITY, body), URL_BYTES,
             "%s/%s/certification/v4/qe/identity", INTEL, tee);
    snprintf(add(needs, dossier, COLLATERAL_QE_IDENTITY_ISSUER_CHAIN,
                 "its header SGX-Enclave-Identity-Issuer-Chain, URL-decoded"),
             URL_BYTES, "%s/%s/certification/v4/qe/identity", INTEL, tee);
    snprintf(add(needs, dossier, COLLATERAL_PCK_CRL, body), URL_BYTES,
             "%s/sgx/certification/v4/pckcrl?ca=%s&encoding=der", INTEL, ca);
    snprintf(add(needs, dossier, COLLATERAL_ROOT_CA_CRL, body), URL_BYTES, "%s", INTEL_ROOT_CRL);
    return true;
}

/* The query of a VCEK: the version of each part of the TCB that the product has. */
static void tcb_text(char text[128], const struct snp_query *query)
{
    const uint8_t *tcb = query->tcb;
    if (query->product == VENDOR_TURIN) {
        snprintf(text, 128, "fmcSPL=%u&blSPL=%u&teeSPL=%u&snpSPL=%u&ucodeSPL=%u", tcb[0], tcb[1],
                 tcb[2], tcb[3], tcb[7]);
    } else {
        snprintf(text, 128, "blSPL=%u&teeSPL=%u&snpSPL=%u&ucodeSPL=%u", tcb[0], tcb[1], tcb[6],
                 tcb[7]);
    }
}

static bool needs_of_report(struct needs *needs, const struct dossier *dossier)
{
    struct snp_query query;
    char chip[2 * SNP_CHIP_BYTES + 1], tcb[128];
    if (!snp_query_read(&query, buffer_bytes(&dossier->quote))) {
        return false;
    }
    // A report of version 2 does not say which; curl asks for both.
    const char *product = query.has_product ? vendor_product_text(query.product) : "{Milan,Genoa}";
    const char *key = query.is_vlek ? "vlek" : "vcek";
    hex_encode(chip, query.chip, query.product == VENDOR_TURIN ? 8 : sizeof query.chip);
    tcb_text(tcb, &query);
    if (query.is_vlek) {
        snprintf(add(needs, dossier, COLLATERAL_VLEK, "from the machine's provider"), URL_BYTES,
                 "the certificate table beside the report (auxblob), as auxblob.bin");
    } else {
        snprintf(add(needs, dossier, COLLATERAL_VCEK, "the answer's body"), URL_BYTES,
                 "%s/vcek/v1/%s/%s?%s", AMD, product, chip, tcb);
    }
    snprintf(add(needs, dossier, COLLATERAL_ASK, "its first certificate"), URL_BYTES,
             "%s/%s/v1/%s/cert_chain", AMD, key, product);
    snprintf(add(needs, dossier, COLLATERAL_ARK, "its second certificate"), URL_BYTES,
             "%s/%s/v1/%s/cert_chain", AMD, key, product);
    snprintf(add(needs, dossier, COLLATERAL_AMD_CRL, "the answer's body; can be left out"),
             URL_BYTES, "%s/%s/v1/%s/crl", AMD, key, product);
    return true;
}

static void print_needs(const struct needs *needs, const struct verdict *verdict, bool is_json)
{
    char until[DATE_TEXT_BYTES];
    date_text(until, verdict->valid_until_s);
    bool is_known = verdict->reason == REASON_NONE;
    json_t *documents = json_array();
    for (size_t i = 0; i < needs->count; i++) {
        const struct need *need = &needs->list[i];
        if (is_json) {
            json_array_append_new(
                documents,
                json_pack("{s:s, s:b, s:s, s:s}", "document", collateral_name(need->kind),
                          "present", (int)need->is_here, "url", need->url, "part", need->how));
        } else {
            printf("%-8s %-26s %s\n%35s %s\n", need->is_here ? "here" : "missing",
                   collateral_name(need->kind), need->url, "", need->how);
        }
    }
    if (is_json) {
        json_t *object = json_pack("{s:O, s:s?}", "documents", documents, "valid_until",
                                   is_known ? until : NULL);
        json_dumpf(object, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(object);
    } else if (is_known) {
        printf("what is here is in force until %s\n", until);
    } else if (needs->missing_count == 0) {
        printf("what is here is refused: %s: %s\n", verdict_sentence(verdict->reason),
               verdict->detail);
    }
    json_decref(documents);
}

static int run(const struct command_line *line)
{
    int result = COMMAND_COULD_NOT;
    const char *directory = command_argument(line, 0, ".");
    struct dossier dossier;
    struct needs needs = {.count = 0};
    if (dossier_read_quote(&dossier, directory) == STATUS_OK &&
        dossier_read_documents(&dossier, directory) == STATUS_OK) {
        bool is_read = dossier.tee == TEE_SEV_SNP ? needs_of_report(&needs, &dossier)
                                                  : needs_of_quote(&needs, &dossier);
        const struct evidence evidence = dossier_evidence(&dossier);
        const struct evidence_roots roots = {.vendors = vendor_pinned()};
        const struct verdict verdict =
            evidence_verify_parts(&evidence, (uint64_t)time(NULL), &roots);
        if (is_read) {
            print_needs(&needs, &verdict, command_has(line, "json"));
            result = verdict.reason == REASON_NONE ? COMMAND_OK : COMMAND_NO;
        } else {
            report_error("cannot say what '%s' needs: %s", directory, verdict.detail);
        }
    }
    dossier_release(&dossier);
    return result;
}

const struct command fetch_command = {
    .name = "attest fetch",
    .arguments = "[DIR]",
    .argument_max = 1,
    .summary = "Say which collateral a quote or report lacks, and where its vendor publishes it.",
    .about =
        "DIR is as for 'attest verify' (default: .). Nothing is fetched from here: the URLs are\n"
        "for your own network, and what they give goes into DIR under the names that are shown.",
    .status =
        "0 nothing is missing and all is in force, 1 something is not, 2 wrong usage, 3 unreadable",
    .example = "paranoid attest fetch evidence/",
    .run = run,
};
