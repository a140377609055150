#include "switchyard/confinement.h"

#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "base/confine.h"
#include "base/error.h"
#include "base/file.h"
#include "build/build_limits.h"
#include "build/pipeline.h"

#define SYSTEMD_FOLDER "/run/systemd/system"

#ifndef __has_feature /* clang's way to say it; gcc defines names */
#define __has_feature(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer) ||               \
    __has_feature(thread_sanitizer)
#define IS_SANITIZED true
#else
#define IS_SANITIZED false
#endif

void confinement_clear(struct confinement *confinement)
{
    g_clear_pointer(&confinement->missing, g_free);
    g_clear_pointer(&confinement->reduced, g_free);
}

char *confinement_assembly_folder(const struct config *config)
{
    return g_build_filename(config->data_dir, "assembly", NULL);
}

/* --- rules ------------------------------------------------------------------------------------------------------------------- */

static void allow(GArray *rules, const char *path, unsigned rights)
{
    const struct confine_rule rule = {.path = g_strdup(path), .rights = rights};
    g_array_append_val(rules, rule);
}

static void allow_beneath(GArray *rules, const char *folder, const char *name, unsigned rights)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    allow(rules, path, rights);
}

/* Programs, libraries, what they read to start, and what a name server, a time zone or a certificate is found by. */
static void allow_system(GArray *rules)
{
    static const char *const programs[] = {"/usr",   "/bin",    "/sbin", "/lib",       "/lib32",
                                           "/lib64", "/libx32", "/opt",  "/nix/store", "/gnu/store"};
    static const char *const settings[] = {"/etc",          "/proc",           "/sys",
                                           "/var/lib/dpkg", "/var/lib/sss/mc", "/run/systemd/resolve"};
    static const char *const sources[] = {"/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"};
    for (size_t i = 0; i < G_N_ELEMENTS(programs); i++) {
        allow(rules, programs[i], CONFINE_READ | CONFINE_RUN);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(settings); i++) {
        allow(rules, settings[i], CONFINE_READ);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(sources); i++) {
        allow(rules, sources[i], CONFINE_READ);
    }
    allow(rules, "/dev/null", CONFINE_READ | CONFINE_WRITE);
    allow(rules, "/dev/shm", CONFINE_CHANGE);                   /* HAProxy 2.7 and later keep their first words there */
    allow(rules, "/proc/self/exe", CONFINE_READ | CONFINE_RUN); /* the writer of the edge's log */
}

/* /etc/resolv.conf is often a link into a folder where the file is replaced now and then. */
static void allow_resolver(GArray *rules)
{
    char *real = realpath("/etc/resolv.conf", NULL);
    if (real != NULL) {
        g_autofree char *folder = g_path_get_dirname(real);
        allow(rules, folder, CONFINE_READ);
    }
    free(real);
}

/* Programs that the configuration names by path, with what lies beside them. */
static void allow_program(GArray *rules, const char *program)
{
    if (program != NULL && g_path_is_absolute(program)) {
        g_autofree char *folder = g_path_get_dirname(program);
        allow(rules, folder, CONFINE_READ | CONFINE_RUN);
    }
}

/* libpq reads the certificates that the URL names by path, and those of the user. */
static void allow_database(GArray *rules, const char *store)
{
    const char *home = g_get_home_dir();
    if (g_str_has_prefix(store, "sqlite:")) {
        g_autofree char *folder = g_path_get_dirname(store + strlen("sqlite:"));
        allow(rules, folder, CONFINE_CHANGE);
        return;
    }
    g_autoptr(GUri) uri = g_uri_parse(store, G_URI_FLAGS_NONE, NULL);
    const char *query = uri != NULL ? g_uri_get_query(uri) : NULL;
    g_autoptr(GHashTable) parameters =
        query != NULL ? g_uri_parse_params(query, -1, "&", G_URI_PARAMS_NONE, NULL) : NULL;
    GHashTableIter iter;
    gpointer value;
    if (parameters != NULL) {
        g_hash_table_iter_init(&iter, parameters);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
            if (g_path_is_absolute(value) && g_file_test(value, G_FILE_TEST_IS_REGULAR)) {
                allow(rules, value, CONFINE_READ);
            }
        }
    }
    allow_beneath(rules, home, ".pgpass", CONFINE_READ);
    allow_beneath(rules, home, ".postgresql", CONFINE_READ);
}

/* The limits of builds are files of the engine's cgroup; not of the root, where v1 has files that name programs to run. */
static void allow_limits(GArray *rules, const struct config *config)
{
    g_auto(limits_place_t) place = {0};
    g_autofree char *reason = NULL;
    bool is_set = build_limits_apply(config->build_memory_bytes, config->build_cpu_millis, &reason); /* makes folders */
    (void)is_set; /* the builds say so */
    limits_find(CGROUP_ROOT, g_file_test(SYSTEMD_FOLDER, G_FILE_TEST_IS_DIR), &place);
    const char *const folders[] = {place.memory, place.cpu};
    for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
        if (folders[i] != NULL) {
            g_autofree char *parent = g_path_get_dirname(folders[i]);
            allow(rules, parent, CONFINE_READ | CONFINE_WRITE | CONFINE_FOLDERS);
        }
    }
    if (place.kind == LIMITS_V2) {
        allow(rules, CGROUP_ROOT "/cgroup.subtree_control", CONFINE_READ | CONFINE_WRITE);
    } else if (place.kind == LIMITS_STEPS) {
        allow(rules, CGROUP_ROOT, CONFINE_READ | CONFINE_WRITE);
    }
}

/* ssh, by which git may fetch, looks into the home of the password database, whatever HOME says. */
static void allow_ssh(GArray *rules)
{
    struct passwd entry;
    struct passwd *found = NULL;
    char buffer[16384];
    if (getpwuid_r(geteuid(), &entry, buffer, sizeof buffer, &found) == 0 && found != NULL) {
        allow_beneath(rules, found->pw_dir, ".ssh", CONFINE_READ);
        allow_beneath(rules, found->pw_dir, ".ssh/known_hosts", CONFINE_READ | CONFINE_WRITE);
    }
}

static void allow_builds(GArray *rules, const struct config *config)
{
    g_autofree char *assembly = confinement_assembly_folder(config);
    allow_program(rules, config->docker);
    allow_ssh(rules);
    allow_limits(rules, config);
    if (strcmp(config->base_images, "registry") != 0 && geteuid() == 0) {
        allow(rules, assembly, CONFINE_CHANGE | CONFINE_RUN | CONFINE_DEVICES);
    }
    if (config->ca_bundle != NULL) {
        allow(rules, config->ca_bundle, CONFINE_READ);
    }
}

static GArray *make_rules(const struct config *config)
{
    GArray *rules = g_array_new(FALSE, FALSE, sizeof(struct confine_rule));
    g_autofree char *socket_folder = g_path_get_dirname(config->socket);
    const char *certificates = g_getenv("SSL_CERT_FILE");
    allow_system(rules);
    allow_resolver(rules);
    allow(rules, config->data_dir, CONFINE_CHANGE);
    allow(rules, socket_folder, CONFINE_SOCKETS);
    allow_database(rules, config->store);
    if (certificates != NULL) {
        allow(rules, certificates, CONFINE_READ);
    }
    if (config_has_role(config, "reconcile")) {
        allow_program(rules, config->haproxy);
    }
    if (config_has_role(config, "build")) {
        allow_builds(rules, config);
    }
    return rules;
}

static void free_rules(GArray *rules)
{
    for (guint i = 0; i < rules->len; i++) {
        g_free(g_array_index(rules, struct confine_rule, i).path);
    }
    g_array_unref(rules);
}

/* --- applying them ----------------------------------------------------------------------------------------------------------- */

/* A rule is for a folder that is there. Temporary files go beneath the data folder: /tmp is everybody's. */
static bool prepare_folders(const struct config *config, GError **error)
{
    g_autofree char *assembly = confinement_assembly_folder(config);
    g_autofree char *temporary = g_build_filename(config->data_dir, "tmp", NULL);
    g_autofree char *socket_folder = g_path_get_dirname(config->socket);
    if (!folder_remove(assembly, error) || !folder_remove(temporary, error) || !folder_ensure(temporary, 0700, error) ||
        !folder_ensure(socket_folder, 0755, error) || !folder_ensure(assembly, 0700, error)) {
        return false;
    }
    if (g_str_has_prefix(config->store, "sqlite:")) {
        g_autofree char *folder = g_path_get_dirname(config->store + strlen("sqlite:"));
        return folder_ensure(folder, 0700, error);
    }
    return true;
}

static bool restrict_files(const struct config *config, GError **error)
{
    g_autofree char *temporary = g_build_filename(config->data_dir, "tmp", NULL);
    GArray *rules = make_rules(config);
    bool ok = confine_files((const struct confine_rule *)(void *)rules->data, rules->len, error);
    free_rules(rules);
    return ok && (g_setenv("TMPDIR", temporary, TRUE) || sy_fail(error, SY_INTERNAL, "TMPDIR cannot be set"));
}

static void note_missing(struct confinement *confinement, const GError *error)
{
    char *before = confinement->missing;
    confinement->missing =
        before == NULL ? g_strdup(error->message) : g_strdup_printf("%s; %s", before, error->message);
    g_free(before);
}

bool confinement_apply(const struct config *config, struct confinement *ret_confinement, GError **error)
{
    struct confinement confinement = {.is_wanted = strcmp(config->confinement, "off") != 0};
    g_autoptr(GError) files = NULL;
    g_autoptr(GError) calls = NULL;
    if (!prepare_folders(config, error)) {
        return false;
    }
    if (confinement.is_wanted) {
        confinement.has_files = restrict_files(config, &files);
        confinement.has_calls = confine_calls(IS_SANITIZED ? CONFINE_ALLOW_PTRACE : 0, &calls);
        confinement.reduced = IS_SANITIZED ? g_strdup("ptrace(2) is allowed: sanitizers need it") : NULL;
    }
    if (files != NULL) {
        note_missing(&confinement, files);
    }
    if (calls != NULL) {
        note_missing(&confinement, calls);
    }
    if (confinement.missing != NULL && strcmp(config->confinement, "on") == 0) {
        sy_fail(error, SY_NOT_SUPPORTED, "switchyard cannot be confined here: %s", confinement.missing);
        sy_error_set_hint(error, "Use a kernel that offers it, or confinement = auto, which takes what there is.");
        confinement_clear(&confinement);
        return false;
    }
    *ret_confinement = confinement;
    return true;
}
