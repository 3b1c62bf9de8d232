/* src/cli/show.c */
#include "cli/show.h"

#include <stdio.h>

#include "cli/report.h"
#include "cli/service.h"

/* The first of these numbers that the enclave tells; "-" when it tells none. */
static void print_metric(const json_t *metrics, const char *name, int width)
{
    const json_t *value = json_object_get(metrics, name);
    if (json_is_integer(value)) {
        printf(" %*lld", width, (long long)json_integer_value(value));
    } else {
        printf(" %*s", width, "-");
    }
}

static void print_number(const json_t *value, int width)
{
    if (json_is_integer(value)) {
        printf(" %*lld", width, (long long)json_integer_value(value));
    } else {
        printf(" %*s", width, "-");
    }
}

static void print_enclave(const json_t *enclave)
{
    const json_t *metrics = json_object_get(enclave, "metrics");
    const char *writer = json_string_value(json_object_get(enclave, "writer"));
    const char *role = json_string_value(json_object_get(enclave, "role"));
    const char *state = json_string_value(json_object_get(enclave, "state"));
    printf("%-8s", role == NULL ? "?" : role);
    print_number(json_object_get(enclave, "index"), 3);
    print_number(json_object_get(enclave, "pid"), 8);
    printf(" %-9s", state == NULL ? "?" : state);
    print_number(json_object_get(enclave, "port"), 6);
    printf(" %-9.8s", writer == NULL ? "-" : writer);
    print_metric(metrics,
                 json_object_get(metrics, "joined_epoch") != NULL ? "joined_epoch" : "epoch", 7);
    print_metric(metrics, "keys", 9);
    print_metric(metrics, "records_sealed", 9);
    print_number(json_object_get(enclave, "restarts"), 9);
    printf("  simulated\n");
}

static void print_sandbox(const json_t *status)
{
    const json_t *sandbox = json_object_get(status, "sandbox");
    const char *reason = json_string_value(json_object_get(sandbox, "reason"));
    if (json_is_false(json_object_get(sandbox, "namespaces"))) {
        printf("sandbox: the kernel gives no namespaces: %s\n", reason == NULL ? "?" : reason);
    }
}

static void print_status(const json_t *status)
{
    size_t index;
    json_t *enclave, *store;
    printf("%-8s %3s %8s %-9s %6s %-9s %7s %9s %9s %9s  %s\n", "ROLE", "#", "PID", "STATE", "PORT",
           "WRITER", "EPOCH", "KEYS", "RECORDS", "RESTARTS", "TEE");
    json_array_foreach(json_object_get(status, "enclaves"), index, enclave)
    {
        print_enclave(enclave);
    }
    json_array_foreach(json_object_get(status, "stores"), index, store)
    {
        long long aside_count = json_integer_value(json_object_get(store, "set_aside"));
        printf("%s: %s, %lld records, %lld bytes, %lld segments, %lld refused",
               json_string_value(json_object_get(store, "name")),
               json_string_value(json_object_get(store, "state")),
               (long long)json_integer_value(json_object_get(store, "records")),
               (long long)json_integer_value(json_object_get(store, "bytes")),
               (long long)json_integer_value(json_object_get(store, "segments")),
               (long long)json_integer_value(json_object_get(store, "refused")));
        if (aside_count > 0) {
            printf(", damaged and set aside %lld times: see 'paranoid doctor'", aside_count);
        }
        putchar('\n');
    }
    print_sandbox(status);
}

static int run(const struct command_line *line)
{
    int result = COMMAND_COULD_NOT;
    struct service service;
    json_t *status = NULL;
    if (service_open(&service, line) != STATUS_OK) {
        goto done;
    }
    status = service_host_page(service.ports, "/status");
    if (status == NULL) {
        report_error("cannot ask the host of '%s': its port for metrics does not answer",
                     service.app.directory);
        goto done;
    }
    if (command_has(line, "json")) {
        json_dumpf(status, stdout, JSON_COMPACT | JSON_SORT_KEYS);
        putchar('\n');
    } else {
        print_status(status);
    }
    result = COMMAND_OK;

done:
    json_decref(status);
    service_release(&service);
    return result;
}

const struct command show_command = {
    .name = "status",
    .arguments = "",
    .summary = "Show the enclaves of the running app: state, port, epoch, keys, records, TEE.",
    .about = "The host says this; it is not believed for more than it is asked here.",
    .example = "paranoid status",
    .run = run,
};
