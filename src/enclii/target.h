/* What a command is about: project, service, environment, deployment, by the names people use. */
#pragma once

#include "enclii/cli.h"
#include "model/deployment.h"
#include "model/release.h"
#include "model/service.h"

/* enclii.yaml of this folder or the nearest one above it; NULL when there is none. */
char *target_spec_file(void);

/* --project, ENCLII_PROJECT, or `project:` of enclii.yaml; borrowed from cli. NULL without an error
 * when nothing names one. */
const char *target_project_or_none(struct cli *cli, GError **error);

/* As above; SY_INVALID_INPUT says how to name one. */
const char *target_project(struct cli *cli, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* All services of the project, struct service *. */
GPtrArray *target_services(struct cli *cli, const char *project, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* All environments of the project, struct environment *. */
GPtrArray *target_environments(struct cli *cli, const char *project, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The service of this name; with NULL the project's only one. */
struct service *target_service(struct cli *cli, const char *name, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Picks from `services`; pure. */
const struct service *target_pick(const GPtrArray *services, const char *project, const char *name, GError **error);

/* A deployment of the service by id or version (v12, 12). */
struct deployment *target_deployment(struct cli *cli, const struct service *service, const char *name,
                                     GError **error) G_GNUC_WARN_UNUSED_RESULT;
