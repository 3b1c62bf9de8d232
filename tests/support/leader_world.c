/* tests/support/leader_world.c */
#include "tests/support/leader_world.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/encoder.h"
#include "capsule/receipt.h"
#include "capsule/stores.h"
#include "crypto/crypto.h"

enum { START_S = 1700000000, STEP_US = 10 * 1000 };

static const struct writer_id everyone;
static const struct writer_id owner_peer = {.bytes = {0x0e}};

static void must(enum status status)
{
    if (status != STATUS_OK) {
        fprintf(stderr, "leader_world: %s\n", status_text(status));
    }
    CHECK(status == STATUS_OK);
}

static void drop_line(void *context, const char *text)
{
    (void)context;
    (void)text;
}

static const struct log silent = {.line = drop_line};

static struct leader_time time_of(const struct leader_world *world)
{
    return (struct leader_time){.now_us = world->now_us,
                                .unix_ms = START_S * 1000ull + world->now_us / 1000};
}

/* ---- the store ---- */

static uint32_t place_of(struct leader_world *world, const struct writer_id *writer)
{
    uint32_t i = 0;
    while (i < world->head_count && !writer_id_equal(&world->heads[i].writer, writer)) {
        i++;
    }
    CHECK(i < sizeof world->heads / sizeof *world->heads);
    if (i == world->head_count) {
        world->heads[world->head_count++] = (struct branch_head){.writer = *writer};
        world->are_leaders[i] = world->have_synced[i] = false;
    }
    return i;
}

static void keep(struct leader_world *world, const struct record *record)
{
    if (world->store_room == 0) {
        return;
    }
    uint32_t place = place_of(world, &record->writer);
    if (record->sequence <= world->heads[place].head.sequence) {
        return;
    }
    world->store_room--;
    world->are_leaders[place] = world->are_leaders[place] || record->type == RECORD_TERM;
    if (record->type == RECORD_SYNC) {
        world->have_synced[place] = true;
        world->synced = record->writer;
    }
    world->heads[place].head = (struct head){.sequence = record->sequence, .hash = record->hash};
    world->record_counts[record->type]++;
    must(buffer_append(&world->stored, record->whole.at, record->whole.length));
    if (record->type == RECORD_MEMBER) {
        struct member_body member;
        must(member_decode(&member, record->body));
        struct writer_id id = writer_id_of(&member.key);
        (void)place_of(world, &id);  // a fence speaks of empty branches, too
    }
}

/*
 * All heads, as the store or a mirror says; in a fence first that of the leader of the newest SYNC,
 * and none of leaders without.
 */
static void sign_state(struct leader_world *world, enum receipt_kind kind, uint64_t term,
                       size_t place, struct buffer *target)
{
    const struct sign_key *key = place == 0 ? world->store_key : world->mirror_keys[place - 1];
    struct branch_head heads[32];
    uint32_t count = 0;
    bool is_fence = kind == RECEIPT_FENCE;
    for (int turn = 0; turn < 2; turn++) {
        for (uint32_t i = 0; i < world->head_count; i++) {
            bool is_first = is_fence && world->have_synced[i] &&
                            writer_id_equal(&world->heads[i].writer, &world->synced);
            bool is_left_out = is_fence && world->are_leaders[i] && !world->have_synced[i];
            bool is_lacking =
                place > 0 && writer_id_equal(&world->heads[i].writer, &world->mirrors_lack);
            if (!is_left_out && is_first == (turn == 0)) {
                heads[count] = world->heads[i];
                heads[count].head = is_lacking ? world->mirror_heads[place - 1] : heads[count].head;
                count++;
            }
        }
    }
    must(receipt_encode(target, kind, &world->capsule, term, heads, count, key));
}

/* What the store says, and then its mirrors. */
static void tell_state(struct leader_world *world, enum receipt_kind kind, uint64_t term)
{
    size_t count = !world->has_mirrors ? 1 : 3 - world->silent_mirror_count;
    for (size_t i = 0; i < count; i++) {
        struct buffer said = BUFFER_EMPTY;
        sign_state(world, kind, term, i, &said);
        leader_world_send(world, kind == RECEIPT_FENCE ? FRAME_FENCED : FRAME_RECEIPT, 0, &everyone,
                          buffer_bytes(&said));
        buffer_release(&said);
    }
}

void leader_world_store(struct leader_world *world, struct bytes bytes)
{
    struct record record;
    must(record_decode(&record, bytes.at, bytes.length));
    if (world->is_store_silent) {
        return;
    }
    keep(world, &record);
    tell_state(world, RECEIPT_DURABLE, 1);
}

static void receive_fence(struct leader_world *world, struct bytes body)
{
    if (world->is_store_silent) {
        return;
    }
    struct frame_fence fence;
    must(frame_fence_decode(&fence, body));
    world->proposed = fence.cut;
    tell_state(world, RECEIPT_FENCE, fence.term);
}

/* Whether this record, the `place`-th of the log, is asked for. */
static bool is_asked_for(const struct frame_fetch *fetch, const struct record *record,
                         uint64_t place)
{
    if (fetch->to == 0) {
        struct member_body member;
        struct writer_id admitted = record->writer;
        if (record->type == RECORD_MEMBER && member_decode(&member, record->body) == STATUS_OK) {
            admitted = writer_id_of(&member.key);
        }
        return (record->type == RECORD_MEMBER || record->type == RECORD_TERM) &&
               writer_id_equal(&admitted, &fetch->writer);
    }
    bool is_log = writer_id_is_zero(&fetch->writer);
    uint64_t number = is_log ? place : record->sequence;
    return (is_log || writer_id_equal(&record->writer, &fetch->writer)) && fetch->from <= number &&
           number <= fetch->to;
}

static void give_asked(struct leader_world *world, const struct frame_fetch *fetch,
                       struct bytes log, const struct writer_id *left_out, struct buffer *records)
{
    for (uint64_t place = 1; log.length > 0; place++) {
        struct record record;
        size_t length = record_length(log.at, log.length);
        must(record_decode_stored(&record, log.at, length));
        if (is_asked_for(fetch, &record, place) && !writer_id_equal(&record.writer, left_out)) {
            world->fetched_record_count++;
            must(buffer_append(records, log.at, length));
        }
        log = bytes_of(log.at + length, log.length - length);
    }
}

static void receive_fetch(struct leader_world *world, const struct frame *frame)
{
    uint32_t request = frame->request;
    struct frame_fetch fetch;
    must(frame_fetch_decode(&fetch, frame->body));
    world->fetch_count++;
    if (world->is_store_silent) {
        return;
    }
    const struct frame_fetched fetched = {.writer = fetch.writer, .next = fetch.to, .is_end = 1};
    struct buffer end = BUFFER_EMPTY, records = BUFFER_EMPTY;
    struct writer_id forker = {{0}};
    const struct verify_key key = sign_key_public(world->store_key);
    const struct writer_id first = writer_store_id_of(&key);
    if (world->forked.length > 0 && writer_id_equal(&frame->peer, &first)) {
        struct record record;
        must(record_decode(&record, world->forked.bytes,
                           record_length(world->forked.bytes, world->forked.length)));
        forker = record.writer;
        give_asked(world, &fetch, buffer_bytes(&world->forked), &everyone, &records);
    }
    give_asked(world, &fetch, buffer_bytes(&world->stored), &forker, &records);
    must(frame_fetched_encode(&end, &fetched));
    if (records.length > 0) {
        leader_world_send(world, FRAME_RECORD, request, &everyone, buffer_bytes(&records));
    }
    leader_world_send(world, FRAME_FETCHED, request, &everyone, buffer_bytes(&end));
    buffer_release(&end);
    buffer_release(&records);
}

/* ---- the machine ---- */

static void make_evidence(const struct leader_world *world, const uint8_t *report_data,
                          struct buffer *target)
{
    uint8_t quote[SIMULATED_QUOTE_BYTES];
    const struct leader_world_evidence *says = &world->evidence;
    if (says->make != NULL) {
        says->make(says->context, report_data, target);
        return;
    }
    simulated_quote(says->platform, &says->measurement,
                    says->report_data != NULL ? says->report_data : report_data, says->is_debug,
                    quote);
    const struct evidence evidence = {
        .tee = TEE_SIMULATED,
        .quote = bytes_of(quote, sizeof quote),
        .collateral = says->tcb,
    };
    must(evidence_encode(&evidence, target));
}

/* ---- the owner ---- */

static void owner_receive_join(struct leader_world *world, struct bytes body)
{
    enum join_step step;
    struct bytes message;
    must(join_decode(&step, &message, body));
    if (step == JOIN_APPLY) {
        struct buffer answer = BUFFER_EMPTY;
        join_judge_free(world->judge);
        must(join_judge_new(&world->judge, JOIN_PROVISION, message, bytes_of(NULL, 0),
                            world->judge_key, &world->random, &world->apply, &answer));
        leader_world_send(world, FRAME_JOIN, 0, &owner_peer, buffer_bytes(&answer));
        buffer_release(&answer);
    } else if (step == JOIN_PROVE) {
        uint8_t report_data[JOIN_REPORT_DATA_BYTES];
        channel_free(world->session);
        buffer_clear(&world->leader_evidence);
        must(join_judge_prove(world->judge, message, &world->leader_evidence, report_data,
                              &world->session));
    }
}

static void owner_receive_answer(struct leader_world *world, struct bytes body)
{
    struct buffer plain = BUFFER_EMPTY;
    struct message message;
    must(channel_open(world->session, &plain, body));
    must(message_decode(&message, buffer_bytes(&plain)));
    CHECK(message.kind == MESSAGE_ANSWER);
    world->answer_count++;
    world->request_count += message.answer.request != 0;
    world->answer = (enum status)message.answer.status;
    world->sync = (struct sync_pair){message.answer.sync_epoch, message.answer.sync};
    snprintf(world->answer_text, sizeof world->answer_text, "%.*s", (int)message.answer.text.length,
             (const char *)message.answer.text.at);
    buffer_release(&plain);
}

/* ---- enclaves ---- */

static void joiner_receive_join(struct leader_world *world, struct leader_world_joiner *joiner,
                                struct bytes body)
{
    enum join_step step;
    struct bytes message;
    uint64_t term;
    struct verify_key judge;
    struct buffer evidence = BUFFER_EMPTY;
    const struct verify_key owner = sign_key_public(world->owner);
    must(join_decode(&step, &message, body));
    if (step == JOIN_REFUSED) {
        snprintf(joiner->refusal, sizeof joiner->refusal, "%.*s", (int)message.length,
                 (const char *)message.at);
        return;
    }
    CHECK(step == JOIN_ANSWER);
    must(join_applicant_answer(joiner->applicant, message, &owner, &term, &judge,
                               joiner->report_data));
    make_evidence(world, joiner->report_data, &evidence);
    must(join_applicant_prove(joiner->applicant, buffer_bytes(&evidence), &joiner->proof,
                              &joiner->channel));
    buffer_release(&evidence);
    leader_world_send(world, FRAME_JOIN, 0, &joiner->id, buffer_bytes(&joiner->proof));
}

static void joiner_receive_channel(struct leader_world_joiner *joiner, struct bytes body)
{
    struct message *message = &joiner->message;
    joiner->channel_frame_count++;
    buffer_clear(&joiner->plain);
    must(channel_open(joiner->channel, &joiner->plain, body));
    must(message_decode(message, buffer_bytes(&joiner->plain)));
    if (message->kind == MESSAGE_GRANT) {
        joiner->is_granted = true;
        joiner->certificate = message->grant.certificate;
    } else if (message->kind == MESSAGE_RENEW) {
        joiner->certificate = message->renew.certificate;
    }
}

/* ---- the host ---- */

/* The leader's own record, or one of another that it passes on. */
static void receive_record(struct leader_world *world, struct bytes body)
{
    struct record record;
    must(record_decode(&record, body.at, body.length));
    world->others_record_count += !writer_id_equal(&record.writer, &world->leader_id);
    if (!world->is_store_deaf_to_leader) {
        leader_world_store(world, body);
    }
}

static void deliver(struct leader_world *world, const struct frame *frame)
{
    bool is_owners = writer_id_equal(&frame->peer, &owner_peer);
    struct leader_world_joiner *joiner = world->joiner;
    if (world->other != NULL && writer_id_equal(&frame->peer, &world->other->id)) {
        joiner = world->other;
    }
    bool is_joiners = joiner != NULL && writer_id_equal(&frame->peer, &joiner->id);
    struct buffer evidence = BUFFER_EMPTY;
    switch (frame->kind) {
    case FRAME_RECORD:
        receive_record(world, frame->body);
        break;
    case FRAME_FENCE:
        receive_fence(world, frame->body);
        break;
    case FRAME_FETCH:
        receive_fetch(world, frame);
        break;
    case FRAME_RECALL:
        if (!world->is_store_silent) {
            tell_state(world, RECEIPT_DURABLE, 1);
        }
        break;
    case FRAME_RTS:
        world->rts_count++;
        break;
    case FRAME_EVIDENCE:
        make_evidence(world, frame->body.at, &evidence);
        leader_world_send(world, FRAME_EVIDENCE, frame->request, &everyone,
                          buffer_bytes(&evidence));
        buffer_release(&evidence);
        break;
    case FRAME_JOIN:
        if (is_owners) {
            owner_receive_join(world, frame->body);
        } else if (is_joiners) {
            joiner_receive_join(world, joiner, frame->body);
        }
        break;
    case FRAME_CHANNEL:
        if (is_owners) {
            owner_receive_answer(world, frame->body);
        } else if (is_joiners) {
            joiner_receive_channel(joiner, frame->body);
        }
        break;
    default:
        break;
    }
}

static void tick_and_deliver(struct leader_world *world)
{
    struct buffer bytes = BUFFER_EMPTY;
    if (world->status == STATUS_OK) {
        world->status = leader_tick(world->leader, time_of(world), &world->wake_us);
    }
    while (leader_output(world->leader, &bytes) == STATUS_OK) {
        struct frame frame;
        struct buffer taken = bytes;
        bytes = BUFFER_EMPTY;
        must(frame_decode(&frame, buffer_bytes(&taken)));
        deliver(world, &frame);
        buffer_release(&taken);
    }
    buffer_release(&bytes);
}

void leader_world_give(struct leader_world *world, struct bytes frame)
{
    if (world->status != STATUS_OK) {
        return;
    }
    world->status = leader_receive(world->leader, frame, time_of(world));
    tick_and_deliver(world);
}

void leader_world_send(struct leader_world *world, enum frame_kind kind, uint32_t request,
                       const struct writer_id *peer, struct bytes body)
{
    struct buffer frame = BUFFER_EMPTY;
    must(frame_encode(&frame, kind, request, peer, body));
    if (world->tape != NULL) {
        uint8_t length[4];
        struct encoder out = encoder_over(length, sizeof length);
        encoder_u32(&out, (uint32_t)frame.length);
        must(buffer_append(world->tape, length, sizeof length));
        must(buffer_append(world->tape, frame.bytes, frame.length));
    }
    leader_world_give(world, buffer_bytes(&frame));
    buffer_release(&frame);
}

void leader_world_run(struct leader_world *world, uint64_t us)
{
    for (uint64_t end_us = world->now_us + us; world->now_us < end_us;) {
        world->now_us += STEP_US;
        tick_and_deliver(world);
    }
}

/* ---- birth and end ---- */

static void start_leader(struct leader_world *world)
{
    world->leader_key = sign_key_new(&world->random);
    world->leader_public = sign_key_public(world->leader_key);
    world->leader_id = writer_id_of(&world->leader_public);
    const struct leader_config config = {
        .genesis = buffer_bytes(&world->genesis),
        .key = world->leader_key,
        .random = &world->random,
        .log = &silent,
        .vendors = world->vendors,
    };
    must(leader_new(&world->leader, &config));
    world->status = STATUS_OK;
}

uint64_t leader_world_start_s(void)
{
    return START_S;
}

void leader_world_init(struct leader_world *world, uint64_t seed)
{
    crypto_init();
    *world = (struct leader_world){.now_us = 1000, .store_room = SIZE_MAX};
    world->random = random_seeded(&world->seeded, seed);
    world->owner = sign_key_new(&world->random);
    world->judge_key = world->owner;
    world->seed = secret_new_random(&world->random);
    world->vendor = sign_key_new(&world->random);
    world->store_key = sign_key_new(&world->random);
    world->mirror_keys[0] = sign_key_new(&world->random);
    world->mirror_keys[1] = sign_key_new(&world->random);

    const struct simulated_terms terms = {
        .tcb_level = 1, .not_before_s = START_S - 86400, .not_after_s = START_S + 31536000};
    const struct simulated_tcb tcb = {
        .issued_s = START_S - 3600,
        .next_update_s = START_S + 31536000,
        .levels = {{.tcb_level = 1, .status = TCB_UP_TO_DATE}},
        .level_count = 1,
    };
    world->platform = simulated_platform_new(&world->random, world->vendor, &terms);
    must(simulated_tcb_encode(&tcb, world->vendor, &world->tcb));
    world->evidence = (struct leader_world_evidence){
        .measurement = hash_of("program", 7),
        .platform = world->platform,
        .tcb = buffer_bytes(&world->tcb),
    };

    world->vendors = vendor_pinned();
    policy_init(&world->policy);
    world->policy.version = 1;
    world->policy.allow_simulated = true;
    world->policy.has_simulated_root = true;
    world->policy.simulated_root = sign_key_public(world->vendor);
    for (size_t role = 0; role < POLICY_ROLE_COUNT; role++) {
        world->policy.measurements[role].values[0] =
            verdict_value_of(bytes_of(world->evidence.measurement.bytes, HASH_BYTES));
        world->policy.measurements[role].count = 1;
    }
}

void leader_world_begin(struct leader_world *world)
{
    struct genesis genesis = {.store_count = 1, .receipt_count = 1};
    struct buffer policy = BUFFER_EMPTY;
    snprintf(genesis.app, sizeof genesis.app, "world");
    snprintf(genesis.stores[0].name, sizeof genesis.stores[0].name, "store-1");
    genesis.owner = sign_key_public(world->owner);
    genesis.stores[0].key = sign_key_public(world->store_key);
    for (size_t i = 0; i < 2 && world->has_mirrors; i++) {
        struct genesis_store *mirror = &genesis.stores[1 + i];
        genesis.store_count = 3;
        genesis.receipt_count = 2;
        snprintf(mirror->name, sizeof mirror->name, "mirror-%zu", i);
        mirror->key = sign_key_public(world->mirror_keys[i]);
    }
    must(policy_encode(&world->policy, &policy));
    must(genesis_encode(&world->genesis, &genesis, buffer_bytes(&policy), world->owner));
    world->capsule = hash_of(world->genesis.bytes, world->genesis.length);
    buffer_release(&policy);
    start_leader(world);
}

void leader_world_restart(struct leader_world *world)
{
    leader_free(world->leader);
    sign_key_free(world->leader_key);
    start_leader(world);
}

void leader_world_release(struct leader_world *world)
{
    leader_free(world->leader);
    sign_key_free(world->leader_key);
    sign_key_free(world->owner);
    sign_key_free(world->vendor);
    sign_key_free(world->store_key);
    sign_key_free(world->mirror_keys[0]);
    sign_key_free(world->mirror_keys[1]);
    secret_free(world->seed);
    simulated_platform_free(world->platform);
    join_judge_free(world->judge);
    channel_free(world->session);
    buffer_release(&world->tcb);
    buffer_release(&world->genesis);
    buffer_release(&world->stored);
    buffer_release(&world->forked);
    buffer_release(&world->stores_word);
    buffer_release(&world->leader_evidence);
}

/* ---- what the owner does ---- */

void leader_world_call(struct leader_world *world)
{
    struct buffer call = BUFFER_EMPTY;
    must(join_call(&call));
    leader_world_send(world, FRAME_JOIN, 0, &owner_peer, buffer_bytes(&call));
    buffer_release(&call);
}

void leader_world_say(struct leader_world *world, struct bytes plain)
{
    struct buffer sealed = BUFFER_EMPTY;
    must(channel_seal(world->session, &sealed, plain));
    leader_world_send(world, FRAME_CHANNEL, 0, &owner_peer, buffer_bytes(&sealed));
    buffer_release(&sealed);
}

void leader_world_seed(struct leader_world *world, uint64_t number, const struct verify_key *leader)
{
    struct buffer body = BUFFER_EMPTY, plain = BUFFER_EMPTY;
    const struct term term = {
        .capsule = world->capsule,
        .number = number,
        .leader = *leader,
        .sync = world->sync.hash,
        .sync_epoch = world->sync.epoch,
        .evidence = buffer_bytes(&world->leader_evidence),
        .stores = buffer_bytes(&world->stores_word),
    };
    must(term_encode(&body, &term, world->owner));
    const struct message_seed seed = {.seed = secret_bytes(world->seed),
                                      .term_body = buffer_bytes(&body)};
    must(message_seed_encode(&plain, &seed));
    leader_world_say(world, buffer_bytes(&plain));
    buffer_release(&body);
    buffer_release(&plain);
}

/* Of the GENESIS's stores those whose bits are set. */
static struct genesis set_of(const struct genesis *genesis, unsigned stores)
{
    struct genesis set = *genesis;
    set.store_count = 0;
    for (uint32_t i = 0; i < genesis->store_count; i++) {
        if ((stores & 1u << i) != 0) {
            set.stores[set.store_count++] = genesis->stores[i];
        }
    }
    set.receipt_count = set.store_count / 2 + 1;
    return set;
}

void leader_world_name_stores(struct leader_world *world, uint64_t version, unsigned now,
                              unsigned former)
{
    struct genesis genesis;
    must(genesis_decode(&genesis, buffer_bytes(&world->genesis)));
    const struct stores stores = {
        .version = version,
        .now = set_of(&genesis, now),
        .has_former = former != now,
        .former = set_of(&genesis, former),
    };
    buffer_clear(&world->stores_word);
    must(stores_encode(&world->stores_word, &stores, world->owner));
}

static void give_function(struct leader_world *world, const char *name, uint64_t version,
                          const struct sign_key *signer, bool is_removed)
{
    struct buffer body = BUFFER_EMPTY, plain = BUFFER_EMPTY;
    struct function_manifest manifest = {
        .version = version,
        .is_removed = is_removed,
        .time_ms = 1000,
        .memory_bytes = 1 << 24,
        .response_bytes = 1 << 20,
    };
    snprintf(manifest.name, sizeof manifest.name, "%s", name);
    must(function_encode(&body, &manifest,
                         is_removed ? bytes_of(NULL, 0) : bytes_text("exports.handler = () => 1"),
                         &world->capsule, signer));
    const struct message_deploy deploy = {.request = 7, .function = buffer_bytes(&body)};
    must(message_deploy_encode(&plain, &deploy));
    leader_world_say(world, buffer_bytes(&plain));
    buffer_release(&body);
    buffer_release(&plain);
}

void leader_world_deploy(struct leader_world *world, const char *name, uint64_t version,
                         const struct sign_key *signer)
{
    give_function(world, name, version, signer, false);
}

void leader_world_undeploy(struct leader_world *world, const char *name, uint64_t version)
{
    give_function(world, name, version, world->owner, true);
}

void leader_world_lead(struct leader_world *world, uint64_t number)
{
    leader_world_call(world);
    leader_world_seed(world, number, &world->leader_public);
    leader_world_run(world, STEP_US);
}

/* ---- joining ---- */

void leader_world_joiner_init(struct leader_world *world, struct leader_world_joiner *joiner)
{
    *joiner = (struct leader_world_joiner){
        .world = world,
        .key = sign_key_new(&world->random),
    };
    joiner->public_key = sign_key_public(joiner->key);
    joiner->id = writer_id_of(&joiner->public_key);
    joiner->tls_key = p256_key_new();
}

void leader_world_joiner_release(struct leader_world_joiner *joiner)
{
    if (joiner->world->joiner == joiner) {
        joiner->world->joiner = NULL;
    }
    sign_key_free(joiner->key);
    p256_key_free(joiner->tls_key);
    join_applicant_free(joiner->applicant);
    channel_free(joiner->channel);
    buffer_release(&joiner->proof);
    buffer_release(&joiner->plain);
}

void leader_world_join(struct leader_world *world, struct leader_world_joiner *joiner,
                       enum member_role role, const struct hash *capsule)
{
    const struct p256_public tls_key = p256_key_public(joiner->tls_key);
    struct buffer message = BUFFER_EMPTY;
    join_applicant_free(joiner->applicant);
    joiner->applicant = NULL;
    world->joiner = joiner;
    must(join_applicant_new(&joiner->applicant, JOIN_MEMBER, role, capsule, &joiner->public_key,
                            &tls_key, &world->random, &message));
    leader_world_send(world, FRAME_JOIN, 0, &joiner->id, buffer_bytes(&message));
    buffer_release(&message);
    leader_world_run(world, STEP_US);
}
