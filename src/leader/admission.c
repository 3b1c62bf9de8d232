/* src/leader/admission.c */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attest/evidence.h"
#include "base/check.h"
#include "base/date.h"
#include "capsule/function.h"
#include "capsule/keys.h"
#include "capsule/term.h"
#include "leader/leader_internal.h"

/*
 * Who speaks to the leader: the owner, to whom it proves itself (DESIGN 6.1),
 * and enclaves that prove themselves to it (6.3). No key and no function leaves before evidence
 * passed.
 */
enum {
    ADMISSION_TIMEOUT_US = 10 * 1000 * 1000,  // of a handshake
    ADMISSION_LEAF_S = 24 * 3600,             // life of a worker's certificate
    ADMISSION_CLOCK_SKEW_S = 300,
};

/* ---- the owner ---- */

static void session_release(struct leader_session *session)
{
    join_applicant_free(session->applicant);
    channel_free(session->channel);
    *session = (struct leader_session){.is_used = false};
}

static void join_release(struct leader_join *join)
{
    join_judge_free(join->judge);
    channel_free(join->channel);
    *join = (struct leader_join){.is_used = false};
}

void admission_release(struct leader *leader)
{
    for (size_t i = 0; i < LEADER_SESSIONS_MAX; i++) {
        session_release(&leader->sessions[i]);
    }
    for (size_t i = 0; i < LEADER_JOINS_MAX; i++) {
        join_release(&leader->joins[i]);
    }
}

/* A place for a new session: a free one, or the one that has been quiet for longest. */
static struct leader_session *session_place(struct leader *leader)
{
    struct leader_session *place = &leader->sessions[0];
    for (size_t i = 0; i < LEADER_SESSIONS_MAX; i++) {
        struct leader_session *session = &leader->sessions[i];
        if (!session->is_used) {
            return session;
        }
        if (session->last_us < place->last_us) {
            place = session;
        }
    }
    session_release(place);
    return place;
}

static enum status receive_call(struct leader *leader, const struct writer_id *peer,
                                uint64_t now_us)
{
    static const struct p256_public no_tls_key;
    struct leader_session *session = leader_session_find(leader, peer);
    if (session != NULL) {
        session_release(session);
    } else {
        session = session_place(leader);
    }
    struct buffer message = BUFFER_EMPTY;
    *session = (struct leader_session){.is_used = true, .peer = *peer, .last_us = now_us};
    enum status status = join_applicant_new(&session->applicant, JOIN_PROVISION, MEMBER_LEADER,
                                            capsule_name(leader->capsule), &leader->public_key,
                                            &no_tls_key, leader->random, &message);
    if (status == STATUS_OK) {
        status = leader_send(leader, FRAME_JOIN, 0, peer, buffer_bytes(&message));
    }
    buffer_release(&message);
    return status;
}

static enum status receive_answer(struct leader *leader, const struct writer_id *peer,
                                  struct bytes message)
{
    struct leader_session *session = leader_session_find(leader, peer);
    if (session == NULL || session->applicant == NULL || session->evidence_request != 0) {
        return STATUS_OK;
    }
    uint64_t term;
    struct verify_key judge;
    uint8_t report_data[JOIN_REPORT_DATA_BYTES];
    const struct genesis *genesis = capsule_genesis(leader->capsule);
    enum status status = join_applicant_answer(session->applicant, message, &genesis->owner, &term,
                                               &judge, report_data);
    if (status != STATUS_OK) {
        log_event(leader->log, "owner session refused status=\"%s\"", status_text(status));
        session_release(session);
        return STATUS_OK;
    }
    session->evidence_request = leader_next_request(leader);
    return leader_send(leader, FRAME_EVIDENCE, session->evidence_request, peer,
                       bytes_of(report_data, sizeof report_data));
}

enum status admission_receive_evidence(struct leader *leader, const struct frame *frame)
{
    for (size_t i = 0; i < LEADER_SESSIONS_MAX; i++) {
        struct leader_session *session = &leader->sessions[i];
        bool is_meant = session->is_used && session->applicant != NULL && frame->request != 0 &&
                        session->evidence_request == frame->request;
        if (!is_meant) {
            continue;
        }
        struct buffer message = BUFFER_EMPTY;
        enum status status =
            join_applicant_prove(session->applicant, frame->body, &message, &session->channel);
        if (status == STATUS_OK) {
            status = leader_send(leader, FRAME_JOIN, 0, &session->peer, buffer_bytes(&message));
        }
        join_applicant_free(session->applicant);
        session->applicant = NULL;
        buffer_release(&message);
        return status == STATUS_NO_MEMORY ? status : STATUS_OK;
    }
    return vouching_receive_evidence(leader, frame);
}

/* Keys, certificate and token that follow from the seed. */
static enum status grow_tree(struct leader *leader)
{
    const struct hash *capsule = capsule_name(leader->capsule);
    char token[KEYS_TOKEN_TEXT_BYTES];
    keys_token(leader->seed, capsule, token);
    leader->token = keys_token_hash(token);
    buffer_wipe(token, sizeof token);

    leader->lock_key = keys_lock(leader->seed, capsule);
    leader->root_key = keys_tls_root(leader->seed);
    return certificate_root(&leader->root, leader->root_key, capsule);
}

static enum status receive_seed(struct leader *leader, struct leader_session *session,
                                const struct message_seed *seed, struct leader_time time)
{
    struct term term;
    const struct genesis *genesis = capsule_genesis(leader->capsule);
    session->is_told = true;
    if (leader->stage != LEADER_IDLE) {
        return leader_answer(leader, &session->peer, 0, STATUS_STALE, "this leader has a term");
    }
    enum status status = term_decode(&term, seed->term_body, &genesis->owner, &genesis->capsule);
    if (status != STATUS_OK || !verify_key_equal(&term.leader, &leader->public_key)) {
        return leader_answer(leader, &session->peer, 0, STATUS_FORGED,
                             "the TERM does not name this leader");
    }
    if (term.delegation.length > 0 && time.unix_ms / 1000 >= term.keeper.until_s) {
        return leader_answer(leader, &session->peer, 0, STATUS_DENIED,
                             "the keeper's delegation has ended; the owner can give it another");
    }
    status = stores_of_term(&leader->stores, &term, genesis);
    if (status != STATUS_OK) {
        return leader_answer(leader, &session->peer, 0, status,
                             "what the TERM says of the stores is not the owner's word");
    }
    status = leader_forget(leader);  // nothing is known yet; receipts are of these stores from now
    if (status != STATUS_OK) {
        return status;
    }
    leader->term = term.number;
    leader->seeder = session->peer;
    leader->known_sync = seed->sync;
    leader->seed = secret_new_copy(seed->seed);
    status = buffer_append(&leader->term_body, seed->term_body.at, seed->term_body.length);
    if (status == STATUS_OK) {
        status =
            buffer_append(&leader->policy_body, seed->policy_body.at, seed->policy_body.length);
    }
    if (status == STATUS_OK) {
        status = grow_tree(leader);
    }
    return status == STATUS_OK ? takeover_begin(leader, time.now_us) : status;
}

static struct leader_function *function_find(struct leader *leader, const char *name)
{
    for (size_t i = 0; i < leader->function_count; i++) {
        if (strcmp(leader->functions[i].name, name) == 0) {
            return &leader->functions[i];
        }
    }
    return NULL;
}

void admission_note_function(struct leader *leader, const struct function_manifest *manifest)
{
    struct leader_function *function = function_find(leader, manifest->name);
    if (function == NULL && leader->function_count < LEADER_FUNCTIONS_MAX) {
        function = &leader->functions[leader->function_count++];
        snprintf(function->name, sizeof function->name, "%s", manifest->name);
    }
    if (function != NULL && function->version < manifest->version) {
        function->version = manifest->version;
    }
}

/* Whether the owner's function can be published now; `text` says why not. */
static enum status judge_function(struct leader *leader, struct bytes body,
                                  struct function_manifest *manifest, const char **text)
{
    struct bytes code;
    const struct genesis *genesis = capsule_genesis(leader->capsule);
    if (leader->stage != LEADER_LEADING) {
        *text = "the leader has not taken over yet; try again in a moment";
        return STATUS_DENIED;
    }
    enum status status = function_decode(manifest, &code, body, &genesis->owner, &genesis->capsule);
    if (status != STATUS_OK) {
        *text = "the function is not signed by the owner of this app";
        return status;
    }
    const struct leader_function *known = function_find(leader, manifest->name);
    if (known != NULL && known->version >= manifest->version) {
        *text = "this version or a higher one is published already";
        status = STATUS_STALE;
    } else if (known == NULL && leader->function_count == LEADER_FUNCTIONS_MAX) {
        *text = "the app has 1,024 functions already";
        status = STATUS_FULL;
    } else if (known == NULL && manifest->is_removed) {
        *text = "nothing of that name is published";
        status = STATUS_NOT_FOUND;
    }
    if (status != STATUS_OK) {
        function_manifest_release(manifest);
    }
    return status;
}

static struct leader_deploy *deploy_place(struct leader *leader)
{
    for (size_t i = 0; i < LEADER_WAITING_DEPLOYS_MAX; i++) {
        if (!leader->deploys[i].is_used) {
            return &leader->deploys[i];
        }
    }
    return NULL;
}

static enum status receive_deploy(struct leader *leader, const struct leader_session *session,
                                  const struct message_deploy *deploy, uint64_t now_us)
{
    const char *text = "too many functions are under way; try again in a moment";
    struct function_manifest manifest;
    struct leader_deploy *waiting = deploy_place(leader);
    enum status status =
        waiting == NULL ? STATUS_FULL : judge_function(leader, deploy->function, &manifest, &text);
    if (status != STATUS_OK) {
        return leader_answer(leader, &session->peer, deploy->request, status, text);
    }
    status = leader_write(leader, RECORD_FUNCTION, deploy->function, NULL, 0, now_us);
    if (status == STATUS_OK) {
        admission_note_function(leader, &manifest);
        *waiting = (struct leader_deploy){
            .is_used = true,
            .session = session->peer,
            .request = deploy->request,
            .sequence = leader_own_sequence(leader),
        };
        // Its name is the owner's secret like its code: the host learns that there is one.
        log_event(leader->log, "function published sequence=%" PRIu64, waiting->sequence);
    }
    function_manifest_release(&manifest);
    return status;
}

/* ---- the owner's policy ---- */

/* Whether the owner's policy can be put in force now; `text` says why not. */
static enum status judge_policy(struct leader *leader, struct bytes body, const char **text)
{
    uint64_t version;
    struct bytes json;
    char error[POLICY_ERROR_BYTES_MAX];
    const struct genesis *genesis = capsule_genesis(leader->capsule);
    if (leader->stage != LEADER_LEADING) {
        *text = "the leader has not taken over yet; try again in a moment";
        return STATUS_DENIED;
    }
    enum status status =
        term_policy_decode(&version, &json, body, &genesis->owner, &genesis->capsule);
    if (status != STATUS_OK) {
        *text = "the policy is not signed by the owner of this app";
        return status;
    }
    if (version <= capsule_policy_version(leader->capsule)) {
        *text = "a policy of this version or a higher one is in force already";
        return STATUS_STALE;
    }
    // One that cannot be read would admit nobody until the next term.
    struct policy *policy = malloc(sizeof *policy);
    if (policy == NULL) {
        return STATUS_NO_MEMORY;
    }
    status = policy_parse(policy, json, error);
    free(policy);
    if (status != STATUS_OK) {
        *text = "the policy cannot be read by this version of the leader";
    }
    return status;
}

static enum status receive_policy(struct leader *leader, const struct leader_session *session,
                                  const struct message_policy *policy, uint64_t now_us)
{
    const char *text = "too many orders are under way; try again in a moment";
    struct leader_deploy *waiting = deploy_place(leader);
    enum status status =
        waiting == NULL ? STATUS_FULL : judge_policy(leader, policy->policy, &text);
    if (status != STATUS_OK) {
        return leader_answer(leader, &session->peer, policy->request, status, text);
    }
    status = leader_write(leader, RECORD_POLICY, policy->policy, NULL, 0, now_us);
    if (status == STATUS_OK) {
        *waiting = (struct leader_deploy){
            .is_used = true,
            .session = session->peer,
            .request = policy->request,
            .sequence = leader_own_sequence(leader),
        };
        log_event(leader->log, "policy in force version=%" PRIu64,
                  capsule_policy_version(leader->capsule));
    }
    return status;
}

/* ---- enclaves ---- */

static struct leader_join *join_find(struct leader *leader, const struct writer_id *peer)
{
    for (size_t i = 0; i < LEADER_JOINS_MAX; i++) {
        if (leader->joins[i].is_used && writer_id_equal(&leader->joins[i].peer, peer)) {
            return &leader->joins[i];
        }
    }
    return NULL;
}

static enum status refuse(struct leader *leader, const struct writer_id *peer, const char *reason)
{
    char text[WRITER_ID_TEXT_BYTES];
    struct buffer message = BUFFER_EMPTY;
    writer_id_text(peer, text);
    leader->counters.members_refused++;
    log_event(leader->log, "member refused writer=%s %s", text, reason);
    enum status status = join_refuse(&message, reason);
    if (status == STATUS_OK) {
        status = leader_send(leader, FRAME_JOIN, 0, peer, buffer_bytes(&message));
    }
    buffer_release(&message);
    return status;
}

/* Refuse for what the evidence says, and tell whoever reads the log what to do about it. */
static enum status refuse_verdict(struct leader *leader, const struct writer_id *peer,
                                  const struct verdict *verdict)
{
    char line[VERDICT_LINE_BYTES_MAX], text[WRITER_ID_TEXT_BYTES];
    verdict_line(verdict, line);
    enum status status = refuse(leader, peer, line);
    writer_id_text(peer, text);
    log_event(leader->log, "member needs writer=%s reason=%s remedy=%s", text,
              verdict_code(verdict->reason), verdict_remedy(verdict->reason));
    return status;
}

static enum status receive_apply(struct leader *leader, const struct writer_id *peer,
                                 struct bytes message, uint64_t now_us)
{
    struct leader_join *place = join_find(leader, peer);
    for (size_t i = 0; i < LEADER_JOINS_MAX && place == NULL; i++) {
        place = leader->joins[i].is_used ? NULL : &leader->joins[i];
    }
    if (leader->stage != LEADER_LEADING || place == NULL) {
        return refuse(leader, peer, "reason=busy detail=the leader cannot admit anyone now");
    }
    join_release(place);

    struct buffer answer = BUFFER_EMPTY;
    enum status status =
        join_judge_new(&place->judge, JOIN_MEMBER, message, buffer_bytes(&leader->term_body),
                       leader->key, leader->random, &place->apply, &answer);
    if (status != STATUS_OK) {
        buffer_release(&answer);
        return refuse(leader, peer, "reason=format detail=the first message cannot be read");
    }
    place->is_used = true;
    place->peer = *peer;
    place->started_us = now_us;

    struct writer_id id = writer_id_of(&place->apply.key);
    bool has_role = place->apply.role == MEMBER_WORKER || place->apply.role == MEMBER_COMPACTOR;
    bool is_wanted = has_role && hash_equal(&place->apply.capsule, capsule_name(leader->capsule)) &&
                     capsule_member_find(leader->capsule, &id) == NULL;
    if (is_wanted) {
        status = leader_send(leader, FRAME_JOIN, 0, peer, buffer_bytes(&answer));
    } else {
        join_release(place);
        status = refuse(leader, peer, "reason=policy detail=role, capsule or key is not wanted");
    }
    buffer_release(&answer);
    return status;
}

static enum status write_member(struct leader *leader, struct leader_join *join,
                                struct bytes evidence, uint64_t now_us)
{
    const struct capsule_sync *newest = capsule_newest_sync(leader->capsule);
    struct evidence parts;
    enum status status = evidence_decode(&parts, evidence);
    CHECK(status == STATUS_OK);  // it has been verified
    const struct member_body member = {
        .key = join->apply.key,
        .role = join->apply.role,
        .policy_version = (uint32_t)capsule_policy_version(leader->capsule),
        .sync = newest == NULL ? (struct hash){{0}} : newest->hash,
        .tls_key = join->apply.tls_key,
        .evidence = evidence,  // the container carries the collateral too
    };
    struct buffer body = BUFFER_EMPTY;
    status = member_encode(&body, &member);
    if (status == STATUS_OK) {
        status = leader_write(leader, RECORD_MEMBER, buffer_bytes(&body), NULL, 0, now_us);
    }
    if (status == STATUS_OK) {
        join->tee = parts.tee;
        join->evidence_hash = hash_of(evidence.at, evidence.length);
        join->member_sequence = leader_own_sequence(leader);
        struct writer_id id = writer_id_of(&join->apply.key);
        const struct capsule_member *added = capsule_member_find(leader->capsule, &id);
        leader_peer_of(leader, added)->listed_joined = added->joined_lamport;
    }
    buffer_release(&body);
    return status;
}

/* Until when members can be admitted by the collateral that this one was admitted by. */
static void log_collateral(const struct leader *leader, const struct verdict *verdict)
{
    char until[DATE_TEXT_BYTES];
    if (verdict->tee != TEE_SIMULATED) {
        date_text(until, verdict->valid_until_s);
        log_event(leader->log, "collateral tee=%s valid_until=%s", verdict_tee_text(verdict->tee),
                  until);
    }
}

static enum status receive_proof(struct leader *leader, const struct writer_id *peer,
                                 struct bytes message, struct leader_time time)
{
    struct leader_join *join = join_find(leader, peer);
    if (join == NULL || join->judge == NULL || join->channel != NULL) {
        return STATUS_OK;
    }
    struct buffer evidence = BUFFER_EMPTY;
    uint8_t report_data[JOIN_REPORT_DATA_BYTES];
    enum status status =
        join_judge_prove(join->judge, message, &evidence, report_data, &join->channel);
    if (status != STATUS_OK) {
        join_release(join);
        buffer_release(&evidence);
        return refuse(leader, peer, "reason=signature detail=the proof does not open");
    }
    status = leader_use_policy(leader);
    if (status != STATUS_OK) {
        join_release(join);
        buffer_release(&evidence);
        return refuse(leader, peer, "reason=policy detail=the policy in force cannot be read");
    }
    status = shelf_complete(&leader->shelf, &evidence);
    if (status != STATUS_OK) {
        buffer_release(&evidence);
        return status;
    }
    const struct evidence_roots roots = policy_roots(&leader->policy, leader->vendors);
    const struct verdict genuine =
        evidence_verify(buffer_bytes(&evidence), time.unix_ms / 1000, &roots);
    enum policy_role role = join->apply.role == MEMBER_COMPACTOR ? POLICY_COMPACTOR : POLICY_WORKER;
    const struct verdict verdict = policy_judge(&leader->policy, &genuine, report_data, role);
    if (verdict.is_admitted) {
        log_collateral(leader, &verdict);
        status = write_member(leader, join, buffer_bytes(&evidence), time.now_us);
        if (status == STATUS_OK) {
            status = shelf_keep(&leader->shelf, buffer_bytes(&evidence));
        }
    } else {
        join_release(join);
        status = refuse_verdict(leader, peer, &verdict);
    }
    buffer_release(&evidence);
    return status;
}

enum status admission_receive_join(struct leader *leader, const struct frame *frame,
                                   struct leader_time time)
{
    enum join_step step;
    struct bytes message;
    if (join_decode(&step, &message, frame->body) != STATUS_OK) {
        return STATUS_OK;
    }
    switch (step) {
    case JOIN_CALL:
        return receive_call(leader, &frame->peer, time.now_us);
    case JOIN_ANSWER:
        return receive_answer(leader, &frame->peer, message);
    case JOIN_APPLY:
        return receive_apply(leader, &frame->peer, message, time.now_us);
    case JOIN_PROVE:
        return receive_proof(leader, &frame->peer, message, time);
    case JOIN_REFUSED:
        log_event(leader->log, "the owner refuses this leader: %.*s", (int)message.length,
                  (const char *)message.at);
        return STATUS_OK;
    }
    return STATUS_OK;
}

/* A fresh certificate for a member's TLS key. */
static enum status make_leaf(struct leader *leader, const struct leader_join *join,
                             struct leader_time time, struct buffer *leaf)
{
    enum status status = leader_use_policy(leader);
    if (status != STATUS_OK) {
        return status;
    }
    struct certificate_claims claims = {
        .capsule = *capsule_name(leader->capsule),
        .evidence_hash = join->evidence_hash,
        .not_before_s = time.unix_ms / 1000 - ADMISSION_CLOCK_SKEW_S,
        .not_after_s = time.unix_ms / 1000 + ADMISSION_LEAF_S,
        .tee = verdict_tee_text(join->tee),
        .hosts = leader->policy.hosts,
        .host_count = leader->policy.host_count,
    };
    struct writer_id id = writer_id_of(&join->apply.key);
    memcpy(claims.writer_id, id.bytes, sizeof claims.writer_id);
    return certificate_leaf(leaf, leader->root_key, &join->apply.tls_key, &claims);
}

/* The heads a newcomer has to reach: this branch, and what the newest SYNC joined. */
static uint32_t collect_heads(struct leader *leader, struct branch_head *heads)
{
    uint32_t count = 0;
    const struct capsule_member *own = capsule_member_find(leader->capsule, &leader->id);
    heads[count++] = (struct branch_head){.writer = own->id, .head = own->head};
    for (size_t i = 0; i < leader->peer_count && count < MESSAGE_HEADS_MAX; i++) {
        const struct capsule_member *member = capsule_member_at(leader->capsule, i);
        // How far a closed branch goes its CLOSE says.
        if (leader->peers[i].listed.sequence > 0 && !member->is_closed) {
            heads[count++] =
                (struct branch_head){.writer = member->id, .head = leader->peers[i].listed};
        }
    }
    return count;
}

/*
 * The MANIFEST to begin from: what the SYNC names that the MEMBER does. An older one the newcomer
 * never joins, so none that it joins names an older MANIFEST.
 */
static struct branch_head manifest_of(const struct leader *leader, const struct leader_join *join)
{
    const struct writer_id id = writer_id_of(&join->apply.key);
    const struct capsule_member *member = capsule_member_find(leader->capsule, &id);
    const struct capsule_sync *sync = capsule_sync_find(leader->capsule, &member->joined);
    return sync == NULL ? (struct branch_head){.head = {.sequence = 0}} : sync->manifest;
}

static enum status encode_grant(struct leader *leader, const struct leader_join *join,
                                struct leader_time time, struct buffer *plain)
{
    struct buffer leaf = BUFFER_EMPTY;
    struct secret *keys[MESSAGE_KEYS_MAX] = {NULL};
    struct message_grant grant = {.token_count = 1, .tokens = {leader->token}};
    struct branch_head *heads = calloc(leader->peer_count + 1, sizeof *heads);
    enum status status = heads == NULL ? STATUS_NO_MEMORY : make_leaf(leader, join, time, &leaf);
    if (status == STATUS_OK) {
        uint32_t last = rotation_epoch_to_grant(leader);
        for (uint32_t epoch = CAPSULE_KEY_EPOCH_FIRST; epoch <= last; epoch++) {
            struct secret *key = keys_data(leader->seed, capsule_name(leader->capsule), epoch);
            keys[grant.key_count] = key;
            grant.keys[grant.key_count++] =
                (struct message_key){.key_epoch = epoch, .secret = secret_bytes(key)};
        }
        grant.certificate = buffer_bytes(&leaf);
        grant.root = buffer_bytes(&leader->root);
        grant.head_count = collect_heads(leader, heads);
        grant.manifest = manifest_of(leader, join);
        status = message_grant_encode(plain, &grant, heads);
    }
    for (uint32_t i = 0; i < grant.key_count; i++) {
        secret_free(keys[i]);
    }
    free(heads);
    buffer_release(&leaf);
    return status;
}

/* W stores hold the MEMBER: now it may have its keys. */
static enum status grant(struct leader *leader, struct leader_join *join, struct leader_time time)
{
    struct buffer plain = BUFFER_EMPTY;
    struct writer_id id = writer_id_of(&join->apply.key);
    const struct capsule_member *member = capsule_member_find(leader->capsule, &id);
    CHECK(member != NULL);
    enum status status = encode_grant(leader, join, time, &plain);
    if (status == STATUS_OK) {
        status = leader_send_sealed(leader, join->channel, &join->peer, buffer_bytes(&plain));
    }
    if (status == STATUS_OK) {
        char text[WRITER_ID_TEXT_BYTES];
        writer_id_text(&id, text);
        log_event(leader->log, "member admitted writer=%s tee=%s", text,
                  verdict_tee_text(join->tee));
        struct leader_peer *peer = leader_peer_of(leader, member);
        peer->channel = join->channel;
        peer->tee = join->tee;
        join->channel = NULL;
        leader->counters.members_admitted++;
        join_release(join);
    }
    buffer_release(&plain);
    return status;
}

enum status admission_tick(struct leader *leader, struct leader_time time)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < LEADER_JOINS_MAX && status == STATUS_OK; i++) {
        struct leader_join *join = &leader->joins[i];
        if (!join->is_used) {
            continue;
        }
        if (join->member_sequence > 0 && leader_own_is_durable(leader, join->member_sequence)) {
            status = grant(leader, join, time);
        } else if (join->member_sequence == 0 &&
                   time.now_us > join->started_us + ADMISSION_TIMEOUT_US) {
            join_release(join);
        }
    }
    return status;
}

/* ---- channels ---- */

/* A member asks for a new certificate: at half the life of the last. */
static enum status receive_renewal(struct leader *leader, const struct capsule_member *member,
                                   struct channel *channel, struct leader_time time)
{
    struct leader_join again = {
        .evidence_hash = member->evidence_hash,
        .tee = leader_peer_of(leader, member)->tee,
    };
    again.apply.key = member->key;
    again.apply.tls_key = member->tls_key;
    struct buffer leaf = BUFFER_EMPTY, plain = BUFFER_EMPTY;
    enum status status = make_leaf(leader, &again, time, &leaf);
    const struct message_renew renew = {.certificate = buffer_bytes(&leaf)};
    if (status == STATUS_OK) {
        status = message_renew_encode(&plain, &renew);
    }
    if (status == STATUS_OK) {
        status = leader_send_sealed(leader, channel, &member->id, buffer_bytes(&plain));
    }
    buffer_release(&leaf);
    buffer_release(&plain);
    return status;
}

static enum status receive_member_message(struct leader *leader, const struct frame *frame,
                                          struct leader_time time)
{
    const struct capsule_member *member = capsule_member_find(leader->capsule, &frame->peer);
    struct channel *channel = member == NULL ? NULL : leader_peer_of(leader, member)->channel;
    struct buffer plain = BUFFER_EMPTY;
    struct message message;
    enum status status = STATUS_OK;
    bool is_genuine = channel != NULL && channel_open(channel, &plain, frame->body) == STATUS_OK &&
                      message_decode(&message, buffer_bytes(&plain)) == STATUS_OK;
    if (is_genuine && message.kind == MESSAGE_RENEW) {
        status = receive_renewal(leader, member, channel, time);
    } else if (is_genuine && message.kind == MESSAGE_LOCK_ASK) {
        status = lock_receive_ask(leader, member, &message.lock_ask, time);
    } else if (is_genuine && message.kind == MESSAGE_LOCK_RELEASE) {
        status = lock_receive_release(leader, member, &message.lock_release, time);
    } else if (is_genuine && message.kind == MESSAGE_PRUNE) {
        status = retention_receive(leader, member, message.prune.body);
    } else if (is_genuine && message.kind == MESSAGE_VOUCH_ASK) {
        status = vouching_receive_ask(leader, member, &message.vouch_ask);
    } else if (is_genuine && message.kind == MESSAGE_KEY) {
        status = rotation_receive_ask(leader, member, channel, message.key.key_epoch);
    }
    buffer_release(&plain);
    return status;
}

enum status admission_receive_channel(struct leader *leader, const struct frame *frame,
                                      struct leader_time time)
{
    struct leader_session *session = leader_session_find(leader, &frame->peer);
    if (session == NULL || session->channel == NULL) {
        return receive_member_message(leader, frame, time);
    }
    struct buffer plain = BUFFER_EMPTY;
    struct message message;
    enum status status = channel_open(session->channel, &plain, frame->body);
    if (status == STATUS_OK) {
        status = message_decode(&message, buffer_bytes(&plain));
    }
    if (status != STATUS_OK) {
        log_event(leader->log, "owner message dropped status=\"%s\"", status_text(status));
        status = STATUS_OK;
        goto done;
    }
    session->last_us = time.now_us;
    if (message.kind == MESSAGE_SEED) {
        status = receive_seed(leader, session, &message.seed, time);
    } else if (message.kind == MESSAGE_DEPLOY) {
        status = receive_deploy(leader, session, &message.deploy, time.now_us);
    } else if (message.kind == MESSAGE_ROTATE) {
        status = rotation_receive_rotate(leader, session, message.rotate);
    } else if (message.kind == MESSAGE_REVOKE) {
        status = rotation_receive_revoke(leader, session, &message.revoke, time.now_us);
    } else if (message.kind == MESSAGE_POLICY) {
        status = receive_policy(leader, session, &message.policy, time.now_us);
    }

done:
    buffer_release(&plain);
    return status;
}
