#include "model/request.h"

#include "base/id.h"

const char *check_sha256(const char *value)
{
    return sha256_hex_is_valid(value) ? NULL : "must be 64 lower-case hexadecimal digits";
}

static const struct field build_request_fields[] = {
    {.name = "git_sha",
     .kind = KIND_STRING,
     .offset = offsetof(struct build_request, git_sha),
     .maximum = 64,
     .check = check_printable,
     .doc = "commit to build; 40 hex digits"},
    {.name = "git_branch",
     .kind = KIND_STRING,
     .offset = offsetof(struct build_request, git_branch),
     .maximum = 255,
     .check = check_printable},
    {.name = "source",
     .kind = KIND_STRING,
     .offset = offsetof(struct build_request, source),
     .minimum = 64,
     .maximum = 64,
     .check = check_sha256,
     .doc = "SHA-256 of an uploaded archive"},
    {.name = "force",
     .kind = KIND_BOOL,
     .offset = offsetof(struct build_request, force),
     .fallback = "false",
     .doc = "build again even when the inputs are known"},
};
const struct type build_request_type = {
    .name = "BuildRequest",
    .size = sizeof(struct build_request),
    .fields = build_request_fields,
    .n_fields = G_N_ELEMENTS(build_request_fields),
    .doc = "What to build; empty: the newest known source.",
};

static const struct field deploy_request_fields[] = {
    {.name = "release_id",
     .kind = KIND_STRING,
     .offset = offsetof(struct deploy_request, release_id),
     .flags = FIELD_REQUIRED,
     .minimum = 1,
     .maximum = 36,
     .check = check_printable,
     .doc = "id or version"},
    {.name = "environment_name",
     .kind = KIND_STRING,
     .offset = offsetof(struct deploy_request, environment_name),
     .flags = FIELD_REQUIRED,
     .minimum = 1,
     .maximum = 63,
     .check = check_slug},
    {.name = "replicas",
     .kind = KIND_INT,
     .offset = offsetof(struct deploy_request, replicas),
     .minimum = 0,
     .maximum = 100,
     .doc = "default: the service's"},
    {.name = "reason",
     .kind = KIND_STRING,
     .offset = offsetof(struct deploy_request, reason),
     .maximum = 1000,
     .check = check_printable,
     .doc = "kept in the history"},
};
const struct type deploy_request_type = {
    .name = "DeployRequest",
    .size = sizeof(struct deploy_request),
    .fields = deploy_request_fields,
    .n_fields = G_N_ELEMENTS(deploy_request_fields),
    .doc = "What to run and where.",
};

static const struct field rollback_request_fields[] = {
    {.name = "to",
     .kind = KIND_STRING,
     .offset = offsetof(struct rollback_request, to),
     .minimum = 1,
     .maximum = 36,
     .check = check_printable,
     .doc = "deployment id or version"},
    {.name = "to_release",
     .kind = KIND_STRING,
     .offset = offsetof(struct rollback_request, to_release),
     .minimum = 1,
     .maximum = 36,
     .check = check_printable,
     .doc = "release id or version: its last healthy deployment"},
    {.name = "reason",
     .kind = KIND_STRING,
     .offset = offsetof(struct rollback_request, reason),
     .maximum = 1000,
     .check = check_printable},
};
const struct type rollback_request_type = {
    .name = "RollbackRequest",
    .size = sizeof(struct rollback_request),
    .fields = rollback_request_fields,
    .n_fields = G_N_ELEMENTS(rollback_request_fields),
    .doc = "Where to go back to; empty: the last deployment that was healthy.",
};

static const struct field scale_request_fields[] = {
    {.name = "environment_name",
     .kind = KIND_STRING,
     .offset = offsetof(struct scale_request, environment_name),
     .minimum = 1,
     .maximum = 63,
     .fallback = "production",
     .check = check_slug,
     .doc = "default production"},
    {.name = "replicas",
     .kind = KIND_INT,
     .offset = offsetof(struct scale_request, replicas),
     .flags = FIELD_REQUIRED,
     .minimum = 0,
     .maximum = 100},
};
const struct type scale_request_type = {
    .name = "ScaleRequest",
    .size = sizeof(struct scale_request),
    .fields = scale_request_fields,
    .n_fields = G_N_ELEMENTS(scale_request_fields),
    .doc = "How many instances.",
};

static const struct field restart_request_fields[] = {
    {.name = "environment_name",
     .kind = KIND_STRING,
     .offset = offsetof(struct restart_request, environment_name),
     .minimum = 1,
     .maximum = 63,
     .fallback = "production",
     .check = check_slug,
     .doc = "default production"},
};
const struct type restart_request_type = {
    .name = "RestartRequest",
    .size = sizeof(struct restart_request),
    .fields = restart_request_fields,
    .n_fields = G_N_ELEMENTS(restart_request_fields),
    .doc = "Which environment to restart, one instance after the other.",
};
