/* HTTPS by libcurl: a certificate that nobody vouches for, and peers that do not speak TLS. */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/http_client.h"
#include "base/process.h"
#include "certificate.h"
#include "peer.h"

struct tls_server {
    char *folder, *certificate, *key;
    GPid pid;
    int output;
    char *endpoint;
};

/* openssl says "ACCEPT 127.0.0.1:PORT" once it listens. */
static char *read_endpoint(int fd)
{
    g_autoptr(GString) text = g_string_new(NULL);
    const char *at;
    char byte;
    while ((at = strstr(text->str, "ACCEPT ")) == NULL || text->str[text->len - 1] != '\n') {
        g_assert_cmpint(read(fd, &byte, 1), ==, 1);
        g_string_append_c(text, byte);
    }
    return g_strconcat("https://", g_strchomp(text->str) + (at - text->str) + strlen("ACCEPT "), NULL);
}

static void tls_server_start(struct tls_server *server)
{
    server->folder = g_dir_make_tmp("https-test-XXXXXX", NULL);
    server->certificate = g_build_filename(server->folder, "certificate", NULL);
    server->key = g_build_filename(server->folder, "key", NULL);
    certificate_make(server->certificate, server->key);
    char *argv[] = {(char *)"openssl",   (char *)"s_server", (char *)"-accept", (char *)"127.0.0.1:0", (char *)"-cert",
                    server->certificate, (char *)"-key",     server->key,       (char *)"-www",        NULL};
    g_autoptr(GError) error = NULL;
    g_spawn_async_with_pipes(NULL, argv, NULL,
                             G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL,
                             &server->pid, NULL, &server->output, NULL, &error);
    g_assert_no_error(error);
    server->endpoint = read_endpoint(server->output);
}

static void tls_server_stop(struct tls_server *server)
{
    kill(server->pid, SIGKILL);
    g_assert_cmpint(waitpid(server->pid, NULL, 0), ==, server->pid);
    close(server->output);
    g_assert_true(folder_remove(server->folder, NULL));
    g_free(server->folder);
    g_free(server->certificate);
    g_free(server->key);
    g_free(server->endpoint);
}

static void fail(const char *endpoint, int64_t timeout_ms, enum sy_code code)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(http_client_t) client = http_client_new(endpoint, &error);
    struct http_reply reply = {0};
    const struct http_exchange exchange = {.method = "GET", .target = "/", .timeout_ms = timeout_ms};
    g_assert_no_error(error);
    g_assert_false(http_client_call(client, &exchange, &reply, &error));
    g_test_message("%s", error->message);
    g_assert_error(error, SY_ERROR, (int)code);
    g_assert_true(g_str_has_prefix(error->message, endpoint));
    g_assert_null(reply.body);
}

static void an_unknown_certificate_is_refused(void)
{
    g_autofree char *openssl = g_find_program_in_path("openssl");
    if (openssl == NULL) {
        g_test_skip("openssl is not installed");
        return;
    }
    struct tls_server server = {0};
    tls_server_start(&server);
    fail(server.endpoint, PEER_WAIT_MS, SY_UNAVAILABLE);
    tls_server_stop(&server);
}

static void call_ok(const struct tls_server *server, const char *file, const char *folder)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(http_client_t) client = http_client_new(server->endpoint, &error);
    g_auto(http_reply_t) reply = {0};
    const struct http_exchange exchange = {.method = "GET", .target = "/", .timeout_ms = PEER_WAIT_MS};
    http_client_set_authorities(client, file, folder);
    bool ok = http_client_call(client, &exchange, &reply, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    g_assert_cmpint(reply.status, ==, 200);
}

static void a_certificate_of_a_given_authority_is_accepted(void)
{
    g_autofree char *openssl = g_find_program_in_path("openssl");
    if (openssl == NULL) {
        g_test_skip("openssl is not installed");
        return;
    }
    struct tls_server server = {0};
    tls_server_start(&server);
    const char *const argv[] = {openssl, "rehash", "-compat", server.folder, NULL};
    g_autofree char *pem = g_strconcat(server.certificate, ".pem", NULL); /* rehash looks at .pem only */
    g_autoptr(GError) error = NULL;
    const struct process_spec spec = {.argv = argv, .stdin_fd = -1, .timeout_ms = 30000};
    g_auto(process_result_t) result = {0};
    g_assert_cmpint(link(server.certificate, pem), ==, 0);
    g_assert_true(process_run(&spec, &result, &error));
    call_ok(&server, server.certificate, NULL);
    call_ok(&server, NULL, server.folder);
    tls_server_stop(&server);
}

static void serve_plain(struct peer *peer, int fd, int number)
{
    peer_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    peer_wait_closed(fd);
}

static void plain_text_is_not_taken_for_https(void)
{
    struct peer *peer = peer_start(false, serve_plain, NULL);
    g_autofree char *endpoint = g_strconcat("https://", peer->endpoint + strlen("http://"), NULL);
    fail(endpoint, PEER_WAIT_MS, SY_UNAVAILABLE);
    peer_stop(peer);
}

static void serve_silence(struct peer *peer, int fd, int number)
{
    peer_wait_closed(fd);
}

static void a_silent_peer_is_given_up(void)
{
    struct peer *peer = peer_start(false, serve_silence, NULL);
    g_autofree char *endpoint = g_strconcat("https://", peer->endpoint + strlen("http://"), NULL);
    fail(endpoint, 200, SY_TIMEOUT);
    peer_stop(peer);
}

static void nobody_there_is_unavailable(void)
{
    fail("https://127.0.0.1:1", PEER_WAIT_MS, SY_UNAVAILABLE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_setenv("NO_PROXY", "127.0.0.1", TRUE);
#define ADD(name) g_test_add_func("/https/" #name, name)
    ADD(an_unknown_certificate_is_refused);
    ADD(a_certificate_of_a_given_authority_is_accepted);
    ADD(plain_text_is_not_taken_for_https);
    ADD(a_silent_peer_is_given_up);
    ADD(nobody_there_is_unavailable);
    return g_test_run();
}
