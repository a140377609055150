/* Every handler, one line each; routes.c says which path, permission and types belong to it. */
#pragma once

#include "http/server.h"

#define HANDLER(name) bool name(struct request *request, GError **error)

HANDLER(project_create);
HANDLER(project_get_list);
HANDLER(project_get);
HANDLER(project_patch);
HANDLER(project_delete);
HANDLER(project_restore);

HANDLER(environment_create);
HANDLER(environment_get_list);
HANDLER(environment_get);
HANDLER(environment_patch);
HANDLER(environment_delete);

HANDLER(service_create);
HANDLER(service_get_list);
HANDLER(service_get);
HANDLER(service_patch);
HANDLER(service_delete);
HANDLER(service_get_status);
HANDLER(service_scale);
HANDLER(service_restart);

HANDLER(spec_put);

HANDLER(source_put);
HANDLER(source_get);
bool source_receive(struct request *request, const void *bytes, size_t length, bool is_last, GError **error);

HANDLER(release_build);
HANDLER(release_get_list);
HANDLER(release_get);
HANDLER(release_cancel);

HANDLER(deployment_deploy);
HANDLER(deployment_get_list);
HANDLER(deployment_get_latest);
HANDLER(deployment_get);
HANDLER(deployment_get_events);
HANDLER(deployment_cancel);
HANDLER(deployment_rollback);

HANDLER(log_of_service);
HANDLER(log_of_deployment);
HANDLER(log_of_build);
HANDLER(log_websocket);

HANDLER(variable_create);
HANDLER(variable_get_list);
HANDLER(variable_get);
HANDLER(variable_put);
HANDLER(variable_remove);
HANDLER(variable_put_bulk);
HANDLER(variable_reveal);

HANDLER(domain_create);
HANDLER(domain_get_list);
HANDLER(domain_verify);
HANDLER(domain_remove);

HANDLER(token_create);
HANDLER(token_get_list);
HANDLER(token_get);
HANDLER(token_delete);

HANDLER(event_stream);
HANDLER(event_activity);

HANDLER(system_version);
HANDLER(system_openapi);
HANDLER(system_get);
HANDLER(system_doctor);
HANDLER(system_gc);
HANDLER(system_build_status);
HANDLER(system_health);
HANDLER(system_live);
HANDLER(system_ready);
HANDLER(system_metrics);

/* Waits for the threads that follow logs for streams; after server_stop has closed them. */
void log_handlers_drain(void);
