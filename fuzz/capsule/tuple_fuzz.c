/* fuzz/capsule/tuple_fuzz.c */

/* A batch that decodes whole, tuple by tuple, encodes to the same bytes. */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "capsule/tuple.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct bytes plain = bytes_of(bytes, length);
    struct tuple_batch batch = {.plain = BUFFER_EMPTY};
    struct tuple_reader reader;
    struct tuple tuple;
    enum status status = tuple_reader_init(&reader, plain);
    if (status == STATUS_OK) {
        batch.tag = reader.tag;
    }
    while (status == STATUS_OK) {
        status = tuple_reader_next(&reader, &tuple);
        if (status == STATUS_OK) {
            CHECK(tuple_batch_add(&batch, &tuple) == STATUS_OK);
        }
    }
    uint64_t last = 0;
    CHECK((tuple_verify_batch(plain, &last) == STATUS_OK) == (status == STATUS_EMPTY));
    if (status == STATUS_EMPTY) {
        CHECK(last == batch.last_lamport);
        CHECK(bytes_equal(buffer_bytes(&batch.plain), plain));
    }
    tuple_batch_release(&batch);
    return 0;
}
