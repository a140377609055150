/* Pieces of statement text that several resources share. Internal to store/. */
#pragma once

#include "store/scope.h"

/* The caller's scope as a condition on organization $o and project $p (NULL: any). */
#define IN_SCOPE(o, p, project_column)                                                                                 \
    "organization_id = " o " AND " project_column " = COALESCE(CAST(" p " AS TEXT), " project_column ")"

/* Newest first, one page: rows older than cursor $c, at most $l. */
#define PAGE(c, l) "(CAST(" c " AS TEXT) IS NULL OR id < " c ") ORDER BY id DESC LIMIT " l
