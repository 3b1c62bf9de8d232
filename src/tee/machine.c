/* src/tee/machine.c */
#include "tee/machine.h"

#include <stdio.h>

#include "attest/evidence.h"
#include "base/check.h"
#include "tee/certificates.h"

_Static_assert((int)MACHINE_ERROR_BYTES_MAX == (int)GRAMINE_ERROR_BYTES_MAX &&
                   (int)MACHINE_ERROR_BYTES_MAX == (int)TSM_ERROR_BYTES_MAX,
               "an interface's error fits");

const char *machine_interface_text(enum machine_interface interface)
{
    static const char *const texts[] = {"none", "gramine", "configfs-tsm"};
    CHECK(interface <= MACHINE_TSM);
    return texts[interface];
}

void machine_look(struct machine *machine, const struct files *files,
                  const struct machine_roots *roots)
{
    *machine = (struct machine){
        .files = files,
        .roots = *roots,
        .tsm = {.files = files, .root = roots->tsm},
    };
    // An SGX enclave first: it may well stand in a machine that is confidential as a whole.
    char error[MACHINE_ERROR_BYTES_MAX] = "";
    if (gramine_look(files, roots->gramine, error) == STATUS_OK) {
        machine->interface = MACHINE_GRAMINE;
        machine->tee = TEE_SGX;
        return;
    }
    enum status status = tsm_look(&machine->tsm, &machine->tee, machine->error);
    if (status == STATUS_OK) {
        machine->interface = MACHINE_TSM;
    } else {
        machine->tee = TEE_UNKNOWN;
    }
    if (status == STATUS_NOT_FOUND) {
        (void)snprintf(machine->error, sizeof machine->error, "%s", error);
    }
}

/* Documents that the host gave, where the user gave none. */
static enum status add_certificates(struct collateral *documents, struct bytes table)
{
    struct collateral given = {.documents = {{.at = NULL}}};
    enum status status = certificates_decode(&given, table);
    for (size_t kind = 0; kind < COLLATERAL_KIND_COUNT && status == STATUS_OK; kind++) {
        if (documents->documents[kind].length == 0) {
            documents->documents[kind] = given.documents[kind];
        }
    }
    return status;
}

static enum status encode(struct machine *machine, struct bytes quote,
                          const struct collateral *documents, struct buffer *evidence)
{
    struct buffer bundle = BUFFER_EMPTY;
    enum status status = STATUS_OK;
    if (!collateral_is_empty(documents)) {  // evidence without any is for the leader to complete
        status = collateral_encode(documents, &bundle);
    }
    if (status == STATUS_OK && (quote.length > EVIDENCE_QUOTE_BYTES_MAX ||
                                bundle.length > EVIDENCE_COLLATERAL_BYTES_MAX)) {
        (void)snprintf(machine->error, sizeof machine->error,
                       "%zu bytes of evidence with %zu of collateral are too long", quote.length,
                       bundle.length);
        status = STATUS_MALFORMED;
    }
    if (status == STATUS_OK) {
        const struct evidence parts = {
            .tee = machine->tee,
            .quote = quote,
            .collateral = buffer_bytes(&bundle),
        };
        status = evidence_encode(&parts, evidence);
    }
    buffer_release(&bundle);
    return status;
}

enum status machine_evidence(struct machine *machine,
                             const uint8_t report_data[VERDICT_REPORT_DATA_BYTES],
                             const struct collateral *documents, struct buffer *evidence)
{
    struct buffer quote = BUFFER_EMPTY, table = BUFFER_EMPTY;
    struct collateral all = *documents;
    enum status status = STATUS_IO;
    machine->error[0] = '\0';
    if (machine->interface == MACHINE_GRAMINE) {
        status = gramine_quote(machine->files, machine->roots.gramine, report_data, &quote,
                               machine->error);
    } else if (machine->interface == MACHINE_TSM) {
        status = tsm_report(&machine->tsm, report_data, &quote, &table, machine->error);
    } else {
        (void)snprintf(machine->error, sizeof machine->error,
                       "this machine has no TEE that could be asked");
    }
    if (status == STATUS_OK && machine->tee == TEE_SEV_SNP) {
        status = add_certificates(&all, buffer_bytes(&table));
        if (status != STATUS_OK) {
            (void)snprintf(machine->error, sizeof machine->error,
                           "the host's certificates (auxblob) are no table of %zu bytes",
                           table.length);
        }
    }
    if (status == STATUS_OK) {
        status = encode(machine, buffer_bytes(&quote), &all, evidence);
    }
    buffer_release(&quote);
    buffer_release(&table);
    return status;
}
