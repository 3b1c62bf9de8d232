/* src/base/log.h */
#ifndef BASE_LOG_H
#define BASE_LOG_H

/*
 * Log events: one line of lower-case words and name=value fields, such as
 *
 *     segment sealed capsule=9f1c22 segment=12 records=4096
 *
 * Never a key, a plaintext or a payload. The program decides where lines go;
 * an enclave sends them to its host, which believes nothing in them.
 */
struct log {
    void (*line)(void *context, const char *text);  // `text` without a newline
    void *context;
};

enum { LOG_LINE_BYTES_MAX = 512 };

/* Format one line, cut at LOG_LINE_BYTES_MAX. A NULL log drops it. */
void log_event(const struct log *log, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
