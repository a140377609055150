/* Git: which URLs, refs and addresses are taken, and fetching from real repositories. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "build/address.h"
#include "build/git_url.h"
#include "build/source.h"

static void good_urls_are_taken(void)
{
    static const struct {
        const char *url;
        const char *host;
        int port;
    } urls[] = {
        {"https://github.com/a/b", "github.com", 443},
        {"https://github.com/a/b.git", "github.com", 443},
        {"HTTPS://Example.COM:8443/~me/x%20y.git", "Example.COM", 8443},
        {"https://8.8.8.8/x", "8.8.8.8", 443},
        {"https://[2606:4700::1111]:444/x", "[2606:4700::1111]", 444},
        {"https://a1.example/x", "a1.example", 443},
        {"ssh://git@example.com/x.git", "example.com", 22},
        {"ssh://git@example.com:2222/x.git", "example.com", 2222},
        {"ssh://example.com/x", "example.com", 22},
        {"git@github.com:a/b.git", "github.com", 22},
        {"git@[2606:4700::1111]:a/b", "[2606:4700::1111]", 22},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(urls); i++) {
        g_auto(git_url_t) url = {0};
        g_autoptr(GError) error = NULL;
        g_test_message("%s", urls[i].url);
        bool ok = git_url_parse(urls[i].url, 0, &url, &error);
        g_assert_no_error(error);
        g_assert_true(ok);
        g_assert_cmpstr(url.host, ==, urls[i].host);
        g_assert_cmpint(url.port, ==, urls[i].port);
    }
}

static void bad_urls_are_refused(void)
{
    static const char *const urls[] = {
        "",
        "-",
        "--upload-pack=touch x",
        "-oProxyCommand=x",
        "github.com/a/b",
        "/etc",
        "./x",
        "a",
        "a:b",
        "host:path",
        "http://github.com/a/b",
        "git://github.com/a/b",
        "ftp://x.example/a",
        "file:///etc",
        "file://host/etc",
        "ext::ping -c1 x",
        "ext::x",
        "fd::17",
        "transport::address",
        "remote-http::https://a.example/b",
        "ssh+git://a.example/x",
        "git+ssh://a.example/x",
        "data:text/plain,x",
        "javascript:alert(1)",
        /* credentials */
        "https://user:password@example.com/x",
        "https://token@example.com/x",
        "https://:@example.com/x",
        "https://@example.com/x",
        "ssh://git:secret@example.com/x",
        "ssh://-oProxyCommand=x@example.com/x",
        "-x@example.com:a",
        "git:x@example.com:a",
        /* hosts */
        "https:///x",
        "https://",
        "https://-x/y",
        "ssh://-oProxyCommand=x/y",
        "git@-oProxyCommand=x:y",
        "https://exa mple.com/x",
        "https://example.com\\@evil.example/x",
        "https://example..com/x",
        "https://.example/x",
        "https://ex%61mple.com/x",
        "https://[::1/x",
        "https://[fe80::1%25eth0]/x",
        "https://[x]/y",
        "https://1.2.3.4.5/x",
        "https://256.1.1.1/x",
        "https://0x7f.0.0.0x1ff/x",
        "https://a.0x/x",
        "https://example.com:0/x",
        "https://example.com:65536/x",
        "https://example.com:/x",
        "https://example.com:+443/x",
        "https://example.com:22 /x",
        "https://\xC3\xA4.example/x",
        /* paths */
        "https://example.com",
        "https://example.com/",
        "https://example.com//",
        "git@example.com:",
        "git@example.com:-x",
        "https://example.com/a b",
        "https://example.com/a\nb",
        "https://example.com/a%0ab",
        "https://example.com/a%00",
        "https://example.com/a%7f",
        "https://example.com/a%",
        "https://example.com/a%zz",
        "https://example.com/a;b",
        "https://example.com/a`b`",
        "https://example.com/$(x)",
        "https://example.com/a#b",
        "https://example.com/a?b",
        "https://example.com/a'b",
        "https://example.com/a\x7f",
        "https://example.com/\xC3\xA4",
        /* loopback, link-local, private, reserved: in every spelling */
        "https://localhost/x",
        "https://LOCALHOST/x",
        "https://localhost./x",
        "https://a.localhost/x",
        "git@localhost:x",
        "ssh://localhost/x",
        "https://127.0.0.1/x",
        "https://127.0.0.1./x",
        "https://127.1/x",
        "https://127.0.1/x",
        "https://2130706433/x",
        "https://0x7f000001/x",
        "https://0X7F.1/x",
        "https://0x7f.0x0.0x0.0x1/x",
        "https://0177.0.0.1/x",
        "https://017700000001/x",
        "https://0177.0x0.1/x",
        "https://0/x",
        "https://0.0.0.0/x",
        "https://10.0.0.1/x",
        "https://10.1/x",
        "https://012.0.0.1/x",
        "https://100.64.0.1/x",
        "https://169.254.169.254/x",
        "https://2852039166/x",
        "https://0xa9fea9fe/x",
        "https://172.16.0.1/x",
        "https://172.31.255.255/x",
        "https://192.168.0.1/x",
        "https://192.0.0.1/x",
        "https://192.0.2.1/x",
        "https://198.18.0.1/x",
        "https://198.51.100.1/x",
        "https://203.0.113.1/x",
        "https://224.0.0.1/x",
        "https://240.0.0.1/x",
        "https://255.255.255.255/x",
        "https://[::1]/x",
        "https://[::]/x",
        "https://[0:0:0:0:0:0:0:1]/x",
        "https://[::ffff:127.0.0.1]/x",
        "https://[::ffff:7f00:1]/x",
        "https://[::ffff:10.0.0.1]/x",
        "https://[::127.0.0.1]/x",
        "https://[64:ff9b::10.0.0.1]/x",
        "https://[64:ff9b:1::1]/x",
        "https://[2002:7f00:1::]/x",
        "https://[2001:0:1::]/x",
        "https://[2001:db8::1]/x",
        "https://[fe80::1]/x",
        "https://[fc00::1]/x",
        "https://[fd12::1]/x",
        "https://[ff02::1]/x",
        "https://[3fff::1]/x",
        "git@127.0.0.1:x",
        "git@[::1]:x",
        "ssh://git@0x7f.1/x",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(urls); i++) {
        g_autoptr(GError) error = NULL;
        if (source_check_git_url(urls[i], 0, &error)) {
            g_test_message("“%s” was taken", urls[i]);
            g_test_fail();
        } else {
            g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
        }
    }
    g_autofree char *name = g_strnfill(3000, 'a');
    g_autofree char *url = g_strconcat("https://example.com/", name, NULL);
    g_assert_false(source_check_git_url(url, 0, NULL));
}

static void flags_allow_what_they_say(void)
{
    g_assert_true(source_check_git_url("https://10.0.0.1/x", SOURCE_GIT_ALLOW_PRIVATE, NULL));
    g_assert_true(source_check_git_url("git@localhost:x", SOURCE_GIT_ALLOW_PRIVATE, NULL));
    g_assert_false(source_check_git_url("https://a:b@10.0.0.1/x", SOURCE_GIT_ALLOW_PRIVATE, NULL));
    g_assert_false(source_check_git_url("file:///x", SOURCE_GIT_ALLOW_PRIVATE, NULL));
    g_assert_true(source_check_git_url("file:///x", SOURCE_GIT_ALLOW_FILE, NULL));
    g_assert_false(source_check_git_url("http://10.0.0.1/x", SOURCE_GIT_ALLOW_PRIVATE | SOURCE_GIT_ALLOW_FILE, NULL));
}

static void messages_never_hold_credentials(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(source_check_git_url("https://me:hunter2@example.com/x", 0, &error));
    g_assert_null(strstr(error->message, "hunter2"));
    g_assert_null(strstr(sy_error_hint(error), "hunter2"));
}

static void edges_of_special_blocks_are_right(void)
{
    static const struct {
        const char *text;
        bool is_public;
    } cases[] = {
        {"9.255.255.255", true},    {"10.0.0.0", false},        {"10.255.255.255", false},  {"11.0.0.0", true},
        {"100.63.255.255", true},   {"100.64.0.0", false},      {"100.127.255.255", false}, {"100.128.0.0", true},
        {"172.15.255.255", true},   {"172.16.0.0", false},      {"172.32.0.0", true},       {"198.17.255.255", true},
        {"198.19.255.255", false},  {"198.20.0.0", true},       {"223.255.255.255", true},  {"224.0.0.0", false},
        {"2000::1", true},          {"2001:1ff:ffff::", false}, {"2001:200::", true},       {"2001:db7::", true},
        {"2001:db8:ffff::", false}, {"2001:db9::", true},       {"2002:808:808::", true},   {"2002:a00:1::", false},
        {"3ffe::1", true},          {"3fff:fff::", false},      {"3fff:1000::", true},      {"4000::", false},
        {"64:ff9b::808:808", true}, {"::ffff:8.8.8.8", true}};
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct sockaddr_in in = {.sin_family = AF_INET};
        struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
        bool is_four = inet_pton(AF_INET, cases[i].text, &in.sin_addr) == 1;
        g_assert_true(is_four || inet_pton(AF_INET6, cases[i].text, &in6.sin6_addr) == 1);
        g_test_message("%s", cases[i].text);
        g_assert_cmpint(address_is_public(is_four ? (struct sockaddr *)&in : (struct sockaddr *)&in6), ==,
                        cases[i].is_public);
    }
}

static void refs_follow_gits_rules(void)
{
    static const char *const good[] = {"main",
                                       "HEAD",
                                       "v1.2.3",
                                       "feature/x",
                                       "refs/heads/main",
                                       "a@b",
                                       "deadbeef",
                                       "grün",
                                       "0123456789abcdef0123456789abcdef01234567",
                                       "a.b",
                                       "a-b",
                                       "{x}"};
    static const char *const bad[] = {"",      "-x",     "--upload-pack=x",
                                      "/a",    "a/",     "a//b",
                                      "a..b",  "a b",    "a\tb",
                                      "a\nb",  "a~1",    "a^{}",
                                      "a:b",   "a?",     "a*",
                                      "a[",    "a\\b",   "@",
                                      "a@{1}", ".a",     "a/.b",
                                      "a.",    "a.lock", "a.lock/b",
                                      "\x7f",  "\xff",   "+a:b"};
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        g_test_message("%s", good[i]);
        g_assert_true(source_check_git_ref(good[i], NULL));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_test_message("bad %zu", i);
        g_assert_false(source_check_git_ref(bad[i], &error));
        g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
    }
}

/* --- real repositories ------------------------------------------------------------------------------------------------------ */

struct repository {
    char *folder; /* holds work/ (the repository) and clone/ (where it is fetched to) */
    char *work;
    char *clone;
    char *url;
    GString *lines;
};

/* git with our words in the repository; its output without the newline. */
static char *run_git(const struct repository *repository, const char *const *words)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autoptr(GError) error = NULL;
    g_auto(process_result_t) result = {0};
    static const char *const start[] = {"env",
                                        "GIT_CONFIG_GLOBAL=/dev/null",
                                        "GIT_CONFIG_NOSYSTEM=1",
                                        "git",
                                        "-c",
                                        "user.name=t",
                                        "-c",
                                        "user.email=t@example.com",
                                        "-c",
                                        "init.defaultBranch=main",
                                        "-c",
                                        "tag.gpgSign=false"};
    for (size_t i = 0; i < G_N_ELEMENTS(start); i++) {
        g_ptr_array_add(argv, (char *)start[i]);
    }
    for (; *words != NULL; words++) {
        g_ptr_array_add(argv, (char *)*words);
    }
    g_ptr_array_add(argv, NULL);
    const struct process_spec spec = {.argv = (const char *const *)argv->pdata,
                                      .cwd = repository->work,
                                      .stdin_fd = -1,
                                      .capture_bytes = 1000,
                                      .timeout_ms = 30000};
    g_assert_true(process_run(&spec, &result, &error));
    g_assert_cmpstr(result.exit_status == 0 ? "" : result.last_lines, ==, "");
    return g_strchomp(g_steal_pointer(&result.output));
}

#define GIT(repository, ...) g_free(run_git(repository, (const char *const[]){__VA_ARGS__, NULL}))

static void write_file(const struct repository *repository, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(repository->work, name, NULL);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static struct repository repository_new(void)
{
    struct repository repository = {.folder = g_dir_make_tmp("enclii-git-XXXXXX", NULL), .lines = g_string_new(NULL)};
    repository.work = g_build_filename(repository.folder, "work", NULL);
    repository.clone = g_build_filename(repository.folder, "clone", NULL);
    repository.url = g_strconcat("file://", repository.work, NULL);
    g_assert_cmpint(mkdir(repository.work, 0700), ==, 0);
    g_assert_cmpint(mkdir(repository.clone, 0700), ==, 0);
    GIT(&repository, "init", "--quiet", "--template=", ".");
    write_file(&repository, "file", "one");
    GIT(&repository, "add", "file");
    GIT(&repository, "commit", "--quiet", "-m", "one");
    return repository;
}

static void repository_end(struct repository *repository)
{
    g_assert_true(folder_remove(repository->folder, NULL));
    g_free(repository->folder);
    g_free(repository->work);
    g_free(repository->clone);
    g_free(repository->url);
    g_string_free(repository->lines, TRUE);
}

static void commit(const struct repository *repository, const char *text)
{
    write_file(repository, "file", text);
    GIT(repository, "commit", "--quiet", "-am", text);
}

static void add_line(const char *line, size_t length, void *arg)
{
    g_string_append_len(arg, line, (gssize)length);
    g_string_append_c(arg, '\n');
}

static bool fetch(struct repository *repository, const char *ref, char **ret_commit, GError **error)
{
    const struct source_git wanted = {.url = repository->url,
                                      .ref = ref,
                                      .flags = SOURCE_GIT_ALLOW_FILE,
                                      .timeout_ms = 60000,
                                      .on_line = add_line,
                                      .on_line_arg = repository->lines};
    return source_fetch_git(&wanted, repository->clone, ret_commit, error);
}

/* Fetches to a new folder; what `file` holds there. */
static char *fetched(struct repository *repository, const char *ref)
{
    g_autofree char *hash = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(repository->clone, "file", NULL);
    char *text = NULL;
    g_assert_true(folder_remove(repository->clone, NULL));
    g_assert_cmpint(mkdir(repository->clone, 0700), ==, 0);
    bool ok = fetch(repository, ref, &hash, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    g_assert_cmpuint(strlen(hash), ==, 40);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

#define ASSERT_FETCHED(repository, ref, expected)                                                                      \
    do {                                                                                                               \
        g_autofree char *fetched_text = fetched(repository, ref);                                                      \
        g_assert_cmpstr(fetched_text, ==, expected);                                                                   \
    } while (0)

static void branches_tags_and_hashes_are_fetched(void)
{
    struct repository repository = repository_new();
    g_autofree char *first = run_git(&repository, (const char *const[]){"rev-parse", "HEAD", NULL});
    g_autofree char *brief = g_strndup(first, 8);
    GIT(&repository, "tag", "-a", "v1", "-m", "annotated");
    commit(&repository, "two");
    GIT(&repository, "branch", "side/branch");
    commit(&repository, "three");
    ASSERT_FETCHED(&repository, NULL, "three");
    ASSERT_FETCHED(&repository, "", "three");
    ASSERT_FETCHED(&repository, "main", "three");
    ASSERT_FETCHED(&repository, "side/branch", "two");
    ASSERT_FETCHED(&repository, "v1", "one");
    ASSERT_FETCHED(&repository, first, "one");
    ASSERT_FETCHED(&repository, brief, "one");
    g_assert_nonnull(strstr(repository.lines->str, "fetching everything"));
    repository_end(&repository);
}

static void what_is_fetched_is_a_plain_tree(void)
{
    struct repository repository = repository_new();
    g_autofree char *hash = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *link = g_build_filename(repository.work, "out", NULL);
    g_autofree char *inside = g_build_filename(repository.work, "in", NULL);
    g_autofree char *fetched_git = g_build_filename(repository.clone, ".git", NULL);
    g_autofree char *fetched_out = g_build_filename(repository.clone, "out", NULL);
    g_autofree char *fetched_in = g_build_filename(repository.clone, "in", NULL);
    g_assert_cmpint(symlink("/etc/passwd", link), ==, 0);
    g_assert_cmpint(symlink("file", inside), ==, 0);
    GIT(&repository, "add", "out", "in");
    GIT(&repository, "commit", "--quiet", "-m", "links");
    g_assert_true(fetch(&repository, "main", &hash, &error));
    g_assert_cmpint(access(fetched_git, F_OK), !=, 0);
    g_assert_false(g_file_test(fetched_out, G_FILE_TEST_IS_SYMLINK));
    g_assert_true(g_file_test(fetched_in, G_FILE_TEST_IS_SYMLINK));
    g_assert_nonnull(strstr(repository.lines->str, "left out out"));
    g_autofree char *head = run_git(&repository, (const char *const[]){"rev-parse", "HEAD", NULL});
    g_assert_cmpstr(hash, ==, head);
    repository_end(&repository);
}

/* Adds a submodule as its author would, with a line more. */
static void add_submodule(const struct repository *repository, const char *more)
{
    g_autofree char *submodule =
        g_strdup_printf("[submodule \"x\"]\n\tpath = x\n\turl = %s\n%s", repository->url, more);
    g_autofree char *head = run_git(repository, (const char *const[]){"rev-parse", "HEAD", NULL});
    g_autofree char *entry = g_strdup_printf("160000,%s,x", head);
    write_file(repository, ".gitattributes", "* filter=evil\n");
    write_file(repository, ".gitmodules", submodule);
    GIT(repository, "add", ".gitattributes", ".gitmodules");
    GIT(repository, "update-index", "--add", "--cacheinfo", entry);
    GIT(repository, "commit", "--quiet", "-m", "submodule");
}

static void submodules_are_not_fetched(void)
{
    struct repository repository = repository_new();
    g_autofree char *inner = g_build_filename(repository.clone, "x", "file", NULL);
    add_submodule(&repository, "");
    ASSERT_FETCHED(&repository, "main", "one");
    g_assert_cmpint(access(inner, F_OK), !=, 0);
    repository_end(&repository);
}

static void repositories_made_to_harm_are_refused(void)
{
    struct repository repository = repository_new();
    g_autofree char *mark = g_build_filename(repository.folder, "ran", NULL);
    g_autofree char *line = g_strdup_printf("\tupdate = !touch %s\n", mark);
    g_autofree char *hash = NULL;
    g_autoptr(GError) error = NULL;
    add_submodule(&repository, line);
    g_assert_false(fetch(&repository, "main", &hash, &error));
    g_assert_error(error, SY_ERROR, SY_PROCESS_FAILED);
    g_assert_nonnull(strstr(error->message, "gitmodulesUpdate"));
    g_assert_cmpint(access(mark, F_OK), !=, 0);
    repository_end(&repository);
}

static void missing_refs_and_repositories_are_told(void)
{
    struct repository repository = repository_new();
    g_autofree char *hash = NULL;
    g_autoptr(GError) no_ref = NULL;
    g_autoptr(GError) no_commit = NULL;
    g_autoptr(GError) no_repository = NULL;
    g_assert_false(fetch(&repository, "no-such-branch", &hash, &no_ref));
    g_assert_error(no_ref, SY_ERROR, SY_PROCESS_FAILED);
    g_assert_nonnull(strstr(sy_error_hint(no_ref), "no branch or tag no-such-branch"));
    g_assert_false(fetch(&repository, "abcdef12", &hash, &no_commit));
    g_assert_error(no_commit, SY_ERROR, SY_INVALID_INPUT);
    g_autofree char *url = g_strconcat(repository.url, "-missing", NULL);
    const struct source_git missing = {.url = url, .ref = "main", .flags = SOURCE_GIT_ALLOW_FILE, .timeout_ms = 60000};
    g_assert_false(source_fetch_git(&missing, repository.clone, &hash, &no_repository));
    g_assert_error(no_repository, SY_ERROR, SY_PROCESS_FAILED);
    g_assert_null(hash);
    repository_end(&repository);
}

/* A tree whose ten names are one tree, whose ten names are one tree …: millions of files from a few kilobytes. */
static void git_bombs_are_counted_not_unfolded(void)
{
    struct repository repository = repository_new();
    g_autofree char *hash = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *listing_path = g_build_filename(repository.work, "listing", NULL);
    g_autofree char *tree = run_git(&repository, (const char *const[]){"rev-parse", "HEAD^{tree}", NULL});
    for (int level = 0; level < 7; level++) {
        g_autoptr(GString) listing = g_string_new(NULL);
        for (int i = 0; i < 10; i++) {
            g_string_append_printf(listing, "040000 tree %s\t%d\n", tree, i);
        }
        write_file(&repository, "listing", listing->str);
        g_auto(fd_t) input = open(listing_path, O_RDONLY | O_CLOEXEC);
        const char *const argv[] = {"git", "mktree", NULL};
        const struct process_spec spec = {
            .argv = argv, .cwd = repository.work, .stdin_fd = input, .capture_bytes = 100};
        g_auto(process_result_t) result = {0};
        g_assert_true(process_run(&spec, &result, &error));
        g_assert_cmpint(result.exit_status, ==, 0);
        g_free(tree);
        tree = g_strdup(g_strchomp(result.output));
    }
    g_autofree char *bomb = run_git(&repository, (const char *const[]){"commit-tree", "-m", "bomb", tree, NULL});
    GIT(&repository, "update-ref", "refs/heads/bomb", bomb);
    g_assert_false(fetch(&repository, "bomb", &hash, &error));
    g_assert_error(error, SY_ERROR, SY_TOO_LARGE);
    repository_end(&repository);
}

static void can_be_cancelled(void)
{
    struct repository repository = repository_new();
    g_autofree char *hash = NULL;
    g_autoptr(GError) error = NULL;
    int cancelled = 1;
    const struct source_git wanted = {.url = repository.url,
                                      .ref = "main",
                                      .flags = SOURCE_GIT_ALLOW_FILE,
                                      .timeout_ms = 60000,
                                      .cancelled = &cancelled};
    g_assert_false(source_fetch_git(&wanted, repository.clone, &hash, &error));
    g_assert_error(error, SY_ERROR, SY_CANCELLED);
    repository_end(&repository);
}

static void names_of_private_addresses_are_refused(void)
{
    g_autofree char *hash = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *folder = g_dir_make_tmp("enclii-git-XXXXXX", NULL);
    /* Our own name: in /etc/hosts, at a loopback or private address, on every machine that has one there. */
    g_autofree char *url = g_strdup_printf("https://%s/x", g_get_host_name());
    const struct source_git wanted = {.url = url, .ref = "main", .timeout_ms = 5000};
    bool ok = source_fetch_git(&wanted, folder, &hash, &error);
    g_assert_true(folder_remove(folder, NULL));
    g_assert_false(ok);
    if (sy_error_code(error) == SY_UNAVAILABLE || strstr(error->message, "reserved address") == NULL) {
        g_test_skip("this machine's own name has no private address");
        return;
    }
    g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/git/good_urls_are_taken", good_urls_are_taken);
    g_test_add_func("/git/bad_urls_are_refused", bad_urls_are_refused);
    g_test_add_func("/git/flags_allow_what_they_say", flags_allow_what_they_say);
    g_test_add_func("/git/messages_never_hold_credentials", messages_never_hold_credentials);
    g_test_add_func("/git/edges_of_special_blocks_are_right", edges_of_special_blocks_are_right);
    g_test_add_func("/git/refs_follow_gits_rules", refs_follow_gits_rules);
    g_test_add_func("/git/branches_tags_and_hashes_are_fetched", branches_tags_and_hashes_are_fetched);
    g_test_add_func("/git/what_is_fetched_is_a_plain_tree", what_is_fetched_is_a_plain_tree);
    g_test_add_func("/git/submodules_are_not_fetched", submodules_are_not_fetched);
    g_test_add_func("/git/repositories_made_to_harm_are_refused", repositories_made_to_harm_are_refused);
    g_test_add_func("/git/missing_refs_and_repositories_are_told", missing_refs_and_repositories_are_told);
    g_test_add_func("/git/git_bombs_are_counted_not_unfolded", git_bombs_are_counted_not_unfolded);
    g_test_add_func("/git/can_be_cancelled", can_be_cancelled);
    g_test_add_func("/git/names_of_private_addresses_are_refused", names_of_private_addresses_are_refused);
    return g_test_run();
}
