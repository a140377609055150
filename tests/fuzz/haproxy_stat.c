/* What HAProxy answers, read by every parser of src/edge/reply.c. */
#include <stddef.h>
#include <stdint.h>

#include "edge/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    g_autoptr(GPtrArray) observed = NULL;
    g_autoptr(GPtrArray) live = NULL;
    g_autoptr(GHashTable) hosts = NULL;
    g_auto(edge_info_t) info = {0};
    struct edge_processes processes;
    (void)!edge_parse_stat(text, size, &observed, NULL);
    (void)!edge_parse_servers_state(text, size, &live, NULL);
    (void)!edge_parse_info(text, size, &info, NULL);
    (void)!edge_parse_processes(text, size, &processes, NULL);
    (void)!edge_parse_map(text, size, &hosts, NULL);
    return 0;
}
