/* src/cli/findings.c */
#include "cli/findings.h"

#include <stdarg.h>
#include <stdio.h>

enum { TEXT_BYTES = 640 };

void findings_init(struct findings *findings)
{
    *findings = (struct findings){.list = json_array(), .is_well = true};
}

void findings_release(struct findings *findings)
{
    json_decref(findings->list);
}

void findings_add(struct findings *findings, enum findings_state state, const char *what,
                  const char *remedy, const char *format, ...)
{
    static const char *const texts[] = {"ok", "note", "bad"};
    char text[TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    findings->is_well = findings->is_well && state != FINDINGS_BAD;
    json_array_append_new(findings->list, json_pack("{s:s, s:s, s:s, s:s?}", "state", texts[state],
                                                    "what", what, "text", text, "remedy", remedy));
}

void findings_print(const struct findings *findings, bool is_json)
{
    size_t index;
    json_t *finding;
    if (is_json) {
        json_dumpf(findings->list, stdout, JSON_COMPACT | JSON_SORT_KEYS);
        putchar('\n');
        return;
    }
    json_array_foreach(findings->list, index, finding)
    {
        const char *remedy = json_string_value(json_object_get(finding, "remedy"));
        printf("%-5s %-18s %s%s%s\n", json_string_value(json_object_get(finding, "state")),
               json_string_value(json_object_get(finding, "what")),
               json_string_value(json_object_get(finding, "text")), remedy != NULL ? "; " : "",
               remedy != NULL ? remedy : "");
    }
}
