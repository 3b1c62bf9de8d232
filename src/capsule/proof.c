/* src/capsule/proof.c */
#include "capsule/proof.h"

#include "base/check.h"
#include "base/cursor.h"
#include "base/encoder.h"
#include "capsule/receipt.h"

enum { MAGIC = 0x31525050 /* "PPR1" */, PREFIX_BYTES = 4, HEADER_BYTES = 5 };

static enum status runs_append(struct buffer *target, const struct bytes *runs, size_t count)
{
    size_t length = 0;
    for (size_t i = 0; i < count; i++) {
        CHECK(runs[i].length <= UINT32_MAX);
        length += PREFIX_BYTES + runs[i].length;
    }
    struct encoder out;
    enum status status = encoder_begin(&out, target, length);
    if (status != STATUS_OK) {
        return status;
    }
    for (size_t i = 0; i < count; i++) {
        encoder_run(&out, runs[i]);
    }
    encoder_finish(&out, target);
    return STATUS_OK;
}

/* ---- statements of stores ---- */

/* What one store has signed about one branch. */
struct statement {
    uint32_t store;  // index among those that count
    uint64_t term;
    struct head head;
};

/*
 * Read and verify the next statement of this kind. STATUS_EMPTY: it does not name the branch;
 * STATUS_NOT_FOUND: no store that counts has signed it.
 */
static enum status statement_next(struct statement *statement, struct cursor *in,
                                  enum receipt_kind kind, const struct genesis *genesis,
                                  const struct writer_id *writer)
{
    struct receipt receipt;
    enum status status = receipt_decode(&receipt, cursor_run(in));
    if (status != STATUS_OK) {
        return status;
    }
    const struct genesis_store *store = genesis_store_find(genesis, &receipt.store);
    if (store == NULL) {
        return STATUS_NOT_FOUND;
    }
    status = receipt_verify(&receipt, kind, &genesis->capsule, &store->key);
    if (status != STATUS_OK) {
        return status;
    }
    // Who names it more than once is held to the most of it, as by those who count receipts.
    bool is_named = false;
    for (uint32_t i = 0; i < receipt.head_count; i++) {
        struct branch_head named = receipt_head(&receipt, i);
        if (writer_id_equal(&named.writer, writer) &&
            (!is_named || named.head.sequence > statement->head.sequence)) {
            *statement = (struct statement){
                .store = (uint32_t)(store - genesis->stores),
                .term = receipt.term,
                .head = named.head,
            };
            is_named = true;
        }
    }
    return is_named ? STATUS_OK : STATUS_EMPTY;
}

/* ---- a SYNC that was held ---- */

enum status proof_warrant_encode(struct buffer *target, struct bytes term_body,
                                 struct bytes sync_record, struct bytes receipts)
{
    const struct bytes runs[] = {term_body, sync_record, receipts};
    return runs_append(target, runs, sizeof runs / sizeof *runs);
}

static bool holds_sync(const struct head *head, const struct record *sync)
{
    return head->sequence > sync->sequence ||
           (head->sequence == sync->sequence && hash_equal(&head->hash, &sync->hash));
}

/* W different stores, each up to the SYNC or further. */
static enum status verify_receipts(struct proof_warrant *warrant, struct bytes receipts)
{
    const struct genesis *genesis = &warrant->stores.now;
    uint32_t count = 0;
    struct cursor in = cursor_over(receipts.at, receipts.length);
    while (in.left > 0) {
        struct statement held;
        enum status status =
            statement_next(&held, &in, RECEIPT_DURABLE, genesis, &warrant->sync.writer);
        if (status == STATUS_EMPTY) {
            continue;
        }
        if (status != STATUS_OK) {
            return status == STATUS_NOT_FOUND ? STATUS_FORGED : status;
        }
        if (!holds_sync(&held.head, &warrant->sync)) {
            return STATUS_FORGED;
        }
        count += warrant->heads[held.store].sequence == 0;
        warrant->heads[held.store] = held.head;
        warrant->terms[held.store] = held.term;
    }
    return count >= genesis->receipt_count ? STATUS_OK : STATUS_FORGED;
}

enum status proof_warrant_verify(struct proof_warrant *warrant, struct bytes bytes,
                                 const struct genesis *genesis)
{
    struct cursor in = cursor_over(bytes.at, bytes.length);
    struct bytes term_body = cursor_run(&in);
    struct bytes sync_record = cursor_run(&in);
    struct bytes receipts = cursor_run(&in);
    *warrant = (struct proof_warrant){.terms = {0}};
    if (!cursor_done(&in)) {
        return STATUS_MALFORMED;
    }
    enum status status = term_decode(&warrant->term, term_body, &genesis->owner, &genesis->capsule);
    if (status == STATUS_OK) {
        status = stores_of_term(&warrant->stores, &warrant->term, genesis);
    }
    if (status == STATUS_OK) {
        status = record_decode(&warrant->sync, sync_record.at, sync_record.length);
    }
    if (status != STATUS_OK) {
        return status;
    }
    const struct record *sync = &warrant->sync;
    struct writer_id leader = writer_id_of(&warrant->term.leader);
    if (sync->type != RECORD_SYNC || !hash_equal(&sync->capsule, &genesis->capsule) ||
        !writer_id_equal(&sync->writer, &leader) ||
        record_verify(sync, &warrant->term.leader) != STATUS_OK) {
        return STATUS_FORGED;
    }
    return verify_receipts(warrant, receipts);
}

/* ---- proofs ---- */

static enum status begin(struct buffer *target, enum proof_kind kind)
{
    struct encoder out;
    enum status status = encoder_begin(&out, target, HEADER_BYTES);
    if (status == STATUS_OK) {
        encoder_u32(&out, MAGIC);
        encoder_u8(&out, (uint8_t)kind);
        encoder_finish(&out, target);
    }
    return status;
}

enum status proof_fork_encode(struct buffer *target, const struct verify_key *writer,
                              struct bytes records)
{
    enum status status = begin(target, PROOF_FORK);
    if (status == STATUS_OK) {
        status = buffer_append(target, writer->bytes, SIGN_PUBLIC_BYTES);
    }
    return status == STATUS_OK ? buffer_append(target, records.at, records.length) : status;
}

enum status proof_rollback_encode(struct buffer *target, struct bytes genesis_body,
                                  struct bytes warrant, struct bytes fences)
{
    const struct bytes runs[] = {genesis_body, warrant, fences};
    enum status status = begin(target, PROOF_ROLLBACK);
    return status == STATUS_OK ? runs_append(target, runs, sizeof runs / sizeof *runs) : status;
}

static enum status verify_fork(struct proof *proof, struct cursor *in)
{
    struct verify_key key;
    struct record first;
    cursor_copy(in, key.bytes, SIGN_PUBLIC_BYTES);
    struct bytes records = cursor_bytes(in, in->left);
    if (!cursor_done(in)) {
        return STATUS_MALFORMED;
    }
    enum status status = receipt_fork_verify(records, &key);
    if (status != STATUS_OK) {
        return status;
    }
    struct cursor again = cursor_over(records.at, records.length);
    struct bytes bytes = cursor_run(&again);
    status = record_decode(&first, bytes.at, bytes.length);
    if (status == STATUS_OK) {
        proof->capsule = first.capsule;
        proof->writer = first.writer;
        proof->sequence = first.sequence;
    }
    return status;
}

/* R different stores, asked in one later term, each of which holds less than the SYNC. */
static enum status verify_fences(struct proof *proof, struct bytes fences)
{
    const struct genesis *genesis = &proof->warrant.stores.now;
    const struct record *sync = &proof->warrant.sync;
    uint32_t needed = genesis_answer_count(genesis);
    struct cursor in = cursor_over(fences.at, fences.length);
    while (in.left > 0) {
        struct statement denial;
        enum status status = statement_next(&denial, &in, RECEIPT_FENCE, genesis, &proof->writer);
        if (status == STATUS_NOT_FOUND) {
            continue;  // other stores may count by now: what they say is beside the point
        }
        if (status != STATUS_OK) {
            return status == STATUS_MALFORMED ? status : STATUS_FORGED;
        }
        bool is_of_term = proof->denied_count == 0 || proof->term == denial.term;
        if (!is_of_term || denial.term <= proof->warrant.term.number ||
            denial.head.sequence > sync->sequence || holds_sync(&denial.head, sync)) {
            return STATUS_FORGED;
        }
        proof->term = denial.term;
        proof->denied_count += !proof->has_denied[denial.store];
        proof->has_denied[denial.store] = true;
        proof->denied[denial.store] = denial.head;
        // A store says in a receipt which term it obeys: below this one, it spoke before.
        const struct head *held = &proof->warrant.heads[denial.store];
        if (held->sequence > 0 && proof->warrant.terms[denial.store] < denial.term &&
            !proof->is_blamed[denial.store]) {
            proof->is_blamed[denial.store] = true;
            proof->blamed_count++;
        }
    }
    return proof->denied_count >= needed && proof->blamed_count > 0 ? STATUS_OK : STATUS_FORGED;
}

static enum status verify_rollback(struct proof *proof, struct cursor *in)
{
    struct bytes genesis_body = cursor_run(in);
    struct bytes warrant = cursor_run(in);
    struct bytes fences = cursor_run(in);
    if (!cursor_done(in)) {
        return STATUS_MALFORMED;
    }
    enum status status = genesis_decode(&proof->genesis, genesis_body);
    if (status == STATUS_OK) {
        status = proof_warrant_verify(&proof->warrant, warrant, &proof->genesis);
    }
    if (status != STATUS_OK) {
        return status;
    }
    proof->capsule = proof->genesis.capsule;
    proof->writer = proof->warrant.sync.writer;
    proof->sequence = proof->warrant.sync.sequence;
    return verify_fences(proof, fences);
}

enum status proof_verify(struct proof *proof, struct bytes bytes)
{
    struct cursor in = cursor_over(bytes.at, bytes.length);
    *proof = (struct proof){.term = 0};
    uint32_t magic = cursor_u32(&in);
    uint8_t kind = cursor_u8(&in);
    if (in.failed || magic != MAGIC) {
        return STATUS_MALFORMED;
    }
    switch (kind) {
    case PROOF_FORK:
        proof->kind = PROOF_FORK;
        return verify_fork(proof, &in);
    case PROOF_ROLLBACK:
        proof->kind = PROOF_ROLLBACK;
        return verify_rollback(proof, &in);
    default:
        return STATUS_MALFORMED;
    }
}
