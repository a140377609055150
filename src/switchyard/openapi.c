#include "switchyard/openapi.h"

#include <string.h>

#include "auth/permission.h"
#include "base/json_writer.h"
#include "switchyard/routes.h"

#define SCHEMAS "#/components/schemas/"

struct document {
    struct json_writer writer;
    GHashTable *used[3]; /* per enum schema_use: const struct type * */
};

static enum schema_use use_of(const struct route *route)
{
    /* A PUT hands the JSON to its handler, but takes a whole object. */
    return route->mode == DECODE_PATCH && strcmp(route->method, "PATCH") == 0 ? SCHEMA_PATCH : SCHEMA_CREATE;
}

static void write_reference(struct document *document, const struct type *type, enum schema_use use)
{
    g_autofree char *reference = g_strconcat(SCHEMAS, type->name, contract_schema_suffix(use), NULL);
    g_hash_table_add(document->used[use], (void *)type);
    json_object_open(&document->writer);
    json_member_string(&document->writer, "$ref", reference);
    json_object_close(&document->writer);
}

/* --- parameters -------------------------------------------------------------------------------------------------------------- */

static void write_parameter_schema(struct json_writer *writer, const struct query_parameter *parameter)
{
    enum kind kind = parameter->kind;
    if (parameter->schema != NULL) {
        json_put_raw(writer, parameter->schema);
        return;
    }
    json_object_open(writer);
    json_member_string(writer, "type", kind == KIND_INT ? "integer" : kind == KIND_BOOL ? "boolean" : "string");
    if (kind == KIND_INT && (parameter->minimum != 0 || parameter->maximum != 0)) {
        json_member_int(writer, "minimum", parameter->minimum);
        json_member_int(writer, "maximum", parameter->maximum);
    }
    json_object_close(writer);
}

static void write_parameter(struct json_writer *writer, const char *place, const struct query_parameter *parameter)
{
    json_object_open(writer);
    json_member_string(writer, "name", parameter->name);
    json_member_string(writer, "in", place);
    json_member_bool(writer, "required", strcmp(place, "path") == 0);
    if (parameter->doc != NULL) {
        json_member_string(writer, "description", parameter->doc);
    }
    json_key(writer, "schema");
    write_parameter_schema(writer, parameter);
    json_object_close(writer);
}

static void write_path_parameters(struct json_writer *writer, const char *path)
{
    for (const char *open = strchr(path, '{'); open != NULL; open = strchr(open + 1, '{')) {
        g_autofree char *name = g_strndup(open + 1, strcspn(open + 1, "}"));
        struct query_parameter parameter = {.name = name, .kind = KIND_STRING};
        if (strcmp(name, "sha256") == 0) {
            parameter.schema = "{\"type\":\"string\",\"pattern\":\"^[0-9a-f]{64}$\"}";
        }
        write_parameter(writer, "path", &parameter);
    }
}

static void write_parameters(struct json_writer *writer, const struct route *route)
{
    static const struct query_parameter dry_run = {
        .name = "dry_run", .kind = KIND_BOOL, .doc = "say what would happen, and do nothing"};
    static const struct query_parameter key = {
        .name = "Idempotency-Key",
        .schema = "{\"type\":\"string\",\"minLength\":1,\"maxLength\":255,\"pattern\":\"^[!-~]+$\"}",
        .doc = "the same key and request within 24 hours give the same reply"};
    json_key(writer, "parameters");
    json_array_open(writer);
    write_path_parameters(writer, route->path);
    for (const struct query_parameter *q = route->query; q != NULL && q->name != NULL; q++) {
        write_parameter(writer, "query", q);
    }
    if ((route->flags & ROUTE_DRY_RUN) != 0) {
        write_parameter(writer, "query", &dry_run);
    }
    if ((route->flags & ROUTE_IDEMPOTENT) != 0) {
        write_parameter(writer, "header", &key);
    }
    json_array_close(writer);
}

/* --- bodies -------------------------------------------------------------------------------------------------------------------- */

static void write_request_body(struct document *document, const struct route *route)
{
    struct json_writer *writer = &document->writer;
    bool is_stream = (route->flags & ROUTE_BODY_STREAM) != 0;
    if (route->request == NULL && !is_stream) {
        return;
    }
    json_key(writer, "requestBody");
    json_object_open(writer);
    json_member_bool(writer, "required", (route->flags & ROUTE_BODY_OPTIONAL) == 0);
    json_key(writer, "content");
    json_object_open(writer);
    json_key(writer, is_stream ? "application/x-tar" : "application/json");
    json_object_open(writer);
    json_key(writer, "schema");
    if (is_stream) {
        json_put_raw(writer, "{\"type\":\"string\",\"format\":\"binary\"}");
    } else if (strcmp(route->operation_id, "updateVariable") == 0) {
        /* A patch, but for this: a new value is what it is for. */
        json_object_open(writer);
        json_key(writer, "allOf");
        json_array_open(writer);
        write_reference(document, route->request, SCHEMA_PATCH);
        json_put_raw(writer, "{\"type\":\"object\",\"required\":[\"value\"]}");
        json_array_close(writer);
        json_object_close(writer);
    } else {
        write_reference(document, route->request, use_of(route));
    }
    json_object_close(writer);
    json_object_close(writer);
    json_object_close(writer);
}

static void write_reply_schema(struct document *document, const struct route *route)
{
    struct json_writer *writer = &document->writer;
    if (route->list_key == NULL) {
        write_reference(document, route->reply, SCHEMA_REPLY);
        return;
    }
    json_object_open(writer);
    json_member_string(writer, "type", "object");
    json_key(writer, "required");
    json_array_open(writer);
    json_put_string(writer, route->list_key);
    json_put_string(writer, "next_cursor");
    json_array_close(writer);
    json_key(writer, "properties");
    json_object_open(writer);
    json_key(writer, route->list_key);
    json_object_open(writer);
    json_member_string(writer, "type", "array");
    json_key(writer, "items");
    write_reference(document, route->reply, SCHEMA_REPLY);
    json_object_close(writer);
    json_key(writer, "next_cursor");
    json_put_raw(writer, "{\"type\":[\"string\",\"null\"]}");
    json_object_close(writer);
    json_object_close(writer);
}

static void write_content(struct document *document, const struct route *route)
{
    struct json_writer *writer = &document->writer;
    json_key(writer, "content");
    json_object_open(writer);
    if (route->reply != NULL) {
        json_key(writer, "application/json");
        json_object_open(writer);
        json_key(writer, "schema");
        write_reply_schema(document, route);
        json_object_close(writer);
    }
    if ((route->flags & ROUTE_STREAMS) != 0 && route->status == 200) {
        json_key(writer, "text/event-stream");
        json_put_raw(writer, "{\"schema\":{\"type\":\"string\"}}");
    } else if (route->reply == NULL && strcmp(route->path, "/metrics") == 0) {
        json_key(writer, "text/plain");
        json_put_raw(writer, "{\"schema\":{\"type\":\"string\"}}");
    } else if (route->reply == NULL) {
        json_key(writer, "application/json");
        json_put_raw(writer, "{\"schema\":{\"type\":\"object\"}}");
    }
    json_object_close(writer);
}

static void write_reply(struct document *document, const struct route *route, int status)
{
    struct json_writer *writer = &document->writer;
    char code[8];
    g_snprintf(code, sizeof code, "%d", status);
    json_key(writer, code);
    json_object_open(writer);
    json_member_string(writer, "description",
                       status == 101                           ? "The connection is a WebSocket now"
                       : status == 503                         ? "Not ready"
                       : status == 200 && route->status == 201 ? "It was there already"
                                                               : "Done");
    if (status != 204 && status != 101) {
        write_content(document, route);
    }
    json_object_close(writer);
}

static void write_replies(struct document *document, const struct route *route)
{
    struct json_writer *writer = &document->writer;
    json_key(writer, "responses");
    json_object_open(writer);
    if (strcmp(route->operation_id, "createRelease") == 0) {
        write_reply(document, route, 200);
    }
    write_reply(document, route, route->status);
    if (strcmp(route->path, "/health") == 0 || strcmp(route->path, "/health/ready") == 0) {
        write_reply(document, route, 503);
    }
    json_key(writer, "default");
    json_put_raw(writer, "{\"$ref\":\"#/components/responses/Problem\"}");
    json_object_close(writer);
}

/* --- the whole ------------------------------------------------------------------------------------------------------------------- */

static void write_permission(struct json_writer *writer, const struct route *route)
{
    const struct permission *permission = permission_find(route->permission);
    json_member_string(writer, "x-permission", route->permission);
    if (permission != NULL) { /* a server with a route that names an unknown one does not start */
        json_member_string(writer, "x-scope", scope_level_name(permission->level));
        json_member_bool(writer, "x-installation-wide", permission->is_global);
    }
}

static void write_operation(struct document *document, const struct route *route)
{
    struct json_writer *writer = &document->writer;
    g_autofree char *method = g_ascii_strdown(route->method, -1);
    json_key(writer, method);
    json_object_open(writer);
    json_member_string(writer, "operationId", route->operation_id);
    json_member_string(writer, "summary", route->summary);
    json_key(writer, "tags");
    json_array_open(writer);
    json_put_string(writer, route->tag);
    json_array_close(writer);
    if (route->permission == NULL) {
        json_key(writer, "security");
        json_put_raw(writer, "[]");
    } else {
        write_permission(writer, route);
    }
    write_parameters(writer, route);
    write_request_body(document, route);
    write_replies(document, route);
    json_object_close(writer);
}

static void write_paths(struct document *document)
{
    struct json_writer *writer = &document->writer;
    g_autoptr(GHashTable) done = g_hash_table_new(g_str_hash, g_str_equal);
    json_key(writer, "paths");
    json_object_open(writer);
    for (size_t i = 0; i < n_routes; i++) {
        if (!g_hash_table_add(done, (void *)routes[i].path)) {
            continue;
        }
        json_key(writer, routes[i].path);
        json_object_open(writer);
        for (size_t j = i; j < n_routes; j++) {
            if (strcmp(routes[j].path, routes[i].path) == 0) {
                write_operation(document, &routes[j]);
            }
        }
        json_object_close(writer);
    }
    json_object_close(writer);
}

/* Writing one schema may name others: goes on until there is no new one. */
static void write_schemas(struct document *document)
{
    struct json_writer *writer = &document->writer;
    g_autoptr(GHashTable) done = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    bool is_more = true;
    while (is_more) {
        is_more = false;
        for (int use = SCHEMA_REPLY; use <= SCHEMA_PATCH; use++) {
            g_autoptr(GList) types = g_hash_table_get_keys(document->used[use]);
            for (GList *item = types; item != NULL; item = item->next) {
                const struct type *type = item->data;
                char *name = g_strconcat(type->name, contract_schema_suffix((enum schema_use)use), NULL);
                if (g_hash_table_contains(done, name)) {
                    g_free(name);
                    continue;
                }
                is_more = true;
                json_key(writer, name);
                g_hash_table_add(done, name);
                /* Types that a patch nests are inputs. */
                GHashTable *nested = document->used[use == SCHEMA_PATCH ? SCHEMA_CREATE : use];
                contract_schema(type, (enum schema_use)use, SCHEMAS, nested, writer);
            }
        }
    }
}

static const char problem[] =
    "{\"type\":\"object\",\"required\":[\"type\",\"title\",\"status\",\"detail\",\"code\",\"error\",\"request_id\"],"
    "\"properties\":{\"type\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},\"status\":{\"type\":\"integer\"},"
    "\"detail\":{\"type\":\"string\"},\"code\":{\"type\":\"string\"},\"error\":{\"type\":\"string\"},"
    "\"hint\":{\"type\":\"string\"},\"request_id\":{\"type\":\"string\"},\"errors\":{\"type\":\"array\",\"items\":"
    "{\"type\":\"object\",\"properties\":{\"path\":{\"type\":\"string\"},\"code\":{\"type\":\"string\"},\"detail\":"
    "{\"type\":\"string\"}}}}}}";

static void write_components(struct document *document)
{
    struct json_writer *writer = &document->writer;
    json_key(writer, "components");
    json_object_open(writer);
    json_key(writer, "securitySchemes");
    json_put_raw(
        writer, "{\"token\":{\"type\":\"http\",\"scheme\":\"bearer\",\"bearerFormat\":\"enclii_ and 64 hex digits\"}}");
    json_key(writer, "responses");
    json_put_raw(writer,
                 "{\"Problem\":{\"description\":\"RFC 9457 problem details\",\"content\":{\"application/problem+json\":"
                 "{\"schema\":{\"$ref\":\"#/components/schemas/Problem\"}}}}}");
    json_key(writer, "schemas");
    json_object_open(writer);
    json_key(writer, "Problem");
    json_put_raw(writer, problem);
    write_schemas(document);
    json_object_close(writer);
    json_object_close(writer);
}

GString *openapi_write(void)
{
    GString *out = g_string_sized_new(65536);
    struct document document;
    for (int i = 0; i < 3; i++) {
        document.used[i] = g_hash_table_new(NULL, NULL);
    }
    json_writer_init(&document.writer, out);
    json_object_open(&document.writer);
    json_member_string(&document.writer, "openapi", "3.1.0");
    json_key(&document.writer, "info");
    json_object_open(&document.writer);
    json_member_string(&document.writer, "title", "Enclii");
    json_member_string(&document.writer, "version", ENCLII_VERSION);
    json_member_string(&document.writer, "description", "Every path below /v1 is also served below /api/v1.");
    json_object_close(&document.writer);
    json_key(&document.writer, "security");
    json_put_raw(&document.writer, "[{\"token\":[]}]");
    write_paths(&document);
    write_components(&document);
    json_object_close(&document.writer);
    for (int i = 0; i < 3; i++) {
        g_hash_table_unref(document.used[i]);
    }
    return out;
}
