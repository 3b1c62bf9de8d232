/* src/cli/init.c */
#include "cli/init.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "attest/simulated.h"
#include "base/check.h"
#include "base/random.h"
#include "capsule/keys.h"
#include "cli/measure.h"
#include "cli/report.h"
#include "crypto/certificate.h"
#include "host/host.h"

enum {
    INIT_SUFFIX_BYTES = 16,
    INIT_PEM_BYTES_MAX = 64 << 10,
    DAY_S = 24 * 3600,
    TCB_LEVEL = 1,
    TCB_AGE_S_MAX = 20 * DAY_S,
    TCB_LIFE_S = 365 * DAY_S,
    // Clocks differ: what is issued now should be valid for one that is behind.
    TCB_BACKDATE_S = 3600,
    PLATFORM_LIFE_S = 10 * 365 * DAY_S,
};

static uint64_t now_s(void)
{
    return (uint64_t)time(NULL);
}

static enum status make_directory(const struct app *app, const char *name, mode_t mode)
{
    char path[FILE_PATH_BYTES];
    snprintf(path, sizeof path, "%s%s%s", app->directory, name[0] == '\0' ? "" : "/", name);
    if (mkdir(path, mode) != 0 && errno != EEXIST) {
        report_error("cannot make directory '%s': %s; %s", path, strerror(errno),
                     file_remedy(errno));
        return STATUS_IO;
    }
    return STATUS_OK;
}

static enum status write_tcb(const struct app *app, const struct sign_key *vendor)
{
    const struct simulated_tcb tcb = {
        .issued_s = now_s() - TCB_BACKDATE_S,
        .next_update_s = now_s() + TCB_LIFE_S,
        .levels = {{.tcb_level = TCB_LEVEL, .status = TCB_UP_TO_DATE}},
        .level_count = 1,
    };
    struct buffer text = BUFFER_EMPTY;
    enum status status = simulated_tcb_encode(&tcb, vendor, &text);
    if (status == STATUS_OK) {
        status = app_write(app, APP_HOST "/" HOST_FILE_TCB, buffer_bytes(&text), 0600);
    }
    buffer_release(&text);
    return status;
}

static enum status write_platform(const struct app *app, const struct sign_key *vendor)
{
    const struct random random = random_kernel();
    const struct simulated_terms terms = {
        .tcb_level = TCB_LEVEL,
        .not_before_s = now_s() - TCB_BACKDATE_S,
        .not_after_s = now_s() + PLATFORM_LIFE_S,
    };
    uint8_t bytes[SIMULATED_PLATFORM_BYTES];
    struct simulated_platform *platform = simulated_platform_new(&random, vendor, &terms);
    simulated_platform_encode(platform, bytes);
    enum status status =
        app_write(app, APP_HOST "/" HOST_FILE_PLATFORM, bytes_of(bytes, sizeof bytes), 0600);
    buffer_wipe(bytes, sizeof bytes);
    simulated_platform_free(platform);
    return status;
}

enum status init_simulated(const struct app *app)
{
    struct sign_key *vendor = NULL;
    struct buffer bytes = BUFFER_EMPTY;
    struct simulated_tcb tcb;
    char path[FILE_PATH_BYTES];
    enum status status = app_key(app, APP_VENDOR_KEY, &vendor);
    if (status != STATUS_OK) {
        goto done;
    }
    const struct verify_key root = sign_key_public(vendor);
    app_path(app, APP_HOST "/" HOST_FILE_TCB, path);
    bool is_fresh = file_read(&bytes, path, EVIDENCE_COLLATERAL_BYTES_MAX) == STATUS_OK &&
                    simulated_tcb_decode(&tcb, buffer_bytes(&bytes), &root) == STATUS_OK &&
                    now_s() < tcb.issued_s + TCB_AGE_S_MAX;
    if (!is_fresh) {
        status = write_tcb(app, vendor);
    }
    app_path(app, APP_HOST "/" HOST_FILE_PLATFORM, path);
    if (status == STATUS_OK && access(path, F_OK) != 0 && errno == ENOENT) {
        status = write_platform(app, vendor);
    }

done:
    buffer_release(&bytes);
    sign_key_free(vendor);
    return status;
}

/* What the line asks for. */
struct choice {
    const char *name;
    uint32_t store_count;      // N
    uint32_t receipt_count;    // W
    uint32_t tolerated_count;  // f
    struct certificate_host hosts[CERTIFICATE_HOST_COUNT_MAX];
    size_t host_count;
};

/* What is drawn once, and on what all else rests. */
struct roots {
    struct sign_key *owner;
    struct sign_key *vendor;
    struct sign_key *stores[GENESIS_STORES_MAX];
    uint32_t store_count;
    struct secret *seed;
};

static void roots_draw(struct roots *roots, uint32_t store_count, const struct random *random)
{
    *roots = (struct roots){
        .owner = sign_key_new(random),
        .vendor = sign_key_new(random),
        .store_count = store_count,
        .seed = secret_new_random(random),
    };
    for (uint32_t i = 0; i < store_count; i++) {
        roots->stores[i] = sign_key_new(random);
    }
}

static void roots_release(struct roots *roots)
{
    sign_key_free(roots->owner);
    sign_key_free(roots->vendor);
    for (uint32_t i = 0; i < roots->store_count; i++) {
        sign_key_free(roots->stores[i]);
    }
    secret_free(roots->seed);
}

/* A store's key, and its directory, which is not to be opened by others. */
static enum status write_store(const struct app *app, const struct roots *roots, uint32_t index)
{
    char key[FILE_PATH_BYTES], directory[FILE_PATH_BYTES], suffix[INIT_SUFFIX_BYTES] = "";
    if (index > 0) {
        snprintf(suffix, sizeof suffix, "-%u", index + 1);
    }
    snprintf(key, sizeof key, APP_HOST "/" HOST_FILE_STORE_KEY, suffix);
    snprintf(directory, sizeof directory, APP_HOST "/" HOST_FILE_CAPSULE, suffix);
    enum status status = make_directory(app, directory, 0700);
    return status != STATUS_OK
               ? status
               : app_write(app, key, bytes_of(sign_key_seed(roots->stores[index]), SIGN_SEED_BYTES),
                           0600);
}

static enum status write_roots(const struct app *app, const struct roots *roots)
{
    enum status status = app_write_secret(app, APP_OWNER_KEY, sign_key_seed(roots->owner));
    if (status == STATUS_OK) {
        status = app_write_secret(app, APP_SEED, secret_bytes(roots->seed));
    }
    if (status == STATUS_OK) {
        status = app_write_secret(app, APP_VENDOR_KEY, sign_key_seed(roots->vendor));
    }
    for (uint32_t i = 0; i < roots->store_count && status == STATUS_OK; i++) {
        status = write_store(app, roots, i);
    }
    return status;
}

static enum status write_policy(const struct app *app, const struct roots *roots,
                                const struct choice *choice, struct buffer *text)
{
    struct policy *policy = malloc(sizeof *policy);
    CHECK(policy != NULL);
    policy_init(policy);
    policy->version = 1;
    policy->allow_simulated = true;
    policy->has_simulated_root = true;
    policy->simulated_root = sign_key_public(roots->vendor);
    memcpy(policy->hosts, choice->hosts, sizeof policy->hosts);
    policy->host_count = choice->host_count;
    enum status status = measure_into(policy);
    if (status == STATUS_OK) {
        status = policy_encode(policy, text);
    }
    if (status == STATUS_OK) {
        status = app_write(app, APP_POLICY, buffer_bytes(text), 0644);
    }
    // The GENESIS carries it.
    if (status == STATUS_OK) {
        status = app_write(app, APP_POLICY_RECORDED, buffer_bytes(text), 0600);
    }
    free(policy);
    return status == STATUS_OK ? app_raise(app, APP_POLICY_VERSION, 1) : status;
}

static enum status write_tls_root(const struct app *app, const struct secret *seed,
                                  const struct hash *capsule)
{
    struct buffer der = BUFFER_EMPTY, pem = BUFFER_EMPTY;
    struct p256_key *key = keys_tls_root(seed);
    enum status status = certificate_root(&der, key, capsule);
    if (status == STATUS_OK) {
        status = certificate_to_pem(&pem, buffer_bytes(&der));
    }
    if (status == STATUS_OK) {
        status = app_write(app, APP_TLS_ROOT, buffer_bytes(&pem), 0644);
    }
    p256_key_free(key);
    buffer_release(&der);
    buffer_release(&pem);
    return status;
}

enum status init_tls_root(const struct app *app)
{
    char path[FILE_PATH_BYTES];
    struct secret *seed = NULL;
    struct buffer pem = BUFFER_EMPTY, der = BUFFER_EMPTY;
    app_path(app, APP_TLS_ROOT, path);
    bool is_there = file_read(&pem, path, INIT_PEM_BYTES_MAX) == STATUS_OK &&
                    certificate_from_pem(&der, buffer_bytes(&pem)) == STATUS_OK;
    buffer_release(&pem);
    buffer_release(&der);
    if (is_there) {
        return STATUS_OK;
    }
    enum status status = app_seed(app, &seed);
    if (status == STATUS_OK) {
        status = write_tls_root(app, seed, &app->genesis.capsule);
    }
    secret_free(seed);
    return status;
}

/* GENESIS comes last of all files: a directory without it is no app yet, and can be made again. */
static enum status write_genesis(const struct app *app, const struct roots *roots,
                                 const struct choice *choice, struct bytes policy,
                                 struct hash *capsule)
{
    struct genesis genesis = {
        .owner = sign_key_public(roots->owner),
        .store_count = choice->store_count,
        .receipt_count = choice->receipt_count,
        .tolerated_count = choice->tolerated_count,
    };
    for (uint32_t i = 0; i < choice->store_count; i++) {
        snprintf(genesis.stores[i].name, sizeof genesis.stores[i].name, "store-%u", i + 1);
        genesis.stores[i].key = sign_key_public(roots->stores[i]);
    }
    char text[HASH_TEXT_BYTES + 1];
    struct buffer body = BUFFER_EMPTY;
    snprintf(genesis.app, sizeof genesis.app, "%s", choice->name);
    enum status status = genesis_encode(&body, &genesis, policy, roots->owner);
    if (status != STATUS_OK) {
        report_error("cannot make app '%s': GENESIS: %s", choice->name, status_text(status));
        goto done;
    }
    *capsule = hash_of(body.bytes, body.length);
    hash_text(capsule, text);
    text[HASH_TEXT_BYTES - 1] = '\n';
    status = app_write(app, APP_CAPSULE_NAME, bytes_of(text, HASH_TEXT_BYTES), 0644);
    if (status == STATUS_OK) {
        status = write_tls_root(app, roots->seed, capsule);
    }
    if (status == STATUS_OK) {
        status = app_write(app, APP_HOST "/" HOST_FILE_GENESIS, buffer_bytes(&body), 0644);
    }
    if (status == STATUS_OK) {
        status = app_write(app, APP_GENESIS, buffer_bytes(&body), 0644);
    }

done:
    buffer_release(&body);
    return status;
}

static enum status make_app(const struct app *app, const struct choice *choice,
                            struct hash *capsule)
{
    const struct random random = random_kernel();
    struct buffer policy = BUFFER_EMPTY;
    struct roots roots;
    roots_draw(&roots, choice->store_count, &random);
    enum status status = make_directory(app, "", 0755);
    if (status == STATUS_OK) {
        status = make_directory(app, "owner", 0700);
    }
    if (status == STATUS_OK) {
        status = make_directory(app, APP_HOST, 0700);
    }
    if (status == STATUS_OK) {
        status = write_policy(app, &roots, choice, &policy);
    }
    if (status == STATUS_OK) {
        status = write_roots(app, &roots);
    }
    if (status == STATUS_OK) {
        status = write_platform(app, roots.vendor);
    }
    if (status == STATUS_OK) {
        status = write_tcb(app, roots.vendor);
    }
    if (status == STATUS_OK) {
        status = write_genesis(app, &roots, choice, buffer_bytes(&policy), capsule);
    }
    buffer_release(&policy);
    roots_release(&roots);
    return status;
}

static bool name_is_valid(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length < GENESIS_NAME_BYTES_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") ==
               length;
}

static void report_made(const struct app *app, const struct hash *capsule, const char *name,
                        bool is_json)
{
    char text[HASH_TEXT_BYTES];
    hash_text(capsule, text);
    if (is_json) {
        printf("{\"app\":\"%s\",\"capsule\":\"%s\",\"tee\":\"simulated\"}\n", name, text);
        return;
    }
    printf("app %s is in %s\ncapsule %s\n", name, app->directory, text);
    printf(
        "tee=simulated: no hardware TEE is used here, so whoever runs this machine can read "
        "everything; policy.json allows that with \"allow_simulated\": true\n");
    printf("keep %s/owner safe and to yourself: who has it, owns the app\n", app->directory);
    printf("next: paranoid up --app %s\n", app->directory);
}

/* False, and reported: not a list of hosts. */
static bool choose_hosts(const char *names, struct choice *choice)
{
    choice->host_count = 0;
    for (const char *at = names; *at != '\0';) {
        struct certificate_host host = {.name = ""};
        size_t length = strcspn(at, ",");
        if (length < sizeof host.name) {
            memcpy(host.name, at, length);
        }
        if (choice->host_count == CERTIFICATE_HOST_COUNT_MAX || !certificate_host_is_sound(&host)) {
            report_error(
                "cannot make app '%s': --host takes at most %d DNS names without wildcards, or IP "
                "addresses, with commas between; '%.*s' is one too many, or none",
                choice->name, CERTIFICATE_HOST_COUNT_MAX, (int)length, at);
            return false;
        }
        choice->hosts[choice->host_count++] = host;
        at += length + (at[length] == ',' ? 1 : 0);
    }
    return true;
}

/*
 * Any W receipts and any R = N-W+1+f answers must have f+1 stores in common, and R stores have to
 * be there. By default any one store may be missing where there are three or more.
 */
static bool choose(const struct command_line *line, struct choice *choice)
{
    choice->name = command_text(line, "name", "app");
    if (!name_is_valid(choice->name)) {
        report_error("cannot make app '%s': a name has 1 to 63 letters, digits, '-' and '_'",
                     choice->name);
        return false;
    }
    choice->store_count = (uint32_t)command_number(line, "stores", 1);
    choice->tolerated_count = (uint32_t)command_number(line, "liars", 0);
    choice->receipt_count =
        (uint32_t)command_number(line, "receipts", (choice->store_count + 2) / 2);
    if (choice->receipt_count > choice->store_count ||
        choice->receipt_count < choice->tolerated_count + 1) {
        report_error(
            "cannot make app '%s': of %u stores, %u receipts cannot outvote %u liars; "
            "--receipts has to be from %u to %u",
            choice->name, choice->store_count, choice->receipt_count, choice->tolerated_count,
            choice->tolerated_count + 1, choice->store_count);
        return false;
    }
    return choose_hosts(command_text(line, "host", ""), choice);
}

static int run(const struct command_line *line)
{
    struct app app = {.genesis_body = BUFFER_EMPTY};
    struct stat stat_of;
    struct hash capsule;
    char path[FILE_PATH_BYTES];
    const char *directory =
        command_argument(line, 0, command_text(line, "app", APP_DIRECTORY_DEFAULT));
    struct choice choice = {.host_count = 0};
    // An empty name would be the root of the file system.
    if (directory[0] == '\0' || strlen(directory) >= sizeof app.directory) {
        report_error("cannot make app '%s': its path is %s", directory,
                     directory[0] == '\0' ? "empty" : "too long");
        return COMMAND_COULD_NOT;
    }
    if (!choose(line, &choice)) {
        return COMMAND_USAGE;
    }
    snprintf(app.directory, sizeof app.directory, "%s", directory);
    static const char *const signs[] = {APP_GENESIS, APP_SEED, APP_OWNER_KEY};
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        app_path(&app, signs[i], path);
        if (stat(path, &stat_of) == 0) {
            report_error(
                "cannot make an app in '%s': one is there already; name another "
                "directory, or remove that one",
                directory);
            return COMMAND_COULD_NOT;
        }
    }
    if (make_app(&app, &choice, &capsule) != STATUS_OK) {
        app_path(&app, APP_OWNER_KEY, path);
        if (stat(path, &stat_of) == 0) {
            report_note("     '%s' is no app yet: remove its owner/ and host/ before you try again",
                        directory);
        }
        return COMMAND_COULD_NOT;
    }
    report_made(&app, &capsule, choice.name, command_has(line, "json"));
    return COMMAND_OK;
}

static const struct command_option options[] = {
    {.name = "name", .value = "NAME", .text = "what the app is called (default: app)"},
    {.name = "stores",
     .value = "N",
     .text = "stores that hold the capsule (default: 1)",
     .is_number = true,
     .minimum = 1,
     .maximum = GENESIS_STORES_MAX},
    {.name = "receipts",
     .value = "W",
     .text = "stores that must hold a write before it is answered (default: most of N)",
     .is_number = true,
     .minimum = 1,
     .maximum = GENESIS_STORES_MAX},
    {.name = "host",
     .value = "NAMES",
     .text = "DNS names and IP addresses, with commas between, by which clients will call "
             "the workers; their certificates name them beside localhost (policy.json: hosts)"},
    {.name = "liars",
     .value = "f",
     .text = "stores that may lie or be rolled back (default: 0)",
     .is_number = true,
     .minimum = 0,
     .maximum = GENESIS_STORES_MAX - 1},
};

const struct command init_command = {
    .name = "init",
    .arguments = "[DIR]",
    .argument_max = 1,
    .summary = "Make an app: the owner's key, the master seed, a policy and its directory.",
    .about =
        "DIR (default: ./paranoid-app) gets owner/ with the secrets, host/ with what the\n"
        "untrusted host may see, policy.json, and tls-root.pem, by which clients know the app.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .example = "paranoid init hello --name hello",
    .run = run,
};
