/* A release: what was built, once, from known inputs. Runs in any environment. */
#pragma once

#include "contract/contract.h"
#include "model/build_config.h"

enum release_status { RELEASE_QUEUED, RELEASE_BUILDING, RELEASE_READY, RELEASE_FAILED, RELEASE_CANCELLED };
extern const char *const release_statuses[];
bool release_may_become(enum release_status from, enum release_status to);

struct release {
    char *id;
    char *organization_id;
    char *project_id;
    char *service_id;
    int64_t number; /* version without the v */
    char *version;
    int status;
    char *image_uri;
    char *image_digest;
    char *git_sha;
    char *git_branch;
    char *source;
    struct build_config build_config;
    char *builder;
    char *builder_reason;
    char **default_command;
    int64_t default_port; /* what the image exposes; 0 unknown */
    int64_t size_bytes;
    int64_t duration_ms;
    char *error_code;
    char *error_message;
    char *hint;
    char *fingerprint; /* SHA-256 over all inputs; equal inputs reuse the release */
    char *created_by;
    int64_t created_us;
    int64_t started_us;
    int64_t finished_us;
    char *lease_owner;
    int64_t lease_until_us;
    int64_t attempts;
    int cancel_requested;
    int is_rebuild;           /* asked for although the inputs are known: nothing cached is used */
    int64_t image_removed_us; /* garbage collection took the image */
    int64_t image_lost_us;    /* the engine said that it has none; cleared when it is seen again */
    int64_t revision;         /* of the row: the ETag */
};
bool release_has_image(const struct release *release); /* ready, and neither collected nor lost */
extern const struct type release_type;
CONTRACT_AUTOPTR(release)
