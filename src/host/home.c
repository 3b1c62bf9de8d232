/* src/host/home.c */
#include "host/home.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/frame.h"

enum {
    GENESIS_BYTES_MAX = 1 << 20,  // the frame START carries it
    HOME_NAME_BYTES_MAX = GENESIS_NAME_BYTES_MAX + 16,
};

/* How to have again what is lost. */
static const char genesis_remedy[] = "put it back: the app's own file 'genesis' is a copy";
static const char stores_remedy[] = "put it back: the app's own file 'stores' is a copy";
static const char platform_remedy[] = "put it back; or remove it, and 'paranoid up' makes another";
static const char tcb_remedy[] = "'paranoid up' makes it anew";

enum status home_path(char path[HOME_PATH_BYTES_MAX], const char *directory, const char *name)
{
    int length = snprintf(path, HOME_PATH_BYTES_MAX, "%s/%s", directory, name);
    return length > 0 && length < HOME_PATH_BYTES_MAX ? STATUS_OK : STATUS_MALFORMED;
}

static void say(char error[HOST_ERROR_BYTES_MAX], const char *directory, const char *name,
                const char *why)
{
    (void)snprintf(error, HOST_ERROR_BYTES_MAX, "cannot use '%s/%s': %s", directory, name, why);
}

/* What is wrong with a file, and how to have it again. */
static void say_remedy(char error[HOST_ERROR_BYTES_MAX], const char *directory, const char *name,
                       const char *why, const char *remedy)
{
    (void)snprintf(error, HOST_ERROR_BYTES_MAX, "cannot use '%s/%s': %s; %s", directory, name, why,
                   remedy);
}

/* Read a whole file of at most `bytes_max`. The error is said, with the remedy when it is lost. */
static enum status read_file(struct buffer *content, const struct home *home, const char *directory,
                             const char *name, size_t bytes_max, bool is_secret, const char *remedy,
                             char error[HOST_ERROR_BYTES_MAX])
{
    enum status status = STATUS_IO;
    struct stat file;
    int fd = openat(home->lock_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &file) != 0) {
        status = errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO;
        say_remedy(error, directory, name,
                   status == STATUS_NOT_FOUND ? "it is not there" : strerror(errno), remedy);
        goto done;
    }
    if (is_secret && (file.st_mode & 077) != 0) {
        status = STATUS_MALFORMED;
        say(error, directory, name, "others may open it; run 'chmod 600' on it");
        goto done;
    }
    if (!S_ISREG(file.st_mode) || file.st_size <= 0 || (size_t)file.st_size > bytes_max) {
        status = STATUS_MALFORMED;
        say_remedy(error, directory, name, "it is empty, too long or no file", remedy);
        goto done;
    }
    status = buffer_reserve(content, (size_t)file.st_size);
    if (status != STATUS_OK) {
        say(error, directory, name, status_text(status));
        goto done;
    }
    if (read(fd, content->bytes, (size_t)file.st_size) != (ssize_t)file.st_size) {
        status = STATUS_IO;
        say(error, directory, name, "it cannot be read whole");
        goto done;
    }
    content->length = (size_t)file.st_size;

done:
    if (fd >= 0) {
        close(fd);
    }
    return status;
}

static enum status lock(struct home *home, const char *directory, char error[HOST_ERROR_BYTES_MAX])
{
    home->lock_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (home->lock_fd < 0) {
        (void)snprintf(error, HOST_ERROR_BYTES_MAX,
                       "cannot open directory '%s': %s; it is the host/ of an app, which 'paranoid "
                       "init' makes",
                       directory, strerror(errno));
        return errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO;
    }
    if (flock(home->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        (void)snprintf(error, HOST_ERROR_BYTES_MAX,
                       "cannot start host on '%s': another one is running there; stop it first",
                       directory);
        return STATUS_DENIED;
    }
    return STATUS_OK;
}

void home_store_suffix(char suffix[GENESIS_NAME_BYTES_MAX + 1], const struct genesis *genesis,
                       const struct genesis_store *store)
{
    static const char prefix[] = "store-";
    const struct genesis_store *first = genesis_store_find(genesis, &store->id);
    if (first == genesis->stores) {
        suffix[0] = '\0';
    } else if (first != NULL) {
        (void)snprintf(suffix, GENESIS_NAME_BYTES_MAX + 1, "-%u",
                       (unsigned)(first - genesis->stores) + 1);
    } else {
        bool is_prefixed = strncmp(store->name, prefix, sizeof prefix - 1) == 0;
        (void)snprintf(suffix, GENESIS_NAME_BYTES_MAX + 1, "-%s",
                       is_prefixed ? store->name + sizeof prefix - 1 : store->name);
    }
}

enum status home_store_path(char path[HOME_PATH_BYTES_MAX], const char *directory,
                            const struct genesis *genesis, const struct genesis_store *store)
{
    char suffix[GENESIS_NAME_BYTES_MAX + 1], name[HOME_NAME_BYTES_MAX];
    home_store_suffix(suffix, genesis, store);
    (void)snprintf(name, sizeof name, HOST_FILE_CAPSULE, suffix);
    return home_path(path, directory, name);
}

static void name_key(char name[HOME_NAME_BYTES_MAX], const struct home *home,
                     const struct genesis_store *store)
{
    char suffix[GENESIS_NAME_BYTES_MAX + 1];
    home_store_suffix(suffix, &home->content, store);
    (void)snprintf(name, HOME_NAME_BYTES_MAX, HOST_FILE_STORE_KEY, suffix);
}

static bool has_key(const struct home *home, const struct genesis_store *store)
{
    char name[HOME_NAME_BYTES_MAX];
    name_key(name, home, store);
    return faccessat(home->lock_fd, name, F_OK, 0) == 0;
}

static uint32_t count_keys(const struct home *home, const struct genesis *set)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < set->store_count; i++) {
        count += has_key(home, &set->stores[i]);
    }
    return count;
}

/*
 * A store without its key is lost: nobody else can sign in its place. The owner can take it out as
 * long as the others are enough to answer for that, and no other change is under way.
 */
static void say_lost_key(char error[HOST_ERROR_BYTES_MAX], const struct home *home,
                         const struct stores *stores, const struct genesis_store *store,
                         const char *directory)
{
    static const char last_remedy[] =
        "put it back: nothing can take its place, and without it the app never goes on; what its "
        "stores hold can still be read: 'paranoid capsule verify', 'paranoid kv history KEY'";
    char name[HOME_NAME_BYTES_MAX], remedy[HOST_ERROR_BYTES_MAX / 2];
    const struct genesis *now = &stores->now;
    uint32_t others = now->store_count - 1;
    bool can_be_removed = !stores->has_former && count_keys(home, now) == others &&
                          others >= genesis_answer_count(now);
    (void)snprintf(remedy, sizeof remedy,
                   "put it back; or run 'paranoid store remove %s', and start again", store->name);
    name_key(name, home, store);
    say_remedy(error, directory, name, "the store's key is not there",
               can_be_removed ? remedy : last_remedy);
}

static bool is_key_of(const struct genesis_store *store, struct bytes seed)
{
    if (seed.length != SIGN_SEED_BYTES) {
        return false;
    }
    struct sign_key *key = sign_key_new_from_seed(seed.at);
    const struct verify_key public_key = sign_key_public(key);
    sign_key_free(key);
    return verify_key_equal(&public_key, &store->key);
}

/* The key of one store; it is the one that the GENESIS or the owner's word names. */
static enum status read_store_key(const struct home *home, struct sign_key **key,
                                  const struct stores *stores, const struct genesis_store *store,
                                  const char *directory, char error[HOST_ERROR_BYTES_MAX])
{
    static const char remedy[] =
        "put it back as it was; if it is lost, remove this file, and the next start says what is "
        "left to do";
    char name[HOME_NAME_BYTES_MAX];
    struct buffer seed = BUFFER_EMPTY;
    name_key(name, home, store);
    enum status status =
        read_file(&seed, home, directory, name, SIGN_SEED_BYTES, true, remedy, error);
    if (status == STATUS_NOT_FOUND) {
        say_lost_key(error, home, stores, store, directory);
    } else if (status == STATUS_OK && !is_key_of(store, buffer_bytes(&seed))) {
        say_remedy(error, directory, name, "it is not the key that the owner named", remedy);
        status = STATUS_MALFORMED;
    } else if (status == STATUS_OK) {
        *key = sign_key_new_from_seed(seed.bytes);
    }
    buffer_release(&seed);
    return status;
}

static struct home_store *place_find(const struct home *home, const struct writer_id *id)
{
    struct home_store *place = home->places;
    while (place != NULL && !writer_id_equal(&place->store.id, id)) {
        place = place->next;
    }
    return place;
}

static enum status add_place(struct home *home, const struct stores *stores,
                             const struct genesis_store *store, const char *directory,
                             char error[HOST_ERROR_BYTES_MAX])
{
    char path[HOME_PATH_BYTES_MAX];
    struct sign_key *key = NULL;
    struct home_store *place = NULL;
    enum status status = home_store_path(path, directory, &home->content, store);
    if (status == STATUS_OK) {
        status = read_store_key(home, &key, stores, store, directory, error);
    }
    if (status == STATUS_OK) {
        place = malloc(sizeof *place + strlen(path) + 1);
        status = place == NULL ? STATUS_NO_MEMORY : STATUS_OK;
    }
    if (status != STATUS_OK) {
        sign_key_free(key);
        return status;
    }
    *place = (struct home_store){.store = *store, .key = key};
    memcpy(place->directory, path, strlen(path) + 1);
    struct home_store **end = &home->places;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = place;
    return STATUS_OK;
}

/* One that is being taken out need not be there, when the others can answer without it. */
static bool is_dispensable(const struct home *home, const struct stores *stores,
                           const struct genesis_store *store)
{
    return genesis_store_find(&stores->now, &store->id) == NULL && !has_key(home, store) &&
           count_keys(home, &stores->former) >= genesis_answer_count(&stores->former);
}

/* Each one gets a place, once. */
static enum status add_places(struct home *home, const struct stores *stores,
                              const struct genesis *set, const char *directory,
                              char error[HOST_ERROR_BYTES_MAX])
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < set->store_count && status == STATUS_OK; i++) {
        const struct genesis_store *store = &set->stores[i];
        if (place_find(home, &store->id) == NULL && !is_dispensable(home, stores, store)) {
            status = add_place(home, stores, store, directory, error);
        }
    }
    return status;
}

enum status home_read_stores(struct home *home, const char *directory,
                             char error[HOST_ERROR_BYTES_MAX])
{
    struct buffer word = BUFFER_EMPTY;
    struct stores stores;
    stores_of_genesis(&stores, &home->content);
    enum status status = read_file(&word, home, directory, HOST_FILE_STORES, GENESIS_BYTES_MAX,
                                   false, stores_remedy, error);
    if (status == STATUS_OK) {
        status = stores_decode(&stores, buffer_bytes(&word), &home->content);
        if (status != STATUS_OK) {
            say_remedy(error, directory, HOST_FILE_STORES, "it is not the owner's word",
                       stores_remedy);
        }
    } else if (status == STATUS_NOT_FOUND) {
        status = STATUS_OK;
    }
    if (status == STATUS_OK) {
        status = add_places(home, &stores, &stores.now, directory, error);
    }
    if (status == STATUS_OK && stores.has_former) {
        status = add_places(home, &stores, &stores.former, directory, error);
    }
    if (status != STATUS_OK) {
        buffer_release(&word);
        return status;
    }
    buffer_release(&home->stores_word);
    home->stores_word = word;
    home->stores = stores;
    for (struct home_store *place = home->places; place != NULL; place = place->next) {
        place->is_wanted = stores_find(&stores, &place->store.id) != NULL;
    }
    return STATUS_OK;
}

static enum status read_genesis(struct home *home, const char *directory,
                                char error[HOST_ERROR_BYTES_MAX])
{
    enum status status = genesis_decode(&home->content, buffer_bytes(&home->genesis));
    if (status != STATUS_OK) {
        say_remedy(error, directory, HOST_FILE_GENESIS, "it is no GENESIS", genesis_remedy);
        return STATUS_MALFORMED;
    }
    return home_read_stores(home, directory, error);
}

static enum status read_platform(struct home *home, const char *directory,
                                 char error[HOST_ERROR_BYTES_MAX])
{
    struct buffer bytes = BUFFER_EMPTY;
    enum status status = read_file(&bytes, home, directory, HOST_FILE_PLATFORM,
                                   SIMULATED_PLATFORM_BYTES, true, platform_remedy, error);
    if (status == STATUS_OK) {
        status = simulated_platform_decode(&home->platform, buffer_bytes(&bytes));
        if (status != STATUS_OK) {
            say_remedy(error, directory, HOST_FILE_PLATFORM, "it is no simulated platform",
                       platform_remedy);
        }
    }
    buffer_release(&bytes);
    return status;
}

enum status home_open(struct home *home, const char *directory, char error[HOST_ERROR_BYTES_MAX])
{
    *home = HOME_NONE;
    enum status status = lock(home, directory, error);
    if (status == STATUS_OK) {
        status = read_file(&home->genesis, home, directory, HOST_FILE_GENESIS, GENESIS_BYTES_MAX,
                           false, genesis_remedy, error);
    }
    if (status == STATUS_OK) {
        home->capsule = hash_of(home->genesis.bytes, home->genesis.length);
        status = read_genesis(home, directory, error);
    }
    if (status == STATUS_OK) {
        status = read_platform(home, directory, error);
    }
    if (status == STATUS_OK) {
        status = read_file(&home->tcb, home, directory, HOST_FILE_TCB,
                           EVIDENCE_COLLATERAL_BYTES_MAX, false, tcb_remedy, error);
    }
    if (status != STATUS_OK) {
        home_close(home);
    }
    return status;
}

void home_close(struct home *home)
{
    buffer_release(&home->genesis);
    buffer_release(&home->tcb);
    buffer_release(&home->stores_word);
    while (home->places != NULL) {
        struct home_store *place = home->places;
        home->places = place->next;
        sign_key_free(place->key);
        free(place);
    }
    simulated_platform_free(home->platform);
    if (home->lock_fd >= 0) {
        close(home->lock_fd);
    }
    *home = HOME_NONE;
}

enum status home_write(const char *directory, const char *name, struct bytes content)
{
    char path[HOME_PATH_BYTES_MAX];
    char aside[HOME_PATH_BYTES_MAX];
    int length = snprintf(aside, sizeof aside, "%s/%s.new", directory, name);
    if (home_path(path, directory, name) != STATUS_OK || length >= HOME_PATH_BYTES_MAX) {
        errno = ENAMETOOLONG;
        return STATUS_IO;
    }
    int fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return STATUS_IO;
    }
    bool is_written = write(fd, content.at, content.length) == (ssize_t)content.length;
    if (close(fd) != 0 || !is_written || rename(aside, path) != 0) {
        (void)unlink(aside);
        return STATUS_IO;
    }
    return STATUS_OK;
}
