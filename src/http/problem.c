#include "http/problem.h"

#include "base/error.h"
#include "base/json_writer.h"

#define TYPE_BASE "https://enclii.dev/errors/"

const char *problem_title(int status)
{
    switch (status) {
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 409:
        return "Conflict";
    case 412:
        return "Precondition Failed";
    case 413:
        return "Content Too Large";
    case 415:
        return "Unsupported Media Type";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    default:
        return "Error";
    }
}

int problem_status(const GError *error)
{
    int status = sy_code_info(sy_error_code(error))->status;
    return status != 0 ? status : 500;
}

/* Defects and the database's own words could show what the caller may not see. */
static const char *public_detail(const GError *error)
{
    enum sy_code code = sy_error_code(error);
    if (code == SY_INTERNAL) {
        return "Something went wrong inside the server.";
    }
    return code == SY_STORE_FAILED ? "The database refused the statement." : error->message;
}

static void write_issues(struct json_writer *writer, const GPtrArray *issues)
{
    json_key(writer, "errors");
    json_array_open(writer);
    for (guint i = 0; issues != NULL && i < issues->len; i++) {
        const struct sy_issue *issue = g_ptr_array_index(issues, i);
        json_object_open(writer);
        json_member_string(writer, "path", issue->path);
        json_member_string(writer, "code", issue->code);
        json_member_string(writer, "detail", issue->detail);
        json_object_close(writer);
    }
    json_array_close(writer);
}

GString *problem_render(const GError *error, int status, const char *request_id)
{
    const struct sy_code_info *info = sy_code_info(sy_error_code(error));
    g_autofree char *type = g_strconcat(TYPE_BASE, info->name, NULL);
    GString *out = g_string_sized_new(512);
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_object_open(&writer);
    json_member_string(&writer, "type", type);
    json_member_string(&writer, "title", problem_title(status));
    json_member_int(&writer, "status", status);
    json_member_string(&writer, "detail", public_detail(error));
    json_member_string(&writer, "code", info->name);
    json_member_string(&writer, "error", public_detail(error));
    json_member_string(&writer, "hint", sy_error_hint(error));
    write_issues(&writer, sy_error_issues(error));
    json_member_string(&writer, "request_id", request_id);
    json_object_close(&writer);
    return out;
}
