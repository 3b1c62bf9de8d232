/* tests/wire/join_test.c */

/*
 * Goal: two ends that ran the handshake over the same bytes have one channel
 * and one report data; whoever changes, replays, mixes or invents a byte of it
 * leaves at least one side without.
 * Method: run both sides by hand under both labels, play the network between
 * them, and forge what only a holder of the keys could sign.
 */
#define _GNU_SOURCE  // memmem()
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "capsule/term.h"
#include "crypto/crypto.h"
#include "tests/wire/bodies.h"
#include "wire/join.h"

// Where the fields of messages 1 and 2 lie (docs/format/join.md).
enum {
    APPLY_ROLE = 1,
    APPLY_AGREE = 34,
    APPLY_BYTES = 195,
    ANSWER_AGREE = 0,
    ANSWER_FIXED_BYTES = 132,
};

struct fixture {
    struct random_seeded storage;
    struct random random;
    struct hash capsule;
    struct p256_public tls_key;
    struct sign_key *owner;
    struct sign_key *leader;
    struct verify_key owner_public;
    struct verify_key leader_public;
    struct verify_key worker_public;
    struct buffer term_body;
};

static void term_make(struct fixture *f, const struct hash *capsule, const struct sign_key *owner)
{
    const struct term term = {
        .capsule = *capsule,
        .number = 3,
        .leader = f->leader_public,
        .evidence = bytes_text("the leader's evidence"),
    };
    buffer_clear(&f->term_body);
    assert_int_equal(term_encode(&f->term_body, &term, owner), STATUS_OK);
}

static int setup(void **state)
{
    static struct fixture f;
    f.random = random_seeded(&f.storage, 8121);
    f.capsule = bodies_hash(0x40);
    bodies_count(f.tls_key.bytes, sizeof f.tls_key.bytes, 0x04);
    f.owner = bodies_sign_key(0x10);
    f.leader = bodies_sign_key(0x20);
    f.owner_public = sign_key_public(f.owner);
    f.leader_public = sign_key_public(f.leader);
    bodies_count(f.worker_public.bytes, sizeof f.worker_public.bytes, 0x90);
    f.term_body = BUFFER_EMPTY;
    term_make(&f, &f.capsule, f.owner);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    sign_key_free(f->owner);
    sign_key_free(f->leader);
    buffer_release(&f->term_body);
    return 0;
}

/* One attempt: both sides and the frame bodies that travel between them. */
struct attempt {
    enum join_label label;
    struct join_applicant *applicant;
    struct join_judge *judge;
    struct buffer apply;
    struct buffer answer;
    struct buffer prove;
    struct buffer evidence;  // as the judge reads it
    struct join_apply applied;
    uint64_t term;
    struct verify_key leader;
    uint8_t applicant_data[JOIN_REPORT_DATA_BYTES];
    uint8_t judge_data[JOIN_REPORT_DATA_BYTES];
    struct channel *applicant_channel;
    struct channel *judge_channel;
};

static const char evidence_text[] = "quote of this very enclave";

static void attempt_init(struct fixture *f, struct attempt *a, enum join_label label)
{
    *a = (struct attempt){.label = label};
    enum member_role role = label == JOIN_MEMBER ? MEMBER_WORKER : MEMBER_LEADER;
    assert_int_equal(join_applicant_new(&a->applicant, label, role, &f->capsule, &f->worker_public,
                                        &f->tls_key, &f->random, &a->apply),
                     STATUS_OK);
}

static void attempt_release(struct attempt *a)
{
    join_applicant_free(a->applicant);
    join_judge_free(a->judge);
    channel_free(a->applicant_channel);
    channel_free(a->judge_channel);
    buffer_release(&a->apply);
    buffer_release(&a->answer);
    buffer_release(&a->prove);
    buffer_release(&a->evidence);
}

/* The message of a body that has to be of this step. */
static enum status message_of(struct bytes *message, enum join_step expected,
                              const struct buffer *body)
{
    enum join_step step;
    enum status status = join_decode(&step, message, buffer_bytes(body));
    if (status == STATUS_OK && step != expected) {
        return STATUS_MALFORMED;
    }
    return status;
}

static enum status judge_apply(struct fixture *f, struct attempt *a)
{
    bool is_member = a->label == JOIN_MEMBER;
    struct bytes message;
    enum status status = message_of(&message, JOIN_APPLY, &a->apply);
    if (status != STATUS_OK) {
        return status;
    }
    return join_judge_new(&a->judge, a->label, message,
                          is_member ? buffer_bytes(&f->term_body) : bytes_of(NULL, 0),
                          is_member ? f->leader : f->owner, &f->random, &a->applied, &a->answer);
}

static enum status applicant_answer(struct fixture *f, struct attempt *a)
{
    struct bytes message;
    enum status status = message_of(&message, JOIN_ANSWER, &a->answer);
    if (status != STATUS_OK) {
        return status;
    }
    return join_applicant_answer(a->applicant, message, &f->owner_public, &a->term, &a->leader,
                                 a->applicant_data);
}

static enum status applicant_prove(struct attempt *a)
{
    return join_applicant_prove(a->applicant, bytes_text(evidence_text), &a->prove,
                                &a->applicant_channel);
}

static enum status judge_prove(struct attempt *a)
{
    struct bytes message;
    enum status status = message_of(&message, JOIN_PROVE, &a->prove);
    if (status != STATUS_OK) {
        return status;
    }
    return join_judge_prove(a->judge, message, &a->evidence, a->judge_data, &a->judge_channel);
}

static void change_nothing(struct attempt *a, enum join_step step, void *context)
{
    (void)a;
    (void)step;
    (void)context;
}

/*
 * Run to the end or to the first refusal. `between` may change what travels,
 * after each step was sent and before it is received.
 */
static enum status attempt_run(struct fixture *f, struct attempt *a,
                               void (*between)(struct attempt *a, enum join_step step,
                                               void *context),
                               void *context)
{
    between(a, JOIN_APPLY, context);
    enum status status = judge_apply(f, a);
    if (status != STATUS_OK) {
        return status;
    }
    between(a, JOIN_ANSWER, context);
    status = applicant_answer(f, a);
    if (status != STATUS_OK) {
        return status;
    }
    status = applicant_prove(a);
    if (status != STATUS_OK) {
        return status;
    }
    between(a, JOIN_PROVE, context);
    return judge_prove(a);
}

static void carries(struct channel *source, struct channel *target)
{
    struct buffer sealed = BUFFER_EMPTY;
    struct buffer plain = BUFFER_EMPTY;
    assert_int_equal(channel_seal(source, &sealed, bytes_text("a key")), STATUS_OK);
    assert_int_equal(channel_open(target, &plain, buffer_bytes(&sealed)), STATUS_OK);
    bodies_assert_equal(buffer_bytes(&plain), bytes_text("a key"));
    buffer_release(&sealed);
    buffer_release(&plain);
}

static void attempt_succeeds(struct fixture *f, struct attempt *a)
{
    assert_int_equal(attempt_run(f, a, change_nothing, NULL), STATUS_OK);
    bodies_assert_equal(buffer_bytes(&a->evidence), bytes_text(evidence_text));
    assert_memory_equal(a->applicant_data, a->judge_data, JOIN_REPORT_DATA_BYTES);
    carries(a->applicant_channel, a->judge_channel);
    carries(a->judge_channel, a->applicant_channel);

    assert_true(hash_equal(&a->applied.capsule, &f->capsule));
    assert_true(verify_key_equal(&a->applied.key, &f->worker_public));
    assert_memory_equal(a->applied.tls_key.bytes, f->tls_key.bytes, P256_PUBLIC_BYTES);
}

static void a_worker_and_the_leader_end_with_one_channel(void **state)
{
    struct fixture *f = *state;
    struct attempt a;
    attempt_init(f, &a, JOIN_MEMBER);
    attempt_succeeds(f, &a);
    assert_int_equal(a.applied.role, MEMBER_WORKER);
    assert_int_equal(a.term, 3);
    assert_true(verify_key_equal(&a.leader, &f->leader_public));
    attempt_release(&a);
}

static void a_leader_and_the_owner_end_with_one_channel(void **state)
{
    struct fixture *f = *state;
    struct attempt a;
    attempt_init(f, &a, JOIN_PROVISION);
    attempt_succeeds(f, &a);
    assert_int_equal(a.applied.role, MEMBER_LEADER);
    assert_int_equal(a.term, 0);
    assert_true(verify_key_equal(&a.leader, &f->owner_public));
    attempt_release(&a);
}

static void p1_evidence_does_not_travel_in_the_clear(void **state)
{
    struct fixture *f = *state;
    struct attempt a;
    attempt_init(f, &a, JOIN_MEMBER);
    attempt_succeeds(f, &a);
    assert_null(memmem(a.prove.bytes, a.prove.length, evidence_text, 8));
    attempt_release(&a);
}

static void p3_no_two_joins_ask_for_the_same_report_data(void **state)
{
    struct fixture *f = *state;
    struct attempt first;
    struct attempt second;
    attempt_init(f, &first, JOIN_MEMBER);
    attempt_init(f, &second, JOIN_MEMBER);
    attempt_succeeds(f, &first);
    attempt_succeeds(f, &second);
    assert_memory_not_equal(first.judge_data, second.judge_data, JOIN_REPORT_DATA_BYTES);
    attempt_release(&first);
    attempt_release(&second);
}

static struct buffer *body_of(struct attempt *a, enum join_step step)
{
    return step == JOIN_APPLY ? &a->apply : step == JOIN_ANSWER ? &a->answer : &a->prove;
}

struct flip {
    enum join_step step;
    size_t index;
    size_t body_bytes;  // of that step: filled on the way
    uint8_t mask;
};

static void flip_one(struct attempt *a, enum join_step step, void *context)
{
    struct flip *flip = context;
    struct buffer *body = body_of(a, step);
    if (step == flip->step) {
        flip->body_bytes = body->length;
        body->bytes[flip->index] ^= flip->mask;
    }
}

static void every_flip_is_refused(struct fixture *f, enum join_label label, enum join_step step)
{
    struct flip flip = {.step = step, .body_bytes = 1};
    for (flip.index = 0; flip.index < flip.body_bytes; flip.index++) {
        flip.mask = (uint8_t)(1u << flip.index % 8);
        struct attempt a;
        attempt_init(f, &a, label);
        enum status status = attempt_run(f, &a, flip_one, &flip);
        assert_true(status == STATUS_MALFORMED || status == STATUS_FORGED);
        assert_null(a.judge_channel);
        assert_int_equal(a.evidence.length, 0);
        attempt_release(&a);
    }
    assert_true(flip.body_bytes > CHANNEL_OVERHEAD_BYTES);
}

static void p2_message_1_with_any_byte_changed_ends_in_no_channel(void **state)
{
    every_flip_is_refused(*state, JOIN_MEMBER, JOIN_APPLY);
    every_flip_is_refused(*state, JOIN_PROVISION, JOIN_APPLY);
}

static void p2_message_2_with_any_byte_changed_ends_in_no_channel(void **state)
{
    every_flip_is_refused(*state, JOIN_MEMBER, JOIN_ANSWER);
    every_flip_is_refused(*state, JOIN_PROVISION, JOIN_ANSWER);
}

static void p2_message_3_with_any_byte_changed_ends_in_no_channel(void **state)
{
    every_flip_is_refused(*state, JOIN_MEMBER, JOIN_PROVE);
    every_flip_is_refused(*state, JOIN_PROVISION, JOIN_PROVE);
}

/* X25519 does not look at the highest bit of a key: the transcript has to. */
static void p2_bits_that_x25519_ignores_are_bound_too(void **state)
{
    struct flip flip = {.step = JOIN_APPLY, .index = 1 + APPLY_AGREE + 31, .mask = 0x80};
    struct attempt a;
    attempt_init(*state, &a, JOIN_PROVISION);
    assert_int_equal(attempt_run(*state, &a, flip_one, &flip), STATUS_FORGED);
    attempt_release(&a);

    flip = (struct flip){.step = JOIN_ANSWER, .index = 1 + ANSWER_AGREE + 31, .mask = 0x80};
    attempt_init(*state, &a, JOIN_PROVISION);
    assert_int_equal(attempt_run(*state, &a, flip_one, &flip), STATUS_FORGED);
    attempt_release(&a);
}

static void p2_message_3_of_an_earlier_join_is_refused(void **state)
{
    struct fixture *f = *state;
    struct attempt earlier;
    attempt_init(f, &earlier, JOIN_MEMBER);
    attempt_succeeds(f, &earlier);

    // To a judge who awaits another one.
    struct attempt later;
    attempt_init(f, &later, JOIN_MEMBER);
    assert_int_equal(judge_apply(f, &later), STATUS_OK);
    assert_int_equal(applicant_answer(f, &later), STATUS_OK);
    assert_int_equal(buffer_append(&later.prove, earlier.prove.bytes, earlier.prove.length),
                     STATUS_OK);
    assert_int_equal(judge_prove(&later), STATUS_FORGED);
    assert_null(later.judge_channel);
    attempt_release(&later);

    // After message 1 of that earlier join, to which the judge answers with new keys.
    struct attempt replayed = {.label = JOIN_MEMBER};
    assert_int_equal(buffer_append(&replayed.apply, earlier.apply.bytes, earlier.apply.length),
                     STATUS_OK);
    assert_int_equal(buffer_append(&replayed.prove, earlier.prove.bytes, earlier.prove.length),
                     STATUS_OK);
    assert_int_equal(judge_apply(f, &replayed), STATUS_OK);
    assert_int_equal(judge_prove(&replayed), STATUS_FORGED);
    assert_null(replayed.judge_channel);
    attempt_release(&replayed);
    attempt_release(&earlier);
}

static void p2_message_2_of_an_earlier_join_is_refused(void **state)
{
    struct fixture *f = *state;
    struct attempt earlier;
    attempt_init(f, &earlier, JOIN_MEMBER);
    attempt_succeeds(f, &earlier);

    struct attempt later;
    attempt_init(f, &later, JOIN_MEMBER);
    assert_int_equal(buffer_append(&later.answer, earlier.answer.bytes, earlier.answer.length),
                     STATUS_OK);
    assert_int_equal(applicant_answer(f, &later), STATUS_FORGED);
    attempt_release(&later);
    attempt_release(&earlier);
}

struct middle {
    struct agree_key *agree;
    struct sign_key *sign;  // NULL: leaves the judge's signature as it is
    enum join_label label;
};

static const char *judge_purpose(enum join_label label)
{
    return label == JOIN_MEMBER ? "paranoid join v1 judge" : "paranoid provision v1 judge";
}

/* Sign message 2 anew, over message 1 as it stands, with any key and for any use. */
static void answer_sign(struct attempt *a, const struct sign_key *key, enum join_label label)
{
    const struct bytes parts[] = {
        bytes_of(a->apply.bytes + 1, a->apply.length - 1),
        bytes_of(a->answer.bytes + 1, a->answer.length - 1 - SIGN_SIGNATURE_BYTES),
    };
    struct hash hash = hash_of_parts(parts, 2);
    struct signature signature =
        sign_make(key, judge_purpose(label), bytes_of(hash.bytes, sizeof hash.bytes));
    memcpy(a->answer.bytes + a->answer.length - SIGN_SIGNATURE_BYTES, signature.bytes,
           SIGN_SIGNATURE_BYTES);
}

/* Put the middle's own X25519 key in the place of either side's. */
static void swap_keys(struct attempt *a, enum join_step step, void *context)
{
    struct middle *middle = context;
    struct agree_public own = agree_key_public(middle->agree);
    if (step == JOIN_APPLY) {
        memcpy(a->apply.bytes + 1 + APPLY_AGREE, own.bytes, AGREE_PUBLIC_BYTES);
    } else if (step == JOIN_ANSWER) {
        memcpy(a->answer.bytes + 1 + ANSWER_AGREE, own.bytes, AGREE_PUBLIC_BYTES);
        if (middle->sign != NULL) {
            answer_sign(a, middle->sign, middle->label);
        }
    }
}

static void p2_a_man_in_the_middle_who_swaps_the_keys_is_refused(void **state)
{
    struct fixture *f = *state;
    const enum join_label labels[] = {JOIN_MEMBER, JOIN_PROVISION};
    for (size_t i = 0; i < 2; i++) {
        struct middle middle = {.agree = agree_key_new(&f->random), .label = labels[i]};
        struct attempt a;
        attempt_init(f, &a, labels[i]);
        assert_int_equal(attempt_run(f, &a, swap_keys, &middle), STATUS_FORGED);
        assert_null(a.applicant_channel);
        attempt_release(&a);

        middle.sign = bodies_sign_key(0x77);  // anybody's
        attempt_init(f, &a, labels[i]);
        assert_int_equal(attempt_run(f, &a, swap_keys, &middle), STATUS_FORGED);
        assert_null(a.applicant_channel);
        attempt_release(&a);
        sign_key_free(middle.sign);
        agree_key_free(middle.agree);
    }
}

static void p2_x25519_keys_of_small_order_are_refused(void **state)
{
    struct fixture *f = *state;
    struct attempt a;
    attempt_init(f, &a, JOIN_PROVISION);
    assert_int_equal(judge_apply(f, &a), STATUS_OK);
    memset(a.answer.bytes + 1 + ANSWER_AGREE, 0, AGREE_PUBLIC_BYTES);
    answer_sign(&a, f->owner, JOIN_PROVISION);
    assert_int_equal(applicant_answer(f, &a), STATUS_FORGED);
    attempt_release(&a);

    attempt_init(f, &a, JOIN_PROVISION);
    memset(a.apply.bytes + 1 + APPLY_AGREE, 0, AGREE_PUBLIC_BYTES);
    assert_int_equal(judge_apply(f, &a), STATUS_FORGED);
    assert_null(a.judge);
    assert_int_equal(a.answer.length, 0);
    attempt_release(&a);
}

static void p2_a_signature_for_one_use_is_refused_in_the_other(void **state)
{
    struct fixture *f = *state;
    struct attempt a;
    attempt_init(f, &a, JOIN_PROVISION);
    assert_int_equal(judge_apply(f, &a), STATUS_OK);
    answer_sign(&a, f->owner, JOIN_MEMBER);
    assert_int_equal(applicant_answer(f, &a), STATUS_FORGED);
    attempt_release(&a);

    attempt_init(f, &a, JOIN_MEMBER);
    assert_int_equal(judge_apply(f, &a), STATUS_OK);
    answer_sign(&a, f->leader, JOIN_PROVISION);
    assert_int_equal(applicant_answer(f, &a), STATUS_FORGED);
    attempt_release(&a);
}

static void an_answer_of_the_other_use_is_refused(void **state)
{
    struct fixture *f = *state;
    struct attempt a;
    attempt_init(f, &a, JOIN_PROVISION);
    a.label = JOIN_MEMBER;  // the judge's
    assert_int_equal(judge_apply(f, &a), STATUS_OK);
    assert_int_equal(applicant_answer(f, &a), STATUS_FORGED);
    attempt_release(&a);

    attempt_init(f, &a, JOIN_MEMBER);
    a.label = JOIN_PROVISION;
    assert_int_equal(judge_apply(f, &a), STATUS_OK);
    assert_int_equal(applicant_answer(f, &a), STATUS_MALFORMED);
    attempt_release(&a);
}

static void p3_a_leader_whom_the_owner_did_not_name_is_refused(void **state)
{
    struct fixture *f = *state;
    struct attempt a;

    // Names the leader, but another signed it.
    struct sign_key *stranger = bodies_sign_key(0x77);
    term_make(f, &f->capsule, stranger);
    attempt_init(f, &a, JOIN_MEMBER);
    assert_int_equal(attempt_run(f, &a, change_nothing, NULL), STATUS_FORGED);
    attempt_release(&a);

    // The owner's, for another capsule.
    struct hash other = bodies_hash(0x41);
    term_make(f, &other, f->owner);
    attempt_init(f, &a, JOIN_MEMBER);
    assert_int_equal(attempt_run(f, &a, change_nothing, NULL), STATUS_FORGED);
    attempt_release(&a);

    // The owner's, for this capsule, shown by one whom it does not name.
    term_make(f, &f->capsule, f->owner);
    attempt_init(f, &a, JOIN_MEMBER);
    assert_int_equal(judge_apply(f, &a), STATUS_OK);
    answer_sign(&a, stranger, JOIN_MEMBER);
    assert_int_equal(applicant_answer(f, &a), STATUS_FORGED);
    attempt_release(&a);
    sign_key_free(stranger);
}

static void a_repeated_message_is_stale_and_harms_nothing(void **state)
{
    struct fixture *f = *state;
    struct attempt a;
    attempt_init(f, &a, JOIN_MEMBER);
    assert_int_equal(judge_apply(f, &a), STATUS_OK);
    assert_int_equal(applicant_answer(f, &a), STATUS_OK);
    assert_int_equal(applicant_answer(f, &a), STATUS_STALE);
    assert_int_equal(applicant_prove(&a), STATUS_OK);

    struct channel *channel = a.applicant_channel;
    size_t prove_bytes = a.prove.length;
    assert_int_equal(applicant_prove(&a), STATUS_STALE);
    assert_null(a.applicant_channel);
    assert_int_equal(a.prove.length, prove_bytes);
    a.applicant_channel = channel;

    assert_int_equal(judge_prove(&a), STATUS_OK);
    channel = a.judge_channel;
    assert_int_equal(judge_prove(&a), STATUS_STALE);
    assert_null(a.judge_channel);
    a.judge_channel = channel;
    bodies_assert_equal(buffer_bytes(&a.evidence), bytes_text(evidence_text));
    carries(a.judge_channel, a.applicant_channel);
    attempt_release(&a);
}

static void evidence_before_the_answer_is_stale(void **state)
{
    struct fixture *f = *state;
    struct attempt a;
    attempt_init(f, &a, JOIN_MEMBER);
    assert_int_equal(applicant_prove(&a), STATUS_STALE);
    assert_null(a.applicant_channel);
    attempt_succeeds(f, &a);
    attempt_release(&a);
}

static void a_refused_message_ends_the_attempt(void **state)
{
    struct fixture *f = *state;
    struct attempt a;
    attempt_init(f, &a, JOIN_PROVISION);
    assert_int_equal(judge_apply(f, &a), STATUS_OK);
    a.answer.bytes[1] ^= 1;
    assert_int_equal(applicant_answer(f, &a), STATUS_FORGED);
    a.answer.bytes[1] ^= 1;
    assert_int_equal(applicant_answer(f, &a), STATUS_STALE);
    assert_int_equal(applicant_prove(&a), STATUS_STALE);
    attempt_release(&a);

    attempt_init(f, &a, JOIN_PROVISION);
    assert_int_equal(judge_apply(f, &a), STATUS_OK);
    assert_int_equal(applicant_answer(f, &a), STATUS_OK);
    assert_int_equal(applicant_prove(&a), STATUS_OK);
    a.prove.bytes[a.prove.length - 1] ^= 1;
    assert_int_equal(judge_prove(&a), STATUS_FORGED);
    a.prove.bytes[a.prove.length - 1] ^= 1;
    assert_int_equal(judge_prove(&a), STATUS_STALE);
    assert_null(a.judge_channel);
    attempt_release(&a);
}

static void cut(struct attempt *a, enum join_step step, void *context)
{
    const struct flip *flip = context;
    if (step == flip->step) {
        // Never longer than it was: the rest is what a read too far would see.
        body_of(a, step)->length = flip->index;
    }
}

static void grow(struct attempt *a, enum join_step step, void *context)
{
    const struct flip *flip = context;
    if (step == flip->step) {
        assert_int_equal(buffer_append(body_of(a, step), "", 1), STATUS_OK);
    }
}

static void every_other_length_is_refused(struct fixture *f, enum join_label label,
                                          enum join_step step)
{
    struct attempt a;
    attempt_init(f, &a, label);
    attempt_succeeds(f, &a);
    size_t body_bytes = body_of(&a, step)->length;
    attempt_release(&a);

    struct flip flip = {.step = step};
    for (flip.index = 0; flip.index < body_bytes; flip.index++) {
        attempt_init(f, &a, label);
        enum status status = attempt_run(f, &a, cut, &flip);
        assert_true(status == STATUS_MALFORMED || status == STATUS_FORGED);
        assert_null(a.judge_channel);
        attempt_release(&a);
    }
    attempt_init(f, &a, label);
    enum status status = attempt_run(f, &a, grow, &flip);
    assert_true(status == STATUS_MALFORMED || status == STATUS_FORGED);
    assert_null(a.judge_channel);
    attempt_release(&a);
}

static void messages_of_any_other_length_are_refused(void **state)
{
    every_other_length_is_refused(*state, JOIN_PROVISION, JOIN_APPLY);
    every_other_length_is_refused(*state, JOIN_PROVISION, JOIN_ANSWER);
    every_other_length_is_refused(*state, JOIN_PROVISION, JOIN_PROVE);
    every_other_length_is_refused(*state, JOIN_MEMBER, JOIN_ANSWER);
}

static void messages_have_the_lengths_of_the_format(void **state)
{
    struct fixture *f = *state;
    struct attempt a;
    attempt_init(f, &a, JOIN_MEMBER);
    attempt_succeeds(f, &a);
    assert_int_equal(a.apply.length, 1 + APPLY_BYTES);
    assert_int_equal(a.answer.length, 1 + ANSWER_FIXED_BYTES + f->term_body.length);
    assert_int_equal(a.prove.length, 1 + CHANNEL_OVERHEAD_BYTES + strlen(evidence_text));
    attempt_release(&a);
}

static void other_versions_and_roles_are_refused(void **state)
{
    struct fixture *f = *state;
    for (unsigned value = 0; value <= UINT8_MAX; value++) {
        struct attempt a;
        attempt_init(f, &a, JOIN_PROVISION);
        a.apply.bytes[1] = (uint8_t)value;
        assert_int_equal(judge_apply(f, &a), value == 1 ? STATUS_OK : STATUS_MALFORMED);
        attempt_release(&a);

        attempt_init(f, &a, JOIN_PROVISION);
        a.apply.bytes[1 + APPLY_ROLE] = (uint8_t)value;
        bool is_role = value >= MEMBER_LEADER && value <= MEMBER_COMPACTOR;
        assert_int_equal(judge_apply(f, &a), is_role ? STATUS_OK : STATUS_MALFORMED);
        attempt_release(&a);
    }
}

static void evidence_above_its_bound_is_neither_sent_nor_taken(void **state)
{
    struct fixture *f = *state;
    static const uint8_t evidence[MEMBER_EVIDENCE_BYTES_MAX + 1];
    struct attempt a;
    attempt_init(f, &a, JOIN_PROVISION);
    assert_int_equal(judge_apply(f, &a), STATUS_OK);
    assert_int_equal(applicant_answer(f, &a), STATUS_OK);
    assert_int_equal(join_applicant_prove(a.applicant, bytes_of(evidence, sizeof evidence),
                                          &a.prove, &a.applicant_channel),
                     STATUS_MALFORMED);
    assert_null(a.applicant_channel);
    assert_int_equal(a.prove.length, 0);

    // The host tries again, with as much as there may be.
    assert_int_equal(
        join_applicant_prove(a.applicant, bytes_of(evidence, MEMBER_EVIDENCE_BYTES_MAX), &a.prove,
                             &a.applicant_channel),
        STATUS_OK);
    assert_int_equal(judge_prove(&a), STATUS_OK);
    assert_int_equal(a.evidence.length, MEMBER_EVIDENCE_BYTES_MAX);
    attempt_release(&a);

    // A longer one is refused as a step, and by the judge.
    static const uint8_t body[1 + MEMBER_EVIDENCE_BYTES_MAX + CHANNEL_OVERHEAD_BYTES + 1] = {
        JOIN_PROVE, 1};
    enum join_step step;
    struct bytes message;
    assert_int_equal(join_decode(&step, &message, bytes_of(body, sizeof body - 1)), STATUS_OK);
    assert_int_equal(join_decode(&step, &message, bytes_of(body, sizeof body)), STATUS_MALFORMED);
    attempt_init(f, &a, JOIN_PROVISION);
    assert_int_equal(judge_apply(f, &a), STATUS_OK);
    assert_int_equal(join_judge_prove(a.judge, bytes_of(body + 1, sizeof body - 1), &a.evidence,
                                      a.judge_data, &a.judge_channel),
                     STATUS_MALFORMED);
    attempt_release(&a);
}

static void a_call_is_its_step_alone(void **state)
{
    (void)state;
    struct buffer body = BUFFER_EMPTY;
    assert_int_equal(join_call(&body), STATUS_OK);
    enum join_step step = JOIN_REFUSED;
    struct bytes message;
    assert_int_equal(join_decode(&step, &message, buffer_bytes(&body)), STATUS_OK);
    assert_int_equal(step, JOIN_CALL);
    assert_int_equal(message.length, 0);
    assert_int_equal(buffer_append(&body, "", 1), STATUS_OK);
    assert_int_equal(join_decode(&step, &message, buffer_bytes(&body)), STATUS_MALFORMED);
    buffer_release(&body);
}

static void a_refusal_carries_its_reason(void **state)
{
    (void)state;
    struct buffer body = BUFFER_EMPTY;
    assert_int_equal(join_refuse(&body, "measurement 9f1c is not in the policy"), STATUS_OK);
    enum join_step step;
    struct bytes message;
    assert_int_equal(join_decode(&step, &message, buffer_bytes(&body)), STATUS_OK);
    assert_int_equal(step, JOIN_REFUSED);
    bodies_assert_equal(message, bytes_text("measurement 9f1c is not in the policy"));
    buffer_release(&body);
}

static void a_reason_cannot_forge_a_line_of_a_log(void **state)
{
    (void)state;
    struct buffer body = BUFFER_EMPTY;
    enum join_step step;
    struct bytes message;
    assert_int_equal(join_refuse(&body, "platform \n\x1b\x7f\xff unknown"), STATUS_OK);
    assert_int_equal(join_decode(&step, &message, buffer_bytes(&body)), STATUS_OK);
    bodies_assert_equal(message, bytes_text("platform ???? unknown"));

    body.bytes[3] = '\n';
    assert_int_equal(join_decode(&step, &message, buffer_bytes(&body)), STATUS_MALFORMED);
    buffer_release(&body);
}

static void a_reason_is_cut_at_its_bound(void **state)
{
    (void)state;
    char reason[JOIN_REASON_BYTES_MAX + 2];
    memset(reason, 'r', sizeof reason - 1);
    reason[sizeof reason - 1] = '\0';
    struct buffer body = BUFFER_EMPTY;
    enum join_step step;
    struct bytes message;
    assert_int_equal(join_refuse(&body, reason), STATUS_OK);
    assert_int_equal(join_decode(&step, &message, buffer_bytes(&body)), STATUS_OK);
    assert_int_equal(message.length, JOIN_REASON_BYTES_MAX);
    assert_int_equal(buffer_append(&body, "r", 1), STATUS_OK);
    assert_int_equal(join_decode(&step, &message, buffer_bytes(&body)), STATUS_MALFORMED);
    buffer_release(&body);
}

static void unknown_steps_are_refused(void **state)
{
    (void)state;
    enum join_step step;
    struct bytes message;
    assert_int_equal(join_decode(&step, &message, bytes_of(NULL, 0)), STATUS_MALFORMED);
    for (unsigned number = 0; number <= UINT8_MAX; number++) {
        const uint8_t body[1 + APPLY_BYTES] = {(uint8_t)number};
        // As long as message 1; message 2 and 3 may be, too. Zeroes are no reason.
        bool is_step = number >= JOIN_APPLY && number <= JOIN_PROVE;
        assert_int_equal(join_decode(&step, &message, bytes_of(body, sizeof body)),
                         is_step ? STATUS_OK : STATUS_MALFORMED);
    }
}

static void freeing_no_side_does_nothing(void **state)
{
    (void)state;
    join_applicant_free(NULL);
    join_judge_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    crypto_init();
    const struct CMUnitTest tests[] = {
        TEST(a_worker_and_the_leader_end_with_one_channel),
        TEST(a_leader_and_the_owner_end_with_one_channel),
        TEST(p1_evidence_does_not_travel_in_the_clear),
        TEST(p3_no_two_joins_ask_for_the_same_report_data),
        TEST(p2_message_1_with_any_byte_changed_ends_in_no_channel),
        TEST(p2_message_2_with_any_byte_changed_ends_in_no_channel),
        TEST(p2_message_3_with_any_byte_changed_ends_in_no_channel),
        TEST(p2_bits_that_x25519_ignores_are_bound_too),
        TEST(p2_message_3_of_an_earlier_join_is_refused),
        TEST(p2_message_2_of_an_earlier_join_is_refused),
        TEST(p2_a_man_in_the_middle_who_swaps_the_keys_is_refused),
        TEST(p2_x25519_keys_of_small_order_are_refused),
        TEST(p2_a_signature_for_one_use_is_refused_in_the_other),
        TEST(an_answer_of_the_other_use_is_refused),
        TEST(p3_a_leader_whom_the_owner_did_not_name_is_refused),
        TEST(a_repeated_message_is_stale_and_harms_nothing),
        TEST(evidence_before_the_answer_is_stale),
        TEST(a_refused_message_ends_the_attempt),
        TEST(messages_of_any_other_length_are_refused),
        TEST(messages_have_the_lengths_of_the_format),
        TEST(other_versions_and_roles_are_refused),
        TEST(evidence_above_its_bound_is_neither_sent_nor_taken),
        TEST(a_call_is_its_step_alone),
        TEST(a_refusal_carries_its_reason),
        TEST(a_reason_cannot_forge_a_line_of_a_log),
        TEST(a_reason_is_cut_at_its_bound),
        TEST(unknown_steps_are_refused),
        TEST(freeing_no_side_does_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
