/* src/capsule/owner.c */
#include "capsule/owner.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "base/encoder.h"
#include "base/hex.h"
#include "capsule/owner_internal.h"

enum { LENGTH_BYTES = 4, HEX_BYTES_MAX = 32 };

static const char OWNER_PURPOSE[] = "paranoid owner v1 ";

/* What is signed: type ‖ JSON ‖ payload. The caller's to release. */
static enum status message_make(struct buffer *message, enum record_type type, struct bytes json,
                                struct bytes payload)
{
    uint8_t type_byte = (uint8_t)type;
    enum status status = buffer_reserve(message, 1 + json.length + payload.length);
    if (status == STATUS_OK) {
        status = buffer_append(message, &type_byte, 1);
    }
    if (status == STATUS_OK) {
        status = buffer_append(message, json.at, json.length);
    }
    if (status == STATUS_OK) {
        status = buffer_append(message, payload.at, payload.length);
    }
    return status;
}

enum status owner_encode(struct buffer *body, enum record_type type, struct bytes json,
                         struct bytes payload, const struct sign_key *owner)
{
    CHECK(json.length <= OWNER_JSON_BYTES_MAX);
    struct buffer message = BUFFER_EMPTY;
    size_t needed = LENGTH_BYTES + json.length + SIGN_SIGNATURE_BYTES + payload.length;
    enum status status = message_make(&message, type, json, payload);
    if (status != STATUS_OK) {
        goto done;
    }
    struct encoder out;
    status = encoder_begin(&out, body, needed);
    if (status != STATUS_OK) {
        goto done;
    }
    struct signature signature = sign_make(owner, OWNER_PURPOSE, buffer_bytes(&message));
    encoder_run(&out, json);
    encoder_bytes(&out, signature.bytes, sizeof signature.bytes);
    encoder_bytes(&out, payload.at, payload.length);
    encoder_finish(&out, body);

done:
    buffer_release(&message);
    return status;
}

enum status owner_decode(struct owner_body *body, struct bytes bytes)
{
    struct cursor in = cursor_over(bytes.at, bytes.length);
    struct owner_body decoded;
    uint32_t json_bytes = cursor_u32(&in);
    if (json_bytes > OWNER_JSON_BYTES_MAX) {
        return STATUS_MALFORMED;
    }
    decoded.json = cursor_bytes(&in, json_bytes);
    cursor_copy(&in, decoded.signature.bytes, sizeof decoded.signature.bytes);
    decoded.payload = cursor_bytes(&in, in.left);
    if (!cursor_done(&in)) {
        return STATUS_MALFORMED;
    }
    *body = decoded;
    return STATUS_OK;
}

enum status owner_verify(const struct owner_body *body, enum record_type type,
                         const struct verify_key *owner)
{
    struct buffer message = BUFFER_EMPTY;
    enum status status = message_make(&message, type, body->json, body->payload);
    if (status == STATUS_OK) {
        status = sign_verify(owner, OWNER_PURPOSE, buffer_bytes(&message), &body->signature);
    }
    buffer_release(&message);
    return status;
}

// ---- the JSON ----

json_t *owner_json_parse(struct bytes text)
{
    json_t *value = json_loadb((const char *)text.at, text.length, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(value)) {
        json_decref(value);
        return NULL;
    }
    return value;
}

struct owner_json owner_json_over(json_t *object)
{
    return (struct owner_json){.object = object, .failed = !json_is_object(object)};
}

json_t *owner_json_member(struct owner_json *in, const char *name)
{
    json_t *member = in->failed ? NULL : json_object_get(in->object, name);
    if (member == NULL) {
        in->failed = true;
        return NULL;
    }
    in->read_count++;
    return member;
}

const char *owner_json_text(struct owner_json *in, const char *name)
{
    const char *text = json_string_value(owner_json_member(in, name));
    if (text == NULL) {
        in->failed = true;
        return "";
    }
    return text;
}

void owner_json_hex(struct owner_json *in, const char *name, void *target, size_t length)
{
    const char *text = owner_json_text(in, name);
    if (in->failed || !hex_decode(target, length, text, strlen(text))) {
        in->failed = true;
        memset(target, 0, length);
    }
}

uint64_t owner_json_u64(struct owner_json *in, const char *name)
{
    json_t *member = owner_json_member(in, name);
    json_int_t value = json_integer_value(member);  // 0 for any other kind
    if (!json_is_integer(member) || value < 0) {
        in->failed = true;
        return 0;
    }
    return (uint64_t)value;
}

bool owner_json_boolean(struct owner_json *in, const char *name)
{
    json_t *member = owner_json_member(in, name);
    if (!json_is_boolean(member)) {
        in->failed = true;
    }
    return json_is_true(member);
}

bool owner_json_done(const struct owner_json *in)
{
    return !in->failed && json_object_size(in->object) == in->read_count;
}

json_t *owner_json_from_hex(const void *bytes, size_t length)
{
    CHECK(length <= HEX_BYTES_MAX);
    char text[2 * HEX_BYTES_MAX + 1];
    hex_encode(text, bytes, length);
    return json_string(text);
}

json_t *owner_json_from_u64(uint64_t value)
{
    CHECK(value <= INT64_MAX);
    return json_integer((json_int_t)value);
}

enum status owner_encode_json(struct buffer *body, enum record_type type, json_t *object,
                              struct bytes payload, const struct sign_key *owner)
{
    char *text = object == NULL ? NULL : json_dumps(object, JSON_SORT_KEYS | JSON_COMPACT);
    enum status status = STATUS_NO_MEMORY;
    if (text != NULL) {
        status = owner_encode(body, type, bytes_text(text), payload, owner);
    }
    free(text);
    json_decref(object);
    return status;
}

enum status owner_decode_json(json_t **object, struct owner_body *body, enum record_type type,
                              struct bytes bytes, const struct verify_key *owner)
{
    *object = NULL;
    enum status status = owner_decode(body, bytes);
    if (status == STATUS_OK) {
        status = owner_verify(body, type, owner);
    }
    if (status != STATUS_OK) {
        return status;
    }
    *object = owner_json_parse(body->json);
    return *object == NULL ? STATUS_MALFORMED : STATUS_OK;
}

bool owner_name_is_valid(struct bytes name, size_t length_max)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyz"
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        "0123456789-_";
    for (size_t i = 0; i < name.length; i++) {
        if (name.at[i] == '\0' || strchr(allowed, name.at[i]) == NULL) {
            return false;
        }
    }
    return name.length >= 1 && name.length <= length_max;
}
