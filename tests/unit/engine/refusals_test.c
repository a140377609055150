/* What each call makes of an engine that refuses, breaks off, says nonsense or is a step ahead of us: the error's code and words,
 * and that nothing is changed that is not ours. */
#include <string.h>

#include "base/error.h"
#include "engine/engine.h"
#include "peer.h"

#define VERSION                                                                                                        \
    {                                                                                                                  \
        "/version", 200, "{\"Version\":\"20.10.1\",\"ApiVersion\":\"1.41\",\"MinAPIVersion\":\"1.12\"}"                \
    }
#define OURS "\"Labels\":{\"dev.enclii.installation\":\"me\"}"
#define CONTAINER(state)                                                                                               \
    "{\"Id\":\"abc\",\"Name\":\"/web\",\"State\":{\"Status\":\"" state "\",\"ExitCode\":7},\"Config\":{\"Labels\":{"   \
    "\"dev.enclii.installation\":\"me\",\"dev.enclii.instance\":\"web\"}}}"

static const char *const none[] = {NULL};

static struct engine *engine_at(const struct peer *peer)
{
    g_autoptr(GError) error = NULL;
    struct engine *engine = engine_docker_new(peer->endpoint, "me", &error);
    g_assert_no_error(error);
    return engine;
}

static struct engine_instance_spec small_spec(void)
{
    return (struct engine_instance_spec){.name = "web",
                                         .image = "i",
                                         .labels = none,
                                         .env = none,
                                         .network = "net",
                                         .aliases = none,
                                         .add_capabilities = none,
                                         .pids = 10,
                                         .user = -1,
                                         .group = -1};
}

/* --- every call --------------------------------------------------------------------------------------------------------------------- */

static bool on_line(bool is_stderr, int64_t time_us, const char *line, size_t length, void *arg)
{
    return true;
}

static bool on_event(const struct engine_event *event, void *arg)
{
    if (arg != NULL) {
        g_string_append_printf(arg, "%s %s %s\n", event->type, event->action, event->id);
    }
    return true;
}

static bool call_info(struct engine *engine, GError **error)
{
    struct engine_info info;
    return engine->ops->info(engine, &info, error);
}

static bool call_network_ensure(struct engine *engine, GError **error)
{
    return engine->ops->network_ensure(engine, "net", "10.9.0.0/24", "10.9.0.1", none, error);
}

static bool call_network_remove(struct engine *engine, GError **error)
{
    return engine->ops->network_remove(engine, "net", error);
}

static bool call_network_list(struct engine *engine, GError **error)
{
    g_autoptr(GPtrArray) names = NULL;
    g_autoptr(GPtrArray) subnets = NULL;
    return engine->ops->network_list(engine, &names, &subnets, error);
}

static bool call_volume_ensure(struct engine *engine, GError **error)
{
    return engine->ops->volume_ensure(engine, "data", none, error);
}

static bool call_volume_remove(struct engine *engine, GError **error)
{
    return engine->ops->volume_remove(engine, "data", error);
}

static bool call_volume_list(struct engine *engine, GError **error)
{
    g_autoptr(GPtrArray) names = NULL;
    return engine->ops->volume_list(engine, &names, error);
}

static bool call_create(struct engine *engine, GError **error)
{
    g_autofree char *id = NULL;
    struct engine_instance_spec spec = small_spec();
    bool ok = engine->ops->instance_create(engine, &spec, &id, error);
    g_assert_true(ok == (id != NULL));
    return ok;
}

static bool call_create_with_volume(struct engine *engine, GError **error)
{
    g_autofree char *id = NULL;
    struct engine_mount mount = {.volume = (char *)"data", .path = (char *)"/data"};
    struct engine_instance_spec spec = small_spec();
    spec.mounts = &mount;
    spec.n_mounts = 1;
    spec.user = 1000;
    return engine->ops->instance_create(engine, &spec, &id, error);
}

static bool call_start(struct engine *engine, GError **error)
{
    return engine->ops->instance_start(engine, "web", error);
}

static bool call_stop(struct engine *engine, GError **error)
{
    return engine->ops->instance_stop(engine, "web", 1, error);
}

static bool call_remove(struct engine *engine, GError **error)
{
    return engine->ops->instance_remove(engine, "web", error);
}

static bool call_wait(struct engine *engine, GError **error)
{
    int exit_code = -7;
    bool ok = engine->ops->instance_wait(engine, "web", 200, &exit_code, error);
    g_assert_true(ok == (exit_code != -7));
    return ok;
}

static bool call_inspect(struct engine *engine, GError **error)
{
    struct engine_instance *instance = NULL;
    bool ok = engine->ops->instance_inspect(engine, "web", &instance, error);
    engine_instance_free(instance);
    return ok;
}

static bool call_list(struct engine *engine, GError **error)
{
    g_autoptr(GPtrArray) instances = NULL;
    return engine->ops->instance_list(engine, &instances, error);
}

static bool call_logs(struct engine *engine, GError **error)
{
    return engine->ops->instance_logs(engine, "web", 0, true, on_line, NULL, NULL, error);
}

static bool call_events(struct engine *engine, GError **error)
{
    return engine->ops->events(engine, on_event, NULL, NULL, error);
}

static bool call_image_inspect(struct engine *engine, GError **error)
{
    struct engine_image *image = NULL;
    bool ok = engine->ops->image_inspect(engine, "app:v1", &image, error);
    engine_image_free(image);
    return ok;
}

static bool call_image_tag(struct engine *engine, GError **error)
{
    return engine->ops->image_tag(engine, "app:v1", "app", "v2", error);
}

static bool call_image_pull(struct engine *engine, GError **error)
{
    return engine->ops->image_pull(engine, "registry.example/app", 2000, error);
}

static bool call_image_remove(struct engine *engine, GError **error)
{
    return engine->ops->image_remove(engine, "app:v1", NULL, error);
}

static bool call_image_list(struct engine *engine, GError **error)
{
    g_autoptr(GPtrArray) tags = NULL;
    return engine->ops->image_list(engine, "enclii/", &tags, error);
}

static bool call_build_cache(struct engine *engine, GError **error)
{
    int64_t bytes = -1;
    bool ok = engine->ops->build_cache_bytes(engine, &bytes, error);
    g_assert_true(ok == (bytes >= 0));
    return ok;
}

static const struct {
    const char *name;
    bool (*call)(struct engine *engine, GError **error);
    bool has_no_reply; /* what it says besides the status is not read */
} calls[] = {
    {"info", call_info, false},
    {"network_ensure", call_network_ensure, false},
    {"network_remove", call_network_remove, false},
    {"network_list", call_network_list, false},
    {"volume_ensure", call_volume_ensure, false},
    {"volume_remove", call_volume_remove, false},
    {"volume_list", call_volume_list, false},
    {"instance_create", call_create, false},
    {"instance_create with a volume", call_create_with_volume, false},
    {"instance_start", call_start, false},
    {"instance_stop", call_stop, false},
    {"instance_remove", call_remove, false},
    {"instance_wait", call_wait, false},
    {"instance_inspect", call_inspect, false},
    {"instance_list", call_list, false},
    {"instance_logs", call_logs, false},
    {"events", call_events, false},
    {"image_inspect", call_image_inspect, false},
    {"image_tag", call_image_tag, true},
    {"image_pull", call_image_pull, true},
    {"image_remove", call_image_remove, false},
    {"image_list", call_image_list, false},
    {"build_cache_bytes", call_build_cache, false},
};

/* Each call in turn gets the same reply. */
static void check_all(int status, const char *body, bool expects_words, const char *words)
{
    const struct peer_reply replies[] = {VERSION, {"", status, body}, {NULL}};
    struct peer peer;
    peer_init(&peer, PEER_ANSWER, replies);
    peer_start(&peer);
    struct engine *engine = engine_at(&peer);
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        g_autoptr(GError) error = NULL;
        if (calls[i].has_no_reply && !expects_words) {
            continue;
        }
        g_test_message("%s with %d %s", calls[i].name, status, body);
        g_assert_false(calls[i].call(engine, &error));
        g_assert_error(error, SY_ERROR, SY_ENGINE_FAILED);
        g_assert_nonnull(strstr(error->message, words));
    }
    g_autofree char *log = peer_log(&peer);
    g_assert_null(strstr(log, "DELETE")); /* nothing is taken for ours on such words */
    engine_free(engine);
    peer_stop(&peer);
}

static void every_call_passes_on_why_it_was_refused(void)
{
    check_all(500, "{\"message\":\"no space left on device\"}", true, "no space left on device");
    check_all(403, "{\"message\":\"authorization denied by plugin\"}", true, "authorization denied by plugin");
}

static void every_call_refuses_what_is_no_reply(void)
{
    check_all(200, "{\"Id\":\"abc\",\"Lab\n", false, "");
    check_all(200, "\"a text\"\n", false, "");
    check_all(200, "<html>It works!</html>\n", false, "");
}

/* The engine goes away after it had answered: each call says that it cannot be reached, and none begins anything twice. */
static void check_all_gone(enum peer_manner manner)
{
    const struct peer_reply replies[] = {VERSION, {"/networks", 200, "[]"}, {NULL}};
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        struct peer peer;
        g_autoptr(GError) error = NULL;
        peer_init(&peer, PEER_ANSWER, replies);
        peer_start(&peer);
        struct engine *engine = engine_at(&peer);
        g_assert_true(call_network_list(engine, NULL));
        g_atomic_int_set(&peer.manner, (int)manner);
        g_test_message("%s", calls[i].name);
        g_assert_false(calls[i].call(engine, &error));
        g_assert_error(error, SY_ERROR, SY_ENGINE_UNAVAILABLE);
        g_assert_nonnull(strstr(error->message, peer.path));
        g_autofree char *log = peer_log(&peer);
        g_assert_null(strstr(log, "DELETE"));
        engine_free(engine);
        peer_stop(&peer);
    }
}

static void every_call_tells_of_an_engine_that_went_away(void)
{
    check_all_gone(PEER_CLOSE);
    check_all_gone(PEER_GARBAGE);
}

/* --- versions ------------------------------------------------------------------------------------------------------------------------ */

static int count_of(const char *text, const char *needle)
{
    int n = 0;
    for (const char *at = strstr(text, needle); at != NULL; at = strstr(at + 1, needle)) {
        n++;
    }
    return n;
}

/* An engine that was replaced by a later one refuses the version that was agreed upon with the old one. */
static void after_a_bad_request_the_version_is_asked_for_again(void)
{
    const struct peer_reply replies[] = {
        {"/version", 200, "{\"ApiVersion\":\"1.41\",\"MinAPIVersion\":\"1.12\"}", 0, 1},
        {"/version", 200, "{\"ApiVersion\":\"1.52\",\"MinAPIVersion\":\"1.44\"}"},
        {"/v1.41/", 400, "{\"message\":\"client version 1.41 is too old. Minimum supported API version is 1.44\"}"},
        {"/v1.44/networks", 200, "[]"},
        {NULL}};
    struct peer peer;
    peer_init(&peer, PEER_ANSWER, replies);
    peer_start(&peer);
    struct engine *engine = engine_at(&peer);
    g_autoptr(GError) refused = NULL;
    g_autoptr(GError) error = NULL;
    g_assert_false(call_network_list(engine, &refused));
    g_assert_error(refused, SY_ERROR, SY_ENGINE_FAILED);
    g_assert_nonnull(strstr(refused->message, "too old"));
    g_assert_true(call_network_list(engine, &error));
    g_assert_no_error(error);
    g_autofree char *log = peer_log(&peer);
    g_assert_cmpint(count_of(log, "GET /version"), ==, 2);
    engine_free(engine);
    peer_stop(&peer);
}

/* --- one call and a world ----------------------------------------------------------------------------------------------------------- */

struct outcome {
    bool ok;
    GError *error;
    char *log;
};

static struct outcome call_in(const struct peer_reply *replies, bool (*call)(struct engine *engine, GError **error))
{
    struct outcome outcome = {0};
    struct peer peer;
    peer_init(&peer, PEER_ANSWER, replies);
    peer_start(&peer);
    struct engine *engine = engine_at(&peer);
    outcome.ok = call(engine, &outcome.error);
    outcome.log = peer_log(&peer);
    g_assert_true(outcome.ok == (outcome.error == NULL));
    engine_free(engine);
    peer_stop(&peer);
    return outcome;
}

static void outcome_clear(struct outcome *outcome)
{
    g_clear_error(&outcome->error);
    g_free(outcome->log);
}

static void check_ok(const struct peer_reply *replies, bool (*call)(struct engine *engine, GError **error),
                     const char *last_request, int n_times)
{
    struct outcome outcome = call_in(replies, call);
    g_assert_no_error(outcome.error);
    g_assert_cmpint(count_of(outcome.log, last_request), ==, n_times);
    outcome_clear(&outcome);
}

static void check_refused(const struct peer_reply *replies, bool (*call)(struct engine *engine, GError **error),
                          enum sy_code code, const char *words, const char *never_asked)
{
    struct outcome outcome = call_in(replies, call);
    g_assert_error(outcome.error, SY_ERROR, (int)code);
    g_assert_nonnull(strstr(outcome.error->message, words));
    if (never_asked != NULL) {
        g_assert_cmpint(count_of(outcome.log, never_asked), ==, 0);
    }
    outcome_clear(&outcome);
}

#define REFUSED "{\"message\":\"device or resource busy\"}"

static void a_change_that_is_refused_is_told(void)
{
    const struct peer_reply network[] = {
        VERSION, {"GET", 200, "{\"Id\":\"n1\",\"Name\":\"net\"," OURS "}"}, {"DELETE", 500, REFUSED}, {NULL}};
    check_refused(network, call_network_remove, SY_ENGINE_FAILED, "resource busy", NULL);
    const struct peer_reply volume[] = {
        VERSION, {"GET", 200, "{\"Name\":\"data\"," OURS "}"}, {"DELETE", 409, REFUSED}, {NULL}};
    check_refused(volume, call_volume_remove, SY_ENGINE_FAILED, "resource busy", NULL);
    const struct peer_reply container[] = {
        VERSION, {"GET", 200, CONTAINER("running")}, {"POST", 500, REFUSED}, {"DELETE", 500, REFUSED}, {NULL}};
    check_refused(container, call_start, SY_ENGINE_FAILED, "resource busy", NULL);
    check_refused(container, call_stop, SY_ENGINE_FAILED, "resource busy", NULL);
    check_refused(container, call_remove, SY_ENGINE_FAILED, "resource busy", NULL);
}

static void what_is_gone_meanwhile_is_removed(void)
{
    const struct peer_reply replies[] = {VERSION,
                                         {"GET /v1.41/containers", 200, CONTAINER("running")},
                                         {"GET /v1.41/networks", 200, "{\"Id\":\"n1\",\"Name\":\"net\"," OURS "}"},
                                         {"GET /v1.41/volumes", 200, "{\"Name\":\"data\"," OURS "}"},
                                         {"GET /v1.41/images", 200, "{\"Id\":\"sha256:1\",\"Config\":{" OURS "}}"},
                                         {NULL}};
    check_ok(replies, call_stop, "POST", 1);
    check_ok(replies, call_remove, "DELETE", 1);
    check_ok(replies, call_network_remove, "DELETE /v1.41/networks/n1", 1);
    check_ok(replies, call_volume_remove, "DELETE", 1);
    check_ok(replies, call_image_remove, "DELETE", 1);
}

static void what_is_not_ours_is_left_alone(void)
{
    static const char foreign[] = "{\"Id\":\"x\",\"Name\":\"net\",\"Labels\":{\"dev.enclii.installation\":\"you\"},"
                                  "\"Config\":{\"Labels\":{\"dev.enclii.installation\":\"you\"}}}";
    const struct peer_reply replies[] = {VERSION, {"GET", 200, foreign}, {"POST", 201, foreign}, {NULL}};
    check_refused(replies, call_network_ensure, SY_CONFLICT, "not of this installation", "POST");
    check_refused(replies, call_network_remove, SY_CONFLICT, "not of this installation", "DELETE");
    check_refused(replies, call_volume_ensure, SY_CONFLICT, "not of this installation", "DELETE");
    check_refused(replies, call_volume_remove, SY_CONFLICT, "not of this installation", "DELETE");
    check_refused(replies, call_image_remove, SY_CONFLICT, "not of this installation", "DELETE");
    check_refused(replies, call_start, SY_CONFLICT, "not of this installation", "POST");
    check_refused(replies, call_stop, SY_CONFLICT, "not of this installation", "POST");
    check_refused(replies, call_remove, SY_CONFLICT, "not of this installation", "DELETE");
    check_refused(replies, call_create_with_volume, SY_CONFLICT, "preparing the volumes of web: the volume data",
                  "POST");
}

/* --- networks -------------------------------------------------------------------------------------------------------------------------- */

#define NETWORK(subnet) "{\"Id\":\"n1\",\"Name\":\"net\",\"IPAM\":{\"Config\":[{\"Subnet\":\"" subnet "\"}]}," OURS "}"

static void who_is_slower_takes_the_network_that_is_there(void)
{
    const struct peer_reply same[] = {VERSION,
                                      {"GET", 404, "{\"message\":\"no such network\"}", 0, 1},
                                      {"POST", 409, "{\"message\":\"network with name net already exists\"}"},
                                      {"GET", 200, NETWORK("10.9.0.0/24")},
                                      {NULL}};
    check_ok(same, call_network_ensure, "POST", 1);
    const struct peer_reply other[] = {VERSION,
                                       {"GET", 404, "{\"message\":\"no such network\"}", 0, 1},
                                       {"POST", 409, "{\"message\":\"network with name net already exists\"}"},
                                       {"GET", 200, NETWORK("10.8.0.0/24")},
                                       {NULL}};
    check_refused(other, call_network_ensure, SY_CONFLICT, "the subnet 10.8.0.0/24 instead of 10.9.0.0/24", "DELETE");
    const struct peer_reply clash[] = {VERSION,
                                       {"GET", 404, "{\"message\":\"no such network\"}"},
                                       {"POST", 403, "{\"message\":\"Pool overlaps with other one\"}"},
                                       {NULL}};
    check_refused(clash, call_network_ensure, SY_ENGINE_FAILED, "network net: Pool overlaps", NULL);
}

/* The engine finds by the beginning of an id, too. */
static void a_network_of_another_name_is_not_the_one(void)
{
    const struct peer_reply replies[] = {
        VERSION, {"GET", 200, "{\"Id\":\"net42\",\"Name\":\"other\"," OURS "}"}, {"POST", 201, "{}"}, {NULL}};
    check_ok(replies, call_network_remove, "DELETE", 0);
    check_ok(replies, call_network_ensure, "POST", 1);
}

#define PODMAN                                                                                                         \
    {                                                                                                                  \
        "/version", 200, "{\"ApiVersion\":\"1.41\",\"Components\":[{\"Name\":\"Podman Engine\"}]}"                     \
    }

static void a_network_in_use_stays_on_podman_too(void)
{
    const struct peer_reply used[] = {
        PODMAN, {"/containers/json", 200, "[{}]"}, {"GET", 200, NETWORK("10.9.0.0/24")}, {NULL}};
    check_refused(used, call_network_remove, SY_ENGINE_FAILED, "the network net is in use", "DELETE");
    const struct peer_reply unknown[] = {
        PODMAN, {"/containers/json", 200, "{}"}, {"GET", 200, NETWORK("10.9.0.0/24")}, {NULL}};
    check_refused(unknown, call_network_remove, SY_ENGINE_FAILED, "not what its API says", "DELETE");
    const struct peer_reply unused[] = {
        PODMAN, {"/containers/json", 200, "[]"}, {"GET", 200, NETWORK("10.9.0.0/24")}, {"DELETE", 204, ""}, {NULL}};
    check_ok(unused, call_network_remove, "DELETE /v1.41/networks/n1", 1);
}

/* --- containers ------------------------------------------------------------------------------------------------------------------------ */

#define TAKEN "{\"message\":\"Conflict. The container name \\\"/web\\\" is already in use by container abc\"}"

static void a_name_that_is_taken_is_adopted_only_when_it_is_ours(void)
{
    const struct peer_reply ours[] = {VERSION, {"POST", 409, TAKEN}, {"GET", 200, CONTAINER("created")}, {NULL}};
    check_ok(ours, call_create, "POST", 1);
    const struct peer_reply foreign[] = {VERSION,
                                         {"POST", 409, TAKEN},
                                         {"GET", 200, "{\"Id\":\"abc\",\"Name\":\"/web\",\"Config\":{\"Labels\":{}}}"},
                                         {NULL}};
    check_refused(foreign, call_create, SY_CONFLICT, "the container web is not of this installation", "DELETE");
    const struct peer_reply leaving[] = {VERSION, {"POST", 409, TAKEN}, {NULL}};
    check_refused(leaving, call_create, SY_ENGINE_FAILED, "taken by a container that is just being removed", NULL);
}

static void an_engine_without_init_is_asked_again_without(void)
{
    const struct peer_reply replies[] = {
        PODMAN,
        {"POST", 500, "{\"message\":\"lookup init binary: no such file or directory\"}", 0, 1},
        {"POST", 201, "{\"Id\":\"abc\"}"},
        {NULL}};
    check_ok(replies, call_create, "POST", 2);
    const struct peer_reply never[] = {
        PODMAN, {"POST", 500, "{\"message\":\"lookup init binary: no such file or directory\"}"}, {NULL}};
    check_refused(never, call_create, SY_ENGINE_FAILED, "creating web: lookup init binary", NULL);
}

static void a_removal_under_way_is_waited_for(void)
{
    static const char under_way[] = "{\"message\":\"removal of container abc is already in progress\"}";
    const struct peer_reply ends[] = {
        VERSION, {"DELETE", 409, under_way}, {"GET", 200, CONTAINER("removing"), 0, 3}, {NULL}};
    check_ok(ends, call_remove, "GET", 5); /* the version, then the container until it is gone */
    const struct peer_reply breaks[] = {
        VERSION, {"DELETE", 409, under_way}, {"GET", 200, CONTAINER("removing"), 0, 2}, {"GET", 500, REFUSED}, {NULL}};
    check_refused(breaks, call_remove, SY_ENGINE_FAILED, "resource busy", NULL);
}

static void a_container_that_is_gone_cannot_be_started(void)
{
    const struct peer_reply replies[] = {VERSION, {NULL}};
    check_refused(replies, call_start, SY_NOT_FOUND, "the container web is gone", "POST");
    check_refused(replies, call_wait, SY_NOT_FOUND, "no such thing", NULL);
    check_refused(replies, call_logs, SY_NOT_FOUND, "no such thing", NULL);
}

static void limits_and_mounts_that_make_no_sense_are_not_sent(void)
{
    const struct peer_reply replies[] = {PODMAN, {"", 201, "{\"Id\":\"abc\"}"}, {NULL}};
    struct engine_mount mounts[] = {{.volume = (char *)"../data", .path = (char *)"/data"},
                                    {.volume = (char *)"data", .path = (char *)"data"},
                                    {.volume = (char *)"data", .path = NULL}};
    struct engine_instance_spec specs[9];
    for (size_t i = 0; i < G_N_ELEMENTS(specs); i++) {
        specs[i] = small_spec();
    }
    specs[0].pids = 0;
    specs[1].cpu_millis = -1;
    specs[2].memory_bytes = -1;
    specs[3].log_bytes = -1;
    specs[4].name = "../web";
    specs[5].network = "a/b";
    for (size_t i = 0; i < G_N_ELEMENTS(mounts); i++) {
        specs[6 + i].mounts = &mounts[i];
        specs[6 + i].n_mounts = 1;
    }
    struct peer peer;
    peer_init(&peer, PEER_ANSWER, replies);
    peer_start(&peer);
    struct engine *engine = engine_at(&peer);
    for (size_t i = 0; i < G_N_ELEMENTS(specs); i++) {
        g_autoptr(GError) error = NULL;
        char *id = NULL;
        g_assert_false(engine->ops->instance_create(engine, &specs[i], &id, &error));
        g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
        g_assert_null(id);
    }
    g_autofree char *log = peer_log(&peer);
    g_assert_cmpint(count_of(log, "POST"), ==, 0);
    engine_free(engine);
    peer_stop(&peer);
}

/* The engine does not answer within the time: that the container goes on, or has ended, is known by looking. */
static void check_late_wait(const char *container, bool expects_end)
{
    const struct peer_reply replies[] = {
        VERSION, {"GET", 200, container}, {"POST", 200, "{\"StatusCode\":3}", 0, 1}, {"POST", PEER_SILENCE}, {NULL}};
    struct peer peer;
    int exit_code = -7;
    g_autoptr(GError) error = NULL;
    peer_init(&peer, PEER_ANSWER, replies);
    peer_start(&peer);
    struct engine *engine = engine_at(&peer);
    g_assert_true(engine->ops->instance_wait(engine, "web", 5000, &exit_code, &error));
    g_assert_cmpint(exit_code, ==, 3);
    bool ok = engine->ops->instance_wait(engine, "web", 200, &exit_code, &error);
    if (expects_end) {
        g_assert_no_error(error);
        g_assert_cmpint(exit_code, ==, 7);
    } else {
        g_assert_false(ok);
        g_assert_error(error, SY_ERROR, SY_TIMEOUT);
        g_assert_nonnull(strstr(error->message, "the container web did not end within 200 ms"));
        g_assert_cmpint(exit_code, ==, 3);
    }
    engine_free(engine);
    peer_stop(&peer);
}

static void a_wait_without_an_answer_looks_at_the_container(void)
{
    check_late_wait(CONTAINER("running"), false);
    check_late_wait(CONTAINER("exited"), true);
    check_late_wait(CONTAINER("dead"), true);
}

/* --- volumes --------------------------------------------------------------------------------------------------------------------------- */

#define VOLUME "{\"Name\":\"data\",\"CreatedAt\":\"2026-11-24T12:00:00Z\"," OURS "}"

/* The first block of an archive: a folder of root. */
static char *archive_of_root(void)
{
    char *block = g_malloc0(512 * 3);
    memcpy(block, "data/", 5);
    memcpy(block + 100, "0000755", 7);
    memcpy(block + 108, "0000000", 7);
    memcpy(block + 116, "0000000", 7);
    memcpy(block + 257, "ustar", 5);
    block[156] = '5';
    return block;
}

static void a_volume_that_cannot_be_given_away_starts_nothing(void)
{
    g_autofree char *archive = archive_of_root();
    const struct peer_reply replies[] = {VERSION,
                                         {"GET /v1.41/volumes", 200, VOLUME},
                                         {"/archive", 200, archive, 512 * 3, 1},
                                         {"PUT", 500, "{\"message\":\"no space left on device\"}"},
                                         {"/create?name=web-volumes", 201, "{\"Id\":\"helper\"}"},
                                         {"GET /v1.41/containers/helper/json", 200, CONTAINER("created")},
                                         {"DELETE", 204, ""},
                                         {NULL}};
    struct outcome outcome = call_in(replies, call_create_with_volume);
    g_assert_error(outcome.error, SY_ERROR, SY_ENGINE_FAILED);
    g_assert_cmpstr(outcome.error->message, ==, "preparing the volumes of web: no space left on device");
    g_assert_cmpint(count_of(outcome.log, "PUT"), ==, 1);
    g_assert_cmpint(count_of(outcome.log, "DELETE"), ==, 1); /* the helper does not stay */
    g_assert_null(strstr(outcome.log, "name=web "));
    outcome_clear(&outcome);
}

static void a_volume_whose_owner_is_not_told_stays_as_it_is(void)
{
    g_autofree char *nonsense = g_strnfill(1024, 'x');
    const struct peer_reply replies[] = {VERSION,
                                         {"GET /v1.41/volumes", 200, VOLUME},
                                         {"/archive", 200, nonsense},
                                         {"/create?name=web-volumes", 201, "{\"Id\":\"helper\"}"},
                                         {"GET /v1.41/containers/helper/json", 200, CONTAINER("created")},
                                         {"DELETE", 204, ""},
                                         {"/create?name=web", 201, "{\"Id\":\"abc\"}"},
                                         {NULL}};
    struct outcome outcome = call_in(replies, call_create_with_volume);
    g_assert_no_error(outcome.error);
    g_assert_null(strstr(outcome.log, "PUT"));
    g_assert_cmpint(count_of(outcome.log, "DELETE"), ==, 1);
    g_assert_cmpint(count_of(outcome.log, "create?name=web "), ==, 1);
    outcome_clear(&outcome);
}

/* --- streams --------------------------------------------------------------------------------------------------------------------------- */

#define EVENT(installation, id)                                                                                        \
    "{\"Type\":\"container\",\"Action\":\"die\",\"Actor\":{\"ID\":\"" id "\",\"Attributes\":{"                         \
    "\"dev.enclii.installation\":\"" installation "\"}}}\n"

static bool hear(const char *stream, GString *heard, GError **error)
{
    const struct peer_reply replies[] = {VERSION, {"/events", 200, stream}, {NULL}};
    struct peer peer;
    peer_init(&peer, PEER_ANSWER, replies);
    peer_start(&peer);
    struct engine *engine = engine_at(&peer);
    bool ok = engine->ops->events(engine, on_event, heard, NULL, error);
    engine_free(engine);
    peer_stop(&peer);
    return ok;
}

static void events_of_others_and_blank_lines_are_passed_over(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) heard = g_string_new(NULL);
    g_assert_true(hear(EVENT("me", "1") "\n" EVENT("you", "2") EVENT("me", "3") EVENT("", "4"), heard, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(heard->str, ==, "container die 1\ncontainer die 3\n");
}

static void what_is_no_event_ends_the_listening_with_an_error(void)
{
    g_autoptr(GError) broken = NULL;
    g_autoptr(GError) endless = NULL;
    g_autoptr(GString) heard = g_string_new(NULL);
    g_assert_false(hear(EVENT("me", "1") "{\"Type\":\n" EVENT("me", "2"), heard, &broken));
    g_assert_error(broken, SY_ERROR, SY_ENGINE_FAILED);
    g_assert_cmpstr(heard->str, ==, "container die 1\n");
    g_autofree char *long_line = g_strnfill((256 << 10) + 1, ' ');
    g_assert_false(hear(long_line, heard, &endless));
    g_assert_error(endless, SY_ERROR, SY_ENGINE_FAILED);
    g_assert_nonnull(strstr(endless->message, "longer than"));
}

static void a_log_that_is_no_log_is_refused(void)
{
    const struct peer_reply no_frames[] = {VERSION, {"/logs", 200, "plain text of a terminal\n"}, {NULL}};
    check_refused(no_frames, call_logs, SY_ENGINE_FAILED, "the engine's log stream is broken", NULL);
    static const char failed[] = "\3\0\0\0\0\0\0\50Error grabbing logs: invalid character 'l' after";
    const struct peer_reply failure[] = {VERSION, {"/logs", 200, failed, 48}, {NULL}};
    check_refused(failure, call_logs, SY_ENGINE_FAILED, "the engine could not read the log: Error grabbing", NULL);
}

/* The engine says 200 at once, and later how it went. */
static void a_pull_that_fails_on_its_way_says_why(void)
{
    const struct peer_reply fails[] = {
        VERSION,
        {"/images/create", 200,
         "{\"status\":\"Pulling fs layer\"}\n{\"errorDetail\":{},\"error\":\"unexpected EOF\"}\n"
         "{\"error\":\"a second reason\"}\n"},
        {NULL}};
    check_refused(fails, call_image_pull, SY_ENGINE_FAILED, "pulling registry.example/app failed: unexpected EOF",
                  NULL);
    const struct peer_reply without_end[] = {VERSION, {"/images/create", 200, "{\"error\":\"unauthorized\"}"}, {NULL}};
    check_refused(without_end, call_image_pull, SY_ENGINE_FAILED, "unauthorized", NULL);
    g_autofree char *endless = g_strnfill(200000, 'x');
    const struct peer_reply noise[] = {VERSION, {"/images/create", 200, endless}, {NULL}};
    check_ok(noise, call_image_pull, "fromImage=registry.example%2Fapp&tag=latest", 1);
    const struct peer_reply missing[] = {VERSION, {NULL}};
    check_refused(missing, call_image_pull, SY_NOT_FOUND, "pulling registry.example/app failed: no such thing", NULL);
}

/* It writes on and on, so no silence ends it. */
static void a_pull_without_end_ends_in_time(void)
{
    const struct peer_reply replies[] = {VERSION, {NULL}};
    struct peer peer;
    g_autoptr(GError) error = NULL;
    peer_init(&peer, PEER_ENDLESS, replies);
    peer_start(&peer);
    struct engine *engine = engine_at(&peer);
    int64_t begin_us = g_get_monotonic_time();
    g_assert_false(engine->ops->image_pull(engine, "app:v1", 300, &error));
    g_assert_error(error, SY_ERROR, SY_TIMEOUT);
    g_assert_nonnull(strstr(error->message, "pulling app:v1 did not end within 300 ms"));
    g_assert_cmpint(g_get_monotonic_time() - begin_us, <, 5 * G_USEC_PER_SEC);
    engine_free(engine);
    peer_stop(&peer);
}

static void the_build_cache_is_summed_within_bounds(void)
{
    const struct peer_reply replies[] = {
        VERSION,
        {"/system/df", 200, "{\"BuildCache\":[{\"Size\":5},{\"Size\":-3},{\"Size\":\"x\"},null,{\"Size\":7}]}"},
        {NULL}};
    struct peer peer;
    int64_t bytes = -1;
    g_autoptr(GError) error = NULL;
    peer_init(&peer, PEER_ANSWER, replies);
    peer_start(&peer);
    struct engine *engine = engine_at(&peer);
    g_assert_true(engine->ops->build_cache_bytes(engine, &bytes, &error));
    g_assert_no_error(error);
    g_assert_cmpint(bytes, ==, 12);
    engine_free(engine);
    peer_stop(&peer);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/engine/refusals/" #name, name)
    TEST(every_call_passes_on_why_it_was_refused);
    TEST(every_call_refuses_what_is_no_reply);
    TEST(every_call_tells_of_an_engine_that_went_away);
    TEST(after_a_bad_request_the_version_is_asked_for_again);
    TEST(a_change_that_is_refused_is_told);
    TEST(what_is_gone_meanwhile_is_removed);
    TEST(what_is_not_ours_is_left_alone);
    TEST(who_is_slower_takes_the_network_that_is_there);
    TEST(a_network_of_another_name_is_not_the_one);
    TEST(a_network_in_use_stays_on_podman_too);
    TEST(a_name_that_is_taken_is_adopted_only_when_it_is_ours);
    TEST(an_engine_without_init_is_asked_again_without);
    TEST(a_removal_under_way_is_waited_for);
    TEST(a_container_that_is_gone_cannot_be_started);
    TEST(limits_and_mounts_that_make_no_sense_are_not_sent);
    TEST(a_wait_without_an_answer_looks_at_the_container);
    TEST(a_volume_that_cannot_be_given_away_starts_nothing);
    TEST(a_volume_whose_owner_is_not_told_stays_as_it_is);
    TEST(events_of_others_and_blank_lines_are_passed_over);
    TEST(what_is_no_event_ends_the_listening_with_an_error);
    TEST(a_log_that_is_no_log_is_refused);
    TEST(a_pull_that_fails_on_its_way_says_why);
    TEST(a_pull_without_end_ends_in_time);
    TEST(the_build_cache_is_summed_within_bounds);
    return g_test_run();
}
