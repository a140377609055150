/* What the files of the slow actions share. A job works on copies; it lives from job_start to the end of job_run. */
#pragma once

#include "switchyard/controllers/internal.h"

struct job {
    const struct clock *clock;
    enum action_kind kind;
    char *busy_key;
    char *orphan;
    struct pair *pair;
    struct instance *row;          /* NULL for some kinds */
    struct deployment *deployment; /* the desired one */
    struct service *service;
    struct environment *environment;
    char *engine_id; /* of the row's container, NULL when there is none */
};

/* --- job_logs.c -------------------------------------------------------------------------------------------------------------- */

/* The variables of a version of the configuration, or of `deployment_id` when it is given. */
GPtrArray *job_configuration(struct app *app, const char *pair_id, int64_t version, const char *deployment_id,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Begins to collect what the container says; once for each. */
void job_watch_log(struct controller *controller, const struct pair *pair, const struct instance *row,
                   const char *engine_id);

/* --- job_volumes.c ----------------------------------------------------------------------------------------------------------- */

/* Rows and volumes as the deployment's settings want them: array of struct volume in the order of settings.volumes. */
bool job_volumes(struct app *app, const struct job *job, GPtrArray **ret_volumes,
                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* --- job_container.c --------------------------------------------------------------------------------------------------------- */

struct container_plan {
    const char *name;
    const char *role;
    const char *instance_id;
    const char *address;
    char **command;
    bool restarts;
    bool mounts_volumes;
};
/* With everything that it needs: its network and volumes too. */
bool job_container(struct app *app, const struct job *job, const struct container_plan *plan, char **ret_id,
                   GError **error) G_GNUC_WARN_UNUSED_RESULT;

const char *job_image(const struct deployment *deployment); /* what its containers are made from */

/* --- job_image.c ------------------------------------------------------------------------------------------------------------- */

/* After a container could not be made. When that is because its image is gone, the release is marked, so that the same inputs are
 * built again, and the words for it are returned; else NULL. */
char *job_note_lost_image(struct app *app, const struct job *job);

/* --- one file each ----------------------------------------------------------------------------------------------------------- */

bool job_create(struct controller *controller, struct job *job, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool job_start_container(struct controller *controller, struct job *job, const char *engine_id,
                         GError **error) G_GNUC_WARN_UNUSED_RESULT;
void job_probe(struct controller *controller, const struct job *job);
bool job_stop(struct controller *controller, struct job *job, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool job_remove_container(struct controller *controller, const char *engine_id, int64_t grace_ms,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool job_write_stopping(struct tx *tx, void *job, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool job_release_command(struct controller *controller, struct job *job, GError **error) G_GNUC_WARN_UNUSED_RESULT;
