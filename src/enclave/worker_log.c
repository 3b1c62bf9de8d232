/* src/enclave/worker_log.c */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "enclave/worker_internal.h"

/* One line of a function's: its content is the owner's, so it never leaves but by TLS. */
struct log_entry {
    uint64_t number;  // 1, 2, 3…; 0: none yet
    char function[FUNCTION_NAME_BYTES_MAX + 1];
    enum lambda_level level;
    struct buffer text;
};

struct worker_log {
    pthread_mutex_t lock;
    struct log_entry entries[WORKER_LOG_LINES];  // number n lies at (n - 1) % WORKER_LOG_LINES
    uint64_t last;
};

enum status worker_log_new(struct worker_log **log)
{
    *log = calloc(1, sizeof **log);
    if (*log == NULL) {
        return STATUS_NO_MEMORY;
    }
    pthread_mutex_init(&(*log)->lock, NULL);
    return STATUS_OK;
}

void worker_log_add(struct worker_log *log, const char *function, enum lambda_level level,
                    struct bytes text)
{
    pthread_mutex_lock(&log->lock);
    struct log_entry *entry = &log->entries[log->last % WORKER_LOG_LINES];
    buffer_clear(&entry->text);
    if (buffer_append(&entry->text, text.at, text.length) == STATUS_OK) {
        log->last++;
        entry->number = log->last;
        entry->level = level;
        snprintf(entry->function, sizeof entry->function, "%s", function);
    }
    pthread_mutex_unlock(&log->lock);
}

static const char *level_text(enum lambda_level level)
{
    static const char *const texts[] = {"debug", "info", "warn", "error"};
    return texts[level];
}

static enum status append_text(struct buffer *body, const char *text)
{
    return buffer_append(body, text, strlen(text));
}

static enum status append_entry(struct buffer *body, const struct log_entry *entry, bool is_first)
{
    char head[160];
    snprintf(head, sizeof head,
             "%s{\"n\":%" PRIu64 ",\"function\":\"%s\",\"level\":\"%s\",\"text\":",
             is_first ? "" : ",", entry->number, entry->function, level_text(entry->level));
    enum status status = append_text(body, head);
    if (status == STATUS_OK) {
        status = response_append_json(body, buffer_bytes(&entry->text));
    }
    return status == STATUS_OK ? append_text(body, "}") : status;
}

enum status worker_log_json(struct worker_log *log, uint64_t after, struct buffer *body)
{
    char tail[48];
    pthread_mutex_lock(&log->lock);
    uint64_t oldest = log->last > WORKER_LOG_LINES ? log->last - WORKER_LOG_LINES + 1 : 1;
    uint64_t from = after + 1 > oldest ? after + 1 : oldest;
    enum status status = append_text(body, "{\"lines\":[");
    for (uint64_t number = from; number <= log->last && status == STATUS_OK; number++) {
        const struct log_entry *entry = &log->entries[(number - 1) % WORKER_LOG_LINES];
        status = append_entry(body, entry, number == from);
    }
    snprintf(tail, sizeof tail, "],\"last\":%" PRIu64 "}\n", log->last);
    pthread_mutex_unlock(&log->lock);
    return status == STATUS_OK ? append_text(body, tail) : status;
}
