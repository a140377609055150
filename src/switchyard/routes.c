#include "switchyard/routes.h"

#include "model/domain.h"
#include "model/environment.h"
#include "model/event.h"
#include "model/project.h"
#include "model/reply.h"
#include "model/request.h"
#include "model/source.h"
#include "model/spec.h"
#include "model/token.h"
#include "model/variable.h"
#include "switchyard/handlers/handlers.h"

#define PAGE                                                                                                           \
    {.name = "limit",                                                                                                  \
     .pattern_doc = "1–200",                                                                                           \
     .kind = KIND_INT,                                                                                                 \
     .minimum = 1,                                                                                                     \
     .maximum = 200,                                                                                                   \
     .doc = "entries per page; without it everything up to 1,000"},                                                    \
    {                                                                                                                  \
        .name = "cursor", .pattern_doc = "opaque", .kind = KIND_STRING, .doc = "next_cursor of the page before"        \
    }
#define END                                                                                                            \
    {                                                                                                                  \
        .name = NULL                                                                                                   \
    }
#define ENVIRONMENT                                                                                                    \
    {                                                                                                                  \
        .name = "environment", .kind = KIND_STRING, .doc = "name or id; without it production when something is there" \
    }
#define MOMENT                                                                                                         \
    "{\"anyOf\":[{\"type\":\"string\",\"format\":\"date-time\"},"                                                      \
    "{\"type\":\"string\",\"pattern\":\"^([0-9]{1,5}(ms|s|m|h|d))+$\"}]}"
#define LINES                                                                                                          \
    {.name = "since",                                                                                                  \
     .pattern_doc = "RFC 3339 or a duration",                                                                          \
     .kind = KIND_STRING,                                                                                              \
     .schema = MOMENT,                                                                                                 \
     .doc = "lines from then on"},                                                                                     \
        {.name = "until",                                                                                              \
         .pattern_doc = "RFC 3339 or a duration",                                                                      \
         .kind = KIND_STRING,                                                                                          \
         .schema = MOMENT,                                                                                             \
         .doc = "lines up to then"},                                                                                   \
        {.name = "limit", .kind = KIND_INT, .minimum = 0, .maximum = 10000, .doc = "the last lines; 0: all"},          \
        {.name = "lines", .kind = KIND_INT, .minimum = 0, .maximum = 10000, .doc = "the same as limit"},               \
        {.name = "grep", .kind = KIND_STRING, .doc = "lines that hold this text"},                                     \
        {.name = "instance", .kind = KIND_STRING, .doc = "of this instance only"},                                     \
    {                                                                                                                  \
        .name = "follow", .kind = KIND_BOOL, .doc = "go on with new lines, as server-sent events"                      \
    }

static const struct query_parameter page_query[] = {PAGE, END};
static const struct query_parameter delete_query[] = {
    {.name = "force", .kind = KIND_BOOL, .doc = "even while something runs"}, END};
static const struct query_parameter spec_query[] = {
    {.name = "plan", .kind = KIND_STRING, .doc = "token of the plan that is to be applied, and no other"}, END};
static const struct query_parameter environment_query[] = {ENVIRONMENT, END};
static const struct query_parameter log_query[] = {ENVIRONMENT, LINES, END};
static const struct query_parameter lines_query[] = {LINES, END};
static const struct query_parameter websocket_query[] = {
    ENVIRONMENT,
    {.name = "env", .kind = KIND_STRING, .doc = "the same as environment"},
    {.name = "lines", .kind = KIND_INT, .minimum = 0, .maximum = 10000, .doc = "the last lines first"},
    {.name = "since", .kind = KIND_STRING, .schema = MOMENT, .doc = "lines from then on"},
    {.name = "timestamps", .kind = KIND_BOOL, .doc = "accepted; every frame has its time"},
    END};
static const struct query_parameter variables_query[] = {
    ENVIRONMENT, PAGE, {.name = "environment_id", .kind = KIND_STRING, .doc = "what holds in this environment"}, END};
static const struct query_parameter deploy_query[] = {
    ENVIRONMENT,
    {.name = "deploy", .kind = KIND_BOOL, .doc = "deploy with the new values; X-Deployment-Id names it"},
    END};
static const struct query_parameter event_query[] = {{.name = "project", .kind = KIND_STRING, .doc = "slug or id"},
                                                     {.name = "service", .kind = KIND_STRING, .doc = "id"},
                                                     {.name = "deployment", .kind = KIND_STRING, .doc = "id"},
                                                     {.name = "after", .kind = KIND_STRING, .doc = "as Last-Event-ID"},
                                                     END};
static const struct query_parameter activity_query[] = {{.name = "project", .kind = KIND_STRING, .doc = "slug or id"},
                                                        {.name = "service", .kind = KIND_STRING, .doc = "id"},
                                                        {.name = "deployment", .kind = KIND_STRING, .doc = "id"},
                                                        PAGE,
                                                        END};
static const struct query_parameter gc_query[] = {
    {.name = "everything", .kind = KIND_BOOL, .doc = "all that nothing needs, even within the disk budget"}, END};

const struct route routes[] = {
    /* public */
    {"GET", "/health", NULL, .status = 200, .flags = ROUTE_PUBLIC | ROUTE_INLINE, .handler = system_health,
     .summary = "How the parts are doing", .operation_id = "getHealth", .tag = "system"},
    {"GET", "/health/live", NULL, .status = 200, .flags = ROUTE_PUBLIC | ROUTE_INLINE, .handler = system_live,
     .summary = "The process is alive", .operation_id = "getLive", .tag = "system"},
    {"GET", "/health/ready", NULL, .status = 200, .flags = ROUTE_PUBLIC | ROUTE_INLINE, .handler = system_ready,
     .summary = "Requests can be served", .operation_id = "getReady", .tag = "system"},
    {"GET", "/metrics", NULL, .status = 200, .flags = ROUTE_PUBLIC, .handler = system_metrics,
     .summary = "Prometheus metrics", .operation_id = "getMetrics", .tag = "system"},
    {"GET", "/v1/openapi.json", NULL, .status = 200, .flags = ROUTE_PUBLIC, .handler = system_openapi,
     .summary = "This contract", .operation_id = "getOpenapi", .tag = "system"},
    {"GET", "/v1/version", NULL, .reply = &version_info_type, .status = 200, .flags = ROUTE_PUBLIC | ROUTE_INLINE,
     .handler = system_version, .summary = "What answers", .operation_id = "getVersion", .tag = "system"},
    {"GET", "/v1/build/status", NULL, .reply = &build_status_type, .status = 200, .flags = ROUTE_PUBLIC,
     .handler = system_build_status, .summary = "Counters of the builder", .operation_id = "getBuildStatus",
     .tag = "system"},

    /* projects */
    {"POST", "/v1/projects", "project.create", .request = &project_type, .mode = DECODE_CREATE, .reply = &project_type,
     .status = 201, .flags = ROUTE_IDEMPOTENT, .handler = project_create, .summary = "Create a project",
     .operation_id = "createProject", .tag = "projects"},
    {"GET", "/v1/projects", "project.read", .reply = &project_type, .list_key = "projects", .status = 200,
     .query = page_query, .handler = project_get_list, .summary = "List projects", .operation_id = "listProjects",
     .tag = "projects"},
    {"GET", "/v1/projects/{slug}", "project.read", .reply = &project_type, .status = 200, .handler = project_get,
     .summary = "Get a project", .operation_id = "getProject", .tag = "projects"},
    {"PATCH", "/v1/projects/{slug}", "project.update", .request = &project_type, .mode = DECODE_PATCH,
     .reply = &project_type, .status = 200, .handler = project_patch, .summary = "Change a project",
     .operation_id = "updateProject", .tag = "projects"},
    {"DELETE", "/v1/projects/{slug}", "project.delete", .reply = &spec_result_type, .status = 200,
     .flags = ROUTE_DRY_RUN, .query = delete_query, .handler = project_delete,
     .summary = "Delete a project; 48 hours to undo", .operation_id = "deleteProject", .tag = "projects"},
    {"POST", "/v1/projects/{slug}/restore", "project.delete", .reply = &project_type, .status = 200,
     .handler = project_restore, .summary = "Undo the deletion of a project", .operation_id = "restoreProject",
     .tag = "projects"},
    {"PUT", "/v1/projects/{slug}/spec", "service.write", .request = &spec_type, .mode = DECODE_PATCH,
     .reply = &spec_result_type, .status = 200, .flags = ROUTE_DRY_RUN, .query = spec_query, .handler = spec_put,
     .summary = "Apply a whole enclii.yaml", .operation_id = "putSpec", .tag = "projects"},

    /* environments */
    {"POST", "/v1/projects/{slug}/environments", "environment.write", .request = &environment_type,
     .mode = DECODE_CREATE, .reply = &environment_type, .status = 201, .flags = ROUTE_IDEMPOTENT,
     .handler = environment_create, .summary = "Create an environment", .operation_id = "createEnvironment",
     .tag = "environments"},
    {"GET", "/v1/projects/{slug}/environments", "environment.read", .reply = &environment_type,
     .list_key = "environments", .status = 200, .query = page_query, .handler = environment_get_list,
     .summary = "List environments", .operation_id = "listEnvironments", .tag = "environments"},
    {"GET", "/v1/projects/{slug}/environments/{name}", "environment.read", .reply = &environment_type, .status = 200,
     .handler = environment_get, .summary = "Get an environment", .operation_id = "getEnvironment",
     .tag = "environments"},
    {"PATCH", "/v1/projects/{slug}/environments/{name}", "environment.write", .request = &environment_type,
     .mode = DECODE_PATCH, .reply = &environment_type, .status = 200, .handler = environment_patch,
     .summary = "Change an environment", .operation_id = "updateEnvironment", .tag = "environments"},
    {"DELETE", "/v1/projects/{slug}/environments/{name}", "environment.delete", .reply = &spec_result_type,
     .status = 200, .flags = ROUTE_DRY_RUN, .query = delete_query, .handler = environment_delete,
     .summary = "Delete an environment; its volumes are kept", .operation_id = "deleteEnvironment",
     .tag = "environments"},

    /* services */
    {"POST", "/v1/projects/{slug}/services", "service.write", .request = &service_type, .mode = DECODE_CREATE,
     .reply = &service_type, .status = 201, .flags = ROUTE_IDEMPOTENT, .handler = service_create,
     .summary = "Create a service", .operation_id = "createService", .tag = "services"},
    {"GET", "/v1/projects/{slug}/services", "service.read", .reply = &service_type, .list_key = "services",
     .status = 200, .query = page_query, .handler = service_get_list, .summary = "List services",
     .operation_id = "listServices", .tag = "services"},
    {"GET", "/v1/services/{id}", "service.read", .reply = &service_type, .status = 200, .handler = service_get,
     .summary = "Get a service", .operation_id = "getService", .tag = "services"},
    {"PATCH", "/v1/services/{id}", "service.write", .request = &service_type, .mode = DECODE_PATCH,
     .reply = &service_type, .status = 200, .handler = service_patch, .summary = "Change a service",
     .operation_id = "updateService", .tag = "services"},
    {"DELETE", "/v1/services/{id}", "service.delete", .reply = &spec_result_type, .status = 200, .flags = ROUTE_DRY_RUN,
     .handler = service_delete, .summary = "Delete a service; its volumes are kept", .operation_id = "deleteService",
     .tag = "services"},
    {"GET", "/v1/services/{id}/status", "service.read", .reply = &service_status_type, .status = 200,
     .query = environment_query, .handler = service_get_status, .summary = "How a service is doing",
     .operation_id = "getServiceStatus", .tag = "services"},
    {"POST", "/v1/services/{id}/scale", "deployment.create", .request = &scale_request_type, .mode = DECODE_CREATE,
     .reply = &deployment_type, .status = 201, .flags = ROUTE_IDEMPOTENT, .handler = service_scale,
     .summary = "Run another number of instances", .operation_id = "scaleService", .tag = "services"},
    {"POST", "/v1/services/{id}/restart", "deployment.create", .request = &restart_request_type, .mode = DECODE_CREATE,
     .reply = &deployment_type, .status = 201, .flags = ROUTE_IDEMPOTENT | ROUTE_BODY_OPTIONAL,
     .handler = service_restart, .summary = "Replace all instances", .operation_id = "restartService",
     .tag = "services"},

    /* sources and releases */
    {"PUT", "/v1/services/{id}/sources/{sha256}", "source.write", .reply = &source_type, .status = 200,
     .flags = ROUTE_BODY_STREAM, .handler = source_put, .body = source_receive,
     .summary = "Upload a source archive (tar)", .operation_id = "putSource", .tag = "releases"},
    {"GET", "/v1/services/{id}/sources/{sha256}", "source.write", .reply = &source_type, .status = 200,
     .handler = source_get, .summary = "Has this source been uploaded?", .operation_id = "getSource",
     .tag = "releases"},
    {"POST", "/v1/services/{id}/build", "release.create", .request = &build_request_type, .mode = DECODE_CREATE,
     .reply = &release_type, .status = 201, .flags = ROUTE_IDEMPOTENT | ROUTE_BODY_OPTIONAL, .handler = release_build,
     .summary = "Build a release", .operation_id = "createRelease", .tag = "releases"},
    {"GET", "/v1/services/{id}/releases", "release.read", .reply = &release_type, .list_key = "releases", .status = 200,
     .query = page_query, .handler = release_get_list, .summary = "List releases", .operation_id = "listReleases",
     .tag = "releases"},
    {"GET", "/v1/releases/{id}", "release.read", .reply = &release_type, .status = 200, .handler = release_get,
     .summary = "Get a release", .operation_id = "getRelease", .tag = "releases"},
    {"POST", "/v1/releases/{id}/cancel", "release.create", .reply = &release_type, .status = 200,
     .handler = release_cancel, .summary = "Cancel a build", .operation_id = "cancelRelease", .tag = "releases"},
    {"GET", "/v1/services/{id}/builds/{release_id}/logs", "log.read", .reply = &log_text_type, .status = 200,
     .flags = ROUTE_STREAMS, .query = lines_query, .handler = log_of_build, .summary = "The log of a build",
     .operation_id = "getBuildLogs", .tag = "logs"},

    /* deployments */
    {"POST", "/v1/services/{id}/deploy", "deployment.create", .request = &deploy_request_type, .mode = DECODE_CREATE,
     .reply = &deployment_type, .status = 201, .flags = ROUTE_IDEMPOTENT, .handler = deployment_deploy,
     .summary = "Deploy a release", .operation_id = "createDeployment", .tag = "deployments"},
    {"GET", "/v1/services/{id}/deployments", "deployment.read", .reply = &deployment_type, .list_key = "deployments",
     .status = 200, .query = page_query, .handler = deployment_get_list, .summary = "List deployments",
     .operation_id = "listDeployments", .tag = "deployments"},
    {"GET", "/v1/services/{id}/deployments/latest", "deployment.read", .reply = &latest_deployment_type, .status = 200,
     .query = environment_query, .handler = deployment_get_latest, .summary = "The newest deployment and its release",
     .operation_id = "getLatestDeployment", .tag = "deployments"},
    {"GET", "/v1/deployments/{id}", "deployment.read", .reply = &deployment_type, .status = 200,
     .handler = deployment_get, .summary = "Get a deployment", .operation_id = "getDeployment", .tag = "deployments"},
    {"GET", "/v1/deployments/{id}/events", "deployment.read", .reply = &event_type, .list_key = "events", .status = 200,
     .query = page_query, .handler = deployment_get_events, .summary = "Its history, with reasons",
     .operation_id = "listDeploymentEvents", .tag = "deployments"},
    {"POST", "/v1/deployments/{id}/cancel", "deployment.create", .reply = &deployment_type, .status = 200,
     .handler = deployment_cancel, .summary = "Stop a deployment that is under way", .operation_id = "cancelDeployment",
     .tag = "deployments"},
    {"POST", "/v1/deployments/{id}/rollback", "deployment.create", .request = &rollback_request_type,
     .mode = DECODE_CREATE, .reply = &deployment_type, .status = 201, .flags = ROUTE_IDEMPOTENT | ROUTE_BODY_OPTIONAL,
     .handler = deployment_rollback, .summary = "Deploy the whole value of an earlier one",
     .operation_id = "rollbackDeployment", .tag = "deployments"},
    {"GET", "/v1/deployments/{id}/logs", "log.read", .reply = &log_text_type, .status = 200, .flags = ROUTE_STREAMS,
     .query = lines_query, .handler = log_of_deployment, .summary = "Log lines since a deployment",
     .operation_id = "getDeploymentLogs", .tag = "logs"},
    {"GET", "/v1/services/{id}/logs", "log.read", .reply = &log_record_type, .list_key = "logs", .status = 200,
     .flags = ROUTE_STREAMS, .query = log_query, .handler = log_of_service, .summary = "Log lines of a service",
     .operation_id = "listLogs", .tag = "logs"},
    {"GET", "/v1/services/{id}/logs/stream", "log.read", .status = 101, .flags = ROUTE_WEBSOCKET | ROUTE_STREAMS,
     .query = websocket_query, .handler = log_websocket, .summary = "Log lines over a WebSocket",
     .operation_id = "streamLogs", .tag = "logs"},

    /* variables */
    {"GET", "/v1/services/{id}/env-vars", "variable.read", .reply = &variable_type, .list_key = "environment_variables",
     .status = 200, .query = variables_query, .handler = variable_get_list,
     .summary = "List variables; secret values are masked", .operation_id = "listVariables", .tag = "variables"},
    {"POST", "/v1/services/{id}/env-vars", "variable.write", .request = &variable_type, .mode = DECODE_CREATE,
     .reply = &variable_type, .status = 201, .flags = ROUTE_IDEMPOTENT, .query = deploy_query,
     .handler = variable_create, .summary = "Create a variable", .operation_id = "createVariable", .tag = "variables"},
    {"POST", "/v1/services/{id}/env-vars/bulk", "variable.write", .request = &variables_bulk_type,
     .mode = DECODE_CREATE, .reply = &variable_type, .list_key = "environment_variables", .status = 200,
     .query = deploy_query, .handler = variable_put_bulk, .summary = "Set many variables at once; a secret stays one",
     .operation_id = "putVariables", .tag = "variables"},
    {"GET", "/v1/services/{id}/env-vars/{var_id}", "variable.read", .reply = &variable_type, .status = 200,
     .handler = variable_get, .summary = "Get a variable", .operation_id = "getVariable", .tag = "variables"},
    {"PUT", "/v1/services/{id}/env-vars/{var_id}", "variable.write", .request = &variable_type, .mode = DECODE_PATCH,
     .reply = &variable_type, .status = 200, .query = deploy_query, .handler = variable_put,
     .summary = "Give a variable a new value", .operation_id = "updateVariable", .tag = "variables"},
    {"DELETE", "/v1/services/{id}/env-vars/{var_id}", "variable.write", .reply = &variable_type, .status = 200,
     .query = deploy_query, .handler = variable_remove, .summary = "Delete a variable",
     .operation_id = "deleteVariable", .tag = "variables"},
    {"POST", "/v1/services/{id}/env-vars/{var_id}/reveal", "variable.reveal", .reply = &revealed_value_type,
     .status = 200, .handler = variable_reveal, .summary = "Show a secret value; recorded",
     .operation_id = "revealVariable", .tag = "variables"},

    /* domains */
    {"GET", "/v1/services/{id}/domains", "domain.read", .reply = &domain_type, .list_key = "domains", .status = 200,
     .query = page_query, .handler = domain_get_list, .summary = "List custom host names",
     .operation_id = "listDomains", .tag = "domains"},
    {"POST", "/v1/services/{id}/domains", "domain.write", .request = &domain_type, .mode = DECODE_CREATE,
     .reply = &domain_type, .status = 201, .flags = ROUTE_IDEMPOTENT, .handler = domain_create,
     .summary = "Add a custom host name", .operation_id = "createDomain", .tag = "domains"},
    {"POST", "/v1/services/{id}/domains/{domain_id}/verify", "domain.write", .reply = &domain_type, .status = 200,
     .handler = domain_verify, .summary = "Does the name resolve?", .operation_id = "verifyDomain", .tag = "domains"},
    {"DELETE", "/v1/services/{id}/domains/{domain_id}", "domain.write", .reply = &domain_type, .status = 200,
     .handler = domain_remove, .summary = "Remove a custom host name", .operation_id = "deleteDomain",
     .tag = "domains"},

    /* tokens */
    {"POST", "/v1/user/tokens", "token.write", .request = &token_type, .mode = DECODE_CREATE, .reply = &token_type,
     .status = 201, .handler = token_create, .summary = "Create an API token; shown once",
     .operation_id = "createToken", .tag = "tokens"},
    {"GET", "/v1/user/tokens", "token.read", .reply = &token_type, .list_key = "tokens", .status = 200,
     .query = page_query, .handler = token_get_list, .summary = "List API tokens", .operation_id = "listTokens",
     .tag = "tokens"},
    {"GET", "/v1/user/tokens/{token_id}", "token.read", .reply = &token_type, .status = 200, .handler = token_get,
     .summary = "Get an API token's facts", .operation_id = "getToken", .tag = "tokens"},
    {"DELETE", "/v1/user/tokens/{token_id}", "token.write", .reply = &token_type, .status = 200,
     .handler = token_delete, .summary = "Revoke an API token", .operation_id = "deleteToken", .tag = "tokens"},

    /* events and system */
    {"GET", "/v1/events", "event.read", .status = 200, .flags = ROUTE_STREAMS, .query = event_query,
     .handler = event_stream, .summary = "What happens, as server-sent events", .operation_id = "streamEvents",
     .tag = "events"},
    {"GET", "/v1/activity", "event.read", .reply = &event_type, .list_key = "events", .status = 200,
     .query = activity_query, .handler = event_activity, .summary = "What happened, newest first",
     .operation_id = "listActivity", .tag = "events"},
    {"GET", "/v1/system", "system.read", .status = 200, .handler = system_get, .summary = "The installation",
     .operation_id = "getSystem", .tag = "system"},
    {"GET", "/v1/system/doctor", "system.read", .reply = &doctor_report_type, .status = 200, .handler = system_doctor,
     .summary = "Findings, each with its fix", .operation_id = "getDoctor", .tag = "system"},
    {"POST", "/v1/system/gc", "system.write", .reply = &gc_report_type, .status = 200, .flags = ROUTE_DRY_RUN,
     .query = gc_query, .handler = system_gc, .summary = "Remove what nothing needs", .operation_id = "runGc",
     .tag = "system"},
};
const size_t n_routes = G_N_ELEMENTS(routes);
