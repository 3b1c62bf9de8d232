/* sim/federation_owner.c */

/* The owner: what the command line does to give a leader its term. */
#include "attest/evidence.h"
#include "base/check.h"
#include "capsule/revoke.h"
#include "capsule/proof.h"
#include "sim/federation_internal.h"
#include "wire/message.h"

static void give_term(struct federation *f, struct bytes evidence)
{
    struct federation_owner *owner = &f->owner;
    struct buffer body = BUFFER_EMPTY, plain = BUFFER_EMPTY, sealed = BUFFER_EMPTY;
    owner->term++;
    const struct term term = {
        .capsule = f->capsule,
        .number = owner->term,
        .leader = owner->apply.key,
        .sync = owner->sync,
        .sync_epoch = owner->sync_epoch,
        .evidence = evidence,
        .stores = buffer_bytes(&owner->stores_word),
    };
    owner->given_version = owner->stores.version;
    CHECK(term_encode(&body, &term, owner->key) == STATUS_OK);
    const struct message_seed seed = {.seed = secret_bytes(owner->seed),
                                      .sync = owner->sync_head,
                                      .term_body = buffer_bytes(&body)};
    CHECK(message_seed_encode(&plain, &seed) == STATUS_OK);
    CHECK(channel_seal(owner->channel, &sealed, buffer_bytes(&plain)) == STATUS_OK);
    federation_post_body(f, PLACE_OWNER, PLACE_LEADER, FRAME_CHANNEL, 0, &federation_owner_peer,
                         buffer_bytes(&sealed));
    buffer_release(&body);
    buffer_release(&plain);
    buffer_release(&sealed);
}

static void receive_proof(struct federation *f, struct bytes message)
{
    struct federation_owner *owner = &f->owner;
    struct buffer evidence = BUFFER_EMPTY;
    uint8_t report_data[JOIN_REPORT_DATA_BYTES];
    const struct evidence_roots roots = policy_roots(&f->policy, vendor_pinned());
    channel_free(owner->channel);
    owner->channel = NULL;
    CHECK(join_judge_prove(owner->judge, message, &evidence, report_data, &owner->channel) ==
          STATUS_OK);
    const struct verdict genuine =
        evidence_verify(buffer_bytes(&evidence), FEDERATION_START_S + f->now_us / 1000000, &roots);
    const struct verdict verdict = policy_judge(&f->policy, &genuine, report_data, POLICY_LEADER);
    CHECK(verdict.is_admitted);
    give_term(f, buffer_bytes(&evidence));
    buffer_release(&evidence);
}

static void receive_apply(struct federation *f, struct bytes message)
{
    struct federation_owner *owner = &f->owner;
    struct buffer target = BUFFER_EMPTY;
    join_judge_free(owner->judge);
    CHECK(join_judge_new(&owner->judge, JOIN_PROVISION, message, bytes_of(NULL, 0), owner->key,
                         &f->random, &owner->apply, &target) == STATUS_OK);
    federation_post_body(f, PLACE_OWNER, PLACE_LEADER, FRAME_JOIN, 0, &federation_owner_peer,
                         buffer_bytes(&target));
    buffer_release(&target);
}

/* What W stores have signed to hold. */
static void keep_sync(struct federation *f, const struct message_answer *answer)
{
    struct federation_owner *owner = &f->owner;
    struct genesis genesis;
    struct proof_warrant warrant;
    if (answer->statements.length == 0) {
        return;  // a store has lied, and the others' word has yet to come
    }
    CHECK(genesis_decode(&genesis, buffer_bytes(&f->genesis)) == STATUS_OK);
    CHECK(proof_warrant_verify(&warrant, answer->statements, &genesis) == STATUS_OK);
    CHECK(hash_equal(&warrant.sync.hash, &answer->sync));
    owner->sync = answer->sync;
    owner->sync_epoch = answer->sync_epoch;
    owner->sync_head = (struct branch_head){
        .writer = warrant.sync.writer,
        .head = {.sequence = warrant.sync.sequence, .hash = warrant.sync.hash},
    };
    buffer_clear(&owner->warrant);
    CHECK(buffer_append(&owner->warrant, answer->statements.at, answer->statements.length) ==
          STATUS_OK);
}

/* P8: the owner has to be able to show it to anybody. */
static void prove_rollback(struct federation *f, const struct message_answer *answer)
{
    struct buffer bytes = BUFFER_EMPTY;
    struct proof proof;
    CHECK(proof_rollback_encode(&bytes, buffer_bytes(&f->genesis), buffer_bytes(&f->owner.warrant),
                                answer->statements) == STATUS_OK);
    f->owner.has_proof = proof_verify(&proof, buffer_bytes(&bytes)) == STATUS_OK;
    buffer_release(&bytes);
}

// ---- the stores that count ----

static void give_word(struct federation *f)
{
    struct federation_owner *owner = &f->owner;
    owner->stores.version++;
    buffer_clear(&owner->stores_word);
    CHECK(stores_encode(&owner->stores_word, &owner->stores, owner->key) == STATUS_OK);
}

/* It leads by the owner's word: those before need not answer any more. */
static void settle_stores(struct federation *f)
{
    struct federation_owner *owner = &f->owner;
    if (owner->stores.has_former && owner->given_version == owner->stores.version) {
        owner->stores.has_former = false;
        give_word(f);
    }
}

bool federation_owner_name_stores(struct federation *f, uint64_t stores, uint32_t receipt_count)
{
    struct federation_owner *owner = &f->owner;
    struct genesis genesis;
    CHECK(genesis_decode(&genesis, buffer_bytes(&f->genesis)) == STATUS_OK);
    if (owner->stores.has_former) {
        return false;
    }
    if (owner->stores.version == 0) {
        stores_of_genesis(&owner->stores, &genesis);
    }
    struct genesis *now = &owner->stores.now;
    owner->stores.former = *now;
    owner->stores.has_former = true;
    now->receipt_count = receipt_count;
    now->store_count = 0;
    for (uint32_t i = 0; i < genesis.store_count; i++) {
        if ((stores >> i) % 2 != 0) {
            now->stores[now->store_count++] = genesis.stores[i];
        }
    }
    give_word(f);
    return true;
}

bool federation_owner_is_settled(const struct federation *f)
{
    return !f->owner.stores.has_former;
}

bool federation_owner_counts_all(const struct federation *f)
{
    const struct stores *stores = &f->owner.stores;
    return stores->version == 0 ||
           (!stores->has_former && stores->now.store_count == f->store_count);
}

/* The leader says how its taking over went. */
static void receive_answer(struct federation *f, struct bytes body)
{
    struct federation_owner *owner = &f->owner;
    struct buffer plain = BUFFER_EMPTY;
    struct message message;
    CHECK(channel_open(owner->channel, &plain, body) == STATUS_OK);
    CHECK(message_decode(&message, buffer_bytes(&plain)) == STATUS_OK);
    CHECK(message.kind == MESSAGE_ANSWER);
    // A leader that lost frames while it took over gives up; it is not to find a rollback.
    if (message.answer.status == STATUS_FORGED) {
        owner->has_alarm = true;
        prove_rollback(f, &message.answer);
    }
    if (message.answer.status == STATUS_OK) {
        keep_sync(f, &message.answer);
        settle_stores(f);
    }
    buffer_release(&plain);
}

static void owner_receive(struct federation *f, size_t place, const struct network_letter *letter)
{
    struct frame frame;
    enum join_step step;
    struct bytes message;
    (void)place;
    CHECK(frame_decode(&frame, buffer_bytes(&letter->frame)) == STATUS_OK);
    if (frame.kind == FRAME_CHANNEL) {
        receive_answer(f, frame.body);
        return;
    }
    if (frame.kind != FRAME_JOIN) {
        return;  // a store's answer to a thief
    }
    CHECK(join_decode(&step, &message, frame.body) == STATUS_OK);
    if (step == JOIN_APPLY) {
        receive_apply(f, message);
    } else if (step == JOIN_PROVE) {
        receive_proof(f, message);
    }
}

static uint64_t owner_due_us(const struct federation *f, size_t place)
{
    (void)f;
    (void)place;
    return UINT64_MAX;
}

static const struct federation_kind owner_kind = {.receive = owner_receive, .due_us = owner_due_us};

static bool tell_leader(struct federation *f, struct buffer *plain)
{
    struct federation_owner *owner = &f->owner;
    struct buffer sealed = BUFFER_EMPTY;
    bool is_told = owner->channel != NULL && federation_leader_is_leading(f);
    if (is_told) {
        CHECK(channel_seal(owner->channel, &sealed, buffer_bytes(plain)) == STATUS_OK);
        federation_post_body(f, PLACE_OWNER, PLACE_LEADER, FRAME_CHANNEL, 0, &federation_owner_peer,
                             buffer_bytes(&sealed));
    }
    buffer_release(&sealed);
    buffer_release(plain);
    return is_told;
}

bool federation_owner_rotate(struct federation *f)
{
    struct buffer plain = BUFFER_EMPTY;
    CHECK(message_rotate_encode(&plain, 0) == STATUS_OK);
    return tell_leader(f, &plain);
}

bool federation_owner_revoke(struct federation *f, size_t worker)
{
    struct buffer body = BUFFER_EMPTY, plain = BUFFER_EMPTY;
    CHECK(revoke_encode(&body, &f->capsule, &f->workers[worker]->id, f->owner.key) == STATUS_OK);
    const struct message_revoke revoke = {.revocation = buffer_bytes(&body)};
    CHECK(message_revoke_encode(&plain, &revoke) == STATUS_OK);
    buffer_release(&body);
    return tell_leader(f, &plain);
}

void federation_owner_init(struct federation *f)
{
    f->owner.key = sign_key_new(&f->random);
    f->owner.seed = secret_new_random(&f->random);
    federation_occupy(f, PLACE_OWNER, &owner_kind);
}

void federation_owner_release(struct federation *f)
{
    buffer_release(&f->owner.warrant);
    buffer_release(&f->owner.stores_word);
    join_judge_free(f->owner.judge);
    channel_free(f->owner.channel);
    secret_free(f->owner.seed);
    sign_key_free(f->owner.key);
}

void federation_owner_call(struct federation *f)
{
    struct buffer call = BUFFER_EMPTY;
    CHECK(join_call(&call) == STATUS_OK);
    federation_post_body(f, PLACE_OWNER, PLACE_LEADER, FRAME_JOIN, 0, &federation_owner_peer,
                         buffer_bytes(&call));
    buffer_release(&call);
}

bool federation_owner_has_alarm(const struct federation *f)
{
    return f->owner.has_alarm;
}

bool federation_owner_has_proof(const struct federation *f)
{
    return f->owner.has_proof;
}

uint64_t federation_owner_epoch(const struct federation *f)
{
    return f->owner.sync_epoch;
}
