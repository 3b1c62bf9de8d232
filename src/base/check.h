/* src/base/check.h */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

/*
 * CHECK(expression) is for what only our own code can break. It is in every
 * build: better to stop than to sign a wrong thing. Bytes from the host, a
 * peer, the disk or a user never reach it: they are decoded, and refused.
 */
#define CHECK(expression)                                  \
    do {                                                   \
        if (__builtin_expect(!(expression), 0)) {          \
            check_failed(#expression, __FILE__, __LINE__); \
        }                                                  \
    } while (0)

/* Print the expression and its place to stderr, and abort. */
_Noreturn void check_failed(const char *expression, const char *file, int line);

#endif
