/* What is written for HAProxy, and what never is. */
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "edge/internal.h"

static const struct edge_options plain = {
    .folder = "/var/lib/enclii/edge", .listen = "0.0.0.0:80", .max_connections = 9500, .drain_hint_ms = 3600000};

static struct edge_table *example(void)
{
    struct edge_table *table = edge_table_new();
    struct edge_backend *backend = edge_table_add_backend(table, "b-web");
    backend->health_path = g_strdup("/healthz?full=1&who='edge'");
    backend->health_interval_ms = 5000;
    backend->health_timeout_ms = 2000;
    edge_backend_add_server(backend, "i-1", "10.77.0.2", 8080, EDGE_READY);
    edge_backend_add_server(backend, "i-0", "10.77.0.1", 8080, EDGE_DRAIN);
    backend = edge_table_add_backend(table, "b-files");
    backend->retry_wait_ms = 30000;
    edge_backend_add_server(backend, "i-2", "10.77.0.3", 3000, EDGE_READY);
    backend = edge_table_add_backend(table, "b-stopped");
    backend->is_maintenance = true;
    edge_table_add_host(table, "web-shop-production.localhost", "b-web");
    edge_table_add_host(table, "files.example.com", "b-files");
    edge_table_add_host(table, "old_name.example.com", "b-stopped");
    return table;
}

static void example_gives_the_golden_file(void)
{
    g_autoptr(GError) error = NULL;
    struct edge_table *table = example();
    g_autoptr(GString) text = edge_render(&plain, 80, table);
    g_autofree char *golden = file_read(GOLDEN, 1 << 20, NULL, &error);
    if (g_getenv("UPDATE_GOLDEN") != NULL) {
        g_assert_true(file_replace(GOLDEN, text->str, text->len, 0644, NULL));
        g_test_message("golden file written");
    } else {
        g_assert_no_error(error);
        g_assert_cmpstr(text->str, ==, golden);
    }
    g_autoptr(GString) map = edge_render_map(table);
    g_assert_cmpstr(map->str, ==,
                    "files.example.com b-files\nold_name.example.com b-stopped\nweb-shop-production.localhost b-web\n");
    edge_table_free(table);
}

static void order_of_the_table_does_not_matter(void)
{
    struct edge_table *one = edge_table_new();
    struct edge_table *two = edge_table_new();
    for (int i = 0; i < 5; i++) {
        char name[] = {'b', (char)('0' + i), '\0'};
        char other[] = {'b', (char)('4' - i), '\0'};
        edge_table_add_backend(one, name);
        edge_table_add_backend(two, other);
        edge_table_add_host(one, name, name);
        edge_table_add_host(two, other, other);
    }
    g_autoptr(GString) first = edge_render(&plain, 80, one);
    g_autoptr(GString) second = edge_render(&plain, 80, two);
    g_assert_cmpstr(first->str, ==, second->str);
    edge_table_free(one);
    edge_table_free(two);
}

/* Structure is what needs a reload: not hosts, not servers; everything else. */
static void structure_ignores_hosts_and_servers_only(void)
{
    struct edge_table *table = example();
    struct edge_backend *backend = g_ptr_array_index(table->backends, 0);
    g_autoptr(GString) before = edge_render(&plain, 80, table);
    g_autofree char *structure = edge_structure(before->str);
    g_assert_cmpint(strlen(structure), ==, 64);
    g_assert_cmpint(edge_file_servers(before->str), ==, 3);
    edge_backend_add_server(backend, "i-9", "10.77.0.9", 8080, EDGE_READY);
    edge_table_add_host(table, "new.example.com", "b-web");
    for (int change = 0; change < 6; change++) {
        int port = 80;
        switch (change) {
        case 1:
            backend->health_interval_ms = 100;
            break;
        case 2:
            backend->health_timeout_ms = 100;
            break;
        case 3:
            backend->retry_wait_ms = 100;
            break;
        case 4:
            backend->is_maintenance = true;
            break;
        case 5:
            port = 81;
            break;
        }
        g_autoptr(GString) after = edge_render(&plain, port, table);
        g_autofree char *changed = edge_structure(after->str);
        g_assert_cmpint(strcmp(structure, changed) == 0, ==, change == 0);
        g_free(structure);
        structure = g_steal_pointer(&changed);
    }
    edge_table_free(table);
}

/* --- injection ----------------------------------------------------------------------------------------------------------- */

static const char *const hostile[] = {
    "",
    " ",
    "a b",
    "a\nbackend evil",
    "a\n    server evil 10.0.0.1:80",
    "a\r\nx",
    "a\tb",
    "a\x01",
    "a\x7f",
    "a\"b",
    "a\\",
    "a\\\nb",
    "a#b",
    "a{b}",
    "a;show info",
    "a;del server b/x",
    "a%[env(PATH)]",
    "${HOME}",
    "$PATH",
    "`id`",
    "a|b",
    "a<b>",
    "a^b",
    "\xc3\xa4",
    "\xff\xfe",
    "../../etc/passwd",
    "@1 show info",
    "a' if TRUE",
    "a'b c'",
    "A",
    "_late",
    "b-web b-files",
    "x.localhost b-web\nevil.localhost",
    "global",
    ".if true",
};

/* Of these, fields that allow a word of the corpus for a good reason. */
static bool is_allowed(const char *field, const char *word)
{
    if (strcmp(field, "backend") == 0 || strcmp(field, "server") == 0) {
        return strcmp(word, "global") == 0;
    }
    return strcmp(field, "host") == 0 && strcmp(word, "global") == 0;
}

static struct edge_table *poisoned(const char *field, const char *word)
{
    struct edge_table *table = edge_table_new();
    bool is_backend = strcmp(field, "backend") == 0;
    struct edge_backend *backend = edge_table_add_backend(table, is_backend ? word : "b");
    backend->health_path = g_strdup(strcmp(field, "path") == 0 ? word : "/");
    edge_backend_add_server(backend, strcmp(field, "server") == 0 ? word : "s",
                            strcmp(field, "address") == 0 ? word : "10.0.0.1", 80, EDGE_READY);
    edge_table_add_host(table, strcmp(field, "host") == 0 ? word : "h", is_backend ? word : "b");
    return table;
}

static void nothing_hostile_is_written(void)
{
    static const char *const fields[] = {"backend", "server", "address", "host", "path"};
    for (size_t f = 0; f < G_N_ELEMENTS(fields); f++) {
        for (size_t i = 0; i < G_N_ELEMENTS(hostile); i++) {
            g_autoptr(GError) error = NULL;
            struct edge_table *table = poisoned(fields[f], hostile[i]);
            g_autoptr(GString) text = edge_render(&plain, 80, table);
            bool ok = edge_table_check(table, &error);
            if (ok != is_allowed(fields[f], hostile[i]) || ok != (text != NULL)) {
                g_error("%s \"%s\" was %s", fields[f], hostile[i], ok ? "taken" : "refused");
            }
            if (!ok) {
                g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
                g_assert_null(strchr(error->message, '\n'));
            }
            edge_table_free(table);
        }
    }
}

/* A health path may hold what URLs hold; in the file each stays one quoted word. */
static void odd_paths_stay_one_word(void)
{
    static const char *const paths[] = {"/a'b", "/$HOME", "/a?b=c&d=%20;e", "/[x](y)*!~,@:+", "/''", "/a'if'TRUE"};
    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
        struct edge_table *table = poisoned("path", paths[i]);
        g_autoptr(GString) text = edge_render(&plain, 80, table);
        g_assert_nonnull(text);
        const char *line = strstr(text->str, "http-check send");
        const char *first = strchr(line, '\'');
        const char *second = strchr(first + 1, '\'');
        const char *end = strchr(line, '\n');
        g_assert_true(first < end && second < end && memchr(second + 1, '\'', (size_t)(end - second - 1)) == NULL);
        g_assert_true(g_str_has_prefix(second, "' ver HTTP/1.1 "));
        edge_table_free(table);
    }
}

static void names_are_bounded_and_unique(void)
{
    g_autofree char *longest = g_strnfill(64, 'a');
    g_autofree char *too_long = g_strnfill(65, 'a');
    struct edge_table *table = poisoned("server", longest);
    g_assert_true(edge_table_check(table, NULL));
    struct edge_backend *backend = g_ptr_array_index(table->backends, 0);
    edge_backend_add_server(backend, longest, "10.0.0.2", 80, EDGE_READY);
    g_assert_false(edge_table_check(table, NULL));
    edge_table_free(table);
    table = poisoned("server", too_long);
    g_assert_false(edge_table_check(table, NULL));
    edge_table_free(table);
    table = poisoned("host", "h");
    edge_table_add_host(table, "h", "b");
    g_assert_false(edge_table_check(table, NULL));
    edge_table_free(table);
    table = poisoned("host", "h");
    edge_table_add_host(table, "g", "no-such-backend");
    g_assert_false(edge_table_check(table, NULL));
    edge_table_free(table);
    static const int64_t ports[] = {0, -1, 65536, INT64_MAX};
    for (size_t i = 0; i < G_N_ELEMENTS(ports); i++) {
        table = poisoned("host", "h");
        backend = g_ptr_array_index(table->backends, 0);
        edge_backend_add_server(backend, "t", "10.0.0.2", ports[i], EDGE_READY);
        g_assert_false(edge_table_check(table, NULL));
        edge_table_free(table);
    }
}

/* HAProxy itself reads the example without a complaint. */
static void haproxy_accepts_the_example(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *folder = g_dir_make_tmp("edge-XXXXXX", &error);
    const struct edge_options options = {.folder = folder, .listen = "127.0.0.1:0", .program = "haproxy"};
    struct edge *edge = edge_new(&options, &error);
    g_assert_no_error(error);
    struct edge_table *table = example();
    g_autoptr(GString) text = edge_render(&options, 8080, table);
    g_autoptr(GString) map = edge_render_map(table);
    for (const struct edge_file *file = edge_files; file->name != NULL; file++) {
        g_autofree char *path = g_build_filename(folder, file->name, NULL);
        g_assert_true(file_replace(path, file->text, strlen(file->text), 0640, &error));
    }
    g_assert_true(file_replace(edge->map_path, map->str, map->len, 0640, &error));
    g_assert_true(file_replace(edge->state_path, "1\n", 2, 0640, &error));
    g_assert_true(file_replace(edge->configuration_path, text->str, text->len, 0640, &error));
    const char *const argv[] = {"/usr/sbin/haproxy", "-c", "-f", edge->configuration_path, NULL};
    const struct process_spec spec = {.argv = argv, .stdin_fd = -1, .capture_bytes = 10000};
    g_auto(process_result_t) result = {0};
    if (access(argv[0], X_OK) != 0) {
        g_test_skip("haproxy is not installed");
    } else {
        g_assert_true(process_run(&spec, &result, &error));
        g_test_message("%s", result.last_lines);
        g_assert_cmpint(result.exit_status, ==, 0);
        g_assert_null(strstr(result.last_lines, "WARNING"));
    }
    edge_table_free(table);
    edge_free(edge);
    g_assert_true(folder_remove(folder, &error));
}

/* --- where to listen ------------------------------------------------------------------------------------------------------ */

static void proxies_are_ranges_and_nothing_else(void)
{
    static const char *const good[] = {"", "127.0.0.1", "10.0.0.0/8, 192.168.1.1 ,fd00::/8", "::1/128"};
    static const char *const bad[] = {",",           "10.0.0.0/33",     "10.0.0.0/0",  "10.0.0/8",     "fd00::/129",
                                      "example.com", "10.0.0.0/8 or x", "10.0.0.1,,1", "127.0.0.1\n#", "127.0.0.1/8/8"};
    g_assert_null(edge_check_proxies(NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        g_assert_cmpstr(edge_check_proxies(good[i]), ==, NULL);
    }
    struct edge_table *table = example();
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        struct edge_options options = plain;
        options.trusted_proxies = bad[i];
        g_autoptr(GString) text = edge_render(&options, 80, table);
        g_assert_nonnull(edge_check_proxies(bad[i]));
        g_assert_null(text);
    }
    edge_table_free(table);
}

static void trusted_proxies_change_the_structure(void)
{
    struct edge_table *table = example();
    struct edge_options options = plain;
    g_autoptr(GString) before = edge_render(&options, 80, table);
    options.trusted_proxies = "10.0.0.0/8, fd00::/8";
    g_autoptr(GString) after = edge_render(&options, 80, table);
    g_autofree char *structure = edge_structure(before->str);
    g_autofree char *changed = edge_structure(after->str);
    g_assert_cmpstr(structure, !=, changed);
    g_assert_null(strstr(before->str, "from_proxy"));
    g_assert_nonnull(strstr(after->str, "    acl from_proxy src 10.0.0.0/8\n    acl from_proxy src fd00::/8\n"));
    edge_table_free(table);
}

static void addresses_to_listen_on(void)
{
    static const struct {
        const char *text, *bind; /* NULL: refused */
    } cases[] = {{"127.0.0.1:80", "    bind 127.0.0.1:80"},
                 {"0.0.0.0:80", "    bind *:80"},
                 {":80", "    bind *:80"},
                 {"*:80", "    bind *:80"},
                 {"localhost:80", "    bind 127.0.0.1:80"},
                 {"[::]:80", "    bind [::]:80 v4v6"},
                 {"[::1]:80", "    bind [::1]:80"},
                 {"80", NULL},
                 {"", NULL},
                 {":", NULL},
                 {"[:80", NULL},
                 {"]:80", NULL},
                 {"[]:80", NULL},
                 {"example.com:80", NULL},
                 {"1.2.3.4:80 accept-proxy", NULL},
                 {"1.2.3.4:65536", NULL},
                 {"1.2.3.4\n:80", NULL}};
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        struct edge_listen listen;
        bool ok = edge_listen_parse(cases[i].text, &listen, &error);
        g_autofree char *bind = ok ? edge_listen_bind(&listen, listen.port) : NULL;
        g_assert_cmpstr(bind, ==, cases[i].bind);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/edge/render/golden", example_gives_the_golden_file);
    g_test_add_func("/edge/render/order", order_of_the_table_does_not_matter);
    g_test_add_func("/edge/render/structure", structure_ignores_hosts_and_servers_only);
    g_test_add_func("/edge/render/hostile", nothing_hostile_is_written);
    g_test_add_func("/edge/render/paths", odd_paths_stay_one_word);
    g_test_add_func("/edge/render/names", names_are_bounded_and_unique);
    g_test_add_func("/edge/render/haproxy", haproxy_accepts_the_example);
    g_test_add_func("/edge/render/proxies", proxies_are_ranges_and_nothing_else);
    g_test_add_func("/edge/render/proxies-structure", trusted_proxies_change_the_structure);
    g_test_add_func("/edge/render/listen", addresses_to_listen_on);
    return g_test_run();
}
