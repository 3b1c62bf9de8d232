/* tests/host/guest_test.c */

/*
 * Goal: the rules by which a host judges what an enclave says in numbers, and when it starts
 * one again.
 * Method: tables of what is taken and what is not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "host/guest.h"

static void the_first_restart_is_at_once_and_the_others_wait_longer_and_longer(void **state)
{
    (void)state;
    const uint64_t delays[] = {0, 0, 100, 200, 400, 800, 1600, 3200, 5000, 5000};
    for (uint32_t i = 0; i < sizeof delays / sizeof *delays; i++) {
        assert_int_equal(guest_delay_ms(i), delays[i]);
    }
    assert_int_equal(guest_delay_ms(UINT32_MAX), GUEST_DELAY_MS_MAX);
}

static enum status read_text(struct guest_metrics *metrics, const char *text)
{
    return guest_read_metrics(metrics, bytes_text(text));
}

static void metrics_are_names_and_decimals(void **state)
{
    (void)state;
    struct guest_metrics metrics = {.count = 0};
    assert_int_equal(read_text(&metrics, "a 1\nfaas_cold_starts_total 22\nx_9 -0.5\n"), STATUS_OK);
    assert_int_equal(metrics.count, 3);
    assert_string_equal(metrics.items[1].name, "faas_cold_starts_total");
    assert_string_equal(metrics.items[1].value, "22");
    assert_string_equal(metrics.items[2].value, "-0.5");
    assert_int_equal(read_text(&metrics, ""), STATUS_OK);
    assert_int_equal(metrics.count, 0);
}

static void what_is_no_metric_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    struct guest_metrics metrics = {.count = 0};
    assert_int_equal(read_text(&metrics, "kept 1\n"), STATUS_OK);
    const char *bad[] = {"a 1",
                         "a\n",
                         " 1\n",
                         "A 1\n",
                         "a 1\nb",
                         "a  1\n",
                         "a{b=1} 1\n",
                         "a 1e9\n",
                         "a nan\n",
                         "a 1.\n",
                         "a .5\n",
                         "a 1.2.3\n",
                         "a -\n",
                         "a \n",
                         "a 1 2\n",
                         "a 1\r\n",
                         "\n",
                         "a-b 1\n",
                         "a 123456789012345678901234567890123\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(read_text(&metrics, bad[i]), STATUS_MALFORMED);
        assert_int_equal(metrics.count, 1);
        assert_string_equal(metrics.items[0].name, "kept");
    }
}

static void names_and_counts_have_bounds(void **state)
{
    (void)state;
    struct guest_metrics metrics = {.count = 0};
    char name[80];
    memset(name, 'n', sizeof name);
    memcpy(name + GUEST_METRIC_NAME_BYTES_MAX, " 1\n", 4);
    assert_int_equal(read_text(&metrics, name), STATUS_OK);
    memset(name, 'n', sizeof name);
    memcpy(name + GUEST_METRIC_NAME_BYTES_MAX + 1, " 1\n", 4);
    assert_int_equal(read_text(&metrics, name), STATUS_MALFORMED);

    char many[8 * (GUEST_METRIC_COUNT_MAX + 1)] = "";
    size_t length = 0;
    for (int i = 0; i < GUEST_METRIC_COUNT_MAX; i++) {
        length += (size_t)snprintf(many + length, sizeof many - length, "m%d 1\n", i);
    }
    assert_int_equal(read_text(&metrics, many), STATUS_OK);
    assert_int_equal(metrics.count, GUEST_METRIC_COUNT_MAX);
    snprintf(many + length, sizeof many - length, "m 1\n");
    assert_int_equal(read_text(&metrics, many), STATUS_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_restart_is_at_once_and_the_others_wait_longer_and_longer),
        cmocka_unit_test(metrics_are_names_and_decimals),
        cmocka_unit_test(what_is_no_metric_is_refused_and_changes_nothing),
        cmocka_unit_test(names_and_counts_have_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
