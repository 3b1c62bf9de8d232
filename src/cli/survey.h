/* src/cli/survey.h */
#ifndef CLI_SURVEY_H
#define CLI_SURVEY_H

#include <stdbool.h>
#include <stdint.h>

#include "attest/verdict.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "capsule/capsule.h"
#include "capsule/delegation.h"
#include "capsule/function.h"
#include "capsule/sync.h"
#include "capsule/tuple.h"
#include "crypto/secret.h"
#include "store/store.h"

/*
 * survey: walks the segments of one or more stores offline and judges every record from the GENESIS
 * body on: formats, hashes, signatures, membership, receipts, cuts. With the seed it opens the
 * sealed bodies, too. It changes nothing.
 *
 * What several stores hold is judged as a whole: a record that any of them holds counts once. Of
 * each it says whether all it holds is as it should be, and how much it lacks.
 */
enum { SURVEY_REASON_BYTES = 768 };
#define SURVEY_STRANGER UINT32_MAX

/* One store's files. */
struct survey_store {
    const char *directory;             // borrowed
    enum status status;                // STATUS_OK: it was read to its end, and nothing disagrees
    char reason[SURVEY_REASON_BYTES];  // of any other: which record, where, what
    size_t held_count;                 // of the records that count; it lacks the others
};

/* What is kept of each record. */
struct survey_record {
    enum record_type type;
    struct writer_id writer_id;
    uint32_t writer;  // index among the capsule's members; SURVEY_STRANGER for a GENESIS alone
    uint64_t sequence;
    uint64_t epoch;
    size_t bytes;
    struct hash hash;
    bool is_pruned;                 // its body was dropped after a PRUNE
    uint32_t key_epoch;             // that seals its body, or that a SYNC begins; 0: none
    struct writer_id about;         // of a MEMBER, a REVOKE, a CLOSE: whom it is about
    uint64_t cut;                   // of a CLOSE
    enum sync_close_reason reason;  // of a CLOSE
    uint32_t store;                 // where it was read
    struct store_place place;
    uint32_t holder_count;  // stores that hold it
    struct signature signature;
    size_t parent_first;  // in survey->parents
    size_t parent_count;
};

/* A TERM, beside what every record has. */
struct survey_term {
    size_t record;
    uint64_t number;
    uint64_t sync_epoch;  // of the SYNC to go on from
    uint64_t lost_epoch;  // the owner gave up what followed, up to this SYNC; 0: nothing
    char keeper[DELEGATION_NAME_BYTES_MAX];  // who signed it in the owner's place; "": nobody
};

/* Evidence of one member, judged by the policy that was in force for it. */
struct survey_evidence {
    uint32_t writer;
    enum member_role role;
    struct verdict verdict;
    size_t record;  // the one that carries it
};

/* Who wants to see what is in the records, as they are accepted. */
struct survey_visitor {
    void (*begin)(void *context);  // as the survey's
    void (*record)(void *context, const struct record *record);
    void (*tuple)(void *context, const struct record *record, const struct tuple_tag *tag,
                  const struct tuple *tuple);  // needs the seed
    void *context;
};

struct survey {
    struct capsule *capsule;
    const struct secret *seed;  // borrowed; NULL: bodies stay sealed
    struct survey_record *records;
    size_t record_count;
    uint32_t *parents;  // writers of each record's parents
    size_t parent_count;
    struct survey_term *terms;
    size_t term_count;
    struct survey_evidence *evidence;
    size_t evidence_count;
    uint64_t tuple_count;  // in opened bodies
    uint64_t opened_count;
    uint64_t pruned_count;  // without a body
    uint64_t beyond_count;  // records that lie beyond a cut, and count for nothing
    struct survey_store stores[GENESIS_STORES_MAX];
    uint32_t store_count;
    uint32_t walked_count;             // of the stores, the one being read included
    struct buffer fork;                // the proof, when two stores hold two records of one place
    char reason[SURVEY_REASON_BYTES];  // of the refusal: which record, where, what disagreed

    // For the caller, who may set them before survey_run(). It may have to begin again: what was
    // shown before `begin` does not count.
    void (*begin)(void *context);
    void (*progress)(void *context, const struct survey *survey, const struct store_place *place);
    void (*function)(void *context, const struct function_manifest *manifest, struct bytes code);
    enum status (*record)(void *context, struct bytes record);
    void *context;
    const struct survey_visitor *visitor;  // borrowed; NULL: none

    // Its own.
    struct survey_state *state;
};

/*
 * Walk the segments in these directories, or exported files (cli/export_file.h), at most
 * GENESIS_STORES_MAX. STATUS_OK: every record verifies, what every SYNC and CLOSE names is there,
 * and all evidence is admitted; of several stores so many could be read to their end that nothing
 * acknowledged is missing (survey->stores tells which). STATUS_NOT_FOUND: there are no segments.
 * STATUS_FORKED: two stores hold different records for one place; survey->fork proves it.
 * STATUS_IO, STATUS_NO_MEMORY. Any other: refused, and `reason` says which record and why; then
 * what could be read is in `survey`. Release it whatever comes back.
 */
MUST_CHECK enum status survey_run(struct survey *survey, struct bytes genesis_body,
                                  const char *const *directories, uint32_t count, uint64_t now_s);
void survey_release(struct survey *survey);

#endif
