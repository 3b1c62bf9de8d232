/* src/capsule/function.c */
#include "capsule/function.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "capsule/owner_internal.h"
#include "capsule/tuple.h"

static const char *const ACCESS_TEXTS[] = {
    [FUNCTION_TOKEN] = "token",
    [FUNCTION_PUBLIC] = "public",
};
static const char *const DURABILITY_TEXTS[] = {
    [FUNCTION_RECEIPT] = "receipt",
    [FUNCTION_ASYNC] = "async",
};
static const char *const RUNTIME_TEXTS[] = {
    [FUNCTION_JS] = "js",
    [FUNCTION_WASM] = "wasm",
    [FUNCTION_SECRET] = "secret",
};
enum { CHOICE_COUNT = 2, RUNTIME_COUNT = 3 };

/* The index of `text` in `choices`; `failed` is set when it is none of them. */
static unsigned choice_from(const char *text, const char *const choices[], unsigned count,
                            bool *failed)
{
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(text, choices[i]) == 0) {
            return i;
        }
    }
    *failed = true;
    return 0;
}

void function_manifest_release(struct function_manifest *manifest)
{
    for (uint32_t i = 0; i < manifest->prefix_count; i++) {
        free(manifest->prefixes[i]);
        manifest->prefixes[i] = NULL;
    }
    manifest->prefix_count = 0;
}

bool function_name_is_valid(struct bytes name)
{
    return owner_name_is_valid(name, FUNCTION_NAME_BYTES_MAX);
}

bool function_secret_name_is_valid(struct bytes name)
{
    return owner_name_is_valid(name, FUNCTION_SECRET_NAME_BYTES_MAX);
}

/* Secrets have names of their own, so that no function and no secret are taken for each other. */
static bool has_right_name(enum function_runtime runtime, struct bytes name)
{
    const struct bytes prefix = bytes_text(FUNCTION_SECRET_PREFIX);
    if (runtime != FUNCTION_SECRET) {
        return function_name_is_valid(name);
    }
    return bytes_start_with(name, prefix) &&
           function_secret_name_is_valid(
               bytes_of(name.at + prefix.length, name.length - prefix.length));
}

static json_t *prefixes_to_json(const struct function_manifest *manifest)
{
    json_t *prefixes = json_array();
    for (uint32_t i = 0; prefixes != NULL && i < manifest->prefix_count; i++) {
        if (json_array_append_new(prefixes, json_string(manifest->prefixes[i])) != 0) {
            json_decref(prefixes);
            prefixes = NULL;
        }
    }
    return prefixes;
}

/* JSON holds no other bytes than UTF-8. */
static bool prefixes_are_text(const struct function_manifest *manifest)
{
    for (uint32_t i = 0; i < manifest->prefix_count; i++) {
        json_t *text = json_string(manifest->prefixes[i]);
        if (text == NULL || strlen(manifest->prefixes[i]) > TUPLE_KEY_BYTES_MAX) {
            json_decref(text);
            return false;
        }
        json_decref(text);
    }
    return true;
}

// More would overflow nothing, but serve nobody either.
#define FUNCTION_MEMORY_BYTES_MAX (16ull << 30)

static bool limits_are_sane(const struct function_manifest *manifest)
{
    return manifest->time_ms <= FUNCTION_TIME_MS_MAX &&
           manifest->memory_bytes <= FUNCTION_MEMORY_BYTES_MAX &&
           manifest->response_bytes <= FUNCTION_RESPONSE_BYTES_MAX;
}

static json_t *limits_to_json(const struct function_manifest *manifest)
{
    return json_pack("{s:o, s:o, s:o}",                                                //
                     "memory_bytes", owner_json_from_u64(manifest->memory_bytes),      //
                     "response_bytes", owner_json_from_u64(manifest->response_bytes),  //
                     "time_ms", owner_json_from_u64(manifest->time_ms));
}

enum status function_encode(struct buffer *body, struct function_manifest *manifest,
                            struct bytes code, const struct hash *capsule,
                            const struct sign_key *owner)
{
    CHECK(has_right_name(manifest->runtime, bytes_text(manifest->name)));
    CHECK(manifest->version >= 1 && code.length <= FUNCTION_CODE_BYTES_MAX);
    CHECK(manifest->prefix_count <= FUNCTION_PREFIXES_MAX);
    CHECK(!manifest->is_removed || code.length == 0);
    if (!prefixes_are_text(manifest) || !limits_are_sane(manifest)) {
        return STATUS_MALFORMED;
    }
    manifest->code_hash = hash_of(code.at, code.length);
    json_t *object =
        json_pack("{s:s, s:o, s:o, s:s, s:o, s:s, s:o, s:b, s:s, s:o}",                //
                  "access", ACCESS_TEXTS[manifest->access],                            //
                  "capsule", owner_json_from_hex(capsule->bytes, HASH_BYTES),          //
                  "code", owner_json_from_hex(manifest->code_hash.bytes, HASH_BYTES),  //
                  "durability", DURABILITY_TEXTS[manifest->durability],                //
                  "limits", limits_to_json(manifest),                                  //
                  "name", manifest->name,                                              //
                  "prefixes", prefixes_to_json(manifest),                              //
                  "removed", (int)manifest->is_removed,                                //
                  "runtime", RUNTIME_TEXTS[manifest->runtime],                         //
                  "version", owner_json_from_u64(manifest->version));
    return owner_encode_json(body, RECORD_FUNCTION, object, code, owner);
}

/* STATUS_MALFORMED, STATUS_NO_MEMORY: what was copied so far is the manifest's. */
static enum status prefixes_from_json(struct function_manifest *manifest, json_t *prefixes)
{
    size_t count = json_array_size(prefixes);
    if (!json_is_array(prefixes) || count > FUNCTION_PREFIXES_MAX) {
        return STATUS_MALFORMED;
    }
    for (size_t i = 0; i < count; i++) {
        const char *prefix = json_string_value(json_array_get(prefixes, i));
        if (prefix == NULL || strlen(prefix) > TUPLE_KEY_BYTES_MAX) {
            return STATUS_MALFORMED;
        }
        manifest->prefixes[i] = strdup(prefix);
        if (manifest->prefixes[i] == NULL) {
            return STATUS_NO_MEMORY;
        }
        manifest->prefix_count++;
    }
    return STATUS_OK;
}

static bool limits_from_json(struct function_manifest *manifest, json_t *limits)
{
    struct owner_json in = owner_json_over(limits);
    manifest->memory_bytes = owner_json_u64(&in, "memory_bytes");
    manifest->response_bytes = owner_json_u64(&in, "response_bytes");
    manifest->time_ms = owner_json_u64(&in, "time_ms");
    return owner_json_done(&in) && limits_are_sane(manifest);
}

static enum status manifest_from_json(struct function_manifest *manifest, struct hash *capsule,
                                      json_t *object)
{
    struct owner_json in = owner_json_over(object);
    owner_json_hex(&in, "capsule", capsule->bytes, HASH_BYTES);
    owner_json_hex(&in, "code", manifest->code_hash.bytes, HASH_BYTES);
    const char *access = owner_json_text(&in, "access");
    const char *durability = owner_json_text(&in, "durability");
    const char *name = owner_json_text(&in, "name");
    const char *runtime = owner_json_text(&in, "runtime");
    manifest->is_removed = owner_json_boolean(&in, "removed");
    manifest->version = owner_json_u64(&in, "version");
    json_t *limits = owner_json_member(&in, "limits");
    json_t *prefixes = owner_json_member(&in, "prefixes");
    manifest->access =
        (enum function_access)choice_from(access, ACCESS_TEXTS, CHOICE_COUNT, &in.failed);
    manifest->durability = (enum function_durability)choice_from(durability, DURABILITY_TEXTS,
                                                                 CHOICE_COUNT, &in.failed);
    manifest->runtime =
        (enum function_runtime)choice_from(runtime, RUNTIME_TEXTS, RUNTIME_COUNT, &in.failed);

    if (!owner_json_done(&in) || !has_right_name(manifest->runtime, bytes_text(name)) ||
        manifest->version == 0 || !limits_from_json(manifest, limits)) {
        return STATUS_MALFORMED;
    }
    memcpy(manifest->name, name, strlen(name) + 1);
    return prefixes_from_json(manifest, prefixes);
}

enum status function_decode(struct function_manifest *manifest, struct bytes *code,
                            struct bytes body, const struct verify_key *owner,
                            const struct hash *capsule)
{
    struct owner_body owner_body;
    json_t *object;
    enum status status = owner_decode_json(&object, &owner_body, RECORD_FUNCTION, body, owner);
    if (status != STATUS_OK) {
        return status;
    }
    struct function_manifest decoded = {.prefix_count = 0};
    struct hash named;
    status = manifest_from_json(&decoded, &named, object);
    json_decref(object);
    if (status != STATUS_OK) {
        goto done;
    }
    struct bytes payload = owner_body.payload;
    if (payload.length > FUNCTION_CODE_BYTES_MAX || (decoded.is_removed && payload.length > 0)) {
        status = STATUS_MALFORMED;
        goto done;
    }
    struct hash shown = hash_of(payload.at, payload.length);
    if (!hash_equal(&named, capsule) || !hash_equal(&shown, &decoded.code_hash)) {
        status = STATUS_FORGED;
        goto done;
    }
    *manifest = decoded;
    *code = payload;
    return STATUS_OK;

done:
    function_manifest_release(&decoded);
    return status;
}
