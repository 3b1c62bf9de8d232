/* src/lambda/lambda_value.c */
#include <stdlib.h>
#include <string.h>

#include "lambda/lambda_internal.h"
#include "lambda/utf8.h"
JSStringRef lambda_value_string(struct bytes text)
{
    enum { SMALL_COUNT = 256 };
    uint16_t small[SMALL_COUNT];
    uint16_t *units = small;
    if (text.length >= SMALL_COUNT) {
        if (text.length > SIZE_MAX / sizeof *units - 1) {
            return NULL;
        }
        units = malloc((text.length + 1) * sizeof *units);
        if (units == NULL) {
            return NULL;
        }
    }
    JSStringRef string;
    if (utf8_is_plain(text)) {
        // Half the memory of the other way.
        char *terminated = (char *)units;
        if (text.length > 0) {
            memcpy(terminated, text.at, text.length);
        }
        terminated[text.length] = '\0';
        string = JSStringCreateWithUTF8CString(terminated);
    } else {
        string = JSStringCreateWithCharacters(units, utf8_decode(units, text));
    }
    if (units != small) {
        free(units);
    }
    return string;
}

JSValueRef lambda_value_of_text(JSContextRef context, struct bytes text)
{
    JSStringRef string = lambda_value_string(text);
    if (string == NULL) {
        return JSValueMakeUndefined(context);
    }
    JSValueRef value = JSValueMakeString(context, string);
    JSStringRelease(string);
    return value;
}

JSValueRef lambda_value_of_bytes(JSContextRef context, struct bytes bytes, JSValueRef *exception)
{
    JSObjectRef array =
        JSObjectMakeTypedArray(context, kJSTypedArrayTypeUint8Array, bytes.length, exception);
    if (array == NULL) {
        return JSValueMakeUndefined(context);
    }
    void *target = JSObjectGetTypedArrayBytesPtr(context, array, exception);
    if (target != NULL && bytes.length > 0) {
        memcpy(target, bytes.at, bytes.length);
    }
    return array;
}

enum status lambda_value_append_text(struct buffer *target, JSContextRef context, JSValueRef value,
                                     size_t bytes_max)
{
    if (!JSValueIsString(context, value)) {
        return STATUS_MALFORMED;
    }
    JSStringRef string = JSValueToStringCopy(context, value, NULL);
    if (string == NULL) {
        return STATUS_NO_MEMORY;
    }
    enum status status = STATUS_NO_SPACE;
    size_t count = JSStringGetLength(string);
    if (count <= bytes_max) {
        bool is_well_formed = true;
        size_t before = target->length;
        status = utf8_encode(target, JSStringGetCharactersPtr(string), count, &is_well_formed);
        if (status == STATUS_OK && target->length - before > bytes_max) {
            status = STATUS_NO_SPACE;
        } else if (status == STATUS_OK && !is_well_formed) {
            status = STATUS_MALFORMED;
        }
    }
    JSStringRelease(string);
    return status;
}

enum status lambda_value_append(struct buffer *target, JSContextRef context, JSValueRef value,
                                size_t bytes_max)
{
    if (JSValueIsString(context, value)) {
        enum status status = lambda_value_append_text(target, context, value, bytes_max);
        return status == STATUS_MALFORMED ? STATUS_OK : status;
    }
    JSObjectRef array = JSValueToObject(context, value, NULL);
    if (array == NULL) {
        return STATUS_MALFORMED;
    }
    size_t length = JSObjectGetTypedArrayByteLength(context, array, NULL);
    const void *bytes = JSObjectGetTypedArrayBytesPtr(context, array, NULL);
    if (length > bytes_max) {
        return STATUS_NO_SPACE;
    }
    return length == 0 ? STATUS_OK : buffer_append(target, bytes, length);
}
