#include "build/detect/detector.h"

/* What the server is told: files only, hidden ones never, the site's own 404 page, names without .html too. */
static const char *const caddyfile[] = {
    "{",
    "  admin off",
    "  auto_https off",
    "  grace_period 20s",
    "}",
    "http://:{$PORT:8080} {",
    "  root * /site",
    "  encode gzip",
    "  try_files {path} {path}.html",
    "  file_server {",
    "    hide .*",
    "  }",
    "  handle_errors {",
    "    @page file /{http.error.status_code}.html",
    "    rewrite @page /{http.error.status_code}.html",
    "    file_server {",
    "      status {http.error.status_code}",
    "      hide .*",
    "    }",
    "  }",
    "}",
};

static void text_caddyfile(GString *text)
{
    g_string_append(text, "RUN mkdir -p /out && printf '%s\\n'");
    for (size_t i = 0; i < G_N_ELEMENTS(caddyfile); i++) {
        g_string_append_printf(text, " '%s'", caddyfile[i]);
    }
    g_string_append(text, " > /out/Caddyfile\n");
}

void text_site(GString *text, const char *stage, const char *folder, char ***ret_command)
{
    *ret_command =
        g_strdupv((char *[]){(char *)"/usr/local/bin/caddy", (char *)"run", (char *)"--config",
                             (char *)"/etc/caddy/Caddyfile", (char *)"--adapter", (char *)"caddyfile", NULL});
    text_line(text, "FROM enclii/base-static:bookworm AS server");
    /* cat drops file capabilities, with which the program would not start in a container that has none. */
    text_line(text, "RUN cat \"$(command -v caddy)\" > /caddy && chmod 0755 /caddy");
    text_caddyfile(text);
    text_line(text, "COPY --from=%s %s /site", stage, folder);
    /* Validators are made of time and size, and all uploaded files have one time: what changed must get a new one. */
    text_line(text, "RUN find /site -type f -exec touch {} + && find /site -type f -exec chmod a+r {} +");
    text_line(text, "%s", "");
    text_line(text, "FROM " TEXT_RUNTIME);
    text_line(text, "COPY --from=server /caddy /usr/local/bin/caddy");
    text_line(text, "COPY --from=server /out/Caddyfile /etc/caddy/Caddyfile");
    text_line(text, "COPY --from=server /site /site");
    text_line(text, "ENV XDG_DATA_HOME=/tmp XDG_CONFIG_HOME=/tmp");
    text_line(text, "WORKDIR /site");
    text_end(text, *ret_command);
}

/* The folder of index.html, or NULL. */
static const char *find_site(const struct look *look)
{
    static const char *const folders[] = {".", "public", "dist", "build", "_site"};
    for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
        g_autofree char *path = g_build_filename(folders[i], "index.html", NULL);
        if (folder_has(look->fd, path)) {
            return folders[i];
        }
    }
    return NULL;
}

enum finding detect_static(const struct look *look, struct detection *ret, GError **error)
{
    const char *folder = find_site(look);
    if (folder == NULL) {
        return FINDING_NONE;
    }
    bool is_root = folder[0] == '.';
    GString *text = g_string_new(NULL);
    text_line(text, "FROM " TEXT_RUNTIME " AS files");
    text_line(text, "COPY %s /site", folder);
    if (is_root) {
        text_line(text,
                  "RUN cd /site && rm -rf enclii.yaml Procfile apt.txt Aptfile Makefile README.md node_modules .[!.]*");
    }
    text_line(text, "%s", "");
    text_site(text, "files", "/site", &ret->command);
    ret->builder = "static";
    ret->base = "static";
    ret->label = g_strdup("static site");
    ret->reason = is_root ? g_strdup("index.html") : g_strdup_printf("%s/index.html", folder);
    ret->port = TEXT_PORT;
    ret->dockerfile = g_string_free(text, FALSE);
    return FINDING_MATCH;
}
