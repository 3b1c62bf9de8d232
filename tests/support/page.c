/* tests/support/page.c */
#include "tests/support/page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hex.h"

enum { PATH_BYTES = 4096, FENCE_BYTES = 64, CHUNK_BYTES = 4096 };

static void append(struct buffer *target, const void *bytes, size_t length)
{
    CHECK(buffer_append(target, bytes, length) == STATUS_OK);
}

static void end_text(struct buffer *target)
{
    append(target, "", 1);
    target->length--;
}

void page_read(struct buffer *target, const char *name)
{
    char path[PATH_BYTES], chunk[CHUNK_BYTES];
    const char *source = getenv("PARANOID_SOURCE");
    CHECK(source != NULL);
    snprintf(path, sizeof path, "%s/docs/%s", source, name);
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL);
    for (size_t length; (length = fread(chunk, 1, sizeof chunk, file)) > 0;) {
        append(target, chunk, length);
    }
    fclose(file);
    end_text(target);
}

void page_block(struct buffer *target, const char *name, const char *tag)
{
    char fence[FENCE_BYTES];
    struct buffer page = BUFFER_EMPTY;
    page_read(&page, name);
    snprintf(fence, sizeof fence, "```%s\n", tag);
    const char *begin = strstr((const char *)page.bytes, fence);
    const char *end = begin == NULL ? NULL : strstr(begin + strlen(fence), "```");
    if (end == NULL) {
        fprintf(stderr, "docs/%s has no block %s", name, fence);
    }
    CHECK(end != NULL);
    begin += strlen(fence);
    append(target, begin, (size_t)(end - begin));
    end_text(target);
    buffer_release(&page);
}

void page_hex(struct buffer *target, const char *name, const char *tag)
{
    struct buffer text = BUFFER_EMPTY;
    page_block(&text, name, tag);
    const char *at = (const char *)text.bytes;
    while (*at != '\0') {
        uint8_t byte;
        if (*at == '#') {
            at += strcspn(at, "\n");
        } else if (*at == ' ' || *at == '\n') {
            at++;
        } else {
            CHECK(hex_decode(&byte, 1, at, 2));
            append(target, &byte, 1);
            at += 2;
        }
    }
    buffer_release(&text);
}
