#include <string.h>

#include "enclii/commands.h"
#include "enclii/log_printer.h"
#include "enclii/target.h"
#include "enclii/term.h"

#define MAX_LINES 10000
#define DEFAULT_LINES 200

/* One service whose lines are read. */
struct source {
    struct log_printer *printer;
    const char *name;
    struct client *client; /* its own when several are followed at once */
    char *target;
    char *after;     /* id of the last line that is not wanted, or NULL */
    bool is_read;    /* by the thread, to its end */
    GError *failure; /* why not */
    bool is_build;
};

static void source_free(void *data)
{
    struct source *source = data;
    g_free(source->target);
    g_free(source->after);
    g_clear_error(&source->failure);
    g_free(source);
}

/* --- the question ------------------------------------------------------------------------------------------------------------- */

static void add_query(GString *target, const char *name, const char *value)
{
    if (value != NULL) {
        g_autofree char *escaped = g_uri_escape_string(value, NULL, FALSE);
        g_string_append_printf(target, "%s%s=%s", strchr(target->str, '?') != NULL ? "&" : "?", name, escaped);
    }
}

static bool is_of_build(const struct cli *cli)
{
    return cli_has(cli, "build") || cli_has(cli, "release");
}

/* The newest release, whatever became of it: the server's own "latest" is the latest that is ready. */
static char *newest_release(struct cli *cli, const struct service *service, GError **error)
{
    g_autofree char *target = client_target("/v1/services/%s/releases?limit=1", service->id);
    json_t *reply = client_get(cli->client, target, error);
    const json_t *first = json_array_get(json_object_get(reply, "releases"), 0);
    char *id = g_strdup(json_string_value(json_object_get(first, "id")));
    if (reply != NULL && id == NULL) {
        sy_fail(error, SY_NOT_FOUND, "%s has never been built", service->name);
        sy_error_set_hint(error, "Build it: enclii up");
    }
    json_decref(reply);
    return id;
}

static char *base_target(struct cli *cli, const struct service *service, GError **error)
{
    const char *named = cli_flag(cli, "release");
    if (!is_of_build(cli)) {
        return client_target("/v1/services/%s/logs", service->id);
    }
    g_autofree char *release = named != NULL ? g_strdup(named) : newest_release(cli, service, error);
    return release != NULL ? client_target("/v1/services/%s/builds/%s/logs", service->id, release) : NULL;
}

static char *target_of(struct cli *cli, const struct service *service, bool is_following, GError **error)
{
    g_autofree char *base = base_target(cli, service, error);
    if (base == NULL) {
        return NULL;
    }
    g_autoptr(GString) target = g_string_new(base);
    add_query(target, "environment", is_of_build(cli) ? NULL : cli->environment);
    add_query(target, "since", cli_flag(cli, "since"));
    add_query(target, "until", cli_flag(cli, "until"));
    add_query(target, "grep", cli_flag(cli, "grep"));
    add_query(target, "instance", cli_flag(cli, "instance"));
    add_query(target, "limit", cli_flag(cli, "lines"));
    add_query(target, "follow", is_following ? "true" : NULL);
    return g_strdup(target->str);
}

/* --- following ---------------------------------------------------------------------------------------------------------------- */

static bool on_event(const struct stream_event *event, void *arg)
{
    struct source *source = arg;
    if (strcmp(event->type, "end") == 0) {
        log_printer_say(source->printer, source->name, event->data);
        return false;
    }
    if (strcmp(event->type, "missed") == 0) {
        log_printer_say(source->printer, source->name, event->data);
    } else if (strcmp(event->type, "log") == 0) {
        json_t *line = json_loads(event->data, 0, NULL);
        log_printer_put(source->printer, source->name, line);
        json_decref(line);
    }
    return log_printer_is_open(source->printer);
}

static gpointer follow(gpointer data)
{
    struct source *source = data;
    source->is_read = client_follow(source->client, source->target, source->after, on_event, source, &source->failure);
    return NULL;
}

/* Ctrl-C is how following ends. */
static bool is_failure(const GError *failure)
{
    return failure != NULL && !(sy_error_code(failure) == SY_CANCELLED && g_atomic_int_get(term_interrupted()) != 0);
}

/* A client belongs to one thread: each service but the first gets one more. */
static bool follow_all(struct cli *cli, GPtrArray *sources, GError **error)
{
    g_autoptr(GPtrArray) clients = g_ptr_array_new_with_free_func((GDestroyNotify)client_free);
    g_autoptr(GPtrArray) threads = g_ptr_array_new();
    for (guint i = 0; i < sources->len; i++) {
        struct source *source = g_ptr_array_index(sources, i);
        g_autoptr(context_t) context = i > 0 ? context_find(cli_flag(cli, "context"), error) : NULL;
        source->client = i == 0            ? cli->client
                         : context != NULL ? client_new(context->endpoint, context->token, error)
                                           : NULL;
        if (source->client == NULL) {
            return false;
        }
        if (i > 0) {
            client_set_cancelled(source->client, term_interrupted());
            g_ptr_array_add(clients, source->client);
        }
    }
    for (guint i = 0; i < sources->len; i++) {
        g_ptr_array_add(threads, g_thread_new("follow", follow, g_ptr_array_index(sources, i)));
    }
    bool ok = true;
    for (guint i = 0; i < threads->len; i++) {
        struct source *source = g_ptr_array_index(sources, i);
        g_thread_join(g_ptr_array_index(threads, i));
        if (ok && !source->is_read && is_failure(source->failure)) {
            ok = false;
            g_propagate_error(error, g_steal_pointer(&source->failure));
        }
    }
    return ok;
}

/* -n 0 -f: only what comes. To the server a limit of 0 means all, so the last line there is is where to begin. */
static bool skip_to_end(struct cli *cli, struct source *source, const struct service *service, GError **error)
{
    g_autoptr(GString) target = g_string_new(NULL);
    g_autofree char *base = client_target("/v1/services/%s/logs?limit=1", service->id);
    g_string_append(target, base);
    add_query(target, "environment", cli->environment);
    json_t *reply = client_get(cli->client, target->str, error);
    const json_t *last = json_array_get(json_object_get(reply, "logs"), 0);
    source->after = g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(last, "sequence")));
    bool ok = reply != NULL;
    json_decref(reply);
    return ok;
}

/* --- reading once ------------------------------------------------------------------------------------------------------------- */

struct entry {
    const char *service;
    json_t *line;
};

static void entry_clear(void *data)
{
    json_decref(((struct entry *)data)->line);
}

/* RFC 3339 with six decimals in UTC sorts as text. */
static int compare_entries(gconstpointer a, gconstpointer b)
{
    const json_t *left = ((const struct entry *)a)->line;
    const json_t *right = ((const struct entry *)b)->line;
    return g_strcmp0(json_string_value(json_object_get(left, "time")),
                     json_string_value(json_object_get(right, "time")));
}

/* A build's log comes as one text. */
static bool put_text(struct source *source, const json_t *reply)
{
    g_auto(GStrv) lines = g_strsplit(json_string_value(json_object_get(reply, "logs")), "\n", -1);
    for (char **line = lines; *line != NULL; line++) {
        if (line[0][0] != '\0' || line[1] != NULL) {
            json_t *json = json_pack("{s:s}", "text", *line);
            log_printer_put(source->printer, source->name, json);
            json_decref(json);
        }
    }
    return true;
}

static bool read_all(struct cli *cli, GPtrArray *sources, int64_t limit, GError **error)
{
    g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(struct entry));
    g_array_set_clear_func(entries, entry_clear);
    for (guint i = 0; i < sources->len; i++) {
        struct source *source = g_ptr_array_index(sources, i);
        json_t *reply = client_get(cli->client, source->target, error);
        size_t index;
        json_t *line;
        if (reply == NULL) {
            return false;
        }
        if (source->is_build) {
            put_text(source, reply);
        } else {
            json_array_foreach(json_object_get(reply, "logs"), index, line)
            {
                struct entry entry = {source->name, json_incref(line)};
                g_array_append_val(entries, entry);
            }
        }
        json_decref(reply);
    }
    g_array_sort(entries, compare_entries);
    for (guint i = entries->len > limit ? entries->len - (guint)limit : 0; i < entries->len; i++) {
        const struct entry *entry = &g_array_index(entries, struct entry, i);
        log_printer_put(((struct source *)g_ptr_array_index(sources, 0))->printer, entry->service, entry->line);
    }
    return true;
}

/* --- the command -------------------------------------------------------------------------------------------------------------- */

static bool add_source(struct cli *cli, GPtrArray *sources, struct log_printer *printer, const struct service *service,
                       bool is_following, int64_t limit, GError **error)
{
    struct source *source = g_new0(struct source, 1);
    g_ptr_array_add(sources, source);
    source->printer = printer;
    source->name = service->name;
    source->is_build = is_of_build(cli);
    source->target = target_of(cli, service, is_following, error);
    if (source->target == NULL) {
        return false;
    }
    return !is_following || limit != 0 || source->is_build || skip_to_end(cli, source, service, error);
}

static bool choose_services(struct cli *cli, GPtrArray *services, const char *project, GPtrArray *chosen,
                            GError **error)
{
    for (guint i = 0; i < cli->arguments->len; i++) {
        const struct service *found = target_pick(services, project, cli_argument(cli, i), error);
        if (found == NULL) {
            return false;
        }
        g_ptr_array_add(chosen, (gpointer)found);
    }
    for (guint i = 0; cli->arguments->len == 0 && i < services->len; i++) {
        g_ptr_array_add(chosen, g_ptr_array_index(services, i));
    }
    /* Says so when there is none. */
    return chosen->len > 0 || target_pick(services, project, NULL, error) != NULL;
}

static bool check_flags(const struct cli *cli, int64_t *ret_limit, GError **error)
{
    if (cli->output == OUTPUT_YAML) {
        return sy_fail(error, SY_INVALID_INPUT, "log lines come as text or, with -o json, as one JSON object per line");
    }
    if (cli_has(cli, "release") && cli->arguments->len != 1) {
        return sy_fail(error, SY_INVALID_INPUT, "--release needs the name of one service");
    }
    return cli_flag_int(cli, "lines", 0, MAX_LINES, DEFAULT_LINES, ret_limit, error);
}

static bool run(struct cli *cli, GError **error)
{
    int64_t limit = DEFAULT_LINES;
    bool is_following = cli_has(cli, "follow");
    const char *project = check_flags(cli, &limit, error) ? target_project(cli, error) : NULL;
    g_autoptr(GPtrArray) services = project != NULL ? target_services(cli, project, error) : NULL;
    g_autoptr(GPtrArray) chosen = g_ptr_array_new();
    if (services == NULL || !choose_services(cli, services, project, chosen, error)) {
        return false;
    }
    if (limit == 0 && !is_following) {
        return true;
    }
    struct log_printer printer;
    log_printer_init(&printer, cli, chosen->len > 1);
    g_autoptr(GPtrArray) sources = g_ptr_array_new_with_free_func(source_free);
    bool ok = true;
    for (guint i = 0; ok && i < chosen->len; i++) {
        ok = add_source(cli, sources, &printer, g_ptr_array_index(chosen, i), is_following, limit, error);
    }
    ok = ok && (is_following ? follow_all(cli, sources, error) : read_all(cli, sources, limit, error));
    log_printer_clear(&printer);
    return ok;
}

static const struct flag flags[] = {
    {.name = "follow", .letter = 'f', .doc = "go on with new lines until Ctrl-C"},
    {.name = "lines", .letter = 'n', .value = "N", .doc = "the last N lines first (200)"},
    {.name = "since", .value = "WHEN", .doc = "from then on: 10m, or 2026-01-31T12:00:00Z"},
    {.name = "until", .value = "WHEN", .doc = "up to then"},
    {.name = "grep", .value = "TEXT", .doc = "only lines that hold this text"},
    {.name = "instance", .value = "NAME", .doc = "of this instance only"},
    {.name = "build", .doc = "of the newest build instead"},
    {.name = "release", .value = "VERSION", .doc = "of the build of this release"},
    {NULL},
};

const struct command logs_command = {
    .name = "logs",
    .arguments = "[SERVICE…]",
    .summary = "Show what services print, or what a build printed",
    .details =
        "Without names: of all services of the project, each line after its service's name. Without -e: of production\n"
        "when something runs there.\n"
        "\n"
        "    enclii logs -f web\n"
        "    enclii logs --since 1h --grep error\n"
        "    enclii logs --build -f web\n"
        "    enclii logs -o json | jq -r .text",
    .flags = flags,
    .max_arguments = 100,
    .run = run,
};
