/* Replies of the Docker Engine API (1.40 to 1.44, and Podman's compatible service): JSON text in, our structs out.
 *
 * Pure. Whatever a reply holds, a function here gives a whole result or SY_ENGINE_FAILED; a member that is missing or of
 * another type is taken as absent, so that what the engines name differently or leave out does no harm. Results are owned by
 * the caller. Lists hold only what carries the label of `installation`, whatever the engine was asked for. */
#pragma once

#include "engine/engine.h"

bool parse_instances(const char *text, size_t length, const char *installation, GPtrArray **ret_instances,
                     GError **error);
bool parse_instance(const char *text, size_t length, struct engine_instance **ret_instance, GError **error);

/* Label of the installation and of an instance: a container that somebody runs from one of our images inherits the labels of
 * the image, and no image has the second. */
bool parse_is_ours(const struct engine_instance *instance, const char *installation);

bool parse_image(const char *text, size_t length, struct engine_image **ret_image, GError **error);
/* "repository:tag" of images with our label, and those that begin with `prefix`. */
bool parse_image_tags(const char *text, size_t length, const char *installation, const char *prefix,
                      GPtrArray **ret_tags, GError **error);

/* What proves whose a network or volume is. */
struct parse_object {
    char *id; /* "" for volumes */
    char *name;
    char *installation; /* label, "" when absent */
    char *subnet;       /* first one of a network, else "" */
    char *created;      /* of a volume, as the engine writes it; else "" */
};
void parse_object_clear(struct parse_object *object);
typedef struct parse_object parse_object_t; /* for g_auto */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(parse_object_t, parse_object_clear)

bool parse_object(const char *text, size_t length, struct parse_object *ret_object, GError **error);
bool parse_networks(const char *text, size_t length, const char *installation, GPtrArray **ret_names,
                    GPtrArray **ret_all_subnets, GError **error);
bool parse_volumes(const char *text, size_t length, const char *installation, GPtrArray **ret_names, GError **error);

/* GET /version: what the engine is and can. */
struct parse_version {
    bool is_podman;
    bool has_init; /* false only when it says so */
    int api_minor; /* newest 1.N it speaks */
    int min_minor; /* oldest, 0 unknown */
    char *version;
    char *api_version;
    char *runc; /* NULL when it does not say */
};
void parse_version_clear(struct parse_version *version);
bool parse_version(const char *text, size_t length, struct parse_version *ret_version, GError **error);
/* GET /info: fills root and the flags. */
bool parse_info(const char *text, size_t length, struct engine_info *info, GError **error);

/* One object of GET /events; its strings live until event is cleared. */
struct parse_event {
    char *type, *action, *id, *pair, *installation;
};
void parse_event_clear(struct parse_event *event);
typedef struct parse_event parse_event_t; /* for g_auto */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(parse_event_t, parse_event_clear)
bool parse_event(const char *text, size_t length, struct parse_event *ret_event, GError **error);

/* {"Id": …} of a creation. */
bool parse_id(const char *text, size_t length, char **ret_id, GError **error);
/* The sum of {"BuildCache": [{"Size": …}]}; an engine without one (Podman) has none. */
bool parse_build_cache(const char *text, size_t length, int64_t *ret_bytes, GError **error);
/* {"StatusCode": …} of a wait. */
bool parse_exit_code(const char *text, size_t length, int *ret_exit_code, GError **error);
/* Adds the ranges of /proc/net/route (proc(5)) that are /16 or smaller, as CIDR: a larger one is somebody's whole intranet, of
 * which a /24 may be cut out. */
void parse_routes(const char *text, GPtrArray *subnets);
/* Whether a list has no entry. */
bool parse_is_empty(const char *text, size_t length, bool *ret_is_empty, GError **error);
/* The engine's words about a failure: its "message" or "error", else the text itself; cut at 1000 bytes, one line, UTF-8. */
char *parse_words(const char *text, size_t length);
/* One line of a pull's progress: the failure it tells of, or NULL. */
char *parse_progress_failure(const char *text, size_t length);
