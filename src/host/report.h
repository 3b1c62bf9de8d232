/* src/host/report.h */
#ifndef HOST_REPORT_H
#define HOST_REPORT_H

#include "base/buffer.h"
#include "base/status.h"

struct host;

/*
 * report: what the host says about itself. All of it is public.
 *
 *     /metrics   Prometheus text. paranoid_host_…, paranoid_store_…; what an enclave says of
 *                itself: its names that begin with "faas_" (OpenTelemetry's) as they are, the
 *                others behind "paranoid_enclave_", with the labels role, index and tee
 *     /status    JSON
 *     /healthz   "ok" when a worker is ready; else 503
 */

/* For metrics_open(); `context` is a struct host. */
MUST_CHECK enum status report_page(void *context, const char *path, struct buffer *body,
                                   const char **type);

/* Append the content of host.json. STATUS_NO_MEMORY. */
MUST_CHECK enum status report_host(const struct host *host, struct buffer *text);

#endif
