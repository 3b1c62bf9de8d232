/* src/cli/visit.c */
#include "cli/visit.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/hex.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/report.h"
#include "cli/service.h"
#include "wire/vouch.h"

bool visit_split_url(const char *url, char host[VISIT_HOST_BYTES], uint16_t *port)
{
    static const char scheme[] = "https://";
    uint64_t number = 443;
    if (strncmp(url, scheme, sizeof scheme - 1) != 0) {
        return false;
    }
    const char *start = url + sizeof scheme - 1;
    size_t length = strcspn(start, ":/");
    if (length == 0 || length >= VISIT_HOST_BYTES) {
        return false;
    }
    snprintf(host, VISIT_HOST_BYTES, "%.*s", (int)length, start);
    if (start[length] == ':') {
        char digits[8];
        size_t count = strcspn(start + length + 1, "/");
        snprintf(digits, sizeof digits, "%.*s", count < sizeof digits ? (int)count : 0,
                 start + length + 1);
        if (!command_read_number(digits, 1, UINT16_MAX, &number)) {
            return false;
        }
        length += 1 + count;
    }
    *port = (uint16_t)number;
    return start[length] == '\0' || strcmp(start + length, "/") == 0;
}

enum status visit_ask(const char *host, uint16_t port, struct bytes nonce, struct buffer *evidence,
                      struct buffer *certificate)
{
    char digits[2 * VOUCH_NONCE_BYTES_MAX + 1], target[sizeof digits + 32];
    char error[CLIENT_ERROR_BYTES] = "";
    struct client *client = NULL;
    struct client_response response = {.status = 0};
    const struct client_target where = {
        .host = host, .port = port, .is_stranger = true, .timeout_ms = CLIENT_TIMEOUT_MS};
    CHECK(nonce.length <= VOUCH_NONCE_BYTES_MAX);
    hex_encode(digits, nonce.at, nonce.length);
    snprintf(target, sizeof target, "/evidence?nonce=%s", digits);
    const struct client_request request = {.method = "GET", .target = target, .headers = ""};
    enum status status = client_open(&client, &where, error);
    if (status == STATUS_OK) {
        status = client_ask(client, &request, &response, error);
    }
    if (status == STATUS_OK) {
        status = client_certificate(client, certificate);
    }
    if (status != STATUS_OK) {
        report_error("cannot ask https://%s:%u: %s", host, port, error);
    } else if (response.status != 200) {
        service_report(&response, "get evidence from", host);
        status = STATUS_IO;
    } else {
        *evidence = response.body;
        response.body = BUFFER_EMPTY;
    }
    client_response_release(&response);
    client_close(client);
    return status;
}
