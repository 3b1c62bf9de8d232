/* src/enclave/worker_functions.c */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "enclave/worker_internal.h"

enum { FUNCTIONS_MAX = 1024 };

struct worker_functions {
    pthread_mutex_t lock;
    struct worker_function *newest[FUNCTIONS_MAX];  // one for each name
    size_t count;
};

enum status worker_functions_new(struct worker_functions **functions)
{
    *functions = calloc(1, sizeof **functions);
    if (*functions == NULL) {
        return STATUS_NO_MEMORY;
    }
    pthread_mutex_init(&(*functions)->lock, NULL);
    return STATUS_OK;
}

void worker_functions_drop(struct worker_function *function)
{
    if (function != NULL && atomic_fetch_sub(&function->reference_count, 1) == 1) {
        function_manifest_release(&function->manifest);
        buffer_release(&function->code);
        free(function);
    }
}

/* Where the newest version of this name stands, or count. */
static size_t place_of(const struct worker_functions *functions, struct bytes name)
{
    size_t i = 0;
    while (i < functions->count &&
           !bytes_equal(bytes_text(functions->newest[i]->manifest.name), name)) {
        i++;
    }
    return i;
}

/* Take the function over when its version is the highest so far. */
static bool replace(struct worker_functions *functions, struct worker_function *function)
{
    size_t place = place_of(functions, bytes_text(function->manifest.name));
    if (place == FUNCTIONS_MAX) {
        return false;
    }
    if (place == functions->count) {
        functions->newest[functions->count++] = function;
        return true;
    }
    if (functions->newest[place]->manifest.version >= function->manifest.version) {
        return false;
    }
    worker_functions_drop(functions->newest[place]);
    functions->newest[place] = function;
    return true;
}

void worker_functions_add(struct worker_functions *functions, struct bytes body,
                          const struct genesis *genesis, const struct log *log)
{
    struct worker_function *function = calloc(1, sizeof *function);
    struct bytes code;
    enum status status = STATUS_NO_MEMORY;
    if (function != NULL) {
        status =
            function_decode(&function->manifest, &code, body, &genesis->owner, &genesis->capsule);
    }
    if (status != STATUS_OK) {
        log_event(log, "function refused status=\"%s\"", status_text(status));
        free(function);
        return;
    }
    atomic_init(&function->reference_count, 1);
    if (buffer_append(&function->code, code.at, code.length) != STATUS_OK) {
        worker_functions_drop(function);
        return;
    }
    pthread_mutex_lock(&functions->lock);
    if (!replace(functions, function)) {
        worker_functions_drop(function);
    }
    pthread_mutex_unlock(&functions->lock);
}

static struct worker_function *find(struct worker_functions *functions, struct bytes name)
{
    struct worker_function *found = NULL;
    pthread_mutex_lock(&functions->lock);
    size_t place = place_of(functions, name);
    if (place < functions->count && !functions->newest[place]->manifest.is_removed) {
        found = functions->newest[place];
        atomic_fetch_add(&found->reference_count, 1);
    }
    pthread_mutex_unlock(&functions->lock);
    return found;
}

struct worker_function *worker_functions_find(struct worker_functions *functions, struct bytes name)
{
    struct worker_function *found = find(functions, name);
    if (found != NULL && found->manifest.runtime == FUNCTION_SECRET) {
        // Whatever asks for a function by a secret's name must not have its text compiled, and be
        // told where it is no JavaScript.
        worker_functions_drop(found);
        found = NULL;
    }
    return found;
}

enum status worker_functions_secret(struct worker_functions *functions, struct bytes name,
                                    struct buffer *secret)
{
    char full[FUNCTION_NAME_BYTES_MAX + 1];
    if (!function_secret_name_is_valid(name)) {
        return STATUS_NOT_FOUND;
    }
    int length = snprintf(full, sizeof full, FUNCTION_SECRET_PREFIX "%.*s", (int)name.length,
                          (const char *)name.at);
    struct worker_function *found = find(functions, bytes_of(full, (size_t)length));
    if (found == NULL) {
        return STATUS_NOT_FOUND;
    }
    enum status status = buffer_append(secret, found->code.bytes, found->code.length);
    worker_functions_drop(found);
    return status;
}
