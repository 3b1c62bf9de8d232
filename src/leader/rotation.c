/* src/leader/rotation.c */
#include <inttypes.h>
#include <stdio.h>

#include "capsule/keys.h"
#include "capsule/revoke.h"
#include "leader/leader_internal.h"

/*
 * Key epochs and revocation (DESIGN 6.11).
 *
 *   ROTATE ─────────────────────────────────────────┐
 *   REVOKE ──► REVOKE record ──► fences ──► CLOSE ──┴─► SYNC that begins a key epoch ──W stores──►
 *     members ask for its key, join the SYNC, say so in their EOE ──► the owner is answered
 *
 * The SYNC does not wait for the CLOSE for ever: whoever is revoked gets no key and joins nothing
 * either way, and a later SYNC lists its cut.
 *
 * Invariant: a data key leaves when W stores hold the SYNC that begins its key epoch, and to
 * members that no REVOKE before it names. So no later leader begins the same key epoch for others.
 */

uint32_t rotation_epoch_to_begin(const struct leader *leader)
{
    bool must_begin = leader->must_rotate || capsule_must_rotate(leader->capsule);
    return must_begin ? capsule_key_epoch(leader->capsule) + 1 : 0;
}

uint32_t rotation_epoch_to_grant(struct leader *leader)
{
    // One SYNC is under way at a time: W stores hold the one before, and whatever it began.
    bool is_held = leader_own_is_durable(leader, leader->begun_sequence);
    return capsule_key_epoch(leader->capsule) - (is_held ? 0 : 1);
}

static bool is_open(const struct capsule_member *member)
{
    return member->role != MEMBER_LEADER && !member->is_closed && member->revoked_epoch == 0;
}

void rotation_note_sync(struct leader *leader, uint32_t begun, uint64_t now_us)
{
    for (size_t i = 0; i < LEADER_ROTATIONS_MAX; i++) {
        struct leader_rotation *rotation = &leader->rotations[i];
        const struct capsule_member *revoked =
            capsule_member_find(leader->capsule, &rotation->revoked);
        bool is_listed = revoked == NULL || capsule_is_listed_closed(leader->capsule, revoked);
        bool is_begun = begun != 0 || !writer_id_is_zero(&rotation->revoked);
        if (rotation->is_used && rotation->sequence == 0 && is_listed && is_begun) {
            rotation->sequence = leader_own_sequence(leader);
        }
    }
    if (begun == 0) {
        return;
    }
    leader->must_rotate = false;
    leader->begun_sequence = leader_own_sequence(leader);
    log_event(leader->log, "key epoch begins key_epoch=%" PRIu32 " epoch=%" PRIu64, begun,
              capsule_newest_sync(leader->capsule)->epoch);
    for (size_t i = 0; i < leader->peer_count; i++) {
        struct leader_peer *peer = &leader->peers[i];
        if (is_open(capsule_member_at(leader->capsule, i)) && peer->stale_us == 0) {
            peer->stale_us = now_us;
        }
    }
}

void rotation_note_eoe(struct leader *leader, const struct capsule_member *member)
{
    if (member->joined_key_epoch == capsule_key_epoch(leader->capsule)) {
        leader_peer_of(leader, member)->stale_us = 0;
    }
}

bool rotation_is_under_way(struct leader *leader)
{
    for (size_t i = 0; i < leader->peer_count; i++) {
        if (leader->peers[i].stale_us != 0 && is_open(capsule_member_at(leader->capsule, i))) {
            return true;
        }
    }
    return false;
}

bool rotation_awaits_cut(struct leader *leader)
{
    for (size_t i = 0; i < leader->peer_count; i++) {
        const struct capsule_member *member = capsule_member_at(leader->capsule, i);
        if (member->revoked_epoch != 0 && !member->is_closed) {
            return true;
        }
    }
    return false;
}

// ---- what the owner asks for ----

/* A place to remember who waits; or the reason why there will be no new key epoch. */
static enum status rotation_place(struct leader *leader, struct leader_rotation **place,
                                  const char **text)
{
    *place = NULL;
    for (size_t i = 0; i < LEADER_ROTATIONS_MAX && *place == NULL; i++) {
        *place = leader->rotations[i].is_used ? NULL : &leader->rotations[i];
    }
    if (leader->stage != LEADER_LEADING) {
        *text = "the leader has not taken over yet; try again in a moment";
        return STATUS_DENIED;
    }
    if (*place == NULL) {
        *text = "too many key epochs are asked for; try again in a moment";
        return STATUS_FULL;
    }
    if (capsule_key_epoch(leader->capsule) >= KEYS_EPOCHS_MAX) {
        *text = "the app has had 1,024 key epochs, and can begin no other";
        return STATUS_FULL;
    }
    return STATUS_OK;
}

enum status rotation_receive_rotate(struct leader *leader, const struct leader_session *session,
                                    uint32_t request)
{
    const char *text = NULL;
    struct leader_rotation *place;
    enum status status = rotation_place(leader, &place, &text);
    if (status != STATUS_OK) {
        return leader_answer(leader, &session->peer, request, status, text);
    }
    *place =
        (struct leader_rotation){.is_used = true, .session = session->peer, .request = request};
    leader->must_rotate = true;
    return STATUS_OK;
}

/* Whether the owner has revoked a member of this app; `text` says why not. */
static enum status judge_revocation(struct leader *leader, struct bytes revocation,
                                    struct writer_id *writer, const char **text)
{
    const struct genesis *genesis = capsule_genesis(leader->capsule);
    enum status status = revoke_decode(writer, revocation, &genesis->owner, &genesis->capsule);
    if (status != STATUS_OK) {
        *text = "the revocation is not signed by the owner of this app";
        return status;
    }
    const struct capsule_member *member = capsule_member_find(leader->capsule, writer);
    if (member == NULL) {
        *text = "no member of this app has that id";
        return STATUS_NOT_FOUND;
    }
    if (member->role == MEMBER_LEADER) {
        *text = "it is a leader: end it, and the next term closes its branch";
        return STATUS_DENIED;
    }
    if (member->revoked_epoch != 0) {
        *text = "it has been revoked before";
        return STATUS_STALE;
    }
    return STATUS_OK;
}

enum status rotation_receive_revoke(struct leader *leader, const struct leader_session *session,
                                    const struct message_revoke *revoke, uint64_t now_us)
{
    const char *text = NULL;
    struct leader_rotation *place;
    struct writer_id writer;
    enum status status = rotation_place(leader, &place, &text);
    if (status == STATUS_OK) {
        status = judge_revocation(leader, revoke->revocation, &writer, &text);
    }
    if (status != STATUS_OK) {
        return leader_answer(leader, &session->peer, revoke->request, status, text);
    }
    status = leader_write(leader, RECORD_REVOKE, revoke->revocation, NULL, 0, now_us);
    if (status != STATUS_OK) {
        return status;
    }
    *place = (struct leader_rotation){.is_used = true,
                                      .session = session->peer,
                                      .request = revoke->request,
                                      .revoked = writer,
                                      .revoke_sequence = leader_own_sequence(leader)};
    char id[WRITER_ID_TEXT_BYTES];
    writer_id_text(&writer, id);
    log_event(leader->log, "member revoked writer=%s", id);
    return STATUS_OK;
}

/*
 * Close its branch, if there is room for that. Not before the stores hold the REVOKE: by then the
 * other members have it too, and apply nothing more of what the fence may keep out.
 */
static enum status close_revoked(struct leader *leader, const struct leader_rotation *rotation,
                                 uint64_t now_us)
{
    const struct capsule_member *member = capsule_member_find(leader->capsule, &rotation->revoked);
    bool is_due = member != NULL && !member->is_closed &&
                  leader_own_is_durable(leader, rotation->revoke_sequence);
    return is_due ? closing_begin(leader, &rotation->revoked, SYNC_CLOSE_REVOKED, now_us)
                  : STATUS_OK;
}

/* All open branches have joined the key epoch: what is written from now on is sealed with it. */
static enum status answer(struct leader *leader, struct leader_rotation *rotation)
{
    char text[64];
    snprintf(text, sizeof text, "key epoch %" PRIu32 " is in force",
             capsule_key_epoch(leader->capsule));
    rotation->is_used = false;
    return leader_answer(leader, &rotation->session, rotation->request, STATUS_OK, text);
}

enum status rotation_tick(struct leader *leader, uint64_t now_us)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < LEADER_ROTATIONS_MAX && status == STATUS_OK; i++) {
        struct leader_rotation *rotation = &leader->rotations[i];
        if (!rotation->is_used) {
            continue;
        }
        bool is_done = rotation->sequence != 0 &&
                       leader_own_is_durable(leader, rotation->sequence) &&
                       !rotation_is_under_way(leader);
        status = is_done ? answer(leader, rotation) : close_revoked(leader, rotation, now_us);
    }
    return status;
}

// ---- what members ask for ----

enum status rotation_receive_ask(struct leader *leader, const struct capsule_member *member,
                                 struct channel *channel, uint32_t key_epoch)
{
    if (member->revoked_epoch != 0 || member->is_closed || key_epoch < CAPSULE_KEY_EPOCH_FIRST ||
        key_epoch > rotation_epoch_to_grant(leader)) {
        return STATUS_OK;
    }
    struct secret *secret = keys_data(leader->seed, capsule_name(leader->capsule), key_epoch);
    const struct message_key key = {.key_epoch = key_epoch, .secret = secret_bytes(secret)};
    struct buffer plain = BUFFER_EMPTY;
    enum status status = message_key_encode(&plain, &key);
    if (status == STATUS_OK) {
        status = leader_send_sealed(leader, channel, &member->id, buffer_bytes(&plain));
    }
    buffer_release(&plain);
    secret_free(secret);
    return status;
}
