/* src/cli/service.c */
#include "cli/service.h"

#include <signal.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/hex.h"
#include "capsule/keys.h"
#include "cli/report.h"
#include "host/host.h"

enum { SERVICE_AUTHORIZATION_BYTES = 64 + KEYS_TOKEN_TEXT_BYTES };

json_t *service_ports(const struct app *app)
{
    char path[FILE_PATH_BYTES];
    app_path(app, APP_HOST "/" HOST_FILE_STATUS, path);
    json_t *ports = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
    // A host that was killed leaves the file behind.
    json_int_t pid = json_integer_value(json_object_get(ports, "pid"));
    if (pid <= 1 || (kill((pid_t)pid, 0) != 0 && errno == ESRCH)) {
        json_decref(ports);
        return NULL;
    }
    return ports;
}

static enum status make_authorization(struct service *service)
{
    struct secret *seed;
    char token[KEYS_TOKEN_TEXT_BYTES];
    enum status status = app_seed(&service->app, &seed);
    if (status != STATUS_OK) {
        return status;
    }
    service->authorization = calloc(1, SERVICE_AUTHORIZATION_BYTES);
    CHECK(service->authorization != NULL);
    keys_token(seed, &service->app.genesis.capsule, token);
    snprintf(service->authorization, SERVICE_AUTHORIZATION_BYTES, "Authorization: Bearer %s\r\n",
             token);
    buffer_wipe(token, sizeof token);
    secret_free(seed);
    return STATUS_OK;
}

enum status service_open(struct service *service, const struct command_line *line)
{
    *service = (struct service){.root_pem = BUFFER_EMPTY};
    enum status status = app_open(&service->app, line);
    if (status != STATUS_OK) {
        return status;
    }
    char path[FILE_PATH_BYTES];
    app_path(&service->app, APP_HOST "/" HOST_FILE_STATUS, path);
    if (access(path, R_OK) != 0 && errno == EACCES) {
        report_error("cannot reach app '%s': '%s': %s; %s", service->app.directory, path,
                     strerror(errno), file_remedy(errno));
        return STATUS_IO;
    }
    service->ports = service_ports(&service->app);
    if (service->ports == NULL) {
        report_error("cannot reach app '%s': it does not run; start it with 'paranoid up --app %s'",
                     service->app.directory, service->app.directory);
        return STATUS_NOT_FOUND;
    }
    status = app_read(&service->app, APP_TLS_ROOT, &service->root_pem);
    return status == STATUS_OK ? make_authorization(service) : status;
}

void service_release(struct service *service)
{
    if (service->authorization != NULL) {
        buffer_wipe(service->authorization, SERVICE_AUTHORIZATION_BYTES);
        free(service->authorization);
    }
    json_decref(service->ports);
    buffer_release(&service->root_pem);
    app_release(&service->app);
}

int service_worker_of(const struct command_line *line)
{
    return command_has(line, "worker") ? (int)command_number(line, "worker", 0) : SERVICE_BALANCED;
}

static uint16_t port_of(const json_t *port)
{
    json_int_t number = json_integer_value(port);
    return number > 0 && number <= UINT16_MAX ? (uint16_t)number : 0;
}

enum status service_find_worker(const struct service *service, int worker)
{
    size_t count = json_array_size(json_object_get(service->ports, "worker_ports"));
    if (worker == SERVICE_BALANCED || (size_t)worker < count) {
        return STATUS_OK;
    }
    report_error("cannot reach worker %d: the app has workers 0 to %zu", worker, count - 1);
    return STATUS_NOT_FOUND;
}

enum status service_connect(const struct service *service, int worker, struct client **client)
{
    char error[CLIENT_ERROR_BYTES] = "";
    const json_t *workers = json_object_get(service->ports, "worker_ports");
    const struct client_target target = {
        .host = "localhost",
        .port = port_of(worker == SERVICE_BALANCED ? json_object_get(service->ports, "base_port")
                                                   : json_array_get(workers, (size_t)worker)),
        .root_pem = buffer_bytes(&service->root_pem),
        .timeout_ms = CLIENT_TIMEOUT_MS,
    };
    *client = NULL;
    enum status status = service_find_worker(service, worker);
    if (status != STATUS_OK) {
        return status;
    }
    status = client_open(client, &target, error);
    if (status == STATUS_FORGED) {
        report_error("refusing https://localhost:%u: its certificate is not this app's: %s",
                     target.port, error);
    } else if (status != STATUS_OK) {
        report_error("cannot reach https://localhost:%u: %s; see 'paranoid status'", target.port,
                     error);
    }
    return status;
}

enum status service_ask(const struct service *service, struct client *client,
                        const struct client_request *request, struct client_response *response)
{
    char error[CLIENT_ERROR_BYTES] = "";
    struct buffer headers = BUFFER_EMPTY;
    struct client_request with_token = *request;
    *response = (struct client_response){.status = 0};
    enum status status =
        buffer_append(&headers, service->authorization, strlen(service->authorization));
    if (status == STATUS_OK) {
        status = buffer_append(&headers, request->headers, strlen(request->headers) + 1);
    }
    if (status == STATUS_OK) {
        with_token.headers = (const char *)headers.bytes;
        status = client_ask(client, &with_token, response, error);
    }
    if (status != STATUS_OK) {
        report_error("cannot %s %s: %s", request->method, request->target,
                     error[0] != '\0' ? error : status_text(status));
    }
    buffer_release(&headers);
    return status;
}

enum status service_ask_once(const struct service *service, int worker,
                             const struct client_request *request, struct client_response *response)
{
    struct client *client;
    *response = (struct client_response){.status = 0};
    enum status status = service_connect(service, worker, &client);
    if (status == STATUS_OK) {
        status = service_ask(service, client, request, response);
    }
    client_close(client);
    return status;
}

void service_report(const struct client_response *response, const char *what, const char *subject)
{
    json_t *body = json_loadb((const char *)response->body.bytes, response->body.length, 0, NULL);
    const json_t *error = json_object_get(body, "error");
    const char *code = json_string_value(json_object_get(error, "code"));
    const char *message = json_string_value(json_object_get(error, "message"));
    if (code != NULL && message != NULL) {
        report_error("cannot %s '%s': %s (%s, HTTP %u)", what, subject, message, code,
                     response->status);
    } else {
        report_error("cannot %s '%s': HTTP %u", what, subject, response->status);
    }
    json_decref(body);
}

enum status service_encode(struct buffer *target, struct bytes text)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    enum status status = STATUS_OK;
    for (size_t i = 0; i < text.length && status == STATUS_OK; i++) {
        char digits[4] = "%";
        if (text.at[i] != 0 && strchr(plain, text.at[i]) != NULL) {
            status = buffer_append(target, &text.at[i], 1);
        } else {
            hex_encode(digits + 1, &text.at[i], 1);
            status = buffer_append(target, digits, 3);
        }
    }
    return status;
}

json_t *service_host_page(const json_t *ports, const char *path)
{
    char error[CLIENT_ERROR_BYTES];
    struct client *client;
    struct client_response response = {.status = 0};
    json_t *page = NULL;
    const struct client_target target = {
        .host = "127.0.0.1",
        .port = port_of(json_object_get(ports, "metrics_port")),
        .timeout_ms = CLIENT_TIMEOUT_MS,
    };
    const struct client_request request = {.method = "GET", .target = path, .headers = ""};
    if (client_open(&client, &target, error) == STATUS_OK &&
        client_ask(client, &request, &response, error) == STATUS_OK && response.status == 200) {
        page = json_loadb((const char *)response.body.bytes, response.body.length,
                          JSON_REJECT_DUPLICATES, NULL);
    }
    client_response_release(&response);
    client_close(client);
    return page;
}
