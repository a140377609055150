/* Log lines on stdout: for people with time and service, with -o json one object per line. Thread-safe: a line is whole. */
#pragma once

#include "enclii/cli.h"

struct log_printer {
    const struct cli *cli;
    bool has_names; /* several services: each line says whose it is */
    GMutex lock;
    GPtrArray *names; /* in order of appearance: which colour is whose */
    bool is_closed;   /* nobody reads any more */
};

void log_printer_init(struct log_printer *printer, const struct cli *cli, bool has_names);
void log_printer_clear(struct log_printer *printer);

/* A LogRecord; only `text` must be there. */
void log_printer_put(struct log_printer *printer, const char *service, const json_t *line);

/* What is no line of the service: {"missed": 12} or {"status": "ready"}; on stderr. */
void log_printer_say(struct log_printer *printer, const char *service, const char *data);
bool log_printer_is_open(struct log_printer *printer);
