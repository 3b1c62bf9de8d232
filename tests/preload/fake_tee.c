/* tests/preload/fake_tee.c */

/*
 * Gives a real program a TEE that is a fake: loaded before the C library (LD_PRELOAD), it answers
 * what the program asks of /dev/attestation or of configfs-tsm, and passes on all other calls.
 *
 * PARANOID_FAKE_TEE says which: sgx, tdx or sev-snp.
 */
#define _GNU_SOURCE  // RTLD_NEXT
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "crypto/crypto.h"
#include "tests/support/fake_tee.h"

static const char ROOT_GRAMINE[] = "/dev/attestation";
static const char ROOT_TSM[] = "/sys/kernel/config/tsm/report";

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fake_tee fake;
static struct files calls;
static bool is_made;

static enum tee wanted_tee(void)
{
    const char *text = getenv("PARANOID_FAKE_TEE");
    for (enum tee tee = TEE_SGX; text != NULL && tee < TEE_COUNT; tee++) {
        if (strcmp(text, verdict_tee_text(tee)) == 0) {
            return tee;
        }
    }
    return TEE_UNKNOWN;
}

static const char *root(void)
{
    return wanted_tee() == TEE_SGX ? ROOT_GRAMINE : ROOT_TSM;
}

/* Whether the fake answers for this path; then `lock` is held. */
static bool enter(const char *path)
{
    size_t length = strlen(root());
    if (wanted_tee() == TEE_UNKNOWN || strncmp(path, root(), length) != 0 || path[length] != '/') {
        return false;
    }
    pthread_mutex_lock(&lock);
    if (!is_made) {
        is_made = true;
        crypto_init();
        fake_tee_init(&fake, forge_new(), wanted_tee(), (uint64_t)time(NULL), root());
        calls = fake_tee_files(&fake);
    }
    return true;
}

static bool enter_fd(int fd)
{
    if (fd < FAKE_TEE_FD_MIN) {
        return false;
    }
    pthread_mutex_lock(&lock);
    return true;
}

/* errno is the caller's: the lock must not change it. */
static void leave(void)
{
    int cause = errno;
    pthread_mutex_unlock(&lock);
    errno = cause;
}

// The next library's own, without a cast from an object to a function.
#define NEXT(function, name)                       \
    do {                                           \
        void *found = dlsym(RTLD_NEXT, name);      \
        CHECK(found != NULL);                      \
        memcpy(&(function), &found, sizeof found); \
    } while (0)

#define EXPORT __attribute__((visibility("default")))

EXPORT int open(const char *path, int flags, ...)
{
    int (*next)(const char *, int, ...);
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    if (enter(path)) {
        int fd = calls.open(calls.context, path, flags);
        leave();
        return fd;
    }
    NEXT(next, "open");
    return next(path, flags, mode);
}

/* What the compiler makes of open() with two arguments in a hardened program. */
EXPORT int __open_2(const char *path, int flags);
EXPORT int __open_2(const char *path, int flags)
{
    return open(path, flags);
}

EXPORT ssize_t read(int fd, void *target, size_t length)
{
    ssize_t (*next)(int, void *, size_t);
    if (enter_fd(fd)) {
        ssize_t got = calls.read(calls.context, fd, target, length);
        leave();
        return got;
    }
    NEXT(next, "read");
    return next(fd, target, length);
}

EXPORT ssize_t write(int fd, const void *bytes, size_t length)
{
    ssize_t (*next)(int, const void *, size_t);
    if (enter_fd(fd)) {
        ssize_t sent = calls.write(calls.context, fd, bytes, length);
        leave();
        return sent;
    }
    NEXT(next, "write");
    return next(fd, bytes, length);
}

EXPORT int close(int fd)
{
    int (*next)(int);
    if (enter_fd(fd)) {
        int result = calls.close(calls.context, fd);
        leave();
        return result;
    }
    NEXT(next, "close");
    return next(fd);
}

EXPORT int mkdir(const char *path, mode_t mode)
{
    int (*next)(const char *, mode_t);
    if (enter(path)) {
        int result = calls.mkdir(calls.context, path);
        leave();
        return result;
    }
    NEXT(next, "mkdir");
    return next(path, mode);
}

EXPORT int rmdir(const char *path)
{
    int (*next)(const char *);
    if (enter(path)) {
        int result = calls.rmdir(calls.context, path);
        leave();
        return result;
    }
    NEXT(next, "rmdir");
    return next(path);
}
