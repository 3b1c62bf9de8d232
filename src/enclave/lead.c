/* src/enclave/lead.c */
#include "enclave/lead.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "leader/leader.h"

enum { LEAD_METRICS_US = 1000 * 1000 };

static struct leader_time time_now(void)
{
    return (struct leader_time){.now_us = enclave_now_us(), .unix_ms = enclave_unix_ms()};
}

/* The leader's core asks its host for evidence; in Gramine this process makes it. */
static enum status send_frame(struct enclave *enclave, struct bytes bytes)
{
    struct frame frame;
    CHECK(frame_decode(&frame, bytes) == STATUS_OK);
    if (frame.kind == FRAME_EVIDENCE) {
        CHECK(frame.body.length == VERDICT_REPORT_DATA_BYTES);
        return enclave_ask_evidence(enclave, frame.request, frame.body.at);
    }
    return enclave_send(enclave, bytes);
}

static enum status send_output(struct enclave *enclave, struct leader *leader)
{
    struct buffer frame = BUFFER_EMPTY;
    enum status status;
    while ((status = leader_output(leader, &frame)) == STATUS_OK) {
        status = send_frame(enclave, buffer_bytes(&frame));
        if (status != STATUS_OK) {
            break;
        }
        buffer_clear(&frame);
    }
    buffer_release(&frame);
    return status == STATUS_EMPTY ? STATUS_OK : status;
}

static enum status send_metrics(struct enclave *enclave, const struct leader *leader)
{
    static const struct writer_id everyone;
    char text[512];
    struct leader_counters counters;
    leader_count(leader, &counters);
    int length = snprintf(
        text, sizeof text,
        "term %" PRIu64 "\nepoch %" PRIu64 "\nmembers_open %" PRIu64 "\nmembers_admitted %" PRIu64
        "\nmembers_refused %" PRIu64 "\nsyncs_written %" PRIu64 "\nabsences %" PRIu64 "\n",
        counters.term, counters.epoch, counters.members_open, counters.members_admitted,
        counters.members_refused, counters.syncs_written, counters.absences);
    return enclave_send_body(enclave, FRAME_METRICS, 0, &everyone, bytes_of(text, (size_t)length));
}

/* Take everything that waits. STATUS_EMPTY: go on; STATUS_OK: the host says stop. */
static enum status receive_all(struct enclave *enclave, struct leader *leader)
{
    struct buffer bytes = BUFFER_EMPTY;
    enum status status;
    while ((status = port_receive(&enclave->wall.data, &bytes)) == STATUS_OK) {
        struct frame frame;
        if (frame_decode(&frame, buffer_bytes(&bytes)) == STATUS_OK && frame.kind == FRAME_STOP) {
            break;
        }
        status = leader_receive(leader, buffer_bytes(&bytes), time_now());
        if (status != STATUS_OK) {
            break;
        }
        buffer_clear(&bytes);
    }
    buffer_release(&bytes);
    return status;
}

enum status lead_run(struct enclave *enclave)
{
    struct leader *leader;
    const struct leader_config config = {
        .genesis = buffer_bytes(&enclave->genesis),
        .key = enclave->key,
        .random = &enclave->random,
        .log = &enclave->log,
        .vendors = vendor_pinned(),
    };
    enum status status = leader_new(&leader, &config);
    uint64_t metrics_us = 0;      // when they were sent last
    bool has_old_metrics = true;  // something has happened since
    while (status == STATUS_OK) {
        uint64_t wake_us;
        enum status received = receive_all(enclave, leader);
        if (received != STATUS_EMPTY) {
            // What has been said on the way out (an answer to the owner) still leaves.
            enum status sent = send_output(enclave, leader);
            status = received == STATUS_OK ? sent : received;
            break;
        }
        status = leader_tick(leader, time_now(), &wake_us);
        enum status sent = send_output(enclave, leader);
        if (status != STATUS_OK || sent != STATUS_OK) {
            status = status != STATUS_OK ? status : sent;
            break;
        }
        uint64_t now_us = enclave_now_us();
        if (has_old_metrics && now_us >= metrics_us + LEAD_METRICS_US) {
            has_old_metrics = false;
            metrics_us = now_us;
            status = send_metrics(enclave, leader);
        }
        if (has_old_metrics && metrics_us + LEAD_METRICS_US < wake_us) {
            wake_us = metrics_us + LEAD_METRICS_US;
        }
        if (status == STATUS_OK) {
            status = port_wait(&enclave->wall.data, enclave_timeout_ms(wake_us, now_us));
            has_old_metrics = has_old_metrics || status == STATUS_OK;
            status = status == STATUS_TIMEOUT ? STATUS_OK : status;
        }
    }
    leader_free(leader);
    return status;
}
