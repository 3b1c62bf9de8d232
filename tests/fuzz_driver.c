/* tests/fuzz_driver.c */

/*
 * Runs a fuzzer without libFuzzer: every file of its corpus, the empty input,
 * and a fixed number of mutations of them. Each test run thus exercises every
 * decoder under the sanitizers, with any compiler.
 *
 * Each input lies in an allocation of exactly its length, so that
 * AddressSanitizer sees the first byte read too far.
 *
 * usage: <fuzzer> [CORPUS]; the environment's SEED starts the mutations.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

enum {
    MUTATION_COUNT = 2000,
    EDITS_MAX = 8,
    INPUT_COUNT_MAX = 4096,
    INPUT_BYTES_MAX = 1 << 20,
    GROWTH_BYTES_MAX = 64,
};

struct input {
    uint8_t *bytes;
    size_t length;
};

// The same inputs on every run, unless SEED says otherwise: a red build stays red.
static const uint64_t SEED_DEFAULT = 1;

/* splitmix64: any seed is a good one. */
static uint64_t random_next(uint64_t *random)
{
    uint64_t z = (*random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static size_t random_below(uint64_t *random, size_t bound)
{
    return bound == 0 ? 0 : (size_t)(random_next(random) % bound);
}

static void *allocate(size_t bytes)
{
    void *memory = malloc(bytes);
    if (memory == NULL) {
        fprintf(stderr, "fuzz: cannot allocate %zu bytes\n", bytes);
        exit(2);
    }
    return memory;
}

static void run(const uint8_t *bytes, size_t length)
{
    uint8_t *exact = allocate(length);
    if (length > 0) {
        memcpy(exact, bytes, length);
    }
    LLVMFuzzerTestOneInput(exact, length);
    free(exact);
}

static struct input input_read(const char *directory, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, name);

    struct input input = {.bytes = allocate(INPUT_BYTES_MAX)};
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fprintf(stderr, "fuzz: cannot read '%s'\n", path);
        exit(2);
    }
    input.length = fread(input.bytes, 1, INPUT_BYTES_MAX, file);
    fclose(file);

    uint8_t *fitted = realloc(input.bytes, input.length + 1);
    if (fitted != NULL) {
        input.bytes = fitted;
    }
    return input;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Sorted by name: the seed alone decides what is run. Returns how many were read. */
static size_t corpus_read(struct input *inputs, const char *directory)
{
    struct stat found;
    if (stat(directory, &found) != 0) {
        return 0;  // a fuzzer may have no corpus
    }
    struct dirent **entries = NULL;
    int entry_count = scandir(directory, &entries, is_visible, alphasort);
    if (entry_count < 0) {
        fprintf(stderr, "fuzz: cannot list '%s'\n", directory);
        exit(2);
    }
    size_t input_count = 0;
    for (int i = 0; i < entry_count; i++) {
        if (input_count < INPUT_COUNT_MAX) {
            inputs[input_count] = input_read(directory, entries[i]->d_name);
            input_count++;
        }
        free(entries[i]);
    }
    free(entries);
    return input_count;
}

/* One edit of `bytes`, which has room for GROWTH_BYTES_MAX more. Returns the new length. */
static size_t edit(uint8_t *bytes, size_t length, uint64_t *random)
{
    static const uint8_t edges[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    size_t at = random_below(random, length);

    if (length == 0 || random_below(random, 6) == 0) {  // insert a few bytes
        size_t grown = 1 + random_below(random, GROWTH_BYTES_MAX / EDITS_MAX);
        memmove(bytes + at + grown, bytes + at, length - at);
        for (size_t i = 0; i < grown; i++) {
            bytes[at + i] = (uint8_t)random_next(random);
        }
        return length + grown;
    }
    switch (random_below(random, 5)) {
    case 0:  // flip a bit
        bytes[at] = (uint8_t)(bytes[at] ^ (1u << random_below(random, 8)));
        return length;
    case 1:  // a byte at its edge
        bytes[at] = edges[random_below(random, sizeof edges)];
        return length;
    case 2:  // any byte
        bytes[at] = (uint8_t)random_next(random);
        return length;
    case 3:  // drop a few bytes
    {
        size_t dropped = 1 + random_below(random, length - at < 8 ? length - at : 8);
        memmove(bytes + at, bytes + at + dropped, length - at - dropped);
        return length - dropped;
    }
    default:  // cut the end off
        return at;
    }
}

static void run_mutation(const struct input *inputs, size_t input_count, uint64_t *random)
{
    // One past the corpus is the empty input, which edits turn into noise.
    size_t chosen = random_below(random, input_count + 1);
    size_t length = chosen < input_count ? inputs[chosen].length : 0;

    uint8_t *bytes = allocate(length + GROWTH_BYTES_MAX);
    if (length > 0) {
        memcpy(bytes, inputs[chosen].bytes, length);
    }
    size_t edits = 1 + random_below(random, EDITS_MAX);
    for (size_t i = 0; i < edits; i++) {
        length = edit(bytes, length, random);
    }
    run(bytes, length);
    free(bytes);
}

int main(int argc, char **argv)
{
    const char *seed_text = getenv("SEED");
    uint64_t seed = seed_text != NULL ? strtoull(seed_text, NULL, 0) : SEED_DEFAULT;

    static struct input inputs[INPUT_COUNT_MAX];
    size_t input_count = argc > 1 ? corpus_read(inputs, argv[1]) : 0;
    printf("SEED=%" PRIu64 ", %zu corpus files, %d mutations\n", seed, input_count, MUTATION_COUNT);
    fflush(stdout);

    run(NULL, 0);
    for (size_t i = 0; i < input_count; i++) {
        run(inputs[i].bytes, inputs[i].length);
    }
    uint64_t random = seed;
    for (int i = 0; i < MUTATION_COUNT; i++) {
        run_mutation(inputs, input_count, &random);
    }
    for (size_t i = 0; i < input_count; i++) {
        free(inputs[i].bytes);
    }
    return 0;
}
