/* What visitors see when no instance answers, and the waiting room. '%' is doubled: HAProxy reads these as formats. */
#include "edge/internal.h"

#define PAGE(title, text)                                                                                              \
    "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"                                          \
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>" title "</title>\n"             \
    "<style>\n:root { color-scheme: light dark }\n"                                                                    \
    "body { font: 16px/1.6 system-ui, sans-serif; max-width: 34rem; margin: 18vh auto 0; padding: 0 1.5rem }\n"        \
    "h1 { font-size: 1.5rem; margin: 0 0 .5rem }\nsmall { opacity: .6 }\n</style>\n</head>\n<body>\n<h1>" title        \
    "</h1>\n<p>" text "</p>\n<p><small>Request %[unique-id]</small></p>\n</body>\n</html>\n"

/* Waits until the request's backend has a usable server, or the time is over; pauses grow so that thousands can wait. In 2.6 a
 * request for a backend without usable server never enters HAProxy's own queue, so the wait is done here. In a worker that
 * stops, no backend has one ever again: who waits there is handed on, to wait in the new one. */
static const char waiting_room[] = "core.register_action(\"enclii_wait\", {\"http-req\"}, function(txn, limit_ms)\n"
                                   "    local backend = txn:get_var(\"txn.backend\")\n"
                                   "    local waited, pause, limit = 0, 10, tonumber(limit_ms)\n"
                                   "    while txn.c:nbsrv(backend) == 0 and txn.f:stopping() == 0 do\n"
                                   "        if waited >= limit then\n"
                                   "            return\n"
                                   "        end\n"
                                   "        core.msleep(pause)\n"
                                   "        waited = waited + pause\n"
                                   "        pause = math.min(pause + 10, 250)\n"
                                   "    end\n"
                                   "    txn:set_var(\"txn.is_empty\", false)\n"
                                   "end, 1)\n";

const struct edge_file edge_files[] = {
    {"wait.lua", waiting_room},
    {"unknown-host.html", PAGE("Nothing is served here", "No application has this host name.")},
    {"unknown-host-named.html",
     PAGE("Nothing is served here", "No application has the host name <strong>%[var(txn.host)]</strong>.")},
    {"no-instance.html",
     PAGE("No healthy instance", "The application has no instance that answers just now. Please try again shortly.")},
    {"maintenance.html", PAGE("Stopped for maintenance", "The application was stopped by its owner.")},
    {"bad-gateway.html", PAGE("The application broke off", "It closed the connection without a complete answer.")},
    {"gateway-timeout.html", PAGE("The application is too slow", "It did not answer in time.")},
    {NULL, NULL},
};
