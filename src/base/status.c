/* src/base/status.c */
#include "base/status.h"

const char *status_text(enum status status)
{
    switch (status) {
    case STATUS_OK:
        return "ok";
    case STATUS_EMPTY:
        return "nothing to read yet";
    case STATUS_FULL:
        return "no room yet";
    case STATUS_NOT_FOUND:
        return "not found";
    case STATUS_GAP:
        return "an ancestor is missing";
    case STATUS_STALE:
        return "already known";
    case STATUS_MALFORMED:
        return "cannot be parsed";
    case STATUS_FORGED:
        return "a hash, signature or bound disagrees";
    case STATUS_DENIED:
        return "refused by policy";
    case STATUS_FORKED:
        return "two records for one writer and sequence";
    case STATUS_CLOSED:
        return "closed";
    case STATUS_NO_MEMORY:
        return "out of memory";
    case STATUS_NO_SPACE:
        return "the disk is full";
    case STATUS_DAMAGED:
        return "stored bytes are damaged";
    case STATUS_TIMEOUT:
        return "timed out";
    case STATUS_IO:
        return "input or output failed";
    }
    return "unknown status";
}
