/* An edge in a folder of its own, with a real HAProxy. */
#pragma once

#include "edge/edge.h"
#include "peer.h"

struct fixture {
    char *folder;
    struct edge *edge;
};

/* False, with the test skipped, where HAProxy is not installed. */
bool fixture_init(struct fixture *fixture);
void fixture_done(struct fixture *fixture);
struct edge *fixture_open(const struct fixture *fixture, const char *listen);

/* A table that is being written: one backend and host per call. */
struct edge_backend *table_add(struct edge_table *table, const char *name, const char *host);
void table_serve(struct edge_backend *backend, const char *server, const struct peer *peer,
                 enum edge_server_state state);
/* Applies and frees the table; fails the test when that fails. */
struct edge_apply_result apply(struct edge *edge, struct edge_table *table, unsigned flags);

/* The answer's body, newly allocated; fails the test on another status. */
char *body_of(struct edge *edge, const char *host, const char *path, int status);

const struct edge_observed_server *find_server(const GPtrArray *servers, const char *name);
/* Waits until the condition holds; fails the test after 20 s. */
typedef bool (*condition_fn)(void *arg);
void await(condition_fn condition, void *arg, const char *what);
/* Sessions of a server; -1 when the edge does not have it. */
int64_t sessions_of(struct edge *edge, const char *name);
