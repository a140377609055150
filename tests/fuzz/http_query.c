/* Query strings, cursors, paths and WebSocket frames. First byte: which of them. */
#include <string.h>

#include "http/frame.h"
#include "http/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool handler(struct request *request, GError **error)
{
    return true;
}

static const struct query_parameter table[] = {
    {.name = "limit", .kind = KIND_INT, .minimum = 1, .maximum = 200},
    {.name = "name", .kind = KIND_STRING, .maximum = 10},
    {.name = "follow", .kind = KIND_BOOL},
    {0},
};
static const struct route routes[] = {
    {.method = "GET", .path = "/v1/{a}/x", .query = table, .flags = ROUTE_PUBLIC | ROUTE_DRY_RUN, .handler = handler},
    {.method = "GET", .path = "/v1/items/{b}/{c}", .flags = ROUTE_PUBLIC, .handler = handler},
};

static void try_query(char *text)
{
    struct request request = {.route = &routes[0], .query_text = text};
    g_autoptr(GError) error = NULL;
    if (!request_check_query(&request, &error)) {
        g_assert_nonnull(error);
        return;
    }
    const char *name = request_query(&request, "name");
    int64_t limit = request_query_int(&request, "limit", 1);
    g_assert_true(limit >= 1 && limit <= 200);
    g_assert_true(name == NULL || (strlen(name) <= 10 && g_utf8_validate(name, -1, NULL)));
    (void)request_query_bool(&request, "follow");
}

static void try_cursor(const char *text)
{
    g_autofree char *key = cursor_decode(text, NULL);
    g_autofree char *again = key != NULL ? cursor_encode(key) : NULL;
    g_assert_true(again == NULL || strcmp(again, text) == 0);
}

static void try_path(const char *text)
{
    static struct router *router;
    struct router_match match;
    struct server server = {0};
    router = router != NULL ? router : router_new(routes, G_N_ELEMENTS(routes), NULL);
    if (router_find(router, "GET", text, &match) != ROUTER_FOUND) {
        return;
    }
    server.router = router;
    struct request request = {.server = &server, .route = match.route};
    g_autoptr(GError) error = NULL;
    bool ok = request_parse_path(&request, &match, &error);
    g_assert_true(ok == (error == NULL));
    for (size_t i = 0; i < ROUTE_MAX_PARAMETERS; i++) {
        g_assert_true(!ok || request.parameters[i] == NULL || g_utf8_validate(request.parameters[i], -1, NULL));
        g_free(request.parameters[i]);
    }
}

static void try_frames(uint8_t *bytes, size_t length)
{
    struct frame frame;
    size_t used = 0;
    while (length > 0 && frame_parse(bytes, length, &frame, &used) == FRAME_OK) {
        g_assert_true(used <= length && frame.payload + frame.length == bytes + used);
        bytes += used;
        length -= used;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    g_autofree char *text = g_strndup((const char *)data + 1, size - 1);
    g_autofree uint8_t *bytes = g_memdup2(data + 1, size - 1);
    switch (data[0] % 4) {
    case 0:
        try_query(text);
        break;
    case 1:
        try_cursor(text);
        break;
    case 2:
        try_path(text);
        break;
    default:
        try_frames(bytes, size - 1);
    }
    return 0;
}
