/* src/cli/doctor.c */
#define _GNU_SOURCE  // unshare
#include "cli/doctor.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/hex.h"
#include "cli/app.h"
#include "cli/file.h"
#include "cli/measure.h"
#include "store/aside.h"

enum { DOCTOR_TEXT_BYTES = 512, DOCTOR_DISK_MIB_MIN = 256 };

/* GOOD and NOTED are well; BAD has a remedy. */
enum finding_kind { GOOD, NOTED, BAD };

struct findings {
    json_t *list;
    bool is_well;
};

static void find(struct findings *findings, enum finding_kind kind, const char *what,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));

static void find(struct findings *findings, enum finding_kind kind, const char *what,
                 const char *format, ...)
{
    static const char *const texts[] = {"ok", "note", "bad"};
    char text[DOCTOR_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    findings->is_well = findings->is_well && kind != BAD;
    json_array_append_new(findings->list, json_pack("{s:s, s:s, s:s}", "state", texts[kind], "what",
                                                    what, "text", text));
}

/* Try what the host will do, in a child that ends at once. */
static void look_at_namespaces(struct findings *findings)
{
    static const int wanted =
        CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET;
    int how = -1;
    pid_t pid = fork();
    if (pid == 0) {
        _exit(unshare(wanted) == 0 ? 0 : errno);
    }
    if (pid > 0) {
        waitpid(pid, &how, 0);
    }
    if (pid > 0 && WIFEXITED(how) && WEXITSTATUS(how) == 0) {
        find(findings, GOOD, "namespaces", "user, mount, pid, ipc, uts and network");
    } else {
        int cause = pid > 0 && WIFEXITED(how) ? WEXITSTATUS(how) : EPERM;
        find(findings, NOTED, "namespaces",
             "the kernel refuses them (%s); enclaves run with the other layers of their sandbox. "
             "Allow user namespaces: sysctl kernel.unprivileged_userns_clone=1, or run outside "
             "of the container",
             strerror(cause));
    }
}

static void look_at_tee(struct findings *findings)
{
    static const char *const devices[] = {"/dev/attestation", "/sys/kernel/config/tsm/report"};
    char found[DOCTOR_TEXT_BYTES / 2] = "no /dev/attestation, no configfs-tsm";
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        struct stat stat_of;
        if (stat(devices[i], &stat_of) == 0) {
            snprintf(found, sizeof found, "%s is here, and this version does not use it",
                     devices[i]);
        }
    }
    find(findings, NOTED, "tee", "simulated: %s; whoever runs this machine can read everything",
         found);
}

static void look_at_program(struct findings *findings, const struct policy *policy,
                            enum policy_role role)
{
    struct hash measurement;
    char what[64];
    snprintf(what, sizeof what, "%s program", policy_role_text(role));
    if (measure_program(role, &measurement) != STATUS_OK) {
        find(findings, BAD, what, "not found; build it with './run build'");
        return;
    }
    const struct verdict_value value = verdict_value_of(bytes_of(measurement.bytes, HASH_BYTES));
    const struct policy_measurements *list = &policy->measurements[role];
    char text[HASH_TEXT_BYTES];
    hash_text(&measurement, text);
    for (size_t i = 0; i < list->count; i++) {
        if (verdict_value_equal(&list->values[i], &value)) {
            find(findings, GOOD, what, "%s, as policy.json says", text);
            return;
        }
    }
    find(findings, BAD, what,
         "%s is not in policy.json; if you rebuilt it, run 'paranoid policy "
         "update'",
         text);
}

static void look_at_secret(struct findings *findings, const struct app *app, const char *name)
{
    char path[FILE_PATH_BYTES];
    struct stat stat_of;
    app_path(app, name, path);
    if (stat(path, &stat_of) != 0) {
        find(findings, BAD, name, "cannot be read: %s; put it back", strerror(errno));
    } else if ((stat_of.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        find(findings, BAD, name, "is open to others; run 'chmod go-rwx %.200s'", path);
    } else {
        find(findings, GOOD, name, "readable by its owner alone");
    }
}

/* What a store found damaged and set aside (store/aside.h). */
static void look_at_aside(struct findings *findings, const char *directory, const char *store)
{
    uint32_t count = 0;
    for (uint32_t number = 1; number <= ASIDE_MAX; number++) {
        char path[FILE_PATH_BYTES];
        struct buffer why = BUFFER_EMPTY;
        int length = snprintf(path, sizeof path, "%s/" ASIDE_DIRECTORY, directory, number);
        struct stat found;
        if (stat(path, &found) != 0) {
            continue;
        }
        snprintf(path + length, sizeof path - (size_t)length, "/" ASIDE_WHY);
        if (file_read(&why, path, ASIDE_WHY_BYTES_MAX + 1) != STATUS_OK) {
            buffer_clear(&why);
        }
        while (why.length > 0 && why.bytes[why.length - 1] == '\n') {
            why.length--;
        }
        path[length] = '\0';
        find(findings, BAD, store,
             "was damaged, and has been filled again by the others: %.*s; what it held is kept in "
             "'%.200s': look at its disk, then remove that",
             (int)(why.length < 160 ? why.length : 160), (const char *)why.bytes, path);
        buffer_release(&why);
        count++;
    }
    if (count == 0) {
        find(findings, GOOD, store, "never found damaged");
    }
}

static void look_at_stores(struct findings *findings, const struct app *app)
{
    char directories[GENESIS_STORES_MAX][FILE_PATH_BYTES];
    uint32_t count = app_stores(app, directories);
    for (uint32_t i = 0; i < count; i++) {
        look_at_aside(findings, directories[i], app->genesis.stores[i].name);
    }
}

static void look_at_disk(struct findings *findings, const struct app *app)
{
    struct statvfs disk;
    if (statvfs(app->directory, &disk) != 0) {
        find(findings, BAD, "disk", "cannot be asked: %s", strerror(errno));
        return;
    }
    uint64_t free_mib = (uint64_t)disk.f_bavail * disk.f_frsize >> 20;
    find(findings, free_mib < DOCTOR_DISK_MIB_MIN ? BAD : GOOD, "disk", "%" PRIu64 " MiB free%s",
         free_mib,
         free_mib < DOCTOR_DISK_MIB_MIN ? "; a store takes 64 MiB at a time: make room" : "");
}

static void print_findings(const struct findings *findings, bool is_json)
{
    size_t index;
    json_t *finding;
    if (is_json) {
        json_dumpf(findings->list, stdout, JSON_COMPACT | JSON_SORT_KEYS);
        putchar('\n');
        return;
    }
    json_array_foreach(findings->list, index, finding)
    {
        printf("%-5s %-18s %s\n", json_string_value(json_object_get(finding, "state")),
               json_string_value(json_object_get(finding, "what")),
               json_string_value(json_object_get(finding, "text")));
    }
}

static int run(const struct command_line *line)
{
    int result = COMMAND_COULD_NOT;
    struct app app;
    struct findings findings = {.list = json_array(), .is_well = true};
    struct policy *policy = malloc(sizeof *policy);
    CHECK(policy != NULL);
    look_at_namespaces(&findings);
    look_at_tee(&findings);
    if (app_open(&app, line) != STATUS_OK || app_policy(&app, policy) != STATUS_OK) {
        goto done;
    }
    static const char *const secrets[] = {"owner", APP_OWNER_KEY, APP_SEED, APP_VENDOR_KEY};
    look_at_program(&findings, policy, POLICY_LEADER);
    look_at_program(&findings, policy, POLICY_WORKER);
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++) {
        look_at_secret(&findings, &app, secrets[i]);
    }
    look_at_stores(&findings, &app);
    look_at_disk(&findings, &app);
    result = findings.is_well ? COMMAND_OK : COMMAND_NO;

done:
    print_findings(&findings, command_has(line, "json"));
    json_decref(findings.list);
    free(policy);
    app_release(&app);
    return result;
}

const struct command doctor_command = {
    .name = "doctor",
    .arguments = "",
    .summary = "Look for what this machine or this app lacks, and say what to do.",
    .status = "0 all well, 1 something is bad, 2 wrong usage, 3 could not look",
    .example = "paranoid doctor",
    .run = run,
};
