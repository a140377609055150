/* The command line: one table of commands, and what every command is given.
 *
 * From the table come parsing, --help, the nearest word for a misspelt one, completion and the
 * reference. A command is one file in commands/ that defines `const struct command <name>_command`
 * (or several, for a group) and is listed in commands.c. It returns false with an error, which
 * main.c prints and turns into the exit code of the error's code; or true, and the program exits
 * with cli->exit_code.
 *
 * stdout is the result only; say() writes progress to stderr. One thread. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "enclii/client.h"
#include "enclii/context.h"

struct cli;

struct flag {
    const char *name;  /* without the two hyphens; NULL ends a list */
    char letter;       /* 0: none */
    const char *value; /* placeholder of its value: "N"; NULL: a switch */
    const char *doc;
    const char *const *words; /* the only values it takes, NULL-ended; NULL: any */
};

struct command {
    const char *name;      /* one word, or two for a member of a group: "tokens create" */
    const char *arguments; /* usage of the operands: "NAME", "[SERVICE]", "KEY=VALUE…"; NULL: none */
    const char *summary;   /* one line, imperative, no full stop */
    const char *details;   /* paragraphs and examples for --help; may be NULL */
    const struct flag *flags;
    unsigned min_arguments, max_arguments;
    bool (*run)(struct cli *cli, GError **error);
};

extern const struct command *const commands[]; /* NULL-ended, in the order of the help */
extern const struct flag global_flags[];

enum output_format { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_YAML };

struct cli {
    const struct command *command;
    GPtrArray *arguments; /* operands, char * */
    GHashTable *flags;    /* long name → GPtrArray of char *, of those that were given */

    enum output_format output;
    bool wait;          /* for the end of what was started; --no-wait clears it */
    int64_t timeout_ms; /* of that wait */
    bool quiet;         /* no progress */
    bool verbose;
    bool has_colour; /* of stderr and stdout alike: both are terminals, NO_COLOR is not set */
    bool is_input_terminal, is_output_terminal, is_error_terminal;

    char *environment; /* -e or ENCLII_ENVIRONMENT; NULL: the command's own default */
    int exit_code;     /* after success: doctor exits 1 when it found something */

    /* private to cli.c and target.c */
    struct client *client;
    char *project;
    char *project_source; /* where the project's name comes from, for messages */
};

void cli_init(struct cli *cli);
void cli_clear(struct cli *cli);

/* After options_parse: fills in everything that flags, terminals and the environment decide. */
bool cli_prepare(struct cli *cli, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The last value of a flag, or NULL; "" for a switch that was given. */
const char *cli_flag(const struct cli *cli, const char *name);
bool cli_has(const struct cli *cli, const char *name);

/* Borrowed array of char *, or NULL when the flag was not given. */
const GPtrArray *cli_flag_all(const struct cli *cli, const char *name);

/* The value of a flag as an integer of low..high, `fallback` when it was not given. */
bool cli_flag_int(const struct cli *cli, const char *name, int64_t low, int64_t high, int64_t fallback,
                  int64_t *ret_value, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The index-th operand, or NULL. */
const char *cli_argument(const struct cli *cli, unsigned index);

/* The server's client, made at the first call (which reads the context; nothing is sent). */
struct client *cli_client(struct cli *cli, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The environment asked for, or `fallback`. */
const char *cli_environment(const struct cli *cli, const char *fallback);

/* One line of progress on stderr, neutralised; nothing with --quiet. */
void say(const struct cli *cli, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Prints the error with its issues and hint, and returns the exit code. */
int cli_report(const struct cli *cli, const GError *error);
