/* Child processes: argv only, never a shell.
 *
 * The child runs in a process group of its own with a minimal environment, no inherited descriptors
 * but 0..2, default signal dispositions, and is killed as a group (SIGTERM, 2 s, SIGKILL) when the
 * deadline passes or `cancelled` becomes non-zero. Blocking; call from a worker. Thread-safe. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* One line of output without its newline (cut at 16 KiB; a longer one arrives in pieces). */
typedef void (*process_line_fn)(const char *line, size_t length, void *arg);

struct process_spec {
    const char *const *argv; /* argv[0] is looked up in PATH; NULL-ended */
    const char *const *env;  /* "K=V", NULL-ended; NULL: PATH, HOME, LANG, TMPDIR and proxy variables of ours */
    const char *cwd;         /* NULL: ours */
    const char *cgroup;      /* absolute path of a cgroup folder the child is put in before exec, or NULL */
    int stdin_fd;            /* borrowed; -1: /dev/null (0 is a real descriptor) */
    int64_t timeout_ms;      /* 0: none */
    const int *cancelled;    /* read atomically (g_atomic_int_get); NULL: cannot be cancelled */
    process_line_fn on_line; /* stdout and stderr, in order of arrival; NULL: none */
    void *on_line_arg;
    size_t capture_bytes; /* how much of stdout to keep in result.output; 0: none */
    pid_t *ret_pid;       /* written before on_line is first called; may be NULL */
};

struct process_result {
    int exit_status; /* -1 when ended by a signal */
    int signal;      /* 0 when it exited */
    bool timed_out;
    bool cancelled;
    char *output; /* NUL-terminated; never NULL after success */
    size_t output_length;
    char *last_lines; /* the last 4 KiB of stderr, for messages */
};

/* True when the program could be started and has ended, whatever its exit status. SY_PROCESS_FAILED
 * when it could not be started (hint names the program to install). */
bool process_run(const struct process_spec *spec, struct process_result *ret_result,
                 GError **error) G_GNUC_WARN_UNUSED_RESULT;
typedef struct process_result process_result_t; /* for g_auto */
void process_result_clear(struct process_result *result);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(process_result_t, process_result_clear)
