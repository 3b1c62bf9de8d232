/* src/host/report.c */
#include "host/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "host/host_internal.h"

enum { LINE_BYTES_MAX = 512 };

// ---- Prometheus ----

/* A page that is written line by line; once there is no memory, nothing more is. */
struct page {
    struct buffer *text;
    enum status status;
};

__attribute__((format(printf, 2, 3))) static void put(struct page *page, const char *format, ...)
{
    char line[LINE_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (page->status == STATUS_OK && length > 0 && (size_t)length < sizeof line) {
        page->status = buffer_append(page->text, line, (size_t)length);
    }
}

static const char *type_of(const char *name)
{
    size_t length = strlen(name);
    return length > 6 && strcmp(name + length - 6, "_total") == 0 ? "counter" : "gauge";
}

static void put_one(struct page *page, const char *name, uint64_t value)
{
    put(page, "# TYPE %s %s\n%s %llu\n", name, type_of(name), name, (unsigned long long)value);
}

/* What the host counts of each store. */
struct store_family {
    const char *name;
    uint64_t (*value)(const struct depot_view *view);
};

static uint64_t store_open_value(const struct depot_view *view)
{
    return view->is_open;
}

static uint64_t store_records(const struct depot_view *view)
{
    return view->counters.store.record_count;
}

static uint64_t store_record_bytes(const struct depot_view *view)
{
    return view->counters.store.record_bytes;
}

static uint64_t store_commits(const struct depot_view *view)
{
    return view->counters.store.commit_count;
}

static uint64_t store_commit_us(const struct depot_view *view)
{
    return view->counters.store.commit_us_total;
}

static uint64_t store_refused(const struct depot_view *view)
{
    return view->counters.store.refused_count;
}

static uint64_t store_segments(const struct depot_view *view)
{
    return view->counters.store.segment_count;
}

static uint64_t store_refilling(const struct depot_view *view)
{
    return view->is_open && view->counters.is_refilling;
}

static uint64_t store_aside(const struct depot_view *view)
{
    return view->counters.aside_count;
}

static uint64_t store_dropped(const struct depot_view *view)
{
    return view->dropped_count;
}

static void put_stores(struct page *page, const struct host *host)
{
    static const struct store_family store_families[] = {
        {"paranoid_store_open", store_open_value},
        {"paranoid_store_refilling", store_refilling},
        {"paranoid_store_set_aside", store_aside},
        {"paranoid_store_records_total", store_records},
        {"paranoid_store_record_bytes_total", store_record_bytes},
        {"paranoid_store_commits_total", store_commits},
        {"paranoid_store_commit_microseconds_total", store_commit_us},
        {"paranoid_store_refused_total", store_refused},
        {"paranoid_store_segments", store_segments},
        {"paranoid_store_frames_dropped_total", store_dropped},
    };
    for (size_t i = 0; i < sizeof store_families / sizeof *store_families; i++) {
        const struct store_family *family = &store_families[i];
        put(page, "# TYPE %s %s\n", family->name, type_of(family->name));
        for (uint32_t index = 0; index < depot_count(host->depot); index++) {
            struct depot_view view = depot_view(host->depot, index);
            if (view.is_removed) {
                continue;
            }
            put(page, "%s{store=\"%s\"} %llu\n", family->name, view.name,
                (unsigned long long)family->value(&view));
        }
    }
}

static void put_host(struct page *page, const struct host *host)
{
    const struct proxy_counters *proxy = proxy_count(host->proxy);
    put_one(page, "paranoid_host_connections", proxy->connections_open);
    put_one(page, "paranoid_host_connections_total", proxy->connections_ever);
    put_one(page, "paranoid_host_connections_turned_away_total", proxy->connections_turned_away);
    put_one(page, "paranoid_host_client_bytes_in_total", proxy->bytes_in);
    put_one(page, "paranoid_host_client_bytes_out_total", proxy->bytes_out);
    put_one(page, "paranoid_host_stream_frames_malformed_total", proxy->malformed);
    put_one(page, "paranoid_host_control_frames_malformed_total",
            host->client_malformed_count + control_malformed_count(host->control));
}

static void put_sample(struct page *page, const char *prefix, const char *name,
                       const struct guest *guest, const char *value)
{
    put(page, "%s%s{role=\"%s\",index=\"%u\",tee=\"%s\"} %s\n", prefix, name,
        member_role_text(guest->role), guest->index, guest->tee, value);
}

/* What the host counts of each enclave. */
struct family {
    const char *name;
    uint64_t (*value)(const struct guest *guest);
};

static uint64_t value_ready(const struct guest *guest)
{
    return guest->state == GUEST_READY;
}

static uint64_t value_starts(const struct guest *guest)
{
    return guest->start_count;
}

static uint64_t value_frames_in(const struct guest *guest)
{
    return guest->counters.frames_in;
}

static uint64_t value_frames_out(const struct guest *guest)
{
    return guest->counters.frames_out;
}

static uint64_t value_bytes_in(const struct guest *guest)
{
    return guest->counters.bytes_in;
}

static uint64_t value_bytes_out(const struct guest *guest)
{
    return guest->counters.bytes_out;
}

static uint64_t value_dropped(const struct guest *guest)
{
    return guest->counters.dropped;
}

static uint64_t value_malformed(const struct guest *guest)
{
    return guest->counters.malformed;
}

static uint64_t value_waiting(const struct guest *guest)
{
    return guest->waiting_bytes;
}

static const struct family families[] = {
    {"paranoid_host_enclave_ready", value_ready},
    {"paranoid_host_enclave_starts_total", value_starts},
    {"paranoid_host_enclave_frames_in_total", value_frames_in},
    {"paranoid_host_enclave_frames_out_total", value_frames_out},
    {"paranoid_host_enclave_bytes_in_total", value_bytes_in},
    {"paranoid_host_enclave_bytes_out_total", value_bytes_out},
    {"paranoid_host_enclave_frames_dropped_total", value_dropped},
    {"paranoid_host_enclave_frames_malformed_total", value_malformed},
    {"paranoid_host_enclave_waiting_bytes", value_waiting},
};

static void put_families(struct page *page, const struct host *host)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        put(page, "# TYPE %s %s\n", families[i].name, type_of(families[i].name));
        for (uint32_t j = 0; j < host->place_count; j++) {
            const struct guest *guest = &host->places[j].guest;
            char value[32];
            (void)snprintf(value, sizeof value, "%llu",
                           (unsigned long long)families[i].value(guest));
            put_sample(page, "", families[i].name, guest, value);
        }
    }
}

/* A number that an enclave said about itself. */
struct sample {
    const struct guest_metric *metric;
    const struct guest *guest;
};

static int compare_samples(const void *left, const void *right)
{
    const struct sample *a = left;
    const struct sample *b = right;
    int order = strcmp(a->metric->name, b->metric->name);
    if (order == 0) {
        order = (a->guest->role > b->guest->role) - (a->guest->role < b->guest->role);
    }
    return order != 0 ? order
                      : (a->guest->index > b->guest->index) - (a->guest->index < b->guest->index);
}

/* Samples of one name have to stand together, and an enclave may not repeat one. */
static void put_samples(struct page *page, struct sample *samples, size_t count)
{
    qsort(samples, count, sizeof *samples, compare_samples);
    for (size_t i = 0; i < count; i++) {
        const char *name = samples[i].metric->name;
        const char *prefix = strncmp(name, "faas_", 5) == 0 ? "" : "paranoid_enclave_";
        if (i == 0 || strcmp(samples[i - 1].metric->name, name) != 0) {
            put(page, "# TYPE %s%s %s\n", prefix, name, type_of(name));
        } else if (samples[i - 1].guest == samples[i].guest) {
            continue;
        }
        put_sample(page, prefix, name, samples[i].guest, samples[i].metric->value);
    }
}

static enum status write_metrics(const struct host *host, struct buffer *text)
{
    struct page page = {.text = text};
    put_host(&page, host);
    put_stores(&page, host);
    put_families(&page, host);

    size_t count = 0;
    struct sample *samples =
        calloc((size_t)host->place_count * GUEST_METRIC_COUNT_MAX, sizeof *samples);
    if (samples == NULL) {
        return STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < host->place_count; i++) {
        const struct guest *guest = &host->places[i].guest;
        for (size_t j = 0; j < guest->metrics.count; j++) {
            samples[count++] = (struct sample){&guest->metrics.items[j], guest};
        }
    }
    put_samples(&page, samples, count);
    free(samples);
    return page.status;
}

// ---- JSON ----

static const char *state_text(enum guest_state state)
{
    switch (state) {
    case GUEST_DOWN:
        return "down";
    case GUEST_RUNNING:
        return "starting";
    case GUEST_KNOWN:
        return "joining";
    case GUEST_READY:
        return "ready";
    }
    return "unknown";
}

static json_t *json_of_metrics(const struct guest_metrics *metrics)
{
    json_t *object = json_object();
    for (size_t i = 0; i < metrics->count; i++) {
        const struct guest_metric *metric = &metrics->items[i];
        bool is_whole = strchr(metric->value, '.') == NULL;
        json_object_set_new(object, metric->name,
                            is_whole ? json_integer(strtoll(metric->value, NULL, 10))
                                     : json_real(strtod(metric->value, NULL)));
    }
    return object;
}

/* Which parts of the sandbox that the host gives are missing, and why. */
static json_t *json_of_sandbox(const struct guest *guest)
{
    bool is_missing = guest->state != GUEST_DOWN && !guest->spawn.has_namespaces;
    return json_pack("{s:b, s:s?}", "namespaces", !is_missing, "reason",
                     is_missing ? strerror(guest->spawn.refused_errno) : NULL);
}

static json_t *json_of_guest(const struct host *host, const struct guest *guest)
{
    char id[WRITER_ID_TEXT_BYTES];
    char measurement[HASH_TEXT_BYTES];
    writer_id_text(&guest->id, id);
    hash_text(&guest->measurement, measurement);
    bool is_known = guest->state == GUEST_KNOWN || guest->state == GUEST_READY;
    bool is_up = guest->state != GUEST_DOWN;
    json_t *port = guest->role == MEMBER_WORKER
                       ? json_integer(proxy_worker_port(host->proxy, guest->index))
                       : json_null();
    return json_pack(
        "{s:s, s:i, s:s, s:o, s:s?, s:s?, s:i, s:o, s:s, s:o, s:o}", "role",
        member_role_text(guest->role), "index", (int)guest->index, "state",
        state_text(guest->state), "pid", is_up ? json_integer(guest->spawn.pid) : json_null(),
        "writer", is_known ? id : NULL, "measurement", is_up ? measurement : NULL, "restarts",
        guest->start_count > 0 ? (int)guest->start_count - 1 : 0, "port", port, "tee", guest->tee,
        "sandbox", json_of_sandbox(guest), "metrics", json_of_metrics(&guest->metrics));
}

static const char *store_state_text(const struct depot_view *view)
{
    if (view->is_open) {
        return view->is_damaged ? "damaged" : view->counters.is_refilling ? "refilling" : "open";
    }
    return view->is_damaged ? "damaged" : view->has_failed ? "failed" : "starting";
}

static json_t *json_of_stores(const struct host *host)
{
    json_t *stores = json_array();
    for (uint32_t i = 0; i < depot_count(host->depot); i++) {
        struct depot_view view = depot_view(host->depot, i);
        if (view.is_removed) {
            continue;
        }
        const struct store_counters *counters = &view.counters.store;
        json_array_append_new(
            stores,
            json_pack(
                "{s:s, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:i}", "name", view.name, "state",
                store_state_text(&view), "pid", view.pid > 0 ? json_integer(view.pid) : json_null(),
                "records", (json_int_t)counters->record_count, "bytes",
                (json_int_t)counters->record_bytes, "commits", (json_int_t)counters->commit_count,
                "refused", (json_int_t)counters->refused_count, "segments",
                (json_int_t)counters->segment_count, "dropped", (json_int_t)view.dropped_count,
                "set_aside", (int)view.counters.aside_count));
    }
    return stores;
}

/* Append the object, and a newline; it is used up. */
static enum status append_json(struct buffer *text, json_t *object)
{
    char *written = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);
    enum status status =
        written == NULL ? STATUS_NO_MEMORY : buffer_append(text, written, strlen(written));
    if (status == STATUS_OK) {
        status = buffer_append(text, "\n", 1);
    }
    free(written);
    json_decref(object);
    return status;
}

static enum status write_status(const struct host *host, struct buffer *text)
{
    json_t *enclaves = json_array();
    for (uint32_t i = 0; i < host->place_count; i++) {
        json_array_append_new(enclaves, json_of_guest(host, &host->places[i].guest));
    }
    char capsule[HASH_TEXT_BYTES];
    hash_text(&host->home.capsule, capsule);
    const struct guest *leader = &host->places[ROUTE_LEADER].guest;
    return append_json(
        text,
        json_pack("{s:s, s:s, s:i, s:i, s:I, s:o, s:o, s:o}", "tee", witness_tee(host->witness),
                  "capsule", capsule, "pid", (int)getpid(), "base_port",
                  (int)proxy_base_port(host->proxy), "connections",
                  (json_int_t)proxy_count(host->proxy)->connections_open, "sandbox",
                  json_of_sandbox(leader), "stores", json_of_stores(host), "enclaves", enclaves));
}

enum status report_host(const struct host *host, struct buffer *text)
{
    json_t *ports = json_array();
    for (uint32_t i = 0; i < host->config->worker_count; i++) {
        json_array_append_new(ports, json_integer(proxy_worker_port(host->proxy, i)));
    }
    return append_json(
        text, json_pack("{s:i, s:i, s:o, s:i, s:s, s:o}", "pid", (int)getpid(), "base_port",
                        (int)proxy_base_port(host->proxy), "worker_ports", ports, "metrics_port",
                        (int)metrics_port(host->metrics), "tee", witness_tee(host->witness),
                        "sandbox", json_of_sandbox(&host->places[ROUTE_LEADER].guest)));
}

static bool has_ready_worker(const struct host *host)
{
    for (uint32_t i = ROUTE_WORKER_FIRST; i < host->place_count; i++) {
        const struct guest *guest = &host->places[i].guest;
        if (guest->role == MEMBER_WORKER && guest->state == GUEST_READY) {
            return true;
        }
    }
    return false;
}

enum status report_page(void *context, const char *path, struct buffer *body, const char **type)
{
    const struct host *host = context;
    if (strcmp(path, "/metrics") == 0) {
        *type = "text/plain; version=0.0.4; charset=utf-8";
        return write_metrics(host, body);
    }
    if (strcmp(path, "/status") == 0) {
        *type = "application/json";
        return write_status(host, body);
    }
    if (strcmp(path, "/healthz") == 0) {
        *type = "text/plain; charset=utf-8";
        return has_ready_worker(host) ? buffer_append(body, "ok\n", 3) : STATUS_EMPTY;
    }
    return STATUS_NOT_FOUND;
}
