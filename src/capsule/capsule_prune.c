/* src/capsule/capsule_prune.c */
#include "capsule/capsule_internal.h"

#include <inttypes.h>

#include "capsule/prune.h"

// ---- the MANIFEST in effect ----

static bool is_same(const struct branch_head *a, const struct branch_head *b)
{
    return a->head.sequence == b->head.sequence && writer_id_equal(&a->writer, &b->writer) &&
           hash_equal(&a->head.hash, &b->head.hash);
}

bool capsule_prune_moves_on(const struct capsule *capsule, const struct branch_head *named,
                            const struct capsule_member *compactor)
{
    const struct branch_head *before = &capsule->manifest;
    if (before->head.sequence == 0) {
        return true;
    }
    if (writer_id_equal(&named->writer, &before->writer)) {
        return named->head.sequence > before->head.sequence;
    }
    const struct capsule_member *earlier = &capsule_branch_find(capsule, &before->writer)->member;
    return compactor->term > earlier->term ||
           (compactor->term == earlier->term &&
            compactor->admitted_sequence > earlier->admitted_sequence);
}

/* Whether the record at that place, where it is here, is a MANIFEST with that hash. */
static bool is_manifest_here(const struct branch *branch, const struct head *named)
{
    struct hash here;
    if (named->sequence == branch->manifest.sequence) {
        return hash_equal(&named->hash, &branch->manifest.hash);
    }
    if (branch_hash_at(branch, named->sequence, &here) && !hash_equal(&named->hash, &here)) {
        return false;
    }
    // Above the newest MANIFEST there is none, unless this replica has not seen all of the branch.
    return branch->has_leapt || named->sequence < branch->manifest.sequence ||
           named->sequence > branch->member.head.sequence;
}

enum status capsule_prune_verify_manifest(struct capsule *capsule, const struct record *record,
                                          const struct branch_head *named)
{
    if (is_same(named, &capsule->manifest)) {
        return STATUS_OK;
    }
    struct capsule_digits writer = capsule_digits_of(named->writer.bytes);
    const struct branch *branch = capsule_branch_find(capsule, &named->writer);
    if (branch == NULL || branch->member.role != MEMBER_COMPACTOR) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "it names a MANIFEST of %s, who is no compactor", writer.text);
    }
    if (!capsule_prune_moves_on(capsule, named, &branch->member)) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "it goes back to the MANIFEST %s/%" PRIu64, writer.text,
                              named->head.sequence);
    }
    uint64_t held = branch->covered.sequence;
    if (branch->examined_by == capsule->examination_count) {
        held = branch->examined_head.sequence;
    }
    if (named->head.sequence > held) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "it names the MANIFEST %s/%" PRIu64
                              " and lists that branch to %" PRIu64,
                              writer.text, named->head.sequence, held);
    }
    if (!is_manifest_here(branch, &named->head)) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "what it names as MANIFEST %s/%" PRIu64 " is another record",
                              writer.text, named->head.sequence);
    }
    return STATUS_OK;
}

void capsule_prune_set_manifest(struct capsule *capsule, const struct branch_head *named)
{
    if (!is_same(named, &capsule->manifest)) {
        capsule->manifest_before = capsule->manifest;
        capsule->manifest = *named;
    }
}

enum status capsule_prune_verify_place(struct capsule *capsule, const struct record *record)
{
    const struct branch_head *named = &capsule->manifest;
    bool is_named = record->sequence == named->head.sequence &&
                    writer_id_equal(&record->writer, &named->writer);
    if (is_named &&
        (record->type != RECORD_MANIFEST || !hash_equal(&record->hash, &named->head.hash))) {
        return capsule_refuse(capsule, record, STATUS_FORKED,
                              "a SYNC names the MANIFEST %s at its place",
                              capsule_digits_of(named->head.hash.bytes).text);
    }
    return STATUS_OK;
}

// ---- PRUNE ----

static bool contains(const struct writer_id *writer, uint64_t from, uint64_t to,
                     const struct branch_head *manifest)
{
    return writer_id_equal(writer, &manifest->writer) && from <= manifest->head.sequence &&
           manifest->head.sequence <= to;
}

const char *capsule_prune_refusal(const struct capsule *capsule, const struct writer_id *writer,
                                  uint64_t from, uint64_t to)
{
    const struct branch *branch = capsule_branch_find(capsule, writer);
    const struct capsule_gone *gone = capsule_gone_find(capsule, writer);
    if (gone != NULL && to <= gone->cut) {
        return NULL;
    }
    if (branch == NULL || branch->member.role == MEMBER_LEADER) {
        return "who is no worker or compactor";
    }
    if (to > branch->covered.sequence) {
        return "which no SYNC names so far up";
    }
    if (contains(writer, from, to, &capsule->manifest) ||
        contains(writer, from, to, &capsule->manifest_before)) {
        return "among them a MANIFEST that is in use";
    }
    return NULL;
}

static enum status verify_range(struct capsule *capsule, const struct record *record,
                                const struct prune_range *range)
{
    const char *refusal = capsule_prune_refusal(capsule, &range->writer, range->from, range->to);
    if (refusal != NULL) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "it names bodies of %s up to %" PRIu64 ", %s",
                              capsule_digits_of(range->writer.bytes).text, range->to, refusal);
    }
    return STATUS_OK;
}

/* Room for all ranges, so that all are applied or none. */
static enum status verify_and_reserve(struct capsule *capsule, const struct record *record,
                                      const struct prune_body *body)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < body->range_count && status == STATUS_OK; i++) {
        struct prune_range range = prune_range_at(body, i);
        status = verify_range(capsule, record, &range);
        if (status != STATUS_OK) {
            return status;
        }
        struct branch *branch = capsule_branch_find(capsule, &range.writer);
        status = branch == NULL ? STATUS_OK : branch_reserve_pruned(branch, body->range_count);
        if (status != STATUS_OK) {
            return capsule_refuse(capsule, record, status, "no room for another pruned range");
        }
    }
    return status;
}

enum status capsule_prune_apply(struct capsule *capsule, struct branch *leader,
                                const struct record *record)
{
    struct prune_body body;
    enum status status = prune_decode(&body, record->body);
    if (status != STATUS_OK) {
        return capsule_refuse(capsule, record, status, "its body is no PRUNE");
    }
    if (body.term != leader->member.term) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "it claims term %" PRIu64 ", its leader's is %" PRIu64, body.term,
                              leader->member.term);
    }
    if (!is_same(&body.manifest, &capsule->manifest)) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "it rests on the MANIFEST %s/%" PRIu64 ", which is not in effect",
                              capsule_digits_of(body.manifest.writer.bytes).text,
                              body.manifest.head.sequence);
    }
    status = verify_and_reserve(capsule, record, &body);
    for (uint32_t i = 0; i < body.range_count && status == STATUS_OK; i++) {
        struct prune_range range = prune_range_at(&body, i);
        struct branch *branch = capsule_branch_find(capsule, &range.writer);
        if (branch != NULL) {
            branch_prune(branch, (struct branch_range){.from = range.from, .to = range.to});
        }
    }
    return status;
}
