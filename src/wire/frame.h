/* src/wire/frame.h */
#ifndef WIRE_FRAME_H
#define WIRE_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "capsule/writer.h"
#include "crypto/sign.h"

/*
 * frame: what crosses the wall and travels between enclaves (DESIGN 5.3,
 * docs/format/frame.md). The host reads the clear header to route, and nothing else.
 *
 *     offset  bytes  field
 *          0      1  kind
 *          1      3  reserved, zero
 *          4      4  request: ties answers to a FETCH or RECALL; else zero
 *          8     16  peer: out of an enclave the destination, into it the source as the host
 *                    tells it (believe nothing). Zero: everyone. All ones: the leader. Two more:
 *                    below.
 *         24         body
 *
 * A frame is at most FRAME_BYTES_MAX; a larger one is refused.
 */
enum { FRAME_HEADER_BYTES = 24, FRAME_BYTES_MAX = 8 << 20 };

enum frame_kind {
    // Between enclaves and stores.
    FRAME_RECORD = 1,   // one or more whole records, one after the other
    FRAME_RECEIPT = 2,  // one receipt (capsule/receipt.h), from a store to everyone
    FRAME_JOIN = 3,     // a step of the handshake (wire/join.h)
    FRAME_CHANNEL = 4,  // sealed between two enclaves, or an enclave and the owner (wire/channel.h)
    FRAME_RTS = 5,      // the leader asks for an epoch's end: frame_rts
    FRAME_FETCH = 6,    // asks host and stores for records: frame_fetch
    FRAME_FETCHED = 7,  // ends the RECORD frames that answer a FETCH: frame_fetched
    FRAME_FENCE = 8,    // leader to stores: take nothing more from these: frame_fence
    FRAME_FENCED = 9,   // a store's answer: one fence (capsule/receipt.h)
    FRAME_REFUSED = 10,   // a store to a writer: why a record was not taken: frame_refused
    FRAME_RECALL = 11,    // asks a store to say again what it holds: FRAME_NONCE_BYTES. Answer:
                          // RECEIPT and FENCE frames with the same request, and a RECALLED
    FRAME_RECALLED = 12,  // ends the answer to a RECALL: frame_recalled

    // Between an enclave and its own host.
    FRAME_START = 16,     // host: who you are to be: frame_start
    FRAME_HELLO = 17,     // enclave: my id and role: frame_hello
    FRAME_READY = 18,     // enclave: the role is taken up; body empty
    FRAME_EVIDENCE = 19,  // enclave: report data, or bare evidence; host: evidence
    FRAME_STREAM = 20,    // bytes of a TCP connection: frame_stream
    FRAME_LOG = 21,       // enclave: one log line
    FRAME_METRICS = 22,   // enclave: lines "name value\n"
    FRAME_GONE = 23,      // host to leader: the enclave `peer` has ended; body empty
    FRAME_STOP = 24,      // host: finish what is under way and exit; body empty
    FRAME_STORES = 25,    // the owner to the host: which stores there are has changed; body empty
};

struct frame {
    enum frame_kind kind;
    uint32_t request;
    struct writer_id peer;
    struct bytes body;  // borrowed
};

/* All ones: whoever leads. */
extern const struct writer_id frame_to_leader;

/*
 * All ones but for the last bit or the last but one: only stores; only workers and compactors. What
 * stores alone need the body of is sent to both, without it to the second.
 */
extern const struct writer_id frame_to_stores;
extern const struct writer_id frame_to_replicas;

/*
 * STATUS_MALFORMED: too short, too long, an unknown kind, reserved bytes set, or
 * a body where the kind has none (READY, GONE, STOP, STORES). `frame` borrows.
 */
MUST_CHECK enum status frame_decode(struct frame *frame, struct bytes bytes);

/* Write the header alone: senders gather header and body without copying the body. */
void frame_header(uint8_t target[FRAME_HEADER_BYTES], enum frame_kind kind, uint32_t request,
                  const struct writer_id *peer);

/* Append header and body to `target`. STATUS_MALFORMED: longer than FRAME_BYTES_MAX. */
MUST_CHECK enum status frame_encode(struct buffer *target, enum frame_kind kind, uint32_t request,
                                    const struct writer_id *peer, struct bytes body);

/*
 * Bodies. Each encode appends to `target`; each decode refuses trailing bytes
 * with STATUS_MALFORMED and borrows from `body`.
 */

/*
 * RTS: term 8, epoch 8, signature 64. Signed by the leader's writer key, purpose
 * "paranoid rts v1", over capsule ‖ term ‖ epoch.
 */
struct frame_rts {
    uint64_t term;
    uint64_t epoch;
    struct signature signature;
};
MUST_CHECK enum status frame_rts_encode(struct buffer *target, const struct hash *capsule,
                                        uint64_t term, uint64_t epoch,
                                        const struct sign_key *leader);
MUST_CHECK enum status frame_rts_decode(struct frame_rts *rts, struct bytes body);
MUST_CHECK enum status frame_rts_verify(const struct frame_rts *rts, const struct hash *capsule,
                                        const struct verify_key *leader);

/*
 * FETCH: records `from` to `to` (inclusive; UINT64_MAX: to the end) of one writer; a zero writer
 * means every record in the store's order, `from` counting from 1; all ones, the branch of the
 * leader of the highest term there. `to` 0: the record that admitted the writer, a MEMBER or TERM,
 * whose key has the writer's id. The answer stops before max_bytes is exceeded (but carries at
 * least one record). has_bare_tables: TABLE records come without their bodies, as if they were
 * pruned; who follows a branch needs no more of them. Writer 16, from 8, to 8, max_bytes 4,
 * has_bare_tables 1.
 */
struct frame_fetch {
    struct writer_id writer;
    uint64_t from;
    uint64_t to;
    uint32_t max_bytes;
    bool has_bare_tables;
};
MUST_CHECK enum status frame_fetch_encode(struct buffer *target, const struct frame_fetch *fetch);
MUST_CHECK enum status frame_fetch_decode(struct frame_fetch *fetch, struct bytes body);

/*
 * FETCHED: `next` is the first that was not sent; is_end: the store has nothing at or above it.
 * Writer 16, next 8, is_end 1.
 */
struct frame_fetched {
    struct writer_id writer;
    uint64_t next;
    uint8_t is_end;
};
MUST_CHECK enum status frame_fetched_encode(struct buffer *target,
                                            const struct frame_fetched *fetched);
MUST_CHECK enum status frame_fetched_decode(struct frame_fetched *fetched, struct bytes body);

/*
 * FENCE: term 8, writer 16, cut (sequence 8, hash 32), u32 length, term body, signature 64. Signed
 * by the leader's key, purpose "paranoid fence ask v2", over capsule ‖ SHA-256(everything before
 * the signature); STATUS_MALFORMED from encode: it would fit no frame. `term_body` (owner-signed,
 * capsule/term.h) proves that this key leads; a store that sees a higher term obeys it from then
 * on. A zero writer fences every open branch and every leader of a lower term, and has no cut; else
 * only that writer is fenced: beyond the cut that is proposed, which is zeroes when none is yet.
 */
struct frame_fence {
    uint64_t term;
    struct writer_id writer;
    struct head cut;
    struct bytes term_body;  // borrowed
    struct signature signature;
    struct bytes whole;  // borrowed: everything
};
MUST_CHECK enum status frame_fence_encode(struct buffer *target, const struct hash *capsule,
                                          uint64_t term, const struct writer_id *writer,
                                          const struct head *cut, struct bytes term_body,
                                          const struct sign_key *leader);
MUST_CHECK enum status frame_fence_decode(struct frame_fence *fence, struct bytes body);
MUST_CHECK enum status frame_fence_verify(const struct frame_fence *fence,
                                          const struct hash *capsule,
                                          const struct verify_key *leader);

/*
 * RECALLED: the answer to the RECALL with this nonce is whole when `digest` is
 * frame_recalled_digest() over the bodies of all its frames. `is_refilling`: the store does not
 * know itself what it has signed for. Nonce 16, is_refilling 1, digest 32, signature 64; signed by
 * the store's key, purpose "paranoid recalled v1", over capsule ‖ SHA-256(everything before).
 * Unasked, to everyone, with zeroes for nonce and digest: a store that is being refilled awaits
 * epochs.
 */
enum { FRAME_NONCE_BYTES = 16 };
struct frame_recalled {
    uint8_t nonce[FRAME_NONCE_BYTES];
    uint8_t is_refilling;
    struct hash digest;
    struct signature signature;  // made by the encoder
};
MUST_CHECK enum status frame_recalled_encode(struct buffer *target, const struct hash *capsule,
                                             const struct frame_recalled *recalled,
                                             const struct sign_key *store);
MUST_CHECK enum status frame_recalled_decode(struct frame_recalled *recalled, struct bytes body);
MUST_CHECK enum status frame_recalled_verify(const struct frame_recalled *recalled,
                                             const struct hash *capsule,
                                             const struct verify_key *store);
/* Add one more body; all zeroes at first. */
void frame_recalled_digest(struct hash *digest, struct bytes body);

/*
 * REFUSED: `status` is an enum status such as STATUS_NO_SPACE, never STATUS_OK; `sequence` the
 * first record of `writer` not taken, or, of a FENCE, the term that the store obeys: `writer` is
 * zero when it is about no record. Status 4, sequence 8, writer 16, text: the rest.
 */
struct frame_refused {
    uint32_t status;
    uint64_t sequence;
    struct writer_id writer;
    struct bytes text;  // for the log; may be a fork proof when status is STATUS_FORKED
};
MUST_CHECK enum status frame_refused_encode(struct buffer *target,
                                            const struct frame_refused *refused);
MUST_CHECK enum status frame_refused_decode(struct frame_refused *refused, struct bytes body);

/*
 * START: role and public knowledge; an enclave believes none of it before the handshake.
 * Role 1, lambda_threads 4, memtable_bytes 8, time_ms 8, capsule 32, genesis: the rest.
 */
struct frame_start {
    uint8_t role;             // enum member_role
    uint32_t lambda_threads;  // workers
    uint64_t memtable_bytes;  // what a worker keeps in memory; 0: everything
    uint64_t time_ms;         // the host's clock
    struct hash capsule;      // the capsule it is started for
    struct bytes genesis;     // borrowed
};
MUST_CHECK enum status frame_start_encode(struct buffer *target, const struct frame_start *start);
MUST_CHECK enum status frame_start_decode(struct frame_start *start, struct bytes body);

/* HELLO: role 1, writer's public key 32. */
struct frame_hello {
    uint8_t role;
    struct verify_key key;
};
MUST_CHECK enum status frame_hello_encode(struct buffer *target, const struct frame_hello *hello);
MUST_CHECK enum status frame_hello_decode(struct frame_hello *hello, struct bytes body);

/*
 * STREAM: events of TCP connection `connection`, which the host names. Both
 * directions have a window: the host may be FRAME_STREAM_WINDOW_BYTES ahead of
 * what the enclave has reported by SENT (and is cut off beyond that), and the
 * enclave as far ahead of what the host has. A report may wait for the next DATA
 * of its connection while it is below FRAME_STREAM_REPORT_BYTES: most wake nobody.
 * Connection 8, event 1, bytes: the rest; none with OPEN and CLOSE, 4 with SENT.
 */
enum frame_stream_event {
    FRAME_STREAM_OPEN = 1,
    FRAME_STREAM_DATA = 2,
    FRAME_STREAM_CLOSE = 3,
    FRAME_STREAM_SENT = 4,  // `bytes` is a u32: so many bytes reached the socket, or were taken
};
struct frame_stream {
    uint64_t connection;
    enum frame_stream_event event;
    struct bytes bytes;
};
MUST_CHECK enum status frame_stream_decode(struct frame_stream *stream, struct bytes body);
enum {
    FRAME_STREAM_PREFIX_BYTES = 9,
    FRAME_STREAM_WINDOW_BYTES = 256 * 1024,
    FRAME_STREAM_REPORT_BYTES = 64 * 1024
};
/* The part of a STREAM body before its bytes: senders gather. */
void frame_stream_prefix(uint8_t target[FRAME_STREAM_PREFIX_BYTES], uint64_t connection,
                         enum frame_stream_event event);

#endif
