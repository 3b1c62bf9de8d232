/* tests/base/log_test.c */

/*
 * Goal: an event is one line, cut at its bound, and no log is no failure.
 * Method: a log that keeps the last line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"

struct kept {
    char text[2 * LOG_LINE_BYTES_MAX];
    int count;
};

static void keep(void *context, const char *text)
{
    struct kept *kept = context;
    snprintf(kept->text, sizeof kept->text, "%s", text);
    kept->count++;
}

static void an_event_is_formatted_into_one_line(void **state)
{
    (void)state;
    struct kept kept = {.count = 0};
    struct log log = {.line = keep, .context = &kept};
    log_event(&log, "segment sealed segment=%d capsule=%s", 12, "orders");
    assert_string_equal(kept.text, "segment sealed segment=12 capsule=orders");
    assert_int_equal(kept.count, 1);
}

static void a_long_event_is_cut_at_the_bound(void **state)
{
    (void)state;
    char word[LOG_LINE_BYTES_MAX + 1];
    struct kept kept = {.count = 0};
    struct log log = {.line = keep, .context = &kept};
    memset(word, 'w', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    log_event(&log, "%s", word);
    assert_int_equal(strlen(kept.text), LOG_LINE_BYTES_MAX - 1);
}

static void without_a_log_an_event_is_dropped(void **state)
{
    (void)state;
    const struct log silent = {.line = NULL};
    log_event(NULL, "dropped %d", 1);
    log_event(&silent, "dropped %d", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_formatted_into_one_line),
        cmocka_unit_test(a_long_event_is_cut_at_the_bound),
        cmocka_unit_test(without_a_log_an_event_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
