/* src/leader/leader.c */
#include "leader/leader.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "capsule/keys.h"
#include "capsule/receipt.h"
#include "capsule/seal.h"
#include "leader/leader_internal.h"

static const struct writer_id everyone;

enum status leader_new(struct leader **leader, const struct leader_config *config)
{
    struct leader *made = calloc(1, sizeof *made);
    *leader = NULL;
    if (made == NULL) {
        return STATUS_NO_MEMORY;
    }
    made->key = config->key;
    made->public_key = sign_key_public(config->key);
    made->id = writer_id_of(&made->public_key);
    made->random = config->random;
    made->vendors = config->vendors;
    made->log = config->log;
    made->output_end = &made->output;
    outbox_init(&made->outbox);

    enum status status = capsule_new(&made->capsule, config->genesis);
    if (status == STATUS_OK) {
        stores_of_genesis(&made->stores, capsule_genesis(made->capsule));
        status = durable_new(&made->durable, &made->stores.now, NULL);
    }
    if (status != STATUS_OK) {
        leader_free(made);
        return status;
    }
    *leader = made;
    return STATUS_OK;
}

static void output_drop_first(struct leader *leader)
{
    struct leader_frame *first = leader->output;
    leader->output = first->next;
    if (leader->output == NULL) {
        leader->output_end = &leader->output;
    }
    buffer_release(&first->bytes);
    free(first);
}

static void peers_release(struct leader *leader)
{
    for (size_t i = 0; i < leader->peer_count; i++) {
        channel_free(leader->peers[i].channel);
        buffer_release(&leader->peers[i].last_data);
    }
    free(leader->peers);
    leader->peers = NULL;
    leader->peer_count = 0;
}

enum status leader_forget(struct leader *leader)
{
    struct capsule *capsule = NULL;
    struct durable *durable = NULL;
    enum status status = capsule_new(&capsule, capsule_genesis_body(leader->capsule));
    if (status == STATUS_OK) {
        status = durable_new(&durable, &leader->stores.now, NULL);
    }
    if (status != STATUS_OK) {
        capsule_free(capsule);
        return status;
    }
    durable_free(leader->durable);
    capsule_free(leader->capsule);
    leader->capsule = capsule;
    leader->durable = durable;
    peers_release(leader);
    leader->function_count = 0;
    leader->policy_version = 0;
    return STATUS_OK;
}

void leader_free(struct leader *leader)
{
    if (leader == NULL) {
        return;
    }
    admission_release(leader);
    takeover_release(leader);
    retention_release(leader);
    news_release(leader);
    while (leader->output != NULL) {
        output_drop_first(leader);
    }
    peers_release(leader);
    outbox_release(&leader->outbox);
    shelf_release(&leader->shelf);
    buffer_release(&leader->term_body);
    buffer_release(&leader->policy_body);
    vouching_release(leader);
    buffer_release(&leader->root);
    secret_free(leader->seed);
    secret_free(leader->lock_key);
    free(leader->locks);
    p256_key_free(leader->root_key);
    aead_key_free(leader->body_key);
    durable_free(leader->durable);
    capsule_free(leader->capsule);
    free(leader);
}

bool leader_is_leading(const struct leader *leader)
{
    return leader->stage == LEADER_LEADING;
}

const struct capsule *leader_capsule(const struct leader *leader)
{
    return leader->capsule;
}

enum status leader_send(struct leader *leader, enum frame_kind kind, uint32_t request,
                        const struct writer_id *peer, struct bytes body)
{
    struct leader_frame *frame = calloc(1, sizeof *frame);
    if (frame == NULL) {
        return STATUS_NO_MEMORY;
    }
    enum status status = frame_encode(&frame->bytes, kind, request, peer, body);
    if (status != STATUS_OK) {
        free(frame);
        return status;
    }
    *leader->output_end = frame;
    leader->output_end = &frame->next;
    return STATUS_OK;
}

enum status leader_send_sealed(struct leader *leader, struct channel *channel,
                               const struct writer_id *peer, struct bytes plain)
{
    struct buffer sealed = BUFFER_EMPTY;
    enum status status = channel_seal(channel, &sealed, plain);
    if (status == STATUS_OK) {
        status = leader_send(leader, FRAME_CHANNEL, 0, peer, buffer_bytes(&sealed));
    }
    buffer_release(&sealed);
    return status;
}

enum status leader_output(struct leader *leader, struct buffer *frame)
{
    if (leader->output == NULL) {
        return STATUS_EMPTY;
    }
    enum status status =
        buffer_append(frame, leader->output->bytes.bytes, leader->output->bytes.length);
    if (status == STATUS_OK) {
        output_drop_first(leader);
    }
    return status;
}

uint32_t leader_next_request(struct leader *leader)
{
    leader->last_request = leader->last_request == UINT32_MAX ? 1 : leader->last_request + 1;
    return leader->last_request;
}

struct leader_peer *leader_peer_of(struct leader *leader, const struct capsule_member *member)
{
    return &leader->peers[capsule_member_index(leader->capsule, member)];
}

enum status leader_grow_peers(struct leader *leader)
{
    size_t count = capsule_member_count(leader->capsule);
    if (count <= leader->peer_count) {
        return STATUS_OK;
    }
    struct leader_peer *peers = realloc(leader->peers, count * sizeof *peers);
    if (peers == NULL) {
        return STATUS_NO_MEMORY;
    }
    memset(peers + leader->peer_count, 0, (count - leader->peer_count) * sizeof *peers);
    leader->peers = peers;
    leader->peer_count = count;
    return STATUS_OK;
}

uint64_t leader_own_sequence(const struct leader *leader)
{
    const struct capsule_member *own = capsule_member_find(leader->capsule, &leader->id);
    return own == NULL ? 0 : own->head.sequence;
}

bool leader_own_is_durable(struct leader *leader, uint64_t sequence)
{
    return durable_covers(leader->durable, &leader->id, sequence);
}

/*
 * Sequence and parents of the next own record. Before the TERM is accepted, GENESIS may precede it.
 */
static void fields_fill(const struct leader *leader, struct record_fields *fields,
                        struct hash *parents, const struct hash *heads, size_t head_count)
{
    const struct capsule_member *own = capsule_member_find(leader->capsule, &leader->id);
    const struct capsule_sync *sync = capsule_newest_sync(leader->capsule);
    struct head previous = own == NULL ? leader->pending_genesis : own->head;
    fields->sequence = previous.sequence + 1;
    fields->epoch = sync == NULL ? 1 : sync->epoch + 1;
    fields->writer = leader->id;
    fields->capsule = *capsule_name(leader->capsule);
    fields->parents = parents;
    if (previous.sequence > 0) {
        parents[fields->parent_count++] = previous.hash;
    }
    for (size_t i = 0; i < head_count; i++) {
        parents[fields->parent_count++] = heads[i];
    }
}

/* The key of the own bodies in this key epoch. */
static void use_body_key(struct leader *leader, uint32_t key_epoch)
{
    if (leader->body_key != NULL && leader->key_epoch == key_epoch) {
        return;
    }
    const struct hash *capsule = capsule_name(leader->capsule);
    struct secret *data_key = keys_data(leader->seed, capsule, key_epoch);
    aead_key_free(leader->body_key);
    leader->body_key = seal_key_new(data_key, capsule, &leader->public_key);
    leader->key_epoch = key_epoch;
    secret_free(data_key);
}

static enum status record_build(struct leader *leader, struct buffer *frame,
                                struct record_fields *fields, struct bytes body)
{
    uint8_t header[FRAME_HEADER_BYTES];
    struct hash hash;
    frame_header(header, FRAME_RECORD, 0, &everyone);
    enum status status = buffer_append(frame, header, sizeof header);
    if (status != STATUS_OK) {
        return status;
    }
    if (record_type_is_sealed(fields->type)) {
        use_body_key(leader, capsule_key_epoch(leader->capsule));
        fields->key_epoch = leader->key_epoch;
        return seal_record(frame, &hash, fields, body, leader->body_key, leader->key);
    }
    return record_encode(frame, &hash, fields, body, leader->key);
}

enum status leader_write(struct leader *leader, enum record_type type, struct bytes body,
                         const struct hash *heads, size_t head_count, uint64_t now_us)
{
    struct buffer frame = BUFFER_EMPTY;
    struct record_fields fields = {.type = type};
    if (type == RECORD_SYNC) {
        fields.key_epoch = rotation_epoch_to_begin(leader);
    }
    struct hash *parents = calloc(head_count + 1, sizeof *parents);
    if (parents == NULL) {
        return STATUS_NO_MEMORY;
    }
    fields_fill(leader, &fields, parents, heads, head_count);

    struct record record;
    struct bytes kept;
    enum status status = record_build(leader, &frame, &fields, body);
    if (status != STATUS_OK) {
        goto done;
    }
    // Written and read on two paths: what the capsule refuses is never sent.
    status =
        record_decode(&record, frame.bytes + FRAME_HEADER_BYTES, frame.length - FRAME_HEADER_BYTES);
    if (status == STATUS_OK) {
        status = capsule_accept(leader->capsule, &record);
    }
    if (status != STATUS_OK) {
        log_event(leader->log, "own record refused type=%s status=\"%s\" reason=\"%s\"",
                  record_type_text(type), status_text(status), capsule_reason(leader->capsule));
        status = status == STATUS_NO_MEMORY ? status : STATUS_CLOSED;
        goto done;
    }
    if (type == RECORD_GENESIS) {
        leader->pending_genesis = (struct head){.sequence = 1, .hash = record.hash};
    }
    status = leader_grow_peers(leader);
    if (status == STATUS_OK) {
        status = leader_send(leader, FRAME_RECORD, 0, &everyone, record.whole);
    }
    if (status == STATUS_OK && type == RECORD_SYNC) {
        status = news_note_sync(leader, &record);
    }
    if (status == STATUS_OK) {
        status = outbox_add(&leader->outbox, record.sequence, &frame, now_us, &kept);
    }

done:
    buffer_release(&frame);
    free(parents);
    return status;
}

enum status leader_use_policy(struct leader *leader)
{
    uint64_t version = capsule_policy_version(leader->capsule);
    if (version == leader->policy_version) {
        return STATUS_OK;
    }
    char error[POLICY_ERROR_BYTES_MAX];
    enum status status = policy_parse(&leader->policy, capsule_policy(leader->capsule), error);
    if (status != STATUS_OK) {
        log_event(leader->log, "policy cannot be used version=%" PRIu64 " error=\"%s\"", version,
                  error);
        return status;
    }
    leader->policy_version = version;
    return STATUS_OK;
}

struct leader_session *leader_session_find(struct leader *leader, const struct writer_id *peer)
{
    for (size_t i = 0; i < LEADER_SESSIONS_MAX; i++) {
        if (leader->sessions[i].is_used && writer_id_equal(&leader->sessions[i].peer, peer)) {
            return &leader->sessions[i];
        }
    }
    return NULL;
}

enum status leader_answer(struct leader *leader, const struct writer_id *session_id,
                          uint32_t request, enum status code, const char *text)
{
    struct leader_session *session = leader_session_find(leader, session_id);
    if (session == NULL || session->channel == NULL) {
        return STATUS_OK;  // it has gone away
    }
    struct message_answer answer = {
        .request = request,
        .status = code,
        .text = bytes_text(text),
        .term = leader->later_term > leader->term ? leader->later_term : leader->term,
    };
    const struct capsule_sync *sync = capsule_newest_sync(leader->capsule);
    enum status status = STATUS_OK;
    if (leader->stage == LEADER_LEADING) {
        status = news_fill(leader, &answer);
    } else if (leader->stage == LEADER_REFUSING) {
        answer.sync_epoch = sync == NULL ? 0 : sync->epoch;
        answer.sync = sync == NULL ? (struct hash){{0}} : sync->hash;
        answer.statements = buffer_bytes(&leader->closings[0].fences);
    }
    struct buffer plain = BUFFER_EMPTY;
    if (status == STATUS_OK) {
        status = message_answer_encode(&plain, &answer);
    }
    if (status == STATUS_OK) {
        status = leader_send_sealed(leader, session->channel, session_id, buffer_bytes(&plain));
    }
    buffer_release(&plain);
    return status;
}

bool leader_is_answered(const struct leader *leader, const struct leader_closing *closing)
{
    return stores_have_answered(&leader->stores, leader->stage != LEADER_LEADING, closing->answered,
                                closing->answer_count);
}

enum status leader_fetch(struct leader *leader, const struct frame_fetch *fetch,
                         const struct writer_id *store, uint32_t *request)
{
    struct buffer body = BUFFER_EMPTY;
    *request = leader_next_request(leader);
    enum status status = frame_fetch_encode(&body, fetch);
    if (status == STATUS_OK) {
        status = leader_send(leader, FRAME_FETCH, *request, store, buffer_bytes(&body));
    }
    buffer_release(&body);
    return status;
}

enum status leader_unseal_of(struct leader *leader, const struct record *record,
                             const struct verify_key *key, struct buffer *plain)
{
    struct secret *data_key =
        keys_data(leader->seed, capsule_name(leader->capsule), record->key_epoch);
    struct aead_key *body_key = seal_key_new(data_key, capsule_name(leader->capsule), key);
    enum status status = seal_open(plain, record, body_key);
    aead_key_free(body_key);
    secret_free(data_key);
    return status;
}

enum status leader_unseal(struct leader *leader, const struct record *record, struct buffer *plain)
{
    const struct capsule_member *member = capsule_member_find(leader->capsule, &record->writer);
    return member == NULL ? STATUS_NOT_FOUND
                          : leader_unseal_of(leader, record, &member->key, plain);
}

/* Records that were asked for, to whom they belong. */
static enum status receive_fetched_records(struct leader *leader, uint32_t request,
                                           struct bytes records, struct leader_time time)
{
    enum status status = STATUS_OK;
    while (status == STATUS_OK && records.length > 0) {
        struct record record;
        size_t length = record_length(records.at, records.length);
        if (length == 0 || length > records.length ||
            record_decode_stored(&record, records.at, length) != STATUS_OK) {
            log_event(leader->log, "fetched bytes are no record");
            return STATUS_OK;
        }
        records = bytes_of(records.at + length, records.length - length);
        status = leader->stage != LEADER_LOADING
                     ? closing_receive_record(leader, request, &record, time.now_us)
                 : request == leader->load.request ? load_receive_record(leader, &record, time)
                                                   : STATUS_OK;
    }
    return status;
}

static enum status receive_fetched(struct leader *leader, uint32_t request, struct bytes body,
                                   struct leader_time time)
{
    struct frame_fetched fetched;
    bool is_ours = leader->stage == LEADER_LOADING && request == leader->load.request &&
                   frame_fetched_decode(&fetched, body) == STATUS_OK;
    return is_ours ? load_receive_fetched(leader, time) : STATUS_OK;
}

/* RECORD frames: answers to a FETCH carry its request, all else is live. */
static enum status receive_records(struct leader *leader, const struct frame *frame,
                                   struct leader_time time)
{
    if (frame->request != 0) {
        return receive_fetched_records(leader, frame->request, frame->body, time);
    }
    struct record record;
    if (record_decode(&record, frame->body.at, frame->body.length) != STATUS_OK) {
        return STATUS_OK;
    }
    return epoch_receive_record(leader, &record);
}

/* Two records for one place, each signed: whoever wrote them is not to be trusted any more. */
static enum status receive_fork(struct leader *leader, struct bytes proof, uint64_t now_us)
{
    struct record first;
    struct cursor in = cursor_over(proof.at, proof.length);
    struct bytes bytes = cursor_run(&in);
    if (in.failed || record_decode(&first, bytes.at, bytes.length) != STATUS_OK) {
        return STATUS_OK;
    }
    const struct capsule_member *member = capsule_member_find(leader->capsule, &first.writer);
    if (member == NULL || receipt_fork_verify(proof, &member->key) != STATUS_OK) {
        return STATUS_OK;
    }
    char text[WRITER_ID_TEXT_BYTES];
    writer_id_text(&member->id, text);
    log_event(leader->log, "branch forked writer=%s sequence=%" PRIu64, text, first.sequence);
    if (writer_id_equal(&member->id, &leader->id)) {
        return STATUS_CLOSED;
    }
    bool is_open =
        leader->stage == LEADER_LEADING && !member->is_closed && member->role != MEMBER_LEADER;
    return is_open ? closing_begin(leader, &first.writer, SYNC_CLOSE_FORKED, now_us) : STATUS_OK;
}

static enum status receive_refused(struct leader *leader, struct bytes body, uint64_t now_us)
{
    struct frame_refused refused;
    if (frame_refused_decode(&refused, body) != STATUS_OK) {
        return STATUS_OK;
    }
    if (refused.status == STATUS_FORKED) {
        return receive_fork(leader, refused.text, now_us);
    }
    char writer[WRITER_ID_TEXT_BYTES];
    writer_id_text(&refused.writer, writer);
    log_event(leader->log, "store refused writer=%s sequence=%" PRIu64 " status=\"%s\"", writer,
              refused.sequence, status_text((enum status)refused.status));
    // The end of another branch is no news: what was sent of it came late, or from who led before.
    bool is_ours =
        writer_id_is_zero(&refused.writer) || writer_id_equal(&refused.writer, &leader->id);
    if (refused.status != STATUS_CLOSED || !is_ours) {
        return STATUS_OK;
    }
    if (leader->stage == LEADER_FENCING) {
        leader->later_term = refused.sequence;
        enum status status = leader_answer(leader, &leader->seeder, 0, STATUS_CLOSED,
                                           "the stores obey a later term");
        return status == STATUS_OK ? STATUS_CLOSED : status;
    }
    // A higher term: nothing we write can count any more. The host may lie: then it has stopped
    // its own leader.
    return STATUS_CLOSED;
}

static enum status receive_gone(struct leader *leader, const struct writer_id *writer,
                                uint64_t now_us)
{
    const struct capsule_member *member = capsule_member_find(leader->capsule, writer);
    if (leader->stage != LEADER_LEADING || member == NULL || member->is_closed ||
        member->role == MEMBER_LEADER) {
        return STATUS_OK;
    }
    return closing_begin(leader, writer, SYNC_CLOSE_EXITED, now_us);
}

enum status leader_receive(struct leader *leader, struct bytes bytes, struct leader_time time)
{
    struct frame frame;
    if (frame_decode(&frame, bytes) != STATUS_OK) {
        log_event(leader->log, "frame dropped bytes=%zu", bytes.length);
        return STATUS_OK;
    }
    switch (frame.kind) {
    case FRAME_JOIN:
        return admission_receive_join(leader, &frame, time);
    case FRAME_EVIDENCE:
        return admission_receive_evidence(leader, &frame);
    case FRAME_CHANNEL:
        return admission_receive_channel(leader, &frame, time);
    case FRAME_RECORD:
        return receive_records(leader, &frame, time);
    case FRAME_RECEIPT:
        epoch_receive_receipt(leader, frame.body);
        return STATUS_OK;
    case FRAME_RECALLED:
        epoch_receive_recalled(leader, &frame);
        return STATUS_OK;
    case FRAME_FENCED:
        return takeover_receive_fenced(leader, frame.body, time);
    case FRAME_FETCHED:
        return receive_fetched(leader, frame.request, frame.body, time);
    case FRAME_REFUSED:
        return receive_refused(leader, frame.body, time.now_us);
    case FRAME_GONE:
        return receive_gone(leader, &frame.peer, time.now_us);
    default:
        return STATUS_OK;
    }
}

static enum status repeat_unreceipted(struct leader *leader, uint64_t now_us)
{
    while (leader->outbox.first != NULL &&
           leader_own_is_durable(leader, outbox_oldest(&leader->outbox))) {
        outbox_drop_oldest(&leader->outbox);
    }
    struct outbox_walk walk = OUTBOX_WALK_BEGIN;
    struct bytes frame;
    enum status status = STATUS_OK;
    while (status == STATUS_OK &&
           outbox_repeat(&leader->outbox, &walk, now_us, &frame) == STATUS_OK) {
        status =
            leader_send(leader, FRAME_RECORD, 0, &everyone,
                        bytes_of(frame.at + FRAME_HEADER_BYTES, frame.length - FRAME_HEADER_BYTES));
    }
    return status;
}

static enum status answer_deploys(struct leader *leader)
{
    for (size_t i = 0; i < LEADER_WAITING_DEPLOYS_MAX; i++) {
        struct leader_deploy *deploy = &leader->deploys[i];
        if (!deploy->is_used || !leader_own_is_durable(leader, deploy->sequence)) {
            continue;
        }
        deploy->is_used = false;
        enum status status =
            leader_answer(leader, &deploy->session, deploy->request, STATUS_OK, "published");
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

enum status leader_tick(struct leader *leader, struct leader_time time, uint64_t *wake_us)
{
    *wake_us = UINT64_MAX;
    enum status status = repeat_unreceipted(leader, time.now_us);
    if (status == STATUS_OK) {
        status = takeover_tick(leader, time);
    }
    if (status == STATUS_OK) {
        status = admission_tick(leader, time);
    }
    if (status == STATUS_OK) {
        status = answer_deploys(leader);
    }
    if (status == STATUS_OK && leader->stage == LEADER_LEADING) {
        status = rotation_tick(leader, time.now_us);
    }
    if (status == STATUS_OK && leader->stage == LEADER_LEADING) {
        status = retention_tick(leader, time);
    }
    if (status == STATUS_OK && leader->stage == LEADER_LEADING) {
        status = epoch_tick(leader, time, wake_us);
    }
    if (status == STATUS_OK && leader->stage == LEADER_LEADING) {
        status = lock_tick(leader, time, wake_us);
    }
    if (status == STATUS_OK && leader->stage == LEADER_LEADING) {
        status = news_tick(leader, time.now_us, wake_us);
    }
    bool is_waiting = leader->outbox.first != NULL || closing_is_under_way(leader) ||
                      (leader->stage != LEADER_IDLE && leader->stage != LEADER_LEADING);
    if (is_waiting && *wake_us > time.now_us + OUTBOX_REPEAT_US) {
        *wake_us = time.now_us + OUTBOX_REPEAT_US;
    }
    return status;
}

void leader_count(const struct leader *leader, struct leader_counters *counters)
{
    const struct capsule_sync *sync = capsule_newest_sync(leader->capsule);
    *counters = leader->counters;
    counters->term = leader->term;
    counters->epoch = sync == NULL ? 0 : sync->epoch;
    for (size_t i = 0; i < capsule_member_count(leader->capsule); i++) {
        const struct capsule_member *member = capsule_member_at(leader->capsule, i);
        counters->members_open += member->role != MEMBER_LEADER && !member->is_closed;
    }
}
