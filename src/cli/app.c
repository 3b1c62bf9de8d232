/* src/cli/app.c */
#include "cli/app.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/hex.h"
#include "capsule/keys.h"
#include "cli/keeper.h"
#include "cli/report.h"
#include "crypto/certificate.h"
#include "host/home.h"

enum { APP_FILE_BYTES_MAX = 1 << 20, APP_NUMBER_TEXT_BYTES = 32 };

void app_path(const struct app *app, const char *name, char path[FILE_PATH_BYTES])
{
    snprintf(path, FILE_PATH_BYTES, "%s/%s", app->directory, name);
}

uint32_t app_stores(const struct app *app, char directories[GENESIS_STORES_MAX][FILE_PATH_BYTES])
{
    const struct genesis_store *store;
    uint32_t count = 0;
    while (count < GENESIS_STORES_MAX && (store = app_store(app, count)) != NULL) {
        char host[FILE_PATH_BYTES], path[HOME_PATH_BYTES_MAX];
        app_path(app, APP_HOST, host);
        // The app's own path is short enough.
        CHECK(home_store_path(path, host, &app->genesis, store) == STATUS_OK);
        snprintf(directories[count++], FILE_PATH_BYTES, "%s", path);
    }
    return count;
}

const struct genesis_store *app_store(const struct app *app, uint32_t index)
{
    const struct genesis *now = &app->stores.now, *former = &app->stores.former;
    if (index < now->store_count) {
        return &now->stores[index];
    }
    index -= now->store_count;
    for (uint32_t i = 0; app->stores.has_former && i < former->store_count; i++) {
        if (genesis_store_find(now, &former->stores[i].id) == NULL && index-- == 0) {
            return &former->stores[i];
        }
    }
    return NULL;
}

/* What to do when one of the app's files cannot be read. */
static const char *remedy_of(const char *name, enum status status)
{
    static const struct {
        const char *name;
        const char *remedy;
    } copies[] = {
        {APP_GENESIS,
         "put it back: host/genesis is a copy; or, if 'paranoid init' ended half-way, remove the "
         "directory and run it again"},
        {APP_POLICY, "put it back: owner/policy.recorded is what was in force last"},
        {APP_OWNER_KEY,
         "put it back: nothing can take its place; a keeper's directory has none, and is for "
         "'paranoid keeper' alone"},
        {APP_SEED, "put it back: nothing can take its place"},
        {APP_VENDOR_KEY, "put it back: nothing can take its place"},
        {APP_TLS_ROOT, "the next 'paranoid up' makes it anew"},
        {APP_HOST "/" HOST_FILE_PLATFORM, "the next 'paranoid up' makes another"},
        {APP_HOST "/" HOST_FILE_TCB, "the next 'paranoid up' makes it anew"},
        {KEEPER_KEY, "'paranoid keeper grant DIR' makes a keeper's directory, which has one"},
    };
    for (size_t i = 0; status == STATUS_NOT_FOUND && i < sizeof copies / sizeof *copies; i++) {
        if (strcmp(copies[i].name, name) == 0) {
            return copies[i].remedy;
        }
    }
    return status == STATUS_IO ? file_remedy(errno) : "put it back as it was";
}

enum status app_read(const struct app *app, const char *name, struct buffer *target)
{
    char path[FILE_PATH_BYTES];
    app_path(app, name, path);
    enum status status = file_read(target, path, APP_FILE_BYTES_MAX);
    if (status != STATUS_OK) {
        report_error("cannot read '%s': %s; %s", path, file_reason(status),
                     remedy_of(name, status));
    }
    return status;
}

enum status app_write(const struct app *app, const char *name, struct bytes bytes, mode_t mode)
{
    char path[FILE_PATH_BYTES];
    app_path(app, name, path);
    enum status status = file_replace(path, bytes, mode);
    if (status != STATUS_OK) {
        report_error("cannot write '%s': %s; %s", path, file_reason(status), file_remedy(errno));
    }
    return status;
}

int app_lock(const struct app *app)
{
    char path[FILE_PATH_BYTES];
    app_path(app, "owner", path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX) != 0) {
        report_error("cannot lock '%s': %s", path, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

enum status app_read_stores(struct app *app)
{
    char path[FILE_PATH_BYTES];
    struct buffer word = BUFFER_EMPTY;
    struct stores stores;
    app_path(app, APP_STORES, path);
    enum status status = file_read(&word, path, APP_FILE_BYTES_MAX);
    if (status == STATUS_OK) {
        status = stores_decode(&stores, buffer_bytes(&word), &app->genesis);
    } else if (status == STATUS_NOT_FOUND) {
        stores_of_genesis(&stores, &app->genesis);
        status = STATUS_OK;
    }
    if (status != STATUS_OK) {
        report_error("cannot use '%s': %s; put back the file as it was", path, file_reason(status));
        buffer_release(&word);
        return status;
    }
    buffer_release(&app->stores_word);
    app->stores_word = word;
    app->stores = stores;
    return STATUS_OK;
}

enum status app_give_stores(const struct app *app)
{
    return app->stores_word.length == 0 ? STATUS_OK
                                        : app_write(app, APP_HOST "/" HOST_FILE_STORES,
                                                    buffer_bytes(&app->stores_word), 0644);
}

enum status app_write_stores(struct app *app, const struct stores *stores,
                             const struct sign_key *owner)
{
    struct buffer word = BUFFER_EMPTY;
    int lock = app_lock(app);
    enum status status = lock < 0 ? STATUS_IO : app_read_stores(app);
    if (status == STATUS_OK && stores->version != app->stores.version + 1) {
        status = STATUS_STALE;  // no version has two words
    }
    if (status == STATUS_OK) {
        status = stores_encode(&word, stores, owner);
    }
    // The owner's own first: what the host does not know yet, it is given when it starts.
    if (status == STATUS_OK) {
        status = app_write(app, APP_STORES, buffer_bytes(&word), 0644);
    }
    buffer_release(&word);
    if (status == STATUS_OK) {
        status = app_read_stores(app);
    }
    if (status == STATUS_OK) {
        status = app_give_stores(app);
    }
    if (lock >= 0) {
        close(lock);
    }
    return status;
}

static bool is_app(const char *directory)
{
    char path[FILE_PATH_BYTES];
    struct stat stat_of;
    snprintf(path, sizeof path, "%s/owner", directory);
    return stat(path, &stat_of) == 0 && S_ISDIR(stat_of.st_mode);
}

/* It is no app's; or one whose owner/ is gone, or that is another user's. */
static enum status refuse_directory(const struct app *app)
{
    char path[FILE_PATH_BYTES];
    app_path(app, APP_GENESIS, path);
    if (access(path, F_OK) == 0) {
        report_error(
            "cannot use app '%s': its directory 'owner' is not there; put it back: nothing can "
            "take its place",
            app->directory);
        return STATUS_NOT_FOUND;
    }
    if (errno == EACCES) {
        report_error("cannot look into '%s': %s; %s", app->directory, strerror(errno),
                     file_remedy(errno));
        return STATUS_IO;
    }
    report_error(
        "cannot find an app in '%s': make one with 'paranoid init', or name it with --app DIR",
        app->directory);
    return STATUS_NOT_FOUND;
}

enum status app_open(struct app *app, const struct command_line *line)
{
    *app = (struct app){.genesis_body = BUFFER_EMPTY};
    const char *named = command_text(line, "app", NULL);
    const char *directory = named != NULL ? named : is_app(".") ? "." : APP_DIRECTORY_DEFAULT;
    if (directory[0] == '\0' || strlen(directory) >= sizeof app->directory) {
        report_error("cannot use app '%s': its path is %s", directory,
                     directory[0] == '\0' ? "empty" : "too long");
        return STATUS_IO;
    }
    snprintf(app->directory, sizeof app->directory, "%s", directory);
    if (!is_app(directory)) {
        return refuse_directory(app);
    }
    enum status status = app_read(app, APP_GENESIS, &app->genesis_body);
    if (status != STATUS_OK) {
        return status;
    }
    status = genesis_decode(&app->genesis, buffer_bytes(&app->genesis_body));
    if (status != STATUS_OK) {
        report_error(
            "cannot use app '%s': its file 'genesis': %s; put it back as it was (host/genesis is a "
            "copy)",
            directory, status_text(status));
        return status;
    }
    return app_read_stores(app);
}

void app_release(struct app *app)
{
    buffer_release(&app->genesis_body);
    buffer_release(&app->stores_word);
}

/* ---- secrets ---- */

static enum status read_secret(const struct app *app, const char *name,
                               uint8_t secret[SECRET_BYTES])
{
    char path[FILE_PATH_BYTES];
    struct stat stat_of;
    app_path(app, name, path);
    if (stat(path, &stat_of) == 0 && (stat_of.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        report_error("refusing key file '%s': it is open to others; run 'chmod 600 %s'", path,
                     path);
        return STATUS_DENIED;
    }
    struct buffer text = BUFFER_EMPTY;
    enum status status = app_read(app, name, &text);
    if (status == STATUS_OK) {
        size_t length = text.length;
        while (length > 0 && text.bytes[length - 1] == '\n') {
            length--;
        }
        if (!hex_decode(secret, SECRET_BYTES, (const char *)text.bytes, length)) {
            report_error(
                "cannot use key file '%s': it does not hold 64 hexadecimal digits; put it back: "
                "nothing can take its place",
                path);
            status = STATUS_MALFORMED;
        }
    }
    buffer_release(&text);
    return status;
}

enum status app_key(const struct app *app, const char *name, struct sign_key **key)
{
    uint8_t secret[SECRET_BYTES];
    *key = NULL;
    enum status status = read_secret(app, name, secret);
    if (status == STATUS_OK) {
        *key = sign_key_new_from_seed(secret);
    }
    buffer_wipe(secret, sizeof secret);
    // What another key signs is refused by leaders and stores, where nobody hears of it.
    const struct verify_key key_public = *key == NULL ? app->genesis.owner : sign_key_public(*key);
    bool is_other =
        strcmp(name, APP_OWNER_KEY) == 0 && !verify_key_equal(&key_public, &app->genesis.owner);
    if (is_other) {
        report_error(
            "cannot use key file '%s/%s': it is not the key of the owner whom the app's genesis "
            "names; put it back as it was",
            app->directory, name);
        sign_key_free(*key);
        *key = NULL;
        return STATUS_FORGED;
    }
    return status;
}

/* Whether tls-root.pem names a root of another seed; one that cannot be read says nothing. */
static bool is_other_seed(const struct app *app, const struct secret *seed)
{
    char path[FILE_PATH_BYTES];
    struct buffer pem = BUFFER_EMPTY, der = BUFFER_EMPTY;
    struct p256_public named;
    struct p256_key *root = keys_tls_root(seed);
    const struct p256_public own = p256_key_public(root);
    app_path(app, APP_TLS_ROOT, path);
    bool is_other = file_read(&pem, path, APP_FILE_BYTES_MAX) == STATUS_OK &&
                    certificate_from_pem(&der, buffer_bytes(&pem)) == STATUS_OK &&
                    certificate_public(&named, buffer_bytes(&der)) == STATUS_OK &&
                    memcmp(named.bytes, own.bytes, sizeof own.bytes) != 0;
    p256_key_free(root);
    buffer_release(&pem);
    buffer_release(&der);
    return is_other;
}

enum status app_seed(const struct app *app, struct secret **seed)
{
    uint8_t secret[SECRET_BYTES];
    *seed = NULL;
    enum status status = read_secret(app, APP_SEED, secret);
    if (status == STATUS_OK) {
        *seed = secret_new_copy(secret);
    }
    buffer_wipe(secret, sizeof secret);
    if (status == STATUS_OK && is_other_seed(app, *seed)) {
        report_error(
            "cannot use key file '%s/%s': it is not the seed that the app's %s was made from; put "
            "back both as they were",
            app->directory, APP_SEED, APP_TLS_ROOT);
        secret_free(*seed);
        *seed = NULL;
        return STATUS_FORGED;
    }
    return status;
}

enum status app_write_secret(const struct app *app, const char *name,
                             const uint8_t secret[SECRET_BYTES])
{
    char text[2 * SECRET_BYTES + 2];
    hex_encode(text, secret, SECRET_BYTES);
    text[2 * SECRET_BYTES] = '\n';
    enum status status = app_write(app, name, bytes_of(text, 2 * SECRET_BYTES + 1), 0600);
    buffer_wipe(text, sizeof text);
    return status;
}

/* ---- what only rises ---- */

/* Read a small text file; "" when it does not exist. */
static enum status read_small(const struct app *app, const char *name, char *text, size_t size)
{
    char path[FILE_PATH_BYTES];
    struct buffer bytes = BUFFER_EMPTY;
    app_path(app, name, path);
    text[0] = '\0';
    enum status status = file_read(&bytes, path, size - 1);
    if (status == STATUS_OK) {
        int length = (int)bytes.length;
        while (length > 0 && bytes.bytes[length - 1] == '\n') {
            length--;
        }
        snprintf(text, size, "%.*s", length, (const char *)bytes.bytes);
    } else if (status == STATUS_NOT_FOUND) {
        status = STATUS_OK;
    } else {
        report_error("cannot read '%s': %s; %s", path, file_reason(status),
                     remedy_of(name, status));
    }
    buffer_release(&bytes);
    return status;
}

static enum status refuse_content(const struct app *app, const char *name, const char *wanted)
{
    report_error("cannot use '%s/%s': it does not hold %s; put back the file as it was",
                 app->directory, name, wanted);
    return STATUS_MALFORMED;
}

enum status app_number(const struct app *app, const char *name, uint64_t *number)
{
    char text[APP_NUMBER_TEXT_BYTES];
    *number = 0;
    enum status status = read_small(app, name, text, sizeof text);
    if (status == STATUS_OK && text[0] != '\0' &&
        !command_read_number(text, 0, UINT64_MAX, number)) {
        status = refuse_content(app, name, "a number");
    }
    return status;
}

enum status app_raise(const struct app *app, const char *name, uint64_t number)
{
    char text[APP_NUMBER_TEXT_BYTES];
    int length = snprintf(text, sizeof text, "%" PRIu64 "\n", number);
    return app_write(app, name, bytes_of(text, (size_t)length), 0600);
}

enum status app_sync_load(const struct app *app, struct app_sync *sync)
{
    char text[APP_NUMBER_TEXT_BYTES + HASH_TEXT_BYTES];
    *sync = (struct app_sync){.epoch = 0};
    enum status status = read_small(app, APP_SYNC, text, sizeof text);
    if (status != STATUS_OK || text[0] == '\0') {
        return status;
    }
    char *space = strchr(text, ' ');
    if (space == NULL || !hex_decode(sync->hash.bytes, HASH_BYTES, space + 1, strlen(space + 1))) {
        return refuse_content(app, APP_SYNC, "an epoch and a hash");
    }
    *space = '\0';
    if (!command_read_number(text, 0, UINT64_MAX, &sync->epoch)) {
        return refuse_content(app, APP_SYNC, "an epoch and a hash");
    }
    return STATUS_OK;
}

enum status app_sync_replace(const struct app *app, const struct app_sync *sync)
{
    char hash[HASH_TEXT_BYTES], text[APP_NUMBER_TEXT_BYTES + HASH_TEXT_BYTES];
    hash_text(&sync->hash, hash);
    int length = snprintf(text, sizeof text, "%" PRIu64 " %s\n", sync->epoch, hash);
    return app_write(app, APP_SYNC, bytes_of(text, (size_t)length), 0600);
}

enum status app_sync_check(const struct app *app, const struct app_sync *sync)
{
    struct app_sync kept;
    enum status status = app_sync_load(app, &kept);
    if (status == STATUS_OK && !hash_is_zero(&kept.hash) && sync->epoch <= kept.epoch) {
        status = STATUS_STALE;
    }
    return status;
}

enum status app_policy(const struct app *app, struct policy *policy)
{
    char error[POLICY_ERROR_BYTES_MAX];
    struct buffer text = BUFFER_EMPTY;
    enum status status = app_read(app, APP_POLICY, &text);
    if (status == STATUS_OK) {
        status = policy_parse(policy, buffer_bytes(&text), error);
        if (status != STATUS_OK) {
            report_error("cannot use policy '%s/%s': %s", app->directory, APP_POLICY,
                         status == STATUS_MALFORMED ? error : status_text(status));
        }
    }
    buffer_release(&text);
    return status;
}

enum status app_program_directory(char path[FILE_PATH_BYTES])
{
    ssize_t length = readlink("/proc/self/exe", path, FILE_PATH_BYTES - 1);
    if (length <= 0) {
        report_error("cannot find the programs: /proc/self/exe cannot be read: %s",
                     strerror(errno));
        return STATUS_IO;
    }
    path[length] = '\0';
    *strrchr(path, '/') = '\0';
    return STATUS_OK;
}
