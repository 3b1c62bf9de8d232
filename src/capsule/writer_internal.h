/* src/capsule/writer_internal.h */
#ifndef CAPSULE_WRITER_INTERNAL_H
#define CAPSULE_WRITER_INTERNAL_H

#include <stdbool.h>

#include "base/cursor.h"
#include "base/encoder.h"
#include "capsule/writer.h"

/* One (writer, sequence, hash) of a list: BRANCH_HEAD_BYTES. */
void writer_head_encode(struct encoder *out, const struct branch_head *branch);
struct branch_head writer_head_decode(struct cursor *in);

/* Sequence 0 goes with the zero hash, and only with it. */
bool writer_head_is_sound(const struct head *head);

#endif
