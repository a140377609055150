/* Pieces of statement text that several resources share. Internal to store/. */
#pragma once

#include "store/scope.h"

/* The caller's scope as a condition on organization $o and project $p (NULL: any). */
#define IN_SCOPE(o, p, project_column)                                                                                 \
    "organization_id = " o " AND " project_column " = COALESCE(CAST(" p " AS TEXT), " project_column ")"

/* Newest first, one page: rows older than cursor $c, at most $l. Without a cursor: older than what no UUID comes after. Said so,
 * and not with OR, a page is read along the index (0006_page_indexes), however many rows there are. */
#define PAGE(c, l) "id < COALESCE(CAST(" c " AS TEXT), 'z') ORDER BY id DESC LIMIT " l
