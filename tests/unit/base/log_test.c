/* The log: one event is one line of JSON, whatever its values are. */
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"

/* Runs fn with standard error in a file, and returns what was written. */
static char *capture(void (*fn)(void))
{
    g_autofree char *name = NULL;
    g_auto(fd_t) fd = g_file_open_tmp("log-XXXXXX", &name, NULL);
    g_auto(fd_t) before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    g_assert_cmpint(fcntl(fd, F_SETFL, O_APPEND), ==, 0);
    dup2(fd, STDERR_FILENO);
    fn();
    dup2(before, STDERR_FILENO);
    g_autoptr(GError) error = NULL;
    char *text = file_read(name, 64 << 20, NULL, &error);
    unlink(name);
    g_assert_no_error(error);
    return text;
}

static json_t *parse(const char *text)
{
    json_error_t error;
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (json == NULL) {
        g_error("%s: %s", error.text, text);
    }
    return json;
}

static const char *member(const json_t *json, const char *name)
{
    return json_string_value(json_object_get(json, name));
}

static void log_one(void)
{
    log_set_request_id("request-1");
    log_event(LOG_WARN, "engine.call_failed", "endpoint", "line one\nline \"two\"\r\x1b[31m", "none", NULL, "bytes",
              "\xff", NULL);
    log_set_request_id(NULL);
}

static void an_event_is_one_line(void)
{
    g_autofree char *text = capture(log_one);
    g_assert_true(g_str_has_suffix(text, "}\n"));
    g_assert_true(strchr(text, '\n') == text + strlen(text) - 1);
    g_assert_null(strchr(text, '\x1b'));
    json_t *json = parse(text);
    g_assert_cmpstr(member(json, "level"), ==, "warn");
    g_assert_cmpstr(member(json, "event"), ==, "engine.call_failed");
    g_assert_cmpstr(member(json, "endpoint"), ==, "line one\nline \"two\"\r\x1b[31m");
    g_assert_cmpstr(member(json, "bytes"), ==, "\ufffd");
    g_assert_cmpstr(member(json, "request_id"), ==, "request-1");
    g_assert_cmpuint(strlen(member(json, "time")), ==, 27);
    g_assert_null(json_object_get(json, "none"));
    json_decref(json);
}

static void log_levels(void)
{
    log_event(LOG_DEBUG, "a.b", NULL);
    log_set_level(LOG_ERROR);
    log_event(LOG_WARN, "a.c", NULL);
    log_event(LOG_ERROR, "a.d", NULL);
    log_set_level(LOG_DEBUG);
    log_event(LOG_DEBUG, "a.e", NULL);
    log_set_level(LOG_INFO);
}

static void lines_below_the_level_are_dropped(void)
{
    g_autofree char *text = capture(log_levels);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, 3);
    g_assert_nonnull(strstr(lines[0], "a.d"));
    g_assert_nonnull(strstr(lines[1], "a.e"));
}

static void log_a_failure(void)
{
    g_autoptr(GError) error = NULL;
    sy_fail(&error, SY_DISK_FULL, "no room");
    log_failure("store.write_failed", error, "table", "items", NULL);
}

static void a_failure_has_code_and_words(void)
{
    g_autofree char *text = capture(log_a_failure);
    json_t *json = parse(text);
    g_assert_cmpstr(member(json, "level"), ==, "error");
    g_assert_cmpstr(member(json, "code"), ==, "DISK_FULL");
    g_assert_cmpstr(member(json, "error"), ==, "no room");
    g_assert_cmpstr(member(json, "table"), ==, "items");
    g_assert_null(json_object_get(json, "request_id"));
    json_decref(json);
}

static gpointer log_many(gpointer name)
{
    g_autofree char *long_text = g_strnfill(2000, *(const char *)name);
    log_set_request_id(name);
    for (int i = 0; i < 200; i++) {
        log_event(LOG_INFO, "a.b", "text", long_text, NULL);
    }
    return NULL;
}

static void log_from_threads(void)
{
    GThread *threads[4];
    static char names[4][2] = {"a", "b", "c", "d"};
    for (int i = 0; i < 4; i++) {
        threads[i] = g_thread_new("log", log_many, names[i]);
    }
    for (int i = 0; i < 4; i++) {
        g_thread_join(threads[i]);
    }
    g_assert_null(log_request_id()); /* it belongs to the thread that set it */
}

static void lines_of_threads_do_not_mix(void)
{
    g_autofree char *text = capture(log_from_threads);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, 801);
    for (int i = 0; i < 800; i++) {
        json_t *json = parse(lines[i]);
        const char *words = member(json, "text");
        g_assert_cmpuint(strspn(words, member(json, "request_id")), ==, 2000);
        json_decref(json);
    }
}

static void what_goes_on_failing_is_told_once_until_it_is_well(void)
{
    struct log_limit limit = {0};
    g_assert_true(log_limit_allows(&limit));
    g_assert_false(log_limit_allows(&limit));
    log_limit_reset(&limit);
    g_assert_true(log_limit_allows(&limit));
    limit.next_us = g_get_monotonic_time() - 1; /* a minute later */
    g_assert_true(log_limit_allows(&limit));
    g_assert_false(log_limit_allows(&limit));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/log/" #name, name)
    ADD(an_event_is_one_line);
    ADD(lines_below_the_level_are_dropped);
    ADD(a_failure_has_code_and_words);
    ADD(lines_of_threads_do_not_mix);
    ADD(what_goes_on_failing_is_told_once_until_it_is_well);
    return g_test_run();
}
