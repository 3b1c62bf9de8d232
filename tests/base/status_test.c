/* tests/base/status_test.c */

/*
 * Goal: every status has its own phrase, and a number that is none has one too.
 * Method: all of them, from the first to the last.
 */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/status.h"

static void every_status_has_its_own_lower_case_phrase(void **state)
{
    (void)state;
    const char *unknown = status_text((enum status)(STATUS_IO + 1));
    assert_non_null(unknown);
    for (int i = STATUS_OK; i <= STATUS_IO; i++) {
        const char *text = status_text((enum status)i);
        assert_true(strlen(text) > 0);
        assert_true(islower((unsigned char)text[0]));
        assert_string_not_equal(text, unknown);
        for (int j = STATUS_OK; j < i; j++) {
            assert_string_not_equal(text, status_text((enum status)j));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_its_own_lower_case_phrase),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
