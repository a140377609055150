/* A git URL taken apart, by positive character classes. Private to this folder. */
#pragma once

#include <glib.h>
#include <stdbool.h>

enum git_scheme { GIT_HTTPS, GIT_SSH, GIT_FILE };

struct git_url {
    enum git_scheme scheme;
    char *host; /* IPv6 in brackets; NULL for files */
    int port;   /* the scheme's when none is given */
};
typedef struct git_url git_url_t;
void git_url_clear(struct git_url *url);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(git_url_t, git_url_clear)

/* All of source_check_git_url(). */
bool git_url_parse(const char *text, unsigned flags, struct git_url *ret_url, GError **error) G_GNUC_WARN_UNUSED_RESULT;
