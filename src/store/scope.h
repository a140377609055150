/* Whose rows a caller may see. Store functions put it in the query: an id is never authority. */
#pragma once

struct scope {
    const char *organization_id;
    const char *project_id; /* NULL: every project of the organization */
};
