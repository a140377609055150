#include "switchyard/config.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/id.h"
#include "base/quantity.h"
#include "edge/edge.h"

#define FILE_LIMIT (256 * 1024)
#define F(member) .offset = offsetof(struct config, member)

/* --- checks of single values: NULL, or what it must be ------------------------------------------------------------------------- */

static const char *check_address(const char *value)
{
    const char *colon = strrchr(value, ':');
    int64_t port;
    bool is_address = colon != NULL && colon > value && int_parse(colon + 1, 0, 65535, &port);
    return is_address ? NULL : "must be HOST:PORT with a port of 0..65535; 0 chooses a free one";
}

static const char *check_listen(const char *value)
{
    return strcmp(value, "none") == 0 ? NULL : check_address(value);
}

static const char *check_base_domain(const char *value)
{
    return strcmp(value, "localhost") == 0 || dns_name_is_valid(value)
               ? NULL
               : "must be localhost or a host name such as apps.example.com";
}

static const char *check_public_url(const char *value)
{
    g_autoptr(GUri) uri = g_uri_parse(value, G_URI_FLAGS_NONE, NULL);
    const char *scheme = uri != NULL ? g_uri_get_scheme(uri) : "";
    return strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0
               ? NULL
               : "must be a URL such as https://apps.example.com";
}

static const char *check_network_pool(const char *value)
{
    g_auto(GStrv) parts = g_strsplit(value, "/", 2);
    struct in_addr address;
    int64_t bits;
    bool is_range = parts[0] != NULL && parts[1] != NULL && inet_pton(AF_INET, parts[0], &address) == 1 &&
                    int_parse(parts[1], 8, 24, &bits);
    return is_range ? NULL : "must be an IPv4 range of /8 to /24, such as 10.201.0.0/16";
}

static const char *check_log_level(const char *value)
{
    static const char *const levels[] = {"debug", "info", "warn", "error", NULL};
    return g_strv_contains(levels, value) ? NULL : "must be debug, info, warn or error";
}

static const char *check_base_images(const char *value)
{
    static const char *const sources[] = {"auto", "registry", "assemble", NULL};
    return g_strv_contains(sources, value) ? NULL : "must be auto, registry or assemble";
}

static const char *check_confinement(const char *value)
{
    static const char *const choices[] = {"auto", "on", "off", NULL};
    return g_strv_contains(choices, value) ? NULL : "must be auto, on or off";
}

static const char *check_roles(const char *value)
{
    static const char *const known[] = {"api", "reconcile", "build", NULL};
    g_auto(GStrv) roles = g_strsplit(value, ",", -1);
    for (char **role = roles; *role != NULL; role++) {
        if (!g_strv_contains(known, *role)) {
            return "must be some of api, reconcile, build with commas between them";
        }
    }
    return NULL;
}

static const struct field config_fields[] = {
    {.name = "data_dir",
     .kind = KIND_STRING,
     F(data_dir),
     .fallback = "/var/lib/enclii",
     .doc = "folder for everything that Enclii keeps"},
    {.name = "listen",
     .kind = KIND_STRING,
     F(listen),
     .fallback = "127.0.0.1:7700",
     .check = check_listen,
     .doc = "HOST:PORT of the API; port 0 chooses one; none: unix socket only"},
    {.name = "socket",
     .kind = KIND_STRING,
     F(socket),
     .doc = "unix socket of the API; default: /run/enclii/switchyard.sock for the default data_dir, else "
            "DATA_DIR/switchyard.sock"},
    {.name = "socket_group",
     .kind = KIND_STRING,
     F(socket_group),
     .fallback = "enclii",
     .doc = "members of this group are administrators on the unix socket"},
    {.name = "edge_http",
     .kind = KIND_STRING,
     F(edge_http),
     .fallback = "0.0.0.0:8080",
     .check = check_address,
     .doc = "HOST:PORT where HAProxy serves the applications; port 0 chooses one"},
    {.name = "edge_trusted_proxies",
     .kind = KIND_STRING,
     F(edge_trusted_proxies),
     .maximum = 4096,
     .check = edge_check_proxies,
     .doc = "addresses and ranges, with commas between, of proxies before the edge whose X-Forwarded-For and "
            "X-Forwarded-Proto are believed; default: nobody's are"},
    {.name = "base_domain",
     .kind = KIND_STRING,
     F(base_domain),
     .fallback = "localhost",
     .check = check_base_domain,
     .doc = "host names end in it"},
    {.name = "public_url",
     .kind = KIND_STRING,
     F(public_url),
     .check = check_public_url,
     .doc = "scheme and port of URLs shown to users, when a proxy stands before the edge; default: http and the edge's "
            "port"},
    {.name = "store",
     .kind = KIND_STRING,
     F(store),
     .flags = FIELD_SECRET,
     .doc = "sqlite:PATH or postgresql://…; default sqlite:DATA_DIR/enclii.db"},
    {.name = "engine",
     .kind = KIND_STRING,
     F(engine),
     .fallback = "unix:/var/run/docker.sock",
     .doc = "container engine: unix:PATH of a Docker-compatible API"},
    {.name = "roles",
     .kind = KIND_STRING,
     F(roles),
     .fallback = "api,reconcile,build",
     .check = check_roles,
     .doc = "what this process does"},
    {.name = "master_key",
     .kind = KIND_STRING,
     F(master_key),
     .doc = "file with the key that secrets are sealed with; default DATA_DIR/master.key"},
    {.name = "haproxy", .kind = KIND_STRING, F(haproxy), .fallback = "haproxy", .doc = "HAProxy program, 2.6 or later"},
    {.name = "docker",
     .kind = KIND_STRING,
     F(docker),
     .doc = "docker client for builds; default: the first that can build"},
    {.name = "network_pool",
     .kind = KIND_STRING,
     F(network_pool),
     .fallback = "10.201.0.0/16",
     .check = check_network_pool,
     .doc = "IPv4 range that environments' networks (/24 each) are taken from"},
    {.name = "log_level",
     .kind = KIND_STRING,
     F(log_level),
     .fallback = "info",
     .check = check_log_level,
     .doc = "debug, info, warn or error"},
    {.name = "ca_bundle",
     .kind = KIND_STRING,
     F(ca_bundle),
     .doc = "extra CA bundle for builds behind a company's proxy; none: no bundle; default: the host's own when base "
            "images are assembled here"},
    {.name = "base_images",
     .kind = KIND_STRING,
     F(base_images),
     .fallback = "auto",
     .check = check_base_images,
     .doc = "auto, registry or assemble: where base images come from"},
    {.name = "confinement",
     .kind = KIND_STRING,
     F(confinement),
     .fallback = "auto",
     .check = check_confinement,
     .doc = "auto, on or off: switchyard and the programs that it starts give up what they do not need (Landlock, "
            "seccomp); "
            "auto: as far as the kernel offers it; on: refuse to start without"},
    {.name = "allow_frontends",
     .kind = KIND_BOOL,
     F(allow_frontends),
     .fallback = "false",
     .doc = "allow custom `# syntax=` frontends in Dockerfiles"},
    {.name = "allow_private_git",
     .kind = KIND_BOOL,
     F(allow_private_git),
     .fallback = "false",
     .doc = "allow git repositories at private addresses"},
    {.name = "workers",
     .kind = KIND_INT,
     F(workers),
     .minimum = 1,
     .maximum = 256,
     .fallback = "8",
     .doc = "threads that serve requests"},
    {.name = "loops",
     .kind = KIND_INT,
     F(loops),
     .minimum = 1,
     .maximum = 4,
     .fallback = "2",
     .doc = "threads that read and write connections"},
    {.name = "pool_size",
     .kind = KIND_INT,
     F(pool_size),
     .minimum = 4,
     .maximum = 50,
     .fallback = "12",
     .doc = "PostgreSQL connections"},
    {.name = "builds",
     .kind = KIND_INT,
     F(builds),
     .minimum = 1,
     .maximum = 32,
     .fallback = "2",
     .doc = "builds at once"},
    {.name = "build_memory",
     .kind = KIND_SIZE,
     F(build_memory_bytes),
     .minimum = 64 << 20,
     .maximum = INT64_C(1) << 40,
     .fallback = "2Gi",
     .doc = "memory that all build steps together may use"},
    {.name = "build_cpu",
     .kind = KIND_CPU,
     F(build_cpu_millis),
     .minimum = 100,
     .maximum = 256000,
     .fallback = "2",
     .doc = "CPUs that all build steps together may use"},
    {.name = "build_timeout",
     .kind = KIND_DURATION,
     F(build_timeout_ms),
     .minimum = 10000,
     .maximum = 86400000,
     .fallback = "15m",
     .doc = "longest build"},
    {.name = "source_limit",
     .kind = KIND_SIZE,
     F(source_limit_bytes),
     .minimum = 1 << 16,
     .maximum = INT64_C(1) << 36,
     .fallback = "512Mi",
     .doc = "largest uploaded archive"},
    {.name = "disk_reserve",
     .kind = KIND_SIZE,
     F(disk_reserve_bytes),
     .maximum = INT64_C(1) << 44,
     .fallback = "1Gi",
     .doc = "builds and uploads are refused when less is free"},
    {.name = "disk_budget",
     .kind = KIND_SIZE,
     F(disk_budget_bytes),
     .minimum = 1 << 20,
     .maximum = INT64_C(1) << 50,
     .fallback = "20Gi",
     .doc = "images, sources and logs beyond it are garbage-collected, oldest first"},
    {.name = "keep_deployments",
     .kind = KIND_INT,
     F(keep_deployments),
     .minimum = 2,
     .maximum = 1000,
     .fallback = "5",
     .doc = "healthy deployments per service and environment that stay a rollback target"},
    {.name = "resync",
     .kind = KIND_DURATION,
     F(resync_ms),
     .minimum = 1000,
     .maximum = 3600000,
     .fallback = "15s",
     .doc = "how often everything is compared with what runs, whatever the events say"},
    {.name = "log_service_limit",
     .kind = KIND_SIZE,
     F(log_service_bytes),
     .minimum = 1 << 20,
     .maximum = INT64_C(1) << 44,
     .fallback = "256Mi",
     .doc = "log lines kept per service and environment"},
    {.name = "log_age",
     .kind = KIND_DURATION,
     F(log_age_ms),
     .minimum = 60000,
     .maximum = INT64_C(31622400000),
     .fallback = "30d",
     .doc = "log lines older than this go"},
    {.name = "drain",
     .kind = KIND_DURATION,
     F(drain_ms),
     .minimum = 0,
     .maximum = 600000,
     .fallback = "10s",
     .doc = "time that running requests have when the daemon stops"},
};
const struct type config_type = {
    .name = "Config",
    .size = sizeof(struct config),
    .fields = config_fields,
    .n_fields = G_N_ELEMENTS(config_fields),
    .doc = "Configuration of switchyard.",
};

/* listen → --listen, build_memory → --build-memory */
static char *flag_name(const char *key)
{
    char *flag = g_strdup_printf("--%s", key);
    g_strdelimit(flag, "_", '-');
    memcpy(flag, "--", 2);
    return flag;
}

static char *variable_name(const char *key)
{
    g_autofree char *upper = g_ascii_strup(key, -1);
    return g_strdup_printf("ENCLII_%s", upper);
}

struct reader {
    json_t *values; /* key → text */
    char **origins; /* per field */
};

static void take(struct reader *reader, size_t index, const char *value, const char *origin)
{
    json_object_set_new(reader->values, config_fields[index].name, json_string(value));
    g_free(reader->origins[index]);
    reader->origins[index] = g_strdup(origin);
}

static const char *nearest_key(const char *text)
{
    g_autofree char *word = g_strdup(g_str_has_prefix(text, "--") ? text + 2 : text);
    g_strdelimit(word, "-", '_');
    const char *names[G_N_ELEMENTS(config_fields) + 1] = {NULL};
    for (size_t i = 0; i < G_N_ELEMENTS(config_fields); i++) {
        names[i] = config_fields[i].name;
    }
    return nearest_word(word, names);
}

static int key_index(const char *key)
{
    for (size_t i = 0; i < G_N_ELEMENTS(config_fields); i++) {
        if (strcmp(config_fields[i].name, key) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static bool unknown_key(const char *where, const char *key, GError **error)
{
    bool is_flag = g_str_has_prefix(key, "--");
    g_autofree char *nearest = g_strdup(nearest_key(key));
    if (nearest != NULL && is_flag) {
        g_strdelimit(nearest, "_", '-');
    }
    sy_fail(error, SY_INVALID_INPUT, "%s: %s is not known%s%s%s", where, key, nearest != NULL ? "; did you mean " : "",
            nearest != NULL && is_flag ? "--" : "", nearest != NULL ? nearest : "");
    sy_error_set_hint(error, "switchyard config --reference lists every key.");
    return false;
}

/* `key = value` lines; # begins a comment. */
static bool read_file(struct reader *reader, const char *path, GError **error)
{
    g_autofree char *text = file_read(path, FILE_LIMIT, NULL, error);
    if (text == NULL) {
        return false;
    }
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (size_t i = 0; lines[i] != NULL; i++) {
        char *line = g_strstrip(lines[i]);
        if (*line == '\0' || *line == '#') {
            continue;
        }
        g_autofree char *where = g_strdup_printf("%s:%zu", path, i + 1);
        char *equals = strchr(line, '=');
        if (equals == NULL) {
            return sy_fail(error, SY_INVALID_INPUT, "%s: must be key = value", where);
        }
        *equals = '\0';
        const char *key = g_strstrip(line);
        int index = key_index(key);
        if (index < 0) {
            return unknown_key(where, key, error);
        }
        take(reader, (size_t)index, g_strstrip(equals + 1), where);
    }
    return true;
}

static void read_environment(struct reader *reader, char **environment)
{
    for (size_t i = 0; i < G_N_ELEMENTS(config_fields); i++) {
        g_autofree char *name = variable_name(config_fields[i].name);
        const char *value = g_environ_getenv(environment, name);
        if (value != NULL && *value != '\0') {
            take(reader, i, value, name);
        }
    }
}

static bool read_flags(struct reader *reader, int argc, char **argv, GError **error)
{
    for (int i = 0; i < argc; i++) {
        g_auto(GStrv) parts = g_strsplit(argv[i], "=", 2);
        g_autofree char *key = g_str_has_prefix(parts[0], "--") ? g_strdup(parts[0] + 2) : g_strdup(parts[0]);
        g_strdelimit(key, "-", '_');
        int index = key_index(key);
        const char *value = parts[1] != NULL ? parts[1] : i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(key, "config") == 0 && value != NULL) {
            i += parts[1] == NULL;
            continue; /* was read before */
        }
        if (index < 0 || !g_str_has_prefix(argv[i], "--")) {
            return unknown_key("flag", argv[i], error);
        }
        if (value == NULL) {
            return sy_fail(error, SY_INVALID_INPUT, "%s needs a value", argv[i]);
        }
        i += parts[1] == NULL;
        g_autofree char *flag = flag_name(config_fields[index].name);
        take(reader, (size_t)index, value, flag);
    }
    return true;
}

static char *config_file(int argc, char **argv, char **environment)
{
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--config") == 0 && i + 1 < argc) {
            return g_strdup(argv[i + 1]);
        }
        if (g_str_has_prefix(argv[i], "--config=")) {
            return g_strdup(argv[i] + 9);
        }
    }
    const char *named = g_environ_getenv(environment, "ENCLII_CONFIG");
    if (named != NULL) {
        return g_strdup(named);
    }
    return g_file_test("/etc/enclii/switchyard.conf", G_FILE_TEST_EXISTS) ? g_strdup("/etc/enclii/switchyard.conf")
                                                                          : NULL;
}

static void make_absolute(char **path)
{
    if (*path != NULL && !g_path_is_absolute(*path)) {
        char *absolute = g_canonicalize_filename(*path, NULL);
        g_free(*path);
        *path = absolute;
    }
}

static void fill_dependent(struct config *config)
{
    if (strcmp(config->listen, "none") == 0) {
        g_clear_pointer(&config->listen, g_free);
    }
    make_absolute(&config->data_dir);
    if (config->socket == NULL) {
        config->socket = strcmp(config->data_dir, "/var/lib/enclii") == 0
                             ? g_strdup("/run/enclii/switchyard.sock")
                             : g_build_filename(config->data_dir, "switchyard.sock", NULL);
    }
    make_absolute(&config->socket);
    if (config->store == NULL) {
        config->store = g_strdup_printf("sqlite:%s/enclii.db", config->data_dir);
    }
    if (config->master_key == NULL) {
        config->master_key = g_build_filename(config->data_dir, "master.key", NULL);
    }
    make_absolute(&config->master_key);
}

/* The file and line, or the variable, that a refused value came from; a flag is before the reader's eyes. */
static void name_origin(char **origins, GError **error)
{
    const GPtrArray *issues = error != NULL ? sy_error_issues(*error) : NULL;
    const struct sy_issue *first = issues != NULL && issues->len > 0 ? g_ptr_array_index(issues, 0) : NULL;
    int index = first != NULL ? key_index(first->path) : -1;
    if (index >= 0 && !g_str_has_prefix(origins[index], "--")) {
        g_prefix_error(error, "%s: ", origins[index]);
    }
}

struct config *config_read(int argc, char **argv, char **environment, struct config_origins *ret_origins,
                           GError **error)
{
    struct reader reader = {.values = json_object(), .origins = g_new0(char *, G_N_ELEMENTS(config_fields) + 1)};
    for (size_t i = 0; i < G_N_ELEMENTS(config_fields); i++) {
        reader.origins[i] = g_strdup("default");
    }
    g_autofree char *file = config_file(argc, argv, environment);
    bool ok = file == NULL || read_file(&reader, file, error);
    if (ok) {
        read_environment(&reader, environment);
    }
    ok = ok && read_flags(&reader, argc, argv, error);
    struct config *config = contract_new(&config_type);
    if (ok && !contract_decode(&config_type, config, reader.values, DECODE_TEXT, error)) {
        name_origin(reader.origins, error);
        ok = false;
    }
    json_decref(reader.values);
    if (!ok) {
        g_strfreev(reader.origins);
        config_free(config);
        return NULL;
    }
    fill_dependent(config);
    ret_origins->origins = reader.origins;
    return config;
}

void config_free(struct config *config)
{
    contract_object_free(config);
}

void config_origins_clear(struct config_origins *origins)
{
    g_clear_pointer(&origins->origins, g_strfreev);
}

/* A password in a database URL is nobody's business on a terminal. */
static char *redacted(const struct field *field, const struct config *config)
{
    g_autofree char *text = contract_text(field, config);
    if ((field->flags & FIELD_SECRET) == 0) {
        return g_steal_pointer(&text);
    }
    g_autoptr(GUri) uri = g_uri_parse(text, G_URI_FLAGS_HAS_PASSWORD, NULL);
    return uri != NULL ? g_uri_to_string_partial(uri, G_URI_HIDE_PASSWORD) : g_steal_pointer(&text);
}

GString *config_print(const struct config *config, const struct config_origins *origins)
{
    GString *out = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(config_fields); i++) {
        g_autofree char *value = redacted(&config_fields[i], config);
        g_string_append_printf(out, "%-20s = %-32s # %s\n", config_fields[i].name, value, origins->origins[i]);
    }
    return out;
}

GString *config_reference(void)
{
    GString *out = g_string_new("| Key | Flag | Variable | Default | Meaning |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < G_N_ELEMENTS(config_fields); i++) {
        const struct field *field = &config_fields[i];
        g_autofree char *flag = flag_name(field->name);
        g_autofree char *variable = variable_name(field->name);
        g_string_append_printf(out, "| `%s` | `%s` | `%s` | %s%s%s | %s |\n", field->name, flag, variable,
                               field->fallback != NULL ? "`" : "", field->fallback != NULL ? field->fallback : "",
                               field->fallback != NULL ? "`" : "", field->doc);
    }
    return out;
}

bool config_has_role(const struct config *config, const char *role)
{
    g_auto(GStrv) roles = g_strsplit(config->roles, ",", -1);
    return g_strv_contains((const char *const *)roles, role);
}
