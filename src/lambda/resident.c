/* src/lambda/resident.c */
#include "lambda/resident.h"

#include <fcntl.h>
#include <unistd.h>

int resident_open(void)
{
    return open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
}

// "size resident shared ...", in pages.
uint64_t resident_bytes(int statm)
{
    enum { PAGE_BYTES = 4096 };
    char text[128];
    ssize_t length = pread(statm, text, sizeof text, 0);
    ssize_t at = 0;
    if (length <= 0) {
        return UINT64_MAX;  // what cannot be measured is too much
    }
    while (at < length && text[at] != ' ') {
        at++;
    }
    uint64_t pages = 0;
    for (at++; at < length && text[at] >= '0' && text[at] <= '9'; at++) {
        pages = pages * 10 + (uint64_t)(text[at] - '0');
    }
    return pages * PAGE_BYTES;
}
