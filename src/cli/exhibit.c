/* src/cli/exhibit.c */
#include "cli/exhibit.h"

#include <inttypes.h>
#include <stdio.h>

#include <jansson.h>

#include "cli/file.h"
#include "cli/report.h"

enum { EXHIBIT_BYTES_MAX = 64 << 20 };

static void describe_stores(const struct proof *proof, FILE *target)
{
    const struct genesis *genesis = &proof->warrant.stores.now;
    for (uint32_t i = 0; i < genesis->store_count; i++) {
        const struct head *held = &proof->warrant.heads[i];
        fprintf(target, "  %-12s ", genesis->stores[i].name);
        if (held->sequence > 0) {
            fprintf(target, "signed in term %" PRIu64 " that it held %" PRIu64 " records",
                    proof->warrant.terms[i], held->sequence);
        }
        if (proof->has_denied[i]) {
            fprintf(target, "%ssigned in term %" PRIu64 " that it holds %" PRIu64,
                    held->sequence > 0 ? "; " : "", proof->term, proof->denied[i].sequence);
        }
        fprintf(target, "%s%s\n",
                held->sequence == 0 && !proof->has_denied[i] ? "said nothing of it" : "",
                proof->is_blamed[i] ? ": it lost or hid what it had signed for" : "");
    }
}

static void describe(const struct proof *proof, FILE *target)
{
    char writer[WRITER_ID_TEXT_BYTES], capsule[HASH_TEXT_BYTES];
    writer_id_text(&proof->writer, writer);
    hash_text(&proof->capsule, capsule);
    if (proof->kind == PROOF_FORK) {
        fprintf(target,
                "fork: writer %s of capsule %s signed two records for sequence %" PRIu64 "\n",
                writer, capsule, proof->sequence);
        return;
    }
    fprintf(target,
            "rollback: capsule %s, app '%s'\n"
            "  W = %" PRIu32 " stores had signed that they held SYNC %" PRIu64 ", record %" PRIu64
            " of the leader of term %" PRIu64
            "\n"
            "  asked by the leader of term %" PRIu64 ", %" PRIu32 " stores hold less:\n",
            capsule, proof->genesis.app, proof->warrant.stores.now.receipt_count,
            proof->warrant.sync.epoch, proof->sequence, proof->warrant.term.number, proof->term,
            proof->denied_count);
    describe_stores(proof, target);
}

void exhibit_note(const struct proof *proof)
{
    describe_stores(proof, stderr);
}

static json_t *json_of_stores(const struct proof *proof)
{
    json_t *stores = json_array();
    for (uint32_t i = 0; proof->kind == PROOF_ROLLBACK && i < proof->warrant.stores.now.store_count;
         i++) {
        json_t *store = json_pack("{s:s, s:b}", "name", proof->warrant.stores.now.stores[i].name,
                                  "to_blame", proof->is_blamed[i]);
        if (proof->warrant.heads[i].sequence > 0) {
            json_object_set_new(store, "signed",
                                json_integer((json_int_t)proof->warrant.heads[i].sequence));
        }
        if (proof->has_denied[i]) {
            json_object_set_new(store, "holds",
                                json_integer((json_int_t)proof->denied[i].sequence));
        }
        json_array_append_new(stores, store);
    }
    return stores;
}

static void print_json(const struct proof *proof)
{
    char writer[WRITER_ID_TEXT_BYTES], capsule[HASH_TEXT_BYTES];
    writer_id_text(&proof->writer, writer);
    hash_text(&proof->capsule, capsule);
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:I, s:o}", "kind",
                  proof->kind == PROOF_FORK ? "fork" : "rollback", "capsule", capsule, "writer",
                  writer, "sequence", (json_int_t)proof->sequence, "stores", json_of_stores(proof));
    if (proof->kind == PROOF_ROLLBACK) {
        json_object_set_new(object, "epoch", json_integer((json_int_t)proof->warrant.sync.epoch));
        json_object_set_new(object, "term", json_integer((json_int_t)proof->warrant.term.number));
        json_object_set_new(object, "asked_in_term", json_integer((json_int_t)proof->term));
    }
    json_dumpf(object, stdout, JSON_COMPACT | JSON_SORT_KEYS);
    putchar('\n');
    json_decref(object);
}

static int run(const struct command_line *line)
{
    const char *path = command_argument(line, 0, NULL);
    struct buffer bytes = BUFFER_EMPTY;
    struct proof proof;
    int result = COMMAND_COULD_NOT;
    enum status status = file_read(&bytes, path, EXHIBIT_BYTES_MAX);
    if (status != STATUS_OK) {
        report_error("cannot read '%s': %s", path, file_reason(status));
        goto done;
    }
    status = proof_verify(&proof, buffer_bytes(&bytes));
    if (status != STATUS_OK) {
        report_error("'%s' %s", path,
                     status == STATUS_MALFORMED ? "is no proof: it cannot be parsed"
                                                : "proves nothing: a signature, a number or a hash "
                                                  "in it disagrees with the rest");
        result = COMMAND_NO;
        goto done;
    }
    if (command_has(line, "json")) {
        print_json(&proof);
    } else {
        describe(&proof, stdout);
    }
    result = COMMAND_OK;

done:
    buffer_release(&bytes);
    return result;
}

const struct command exhibit_command = {
    .name = "proof verify",
    .arguments = "FILE",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "Check a proof of a fork or a rollback, offline, and say whom it convicts.",
    .about =
        "The file is all that is needed: it holds what stores and writers have signed, and the\n"
        "owner's statement of who they are. No app, no key and no network is looked at.",
    .status = "0 it is a proof, 1 it is none, 2 wrong usage, 3 it could not be read",
    .example = "paranoid proof verify ./paranoid-app/rollback-4.proof",
    .run = run,
};
