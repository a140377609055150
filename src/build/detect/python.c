#include <string.h>

#include "base/error.h"
#include "build/detect/detector.h"

#define CACHE "--mount=type=cache,id=enclii-pip,target=/cache/pip"

/* Everything that names dependencies, in lower case: looked through for the names of servers. */
static char *read_dependencies(const struct look *look)
{
    static const char *const files[] = {"requirements.txt", "pyproject.toml", "setup.py", "setup.cfg"};
    GString *all = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *text = folder_text(look->fd, files[i], NULL);
        g_string_append_printf(all, "%s\n", text != NULL ? text : "");
    }
    g_string_ascii_down(all);
    return g_string_free(all, FALSE);
}

static bool depends_on(const char *dependencies, const char *name)
{
    g_autofree char *pattern = g_strdup_printf("(^|[\\s\"'=\\[])%s($|[\\s\"'=<>~!;\\[,])", name);
    return g_regex_match_simple(pattern, dependencies, G_REGEX_MULTILINE, 0);
}

/* app.py that makes `app = …`: "app". */
static const char *find_module(const struct look *look, const char **ret_file)
{
    static const char *const files[] = {"app.py", "main.py", "wsgi.py", "asgi.py", "server.py"};
    static const char *const names[] = {"app", "main", "wsgi", "asgi", "server"};
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *text = folder_text(look->fd, files[i], NULL);
        if (text != NULL && g_regex_match_simple("^(app|application)\\s*(:[^=\\n]*)?=", text, G_REGEX_MULTILINE, 0)) {
            *ret_file = files[i];
            return names[i];
        }
    }
    return NULL;
}

static const char *variable_of(const struct look *look, const char *file)
{
    g_autofree char *text = folder_text(look->fd, file, NULL);
    return text != NULL && g_regex_match_simple("^app\\s*(:[^=\\n]*)?=", text, G_REGEX_MULTILINE, 0) ? "app"
                                                                                                     : "application";
}

/* The package of Django's wsgi.py, or NULL. */
static char *find_django(const struct look *look)
{
    g_auto(GStrv) names = folder_has(look->fd, "manage.py") ? folder_list(look->fd, ".") : NULL;
    for (char **name = names; name != NULL && *name != NULL; name++) {
        g_autofree char *path = g_build_filename(*name, "wsgi.py", NULL);
        if (is_plain_name(*name) && folder_has(look->fd, path)) {
            return g_strdup(*name);
        }
    }
    return NULL;
}

static char **split_own(const char *text)
{
    const char *reason;
    g_auto(GStrv) argv = command_split(text, &reason);
    return command_runnable(argv);
}

static char **choose_served(const struct look *look, const char *dependencies, char **ret_reason)
{
    const char *file = NULL;
    g_autofree char *django = find_django(look);
    const char *module = find_module(look, &file);
    if (django != NULL && depends_on(dependencies, "gunicorn")) {
        g_autofree char *text = g_strdup_printf("gunicorn --bind 0.0.0.0:$PORT %s.wsgi", django);
        *ret_reason = g_strdup_printf("gunicorn serves %s.wsgi", django);
        return split_own(text);
    }
    bool is_uvicorn = depends_on(dependencies, "uvicorn");
    if (module == NULL || !(is_uvicorn || depends_on(dependencies, "gunicorn"))) {
        return NULL;
    }
    const char *variable = variable_of(look, file);
    g_autofree char *text = is_uvicorn ? g_strdup_printf("uvicorn --host 0.0.0.0 --port $PORT %s:%s", module, variable)
                                       : g_strdup_printf("gunicorn --bind 0.0.0.0:$PORT %s:%s", module, variable);
    *ret_reason = g_strdup_printf("%s serves %s:%s", is_uvicorn ? "uvicorn" : "gunicorn", module, variable);
    return split_own(text);
}

static char **choose_command(const struct look *look, char **ret_reason)
{
    static const char *const files[] = {"main.py", "app.py", "server.py", "wsgi.py", "__main__.py"};
    g_autofree char *dependencies = read_dependencies(look);
    if (look->web != NULL) {
        *ret_reason = g_strdup("the Procfile says what runs");
        return command_runnable(look->web);
    }
    char **served = choose_served(look, dependencies, ret_reason);
    if (served != NULL) {
        return served;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        if (folder_has(look->fd, files[i])) {
            *ret_reason = g_strdup_printf("%s is run", files[i]);
            return g_strdupv((char *[]){(char *)"python3", (char *)files[i], NULL});
        }
    }
    *ret_reason = g_strdup("nothing says what runs: set command, or add a Procfile");
    return NULL;
}

static char *write_dockerfile(const struct look *look, bool has_requirements, bool is_project, char **command)
{
    static const char *const left_out[] = {".venv", "venv", "env", NULL};
    GString *text = g_string_new(NULL);
    const char *source = text_source(text, look, left_out);
    text_line(text, "FROM enclii/base-python:bookworm AS build");
    text_args(text, "PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST PIP_FIND_LINKS");
    text_line(text,
              "ENV PIP_CERT=" TEXT_CA_FILE " SSL_CERT_FILE=" TEXT_CA_FILE
              " PIP_CACHE_DIR=/cache/pip PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PATH=/opt/venv/bin:$PATH");
    text_apt(text, look->apt_build);
    text_line(text, "RUN python3 -m venv /opt/venv");
    text_line(text, "WORKDIR /app");
    if (has_requirements) {
        text_line(text, "COPY requirements.txt ./");
        text_line(text, "RUN " TEXT_CA " " CACHE " pip install -r requirements.txt");
    }
    text_line(text, "COPY %s", source);
    if (is_project) {
        text_line(text, "RUN " TEXT_CA " " CACHE " pip install .");
    }
    text_line(text, "RUN python3 -m compileall -q -j 0 /app > /dev/null || true");
    text_line(text, "%s", "");
    text_line(text, "FROM enclii/base-python:bookworm");
    text_apt(text, look->apt_run);
    text_line(text, "COPY --from=build /opt/venv /opt/venv");
    text_line(text, "COPY --from=build /app /app");
    text_line(text, "WORKDIR /app");
    text_line(text, "ENV PATH=/opt/venv/bin:$PATH VIRTUAL_ENV=/opt/venv PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1");
    text_end(text, command);
    return g_string_free(text, FALSE);
}

enum finding detect_python(const struct look *look, struct detection *ret, GError **error)
{
    bool has_requirements = folder_has(look->fd, "requirements.txt");
    bool has_toml = folder_has(look->fd, "pyproject.toml");
    bool has_setup = folder_has(look->fd, "setup.py");
    if (!has_requirements && !has_toml && !has_setup) {
        return FINDING_NONE;
    }
    g_autofree char *toml = has_toml ? folder_text(look->fd, "pyproject.toml", NULL) : NULL;
    /* Many pyproject.toml hold settings of tools and nothing that can be installed. */
    bool is_project = has_setup || (toml != NULL && (!has_requirements || strstr(toml, "[build-system]") != NULL));
    g_autofree char *reason = NULL;
    ret->builder = "python";
    ret->base = "python";
    ret->label = g_strdup("Python 3");
    ret->command = choose_command(look, &reason);
    ret->reason = g_strdup_printf("%s; %s",
                                  has_requirements ? "requirements.txt"
                                  : has_toml       ? "pyproject.toml"
                                                   : "setup.py",
                                  reason);
    ret->port = TEXT_PORT;
    ret->dockerfile = write_dockerfile(look, has_requirements, is_project, ret->command);
    return FINDING_MATCH;
}
