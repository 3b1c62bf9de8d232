/* src/lambda/lambda_native.c */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "lambda/lambda_internal.h"

// JSC::VM::drainMicrotasks(); the group is the VM. Exported by the library, declared in none of
// its public headers. Weak: without it endless promise chains are the watchdog's.
extern void vm_drain_microtasks(JSContextGroupRef vm) __asm__("_ZN3JSC2VM15drainMicrotasksEv")
    __attribute__((weak));
extern void JSLock(JSContextRef context);
extern void JSUnlock(JSContextRef context);

// What a native object carries.
struct lambda_binding {
    const struct lambda_function *function;
    const struct lambda_native *native;
};

JSValueRef lambda_native_throw(const struct lambda_call *call, const char *why, const char *code)
{
    char text[128];
    snprintf(text, sizeof text, "%s: %s", call->what, why);
    JSValueRef message = lambda_value_of_text(call->context, bytes_text(text));
    JSObjectRef error = JSObjectMakeError(call->context, 1, &message, NULL);
    if (error != NULL) {
        JSObjectSetProperty(call->context, error, call->function->engine->word_code,
                            lambda_value_of_text(call->context, bytes_text(code)),
                            kJSPropertyAttributeNone, NULL);
    }
    *call->exception = error;
    return JSValueMakeUndefined(call->context);
}

JSValueRef lambda_native_throw_status(const struct lambda_call *call, enum status status)
{
    return lambda_native_throw(call, status_text(status), lambda_code(status));
}

enum status lambda_native_take_key(const struct lambda_call *call, size_t argument,
                                   size_t bytes_min, struct buffer *key)
{
    enum status status = lambda_value_append_text(key, call->context, call->arguments[argument],
                                                  LAMBDA_KEY_BYTES_MAX);
    if (status == STATUS_NO_SPACE || (status == STATUS_OK && key->length < bytes_min)) {
        return STATUS_MALFORMED;
    }
    return status;
}

// log(level, text)
static JSValueRef native_log(const struct lambda_call *call)
{
    struct lambda_invocation *invocation = call->invocation;
    struct buffer text = BUFFER_EMPTY;
    enum lambda_level level =
        (enum lambda_level)JSValueToNumber(call->context, call->arguments[0], NULL);
    enum status status =
        lambda_value_append(&text, call->context, call->arguments[1], LAMBDA_LOG_BYTES_MAX);
    if (status == STATUS_OK) {
        invocation->calls->log(invocation->context, call->function, level, buffer_bytes(&text));
    } else if (status == STATUS_NO_SPACE) {
        static const char CUT[] = " [cut]";
        size_t length = text.length < LAMBDA_LOG_BYTES_MAX ? text.length : LAMBDA_LOG_BYTES_MAX;
        text.length = length;
        if (buffer_append(&text, CUT, sizeof CUT - 1) == STATUS_OK) {
            invocation->calls->log(invocation->context, call->function, level, buffer_bytes(&text));
        }
    }
    buffer_release(&text);
    return JSValueMakeUndefined(call->context);
}

// headers(): name NUL value NUL name NUL ...
static JSValueRef native_headers(const struct lambda_call *call)
{
    const struct lambda_event *event = call->invocation->event;
    struct buffer packed = BUFFER_EMPTY;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < event->header_count; i++) {
        const struct bytes parts[] = {event->headers[i].name, bytes_of("", 1),
                                      event->headers[i].value, bytes_of("", 1)};
        for (size_t j = 0; j < 4 && status == STATUS_OK; j++) {
            if (parts[j].length > 0) {
                status = buffer_append(&packed, parts[j].at, parts[j].length);
            }
        }
    }
    JSValueRef value = JSValueMakeUndefined(call->context);
    if (status == STATUS_OK) {
        value = lambda_value_of_text(call->context, buffer_bytes(&packed));
    } else {
        lambda_native_throw_status(call, status);
    }
    buffer_release(&packed);
    return value;
}

// body(as_bytes)
static JSValueRef native_body(const struct lambda_call *call)
{
    const struct lambda_event *event = call->invocation->event;
    return JSValueToBoolean(call->context, call->arguments[0])
               ? lambda_value_of_bytes(call->context, event->body, call->exception)
               : lambda_value_of_text(call->context, event->body);
}

// call(name, event as JSON, depth, settle)
static JSValueRef native_call(const struct lambda_call *call)
{
    struct lambda_invocation *invocation = call->invocation;
    struct buffer name = BUFFER_EMPTY;
    const struct lambda_function *callee = NULL;
    if (lambda_native_take_key(call, 0, 1, &name) == STATUS_OK) {
        callee = invocation->calls->find(invocation->context, buffer_bytes(&name));
    }
    buffer_release(&name);
    if (callee == NULL) {
        return lambda_native_throw(call, "there is no function of that name", "not_found");
    }
    CHECK(callee->engine == call->function->engine);
    JSValueRef failure = NULL;
    JSObjectCallAsFunction(callee->realm, callee->enter, NULL, 3, &call->arguments[1], &failure);
    if (failure != NULL && !invocation->is_stopped) {
        // Never the failure itself: it is an object of the other realm.
        return lambda_native_throw(call, "the function ran out of stack", "failed");
    }
    return JSValueMakeUndefined(call->context);
}

// drain(): run the promise jobs now, within the time limit of the script that is running.
static JSValueRef native_drain(const struct lambda_call *call)
{
    if (vm_drain_microtasks != NULL) {
        JSLock(call->context);
        vm_drain_microtasks(call->function->engine->group);
        JSUnlock(call->context);
    }
    return JSValueMakeUndefined(call->context);
}

static const struct lambda_native NATIVES[] = {
    {"log", "ctx.log", native_log},      {"headers", "event.headers", native_headers},
    {"body", "event.body", native_body}, {"call", "ctx.call", native_call},
    {"drain", "", native_drain},         {NULL, NULL, NULL},
};

static const struct lambda_native *const TABLES[] = {
    NATIVES, lambda_kv_natives, lambda_lock_natives, lambda_enclave_natives, lambda_answer_natives,
};
enum { TABLE_COUNT = sizeof TABLES / sizeof *TABLES };

JSValueRef lambda_native_call(JSContextRef context, JSObjectRef object, JSObjectRef this_object,
                              size_t count, const JSValueRef arguments[], JSValueRef *exception)
{
    (void)this_object;
    (void)count;
    const struct lambda_binding *binding = JSObjectGetPrivate(object);
    CHECK(binding != NULL && binding->function->engine->invocation != NULL);
    const struct lambda_call call = {
        .function = binding->function,
        .invocation = binding->function->engine->invocation,
        .what = binding->native->what,
        .context = context,
        .arguments = arguments,
        .exception = exception,
    };
    return binding->native->run(&call);
}

JSObjectRef lambda_native_make(struct lambda_function *function)
{
    JSContextRef context = function->realm;
    size_t count = 0;
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        for (const struct lambda_native *native = TABLES[i]; native->name != NULL; native++) {
            count++;
        }
    }
    struct lambda_binding *binding = calloc(count, sizeof *binding);
    if (binding == NULL) {
        return NULL;
    }
    function->bindings = binding;
    JSObjectRef natives = JSObjectMake(context, NULL, NULL);
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        for (const struct lambda_native *native = TABLES[i]; native->name != NULL; native++) {
            *binding = (struct lambda_binding){.function = function, .native = native};
            JSObjectRef object = JSObjectMake(context, function->engine->native_class, binding++);
            JSStringRef key = JSStringCreateWithUTF8CString(native->name);
            JSObjectSetProperty(context, natives, key, object, kJSPropertyAttributeNone, NULL);
            JSStringRelease(key);
        }
    }
    return natives;
}
