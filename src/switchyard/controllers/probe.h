/* One health probe of an instance at its own address: an HTTP GET when there is a path, else a TCP connection.
 * Healthy is a status of 200..399 within the time-out (the body is not read), or an accepted connection. Blocking. */
#pragma once

#include "model/settings.h"

struct probe_result {
    bool is_ok;
    char detail[160]; /* "GET /healthz: 200", "connection refused" */
};
void probe_instance(const char *address, int64_t port, const struct health_rule *rule, struct probe_result *ret_result);
