/* fuzz/capsule/sync_fuzz.c */

/* An EOE, SYNC or CLOSE (the first byte chooses) that decodes encodes to the same bytes. */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "capsule/sync.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static enum status again_eoe(struct buffer *again, struct bytes body)
{
    static struct branch_head heads[SYNC_HEADS_MAX];
    struct eoe eoe;
    enum status status = sync_eoe_decode(&eoe, body);
    if (status != STATUS_OK) {
        return status;
    }
    for (uint32_t i = 0; i < eoe.head_count; i++) {
        heads[i] = sync_eoe_head(&eoe, i);
    }
    return sync_eoe_encode(again, &eoe, heads);
}

static enum status again_sync(struct buffer *again, struct bytes body)
{
    static struct sync_head heads[SYNC_HEADS_MAX];
    struct sync_body sync;
    enum status status = sync_decode(&sync, body);
    if (status != STATUS_OK) {
        return status;
    }
    for (uint32_t i = 0; i < sync.head_count; i++) {
        heads[i] = sync_head_at(&sync, i);
    }
    return sync_encode(again, &sync, heads);
}

static enum status again_close(struct buffer *again, struct bytes body)
{
    struct sync_close close;
    enum status status = sync_close_decode(&close, body);
    return status == STATUS_OK ? sync_close_encode(again, &close) : status;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    if (length == 0) {
        return 0;
    }
    struct bytes body = bytes_of(bytes + 1, length - 1);
    struct buffer again = BUFFER_EMPTY;
    enum status status = bytes[0] % 3 == 0   ? again_eoe(&again, body)
                         : bytes[0] % 3 == 1 ? again_sync(&again, body)
                                             : again_close(&again, body);
    if (status == STATUS_OK) {
        CHECK(bytes_equal(buffer_bytes(&again), body));
    }
    buffer_release(&again);
    return 0;
}
