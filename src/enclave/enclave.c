/* src/enclave/enclave.c */
#include "enclave/enclave.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <time.h>

#include "attest/evidence.h"
#include "crypto/crypto.h"
#include "tee/gramine.h"

enum {
    ENCLAVE_START_TIMEOUT_MS = 10 * 1000,
    ENCLAVE_ROOM_TIMEOUT_MS = 100,
};

static const struct writer_id everyone;

uint64_t enclave_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t enclave_unix_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int enclave_timeout_ms(uint64_t due_us, uint64_t now_us)
{
    if (due_us == UINT64_MAX) {
        return -1;
    }
    if (due_us <= now_us) {
        return 0;
    }
    uint64_t ms = (due_us - now_us + 999) / 1000;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

static enum status send_parts(struct enclave *enclave, const struct bytes *parts, size_t count)
{
    pthread_mutex_lock(&enclave->send_lock);
    enum status status;
    while ((status = port_send(&enclave->wall.data, parts, count)) == STATUS_FULL) {
        // A time-out only: a host that never makes room has stopped this enclave, as it may.
        enum status waited = port_wait_for_room(&enclave->wall.data, ENCLAVE_ROOM_TIMEOUT_MS);
        (void)waited;
    }
    pthread_mutex_unlock(&enclave->send_lock);
    return status == STATUS_OK ? STATUS_OK : STATUS_IO;
}

enum status enclave_send(struct enclave *enclave, struct bytes frame)
{
    return send_parts(enclave, &frame, 1);
}

enum status enclave_send_body(struct enclave *enclave, enum frame_kind kind, uint32_t request,
                              const struct writer_id *peer, struct bytes body)
{
    uint8_t header[FRAME_HEADER_BYTES];
    frame_header(header, kind, request, peer);
    const struct bytes parts[] = {bytes_of(header, sizeof header), body};
    return send_parts(enclave, parts, 2);
}

/* An SGX quote that Gramine makes, in a container without documents. */
static enum status quote_self(struct enclave *enclave,
                              const uint8_t report_data[VERDICT_REPORT_DATA_BYTES],
                              struct buffer *evidence)
{
    char error[GRAMINE_ERROR_BYTES_MAX];
    struct buffer quote = BUFFER_EMPTY;
    pthread_mutex_lock(&enclave->quote_lock);
    enum status status = gramine_quote(files_real(), GRAMINE_ROOT, report_data, &quote, error);
    pthread_mutex_unlock(&enclave->quote_lock);
    if (status == STATUS_OK) {
        const struct evidence parts = {.tee = TEE_SGX, .quote = buffer_bytes(&quote)};
        status = evidence_encode(&parts, evidence);
    } else {
        log_event(&enclave->log, "no evidence cause=\"%s\"", error);
    }
    buffer_release(&quote);
    return status;
}

enum status enclave_ask_evidence(struct enclave *enclave, uint32_t request,
                                 const uint8_t report_data[VERDICT_REPORT_DATA_BYTES])
{
    if (!enclave->is_in_gramine) {
        return enclave_send_body(enclave, FRAME_EVIDENCE, request, &everyone,
                                 bytes_of(report_data, VERDICT_REPORT_DATA_BYTES));
    }
    struct buffer evidence = BUFFER_EMPTY;
    enum status status = quote_self(enclave, report_data, &evidence);
    if (status == STATUS_OK) {
        status =
            enclave_send_body(enclave, FRAME_EVIDENCE, request, &everyone, buffer_bytes(&evidence));
    } else if (status == STATUS_IO) {
        status = STATUS_OK;  // it was logged; whoever waits for it gives up in time
    }
    buffer_release(&evidence);
    return status;
}

void enclave_take_evidence(struct enclave *enclave, struct bytes evidence)
{
    struct evidence parts;
    if (evidence_decode(&parts, evidence) == STATUS_OK) {
        atomic_store(&enclave->tee, (int)parts.tee);
    }
}

const char *enclave_tee_text(const struct enclave *enclave)
{
    return verdict_tee_text((enum tee)atomic_load(&enclave->tee));
}

static void send_log_line(void *context, const char *text)
{
    struct enclave *enclave = context;
    enum status status = enclave_send_body(enclave, FRAME_LOG, 0, &everyone, bytes_text(text));
    (void)status;  // nobody is left to be told
}

static enum status read_start(struct enclave *enclave, unsigned roles)
{
    struct buffer bytes = BUFFER_EMPTY;
    struct frame frame;
    struct frame_start start;
    enum status status = port_receive(&enclave->wall.data, &bytes);
    while (status == STATUS_EMPTY) {
        status = port_wait(&enclave->wall.data, ENCLAVE_START_TIMEOUT_MS);
        if (status == STATUS_OK) {
            status = port_receive(&enclave->wall.data, &bytes);
        }
    }
    if (status == STATUS_OK) {
        status = frame_decode(&frame, buffer_bytes(&bytes));
    }
    if (status == STATUS_OK && frame.kind != FRAME_START) {
        status = STATUS_MALFORMED;
    }
    if (status == STATUS_OK) {
        status = frame_start_decode(&start, frame.body);
    }
    if (status == STATUS_OK) {
        const struct hash name = hash_of(start.genesis.at, start.genesis.length);
        bool is_whole = hash_equal(&name, &start.capsule) && (roles & 1u << start.role) != 0;
        status = is_whole ? buffer_append(&enclave->genesis, start.genesis.at, start.genesis.length)
                          : STATUS_FORGED;
        enclave->capsule = start.capsule;
        enclave->role = (enum member_role)start.role;
        enclave->memtable_bytes = start.memtable_bytes;
        enclave->lambda_threads = start.lambda_threads;
    }
    buffer_release(&bytes);
    return status;
}

enum status enclave_begin(struct enclave *enclave, unsigned roles)
{
    *enclave = (struct enclave){.wall = WALL_NONE, .random = random_kernel()};
    char error[GRAMINE_ERROR_BYTES_MAX];
    pthread_mutex_init(&enclave->send_lock, NULL);
    pthread_mutex_init(&enclave->quote_lock, NULL);
    enclave->is_in_gramine = gramine_look(files_real(), GRAMINE_ROOT, error) == STATUS_OK;
    enum status status = sandbox_begin(&enclave->sandbox);
    if (status != STATUS_OK && !enclave->is_in_gramine) {
        return status;
    }
    crypto_init();
    json_object_seed(0);  // jansson reads its seed while there is a file to read it from
    status = wall_attach(&enclave->wall, WALL_GEOMETRY, 0);
    if (status != STATUS_OK) {
        return status;
    }
    enclave->log = (struct log){.line = send_log_line, .context = enclave};
    enclave->key = sign_key_new(&enclave->random);
    enclave->public_key = sign_key_public(enclave->key);
    enclave->id = writer_id_of(&enclave->public_key);
    return read_start(enclave, roles);
}

static enum status send_report(struct enclave *enclave)
{
    char text[128];
    int length = snprintf(
        text, sizeof text, "sandbox_root_empty %d\nsandbox_descriptors %d\nsandbox_filter %d\n",
        enclave->report.is_root_empty, enclave->report.kept_fd_count, enclave->report.is_filtered);
    return enclave_send_body(enclave, FRAME_METRICS, 0, &everyone, bytes_of(text, (size_t)length));
}

enum status enclave_seal(struct enclave *enclave, enum sandbox_role role)
{
    enum status status = sandbox_enter(&enclave->sandbox, role, &enclave->report);
    // Gramine knows neither namespaces nor filters: there the manifest is the wall, and the
    // evidence names it. A host that plays Gramine to a process of Linux's does not unseal it.
    if (status != STATUS_OK && !enclave->is_in_gramine) {
        return status;
    }
    struct buffer body = BUFFER_EMPTY;
    const struct frame_hello hello = {.role = (uint8_t)enclave->role, .key = enclave->public_key};
    status = frame_hello_encode(&body, &hello);
    if (status == STATUS_OK) {
        status = enclave_send_body(enclave, FRAME_HELLO, 0, &everyone, buffer_bytes(&body));
    }
    buffer_release(&body);
    return status == STATUS_OK ? send_report(enclave) : status;
}
