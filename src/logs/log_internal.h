/* The inside of the log store, shared by its files.
 *
 * Locks, in the order they may be taken: a log's write_lock (one appends, recovers, trims), its lock (what readers see;
 * held for moments), the store's lock (the table of logs), the follower's lock, the files' lock. No file is written, synced
 * or read under any but write_lock.
 *
 * References: a log is held by the table and by whoever works with it; a segment by its log, by readers, and by the list of
 * what is to be synced; the store by its owner and by follows, which may be stopped after it was closed. */
#pragma once

#include <stdatomic.h>

#include "logs/log_segment.h"
#include "logs/watermark.h"

#define FILES_OPEN_MAX 128

struct segment {
    atomic_int references;
    struct log_store *store;
    char *path; /* below the store's folder */
    uint64_t first_sequence;
    /* Under the log's lock: */
    int64_t bytes; /* whole records; readers go no further */
    int64_t created_us, min_us, max_us;
    bool has_lines, has_range; /* range: min and max of its lines are known */
    bool is_sealed;
    uint32_t salt;
    bool has_header;
    /* Under the files' lock: */
    int fd; /* -1 when closed */
    unsigned pins;
    GList link; /* in files.idle when open without pins */
    bool is_dirty, is_new_file;
    atomic_int sync_errno;
};

struct log {
    atomic_int references;
    struct log_store *store;
    char *key;
    GMutex write_lock;
    GMutex lock;
    /* Written with both held, read with either: */
    GPtrArray *segments; /* by first_sequence; the last is written to */
    uint64_t next_sequence;
    bool is_listed, is_recovered;
    atomic_llong bytes;
    atomic_bool is_used; /* since the last trim */
    /* Under write_lock: */
    struct watermarks *watermarks;
    /* Under the follower's lock: */
    GPtrArray *follows; /* borrowed */
};

/* Open files, least recently used first, and the thread that syncs. */
struct files {
    GMutex lock;
    GCond wake;
    GThread *thread;
    GQueue idle; /* of segments' links */
    int n_open;
    GPtrArray *dirty; /* segments, referenced */
    int64_t dirty_since_us;
    bool is_closing;
};

struct follower {
    GMutex lock;
    GCond wake;    /* ready has one, or closing */
    GCond stepped; /* a follow is no longer running */
    GThread *thread;
    GQueue ready;
    uint8_t *buffer; /* the thread's own */
    bool is_closing;
};

struct log_store {
    atomic_int references;
    char *folder;
    int folder_fd;
    struct log_options options;
    GMutex lock;
    GHashTable *logs; /* key → log */
    bool is_discovered;
    struct files files;
    struct follower follower;
};

/* --- log_store.c --- */
bool log_key_check(const char *key, GError **error);
struct log *log_find(struct log_store *store, const char *key); /* creates; a reference */
struct log *log_ref(struct log *log);
void log_unref(struct log *log);
typedef struct log log_t; /* for g_autoptr only */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(log_t, log_unref)
void log_store_unref(struct log_store *store);
/* Every log on disk is in the table. */
bool log_store_discover(struct log_store *store, GError **error);

/* --- log_files.c --- */
bool files_start(struct log_store *store, GError **error);
void files_stop(struct log_store *store);
struct segment *segment_new(struct log_store *store, const char *key, uint64_t first_sequence);
struct segment *segment_ref(struct segment *segment);
void segment_unref(struct segment *segment);
/* The open file; stays open until unpinned. -1 and SY_NOT_FOUND when it has been removed. */
int segment_pin(struct segment *segment, GError **error);
int segment_pin_new(struct segment *segment, GError **error); /* creates the file */
void segment_unpin(struct segment *segment);
void segment_mark_dirty(struct segment *segment);
bool segment_unlink(struct segment *segment, GError **error);

/* --- log_recover.c; with write_lock held --- */
bool log_list(struct log *log, GError **error);    /* names and sizes of the segments */
bool log_recover(struct log *log, GError **error); /* reads the last one: watermarks, next sequence */
/* Reads salt and creation time once. False without an error when the header is unreadable. */
bool segment_header(struct log *log, struct segment *segment, int fd);
/* The times of a closed segment's lines, from its footer. */
bool segment_range(struct log *log, struct segment *segment);

/* --- log_append.c; with write_lock held --- */
/* Closes the last segment and begins the next with the watermarks of sources not older than log_age. */
bool log_roll(struct log *log, int64_t time_us, GError **error);

/* --- log_reader.c --- */
struct log_reader {
    struct log *log;
    uint64_t next; /* sequence expected */
    int64_t since_us, until_us;
    uint8_t *buffer; /* SCANNER_BUFFER bytes, the caller's */
    struct segment *segment;
    bool is_pinned;
    struct scanner scanner;
    struct log_line held; /* behind a gap that has been told */
    bool has_held;
};
enum read_result { READ_LINE, READ_MISSED, READ_END, READ_FAILED };
/* From the line after `after` (0: the first there is). The log is recovered. */
void log_reader_init(struct log_reader *reader, struct log *log, const struct log_query *query, uint64_t after,
                     uint8_t *buffer);
void log_reader_done(struct log_reader *reader);
/* The line is valid until the next call. */
enum read_result log_reader_next(struct log_reader *reader, struct log_line *ret_line, int64_t *ret_missed,
                                 GError **error);
/* Gives the file back; the place is kept. */
void log_reader_pause(struct log_reader *reader);
/* Recovers the log unless that has been done; without waiting for its writer otherwise. */
bool log_ready(struct log *log, uint64_t *ret_next, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool log_query_matches(const struct log_query *query, const struct log_line *line);
/* Behind which sequence the last query->limit matches begin. */
bool log_find_start(struct log *log, const struct log_query *query, uint8_t *buffer, uint64_t *ret_after,
                    GError **error);

/* --- log_follow.c --- */
void follower_start(struct log_store *store);
void follower_stop(struct log_store *store);
void follower_wake(struct log *log);
bool log_has_follows(struct log *log);
