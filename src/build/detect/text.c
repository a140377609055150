#include <string.h>

#include "base/json_writer.h"
#include "build/detect/detector.h"

void text_line(GString *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_string_append_vprintf(text, format, args);
    va_end(args);
    g_string_append_c(text, '\n');
}

void text_argv(GString *text, const char *keyword, char *const *argv)
{
    struct json_writer writer;
    g_string_append_printf(text, "%s ", keyword);
    json_writer_init(&writer, text);
    json_array_open(&writer);
    for (; *argv != NULL; argv++) {
        json_put_string(&writer, *argv);
    }
    json_array_close(&writer);
    g_string_append_c(text, '\n');
}

void text_apt(GString *text, char *const *packages)
{
    if (packages == NULL || *packages == NULL) {
        return;
    }
    g_autofree char *words = g_strjoinv(" ", (char **)packages);
    text_line(text,
              "RUN --mount=type=cache,id=enclii-apt,target=/var/cache/apt,sharing=locked "
              "--mount=type=cache,id=enclii-apt-lists,target=/var/lib/apt/lists,sharing=locked "
              "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends %s",
              words);
}

void text_args(GString *text, const char *names)
{
    g_auto(GStrv) all = g_strsplit(names, " ", -1);
    for (char **name = all; *name != NULL; name++) {
        text_line(text, "ARG %s", *name);
    }
}

const char *text_source(GString *text, const struct look *look, const char *const *left_out)
{
    g_autoptr(GString) words = g_string_new(NULL);
    for (; *left_out != NULL; left_out++) {
        if (folder_has_folder(look->fd, *left_out)) {
            g_string_append_printf(words, " %s", *left_out);
        }
    }
    if (words->len == 0) {
        return ". .";
    }
    text_line(text, "FROM " TEXT_RUNTIME " AS source");
    text_line(text, "WORKDIR /source");
    text_line(text, "COPY . .");
    text_line(text, "RUN rm -rf%s", words->str);
    text_line(text, "%s", "");
    return "--from=source /source .";
}

void text_data(GString *text, const struct look *look)
{
    static const char *const folders[] = {"static",  "public",     "templates", "views",  "assets",
                                          "locales", "migrations", "web",       "config", "data"};
    for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
        if (folder_has_folder(look->fd, folders[i])) {
            text_line(text, "COPY %s ./%s", folders[i], folders[i]);
        }
    }
}

void text_end(GString *text, char *const *command)
{
    text_line(text, "ENV HOME=/tmp PORT=%d", TEXT_PORT);
    text_line(text, "USER 65532:65532");
    text_line(text, "EXPOSE %d", TEXT_PORT);
    if (command != NULL && *command != NULL) {
        text_argv(text, "CMD", command);
    }
}
