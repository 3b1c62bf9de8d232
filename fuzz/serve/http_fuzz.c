/* fuzz/serve/http_fuzz.c */

/*
 * A stream of requests must read the same however it is cut: whole, and in
 * pieces of a size that the first byte names.
 */
#define _GNU_SOURCE  // memmem()
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "serve/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

enum { REQUEST_COUNT_MAX = 16 };

struct outcome {
    enum status status;
    unsigned refusal;
    size_t used;  // of the stream, so far
    enum http_method method;
    bool keeps_alive;
    size_t header_count;
    struct buffer text;  // path, query, token and body, one after the other
};

static void keep(struct buffer *text, struct bytes part)
{
    CHECK(buffer_append(text, part.at, part.length) == STATUS_OK);
}

/* What a request says; and what the parser promises about it. */
static void outcome_take(struct outcome *outcome, const struct http_request *request)
{
    CHECK(request->path.length > 0 && request->path.at[0] == '/');
    CHECK(memchr(request->path.at, 0, request->path.length) == NULL);
    CHECK(memmem(request->path.at, request->path.length, "/../", 4) == NULL);
    outcome->method = request->method;
    outcome->keeps_alive = request->keeps_alive;
    outcome->header_count = request->header_count;
    keep(&outcome->text, request->path);
    keep(&outcome->text, request->query);
    keep(&outcome->text, request->token);
    keep(&outcome->text, request->body);
    for (size_t i = 0; i < request->header_count; i++) {
        CHECK(request->headers[i].name.length > 0);
        keep(&outcome->text, request->headers[i].name);
        keep(&outcome->text, request->headers[i].value);
    }
}

/* Feed in pieces of `step` bytes. Returns how many outcomes there are. */
static size_t run(struct outcome *outcomes, const uint8_t *bytes, size_t length, size_t step)
{
    const struct http_limits limits = {.head_bytes_max = 512, .body_bytes_max = 64};
    struct http_parser *parser = http_new(&limits);
    CHECK(parser != NULL);
    size_t used = 0;
    size_t count = 0;
    while (used < length && count < REQUEST_COUNT_MAX) {
        size_t piece_bytes = length - used < step ? length - used : step;
        uint8_t *piece = malloc(piece_bytes);
        CHECK(piece != NULL);
        memcpy(piece, bytes + used, piece_bytes);
        size_t piece_used;
        enum status status = http_feed(parser, bytes_of(piece, piece_bytes), &piece_used);
        free(piece);
        CHECK(piece_used <= piece_bytes);
        if (status == STATUS_EMPTY) {
            CHECK(piece_used == piece_bytes);
            used += piece_used;
            continue;
        }
        struct outcome *outcome = &outcomes[count];
        *outcome = (struct outcome){.status = status};
        count++;
        if (status != STATUS_OK) {
            outcome->refusal = http_refusal(parser)->status;
            CHECK(outcome->refusal >= 400);
            break;  // how far a refusal has read may depend on the cut
        }
        used += piece_used;
        outcome->used = used;
        outcome_take(outcome, http_request(parser));
        http_reset(parser);
    }
    http_free(parser);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    if (length < 1) {
        return 0;
    }
    static struct outcome whole[REQUEST_COUNT_MAX], cut[REQUEST_COUNT_MAX];
    size_t whole_count = run(whole, bytes + 1, length - 1, SIZE_MAX);
    size_t cut_count = run(cut, bytes + 1, length - 1, (size_t)bytes[0] % 32 + 1);
    CHECK(whole_count == cut_count);
    for (size_t i = 0; i < whole_count; i++) {
        CHECK(whole[i].status == cut[i].status);
        CHECK(whole[i].refusal == cut[i].refusal);
        CHECK(whole[i].used == cut[i].used);
        CHECK(whole[i].method == cut[i].method);
        CHECK(whole[i].keeps_alive == cut[i].keeps_alive);
        CHECK(whole[i].header_count == cut[i].header_count);
        CHECK(bytes_equal(buffer_bytes(&whole[i].text), buffer_bytes(&cut[i].text)));
        buffer_release(&whole[i].text);
        buffer_release(&cut[i].text);
    }
    return 0;
}
