/* tests/base/random_test.c */

/*
 * Goal: a seed reproduces its bytes on every machine, and the kernel's source
 * never repeats itself.
 * Method: same and different seeds; the first words of xoshiro256** against
 * values from its definition, worked out apart from this code.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/hex.h"
#include "base/random.h"

static void the_same_seed_gives_the_same_bytes(void **state)
{
    (void)state;
    struct random_seeded one_storage, again_storage, two_storage;
    struct random one = random_seeded(&one_storage, 1);
    struct random again = random_seeded(&again_storage, 1);
    struct random two = random_seeded(&two_storage, 2);
    uint8_t a[100], b[100], c[100];
    for (size_t length = 0; length <= sizeof a; length++) {
        memset(a, 0, sizeof a);
        memset(b, 0, sizeof b);
        random_fill(&one, a, length);
        random_fill(&again, b, length);
        assert_memory_equal(a, b, sizeof a);
    }
    random_fill(&two, c, sizeof c);
    assert_memory_not_equal(a, c, sizeof c);
}

static void a_seed_gives_the_bytes_of_its_definition(void **state)
{
    (void)state;
    struct random_seeded storage;
    struct random random = random_seeded(&storage, 0);
    uint8_t bytes[16];
    char text[2 * sizeof bytes + 1];
    random_fill(&random, bytes, sizeof bytes);
    hex_encode(text, bytes, sizeof bytes);
    assert_string_equal(text, "b4f275cb365fec992a455649781f6ebf");
}

static void the_kernel_does_not_repeat_itself(void **state)
{
    (void)state;
    struct random random = random_kernel();
    static const uint8_t zero[32];
    uint8_t a[1000] = {0}, b[1000] = {0};  // more than getrandom() gives at once
    random_fill(&random, a, sizeof a);
    random_fill(&random, b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    assert_memory_not_equal(a + sizeof a - sizeof zero, zero, sizeof zero);
    random_fill(&random, NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_bytes),
        cmocka_unit_test(a_seed_gives_the_bytes_of_its_definition),
        cmocka_unit_test(the_kernel_does_not_repeat_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
