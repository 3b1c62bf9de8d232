/* tests/enclave/hostile_world.h */
#ifndef TESTS_ENCLAVE_HOSTILE_WORLD_H
#define TESTS_ENCLAVE_HOSTILE_WORLD_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attest/policy.h"
#include "attest/simulated.h"
#include "base/buffer.h"
#include "base/log.h"
#include "base/random.h"
#include "host/spawn.h"
#include "ring/wall.h"
#include "sim/disk_fake.h"
#include "store/server.h"
#include "wire/frame.h"
#include "wire/join.h"

/*
 * hostile_world: the real enclave programs, and everybody else in the test's hand: the owner, one
 * store on a disk in memory, the TEE's machine, an HTTPS client, and the host between them all.
 * The host is honest by itself; a test bends what it hands on by `filter`, and adds what it
 * likes by hostile_send(). Whatever an enclave says is kept and searched for secrets.
 */
enum { HOSTILE_LEADER, HOSTILE_WORKER, HOSTILE_GUESTS };
#define HOSTILE_KEY "a-key-that-no-host-may-ever-see"
#define HOSTILE_VALUE "a-value-that-no-host-may-ever-see"
// What must come may take its time.
enum { HOSTILE_HEARD_MAX = 512, HOSTILE_LOST_MS = 120000 };

struct hostile_waiting {
    struct hostile_waiting *next;
    bool is_stream;
    struct buffer frame;
};

struct hostile_guest {
    bool is_alive;
    bool is_ready;
    bool is_wall_broken;  // on the host's side: nothing goes in any more
    bool is_scribbled;    // what comes out may be nonsense
    struct wall wall;
    struct spawn spawn;
    struct verify_key key;
    struct writer_id id;
    int how;                        // it ended, as from waitpid()
    struct buffer messages;         // what it wrote to stderr
    struct hostile_waiting *first;  // frames that wait for room
    struct hostile_waiting **end;
};

struct hostile_client {
    SSL *ssl;
    uint64_t connection;
    struct buffer plain;
    size_t on_the_way;  // bytes that the enclave has not reported as taken
    bool is_closed;
};

struct hostile_world {
    unsigned long long seed_number;
    struct random_seeded seeded;
    struct random random;  // the attacker's dice
    struct random keys;    // everybody's keys
    struct log log;
    struct buffer said;    // log lines of the enclaves
    struct buffer spoken;  // every byte of every frame that left an enclave

    struct sign_key *owner;
    struct secret *seed;
    struct sign_key *vendor;
    struct policy policy;
    struct buffer next_policy;  // a POLICY body that the leader records when it gets its term
    struct simulated_platform *platform;
    bool is_debug;  // what the platform says of the enclaves that it runs
    struct buffer tcb;
    struct hash measurement;
    struct buffer genesis;
    struct hash capsule;
    uint64_t term;
    uint64_t sync_epoch;
    struct hash sync;
    struct join_judge *judge;
    struct join_apply apply;
    struct channel *session;
    enum status answer;  // the owner's last
    size_t answer_count;

    struct disk_fake *disk;
    struct disk store_disk;
    struct sign_key *store_key;
    struct store *store;
    struct server *server;
    bool must_commit;
    bool is_store_silent;  // records do not reach it

    struct hostile_guest guests[HOSTILE_GUESTS];
    struct {
        size_t to;
        struct buffer frame;
    } heard[HOSTILE_HEARD_MAX];  // what enclaves were told by the data port, for replays
    size_t heard_count;
    SSL_CTX *tls;
    char token[65];
    struct hostile_client *client;
    uint64_t connection_count;

    /* Before a frame is handed to a guest: true keeps it from it. NULL: all pass. */
    bool (*filter)(struct hostile_world *world, size_t to, struct bytes frame);
    bool is_in_filter;
};

/* Everybody but the enclaves. Prints the seed: SEED=n chooses it. */
void hostile_init(struct hostile_world *world);
/* Ends the enclaves; fails when one ended other than by its own decision, or a secret was seen. */
void hostile_release(struct hostile_world *world);

void hostile_start(struct hostile_world *world, size_t guest);
/* What the owner's command line does: call, judge, give a term. */
void hostile_call(struct hostile_world *world);
/* Leader and worker, both ready. */
void hostile_begin(struct hostile_world *world);

/* Move frames once. Whether anything moved. */
bool hostile_pump(struct hostile_world *world);
typedef bool hostile_condition(struct hostile_world *world, void *context);
bool hostile_wait(struct hostile_world *world, int ms, hostile_condition *condition, void *context);
/* The guest is ready, or has ended. */
bool hostile_wait_ready(struct hostile_world *world, size_t guest);
bool hostile_wait_end(struct hostile_world *world, size_t guest);

/* Hand a guest any bytes as a frame; likewise whole frames. They pass no filter. */
void hostile_send_bytes(struct hostile_world *world, size_t guest, struct bytes frame);
void hostile_send(struct hostile_world *world, size_t guest, enum frame_kind kind, uint32_t request,
                  const struct writer_id *peer, struct bytes body);
void hostile_send_stream(struct hostile_world *world, uint64_t connection,
                         enum frame_stream_event event, struct bytes bytes);
/* Until everything that waits has been taken by the rings. */
void hostile_drain(struct hostile_world *world);

uint64_t hostile_pick(struct hostile_world *world, uint64_t below);

/*
 * One HTTPS request on a connection of its own: the status of the answer, 0 when none came in
 * `ms`. `answer` (may be NULL) receives the body.
 */
unsigned hostile_http(struct hostile_world *world, const char *method, const char *path,
                      const char *body, int ms, struct buffer *answer);
/* The same in two steps. */
void hostile_ask(struct hostile_world *world, struct hostile_client *client, const char *method,
                 const char *path, const char *body);
unsigned hostile_answer(struct hostile_world *world, struct hostile_client *client, int ms,
                        struct buffer *answer);
void hostile_client_release(struct hostile_world *world, struct hostile_client *client);

/* The log lines of the enclaves contain this. */
bool hostile_has_said(const struct hostile_world *world, const char *text);

/* It lives, or ended with an exit status and without a report of a sanitizer or a failed CHECK. */
void hostile_assert_decent(struct hostile_world *world, size_t guest);

#endif
