/* The town: a project with three services, all but the first with a release command, the third with a volume; and their owners,
 * who at times delete all of it and want it back. */
#pragma once

#include <stdbool.h>

#include "store/store.h"

#define N_RESIDENTS 3

struct app;
struct resident {
    char *service_id;
    bool has_volume, has_deployed;
};
struct town {
    struct store *store;
    char *installation_id, *organization_id, *project_id;
    struct resident residents[N_RESIDENTS];
    int64_t n_visits;
    bool is_deleted; /* the project */
};

void town_found(struct town *town, struct store *store);
void town_leave(struct town *town);
/* Some owner wants something; the id of the pair it is about (owned), NULL when it was refused. */
char *town_visit(struct town *town, struct app *app);
