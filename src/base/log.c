/* src/base/log.c */
#include "base/log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

void log_event(const struct log *log, const char *format, ...)
{
    if (log == NULL || log->line == NULL) {
        return;
    }
    char text[LOG_LINE_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    log->line(log->context, text);
}
