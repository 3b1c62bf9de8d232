/* src/cli/member.c */
#include "cli/member.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/date.h"
#include "base/hex.h"
#include "capsule/revoke.h"
#include "cli/inspect_internal.h"
#include "cli/order.h"
#include "cli/report.h"
#include "cli/roster.h"
#include "wire/message.h"

enum {
    MEMBER_SHORT_BYTES = 4,       // of ids and hashes in tables
    MEMBER_ORDER_MS = 60 * 1000,  // who does not join the key epoch is closed after 30 s
};

struct short_text {
    char text[2 * MEMBER_SHORT_BYTES + 1];
};

static struct short_text short_of(const void *bytes)
{
    struct short_text result;
    hex_encode(result.text, bytes, MEMBER_SHORT_BYTES);
    return result;
}

static json_t *hex_of(const void *bytes, size_t length)
{
    char text[2 * HASH_BYTES + 1];
    hex_encode(text, bytes, length);
    return json_string(text);
}

static void print_json(json_t *value)
{
    json_dumpf(value, stdout, JSON_COMPACT | JSON_SORT_KEYS);
    putchar('\n');
    json_decref(value);
}

/* The app's capsule, read and verified. Close it whatever comes back. */
struct reading {
    struct inspection it;
    struct roster roster;
};

static enum status reading_open(struct reading *reading, const struct command_line *line)
{
    roster_init(&reading->roster);
    enum status status = inspect_open(&reading->it, line, NULL);
    reading->it.visitor = &reading->roster.visitor;
    return status;
}

static void reading_close(struct reading *reading)
{
    inspect_close(&reading->it);
    roster_release(&reading->roster);
}

// ---- member list ----

static const char *state_of(const struct reading *reading, const struct capsule_member *member)
{
    const struct roster_end *end = roster_end_find(&reading->roster, &member->id);
    if (member->revoked_epoch != 0) {
        return member->is_closed ? "revoked" : "revoking";
    }
    return end == NULL ? "open" : roster_reason_text(end->reason);
}

/* The last record of a branch that counts: its cut, or as far as it is here. */
static struct head last_of(const struct capsule_member *member)
{
    return member->is_closed ? member->cut : member->head;
}

static json_t *member_json(const struct reading *reading, size_t index)
{
    const struct capsule_member *member = capsule_member_at(reading->it.survey.capsule, index);
    const struct head last = last_of(member);
    json_t *result =
        json_pack("{s:I, s:o, s:s, s:I, s:s, s:I, s:I, s:I, s:o}", "number", (json_int_t)index + 1,
                  "writer", hex_of(member->id.bytes, WRITER_ID_BYTES), "role",
                  member_role_text(member->role), "term", (json_int_t)member->term, "state",
                  state_of(reading, member), "joined_epoch", (json_int_t)member->joined_epoch,
                  "key_epoch", (json_int_t)member->joined_key_epoch, "last_sequence",
                  (json_int_t)last.sequence, "last_hash", hex_of(last.hash.bytes, HASH_BYTES));
    CHECK(result != NULL);
    return result;
}

static void print_members(const struct reading *reading)
{
    const struct capsule *capsule = reading->it.survey.capsule;
    printf("%5s  %-8s  %-9s %5s %6s %5s  %-8s %s\n", "N", "WRITER", "ROLE", "TERM", "EPOCH", "KEYS",
           "STATE", "LAST RECORD");
    for (size_t i = 0; i < capsule_member_count(capsule); i++) {
        const struct capsule_member *member = capsule_member_at(capsule, i);
        const struct head last = last_of(member);
        printf("%5zu  %-8s  %-9s %5" PRIu64 " %6" PRIu64 " %5" PRIu32 "  %-8s %" PRIu64 " %s\n",
               i + 1, short_of(member->id.bytes).text, member_role_text(member->role), member->term,
               member->joined_epoch, member->joined_key_epoch, state_of(reading, member),
               last.sequence, last.sequence > 0 ? short_of(last.hash.bytes).text : "-");
    }
}

static int run_list(const struct command_line *line)
{
    int result = COMMAND_COULD_NOT;
    struct reading reading;
    if (reading_open(&reading, line) == STATUS_OK) {
        enum status status = inspect_survey(&reading.it);
        result = status == STATUS_OK ? COMMAND_OK : inspect_refuse(&reading.it, status);
    }
    if (result != COMMAND_COULD_NOT && command_has(line, "json")) {
        json_t *list = json_array();
        for (size_t i = 0; i < capsule_member_count(reading.it.survey.capsule); i++) {
            json_array_append_new(list, member_json(&reading, i));
        }
        print_json(list);
    } else if (result != COMMAND_COULD_NOT) {
        print_members(&reading);
    }
    reading_close(&reading);
    return result;
}

// ---- member revoke ----

/* The member that `text` names: by its number, or by the first digits of its id. */
static const struct capsule_member *find_member(const struct capsule *capsule, const char *text)
{
    uint64_t number;
    const struct capsule_member *found = NULL;
    size_t count = capsule_member_count(capsule);
    if (strlen(text) < 2 * MEMBER_SHORT_BYTES) {
        return command_read_number(text, 1, count, &number)
                   ? capsule_member_at(capsule, (size_t)number - 1)
                   : NULL;
    }
    for (size_t i = 0; i < count; i++) {
        char id[WRITER_ID_TEXT_BYTES];
        const struct capsule_member *member = capsule_member_at(capsule, i);
        writer_id_text(&member->id, id);
        if (strncmp(id, text, strlen(text)) == 0) {
            if (found != NULL) {
                return NULL;  // more than one
            }
            found = member;
        }
    }
    return found;
}

static int order_revoke(const struct app *app, const struct sign_key *owner,
                        const struct writer_id *writer)
{
    char what[48];
    struct buffer body = BUFFER_EMPTY, plain = BUFFER_EMPTY;
    enum status status = revoke_encode(&body, &app->genesis.capsule, writer, owner);
    const struct message_revoke revoke = {.request = ORDER_REQUEST,
                                          .revocation = buffer_bytes(&body)};
    if (status == STATUS_OK) {
        status = message_revoke_encode(&plain, &revoke);
    }
    CHECK(status == STATUS_OK);
    snprintf(what, sizeof what, "revoke member %s", short_of(writer->bytes).text);
    int result = order_give(app, owner, what, buffer_bytes(&plain), MEMBER_ORDER_MS);
    buffer_release(&body);
    buffer_release(&plain);
    return result;
}

/*
 * The leader answers once W stores have signed for what it wrote, and a store signs for what its
 * files hold: they show it now.
 */
static int verify_end(struct reading *reading, const struct writer_id *writer)
{
    enum status status = inspect_survey(&reading->it);
    if (status != STATUS_OK) {
        return inspect_refuse(&reading->it, status);
    }
    const struct capsule *capsule = reading->it.survey.capsule;
    const struct capsule_member *member = capsule_member_find(capsule, writer);
    if (member == NULL || !member->is_closed || member->revoked_epoch == 0 ||
        capsule_key_epoch(capsule) <= CAPSULE_KEY_EPOCH_FIRST) {
        report_error("the leader has revoked the member, and the capsule does not show it");
        return COMMAND_COULD_NOT;
    }
    return COMMAND_OK;
}

static void print_revoked(const struct reading *reading, const struct writer_id *writer,
                          bool is_json)
{
    const struct capsule *capsule = reading->it.survey.capsule;
    const struct capsule_member *member = capsule_member_find(capsule, writer);
    const struct roster_key *key = &reading->roster.keys[reading->roster.key_count - 1];
    const struct head last = last_of(member);
    char id[WRITER_ID_TEXT_BYTES], hash[HASH_TEXT_BYTES];
    if (is_json) {
        json_t *result = member_json(reading, capsule_member_index(capsule, member));
        json_object_set_new(result, "key_epoch", json_integer((json_int_t)key->key_epoch));
        json_object_set_new(result, "from_epoch", json_integer((json_int_t)key->epoch));
        print_json(result);
        return;
    }
    writer_id_text(writer, id);
    hash_text(&last.hash, hash);
    printf("revoked %s %s\n", member_role_text(member->role), id);
    if (last.sequence > 0) {
        printf("its last accepted record is %" PRIu64 ", %s\n", last.sequence, hash);
    } else {
        printf("no record of it was accepted\n");
    }
    printf("key epoch %" PRIu32 " is in force from epoch %" PRIu64 " on\n", key->key_epoch,
           key->epoch);
}

static int run_revoke(const struct command_line *line)
{
    int result = COMMAND_COULD_NOT;
    struct reading reading;
    struct sign_key *owner = NULL;
    struct writer_id writer;
    const char *named = line->arguments[0];
    if (reading_open(&reading, line) != STATUS_OK ||
        app_key(&reading.it.app, APP_OWNER_KEY, &owner) != STATUS_OK) {
        goto done;
    }
    enum status status = inspect_survey(&reading.it);
    if (status != STATUS_OK) {
        result = inspect_refuse(&reading.it, status);
        goto done;
    }
    const struct capsule_member *member = find_member(reading.it.survey.capsule, named);
    if (member == NULL) {
        report_error(
            "cannot revoke member '%s': no one member has that number or id; 'paranoid "
            "member list' lists them",
            named);
        result = COMMAND_NO;
        goto done;
    }
    writer = member->id;
    result = order_revoke(&reading.it.app, owner, &writer);
    if (result == COMMAND_OK) {
        result = verify_end(&reading, &writer);
    }
    if (result == COMMAND_OK) {
        print_revoked(&reading, &writer, command_has(line, "json"));
    }

done:
    sign_key_free(owner);
    reading_close(&reading);
    return result;
}

// ---- keys ----

/* Who was revoked, so that this key epoch had to begin; NULL: nobody. */
static const struct capsule_member *revoked_for(const struct reading *reading, size_t index)
{
    const struct capsule *capsule = reading->it.survey.capsule;
    const struct roster_key *key = &reading->roster.keys[index];
    uint64_t before = index == 0 ? 0 : reading->roster.keys[index - 1].epoch;
    for (size_t i = 0; i < capsule_member_count(capsule); i++) {
        const struct capsule_member *member = capsule_member_at(capsule, i);
        if (member->revoked_epoch > before && member->revoked_epoch <= key->epoch) {
            return member;
        }
    }
    return NULL;
}

static void print_keys(const struct reading *reading)
{
    printf("%9s  %10s  %-20s  %s\n", "KEY EPOCH", "FROM EPOCH", "TIME", "WHY");
    for (size_t i = 0; i < reading->roster.key_count; i++) {
        const struct roster_key *key = &reading->roster.keys[i];
        const struct capsule_member *revoked = revoked_for(reading, i);
        char time[DATE_TEXT_BYTES] = "-";
        if (key->epoch > 0) {
            date_text(time, key->time_ms / 1000);
        }
        printf("%9" PRIu32 "  %10" PRIu64 "  %-20s  %s%s\n", key->key_epoch, key->epoch, time,
               revoked != NULL ? "revoked "
               : i == 0        ? "the first"
                               : "rotated",
               revoked != NULL ? short_of(revoked->id.bytes).text : "");
    }
}

static json_t *keys_json(const struct reading *reading)
{
    json_t *list = json_array();
    for (size_t i = 0; i < reading->roster.key_count; i++) {
        const struct roster_key *key = &reading->roster.keys[i];
        const struct capsule_member *revoked = revoked_for(reading, i);
        json_array_append_new(
            list,
            json_pack("{s:I, s:I, s:I, s:o}", "key_epoch", (json_int_t)key->key_epoch, "from_epoch",
                      (json_int_t)key->epoch, "time_ms", (json_int_t)key->time_ms, "revoked",
                      revoked == NULL ? json_null() : hex_of(revoked->id.bytes, WRITER_ID_BYTES)));
    }
    return list;
}

static int run_keys(const struct command_line *line)
{
    int result = COMMAND_COULD_NOT;
    struct reading reading;
    if (reading_open(&reading, line) == STATUS_OK) {
        enum status status = inspect_survey(&reading.it);
        result = status == STATUS_OK ? COMMAND_OK : inspect_refuse(&reading.it, status);
    }
    if (result != COMMAND_COULD_NOT && command_has(line, "json")) {
        print_json(keys_json(&reading));
    } else if (result != COMMAND_COULD_NOT) {
        print_keys(&reading);
    }
    reading_close(&reading);
    return result;
}

static int run_rotate(const struct command_line *line)
{
    int result = COMMAND_COULD_NOT;
    struct app app;
    struct sign_key *owner = NULL;
    struct buffer plain = BUFFER_EMPTY;
    if (app_open(&app, line) == STATUS_OK && app_key(&app, APP_OWNER_KEY, &owner) == STATUS_OK) {
        enum status status = message_rotate_encode(&plain, ORDER_REQUEST);
        CHECK(status == STATUS_OK);
        result = order_give(&app, owner, "rotate the keys", buffer_bytes(&plain), MEMBER_ORDER_MS);
    }
    if (result == COMMAND_OK && command_has(line, "json")) {
        printf("{\"rotated\":true}\n");
    } else if (result == COMMAND_OK) {
        printf("a new key epoch is in force; every member seals with its key\n");
    }
    buffer_release(&plain);
    sign_key_free(owner);
    app_release(&app);
    return result;
}

const struct command member_list_command = {
    .name = "member list",
    .arguments = "",
    .summary = "List all members ever: number, writer, role, key epoch, state, last record.",
    .about = "Read offline from the app's stores, and verified.",
    .status = "0 listed, 1 the capsule does not verify, 2 wrong usage, 3 it could not be read",
    .example = "paranoid member list",
    .run = run_list,
};

const struct command member_revoke_command = {
    .name = "member revoke",
    .arguments = "MEMBER",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "Throw a member out: its branch ends, and it gets no key from now on.",
    .about =
        "MEMBER is its number in 'paranoid member list', or at least 8 digits of its id. Nothing\n"
        "that it writes beyond the record named in the answer is accepted anywhere; it keeps the\n"
        "keys it has, and gets none of those that everybody else seals with once this returns.",
    .status = "0 revoked, 1 there is no such member or it was revoked, 2 wrong usage, 3 could not",
    .example = "paranoid member revoke 4",
    .run = run_revoke,
};

const struct command member_keys_command = {
    .name = "keys list",
    .arguments = "",
    .summary = "List the key epochs: which SYNC began each, when, and why.",
    .about = "Read offline from the app's stores, and verified. No key is needed, and none shown.",
    .status = "0 listed, 1 the capsule does not verify, 2 wrong usage, 3 it could not be read",
    .example = "paranoid keys list",
    .run = run_keys,
};

const struct command member_rotate_command = {
    .name = "keys rotate",
    .arguments = "",
    .summary = "Begin a new key epoch: from now on all is sealed with a new data key.",
    .about =
        "Returns when every open member seals with the new key. What is there stays readable for\n"
        "those who may read it.",
    .status = "0 rotated, 1 the leader refuses that or is refused, 2 wrong usage, 3 could not",
    .example = "paranoid keys rotate",
    .run = run_rotate,
};
