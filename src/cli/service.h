/* src/cli/service.h */
#ifndef CLI_SERVICE_H
#define CLI_SERVICE_H

#include <jansson.h>
#include <stdint.h>

#include "base/buffer.h"
#include "cli/app.h"
#include "cli/client.h"
#include "cli/command.h"

/*
 * service: the running app, as its owner reaches it: its ports from host/host.json, the root that
 * its workers' certificates chain to, the owner's bearer token. Says on stderr why it fails.
 */
struct service {
    struct app app;
    json_t *ports;  // host.json
    struct buffer root_pem;
    char *authorization;  // a header line; a secret
};

enum { SERVICE_BALANCED = -1, SERVICE_PATH_BYTES = 4096 };

/* STATUS_NOT_FOUND: the app does not run. Release it whatever comes back. */
MUST_CHECK enum status service_open(struct service *service, const struct command_line *line);
void service_release(struct service *service);

/* host.json of an app; NULL: it does not run. The caller's. */
json_t *service_ports(const struct app *app);

/* Which worker the line names with --worker, or SERVICE_BALANCED. */
int service_worker_of(const struct command_line *line);

/* STATUS_NOT_FOUND: the app has no such worker. */
MUST_CHECK enum status service_find_worker(const struct service *service, int worker);

/*
 * Open a connection to worker number `worker`, or to whichever the host chooses. With
 * client_close() by the caller.
 */
MUST_CHECK enum status service_connect(const struct service *service, int worker,
                                       struct client **client);

/* Ask once, with the owner's token and `headers` (whole lines). */
MUST_CHECK enum status service_ask(const struct service *service, struct client *client,
                                   const struct client_request *request,
                                   struct client_response *response);

/* The same over a connection for this request alone. */
MUST_CHECK enum status service_ask_once(const struct service *service, int worker,
                                        const struct client_request *request,
                                        struct client_response *response);

/* Say what an answer with an error in it says; "cannot <what> '<subject>': …". */
void service_report(const struct client_response *response, const char *what, const char *subject);

/* Append `text` with all but letters, digits and -._~ as %XX. */
MUST_CHECK enum status service_encode(struct buffer *target, struct bytes text);

/* GET a page of the host's own (/status); the caller's JSON, or NULL. */
json_t *service_host_page(const json_t *ports, const char *path);

#endif
