/* What the detectors share: looking into a folder, and writing a Dockerfile. Private to this folder.
 *
 * A detector looks for its marks and, when they are there, fills a detection that is all zero. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "build/detect.h"

struct look {
    int fd;
    const struct build_config *config;
    char **web;       /* argv of the Procfile's web line, NULL: none */
    char **apt_build; /* Debian packages of apt.txt for the build, and for running; NULL: no such file */
    char **apt_run;
};

enum finding { FINDING_NONE, FINDING_MATCH, FINDING_ERROR };
typedef enum finding (*detector_fn)(const struct look *look, struct detection *ret, GError **error);

enum finding detect_dockerfile(const struct look *look, struct detection *ret, GError **error);
enum finding detect_go(const struct look *look, struct detection *ret, GError **error);
enum finding detect_node(const struct look *look, struct detection *ret, GError **error);
enum finding detect_python(const struct look *look, struct detection *ret, GError **error);
enum finding detect_c(const struct look *look, struct detection *ret, GError **error);
enum finding detect_static(const struct look *look, struct detection *ret, GError **error);

/* --- folder.c: paths are relative, links are followed only inside ------------------------------------------------------------ */

bool folder_has(int fd, const char *path); /* a regular file */
bool folder_has_folder(int fd, const char *path);
/* At most 1 MiB; NUL bytes are refused. */
char *folder_text(int fd, const char *path, GError **error);
/* Names in a folder, sorted, at most 10,000; empty when there is no such folder. */
char **folder_list(int fd, const char *path);
/* Letters, digits and ._- only, not beginning with '-': may stand in a Dockerfile as it is. */
bool is_plain_name(const char *name);

/* --- apt.c ------------------------------------------------------------------------------------------------------------------- */

/* apt.txt or Aptfile: one Debian package per line, # for comments. Names ending in -dev are for the build only. */
bool apt_read(struct look *look, GError **error);

/* --- command.c --------------------------------------------------------------------------------------------------------------- */

/* Splits by shell quoting; $PORT stays as "${PORT}". NULL with a reason when only a shell could run it. */
char **command_split(const char *text, const char **ret_reason);
/* The command as it can be run without a shell: through env -S when it holds ${PORT}. */
char **command_runnable(char **argv);

/* --- text.c: pieces of Dockerfiles ------------------------------------------------------------------------------------------- */

#define TEXT_CA "--mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt"
#define TEXT_CA_FILE "/etc/ssl/certs/ca-certificates.crt"
#define TEXT_RUNTIME "debian:bookworm-slim"
#define TEXT_PORT 8080

void text_line(GString *text, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* KEYWORD ["a","b"] */
void text_argv(GString *text, const char *keyword, char *const *argv);
void text_apt(GString *text, char *const *packages);
/* ARG lines, space-separated names. */
void text_args(GString *text, const char *names);
/* What "COPY" has to be given for all of the source: when the upload holds folders that only fit the machine they come from
 * (node_modules), a stage of its own is written that leaves them out. */
const char *text_source(GString *text, const struct look *look, const char *const *left_out);
/* COPY lines for folders that programs read at run time: static, templates, … */
void text_data(GString *text, const struct look *look);
/* The end of every generated Dockerfile; `command` may be NULL. */
void text_end(GString *text, char *const *command);
/* Stages that serve the folder of an earlier stage as a static site, to the end. *ret_command is newly allocated. */
void text_site(GString *text, const char *stage, const char *folder, char ***ret_command);
