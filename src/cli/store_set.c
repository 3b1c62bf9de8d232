/* src/cli/store_set.c */
#include "cli/store_set.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/random.h"
#include "capsule/delegation.h"
#include "capsule/owner.h"
#include "cli/clock.h"
#include "cli/report.h"
#include "cli/service.h"
#include "host/home.h"
#include "store/disk.h"
#include "store/store.h"
#include "wire/frame.h"

enum {
    POLL_MS = 100,
    SHOW_MS = 2000,
    SETTLE_MS_MAX = 60 * 1000,     // until a leader leads by the new word
    FILL_MS_MAX = 60 * 60 * 1000,  // until a new store has what the others have
};

static const char name_prefix[] = "store-";

// ---- what a change is ----

struct change {
    const struct command_line *line;
    const char *name;
    struct app app;
    struct sign_key *owner;
    struct post post;
    struct stores next;
    bool is_running;
    bool is_resumed;     // the owner has said so before
    bool is_taken_back;  // what the owner has said last
    bool is_too_late;    // another one was signed first
};

/* The one of these that is none of the others; NULL: each is. */
static const struct genesis_store *store_beyond(const struct genesis *set,
                                                const struct genesis *others)
{
    for (uint32_t i = 0; i < set->store_count; i++) {
        if (genesis_store_find(others, &set->stores[i].id) == NULL) {
            return &set->stores[i];
        }
    }
    return NULL;
}

/* A change that is not in force yet is gone on with, or taken back; no other one begins. */
static enum status take_up(struct change *change, bool adds)
{
    const struct stores *stores = &change->app.stores;
    const struct genesis_store *pending = store_beyond(&stores->now, &stores->former);
    bool is_added = pending != NULL;
    pending = is_added ? pending : store_beyond(&stores->former, &stores->now);
    CHECK(pending != NULL);  // the owner changes one at a time
    bool is_same = strcmp(pending->name, change->name) == 0;
    change->is_resumed = is_same && adds == is_added;
    change->is_taken_back = is_same && is_added && !adds;
    if (change->is_resumed || change->is_taken_back) {
        return STATUS_OK;
    }
    const char *verb = is_added ? "add" : "remove";
    report_error(
        "cannot change the stores: the last change is not in force yet; 'paranoid store "
        "%s %s' goes on with it, and so does 'paranoid up'",
        verb, pending->name);
    return STATUS_DENIED;
}

static enum status begin(struct change *change, const struct command_line *line, bool adds)
{
    *change =
        (struct change){.line = line, .name = command_argument(line, 0, ""), .post = POST_CLOSED};
    enum status status = app_open(&change->app, line);
    if (status == STATUS_OK) {
        status = app_key(&change->app, APP_OWNER_KEY, &change->owner);
    }
    if (status == STATUS_OK && change->app.stores.has_former) {
        status = take_up(change, adds);
    }
    if (status != STATUS_OK) {
        return status;
    }
    change->next = change->app.stores;
    if (!change->is_resumed) {
        change->next.version++;
        change->next.has_former = true;
        change->next.former = change->app.stores.now;
    }
    change->is_running = post_open(&change->post, &change->app) == STATUS_OK;
    return STATUS_OK;
}

static void end(struct change *change)
{
    post_close(&change->post);
    sign_key_free(change->owner);
    app_release(&change->app);
}

/*
 * W: as the line says, or so many that any two sets of them have one in common that does not lie.
 */
static enum status choose_receipts(struct change *change)
{
    struct genesis *now = &change->next.now;
    uint32_t usual = (now->store_count + now->tolerated_count) / 2 + 1;
    uint32_t least = now->tolerated_count + 1;
    now->receipt_count = (uint32_t)command_number(change->line, "receipts", usual);
    if (now->receipt_count < least || now->receipt_count > now->store_count) {
        report_error("cannot change the stores: %" PRIu32 " receipts of %" PRIu32
                     " stores, of which %" PRIu32 " may lie; at least %" PRIu32
                     " and at most as many as there are stores",
                     now->receipt_count, now->store_count, now->tolerated_count, least);
        return STATUS_DENIED;
    }
    return STATUS_OK;
}

/*
 * A keeper that knows the stores of before must not give a term any more: terms only rise, and the
 * next one is above all that were delegated.
 */
static enum status end_delegations(const struct change *change)
{
    char path[FILE_PATH_BYTES];
    uint64_t term;
    app_path(&change->app, "owner", path);
    DIR *directory = opendir(path);
    if (directory == NULL) {
        report_error("cannot read '%s': %s", path, strerror(errno));
        return STATUS_IO;
    }
    enum status status = app_number(&change->app, APP_TERM, &term);
    struct dirent *entry;
    while (status == STATUS_OK && (entry = readdir(directory)) != NULL) {
        if (strncmp(entry->d_name, "keeper-", strlen("keeper-")) != 0) {
            continue;
        }
        char name[sizeof "owner/" + sizeof entry->d_name];
        struct buffer body = BUFFER_EMPTY;
        struct delegation delegation;
        snprintf(name, sizeof name, "owner/%s", entry->d_name);
        status = app_read(&change->app, name, &body);
        if (status == STATUS_OK) {
            status = delegation_decode(&delegation, buffer_bytes(&body), &change->app.genesis.owner,
                                       &change->app.genesis.capsule);
        }
        if (status == STATUS_OK && delegation.last > term) {
            term = delegation.last;
            status = app_raise(&change->app, APP_TERM, term);
            report_note("what keeper '%s' may do ends: grant it again once this is done",
                        delegation.name);
        }
        buffer_release(&body);
    }
    closedir(directory);
    return status;
}

// ---- what the host says ----

/* Of the store with this name; NULL: nothing. The caller's. */
static json_t *store_state(const struct change *change, const char *name)
{
    json_t *ports = service_ports(&change->app);
    json_t *page = ports == NULL ? NULL : service_host_page(ports, "/status");
    json_t *found = NULL, *store;
    size_t i;
    json_array_foreach(json_object_get(page, "stores"), i, store)
    {
        const char *named = json_string_value(json_object_get(store, "name"));
        if (named != NULL && strcmp(named, name) == 0) {
            found = json_incref(store);
        }
    }
    json_decref(page);
    json_decref(ports);
    return found;
}

static bool is_open(const json_t *store)
{
    const char *state = json_string_value(json_object_get(store, "state"));
    return state != NULL && strcmp(state, "open") == 0;
}

/* How many of these are whole; the one that is not there yet will be. */
static uint32_t count_open(const struct change *change, const struct genesis *set)
{
    uint32_t open_count = 0;
    for (uint32_t i = 0; i < set->store_count; i++) {
        json_t *store = store_state(change, set->stores[i].name);
        bool is_new = genesis_store_find(&change->next.former, &set->stores[i].id) == NULL;
        open_count += is_new || is_open(store);
        json_decref(store);
    }
    return open_count;
}

/*
 * Before any leader leads by the change, R of those that count now answer, and W of those that will
 * hold everything.
 */
static enum status check_stores(const struct change *change)
{
    const struct genesis *now = &change->next.now, *former = &change->next.former;
    if (!change->is_running) {
        return STATUS_OK;
    }
    uint32_t answers = count_open(change, former), needed = genesis_answer_count(former);
    if (answers < needed) {
        report_error("cannot change the stores: %" PRIu32
                     " of those that count are whole, and "
                     "%" PRIu32
                     " have to answer for any change; 'paranoid status' shows them, "
                     "'paranoid doctor' says what to do",
                     answers, needed);
        return STATUS_DENIED;
    }
    uint32_t holders = count_open(change, now);
    if (holders < now->receipt_count) {
        report_error("cannot change the stores: %" PRIu32
                     " of those that would count are whole, "
                     "and %" PRIu32
                     " have to be; 'paranoid status' shows them, 'paranoid doctor' "
                     "says what to do",
                     holders, now->receipt_count);
        return STATUS_DENIED;
    }
    for (uint32_t i = 0; i < former->store_count; i++) {
        json_t *store = store_state(change, former->stores[i].name);
        if (!is_open(store)) {
            report_note("store '%s' is down or not whole", former->stores[i].name);
        }
        json_decref(store);
    }
    return STATUS_OK;
}

static uint64_t records_of(const struct change *change, const struct genesis_store *of)
{
    json_t *store = store_state(change, of->name);
    json_int_t records = is_open(store) ? json_integer_value(json_object_get(store, "records")) : 0;
    json_decref(store);
    return records > 0 ? (uint64_t)records : 0;
}

/*
 * What the owner has said by now: this change; or, once a leader leads by it, that it is in force.
 * STATUS_STALE: something else, which was said.
 */
static enum status look_again(struct change *change)
{
    enum status status = app_read_stores(&change->app);
    const struct stores *said = &change->app.stores;
    bool is_settled = said->version == change->next.version + 1 && !said->has_former;
    if (status == STATUS_OK && said->version != change->next.version && !is_settled) {
        report_error(
            "another command has changed the stores meanwhile; 'paranoid store list' "
            "says which of them count");
        return STATUS_STALE;
    }
    return status;
}

/*
 * Until it is worth looking again: the host has said something, or a moment has passed, for nobody
 * sends word when its page or the app's file says something else. STATUS_CLOSED: it has ended.
 */
static enum status await_news(struct change *change)
{
    struct frame frame;
    enum status status = post_receive(&change->post, &frame, POLL_MS);
    if (status == STATUS_CLOSED) {
        report_error("the host has ended; 'paranoid up' starts it, and goes on with the change");
    }
    return status == STATUS_TIMEOUT ? STATUS_OK : status;
}

static void show_filling(const struct change *change, const struct genesis_store *added,
                         uint64_t held, uint64_t wanted)
{
    json_t *store = store_state(change, added->name);
    const char *state = json_string_value(json_object_get(store, "state"));
    if (state != NULL && (strcmp(state, "failed") == 0 || strcmp(state, "damaged") == 0)) {
        report_note("store '%s' has %s: '%s/" APP_HOST
                    "/host.log' says why; mended, it goes on, "
                    "and 'paranoid store remove %s' takes it back",
                    added->name, state[0] == 'f' ? "failed" : "damage", change->app.directory,
                    added->name);
    } else {
        report_note("store '%s' is filled by the others: %" PRIu64 " of %" PRIu64 " records",
                    added->name, held, wanted);
    }
    json_decref(store);
}

/*
 * The app goes on meanwhile. What is written from now on the new store gets as the others do. That
 * the host counts well saves a wait, and no more: the next leader asks the stores themselves.
 */
static enum status await_filled(struct change *change, const struct genesis_store *added)
{
    int64_t begun_ms = clock_now_ms(), shown_ms = begun_ms - SHOW_MS;
    uint64_t wanted = 0;
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < change->next.former.store_count; i++) {
        uint64_t records = records_of(change, &change->next.former.stores[i]);
        wanted = records > wanted ? records : wanted;
    }
    while (status == STATUS_OK && clock_now_ms() < begun_ms + FILL_MS_MAX) {
        uint64_t held = records_of(change, added);
        if (held >= wanted) {
            report_note("store '%s' has %" PRIu64 " records", added->name, held);
            return STATUS_OK;
        }
        if (clock_now_ms() >= shown_ms + SHOW_MS) {
            shown_ms = clock_now_ms();
            show_filling(change, added, held, wanted);
        }
        status = await_news(change);
        if (status == STATUS_OK) {
            status = look_again(change);
        }
    }
    if (status != STATUS_OK) {
        return status;
    }
    report_error(
        "store '%s' is not filled; see host/host.log; 'paranoid store remove %s' takes it "
        "back",
        added->name, added->name);
    return STATUS_TIMEOUT;
}

enum status store_set_tell_host(struct post *post, bool ends_leader)
{
    static const struct writer_id nobody;
    struct buffer frame = BUFFER_EMPTY;
    enum status status =
        frame_encode(&frame, FRAME_STORES, ends_leader ? 1 : 0, &nobody, bytes_of(NULL, 0));
    if (status == STATUS_OK) {
        status = post_send(post, buffer_bytes(&frame));
    }
    buffer_release(&frame);
    return status;
}

// ---- into force ----

enum status store_set_settle(struct app *app, const struct sign_key *owner, struct post *post)
{
    struct stores settled = app->stores;
    settled.version++;
    settled.has_former = false;
    enum status status = app_write_stores(app, &settled, owner);
    if (status == STATUS_STALE) {
        return STATUS_OK;  // the owner has changed them again: the next leader's
    }
    if (status == STATUS_OK) {
        report_note("the change of stores is in force: %" PRIu32 " count, %" PRIu32
                    " have to hold a write",
                    settled.now.store_count, settled.now.receipt_count);
        status = store_set_tell_host(post, false);
    }
    return status;
}

/* Whoever gives the next leader its term says so in the app's file. */
static enum status await_settled(struct change *change)
{
    int64_t due_ms = clock_now_ms() + SETTLE_MS_MAX;
    report_note("the leader ends; the next one brings the change into force");
    enum status status = store_set_tell_host(&change->post, true);
    while (status == STATUS_OK && clock_now_ms() < due_ms) {
        status = look_again(change);
        if (status == STATUS_OK && !change->app.stores.has_former) {
            return STATUS_OK;
        }
        status = status == STATUS_OK ? await_news(change) : status;
    }
    if (status != STATUS_OK) {
        return status;
    }
    report_error(
        "the change of stores is not in force yet: no leader leads by it; enough "
        "of those that counted before have to answer, too: 'paranoid status' shows them; the same "
        "command again goes on with it");
    return STATUS_TIMEOUT;
}

static enum status sign(struct change *change)
{
    enum status status = end_delegations(change);
    return status == STATUS_OK ? app_write_stores(&change->app, &change->next, change->owner)
                               : status;
}

/* Sign it; and, when the app runs, see it through. */
static enum status carry_out(struct change *change, const struct genesis_store *added)
{
    enum status status = change->is_resumed ? app_give_stores(&change->app) : sign(change);
    change->is_too_late = status == STATUS_STALE;
    if (change->is_too_late) {
        report_error(
            "cannot change the stores: another command has just changed them; "
            "'paranoid store list' says which of them count");
        return STATUS_STALE;
    }
    if (status != STATUS_OK || !change->is_running) {
        return status;
    }
    status = store_set_tell_host(&change->post, false);
    if (status == STATUS_OK && added != NULL) {
        status = await_filled(change, added);
    }
    return status == STATUS_OK ? await_settled(change) : status;
}

static int finish(struct change *change, enum status status, const char *what)
{
    const struct genesis *now = &change->next.now;
    if (status == STATUS_OK && command_has(change->line, "json")) {
        printf("{\"in_force\":%s,\"receipts\":%" PRIu32 ",\"stores\":%" PRIu32 "}\n",
               change->is_running ? "true" : "false", now->receipt_count, now->store_count);
    } else if (status == STATUS_OK) {
        printf("store '%s' %s%s: %" PRIu32 " stores, %" PRIu32 " have to hold a write\n",
               change->name, what, change->is_running ? "" : " from the next start on",
               now->store_count, now->receipt_count);
    }
    return status == STATUS_OK                                 ? COMMAND_OK
           : status == STATUS_DENIED || status == STATUS_STALE ? COMMAND_NO
                                                               : COMMAND_COULD_NOT;
}

// ---- add ----

/* A name is one store's for ever: what it signed stays signed. */
static enum status check_name(const struct change *change)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    size_t length = strlen(change->name);
    char key[FILE_PATH_BYTES], name[FILE_PATH_BYTES];
    struct stat stat_of;
    if (strncmp(change->name, name_prefix, sizeof name_prefix - 1) != 0 ||
        length == sizeof name_prefix - 1 || length >= GENESIS_NAME_BYTES_MAX ||
        strspn(change->name, letters) != length) {
        report_error("cannot add store '%s': its name is 'store-' and letters, digits, '-' or '_'",
                     change->name);
        return STATUS_DENIED;
    }
    snprintf(name, sizeof name, APP_HOST "/" HOST_FILE_STORE_KEY,
             change->name + sizeof name_prefix - 2);
    app_path(&change->app, name, key);
    bool is_genesis = false;
    for (uint32_t i = 0; i < change->app.genesis.store_count; i++) {
        is_genesis = is_genesis || strcmp(change->app.genesis.stores[i].name, change->name) == 0;
    }
    if (is_genesis || stat(key, &stat_of) == 0) {
        report_error("cannot add store '%s': there is or was one of that name; choose another",
                     change->name);
        return STATUS_DENIED;
    }
    return STATUS_OK;
}

/* Where its directory and its key are. */
static void place_store(const struct change *change, const struct genesis_store *store,
                        char directory[FILE_PATH_BYTES], char key[FILE_PATH_BYTES])
{
    char suffix[GENESIS_NAME_BYTES_MAX + 1], name[FILE_PATH_BYTES];
    home_store_suffix(suffix, &change->app.genesis, store);
    snprintf(name, sizeof name, APP_HOST "/" HOST_FILE_CAPSULE, suffix);
    app_path(&change->app, name, directory);
    snprintf(key, FILE_PATH_BYTES, APP_HOST "/" HOST_FILE_STORE_KEY, suffix);
}

static enum status make_directory(const char *path)
{
    struct disk_posix *posix;
    struct disk disk;
    if (mkdir(path, 0700) != 0) {
        report_error("cannot make directory '%s': %s%s", path, strerror(errno),
                     errno == EEXIST ? "; if nobody needs what is in it, remove it" : "");
        return STATUS_IO;
    }
    enum status status = disk_posix_open(&posix, &disk, path);
    if (status == STATUS_OK) {
        status = store_begin_whole(&disk);
        disk_posix_close(posix);
    }
    if (status != STATUS_OK) {
        report_error("cannot write to directory '%s': %s", path, status_text(status));
    }
    return status;
}

/*
 * A key that has never signed anything, and a directory that says so: nothing of it is lost, so
 * that it need not wait for what its siblings say of its promises.
 */
static enum status make_store(const struct change *change, struct genesis_store *store)
{
    struct random random = random_kernel();
    struct sign_key *key = sign_key_new(&random);
    char directory[FILE_PATH_BYTES], name[FILE_PATH_BYTES];
    *store = (struct genesis_store){.key = sign_key_public(key)};
    store->id = writer_store_id_of(&store->key);
    snprintf(store->name, sizeof store->name, "%s", change->name);
    place_store(change, store, directory, name);
    enum status status = make_directory(directory);
    if (status == STATUS_OK) {
        status = app_write(&change->app, name, bytes_of(sign_key_seed(key), SIGN_SEED_BYTES), 0600);
    }
    sign_key_free(key);
    return status;
}

/* Nobody has heard of it. */
static void unmake_store(const struct change *change, const struct genesis_store *store)
{
    char directory[FILE_PATH_BYTES], key[FILE_PATH_BYTES], name[FILE_PATH_BYTES];
    place_store(change, store, directory, name);
    app_path(&change->app, name, key);
    snprintf(name, sizeof name, "%.*s/%s", (int)(sizeof name - 1 - sizeof STORE_REFILL_FILE),
             directory, STORE_REFILL_FILE);
    (void)unlink(name);
    (void)rmdir(directory);
    (void)unlink(key);
}

/* One more, with a key and a place of its own. */
static enum status name_new(struct change *change)
{
    struct genesis *now = &change->next.now;
    enum status status = check_name(change);
    if (status == STATUS_OK && now->store_count == GENESIS_STORES_MAX) {
        report_error("cannot add store '%s': there are %d already, as many as can be", change->name,
                     GENESIS_STORES_MAX);
        status = STATUS_DENIED;
    }
    if (status == STATUS_OK) {
        now->store_count++;
        status = choose_receipts(change);
    }
    if (status == STATUS_OK) {
        status = check_stores(change);
    }
    return status == STATUS_OK ? make_store(change, &now->stores[now->store_count - 1]) : status;
}

static int run_add(const struct command_line *line)
{
    struct change change;
    enum status status = begin(&change, line, true);
    if (status == STATUS_OK && !change.is_resumed) {
        status = name_new(&change);
    }
    if (status == STATUS_OK) {
        const struct genesis_store *added = store_beyond(&change.next.now, &change.next.former);
        CHECK(added != NULL);
        status = carry_out(&change, added);
        if (change.is_too_late) {
            unmake_store(&change, added);
        }
    }
    int result = finish(&change, status, "counts");
    end(&change);
    return result;
}

// ---- remove ----

/* One less. */
static enum status name_less(struct change *change)
{
    struct genesis *now = &change->next.now;
    uint32_t index = 0;
    while (index < now->store_count && strcmp(now->stores[index].name, change->name) != 0) {
        index++;
    }
    if (index == now->store_count || now->store_count == 1) {
        report_error("cannot remove store '%s': %s", change->name,
                     index == now->store_count ? "there is none of that name; 'paranoid store "
                                                 "list' lists them"
                                               : "it is the only one; add another first");
        return STATUS_DENIED;
    }
    memmove(&now->stores[index], &now->stores[index + 1],
            (now->store_count - index - 1) * sizeof now->stores[0]);
    now->store_count--;
    enum status status = choose_receipts(change);
    return status == STATUS_OK ? check_stores(change) : status;
}

static int run_remove(const struct command_line *line)
{
    struct change change;
    enum status status = begin(&change, line, false);
    if (status == STATUS_OK && change.is_taken_back) {
        change.next.now = change.app.stores.former;
    } else if (status == STATUS_OK && !change.is_resumed) {
        status = name_less(&change);
    }
    if (status == STATUS_OK) {
        status = carry_out(&change, NULL);
    }
    int result = finish(&change, status, "counts no more");
    end(&change);
    return result;
}

// ---- list ----

static int run_list(const struct command_line *line)
{
    struct app app;
    if (app_open(&app, line) != STATUS_OK) {
        app_release(&app);
        return COMMAND_COULD_NOT;
    }
    json_t *list = json_array();
    const struct genesis_store *store;
    for (uint32_t i = 0; (store = app_store(&app, i)) != NULL; i++) {
        char id[WRITER_ID_TEXT_BYTES];
        bool counts = genesis_store_find(&app.stores.now, &store->id) != NULL;
        bool is_pending = app.stores.has_former &&
                          (!counts || genesis_store_find(&app.stores.former, &store->id) == NULL);
        const char *state = !is_pending ? "counts" : counts ? "is to count" : "is to go";
        writer_id_text(&store->id, id);
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:s}", "name", store->name, "id", id, "state", state));
        if (!command_has(line, "json")) {
            printf("%-16s %.8s  %s\n", store->name, id, state);
        }
    }
    if (command_has(line, "json")) {
        json_dumpf(list, stdout, JSON_COMPACT | JSON_SORT_KEYS);
        putchar('\n');
    } else {
        printf("%" PRIu32 " of %" PRIu32 " have to hold a write, %" PRIu32 " may lie\n",
               app.stores.now.receipt_count, app.stores.now.store_count,
               app.stores.now.tolerated_count);
    }
    json_decref(list);
    app_release(&app);
    return COMMAND_OK;
}

static const struct command_option change_options[] = {
    {.name = "receipts",
     .value = "W",
     .text = "how many stores have to hold a write (default: more than half)",
     .is_number = true,
     .minimum = 1,
     .maximum = GENESIS_STORES_MAX},
};

const struct command store_set_list_command = {
    .name = "store list",
    .arguments = "",
    .summary = "List the stores, and how many of them have to hold a write.",
    .example = "paranoid store list",
    .run = run_list,
};

const struct command store_set_add_command = {
    .name = "store add",
    .arguments = "NAME",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "Add a store: the others fill it, then it counts.",
    .about =
        "The app goes on while it is filled. Then the leader ends, and the next one counts it;\n"
        "requests wait for that about as long as for any new leader. When the app does not\n"
        "run, it counts from the next start on. Keepers have to be granted anew.",
    .options = change_options,
    .option_count = sizeof change_options / sizeof *change_options,
    .status = "0 it counts, 1 refused, 2 wrong usage, 3 could not",
    .example = "paranoid store add store-4",
    .run = run_add,
};

const struct command store_set_remove_command = {
    .name = "store remove",
    .arguments = "NAME",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "Remove a store, whether or not it is still there: it counts no more.",
    .about =
        "The others have to hold everything: as many as a write needs, before the change is in\n"
        "force. What the removed one holds stays in its directory, and may be deleted then.\n"
        "Of a store that is being added it takes back that change.",
    .options = change_options,
    .option_count = sizeof change_options / sizeof *change_options,
    .status = "0 it counts no more, 1 refused, 2 wrong usage, 3 could not",
    .example = "paranoid store remove store-1",
    .run = run_remove,
};
