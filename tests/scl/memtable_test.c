/* tests/scl/memtable_test.c */

/*
 * Goal: the map is a function of the set of writes, never of their order;
 * keys come in byte order; what a reader borrowed stays until its section
 * ends; and the figures add up.
 * Method: apply every order of arrival of small sets of writes; compare
 * seeded random tables with a sorted array; run readers as real threads beside
 * the writer, where every value names its key and version, so that a torn,
 * freed or older one shows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "scl/key_index.h"
#include "scl/memtable.h"

struct fixture {
    struct memtable *memtable;
    struct memtable_reader *reader;
};

static int setup(void **state)
{
    static struct fixture f;
    assert_int_equal(memtable_new(&f.memtable), STATUS_OK);
    assert_int_equal(memtable_reader_new(&f.reader, f.memtable), STATUS_OK);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    memtable_reader_free(f->reader);
    memtable_free(f->memtable);
    return 0;
}

static struct memtable_entry entry_of(const char *key, const char *value, uint64_t lamport,
                                      uint8_t writer)
{
    return (struct memtable_entry){
        .key = bytes_text(key),
        .value = bytes_text(value),
        .expiry_ms = 7000 + lamport,
        .version = {.lamport = lamport,
                    .writer.bytes = {[15] = writer},
                    .origin = writer,
                    .sequence = 100 + lamport},
    };
}

static struct memtable_entry tombstone_of(const char *key, uint64_t lamport, uint8_t writer)
{
    struct memtable_entry entry = entry_of(key, "", lamport, writer);
    entry.is_tombstone = true;
    return entry;
}

static void assert_entry_equal(const struct memtable_entry *a, const struct memtable_entry *b)
{
    assert_true(bytes_equal(a->key, b->key));
    assert_true(bytes_equal(a->value, b->value));
    assert_int_equal(a->expiry_ms, b->expiry_ms);
    assert_int_equal(a->is_tombstone, b->is_tombstone);
    assert_int_equal(a->version.lamport, b->version.lamport);
    assert_memory_equal(&a->version.writer, &b->version.writer, sizeof a->version.writer);
    assert_int_equal(a->version.origin, b->version.origin);
    assert_int_equal(a->version.sequence, b->version.sequence);
}

static void assert_holds(struct fixture *f, const struct memtable_entry *expected)
{
    struct memtable_entry found;
    memtable_reader_begin(f->reader);
    assert_int_equal(memtable_get(f->reader, expected->key, &found), STATUS_OK);
    assert_entry_equal(&found, expected);
    memtable_reader_end(f->reader);
}

static void an_empty_table_holds_nothing(void **state)
{
    struct fixture *f = *state;
    struct memtable_entry found;
    memtable_reader_begin(f->reader);
    assert_int_equal(memtable_get(f->reader, bytes_text("a"), &found), STATUS_NOT_FOUND);
    assert_int_equal(memtable_seek(f->reader, bytes_text(""), false, &found), STATUS_NOT_FOUND);
    memtable_reader_end(f->reader);
    assert_int_equal(memtable_count(f->memtable), 0);
}

static void gives_back_every_field_and_copies_what_it_was_given(void **state)
{
    struct fixture *f = *state;
    char key[] = "key", value[] = "value";
    const struct memtable_entry given = entry_of(key, value, 5, 2);
    assert_int_equal(memtable_apply(f->memtable, &given), STATUS_OK);
    memset(key, 'x', 3);
    memset(value, 'x', 5);
    const struct memtable_entry expected = entry_of("key", "value", 5, 2);
    assert_holds(f, &expected);
}

static void tells_keys_apart_that_begin_alike(void **state)
{
    struct fixture *f = *state;
    const char *keys[] = {"", "a", "ab", "abc", "b"};
    for (size_t i = 0; i < 5; i++) {
        const struct memtable_entry entry = entry_of(keys[i], keys[i], i + 1, 1);
        assert_int_equal(memtable_apply(f->memtable, &entry), STATUS_OK);
    }
    for (size_t i = 0; i < 5; i++) {
        const struct memtable_entry entry = entry_of(keys[i], keys[i], i + 1, 1);
        assert_holds(f, &entry);
    }
    assert_int_equal(memtable_count(f->memtable), 5);
}

/* Apply the writes in the order that `rank` numbers, and see the highest version win each time. */
static void apply_in_order(const struct memtable_entry *writes, size_t count, size_t rank)
{
    struct fixture f;
    assert_int_equal(memtable_new(&f.memtable), STATUS_OK);
    assert_int_equal(memtable_reader_new(&f.reader, f.memtable), STATUS_OK);
    size_t left[8];
    for (size_t i = 0; i < count; i++) {
        left[i] = i;
    }
    size_t best = 0;
    for (size_t i = 0; i < count; i++) {
        size_t pick = rank % (count - i);
        rank /= count - i;
        size_t index = left[pick];
        memmove(&left[pick], &left[pick + 1], (count - i - pick - 1) * sizeof *left);

        // `writes` rise in version, so the highest index so far wins.
        bool wins = i == 0 || index > best;
        assert_int_equal(memtable_apply(f.memtable, &writes[index]),
                         wins ? STATUS_OK : STATUS_STALE);
        best = wins ? index : best;
        assert_holds(&f, &writes[best]);
    }
    assert_int_equal(memtable_count(f.memtable), 1);
    memtable_reader_free(f.reader);
    memtable_free(f.memtable);
}

static void p5_every_order_of_arrival_ends_in_the_same_map(void **state)
{
    (void)state;
    const struct memtable_entry writes[] = {
        entry_of("k", "first", 1, 9),  entry_of("k", "second", 2, 1), tombstone_of("k", 2, 2),
        entry_of("k", "fourth", 2, 3), tombstone_of("k", 3, 1),
    };
    for (size_t rank = 0; rank < 120; rank++) {
        apply_in_order(writes, 5, rank);
    }
}

static void p5_of_equal_lamports_the_higher_writer_wins_by_its_first_byte_first(void **state)
{
    (void)state;
    struct memtable_entry writes[] = {
        entry_of("k", "low", 4, 0xff),
        entry_of("k", "middle", 4, 0),
        entry_of("k", "high", 4, 0),
    };
    writes[1].version.writer.bytes[0] = 0x7f;
    writes[2].version.writer.bytes[0] = 0x80;  // would be negative as a signed byte
    for (size_t rank = 0; rank < 6; rank++) {
        apply_in_order(writes, 3, rank);
    }
}

static void p5_the_same_version_again_changes_nothing(void **state)
{
    struct fixture *f = *state;
    const struct memtable_entry first = entry_of("k", "first", 4, 1);
    const struct memtable_entry again = entry_of("k", "other bytes", 4, 1);
    assert_int_equal(memtable_apply(f->memtable, &first), STATUS_OK);
    uint64_t bytes = memtable_bytes(f->memtable);
    assert_int_equal(memtable_apply(f->memtable, &first), STATUS_STALE);
    assert_int_equal(memtable_apply(f->memtable, &again), STATUS_STALE);
    assert_holds(f, &first);
    assert_int_equal(memtable_bytes(f->memtable), bytes);
}

static void p5_versions_compare_as_unsigned(void **state)
{
    (void)state;
    const struct memtable_entry writes[] = {
        entry_of("k", "small", 1, 1),
        entry_of("k", "large", 1ull << 63, 1),
        entry_of("k", "largest", UINT64_MAX, 1),
    };
    for (size_t rank = 0; rank < 6; rank++) {
        apply_in_order(writes, 3, rank);
    }
}

static void a_tombstone_is_found_and_keeps_older_puts_out(void **state)
{
    struct fixture *f = *state;
    const struct memtable_entry deleted = tombstone_of("k", 5, 1);
    const struct memtable_entry older = entry_of("k", "older", 4, 9);
    const struct memtable_entry newer = entry_of("k", "newer", 6, 1);
    assert_int_equal(memtable_apply(f->memtable, &deleted), STATUS_OK);
    assert_int_equal(memtable_apply(f->memtable, &older), STATUS_STALE);
    assert_holds(f, &deleted);

    struct memtable_entry found;
    memtable_reader_begin(f->reader);
    assert_int_equal(memtable_seek(f->reader, bytes_text(""), false, &found), STATUS_OK);
    assert_true(found.is_tombstone);
    memtable_reader_end(f->reader);

    assert_int_equal(memtable_apply(f->memtable, &newer), STATUS_OK);
    assert_holds(f, &newer);
    assert_int_equal(memtable_count(f->memtable), 1);
}

enum { RANDOM_KEYS = 20000, RANDOM_KEY_BYTES_MAX = 6, RANDOM_SEEKS = 20000 };

struct random_key {
    uint8_t bytes[RANDOM_KEY_BYTES_MAX];
    size_t length;
};

static unsigned long long seed_of_run(void)
{
    const char *text = getenv("SEED");
    unsigned long long seed = text == NULL ? 8121 : strtoull(text, NULL, 10);
    print_message("SEED=%llu\n", seed);
    return seed;
}

/* Few letters, so that keys often begin alike and often come again. */
static struct random_key draw_key(const struct random *random)
{
    struct random_key key = {.length = 0};
    uint8_t drawn[RANDOM_KEY_BYTES_MAX + 1];
    random_fill(random, drawn, sizeof drawn);
    key.length = drawn[RANDOM_KEY_BYTES_MAX] % (RANDOM_KEY_BYTES_MAX + 1);
    for (size_t i = 0; i < key.length; i++) {
        key.bytes[i] = (uint8_t)(drawn[i] % 7 * 42);  // 0 to 252: bytes above 127 too
    }
    return key;
}

static struct bytes key_bytes(const struct random_key *key)
{
    return bytes_of(key->bytes, key->length);
}

static int compare_keys(const void *a, const void *b)
{
    return bytes_compare(key_bytes(a), key_bytes(b));
}

static size_t sort_and_drop_doubles(struct random_key *keys, size_t count)
{
    qsort(keys, count, sizeof *keys, compare_keys);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || compare_keys(&keys[kept - 1], &keys[i]) != 0) {
            keys[kept++] = keys[i];
        }
    }
    return kept;
}

/* The first of the sorted keys at `from` or after it, by looking at each half. */
static size_t reference_seek(const struct random_key *keys, size_t count, struct bytes from,
                             bool is_after)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = bytes_compare(key_bytes(&keys[middle]), from);
        if (order < 0 || (order == 0 && is_after)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void seek_finds_what_a_sorted_array_finds(void **state)
{
    struct fixture *f = *state;
    struct random_seeded storage;
    const struct random random = random_seeded(&storage, seed_of_run());
    struct random_key *keys = calloc(RANDOM_KEYS, sizeof *keys);
    assert_non_null(keys);
    for (size_t i = 0; i < RANDOM_KEYS; i++) {
        keys[i] = draw_key(&random);
        const struct memtable_entry entry = {
            .key = key_bytes(&keys[i]),
            .value = key_bytes(&keys[i]),
            .version = {.lamport = i + 1},
        };
        assert_int_equal(memtable_apply(f->memtable, &entry), STATUS_OK);
    }
    size_t count = sort_and_drop_doubles(keys, RANDOM_KEYS);
    assert_int_equal(memtable_count(f->memtable), count);

    for (size_t i = 0; i < RANDOM_SEEKS; i++) {
        const struct random_key from = draw_key(&random);
        bool is_after = i % 2 == 1;
        size_t expected = reference_seek(keys, count, key_bytes(&from), is_after);
        struct memtable_entry found;
        memtable_reader_begin(f->reader);
        enum status status = memtable_seek(f->reader, key_bytes(&from), is_after, &found);
        if (expected == count) {
            assert_int_equal(status, STATUS_NOT_FOUND);
        } else {
            assert_int_equal(status, STATUS_OK);
            assert_true(bytes_equal(found.key, key_bytes(&keys[expected])));
            assert_true(bytes_equal(found.value, found.key));
        }
        bool is_there = expected < count && !is_after &&
                        bytes_equal(key_bytes(&keys[expected]), key_bytes(&from));
        status = memtable_get(f->reader, key_bytes(&from), &found);
        if (!is_after) {
            assert_int_equal(status, is_there ? STATUS_OK : STATUS_NOT_FOUND);
        }
        memtable_reader_end(f->reader);
    }
    free(keys);
}

static void seeking_after_each_key_walks_the_table_once(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 3000 };
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t number = (i * 1009 + 7) % COUNT;
        const uint8_t key[] = {(uint8_t)(number >> 8), (uint8_t)number};
        const struct memtable_entry entry = {
            .key = bytes_of(key, sizeof key),
            .version = {.lamport = i + 1},
        };
        assert_int_equal(memtable_apply(f->memtable, &entry), STATUS_OK);
    }
    uint8_t from[2] = {0, 0};
    for (uint32_t i = 0; i < COUNT; i++) {
        struct memtable_entry found;
        memtable_reader_begin(f->reader);
        assert_int_equal(memtable_seek(f->reader, bytes_of(from, 2), i > 0, &found), STATUS_OK);
        assert_int_equal(found.key.length, 2);
        assert_int_equal(found.key.at[0] << 8 | found.key.at[1], i);
        memcpy(from, found.key.at, 2);
        memtable_reader_end(f->reader);
    }
    struct memtable_entry found;
    memtable_reader_begin(f->reader);
    assert_int_equal(memtable_seek(f->reader, bytes_of(from, 2), true, &found), STATUS_NOT_FOUND);
    memtable_reader_end(f->reader);
}

static void counts_keys_and_their_bytes(void **state)
{
    struct fixture *f = *state;
    const struct memtable_entry first = entry_of("key", "12345678", 1, 1);
    assert_int_equal(memtable_apply(f->memtable, &first), STATUS_OK);
    uint64_t bytes = memtable_bytes(f->memtable);
    assert_true(bytes >= 3 + 8);

    const struct memtable_entry longer = entry_of("key", "1234567890", 2, 1);
    assert_int_equal(memtable_apply(f->memtable, &longer), STATUS_OK);
    assert_int_equal(memtable_bytes(f->memtable), bytes + 2);

    const struct memtable_entry deleted = tombstone_of("key", 3, 1);
    assert_int_equal(memtable_apply(f->memtable, &deleted), STATUS_OK);
    assert_int_equal(memtable_bytes(f->memtable), bytes - 8);
    assert_int_equal(memtable_count(f->memtable), 1);

    const struct memtable_entry other = entry_of("other", "1234567", 4, 1);
    assert_int_equal(memtable_apply(f->memtable, &other), STATUS_OK);
    assert_true(memtable_bytes(f->memtable) >= bytes - 8 + 5 + 7);
    assert_int_equal(memtable_count(f->memtable), 2);
}

// ---- eviction ----

static void p4_nothing_above_the_floor_is_evicted(void **state)
{
    struct fixture *f = *state;
    char key[16];
    for (uint64_t lamport = 1; lamport <= 200; lamport++) {
        snprintf(key, sizeof key, "key-%03" PRIu64, lamport * 37 % 200);
        struct memtable_entry entry = entry_of(key, "value", lamport, 1);
        assert_int_equal(memtable_apply(f->memtable, &entry), STATUS_OK);
    }
    assert_int_equal(memtable_evict(f->memtable, 0, 0, 10000), 0);
    assert_int_equal(memtable_evict(f->memtable, 120, 0, 10000), 120);
    assert_int_equal(memtable_count(f->memtable), 80);
    for (uint64_t lamport = 1; lamport <= 200; lamport++) {
        struct memtable_entry found;
        snprintf(key, sizeof key, "key-%03" PRIu64, lamport * 37 % 200);
        memtable_reader_begin(f->reader);
        assert_int_equal(memtable_get(f->reader, bytes_text(key), &found),
                         lamport > 120 ? STATUS_OK : STATUS_NOT_FOUND);
        memtable_reader_end(f->reader);
    }
    // Nothing is left at or below that floor, until something comes.
    assert_int_equal(memtable_evict(f->memtable, 120, 0, 10000), 0);
    struct memtable_entry again = entry_of("again", "value", 120, 1);
    assert_int_equal(memtable_apply(f->memtable, &again), STATUS_OK);
    assert_int_equal(memtable_evict(f->memtable, 120, 0, 10000), 1);
    assert_int_equal(memtable_evict(f->memtable, 200, 0, 10000), 80);
    assert_int_equal(memtable_count(f->memtable), 0);
}

static void what_was_got_is_spared_once(void **state)
{
    struct fixture *f = *state;
    char key[16];
    uint64_t bytes = memtable_bytes(f->memtable);
    for (uint64_t lamport = 1; lamport <= 100; lamport++) {
        snprintf(key, sizeof key, "key-%03" PRIu64, lamport);
        struct memtable_entry entry = entry_of(key, "value", lamport, 1);
        assert_int_equal(memtable_apply(f->memtable, &entry), STATUS_OK);
    }
    bytes = memtable_bytes(f->memtable) - bytes;
    struct memtable_entry found;
    memtable_reader_begin(f->reader);
    assert_int_equal(memtable_get(f->reader, bytes_text("key-007"), &found), STATUS_OK);
    memtable_reader_end(f->reader);
    // Down to a bound, and no further.
    uint64_t bound = memtable_bytes(f->memtable) - bytes / 2;
    (void)memtable_evict(f->memtable, 100, bound, 10000);
    assert_true(memtable_bytes(f->memtable) <= bound);
    assert_true(memtable_count(f->memtable) > 40);
    memtable_reader_begin(f->reader);
    assert_int_equal(memtable_get(f->reader, bytes_text("key-007"), &found), STATUS_OK);
    assert_int_equal(memtable_get(f->reader, bytes_text("key-006"), &found), STATUS_NOT_FOUND);
    assert_int_equal(memtable_get(f->reader, bytes_text("key-008"), &found), STATUS_NOT_FOUND);
    memtable_reader_end(f->reader);
    uint64_t count = memtable_count(f->memtable);
    assert_int_equal(memtable_evict(f->memtable, 100, 0, 10000), count);
}

static void a_reader_keeps_what_is_evicted_meanwhile(void **state)
{
    struct fixture *f = *state;
    struct memtable_entry a = entry_of("a", "first", 1, 1), b = entry_of("b", "second", 2, 1);
    struct memtable_entry found, next;
    assert_int_equal(memtable_apply(f->memtable, &a), STATUS_OK);
    assert_int_equal(memtable_apply(f->memtable, &b), STATUS_OK);
    memtable_reader_begin(f->reader);
    assert_int_equal(memtable_seek(f->reader, bytes_of(NULL, 0), false, &found), STATUS_OK);
    assert_int_equal(memtable_evict(f->memtable, 1, 0, 10000), 1);
    struct memtable_entry a2 = entry_of("a", "third", 3, 1);
    assert_int_equal(memtable_apply(f->memtable, &a2), STATUS_OK);
    assert_entry_equal(&found, &a);
    assert_int_equal(memtable_seek(f->reader, found.key, true, &next), STATUS_OK);
    assert_entry_equal(&next, &b);
    memtable_reader_end(f->reader);
    assert_holds(f, &a2);
}

static void a_write_too_large_for_memory_changes_nothing(void **state)
{
    struct fixture *f = *state;
    const struct memtable_entry kept = entry_of("key", "value", 1, 1);
    assert_int_equal(memtable_apply(f->memtable, &kept), STATUS_OK);
    uint64_t bytes = memtable_bytes(f->memtable);

    struct memtable_entry huge = entry_of("key", "", 2, 1);
    huge.value.length = SIZE_MAX;
    assert_int_equal(memtable_apply(f->memtable, &huge), STATUS_NO_MEMORY);
    huge.key = bytes_text("new");
    assert_int_equal(memtable_apply(f->memtable, &huge), STATUS_NO_MEMORY);
    assert_holds(f, &kept);
    assert_int_equal(memtable_bytes(f->memtable), bytes);
    assert_int_equal(memtable_count(f->memtable), 1);
}

static void keys_chosen_to_collide_are_found_all_the_same(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 100 };  // more than the index places near one home
    static uint32_t numbers[COUNT];
    uint32_t number = 0;
    for (size_t i = 0; i < COUNT; i++) {
        do {
            number++;
        } while ((key_index_hash(bytes_of(&number, sizeof number)) & 0xfff) != 0x77);
        numbers[i] = number;
    }
    struct memtable_entry found;
    for (size_t i = 0; i < COUNT; i++) {
        const struct memtable_entry entry = {
            .key = bytes_of(&numbers[i], sizeof number),
            .value = bytes_of(&numbers[i], sizeof number),
            .version = {.lamport = i + 1},
        };
        memtable_reader_begin(f->reader);
        assert_int_equal(memtable_get(f->reader, entry.key, &found), STATUS_NOT_FOUND);
        memtable_reader_end(f->reader);
        assert_int_equal(memtable_apply(f->memtable, &entry), STATUS_OK);
        assert_int_equal(memtable_apply(f->memtable, &entry), STATUS_STALE);
    }
    for (size_t i = 0; i < COUNT; i++) {
        struct bytes key = bytes_of(&numbers[i], sizeof number);
        memtable_reader_begin(f->reader);
        assert_int_equal(memtable_get(f->reader, key, &found), STATUS_OK);
        assert_true(bytes_equal(found.value, key));
        memtable_reader_end(f->reader);
    }
    assert_int_equal(memtable_count(f->memtable), COUNT);
}

static void what_a_reader_borrowed_stays_until_its_section_ends(void **state)
{
    struct fixture *f = *state;
    const struct memtable_entry first = entry_of("key", "borrowed", 1, 1);
    assert_int_equal(memtable_apply(f->memtable, &first), STATUS_OK);
    struct memtable_entry found;
    memtable_reader_begin(f->reader);
    assert_int_equal(memtable_get(f->reader, bytes_text("key"), &found), STATUS_OK);
    for (uint64_t lamport = 2; lamport < 2000; lamport++) {
        const struct memtable_entry next = entry_of("key", "another", lamport, 1);
        assert_int_equal(memtable_apply(f->memtable, &next), STATUS_OK);
    }
    assert_entry_equal(&found, &first);
    memtable_reader_end(f->reader);
}

static void readers_come_and_go(void **state)
{
    struct fixture *f = *state;
    const struct memtable_entry entry = entry_of("key", "value", 1, 1);
    assert_int_equal(memtable_apply(f->memtable, &entry), STATUS_OK);
    for (size_t round = 0; round < 3; round++) {
        struct memtable_reader *readers[5];
        for (size_t i = 0; i < 5; i++) {
            assert_int_equal(memtable_reader_new(&readers[i], f->memtable), STATUS_OK);
            struct fixture other = {.memtable = f->memtable, .reader = readers[i]};
            assert_holds(&other, &entry);
        }
        for (size_t i = 0; i < 5; i++) {
            memtable_reader_free(readers[i]);
        }
    }
    memtable_reader_free(NULL);
    memtable_free(NULL);
}

// Enough for the index to grow several times beneath the readers, and quick under TSan.
enum { SHARED_KEYS = 5000, SHARED_WRITES = 60000, READER_COUNT = 3 };

struct shared {
    struct memtable *memtable;
    // How many writes are done: what a reader must see of each key follows from it.
    _Atomic uint64_t write_count;
    _Atomic uint32_t failure_count;
};

/* Write number n is of this key; each key comes again and again, in a mixed order. */
static uint32_t key_of_write(uint64_t n)
{
    return (uint32_t)(n * 2654435761u >> 7) % SHARED_KEYS;
}

static void key_encode(uint8_t key[4], uint32_t number)
{
    for (size_t i = 0; i < 4; i++) {
        key[i] = (uint8_t)(number >> (24 - 8 * i));
    }
}

/* A value repeats its key and lamport, so that bytes of two values never pass for one. */
static bool is_whole(const struct memtable_entry *entry)
{
    uint64_t words[6];
    if (entry->value.length != sizeof words || entry->key.length != 4) {
        return false;
    }
    memcpy(words, entry->value.at, sizeof words);
    uint32_t number = (uint32_t)words[0];
    uint8_t key[4];
    key_encode(key, number);
    for (size_t i = 1; i < 6; i++) {
        if (words[i] != entry->version.lamport) {
            return false;
        }
    }
    return bytes_equal(bytes_of(key, 4), entry->key) && entry->version.sequence == words[1];
}

/* Get a key that is about to be written: nothing but the table itself tells of it. */
static enum status get_when_written(struct memtable_reader *reader, struct bytes key,
                                    struct memtable_entry *entry)
{
    enum status status = STATUS_NOT_FOUND;
    for (size_t tries = 0; tries < 500 && status == STATUS_NOT_FOUND; tries++) {
        status = memtable_get(reader, key, entry);
    }
    return status;
}

/* One look at the table; the number of things that are wrong about it. */
static uint32_t read_once(struct shared *shared, struct memtable_reader *reader, uint64_t round)
{
    uint64_t write_count = atomic_load(&shared->write_count);
    uint64_t n = (round % 2 == 0 ? round * 7919 : write_count + round % 16) % SHARED_WRITES;
    uint8_t key[4];
    key_encode(key, key_of_write(n));
    struct memtable_entry found, next;
    enum status status = get_when_written(reader, bytes_of(key, 4), &found);
    if (status != STATUS_OK) {
        return n < write_count;
    }
    // A write that was done before the section began is seen, or a newer one is.
    uint32_t wrong = !is_whole(&found) || (n < write_count && found.version.lamport < n + 1);
    if (memtable_seek(reader, found.key, true, &next) == STATUS_OK) {
        wrong += !is_whole(&next) || bytes_compare(found.key, next.key) >= 0;
    }
    return wrong;
}

static void *read_shared(void *context)
{
    struct shared *shared = context;
    struct memtable_reader *reader;
    if (memtable_reader_new(&reader, shared->memtable) != STATUS_OK) {
        atomic_fetch_add(&shared->failure_count, 1);
        return NULL;
    }
    uint32_t failures = 0;
    for (uint64_t round = 0; atomic_load(&shared->write_count) < SHARED_WRITES; round++) {
        memtable_reader_begin(reader);
        failures += read_once(shared, reader, round);
        memtable_reader_end(reader);
    }
    memtable_reader_free(reader);
    atomic_fetch_add(&shared->failure_count, failures);
    return NULL;
}

static void p5_readers_beside_a_writer_see_whole_values_that_never_go_back(void **state)
{
    struct fixture *f = *state;
    struct shared shared = {.memtable = f->memtable};
    pthread_t readers[READER_COUNT];
    for (size_t i = 0; i < READER_COUNT; i++) {
        assert_int_equal(pthread_create(&readers[i], NULL, read_shared, &shared), 0);
    }
    for (uint64_t n = 0; n < SHARED_WRITES; n++) {
        uint8_t key[4];
        key_encode(key, key_of_write(n));
        const uint64_t words[6] = {key_of_write(n), n + 1, n + 1, n + 1, n + 1, n + 1};
        const struct memtable_entry entry = {
            .key = bytes_of(key, 4),
            .value = bytes_of(words, sizeof words),
            .version = {.lamport = n + 1, .sequence = n + 1},
        };
        assert_int_equal(memtable_apply(f->memtable, &entry), STATUS_OK);
        atomic_store(&shared.write_count, n + 1);
    }
    for (size_t i = 0; i < READER_COUNT; i++) {
        assert_int_equal(pthread_join(readers[i], NULL), 0);
    }
    assert_int_equal(shared.failure_count, 0);
    assert_int_equal(memtable_count(f->memtable), SHARED_KEYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_empty_table_holds_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(gives_back_every_field_and_copies_what_it_was_given, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(tells_keys_apart_that_begin_alike, setup, teardown),
        cmocka_unit_test(p5_every_order_of_arrival_ends_in_the_same_map),
        cmocka_unit_test(p5_of_equal_lamports_the_higher_writer_wins_by_its_first_byte_first),
        cmocka_unit_test_setup_teardown(p5_the_same_version_again_changes_nothing, setup, teardown),
        cmocka_unit_test(p5_versions_compare_as_unsigned),
        cmocka_unit_test_setup_teardown(a_tombstone_is_found_and_keeps_older_puts_out, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(seek_finds_what_a_sorted_array_finds, setup, teardown),
        cmocka_unit_test_setup_teardown(seeking_after_each_key_walks_the_table_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(counts_keys_and_their_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(p4_nothing_above_the_floor_is_evicted, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_got_is_spared_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reader_keeps_what_is_evicted_meanwhile, setup, teardown),
        cmocka_unit_test_setup_teardown(a_write_too_large_for_memory_changes_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(keys_chosen_to_collide_are_found_all_the_same, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_a_reader_borrowed_stays_until_its_section_ends, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(readers_come_and_go, setup, teardown),
        cmocka_unit_test_setup_teardown(
            p5_readers_beside_a_writer_see_whole_values_that_never_go_back, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
