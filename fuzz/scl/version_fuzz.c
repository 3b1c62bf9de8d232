/* fuzz/scl/version_fuzz.c */

/*
 * Every token is refused, or what is read of it says the same when it is written, and read again.
 */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "scl/version.h"

enum { TEXT_BYTES_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct version version, again;
    struct version_head head, same;
    char text[TEXT_BYTES_MAX];
    if (version_decode(&version, bytes_of(bytes, length)) != STATUS_OK) {
        return 0;
    }
    CHECK(version_begin(text, sizeof text, &version) == STATUS_OK);
    CHECK(version_decode(&again, bytes_text(text)) == STATUS_OK);
    CHECK(version.term == again.term && version.epoch == again.epoch);
    for (;;) {
        size_t before = version.heads.length;
        if (version_next(&version, &head) != STATUS_OK) {
            return 0;
        }
        CHECK(version.heads.length < before);
        CHECK(version_begin(text, sizeof text, &version) == STATUS_OK);
        CHECK(version_add(text, sizeof text, &head) == STATUS_OK);
        CHECK(version_decode(&again, bytes_text(text)) == STATUS_OK);
        CHECK(version_next(&again, &same) == STATUS_OK && again.heads.length == 0);
        CHECK(same.sequence == head.sequence && same.has_hash == head.has_hash);
        CHECK(memcmp(same.writer, head.writer, sizeof head.writer) == 0);
        CHECK(memcmp(same.hash, head.hash, sizeof head.hash) == 0);
    }
}
