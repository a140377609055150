/* The log store alone, for the black-box tests of a failing disk (tests/blackbox/test_disk.py).
 *
 *     log_writer FOLDER write N    appends N lines, one by one; prints the number of each that was taken
 *     log_writer FOLDER read       prints the lines that are there
 *
 * What cannot be done is said on stderr, and the next line is tried; the exit is 1 when the store cannot even be opened. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/quantity.h"
#include "logs/log_store.h"

#define KEY "service/environment"

static bool say(const struct log_line *line, void *arg)
{
    printf("%s%.*s\n", line->stream == LOG_SYSTEM ? "system: " : "", (int)line->length, line->text);
    return true;
}

static int read_all(struct log_store *store)
{
    const struct log_query query = {0};
    g_autoptr(GError) error = NULL;
    if (!log_store_read(store, KEY, &query, say, NULL, &error)) {
        fprintf(stderr, "%s\n", error->message);
        return 1;
    }
    return 0;
}

static void write_one(struct log_store *store, int64_t number)
{
    g_autofree char *filler = g_strnfill(3000, 'x');
    g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT " %s", number, filler);
    g_autoptr(GError) error = NULL;
    const struct log_line line = {
        .time_us = g_get_real_time(), .source = "one", .stream = LOG_STDOUT, .text = text, .length = strlen(text)};
    size_t n_appended = 0;
    if (!log_store_append(store, KEY, &line, 1, NULL, &n_appended, &error)) {
        fprintf(stderr, "%" G_GINT64_FORMAT ": %s\n", number, error->message);
    } else if (n_appended == 1) {
        printf("%" G_GINT64_FORMAT "\n", number);
    }
}

int main(int argc, char **argv)
{
    const struct log_options options = {.segment_bytes = 64 << 10, .sync_ms = 10};
    int64_t n = 0;
    g_autoptr(GError) error = NULL;
    bool writes = argc == 4 && strcmp(argv[2], "write") == 0 && int_parse(argv[3], 1, 1000000, &n);
    if (!writes && !(argc == 3 && strcmp(argv[2], "read") == 0)) {
        return 10;
    }
    struct log_store *store = log_store_open(argv[1], &options, &error);
    if (store == NULL) {
        fprintf(stderr, "%s\n", error->message);
        return 1;
    }
    int status = writes ? 0 : read_all(store);
    for (int64_t number = 1; number <= n; number++) {
        write_one(store, number);
    }
    log_store_close(store);
    return status;
}
