/* src/cli/report.c */
#include "cli/report.h"

#include <stdarg.h>
#include <stdio.h>

void report_error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("paranoid: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

void report_note(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}
