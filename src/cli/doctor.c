/* src/cli/doctor.c */
#define _GNU_SOURCE  // unshare
#include "cli/doctor.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/app.h"
#include "cli/doctor_tee.h"
#include "cli/file.h"
#include "cli/findings.h"
#include "host/home.h"
#include "store/aside.h"

enum { DOCTOR_DISK_MIB_MIN = 256 };

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
        findings_add(findings, FINDINGS_GOOD, "namespaces", NULL,
                     "user, mount, pid, ipc, uts and network");
    } else {
        int cause = pid > 0 && WIFEXITED(how) ? WEXITSTATUS(how) : EPERM;
        findings_add(findings, FINDINGS_NOTED, "namespaces",
                     "allow user namespaces: sysctl kernel.unprivileged_userns_clone=1, or run "
                     "outside of the container",
                     "the kernel refuses them (%s); enclaves run with the other layers of their "
                     "sandbox",
                     strerror(cause));
    }
}

static void look_at_secret(struct findings *findings, const struct app *app, const char *name)
{
    char path[FILE_PATH_BYTES];
    struct stat stat_of;
    app_path(app, name, path);
    if (stat(path, &stat_of) != 0) {
        findings_add(findings, FINDINGS_BAD, name,
                     errno == ENOENT ? "put it back" : file_remedy(errno), "cannot be read: %s",
                     strerror(errno));
    } else if ((stat_of.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        char remedy[FILE_PATH_BYTES];
        (void)snprintf(remedy, sizeof remedy, "run 'chmod go-rwx %.200s'", path);
        findings_add(findings, FINDINGS_BAD, name, remedy, "is open to others");
    } else {
        findings_add(findings, FINDINGS_GOOD, name, NULL, "readable by its owner alone");
    }
}

/* Where a store is, and that it can sign. A directory that is lost is made anew when it starts. */
static void look_at_place(struct findings *findings, const struct app *app, const char *directory,
                          const struct genesis_store *store)
{
    char suffix[GENESIS_NAME_BYTES_MAX + 1], name[FILE_PATH_BYTES], path[FILE_PATH_BYTES];
    struct stat found;
    home_store_suffix(suffix, &app->genesis, store);
    snprintf(name, sizeof name, APP_HOST "/" HOST_FILE_STORE_KEY, suffix);
    app_path(app, name, path);
    if (stat(path, &found) != 0) {
        findings_add(findings, FINDINGS_BAD, store->name,
                     errno == ENOENT
                         ? "put it back; 'paranoid up' says what is left to do without it"
                         : file_remedy(errno),
                     "its key '%.160s' cannot be read: %s", path, strerror(errno));
    }
    if (stat(directory, &found) == 0 && !S_ISDIR(found.st_mode)) {
        findings_add(
            findings, FINDINGS_BAD, store->name,
            "remove that, and put the directory back; or, where there are others, let them "
            "fill it again",
            "'%.160s' is no directory", directory);
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
        char remedy[FILE_PATH_BYTES];
        (void)snprintf(remedy, sizeof remedy,
                       "look at its disk, then remove '%.200s', where what it held is kept", path);
        findings_add(findings, FINDINGS_BAD, store, remedy,
                     "was damaged, and has been filled again by the others: %.*s",
                     (int)(why.length < 160 ? why.length : 160), (const char *)why.bytes);
        buffer_release(&why);
        count++;
    }
    if (count == 0) {
        findings_add(findings, FINDINGS_GOOD, store, NULL, "never found damaged");
    }
}

static void look_at_stores(struct findings *findings, const struct app *app)
{
    char directories[GENESIS_STORES_MAX][FILE_PATH_BYTES];
    uint32_t count = app_stores(app, directories);
    for (uint32_t i = 0; i < count; i++) {
        look_at_place(findings, app, directories[i], app_store(app, i));
        look_at_aside(findings, directories[i], app_store(app, i)->name);
    }
    if (app->stores.has_former) {
        findings_add(findings, FINDINGS_BAD, "stores",
                     "the same 'paranoid store' command again goes on with it, and so does "
                     "'paranoid up'",
                     "a change of them is not in force yet: 'paranoid store list' shows it");
    }
}

static void look_at_room(struct findings *findings, const char *name, const char *path)
{
    uint64_t free_mib;
    if (file_room(path, &free_mib) != STATUS_OK) {
        findings_add(findings, FINDINGS_BAD, name, "mount it", "cannot be asked: %s",
                     strerror(errno));
        return;
    }
    bool is_full = free_mib < DOCTOR_DISK_MIB_MIN;
    findings_add(findings, is_full ? FINDINGS_BAD : FINDINGS_GOOD, name,
                 is_full ? "make room: a store takes 64 MiB at a time" : NULL,
                 "%" PRIu64 " MiB free", free_mib);
}

/* A store may have a disk of its own; it is made when it starts. */
static void look_at_disks(struct findings *findings, const struct app *app)
{
    char directories[GENESIS_STORES_MAX][FILE_PATH_BYTES];
    struct stat here, there;
    look_at_room(findings, "disk", app->directory);
    if (stat(app->directory, &here) != 0) {
        return;
    }
    uint32_t count = app_stores(app, directories);
    for (uint32_t i = 0; i < count; i++) {
        if (stat(directories[i], &there) == 0 && there.st_dev != here.st_dev) {
            char name[GENESIS_NAME_BYTES_MAX + sizeof "disk of "];
            (void)snprintf(name, sizeof name, "disk of %s", app_store(app, i)->name);
            look_at_room(findings, name, directories[i]);
        }
    }
}

static int run(const struct command_line *line)
{
    int result = COMMAND_COULD_NOT;
    struct app app;
    struct findings findings;
    struct policy *policy = malloc(sizeof *policy);
    CHECK(policy != NULL);
    findings_init(&findings);
    look_at_namespaces(&findings);
    doctor_tee_machine(&findings);
    if (app_open(&app, line) != STATUS_OK || app_policy(&app, policy) != STATUS_OK) {
        goto done;
    }
    static const char *const secrets[] = {"owner", APP_OWNER_KEY, APP_SEED, APP_VENDOR_KEY};
    doctor_tee_admission(&findings, &app, policy);
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++) {
        look_at_secret(&findings, &app, secrets[i]);
    }
    look_at_stores(&findings, &app);
    look_at_disks(&findings, &app);
    result = findings.is_well ? COMMAND_OK : COMMAND_NO;

done:
    findings_print(&findings, command_has(line, "json"));
    findings_release(&findings);
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
