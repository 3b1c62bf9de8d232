/* src/scl/scl_keys.c */
#include "scl/scl_internal.h"
#include "wire/message.h"

/*
 * Data keys that came into use after this member was admitted. The leader gives one when W stores
 * hold the SYNC that begins its key epoch; asked earlier, or by somebody revoked, it says nothing.
 */
enum { SCL_KEY_REPEAT_US = 100 * 1000 };

/* The lowest that is missing: they are granted without gaps. 0: none is. */
static uint32_t missing_epoch(const struct scl *scl)
{
    const struct capsule_member *own = scl_own_member(scl);
    uint32_t held = (uint32_t)scl->key_count;
    bool may_ask = held > 0 && own != NULL && !own->is_closed;
    return may_ask && held < capsule_key_epoch(scl->capsule) ? held + 1 : 0;
}

enum status scl_keys_output(struct scl *scl, uint64_t now_us, struct buffer *plain)
{
    const struct message_key request = {.key_epoch = missing_epoch(scl)};
    if (request.key_epoch == 0 || now_us < scl_keys_wake_us(scl, now_us)) {
        return STATUS_EMPTY;
    }
    enum status status = message_key_encode(plain, &request);
    scl->key_asked_us = status == STATUS_OK ? now_us : scl->key_asked_us;
    return status;
}

uint64_t scl_keys_wake_us(struct scl *scl, uint64_t now_us)
{
    if (missing_epoch(scl) == 0) {
        return UINT64_MAX;
    }
    return scl->key_asked_us == 0 ? now_us : scl->key_asked_us + SCL_KEY_REPEAT_US;
}
