/* Peers that do not behave like an engine, and engines that come and go. */
#include <string.h>

#include "base/error.h"
#include "engine/engine.h"
#include "peer.h"

static const struct peer_reply table[] = {
    {"/version", 200, "{\"Version\":\"20.10.1\",\"ApiVersion\":\"1.41\",\"MinAPIVersion\":\"1.12\"}"},
    {"/_ping", 200, "OK"},
    {"/networks", 200, "[]"},
    {"/containers/json", 200, "[{\"Id\":\"1\",\"Labels\":{\"dev.enclii.installation\":\"other\"}}]"},
    {"/volumes/create", 201, "{\"Name\":\"v\",\"Labels\":{\"dev.enclii.installation\":\"installation\"}}"},
    {"/broken/json", 200, "{\"Id\": nonsense"},
    {"/refused/json", 500, "{\"message\":\"something\\nis wrong\"}"},
    {NULL},
};

static struct engine *engine_at(const struct peer *peer)
{
    g_autoptr(GError) error = NULL;
    struct engine *engine = engine_docker_new(peer->endpoint, "installation", &error);
    g_assert_no_error(error);
    return engine;
}

static void check_ping(enum peer_manner manner, int64_t at_least_us, int64_t at_most_us)
{
    struct peer peer;
    g_autoptr(GError) error = NULL;
    peer_init(&peer, manner, table);
    peer_start(&peer);
    struct engine *engine = engine_at(&peer);
    int64_t start_us = g_get_monotonic_time();
    g_assert_false(engine->ops->ping(engine, &error));
    int64_t took_us = g_get_monotonic_time() - start_us;
    g_assert_error(error, SY_ERROR, SY_ENGINE_UNAVAILABLE);
    g_assert_nonnull(strstr(error->message, peer.path));
    g_assert_cmpint(took_us, >=, at_least_us);
    g_assert_cmpint(took_us, <, at_most_us);
    engine_free(engine);
    peer_stop(&peer);
}

static gpointer check_trickle(gpointer data)
{
    check_ping(PEER_TRICKLE, 4 * G_USEC_PER_SEC, 9 * G_USEC_PER_SEC);
    return NULL;
}

/* Side by side, for each takes the whole time-out. */
static void a_peer_that_hangs_or_trickles_is_unavailable_in_time(void)
{
    GThread *thread = g_thread_new("trickle", check_trickle, NULL);
    check_ping(PEER_HANG, 4 * G_USEC_PER_SEC, 9 * G_USEC_PER_SEC);
    g_thread_join(thread);
}

static void a_peer_that_speaks_no_http_is_unavailable(void)
{
    check_ping(PEER_GARBAGE, 0, 4 * G_USEC_PER_SEC);
}

static void a_peer_that_closes_is_unavailable(void)
{
    check_ping(PEER_CLOSE, 0, 4 * G_USEC_PER_SEC);
}

static void a_reply_without_end_is_refused(void)
{
    struct peer peer;
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) names = NULL;
    g_autoptr(GPtrArray) subnets = NULL;
    peer_init(&peer, PEER_ENDLESS, table);
    peer_start(&peer);
    struct engine *engine = engine_at(&peer);
    g_assert_false(engine->ops->network_list(engine, &names, &subnets, &error));
    g_assert_error(error, SY_ERROR, SY_ENGINE_FAILED);
    g_assert_nonnull(strstr(error->message, "larger than"));
    engine_free(engine);
    peer_stop(&peer);
}

static void what_the_engine_says_is_passed_on_in_one_line(void)
{
    struct peer peer;
    g_autoptr(GError) broken = NULL;
    g_autoptr(GError) refused = NULL;
    g_autoptr(GError) missing = NULL;
    struct engine_instance *instance = NULL;
    peer_init(&peer, PEER_ANSWER, table);
    peer_start(&peer);
    struct engine *engine = engine_at(&peer);
    g_assert_false(engine->ops->instance_inspect(engine, "broken", &instance, &broken));
    g_assert_error(broken, SY_ERROR, SY_ENGINE_FAILED);
    g_assert_false(engine->ops->instance_inspect(engine, "refused", &instance, &refused));
    g_assert_error(refused, SY_ERROR, SY_ENGINE_FAILED);
    g_assert_cmpstr(refused->message, ==, "something is wrong");
    g_assert_false(engine->ops->instance_inspect(engine, "missing", &instance, &missing));
    g_assert_error(missing, SY_ERROR, SY_NOT_FOUND);
    g_assert_null(instance);
    engine_free(engine);
    peer_stop(&peer);
}

static void names_cannot_climb_out_of_their_path(void)
{
    static const char *const names[] = {"", "..", "../images", "a/b", "a?x=1", "a b", "-a", "a%2f", "a\r\nX: y"};
    struct peer peer;
    peer_init(&peer, PEER_ANSWER, table);
    peer_start(&peer);
    struct engine *engine = engine_at(&peer);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(GError) removing = NULL;
        g_autoptr(GError) inspecting = NULL;
        struct engine_image *image = NULL;
        g_assert_false(engine->ops->instance_remove(engine, names[i], &removing));
        g_assert_error(removing, SY_ERROR, SY_INVALID_INPUT);
        if (strcmp(names[i], "a/b") != 0) {
            g_assert_false(engine->ops->image_inspect(engine, names[i], &image, &inspecting));
            g_assert_error(inspecting, SY_ERROR, SY_INVALID_INPUT);
        }
    }
    g_assert_cmpint(g_atomic_int_get(&peer.n_requests), ==, 0);
    engine_free(engine);
    peer_stop(&peer);
}

/* An engine that was restarted has closed the connections that we kept. */
static void a_kept_connection_that_was_closed_is_no_failure(void)
{
    struct peer peer;
    const char *const labels[] = {NULL};
    struct engine_stats stats;
    peer_init(&peer, PEER_ANSWER_ONCE, table);
    peer_start(&peer);
    struct engine *engine = engine_at(&peer);
    for (int i = 0; i < 20; i++) {
        g_autoptr(GError) error = NULL;
        engine->ops->volume_ensure(engine, "v", labels, &error); /* POST, which the client itself never repeats */
        g_assert_no_error(error);
    }
    engine_docker_stats(engine, &stats);
    g_assert_cmpint(stats.failures, ==, 0);
    engine_free(engine);
    peer_stop(&peer);
}

static void connections_are_kept(void)
{
    struct peer peer;
    peer_init(&peer, PEER_ANSWER, table);
    peer_start(&peer);
    struct engine *engine = engine_at(&peer);
    for (int i = 0; i < 50; i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) instances = NULL;
        engine->ops->instance_list(engine, &instances, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(instances->len, ==, 0); /* the one there is belongs to another installation */
    }
    g_assert_cmpint(g_atomic_int_get(&peer.n_connections), ==, 1);
    g_autofree char *log = peer_log(&peer);
    g_assert_nonnull(strstr(log, "GET /v1.41/containers/json?all=1&filters=%7B%22label%22"));
    engine_free(engine);
    peer_stop(&peer);
}

static void check_version(const char *reply, const char *path)
{
    const struct peer_reply replies[] = {{"/version", 200, reply}, {"/networks", 200, "[]"}, {NULL}};
    struct peer peer;
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) names = NULL;
    g_autoptr(GPtrArray) subnets = NULL;
    peer_init(&peer, PEER_ANSWER, replies);
    peer_start(&peer);
    struct engine *engine = engine_at(&peer);
    bool ok = engine->ops->network_list(engine, &names, &subnets, &error);
    if (path != NULL) {
        g_autofree char *log = peer_log(&peer);
        g_assert_no_error(error);
        g_assert_nonnull(strstr(log, path));
    } else {
        g_assert_false(ok);
        g_assert_error(error, SY_ERROR, SY_ENGINE_FAILED);
    }
    engine_free(engine);
    peer_stop(&peer);
}

static void version_is_agreed_upon(void)
{
    check_version("{\"ApiVersion\":\"1.41\",\"MinAPIVersion\":\"1.12\"}", "GET /v1.41/networks");
    check_version("{\"ApiVersion\":\"1.41\",\"MinAPIVersion\":\"1.24\",\"Components\":[{\"Name\":\"Podman Engine\"}]}",
                  "GET /v1.41/networks");
    check_version("{\"ApiVersion\":\"1.52\",\"MinAPIVersion\":\"1.44\"}", "GET /v1.44/networks");
    check_version("{\"ApiVersion\":\"1.24\",\"MinAPIVersion\":\"1.12\"}", NULL);
    check_version("{\"ApiVersion\":\"1.99\",\"MinAPIVersion\":\"1.60\"}", NULL);
    check_version("{\"status\":\"ok\"}", NULL);
}

static void an_engine_that_cannot_be_reached_is_left_alone_for_a_second(void)
{
    struct peer peer;
    g_autoptr(GError) refused = NULL;
    peer_init(&peer, PEER_ANSWER, table);
    struct engine *engine = engine_at(&peer);
    for (int i = 0; i < 5; i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(engine->ops->ping(engine, &error));
        g_assert_error(error, SY_ERROR, SY_ENGINE_UNAVAILABLE);
        g_assert_nonnull(strstr(error->message, "No such file"));
    }
    int64_t broken_us = g_get_monotonic_time();
    peer_start(&peer);
    g_assert_false(engine->ops->ping(engine, &refused)); /* it is there again, but nobody asks */
    g_assert_error(refused, SY_ERROR, SY_ENGINE_UNAVAILABLE);
    g_assert_cmpint(g_atomic_int_get(&peer.n_connections), ==, 0);
    bool ok = false;
    while (!ok && g_get_monotonic_time() - broken_us < 5 * G_USEC_PER_SEC) {
        g_autoptr(GError) ignored = NULL;
        ok = engine->ops->ping(engine, &ignored);
        g_usleep(10000);
    }
    g_assert_true(ok);
    g_assert_cmpint(g_get_monotonic_time() - broken_us, >=, 900 * 1000);
    g_assert_cmpint(g_atomic_int_get(&peer.n_connections), ==, 1);
    engine_free(engine);
    peer_stop(&peer);
}

static bool count_line(bool is_stderr, int64_t time_us, const char *line, size_t length, void *arg)
{
    (*(int *)arg)++;
    return true;
}

static void a_stream_that_breaks_off_is_not_begun_again(void)
{
    struct peer peer;
    g_autoptr(GError) error = NULL;
    int n_lines = 0;
    peer_init(&peer, PEER_BREAK_STREAMS, table);
    peer_start(&peer);
    struct engine *engine = engine_at(&peer);
    g_assert_false(engine->ops->instance_logs(engine, "c", 0, true, count_line, &n_lines, NULL, &error));
    g_assert_error(error, SY_ERROR, SY_ENGINE_UNAVAILABLE);
    g_assert_cmpint(n_lines, ==, 1);
    engine_free(engine);
    peer_stop(&peer);
}

static gpointer cancel_soon(gpointer cancelled)
{
    g_usleep(100000);
    g_atomic_int_set((int *)cancelled, 1);
    return NULL;
}

static gpointer answer_after_a_second(gpointer peer)
{
    g_usleep(G_USEC_PER_SEC);
    g_atomic_int_set(&((struct peer *)peer)->manner, PEER_ANSWER);
    return NULL;
}

static bool no_event(const struct engine_event *event, void *arg)
{
    return true;
}

static void listening_to_a_silent_peer_can_be_cancelled(void)
{
    const struct peer_reply replies[] = {table[0], {NULL}};
    struct peer peer;
    int cancelled = 0;
    g_autoptr(GError) error = NULL;
    peer_init(&peer, PEER_ANSWER, replies);
    peer_start(&peer);
    struct engine *engine = engine_at(&peer);
    g_assert_false(engine->ops->events(engine, no_event, NULL, &cancelled, &error)); /* 404, and the version known */
    g_atomic_int_set(&peer.manner, PEER_HANG);
    int64_t start_us = g_get_monotonic_time();
    GThread *thread = g_thread_new("cancel", cancel_soon, &cancelled);
    g_clear_error(&error);
    g_assert_true(engine->ops->events(engine, no_event, NULL, &cancelled, &error));
    g_assert_cmpint(g_get_monotonic_time() - start_us, <, 500 * 1000);
    g_thread_join(thread);
    engine_free(engine);
    peer_stop(&peer);
}

/* Engines have been seen that open a log while the container starts and then never write to it. */
static void a_silent_log_is_asked_for_again(void)
{
    static const char line[] = "2026-11-24T12:00:00.000000000Z hello\n";
    g_autoptr(GString) frame = g_string_new_len("\1\0\0\0\0\0\0", 7);
    g_string_append_c(frame, sizeof line - 1);
    g_string_append(frame, line);
    const struct peer_reply replies[] = {table[0], {"/logs", 200, frame->str, frame->len}, {NULL}};
    struct peer peer;
    int n_lines = 0;
    g_autoptr(GError) error = NULL;
    peer_init(&peer, PEER_ANSWER, replies);
    peer_start(&peer);
    struct engine *engine = engine_at(&peer);
    g_assert_true(engine->ops->instance_logs(engine, "c", 0, false, count_line, &n_lines, NULL, &error));
    g_assert_cmpint(n_lines, ==, 1);
    g_atomic_int_set(&peer.manner, PEER_HANG);
    GThread *thread = g_thread_new("answer", answer_after_a_second, &peer);
    int64_t start_us = g_get_monotonic_time();
    g_assert_true(engine->ops->instance_logs(engine, "c", 0, true, count_line, &n_lines, NULL, &error));
    g_assert_no_error(error);
    g_assert_cmpint(n_lines, ==, 2);
    g_assert_cmpint(g_get_monotonic_time() - start_us, <, 10 * G_USEC_PER_SEC);
    g_thread_join(thread);
    engine_free(engine);
    peer_stop(&peer);
}

static void only_sockets_are_endpoints(void)
{
    static const char *const endpoints[] = {"", "/var/run/docker.sock", "tcp://127.0.0.1:2375", "http://127.0.0.1:2375",
                                            "unix:"};
    for (size_t i = 0; i < G_N_ELEMENTS(endpoints); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(engine_docker_new(endpoints[i], "installation", &error));
        g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_get_tmp_dir(); /* GLib finds it once, in a way that ThreadSanitizer cannot see */
    g_test_add_func("/peers/a_peer_that_hangs_or_trickles_is_unavailable_in_time",
                    a_peer_that_hangs_or_trickles_is_unavailable_in_time);
    g_test_add_func("/peers/a_peer_that_speaks_no_http_is_unavailable", a_peer_that_speaks_no_http_is_unavailable);
    g_test_add_func("/peers/a_peer_that_closes_is_unavailable", a_peer_that_closes_is_unavailable);
    g_test_add_func("/peers/a_reply_without_end_is_refused", a_reply_without_end_is_refused);
    g_test_add_func("/peers/what_the_engine_says_is_passed_on_in_one_line",
                    what_the_engine_says_is_passed_on_in_one_line);
    g_test_add_func("/peers/names_cannot_climb_out_of_their_path", names_cannot_climb_out_of_their_path);
    g_test_add_func("/peers/a_kept_connection_that_was_closed_is_no_failure",
                    a_kept_connection_that_was_closed_is_no_failure);
    g_test_add_func("/peers/connections_are_kept", connections_are_kept);
    g_test_add_func("/peers/version_is_agreed_upon", version_is_agreed_upon);
    g_test_add_func("/peers/an_engine_that_cannot_be_reached_is_left_alone_for_a_second",
                    an_engine_that_cannot_be_reached_is_left_alone_for_a_second);
    g_test_add_func("/peers/a_stream_that_breaks_off_is_not_begun_again", a_stream_that_breaks_off_is_not_begun_again);
    g_test_add_func("/peers/listening_to_a_silent_peer_can_be_cancelled", listening_to_a_silent_peer_can_be_cancelled);
    g_test_add_func("/peers/a_silent_log_is_asked_for_again", a_silent_log_is_asked_for_again);
    g_test_add_func("/peers/only_sockets_are_endpoints", only_sockets_are_endpoints);
    return g_test_run();
}
