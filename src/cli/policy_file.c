/* src/cli/policy_file.c */
#include "cli/policy_file.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hex.h"
#include "cli/app.h"
#include "cli/report.h"

#define POLICY_FILE_FIRST "paranoid policy 1\n"
#define POLICY_FILE_PURPOSE "paranoid policy file v1"

static struct hash signed_hash(const struct verify_key *owner, const struct hash *capsule,
                               struct bytes policy)
{
    const struct bytes parts[] = {
        bytes_of(owner->bytes, SIGN_PUBLIC_BYTES),
        bytes_of(capsule->bytes, HASH_BYTES),
        policy,
    };
    return hash_of_parts(parts, 3);
}

bool policy_file_is(struct bytes text)
{
    return bytes_start_with(text, bytes_text(POLICY_FILE_FIRST));
}

/* Read "NAME DIGITS\n" and move behind it. */
static bool take_line(struct bytes *text, const char *name, uint8_t *target, size_t length)
{
    size_t name_bytes = strlen(name), line_bytes = name_bytes + 1 + 2 * length + 1;
    const char *line = (const char *)text->at;
    if (text->length < line_bytes || memcmp(line, name, name_bytes) != 0 ||
        line[name_bytes] != ' ' || line[line_bytes - 1] != '\n' ||
        !hex_decode(target, length, line + name_bytes + 1, 2 * length)) {
        return false;
    }
    *text = bytes_of(text->at + line_bytes, text->length - line_bytes);
    return true;
}

enum status policy_file_decode(struct policy_file *file, struct bytes text)
{
    struct policy_file decoded;
    struct signature signature;
    if (!policy_file_is(text)) {
        return STATUS_MALFORMED;
    }
    size_t first = sizeof POLICY_FILE_FIRST - 1;
    text = bytes_of(text.at + first, text.length - first);
    if (!take_line(&text, "owner", decoded.owner.bytes, SIGN_PUBLIC_BYTES) ||
        !take_line(&text, "capsule", decoded.capsule.bytes, HASH_BYTES) ||
        !take_line(&text, "signature", signature.bytes, SIGN_SIGNATURE_BYTES)) {
        return STATUS_MALFORMED;
    }
    decoded.policy = text;
    const struct hash hash = signed_hash(&decoded.owner, &decoded.capsule, decoded.policy);
    enum status status = sign_verify(&decoded.owner, POLICY_FILE_PURPOSE,
                                     bytes_of(hash.bytes, HASH_BYTES), &signature);
    if (status == STATUS_OK) {
        *file = decoded;
    }
    return status;
}

enum status policy_file_encode(struct buffer *text, const struct hash *capsule, struct bytes policy,
                               const struct sign_key *owner)
{
    const struct verify_key key = sign_key_public(owner);
    const struct hash hash = signed_hash(&key, capsule, policy);
    const struct signature signature =
        sign_make(owner, POLICY_FILE_PURPOSE, bytes_of(hash.bytes, HASH_BYTES));
    char owner_text[2 * SIGN_PUBLIC_BYTES + 1], capsule_text[2 * HASH_BYTES + 1];
    char signature_text[2 * SIGN_SIGNATURE_BYTES + 1], head[512];
    hex_encode(owner_text, key.bytes, sizeof key.bytes);
    hex_encode(capsule_text, capsule->bytes, HASH_BYTES);
    hex_encode(signature_text, signature.bytes, sizeof signature.bytes);
    int length =
        snprintf(head, sizeof head, POLICY_FILE_FIRST "owner %s\ncapsule %s\nsignature %s\n",
                 owner_text, capsule_text, signature_text);
    CHECK(length > 0 && (size_t)length < sizeof head);
    enum status status = buffer_append(text, head, (size_t)length);
    return status == STATUS_OK ? buffer_append(text, policy.at, policy.length) : status;
}

static int run(const struct command_line *line)
{
    int result = COMMAND_COULD_NOT;
    const char *path = command_argument(line, 0, NULL);
    struct app app;
    struct sign_key *owner = NULL;
    struct buffer policy_text = BUFFER_EMPTY, text = BUFFER_EMPTY;
    struct policy *policy = malloc(sizeof *policy);
    CHECK(policy != NULL);
    // What cannot be read is not handed out.
    if (app_open(&app, line) != STATUS_OK || app_policy(&app, policy) != STATUS_OK ||
        app_read(&app, APP_POLICY, &policy_text) != STATUS_OK ||
        app_key(&app, APP_OWNER_KEY, &owner) != STATUS_OK) {
        goto done;
    }
    enum status status =
        policy_file_encode(&text, &app.genesis.capsule, buffer_bytes(&policy_text), owner);
    if (status != STATUS_OK) {
        report_error("cannot export the policy: %s", status_text(status));
        goto done;
    }
    if (path == NULL) {
        fwrite(text.bytes, 1, text.length, stdout);
    } else if ((status = file_replace(path, buffer_bytes(&text), 0644)) != STATUS_OK) {
        report_error("cannot write '%s': %s; %s", path, file_reason(status), file_remedy(errno));
        goto done;
    } else if (command_has(line, "json")) {
        json_t *result_json = json_pack("{s:s}", "file", path);
        json_dumpf(result_json, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(result_json);
    }
    result = COMMAND_OK;

done:
    sign_key_free(owner);
    buffer_release(&policy_text);
    buffer_release(&text);
    free(policy);
    app_release(&app);
    return result;
}

const struct command policy_file_command = {
    .name = "policy export",
    .arguments = "[FILE]",
    .argument_max = 1,
    .summary = "Sign policy.json for others: with it alone they can tell this app from others.",
    .about =
        "Hand the file to whoever uses the app, over a way that they trust. It names the owner "
        "and\n"
        "the capsule; it holds no secret. Without FILE it goes to standard output.",
    .example = "paranoid policy export orders.policy",
    .run = run,
};
