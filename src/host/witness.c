/* src/host/witness.c */
#include "host/witness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attest/evidence.h"
#include "attest/simulated.h"
#include "base/check.h"
#include "tee/documents.h"
#include "tee/machine.h"

enum { WAITING_MAX = 256 };

/* A question to hardware that waits for its turn. */
struct waiting {
    struct waiting *next;
    struct witness_question question;
    uint8_t report_data[VERDICT_REPORT_DATA_BYTES];
};

struct witness {
    struct witness_config config;
    char directory[HOME_PATH_BYTES_MAX];  // of the documents
    struct machine machine;               // the thread's, while one is at work

    struct waiting *first;
    struct waiting **end;
    size_t count;
    bool is_working;
    bool is_closed;

    // The work under way: the thread's until it is done.
    uv_work_t work;
    struct waiting *asked;
    struct buffer evidence;
    enum status status;
    char error[DOCUMENTS_ERROR_BYTES_MAX];
};

static void witness_free(struct witness *witness)
{
    while (witness->first != NULL) {
        struct waiting *first = witness->first;
        witness->first = first->next;
        free(first);
    }
    buffer_release(&witness->evidence);
    free(witness);
}

enum status witness_open(struct witness **witness, const struct witness_config *config,
                         char error[HOST_ERROR_BYTES_MAX])
{
    *witness = NULL;
    struct witness *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return STATUS_NO_MEMORY;
    }
    made->config = *config;
    made->end = &made->first;
    enum status status = home_path(made->directory, config->state_directory, HOST_FILE_COLLATERAL);
    if (status == STATUS_OK && config->is_hardware) {
        machine_look(&made->machine, files_real(), &MACHINE_ROOTS);
        if (made->machine.interface == MACHINE_NONE) {
            const char *cause = made->machine.error;
            (void)snprintf(error, HOST_ERROR_BYTES_MAX,
                           "cannot ask the TEE of this machine: %s; 'paranoid doctor' looks closer",
                           cause[0] != '\0' ? cause : "it has none that Linux knows of");
            status = STATUS_NOT_FOUND;
        }
    }
    if (status != STATUS_OK) {
        witness_free(made);
        return status;
    }
    *witness = made;
    return STATUS_OK;
}

void witness_close(struct witness *witness)
{
    if (witness == NULL) {
        return;
    }
    witness->is_closed = true;
    if (!witness->is_working) {
        witness_free(witness);
    }
}

const char *witness_tee(const struct witness *witness)
{
    return verdict_tee_text(witness->config.is_hardware ? witness->machine.tee : TEE_SIMULATED);
}

// ---- hardware ----

/* In a thread of its own: asks the machine, and reads the documents there are by now. */
static void on_work(uv_work_t *work)
{
    struct witness *witness = work->data;
    struct documents documents;
    witness->error[0] = '\0';
    witness->status = documents_read(&documents, witness->directory, witness->error);
    if (witness->status == STATUS_OK) {
        witness->status = machine_evidence(&witness->machine, witness->asked->report_data,
                                           &documents.collateral, &witness->evidence);
        (void)snprintf(witness->error, sizeof witness->error, "%s", witness->machine.error);
    }
    documents_release(&documents);
}

static void work_next(struct witness *witness);

static void on_worked(uv_work_t *work, int status)
{
    struct witness *witness = work->data;
    CHECK(status == 0);  // nobody cancels it
    struct waiting *asked = witness->asked;
    witness->asked = NULL;
    witness->is_working = false;
    if (witness->is_closed) {
        free(asked);
        witness_free(witness);
        return;
    }
    if (witness->status == STATUS_OK) {
        witness->config.done(witness->config.context, &asked->question,
                             buffer_bytes(&witness->evidence));
    } else {
        log_event(witness->config.log, "no evidence cause=\"%s\"", witness->error);
    }
    free(asked);
    work_next(witness);
}

static void work_next(struct witness *witness)
{
    if (witness->is_working || witness->first == NULL) {
        return;
    }
    witness->asked = witness->first;
    witness->first = witness->asked->next;
    witness->count--;
    if (witness->first == NULL) {
        witness->end = &witness->first;
    }
    buffer_clear(&witness->evidence);
    witness->is_working = true;
    witness->work.data = witness;
    CHECK(uv_queue_work(witness->config.loop, &witness->work, on_work, on_worked) == 0);
}

static enum status ask_hardware(struct witness *witness, const struct witness_question *question,
                                struct bytes report_data)
{
    struct waiting *waiting = witness->count < WAITING_MAX ? calloc(1, sizeof *waiting) : NULL;
    if (waiting == NULL) {
        return STATUS_FULL;
    }
    waiting->question = *question;
    memcpy(waiting->report_data, report_data.at, sizeof waiting->report_data);
    *witness->end = waiting;
    witness->end = &waiting->next;
    witness->count++;
    work_next(witness);
    return STATUS_OK;
}

// ---- at once ----

/* Play the hardware: sign what the enclave says beside what it is. */
static enum status simulate(struct witness *witness, const struct hash *measurement,
                            struct bytes report_data, struct buffer *evidence)
{
    uint8_t quote[SIMULATED_QUOTE_BYTES];
    simulated_quote(witness->config.home->platform, measurement, report_data.at,
                    witness->config.is_debug, quote);
    const struct evidence parts = {
        .tee = TEE_SIMULATED,
        .quote = bytes_of(quote, sizeof quote),
        .collateral = buffer_bytes(&witness->config.home->tcb),
    };
    return evidence_encode(&parts, evidence);
}

/* The enclave's own evidence, with the documents that it could not read itself. */
static enum status complete(struct witness *witness, struct evidence *parts,
                            struct buffer *evidence)
{
    struct documents documents;
    struct buffer bundle = BUFFER_EMPTY;
    enum status status = documents_read(&documents, witness->directory, witness->error);
    if (status != STATUS_OK) {
        log_event(witness->config.log, "no documents cause=\"%s\"", witness->error);
    } else if (parts->collateral.length == 0 &&
               collateral_encode(&documents.collateral, &bundle) == STATUS_OK &&
               bundle.length <= EVIDENCE_COLLATERAL_BYTES_MAX &&
               !collateral_is_empty(&documents.collateral)) {
        parts->collateral = buffer_bytes(&bundle);
    }
    status = evidence_encode(parts, evidence);
    buffer_release(&bundle);
    documents_release(&documents);
    return status;
}

enum status witness_ask(struct witness *witness, const struct witness_question *question,
                        const struct hash *measurement, struct bytes body, const char **tee)
{
    struct evidence own;
    struct buffer evidence = BUFFER_EMPTY;
    enum status status = STATUS_OK;
    bool is_question = body.length == VERDICT_REPORT_DATA_BYTES;
    if (!is_question && evidence_decode(&own, body) != STATUS_OK) {
        return STATUS_MALFORMED;
    }
    *tee = is_question ? witness_tee(witness) : verdict_tee_text(own.tee);
    if (is_question && witness->config.is_hardware) {
        return ask_hardware(witness, question, body);
    }
    status = is_question ? simulate(witness, measurement, body, &evidence)
                         : complete(witness, &own, &evidence);
    if (status == STATUS_OK) {
        witness->config.done(witness->config.context, question, buffer_bytes(&evidence));
    }
    buffer_release(&evidence);
    return status;
}
