/* src/lambda/lambda_engine.c */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "lambda/lambda_internal.h"
#include "lambda/resident.h"

enum status lambda_engine_begin(bool has_jit)
{
    // The engine reads them when it begins. Compiled code looks by itself whether it is to end:
    // else a thread of the engine suspends it again and again, and breaks into it by faults.
    bool is_set = setenv("JSC_usePollingTraps", "1", 1) == 0 &&
                  (has_jit || setenv("JSC_useJIT", "0", 1) == 0);
    return is_set ? STATUS_OK : STATUS_NO_MEMORY;
}

enum status lambda_engine_new(struct lambda_engine **target, const char *worker,
                              struct watchdog *watchdog)
{
    *target = NULL;
    struct lambda_engine *engine = calloc(1, sizeof *engine);
    if (engine == NULL) {
        return STATUS_NO_MEMORY;
    }
    enum status status = STATUS_NO_MEMORY;
    engine->statm = resident_open();
    if (engine->statm < 0) {
        status = STATUS_IO;
        goto failed;
    }
    engine->worker = strdup(worker);
    if (engine->worker == NULL) {
        goto failed;
    }
    if (watchdog != NULL) {
        engine->seat = watchdog_seat(watchdog);
        if (engine->seat == NULL) {
            status = STATUS_FULL;
            goto failed;
        }
    }
    engine->group = JSContextGroupCreate();
    engine->word_code = JSStringCreateWithUTF8CString("code");
    engine->idle = JSStringCreateWithUTF8CString("for (let i = 0; i < 2; i++);");
    JSClassDefinition definition = kJSClassDefinitionEmpty;
    definition.className = "native";
    definition.callAsFunction = lambda_native_call;
    engine->native_class = JSClassCreate(&definition);
    lambda_limit_arm(engine);
    *target = engine;
    return STATUS_OK;

failed:
    lambda_engine_free(engine);
    return status;
}

void lambda_engine_free(struct lambda_engine *engine)
{
    if (engine == NULL) {
        return;
    }
    CHECK(engine->invocation == NULL);
    if (engine->native_class != NULL) {
        JSClassRelease(engine->native_class);
    }
    if (engine->word_code != NULL) {
        JSStringRelease(engine->word_code);
    }
    if (engine->idle != NULL) {
        JSStringRelease(engine->idle);
    }
    if (engine->group != NULL) {
        JSContextGroupRelease(engine->group);
    }
    if (engine->statm >= 0) {
        close(engine->statm);
    }
    free(engine->worker);
    free(engine);
}

// Time zones come from files of their own, whatever else was loaded.
static const char TOUCHES[] =
    "exports.handler = (event) => {\n"
    "    const values = [new Date(0).toLocaleString('de', { timeZone: 'Asia/Tokyo',\n"
    "        timeZoneName: 'long' }), new Date(0), new Date(2020, 6, 1),\n"
    "        new Date().getTimezoneOffset(), Date.parse('1 Jul 2020'),\n"
    "        Intl.DateTimeFormat().resolvedOptions().timeZone,\n"
    "        Intl.supportedValuesOf('timeZone').length,\n"
    "        new Intl.NumberFormat('en', { style: 'percent' }).format(0.5),\n"
    "        /^(\\w+)\\s*=\\s*\\p{L}/u.exec('name = value'),\n"
    "        'a'.localeCompare('b'), new Intl.Collator('de').compare('z', 'ä'),\n"
    "        'ä'.normalize('NFD').toLocaleUpperCase('tr')];\n"
    "    return [values.map(String), event.query, event.headers, event.body];\n"
    "};\n";

static const char NEVER_ENDS[] = "exports.handler = () => { for (;;); };";

static enum status run_once(struct lambda_engine *engine, const char *code, uint64_t time_ms,
                            enum lambda_outcome expected)
{
    static const struct lambda_event EVENT = {.header_count = 0};
    const struct lambda_source source = {
        .name = "warm-up",
        .code = bytes_text(code),
        .limits = {.time_ms = time_ms},
    };
    char message[128];
    struct lambda_function *function = NULL;
    enum status status = lambda_function_new(engine, &source, &function, message, sizeof message);
    if (status != STATUS_OK) {
        return status;
    }
    struct lambda_result result = LAMBDA_RESULT_EMPTY;
    lambda_invoke(engine, function, &EVENT, &lambda_limit_closed, NULL, &result);
    status = result.outcome == expected ? STATUS_OK : STATUS_IO;
    lambda_result_release(&result);
    lambda_function_free(function);
    return status;
}

enum status lambda_engine_warm_up_further(struct lambda_engine *engine)
{
    return run_once(engine, NEVER_ENDS, 1, LAMBDA_TIMED_OUT);
}

enum status lambda_engine_warm_up(struct lambda_engine *engine)
{
    // A cold disk may take its time.
    enum status status = run_once(engine, TOUCHES, 60000, LAMBDA_OK);
    return status != STATUS_OK ? status : lambda_engine_warm_up_further(engine);
}
