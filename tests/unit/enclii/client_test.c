/* The API's client against replies of every kind. */
#include <string.h>

#include "base/error.h"
#include "enclii/client.h"
#include "model/project.h"
#include "peer.h"

static struct client *new_client(const struct peer *peer, const char *token)
{
    g_autoptr(sy_secret) secret = token != NULL ? secret_new(token, strlen(token)) : NULL;
    g_autoptr(GError) error = NULL;
    struct client *client = client_new(peer_endpoint(peer), secret, &error);
    g_assert_no_error(error);
    return client;
}

static struct peer *peer_of(int status, const char *headers, const char *body)
{
    g_autofree char *reply = peer_reply(status, headers, body);
    return peer_new((const char *const[]){reply, NULL}, 0);
}

/* --- targets --------------------------------------------------------------------------------------- */

static void target_escapes_what_it_is_given(void)
{
    g_autofree char *target = client_target("/v1/services/%s/status?environment=%s", "a/../b?c", "x&y=z #%ä");
    g_assert_cmpstr(target, ==, "/v1/services/a%2F..%2Fb%3Fc/status?environment=x%26y%3Dz%20%23%25%C3%A4");
}

/* --- calls ----------------------------------------------------------------------------------------- */

static void get_sends_the_token_and_gives_the_json(void)
{
    g_autoptr(peer_t) peer = peer_of(200, "", "{\"name\":\"Shop\",\"slug\":\"shop\",\"description\":null}");
    g_autoptr(client_t) client = new_client(peer, "enclii_abc");
    g_autoptr(GError) error = NULL;
    json_t *reply = client_get(client, "/v1/projects/shop", &error);
    g_assert_no_error(error);
    g_assert_nonnull(strstr(peer_request(peer, 0), "Authorization: Bearer enclii_abc\r\n"));
    g_assert_true(g_str_has_prefix(peer_request(peer, 0), "GET /v1/projects/shop HTTP/1.1\r\n"));
    g_assert_null(strstr(peer_request(peer, 0), "Idempotency-Key"));
    g_autoptr(project_t) project = client_decode(&project_type, reply, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(project->slug, ==, "shop");
    g_assert_null(project->description);
    json_decref(reply);
}

static void post_carries_a_key_that_differs_each_time(void)
{
    g_autofree char *reply = peer_reply(201, "X-Deployment-Id: d1\r\n", "{}");
    g_autoptr(peer_t) peer = peer_new((const char *const[]){reply, reply, NULL}, 0);
    g_autoptr(client_t) client = new_client(peer, NULL);
    g_autoptr(GError) error = NULL;
    json_t *body = json_pack("{s:s}", "name", "Shop");
    for (int i = 0; i < 2; i++) {
        json_t *got = client_send(client, "POST", "/v1/projects", body, &error);
        g_assert_no_error(error);
        json_decref(got);
    }
    json_decref(body);
    const char *first = strstr(peer_request(peer, 0), "Idempotency-Key: ");
    const char *second = strstr(peer_request(peer, 1), "Idempotency-Key: ");
    g_assert_nonnull(first);
    g_assert_nonnull(second);
    g_assert_cmpint(strncmp(first, second, 17 + 36), !=, 0);
    g_assert_true(g_str_has_suffix(peer_request(peer, 0), "{\"name\":\"Shop\"}"));
    g_autofree char *deployment = client_last_header(client, "x-deployment-id");
    g_assert_cmpstr(deployment, ==, "d1");
}

static void empty_reply_is_null(void)
{
    g_autoptr(peer_t) peer = peer_new((const char *const[]){"HTTP/1.1 204 x\r\nConnection: close\r\n\r\n", NULL}, 0);
    g_autoptr(client_t) client = new_client(peer, NULL);
    g_autoptr(GError) error = NULL;
    json_t *reply = client_send(client, "DELETE", "/v1/user/tokens/1", NULL, &error);
    g_assert_no_error(error);
    g_assert_true(json_is_null(reply));
    json_decref(reply);
}

static void busy_server_is_asked_again_with_the_same_key(void)
{
    g_autofree char *busy = peer_reply(503, "Retry-After: 0\r\n", "{\"code\":\"STORE_BUSY\",\"detail\":\"busy\"}");
    g_autofree char *good = peer_reply(201, "", "{\"id\":\"1\"}");
    g_autoptr(peer_t) peer = peer_new((const char *const[]){busy, good, NULL}, 0);
    g_autoptr(client_t) client = new_client(peer, NULL);
    g_autoptr(GError) error = NULL;
    json_t *reply = client_send(client, "POST", "/v1/projects", NULL, &error);
    g_assert_no_error(error);
    const char *first = strstr(peer_request(peer, 0), "Idempotency-Key: ");
    const char *second = strstr(peer_request(peer, 1), "Idempotency-Key: ");
    g_assert_cmpint(strncmp(first, second, 17 + 36), ==, 0);
    json_decref(reply);
}

/* --- problems -------------------------------------------------------------------------------------- */

static void problem_keeps_code_detail_hint_and_issues(void)
{
    g_autoptr(peer_t) peer =
        peer_of(400, "Content-Type: application/problem+json\r\n",
                "{\"status\":400,\"code\":\"INVALID_INPUT\",\"detail\":\"two things\",\"hint\":\"mend them\","
                "\"errors\":[{\"path\":\"name\",\"code\":\"required\",\"detail\":\"is missing\"},"
                "{\"path\":\"port\",\"code\":\"range\",\"detail\":\"must be 1..65535\"}]}");
    g_autoptr(client_t) client = new_client(peer, NULL);
    g_autoptr(GError) error = NULL;
    g_assert_null(client_get(client, "/v1/projects", &error));
    g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
    g_assert_cmpstr(error->message, ==, "two things");
    g_assert_cmpstr(sy_error_hint(error), ==, "mend them");
    const GPtrArray *issues = sy_error_issues(error);
    g_assert_cmpuint(issues->len, ==, 2);
    g_assert_cmpstr(((const struct sy_issue *)g_ptr_array_index(issues, 1))->path, ==, "port");
}

/* What is no problem of ours gets the code of its status, hence the right exit code. */
static void foreign_error_takes_its_code_from_the_status(void)
{
    static const struct {
        int status;
        const char *body;
        enum sy_code code;
        int exit_code;
    } cases[] = {
        {401, "{\"error\":\"who are you\"}", SY_NOT_SIGNED_IN, 50},
        {403, "<html>no</html>", SY_NOT_ALLOWED, 50},
        {404, "", SY_NOT_FOUND, 1},
        {400, "[1,2]", SY_INVALID_INPUT, 10},
        {502, "bad gateway", SY_UNAVAILABLE, 1},
        {504, "", SY_TIMEOUT, 40},
        {500, "{\"code\":\"NO_SUCH_CODE\",\"detail\":\"x\"}", SY_INTERNAL, 1},
        {409, "{\"code\":\"NO_WAY_BACK\",\"detail\":\"x\"}", SY_NO_WAY_BACK, 30},
        {400, "{\"code\":\"NOT_DETECTED\",\"detail\":\"x\"}", SY_NOT_DETECTED, 20},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(peer_t) peer = peer_of(cases[i].status, "", cases[i].body);
        g_autoptr(client_t) client = new_client(peer, NULL);
        g_autoptr(GError) error = NULL;
        g_assert_null(client_get(client, "/", &error));
        g_assert_cmpstr(sy_code_info(sy_error_code(error))->name, ==, sy_code_info(cases[i].code)->name);
        g_assert_cmpint(sy_code_info(sy_error_code(error))->exit_code, ==, cases[i].exit_code);
        g_assert_cmpstr(error->message, !=, "");
    }
}

static void broken_reply_is_an_error_every_time(void)
{
    static const struct {
        const char *reply;
        enum sy_code code;
    } cases[] = {
        {"HTTP/1.1 200 x\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{\"a\":1}", SY_UNAVAILABLE},
        {"HTTP/1.1 200 x\r\nContent-Le", SY_INTERNAL},
        {"", SY_UNAVAILABLE},
        {"SSH-2.0-OpenSSH_9.2\r\n\r\n", SY_INTERNAL},
        {"HTTP/1.1 200 x\r\nConnection: close\r\n\r\n{\"a\":", SY_INTERNAL},
        {"HTTP/1.1 200 x\r\nConnection: close\r\n\r\n{\"a\":1,\"a\":2}", SY_INTERNAL},
        {"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\n{\"a\":", SY_UNAVAILABLE},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(peer_t) peer = peer_new((const char *const[]){cases[i].reply, NULL}, 0);
        g_autoptr(client_t) client = new_client(peer, NULL);
        g_autoptr(GError) error = NULL;
        g_assert_null(client_get(client, "/v1/x", &error));
        g_assert_cmpstr(sy_code_info(sy_error_code(error))->name, ==, sy_code_info(cases[i].code)->name);
    }
}

static void nobody_there_names_the_socket_and_the_way_out(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(client_t) client = client_new("unix:/nonexistent/socket", NULL, &error);
    g_assert_null(client_get(client, "/v1/projects", &error));
    g_assert_error(error, SY_ERROR, SY_UNAVAILABLE);
    g_assert_nonnull(strstr(error->message, "/nonexistent/socket"));
    g_assert_nonnull(strstr(sy_error_hint(error), "doctor"));
}

static void token_cannot_smuggle_a_header(void)
{
    g_autoptr(sy_secret) token = secret_new("a\r\nX-Evil: 1", 11);
    g_autoptr(GError) error = NULL;
    g_assert_null(client_new("unix:/s", token, &error));
    g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
    g_assert_null(strstr(error->message, "Evil"));
}

/* --- lists ----------------------------------------------------------------------------------------- */

static void all_pages_become_one_list(void)
{
    g_autofree char *one = peer_reply(200, "", "{\"projects\":[{\"slug\":\"a\"}],\"next_cursor\":\"x/y=\"}");
    g_autofree char *two = peer_reply(200, "", "{\"projects\":[{\"slug\":\"b\"}],\"next_cursor\":null}");
    g_autoptr(peer_t) peer = peer_new((const char *const[]){one, two, NULL}, 0);
    g_autoptr(client_t) client = new_client(peer, NULL);
    g_autoptr(GError) error = NULL;
    json_t *reply = client_get_all(client, "/v1/projects?limit=1", "projects", &error);
    g_assert_no_error(error);
    g_assert_cmpuint(json_array_size(json_object_get(reply, "projects")), ==, 2);
    g_assert_true(json_is_null(json_object_get(reply, "next_cursor")));
    g_assert_true(g_str_has_prefix(peer_request(peer, 1), "GET /v1/projects?limit=1&cursor=x%2Fy%3D HTTP/1.1\r\n"));
    json_decref(reply);
}

static void page_without_entries_ends_the_list(void)
{
    g_autoptr(peer_t) peer = peer_of(200, "", "{\"projects\":[],\"next_cursor\":\"for-ever\"}");
    g_autoptr(client_t) client = new_client(peer, NULL);
    g_autoptr(GError) error = NULL;
    json_t *reply = client_get_all(client, "/v1/projects", "projects", &error);
    g_assert_no_error(error);
    g_assert_nonnull(reply);
    json_decref(reply);
}

static void list_that_is_none_is_an_error(void)
{
    g_autoptr(peer_t) peer = peer_of(200, "", "{\"status\":\"ok\"}");
    g_autoptr(client_t) client = new_client(peer, NULL);
    g_autoptr(GError) error = NULL;
    g_assert_null(client_get_all(client, "/v1/projects", "projects", &error));
    g_assert_error(error, SY_ERROR, SY_INTERNAL);
}

/* --- streams --------------------------------------------------------------------------------------- */

struct seen {
    GString *text;
    unsigned n, enough;
};

static bool see(const struct stream_event *event, void *arg)
{
    struct seen *seen = arg;
    g_string_append_printf(seen->text, "[%s %s %s]", event->id != NULL ? event->id : "-", event->type, event->data);
    return ++seen->n != seen->enough;
}

static const char stream_head[] =
    "HTTP/1.1 200 x\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

static char *chunk(const char *text)
{
    return g_strdup_printf("%zx\r\n%s\r\n", strlen(text), text);
}

static void stream_comes_out_the_same_however_it_is_cut(void)
{
    g_autofree char *data = chunk("id: 1\nevent: log\ndata: a\ndata: b\n\n:heartbeat\n\nid: 2\r\ndata:c\r\n\r\n");
    g_autofree char *reply = g_strconcat(stream_head, data, "0\r\n\r\n", NULL);
    for (size_t piece = 1; piece < 8; piece++) {
        g_autoptr(peer_t) peer = peer_new((const char *const[]){reply, NULL}, piece);
        g_autoptr(client_t) client = new_client(peer, NULL);
        g_autoptr(GError) error = NULL;
        g_autoptr(GString) text = g_string_new(NULL);
        struct seen seen = {.text = text};
        g_assert_true(client_stream(client, "/v1/events", "0", 0, see, &seen, &error));
        g_assert_cmpstr(text->str, ==, "[1 log a\nb][2 message c]");
        g_assert_nonnull(strstr(peer_request(peer, 0), "Last-Event-ID: 0\r\n"));
    }
}

static void lost_stream_goes_on_after_the_last_event(void)
{
    g_autofree char *first_data = chunk("id: 7\ndata: a\n\nid: 8\ndata: half");
    g_autofree char *second_data = chunk("id: 8\ndata: b\n\n");
    g_autofree char *first = g_strconcat(stream_head, first_data, NULL); /* cut off */
    g_autofree char *second = g_strconcat(stream_head, second_data, "0\r\n\r\n", NULL);
    g_autoptr(peer_t) peer = peer_new((const char *const[]){first, second, NULL}, 0);
    g_autoptr(client_t) client = new_client(peer, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) text = g_string_new(NULL);
    struct seen seen = {.text = text};
    g_assert_true(client_stream(client, "/v1/events", NULL, 0, see, &seen, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(text->str, ==, "[7 message a][8 message b]");
    g_assert_nonnull(strstr(peer_request(peer, 1), "Last-Event-ID: 7\r\n"));
}

static void followed_stream_goes_on_when_the_server_ends_it(void)
{
    g_autofree char *first_data = chunk("id: 7\ndata: a\n\n");
    g_autofree char *second_data = chunk("id: 8\ndata: b\n\n");
    g_autofree char *first = g_strconcat(stream_head, first_data, "0\r\n\r\n", NULL);
    g_autofree char *second = g_strconcat(stream_head, second_data, "0\r\n\r\n", NULL);
    g_autoptr(peer_t) peer = peer_new((const char *const[]){first, second, NULL}, 0);
    g_autoptr(client_t) client = new_client(peer, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) text = g_string_new(NULL);
    struct seen seen = {.text = text, .enough = 2};
    g_assert_true(client_follow(client, "/v1/events", NULL, see, &seen, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(text->str, ==, "[7 message a][8 message b]");
    g_assert_nonnull(strstr(peer_request(peer, 1), "Last-Event-ID: 7\r\n"));
}

static void stream_ends_when_the_callback_says_so(void)
{
    g_autofree char *data = chunk("data: a\n\ndata: b\n\ndata: c\n\n");
    g_autofree char *reply = g_strconcat(stream_head, data, NULL);
    g_autoptr(peer_t) peer = peer_new((const char *const[]){reply, NULL}, 0);
    g_autoptr(client_t) client = new_client(peer, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) text = g_string_new(NULL);
    struct seen seen = {.text = text, .enough = 2};
    g_assert_true(client_stream(client, "/v1/events", NULL, 0, see, &seen, &error));
    g_assert_cmpstr(text->str, ==, "[- message a][- message b]");
}

static void refused_stream_is_an_error_at_once(void)
{
    g_autoptr(peer_t) peer = peer_of(403, "", "{\"code\":\"NOT_ALLOWED\",\"detail\":\"no\"}");
    g_autoptr(client_t) client = new_client(peer, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) text = g_string_new(NULL);
    struct seen seen = {.text = text};
    g_assert_false(client_stream(client, "/v1/events", NULL, 0, see, &seen, &error));
    g_assert_error(error, SY_ERROR, SY_NOT_ALLOWED);
}

static void stream_ends_at_its_deadline_in_spite_of_reconnections(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(client_t) client = client_new("unix:/nonexistent/socket", NULL, &error);
    g_autoptr(GString) text = g_string_new(NULL);
    struct seen seen = {.text = text};
    int64_t start_us = g_get_monotonic_time();
    g_assert_false(client_stream(client, "/v1/events", NULL, 300, see, &seen, &error));
    g_assert_error(error, SY_ERROR, SY_TIMEOUT);
    g_assert_cmpint(g_get_monotonic_time() - start_us, <, 8 * G_USEC_PER_SEC);
}

static void cancelled_call_ends(void)
{
    static const int cancelled = 1;
    g_autoptr(peer_t) peer = peer_of(200, "", "{}");
    g_autoptr(client_t) client = new_client(peer, NULL);
    g_autoptr(GError) error = NULL;
    client_set_cancelled(client, &cancelled);
    g_assert_false(client_pause(client, 60000, &error));
    g_assert_error(error, SY_ERROR, SY_CANCELLED);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/enclii/client/" #name, name)
    TEST(target_escapes_what_it_is_given);
    TEST(get_sends_the_token_and_gives_the_json);
    TEST(post_carries_a_key_that_differs_each_time);
    TEST(empty_reply_is_null);
    TEST(busy_server_is_asked_again_with_the_same_key);
    TEST(problem_keeps_code_detail_hint_and_issues);
    TEST(foreign_error_takes_its_code_from_the_status);
    TEST(broken_reply_is_an_error_every_time);
    TEST(nobody_there_names_the_socket_and_the_way_out);
    TEST(token_cannot_smuggle_a_header);
    TEST(all_pages_become_one_list);
    TEST(page_without_entries_ends_the_list);
    TEST(list_that_is_none_is_an_error);
    TEST(stream_comes_out_the_same_however_it_is_cut);
    TEST(lost_stream_goes_on_after_the_last_event);
    TEST(followed_stream_goes_on_when_the_server_ends_it);
    TEST(stream_ends_when_the_callback_says_so);
    TEST(refused_stream_is_an_error_at_once);
    TEST(stream_ends_at_its_deadline_in_spite_of_reconnections);
    TEST(cancelled_call_ends);
    return g_test_run();
}
