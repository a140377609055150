#include <string.h>

#include "base/error.h"
#include "base/id.h"
#include "base/quantity.h"
#include "build/steps/steps.h"

#define IMAGE_ID_LIMIT 256
#define SYSTEMD_FOLDER "/run/systemd/system"

/* --- the client's arguments ------------------------------------------------------------------------------------------ */

static void add_build_args(GStrvBuilder *argv, const GPtrArray *build_args)
{
    for (guint i = 0; build_args != NULL && i < build_args->len; i++) {
        const struct string_pair *pair = g_ptr_array_index(build_args, i);
        g_autofree char *argument = g_strdup_printf("%s=%s", pair->key, pair->value);
        g_strv_builder_add_many(argv, "--build-arg", argument, NULL);
    }
}

static void add_label(GStrvBuilder *argv, const char *name, const char *value)
{
    if (value != NULL) {
        g_autofree char *label = g_strdup_printf("%s=%s", name, value);
        g_strv_builder_add_many(argv, "--label", label, NULL);
    }
}

static char **make_argv(const struct build *build, const char *image_id_file)
{
    const struct build_job *job = build->job;
    g_autoptr(GStrvBuilder) argv = docker_client_argv(&build->client);
    g_autofree char *tag = g_strdup_printf("%s:%s", job->repository, job->tag);
    g_strv_builder_add_many(argv, "build", "--progress=plain", "--iidfile", image_id_file, "-t", tag, "-f",
                            build->dockerfile, NULL);
    if (job->is_fresh) {
        g_strv_builder_add(argv, "--no-cache");
    }
    docker_client_add_inputs(argv, build->options->ca_bundle, build->options->forward);
    add_build_args(argv, job->config->build_args);
    add_label(argv, ENGINE_LABEL_INSTALLATION, build->options->installation);
    add_label(argv, BUILD_LABEL_RELEASE, job->release_id);
    if (job->config->target != NULL && *job->config->target != '\0') {
        g_strv_builder_add_many(argv, "--target", job->config->target, NULL);
    }
    g_strv_builder_add(argv, build->context);
    return g_strv_builder_end(argv);
}

/* --- limits ------------------------------------------------------------------------------------------------------------ */

struct limited {
    struct limits_place place;
    struct step_limiter *steps;
    struct limits_pressure before;
    bool holds;
};

static void begin_limits(struct build *build, struct limited *limited)
{
    static const char *const folders[] = {CGROUP_ROOT, CGROUP_ROOT "/system.slice", NULL};
    const struct build_options *options = build->options;
    g_autofree char *reason = NULL;
    limits_find(CGROUP_ROOT, g_file_test(SYSTEMD_FOLDER, G_FILE_TEST_IS_DIR), &limited->place);
    limited->holds = limits_apply(CGROUP_ROOT, &limited->place, options->memory_bytes, options->cpu_millis, &reason);
    if (!limited->holds) {
        build->result.warning = g_strdup_printf("the build's limits of memory and CPU do not hold: %s", reason);
        build_say(build, "warning: %s", build->result.warning);
    } else if (limited->place.kind == LIMITS_STEPS) {
        limited->steps = step_limiter_start(folders, options->memory_bytes, options->cpu_millis);
    }
    limits_pressure_reset(&limited->place);
    limits_pressure(&limited->place, &limited->before);
}

static void end_limits(struct limited *limited)
{
    step_limiter_stop(limited->steps);
    limits_place_clear(&limited->place);
}

static bool was_hit(const struct limits_pressure *before, const struct limits_pressure *after)
{
    bool is_full = after->limit_bytes > 0 && after->peak_bytes >= after->limit_bytes - after->limit_bytes / 64;
    return after->hits > before->hits || after->kills > before->kills || is_full;
}

/* Killed (137), or: it says so, and the limit was reached meanwhile, or nobody counts. */
static bool ran_out_of_memory(const struct limited *limited, const struct build_verdict *verdict)
{
    struct limits_pressure after;
    limits_pressure(&limited->place, &after);
    bool is_counted = after.hits >= 0 || after.peak_bytes >= 0;
    return verdict->exit_code == 137 || after.kills > limited->before.kills ||
           (verdict->tells_out_of_memory && (!is_counted || was_hit(&limited->before, &after)));
}

/* --- what came of it ------------------------------------------------------------------------------------------------------ */

static bool fail_out_of_memory(const struct build *build, const struct limited *limited,
                               const struct build_verdict *verdict, GError **error)
{
    char limit[QUANTITY_LENGTH];
    size_format(build->options->memory_bytes, limit);
    const char *step = verdict->step != NULL ? verdict->step : "a step";
    if (!limited->holds) {
        return sy_fail(error, SY_BUILD_OUT_OF_MEMORY, "%s was killed, it seems for lack of memory on this machine%s",
                       step, verdict->lines);
    }
    return sy_fail(error, SY_BUILD_OUT_OF_MEMORY, "%s ran out of memory: %s may use %s (build_memory)%s", step,
                   limited->steps != NULL ? "each step of a build" : "all builds together", limit, verdict->lines);
}

static bool fail_build(const struct build *build, const struct limited *limited, const struct build_log *log,
                       GError **error)
{
    g_auto(build_verdict_t) verdict = {0};
    build_log_verdict(log, &verdict);
    if (verdict.tells_engine_gone) {
        return sy_fail(error, SY_ENGINE_UNAVAILABLE, "the engine went away during the build: %s", verdict.reason);
    }
    if (verdict.tells_disk_full) {
        return sy_fail(error, SY_DISK_FULL, "%s found no space left: %s%s",
                       verdict.step != NULL ? verdict.step : "the build", verdict.reason, verdict.lines);
    }
    if (ran_out_of_memory(limited, &verdict)) {
        return fail_out_of_memory(build, limited, &verdict, error);
    }
    return sy_fail(error, SY_BUILD_FAILED, "%s failed: %s%s", verdict.step != NULL ? verdict.step : "the build",
                   verdict.reason, verdict.lines);
}

static bool run_client(const struct build *build, const struct limited *limited, char **argv, GError **error)
{
    g_autoptr(build_log_t) log = build_log_new(build->job->on_line, build->job->on_line_arg);
    const struct process_spec spec = {.argv = (const char *const *)argv,
                                      .env = (const char *const *)build->client.env,
                                      .cwd = build->workspace->path,
                                      .stdin_fd = -1,
                                      .timeout_ms = build_left_ms(build),
                                      .cancelled = build->job->cancelled,
                                      .on_line = build_log_take,
                                      .on_line_arg = log};
    g_auto(process_result_t) result = {0};
    if (!process_run(&spec, &result, error)) {
        return false;
    }
    if (result.cancelled || result.timed_out) {
        return build_may_go_on(build, error) && sy_fail(error, SY_TIMEOUT, "the build was ended");
    }
    return result.exit_status == 0 || fail_build(build, limited, log, error);
}

bool step_buildkit(struct build *build, GError **error)
{
    g_autofree char *image_id_file = workspace_path(build->workspace, "image-id");
    g_auto(GStrv) argv = make_argv(build, image_id_file);
    struct limited limited = {0};
    begin_limits(build, &limited);
    bool ok = run_client(build, &limited, argv, error);
    end_limits(&limited);
    if (!ok) {
        return false;
    }
    build->image_id = file_read(image_id_file, IMAGE_ID_LIMIT, NULL, error);
    if (build->image_id == NULL) {
        return false;
    }
    g_strstrip(build->image_id);
    return (g_str_has_prefix(build->image_id, "sha256:") && sha256_hex_is_valid(build->image_id + strlen("sha256:"))) ||
           sy_fail(error, SY_BUILD_FAILED, "the docker client told no image");
}
