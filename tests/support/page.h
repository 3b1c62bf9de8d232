/* tests/support/page.h */
#ifndef SUPPORT_PAGE_H
#define SUPPORT_PAGE_H

#include "base/buffer.h"

/*
 * page: what the pages in docs/ say, for tests that hold the code to it. `name` is below docs/, as
 * "format/record.md"; `tag` is what stands behind the three marks that open a fenced block, as
 * "hex record". All append to `target`; a zero that does not count follows a text. What is not
 * there is a CHECK.
 */

/* The whole page. */
void page_read(struct buffer *target, const char *name);

/* The lines of a block. */
void page_block(struct buffer *target, const char *name, const char *tag);

/* The bytes of a block of hexadecimal digits, in pairs; what follows a # is a comment. */
void page_hex(struct buffer *target, const char *name, const char *tag);

#endif
