/* src/lambda/lambda_function.c */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "lambda/lambda_internal.h"
#include "lambda/utf8.h"

enum {
    TIME_MS_DEFAULT = 5000,
    MEMORY_BYTES_DEFAULT = 128 << 20,
    RESPONSE_BYTES_DEFAULT = 4 << 20,
};

__asm__(
    ".pushsection .rodata\n"
    "lambda_prelude:\n"
    ".incbin \"lambda/prelude.js\"\n"
    "lambda_prelude_end:\n"
    ".popsection\n");
extern const uint8_t lambda_prelude[];
extern const uint8_t lambda_prelude_end[];

static JSValueRef property(JSContextRef context, JSObjectRef object, const char *name)
{
    JSStringRef key = JSStringCreateWithUTF8CString(name);
    JSValueRef value = JSObjectGetProperty(context, object, key, NULL);
    JSStringRelease(key);
    return value == NULL ? JSValueMakeUndefined(context) : value;
}

// "<what the engine says> (line <n>)"
static void describe_syntax(JSContextRef context, JSValueRef exception, double lines_before,
                            char *message, size_t message_bytes)
{
    snprintf(message, message_bytes, "cannot be parsed");
    JSStringRef text = exception == NULL ? NULL : JSValueToStringCopy(context, exception, NULL);
    if (text == NULL) {
        return;
    }
    struct buffer utf8 = BUFFER_EMPTY;
    bool is_well_formed;
    JSObjectRef error = JSValueToObject(context, exception, NULL);
    double line =
        error == NULL ? 0 : JSValueToNumber(context, property(context, error, "line"), NULL);
    if (utf8_encode(&utf8, JSStringGetCharactersPtr(text), JSStringGetLength(text),
                    &is_well_formed) == STATUS_OK) {
        snprintf(message, message_bytes, "%.*s (line %.0f)",
                 (int)(utf8.length < 512 ? utf8.length : 512), (const char *)utf8.bytes,
                 line - lines_before);
    }
    buffer_release(&utf8);
    JSStringRelease(text);
}

// Whether `body` is the body of a function of these parameters by itself, so that no text in it
// can end the function early; if so, that function.
static JSObjectRef make_function(JSContextRef context, const char *const *parameters,
                                 unsigned parameter_count, JSStringRef body, JSValueRef *exception)
{
    enum { PARAMETER_COUNT_MAX = 8 };
    CHECK(parameter_count <= PARAMETER_COUNT_MAX);
    JSStringRef names[PARAMETER_COUNT_MAX] = {NULL};
    for (unsigned i = 0; i < parameter_count; i++) {
        names[i] = JSStringCreateWithUTF8CString(parameters[i]);
    }
    JSObjectRef function =
        JSObjectMakeFunction(context, NULL, parameter_count, names, body, NULL, 1, exception);
    for (unsigned i = 0; i < parameter_count; i++) {
        JSStringRelease(names[i]);
    }
    return function;
}

// The owner's code as function (exports, module). NULL: it is not JavaScript.
static JSObjectRef compile(struct lambda_function *function, struct bytes code, char *message,
                           size_t message_bytes)
{
    // On the first line, so that line numbers are the owner's.
    static const char STRICT[] = "\"use strict\";";
    static const char OPEN[] = "(function (exports, module) {";
    static const char CLOSE[] = "\n})";
    // JavaScriptCore puts the parameters on two lines before a function's body.
    static const double LINES_BEFORE = 2;
    static const char *const PARAMETERS[] = {"exports", "module"};

    JSContextRef context = function->realm;
    struct buffer text = BUFFER_EMPTY;
    JSStringRef body = NULL;
    JSStringRef script = NULL;
    JSStringRef address = lambda_value_string(bytes_text(function->name));
    JSObjectRef load = NULL;
    snprintf(message, message_bytes, "no memory to compile it");

    if (buffer_append(&text, OPEN, sizeof OPEN - 1) != STATUS_OK ||
        buffer_append(&text, STRICT, sizeof STRICT - 1) != STATUS_OK ||
        (code.length > 0 && buffer_append(&text, code.at, code.length) != STATUS_OK)) {
        goto done;
    }
    body = lambda_value_string(
        bytes_of(text.bytes + (sizeof OPEN - 1), text.length - (sizeof OPEN - 1)));
    if (body == NULL || buffer_append(&text, CLOSE, sizeof CLOSE - 1) != STATUS_OK) {
        goto done;
    }
    script = lambda_value_string(buffer_bytes(&text));
    if (script == NULL || address == NULL) {
        goto done;
    }
    JSValueRef exception = NULL;
    if (make_function(context, PARAMETERS, 2, body, &exception) == NULL) {
        describe_syntax(context, exception, LINES_BEFORE, message, message_bytes);
        goto done;
    }
    // Once more as an expression: the stack traces of this one have the owner's lines and name.
    JSValueRef value = JSEvaluateScript(context, script, NULL, address, 1, &exception);
    if (value == NULL) {
        describe_syntax(context, exception, 0, message, message_bytes);
        goto done;
    }
    load = JSValueToObject(context, value, NULL);

done:
    if (address != NULL) {
        JSStringRelease(address);
    }
    if (script != NULL) {
        JSStringRelease(script);
    }
    if (body != NULL) {
        JSStringRelease(body);
    }
    buffer_release(&text);
    return load;
}

// Run prelude.js in the function's realm.
static enum status furnish(struct lambda_function *function, JSObjectRef load)
{
    static const char *const PARAMETERS[] = {"native", "load", "name", "version", "worker"};
    JSContextRef context = function->realm;
    JSStringRef text = lambda_value_string(
        bytes_of(lambda_prelude, (size_t)(lambda_prelude_end - lambda_prelude)));
    if (text == NULL) {
        return STATUS_NO_MEMORY;
    }
    JSObjectRef prelude = make_function(context, PARAMETERS, 5, text, NULL);
    JSStringRelease(text);
    CHECK(prelude != NULL);

    JSObjectRef natives = lambda_native_make(function);
    if (natives == NULL) {
        return STATUS_NO_MEMORY;
    }
    const JSValueRef arguments[] = {
        natives,
        load,
        lambda_value_of_text(context, bytes_text(function->name)),
        JSValueMakeNumber(context, (double)function->version),
        lambda_value_of_text(context, bytes_text(function->engine->worker)),
    };
    JSValueRef made = JSObjectCallAsFunction(context, prelude, NULL, 5, arguments, NULL);
    if (made == NULL) {
        return STATUS_NO_MEMORY;
    }
    JSObjectRef entries = JSValueToObject(context, made, NULL);
    function->run = JSValueToObject(context, property(context, entries, "run"), NULL);
    function->enter = JSValueToObject(context, property(context, entries, "enter"), NULL);
    CHECK(function->run != NULL && function->enter != NULL);
    JSValueProtect(context, function->run);
    JSValueProtect(context, function->enter);
    return STATUS_OK;
}

enum status lambda_function_new(struct lambda_engine *engine, const struct lambda_source *source,
                                struct lambda_function **target, char *message,
                                size_t message_bytes)
{
    *target = NULL;
    snprintf(message, message_bytes, "no memory");
    struct lambda_function *function = calloc(1, sizeof *function);
    if (function == NULL) {
        return STATUS_NO_MEMORY;
    }
    function->engine = engine;
    function->version = source->version;
    function->owner = source->owner;
    function->limits = source->limits;
    struct lambda_limits *limits = &function->limits;
    limits->time_ms = limits->time_ms == 0 ? TIME_MS_DEFAULT : limits->time_ms;
    limits->memory_bytes = limits->memory_bytes == 0 ? MEMORY_BYTES_DEFAULT : limits->memory_bytes;
    limits->response_bytes =
        limits->response_bytes == 0 ? RESPONSE_BYTES_DEFAULT : limits->response_bytes;

    enum status status = STATUS_NO_MEMORY;
    function->name = strdup(source->name);
    if (function->name == NULL) {
        goto done;
    }
    function->realm = JSGlobalContextCreateInGroup(engine->group, NULL);
    JSObjectRef load = compile(function, source->code, message, message_bytes);
    if (load == NULL) {
        status = STATUS_MALFORMED;
        goto done;
    }
    status = furnish(function, load);

done:
    if (status != STATUS_OK) {
        lambda_function_free(function);
        return status;
    }
    message[0] = '\0';
    *target = function;
    return STATUS_OK;
}

void lambda_function_free(struct lambda_function *function)
{
    if (function == NULL) {
        return;
    }
    CHECK(function->engine->invocation == NULL);
    if (function->run != NULL) {
        JSValueUnprotect(function->realm, function->run);
        JSValueUnprotect(function->realm, function->enter);
    }
    if (function->realm != NULL) {
        JSGlobalContextRelease(function->realm);
    }
    free(function->bindings);
    free(function->name);
    free(function);
}

const char *lambda_function_name(const struct lambda_function *function)
{
    return function->name;
}

void *lambda_function_owner(const struct lambda_function *function)
{
    return function->owner;
}
