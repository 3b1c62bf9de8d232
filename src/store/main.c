/* src/store/main.c */

/*
 * paranoid-store: one store of a capsule, started by its host as
 *
 *     paranoid-store DIRECTORY [WHY]
 *
 * with a socket to it as descriptor 3 (store/post.h). It ends when the socket does. WHY: what it
 * holds is damaged, and is set aside first (store/aside.h). Exit status: 0, or the status that
 * store_open() or a commit gave; STATUS_DAMAGED when its disk does not hold what was written, and
 * there are other stores to be refilled from.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/cursor.h"
#include "crypto/crypto.h"
#include "store/aside.h"
#include "store/disk.h"
#include "store/post.h"
#include "store/server.h"

enum {
    HOST_FD = 3,
    CHUNK_BYTES = 256 << 10,
    GROUP_BYTES_MAX = 16 << 20,  // taken together, and committed once
    OUT_BYTES_MAX = 4 << 20,     // said together
    MS_MAX = 60 * 1000,          // between two looks at the clock
    KEPT_BYTES = 8 << 20,        // of a queue's memory, once it is empty
};

struct program {
    struct log log;
    struct buffer in;
    struct buffer out;
    struct sign_key *key;
    struct disk_posix *posix;
    struct disk disk;
    struct store *store;
    struct server *server;
    uint64_t wake_us;  // of the server; zero before it is there
    const char *why;   // what is here is set aside; NULL: it is not
    uint32_t aside_count;
    bool is_host_gone;
};

// ---- out ----

/* Say all that waits. The host takes it or has ended. */
static void flush(struct program *program)
{
    size_t at = 0;
    while (at < program->out.length && !program->is_host_gone) {
        ssize_t sent =
            send(HOST_FD, program->out.bytes + at, program->out.length - at, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) {
            program->is_host_gone = true;
        }
        at += sent > 0 ? (size_t)sent : 0;
    }
    buffer_recycle(&program->out, KEPT_BYTES);
}

/* Without memory it is lost, as any frame may be. */
static void say(struct program *program, enum post_kind kind, uint64_t client, struct bytes rest)
{
    (void)!post_encode(&program->out, kind, client, rest);
    if (program->out.length > OUT_BYTES_MAX) {
        flush(program);
    }
}

static void on_send(void *context, uint64_t client, struct bytes frame)
{
    say(context, POST_FRAME, client, frame);
}

static void on_broadcast(void *context, struct bytes frame)
{
    say(context, POST_BROADCAST, 0, frame);
}

static void on_ask(void *context, struct bytes frame)
{
    say(context, POST_ASK, 0, frame);
}

static void on_flush(void *context)
{
    flush(context);
}

static void on_line(void *context, const char *text)
{
    say(context, POST_LOG, 0, bytes_of(text, strlen(text)));
}

static void say_counters(struct program *program)
{
    struct buffer rest = BUFFER_EMPTY;
    struct post_counters counters = {
        .is_refilling = store_is_refilling(program->store),
        .aside_count = program->aside_count,
    };
    store_count(program->store, &counters.store);
    if (post_counters_encode(&rest, &counters) == STATUS_OK) {
        say(program, POST_COUNTERS, 0, buffer_bytes(&rest));
    }
    buffer_release(&rest);
}

// ---- in ----

/* The key and the GENESIS have come: read what is held already. */
static enum status begin(struct program *program, const char *directory, struct bytes rest)
{
    struct cursor in = cursor_over(rest.at, rest.length);
    const uint8_t *seed = cursor_take(&in, SIGN_SEED_BYTES);
    struct bytes stores = cursor_run(&in);
    struct bytes genesis = cursor_bytes(&in, in.left);
    if (program->store != NULL || in.failed) {
        return STATUS_MALFORMED;
    }
    program->key = sign_key_new_from_seed(seed);
    const struct hash capsule = hash_of(genesis.at, genesis.length);
    enum status status = STATUS_OK;
    if (program->why != NULL) {
        status = aside_move(directory, &capsule, program->why, &program->log);
    }
    if (status != STATUS_OK) {
        return status;
    }
    program->aside_count = aside_count(directory);
    status = disk_posix_open(&program->posix, &program->disk, directory);
    if (status != STATUS_OK) {
        log_event(&program->log, "store not opened cause=\"its directory: %s\"",
                  status != STATUS_IO    ? status_text(status)
                  : errno == EWOULDBLOCK ? "another process has it"
                                         : strerror(errno));
        return status;
    }
    disk_posix_log(program->posix, &program->log);
    const struct store_config config = {
        .disk = &program->disk,
        .genesis = genesis,
        .stores = stores,
        .key = program->key,
        .log = &program->log,
        .random = random_kernel(),
    };
    const struct server_output output = {
        .send = on_send,
        .broadcast = on_broadcast,
        .ask = on_ask,
        .flush = on_flush,
        .context = program,
    };
    status = store_open(&program->store, &config);
    if (status == STATUS_OK) {
        status = server_new(&program->server, program->store, &output);
    }
    if (status == STATUS_OK) {
        say(program, POST_OPENED, 0, bytes_of(NULL, 0));
        say_counters(program);
    }
    return status;
}

/* With nobody to be refilled from, what is left is still served. */
static bool is_to_be_refilled(const struct program *program)
{
    return store_is_damaged(program->store) && stores_count(store_stores(program->store)) > 1;
}

/* STATUS_DAMAGED at once: what was logged last says where. */
static enum status take(struct program *program, const char *directory,
                        const struct post_message *message)
{
    if (message->kind == POST_BEGIN) {
        return begin(program, directory, message->rest);
    }
    if (message->kind != POST_FRAME || program->server == NULL) {
        return STATUS_MALFORMED;
    }
    enum status status = server_receive(program->server, message->client, message->rest);
    if (is_to_be_refilled(program)) {
        return STATUS_DAMAGED;
    }
    return status == STATUS_NO_MEMORY ? STATUS_OK : status;
}

/* Everything that came, and one commit. */
static enum status serve_group(struct program *program, const char *directory)
{
    struct post_message message;
    size_t at = 0;
    enum status status = STATUS_OK;
    while (status == STATUS_OK) {
        status = post_decode(&message, buffer_bytes(&program->in), &at);
        if (status == STATUS_OK) {
            status = take(program, directory, &message);
        }
    }
    buffer_consume(&program->in, at);
    if (status != STATUS_EMPTY || program->server == NULL) {
        return status == STATUS_EMPTY ? STATUS_OK : status;
    }
    status = server_commit(program->server);
    if (is_to_be_refilled(program)) {
        return STATUS_DAMAGED;
    }
    if (status != STATUS_IO) {
        status = server_tick(program->server, program->disk.now_us(program->disk.context),
                             &program->wake_us);
    }
    say_counters(program);
    return status == STATUS_IO ? STATUS_IO : STATUS_OK;
}

/* How long there is nothing to do, in ms; -1: until the host says something. */
static int timeout_ms(const struct program *program)
{
    if (program->server == NULL || program->wake_us == UINT64_MAX) {
        return -1;
    }
    uint64_t now_us = program->disk.now_us(program->disk.context);
    uint64_t wait_us = program->wake_us > now_us ? program->wake_us - now_us : 0;
    return wait_us < MS_MAX * 1000ull ? (int)(wait_us / 1000) + 1 : MS_MAX;
}

/* Wait for the host, and take all that it has said by now. False: it has ended. */
static bool receive_group(struct program *program)
{
    struct pollfd ready = {.fd = HOST_FD, .events = POLLIN};
    while (poll(&ready, 1, timeout_ms(program)) < 0) {
        CHECK(errno == EINTR);
    }
    size_t before = program->in.length;
    while (program->in.length < before + GROUP_BYTES_MAX) {
        if (buffer_reserve(&program->in, CHUNK_BYTES) != STATUS_OK) {
            return false;
        }
        ssize_t length =
            recv(HOST_FD, program->in.bytes + program->in.length, CHUNK_BYTES, MSG_DONTWAIT);
        if (length < 0 && (errno == EAGAIN || errno == EINTR)) {
            break;
        }
        if (length <= 0) {
            return program->in.length > before;
        }
        program->in.length += (size_t)length;
    }
    return true;
}

int main(int argc, char *argv[])
{
    static struct program program;
    if (argc != 2 && argc != 3) {
        fprintf(stderr, "usage: paranoid-store DIRECTORY [WHY]; 'paranoid up' starts it\n");
        return STATUS_MALFORMED;
    }
    // It ends with its host, whatever became of that; what was acknowledged is on the disk.
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    crypto_init();
    program.log = (struct log){.line = on_line, .context = &program};
    program.why = argc == 3 ? argv[2] : NULL;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && !program.is_host_gone && receive_group(&program)) {
        status = serve_group(&program, argv[1]);
        flush(&program);
    }
    server_free(program.server);
    store_close(program.store);
    disk_posix_close(program.posix);
    sign_key_free(program.key);
    flush(&program);
    buffer_release(&program.in);
    buffer_release(&program.out);
    return (int)status;
}
