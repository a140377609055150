/* A private PostgreSQL server for tests: in a temporary folder, on a unix socket only, as the user postgres when
 * the test runs as root. It is started on the first call, once per test program, and ends with it (also when that
 * is killed). Durability is off, text sorts by ICU's English order so that a missing COLLATE "C" shows. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* NULL when it runs; else why it cannot (for g_test_skip). */
const char *postgresql_server_missing(void);

/* URL of a fresh, empty database; newly allocated. */
char *postgresql_server_new_database(void);

/* Runs text on a connection of its own; a failure ends the test. */
void postgresql_server_execute(const char *url, const char *text);

/* First column of the first row as text, newly allocated; NULL when there is no row or it is NULL. */
char *postgresql_server_get(const char *url, const char *text);

/* Stops at once, as a crash would, and starts again on the same files. Between them nothing answers. Only the main
 * thread may start it: the server ends with the thread that did. */
void postgresql_server_crash(void);
void postgresql_server_start(void);
