/* src/capsule/capsule_keys.c */
#include "capsule/capsule_internal.h"

#include <inttypes.h>

#include "capsule/revoke.h"

/*
 * Key epochs and revocation (DESIGN 6.11), as far as one judges them without keys. A SYNC begins a
 * key epoch; who joins it seals with its key and no other, so at each place of each branch one key
 * epoch is right, and every replica knows which.
 */

enum status capsule_keys_verify_sealed(struct capsule *capsule, const struct record *record,
                                       uint32_t expected)
{
    if (record->key_epoch != expected) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "it is sealed by key epoch %" PRIu32 ", its place is in %" PRIu32,
                              record->key_epoch, expected);
    }
    return STATUS_OK;
}

enum status capsule_keys_verify_join(struct capsule *capsule, const struct branch *branch,
                                     const struct record *record, const struct capsule_sync *sync)
{
    uint64_t revoked = branch->member.revoked_epoch;
    if (revoked != 0 && sync->epoch >= revoked) {
        return capsule_refuse(capsule, record, STATUS_CLOSED,
                              "the owner revoked it before epoch %" PRIu64
                              ", whose SYNC it claims to have joined",
                              sync->epoch);
    }
    return STATUS_OK;
}

enum status capsule_keys_verify_sync(struct capsule *capsule, const struct record *record)
{
    uint32_t current = capsule_key_epoch(capsule);
    bool begins_next = current < UINT32_MAX && record->key_epoch == current + 1;
    if (!begins_next && record->key_epoch != 0) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "it begins key epoch %" PRIu32 " after %" PRIu32, record->key_epoch,
                              current);
    }
    if (!begins_next && capsule_must_rotate(capsule)) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "a member was revoked before it, and it begins no key epoch");
    }
    return STATUS_OK;
}

enum status capsule_keys_apply_revoke(struct capsule *capsule, struct branch *leader,
                                      const struct record *record)
{
    (void)leader;
    struct writer_id writer;
    enum status status =
        revoke_decode(&writer, record->body, &capsule->genesis.owner, &capsule->genesis.capsule);
    if (status != STATUS_OK) {
        return capsule_refuse(capsule, record, status, "the owner has not signed this revocation");
    }
    struct branch *target = capsule_branch_find(capsule, &writer);
    if (target == NULL && capsule_gone_find(capsule, &writer) == NULL) {
        return capsule_refuse(capsule, record, STATUS_FORGED, "it revokes the unknown writer %s",
                              capsule_digits_of(writer.bytes).text);
    }
    if (target != NULL && target->member.role == MEMBER_LEADER) {
        return capsule_refuse(capsule, record, STATUS_DENIED,
                              "%s is a leader: a new term takes its place",
                              capsule_digits_of(writer.bytes).text);
    }
    if (target != NULL && target->member.revoked_epoch == 0) {
        target->member.revoked_epoch = record->epoch;
    }
    capsule->revoke_epoch = record->epoch;
    return STATUS_OK;
}
