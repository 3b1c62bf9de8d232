/* fuzz/host/guest_fuzz.c */

/*
 * What an enclave says of itself in numbers: whatever is taken can stand on a line of its own in
 * the host's metrics, and is taken again from there.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "host/guest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct guest_metrics metrics;
    static struct guest_metrics again;
    char line[GUEST_METRIC_NAME_BYTES_MAX + GUEST_METRIC_VALUE_BYTES_MAX + 3];
    if (guest_read_metrics(&metrics, bytes_of(data, size)) != STATUS_OK) {
        return 0;
    }
    for (size_t i = 0; i < metrics.count; i++) {
        const struct guest_metric *metric = &metrics.items[i];
        int length = snprintf(line, sizeof line, "%s %s\n", metric->name, metric->value);
        CHECK(length > 0 && (size_t)length < sizeof line);
        CHECK(strpbrk(metric->name, "{}\" \n") == NULL);
        CHECK(guest_read_metrics(&again, bytes_of(line, (size_t)length)) == STATUS_OK);
        CHECK(again.count == 1 && strcmp(again.items[0].value, metric->value) == 0);
    }
    return 0;
}
