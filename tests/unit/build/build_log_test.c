/* What BuildKit prints, as people read it; and the verdict on a failure. The texts are real ones. */
#include <glib.h>
#include <string.h>

#include "build/build_log.h"

struct seen {
    GString *text;
    struct build_log *log;
};

static void on_line(const char *line, size_t length, void *arg)
{
    g_string_append_len(arg, line, (gssize)length);
    g_string_append_c(arg, '\n');
}

static void begin(struct seen *seen, const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    seen->text = g_string_new(NULL);
    seen->log = build_log_new(on_line, seen->text);
    for (char **line = lines; *line != NULL; line++) {
        build_log_take(*line, strlen(*line), seen->log);
    }
}

static void end(struct seen *seen)
{
    build_log_free(seen->log);
    g_string_free(seen->text, TRUE);
}

#define DIGEST "sha256:1e85ed4f184b6a148f6fb0eed460b9eaac81906e89313589952a9f1772c30351"

static const char failed[] = "#1 [internal] load build definition from Dockerfile\n"
                             "#1 " DIGEST "\n"
                             "#1 transferring dockerfile: 114B done\n"
                             "#1 DONE 0.0s\n"
                             "\n"
                             "#4 [1/3] COPY step /step\n"
                             "#4 " DIGEST "\n"
                             "#4 CACHED\n"
                             "\n"
                             "#5 [2/3] RUN make\n"
                             "#5 " DIGEST "\n"
                             "#5 0.232 cc -c a.c\n"
                             "#5 1.232 \033[31ma.c:3: error: no such thing\033[0m\n"
                             "#5 ERROR: executor failed running [/bin/sh -c make]: exit code: 2\n"
                             "------\n"
                             " > [2/3] RUN make:\n"
                             "#5 0.232 cc -c a.c\n"
                             "------\n"
                             "executor failed running [/bin/sh -c make]: exit code: 2\n";

static void bookkeeping_is_left_out(void)
{
    struct seen seen;
    begin(&seen,
          "#1 [internal] load build definition from Dockerfile\n#1 " DIGEST "\n#1 transferring dockerfile: 114B done\n"
          "#1 DONE 0.0s\n\n#2 [1/2] COPY . .\n#2 " DIGEST "\n#2 DONE 0.0s\n#3 exporting to image\n"
          "#3 writing image " DIGEST " done\n#3 DONE 0.0s");
    g_assert_cmpstr(seen.text->str, ==, "[1/2] COPY . .\n");
    end(&seen);
}

static void step_is_named_whenever_it_speaks_again(void)
{
    struct seen seen;
    begin(&seen, "#5 [a 1/1] RUN one\n#6 [b 1/1] RUN two\n#5 0.1 first\n#5 0.2 second\n#5 ...\n\n#6 [b 1/1] RUN two\n"
                 "#6 0.3 third\n#6 DONE 1.5s\n#5 0.4 fourth");
    g_assert_cmpstr(seen.text->str, ==,
                    "[a 1/1] RUN one\n[b 1/1] RUN two\n[a 1/1] RUN one\n  first\n  second\n[b 1/1] RUN two\n  third\n"
                    "  done in 1.5s\n[a 1/1] RUN one\n  fourth\n");
    end(&seen);
}

static void failure_names_step_exit_code_and_last_lines(void)
{
    struct seen seen;
    g_auto(build_verdict_t) verdict = {0};
    begin(&seen, failed);
    build_log_verdict(seen.log, &verdict);
    g_assert_cmpstr(verdict.step, ==, "RUN make");
    g_assert_cmpstr(verdict.reason, ==, "exit code 2");
    g_assert_cmpint(verdict.exit_code, ==, 2);
    g_assert_cmpstr(verdict.lines, ==, "\n  cc -c a.c\n  a.c:3: error: no such thing");
    g_assert_false(verdict.tells_out_of_memory);
    end(&seen);
}

static void repeated_block_and_escape_sequences_are_left_out(void)
{
    struct seen seen;
    begin(&seen, failed);
    g_assert_cmpstr(seen.text->str, ==,
                    "[1/3] COPY step /step\n  unchanged\n[2/3] RUN make\n  cc -c a.c\n  a.c:3: error: no such thing\n"
                    "  executor failed running [/bin/sh -c make]: exit code: 2\n"
                    "executor failed running [/bin/sh -c make]: exit code: 2\n");
    end(&seen);
}

static void newer_clients_words_are_understood_too(void)
{
    struct seen seen;
    g_auto(build_verdict_t) verdict = {0};
    begin(&seen, "#6 [2/2] RUN exit 3\n#6 0.2 so it goes\n"
                 "#6 ERROR: process \"/bin/sh -c exit 3\" did not complete successfully: exit code: 3\n------\n"
                 " > [2/2] RUN exit 3:\n0.2 so it goes\n------\nDockerfile:2\n--------------------\n   1 |     FROM x\n"
                 "   2 | >>> RUN exit 3\n--------------------\n"
                 "ERROR: failed to solve: process \"/bin/sh -c exit 3\" did not complete successfully: exit code: 3");
    build_log_verdict(seen.log, &verdict);
    g_assert_cmpstr(verdict.step, ==, "RUN exit 3");
    g_assert_cmpint(verdict.exit_code, ==, 3);
    g_assert_cmpstr(verdict.lines, ==, "\n  so it goes");
    g_assert_null(strstr(seen.text->str, "FROM x"));
    end(&seen);
}

static void failure_before_any_step_has_buildkits_words(void)
{
    struct seen seen;
    g_auto(build_verdict_t) verdict = {0};
    begin(
        &seen,
        "#1 [internal] load build definition from Dockerfile\n#1 DONE 0.0s\n"
        "failed to solve with frontend dockerfile.v0: failed to create LLB definition: dockerfile parse error line 1: "
        "unknown instruction: FORM");
    build_log_verdict(seen.log, &verdict);
    g_assert_null(verdict.step);
    g_assert_cmpstr(verdict.reason, ==, "dockerfile parse error line 1: unknown instruction: FORM");
    end(&seen);
}

static void lack_of_memory_is_told_from_other_deaths(void)
{
    static const char *const yes[] = {"Killed",
                                      "/bin/sh: line 1:     7 Killed                  ./big | cat",
                                      "go build x: signal: killed",
                                      "cc1: fatal error: Killed signal terminated program cc1plus",
                                      "fork: Cannot allocate memory",
                                      "FATAL ERROR: Reached heap limit - JavaScript heap out of memory",
                                      "MemoryError",
                                      "terminate called after throwing an instance of 'std::bad_alloc'",
                                      NULL};
    static const char *const no[] = {"killed 3 mutants", "Killed by tests: 4", "error: no such thing", "", NULL};
    for (size_t i = 0; yes[i] != NULL; i++) {
        g_assert_cmpint(tells_out_of_memory(yes[i]), ==, true);
    }
    for (size_t i = 0; no[i] != NULL; i++) {
        g_assert_cmpint(tells_out_of_memory(no[i]), ==, false);
    }
}

static void step_killed_and_full_disk_are_recognised(void)
{
    struct seen seen;
    g_auto(build_verdict_t) killed = {0};
    g_auto(build_verdict_t) full = {0};
    begin(&seen, "#6 [2/2] RUN x\n#6 ERROR: executor failed running [/bin/sh -c x]: exit code: 137");
    build_log_verdict(seen.log, &killed);
    g_assert_true(killed.tells_out_of_memory);
    end(&seen);
    begin(&seen, "#6 [2/2] RUN x\n#6 0.1 cp: write error: No space left on device\n"
                 "#6 ERROR: executor failed running [/bin/sh -c x]: exit code: 1");
    build_log_verdict(seen.log, &full);
    g_assert_true(full.tells_disk_full);
    g_assert_false(full.tells_out_of_memory);
    end(&seen);
}

/* A program in the build may talk like the docker client: only the client's own last words count. */
static void engine_gone_is_believed_only_outside_steps(void)
{
    struct seen seen;
    g_auto(build_verdict_t) inside = {0};
    g_auto(build_verdict_t) outside = {0};
    begin(&seen, "#6 [2/2] RUN x\n#6 0.1 rpc: transport is closing\n#6 ERROR: exit code: 1\nexit code: 1");
    build_log_verdict(seen.log, &inside);
    g_assert_false(inside.tells_engine_gone);
    end(&seen);
    begin(&seen, "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?");
    build_log_verdict(seen.log, &outside);
    g_assert_true(outside.tells_engine_gone);
    end(&seen);
}

static void only_the_last_lines_of_a_step_are_kept(void)
{
    struct seen seen;
    g_auto(build_verdict_t) verdict = {0};
    g_autoptr(GString) text = g_string_new("#6 [2/2] RUN x\n");
    for (int i = 0; i < 10000; i++) {
        g_string_append_printf(text, "#6 0.1 line %d %0500d\n", i, 0);
    }
    g_string_append(text, "#6 ERROR: exit code: 1");
    begin(&seen, text->str);
    build_log_verdict(seen.log, &verdict);
    g_assert_cmpuint(strlen(verdict.lines), <, 6000);
    g_assert_nonnull(strstr(verdict.lines, "line 9999"));
    g_assert_null(strstr(verdict.lines, "line 9900"));
    end(&seen);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/build_log/bookkeeping_is_left_out", bookkeeping_is_left_out);
    g_test_add_func("/build_log/step_is_named_whenever_it_speaks_again", step_is_named_whenever_it_speaks_again);
    g_test_add_func("/build_log/failure_names_step_exit_code_and_last_lines",
                    failure_names_step_exit_code_and_last_lines);
    g_test_add_func("/build_log/repeated_block_and_escape_sequences_are_left_out",
                    repeated_block_and_escape_sequences_are_left_out);
    g_test_add_func("/build_log/newer_clients_words_are_understood_too", newer_clients_words_are_understood_too);
    g_test_add_func("/build_log/failure_before_any_step_has_buildkits_words",
                    failure_before_any_step_has_buildkits_words);
    g_test_add_func("/build_log/lack_of_memory_is_told_from_other_deaths", lack_of_memory_is_told_from_other_deaths);
    g_test_add_func("/build_log/step_killed_and_full_disk_are_recognised", step_killed_and_full_disk_are_recognised);
    g_test_add_func("/build_log/engine_gone_is_believed_only_outside_steps",
                    engine_gone_is_believed_only_outside_steps);
    g_test_add_func("/build_log/only_the_last_lines_of_a_step_are_kept", only_the_last_lines_of_a_step_are_kept);
    return g_test_run();
}
