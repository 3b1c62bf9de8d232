/* tests/serve/token_test.c */

/*
 * Goal: only the tokens whose hashes the set holds are accepted.
 * Method: hashes of known tokens, and what is near them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crypto/crypto.h"
#include "serve/token.h"

static struct hash hash_text_of(const char *text)
{
    return hash_of(text, bytes_text(text).length);
}

static void accepts_the_tokens_of_the_set_alone(void **state)
{
    (void)state;
    static struct token_set set;
    assert_false(token_accepts(&set, bytes_text("first")));

    const struct hash first = hash_text_of("first");
    const struct hash second = hash_text_of("second");
    assert_true(token_add(&set, &first));
    assert_true(token_add(&set, &second));
    assert_true(token_accepts(&set, bytes_text("first")));
    assert_true(token_accepts(&set, bytes_text("second")));
    assert_false(token_accepts(&set, bytes_text("firs")));
    assert_false(token_accepts(&set, bytes_text("first ")));
    assert_false(token_accepts(&set, bytes_text("third")));
    assert_false(token_accepts(&set, bytes_of(first.bytes, HASH_BYTES)));
}

static void an_empty_token_is_none(void **state)
{
    (void)state;
    static struct token_set set;
    const struct hash empty = hash_of("", 0);
    assert_true(token_add(&set, &empty));
    assert_false(token_accepts(&set, bytes_of(NULL, 0)));
}

static void a_full_set_takes_no_more(void **state)
{
    (void)state;
    static struct token_set set;
    const struct hash hash = hash_text_of("token");
    for (size_t i = 0; i < TOKEN_COUNT_MAX; i++) {
        assert_true(token_add(&set, &hash));
    }
    assert_false(token_add(&set, &hash));
}

int main(void)
{
    crypto_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_the_tokens_of_the_set_alone),
        cmocka_unit_test(an_empty_token_is_none),
        cmocka_unit_test(a_full_set_takes_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
