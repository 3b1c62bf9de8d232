/* src/capsule/member.c */
#include "capsule/member.h"

#include "base/check.h"
#include "base/cursor.h"
#include "base/encoder.h"

enum { MEMBER_FIXED_BYTES = 137, LENGTH_BYTES = 4 };

static bool is_sound(const struct member_body *member)
{
    return (member->role == MEMBER_WORKER || member->role == MEMBER_COMPACTOR) &&
           member->evidence.length <= MEMBER_EVIDENCE_BYTES_MAX &&
           member->collateral.length <= MEMBER_COLLATERAL_BYTES_MAX;
}

enum status member_encode(struct buffer *body, const struct member_body *member)
{
    CHECK(is_sound(member));
    size_t needed = MEMBER_FIXED_BYTES + LENGTH_BYTES + member->evidence.length + LENGTH_BYTES +
                    member->collateral.length;
    static const uint8_t reserved[3];
    struct encoder out;
    enum status status = encoder_begin(&out, body, needed);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_bytes(&out, member->key.bytes, sizeof member->key.bytes);
    encoder_u8(&out, (uint8_t)member->role);
    encoder_bytes(&out, reserved, sizeof reserved);
    encoder_u32(&out, member->policy_version);
    encoder_bytes(&out, member->sync.bytes, sizeof member->sync.bytes);
    encoder_bytes(&out, member->tls_key.bytes, sizeof member->tls_key.bytes);
    encoder_run(&out, member->evidence);
    encoder_run(&out, member->collateral);
    encoder_finish(&out, body);
    return STATUS_OK;
}

enum status member_decode(struct member_body *member, struct bytes body)
{
    struct cursor in = cursor_over(body.at, body.length);
    struct member_body decoded = {.role = MEMBER_LEADER};
    cursor_copy(&in, decoded.key.bytes, sizeof decoded.key.bytes);
    uint32_t role = cursor_u32(&in);  // with the three reserved bytes: they are zero
    decoded.role = (enum member_role)role;
    decoded.policy_version = cursor_u32(&in);
    cursor_copy(&in, decoded.sync.bytes, sizeof decoded.sync.bytes);
    cursor_copy(&in, decoded.tls_key.bytes, sizeof decoded.tls_key.bytes);
    decoded.evidence = cursor_run(&in);
    decoded.collateral = cursor_run(&in);
    if (!cursor_done(&in) || !is_sound(&decoded)) {
        return STATUS_MALFORMED;
    }
    *member = decoded;
    return STATUS_OK;
}

const char *member_role_text(enum member_role role)
{
    switch (role) {
    case MEMBER_LEADER:
        return "leader";
    case MEMBER_WORKER:
        return "worker";
    case MEMBER_COMPACTOR:
        return "compactor";
    }
    return "unknown role";
}
