/* tests/e2e/flip.c */

/*
 * Flip each byte of a capsule in turn and see each refused: what `paranoid capsule verify` does,
 * linked into one process, because thousands of programs would take too long.
 *
 * usage: flip GENESIS CAPSULE_DIRECTORY FIRST END
 *
 * Changes bytes FIRST to END of the directory's first segment, one at a time, each back before the
 * next: give it a copy. A byte inside an entry is changed a second time with the entry's checksum
 * made right again, as somebody who means it would: then hashes and signatures have to see it.
 * Prints how many were refused for which reason, and each that passed or was refused without a
 * place being named.
 *
 * Exit status: 0 each was refused, 1 one was not, 3 could not.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/file.h"
#include "cli/survey.h"
#include "crypto/crypto.h"
#include "store/segment.h"

enum { FILE_BYTES_MAX = 1 << 20, STATUS_COUNT = 64, PATH_BYTES = 4096 };

struct flips {
    struct bytes genesis;
    const char *directory;
    struct buffer segment;  // as it was
    int fd;
    uint64_t now_s;
    size_t wrong_count;
};

/* How many were refused with which status. */
struct tally {
    const char *what;
    size_t by_status[STATUS_COUNT];
};

static void put(const struct flips *flips, const uint8_t *bytes, size_t length, uint64_t offset)
{
    CHECK(pwrite(flips->fd, bytes, length, (off_t)offset) == (ssize_t)length);
}

/* The status, and why. */
static enum status survey_once(const struct flips *flips, char reason[SURVEY_REASON_BYTES])
{
    struct survey survey = {.capsule = NULL};
    const char *const directories[] = {flips->directory};
    enum status status = survey_run(&survey, flips->genesis, directories, 1, flips->now_s);
    memcpy(reason, survey.reason, SURVEY_REASON_BYTES);
    survey_release(&survey);
    return status;
}

static bool is_refusal(enum status status)
{
    return status != STATUS_OK && status != STATUS_IO && status != STATUS_NO_MEMORY &&
           status != STATUS_NOT_FOUND;
}

static void judge(struct flips *flips, struct tally *tally, uint64_t offset)
{
    char reason[SURVEY_REASON_BYTES] = "";
    enum status status = survey_once(flips, reason);
    tally->by_status[status]++;
    bool names_place = strstr(reason, "record ") != NULL || strstr(reason, "offset ") != NULL ||
                       strstr(reason, "segment-") != NULL;
    if (!is_refusal(status) || !names_place) {
        flips->wrong_count++;
        printf("byte %" PRIu64 ", %s: %s, '%s'\n", offset, tally->what, status_text(status),
               reason);
    }
}

static uint8_t flipped(const struct flips *flips, uint64_t offset)
{
    return (uint8_t)(flips->segment.bytes[offset] ^ 1u << (offset % 8));
}

static void flip_plainly(struct flips *flips, struct tally *tally, uint64_t offset)
{
    const uint8_t byte = flipped(flips, offset);
    put(flips, &byte, 1, offset);
    judge(flips, tally, offset);
    put(flips, flips->segment.bytes + offset, 1, offset);
}

/* The same, and the checksum of its entry made right. */
static void flip_with_care(struct flips *flips, struct tally *tally, uint64_t offset,
                           const struct segment_entry *entry)
{
    struct buffer content = BUFFER_EMPTY, whole = BUFFER_EMPTY;
    size_t at = (size_t)(offset - entry->offset - SEGMENT_ENTRY_HEAD_BYTES);
    CHECK(buffer_append(&content, entry->content.at, entry->content.length) == STATUS_OK);
    content.bytes[at] = flipped(flips, offset);
    CHECK(segment_entry_encode(&whole, buffer_bytes(&content)) == STATUS_OK);
    put(flips, whole.bytes, whole.length, entry->offset);
    judge(flips, tally, offset);
    put(flips, flips->segment.bytes + entry->offset, whole.length, entry->offset);
    buffer_release(&content);
    buffer_release(&whole);
}

static void flip_all(struct flips *flips, uint64_t first, uint64_t end, struct tally *plain,
                     struct tally *careful)
{
    struct segment_reader reader;
    struct segment_entry entry;
    for (uint64_t offset = first; offset < end; offset++) {
        flip_plainly(flips, plain, offset);
    }
    CHECK(segment_reader_init(&reader, buffer_bytes(&flips->segment)) == STATUS_OK);
    while (segment_read(&reader, &entry) == STATUS_OK) {
        uint64_t content = entry.offset + SEGMENT_ENTRY_HEAD_BYTES;
        for (uint64_t offset = content; offset < content + entry.content.length; offset++) {
            if (first <= offset && offset < end) {
                flip_with_care(flips, careful, offset, &entry);
            }
        }
    }
}

static void print_tally(const struct tally *tally)
{
    for (size_t i = 0; i < STATUS_COUNT; i++) {
        if (tally->by_status[i] > 0) {
            printf("%s: %zu %s\n", tally->what, tally->by_status[i], status_text((enum status)i));
        }
    }
}

int main(int count, char **words)
{
    struct buffer genesis = BUFFER_EMPTY;
    struct flips flips = {.now_s = (uint64_t)time(NULL)};
    struct tally plain = {.what = "flipped"}, careful = {.what = "flipped, checksum made right"};
    char path[PATH_BYTES], reason[SURVEY_REASON_BYTES];
    if (count != 5) {
        fprintf(stderr, "usage: flip GENESIS CAPSULE_DIRECTORY FIRST END\n");
        return 2;
    }
    crypto_init();
    snprintf(path, sizeof path, "%s/segment-00000001", words[2]);
    flips.directory = words[2];
    flips.fd = open(path, O_RDWR | O_CLOEXEC);
    if (flips.fd < 0 || file_read(&genesis, words[1], FILE_BYTES_MAX) != STATUS_OK ||
        file_read(&flips.segment, path, FILE_BYTES_MAX) != STATUS_OK) {
        fprintf(stderr, "flip: cannot read '%s' or '%s'\n", words[1], path);
        return 3;
    }
    flips.genesis = buffer_bytes(&genesis);
    uint64_t first = strtoull(words[3], NULL, 10), end = strtoull(words[4], NULL, 10);
    CHECK(first <= end && end <= flips.segment.length);

    enum status status = survey_once(&flips, reason);
    if (status != STATUS_OK) {
        printf("unchanged: %s, '%s'\n", status_text(status), reason);
        return 3;
    }
    flip_all(&flips, first, end, &plain, &careful);
    print_tally(&plain);
    print_tally(&careful);
    status = survey_once(&flips, reason);
    buffer_release(&genesis);
    buffer_release(&flips.segment);
    close(flips.fd);
    return flips.wrong_count == 0 && status == STATUS_OK ? 0 : 1;
}
