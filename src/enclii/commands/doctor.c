#include <string.h>

#include "enclii/commands.h"
#include "enclii/local_doctor.h"
#include "enclii/output.h"
#include "enclii/term.h"
#include "model/reply.h"

static char *paint_status(const struct cli *cli, const char *status)
{
    enum colour colour = strcmp(status, "ok") == 0        ? COLOUR_GREEN
                         : strcmp(status, "warning") == 0 ? COLOUR_YELLOW
                                                          : COLOUR_RED;
    g_autofree char *padded = g_strdup_printf("%-8s", status);
    g_autofree char *safe = text_neutralise(padded, false);
    return term_paint(cli, colour, safe);
}

static void print_finding(const struct cli *cli, const struct finding *finding)
{
    g_autofree char *status = paint_status(cli, finding->status != NULL ? finding->status : "?");
    g_autofree char *check = text_neutralise(finding->check != NULL ? finding->check : "?", false);
    g_autofree char *detail = text_neutralise(finding->detail != NULL ? finding->detail : "", false);
    g_autofree char *fix = text_neutralise(finding->fix != NULL ? finding->fix : "", false);
    printf("%s %-14s %s\n", status, check, detail);
    if (*fix != '\0') {
        printf("%-8s %-14s → %s\n", "", "", fix);
    }
}

static bool is_bad(const struct finding *finding)
{
    return g_strcmp0(finding->status, "ok") != 0 && g_strcmp0(finding->status, "warning") != 0;
}

static bool print_report(struct cli *cli, const struct doctor_report *report, GError **error)
{
    for (guint i = 0; i < report->findings->len; i++) {
        const struct finding *finding = g_ptr_array_index(report->findings, i);
        cli->exit_code = is_bad(finding) ? 1 : cli->exit_code;
        if (cli->output == OUTPUT_TABLE) {
            print_finding(cli, finding);
        }
    }
    if (cli->output == OUTPUT_TABLE) {
        return true;
    }
    g_autofree char *text = contract_encode_text(&doctor_report_type, report, ENCODE_PUBLIC);
    json_t *json = json_loads(text, 0, NULL);
    bool ok = json != NULL && output_json(cli, json, error);
    json_decref(json);
    return ok;
}

static bool run(struct cli *cli, GError **error)
{
    GError *failure = NULL;
    struct client *client = cli_client(cli, error);
    if (client == NULL) {
        return false;
    }
    json_t *reply = client_get(client, "/v1/system/doctor", &failure);
    g_autoptr(doctor_report_t) report = NULL;
    if (reply != NULL) {
        report = client_decode(&doctor_report_type, reply, &failure);
        json_decref(reply);
    } else if (sy_error_code(failure) == SY_UNAVAILABLE || sy_error_code(failure) == SY_TIMEOUT) {
        report = contract_new(&doctor_report_type);
        g_clear_pointer(&report->findings, g_ptr_array_unref);
        report->findings = local_doctor(client_endpoint(client), failure);
        g_free(report->status);
        report->status = g_strdup("error");
        g_clear_error(&failure);
    }
    if (report == NULL) {
        g_propagate_error(error, failure);
        return false;
    }
    return print_report(cli, report, error);
}

const struct command doctor_command = {
    .name = "doctor",
    .summary = "Check engine, edge, disk and store, and say how to mend what is wrong",
    .details =
        "When the server cannot be reached, looks at this machine: socket, permissions, engine, HAProxy. Exits 1 when\n"
        "a finding is bad.",
    .run = run,
};
