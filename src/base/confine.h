/* What a process gives up for good, for itself and for every program that it starts: files by Landlock, system calls by
 * seccomp. Mechanism only; what is given up is the caller's to say (switchyard/confinement.c).
 *
 * Both hold for the calling thread and those that it starts from then on, so they come before the first thread. Both set
 * no_new_privs: programs with setuid or file capabilities start without them. Neither can be undone. A second call only
 * takes more away. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* --- files ---------------------------------------------------------------------------------------------------------------- */

enum confine_right {
    CONFINE_READ = 1 << 0,    /* read files, list folders */
    CONFINE_RUN = 1 << 1,     /* start programs */
    CONFINE_CHANGE = 1 << 2,  /* write, make, rename and remove files, folders, links, sockets */
    CONFINE_DEVICES = 1 << 3, /* make device nodes, speak to devices (ioctl) */
    CONFINE_WRITE = 1 << 4,   /* write what is there */
    CONFINE_FOLDERS = 1 << 5, /* make folders */
    CONFINE_SOCKETS = 1 << 6, /* make sockets, remove and rename files */
};

/* Rights for a file, or for a folder and all that is or comes to be beneath it. Rights of several rules add up. */
struct confine_rule {
    char *path; /* followed when it is a link; what does not exist is passed over */
    unsigned rights;
};

/* Version of Landlock that the kernel offers, 0 when none (*ret_why, newly allocated, says why; may be NULL). */
int confine_files_version(char **ret_why);

/* From now on every access that no rule grants fails with EACCES; so do, with EPERM, mount(2) and its like, and ptrace(2) of
 * processes outside, which includes looking into their /proc/PID/fd. What is open already stays usable; looking whether
 * something exists (stat) is not restricted, nor is connecting to a unix socket. SY_NOT_SUPPORTED before version 2 (Linux
 * 5.19), where no file could be moved to another folder. */
bool confine_files(const struct confine_rule *rules, size_t n_rules, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* --- system calls ----------------------------------------------------------------------------------------------------------- */

/* LeakSanitizer stops the other threads by ptrace(2) when it looks for leaks. */
enum confine_calls_flag { CONFINE_ALLOW_PTRACE = 1 << 0 };

/* Refuses, with EPERM, system calls that no program of ours has a use for and that holes in kernels and ways out of
 * confinement are made of; ends a process that loads kernel modules, restarts the machine or calls by another architecture's
 * numbers. The list is in confine_calls.c. SY_NOT_SUPPORTED where the kernel has no seccomp or the architecture no list. */
bool confine_calls(unsigned flags, GError **error) G_GNUC_WARN_UNUSED_RESULT;
