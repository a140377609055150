/* A container engine as Enclii needs it: a table of functions, so that Docker, Podman and (later)
 * Kubernetes look alike to the controllers.
 *
 * Invariants: everything created carries the labels given and ENGINE_LABEL_INSTALLATION, a container
 * ENGINE_LABEL_INSTANCE too (its name when none is given); list calls return only objects of this
 * installation; a call that starts, stops or removes refuses an object that does not carry them
 * (SY_CONFLICT). A container without ENGINE_LABEL_INSTANCE is not ours: one that somebody runs by
 * hand from our image inherits the other label. An image is ours by its label; a tag that we put on
 * somebody else's image is ours by engine_image_prefix and the id that our books have for it. Every call is idempotent: creating what exists with the same name and
 * installation returns the existing one, removing or stopping what is gone is success. Never
 * `prune`. Every call has a time-out and a bound on the reply. Errors: SY_ENGINE_UNAVAILABLE
 * (cannot be reached or timed out), SY_ENGINE_FAILED (it refused; its words in the message),
 * SY_NOT_FOUND. After 5 failures in a row to connect, calls fail at once for a second (circuit
 * breaker). Threads: an engine is shared by all threads; each call uses its own connection from a
 * small pool. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/secret.h"

#define ENGINE_LABEL_INSTALLATION "dev.enclii.installation"
#define ENGINE_LABEL_PAIR "dev.enclii.pair"             /* id of the (service, environment) pair */
#define ENGINE_LABEL_DEPLOYMENT "dev.enclii.deployment" /* id */
#define ENGINE_LABEL_INSTANCE "dev.enclii.instance"     /* id */
#define ENGINE_LABEL_OBJECT "dev.enclii.object"         /* id of whatever else owns it (environment, volume) */
#define ENGINE_LABEL_ROLE "dev.enclii.role"             /* instance, release-command, network, volume */

/* Images that we tag are named so, followed by project/service:tag: enclii/<last 12 of the installation's id>/. */
char *engine_image_prefix(const char *installation);

struct engine;

struct engine_info {
    char *name; /* "docker", "podman" */
    char *version;
    char *api_version;
    char *root; /* its data folder, "" when unknown */
    char *runc; /* version of runc, NULL when it does not say */
    bool is_rootless;
    bool has_cgroup_v2;
    bool has_live_restore;
};

enum engine_state {
    ENGINE_CREATED,
    ENGINE_RUNNING,
    ENGINE_PAUSED,
    ENGINE_RESTARTING,
    ENGINE_EXITED,
    ENGINE_DEAD,
};

struct engine_mount {
    char *volume; /* engine name of the volume */
    char *path;   /* absolute, inside */
};

/* What to create. All strings owned by the caller. */
struct engine_instance_spec {
    const char *name;
    const char *image;          /* reference or digest that the engine has */
    const char *const *labels;  /* "key=value", NULL-ended */
    const char *const *command; /* argv replacing the image's command; NULL: the image's own */
    const char *const *env;     /* "K=V", NULL-ended; may hold secret values: never log */
    const char *network;        /* engine name */
    const char *address;        /* IPv4 in the network's subnet; NULL: any */
    const char *const *aliases; /* names inside the network */
    const struct engine_mount *mounts;
    size_t n_mounts;
    int64_t cpu_millis, memory_bytes, pids; /* 0: no limit for cpu and memory; pids always > 0 */
    int64_t user, group;                    /* numeric; -1: the image's own */
    bool is_root_writable;
    const char *const *add_capabilities;
    const char *stop_signal; /* "SIGTERM" */
    int64_t stop_grace_ms;
    bool restarts;     /* unless-stopped; false for one-off commands */
    int64_t log_bytes; /* bound of the engine's own log file: half of it, two files */
};

struct engine_instance {
    char *id;
    char *name;
    char *image_id;
    char *address; /* in its first network; "" when not running */
    enum engine_state state;
    int exit_code;     /* from inspect only; else -1 */
    char *start_error; /* likewise: in the engine's words, why it could not start it; else NULL */
    bool was_oom_killed;
    int64_t restarts;
    int64_t created_us, started_us, finished_us;              /* 0 unknown */
    char *installation, *pair, *deployment, *instance, *role; /* labels; "" when absent */
};
void engine_instance_free(struct engine_instance *instance);

struct engine_image {
    char *id; /* sha256:… */
    char **tags;
    int64_t size_bytes;
    int64_t created_us;
    char **command, **entrypoint;
    char *user;
    int64_t exposed_port; /* the lowest TCP one, 0 none */
    GPtrArray *labels;    /* string map */
};
void engine_image_free(struct engine_image *image);

struct engine_event {
    const char *type, *action; /* "container" "die", … */
    const char *id;
    const char *pair; /* label, "" when absent */
};

/* Line by line, in the engine's order; `time_us` is the engine's own stamp. False ends the stream.
 */
typedef bool (*engine_log_fn)(bool is_stderr, int64_t time_us, const char *line, size_t length, void *arg);
typedef bool (*engine_event_fn)(const struct engine_event *event, void *arg);

struct engine_ops {
    const char *name;
    void (*free)(struct engine *engine);
    bool (*info)(struct engine *engine, struct engine_info *ret_info, GError **error);
    bool (*ping)(struct engine *engine, GError **error);

    bool (*network_ensure)(struct engine *engine, const char *name, const char *subnet /* CIDR */, const char *gateway,
                           const char *const *labels, GError **error);
    bool (*network_remove)(struct engine *engine, const char *name, GError **error);
    /* Names of our networks; and every subnet in use by anybody on this machine, for the choice of a free one. */
    bool (*network_list)(struct engine *engine, GPtrArray **ret_names, GPtrArray **ret_all_subnets, GError **error);

    bool (*volume_ensure)(struct engine *engine, const char *name, const char *const *labels, GError **error);
    bool (*volume_remove)(struct engine *engine, const char *name, GError **error);
    bool (*volume_list)(struct engine *engine, GPtrArray **ret_names, GError **error);

    /* A fresh volume that still belongs to root becomes the user's. What the engine refuses, a missing
     * image too, is SY_ENGINE_FAILED. A name that is somebody else's is SY_CONFLICT. */
    bool (*instance_create)(struct engine *engine, const struct engine_instance_spec *spec, char **ret_id,
                            GError **error);
    bool (*instance_start)(struct engine *engine, const char *id, GError **error);
    /* Signal, then SIGKILL after the grace; returns when it has ended. */
    bool (*instance_stop)(struct engine *engine, const char *id, int64_t grace_ms, GError **error);
    bool (*instance_remove)(struct engine *engine, const char *id, GError **error);
    /* Waits for the end, at most timeout_ms (SY_TIMEOUT). */
    bool (*instance_wait)(struct engine *engine, const char *id, int64_t timeout_ms, int *ret_exit_code,
                          GError **error);
    bool (*instance_inspect)(struct engine *engine, const char *id, struct engine_instance **ret_instance,
                             GError **error);
    /* All of this installation, any state; one call to the engine. Array of struct engine_instance
     * *. */
    bool (*instance_list)(struct engine *engine, GPtrArray **ret_instances, GError **error);

    /* From since_us (0: all) on; follow until the instance ends or *cancelled (success). Blocking. Lines
     * of since_us itself come again, as several can share a stamp (Podman's have whole seconds): who
     * reads on counts them. A line is joined up to 64 KiB; a longer one comes in pieces of that size
     * with one stamp. */
    bool (*instance_logs)(struct engine *engine, const char *id, int64_t since_us, bool follow, engine_log_fn fn,
                          void *arg, const int *cancelled, GError **error);

    bool (*image_inspect)(struct engine *engine, const char *reference, struct engine_image **ret_image,
                          GError **error);
    bool (*image_tag)(struct engine *engine, const char *reference, const char *repository, const char *tag,
                      GError **error);
    /* SY_TIMEOUT when it did not end in time. */
    bool (*image_pull)(struct engine *engine, const char *reference, int64_t timeout_ms, GError **error);
    /* Only the tag given goes; the image with it when it was the last and nothing uses it. Never
     * forced. known_id: what our books say that the tag is on; NULL: they do not know it. */
    bool (*image_remove)(struct engine *engine, const char *reference, const char *known_id, GError **error);
    /* Tags "repository:tag" of images that carry our installation label or our repository prefix.
     */
    bool (*image_list)(struct engine *engine, const char *repository_prefix, GPtrArray **ret_tags, GError **error);
    /* What the engine's build cache takes, everybody's: its records carry no owner, so nothing of it is ever removed by us. */
    bool (*build_cache_bytes)(struct engine *engine, int64_t *ret_bytes, GError **error);

    /* Events of our instances until *cancelled or the connection ends. Blocking. */
    bool (*events)(struct engine *engine, engine_event_fn fn, void *arg, const int *cancelled, GError **error);
};

struct engine {
    const struct engine_ops *ops;
    char *installation;
};

/* endpoint: "unix:/var/run/docker.sock". Does not connect. */
struct engine *engine_docker_new(const char *endpoint, const char *installation,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

struct engine_stats {
    int64_t calls, failures; /* no answer, or 5xx */
    int64_t us_total;        /* without logs, events and pulls, which last as long as they last */
};
void engine_docker_stats(const struct engine *engine, struct engine_stats *ret_stats);
void engine_info_clear(struct engine_info *info);
static inline void engine_free(struct engine *engine)
{
    if (engine != NULL) {
        engine->ops->free(engine);
    }
}
