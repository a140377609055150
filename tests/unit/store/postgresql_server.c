#include "postgresql_server.h"

#include <glib.h>
#include <glib/gstdio.h>
#include <grp.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

#define BINARIES "/usr/lib/postgresql/15/bin"
#define READY_WITHIN_S 60

static char *folder;
static GPid server_pid;
static const char *missing;
static int n_databases;

/* In the child: drops root, and dies with the test program. */
static void become_postgres(gpointer user)
{
    const struct passwd *postgres = user;
    if (postgres != NULL &&
        (setgroups(0, NULL) != 0 || setgid(postgres->pw_gid) != 0 || setuid(postgres->pw_uid) != 0)) {
        _exit(126);
    }
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
}

static const struct passwd *server_user(void)
{
    return geteuid() == 0 ? getpwnam("postgres") : NULL;
}

static char *url_of(const char *database)
{
    g_autofree char *host = g_uri_escape_string(folder, NULL, FALSE);
    return g_strdup_printf("postgresql:///%s?host=%s&user=postgres", database, host);
}

static void init_folder(void)
{
    const struct passwd *user = server_user();
    folder = g_dir_make_tmp("enclii-pg-XXXXXX", NULL);
    g_assert_nonnull(folder);
    g_assert_true(user == NULL || chown(folder, user->pw_uid, user->pw_gid) == 0);
    g_autofree char *data = g_build_filename(folder, "data", NULL);
    const char *const argv[] = {BINARIES "/initdb",
                                "-D",
                                data,
                                "-U",
                                "postgres",
                                "-A",
                                "trust",
                                "--no-sync",
                                "-E",
                                "UTF8",
                                "--locale=C.UTF-8",
                                "--locale-provider=icu",
                                "--icu-locale=en",
                                NULL};
    g_autofree char *output = NULL;
    g_autofree char *problem = NULL;
    g_autoptr(GError) error = NULL;
    int status = 0;
    bool ok = g_spawn_sync("/", (char **)argv, NULL, G_SPAWN_DEFAULT, become_postgres, (gpointer)user, &output,
                           &problem, &status, &error);
    g_assert_no_error(error);
    if (!ok || status != 0) {
        g_error("initdb: %s%s", output, problem);
    }
    /* In the file and not on the command line, so that ALTER SYSTEM can switch it on. */
    g_autofree char *path = g_build_filename(data, "postgresql.auto.conf", NULL);
    g_assert_true(g_file_set_contents(path, "fsync = 'off'\n", -1, NULL));
    g_assert_true(user == NULL || chown(path, user->pw_uid, user->pw_gid) == 0);
}

void postgresql_server_start(void)
{
    g_autofree char *data = g_build_filename(folder, "data", NULL);
    g_autofree char *log = g_build_filename(folder, "log", NULL);
    const char *const argv[] = {BINARIES "/postgres",
                                "-D",
                                data,
                                "-k",
                                folder,
                                "-c",
                                "listen_addresses=",
                                "-c",
                                "max_connections=60",
                                "-c",
                                "logging_collector=off",
                                "-c",
                                "log_min_messages=panic",
                                "-c",
                                "log_min_error_statement=panic",
                                "-c",
                                "max_prepared_transactions=0",
                                NULL};
    g_autoptr(GError) error = NULL;
    g_spawn_async("/", (char **)argv, NULL,
                  G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL, become_postgres,
                  (gpointer)server_user(), &server_pid, &error);
    g_assert_no_error(error);
    g_autofree char *url = url_of("postgres");
    int64_t end_us = g_get_monotonic_time() + READY_WITHIN_S * G_USEC_PER_SEC;
    while (PQping(url) != PQPING_OK) {
        g_assert_cmpint(waitpid(server_pid, NULL, WNOHANG), ==, 0);
        g_assert_cmpint(g_get_monotonic_time(), <, end_us);
        g_usleep(20000);
    }
}

void postgresql_server_crash(void)
{
    kill(server_pid, SIGQUIT);
    waitpid(server_pid, NULL, 0);
    server_pid = 0;
}

static void end(void)
{
    if (server_pid != 0) {
        postgresql_server_crash();
    }
    g_autoptr(GError) error = NULL;
    if (!folder_remove(folder, &error)) {
        g_printerr("%s\n", error->message);
    }
    g_free(folder);
}

const char *postgresql_server_missing(void)
{
    if (folder != NULL || missing != NULL) {
        return missing;
    }
    if (g_access(BINARIES "/postgres", X_OK) != 0) {
        missing = "no PostgreSQL 15 in " BINARIES;
    } else if (geteuid() == 0 && server_user() == NULL) {
        missing = "runs as root and there is no user postgres";
    } else {
        init_folder();
        atexit(end);
        postgresql_server_start();
    }
    return missing;
}

static PGresult *execute(const char *url, const char *text)
{
    PGconn *pg = PQconnectdb(url);
    PGresult *result = PQexec(pg, text);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        g_error("%s: %s", text, PQerrorMessage(pg));
    }
    PQfinish(pg);
    return result;
}

void postgresql_server_execute(const char *url, const char *text)
{
    PQclear(execute(url, text));
}

char *postgresql_server_get(const char *url, const char *text)
{
    PGresult *result = execute(url, text);
    bool has_value = PQntuples(result) > 0 && PQgetisnull(result, 0, 0) == 0;
    char *value = has_value ? g_strdup(PQgetvalue(result, 0, 0)) : NULL;
    PQclear(result);
    return value;
}

char *postgresql_server_new_database(void)
{
    g_autofree char *name = g_strdup_printf("test%d", ++n_databases);
    g_autofree char *text = g_strdup_printf("CREATE DATABASE %s", name);
    g_autofree char *url = url_of("postgres");
    postgresql_server_execute(url, text);
    return url_of(name);
}
