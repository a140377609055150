/* What a visitor and an instance see through a real HAProxy. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/id.h"
#include "base/process.h"
#include "edge/internal.h"
#include "fixture.h"

static void requests_go_to_the_backend_of_their_host(void)
{
    struct fixture fixture;
    if (!fixture_init(&fixture)) {
        return;
    }
    struct peer *one = peer_new("one");
    struct peer *two = peer_new("two");
    struct edge_table *table = edge_table_new();
    table_serve(table_add(table, "b-2", "two.localhost"), "i-2", two, EDGE_READY);
    table_serve(table_add(table, "b-1", "one.localhost"), "i-1", one, EDGE_READY);
    struct edge_apply_result result = apply(fixture.edge, table, 0);
    g_assert_true(result.was_reloaded);
    g_assert_cmpint(result.servers_added, ==, 2);
    g_assert_cmpint(result.hosts_changed, ==, 2);
    static const struct {
        const char *host, *body;
    } cases[] = {
        {"one.localhost", "one"}, {"two.localhost", "two"}, {"ONE.localhost:8080", "one"}, {"two.localhost.", "two"}};
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *body = body_of(fixture.edge, cases[i].host, "/", 200);
        g_assert_cmpstr(body, ==, cases[i].body);
    }
    fixture_done(&fixture);
    peer_free(one);
    peer_free(two);
}

static void unknown_host_gets_a_page_that_names_it(void)
{
    struct fixture fixture;
    struct answer answer;
    if (!fixture_init(&fixture)) {
        return;
    }
    client_get(edge_port(fixture.edge), "nobody.localhost:80", "/", "", &answer);
    g_assert_cmpint(answer.status, ==, 404);
    g_assert_nonnull(strstr(answer.body, "<strong>nobody.localhost</strong>"));
    g_assert_nonnull(strstr(answer.head, "\r\ncontent-type: text/html"));
    answer_clear(&answer);
    client_get(edge_port(fixture.edge), "nobody.localhost", "/", "Accept: application/json\r\n", &answer);
    g_assert_cmpint(answer.status, ==, 404);
    g_assert_nonnull(strstr(answer.body, "\"error\":\"no application has the host name nobody.localhost\""));
    answer_clear(&answer);
    fixture_done(&fixture);
}

static void a_host_that_is_no_name_is_not_repeated(void)
{
    struct fixture fixture;
    if (!fixture_init(&fixture)) {
        return;
    }
    static const char *const hosts[] = {"<script>alert(1)</script>", "a\"b", "x&y", "a{b}", "%41", "a'b", ""};
    for (size_t i = 0; i < G_N_ELEMENTS(hosts); i++) {
        for (int is_json = 0; is_json < 2; is_json++) {
            struct answer answer;
            client_get(edge_port(fixture.edge), hosts[i], "/", is_json ? "Accept: application/json\r\n" : "", &answer);
            g_assert_true(answer.status == 404 || answer.status == 400);
            g_assert_null(strstr(answer.body, "script>"));
            g_assert_true(hosts[i][0] == '\0' || strstr(answer.body, hosts[i]) == NULL);
            answer_clear(&answer);
        }
    }
    fixture_done(&fixture);
}

static void backend_without_instance_says_so(void)
{
    struct fixture fixture;
    struct answer answer;
    if (!fixture_init(&fixture)) {
        return;
    }
    struct edge_table *table = edge_table_new();
    table_add(table, "b-none", "none.localhost");
    table_add(table, "b-stopped", "stopped.localhost")->is_maintenance = true;
    apply(fixture.edge, table, 0);
    client_get(edge_port(fixture.edge), "none.localhost", "/", "", &answer);
    g_assert_cmpint(answer.status, ==, 503);
    g_assert_nonnull(strstr(answer.body, "No healthy instance"));
    g_assert_nonnull(strstr(answer.head, "\r\nretry-after: 5"));
    answer_clear(&answer);
    client_get(edge_port(fixture.edge), "none.localhost", "/", "Accept: application/json\r\n", &answer);
    g_assert_cmpint(answer.status, ==, 503);
    g_assert_nonnull(strstr(answer.body, "\"code\":\"NO_INSTANCE\""));
    answer_clear(&answer);
    client_get(edge_port(fixture.edge), "stopped.localhost", "/", "", &answer);
    g_assert_cmpint(answer.status, ==, 503);
    g_assert_nonnull(strstr(answer.body, "maintenance"));
    answer_clear(&answer);
    fixture_done(&fixture);
}

/* --- headers ---------------------------------------------------------------------------------------------------------- */

static struct peer *serve_one(struct fixture *fixture)
{
    struct peer *peer = peer_new("one");
    struct edge_table *table = edge_table_new();
    table_serve(table_add(table, "b-1", "one.localhost"), "i-1", peer, EDGE_READY);
    apply(fixture->edge, table, 0);
    return peer;
}

static void forwarded_headers_are_the_edges_own(void)
{
    static const char *const forged[] = {
        "X-Forwarded-For",  "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port",
        "X-Forwarded-User", "X_Forwarded_For",   "Forwarded",        "X-Real-IP",
        "X-Real_IP",        "True-Client-IP",    "CF-Connecting-IP", "X-Client-IP",
        "X-Original-URL",   "X-Rewrite-URL",     "X-Request-Id",     "Proxy"};
    struct fixture fixture;
    struct answer answer;
    if (!fixture_init(&fixture)) {
        return;
    }
    struct peer *peer = serve_one(&fixture);
    g_autoptr(GString) headers = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(forged); i++) {
        g_string_append_printf(headers, "%s: forged\r\n", forged[i]);
    }
    client_get(edge_port(fixture.edge), "one.localhost:99", "/headers", headers->str, &answer);
    g_assert_cmpint(answer.status, ==, 200);
    g_assert_null(strstr(answer.body, "forged"));
    g_autofree char *port = g_strdup_printf("\r\nx-forwarded-port: %d\r\n", edge_port(fixture.edge));
    const char *const expected[] = {"\r\nx-forwarded-for: 127.0.0.1\r\n", "\r\nx-forwarded-proto: http\r\n",
                                    "\r\nx-forwarded-host: one.localhost:99\r\n", "\r\nx-real-ip: 127.0.0.1\r\n", port};
    for (size_t i = 0; i < G_N_ELEMENTS(expected); i++) {
        g_assert_nonnull(strstr(answer.body, expected[i]));
    }
    answer_clear(&answer);
    fixture_done(&fixture);
    peer_free(peer);
}

/* The same HAProxy from now on, told whom to believe: the next table makes it reload. */
static void trust(struct fixture *fixture, const char *proxies)
{
    g_autoptr(GError) error = NULL;
    struct edge_options options = {
        .folder = fixture->folder, .listen = "127.0.0.1:0", .program = "haproxy", .trusted_proxies = proxies};
    edge_choose_user(&options);
    edge_free(fixture->edge);
    fixture->edge = edge_new(&options, &error);
    g_assert_no_error(error);
    bool ok = edge_start(fixture->edge, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
}

static void what_trusted_proxies_say_is_kept(void)
{
    static const char claims[] = "X-Forwarded-Proto: https\r\nX-Forwarded-For: 203.0.113.7\r\n";
    static const struct {
        const char *source, *more;
        const char *expected[4]; /* in the head that the service gets */
    } cases[] = {
        {"127.0.0.2",
         claims,
         {"\r\nx-forwarded-for: 203.0.113.7, 127.0.0.2\r\n", "\r\nx-forwarded-proto: https\r\n",
          "\r\nx-forwarded-port: 443\r\n", "\r\nx-real-ip: 203.0.113.7\r\n"}},
        {"127.0.9.9",
         "x-forwarded-for: 198.51.100.1, 203.0.113.7\r\nX-FORWARDED-PROTO: HTTPS\r\n",
         {"\r\nx-forwarded-for: 198.51.100.1, 203.0.113.7, 127.0.9.9\r\n", "\r\nx-forwarded-proto: https\r\n",
          "\r\nx-real-ip: 203.0.113.7\r\n"}},
        {"127.0.0.2",
         "X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-For: 203.0.113.7\r\n",
         {"\r\nx-forwarded-for: 198.51.100.1\r\n", "\r\nx-forwarded-for: 203.0.113.7\r\n",
          "\r\nx-forwarded-for: 127.0.0.2\r\n", "\r\nx-forwarded-proto: http\r\n"}},
        {"127.0.0.2",
         "X-Forwarded-Proto: gopher\r\nX-Forwarded-For: nobody\r\n",
         {"\r\nx-forwarded-proto: http\r\n", "\r\nx-real-ip: 127.0.0.2\r\n"}},
        {"127.0.0.2", "", {"\r\nx-forwarded-for: 127.0.0.2\r\n", "\r\nx-forwarded-proto: http\r\n"}},
        {"127.0.0.3",
         claims,
         {"\r\nx-forwarded-for: 127.0.0.3\r\n", "\r\nx-forwarded-proto: http\r\n", "\r\nx-real-ip: 127.0.0.3\r\n"}},
    };
    struct fixture fixture;
    if (!fixture_init(&fixture)) {
        return;
    }
    trust(&fixture, "127.0.0.2, 127.0.9.0/24,fd00::/8");
    struct peer *peer = serve_one(&fixture);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct answer answer;
        client_get_from(cases[i].source, edge_port(fixture.edge), "one.localhost", "/headers", cases[i].more, &answer);
        g_assert_cmpint(answer.status, ==, 200);
        for (size_t j = 0; j < G_N_ELEMENTS(cases[i].expected) && cases[i].expected[j] != NULL; j++) {
            if (strstr(answer.body, cases[i].expected[j]) == NULL) {
                g_error("case %zu lacks %s in:\n%s", i, cases[i].expected[j], answer.body);
            }
        }
        answer_clear(&answer);
    }
    fixture_done(&fixture);
    peer_free(peer);
}

/* A trusted proxy passes on what a client invents; only the two that it sets itself are believed. */
static void nothing_else_of_trusted_proxies_is_kept(void)
{
    static const char *const forged[] = {"X-Forwarded",
                                         "X-Forwarded-",
                                         "X-Forwarded-F",
                                         "X-Forwarded-Fo",
                                         "X-Forwarded-Fox",
                                         "X-Forwarded-Forx",
                                         "X-Forwarded-Host",
                                         "X-Forwarded-Port",
                                         "X-Forwarded-User",
                                         "X_Forwarded_For",
                                         "X-Forwarded_For",
                                         "X_Forwarded-For",
                                         "Forwarded",
                                         "X-Real-IP",
                                         "True-Client-IP",
                                         "X-Forwarded-Proto",
                                         "X_Forwarded_Proto",
                                         "X-Request-Id",
                                         "Proxy"};
    struct fixture fixture;
    struct answer answer;
    if (!fixture_init(&fixture)) {
        return;
    }
    trust(&fixture, "127.0.0.0/8");
    struct peer *peer = serve_one(&fixture);
    g_autoptr(GString) headers = g_string_new("X-Forwarded-For: 203.0.113.7\r\n");
    for (size_t i = 0; i < G_N_ELEMENTS(forged); i++) {
        g_string_append_printf(headers, "%s: forged\r\n", forged[i]);
    }
    client_get(edge_port(fixture.edge), "one.localhost", "/headers", headers->str, &answer);
    g_assert_cmpint(answer.status, ==, 200);
    if (strstr(answer.body, "forged") != NULL) {
        g_error("forged headers arrived:\n%s", answer.body);
    }
    g_assert_nonnull(strstr(answer.body, "\r\nx-forwarded-for: 203.0.113.7, 127.0.0.1\r\n"));
    answer_clear(&answer);
    fixture_done(&fixture);
    peer_free(peer);
}

/* An old worker hands over what comes on a kept connection: the new one alone may add the proxy to the list. */
static void a_request_that_is_handed_over_is_extended_once(void)
{
    static const char *const hosts[] = {"one.localhost", "two.localhost"};
    struct fixture fixture;
    if (!fixture_init(&fixture)) {
        return;
    }
    trust(&fixture, "127.0.0.2");
    struct peer *peer = serve_one(&fixture);
    int fd = client_connect_from("127.0.0.2", edge_port(fixture.edge));
    for (size_t i = 0; i < G_N_ELEMENTS(hosts); i++) {
        struct answer answer;
        g_autofree char *request = g_strdup_printf("GET /headers HTTP/1.1\r\nHost: %s\r\nX-Forwarded-Proto: https\r\n"
                                                   "X-Forwarded-For: 203.0.113.7\r\n\r\n",
                                                   hosts[i]);
        g_assert_true(client_send(fd, request, strlen(request)));
        client_receive(fd, &answer);
        g_assert_cmpint(answer.status, ==, 200);
        g_assert_nonnull(strstr(answer.body, "\r\nx-forwarded-for: 203.0.113.7, 127.0.0.2\r\n"));
        g_assert_nonnull(strstr(answer.body, "\r\nx-forwarded-proto: https\r\n"));
        answer_clear(&answer);
        struct edge_table *table = edge_table_new();
        table_serve(table_add(table, "b-1", "one.localhost"), "i-1", peer, EDGE_READY);
        table_serve(table_add(table, "b-2", "two.localhost"), "i-2", peer, EDGE_READY);
        struct edge_apply_result result = apply(fixture.edge, table, 0);
        g_assert_cmpint(result.was_reloaded, ==, i == 0);
    }
    close(fd);
    fixture_done(&fixture);
    peer_free(peer);
}

static void request_id_is_given_returned_and_logged(void)
{
    struct fixture fixture;
    struct answer answer;
    if (!fixture_init(&fixture)) {
        return;
    }
    struct peer *peer = serve_one(&fixture);
    client_get(edge_port(fixture.edge), "one.localhost", "/headers?token=hidden", "", &answer);
    g_autofree char *id = answer_header(&answer, "x-request-id");
    g_assert_nonnull(id);
    g_assert_true(uuid_is_valid(id));
    g_autofree char *passed = g_strdup_printf("\r\nx-request-id: %s\r\n", id);
    g_assert_nonnull(strstr(answer.body, passed));
    answer_clear(&answer);
    fixture_done(&fixture); /* and with it the log is whole */
    peer_free(peer);
}

static bool log_has(void *arg)
{
    const char *const *path_and_text = arg;
    g_autofree char *log = file_read(path_and_text[0], 1 << 20, NULL, NULL);
    return log != NULL && strstr(log, path_and_text[1]) != NULL;
}

static void access_log_has_one_json_line_per_request(void)
{
    struct fixture fixture;
    struct answer answer;
    if (!fixture_init(&fixture)) {
        return;
    }
    struct peer *peer = serve_one(&fixture);
    g_autofree char *path = g_build_filename(fixture.folder, "access.log", NULL);
    client_get(edge_port(fixture.edge), "one.localhost", "/a\"b?token=hidden", "", &answer);
    g_autofree char *id = answer_header(&answer, "x-request-id");
    const char *const wanted[] = {path, id};
    await(log_has, (void *)wanted, "the request is in the access log");
    g_autofree char *log = file_read(path, 1 << 20, NULL, NULL);
    g_assert_nonnull(strstr(log, "\"host\":\"one.localhost\",\"path\":\"\\/a\\\"b\""));
    g_assert_nonnull(strstr(log, "\"status\":200,\"backend\":\"b-1\",\"server\":\"i-1\""));
    g_assert_null(strstr(log, "hidden"));
    answer_clear(&answer);
    int fd = client_connect(edge_port(fixture.edge));
    g_assert_true(client_send(fd, "no\x01thing\r\n\r\n", 12));
    client_receive(fd, &answer);
    g_assert_cmpint(answer.status, ==, 400);
    answer_clear(&answer);
    close(fd);
    const char *const refused[] = {path, "\"status\":400"};
    await(log_has, (void *)refused, "the malformed request is in the access log");
    g_autofree char *whole = file_read(path, 1 << 20, NULL, NULL);
    g_auto(GStrv) lines = g_strsplit(g_strchomp(whole), "\n", -1);
    for (size_t i = 0; lines[i] != NULL; i++) {
        g_assert_true(g_str_has_prefix(lines[i], "{\"time_ms\":") && g_str_has_suffix(lines[i], "\"}"));
    }
    fixture_done(&fixture);
    peer_free(peer);
}

/* --- protocols --------------------------------------------------------------------------------------------------------- */

static void websocket_passes_in_both_directions(void)
{
    struct fixture fixture;
    struct answer answer;
    char bytes[16] = {0};
    if (!fixture_init(&fixture)) {
        return;
    }
    struct peer *peer = serve_one(&fixture);
    int fd = client_connect(edge_port(fixture.edge));
    static const char request[] = "GET /ws HTTP/1.1\r\nHost: one.localhost\r\nConnection: Upgrade\r\n"
                                  "Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                  "Sec-WebSocket-Version: 13\r\n\r\n";
    g_assert_true(client_send(fd, request, strlen(request)));
    client_receive(fd, &answer);
    g_assert_cmpint(answer.status, ==, 101);
    answer_clear(&answer);
    for (int i = 0; i < 3; i++) {
        g_assert_true(client_send(fd, "ping", 4));
        g_assert_cmpint(recv(fd, bytes, 4, MSG_WAITALL), ==, 4);
        g_assert_cmpstr(bytes, ==, "ping");
    }
    close(fd);
    fixture_done(&fixture);
    peer_free(peer);
}

static void large_upload_arrives_whole(void)
{
    enum { UPLOAD = 10 * 1024 * 1024 };
    struct fixture fixture;
    struct answer answer;
    if (!fixture_init(&fixture)) {
        return;
    }
    struct peer *peer = serve_one(&fixture);
    int fd = client_connect(edge_port(fixture.edge));
    g_autofree char *head =
        g_strdup_printf("POST /upload HTTP/1.1\r\nHost: one.localhost\r\nContent-Length: %d\r\n\r\n", UPLOAD);
    g_autofree char *body = g_malloc0(UPLOAD);
    g_assert_true(client_send(fd, head, strlen(head)));
    g_assert_true(client_send(fd, body, UPLOAD));
    client_receive(fd, &answer);
    g_assert_cmpint(answer.status, ==, 200);
    g_assert_cmpstr(answer.body, ==, "10485760");
    answer_clear(&answer);
    close(fd);
    fixture_done(&fixture);
    peer_free(peer);
}

static void http2_without_tls_is_understood(void)
{
    struct fixture fixture;
    g_autofree char *curl = g_find_program_in_path("curl");
    if (curl == NULL) {
        g_test_skip("curl is not installed");
        return;
    }
    if (!fixture_init(&fixture)) {
        return;
    }
    g_autoptr(GError) error = NULL;
    struct peer *peer = serve_one(&fixture);
    g_autofree char *url = g_strdup_printf("http://127.0.0.1:%d/", edge_port(fixture.edge));
    const char *const argv[] = {curl,
                                "-s",
                                "--noproxy",
                                "*",
                                "-m",
                                "20",
                                "--http2-prior-knowledge",
                                "-H",
                                "Host: one.localhost",
                                "-w",
                                " %{http_version} %{http_code}",
                                url,
                                NULL};
    const struct process_spec spec = {.argv = argv, .stdin_fd = -1, .capture_bytes = 1000};
    g_auto(process_result_t) result = {0};
    g_assert_true(process_run(&spec, &result, &error));
    g_assert_cmpstr(result.output, ==, "one 2 200");
    fixture_done(&fixture);
    peer_free(peer);
}

static void requests_wait_for_a_server_where_asked(void)
{
    struct fixture fixture;
    if (!fixture_init(&fixture)) {
        return;
    }
    struct peer *peer = peer_new("late");
    for (int has_server = 0; has_server < 2; has_server++) {
        struct edge_table *table = edge_table_new();
        struct edge_backend *backend = table_add(table, "b-1", "one.localhost");
        backend->retry_wait_ms = 20000;
        int fd = client_connect(edge_port(fixture.edge));
        if (has_server) {
            static const char request[] = "GET / HTTP/1.1\r\nHost: one.localhost\r\n\r\n";
            struct answer answer;
            g_assert_true(client_send(fd, request, strlen(request)));
            table_serve(backend, "i-1", peer, EDGE_READY);
            struct edge_apply_result result = apply(fixture.edge, table, 0);
            g_assert_false(result.was_reloaded);
            client_receive(fd, &answer);
            g_assert_cmpint(answer.status, ==, 200);
            g_assert_cmpstr(answer.body, ==, "late");
            answer_clear(&answer);
        } else {
            apply(fixture.edge, table, 0);
        }
        close(fd);
    }
    fixture_done(&fixture);
    peer_free(peer);
}

/* The worker that it waits in learns of no server any more: the new one has to wait on. */
static void who_waits_is_handed_on_at_a_reload(void)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: one.localhost\r\n\r\n";
    struct fixture fixture;
    struct answer answer;
    if (!fixture_init(&fixture)) {
        return;
    }
    struct peer *peer = peer_new("late");
    int fd = -1;
    for (int step = 0; step < 3; step++) {
        struct edge_table *table = edge_table_new();
        struct edge_backend *backend = table_add(table, "b-1", "one.localhost");
        backend->retry_wait_ms = 20000;
        if (step > 0) {
            table_add(table, "b-2", "two.localhost");
        }
        if (step == 2) {
            table_serve(backend, "i-1", peer, EDGE_READY);
        }
        struct edge_apply_result result = apply(fixture.edge, table, 0);
        g_assert_cmpint(result.was_reloaded, ==, step < 2);
        if (step == 0) {
            fd = client_connect(edge_port(fixture.edge));
            g_assert_true(client_send(fd, request, strlen(request)));
            g_usleep(200 * 1000); /* it waits in the worker that the next step stops */
        }
    }
    client_receive(fd, &answer);
    g_assert_cmpint(answer.status, ==, 200);
    g_assert_cmpstr(answer.body, ==, "late");
    answer_clear(&answer);
    close(fd);
    fixture_done(&fixture);
    peer_free(peer);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/edge/traffic/host", requests_go_to_the_backend_of_their_host);
    g_test_add_func("/edge/traffic/unknown", unknown_host_gets_a_page_that_names_it);
    g_test_add_func("/edge/traffic/escaped", a_host_that_is_no_name_is_not_repeated);
    g_test_add_func("/edge/traffic/none", backend_without_instance_says_so);
    g_test_add_func("/edge/traffic/forwarded", forwarded_headers_are_the_edges_own);
    g_test_add_func("/edge/traffic/trusted", what_trusted_proxies_say_is_kept);
    g_test_add_func("/edge/traffic/trusted-forged", nothing_else_of_trusted_proxies_is_kept);
    g_test_add_func("/edge/traffic/trusted-late", a_request_that_is_handed_over_is_extended_once);
    g_test_add_func("/edge/traffic/request-id", request_id_is_given_returned_and_logged);
    g_test_add_func("/edge/traffic/access-log", access_log_has_one_json_line_per_request);
    g_test_add_func("/edge/traffic/websocket", websocket_passes_in_both_directions);
    g_test_add_func("/edge/traffic/upload", large_upload_arrives_whole);
    g_test_add_func("/edge/traffic/http2", http2_without_tls_is_understood);
    g_test_add_func("/edge/traffic/wait", requests_wait_for_a_server_where_asked);
    g_test_add_func("/edge/traffic/wait-reload", who_waits_is_handed_on_at_a_reload);
    return g_test_run();
}
