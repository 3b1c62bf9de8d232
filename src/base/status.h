/* src/base/status.h */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

/*
 * What a call reports. One list for the whole project, grouped by what the
 * caller does next: a new value needs a new reaction, not a new place.
 */
enum status {
    STATUS_OK = 0,

    // Nothing is wrong: try later, or take the other branch.
    STATUS_EMPTY,  // nothing to read yet
    STATUS_FULL,   // no room yet; the caller holds back its own source
    STATUS_NOT_FOUND,
    STATUS_GAP,    // an ancestor is missing: hold the input, fetch, try again
    STATUS_STALE,  // genuine, and already known or overtaken: drop it silently

    // The peer, the host or the disk is wrong: drop the input, keep running.
    STATUS_MALFORMED,  // cannot be parsed
    STATUS_FORGED,     // parses, but a hash, a signature or a bound disagrees
    STATUS_DENIED,     // genuine, but policy forbids it
    STATUS_FORKED,     // two signed records for one writer and sequence: there is a proof
    STATUS_CLOSED,     // the branch, the term or the peer has ended: never try again

    // This machine is in trouble: pass it up.
    STATUS_NO_MEMORY,
    STATUS_NO_SPACE,  // the disk is full: nothing was written
    STATUS_DAMAGED,   // our own stored bytes are not what we wrote
    STATUS_TIMEOUT,
    STATUS_IO,
};

/* A lower-case phrase such as "no room yet". Static storage, never NULL. */
const char *status_text(enum status status);

#define MUST_CHECK __attribute__((warn_unused_result))

#endif
