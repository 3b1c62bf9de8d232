/* tests/e2e/thief.c */

/*
 * Somebody who has taken over a machine: takes a worker's signing key from its memory, and writes
 * records with it into a store's file.
 *
 * usage: thief steal PID WRITER
 *        thief append GENESIS STORE SEED SIGNING_KEY KEY VALUE
 *
 * `steal` prints the seed of the Ed25519 key whose writer id is WRITER (hexadecimal). `append` adds
 * to the log in the directory STORE a DATA record that follows the last one of that writer that
 * counts and puts KEY; SEED is the file of the app's master seed, which stands for the data key of
 * the key epoch that the worker had last. Prints the record's sequence.
 *
 * Exit status: 0 done, 1 the key is not there, 3 could not.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/hex.h"
#include "capsule/keys.h"
#include "capsule/seal.h"
#include "capsule/tuple.h"
#include "cli/file.h"
#include "cli/survey.h"
#include "crypto/crypto.h"
#include "store/segment.h"

enum {
    FILE_BYTES_MAX = 128 << 20,
    REGION_BYTES_MAX = 1 << 20,
    CHUNK_BYTES = 1 << 20,
    SEED_ALIGNMENT = 8,
    PATH_BYTES = 4096
};

// ---- steal ----

/* Whether `bytes` are a seed and, behind it, the public key of this writer. */
static bool is_key(const uint8_t *bytes, const struct writer_id *writer)
{
    struct verify_key public_key;
    memcpy(public_key.bytes, bytes + SIGN_SEED_BYTES, SIGN_PUBLIC_BYTES);
    const struct writer_id id = writer_id_of(&public_key);
    if (!writer_id_equal(&id, writer)) {
        return false;
    }
    struct sign_key *key = sign_key_new_from_seed(bytes);
    const struct verify_key made = sign_key_public(key);
    sign_key_free(key);
    return memcmp(made.bytes, public_key.bytes, SIGN_PUBLIC_BYTES) == 0;
}

static bool search(int memory, uint64_t from, uint64_t until, const struct writer_id *writer)
{
    enum { KEY_BYTES = SIGN_SEED_BYTES + SIGN_PUBLIC_BYTES };
    static uint8_t chunk[CHUNK_BYTES];
    for (uint64_t at = from; at + KEY_BYTES <= until; at += CHUNK_BYTES - KEY_BYTES) {
        uint64_t left = until - at;
        ssize_t got = pread(memory, chunk, left < CHUNK_BYTES ? left : CHUNK_BYTES, (off_t)at);
        for (ssize_t i = 0; i + KEY_BYTES <= got; i += SEED_ALIGNMENT) {
            if (is_key(chunk + i, writer)) {
                char digits[2 * SIGN_SEED_BYTES + 1];
                hex_encode(digits, chunk + i, SIGN_SEED_BYTES);
                printf("%s\n", digits);
                return true;
            }
        }
    }
    return false;
}

static int steal(const char *pid, const char *digits)
{
    struct writer_id writer;
    char path[64], line[512];
    bool is_found = false;
    snprintf(path, sizeof path, "/proc/%.20s/maps", pid);
    FILE *maps = fopen(path, "r");
    snprintf(path, sizeof path, "/proc/%.20s/mem", pid);
    int memory = open(path, O_RDONLY);
    if (maps == NULL || memory < 0 ||
        !hex_decode(writer.bytes, sizeof writer.bytes, digits, strlen(digits))) {
        perror("thief: cannot read the memory");
        return 3;
    }
    while (!is_found && fgets(line, sizeof line, maps) != NULL) {
        uint64_t from, until;
        char rights[8];
        // What libsodium guards lies in pages of its own; engines reserve gigabytes beside them.
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s", &from, &until, rights) == 3 &&
            strncmp(rights, "rw-p", 4) == 0 && until - from <= REGION_BYTES_MAX) {
            is_found = search(memory, from, until, &writer);
        }
    }
    fclose(maps);
    close(memory);
    return is_found ? 0 : 1;
}

// ---- append ----

static struct secret *read_seed(const char *path)
{
    struct buffer text = BUFFER_EMPTY;
    uint8_t bytes[SECRET_BYTES];
    CHECK(file_read(&text, path, 1024) == STATUS_OK);
    CHECK(text.length >= 2 * sizeof bytes &&
          hex_decode(bytes, sizeof bytes, (const char *)text.bytes, 2 * sizeof bytes));
    buffer_release(&text);
    return secret_new_copy(bytes);
}

/* The epoch of the last record of this branch that counts. */
static uint64_t last_epoch(const struct survey *survey, const struct writer_id *writer,
                           uint64_t sequence)
{
    for (size_t i = 0; i < survey->record_count; i++) {
        if (survey->records[i].sequence == sequence &&
            writer_id_equal(&survey->records[i].writer_id, writer)) {
            return survey->records[i].epoch;
        }
    }
    CHECK(false);
    return 0;
}

static void forge(const struct survey *survey, const struct secret *seed,
                  const struct sign_key *key, const struct tuple *wanted, struct buffer *record)
{
    const struct verify_key public_key = sign_key_public(key);
    const struct writer_id writer = writer_id_of(&public_key);
    const struct capsule_member *member = capsule_member_find(survey->capsule, &writer);
    CHECK(member != NULL);
    const struct head last = member->is_closed ? member->cut : member->head;
    struct secret *data_key =
        keys_data(seed, capsule_name(survey->capsule), member->joined_key_epoch);
    struct aead_key *body_key = seal_key_new(data_key, capsule_name(survey->capsule), &public_key);
    struct tuple_batch batch = {.plain = BUFFER_EMPTY};
    struct tuple tuple = *wanted;
    struct hash hash;
    const struct record_fields fields = {
        .type = RECORD_DATA,
        .key_epoch = member->joined_key_epoch,
        .sequence = last.sequence + 1,
        .epoch = last_epoch(survey, &writer, last.sequence),
        .writer = writer,
        .capsule = *capsule_name(survey->capsule),
        .parents = &last.hash,
        .parent_count = 1,
    };
    tuple.lamport = member->joined_lamport + (1 << 20);
    CHECK(tuple_batch_add(&batch, &tuple) == STATUS_OK);
    CHECK(seal_record(record, &hash, &fields, buffer_bytes(&batch.plain), body_key, key) ==
          STATUS_OK);
    printf("%" PRIu64 "\n", fields.sequence);
    tuple_batch_release(&batch);
    aead_key_free(body_key);
    secret_free(data_key);
}

/* The newest segment: its number is in its name. */
static void newest_segment(char path[PATH_BYTES], const char *directory)
{
    unsigned newest = 0, number;
    DIR *entries = opendir(directory);
    CHECK(entries != NULL);
    for (struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries)) {
        if (sscanf(entry->d_name, "segment-%8u", &number) == 1 && number > newest) {
            newest = number;
        }
    }
    closedir(entries);
    CHECK(newest > 0);
    snprintf(path, PATH_BYTES, "%.3000s/segment-%08u", directory, newest);
}

static void write_entry(const char *directory, struct bytes record)
{
    char path[PATH_BYTES];
    struct buffer file = BUFFER_EMPTY, entry = BUFFER_EMPTY;
    struct segment_reader reader;
    struct segment_entry found;
    newest_segment(path, directory);
    CHECK(file_read(&file, path, FILE_BYTES_MAX) == STATUS_OK);
    CHECK(segment_reader_init(&reader, buffer_bytes(&file)) == STATUS_OK);
    enum status status = segment_read(&reader, &found);
    while (status == STATUS_OK) {
        status = segment_read(&reader, &found);
    }
    CHECK(status == STATUS_EMPTY);
    CHECK(segment_entry_encode(&entry, record) == STATUS_OK);
    int fd = open(path, O_WRONLY);
    CHECK(fd >= 0 &&
          pwrite(fd, entry.bytes, entry.length, (off_t)reader.offset) == (ssize_t)entry.length);
    close(fd);
    buffer_release(&file);
    buffer_release(&entry);
}

static int append(char *const words[])
{
    struct survey survey = {.capsule = NULL};
    struct buffer genesis = BUFFER_EMPTY, record = BUFFER_EMPTY;
    const char *const directories[] = {words[1]};
    uint8_t signing_seed[SIGN_SEED_BYTES];
    struct secret *seed = read_seed(words[2]);
    const struct tuple tuple = {
        .kind = TUPLE_PUT, .key = bytes_text(words[4]), .value = bytes_text(words[5])};
    CHECK(hex_decode(signing_seed, sizeof signing_seed, words[3], strlen(words[3])));
    CHECK(file_read(&genesis, words[0], FILE_BYTES_MAX) == STATUS_OK);
    enum status status =
        survey_run(&survey, buffer_bytes(&genesis), directories, 1, (uint64_t)time(NULL));
    if (status != STATUS_OK) {
        fprintf(stderr, "thief: the store does not verify: %s\n", survey.reason);
        return 3;
    }
    struct sign_key *key = sign_key_new_from_seed(signing_seed);
    forge(&survey, seed, key, &tuple, &record);
    write_entry(words[1], buffer_bytes(&record));
    sign_key_free(key);
    secret_free(seed);
    buffer_release(&record);
    buffer_release(&genesis);
    survey_release(&survey);
    return 0;
}

int main(int count, char **words)
{
    crypto_init();
    if (count == 4 && strcmp(words[1], "steal") == 0) {
        return steal(words[2], words[3]);
    }
    if (count == 8 && strcmp(words[1], "append") == 0) {
        return append(words + 2);
    }
    fputs("usage: thief steal PID WRITER | append GENESIS STORE SEED SIGNING_KEY KEY VALUE\n",
          stderr);
    return 3;
}
