/* Replies, frames, bodies and archives: pure. */
#include <string.h>

#include "base/error.h"
#include "contract/contract.h"
#include "engine/docker/create.h"
#include "engine/docker/frames.h"
#include "engine/docker/parse.h"
#include "engine/docker/tar.h"

/* --- frames ------------------------------------------------------------------------------------------------------------------------------ */

static void put_frame(GString *stream, int number, const char *text, size_t length)
{
    const char head[] = {(char)number,        0,           0, 0, (char)(length >> 24), (char)(length >> 16),
                         (char)(length >> 8), (char)length};
    g_string_append_len(stream, head, sizeof head);
    g_string_append_len(stream, text, (gssize)length);
}

static void put_entry(GString *stream, int number, const char *text)
{
    put_frame(stream, number, text, strlen(text));
}

static bool add_line(bool is_stderr, int64_t time_us, const char *line, size_t length, void *arg)
{
    g_string_append_printf(arg, "%s %" G_GINT64_FORMAT " ", is_stderr ? "err" : "out", time_us);
    if (length > 200) {
        g_string_append_printf(arg, "(%zu)", length);
    } else {
        g_string_append_len(arg, line, (gssize)length);
    }
    g_string_append_c(arg, '\n');
    return true;
}

static char *read_frames(const GString *stream, size_t piece, bool *ret_ok, GError **error)
{
    struct frames frames;
    GString *lines = g_string_new(NULL);
    frames_init(&frames, add_line, lines);
    *ret_ok = true;
    for (size_t at = 0; *ret_ok && at < stream->len; at += piece) {
        *ret_ok = frames_feed(&frames, stream->str + at, MIN(piece, stream->len - at), error);
    }
    *ret_ok = *ret_ok && frames_end(&frames, error);
    frames_done(&frames);
    return g_string_free(lines, FALSE);
}

/* However the bytes are cut. */
static void check_frames(const GString *stream, const char *expected)
{
    static const size_t pieces[] = {1, 2, 3, 7, 8, 9, 64, 4096, 1 << 20};
    for (size_t i = 0; i < G_N_ELEMENTS(pieces); i++) {
        bool ok = false;
        g_autoptr(GError) error = NULL;
        g_autofree char *lines = read_frames(stream, pieces[i], &ok, &error);
        g_assert_no_error(error);
        g_assert_true(ok);
        g_assert_cmpstr(lines, ==, expected);
    }
}

#define STAMP "2026-01-02T03:04:05.123456789Z "
#define LATER "2026-01-02T03:04:06.000000000Z "

static void frames_become_lines(void)
{
    g_autoptr(GString) stream = g_string_new(NULL);
    put_entry(stream, 1, STAMP "one\n");
    put_entry(stream, 2, LATER "two\n");
    put_entry(stream, 1, LATER "\n");
    put_entry(stream, 1, "");
    put_entry(stream, 1, "2026-01-02T05:04:06+02:00 local time\n"); /* as Podman writes them */
    check_frames(stream, "out 1767323045123456 one\nerr 1767323046000000 two\nout 1767323046000000 \n"
                         "out 1767323046000000 local time\n");
}

static void parts_of_a_line_are_joined_per_stream(void)
{
    g_autoptr(GString) stream = g_string_new(NULL);
    put_entry(stream, 1, STAMP "one ");
    put_entry(stream, 2, LATER "in between\n");
    put_entry(stream, 1, LATER "line\n");
    put_entry(stream, 2, LATER "never ended");
    check_frames(stream, "err 1767323046000000 in between\nout 1767323045123456 one line\n"
                         "err 1767323046000000 never ended\n");
}

static void an_entry_without_a_stamp_has_the_last_one(void)
{
    g_autoptr(GString) stream = g_string_new(NULL);
    put_entry(stream, 1, STAMP "one\ntwo\n");
    put_entry(stream, 1, "no stamp here\n");
    put_entry(stream, 1, "short\n");
    put_entry(stream, 1, "averylongwordwithoutanyblankatallinitwhichisnostamp\n");
    check_frames(stream, "out 1767323045123456 one\nout 1767323045123456 two\nout 1767323045123456 no stamp here\n"
                         "out 1767323045123456 short\n"
                         "out 1767323045123456 averylongwordwithoutanyblankatallinitwhichisnostamp\n");
}

static void long_lines_come_whole_up_to_a_bound(void)
{
    g_autoptr(GString) stream = g_string_new(NULL);
    g_autofree char *part = g_strnfill(16384, 'x');
    g_autofree char *entry = g_strconcat(STAMP, part, NULL);
    for (int i = 0; i < 9; i++) {
        put_entry(stream, 1, entry);
    }
    put_entry(stream, 1, STAMP "\n");
    for (int i = 0; i < 70; i++) { /* the bound is at 64 of them */
        put_entry(stream, 1, entry);
    }
    put_entry(stream, 1, STAMP "\n");
    put_entry(stream, 1, STAMP "next\n");
    check_frames(stream, "out 1767323045123456 (147456)\nout 1767323045123456 (1048576)\nout 1767323045123456 next\n");
}

static void the_engines_own_failure_is_told(void)
{
    g_autoptr(GString) stream = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    bool ok = true;
    put_entry(stream, 1, STAMP "one\n");
    put_entry(stream, 3, "Error grabbing logs: unexpected EOF\n");
    g_autofree char *lines = read_frames(stream, 5, &ok, &error);
    g_assert_false(ok);
    g_assert_error(error, SY_ERROR, SY_ENGINE_FAILED);
    g_assert_nonnull(strstr(error->message, "unexpected EOF"));
    g_assert_cmpstr(lines, ==, "out 1767323045123456 one\n");
}

static void what_is_no_frame_is_refused(void)
{
    static const char *const streams[] = {"plain text of a terminal\n", "\1\1\1\1\1\1\1\1", "\4\0\0\0\0\0\0\1",
                                          "\1\0\0\0\377\377\377\377"};
    for (size_t i = 0; i < G_N_ELEMENTS(streams); i++) {
        bool ok = true;
        g_autoptr(GString) stream = g_string_new_len(streams[i], 8);
        g_autoptr(GError) error = NULL;
        g_autofree char *lines = read_frames(stream, 3, &ok, &error);
        g_assert_false(ok);
        g_assert_error(error, SY_ERROR, SY_ENGINE_FAILED);
        g_assert_cmpstr(lines, ==, "");
    }
}

/* --- replies --------------------------------------------------------------------------------------------------------------------------------- */

static void containers_of_others_are_left_out(void)
{
    const char *text = "[{\"Id\":\"1\",\"Names\":[\"/a\"],\"State\":\"running\",\"Created\":1700000000,\"Labels\":"
                       "{\"dev.enclii.installation\":\"me\",\"dev.enclii.instance\":\"i\"},\"NetworkSettings\":"
                       "{\"Networks\":{\"n\":{\"IPAddress\":\"10.0.0.7\"}}}},"
                       "{\"Id\":\"2\",\"Labels\":{\"dev.enclii.installation\":\"me2\",\"dev.enclii.instance\":\"i\"}},"
                       "{\"Id\":\"3\",\"Labels\":{\"dev.enclii.installation\":\"me\"}},"
                       "{\"Id\":\"4\",\"Labels\":null},{\"Id\":5},7,null]";
    g_autoptr(GPtrArray) instances = NULL;
    g_autoptr(GError) error = NULL;
    g_assert_true(parse_instances(text, strlen(text), "me", &instances, &error));
    g_assert_cmpuint(instances->len, ==, 1);
    const struct engine_instance *instance = g_ptr_array_index(instances, 0);
    g_assert_cmpstr(instance->name, ==, "a");
    g_assert_cmpstr(instance->address, ==, "10.0.0.7");
    g_assert_cmpint(instance->state, ==, ENGINE_RUNNING);
    g_assert_cmpint(instance->exit_code, ==, -1);
    g_assert_cmpint(instance->created_us, ==, INT64_C(1700000000000000));
    g_assert_cmpstr(instance->pair, ==, "");
}

static int exit_code_of(const char *status, int code)
{
    g_autofree char *text =
        g_strdup_printf("{\"Id\":\"1\",\"State\":{\"Status\":\"%s\",\"ExitCode\":%d}}", status, code);
    struct engine_instance *instance = NULL;
    g_autoptr(GError) error = NULL;
    g_assert_true(parse_instance(text, strlen(text), &instance, &error));
    int exit_code = instance->exit_code;
    engine_instance_free(instance);
    return exit_code;
}

static void only_what_has_ended_has_an_exit_code(void)
{
    g_assert_cmpint(exit_code_of("created", 0), ==, -1);
    g_assert_cmpint(exit_code_of("created", 127), ==, 127); /* its start failed */
    g_assert_cmpint(exit_code_of("running", 0), ==, -1);
    g_assert_cmpint(exit_code_of("exited", 0), ==, 0);
    g_assert_cmpint(exit_code_of("stopped", 9), ==, 9);
    g_assert_cmpint(exit_code_of("restarting", 3), ==, 3);
    g_assert_cmpint(exit_code_of("dead", 137), ==, 137);
}

static void reason_why_it_was_not_started_is_kept(void)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"{\"Id\":\"1\",\"State\":{\"Status\":\"created\",\"Error\":\"no such\\nnetwork\"}}", "no such network"},
        {"{\"Id\":\"1\",\"State\":{\"Status\":\"running\",\"Error\":\"\"}}", NULL},
        {"{\"Id\":\"1\",\"State\":{\"Status\":\"running\"}}", NULL}};
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct engine_instance *instance = NULL;
        g_autoptr(GError) error = NULL;
        g_assert_true(parse_instance(cases[i].text, strlen(cases[i].text), &instance, &error));
        g_assert_cmpstr(instance->start_error, ==, cases[i].expected);
        engine_instance_free(instance);
    }
}

static void lowest_tcp_port_counts(void)
{
    const char *text = "{\"Id\":\"x\",\"Config\":{\"ExposedPorts\":{\"9000/tcp\":{},\"53/udp\":{},\"8080\":{},"
                       "\"0/tcp\":{},\"70000/tcp\":{},\"80x/tcp\":{}},\"Cmd\":null,\"Labels\":{\"a\":\"b\",\"c\":1}}}";
    struct engine_image *image = NULL;
    g_autoptr(GError) error = NULL;
    g_assert_true(parse_image(text, strlen(text), &image, &error));
    g_assert_cmpint(image->exposed_port, ==, 8080);
    g_assert_cmpuint(g_strv_length(image->command), ==, 0);
    g_assert_cmpstr(string_map_get(image->labels, "a"), ==, "b");
    g_assert_cmpuint(image->labels->len, ==, 1);
    engine_image_free(image);
}

static void tags_are_found_by_prefix_or_label(void)
{
    const char *text =
        "[{\"RepoTags\":[\"enclii/me/p/s:v1\",\"other:v1\"]},{\"RepoTags\":[\"localhost/enclii/me/p/s:v2\"]},"
        "{\"RepoTags\":[\"docker.io/enclii/me/p/s:v3\"]},{\"RepoTags\":null},{\"RepoTags\":[\"enclii/me2/p/s:v1\"]},"
        "{\"RepoTags\":[\"base:1\",\"<none>:<none>\"],\"Labels\":{\"dev.enclii.installation\":\"me\"}}]";
    g_autoptr(GPtrArray) tags = NULL;
    g_autoptr(GError) error = NULL;
    g_assert_true(parse_image_tags(text, strlen(text), "me", "enclii/me/", &tags, &error));
    g_ptr_array_add(tags, NULL);
    g_autofree char *joined = g_strjoinv(" ", (char **)tags->pdata);
    g_assert_cmpstr(joined, ==, "enclii/me/p/s:v1 enclii/me/p/s:v2 enclii/me/p/s:v3 base:1");
}

static void every_subnet_is_told_and_only_our_networks(void)
{
    const char *text = "[{\"Name\":\"bridge\",\"IPAM\":{\"Config\":[{\"Subnet\":\"172.17.0.0/16\"}]}},"
                       "{\"Name\":\"host\",\"IPAM\":{\"Config\":null}},"
                       "{\"Name\":\"ours\",\"Labels\":{\"dev.enclii.installation\":\"me\"},\"IPAM\":{\"Config\":"
                       "[{\"Subnet\":\"10.1.0.0/24\"},{\"Subnet\":\"fd00::/64\"}]}}]";
    g_autoptr(GPtrArray) names = NULL;
    g_autoptr(GPtrArray) subnets = NULL;
    g_autoptr(GError) error = NULL;
    g_assert_true(parse_networks(text, strlen(text), "me", &names, &subnets, &error));
    g_assert_cmpuint(names->len, ==, 1);
    g_assert_cmpstr(g_ptr_array_index(names, 0), ==, "ours");
    g_assert_cmpuint(subnets->len, ==, 3);
}

static void words_are_one_bounded_line(void)
{
    g_autofree char *long_text = g_strnfill(5000, 'x');
    g_autofree char *plain = parse_words("page\tnot found\n", 15);
    g_autofree char *json = parse_words("{\"message\":\"a\\nb\"}", 18);
    g_autofree char *none = parse_words("", 0);
    g_autofree char *bounded = parse_words(long_text, 5000);
    g_autofree char *broken = parse_words("\xff\xfe", 2);
    g_assert_cmpstr(plain, ==, "page not found");
    g_assert_cmpstr(json, ==, "a b");
    g_assert_cmpstr(none, ==, "it gave no reason");
    g_assert_cmpuint(strlen(bounded), ==, 1000);
    g_assert_true(g_utf8_validate(broken, -1, NULL));
}

/* --- bodies ------------------------------------------------------------------------------------------------------------------------------------ */

static struct engine_instance_spec small_spec(const char *const *labels, const char *const *env)
{
    static const char *const none[] = {NULL};
    return (struct engine_instance_spec){.name = "n",
                                         .image = "i",
                                         .labels = labels,
                                         .env = env,
                                         .network = "net",
                                         .aliases = none,
                                         .add_capabilities = none,
                                         .pids = 10,
                                         .user = -1,
                                         .group = -1};
}

static char *body_of(const struct engine_instance_spec *spec)
{
    const struct create_facts facts = {.installation = "me", .open_files = 100};
    g_autoptr(GError) error = NULL;
    GString *body = create_body(spec, &facts, &error);
    g_assert_no_error(error);
    json_t *json = json_parse(body->str, body->len, &error);
    g_assert_no_error(error);
    json_decref(json);
    return g_string_free(body, FALSE);
}

static void the_owner_is_not_for_the_caller_to_choose(void)
{
    const char *const env[] = {NULL};
    const char *const labels[] = {ENGINE_LABEL_INSTALLATION "=somebody", "x=a=b", "bare", NULL};
    struct engine_instance_spec spec = small_spec(labels, env);
    g_autofree char *body = body_of(&spec);
    g_assert_null(strstr(body, "somebody"));
    g_assert_nonnull(strstr(body, "\"" ENGINE_LABEL_INSTALLATION "\":\"me\""));
    g_assert_nonnull(strstr(body, "\"" ENGINE_LABEL_INSTANCE "\":\"n\""));
    g_assert_nonnull(strstr(body, "\"x\":\"a=b\""));
}

static void without_limits_nothing_is_limited_but_processes(void)
{
    const char *const none[] = {NULL};
    struct engine_instance_spec spec = small_spec(none, none);
    g_autofree char *body = body_of(&spec);
    static const char *const absent[] = {"\"Memory\"", "\"NanoCpus\"", "\"User\"",   "\"Cmd\"",
                                         "\"Init\"",   "max-size",     "IPv4Address"};
    for (size_t i = 0; i < G_N_ELEMENTS(absent); i++) {
        g_assert_null(strstr(body, absent[i]));
    }
    g_assert_nonnull(strstr(body, "\"ReadonlyRootfs\":true"));
    g_assert_nonnull(strstr(body, "\"PidsLimit\":10"));
    g_assert_nonnull(strstr(body, "\"CapDrop\":[\"ALL\"]"));
    g_assert_nonnull(strstr(body, "\"no-new-privileges\""));
}

static void a_broken_variable_is_refused_without_its_value(void)
{
    static const char *const broken[] = {"=hunter2", "hunter2"};
    const char *const none[] = {NULL};
    for (size_t i = 0; i < G_N_ELEMENTS(broken); i++) {
        const char *const env[] = {broken[i], NULL};
        const struct create_facts facts = {.installation = "me", .open_files = 100};
        struct engine_instance_spec spec = small_spec(none, env);
        g_autoptr(GError) error = NULL;
        g_assert_null(create_body(&spec, &facts, &error));
        g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
        g_assert_null(strstr(error->message, "hunter2"));
    }
}

static void a_volume_at_tmp_takes_its_place(void)
{
    const char *const none[] = {NULL};
    struct engine_mount mount = {.volume = (char *)"v", .path = (char *)"/tmp"};
    struct engine_instance_spec spec = small_spec(none, none);
    g_autofree char *without = body_of(&spec);
    spec.mounts = &mount;
    spec.n_mounts = 1;
    g_autofree char *with = body_of(&spec);
    g_assert_nonnull(strstr(without, "\"Tmpfs\""));
    g_assert_null(strstr(with, "\"Tmpfs\""));
    g_assert_nonnull(strstr(with, "\"Target\":\"/tmp\""));
}

static void a_folder_in_an_archive_is_read_back(void)
{
    int64_t user = -1;
    unsigned mode = 0;
    GString *tar = tar_folder("data", 65532, 7, 0750);
    g_assert_nonnull(tar);
    g_assert_cmpuint(tar->len, ==, 3 * TAR_BLOCK);
    g_assert_true(tar_first_owner(tar->str, tar->len, &user, &mode));
    g_assert_cmpint(user, ==, 65532);
    g_assert_cmpuint(mode, ==, 0750);
    g_assert_false(tar_first_owner(tar->str, TAR_BLOCK - 1, &user, &mode));
    g_string_free(tar, TRUE);
    g_autofree char *long_name = g_strnfill(99, 'x');
    g_assert_null(tar_folder(long_name, 1, 1, 0755));
    g_assert_null(tar_folder("data", INT64_C(1) << 40, 1, 0755));
}

static void build_cache_is_summed_whoever_made_it(void)
{
    static const char text[] =
        "{\"LayersSize\":5,\"BuildCache\":[{\"ID\":\"a\",\"Size\":1000},{\"ID\":\"b\",\"Size\":24}]}";
    int64_t bytes = -1;
    g_assert_true(parse_build_cache(text, strlen(text), &bytes, NULL));
    g_assert_cmpint(bytes, ==, 1024);
    g_assert_true(parse_build_cache("{\"BuildCache\":null}", 19, &bytes, NULL));
    g_assert_cmpint(bytes, ==, 0);
    g_assert_false(parse_build_cache("[]", 2, &bytes, NULL));
}

static void routes_of_the_machine_are_taken_but_for_wide_ones(void)
{
    static const char text[] = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
                               "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
                               "br-1\t0006C90A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
                               "tun0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n"
                               "tun1\t0000CA0A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
                               "cut\t0000";
    g_autoptr(GPtrArray) subnets = g_ptr_array_new_with_free_func(g_free);
    parse_routes(text, subnets);
    g_assert_cmpuint(subnets->len, ==, 2);
    g_assert_cmpstr(g_ptr_array_index(subnets, 0), ==, "10.201.6.0/24");
    g_assert_cmpstr(g_ptr_array_index(subnets, 1), ==, "10.202.0.0/16");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/parse/routes_of_the_machine_are_taken_but_for_wide_ones",
                    routes_of_the_machine_are_taken_but_for_wide_ones);
    g_test_add_func("/parse/frames_become_lines", frames_become_lines);
    g_test_add_func("/parse/parts_of_a_line_are_joined_per_stream", parts_of_a_line_are_joined_per_stream);
    g_test_add_func("/parse/an_entry_without_a_stamp_has_the_last_one", an_entry_without_a_stamp_has_the_last_one);
    g_test_add_func("/parse/long_lines_come_whole_up_to_a_bound", long_lines_come_whole_up_to_a_bound);
    g_test_add_func("/parse/the_engines_own_failure_is_told", the_engines_own_failure_is_told);
    g_test_add_func("/parse/what_is_no_frame_is_refused", what_is_no_frame_is_refused);
    g_test_add_func("/parse/containers_of_others_are_left_out", containers_of_others_are_left_out);
    g_test_add_func("/parse/only_what_has_ended_has_an_exit_code", only_what_has_ended_has_an_exit_code);
    g_test_add_func("/parse/reason_why_it_was_not_started_is_kept", reason_why_it_was_not_started_is_kept);
    g_test_add_func("/parse/lowest_tcp_port_counts", lowest_tcp_port_counts);
    g_test_add_func("/parse/tags_are_found_by_prefix_or_label", tags_are_found_by_prefix_or_label);
    g_test_add_func("/parse/every_subnet_is_told_and_only_our_networks", every_subnet_is_told_and_only_our_networks);
    g_test_add_func("/parse/build_cache_is_summed_whoever_made_it", build_cache_is_summed_whoever_made_it);
    g_test_add_func("/parse/words_are_one_bounded_line", words_are_one_bounded_line);
    g_test_add_func("/parse/the_owner_is_not_for_the_caller_to_choose", the_owner_is_not_for_the_caller_to_choose);
    g_test_add_func("/parse/without_limits_nothing_is_limited_but_processes",
                    without_limits_nothing_is_limited_but_processes);
    g_test_add_func("/parse/a_broken_variable_is_refused_without_its_value",
                    a_broken_variable_is_refused_without_its_value);
    g_test_add_func("/parse/a_volume_at_tmp_takes_its_place", a_volume_at_tmp_takes_its_place);
    g_test_add_func("/parse/a_folder_in_an_archive_is_read_back", a_folder_in_an_archive_is_read_back);
    return g_test_run();
}
