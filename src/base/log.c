#include "base/log.h"

#include <stdarg.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json_writer.h"
#include "base/timestamp.h"

static int minimum_level = LOG_INFO;
static _Thread_local char thread_request_id[64];

void log_set_level(enum log_level level)
{
    g_atomic_int_set(&minimum_level, (int)level);
}

bool log_is_on(enum log_level level)
{
    return (int)level >= g_atomic_int_get(&minimum_level);
}

void log_set_request_id(const char *request_id)
{
    g_strlcpy(thread_request_id, request_id != NULL ? request_id : "", sizeof thread_request_id);
}

const char *log_request_id(void)
{
    return thread_request_id[0] != '\0' ? thread_request_id : NULL;
}

static void write_line(enum log_level level, const char *event, const GError *error, va_list pairs)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    if (!log_is_on(level)) {
        return;
    }
    g_autoptr(GString) line = g_string_sized_new(256);
    struct json_writer writer;
    json_writer_init(&writer, line);
    json_object_open(&writer);
    char time[TIMESTAMP_LENGTH + 1];
    timestamp_format(g_get_real_time(), time);
    json_member_string(&writer, "time", time);
    json_member_string(&writer, "level", names[level]);
    json_member_string(&writer, "event", event);
    if (log_request_id() != NULL) {
        json_member_string(&writer, "request_id", thread_request_id);
    }
    if (error != NULL) {
        json_member_string(&writer, "code", sy_code_info(sy_error_code(error))->name);
        json_member_string(&writer, "error", error->message);
    }
    const char *key;
    while ((key = va_arg(pairs, const char *)) != NULL) {
        const char *value = va_arg(pairs, const char *);
        if (value != NULL) {
            json_member_string(&writer, key, value);
        }
    }
    json_object_close(&writer);
    g_string_append_c(line, '\n');
    /* A log that cannot be written has nowhere to be reported. */
    ssize_t written = write(STDERR_FILENO, line->str, line->len);
    (void)written;
}

void log_event(enum log_level level, const char *event, ...)
{
    va_list pairs;
    va_start(pairs, event);
    write_line(level, event, NULL, pairs);
    va_end(pairs);
}

void log_failure(const char *event, const GError *error, ...)
{
    va_list pairs;
    va_start(pairs, error);
    write_line(LOG_ERROR, event, error, pairs);
    va_end(pairs);
}

#define LIMIT_US (60 * G_USEC_PER_SEC)

gboolean log_limit_allows(struct log_limit *limit)
{
    gint64 now_us = g_get_monotonic_time();
    gint64 next_us = __atomic_load_n(&limit->next_us, __ATOMIC_RELAXED);
    return now_us >= next_us && __atomic_compare_exchange_n(&limit->next_us, &next_us, now_us + LIMIT_US, false,
                                                            __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

void log_limit_reset(struct log_limit *limit)
{
    __atomic_store_n(&limit->next_us, 0, __ATOMIC_RELAXED);
}
