/* tests/lsm/guard_test.c */

/*
 * Goal: what was retired is destroyed when, and only when, no section that began before is left;
 * also with real threads.
 * Method: sections by hand; then two readers that look at items which a writer replaces as fast
 * as it can, under the sanitizers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lsm/guard.h"

struct item {
    struct guard_item retired;
    uint64_t a;
    uint64_t b;  // always equal to a
};

static void count_destroyed(struct guard_item *item, void *context)
{
    (void)item;
    unsigned *count = context;
    (*count)++;
}

static void a_section_holds_what_was_retired_after_it_began(void **state)
{
    (void)state;
    static struct guard guard;
    struct guard_reader early, late;
    struct item items[2] = {{.a = 0}};
    unsigned destroyed = 0;
    guard_init(&guard);
    guard_add(&guard, &early);
    guard_add(&guard, &late);

    guard_begin(&guard, &early);
    guard_retire(&guard, &items[0].retired, count_destroyed, &destroyed);
    guard_begin(&guard, &late);
    guard_retire(&guard, &items[1].retired, count_destroyed, &destroyed);
    guard_collect(&guard);
    assert_int_equal(destroyed, 0);
    guard_end(&early);
    guard_collect(&guard);
    assert_int_equal(destroyed, 1);  // `late` began after the first was unlinked
    guard_end(&late);
    guard_collect(&guard);
    assert_int_equal(destroyed, 2);
    guard_collect(&guard);
    assert_int_equal(destroyed, 2);

    guard_remove(&guard, &early);
    guard_remove(&guard, &late);
    assert_null(guard.readers);
}

enum { READER_COUNT = 2, REPLACED_COUNT = 20000 };

struct shared {
    struct guard guard;
    struct guard_reader sections[READER_COUNT];
    _Atomic(struct item *) item;
    atomic_bool has_ended;
    atomic_uint next_reader;
    atomic_uint mismatch_count;
};

static void free_item(struct guard_item *retired, void *context)
{
    (void)context;
    struct item *item = (void *)((uint8_t *)retired - offsetof(struct item, retired));
    item->a = 1;
    item->b = 2;
    free(item);
}

static void *read_items(void *context)
{
    struct shared *shared = context;
    struct guard_reader *section = &shared->sections[atomic_fetch_add(&shared->next_reader, 1)];
    while (!atomic_load(&shared->has_ended)) {
        guard_begin(&shared->guard, section);
        const struct item *item = atomic_load(&shared->item);
        if (item->a != item->b) {
            atomic_fetch_add(&shared->mismatch_count, 1);
        }
        guard_end(section);
    }
    return NULL;
}

static struct item *item_new(uint64_t number)
{
    struct item *item = calloc(1, sizeof *item);
    assert_non_null(item);
    item->a = number;
    item->b = number;
    return item;
}

static void readers_never_see_what_was_destroyed(void **state)
{
    (void)state;
    static struct shared shared;
    guard_init(&shared.guard);
    atomic_init(&shared.item, item_new(0));
    pthread_t threads[READER_COUNT];
    for (size_t i = 0; i < READER_COUNT; i++) {
        guard_add(&shared.guard, &shared.sections[i]);
    }
    for (size_t i = 0; i < READER_COUNT; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_items, &shared), 0);
    }
    for (uint64_t i = 1; i <= REPLACED_COUNT; i++) {
        struct item *old = atomic_load(&shared.item);
        atomic_store(&shared.item, item_new(i));
        guard_retire(&shared.guard, &old->retired, free_item, NULL);
        guard_collect(&shared.guard);
    }
    atomic_store(&shared.has_ended, true);
    for (size_t i = 0; i < READER_COUNT; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    guard_collect(&shared.guard);
    assert_null(shared.guard.oldest);
    assert_int_equal(atomic_load(&shared.mismatch_count), 0);
    free(atomic_load(&shared.item));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_section_holds_what_was_retired_after_it_began),
        cmocka_unit_test(readers_never_see_what_was_destroyed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
