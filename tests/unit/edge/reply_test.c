/* HAProxy's replies, taken from 2.6.12. */
#include <string.h>

#include "base/error.h"
#include "edge/internal.h"

#define STAT_HEADING "# pxname,svname,qcur,scur,stot,econ,eresp,status,type,addr,last_chk,\n"

static GPtrArray *stat_of(const char *rows)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = g_strconcat(STAT_HEADING, rows, NULL);
    GPtrArray *servers = NULL;
    bool ok = edge_parse_stat(text, strlen(text), &servers, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    return servers;
}

static void statistics_give_servers_sorted(void)
{
    g_autoptr(GPtrArray) servers = stat_of("b-2,i-1,0,3,70,1,2,UP,2,10.0.0.1:80,,\n"
                                           "b-2,BACKEND,0,3,70,4,2,UP,1,,,\n"
                                           "_late,next,0,0,0,0,0,no check,2,unix,,\n"
                                           "b-1,i-2,0,0,5,0,0,DRAIN,2,10.0.0.2:80,,\n"
                                           "b-1,i-1,0,0,5,0,0,MAINT,2,10.0.0.3:80,,\n\n");
    g_assert_cmpint(servers->len, ==, 3);
    const struct edge_observed_server *first = g_ptr_array_index(servers, 0);
    const struct edge_observed_server *second = g_ptr_array_index(servers, 1);
    const struct edge_observed_server *third = g_ptr_array_index(servers, 2);
    g_assert_cmpstr(first->name, ==, "i-1");
    g_assert_cmpstr(second->name, ==, "i-2");
    g_assert_true(second->is_draining && second->is_up);
    g_assert_true(first->is_draining && !first->is_up);
    g_assert_cmpstr(third->backend, ==, "b-2");
    g_assert_cmpstr(third->address, ==, "10.0.0.1");
    g_assert_cmpint(third->current, ==, 3);
    g_assert_cmpint(third->total, ==, 70);
    g_assert_cmpint(third->errors, ==, 3);
    g_assert_cmpint(third->backend_errors, ==, 6);
    g_assert_cmpint(first->backend_errors, ==, 0);
    g_assert_true(third->is_up && !third->is_draining);
}

static void states_of_servers_are_told_apart(void)
{
    static const struct {
        const char *status;
        bool is_up, is_draining;
    } cases[] = {{"UP", true, false},   {"UP 1/2", true, false}, {"DOWN", false, false},    {"DOWN 1/2", false, false},
                 {"DRAIN", true, true}, {"MAINT", false, true},  {"no check", true, false}, {"NOLB", false, false}};
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *row = g_strdup_printf("b,s,0,0,0,0,0,%s,2,10.0.0.1:80,,\n", cases[i].status);
        g_autoptr(GPtrArray) servers = stat_of(row);
        const struct edge_observed_server *server = g_ptr_array_index(servers, 0);
        g_assert_cmpint(server->is_up, ==, cases[i].is_up);
        g_assert_cmpint(server->is_draining, ==, cases[i].is_draining);
    }
}

static void quoted_cells_and_overflow_are_survived(void)
{
    g_autoptr(GPtrArray) servers =
        stat_of("b,\"s,\"\"x\"\"\",0,99999999999999999999,-1,9223372036854775807,7,UP,2,a,\"\n"
                "b,t,0,1,2,0,0,UP,2,10.0.0.1:80,\"open\n");
    g_assert_cmpint(servers->len, ==, 2);
    const struct edge_observed_server *server = g_ptr_array_index(servers, 0);
    g_assert_cmpstr(server->name, ==, "s,\"x\"");
    g_assert_cmpint(server->current, ==, 0);
    g_assert_cmpint(server->errors, ==, INT64_MAX);
}

static void half_a_reply_is_an_error(void)
{
    static const char *const texts[] = {"",
                                        "\n",
                                        "Unknown command.\n",
                                        "# pxname,svname\n",
                                        STAT_HEADING "b,i-1,0,3",
                                        STAT_HEADING "b,i-1,0,3,70,1,2,UP,2"};
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;
        GPtrArray *servers = NULL;
        g_assert_false(edge_parse_stat(texts[i], strlen(texts[i]), &servers, &error));
        g_assert_error(error, SY_ERROR, SY_EDGE_UNAVAILABLE);
        g_assert_null(servers);
    }
}

static void server_states_give_address_port_and_admin_bits(void)
{
    static const char text[] =
        "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_fqdn srv_port\n"
        "4 b-1 1 i-1 10.0.0.1 2 8 1 - 8080\n4 _late 1 next - 2 0 1 - 0\n5 b-2 1 i-2 10.0.0.2 0 1 1 - 8081\n\n";
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) servers = NULL;
    g_assert_true(edge_parse_servers_state(text, strlen(text), &servers, &error));
    g_assert_cmpint(servers->len, ==, 2);
    const struct edge_live_server *first = g_ptr_array_index(servers, 0);
    g_assert_cmpstr(first->backend, ==, "b-1");
    g_assert_cmpstr(first->address, ==, "10.0.0.1");
    g_assert_cmpint(first->port, ==, 8080);
    g_assert_cmpint(first->admin, ==, EDGE_ADMIN_DRAIN);
    GPtrArray *none = NULL;
    g_assert_false(edge_parse_servers_state(text, strlen(text) - 8, &none, &error));
    g_assert_error(error, SY_ERROR, SY_EDGE_UNAVAILABLE);
}

static void info_gives_version_pid_and_description(void)
{
    static const char text[] = "Name: HAProxy\nVersion: 2.6.12-1+deb12u4\nPid: 5478\nCurrConns: 3\nCumReq: 17\n"
                               "Stopping: 1\nnode: vm\ndescription: structure:abc\n";
    g_autoptr(GError) error = NULL;
    g_auto(edge_info_t) info = {0};
    g_assert_true(edge_parse_info(text, strlen(text), &info, &error));
    g_assert_cmpstr(info.version, ==, "2.6.12-1+deb12u4");
    g_assert_cmpstr(info.description, ==, "structure:abc");
    g_assert_cmpint(info.pid, ==, 5478);
    g_assert_cmpint(info.current_connections, ==, 3);
    g_assert_cmpint(info.total_requests, ==, 17);
    g_assert_true(info.is_stopping);
    g_assert_false(edge_parse_info("Pid: 1\n", 7, &info, &error));
}

static void processes_are_told_apart(void)
{
    static const char text[] =
        "#<PID>          <type>          <reloads>       <uptime>        <version>      \n"
        "5462            master          3 [failed: 1]   1d02h10m26s     2.6.12-1+deb12u4\n# workers\n"
        "27894           worker          0               0d00h00m04s     2.6.12-1+deb12u4\n# old workers\n"
        "26384           worker          1               0d00h00m15s     2.6.12-1+deb12u4\n# programs\n\n";
    g_autoptr(GError) error = NULL;
    struct edge_processes processes = {0};
    g_assert_true(edge_parse_processes(text, strlen(text), &processes, &error));
    g_assert_cmpint(processes.master, ==, 5462);
    g_assert_cmpint(processes.reloads, ==, 3);
    g_assert_cmpint(processes.failed_reloads, ==, 1);
    g_assert_cmpint(processes.uptime_seconds, ==, 86400 + 2 * 3600 + 10 * 60 + 26);
    g_assert_cmpint(processes.worker, ==, 27894);
    g_assert_cmpint(processes.n_old, ==, 1);
    g_assert_cmpint(processes.old[0], ==, 26384);
    g_assert_false(edge_parse_processes("# workers\n", 10, &processes, &error));
}

/* Another version may write more, other or less than we know. */
static void odd_rows_of_processes_are_passed_over(void)
{
    static const char text[] =
        "# <PID> <type>\r\n\r\n5462 master 3 2 days 2.8\r\nnonsense worker 0\r\n0 worker 0 x\r\n12 worker\r\n"
        "27 program 0 0d00h00m04s -\r\n28 worker 0 0d00h00m04s 2.8\r\n";
    g_autoptr(GError) error = NULL;
    struct edge_processes processes = {0};
    g_assert_true(edge_parse_processes(text, strlen(text), &processes, &error));
    g_assert_no_error(error);
    g_assert_cmpint(processes.master, ==, 5462);
    g_assert_cmpint(processes.reloads, ==, 3);
    g_assert_cmpint(processes.failed_reloads, ==, 0);
    g_assert_cmpint(processes.uptime_seconds, ==, 0);
    g_assert_cmpint(processes.worker, ==, 28);
    g_assert_cmpint(processes.n_old, ==, 0);
    static const char *const uptimes[] = {"", "1d", "1d2h", "d1h2m3s", "9999999d00h00m00s", "1h2m3s4d"};
    for (size_t i = 0; i < G_N_ELEMENTS(uptimes); i++) {
        g_autofree char *line = g_strdup_printf("5 master 0 %s\n", uptimes[i]);
        g_assert_true(edge_parse_processes(line, strlen(line), &processes, &error));
        g_assert_cmpint(processes.uptime_seconds, ==, 0);
    }
}

static void more_old_workers_than_room_are_not_overrun(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) text = g_string_new("1 master 0 [failed: 0] 0d00h00m01s 2.6\n# old workers\n");
    struct edge_processes processes = {0};
    for (int i = 0; i < 10 * EDGE_OLD_WORKERS; i++) {
        g_string_append_printf(text, "%d worker 1 0d00h00m01s 2.6\n", i + 2);
    }
    g_assert_true(edge_parse_processes(text->str, text->len, &processes, &error));
    g_assert_cmpint(processes.n_old, ==, EDGE_OLD_WORKERS);
}

static void map_gives_hosts(void)
{
    static const char text[] = "0x5580154f2a00 a.localhost b-1\n0x5580156ea3d0 b.localhost b-2\n\n";
    g_autoptr(GError) error = NULL;
    g_autoptr(GHashTable) hosts = NULL;
    GHashTable *none = NULL;
    g_assert_true(edge_parse_map(text, strlen(text), &hosts, &error));
    g_assert_cmpint(g_hash_table_size(hosts), ==, 2);
    g_assert_cmpstr(g_hash_table_lookup(hosts, "b.localhost"), ==, "b-2");
    g_assert_false(edge_parse_map("Unknown map identifier.", 23, &none, &error));
    g_assert_error(error, SY_ERROR, SY_EDGE_UNAVAILABLE);
}

/* --- difference ------------------------------------------------------------------------------------------------------------ */

static GPtrArray *live_of(const char *rows)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text =
        g_strconcat("1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_port\n", rows, NULL);
    GPtrArray *servers = NULL;
    g_assert_true(edge_parse_servers_state(text, strlen(text), &servers, &error));
    return servers;
}

static void additions_come_before_drains_and_removals(void)
{
    g_autoptr(GPtrArray) live = live_of("4 b 1 i-old 10.0.0.1 2 0 80\n4 b 2 i-gone 10.0.0.2 2 8 80\n"
                                        "4 b 3 i-out 10.0.0.3 2 1 80\n4 b 4 i-moved 10.0.0.4 2 0 80\n"
                                        "4 b 5 i-back 10.0.0.5 2 8 80\n4 b 6 i-same 10.0.0.6 2 0 80\n");
    struct edge_table *table = edge_table_new();
    struct edge_backend *backend = edge_table_add_backend(table, "b");
    edge_backend_add_server(backend, "i-old", "10.0.0.1", 80, EDGE_DRAIN);
    edge_backend_add_server(backend, "i-new", "10.0.0.9", 80, EDGE_READY);
    edge_backend_add_server(backend, "i-unknown", "10.0.0.8", 80, EDGE_DRAIN);
    edge_backend_add_server(backend, "i-moved", "10.0.0.4", 81, EDGE_READY);
    edge_backend_add_server(backend, "i-back", "10.0.0.5", 80, EDGE_READY);
    edge_backend_add_server(backend, "i-same", "10.0.0.6", 80, EDGE_READY);
    struct edge_apply_result result = {0};
    g_autoptr(GPtrArray) changes = edge_difference(live, table, &result);
    static const struct {
        enum edge_change_kind kind;
        const char *path;
    } expected[] = {{EDGE_ADD, "b/i-new"},       {EDGE_MOVE, "b/i-moved"},  {EDGE_SET_READY, "b/i-back"},
                    {EDGE_SET_DRAIN, "b/i-old"}, {EDGE_REMOVE, "b/i-gone"}, {EDGE_REMOVE, "b/i-out"}};
    g_assert_cmpint(changes->len, ==, G_N_ELEMENTS(expected));
    for (guint i = 0; i < changes->len; i++) {
        const struct edge_change *change = g_ptr_array_index(changes, i);
        g_assert_cmpint(change->kind, ==, expected[i].kind);
        g_assert_cmpstr(change->path, ==, expected[i].path);
    }
    g_assert_cmpint(result.servers_added, ==, 1);
    g_assert_cmpint(result.servers_changed, ==, 3);
    g_assert_cmpint(result.servers_removed, ==, 1);
    edge_table_free(table);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/edge/reply/stat", statistics_give_servers_sorted);
    g_test_add_func("/edge/reply/status", states_of_servers_are_told_apart);
    g_test_add_func("/edge/reply/odd", quoted_cells_and_overflow_are_survived);
    g_test_add_func("/edge/reply/half", half_a_reply_is_an_error);
    g_test_add_func("/edge/reply/states", server_states_give_address_port_and_admin_bits);
    g_test_add_func("/edge/reply/info", info_gives_version_pid_and_description);
    g_test_add_func("/edge/reply/processes", processes_are_told_apart);
    g_test_add_func("/edge/reply/odd_processes", odd_rows_of_processes_are_passed_over);
    g_test_add_func("/edge/reply/many", more_old_workers_than_room_are_not_overrun);
    g_test_add_func("/edge/reply/map", map_gives_hosts);
    g_test_add_func("/edge/reply/difference", additions_come_before_drains_and_removals);
    return g_test_run();
}
