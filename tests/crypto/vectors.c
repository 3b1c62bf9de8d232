/* tests/crypto/vectors.c */
#include "tests/crypto/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hex.h"

json_t *vectors_load(const char *path)
{
    const char *shared = getenv("PARANOID_SHARED");
    char whole[4096];
    snprintf(whole, sizeof whole, "%s/vectors/%s", shared != NULL ? shared : "../shared", path);
    json_error_t error;
    json_t *loaded = json_load_file(whole, JSON_REJECT_DUPLICATES, &error);
    if (loaded == NULL) {
        fail_msg("cannot read '%s': %s", whole, error.text);
    }
    return loaded;
}

const char *vectors_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    if (text == NULL) {
        fail_msg("no member '%s'", name);
    }
    return text;
}

struct bytes vectors_hex(const json_t *object, const char *name)
{
    const char *text = vectors_text(object, name);
    size_t length = strlen(text) / 2;
    uint8_t *bytes = malloc(length + 1);
    assert_non_null(bytes);
    assert_true(hex_decode(bytes, length, text, strlen(text)));
    return bytes_of(bytes, length);
}

void vectors_free(struct bytes bytes)
{
    free((void *)(uintptr_t)bytes.at);
}

int vectors_have_flag(const json_t *object, const char *name, const char *text)
{
    const json_t *flags = json_object_get(object, name);
    for (size_t i = 0; i < json_array_size(flags); i++) {
        if (strcmp(json_string_value(json_array_get(flags, i)), text) == 0) {
            return 1;
        }
    }
    return 0;
}

void vectors_each_wycheproof(const char *path,
                             void (*each)(const json_t *group, const json_t *test))
{
    json_t *file = vectors_load(path);
    const json_t *groups = json_object_get(file, "testGroups");
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(groups); i++) {
        const json_t *group = json_array_get(groups, i);
        const json_t *tests = json_object_get(group, "tests");
        for (size_t j = 0; j < json_array_size(tests); j++) {
            each(group, json_array_get(tests, j));
            count++;
        }
    }
    json_int_t promised = json_integer_value(json_object_get(file, "numberOfTests"));
    assert_int_equal(count, promised);
    assert_true(count > 0);
    json_decref(file);
}
