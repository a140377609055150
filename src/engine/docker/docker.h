/* Inside of the Docker engine: one call over the socket, and what the files of this folder share.
 *
 * Threads: a call takes an idle client out of the pool, or makes one, and puts it back when it is done; no lock is held
 * while it talks. `lock` guards the fields below it; `network_lock` is held across the calls of network_ensure (two
 * creations of one name at once would give two networks) and is taken before `lock`. */
#pragma once

#include "base/http_client.h"
#include "engine/docker/parse.h"
#include "engine/engine.h"

#define DOCKER_IDLE_CLIENTS 8
#define DOCKER_READ_MS 20000
#define DOCKER_CHANGE_MS 60000
#define DOCKER_PING_MS 5000
#define DOCKER_QUIET_MS 600000 /* a stream that is silent for so long is asked for again */
#define DOCKER_BREAKER_FAILURES 5
#define DOCKER_BREAKER_US G_USEC_PER_SEC

/* What the engine has told about itself. */
struct docker_facts {
    int minor; /* the API 1.N that we speak with it; 0: not asked yet */
    bool is_podman;
    bool has_init;
};

struct docker {
    struct engine engine; /* first: a struct engine * is one of ours */
    char *endpoint;
    GMutex network_lock;
    GMutex lock;
    GPtrArray *idle; /* of struct http_client *, the last used at the end */
    int n_failures;  /* to connect, in a row */
    int64_t closed_until_us;
    struct docker_facts facts;
    struct engine_stats stats;
    GHashTable *owned_volumes; /* name → when it was made: those whose owner is known to be right */
};

static inline struct docker *docker_of(struct engine *engine)
{
    return (struct docker *)engine;
}

struct docker_call {
    const char *method;
    const char *path;    /* after the version: /containers/json?all=1 */
    const GString *body; /* JSON, or NULL */
    int64_t timeout_ms;  /* of a stream: between two pieces */
    http_body_fn on_body;
    void *on_body_arg;
    const int *cancelled;
    bool is_unversioned;
};

/* Any reply of the engine is success. SY_ENGINE_UNAVAILABLE when there is none (SY_TIMEOUT when it was the time that ran
 * out, SY_CANCELLED). Calls on a kept connection that turns out to be closed are repeated once on a new one, for everything here is
 * idempotent; streams always have a new one. */
bool docker_exchange(struct docker *docker, const struct docker_call *call, struct http_reply *ret_reply,
                     GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* As docker_exchange, and a reply of 4xx or 5xx is an error too: SY_NOT_FOUND for 404, else SY_ENGINE_FAILED with the
 * engine's words. Running out of time is SY_ENGINE_UNAVAILABLE. */
bool docker_call(struct docker *docker, const struct docker_call *call, struct http_reply *ret_reply,
                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* A GET that is read whole. */
bool docker_get(struct docker *docker, const char *path, struct http_reply *ret_reply,
                GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* A change whose reply does not matter; the status `accepted` (0: none) is success besides 2xx and 3xx. */
bool docker_change(struct docker *docker, const char *method, const char *path, const GString *body, int accepted,
                   GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* What the engine is; asked once, and again after it was lost. */
bool docker_negotiate(struct docker *docker, struct docker_facts *ret_facts, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* SY_INVALID_INPUT unless it is a name or id of an object: [A-Za-z0-9][A-Za-z0-9_.-]*, at most 255. */
bool docker_check_name(const char *name, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* "?filters=…" asking for what has our label; with the type too when it is not NULL. */
char *docker_filters(const struct docker *docker, const char *type);

/* Members of a creation: "Labels" with those given and our installation's; an array of strings; "Mounts" of the volumes. */
struct json_writer;
void docker_put_labels(struct json_writer *writer, const char *installation, const char *const *labels);
void docker_put_strings(struct json_writer *writer, const char *key, const char *const *strings);
void docker_put_mounts(struct json_writer *writer, const struct engine_instance_spec *spec, const char *installation,
                       bool is_filled);

/* Makes the user of the container the owner of its volumes that are still root's; they must exist and be ours
 * (SY_CONFLICT). Not for Podman, which does it by itself. */
bool docker_own_volumes(struct docker *docker, const struct engine_instance_spec *spec, GError **error);

/* --- the operations, one file per noun ------------------------------------------------------------------------------------------ */

bool docker_network_ensure(struct engine *engine, const char *name, const char *subnet, const char *gateway,
                           const char *const *labels, GError **error);
bool docker_network_remove(struct engine *engine, const char *name, GError **error);
bool docker_network_list(struct engine *engine, GPtrArray **ret_names, GPtrArray **ret_all_subnets, GError **error);

bool docker_volume_ensure(struct engine *engine, const char *name, const char *const *labels, GError **error);
bool docker_volume_remove(struct engine *engine, const char *name, GError **error);
bool docker_volume_list(struct engine *engine, GPtrArray **ret_names, GError **error);

bool docker_instance_create(struct engine *engine, const struct engine_instance_spec *spec, char **ret_id,
                            GError **error);
bool docker_instance_start(struct engine *engine, const char *id, GError **error);
bool docker_instance_stop(struct engine *engine, const char *id, int64_t grace_ms, GError **error);
bool docker_instance_remove(struct engine *engine, const char *id, GError **error);
bool docker_instance_wait(struct engine *engine, const char *id, int64_t timeout_ms, int *ret_exit_code,
                          GError **error);
bool docker_instance_inspect(struct engine *engine, const char *id, struct engine_instance **ret_instance,
                             GError **error);
bool docker_instance_list(struct engine *engine, GPtrArray **ret_instances, GError **error);
bool docker_instance_logs(struct engine *engine, const char *id, int64_t since_us, bool follow, engine_log_fn fn,
                          void *arg, const int *cancelled, GError **error);

bool docker_image_inspect(struct engine *engine, const char *reference, struct engine_image **ret_image,
                          GError **error);
bool docker_image_tag(struct engine *engine, const char *reference, const char *repository, const char *tag,
                      GError **error);
bool docker_image_pull(struct engine *engine, const char *reference, int64_t timeout_ms, GError **error);
bool docker_image_remove(struct engine *engine, const char *reference, const char *known_id, GError **error);
bool docker_build_cache_bytes(struct engine *engine, int64_t *ret_bytes, GError **error);
bool docker_image_list(struct engine *engine, const char *repository_prefix, GPtrArray **ret_tags, GError **error);

bool docker_events(struct engine *engine, engine_event_fn fn, void *arg, const int *cancelled, GError **error);
