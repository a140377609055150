/* What http_client.c and http_curl.c share. */
#pragma once

#include "base/http_client.h"

struct http_authorities {
    const char *file, *folder; /* NULL: the system's */
};

/* One exchange through libcurl, which is loaded at the first use: for https only. */
bool http_curl_call(const char *endpoint, const struct http_authorities *authorities,
                    const struct http_exchange *exchange, struct http_reply *ret_reply, GError **error);
