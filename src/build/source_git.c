#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "build/address.h"
#include "build/git_url.h"
#include "build/source_tree.h"

struct fetching {
    const struct source_git *wanted;
    const char *ref;
    const char *folder;
    int64_t deadline_us;
    struct git_url parts;
    char *addresses; /* "1.2.3.4,[2001:db8::1]", checked; NULL: not pinned */
    char *first_address;
    bool is_by_proxy; /* always, whatever no_proxy says */
};

static void fetching_clear(struct fetching *fetching)
{
    git_url_clear(&fetching->parts);
    g_clear_pointer(&fetching->addresses, g_free);
    g_clear_pointer(&fetching->first_address, g_free);
}
typedef struct fetching fetching_t;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(fetching_t, fetching_clear)

static void G_GNUC_PRINTF(2, 3) say(const struct fetching *fetching, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *line = g_strdup_vprintf(format, args);
    va_end(args);
    if (fetching->wanted->on_line != NULL) {
        fetching->wanted->on_line(line, strlen(line), fetching->wanted->on_line_arg);
    }
}

/* --- where the host is --------------------------------------------------------------------------------------------------- */

static bool add_address(struct fetching *fetching, GString *list, const struct sockaddr *address, GError **error)
{
    char text[INET6_ADDRSTRLEN];
    const void *bytes = address->sa_family == AF_INET6
                            ? (const void *)&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr
                            : &((const struct sockaddr_in *)(const void *)address)->sin_addr;
    if (!address_is_public(address)) {
        sy_fail(error, SY_INVALID_INPUT, "%s is at a loopback, link-local, private or reserved address",
                fetching->parts.host);
        sy_error_set_hint(error,
                          "The server's configuration decides whether sources may be fetched from private networks.");
        return false;
    }
    if (inet_ntop(address->sa_family, bytes, text, sizeof text) == NULL) {
        return sy_fail_errno(error, errno, "cannot write an address");
    }
    if (fetching->first_address == NULL) {
        fetching->first_address = g_strdup(text);
    }
    g_string_append_printf(list, address->sa_family == AF_INET6 ? "%s[%s]" : "%s%s", list->len > 0 ? "," : "", text);
    return true;
}

/* libcurl's: the proxy of https URLs. */
static bool has_proxy(void)
{
    static const char *const names[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        const char *value = g_getenv(names[i]);
        if (value != NULL && *value != '\0') {
            return true;
        }
    }
    return false;
}

/* The addresses that were looked at are the ones that are used: a name server that answers differently at the second time
 * gains nothing. */
static bool pin_host(struct fetching *fetching, GError **error)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    if (fetching->parts.host == NULL || fetching->parts.host[0] == '[' ||
        (fetching->wanted->flags & SOURCE_GIT_ALLOW_PRIVATE)) {
        return true;
    }
    int status = getaddrinfo(fetching->parts.host, NULL, &hints, &found);
    fetching->is_by_proxy = status != 0 && fetching->parts.scheme == GIT_HTTPS && has_proxy();
    if (fetching->is_by_proxy) {
        return true; /* behind a company's proxy, it alone knows names */
    }
    if (status != 0) {
        return sy_fail(error, SY_UNAVAILABLE, "cannot find %s: %s", fetching->parts.host, gai_strerror(status));
    }
    g_autoptr(GString) list = g_string_new(NULL);
    bool ok = true;
    for (const struct addrinfo *info = found; ok && info != NULL; info = info->ai_next) {
        ok = add_address(fetching, list, info->ai_addr, error);
    }
    freeaddrinfo(found);
    if (ok) {
        fetching->addresses = g_string_free(g_steal_pointer(&list), FALSE);
    }
    return ok;
}

/* --- running git --------------------------------------------------------------------------------------------------------- */

static void add(GPtrArray *argv, const char *word)
{
    g_ptr_array_add(argv, g_strdup(word));
}

/* How ssh is called; nothing in it is the user's but the host, whose characters were checked. */
static char *ssh_command(const struct fetching *fetching)
{
    const char *options = "ssh -oBatchMode=yes -oStrictHostKeyChecking=accept-new -oConnectTimeout=15 "
                          "-oClearAllForwardings=yes -oPermitLocalCommand=no";
    return fetching->first_address == NULL ? g_strdup_printf("GIT_SSH_COMMAND=%s", options)
                                           : g_strdup_printf("GIT_SSH_COMMAND=%s -oHostName=%s -oHostKeyAlias=%s",
                                                             options, fetching->first_address, fetching->parts.host);
}

/* env(1) adds to the environment that process.h gives; no configuration but ours is read. */
static GPtrArray *git_argv(const struct fetching *fetching)
{
    static const char *const start[] = {"env",
                                        "GIT_CONFIG_NOSYSTEM=1",
                                        "GIT_CONFIG_GLOBAL=/dev/null",
                                        "GIT_TERMINAL_PROMPT=0",
                                        "GIT_ASKPASS=true",
                                        "SSH_ASKPASS=true",
                                        "GIT_LFS_SKIP_SMUDGE=1",
                                        "LC_ALL=C.UTF-8"};
    static const char *const options[] = {"core.hooksPath=/dev/null",
                                          "core.fsmonitor=false",
                                          "core.symlinks=true",
                                          "core.autocrlf=false",
                                          "protocol.version=2",
                                          "credential.helper=",
                                          "submodule.recurse=false",
                                          "fetch.fsckObjects=true",
                                          "fetch.fsck.zeroPaddedFilemode=ignore",
                                          "fetch.fsck.missingSpaceBeforeDate=ignore",
                                          "fetch.fsck.badTimezone=ignore",
                                          "gc.auto=0",
                                          "maintenance.auto=false",
                                          "advice.detachedHead=false",
                                          "init.defaultBranch=main"};
    GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
    for (size_t i = 0; i < G_N_ELEMENTS(start); i++) {
        add(argv, start[i]);
    }
    if (fetching->is_by_proxy) {
        add(argv, "no_proxy=");
        add(argv, "NO_PROXY=");
    }
    add(argv, fetching->wanted->flags & SOURCE_GIT_ALLOW_FILE ? "GIT_ALLOW_PROTOCOL=https:ssh:file"
                                                              : "GIT_ALLOW_PROTOCOL=https:ssh");
    g_ptr_array_add(argv, ssh_command(fetching));
    add(argv, "git");
    for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
        add(argv, "-c");
        add(argv, options[i]);
    }
    /* A redirection would lead past the check of the address. */
    add(argv, "-c");
    add(argv, fetching->wanted->flags & SOURCE_GIT_ALLOW_PRIVATE ? "http.followRedirects=initial"
                                                                 : "http.followRedirects=false");
    if (fetching->wanted->ca_bundle != NULL) {
        add(argv, "-c");
        g_ptr_array_add(argv, g_strconcat("http.sslCAInfo=", fetching->wanted->ca_bundle, NULL));
    }
    if (fetching->addresses != NULL && fetching->parts.scheme == GIT_HTTPS) {
        add(argv, "-c");
        g_ptr_array_add(argv, g_strdup_printf("http.curloptResolve=%s:%d:%s", fetching->parts.host,
                                              fetching->parts.port, fetching->addresses));
    }
    return argv;
}

static bool check_ended(const struct process_result *result, const char *verb, GError **error)
{
    if (result->cancelled) {
        return sy_fail(error, SY_CANCELLED, "cancelled while fetching the source");
    }
    if (result->timed_out) {
        return sy_fail(error, SY_BUILD_TIMEOUT, "git %s took too long", verb);
    }
    if (result->exit_status != 0) {
        g_autofree char *label = g_utf8_make_valid(g_strstrip(result->last_lines), -1);
        return sy_fail(error, SY_PROCESS_FAILED, "git %s failed: %s", verb, label);
    }
    return true;
}

/* git VERB WORDS…, NULL-ended; stdout goes to *ret_output when that is asked for. */
static bool git(const struct fetching *fetching, const char *const *words, char **ret_output, GError **error)
{
    g_autoptr(GPtrArray) argv = git_argv(fetching);
    g_auto(process_result_t) result = {0};
    for (const char *const *word = words; *word != NULL; word++) {
        add(argv, *word);
    }
    g_ptr_array_add(argv, NULL);
    const struct process_spec spec = {
        .argv = (const char *const *)argv->pdata,
        .cwd = fetching->folder,
        .stdin_fd = -1,
        .timeout_ms = MAX(1, (fetching->deadline_us - g_get_monotonic_time()) / 1000),
        .cancelled = fetching->wanted->cancelled,
        .on_line = ret_output == NULL ? fetching->wanted->on_line : NULL,
        .on_line_arg = fetching->wanted->on_line_arg,
        .capture_bytes = ret_output == NULL ? 0 : 4096,
    };
    if (!process_run(&spec, &result, error) || !check_ended(&result, words[0], error)) {
        return false;
    }
    if (ret_output != NULL) {
        *ret_output = g_strstrip(g_steal_pointer(&result.output));
    }
    return true;
}

/* --- the steps ----------------------------------------------------------------------------------------------------------- */

static bool resolve(const struct fetching *fetching, const char *name, char **ret_commit, GError **error)
{
    g_autofree char *revision = g_strdup_printf("%s^{commit}", name);
    const char *words[] = {"rev-parse", "--verify", "--quiet", "--end-of-options", revision, NULL};
    return git(fetching, words, ret_commit, error);
}

static bool looks_like_hash(const char *ref)
{
    size_t length = strlen(ref);
    return length >= 4 && length <= 64 && strspn(ref, "0123456789abcdefABCDEF") == length;
}

/* Servers give names and full hashes alone; for a short hash, or one they hide, everything has to come. */
static bool fetch_everything(const struct fetching *fetching, char **ret_commit, GError **error)
{
    const char *words[] = {"fetch",
                           "--quiet",
                           "--no-tags",
                           "--no-recurse-submodules",
                           "--end-of-options",
                           fetching->wanted->url,
                           "+refs/heads/*:refs/remotes/origin/*",
                           "+refs/tags/*:refs/tags/*",
                           NULL};
    say(fetching, "%s is not a branch or tag: fetching everything to find that commit", fetching->ref);
    if (!git(fetching, words, NULL, error)) {
        return false;
    }
    g_autoptr(GError) failure = NULL;
    if (resolve(fetching, fetching->ref, ret_commit, &failure)) {
        return true;
    }
    if (sy_error_code(failure) == SY_CANCELLED || sy_error_code(failure) == SY_BUILD_TIMEOUT) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return false;
    }
    return sy_fail(error, SY_INVALID_INPUT, "the repository has no commit, branch or tag %s", fetching->ref);
}

static void explain(const struct fetching *fetching, GError **error)
{
    const char *text = error != NULL && *error != NULL ? (*error)->message : "";
    if (strstr(text, "redirect") != NULL) {
        sy_error_set_hint(error, "Give the URL that the server redirects to; redirections are not followed.");
    } else if (strstr(text, "couldn't find remote ref") != NULL) {
        sy_error_set_hint(error, "The repository has no branch or tag %s.", fetching->ref);
    } else {
        sy_error_set_hint(error, "Is the URL right, and may the server read it without a password?");
    }
}

static bool fetch_commit(const struct fetching *fetching, char **ret_commit, GError **error)
{
    const char *words[] = {"fetch",
                           "--quiet",
                           "--depth=1",
                           "--no-tags",
                           "--no-recurse-submodules",
                           "--end-of-options",
                           fetching->wanted->url,
                           fetching->ref,
                           NULL};
    g_autoptr(GError) failure = NULL;
    if (git(fetching, words, NULL, &failure)) {
        return resolve(fetching, "FETCH_HEAD", ret_commit, error);
    }
    if (sy_error_code(failure) == SY_PROCESS_FAILED && looks_like_hash(fetching->ref)) {
        return fetch_everything(fetching, ret_commit, error);
    }
    if (sy_error_code(failure) == SY_PROCESS_FAILED) {
        explain(fetching, &failure);
    }
    g_propagate_error(error, g_steal_pointer(&failure));
    return false;
}

struct counting {
    const int *cancelled;
    int stop;
    struct source_tree tree;
    bool is_too_large;
};

/* "100644 blob <hash>    1234\tname" */
static void count_line(const char *line, size_t length, void *arg)
{
    struct counting *counting = arg;
    g_auto(GStrv) words = g_strsplit_set(line, " \t", 16);
    int at = 3;
    while (words[0] != NULL && words[1] != NULL && words[2] != NULL && words[at] != NULL && *words[at] == '\0') {
        at++;
    }
    if (g_strv_length(words) > (guint)at) {
        counting->tree.total_bytes += MAX(0, g_ascii_strtoll(words[at], NULL, 10));
    }
    counting->tree.entry_count++;
    counting->is_too_large = counting->tree.entry_count > source_default_limits.entry_count ||
                             counting->tree.total_bytes > source_default_limits.total_bytes;
    bool is_cancelled = counting->cancelled != NULL && g_atomic_int_get(counting->cancelled) != 0;
    if (counting->is_too_large || is_cancelled) {
        g_atomic_int_set(&counting->stop, 1);
    }
}

/* A few kilobytes of trees that name each other can unfold to billions of files: counted before any is written. */
static bool check_size(const struct fetching *fetching, const char *commit, GError **error)
{
    struct counting counting = {.cancelled = fetching->wanted->cancelled};
    const char *words[] = {"ls-tree", "-r", "-l", "--full-tree", commit, NULL};
    g_autoptr(GPtrArray) argv = git_argv(fetching);
    g_auto(process_result_t) result = {0};
    for (const char **word = words; *word != NULL; word++) {
        add(argv, *word);
    }
    g_ptr_array_add(argv, NULL);
    const struct process_spec spec = {
        .argv = (const char *const *)argv->pdata,
        .cwd = fetching->folder,
        .stdin_fd = -1,
        .timeout_ms = MAX(1, (fetching->deadline_us - g_get_monotonic_time()) / 1000),
        .cancelled = &counting.stop,
        .on_line = count_line,
        .on_line_arg = &counting,
    };
    if (!process_run(&spec, &result, error)) {
        return false;
    }
    if (counting.is_too_large) {
        return sy_fail(error, SY_TOO_LARGE,
                       "the repository unfolds to more than %" G_GINT64_FORMAT " files or %" G_GINT64_FORMAT " bytes",
                       source_default_limits.entry_count, source_default_limits.total_bytes);
    }
    return check_ended(&result, "ls-tree", error);
}

static bool check_out(const struct fetching *fetching, const char *commit, GError **error)
{
    const char *words[] = {"checkout", "--quiet", "--force", "--detach", commit, NULL};
    g_autofree char *git_folder = g_build_filename(fetching->folder, ".git", NULL);
    g_autoptr(GPtrArray) removed = g_ptr_array_new_with_free_func(g_free);
    struct source_tree tree;
    if (!check_size(fetching, commit, error) || !git(fetching, words, NULL, error) ||
        !folder_remove(git_folder, error)) {
        return false;
    }
    g_auto(fd_t) fd = open(fetching->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return sy_fail_errno(error, errno, "cannot open %s", fetching->folder);
    }
    bool ok = source_settle(fd, &source_default_limits, fetching->wanted->cancelled, removed, &tree, error);
    for (guint i = 0; ok && i < removed->len; i++) {
        say(fetching, "left out %s: a symbolic link that leads out of the repository",
            (const char *)g_ptr_array_index(removed, i));
    }
    return ok;
}

bool source_fetch_git(const struct source_git *wanted, const char *folder, char **ret_commit, GError **error)
{
    const char *init[] = {"init", "--quiet", "--template=", ".", NULL};
    g_autofree char *commit = NULL;
    g_auto(fetching_t) fetching = {
        .wanted = wanted,
        .ref = wanted->ref != NULL && *wanted->ref != '\0' ? wanted->ref : "HEAD",
        .folder = folder,
        .deadline_us = wanted->timeout_ms > 0 ? g_get_monotonic_time() + wanted->timeout_ms * 1000 : INT64_MAX / 2,
    };
    if (!git_url_parse(wanted->url, wanted->flags, &fetching.parts, error) ||
        !source_check_git_ref(fetching.ref, error) || !pin_host(&fetching, error)) {
        return false;
    }
    if (!git(&fetching, init, NULL, error) || !fetch_commit(&fetching, &commit, error) ||
        !check_out(&fetching, commit, error)) {
        return false;
    }
    *ret_commit = g_steal_pointer(&commit);
    return true;
}
