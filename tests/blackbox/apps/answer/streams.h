/* Connections that last: /ws (RFC 6455, echoes what comes) and /sse (an event every 100 ms, numbered from 1). Told to stop, both
 * say good-bye as the protocol has it: a close frame with 1001, the last chunk. */
#pragma once

#include <stdbool.h>

void serve_websocket(int fd, const char *head, bool (*is_over)(void));
void serve_events(int fd, bool (*is_over)(void));
