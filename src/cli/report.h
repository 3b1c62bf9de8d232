/* src/cli/report.h */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

/*
 * report: what the command line says to people, on stderr; results go to stdout.
 * Whoever first knows why something cannot be done says so once; those above pass the status.
 */

/* "paranoid: " and one line: what could not be done, to what, why, and what to do. */
void report_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One line of progress, or a remark. */
void report_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
