/* A log store in a folder of its own, and what the tests hand in and read back. */
#pragma once

#include <glib.h>

#include "logs/log_store.h"

struct fixture {
    char *folder;
    struct log_options options;
    struct log_store *store;
};

void fixture_open(struct fixture *fixture, const struct log_options *options);
void fixture_open_in(struct fixture *fixture, const char *parent, const struct log_options *options);
void fixture_reopen(struct fixture *fixture);
void fixture_close(struct fixture *fixture); /* removes the folder */

/* Names of the segment files of a log, sorted; full paths. */
GPtrArray *segment_paths(const struct fixture *fixture, const char *key);
void flip_bit(const char *path, int64_t offset, int bit);
int64_t size_of(const char *path);
char *contents(const char *path, size_t *ret_length);
void put_contents(const char *path, const char *bytes, size_t length);

/* One line; returns how many were kept. Fails the test on an error. */
size_t put(struct log_store *store, const char *key, const char *source, int64_t time_us, const char *text);
size_t put_stream(struct log_store *store, const char *key, const char *source, enum log_stream_kind stream,
                  int64_t time_us, const char *text);
/* `n` lines "PREFIX 1".. at first_us, first_us + 1, … in batches of 100. */
void put_many(struct log_store *store, const char *key, const char *source, const char *prefix, int64_t first_us,
              int n);

/* Lines as texts joined by '|'. */
char *read_texts(struct log_store *store, const char *key, const struct log_query *query);

/* Collected by a follower, on its thread. */
struct collected {
    GMutex lock;
    GCond changed;
    GPtrArray *texts;
    GArray *sequences;
    int64_t missed;
};
void collected_init(struct collected *collected);
void collected_done(struct collected *collected);
bool collect(const struct log_line *line, void *arg);
void collect_missed(int64_t missed, void *arg);
/* Waits for lines and missed ones to be at least so many; false after ten seconds. */
bool collected_wait(struct collected *collected, int64_t n);
char *collected_texts(struct collected *collected);
