/* GError → RFC 9457 problem details. Pure. */
#pragma once

#include <glib.h>

/* The JSON text of the problem. What an internal error says goes to the log only. */
GString *problem_render(const GError *error, int status, const char *request_id);

/* The status of the error's code. 408 and 431 have no code of their own: the server passes them itself. */
int problem_status(const GError *error);

/* "Not Found"; "Error" for a status that has no phrase. */
const char *problem_title(int status);
