/* fuzz/wire/join_fuzz.c */

/*
 * Both sides of the handshake. The first byte chooses label and receiver, the
 * rest is what arrives there: the frame body of one step. Keys and randomness
 * are fixed, so that the corpus holds genuine messages 2 and 3.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "capsule/term.h"
#include "crypto/crypto.h"
#include "wire/join.h"

enum receiver { TO_JUDGE_FIRST, TO_APPLICANT, TO_JUDGE_LAST, RECEIVER_COUNT };

struct world {
    enum join_label label;
    struct sign_key *owner;
    struct sign_key *leader;
    struct verify_key owner_public;
    struct hash capsule;
    struct buffer term_body;
    struct random_seeded applicant_storage;
    struct random_seeded judge_storage;
    struct random applicant_random;
    struct random judge_random;
    struct buffer apply;  // a genuine message 1, as a frame body
    struct join_applicant *applicant;
};

static void world_init(struct world *w, enum join_label label)
{
    *w = (struct world){.label = label, .capsule = {.bytes = {3}}};
    w->owner = sign_key_new_from_seed((const uint8_t[SIGN_SEED_BYTES]){1});
    w->leader = sign_key_new_from_seed((const uint8_t[SIGN_SEED_BYTES]){2});
    w->owner_public = sign_key_public(w->owner);
    w->applicant_random = random_seeded(&w->applicant_storage, 1);
    w->judge_random = random_seeded(&w->judge_storage, 2);
    if (label == JOIN_MEMBER) {
        const struct term term = {
            .capsule = w->capsule, .number = 1, .leader = sign_key_public(w->leader)};
        CHECK(term_encode(&w->term_body, &term, w->owner) == STATUS_OK);
    }
    CHECK(join_applicant_new(&w->applicant, label, MEMBER_WORKER, &w->capsule,
                             &(struct verify_key){.bytes = {4}}, &(struct p256_public){{4}},
                             &w->applicant_random, &w->apply) == STATUS_OK);
}

static void world_release(struct world *w)
{
    join_applicant_free(w->applicant);
    buffer_release(&w->apply);
    buffer_release(&w->term_body);
    sign_key_free(w->owner);
    sign_key_free(w->leader);
}

static enum status judge_new(struct world *w, struct join_judge **judge, struct bytes apply,
                             struct buffer *answer)
{
    struct join_apply applied;
    const struct sign_key *key = w->label == JOIN_MEMBER ? w->leader : w->owner;
    return join_judge_new(judge, w->label, apply, buffer_bytes(&w->term_body), key,
                          &w->judge_random, &applied, answer);
}

static void judge_first(struct world *w, struct bytes message)
{
    struct buffer answer = BUFFER_EMPTY;
    struct join_judge *judge;
    enum status status = judge_new(w, &judge, message, &answer);
    CHECK((status == STATUS_OK) == (judge != NULL));
    CHECK((status == STATUS_OK) == (answer.length > 0));
    join_judge_free(judge);
    buffer_release(&answer);
}

static void applicant_answer(struct world *w, struct bytes message)
{
    struct buffer prove = BUFFER_EMPTY;
    struct channel *channel = NULL;
    uint64_t term;
    struct verify_key leader;
    uint8_t report_data[JOIN_REPORT_DATA_BYTES];

    enum status status =
        join_applicant_answer(w->applicant, message, &w->owner_public, &term, &leader, report_data);
    CHECK(status != STATUS_STALE);
    enum status proved =
        join_applicant_prove(w->applicant, bytes_text("evidence"), &prove, &channel);
    CHECK(proved == (status == STATUS_OK ? STATUS_OK : STATUS_STALE));
    CHECK((proved == STATUS_OK) == (channel != NULL));
    channel_free(channel);
    buffer_release(&prove);
}

static void judge_last(struct world *w, struct bytes message)
{
    struct buffer answer = BUFFER_EMPTY;
    struct buffer evidence = BUFFER_EMPTY;
    struct join_judge *judge;
    struct channel *channel;
    uint8_t report_data[JOIN_REPORT_DATA_BYTES];

    struct bytes apply = bytes_of(w->apply.bytes + 1, w->apply.length - 1);
    CHECK(judge_new(w, &judge, apply, &answer) == STATUS_OK);
    enum status status = join_judge_prove(judge, message, &evidence, report_data, &channel);
    CHECK((status == STATUS_OK) == (channel != NULL));
    CHECK(status == STATUS_OK || evidence.length == 0);
    channel_free(channel);
    join_judge_free(judge);
    buffer_release(&answer);
    buffer_release(&evidence);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    if (length == 0) {
        return 0;
    }
    enum join_step step;
    struct bytes message;
    if (join_decode(&step, &message, bytes_of(bytes + 1, length - 1)) != STATUS_OK) {
        return 0;
    }

    crypto_init();
    struct world w;
    world_init(&w, bytes[0] / RECEIVER_COUNT % 2 == 0 ? JOIN_MEMBER : JOIN_PROVISION);
    switch ((enum receiver)(bytes[0] % RECEIVER_COUNT)) {
    case TO_JUDGE_FIRST:
        judge_first(&w, message);
        break;
    case TO_APPLICANT:
        applicant_answer(&w, message);
        break;
    case TO_JUDGE_LAST:
    case RECEIVER_COUNT:
        judge_last(&w, message);
        break;
    }
    world_release(&w);
    return 0;
}
