/* What can be found out on this machine when the server cannot be reached. */
#pragma once

#include <glib.h>

/* struct finding * of model/reply.h: the socket, the engine, HAProxy. `failure` is why the server
 * could not be reached. */
GPtrArray *local_doctor(const char *endpoint, const GError *failure);
