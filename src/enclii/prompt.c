#include "enclii/prompt.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "enclii/output.h"
#include "enclii/term.h"

#define LIMIT 65536

/* Bytes from stdin up to the end, or to the first newline on a terminal; a caller wipes `text`. */
static bool read_input(GString *text, bool is_line, GError **error)
{
    const int *interrupted = term_interrupted();
    char byte[1];
    for (;;) {
        ssize_t got = read(STDIN_FILENO, byte, 1);
        if (got < 0 && errno == EINTR && g_atomic_int_get(interrupted) != 0) {
            return sy_fail(error, SY_CANCELLED, "interrupted");
        }
        if (got < 0 && errno != EINTR) {
            return sy_fail_errno(error, errno, "reading from stdin");
        }
        if (got == 0 || (got == 1 && is_line && byte[0] == '\n')) {
            return true;
        }
        if (got == 1) {
            if (text->len >= LIMIT) {
                return sy_fail(error, SY_TOO_LARGE, "more than %d bytes on stdin", LIMIT);
            }
            g_string_append_c(text, byte[0]);
        }
    }
}

bool prompt_confirm(struct cli *cli, const char *question, GError **error)
{
    if (cli_has(cli, "yes")) {
        return true;
    }
    if (!cli->is_input_terminal) {
        sy_fail(error, SY_INVALID_INPUT, "nobody can be asked: stdin is no terminal, and --yes is not given");
        g_autofree char *arguments =
            g_strjoinv(" ", (char **)(cli->arguments->len > 0 ? (char *[]){g_ptr_array_index(cli->arguments, 0), NULL}
                                                              : (char *[]){NULL}));
        sy_error_set_hint(error, "enclii %s %s%s--yes", cli->command->name, arguments, *arguments != '\0' ? " " : "");
        return false;
    }
    g_autofree char *safe = text_neutralise(question, true);
    fprintf(stderr, "%s [y/N] ", safe);
    g_autoptr(GString) answer = g_string_new(NULL);
    if (!read_input(answer, true, error)) {
        return false;
    }
    g_strstrip(answer->str);
    if (g_ascii_strcasecmp(answer->str, "y") == 0 || g_ascii_strcasecmp(answer->str, "yes") == 0) {
        return true;
    }
    sy_fail(error, SY_CANCELLED, "nothing was changed");
    sy_error_set_hint(error, "Answer y, or give --yes.");
    return false;
}

static bool read_without_echo(GString *text, const char *label, GError **error)
{
    struct termios before;
    if (tcgetattr(STDIN_FILENO, &before) != 0) {
        return sy_fail_errno(error, errno, "the terminal");
    }
    struct termios silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    (void)term_interrupted(); /* Ctrl-C must not leave the terminal silent */
    /* Before the prompt: who answers it at once must not be shown, nor thrown away by the flush. */
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) != 0) {
        return sy_fail_errno(error, errno, "the terminal");
    }
    fprintf(stderr, "%s: ", label);
    bool ok = read_input(text, true, error);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    fputc('\n', stderr);
    return ok;
}

struct secret *prompt_secret(struct cli *cli, const char *label, GError **error)
{
    GString *text = g_string_sized_new(LIMIT); /* never moved, so that wiping it is enough */
    struct secret *secret = NULL;
    bool ok = cli->is_input_terminal ? read_without_echo(text, label, error) : read_input(text, false, error);
    if (ok) {
        if (text->len > 0 && text->str[text->len - 1] == '\n') {
            text->len--;
        }
        if (memchr(text->str, '\0', text->len) != NULL) {
            sy_fail(error, SY_INVALID_INPUT, "%s must not hold a NUL byte", label);
        } else if (text->len == 0) {
            sy_fail(error, SY_INVALID_INPUT, "no %s was given: stdin is empty", label);
            sy_error_set_hint(error, "Type it at the prompt, or pipe it in.");
        } else {
            secret = secret_new(text->str, text->len);
        }
    }
    secret_wipe(text->str, text->allocated_len);
    g_string_free(text, TRUE);
    return secret;
}
