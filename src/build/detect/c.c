#include <string.h>

#include "base/error.h"
#include "build/detect/detector.h"

/* How a folder says that it is built. */
struct tool {
    const char *name;
    const char *mark;
    const char *build; /* run in /src */
    const char *where; /* programs are looked for there */
};

/* make -B: all uploaded files have one time, by which make would take uploaded objects for fresh. */
static const struct tool tools[] = {
    {"meson", "meson.build", "meson setup /build --buildtype=release && ninja -C /build", "/build"},
    {"cmake", "CMakeLists.txt", "cmake -S . -B /build -G Ninja -DCMAKE_BUILD_TYPE=Release && cmake --build /build",
     "/build"},
    {"make", "Makefile", "make -B -j\"$(nproc)\"", "/src"},
    {"make", "makefile", "make -B -j\"$(nproc)\"", "/src"},
    {"make", "GNUmakefile", "make -B -j\"$(nproc)\"", "/src"},
};

static const char *language_of(const char *name)
{
    static const char *const cpp[] = {".cc", ".cpp", ".cxx", ".C"};
    for (size_t i = 0; i < G_N_ELEMENTS(cpp); i++) {
        if (g_str_has_suffix(name, cpp[i])) {
            return "C++";
        }
    }
    return g_str_has_suffix(name, ".c") ? "C" : NULL;
}

static const char *look_in(const struct look *look, const char *folder)
{
    g_auto(GStrv) names = folder_list(look->fd, folder);
    const char *language = NULL;
    for (char **name = names; *name != NULL; name++) {
        const char *this = language_of(*name);
        language = this != NULL && (language == NULL || strcmp(this, "C++") == 0) ? this : language;
    }
    return language;
}

/* Sources here, or one folder down. */
static const char *find_language(const struct look *look)
{
    const char *language = look_in(look, ".");
    g_auto(GStrv) names = folder_list(look->fd, ".");
    for (char **name = names; language == NULL && *name != NULL; name++) {
        language = look_in(look, *name);
    }
    return language;
}

/* The name that the Procfile gives its program, or NULL. */
static char *wanted_name(const struct look *look)
{
    g_autofree char *name = look->web != NULL && *look->web[0] != '/' ? g_path_get_basename(look->web[0]) : NULL;
    return name != NULL && is_plain_name(name) && *name != '.' ? g_steal_pointer(&name) : NULL;
}

/* Finds the one program that the build made; objects, libraries and tests are none. */
static void text_find(GString *text, const struct tool *tool, const char *wanted, const char *name)
{
    g_autofree char *by_name = wanted != NULL ? g_strdup_printf(" -name %s", wanted) : g_strdup("");
    text_line(
        text,
        "RUN find %s -type f -perm -0100%s ! -name '*.so' ! -name '*.so.*' ! -name '*test*' ! -path '*/CMakeFiles/*' "
        "! -path '*/meson-*/*' ! -path '*/test/*' ! -path '*/tests/*' ! -path '*/.git/*' "
        "-exec sh -c '[ \"$(head -c 4 \"$1\" | tail -c 3)\" = ELF ]' - {} \\; -print > /tmp/programs; "
        "if [ \"$(wc -l < /tmp/programs)\" -ne 1 ]; then "
        "grep -E '/(server|app|main|web)$' /tmp/programs > /tmp/named; "
        "if [ \"$(wc -l < /tmp/named)\" -ne 1 ]; then "
        "echo 'Which program is to run? Say it in a Procfile, as web: ./NAME. %s made:'; cat /tmp/programs; exit 1; "
        "fi; "
        "mv /tmp/named /tmp/programs; fi; "
        "install -D -m 0755 \"$(cat /tmp/programs)\" /out/%s",
        tool->where, by_name, tool->name, name);
}

static char *write_dockerfile(const struct look *look, const struct tool *tool, const char *wanted, char **command)
{
    GString *text = g_string_new(NULL);
    const char *name = wanted != NULL ? wanted : "server";
    text_line(text, "FROM enclii/base-c:bookworm AS build");
    text_args(text, "CFLAGS CXXFLAGS LDFLAGS");
    text_apt(text, look->apt_build);
    text_line(text, "WORKDIR /src");
    text_line(text, "COPY . .");
    text_line(text, "RUN " TEXT_CA " %s", tool->build);
    text_find(text, tool, wanted, name);
    text_line(text, "%s", "");
    text_line(text, "FROM " TEXT_RUNTIME);
    text_apt(text, look->apt_run);
    text_line(text, "WORKDIR /app");
    text_data(text, look);
    text_line(text, "COPY --from=build /out/%s /app/bin/%s", name, name);
    text_line(text,
              "RUN if ldd /app/bin/%s | grep 'not found'; then echo 'Add the Debian packages of these libraries to "
              "apt.txt.'; exit 1; fi",
              name);
    text_line(text, "ENV PATH=/app/bin:$PATH");
    text_end(text, command);
    return g_string_free(text, FALSE);
}

static char **make_command(const struct look *look, const char *wanted)
{
    g_autofree char *program = g_strdup_printf("/app/bin/%s", wanted != NULL ? wanted : "server");
    if (look->web == NULL) {
        return g_strdupv((char *[]){program, NULL});
    }
    g_auto(GStrv) argv = g_strdupv(look->web);
    if (wanted != NULL) {
        g_free(argv[0]);
        argv[0] = g_steal_pointer(&program);
    }
    return command_runnable(argv);
}

enum finding detect_c(const struct look *look, struct detection *ret, GError **error)
{
    const struct tool *tool = tools;
    while (tool < tools + G_N_ELEMENTS(tools) && !folder_has(look->fd, tool->mark)) {
        tool++;
    }
    const char *language = tool < tools + G_N_ELEMENTS(tools) ? find_language(look) : NULL;
    if (language == NULL) {
        return FINDING_NONE;
    }
    g_autofree char *wanted = wanted_name(look);
    ret->builder = "c";
    ret->base = "c";
    ret->label = g_strdup_printf("%s, by %s", language, tool->name);
    ret->reason =
        g_strdup_printf("%s and %s sources; %s%s", tool->mark, language,
                        wanted != NULL ? "the Procfile says what runs"
                                       : "the one program it makes is run, or the one called server, app, main or web",
                        look->apt_build != NULL ? "; packages of apt.txt" : "");
    ret->command = make_command(look, wanted);
    ret->port = TEXT_PORT;
    ret->dockerfile = write_dockerfile(look, tool, wanted, ret->command);
    return FINDING_MATCH;
}
